"""One side of an equation read and evaluated exactly. What cannot be read raises Unreadable; nothing is guessed.

Textbook precedence, except: after an opening "of" ("20% of 50") the word multiplies, "2 1/2" is a mixed number, and where two
readings of a notation are in common use (-2^2, 6/2(3)) the side is not read.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from grpo_math.audit.lexer import Token
from grpo_math.audit.units import NOT_UNITS, SIZES

DEEPEST = 30  # brackets
LONGEST_SIDE = 400  # characters of digits in one side: bounds the size of every product
LARGEST_EXPONENT = 64
MOST_UNIT_WORDS = 8

Value = int | Fraction


class Unreadable(Exception):
    """The tokens are no expression that has one value."""


@dataclass(slots=True)
class Side:
    """An expression that was read: its value, the tokens it spans, and what its comparison needs to know."""

    value: Value
    first: int  # index of its first token
    after: int  # index of the first token after it, trailing unit included
    operations: int
    literals: list[Token]
    parts: list[Value]  # what its sub-expressions came to
    units: set[str]


@dataclass(slots=True)
class Reader:
    """Reads from `tokens[at]` on. `percent` and `sized`: whether 20% counts as 1/5, and 3 weeks as their size in small units."""

    tokens: list[Token]
    at: int
    stop: int
    percent: bool = False
    sized: bool = False
    operations: int = 0
    digits: int = 0
    literals: list[Token] = field(default_factory=list)
    parts: list[Value] = field(default_factory=list)
    units: set[str] = field(default_factory=set)

    def side(self) -> Side:
        """The longest expression from here on. Raises Unreadable; `at` then stands where the reading failed."""
        first = self.at
        value = self._sum(0)
        return Side(value, first, self.at, self.operations, self.literals, self.parts, self.units)

    def _kind(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].kind if at < self.stop else ""

    def _is_operator(self, signs: str) -> bool:
        return self.at < self.stop and self.tokens[self.at].kind == "o" and self.tokens[self.at].value in signs

    def _sum(self, depth: int) -> Value:
        total = self._product(depth)
        while self._is_operator("+-") and self._operand_follows():
            sign = self.tokens[self.at].value
            self.at += 1
            term = self._product(depth)
            total = total + term if sign == "+" else total - term
            self._done(total)
        return total

    def _product(self, depth: int) -> Value:
        value, divided = self._factor(depth), False
        while True:
            sign = self._multiplier(divided)
            if not sign:
                return value
            divided |= sign == "/"
            other = self._factor(depth)
            value = divide(value, other) if sign == "/" else value * other
            self._done(value)

    def _multiplier(self, divided: bool) -> str:
        """The sign of the next multiplication or division, passed over; "" where the product ends."""
        if self.at >= self.stop:
            return ""
        kind, value, start, _ = self.tokens[self.at]
        last = self.tokens[self.at - 1]
        if kind == "o" and value in "*/" and self._operand_follows():
            self.at += 1
            if value == "/" and self.tokens[self.at].start > last.end + 1 and self._tight_fraction():
                raise Unreadable  # 5 / 1/2 is meant as ten as often as 2.5
            return value
        if kind == "w" and value == "x" and self._kind(1) in ("n", "("):
            self.at += 1
            return "*"
        if kind == "w" and value == "of" and self._kind(1) == "n":
            tokens = self.tokens[max(0, self.at - 3) : self.at]
            fraction = [token.kind for token in tokens] == ["n", "o", "n"] and tokens[1].value == "/"
            if last.kind == "%" or (fraction and tokens[0].end == tokens[1].start):
                self.at += 1
                return "*"
        if kind == "(" and last.kind in "n)" and (start == last.end or last.kind == ")") and value != "{":
            if divided:
                raise Unreadable  # 6/2(3): both orders are in use
            return "*"
        return ""

    def _tight_fraction(self) -> bool:
        """Whether a fraction written without spaces stands here."""
        if [self._kind(ahead) for ahead in range(3)] != ["n", "o", "n"]:
            return False
        above, slash, below = self.tokens[self.at : self.at + 3]
        return slash.value == "/" and above.end == slash.start and slash.end == below.start

    def _operand_follows(self) -> bool:
        """Whether the operator at hand has a right side; where it has none, the expression ends before it."""
        ahead = 1
        while self._kind(ahead) == "o" and self.tokens[self.at + ahead].value == "-" and ahead < 4:
            ahead += 1
        return self._kind(ahead) in ("n", "(", "f")

    def _factor(self, depth: int) -> Value:
        if self._stands_alone():
            return self._literal(self.tokens[self.at])
        negative, signed = False, False
        while self._is_operator("-"):
            negative, signed = not negative, True
            self.at += 1
        value = self._power(depth, signed)
        return -value if negative else value

    def _stands_alone(self) -> bool:
        """Whether a plain number ends its factor here: the common case, told apart early for speed."""
        if self.at + 1 >= self.stop or self.tokens[self.at].kind != "n":
            return False
        after = self.tokens[self.at + 1]
        return after.kind == "o" and after.value in "+-*/" and self.at + 2 < self.stop and self.tokens[self.at + 2].kind == "n"

    def _power(self, depth: int, signed: bool) -> Value:
        base = self._unit(self._primary(depth))
        if self._kind() == "^":
            exponent = self.tokens[self.at].value
            self.at += 1
        elif self._is_operator("^**") and self.tokens[self.at].value in ("^", "**"):
            self.at += 1
            exponent = self._factor(depth + 1)
        else:
            return base
        if signed and exponent % 2 == 0:
            raise Unreadable  # -2^2 is 4 for some and -4 for others
        value = raise_to(base, exponent)
        self._done(value)
        return value

    def _done(self, value: Value) -> None:
        self.operations += 1
        self.parts.append(value)

    def _primary(self, depth: int) -> Value:
        kind = self._kind()
        if kind == "n":
            return self._number()
        if kind == "(":
            return self._bracket(depth)
        if kind == "f":
            self.at += 1
            value = divide(self._argument(depth), self._argument(depth))
            self._done(value)
            return value
        raise Unreadable

    def _argument(self, depth: int) -> Value:
        """An argument of LaTeX's fraction: it stands in braces."""
        if self._kind() == "(" and self.tokens[self.at].value == "{":
            return self._bracket(depth)
        raise Unreadable

    def _bracket(self, depth: int) -> Value:
        if depth >= DEEPEST:
            raise Unreadable
        self.at += 1
        value = self._sum(depth + 1)
        if self._kind() != ")":
            raise Unreadable
        self.at += 1
        return value

    def _number(self) -> Value:
        """A number, or a mixed one: 2½, or a whole number, a space, and a fraction below one written without spaces."""
        token = self.tokens[self.at]
        whole = self._literal(token)
        if self._kind() != "n":
            return whole
        part = self.tokens[self.at]
        share = part.value.value
        if token.value.decimals:
            raise Unreadable
        if part.start == token.end:
            if share.__class__ is not Fraction or part.end - part.start != 1:
                raise Unreadable
        elif self._tight_fraction() and not part.value.decimals and share < self.tokens[self.at + 2].value.value:
            if share.__class__ is int:
                share = divide(share, self.tokens[self.at + 2].value.value)
                self.at += 2
        else:
            raise Unreadable
        self.at += 1
        self.parts.append(whole + share)
        return whole + share

    def _literal(self, token: Token) -> Value:
        self.at += 1
        self.digits += token.end - token.start
        if self.digits > LONGEST_SIDE:
            raise Unreadable
        self.literals.append(token)
        return token.value.value

    def _unit(self, value: Value) -> Value:
        """Pass over what may stand after a number: a percent sign, the words of a unit, "/hour"."""
        if self._kind() == "%":
            self.at += 1
            self.units.add("%")
            value = divide(value, 100) if self.percent else value
        words = 0
        while words < MOST_UNIT_WORDS and (step := self._unit_word()):
            word = self.tokens[self.at + step - 1].value
            if word in SIZES and not words:
                self.units.add(word)
                value = value * SIZES[word] if self.sized else value
            self.at += step
            words += 1
        if words and self._kind() == "^":  # cm³ is a unit of its own
            self.at += 1
            self.units.discard(word)
        return value

    def _unit_word(self) -> int:
        """How many tokens the next word of a unit takes: 1, 2 with a slash before it, 0 where the unit ends."""
        kind = self._kind()
        if kind == "w":
            token = self.tokens[self.at]
            glued = self.tokens[self.at - 1].end == token.start and token.value not in SIZES
            one_letter = len(token.value) < 2 and token.value != "a"
            multiplies = token.value == "of" and self._kind(1) == "n"
            return 0 if glued or one_letter or multiplies or token.value in NOT_UNITS else 1
        slash = kind == "o" and self.tokens[self.at].value == "/" and self._kind(1) == "w"
        return 2 if slash and len(self.tokens[self.at + 1].value) > 1 else 0


def divide(above: Value, below: Value) -> Value:
    """Exact division that stays with whole numbers where it can. Raises Unreadable for a division by zero."""
    if below == 0:
        raise Unreadable
    if above.__class__ is int and below.__class__ is int and above % below == 0:
        return above // below
    value = Fraction(above) / below
    return value.numerator if value.denominator == 1 else value


def raise_to(base: Value, exponent: Value) -> Value:
    """A power with a small whole exponent and a result of bounded size. Raises Unreadable for any other."""
    if exponent.__class__ is not int or abs(exponent) > LARGEST_EXPONENT or (base == 0 and exponent < 0):
        raise Unreadable
    size = max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent)
    if size > 8 * LONGEST_SIDE:
        raise Unreadable
    value = Fraction(base) ** exponent
    return value.numerator if value.denominator == 1 else value
