"""Where the numbers of a trace come from: the problem, an earlier result, or a closed list of constants (H2).

A problem's "20%" also grounds 1/5, 80 and 120 (what is left, what it grows to), its "1/4" also 3/4; "half a dozen" grounds
2 and 12. A heading such as "84 * 2:" grounds 80 and 4 up to the end of its sentence: the operation is taken apart by its
digits' places there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from grpo_math.audit.claims import Link
from grpo_math.audit.lexer import Token, read_number

LONGEST_PROBLEM = 20_000  # characters

# What anybody may bring along. Chosen on the first half of GSM8K's train set and checked on the second: those that true steps
# there need most often. The calendar's and the clock's numbers come with their words (BROUGHT), or they would hide wrong values.
CONSTANTS = frozenset({Fraction(1, 100), Fraction(1, 2), 0, 1, 2, 3, 60, 100, 180, 360, 365, 1000})

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
CARDINALS = {word: n for n, word in enumerate(_ONES.split())} | {word: 10 * n for n, word in enumerate(_TENS.split(), 2)}
MAGNITUDES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_PARTS = "half third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
PARTS = {word: n for n, word in enumerate(_PARTS.split(), 2)} | {"quarter": 4, "halve": 2, "hundredth": 100, "twentieth": 20}
PARTS |= {word + "s": n for word, n in PARTS.items()} | {"halves": 2, "half": 2}
CARDINALS |= {"first": 1, "second": 2}

# Words that bring numbers with them.
_BROUGHT = """
twice double doubled doubles doubling couple pair pairs both two-thirds twins biweekly bicycle bicycles: 2
thrice triple tripled triples tripling triplets triangle triangular tricycle: 3
quadruple quadrupled quadruples quadrupling square quarterly rectangle rectangular: 4
quintuple pentagon: 5
hexagon cube sextuplets: 6
octagon octopus spider spiders: 8
dozen dozens: 12 6
score: 20
week weeks weekly weekday weekdays weekend weekends school: 7 5 2 52
monday tuesday wednesday thursday friday saturday sunday daily everyday: 7 6 5 4 3
month months monthly january february march april may june july august september october november december: 30 31 28 4 12
year years yearly annual annually annum: 12 365 52
day days: 24 7
hour hours hourly: 60 3600 24
minute minutes: 60
foot feet: 12
yard yards: 3 36
mile miles: 5280 1760
nickel nickels: 5 1/20
dime dimes: 10 1/10
quarter quarters: 25 1/4 15
penny pennies cent cents: 1/100
pound pounds lb lbs: 16
ton tons: 2000
gallon gallons: 4 16 128 8
quart quarts: 4 2 32
pint pints: 2 16
cup cups: 8 16
liter liters kilometer kilometers kilogram kilograms kg km meter meters: 1000 100
decade decades: 10
century centuries: 100
dog dogs cat cats cow cows horse horses legs wheels car cars: 4 2
alphabet: 26
leap: 366
"""
BROUGHT: dict[str, tuple] = {}
for _line in _BROUGHT.strip().splitlines():
    _words, _, _numbers = _line.partition(":")
    for _word in _words.split():
        BROUGHT[_word] = BROUGHT.get(_word, ()) + tuple(int(n) if n.isdigit() else Fraction(n) for n in _numbers.split())

# With so many of them there is one more: the person the problem is about.
COMPANIONS = frozenset(
    "friends siblings brothers sisters cousins children kids classmates teammates coworkers workers "
    "colleagues others roommates people".split()
)

_QUANTITY = re.compile(r"([0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)(?:/([0-9]+))?(\s?%)?|([A-Za-z]+)|([½¼¾⅓⅔⅕⅛⅜⅝⅞])")
# A heading, and the rest of its sentence: a period before a digit is a decimal point, and a colon begins something new.
_HEADING = re.compile(
    r"(?<![\w.,])(?P<left>[0-9]{1,12}) ?(?P<sign>[-+*/x×−–÷]) ?(?P<right>[0-9]{1,12}):(?=(?P<body>(?:[^.:\n]|\.(?=[0-9]))*+))"
)
_COUNTS = CARDINALS.keys() | MAGNITUDES.keys() | PARTS.keys() | BROUGHT.keys() | COMPANIONS | {"and", "a", "an", "percent"}


@dataclass(frozen=True, slots=True)
class Operand:
    """A number that a step works with: `text` is trace[start:end]."""

    text: str
    start: int
    end: int
    value: Fraction


@lru_cache(maxsize=4096)  # an evaluation asks each problem of several checkpoints, and several times
def grounded_numbers(problem: str) -> frozenset:
    """Every number that `problem` gives, in digits or words, and what it gives with it."""
    known, run, joined = set(), None, False  # run: the number before, "two hundred" or 2; joined: an "and" or "a" came after it
    for digits, below, percent, word, vulgar in _QUANTITY.findall(problem[:LONGEST_PROBLEM]):
        if word:
            word = word.lower()
            if word not in _COUNTS:
                run = None
            elif word in ("and", "a", "an"):
                joined = True
            else:
                run, joined = _add_word(known, word, run, joined), False
        elif vulgar:
            run = _add_share(known, read_number(vulgar).value, run)
        else:
            whole, run, joined = run, None, False
            if number := read_number(digits.rstrip(",").replace(",", "")):
                run = number.value
                known.add(run)
                if percent:
                    _add_percent(known, run)
                if below and len(below) < 10 and int(below):
                    known.update((int(below), int(below) - run))
                    _add_share(known, Fraction(run) / int(below), whole)
                    run = None
    return frozenset(known)


def _add_word(known: set, word: str, run: Fraction | int | None, joined: bool) -> Fraction | int | None:
    """Add what a word gives; `run` is the number before it, and so is what comes back."""
    known.update(BROUGHT.get(word, ()))
    if run and word in BROUGHT:
        known.update(run * n for n in BROUGHT[word])
    if run and word in COMPANIONS:
        known.add(run + 1)
    if word in CARDINALS:
        run = CARDINALS[word] + (run if run and run % 10 == 0 and not joined else 0)
    elif word in MAGNITUDES:
        run = (run or 1) * MAGNITUDES[word]
    elif word == "percent" and run:
        _add_percent(known, run)
    elif word in PARTS:
        known.add(PARTS[word])
        share = Fraction(1, PARTS[word])
        _add_share(known, share, run if joined else None)
        if run and not joined:
            _add_share(known, run * share, None)
        return share
    else:
        return None
    known.add(run)
    return run


def _add_percent(known: set, value: Fraction | int) -> None:
    share = Fraction(value) / 100
    known.update((value, 100 - value, 100 + value, share, 1 - share, 1 + share))
    known.update((share.numerator, share.denominator, (1 - share).numerator, (1 - share).denominator))


def _add_share(known: set, share: Fraction, whole: Fraction | int | None) -> None:
    """A fraction, its complement, one more than it, as percent, and the mixed number that it ends."""
    above, below = share.numerator, share.denominator
    known.update((share, 1 - share, 1 + share, share * 100, above, below, below - above, below + above))
    if whole:
        known.add(whole + share)


def ungrounded_operands(links: list[Link], known: frozenset, text: str) -> tuple[Operand, ...]:
    """The operands that neither the problem, nor an earlier result, nor a constant accounts for, in the order of the trace."""
    seen, found, headings = set(), [], _Headings(text)
    for link in links:
        places = headings.places_at(link.start, known, seen)
        for side in link.sides:
            if side.operations and link.claim:
                operands = _unaccounted(side.literals, known, seen, text)
                found.extend(operand for operand in operands if operand.value not in places)
            seen.update(side.parts)
            seen.add(side.value)
        seen.update(link.unread)
        if link.claim and any(side.units for side in link.sides):  # values in the sizes of their units
            seen.update((link.claim.stated, link.claim.exact))
    return tuple(found)


class _Headings:
    """The headings of a trace, passed in the order of the text, each with the numbers that its places give."""

    def __init__(self, text: str):
        self.ahead = _HEADING.finditer(text)
        self.next, self.here, self.places = next(self.ahead, None), None, frozenset()

    def places_at(self, at: int, known: frozenset, seen: set) -> frozenset:
        """What the heading over the place `at` grounds; nothing where none stands over it."""
        while self.next and self.next.end() <= at:
            self.here, self.places, self.next = self.next, None, next(self.ahead, None)
        if self.here is None or at >= self.here.end("body"):
            return frozenset()
        if self.places is None:
            self.places = _places_of(self.here, known, seen)
        return self.places


def _places_of(heading: re.Match, known: frozenset, seen: set) -> frozenset:
    """The parts by places of those of its numbers that are grounded themselves, and of a quotient times its divisor."""
    left, right = (int(heading[name]) for name in ("left", "right"))
    grounded = [n for n in (left, right) if n in CONSTANTS or n in known or n in seen or _is_rewritten(n, known, seen)]
    places = {part for number in grounded for part in _parts_of(number)}
    if heading["sign"] in "/÷" and len(grounded) == 2 and right and left % right == 0:
        places.update(part * right for part in _parts_of(left // right))
    return frozenset(places)


def _parts_of(number: int) -> list[int]:
    """347 -> [7, 40, 300]"""
    return [int(digit) * 10**place for place, digit in enumerate(reversed(str(number))) if digit != "0"]


def _unaccounted(literals: list[Token], known: frozenset, seen: set, text: str) -> Iterator[Operand]:
    passed = False  # the second half of a fraction that is known as a whole, 1/15 after 4 / 60 = 1/15
    for token, after in zip(literals, [*literals[1:], None]):
        value = token.value.value
        if passed:
            passed = False
        elif value in CONSTANTS or value in known or value in seen or _is_rewritten(value, known, seen):
            passed = _is_known_fraction(token, after, seen, text)
        elif _is_known_fraction(token, after, seen, text):
            passed = True
        else:
            yield Operand(text[token.start : token.end], token.start, token.end, Fraction(value))


def _is_known_fraction(above: Token, below: Token | None, seen: set, text: str) -> bool:
    tight = below is not None and text[above.end : below.start] == "/" and below.value.value != 0
    return tight and Fraction(above.value.value) / below.value.value in seen


def _is_rewritten(value: Fraction | int, known: frozenset, seen: set) -> bool:
    """Whether a known quantity was written in cents, in percent, as a share of a hundred, or out of "3 million"."""
    others = (value * 100, Fraction(value) / 100, Fraction(value) / 1000, Fraction(value) / 10**6)
    return any(other in known or other in seen for other in others)
