r"""Exact numbers: sums of rational multiples of square roots and powers of pi, e.g. `1 + \frac{3\sqrt 2}{4} - 2\pi`.

A number is a dict {(d, k): q} that stands for the sum of q * sqrt(d) * pi**k over its items, with d squarefree (d < 0 for
imaginary parts, d = 1 for rational ones), k an integer and q a nonzero Fraction. As pi is transcendental and square roots of
different squarefree numbers are linearly independent over the rationals, two numbers are equal exactly where their dicts are.

All integers are capped, so the work is bounded whatever a model writes.
"""

import math
from fractions import Fraction
from functools import lru_cache

from grpo_math.answers.lexer import OverBudget
from grpo_math.answers.parser import Node

MAX_BITS = 10_000
MAX_TERMS = 24
MAX_POWER = 2000  # exponent * terms**2 of the power of a sum
MAX_RADICAND = 10**9

Exact = dict[tuple[int, int], Fraction]
_CONSTANTS = {("v", "pi"): (1, 1), ("v", "i"): (-1, 0)}


class NotExact(Exception):
    """The value exists perhaps, but not in this field."""


class Undefined(Exception):
    """The expression has no value, as 1/0."""


def evaluate(node: Node) -> Exact:
    """The exact value of a node without variables. Raises NotExact, Undefined or OverBudget."""
    kind = node[0]
    if kind == "n":
        value = {(1, 0): node[1]} if node[1] else {}
    elif kind in ("+", "*"):
        join, value = (add, {}) if kind == "+" else (multiply, {(1, 0): Fraction(1)})
        for part in node[1]:
            value = join(value, evaluate(part))
    elif kind == "neg":
        value = {key: -q for key, q in evaluate(node[1]).items()}
    elif kind == "/":
        value = multiply(evaluate(node[1]), invert(evaluate(node[2])))
    elif kind == "^":
        exponent = rational(evaluate(node[2]))
        if exponent is None:
            raise NotExact("an irrational exponent")
        value = power(evaluate(node[1]), exponent)
    elif kind == "f":
        value = _function(node)
    elif kind in ("pct", "deg"):
        unit = {(1, 0): Fraction(1, 100)} if kind == "pct" else {(1, 1): Fraction(1, 180)}
        value = multiply(evaluate(node[1]), unit)
    elif node in _CONSTANTS:
        value = {_CONSTANTS[node]: Fraction(1)}
    else:
        raise NotExact(node[1] if kind == "v" else kind)
    return _capped(value)


def rational(value: Exact) -> Fraction | None:
    """The value as a Fraction, or None where it is irrational or complex."""
    if not value:
        return Fraction(0)
    return value.get((1, 0)) if len(value) == 1 else None


def add(a: Exact, b: Exact) -> Exact:
    total = dict(a)
    for key, q in b.items():
        total[key] = total.get(key, 0) + q
        if not total[key]:
            del total[key]
    return total


