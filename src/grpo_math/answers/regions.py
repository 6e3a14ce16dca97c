"""Sets of real numbers: intervals, unions, inequalities and x != 3, all as a list of intervals."""

from fractions import Fraction

from grpo_math.answers import exact, sampling
from grpo_math.answers.parser import Node

INFINITY = ("v", "inf")

Interval = tuple[Node, bool, Node, bool]  # lower end, is it open, upper end, is it open


def is_region(node: Node) -> bool:
    """Whether the node can only be a set of real numbers."""
    if node[0] in ("union", "minus") or node == ("v", "reals"):
        return True
    if node[0] == "tuple":
        return len(node[2]) == 2 and (node[1], node[3]) != ("(", ")")
    if node[0] == "list":
        return all(item[0] == "rel" and is_order(item[1]) for item in node[1])
    return node[0] == "rel" and is_order(node[1])


def is_order(operators: tuple[str, ...]) -> bool:
    return all(operator in ("<", ">", "<=", ">=", "!=") for operator in operators)


def intervals(node: Node) -> list[Interval] | None:
    """The intervals of a set of real numbers in the order of their lower ends; None where the node is none."""
    found = _collect(node)
    return sorted(found, key=lambda interval: _position(interval[0])) if found else found


def _collect(node: Node) -> list[Interval] | None:
    kind = node[0]
    if kind == "tuple" and len(node[2]) == 2:
        return [(node[2][0], node[1] == "(", node[2][1], node[3] == ")")]
    if kind == "union":
        parts = _collect(node[1]), _collect(node[2])
        return None if None in parts else parts[0] + parts[1]
    if kind == "set":
        return [(item, False, item, False) for item in node[1]]
    if kind == "minus" and node[2][0] == "set":
        return _without(_collect(node[1]), node[2][1])
    if node == ("v", "reals"):
        return [(("neg", INFINITY), True, INFINITY, True)]
    if kind == "rel" and is_order(node[1]):
        return _solve(node[1], node[2])
    return _joined([_collect(item) for item in node[1]]) if kind == "list" else None


def _without(line: list[Interval] | None, points: tuple[Node, ...]) -> list[Interval] | None:
    """The intervals without single points, which lie inside the first of them."""
    if not line or len(line) > 1:
        return None
    low, low_open, high, high_open = line[0]
    pieces = []
    for point in sorted(points, key=_position):
        pieces.append((low, low_open, point, True))
        low, low_open = point, True
    return [*pieces, (low, low_open, high, high_open)]


def _joined(parts: list[list[Interval] | None]) -> list[Interval] | None:
    """Several inequalities: two rays that overlap bound one interval ("x > 1, x < 3"), all others are a union."""
    if None in parts:
        return None
    rays = [interval for part in parts for interval in part]
    if len(rays) == 2 and len(parts) == 2:
        (a, a_open, b, b_open), (c, c_open, d, d_open) = sorted(rays, key=lambda ray: _position(ray[0]))
        if a == ("neg", INFINITY) and d == INFINITY and _position(c) < _position(b):
            return [(c, c_open, b, b_open)]
    return rays


def _solve(operators: tuple[str, ...], sides: tuple[Node, ...]) -> list[Interval] | None:
    """The interval of a chain such as 1 <= x < 2, x > 3, -x > 1 or 1 <= |x| <= 2."""
    middle = next((i for i, side in enumerate(sides) if sampling.variables(side)), None)
    if middle is None or len(sides) > 3 or (len(sides) == 3 and middle != 1):
        return None
    if sum(1 for side in sides if sampling.variables(side)) > 1 and sides[middle][0] != "v":
        return None
    low, low_open, high, high_open = ("neg", INFINITY), True, INFINITY, True
    for i, operator in enumerate(operators):
        left = i + 1 == middle  # the bound stands left of the middle
        bound = sides[i] if left else sides[i + 1]
        if operator == "!=":
            return _without([(low, True, high, True)], (bound,)) if len(sides) == 2 and sides[middle][0] == "v" else None
        if (operator[0] == "<") == left:
            low, low_open = bound, len(operator) == 1
        else:
            high, high_open = bound, len(operator) == 1
    return _unwrapped(sides[middle], (low, low_open, high, high_open))


def _unwrapped(middle: Node, interval: Interval) -> list[Interval] | None:
    """The interval of x where the interval of -x, a x + b or |x| is given."""
    low, low_open, high, high_open = interval
    if middle[0] == "v":
        return [interval]
    if middle[0] == "f" and middle[1] == "abs" and middle[2][0][0] == "v":
        if low == ("neg", INFINITY):
            return [(("neg", high), high_open, high, high_open)]
        return [(("neg", high), high_open, ("neg", low), low_open), (low, low_open, high, high_open)]
    slope = _slope(middle)
    if slope is None:
        return None
    factor, offset = slope
    ends = [_moved(low, factor, offset), _moved(high, factor, offset)]
    return [(ends[0], low_open, ends[1], high_open)] if factor > 0 else [(ends[1], high_open, ends[0], low_open)]


def _slope(node: Node) -> tuple[Fraction, Fraction] | None:
    """(a, b) where the node is a x + b with rational a and b, checked at a third point."""
    names = sampling.variables(node)
    if len(names) != 1:
        return None
    name = next(iter(names))
    try:
        at = [exact.rational(exact.evaluate(sampling.substitute(node, name, ("n", Fraction(x), None)))) for x in range(3)]
    except (exact.NotExact, exact.Undefined):
        return None
    if None in at or at[2] - at[1] != at[1] - at[0] or at[1] == at[0]:
        return None
    return at[1] - at[0], at[0]


def _moved(end: Node, factor: Fraction, offset: Fraction) -> Node:
    if is_infinite(end):
        return end if factor > 0 else (end[1] if end[0] == "neg" else ("neg", end))
    return ("/", ("+", (end, ("n", -offset, None))), ("n", factor, None))


def is_infinite(node: Node) -> bool:
    return node == INFINITY or node == ("neg", INFINITY) or node == ("+", (INFINITY,))


def _position(node: Node) -> float:
    """Where an end lies on the line, for sorting; ends with variables keep their order."""
    if is_infinite(node):
        return float("-inf") if node[0] == "neg" else float("inf")
    if sampling.variables(node):
        return 0.0
    try:
        return sampling.Floats()(node, 0, {})[0].real
    except (sampling.NoValue, ArithmeticError, ValueError):
        return 0.0
