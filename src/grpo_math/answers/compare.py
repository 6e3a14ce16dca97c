"""Are two typed answers the same? Types that differ never match by accident; what may match, and why, stands in RULES.md.

The gold answer (second argument everywhere) decides how precise an answer must be; the answer never does.
"""

from fractions import Fraction

from grpo_math.answers import exact, sampling
from grpo_math.answers.parser import Node
from grpo_math.answers.quantities import same_value
from grpo_math.answers.regions import Interval, intervals, is_infinite, is_order, is_region

ZERO, ONE = ("n", Fraction(0), None), ("n", Fraction(1), None)
MAX_MATCHES = 8000  # comparisons of parts, down to the innermost, that two collections may cost
_ARTICLES = frozenset({"a", "an", "the"})


def same(answer: Node, gold: Node) -> bool:
    """Whether two settled answers are the same. May raise OverBudget."""
    if answer == gold:
        return True
    if answer[0] == "named" or gold[0] == "named":
        return _same_named(answer, gold)
    if gold[0] in _COLLECTIONS or answer[0] in _COLLECTIONS:
        return _same_collection(answer, gold)
    if gold[0] == "rel":
        return _same_relation(answer, gold)
    if gold[0] == "text" or answer[0] == "text":
        return gold[0] == answer[0] and _words(gold[1]) == _words(answer[1])
    if "ratio" in (answer[0], gold[0]):
        return _same_ratio(answer, gold)
    if gold[0] == "base" or answer[0] == "base":
        return gold[0] == answer[0] and answer[1].lstrip("0") == gold[1].lstrip("0") and same(answer[2], gold[2])
    return answer[0] != "rel" and same_value(answer, gold)


_COLLECTIONS = frozenset({"list", "set", "tuple", "union", "minus", "matrix", "cases"})


def _words(text: str) -> list[str]:
    letters = "".join(character if character.isalnum() else " " for character in text.casefold())
    return [word for word in letters.split() if word not in _ARTICLES]


def _same_named(answer: Node, gold: Node) -> bool:
    if answer[0] == gold[0]:
        return _same_names(answer, gold)
    if answer[0] == "named":
        if gold[0] == "rel" and set(gold[1]) == {"="} and answer[1][0] == "v":
            return _same_relation(("rel", ("=",), (answer[1], answer[2])), gold)
        return same(answer[2], gold)
    if answer[0] == "rel" and set(answer[1]) == {"="}:
        if not sampling.variables(gold[2]):  # x = 3 wants the value, not an equation that has it for a solution
            return len(answer[2]) == 2 and answer[2][1] == gold[1] and same(answer[2][0], gold[2])
        return gold[1][0] == "v" and _same_relation(answer, ("rel", ("=",), (gold[1], gold[2])))
    return same(answer, gold[2])


def _same_names(answer: Node, gold: Node) -> bool:
    """Two named values: of the same name, or of the same function of another variable."""
    a, g = answer[1], gold[1]
    if a[0] == "text" or g[0] == "text":
        return (a[0] != g[0] or _words(a[1]) == _words(g[1])) and same(answer[2], gold[2])
    renamed: dict[str, str] = {}
    if a[0] == g[0] == "call" and a[1] == g[1] and len(a[2]) == len(g[2]):
        renamed = {x[1]: z[1] for x, z in zip(a[2], g[2]) if x[0] == z[0] == "v"}
    elif a != g and {a[0], g[0]} != {"call", "v"} or a != g and "y" not in (a[1], g[1]):
        return False
    if not renamed:
        return same(answer[2], gold[2])
    return _same_function(answer[2], gold[2], renamed)


def _same_function(answer: Node, gold: Node, renamed: dict[str, str]) -> bool:
    try:
        return sampling.same_function(answer, gold, renamed)
    except sampling.NoValue:
        return False


# Collections


def _same_collection(answer: Node, gold: Node) -> bool:
    if "matrix" in (answer[0], gold[0]) or "cases" in (answer[0], gold[0]):
        return _same_matrix(answer, gold)
    if is_region(answer) or is_region(gold):
        regions = intervals(answer), intervals(gold)
        if None not in regions:
            return _same_intervals(*regions)
    if "rel" in (answer[0], gold[0]) or "union" in (answer[0], gold[0]) or "minus" in (answer[0], gold[0]):
        return False
    return _same_items(answer, gold)


