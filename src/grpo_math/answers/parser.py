r"""Tokens to a typed answer: a recursive-descent parser whose depth and length are bounded.

A node is a tuple whose first item names its type, so nodes are hashable and equal by structure:

    ("n", value, decimals)      an exact rational; decimals: digits written after the point, None for an integer
    ("v", name)                 a variable or constant ("pi", "e", "i", "inf")
    ("+", terms) ("*", factors) ("/", a, b) ("^", a, b) ("neg", a) ("pm", a, b) ("mp", a, b)
    ("f", name, args)           a function; ("call", name, args): an unknown one, as in f(x)
    ("pct", a) ("deg", a)       percent, degrees; ("unit", a, words): a quantity with its unit
    ("base", digits, base)      204_5; ("ratio", items): 7:32
    ("text", words)             words, as written
    ("opaque", text)            a sum, an integral, a limit, a date: equal to itself alone
    ("tuple", open, items, close) ("set", items) ("list", items) ("matrix", rows)
    ("union", a, b) ("minus", a, b) of sets; ("cases", rows)
    ("rel", operators, sides)   a chain of equations or inequalities
"""

from collections.abc import Callable
from fractions import Fraction

from grpo_math.answers.lexer import OverBudget, Token, Unparsed
from grpo_math.answers.vocabulary import (
    BIG_OPERATORS,
    INTRODUCTIONS,
    MULTIPLIERS,
    NO_UNIT_PARTS,
    NO_UNITS,
    NUMBER_WORDS,
    ORDINALS,
    PHRASES,
    QUALIFIERS,
)

MAX_DEPTH = 30
MAX_DIGITS = 1000  # of one numeral

Node = tuple

_END: Token = ("end", "")
_RELATIONS = frozenset({"=", "<", ">", "<=", ">=", "!=", "approx", "in", "equiv"})
_SEPARATORS = frozenset({",", ";", "and", "or"})
_ENDS = ("}", ")", "]", "}s", "newline", "&", "mid")
_CLOSING = {"(": ")", "[": "]", "{": "}", "{s": "}s", "lfloor": "rfloor", "lceil": "rceil"}


def parse(tokens: list[Token]) -> Node:
    """The typed answer; raises Unparsed where the tokens are no answer, OverBudget where they nest too deeply."""
    parser = _Parser(tokens)
    node = parser.listing()
    if parser.kind != "end":
        raise Unparsed(f"{parser.value!r} is not expected here")
    return node


