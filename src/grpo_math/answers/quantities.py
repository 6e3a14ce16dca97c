"""Are two values the same: numbers and expressions, with units, percent signs, degrees, and the tolerance of a decimal?"""

from fractions import Fraction

from grpo_math.answers import exact, sampling
from grpo_math.answers.parser import Node
from grpo_math.answers.vocabulary import UNIT_LETTERS

_UNITS = {  # unit: (dimension, size)
    **{name: ("length", Fraction(size)) for name, size in {"mm": "0.001", "cm": "0.01", "m": "1", "km": "1000"}.items()},
    **{name: ("length in feet", Fraction(size)) for name, size in {"in": "1/12", "ft": "1", "yd": "3", "mi": "5280"}.items()},
    **{name: ("mass", Fraction(size)) for name, size in {"mg": "0.001", "g": "1", "kg": "1000"}.items()},
    **{name: ("volume", Fraction(size)) for name, size in {"ml": "0.001", "l": "1"}.items()},
    **{name: ("time", Fraction(size)) for name, size in {"s": 1, "min": 60, "h": 3600, "day": 86400, "week": 604800}.items()},
    **{"am": ("morning", Fraction(1)), "pm": ("afternoon", Fraction(1))},
    **{name: ("money", Fraction(size)) for name, size in {"dollar": "1", "cent": "0.01"}.items()},
}
_SYNONYMS = {
    word: unit
    for unit, words in {
        **{"m": "meter metre", "cm": "centimeter centimetre", "km": "kilometer kilometre", "mm": "millimeter millimetre"},
        **{"in": "inch inche", "ft": "foot feet", "yd": "yard", "mi": "mile"},
        **{"g": "gram", "kg": "kilogram kilo", "l": "liter litre"},
        **{"s": "second sec", "min": "minute", "h": "hour hr", "dollar": "usd euro eur"},
    }.items()
    for word in words.split()
}
_COMPOUND = {"mph": "mi per h", "kmh": "km per h", "kph": "km per h", "km/h": "km per h", "m/s": "m per s"}


def same_value(answer: Node, gold: Node) -> bool:
    """Numbers and expressions, with the unit of either."""
    answer, unit = _split_unit(answer, gold)
    gold, wanted = _split_unit(gold, ("unit", answer, unit) if unit else answer)
    if unit and wanted and unit != wanted:
        a, g = _measure(unit), _measure(wanted)
        if a and g:
            return a[0] == g[0] and same_number(("*", (("n", a[1] / g[1], None), answer)), gold)
        if a or g or not _same_unit(unit, wanted):
            return False
    if any(a == g or same_number(a, g) for a, g in _readings(answer, gold)):
        return True
    return _is_quantity(answer) and not sampling.variables(gold) and same_number(answer[1][0], gold)


def _split_unit(node: Node, other: Node) -> tuple[Node, str]:
    if _is_quantity(node) and other[0] == "unit":  # 5 m beside 500 cm
        return node[1][0], node[1][1][1]
    if node[0] == "neg" and node[1][0] == "unit":
        return ("neg", node[1][1]), node[1][2]
    return (node[1], node[2]) if node[0] == "unit" else (node, "")


def _measure(unit: str) -> tuple[str, Fraction] | None:
    """The dimension and size of a unit that we know, as ("length^2", 1/10000) of square cm."""
    unit = unit.lower().replace("square", "^2").replace("cubic", "^3").replace("sq", "^2")
    words = [word for word in unit.split() if word != "."]
    power = max((int(word[1:]) for word in words if word[0] == "^" and word[1:].isdigit()), default=1)
    names = [word for word in words if word[0] != "^"]
    if len(names) != 1:
        return None
    name = names[0] if names[0] in _UNITS else names[0].rstrip("s")
    dimension, size = _UNITS.get(_SYNONYMS.get(name, name), ("", Fraction(0)))
    return (f"{dimension}^{power}", size**power) if dimension else None


def _same_unit(a: str, b: str) -> bool:
    """Whether two units that we cannot convert are one: in other words for it, or with more words ("red apples", "apples")."""
    words_a, words_b = (
        {_SYNONYMS.get(word.rstrip("s"), word.rstrip("s")) for word in _COMPOUND.get(unit, unit).replace("/", " per ").split()}
        for unit in (a.casefold(), b.casefold())
    )
    more = words_a ^ words_b
    return (words_a <= words_b or words_b <= words_a) and not any(word[0] == "^" or word == "per" for word in more)


