"""What a statement gives as its answer: "x = 2 + 3 = 5" gives a named 5, "5 = 7" contradicts itself, "1 ± 2" gives two."""

from grpo_math.answers import sampling
from grpo_math.answers.compare import same
from grpo_math.answers.lexer import OverBudget
from grpo_math.answers.parser import Node

MAX_ITEMS = 200
_RANGES = (("v", "integers"), ("v", "naturals"), ("v", "reals"))


class Contradiction(Exception):
    """The sides of a chain of equations disagree."""


def settle(node: Node) -> Node:
    """The answer that a statement gives: chains become ("named", names, value), signs ± a list, and approximations go.

    Raises Contradiction where numbers are said to be equal that are not.
    """
    kind = node[0]
    if kind in ("list", "set"):
        items: list[Node] = []
        for item in map(settle, node[1]):  # a list in a list is part of it ("x = 1, 2 ± 1"), a named tuple is a list of names
            items.extend(item[1] if item[0] == "list" and not any(part[0] == "named" for part in item[1]) else (item,))
        # "2k, k in Z": the last item only says where a parameter runs.
        items = [item for item in items if not (item[0] == "named" and item[2] in _RANGES)] or items
        if len(items) > MAX_ITEMS:
            raise OverBudget("too many items")
        return (kind, tuple(items)) if len(items) > 1 or kind == "set" else items[0]
    if kind == "rel":
        return _settle_chain(node[1], node[2])
    if kind == "tuple":
        return (kind, node[1], tuple(settle(item) for item in node[2]), node[3])
    if sampling.contains(node, lambda child: child[0] in ("pm", "mp")):
        plus, minus = _signed(node, 1), _signed(node, -1)
        return ("list", (settle(plus), settle(minus)))
    return node


def _signed(node: Node, sign: int) -> Node:
    if node[0] in ("pm", "mp"):
        right = _signed(node[2], sign)
        return ("+", (_signed(node[1], sign), right if (node[0] == "pm") == (sign > 0) else ("neg", right)))
    return tuple(_signed_part(part, sign) for part in node)


def _signed_part(part, sign: int):
    if not isinstance(part, tuple) or not part:
        return part
    return _signed(part, sign) if isinstance(part[0], str) else tuple(_signed_part(child, sign) for child in part)


def _settle_chain(operators: tuple[str, ...], sides: tuple[Node, ...]) -> Node:
    if "approx" in operators:
        cut = operators.index("approx")
        if cut == 0 and len(sides) == 2 and _is_name(sides[0]):
            return _named(sides[0], settle(sides[1]))
        if "=" in operators[cut:]:
            _last_of(sides[cut + 1 :])
        return settle(sides[0]) if cut == 0 else _settle_chain(operators[:cut], sides[: cut + 1])
    if operators == ("in",):
        return _named(sides[0], settle(sides[1])) if _is_name(sides[0]) else ("rel", operators, sides)
    if any(operator != "=" for operator in operators):
        return ("rel", operators, sides)
    if _is_name(sides[0]) and not (_names_in(sides[0]) & sampling.variables(sides[-1])):
        return _named(sides[0], _last_of(sides[1:]))
    if not any(map(sampling.variables, sides)):
        return _last_of(sides)
    return ("rel", operators, sides)


def _last_of(sides: tuple[Node, ...]) -> Node:
    """The last side of a chain whose sides all agree."""
    value = settle(sides[-1])
    for side in sides[:-1]:
        if not same(settle(side), value):
            raise Contradiction("the sides of the equation disagree")
    return value


def _named(name: Node, value: Node) -> Node:
    if name[0] == "tuple" and value[0] == "tuple" and len(name[2]) == len(value[2]):
        return ("list", tuple(("named", part, item) for part, item in zip(name[2], value[2])))
    if value[0] == "list" and value[1] and value[1][0][0] != "named":  # x = 1 ± 2
        return ("list", tuple(("named", name, item) for item in value[1]))
    return ("named", name, value)


def _is_name(node: Node) -> bool:
    """Whether the left side only says what the right side is: x, f(x), A_{min}, |AB|, AB, AB/CD, (x, y), words."""
    kind = node[0]
    if kind == "v":
        return node[1] not in ("pi", "e", "i", "inf")
    if kind in ("call", "text", "opaque"):
        return True
    if kind == "*":
        names = [part[1] if part[0] == "v" else "" for part in node[1]]
        capitals = all(name[:1].isupper() or name in ("angle", "triangle") for name in names) or names[0] == "d" and all(names)
        # P(n), with one letter for the argument: a product too, as the letters alone cannot tell.
        return capitals or len(node[1]) == 2 and all(part[0] == "v" for part in node[1]) and node[1][0][1][0].isupper()
    if kind == "f":
        return len(node[2]) == 1 and _is_name(node[2][0])
    if kind in ("/", "ratio", "tuple"):
        return all(map(_is_name, sampling.children(node)))
    return False


def _names_in(node: Node) -> frozenset[str]:
    """The variables that a name defines; the arguments of f(x) are not among them."""
    if node[0] == "tuple":
        return frozenset().union(*map(_names_in, node[2]))
    return frozenset() if node[0] == "call" else sampling.variables(node)
