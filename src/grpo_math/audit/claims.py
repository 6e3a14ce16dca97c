"""The claims of a trace: every `expression = value` that can be read, with its exact value and its verdict.

A side of an equation is read from the words around it only where they leave its value alone. A claim that is false in every
reading of its units (20% as 20 or as 1/5, 50 cents as 50 or as half a dollar) is false; a claim whose surroundings leave a doubt
is never called false.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import floor, log10

from grpo_math.audit.expressions import Reader, Side, Unreadable, Value
from grpo_math.audit.lexer import Token, tokens
from grpo_math.audit.units import APPROXIMATELY, CALENDAR, CHANGES_NEXT, LABELS, PARTS, SIZES

MOST_CLAIMS = 2000
MOST_DIGITS = 12  # a value that needs more characters is written rounded
PROSE = 40  # characters before a line's first number that may still change its value
ROUNDED = frozenset("rounded rounding rounds round whole floor nearest".split()) | APPROXIMATELY
LEAVES_A_REST = frozenset(
    "remainder rem r than squared cubed half halves third thirds fourths fifths sixths eighths tenths".split()
)
SHORT_UNITS = frozenset("a i g m h l s".split())

# A line, and the lines after it that go on with "=".
_PARAGRAPH = re.compile(r"[^\n]+(?:\n[ \t]{0,8}&?=[^\n]*)*")
_NUMBER_OR_BRACKET = re.compile(r"[0-9(\[{\\√½¼¾⅓⅔⅕-⅞]")
_PLAIN_SIGNS = str.maketrans({" ": None, "$": None, "x": "*", "×": "*", "−": "-", "–": "-", "÷": "/"})
_ANNOTATION = re.compile(r"<<([^<>\n]{0,400})>>")
_RELATION = re.compile(r"[=≈≃≅≒~]|\\(?:approx|simeq|sim)|[0-9)%}] ?\w{0,20} (?:is|equals) ")


@dataclass(frozen=True, slots=True)
class Claim:
    """`text` is trace[start:end]; `stated` what it says, `exact` what its expression comes to; `true` allows for rounding."""

    text: str
    start: int
    end: int
    stated: Fraction
    exact: Fraction
    true: bool


def number_text(value: Fraction) -> str:
    """An exact value as it is read: 86, 2.5 or 1/3; with "about" in front where that is too long."""
    sign = "-" if value < 0 else ""
    size = log10(abs(value.numerator)) - log10(value.denominator) if value else 0  # of integers that no float may hold
    if size >= MOST_DIGITS:
        return f"about {sign}{10 ** (size % 1):.3g}e{floor(size)}"
    for places in range(6):
        scaled = abs(value) * 10**places
        if scaled.denominator == 1:
            digits = f"{int(scaled):0{places + 1}}"
            return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
    short = value.denominator < 10**4
    return f"{value.numerator}/{value.denominator}" if short else f"about {float(value):.6g}"


@dataclass(slots=True)
class Link:
    """Two sides joined by a relation, with what grounding needs. `claim` is None where no claim could be read.

    `unread`: the numbers of an equation with variables, which may come from steps that the audit cannot follow.
    """

    start: int
    claim: Claim | None
    sides: tuple[Side, ...]
    unread: tuple[Value, ...] = ()


def read_links(text: str) -> list[Link]:
    """What `text` equates, in the order of its places, at most MOST_CLAIMS."""
    links = []
    for start, end in (paragraph.span() for paragraph in _PARAGRAPH.finditer(text)):
        if not _RELATION.search(text, start, end):
            continue
        # Reading begins a few words before the first number, at a space.
        number = _NUMBER_OR_BRACKET.search(text, start, end)
        begin = text.rfind(" ", start, number.start() - PROSE) if number and number.start() - PROSE > start else -1
        links.extend(_read_line(text, max(begin, start), end))
        if len(links) >= MOST_CLAIMS:
            break
    return sorted(links[:MOST_CLAIMS], key=lambda link: link.start)


def _read_line(text: str, start: int, end: int) -> list[Link]:
    """The links of text[start:end] without its <<annotations>>, and of each annotation that says more than a claim around it."""
    line = text[start:end]
    annotations = list(islice(_ANNOTATION.finditer(line), MOST_CLAIMS)) if "<<" in line else []
    plain = _ANNOTATION.sub(lambda match: " " * len(match[0]), line) if annotations else line
    links = list(islice(_Line(tokens(plain, start), text).links(), MOST_CLAIMS))
    around = [link.claim for link in links if link.claim]
    for match in annotations:
        at = start + match.start()
        if not (any(claim.start < at < claim.end for claim in around) and _repeats(line, match)):
            links.extend(_Line(tokens(match[1], at + 2), text).links())
    return links


def _repeats(line: str, annotation: re.Match) -> bool:
    """Whether an annotation only says again what stands around it, `48 / 2 = $<<48/2=24>>24`: one claim, counted once."""
    expression, equals, value = annotation[1].partition("=")
    before = line[max(0, annotation.start() - 2 * len(expression) - 10) : annotation.start()].translate(_PLAIN_SIGNS)
    return bool(equals) and before.endswith(expression + "=") and line.startswith(value, annotation.end())


@dataclass(slots=True)
class _Read:
    """A side as it stands in its line. `doubtful`: what is around it may change its value; `partial`: it goes on unread."""

    side: Side
    doubtful: bool = False
    approximate: bool = False
    partial: bool = False


class _Line:
    """The tokens of one line, cut at its relations into segments; a segment is a right side, a left side or both."""

    def __init__(self, found: list[Token], text: str):
        self.text = text
        self.bullet = len(found) > 1 and found[0].kind == "o" and found[1].start > found[0].end
        found = found[1:] if self.bullet else found
        self.tokens = _match_brackets(_drop_emphasis(found))

    def links(self) -> Iterator[Link]:
        """One link a relation, in their order."""
        cuts = [i for i, token in enumerate(self.tokens) if token.kind in "=~i"]
        left, chained, before = self._left(0, cuts[0]) if cuts else None, False, -1
        for cut, after in zip(cuts, [*cuts[1:], len(self.tokens)]):
            right = self._right(cut + 1, after)
            link = left and right and not right.partial and self._link(left, cut, right, chained)
            if link:
                yield link
            else:
                yield Link(self.tokens[cut].start, None, (right.side,) if right else (), self._coefficients(before + 1, after))
            before = cut
            chained = bool(link)
            whole = right and not right.partial and self._reaches(right.side.after, after)
            if not whole:
                right, chained = self._left(cut + 1, after) if after < len(self.tokens) else None, False
            left = right

    def _coefficients(self, start: int, stop: int) -> tuple[Value, ...]:
        """The numbers of an equation that has a variable, a letter that stands alone."""
        found = self.tokens[start:stop]
        if not any(token.kind == "w" and len(token.value) == 1 and token.value not in "ai" for token in found):
            return ()
        return tuple(token.value.value for token in found if token.kind == "n")

    def _reaches(self, at: int, stop: int) -> bool:
        """Whether nothing but a stray closing bracket stands between."""
        while at < stop and self.tokens[at][:2] == ("stray", ")"):
            at += 1
        return at == stop

    def _right(self, start: int, stop: int) -> _Read | None:
        """The expression that a segment begins with."""
        at, approximate = start, False
        while at < stop and self.tokens[at].kind == "stray" and self.tokens[at].value != ")":
            at += 1
        while at < stop and (self.tokens[at].kind == "~" or self.tokens[at].value in APPROXIMATELY):
            approximate, at = True, at + 1
        try:
            side = Reader(self.tokens, at, stop).side()
        except Unreadable:
            return None
        ahead = self.tokens[side.after : side.after + 4]
        approximate |= any(token.kind == "w" and token.value in ROUNDED for token in ahead)
        if self._reaches(side.after, stop):
            return _Read(side, side.after != stop or (at > start and not approximate), approximate)
        if self._goes_on(side.after):
            return _Read(side, partial=True)
        return _Read(side, self._leaves_doubt(side.after), approximate)

    def _goes_on(self, at: int) -> bool:
        """Whether what follows a right side belongs to its value: an operator, a variable, a clock's colon."""
        before, token = self.tokens[at - 1], self.tokens[at]
        glued = token.start == before.end
        if token.kind in ("o", "v", "^", "n", "f", "%"):
            return True
        if token.kind == "w":
            return glued or (len(token.value) == 1 and token.value not in SHORT_UNITS)
        number_follows = self._kind(at + 1) == "n" and self.tokens[at + 1].start == token.end
        return glued and (token.kind == "(" or (token.value in (":", ",") and number_follows))

    def _leaves_doubt(self, at: int) -> bool:
        words = [token.value for token in self.tokens[at : at + 3] if token.kind == "w"]
        pieces = [token.kind for token in self.tokens[at : at + 3]]
        if words and (words[0] in LEAVES_A_REST or "remainder" in words or "left" in words):
            return True
        return pieces[:1] == ["w"] and words[0] in ("and", "with") and ("n" in pieces or "half" in words or "quarter" in words)

    def _kind(self, at: int) -> str:
        return self.tokens[at].kind if 0 <= at < len(self.tokens) else ""

    def _left(self, start: int, stop: int) -> _Read | None:
        """The expression that a segment ends with."""
        at = start
        while at < stop:
            token = self.tokens[at]
            is_sign = token.kind == "o" and token.value == "-" and self._kind(at + 1) in ("n", "(", "f")
            if token.kind not in ("n", "(", "f") and not is_sign:
                at += 1
                continue
            reader = Reader(self.tokens, at, stop)
            try:
                side = reader.side()
            except Unreadable:
                at = max(reader.at, at + 1)
                continue
            if self._reaches(side.after, stop):
                before = self.tokens[side.first - 1][:2] if side.first > start else ("", "")
                doubtful = side.after != stop or before == ("stray", "(") or before[0] == ")" or (self.bullet and side.first == 0)
                return None if self._begins_before(side.first, start) else _Read(side, doubtful)
            at = side.after
        return None

    def _begins_before(self, at: int, start: int) -> bool:
        """Whether what stands before the first token of a left side changes its value."""
        if at <= start:
            return False
        token, before = self.tokens[at], self.tokens[at - 1]
        earlier = self.tokens[at - 2] if at - 2 >= start else None
        glued = before.end == token.start
        if before.kind in ("o", "v", "n", "f", "%", "^", "~"):
            return True
        if before.kind == "stray":
            return bool(earlier) and (earlier.kind in ("o", "v") or (earlier.kind in "nw)" and earlier.end == before.start))
        if before.kind == ")":
            return glued or token.kind == "o"
        if before.kind == "w":
            return glued or self._word_changes(before.value, earlier, token, at) or self._term_before(at - 1, start)
        return bool(earlier) and (earlier.kind == "o" or self._number_goes_on(at, start))

    def _term_before(self, at: int, start: int) -> bool:
        """Whether the words that end here are the term of a longer sum: `7 adults + Shonda (1) + 2`."""
        for i in range(at, max(start, at - 4), -1):
            if self.tokens[i].kind != "w":
                return self.tokens[i].kind == "o"
        return False

    def _number_goes_on(self, at: int, start: int) -> bool:
        """Whether a colon or comma before a number belongs to it: 10:30, 13,2000, or the slip "14, 400"."""
        earlier, mark, token = self.tokens[at - 2 : at + 1]
        if earlier.kind != "n" or mark.value not in (":", ","):
            return False
        spaced_thousands = mark.value == "," and token.end - token.start == 3 and mark.start == earlier.end and at - 2 > start
        return mark.end == token.start or spaced_thousands

    def _word_changes(self, word: str, earlier: Token | None, token: Token, at: int) -> bool:
        if word in CHANGES_NEXT or (len(word) == 1 and word not in ("a", "i")):
            return True
        if token.kind == "o":  # "cost - 5" takes 5 from something; "is -5" does not
            return self.tokens[at + 1].start > token.end
        if word in LABELS:
            return True
        if earlier is None:
            return False
        number_before = earlier.kind in ("n", "%", ")")
        if word == "of":
            return number_before or earlier.value in PARTS
        fraction = [self._kind(i) for i in (at, at + 1, at + 2)] == ["n", "o", "n"]
        tight = fraction and self.tokens[at + 2].start - self.tokens[at].end == 1  # 3 and 1/2: it belongs to the 3
        return number_before and (word in SIZES or (word == "and" and tight))

    def _link(self, left: _Read, cut: int, right: _Read, chained: bool) -> Link | None:
        a, b = left.side, right.side
        relation = self.tokens[cut].kind
        # Do the two sides say something about arithmetic? "3 kids = 5 * 3" and "1 foot = 12 inches" do not.
        if relation == "i":
            says = a.operations > 0 and not self._is_share(a) and not b.operations
        else:
            says = a.operations > 0 or chained or (b.operations > 0 and (a.first, a.after) == (0, 1))
        if not says:
            return None
        approximate = relation == "~" or right.approximate
        expression, value = (b, a) if b.operations and not a.operations else (a, b)
        true, exact, stated = self._agree(expression, value, approximate)
        if not true and (left.doubtful or right.doubtful or self._has_another_reading(a, b)):
            return None
        first, last = self.tokens[a.first].start, self.tokens[b.after - 1].end
        claim = Claim(self.text[first:last], first, last, Fraction(stated), Fraction(exact), true)
        return Link(first, claim, (a, b))

    def _is_share(self, side: Side) -> bool:
        """A bare proper fraction, which may name a part of something: 1/3 is 20 students."""
        if side.operations != 1 or len(side.literals) != 2 or not 0 < side.value < 1:
            return False
        above, below = side.literals
        return below.start - above.end <= 1 or self.tokens[side.first].kind == "f"

    def _has_another_reading(self, a: Side, b: Side) -> bool:
        """Whether a claim that looks false may mean something else than its signs say."""
        if self._is_share(a) and b.value >= 1:
            return True
        for token in self.tokens[b.first : b.after]:  # 15 = 1/3 of 45; 20 times 2 people
            written_out = token.kind == "o" and token.end - token.start > 3 and self.text[token.start] != "\\"
            if token.value == "of" or written_out:
                return True
        units = (a.units | b.units) - {"%"}
        if units & CALENDAR and len(units) > 1:
            return True
        if not a.operations and not b.operations:  # the same quantity in other units
            return any(token.kind == "w" for side in (a, b) for token in self.tokens[side.first : side.after])
        for at in range(a.after - 1, a.first, -1):  # `For 2 days - 5 * 3 = 15`: a dash after words that only separates
            token, before = self.tokens[at], self.tokens[at - 1]
            if token.kind == "o" and token.value == "-" and before.kind == "w":
                try:
                    return Reader(self.tokens, at + 1, a.after).side().value == b.value
                except Unreadable:
                    return False
        return False

    def _agree(self, expression: Side, stated: Side, approximate: bool) -> tuple[bool, Value, Value]:
        """Whether any pair of readings agrees, and the two values of that pair; of the first pair where none does."""
        grain = self._grain(stated, approximate)
        true = expression.value == stated.value or (
            not stated.units and _rounds_to(expression.value, stated.value, grain, approximate)
        )
        if true or not (expression.units or stated.units):
            return true, expression.value, stated.value
        values = self._readings(stated)
        if not stated.units:  # a bare result takes its unit from the expression: 2 hours + 30 minutes = 150
            sizes = [SIZES[unit] for unit in expression.units if unit != "%"]
            values.extend((stated.value * size, size) for size in sizes)
        pairs = [(exact, *value) for exact, _ in self._readings(expression) for value in values]
        for exact, value, scale in pairs:
            tiny = "%" in stated.units and scale == 1 and abs(exact) < 1  # 1/2 does not round to 1%
            if _rounds_to(exact, value, 0 if tiny else grain * scale, approximate):
                return True, exact, value
        return False, pairs[0][0], pairs[0][1]

    def _readings(self, side: Side) -> list[tuple[Value, Value]]:
        """The values of a side with 20% as 1/5 or as 20 and its units in their sizes or not, each with the size of its unit."""
        if not side.units & _SCALED:
            return [(side.value, 1)]
        found = []
        for percent, sized in ((True, False), (False, False), (False, True), (True, True)):
            try:
                value = Reader(self.tokens, side.first, side.after, percent, sized).side().value
            except Unreadable:  # a unit made an exponent or a divisor that cannot be
                continue
            found.append((value, abs(Fraction(value) / side.value) if side.value else 1))
        return found

    def _grain(self, stated: Side, approximate: bool) -> Fraction:
        """One unit in the last place that a stated value is written to; 0 where it is meant exactly."""
        if stated.operations or len(stated.literals) != 1:
            return Fraction(0)
        number = stated.literals[0].value
        if number.decimals:
            return Fraction(1, 10**number.decimals) * (2 if number.open_ended else 1)
        if not approximate and "%" not in stated.units and not number.open_ended:
            return Fraction(0)
        digits = str(number.value)
        return Fraction(10 ** (len(digits) - len(digits.rstrip("0"))) if number.value else 1)