def _items(node: Node) -> tuple[Node, ...]:
    return node[2] if node[0] == "tuple" else node[1] if node[0] in ("list", "set") else (node,)


def _same_items(answer: Node, gold: Node) -> bool:
    a, g = _items(answer), _items(gold)
    if answer[0] == "tuple" and gold[0] == "tuple":
        brackets = answer[1] + answer[3], gold[1] + gold[3]
        alike = brackets[0] == brackets[1] or len(a) != 2 and set(brackets) <= {"()", "[]"}
        return alike and _in_order(a, g)
    named_a, named_g = _names(a), _names(g)
    if named_a and named_g:
        values = dict(zip(named_a, a))
        return len(a) == len(g) and all(name in values and same(values[name], item) for name, item in zip(named_g, g))
    if named_a or named_g:
        a, g = _values(a), _values(g)
        if named_g:
            a = _with_parameter(a, g)
        return _in_order(a, g) if named_g or gold[0] == "tuple" else _in_any_order(a, g)
    if gold[0] == "tuple":
        return answer[0] == "list" and (gold[1], gold[3]) == ("(", ")") and _in_order(a, g)
    if answer[0] == "tuple":  # (1, 2) is a point or an interval, and no list of two answers
        return gold[0] == "list" and len(g) > 2 and _in_order(a, g)
    return _in_any_order(_values(a, loosely=True), _values(g, loosely=True))


def _with_parameter(a: tuple[Node, ...], g: tuple[Node, ...]) -> tuple[Node, ...]:
    """The answer with the gold's letter for the one parameter that both are written with."""
    names_a, names_g = (frozenset().union(*map(sampling.variables, items)) for items in (a, g))
    if len(names_a) != 1 or len(names_g) != 1:
        return a
    return tuple(sampling.substitute(item, *names_a, ("v", *names_g)) for item in a)


def _names(items: tuple[Node, ...]) -> list[Node] | None:
    """The names of a record such as "x = 2, y = 1"; None where an item has none, or a name comes twice."""
    names = [item[1] for item in items if item[0] == "named"]
    return names if len(items) > 1 and len(set(names)) == len(items) else None


def _values(items: tuple[Node, ...], loosely: bool = False) -> tuple[Node, ...]:
    """The items without names; loosely: only where all have one name, as in "n = 1, 2, 3" or "x = 1, x = 2"."""
    names = {item[1] for item in items if item[0] == "named"}
    if loosely and len(names) > 1:
        return items
    return tuple(item[2] if item[0] == "named" else item for item in items)


def _in_order(a: tuple[Node, ...], g: tuple[Node, ...]) -> bool:
    return len(a) == len(g) and all(same(x, y) for x, y in zip(a, g))


def _in_any_order(a: tuple[Node, ...], g: tuple[Node, ...]) -> bool:
    """As sets: an item given twice counts once."""
    a, g = tuple(dict.fromkeys(a)), tuple(dict.fromkeys(g))
    if sum(map(sampling.size, a)) * sum(map(sampling.size, g)) > MAX_MATCHES:
        return a == g
    missing = set(range(len(g)))
    for x in a:  # each pair once: of sets in sets in sets twice would double at every level
        found = {n for n, y in enumerate(g) if same(x, y)}
        if not found:
            return False
        missing -= found
    return not missing


def _same_matrix(answer: Node, gold: Node) -> bool:
    rows_a, rows_g = _rows(answer), _rows(gold)
    if rows_a is None or rows_g is None or answer[0] != gold[0] and len(rows_g) > 1 and len(rows_g[0]) > 1:
        return False
    if answer[0] != gold[0]:  # a vector is a column or a row, or a tuple
        rows_a, rows_g = [sum(rows_a, ())], [sum(rows_g, ())]
    return len(rows_a) == len(rows_g) and all(map(_in_order, rows_a, rows_g))


def _rows(node: Node) -> list[tuple[Node, ...]] | None:
    if node[0] in ("matrix", "cases"):
        return list(node[1])
    return [node[2]] if node[0] == "tuple" and (node[1], node[3]) == ("(", ")") else None


