"""Rewards for the form of a completion, whatever its answer. Text after the end and repeated tags never add to what is paid."""

from collections.abc import Sequence
from dataclasses import dataclass

from grpo_math.formats import ReasoningFormat
from grpo_math.rewards.contract import Completion, Golds, RewardFunction, completion_text

TRAILING_COST = 0.001  # for each character after the end


def exact_format(fmt: ReasoningFormat, reward: float = 1.0) -> RewardFunction:
    """`reward` where the whole completion has the form, with nothing after its end, else 0.

    >>> from grpo_math.formats import get_format
    >>> xml = exact_format(get_format("xml"))
    >>> xml(["one</reasoning><answer>1</answer>", "one</reasoning><answer>1</answer> Bye!"])
    [1.0, 0.0]
    """
    return _ExactFormat(fmt, reward)


def approximate_format(fmt: ReasoningFormat, reward: float = 0.5, penalty: float | None = None) -> RewardFunction:
    """Of n marks, one that stands exactly once earns `reward` / n, any other costs `penalty` / n (None: as much as `reward`).

    The tag that opens the working belongs to the prompt: it earns nothing, and costs where it is repeated later on. For the
    boxed form the two marks are the box's opening and its closing brace.

    >>> from grpo_math.formats import get_format
    >>> marks = approximate_format(get_format("tags"), reward=3.0)
    >>> once = "<end_working_out><SOLUTION>1</SOLUTION>"
    >>> marks([once, "<SOLUTION>1</SOLUTION>", 9 * once])
    [3.0, 1.0, -3.0]
    """
    return _ApproximateFormat(fmt, reward, reward if penalty is None else penalty)


def strict_format(fmt: ReasoningFormat, reward: float = 0.1) -> RewardFunction:
    """`reward` where the form is exact and each tag has a line to itself (the box: begins the last line), else 0.

    >>> from grpo_math.formats import get_format
    >>> lines = strict_format(get_format("xml"), reward=1.0)
    >>> lines(["one\\n</reasoning>\\n<answer>\\n1\\n</answer>\\n", "one</reasoning><answer>1</answer>"])
    [1.0, 0.0]
    """
    return _StrictFormat(fmt, reward)


def soft_format(fmt: ReasoningFormat, reward: float = 0.1) -> RewardFunction:
    """`reward` for working and then one answer section, whatever stands between and after them, else 0.

    >>> from grpo_math.formats import get_format
    >>> soft = soft_format(get_format("xml"), reward=1.0)
    >>> soft(["one</reasoning> so <answer>1</answer> Bye!", "<answer>1</answer>one</reasoning>"])
    [1.0, 0.0]
    """
    return _SoftFormat(fmt, reward)


def xml_structure(fmt: ReasoningFormat, reward: float = 0.2) -> RewardFunction:
    """The share of `reward` that is earned by marks that stand once and in order, less 0.001 for each character after the end.

    Never below 0. The marks are those of `approximate_format`, so the boxed form has them too.

    >>> from grpo_math.formats import get_format
    >>> structure = xml_structure(get_format("xml"), reward=0.375)
    >>> once = "one</reasoning><answer>1</answer>"
    >>> structure([once, once + "Bye!", once + once, "<answer>1</answer>"])
    [0.375, 0.371, 0.0, 0.25]
    """
    return _XmlStructure(fmt, reward)


@dataclass(frozen=True)
class _FormReward:
    """Pays for the form of a text, whatever its answer: from 0 to `reward` unless `bounds` says otherwise."""

    fmt: ReasoningFormat
    reward: float

    def __call__(self, completions: Sequence[Completion], answer: Golds | None = None, **kwargs) -> list[float | None]:
        return [self._pay(completion_text(completion)) for completion in completions]

    def bounds(self) -> tuple[float, float]:
        return 0.0, self.reward


class _ExactFormat(_FormReward):
    __name__ = "exact_format"

    def _pay(self, text: str) -> float:
        return self.reward * self.fmt.parse(text).exact


class _SoftFormat(_FormReward):
    __name__ = "soft_format"

    def _pay(self, text: str) -> float:
        parsed = self.fmt.parse(text)
        return self.reward * (parsed.reasoning is not None and parsed.answer is not None)


class _StrictFormat(_FormReward):
    __name__ = "strict_format"

    def _pay(self, text: str) -> float:
        return self.reward * (self.fmt.parse(text).exact and self._line_by_line(text))

    def _line_by_line(self, text: str) -> bool:
        """Of an exact text: there each tag stands once, and nothing follows a box."""
        if self.fmt.boxed:
            return text.rstrip().rpartition("\n")[2].lstrip().startswith(r"\boxed")
        around = [text.partition(tag) for tag in _asked(self.fmt)]
        return all(before.rstrip(" \t").endswith("\n") and _ends_line(after) for before, _, after in around)


@dataclass(frozen=True)
class _ApproximateFormat(_FormReward):
    penalty: float
    __name__ = "approximate_format"

    def bounds(self) -> tuple[float, float]:
        return -self.penalty, self.reward

    def _pay(self, text: str) -> float:
        marks = _marks(self.fmt, text)
        once = sum(marks) / len(marks)
        return self.reward * once - self.penalty * (1 - once)


class _XmlStructure(_FormReward):
    __name__ = "xml_structure"

    def _pay(self, text: str) -> float:
        marks = _marks(self.fmt, text)
        places = [] if self.fmt.boxed else [text.find(tag) for tag, once in zip(_asked(self.fmt), marks, strict=False) if once]
        if places != sorted(places):
            return 0.0
        return max(0.0, self.reward * (sum(marks) / len(marks)) - TRAILING_COST * _characters_after_end(self.fmt, text))


def _asked(fmt: ReasoningFormat) -> tuple[str, str, str]:
    """The tags that a completion has to write: the prompt writes the first."""
    return fmt.reasoning_end, fmt.answer_start, fmt.answer_end


def _marks(fmt: ReasoningFormat, text: str) -> list[bool]:
    """Does each mark stand exactly once? False is added where the prompt's tag is repeated."""
    if fmt.boxed:
        return [text.count(fmt.answer_start) == 1, fmt.parse(text).answer is not None]
    body = text.removeprefix(fmt.reasoning_start)
    return [body.count(tag) == 1 for tag in _asked(fmt)] + [False] * (fmt.reasoning_start in body)


def _ends_line(after: str) -> bool:
    rest = after.lstrip(" \t\r")
    return not rest or rest.startswith("\n")


def _characters_after_end(fmt: ReasoningFormat, text: str) -> int:
    """Characters after the answer section, without the white space around them; 0 where the section does not end."""
    if not fmt.boxed:
        return len(text.partition(fmt.answer_end)[2].strip())
    parsed = fmt.parse(text)
    if parsed.answer is None:
        return 0
    box = text.lstrip()[len(parsed.reasoning or "") :].partition("{")[2]
    return len(box.lstrip()[len(parsed.answer) :].lstrip()[1:].strip())
