"""Rewards for the answer, in the light of the gold, by one definition of right, that of `answers`; and one for its steps."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from grpo_math.answers import Checker, as_number, extract_answer, gold_texts, is_equivalent
from grpo_math.audit import audit, number_text
from grpo_math.formats import ReasoningFormat
from grpo_math.rewards.contract import Completion, Golds, Reward, completion_text, gold_text

_NUMERAL = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class AnswerReward(Reward):
    """Pays for the answer that stands in the required form; None where the gold cannot be graded.

    checker: says whether an answer is right. Raises ValueError where the data set gives no gold answers. A subclass has
    `pay(given, golds, right)`, for a gold that can be graded, as the texts of its alternatives.
    """

    fmt: ReasoningFormat
    reward: float
    checker: Checker = is_equivalent
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
        texts = [gold_text(gold) for gold in answer]
        found = [self.extract(completion_text(completion)) for completion in completions]
        if self.logs and log_extra:
            log_extra("extracted", found)
            log_extra("gold", texts)
        paid = {}
        for given, text, gold in zip(found, texts, answer, strict=True):
            if (given, text) not in paid:  # a group often agrees on its answers
                right = self.checker(given, gold if text else "")
                paid[given, text] = None if right is None else self.pay(given, gold_texts(gold), bool(right))
        return [paid[pair] for pair in zip(found, texts, strict=True)]

    def extract(self, text: str) -> str:
        """The answer that is compared; empty where there is none."""
        return extract_answer(text, self.fmt, strict=True) or ""


@dataclass(frozen=True)
class correctness(AnswerReward):
    r"""`reward` for an answer, in the required form, that equals the gold in any notation, else 0.

    Logs the columns `extracted` and `gold` through TRL's `log_extra`.

    >>> from grpo_math.formats import get_format
    >>> half = correctness(get_format("boxed"))
    >>> half(["A half: \\boxed{0.5}", "A half."], answer=["1/2", "1/2"])
    [3.0, 0.0]
    """

    reward: float = 3.0
    logs: ClassVar[bool] = True

    def bounds(self) -> tuple[float, float]:
        return self.reward, 0.0

    def pay(self, given: str, golds: list[str], right: bool) -> float:
        return self.reward * right


@dataclass(frozen=True)
class proximity(AnswerReward):
    """`reward` for a right answer; for another number, `reward` * max(0, 1 - |answer - gold| / max(|gold|, 1)); else 0.

    It falls with the distance alone: the same above and below the gold, and with both signs changed. A right answer earns the
    most in any notation, so in a sum with `correctness` an answer that is close stays below one that is right.

    >>> from grpo_math.formats import get_format
    >>> near = proximity(get_format("xml"))
    >>> near([f"w</reasoning><answer>{n}</answer>" for n in ("40", "80/2", "30", "50", "-40", "x")], answer=["40"] * 6)
    [1.0, 1.0, 0.75, 0.75, 0.0, 0.0]
    """

    reward: float = 1.0

    def bounds(self) -> tuple[float, float]:
        return self.reward, self.reward

    def pay(self, given: str, golds: list[str], right: bool) -> float:
        if right:
            return self.reward
        value, wanted = as_number(given), [number for number in map(as_number, golds) if number is not None]
        if value is None:
            return 0.0
        return self.reward * float(max([0, *(1 - abs(value - number) / max(abs(number), 1) for number in wanted)]))


@dataclass(frozen=True)
class number(AnswerReward):
    """`reward` where the whole answer is one number, with or without a unit, and equals the gold, else 0.

    The whole answer, because the first number in it may be another: in "x = 1, answer 22" it is 1.

    >>> from grpo_math.formats import get_format
    >>> one = number(get_format("xml"))
    >>> one([f"w</reasoning><answer>{n}</answer>" for n in ("22", "22 apples", "22 or 23")], answer=["22"] * 3)
    [0.5, 0.5, 0.0]
    """

    reward: float = 0.5

    def bounds(self) -> tuple[float, float]:
        return 0.0, 0.0

    def pay(self, given: str, golds: list[str], right: bool) -> float:
        return self.reward * (right and as_number(given) is not None)


@dataclass(frozen=True)
class integer(AnswerReward):
    """`reward` for a whole number, right or wrong, where the gold is one, as in GSM8K; else 0.

    >>> from grpo_math.formats import get_format
    >>> whole = integer(get_format("xml"))
    >>> whole([f"w</reasoning><answer>{n}</answer>" for n in ("1,234", "$7", "7.5", "x")], answer=["22"] * 4)
    [0.1, 0.1, 0.0, 0.0]
    """

    reward: float = 0.1

    def bounds(self) -> tuple[float, float]:
        return 0.0, self.reward

    def pay(self, given: str, golds: list[str], right: bool) -> float:
        value, *wanted = (number is not None and number.denominator == 1 for number in map(as_number, (given, *golds)))
        return self.reward * (value and any(wanted))


@dataclass(frozen=True)
class sound_steps(Reward):
    """`reward` for working that bears its answer: equations, all of them true, one of which comes to the answer; else 0.

    Read by the `audit`, whatever the gold. More equations earn no more and none earns nothing, so neither length nor silence
    pays; nor does an equation that only adds nothing to the answer, or takes it once, such as 42 + 0 = 42.

    >>> from grpo_math.formats import get_format
    >>> sound = sound_steps(get_format("xml"))
    >>> ends = "</reasoning><answer>{}</answer>".format
    >>> sound([f"6 * 7 = 42{ends(42)}", f"6 * 7 = 48{ends(48)}", f"It is 42{ends(42)}", f"42 + 0 = 42{ends(42)}"])
    [0.5, 0.0, 0.0, 0.0]
    """

    fmt: ReasoningFormat
    reward: float = 0.5

    def __call__(self, completions: Sequence[Completion], **kwargs) -> list[float | None]:
        return [self.pay(completion_text(completion)) for completion in completions]

    def bounds(self) -> tuple[float, float]:
        return 0.0, self.reward

    def pay(self, text: str) -> float:
        answer = as_number(extract_answer(text, self.fmt, strict=True) or "")
        claims = audit(text).claims
        if answer is None or not all(claim.true for claim in claims):
            return 0.0
        operands = [_NUMERAL.findall(claim.text)[:-1] for claim in claims if claim.exact == answer]
        return self.reward * any(set(numerals) - {"0", "1", number_text(answer)} for numerals in operands)
