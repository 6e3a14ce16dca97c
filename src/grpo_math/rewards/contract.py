"""What TRL hands to a reward function, and what every one here answers to."""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from grpo_math.answers import Gold, gold_texts

Completion = str | Sequence[dict]
Golds = Sequence[Gold]
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


def reward_name(function: RewardFunction) -> str:
    """The name under which TRL logs a reward function; of a partial, that of its function."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def pay(function: RewardFunction, completions: Sequence[Completion], **given) -> list[float | None]:
    """What a reward function pays for each completion, called as TRL calls it, with the columns of the data set in `given`.

    Any that TRL takes will do: an async one too, and one that returns a tensor or an array. One that takes no `**columns` gets
    those that it names. None, and NaN, is no verdict. ValueError where it does not pay each completion.
    """

    def ignore(name, value):
        """Where nobody asked, nothing is logged."""

    given = {"completions": completions, "log_extra": ignore, "log_metric": ignore} | given
    taken = inspect.signature(function).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        given = {name: value for name, value in given.items() if name in taken}
    paid = function(**given)
    if inspect.isawaitable(paid):  # in a thread of its own, because a notebook runs an event loop already
        with ThreadPoolExecutor(1) as threads:
            paid = threads.submit(asyncio.run, _awaited(paid)).result()
    values = list(paid) if hasattr(paid, "__len__") else [paid]
    if len(values) != len(completions):
        raise ValueError(
            f"The reward {reward_name(function)} pays {len(values)} of {len(completions)} completions: it must return a list "
            "with a number, or None, for each."
        )
    return [None if value is None or value != value else float(value) for value in values]


async def _awaited(paid):
    return await paid


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


def gold_text(gold: Gold) -> str:
    """A gold answer as one text, its alternatives joined by "or"; one that is missing, or of another type, is empty."""
    try:
        return " or ".join(gold_texts(gold))
    except TypeError:  # no reason to end a training: it cannot be graded
        return ""
