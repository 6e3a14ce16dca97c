"""Reward functions for TRL's GRPOTrainer: light to import, picklable, safe in threads and workers.

Each factory returns `f(completions, answer=None, **kwargs) -> list[float | None]`. Completions are
strings or message lists; `answer` is the data set's column of gold answers. Correct means what
`answers` says, as in the evaluation. By `reward_set`, a completion that is judged correct always
earns more than one that is not.

>>> from grpo_math.formats import get_format
>>> completions = ["6 * 7 = 42<end_working_out><SOLUTION>42</SOLUTION>", "It is 42."]
>>> [[f.__name__, *f(completions, answer=["42", "42"])] for f in reward_set(get_format("tags"))]
[['correctness', 3.0, 0.0], ['exact_format', 1.0, 0.0], ['approximate_format', 0.5, -0.5]]
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grpo_math.answers import extract_answer, is_equivalent
from grpo_math.formats import ReasoningFormat

Completion = str | Sequence[dict]
Golds = Sequence[str | None]
RewardFunction = Callable[..., list[float | None]]


def correctness(fmt: ReasoningFormat, reward: float = 3.0, flexible: bool = False) -> RewardFunction:
    r"""`reward` for an answer equal to the gold, else 0; None where the gold cannot be graded.

    The answer must stand in the required form unless `flexible`. Logs the columns `extracted` and
    `gold` through TRL's `log_extra`. The function raises ValueError where no golds are given.

    >>> from grpo_math.formats import get_format
    >>> half = correctness(get_format("boxed"))
    >>> half(["A half: \\boxed{0.5}", "A half."], answer=["1/2", "1/2"])
    [3.0, 0.0]
    """
    return _Correctness(fmt, reward, flexible)


def exact_format(fmt: ReasoningFormat, reward: float = 1.0) -> RewardFunction:
    """`reward` where the whole completion has the form, else 0.

    >>> from grpo_math.formats import get_format
    >>> xml = exact_format(get_format("xml"))
    >>> xml(["one</reasoning><answer>1</answer>", "one</reasoning><answer>1</answer> Bye!"])
    [1.0, 0.0]
    """
    return _ExactFormat(fmt, reward)


def approximate_format(fmt: ReasoningFormat, reward: float = 0.5) -> RewardFunction:
    """From -`reward` to `reward`: a mark that stands exactly once counts for, any other against.

    The tag that opens the working belongs to the prompt: it earns nothing, and costs where it is
    repeated later on. For the boxed form the two marks are the box's opening and its closing brace.

    >>> from grpo_math.formats import get_format
    >>> marks = approximate_format(get_format("tags"), reward=3.0)
    >>> once = "<end_working_out><SOLUTION>1</SOLUTION>"
    >>> marks([once, "<SOLUTION>1</SOLUTION>", 9 * once])
    [3.0, 1.0, -3.0]
    """
    return _ApproximateFormat(fmt, reward)


def reward_set(fmt: ReasoningFormat) -> list[RewardFunction]:
    """The three rewards with weights under which no wrong answer earns what a correct one does.

    A correct answer earns 3 and loses at most 0.5; a wrong one in perfect form earns 1.5.
    """
    return [correctness(fmt), exact_format(fmt), approximate_format(fmt)]


def _text(completion: Completion) -> str:
    """A completion's text: the string itself, or the content of the last message."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if completion else ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in content or [] if isinstance(part, dict))


# Small classes rather than closures or partials: they pickle, and TRL shows their `__name__`.


@dataclass(frozen=True)
class _Correctness:
    fmt: ReasoningFormat
    reward: float
    flexible: bool
    __name__ = "correctness"

    def __call__(
        self,
        completions: Sequence[Completion],
        answer: Golds | None = None,
        log_extra: Callable[[str, list], None] | None = None,
        **kwargs,
    ) -> list[float | None]:
        if answer is None:
            raise ValueError("The correctness reward needs gold answers: give the data set a column named 'answer'.")
        golds = ["" if gold is None else str(gold) for gold in answer]
        strict = not self.flexible
        found = [extract_answer(_text(c), self.fmt, strict) or "" for c in completions]
        if log_extra:
            log_extra("extracted", found)
            log_extra("gold", golds)
        verdicts = [is_equivalent(given, gold) for given, gold in zip(found, golds, strict=True)]
        return [None if verdict is None else self.reward * verdict for verdict in verdicts]


@dataclass(frozen=True)
class _ExactFormat:
    fmt: ReasoningFormat
    reward: float
    __name__ = "exact_format"

    def __call__(self, completions: Sequence[Completion], answer: Golds | None = None, **kwargs) -> list[float | None]:
        return [self.reward * self.fmt.parse(_text(c)).exact for c in completions]


@dataclass(frozen=True)
class _ApproximateFormat:
    fmt: ReasoningFormat
    reward: float
    __name__ = "approximate_format"

    def __call__(self, completions: Sequence[Completion], answer: Golds | None = None, **kwargs) -> list[float | None]:
        return [self.reward * self._share(_text(c)) for c in completions]

    def _share(self, text: str) -> float:
        fmt = self.fmt
        if fmt.boxed:
            marks = [text.count(fmt.answer_start) == 1, fmt.parse(text).answer is not None]
        else:
            body = text.removeprefix(fmt.reasoning_start)
            asked = (fmt.reasoning_end, fmt.answer_start, fmt.answer_end)
            marks = [body.count(tag) == 1 for tag in asked]
            marks += [False] * (fmt.reasoning_start in body)
        return (2 * sum(marks) - len(marks)) / len(marks)
