"""What TRL hands to a reward function.

A reward function here is a small class rather than a closure or a partial: it pickles, it compares, and TRL shows its
`__name__`. Its `bounds()` gives two numbers: the least that it pays for a right answer, and the most that it pays for any
other (see `rewards.margin`).
"""

from collections.abc import Callable, Sequence

Completion = str | Sequence[dict]
Golds = Sequence[str | None]
RewardFunction = Callable[..., list[float | None]]


def completion_text(completion: Completion) -> str:
    """A completion's text: the string itself, or the content of the last message."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if completion else ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in content or [] if isinstance(part, dict))


def gold_text(gold: str | None) -> str:
    """A gold answer as text; a missing one is empty, which cannot be graded."""
    return "" if gold is None else str(gold)