def _same_intervals(a: list[Interval], g: list[Interval]) -> bool:
    return len(a) == len(g) and all(
        same(x[0], y[0]) and same(x[2], y[2]) and (x[1] == y[1] or is_infinite(y[0])) and (x[3] == y[3] or is_infinite(y[2]))
        for x, y in zip(a, g)
    )


# Equations


def _same_relation(answer: Node, gold: Node) -> bool:
    if answer[0] != "rel":
        return set(gold[1]) == {"="} and len(gold[2]) == 2 and _solves(answer, gold)
    if answer[1] == ("=",) and gold[1] == ("=",) and _proportional(_difference(answer), _difference(gold)):
        return True
    if is_order(answer[1]) and is_order(gold[1]):
        regions = intervals(answer), intervals(gold)
        if None not in regions:
            return sampling.variables(answer) == sampling.variables(gold) and _same_intervals(*regions)
    answer, gold = _ascending(answer), _ascending(gold)
    return answer[1] == gold[1] and len(answer[2]) == len(gold[2]) and all(map(same, answer[2], gold[2]))


def _ascending(relation: Node) -> Node:
    """The chain written with < rather than >."""
    if not all(operator[0] == ">" for operator in relation[1]):
        return relation
    return ("rel", tuple(operator.replace(">", "<") for operator in reversed(relation[1])), relation[2][::-1])


def _difference(equation: Node) -> Node:
    return ("+", (equation[2][0], ("neg", equation[2][1])))


def _proportional(a: Node, g: Node) -> bool:
    """Whether a = 0 and g = 0 say the same: their quotient is the same at points that have nothing in common.

    An equation that always holds, as x = x, says nothing, and is the same as none.
    """
    names = sampling.variables(g)
    if sampling.variables(a) != names or not names or _same_function(a, ZERO, {}) or _same_function(g, ZERO, {}):
        return False
    quotient = ("/", a, g)
    return _same_function(quotient, quotient, {name: name + "'" for name in names})


def _solves(value: Node, equation: Node) -> bool:
    """Whether an equation that is linear in one variable is solved for it by the value, as x y = 6 by 6/x."""
    missing = sampling.variables(equation) - sampling.variables(value)
    if len(missing) != 1 or not sampling.variables(value) < sampling.variables(equation) or value[0] in _COLLECTIONS:
        return False
    name, difference = next(iter(missing)), _difference(equation)
    at = [sampling.substitute(difference, name, ("n", Fraction(x), None)) for x in range(3)]
    bend = ("+", (at[0], at[2], ("neg", ("*", (("n", Fraction(2), None), at[1])))))
    return (
        _same_function(bend, ZERO, {})
        and not _same_function(at[0], at[1], {})
        and _same_function(sampling.substitute(difference, name, value), ZERO, {})
    )


# Ratios


def _same_ratio(answer: Node, gold: Node) -> bool:
    if answer[0] != gold[0]:  # 20:3 is the number 20/3
        quotients = (("/", *node[1]) if node[0] == "ratio" else node for node in (answer, gold))
        return len((answer if answer[0] == "ratio" else gold)[1]) == 2 and same_value(*quotients)
    a, g = answer[1], gold[1]
    if len(a) != len(g):
        return False
    if _in_order(a, g) or _is_clock(a) and _is_clock(g):
        return _in_order(a, g)
    try:
        return all(
            exact.multiply(exact.evaluate(x), exact.evaluate(g[0])) == exact.multiply(exact.evaluate(y), exact.evaluate(a[0]))
            for x, y in zip(a, g)
        ) and exact.evaluate(g[0]) != {} != exact.evaluate(g[1])
    except (exact.NotExact, exact.Undefined):
        return len(a) == 2 and same_value(("/", *a), ("/", *g))


def _is_clock(items: tuple[Node, ...]) -> bool:
    """Whether two whole numbers may be hours and minutes, which are not reduced like a ratio."""
    whole = len(items) == 2 and all(item[0] == "n" and item[1].denominator == 1 for item in items)
    return whole and items[0][1] <= 24 and 10 <= items[1][1] < 60
