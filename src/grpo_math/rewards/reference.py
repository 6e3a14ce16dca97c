"""Values of well known public notebooks, for comparison only: do not train with them for a better model.

What is reproduced is what each part pays, and its order of checks; parsing and extraction are ours. Known to be unsound: text
is compared first, so an answer in another notation earns less than one that is off by one; a ratio ignores what lies around
gold 0; the first number in an answer counts, wherever it stands. `rewards.margin` is negative for these sets, or zero.
"""

import re

from grpo_math.formats import ReasoningFormat
from grpo_math.rewards.answer import AnswerReward, correctness
from grpo_math.rewards.contract import RewardFunction
from grpo_math.rewards.form import approximate_format, exact_format, soft_format, strict_format, xml_structure

_NUMBER = re.compile(r"-?[\d.,]+")


def reference_set(fmt: ReasoningFormat) -> list[RewardFunction]:
    """The public values for a format. Raises ValueError for a format that is not tags, xml or boxed.

    tags: after the Unsloth notebook for Qwen3-4B-Base: exact form 3, each tag 0.5 or -1, and `answer_bands` and `first_number`.
    xml: after the GSM8K demo of willccbb: 0.125 a tag (the prompt writes the first of four) less 0.001 for each character
    after the end (here not below 0), 0.5 each for soft form, strict form and digits alone, 2 for the same text.
    boxed: as in open-r1's accuracy and format rewards: 1 for a right answer, 1 for the form.
    """
    if fmt.name == "tags":
        return [exact_format(fmt, 3.0), approximate_format(fmt, 1.5, 3.0), answer_bands(fmt), first_number(fmt)]
    if fmt.name == "xml":
        shape = [xml_structure(fmt, 0.375), soft_format(fmt, 0.5), strict_format(fmt, 0.5)]
        return [*shape, digits_only(fmt), same_text(fmt)]
    if fmt.name == "boxed":
        return [correctness(fmt, 1.0), exact_format(fmt, 1.0)]
    raise ValueError(f"There are no reference rewards for the format {fmt.name!r}; they exist for tags, xml and boxed.")


def answer_bands(fmt: ReasoningFormat) -> RewardFunction:
    """5 for the gold's very text, 3.5 but for white space, 2 and 1.5 for a ratio within 10 and 20 %, -2.5 beyond.

    -2 where there is no answer, and -4.5 where there is no ratio.
    """
    return _AnswerBands(fmt, 5.0)


def first_number(fmt: ReasoningFormat) -> RewardFunction:
    """3.5 where the first number in the answer equals the gold, else -1.5; -2.5 for no number, 0 where one cannot be read."""
    return _FirstNumber(fmt, 3.5)


def same_text(fmt: ReasoningFormat) -> RewardFunction:
    """2 for the gold's very text, else 0."""
    return _SameText(fmt, 2.0)


def digits_only(fmt: ReasoningFormat) -> RewardFunction:
    """0.5 for an answer of digits alone, right or wrong, else 0."""
    return _DigitsOnly(fmt, 0.5)


class _AnswerBands(AnswerReward):
    __name__ = "answer_bands"
    logs = True

    def bounds(self) -> tuple[float, float]:
        return -4.5, 2.0

    def _extract(self, text: str) -> str:
        """With its white space, for which the notebook pays."""
        found = super()._extract(text)
        return text.partition(self.fmt.answer_start)[2].partition(self.fmt.answer_end)[0] if found else ""

    def _pay(self, given: str, gold: str, right: bool) -> float:
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


class _FirstNumber(AnswerReward):
    __name__ = "first_number"

    def bounds(self) -> tuple[float, float]:
        return -2.5, self.reward

    def _pay(self, given: str, gold: str, right: bool) -> float:
        found = _NUMBER.search(given)
        if not found:
            return -2.5
        value, wanted = _float(found.group().replace(",", "")), _float(gold)
        if value is None or wanted is None:
            return 0.0
        return self.reward if value == wanted else -1.5


class _SameText(AnswerReward):
    __name__ = "same_text"
    logs = True

    def bounds(self) -> tuple[float, float]:
        return 0.0, 0.0

    def _pay(self, given: str, gold: str, right: bool) -> float:
        return self.reward * (given == gold.strip())


class _DigitsOnly(AnswerReward):
    __name__ = "digits_only"

    def bounds(self) -> tuple[float, float]:
        return 0.0, self.reward

    def _pay(self, given: str, gold: str, right: bool) -> float:
        return self.reward * given.isdigit()


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