_SCALED = frozenset(SIZES) | {"%"}


def _rounds_to(exact: Value, stated: Value, grain: Fraction, approximate: bool) -> bool:
    """Whether `exact` is `stated`, or rounds to it (a half either way; with "about", either neighbour)."""
    if exact == stated:
        return True
    distance = abs(exact - stated)
    return bool(grain) and (distance < grain if approximate else 2 * distance <= grain)


def _drop_emphasis(found: list[Token]) -> list[Token]:
    """Without the asterisks of markdown: a ** that has no number or bracket on both sides is no power."""
    if not any(token.value in ("**", "*") for token in found if token.kind == "o"):
        return found
    return [token for i, token in enumerate(found) if not _is_emphasis(found, i)]


def _is_emphasis(found: list[Token], i: int) -> bool:
    star = found[i]
    if star.kind != "o" or star.value not in ("**", "*"):
        return False
    before = found[i - 1] if i else None
    after = found[i + 1] if i + 1 < len(found) else None
    if before is None or after is None:
        return True
    space_before, space_after = star.start > before.end, after.start > star.end
    if star.value == "**":
        operands = before.kind in ("n", ")") and after.kind in ("n", "(", "o")
        return not operands or space_before != space_after
    return (before.kind in "=~i." and not space_after) or (after.kind in "=~i." and not space_before)


def _match_brackets(found: list[Token]) -> list[Token]:
    """Brackets that have no partner in their own segment become "stray"; value ")" only where they have none in the line."""
    opened, relations, stray = [], 0, {}
    for i, token in enumerate(found):
        if token.kind in "=~i":
            relations += 1
        elif token.kind == "(":
            opened.append((i, relations))
        elif token.kind == ")" and opened:
            partner, when = opened.pop()
            if when != relations:
                stray[partner], stray[i] = "across", "across"
        elif token.kind == ")":
            stray[i] = ")"
    stray |= {i: "(" for i, _ in opened}
    if not stray:
        return found
    return [Token("stray", stray[i], t.start, t.end) if i in stray else t for i, t in enumerate(found)]
