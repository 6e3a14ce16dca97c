"""Values of a well known public notebook (Unsloth's for Qwen3-4B-Base), to compare ours with: do not train with them.

What is reproduced is what each part pays, and its order of checks; parsing and extraction are ours. Known to be unsound: text is
compared first, so an answer in another notation earns less than one that is off by one.
"""

from dataclasses import dataclass

from grpo_math.formats import ReasoningFormat
from grpo_math.rewards import approximate_format, exact_format
from grpo_math.rewards.answer import AnswerReward


def reference_set(fmt: ReasoningFormat) -> list:
    """Exact form 3, each tag 0.5 or -1, and the answer in bands. For a format with tags."""
    return [exact_format(fmt, 3.0), approximate_format(fmt, 1.5, 3.0), answer_bands(fmt)]


@dataclass(frozen=True)
class answer_bands(AnswerReward):
    """5 for the gold's very text, 3.5 but for white space, 2 and 1.5 for a ratio within 10 and 20 %, -2.5 beyond.

    -2 where there is no answer, and -4.5 where there is no ratio.
    """

    reward: float = 5.0

    def bounds(self) -> tuple[float, float]:
        return -4.5, 2.0

    def extract(self, text: str) -> str:
        """With its white space, for which the notebook pays."""
        found = super().extract(text)
        return text.partition(self.fmt.answer_start)[2].partition(self.fmt.answer_end)[0] if found else ""

    def pay(self, given: str, golds: list[str], right: bool) -> float:
        [gold] = golds
        if not given:
            return -2.0
        if given == gold:
            return self.reward
        if given.strip() == gold.strip():
            return 3.5
        value, wanted = _float(given), _float(gold)
        if value is None or not wanted:
            return -4.5
        ratio = value / wanted
        return 2.0 if 0.9 <= ratio <= 1.1 else 1.5 if 0.8 <= ratio <= 1.2 else -2.5


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
