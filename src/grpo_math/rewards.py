"""Reward functions in TRL's form: `f(completions, answer, **kwargs) -> list[float | None]`.

Completions are strings or message lists; the gold answers come from the data set's column `answer`. They need neither torch nor a
GPU, hold no state, can be pickled, and never raise on what a model wrote.

>>> from grpo_math.formats import get_format
>>> correct, exact, approximate = reward_set(get_format("tags"))
>>> correct(["6 * 7 = 42.<end_working_out><SOLUTION>42</SOLUTION>"], answer=["42"])
[3.0]
"""

from collections.abc import Sequence
from dataclasses import dataclass

from grpo_math.answers import extract_answer, is_correct
from grpo_math.formats import ReasoningFormat

Completion = str | list[dict[str, str]]


def text_of(completion: Completion) -> str:
    """The text of a completion: itself, or the content of its last message."""
    return completion if isinstance(completion, str) else str(completion[-1].get("content") or "") if completion else ""


@dataclass(frozen=True)
class Correctness:
    """`reward` where the answer stands in the required form and equals the gold answer, 0 where not, None where gold is unclear."""

    fmt: ReasoningFormat
    reward: float = 3.0
    __name__ = "correctness"

    def __call__(self, completions: Sequence[Completion], answer: Sequence[str], **kwargs) -> list[float | None]:
        texts = [text_of(completion) for completion in completions]
        if log_extra := kwargs.get("log_extra"):
            log_extra("gold", list(answer))
            log_extra("extracted", [extract_answer(text, self.fmt, strict=True) or "" for text in texts])
        verdicts = [is_correct(text, gold, self.fmt, strict=True) for text, gold in zip(texts, answer, strict=True)]
        return [None if verdict is None else self.reward * verdict for verdict in verdicts]


@dataclass(frozen=True)
class ExactFormat:
    """`reward` where the whole completion has the form, with nothing after its end; 0 where not."""

    fmt: ReasoningFormat
    reward: float = 1.0
    __name__ = "exact_format"

    def __call__(self, completions: Sequence[Completion], **kwargs) -> list[float | None]:
        return [self.reward * self.fmt.parse(text_of(completion)).exact for completion in completions]


@dataclass(frozen=True)
class ApproximateFormat:
    """A share of `reward` for each tag that stands exactly once, minus the same share for each that is missing or repeated.

    The opening tag is in the prompt and not asked for. Stuffing tags costs, and no text earns more than the exact form does.
    """

    fmt: ReasoningFormat
    reward: float = 0.5
    __name__ = "approximate_format"

    def __call__(self, completions: Sequence[Completion], **kwargs) -> list[float | None]:
        tags = self.fmt.tags if self.fmt.reasoning_end else (self.fmt.answer_start,)
        share = self.reward / len(tags)
        texts = [text_of(completion) for completion in completions]
        return [sum(share if text.count(tag) == 1 else -share for tag in tags) for text in texts]


def reward_set(fmt: ReasoningFormat) -> list:
    """The default rewards of a format: correctness 3, exact form 1, each tag a share of 0.5.

    A wrong answer earns at most 1.5, a right one in the form 4.5, and an equivalent notation never changes that.
    """
    return [Correctness(fmt), ExactFormat(fmt), ApproximateFormat(fmt)]