def _readings(answer: Node, gold: Node) -> list[tuple[Node, Node]]:
    """Where only one side has a percent or degree sign, it is taken at its value, and as a mere label."""
    for sign in ("pct", "deg"):
        if answer[0] == gold[0] == sign:
            return [(answer[1], gold[1])]
    pairs = [(answer, gold)]
    if gold[0] in ("pct", "deg"):
        pairs.append((answer, gold[1]))
    if answer[0] in ("pct", "deg"):
        pairs.append((answer[1], gold))
    return pairs


def _is_quantity(node: Node) -> bool:
    """Whether a number has one letter behind it that may be its unit, as in 3 h."""
    letter = node[0] == "*" and len(node[1]) == 2 and node[1][0][0] == "n" and node[1][1][0] == "v"
    return letter and node[1][1][1] in UNIT_LETTERS


def same_number(answer: Node, gold: Node) -> bool:
    try:
        a, g = exact.evaluate(answer), exact.evaluate(gold)
        return a == g or _within_digits(answer, gold, a, g)
    except exact.Undefined:
        return False
    except exact.NotExact:
        pass
    try:
        return sampling.same_function(answer, gold) or _approximates(answer, gold)
    except sampling.NoValue:
        return False


def _within_digits(answer: Node, gold: Node, a: exact.Exact, g: exact.Exact) -> bool:
    """The tolerance of a gold (or of an answer printed in full) that is a decimal."""
    of_gold, of_answer = _decimal(gold), _decimal(answer)
    if not of_gold and not of_answer:
        return False
    difference = abs(_to_float(exact.add(a, {key: -q for key, q in g.items()})))
    return _close_enough(difference, of_answer, of_gold, answer[0] == "n" and answer[2] is None)


def _approximates(answer: Node, gold: Node) -> bool:
    """As `_within_digits`, for values that are only known as floats."""
    of_gold, of_answer = _decimal(gold), _decimal(answer)
    if not of_gold and not of_answer or sampling.variables(answer) or sampling.variables(gold):
        return False
    floats = sampling.Floats()
    try:
        difference = abs(floats(answer, 0, {})[0] - floats(gold, 0, {})[0])
    except (sampling.NoValue, ArithmeticError, ValueError):
        return False
    return _close_enough(difference, of_answer, of_gold, False)


Decimal = tuple[float, int, int]  # the last digit's place, significant digits, digits after the point


def _close_enough(difference: float, answer: Decimal | None, gold: Decimal | None, whole: bool) -> bool:
    if whole:
        return False
    if answer is None:  # an exact form of what the gold rounds or cuts off
        return gold is not None and gold[1] >= 3 and difference < gold[0] * (1 - 1e-9)
    if gold is None:  # a float printed in full
        return answer[1] >= 12 and difference <= answer[0]
    fewer = min(answer, gold, key=lambda decimal: decimal[2])
    return fewer[1] >= 3 and fewer[2] >= 2 and difference <= max(answer[0], gold[0]) / 2 * (1 + 1e-9)


def _decimal(node: Node) -> Decimal | None:
    """The precision of a decimal numeral, with sign, percent sign or a power of ten; None for anything else."""
    scale, shift = 1.0, 0
    while node[0] in ("neg", "pct") or node[0] == "*" and len(node[1]) == 2 and _ten_to(node[1][1]) is not None:
        if node[0] == "*":
            power = _ten_to(node[1][1])
            scale, shift, node = scale * 10.0**power, shift - power, node[1][0]
        else:
            scale, shift, node = (scale / 100, shift + 2, node[1]) if node[0] == "pct" else (scale, shift, node[1])
    if node[0] != "n" or not node[2]:
        return None
    digits = str(abs(node[1].numerator * 10 ** node[2] // node[1].denominator)).lstrip("0")
    return scale * 10.0 ** -node[2], len(digits), node[2] + max(shift, 0)


def _ten_to(node: Node) -> int | None:
    if node[0] != "^" or node[1] != ("n", Fraction(10), None):
        return None
    exponent = sampling.whole_exponent(node[2])
    return exponent if exponent is not None and abs(exponent) < 300 else None


def _to_float(value: exact.Exact) -> float:
    try:
        return abs(sum(float(q) * complex(d) ** 0.5 * 3.141592653589793**k for (d, k), q in value.items()))
    except OverflowError:
        return float("inf")
