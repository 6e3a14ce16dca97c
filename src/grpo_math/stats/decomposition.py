"""Where a gain comes from: every item whose verdict changed between two checkpoints gets exactly one cause.

An item that was gained is attributed by what was wrong with the first checkpoint's sample, one that was lost by what is wrong
with the second's. So a gain of token budget or of extraction is not taken for one of reasoning. The audit sees false arithmetic
and ungrounded numbers only where it can read them; a wrong plan is "other".
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

CAUSES = ("format/extraction", "truncation", "arithmetic", "grounding", "other")
KEYS = ("correct_flexible", "truncated", "false_arithmetic", "ungrounded", "extracted_flexible")


class GainPart(NamedTuple):
    """What one cause did to the accuracy.

    gained, lost: items that only the second, or only the first, checkpoint answered correctly.
    net: gained minus lost, in items.
    points: net in percentage points of all items, as an exact fraction, so that the parts sum to the difference exactly.
    """

    cause: str
    gained: int
    lost: int
    net: int
    points: Fraction


def decompose_gain(before: Sequence[Mapping], after: Sequence[Mapping]) -> list[GainPart]:
    """Take the change of flexible accuracy between two checkpoints apart, one part for each of CAUSES in their order.

    before, after: one record an item, the same items in the same order. `correct_flexible`, `truncated`, `false_arithmetic` and
        `ungrounded` are true or false, `extracted_flexible` is the answer or None; other keys are ignored. Where both records of
        a pair have an `id`, it must be the same.

    The first cause that matches counts:
    1. truncation: the wrong sample ran out of tokens;
    2. format/extraction: the wrong sample holds no answer to extract;
    3. arithmetic: the wrong sample holds a false calculation;
    4. grounding: the wrong sample holds an ungrounded number;
    5. other.
    Raises ValueError for no items, items that differ, or a record that lacks a key.
    """
    if len(before) != len(after) or not before:
        raise ValueError(f"A decomposition needs the same items, one or more: {len(before)} before, {len(after)} after.")
    counts = {cause: [0, 0] for cause in CAUSES}
    for i, (was, now) in enumerate(zip(before, after, strict=True)):
        missing = [key for key in KEYS if key not in was or key not in now]
        if missing:
            raise ValueError(f"The record of item {i} has no {missing[0]!r}: a decomposition needs {', '.join(KEYS)}.")
        if "id" in was and "id" in now and was["id"] != now["id"]:
            raise ValueError(f"Item {i} is {was['id']!r} before and {now['id']!r} after: sort both sides by id.")
        if bool(was["correct_flexible"]) != bool(now["correct_flexible"]):
            lost = bool(was["correct_flexible"])
            counts[_cause(now if lost else was)][lost] += 1
    return [
        GainPart(cause, gained, lost, gained - lost, Fraction(100 * (gained - lost), len(before)))
        for cause, (gained, lost) in counts.items()
    ]


def _cause(wrong: Mapping) -> str:
    if wrong["truncated"]:  # before "no answer": a sample that was cut off has none because it was cut off
        return "truncation"
    if wrong["extracted_flexible"] is None:
        return "format/extraction"
    if wrong["false_arithmetic"]:
        return "arithmetic"
    return "grounding" if wrong["ungrounded"] else "other"
