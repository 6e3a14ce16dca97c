"""Unanswerable twins (H5): a word problem from which a needed quantity was taken, so that saying so is the only right answer.

"Ben has 12 pens and buys 30" becomes "Ben has many pens and buys 30". A quantity is needed where the worked solution computes
its result from it; it is missing where nothing else in the text, and no common constant, gives the number. Both are read by
the trace audit; a problem that it cannot read, or with formulas in its text, gets no twin. Whether two other quantities give
the number together is not asked, so a story that says the same thing twice may keep its answer.
"""

import hashlib
import re
from fractions import Fraction

from grpo_math.audit import LONGEST_TRACE, read_links
from grpo_math.audit.grounding import CONSTANTS, grounded_numbers

VAGUE = "many"
LONGEST_QUESTION = 2_000  # characters; a longer one gets no twin, which bounds the work
# A number that stands alone: no part of 7:11, 6-mile, 300g or 1/2, and not after "a", where "many" cannot stand.
_QUANTITY = re.compile(
    r"(?<![\w.,/$€£:-])(?<!\$ )(?<!\b[Aa] )(?<!\b[Aa]n )(?<!\b[Aa]nother )"
    r"(\$ ?)?((?:\d{1,3}(?:,\d{3}){1,4}|\d{1,12})(?:\.\d{1,12})?)(?![\w/:-]|[.,]\d)( ?%)?",
    re.ASCII,
)
_FORMULA = re.compile(r"\\|[^\s(\"'/-]\$")  # a dollar sign that closes something is no price
# Around a number that counts nothing (a date, a year, the time of day), and after the first half of "5 million".
_MONTH = (
    "(?:January|February|March|April|May|June|July|August|September|October|November|December"
    "|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
)
_NAMED = re.compile(rf"\b{_MONTH}\.? $")
_YEAR = re.compile(r"\b(?:[Ii]n|[Ss]ince|[Uu]ntil|[Yy]ear) (?:1[5-9]|20)\d\d$")
_NAMING = re.compile(rf" ?[apAP]\.?[mM]\b| o.clock\b| (?:of )?{_MONTH}\b| (?:hundred|thousand|million|billion)\b")


def make_twin(question: str, solution: str) -> str | None:
    """The question without one quantity that its worked solution needs; None where none can be taken.

    The same question always loses the same quantity.

    >>> make_twin("Ben has 12 pens and buys 30. How many has he?", "12 + 30 = 42")
    'Ben has many pens and buys 30. How many has he?'
    """
    if len(question) > LONGEST_QUESTION or _FORMULA.search(question):
        return None
    needed = needed_numbers(solution)
    twins = [twin for match in _QUANTITY.finditer(question) if (twin := _without(question, match, needed))]
    drawn = int(hashlib.sha256(question.encode()).hexdigest(), 16)
    return twins[drawn % len(twins)] if twins else None


def needed_numbers(solution: str) -> set[Fraction]:
    """The numbers that a worked solution computes its last result from, through all the steps between.

    A number that is also the result of such a step is left out: the solution would have it without the question.
    """
    links = [link for link in read_links(solution[:LONGEST_TRACE]) if link.claim]
    results = {links[-1].claim.stated} if links else set()
    operands = set()
    for link in reversed(links):
        if link.claim.stated in results | operands:
            results.add(link.claim.stated)
            operands.update(Fraction(token.value.value) for side in link.sides if side.operations for token in side.literals)
    return operands - results


def _without(question: str, match: re.Match, needed: set[Fraction]) -> str | None:
    """The question without the quantity at `match`, None where that is not needed or is still known."""
    dollars, number, percent = match.groups()
    value = Fraction(number.replace(",", ""))
    if value not in needed or value in CONSTANTS:
        return None
    name = question[max(0, match.start() - 12) : match.start()]
    year = question[max(0, match.start() - 6) : match.end()]
    if _NAMED.search(name) or _YEAR.search(year) or _NAMING.match(question, match.end()):  # it counts nothing
        return None
    vague = VAGUE + " dollars" * bool(dollars) + " percent" * bool(percent)
    before = question[: match.start()]
    vague = vague.capitalize() if re.search(r"(?:^|[.!?]\s{1,9})$", before[-10:]) else vague
    twin = before + vague + question[match.end() :]
    return None if value in grounded_numbers(twin) else twin
