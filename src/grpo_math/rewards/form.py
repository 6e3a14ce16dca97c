"""Rewards for the form of a completion, whatever its answer. Text after the end and repeated tags never add to what is paid."""

from collections.abc import Sequence
from dataclasses import dataclass

from grpo_math.formats import ReasoningFormat
from grpo_math.rewards.contract import Completion, Reward, completion_text

TRAILING_COST = 0.001  # for each character after the end


@dataclass(frozen=True)
class FormReward(Reward):
    """Pays for the form of a text, by a subclass's `pay(text)`: from 0 to `reward` unless `bounds` says otherwise."""

    fmt: ReasoningFormat
    reward: float

    def __call__(self, completions: Sequence[Completion], **kwargs) -> list[float | None]:
        return [self.pay(completion_text(completion)) for completion in completions]

    def bounds(self) -> tuple[float, float]:
        return 0.0, self.reward

    def tags(self) -> tuple[str, str, str]:
        """The tags that a completion has to write: the prompt writes the first."""
        return self.fmt.reasoning_end, self.fmt.answer_start, self.fmt.answer_end

    def marks(self, text: str) -> list[bool]:
        """Does each mark stand exactly once? False is added where the prompt's tag is repeated."""
        fmt, body = self.fmt, text.removeprefix(self.fmt.reasoning_start)
        if not fmt.reasoning_end:
            return [text.count(fmt.answer_start) == 1, fmt.parse(text).answer is not None]
        answer = [body.count(mark) == 1 for mark in (fmt.answer_start, fmt.answer_end)]
        if fmt.boxed:  # a box in the working is working
            answer = [fmt.after_working(text).count(fmt.answer_start) == 1, fmt.parse(text).answer is not None]
        return [body.count(fmt.reasoning_end) == 1, *answer] + [False] * (fmt.reasoning_start in body)


@dataclass(frozen=True)
class exact_format(FormReward):
    """`reward` where the whole completion has the form, with nothing after its end, else 0.

    >>> from grpo_math.formats import get_format
    >>> xml = exact_format(get_format("xml"))
    >>> xml(["one</reasoning><answer>1</answer>", "one</reasoning><answer>1</answer> Bye!"])
    [1.0, 0.0]
    """

    reward: float = 1.0

    def pay(self, text: str) -> float:
        return self.reward * self.fmt.parse(text).exact


@dataclass(frozen=True)
class approximate_format(FormReward):
    """Of n marks, one that stands exactly once earns `reward` / n, any other costs `penalty` / n (None: as much as `reward`).

    The tag that opens the working belongs to the prompt: it earns nothing, and costs where it is repeated later on. For the
    boxed form the two marks are the box's opening and its closing brace.

    >>> from grpo_math.formats import get_format
    >>> marks = approximate_format(get_format("tags"), reward=3.0)
    >>> once = "<end_working_out><SOLUTION>1</SOLUTION>"
    >>> marks([once, "<SOLUTION>1</SOLUTION>", 9 * once])
    [3.0, 1.0, -3.0]
    """

    reward: float = 0.5
    penalty: float | None = None

    def bounds(self) -> tuple[float, float]:
        return -self._cost(), self.reward

    def pay(self, text: str) -> float:
        marks = self.marks(text)
        once = sum(marks) / len(marks)
        return self.reward * once - self._cost() * (1 - once)

    def _cost(self) -> float:
        return self.reward if self.penalty is None else self.penalty


@dataclass(frozen=True)
class strict_format(FormReward):
    """`reward` where the form is exact and each tag has a line to itself (the box: begins the last line), else 0.

    >>> from grpo_math.formats import get_format
    >>> lines = strict_format(get_format("xml"), reward=1.0)
    >>> lines(["one\\n</reasoning>\\n<answer>\\n1\\n</answer>\\n", "one</reasoning><answer>1</answer>"])
    [1.0, 0.0]
    """

    reward: float = 0.1

    def pay(self, text: str) -> float:
        if not self.fmt.parse(text).exact:  # so each tag stands once, and nothing follows a box
            return 0.0
        if self.fmt.boxed:
            return self.reward * text.rstrip().rpartition("\n")[2].lstrip().startswith(r"\boxed")
        for tag in self.tags():
            before, _, after = text.partition(tag)
            rest = after.lstrip(" \t\r")
            if not before.rstrip(" \t").endswith("\n") or (rest and not rest.startswith("\n")):
                return 0.0
        return self.reward


@dataclass(frozen=True)
class soft_format(FormReward):
    """`reward` for working and then one answer section, whatever stands between and after them, else 0.

    >>> from grpo_math.formats import get_format
    >>> soft = soft_format(get_format("xml"), reward=1.0)
    >>> soft(["one</reasoning> so <answer>1</answer> Bye!", "<answer>1</answer>one</reasoning>"])
    [1.0, 0.0]
    """

    reward: float = 0.1

    def pay(self, text: str) -> float:
        parsed = self.fmt.parse(text)
        return self.reward * (parsed.reasoning is not None and parsed.answer is not None)


@dataclass(frozen=True)
class xml_structure(FormReward):
    """The share of `reward` that is earned by marks that stand once and in order, less 0.001 for each character after the end.

    Never below 0. The marks are those of `approximate_format`, so the boxed form has them too.

    >>> from grpo_math.formats import get_format
    >>> structure = xml_structure(get_format("xml"), reward=0.375)
    >>> once = "one</reasoning><answer>1</answer>"
    >>> structure([once, once + "Bye!", once + once, "<answer>1</answer>"])
    [0.375, 0.371, 0.0, 0.25]
    """

    reward: float = 0.2

    def pay(self, text: str) -> float:
        marks = self.marks(text)
        places = [] if self.fmt.boxed else [text.find(tag) for tag, once in zip(self.tags(), marks, strict=False) if once]
        if places != sorted(places):
            return 0.0
        return max(0.0, self.reward * (sum(marks) / len(marks)) - TRAILING_COST * self._characters_after_end(text))

    def _characters_after_end(self, text: str) -> int:
        """Characters after the answer section, without the white space around them; 0 where the section does not end."""
        if not self.fmt.boxed:
            return len(text.partition(self.fmt.answer_end)[2].strip())
        parsed = self.fmt.parse(text)
        if parsed.answer is None:
            return 0
        behind = self.fmt.after_working(text) if self.fmt.reasoning_end else text.lstrip()[len(parsed.reasoning or "") :]
        box = behind.partition("\\boxed")[2].partition("{")[2]
        return len(box.lstrip()[len(parsed.answer) :].lstrip()[1:].strip())