class _Parser:
    def __init__(self, tokens: list[Token]):
        self.tokens = [*tokens, _END]
        self.at = -1
        self.depth = 0
        self.bars = 0  # inside how many |...|
        self.sets = 0  # inside how many {...}, where a colon is no ratio
        self.step()

    def step(self) -> None:
        self.at = min(self.at + 1, len(self.tokens) - 1)
        self.kind, self.value = self.tokens[self.at]

    def peek(self, ahead: int = 1) -> Token:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def is_op(self, *values: str) -> bool:
        return self.kind == "op" and self.value in values

    def take(self, value: str) -> bool:
        found = self.kind == "op" and self.value == value
        if found:
            self.step()
        return found

    def expect(self, value: str) -> None:
        if not self.take(value):
            raise Unparsed(f"{value!r} is missing")

    # Lists and relations

    def listing(self) -> Node:
        """Items separated by commas or words; semicolons separate groups of them."""
        groups, items = [], []
        while True:
            self.skip_remark()
            while self.kind == "op" and self.value in _SEPARATORS:
                if self.value == ";" and items:
                    groups.append(items)
                    items = []
                self.step()
                self.skip_remark()
            if self.kind == "end" or self.is_op(*_ENDS):
                break
            items.append(self.relation())
            self.skip_remark()
            if not (self.kind == "op" and self.value in _SEPARATORS):
                break
        groups.append(items)
        nodes = [group[0] if len(group) == 1 else ("list", tuple(group)) for group in groups if group]
        if not nodes:
            raise Unparsed("nothing stands here")
        return nodes[0] if len(nodes) == 1 else ("list", tuple(nodes))

    def skip_remark(self) -> None:
        """Skip a remark on the range of a parameter, such as "for all x in R", up to what may join another answer."""
        if not (self.kind == "word" and self.value.lower() in QUALIFIERS or self.is_op("forall")):
            return
        depth = 0
        while self.kind != "end" and (depth or not self.is_op(*_SEPARATORS, *_ENDS)):
            if self.kind == "op":
                depth += (self.value in ("{", "(", "[", "{s")) - (self.value in ("}", ")", "]", "}s"))
            self.step()

    def relation(self) -> Node:
        if self.is_op("=", "approx"):  # "= 5": the left side stands in the question
            self.step()
        sides, operators = [self.union()], []
        while self.kind == "op" and self.value in _RELATIONS:
            operators.append(self.value)
            self.step()
            sides.append(self.union())
        if sides[0][0] == "text" and not operators and self.take(":"):  # a label, as in "Minimum: 3"
            return ("rel", ("=",), (sides[0], self.relation()))
        return ("rel", tuple(operators), tuple(sides)) if operators else sides[0]

    def union(self) -> Node:
        left = self.ratio()
        while self.is_op("cup", "cap", "setminus"):
            kind = {"cup": "union", "cap": "cap", "setminus": "minus"}[self.value]
            self.step()
            left = (kind, left, self.ratio())
        return left

    def ratio(self) -> Node:
        items = [self.sum()]
        while self.is_op(":") and items[0][0] != "text" and not self.sets:
            self.step()
            items.append(self.sum())
        return ("ratio", tuple(items)) if len(items) > 1 else items[0]

    # Expressions

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise OverBudget("nested too deeply")
        terms: list[Node] = []
        while True:
            sign = self.value if self.is_op("+", "-", "pm", "mp") else None
            if sign:
                self.step()
            elif terms:
                break
            term = self.signed(self.term)
            if sign in ("pm", "mp"):
                terms = [(sign, ("+", tuple(terms)) if terms else ("n", Fraction(0), None), term)]
            else:
                terms.append(_negative(term) if sign == "-" else term)
        self.depth -= 1
        return terms[0] if len(terms) == 1 else ("+", tuple(terms))

    def term(self) -> Node:
        value = self.power()
        while True:
            if self.is_op("*"):
                self.step()
                value = _times(value, self.signed(self.power))
            elif self.is_op("/"):
                self.step()
                value = ("/", value, self.signed(self.power))
            elif self.is_op("mod"):
                self.step()
                value = ("f", "mod", (value, self.power()))
            elif self.kind == "word" and value[0] != "text" or self.kind == "letters" and self.behind_number():
                return self.unit(value)
            elif self.is_op("usd"):
                self.step()
                return ("unit", value, "dollars")
            elif self.starts_factor():
                bracketed = self.kind == "op"
                right = self.power()
                value = _times(value, right) if bracketed else self.mixed(value, right)
            else:
                return value

    def behind_number(self) -> bool:
        return self.tokens[self.at - 1][0] == "num" or self.tokens[self.at - 1] == ("op", "}")

    def signed(self, operand: Callable[[], Node]) -> Node:
        """An operand behind any number of signs, as in `2 * -3` or `1 - -2`."""
        negative = False
        while self.is_op("-", "+"):
            negative ^= self.value == "-"
            self.step()
        return _negative(operand()) if negative else operand()

    def starts_factor(self) -> bool:
        """Whether the next token multiplies what stands before it without a sign between them."""
        if self.kind == "op":
            return self.value in ("(", "{", "[", "lfloor", "lceil", "{s") or (self.value == "|" and not self.bars)
        return self.kind in ("num", "sym", "fn") or (self.kind == "cmd" and self.value != "end")

    def mixed(self, left: Node, right: Node) -> Node:
        r"""Juxtaposition: `2\frac{1}{3}` and `2 1/3` are sums, two numerals in a row are nothing, all else is a product."""
        if right[0] in ("pct", "deg") and right[1][0] == "/":
            return (right[0], self.mixed(left, right[1]))
        if left[0] == "n" and right[0] == "/" and left[2] is None and right[1][0] == right[2][0] == "n":
            return ("+", (left, right))
        if right[0] == "n" and self.tokens[self.at - 1][0] == "num":
            if left[0] == "n" and self.is_op("/") and self.peek()[0] == "num":
                self.step()
                return ("+", (left, ("/", right, self.power())))
            if left[0] in ("n", "v", "*", "neg"):
                raise Unparsed("two numbers stand side by side")
        return _times(left, right)

    def power(self) -> Node:
        base = self.postfix(self.atom())
        if not self.is_op("^"):
            return base
        self.step()
        braced = self.take("{")
        if self.take("circ") or self.take("deg"):
            result = ("deg", base)
        elif self.kind in ("word", "sym") and self.ordinal():
            result = base
        else:
            signed = self.is_op("-", "+")
            exponent = self.listing() if braced else self.signed(self.power) if signed or self.kind != "cmd" else self.atom()
            result = ("^", base, exponent)
        if braced:
            self.expect("}")
        return self.postfix(result)

    def ordinal(self) -> bool:
        """Whether `th` and the like stand here, as one word or as two letters; steps over them."""
        if self.kind == "word" and self.value in ORDINALS:
            self.step()
            return True
        if self.value + self.peek()[1] in ORDINALS and self.peek()[0] == "sym":
            self.step()
            self.step()
            return True
        return False

    def postfix(self, node: Node) -> Node:
        while self.kind == "op":
            if self.value == "!":
                node = ("f", "factorial", (node,))
            elif self.value == "%":
                node = ("pct", node)
            elif self.value == "deg":
                node = ("deg", node)
            elif self.value == "'" and node[0] in ("v", "call"):
                node = (node[0], node[1] + "'", *node[2:])
            else:
                break
            self.step()
        return node

    # Atoms

    def atom(self) -> Node:
        kind, value = self.kind, self.value
        if kind == "num":
            self.step()
            return self.base(value) if self.is_op("_") else numeral(value)
        if kind == "date":
            self.step()
            return ("opaque", value)
        if kind == "sym":
            return self.symbol()
        if kind == "fn":
            return self.function()
        if kind == "cmd":
            return self.command()
        if kind == "word":
            return self.text()
        if kind == "op" and value == "usd":
            self.step()
            return ("unit", self.power(), "dollars")
        if kind == "op" and value == "|":
            return self.absolute()
        if kind == "op" and value in _CLOSING:
            return self.bracket()
        raise Unparsed(f"{value!r} is not expected here" if value else "something is missing at the end")

    def base(self, digits: str) -> Node:
        self.step()
        node = self.argument()
        if node[0] == "unit" or node[0] == "text":
            raise Unparsed("a base is a number")
        return ("base", digits, node)

    def symbol(self) -> Node:
        name = self.value
        self.step()
        if name in BIG_OPERATORS:
            return self.opaque(name)
        if self.take("_"):
            name += "_" + self.subscript()
        if self.is_op("(") and (self.calls(name) or self.defines()):
            return ("call", name, self.arguments())
        return ("v", name)

    def calls(self, name: str) -> bool:
        """Whether a letter before brackets is a function: f(x + 1), I(0) and g(x) are calls, h(a + b) is a product."""
        alone = self.peek(1)[0] in ("num", "sym") and self.peek(2) == ("op", ")")
        return name[0] == "f" or alone and name not in ("pi", "e", "i", "inf")

    def defines(self) -> bool:
        """Whether brackets stand here and an equals sign behind them, as behind the name of P(X > 1) = 1/2."""
        depth, ahead = 0, 0
        while True:
            kind, value = self.peek(ahead)
            depth += (value == "(") - (value == ")") if kind == "op" else 0
            if not depth or kind == "end":
                return self.peek(ahead + 1) == ("op", "=")
            ahead += 1

    def opaque(self, name: str) -> Node:
        """A sum, an integral or a limit up to a relation or separator: nothing that we evaluate, but the same as itself."""
        parts, depth = [name], 0
        while self.kind != "end" and (depth or not self.is_op(*_ENDS, *_RELATIONS, *_SEPARATORS)):
            depth += (self.value in _CLOSING) - (self.value in _CLOSING.values()) if self.kind == "op" else 0
            if self.value not in ("{", "}"):
                parts.append(self.value)
            self.step()
        return ("opaque", " ".join(parts))

    def subscript(self) -> str:
        """The letters and digits of a subscript, whatever they mean."""
        if not self.take("{"):
            text = self.value
            self.step()
            return text
        parts, depth = [], 1
        while depth:
            depth += {"{": 1, "}": -1}.get(self.value, 0) if self.kind == "op" else 0
            if self.kind == "end":
                raise Unparsed("a subscript is not closed")
            parts.append(self.value)
            self.step()
        return "".join(parts[:-1])

    def arguments(self) -> tuple[Node, ...]:
        """The arguments in parentheses or in a group."""
        closing = _CLOSING[self.value]
        self.step()
        node = self.listing()
        self.expect(closing)
        return node[1] if node[0] == "list" else (node,)

    def function(self) -> Node:
        name = self.value
        self.step()
        power = base = None
        if self.take("^"):
            power = self.argument()
        if self.take("_"):
            base = self.argument()
        if name == "sqrt" and self.kind == "num":
            args: tuple[Node, ...] = (self.atom(),)
        elif self.is_op("(", "{", "["):
            args = self.arguments()
        else:
            args = (self.bare_argument(),)
        if base is not None:
            args = (*args, base)
        if power == ("neg", numeral("1")):
            name, power = "arc" + name, None
        node = ("f", {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "lg": "log"}.get(name, name), args)
        return node if power is None else ("^", node, power)

    def bare_argument(self) -> Node:
        r"""The argument of a function without parentheses: the factors up to a sign or a function, as in `\sin 2x \cos y`."""
        value = self.power() if not self.is_op("-") else self.signed(self.power)
        while self.starts_factor() and self.kind != "fn" and not self.is_op("(", "[", "{"):
            value = _times(value, self.power())
        return value

    def command(self) -> Node:
        name = self.value
        self.step()
        if name == "frac":
            return ("/", self.argument(), self.argument())
        if name == "binom":
            return ("f", "binom", (self.argument(), self.argument()))
        if name == "sqrt":
            degree = None
            if self.take("["):
                degree = self.sum()
                self.expect("]")
            inside = self.argument()
            return ("f", "sqrt", (inside,)) if degree is None else ("^", inside, ("/", numeral("1"), degree))
        if name == "group":
            return self.argument()
        if name == "begin":
            return self.environment()
        raise Unparsed(f"\\{name} is not expected here")

    def argument(self) -> Node:
        r"""What a command takes: a group, or one symbol or digit (`\frac12` is one half)."""
        if self.is_op("{", "("):
            return self.bracket()
        if self.kind == "num" and len(self.value) > 1 and self.value.isdigit():
            digit, rest = self.value[0], self.value[1:]
            self.tokens[self.at] = (self.kind, rest)
            self.kind, self.value = self.tokens[self.at]
            return numeral(digit)
        if self.is_op("-"):
            self.step()
            return ("neg", self.argument())
        return self.symbol() if self.kind == "sym" else self.atom()

    def environment(self) -> Node:
        """A matrix, or the equations of a system."""
        name = "".join(self.group_values())
        if name.startswith("array") and self.is_op("{"):
            self.group_values()
        rows, row = [], []
        while not (self.kind == "cmd" and self.value == "end"):
            if self.kind == "end":
                raise Unparsed("an environment is not closed")
            if self.take("newline"):
                rows, row = [*rows, tuple(row)] if row else rows, []
            elif not self.take("&"):
                row.append(self.listing())
        rows = [*rows, tuple(row)] if row else rows
        self.step()
        self.group_values()
        if not rows:
            raise Unparsed("an empty matrix")
        if name in ("cases", "aligned", "align", "split", "gathered"):
            system = all(len(row) == 1 for row in rows)
            return ("list", tuple(row[0] for row in rows)) if system else ("cases", tuple(rows))
        return ("matrix", tuple(rows))

    def group_values(self) -> list[str]:
        self.expect("{")
        values = []
        while not self.is_op("}"):
            if self.kind == "end":
                raise Unparsed("a group is not closed")
            values.append(self.value)
            self.step()
        self.step()
        return values

    def absolute(self) -> Node:
        self.step()
        self.bars += 1
        inside = self.sum()
        self.bars -= 1
        self.expect("|")
        return ("f", "abs", (inside,))

    def bracket(self) -> Node:
        """Anything in brackets: a group, a tuple, an interval, a set, floor and ceiling."""
        opening = self.value
        self.step()
        bars, self.bars = self.bars, 0
        self.sets += opening == "{s"
        node = self.inside(opening)
        self.sets -= opening == "{s"
        self.bars = bars
        if self.is_op("_") and node[0] == "n" and node[2] is None:  # (204)_5
            return self.base(str(node[1]))
        return node

    def inside(self, opening: str) -> Node:
        if opening in ("{s", "{") and self.is_op(_CLOSING[opening]):
            self.step()
            return ("v", "empty")
        node = self.listing()
        if opening == "{" and self.take("over"):
            node = ("/", node, self.listing())
        if opening in ("lfloor", "lceil"):
            self.expect(_CLOSING[opening])
            return ("f", "floor" if opening == "lfloor" else "ceil", (node,))
        if opening == "{s" and (self.is_op("mid", ":", "|")):  # {x | condition}
            self.step()
            node = self.listing()
            self.expect("}s")
            return node
        items = node[1] if node[0] == "list" else (node,)
        if opening == "{s" or (opening == "{" and len(items) > 1):
            self.expect(_CLOSING[opening])
            return ("set", items)
        return self.closed(opening, node, items)

    def closed(self, opening: str, node: Node, items: tuple[Node, ...]) -> Node:
        closing = self.value
        if opening == "{":
            self.expect("}")
            return node
        if not self.is_op(")", "]"):
            raise Unparsed(f"{_CLOSING[opening]!r} is missing")
        self.step()
        if len(items) > 1:
            return ("tuple", opening, items, closing)
        if _CLOSING[opening] != closing:
            raise Unparsed("the brackets do not match")
        return node

    # Words

    def words(self) -> list[str]:
        found = []
        while self.kind == "word" or (found and self.kind == "op" and self.value in ("-", "/", "'") and self.peek()[0] == "word"):
            if self.kind == "word":
                found.append(self.value)
            self.step()
        return found

    def text(self) -> Node:
        """Words alone: a text; words before a value: an introduction that is dropped, or a label."""
        words = self.words()
        if self.peek()[0] == "end":
            self.take(".")
        if words[0].lower() == "not":
            raise Unparsed("a negation is no answer")
        phrase = " ".join(words).lower().strip(".")
        if self.kind in ("num", "cmd", "sym", "fn") or self.is_op("usd", "(", "-"):
            if phrase in INTRODUCTIONS or words[-1] in ("is", "are", "equals"):
                return self.sum()
            if self.kind != "sym":
                raise Unparsed("words stand before a value")
        if phrase in NUMBER_WORDS:
            return numeral(str(NUMBER_WORDS[phrase]))
        if phrase in PHRASES:
            return ("v", PHRASES[phrase])
        if len(words) == 1 and len(words[0]) == 1:
            return ("v", words[0] + "_" + self.subscript() if self.take("_") else words[0])
        while self.kind in ("word", "sym", "num") or self.is_op("."):  # prose with single letters, and abbreviations
            words.append(self.value)
            self.step()
        return ("text", " ".join(words))

    def unit(self, value: Node) -> Node:
        """The unit after a value, with its powers and "per"; number words multiply, percent and degrees are what they are."""
        words, factor = [], 1
        while self.kind in ("word", "letters") and self.value.lower() not in QUALIFIERS:
            word = self.value.lower().rstrip("s")
            if self.value.lower() in NO_UNITS or self.kind == "letters" and NO_UNIT_PARTS.search(self.value.lower()):
                raise Unparsed(f"{self.value!r} changes the number before it")
            factor *= MULTIPLIERS.get(word, 1)
            if word not in MULTIPLIERS:
                words.append(self.value)
            self.step()
            while self.is_op("^", ".", "/", "-", "'") or (self.is_op("(") and self.peek()[0] == "word"):
                words.extend(self.unit_mark())
        if factor != 1:
            value = ("*", (value, numeral(str(factor))))
        phrase = " ".join(words).lower()
        if phrase in ("percent", "per cent"):
            return ("pct", value)
        if phrase in ("degree", "degrees"):
            return ("deg", value)
        return ("unit", value, " ".join(words)) if words and phrase not in ORDINALS else value

    def unit_mark(self) -> list[str]:
        """A power, a slash or a remark in parentheses behind a unit's word."""
        mark = self.value
        self.step()
        if mark == "^":
            node = self.argument()
            return ["^" + str(node[1])]
        if mark == "(":
            remark = self.words()
            self.expect(")")
            return [] if remark else [""]
        if mark in ("/", "-") and self.kind not in ("word", "letters", "sym"):
            raise Unparsed("a unit is followed by an expression")
        if mark == "/" and self.kind == "sym":
            letter = self.value
            self.step()
            return ["/", letter]
        return [mark] if mark == "/" else []


def _negative(node: Node) -> Node:
    """With the sign inside of a percent sign, a degree or a unit."""
    if node[0] in ("pct", "deg", "unit"):
        return (node[0], _negative(node[1]), *node[2:])
    return ("neg", node)


def _times(left: Node, right: Node) -> Node:
    return ("*", (*left[1], right)) if left[0] == "*" else ("*", (left, right))


def numeral(text: str) -> Node:
    """The node of a numeral; a repeating decimal "0.1(6)" is exact. Raises OverBudget above MAX_DIGITS."""
    if len(text) > MAX_DIGITS:
        raise OverBudget("a number with too many digits")
    if "(" in text:
        start, _, repeating = text.rstrip(")").partition("(")
        decimals = len(start.partition(".")[2])
        value = Fraction("0" + start if start[0] == "." else start + "0" * start.endswith("."))
        value += Fraction(int(repeating), (10 ** len(repeating) - 1) * 10**decimals)
        return ("n", value, None)
    whole, point, decimals = text.partition(".")
    return ("n", Fraction(int(whole + decimals or "0"), 10 ** len(decimals)), len(decimals) if point else None)
