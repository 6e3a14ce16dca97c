"""Rewards for the answer, in the light of the gold: all of them share one definition of right, that of `answers`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from grpo_math.answers import as_number, extract_answer, is_equivalent
from grpo_math.formats import ReasoningFormat
from grpo_math.rewards.contract import Completion, Golds, RewardFunction, completion_text, gold_text


def correctness(fmt: ReasoningFormat, reward: float = 3.0) -> RewardFunction:
    r"""`reward` for an answer, in the required form, that equals the gold in any notation, else 0.

    Logs the columns `extracted` and `gold` through TRL's `log_extra`. Like all functions that read the gold answer, it pays
    None where that cannot be graded, and raises ValueError where the data set gives none.

    >>> from grpo_math.formats import get_format
    >>> half = correctness(get_format("boxed"))
    >>> half(["A half: \\boxed{0.5}", "A half."], answer=["1/2", "1/2"])
    [3.0, 0.0]
    """
    return _Correctness(fmt, reward)


def proximity(fmt: ReasoningFormat, reward: float = 1.0) -> RewardFunction:
    """`reward` for a right answer; for another number, `reward` * max(0, 1 - |answer - gold| / max(|gold|, 1)); else 0.

    It falls with the distance alone: the same above and below the gold, and with both signs changed. A right answer earns the
    most in any notation, so in a sum with `correctness` an answer that is close stays below one that is right.

    >>> from grpo_math.formats import get_format
    >>> near = proximity(get_format("xml"))
    >>> near([f"w</reasoning><answer>{n}</answer>" for n in ("40", "80/2", "30", "50", "-40", "x")], answer=["40"] * 6)
    [1.0, 1.0, 0.75, 0.75, 0.0, 0.0]
    """
    return _Proximity(fmt, reward)


def number(fmt: ReasoningFormat, reward: float = 0.5) -> RewardFunction:
    """`reward` where the whole answer is one number, with or without a unit, and equals the gold, else 0.

    The whole answer, because the first number in it may be another: in "x = 1, answer 22" it is 1.

    >>> from grpo_math.formats import get_format
    >>> one = number(get_format("xml"))
    >>> one([f"w</reasoning><answer>{n}</answer>" for n in ("22", "22 apples", "22 or 23")], answer=["22"] * 3)
    [0.5, 0.5, 0.0]
    """
    return _Number(fmt, reward)


def integer(fmt: ReasoningFormat, reward: float = 0.1) -> RewardFunction:
    """`reward` for a whole number, right or wrong, where the gold is one, as in GSM8K; else 0.

    >>> from grpo_math.formats import get_format
    >>> whole = integer(get_format("xml"))
    >>> whole([f"w</reasoning><answer>{n}</answer>" for n in ("1,234", "$7", "7.5", "x")], answer=["22"] * 4)
    [0.1, 0.1, 0.0, 0.0]
    """
    return _Integer(fmt, reward)


@dataclass(frozen=True)
class AnswerReward:
    """Pays for the answer that stands in the required form; None where the gold cannot be graded."""

    fmt: ReasoningFormat
    reward: float
    logs: ClassVar[bool] = False  # one function of a set logs: TRL adds up the rows that it is given for a column

    def __call__(
        self,
        completions: Sequence[Completion],
        answer: Golds | None = None,
        log_extra: Callable[[str, list], None] | None = None,
        **kwargs,
    ) -> list[float | None]:
        if answer is None:
            raise ValueError(f"The {self.__name__} reward needs gold answers: give the data set a column named 'answer'.")
        golds = [gold_text(gold) for gold in answer]
        found = [self._extract(completion_text(completion)) for completion in completions]
        if self.logs and log_extra:
            log_extra("extracted", found)
            log_extra("gold", golds)
        pairs = list(zip(found, golds, strict=True))
        paid = {pair: self._pay_gradable(*pair) for pair in dict.fromkeys(pairs)}  # a group often agrees on its answers
        return [paid[pair] for pair in pairs]

    def _extract(self, text: str) -> str:
        return extract_answer(text, self.fmt, strict=True) or ""

    def _pay_gradable(self, given: str, gold: str) -> float | None:
        right = is_equivalent(given, gold)
        return None if right is None else self._pay(given, gold, right)


class _Correctness(AnswerReward):
    __name__ = "correctness"
    logs = True

    def bounds(self) -> tuple[float, float]:
        return self.reward, 0.0

    def _pay(self, given: str, gold: str, right: bool) -> float:
        return self.reward * right


class _Proximity(AnswerReward):
    __name__ = "proximity"

    def bounds(self) -> tuple[float, float]:
        return self.reward, self.reward

    def _pay(self, given: str, gold: str, right: bool) -> float:
        if right:
            return self.reward
        value, wanted = as_number(given), as_number(gold)
        if value is None or wanted is None:
            return 0.0
        return self.reward * float(max(0, 1 - abs(value - wanted) / max(abs(wanted), 1)))


class _Number(AnswerReward):
    __name__ = "number"

    def bounds(self) -> tuple[float, float]:
        return 0.0, 0.0

    def _pay(self, given: str, gold: str, right: bool) -> float:
        return self.reward * (right and as_number(given) is not None)


class _Integer(AnswerReward):
    __name__ = "integer"

    def bounds(self) -> tuple[float, float]:
        return 0.0, self.reward

    def _pay(self, given: str, gold: str, right: bool) -> float:
        values = as_number(given), as_number(gold)
        return self.reward * all(value is not None and value.denominator == 1 for value in values)
