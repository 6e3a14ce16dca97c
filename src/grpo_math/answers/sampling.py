"""Are two expressions the same function? They are evaluated at several points: modulo a large prime, or in complex floats.

Where both are rational functions, equality modulo a prime of 61 bits at random points decides (Schwartz, 1980; Zippel, 1979):
two different ones agree at a random point with a probability of at most degree / 2**61. Everything else (roots, exponentials,
trigonometry) is compared in complex floats, relative to the size of what was added up. The points depend on the names of the
variables alone, so the verdict is the same on every machine.
"""

import cmath
import math
import zlib
from collections.abc import Callable
from fractions import Fraction
from functools import reduce

from grpo_math.answers.lexer import OverBudget
from grpo_math.answers.parser import Node

PRIME = 2305843009213693921  # the largest prime below 2**61 that is 1 modulo 4, so that -1 has a root
POINTS = 6
MAX_EXPONENT = 10_000
CLOSE = 1e-11  # relative to the largest number that was added up

_CONSTANTS = {"pi": math.pi, "e": math.e, "i": 1j, "inf": math.inf}
_FOURTHS = (pow(n, (PRIME - 1) // 4, PRIME) for n in range(2, 100))  # each a fourth root of 1
_ROOT_OF_MINUS_ONE = next(root for root in _FOURTHS if root * root % PRIME == PRIME - 1)
_DISCRETE = frozenset({"floor", "ceil", "factorial", "binom", "gcd", "lcm", "mod"})


class NoValue(Exception):
    """The expression has no value at this point, or none that this arithmetic can give."""


def variables(node: Node) -> frozenset[str]:
    """The names of the free variables of an expression."""
    if node[0] == "v":
        return frozenset() if node[1] in _CONSTANTS else frozenset({node[1]})
    names: frozenset[str] = frozenset({node[1]}) if node[0] == "call" else frozenset()
    for child in children(node):
        names |= variables(child)
    return names


def children(node: Node) -> tuple[Node, ...]:
    kind = node[0]
    if kind in ("+", "*", "set", "list", "ratio"):
        return node[1]
    if kind in ("f", "call", "tuple", "rel"):
        return node[2]
    if kind in ("neg", "pct", "deg", "unit"):
        return node[1:2]
    if kind in ("/", "^", "pm", "mp", "union", "cap", "minus"):
        return node[1:3]
    return ()


def contains(node: Node, test: Callable[[Node], bool]) -> bool:
    return test(node) or any(contains(child, test) for child in children(node))


def size(node: Node) -> int:
    return 1 + sum(size(child) for child in children(node))


def same_function(a: Node, b: Node, names: dict[str, str] | None = None) -> bool:
    """Whether two expressions agree at every point where both have a value. `names` renames variables of `a`.

    Raises NoValue where no point gives both a value.
    """
    names = names or {}
    if is_rational(a) and is_rational(b):
        return _agree(a, b, names, _modular, lambda x, y: x == y, range(3), 1)
    both = ("list", (a, b))
    discrete = contains(both, _is_discrete)
    cost = size(a) + size(b)
    if cost > 1500:
        raise OverBudget("a long expression")
    points = range(4 if cost > 200 else 12) if variables(a) | variables(b) else range(1)
    imaginary = contains(both, lambda node: node == ("v", "i"))
    return _agree(a, b, names, Floats(discrete, imaginary), Floats.close, points, 3 if len(points) > 1 else 1)


def _agree(a: Node, b: Node, names: dict[str, str], arithmetic: Callable, equal: Callable, points: range, enough: int) -> bool:
    agreed = 0
    for point in points:
        try:
            x, y = arithmetic(a, point, names), arithmetic(b, point, {})
        except (NoValue, ZeroDivisionError, OverflowError, ValueError):
            continue
        if not equal(x, y):
            return False
        agreed += 1
        if agreed == POINTS:
            break
    if agreed < enough:
        raise NoValue("no point gives both a value")
    return True


def _is_discrete(node: Node) -> bool:
    signs = node[0] == "^" and node[1] in (("neg", ("n", Fraction(1), None)),)
    return signs or node[0] == "f" and node[1] in _DISCRETE


def is_rational(node: Node) -> bool:
    """Whether the node is built with the four operations and whole powers from variables and rational numbers."""
    kind = node[0]
    if kind in ("n", "v"):
        return node != ("v", "inf")
    if kind == "^":
        return is_rational(node[1]) and whole_exponent(node[2]) is not None
    return kind in ("+", "*", "neg", "/", "pct") and all(is_rational(child) for child in children(node))


def whole_exponent(node: Node) -> int | None:
    sign = 1
    while node[0] == "neg":
        sign, node = -sign, node[1]
    return sign * node[1].numerator if node[0] == "n" and node[1].denominator == 1 else None


def _seed(name: str, point: int) -> int:
    """A number below 2**64 that depends on the name and the point alone."""
    text = f"{name}/{point}".encode()
    return zlib.crc32(text) << 32 | zlib.crc32(text[::-1] + b"#")


def _modular(node: Node, point: int, names: dict[str, str]) -> int:
    kind = node[0]
    if kind == "n":
        return node[1].numerator * pow(node[1].denominator, -1, PRIME) % PRIME
    if kind == "v":
        if node[1] == "i":
            return _ROOT_OF_MINUS_ONE
        return _seed(names.get(node[1], node[1]), point) % PRIME
    if kind == "^":
        exponent = whole_exponent(node[2])
        base = _modular(node[1], point, names)
        return pow(base, exponent, PRIME)  # ValueError where 0 has no inverse
    values = [_modular(child, point, names) for child in children(node)]
    if kind == "+":
        return sum(values) % PRIME
    if kind == "*":
        return reduce(lambda product, value: product * value % PRIME, values)
    if kind == "neg":
        return -values[0] % PRIME
    if kind == "pct":
        return values[0] * pow(100, -1, PRIME) % PRIME
    return values[0] * pow(values[1], -1, PRIME) % PRIME


class Floats:
    """Complex arithmetic; a value comes with the largest number that was added up on the way to it."""

    def __init__(self, discrete: bool = False, imaginary: bool = False):
        self.discrete = discrete  # whole numbers only, as under a factorial
        self.imaginary = imaginary  # else a point where a value is not real is outside the domain

    def __call__(self, node: Node, point: int, names: dict[str, str]) -> tuple[complex, float]:
        self.point, self.names, self.scale = point, names, 0.0
        value = self.value(node)
        if not cmath.isfinite(value):
            raise NoValue("an infinite value")
        if not self.imaginary and abs(value.imag) > 1e-9 * max(abs(value), self.scale):
            raise NoValue("outside the domain")
        return value, self.scale

    @staticmethod
    def close(x: tuple[complex, float], y: tuple[complex, float]) -> bool:
        return abs(x[0] - y[0]) <= CLOSE * max(abs(x[0]), abs(y[0]), 1e-4 * max(x[1], y[1]))

    def variable(self, name: str) -> complex:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        seed = _seed(self.names.get(name, name), self.point)
        if self.discrete:
            return complex(2 + seed % (4 + 3 * self.point))
        share = (seed % 999_983) / 999_983  # in turn below 1, above 1, and negative
        return complex((share, 1 + 2 * share, -share - 0.1, share)[self.point % 4])

    def value(self, node: Node) -> complex:
        kind = node[0]
        if kind == "n":
            return complex(float(node[1]))
        if kind == "v":
            return self.variable(node[1])
        if kind == "f":
            return self.function(node[1], [self.value(argument) for argument in node[2]])
        if kind == "call":
            f = self.variable(node[1])
            return sum((f + k) * (a * a + 1) + a**3 for k, a in enumerate(map(self.value, node[2])))
        values = [self.value(child) for child in children(node)]
        if kind == "+":
            self.scale = max(self.scale, *map(abs, values))
            return sum(values)
        if kind == "*":
            return math.prod(values)
        if kind == "/":
            return values[0] / values[1]
        if kind == "^":
            return self.power(*values)
        if kind == "neg":
            return -values[0]
        if kind in ("pct", "deg"):
            return values[0] * (0.01 if kind == "pct" else math.pi / 180)
        raise NoValue(f"{kind} is no number")

    @staticmethod
    def power(base: complex, exponent: complex) -> complex:
        if abs(exponent) > MAX_EXPONENT or base == 0 and exponent.real <= 0:
            raise NoValue("a power out of range")
        # An odd root of a negative number is the real one: the cube root of -8 is -2.
        if base.imag == 0 and base.real < 0 and exponent.imag == 0:
            root = Fraction(exponent.real).limit_denominator(99)
            if root.denominator % 2 == 1 and root.denominator > 1 and abs(root - exponent.real) < 1e-12:
                return (-1) ** root.numerator * abs(base) ** exponent.real
        return base**exponent

    def function(self, name: str, args: list[complex]) -> complex:
        rule = _FUNCTIONS.get(name)
        if rule is None:
            raise NoValue(f"{name} is no function that we know")
        if name not in ("sqrt", "abs", "exp", "ln"):
            self.scale = max(self.scale, 1.0)
        try:
            return complex(rule(*args))
        except TypeError:
            raise NoValue(f"{name} has other arguments") from None


def _real(x: complex) -> float:
    if abs(x.imag) > 1e-9 * max(1.0, abs(x.real)):
        raise NoValue("a real number is needed")
    return x.real


def _gamma(x: complex) -> float:
    if _real(x) > 150 or _real(x) <= 0 and _real(x) == round(_real(x)):
        raise NoValue("a factorial out of range")
    return math.gamma(_real(x))


def _rounded(rule: Callable[[float], int]) -> Callable[[complex], float]:
    """Floor or ceiling, steady against the last bits of a float."""
    return lambda x: float(round(_real(x))) if abs(_real(x) - round(_real(x))) < 1e-9 else float(rule(_real(x)))


_FUNCTIONS: dict[str, Callable] = {
    "sqrt": cmath.sqrt,
    "abs": abs,
    "exp": cmath.exp,
    "ln": cmath.log,
    "log": lambda x, base=10: cmath.log(x) / cmath.log(base),
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tan": cmath.tan,
    "cot": lambda x: 1 / cmath.tan(x),
    "sec": lambda x: 1 / cmath.cos(x),
    "csc": lambda x: 1 / cmath.sin(x),
    "arcsin": cmath.asin,
    "arccos": cmath.acos,
    "arctan": cmath.atan,
    "arccot": lambda x: math.pi / 2 - cmath.atan(x),
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "floor": _rounded(math.floor),
    "ceil": _rounded(math.ceil),
    "factorial": lambda x: _gamma(x + 1),
    "binom": lambda n, k: _gamma(n + 1) / (_gamma(k + 1) * _gamma(n - k + 1)),
    "min": lambda *xs: min(map(_real, xs)),
    "max": lambda *xs: max(map(_real, xs)),
    "mod": lambda x, y: _real(x) % _real(y),
    "gcd": lambda *xs: math.gcd(*(round(_real(x)) for x in xs)),
    "lcm": lambda *xs: math.lcm(*(round(_real(x)) for x in xs)),
    "Re": lambda x: x.real,
    "Im": lambda x: x.imag,
    "arg": cmath.phase,
}


def substitute(node: Node, name: str, value: Node) -> Node:
    if node == ("v", name):
        return value
    return tuple(
        part if not isinstance(part, tuple) or not part
        else substitute(part, name, value) if isinstance(part[0], str)
        else tuple(substitute(child, name, value) for child in part)
        for part in node
    )  # fmt: skip
