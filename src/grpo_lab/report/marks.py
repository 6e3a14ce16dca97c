"""A completion as HTML with its false claims marked, for the page of a run and for notebooks. All of its text is escaped."""

from collections.abc import Iterator
from html import escape

from grpo_math.audit import Claim, Operand, audit, number_text


def marked_html(text: str, problem: str = "") -> str:
    """`text` escaped, each false claim in a <mark> whose title says what it really comes to.

    With the `problem`, numbers that come from nowhere are marked as well.

    >>> marked_html("39 + 47 = 76.")
    '<mark title="false: it is 86">39 + 47 = 76</mark>.'
    """
    pieces, at = [], 0
    for start, end, found in _spans(text, problem):
        reasons = []
        for item in found:
            false = isinstance(item, Claim)
            reason = f"false: it is {number_text(item.exact)}" if false else "neither in the problem nor an earlier result"
            reasons.append(reason if len(found) == 1 else f"{item.text} {reason}")
        pieces.append(f'{escape(text[at:start])}<mark title="{escape("; ".join(reasons))}">{escape(text[start:end])}</mark>')
        at = end
    return "".join(pieces) + escape(text[at:])


def marked_text(text: str) -> str:
    """`text` escaped, each false claim in bold with what it comes to behind it: marks that GitHub's sanitiser keeps.

    >>> marked_text("39 + 47 = 76.")
    '<b>39 + 47 = 76</b> <i>[is 86]</i>.'
    """
    pieces, at = [], 0
    for start, end, claims in _spans(text):
        values = "; ".join(f"is {number_text(claim.exact)}" for claim in claims)
        pieces.append(f"{escape(text[at:start])}<b>{escape(text[start:end])}</b> <i>[{values}]</i>")
        at = end
    return "".join(pieces) + escape(text[at:])


def _spans(text: str, problem: str = "") -> Iterator[tuple[int, int, list[Claim | Operand]]]:
    """The places to mark, in order; findings that overlap, as in a chain a = b = c, share one."""
    found = audit(text, problem)
    items = [*(claim for claim in found.claims if not claim.true), *found.ungrounded]
    here: list[Claim | Operand] = []
    end = 0
    for item in sorted(items, key=lambda item: (item.start, -item.end)):
        if here and item.start >= end:
            yield here[0].start, end, here
            here = []
        here.append(item)
        end = max(end, item.end)
    if here:
        yield here[0].start, end, here