def multiply(a: Exact, b: Exact) -> Exact:
    product: Exact = {}
    for (d, k), p in a.items():
        for (e, m), q in b.items():
            common = math.gcd(d, e)
            sign = -1 if d < 0 and e < 0 else 1
            product = add(product, {(d * e // common**2, k + m): p * q * common * sign})
    return _capped(product)


def _capped(value: Exact) -> Exact:
    if len(value) > MAX_TERMS:
        raise OverBudget("too many terms")
    for q in value.values():
        if q.numerator.bit_length() > MAX_BITS or q.denominator.bit_length() > MAX_BITS:
            raise OverBudget("a number with too many digits")
    return value


def invert(value: Exact) -> Exact:
    """1 / value, by multiplying with conjugates until one term is left."""
    if not value:
        raise Undefined("division by zero")
    if len(value) == 1:
        ((d, k), q) = next(iter(value.items()))
        return {(d, -k): 1 / (q * d)}
    if len({k for _, k in value}) > 1:
        raise NotExact("a quotient of sums with pi")
    radicand = max((d for d, _ in value), key=abs)
    prime = -1 if any(d < 0 for d, _ in value) else _least_prime(radicand)
    conjugate = {key: -q if (key[0] < 0 if prime == -1 else key[0] % prime == 0) else q for key, q in value.items()}
    return multiply(conjugate, invert(multiply(value, conjugate)))


@lru_cache(1024)
def _least_prime(n: int) -> int:
    """The least prime factor of n > 1."""
    return next((p for p in range(2, math.isqrt(n) + 1) if n % p == 0), n)


def power(value: Exact, exponent: Fraction) -> Exact:
    """A whole, half or (where it is rational) other root's power."""
    if exponent.denominator == 2:
        return power(root(value), exponent * 2)
    if exponent.denominator != 1:
        return power(_rational_root(value, exponent.denominator), exponent * exponent.denominator)
    n = exponent.numerator
    if n < 0:
        return power(invert(value), -exponent)
    if n == 0 and not value:
        raise Undefined("0 to the power 0")
    size = max((max(q.numerator.bit_length(), q.denominator.bit_length()) - 1 for q in value.values()), default=0)
    if n * size > MAX_BITS:
        raise OverBudget("a power with too many digits")
    if len(value) > 1 and n * len(value) ** 2 > MAX_POWER:
        raise NotExact("a high power of a sum")
    result: Exact = {(1, 0): Fraction(1)}
    while n:
        if n & 1:
            result = multiply(result, value)
        n >>= 1
        value = multiply(value, value) if n else value
    return result


def root(value: Exact) -> Exact:
    """The principal square root of a rational number."""
    q = rational(value)
    if q is None:
        raise NotExact("a nested root")
    square, radicand = _split_square(q.numerator * q.denominator)
    return {(radicand, 0): Fraction(square, q.denominator)} if q else {}


@lru_cache(1024)
def _split_square(n: int) -> tuple[int, int]:
    """n as square**2 * radicand with a squarefree radicand of the same sign."""
    sign, n = (-1 if n < 0 else 1), abs(n)
    if n == 0:
        return 0, 1
    whole = math.isqrt(n)
    if whole * whole == n:
        return whole, sign
    if n > MAX_RADICAND:
        raise NotExact("a large radicand")
    square, radicand, p = 1, 1, 2
    while p * p * p <= n:  # what is left has at most two prime factors
        while n % (p * p) == 0:
            n //= p * p
            square *= p
        if n % p == 0:
            n //= p
            radicand *= p
        p += 1
    whole = math.isqrt(n)
    return (square * whole, sign * radicand) if whole * whole == n else (square, sign * radicand * n)


def _rational_root(value: Exact, degree: int) -> Exact:
    q = rational(value)
    if q is None or degree > 64 or q < 0:
        raise NotExact("an irrational root")
    over, under = _whole_root(q.numerator, degree), _whole_root(q.denominator, degree)
    return {(1, 0): Fraction(over, under)} if over else {}


def _whole_root(n: int, degree: int) -> int:
    if n.bit_length() > 1000:
        raise NotExact("a large radicand")
    guess = round(n ** (1 / degree)) if n.bit_length() < 1000 else 0
    for candidate in (guess - 1, guess, guess + 1):
        if candidate >= 0 and candidate**degree == n:
            return candidate
    raise NotExact("an irrational root")


def _whole(node: Node, limit: int) -> int:
    """A small non-negative integer argument."""
    q = rational(evaluate(node))
    if q is None or q.denominator != 1:
        raise NotExact("not a whole number")
    if q < 0:
        raise Undefined("a negative argument")
    if q > limit:
        raise OverBudget("a large argument")
    return q.numerator


def _real(node: Node) -> Fraction:
    q = rational(evaluate(node))
    if q is None:
        raise NotExact("not rational")
    return q


def _function(node: Node) -> Exact:
    name, args = node[1], node[2]
    if name == "sqrt" and len(args) == 1:
        return root(evaluate(args[0]))
    if name == "factorial":
        q: Fraction | int = math.factorial(_whole(args[0], 1000))
    elif name == "binom":
        q = math.comb(_whole(args[0], 5000), _whole(args[1], 5000))
    elif name in ("min", "max"):
        q = (min if name == "min" else max)(_real(argument) for argument in args)
    elif name in ("gcd", "lcm"):
        q = (math.gcd if name == "gcd" else math.lcm)(*(_whole(argument, 10**300) for argument in args))
    elif name in ("abs", "floor", "ceil"):
        q = {"abs": abs, "floor": math.floor, "ceil": math.ceil}[name](_real(args[0]))
    elif name == "mod" and len(args) == 2 and _real(args[1]):
        q = _real(args[0]) % _real(args[1])
    else:
        raise NotExact(name)
    return {(1, 0): Fraction(q)} if q else {}
