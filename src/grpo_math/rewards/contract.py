"""What TRL hands to a reward function, and what every one here answers to."""

from collections.abc import Callable, Iterable, Sequence

Completion = str | Sequence[dict]
Golds = Sequence[str | None]
RewardFunction = Callable[..., list[float | None]]


class Reward:
    """A reward function as a small class rather than a closure or a partial, so that it pickles and compares.

    A subclass is called with the completions and pays each. Its `bounds()` gives two numbers: the least that it pays for a right
    answer, and the most that it pays for any other (see `rewards.margin`).
    """

    @property
    def __name__(self) -> str:
        """The name under which TRL logs it."""
        return type(self).__name__


def total_reward(paid: Iterable[float | None]) -> float:
    """What a completion earns by all functions together; one that cannot grade its gold answer pays nothing."""
    return sum(value for value in paid if value is not None)


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
