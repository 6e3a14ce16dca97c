"""Penalties for the length of a completion and for repetition: never above 0."""

from collections.abc import Sequence
from dataclasses import dataclass

from grpo_math.rewards.contract import Completion, Golds, RewardFunction, completion_text

MAX_WORDS = 10_000  # the last words of a completion, in which repetition is looked for


def soft_overlong_penalty(max_length: int, cache: int, penalty: float = 0.25) -> RewardFunction:
    """0 for up to `max_length` - `cache` tokens, then falling in a line to -`penalty` at `max_length`, and not further.

    Equation 13 of DAPO (arXiv 2503.14476), where the penalty is 1 beside answers at 1 and -1. It counts TRL's
    `completion_ids`, one list of token ids a completion; the function raises ValueError where they are not given, and the
    factory where `cache` is not between 1 and `max_length`.

    >>> overlong = soft_overlong_penalty(max_length=100, cache=20, penalty=1.0)
    >>> overlong(["..."] * 3, completion_ids=[[7] * 80, [7] * 90, [7] * 120])
    [0.0, -0.5, -1.0]
    """
    if not 0 < cache <= max_length:
        raise ValueError(f"cache={cache} must be between 1 and max_length={max_length} tokens.")
    return _SoftOverlongPenalty(max_length, cache, penalty)


def repetition_penalty(ngram: int = 4, penalty: float = 0.2) -> RewardFunction:
    """-`penalty` times the share of `ngram`s of words that repeat an earlier one: 0 where none does.

    As in appendix C.2 of Demystifying Long Chain-of-Thought Reasoning (arXiv 2502.03373), but over words between white space
    and not over tokens, among the last 10,000 of them. Raises ValueError where `ngram` is below 1.

    >>> repeated = repetition_penalty(ngram=2, penalty=1.0)
    >>> repeated(["one and one is two", "wait wait wait wait wait"])
    [0.0, -0.75]
    """
    if ngram < 1:
        raise ValueError(f"ngram={ngram} must be 1 word or more.")
    return _RepetitionPenalty(ngram, penalty)


@dataclass(frozen=True)
class _SoftOverlongPenalty:
    max_length: int
    cache: int
    penalty: float
    __name__ = "soft_overlong_penalty"

    def __call__(
        self, completions: Sequence[Completion], completion_ids: Sequence[Sequence[int]] | None = None, **kwargs
    ) -> list[float | None]:
        if completion_ids is None:
            raise ValueError("The soft_overlong_penalty reward counts tokens: pass completion_ids, as TRL's GRPOTrainer does.")
        over = [len(ids) - (self.max_length - self.cache) for ids in completion_ids]
        return [-self.penalty * min(tokens / self.cache, 1) if tokens > 0 else 0.0 for tokens in over]

    def bounds(self) -> tuple[float, float]:
        return -self.penalty, 0.0


@dataclass(frozen=True)
class _RepetitionPenalty:
    ngram: int
    penalty: float
    __name__ = "repetition_penalty"

    def __call__(self, completions: Sequence[Completion], answer: Golds | None = None, **kwargs) -> list[float | None]:
        return [self._pay(completion_text(completion)) for completion in completions]

    def bounds(self) -> tuple[float, float]:
        return -self.penalty, 0.0

    def _pay(self, text: str) -> float:
        words = text.rsplit(maxsplit=MAX_WORDS)[-MAX_WORDS:]
        ngrams = list(zip(*(words[start:] for start in range(self.ngram)), strict=False))
        return self.penalty * (len(set(ngrams)) / len(ngrams) - 1) if ngrams else 0.0
