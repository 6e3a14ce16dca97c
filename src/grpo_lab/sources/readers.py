"""The readers: from a row of each public data set to its question, its gold answer and its worked solutions."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter

from grpo_lab.contamination import normalise
from grpo_math.answers import is_correct

_NO_ANSWER = frozenset({"proof", "notfound", "not found"})  # NuminaMath's marks, which OpenR1-Math may inherit
_ANNOTATION = re.compile(r"<<[^<>]*>>")  # GSM8K's calculator calls, such as <<48/2=24>>


@dataclass(frozen=True)
class Solution:
    """A worked solution: is it finished, and is its answer known to be the gold one?"""

    reasoning: str
    complete: bool = True
    verified: bool = True


@dataclass(frozen=True)
class Problem:
    """A row before the filters. `row` is its index in the data set; a gold answer that is missing is empty."""

    row: int
    id: str
    question: str
    answer: str
    solutions: tuple[Solution, ...] = ()

    @property
    def solution(self) -> Solution | None:
        """The first solution that is both complete and verified."""
        return next((s for s in self.solutions if s.complete and s.verified), None)


@dataclass(frozen=True)
class Reader:
    """How a data set's rows are read: the columns that they must have, and what makes an answer and solutions of them.

    `answer` and `solutions` raise ValueError, saying how, where a row is damaged. `solutions` is None where there are none.
    """

    question: str
    answer_columns: tuple[str, ...]
    answer: Callable[[dict], str | None]
    solution_columns: tuple[str, ...] = ()
    solutions: Callable[[dict], Iterable[Solution]] | None = None

    def columns(self, with_solutions: bool) -> list[str]:
        """The columns that are needed."""
        more = self.solution_columns if with_solutions else ()
        return list(dict.fromkeys((self.question, *self.answer_columns, *more)))

    def read(self, index: int, row: dict, with_solutions: bool) -> Problem:
        """The problem in a row. Raises ValueError where the row is damaged."""
        question, answer = row[self.question], self.answer(row)
        solutions = tuple(self.solutions(row)) if with_solutions else ()
        answer = "" if answer is None else str(answer).strip()
        return Problem(index, question_id(question), question.strip(), answer, solutions)


def question_id(question: str) -> str:
    """16 hexadecimal digits of the SHA-256 of the normalised question: one id for all its copies, everywhere."""
    return hashlib.sha256(normalise(question).encode()).hexdigest()[:16]


def _openr1_answer(row: dict) -> str | None:
    answer = row["answer"]
    return None if answer is None or answer.strip().lower() in _NO_ANSWER else answer


def _openr1_solutions(row: dict) -> Iterator[Solution]:
    texts = row["generations"] or []
    # A list may be missing as a whole: then nothing is known to be finished or verified, or no reason to stop was kept.
    complete = row["is_reasoning_complete"] or [False] * len(texts)
    verified = row["correctness_math_verify"] or [False] * len(texts)
    reasons = row["finish_reasons"] or ["stop"] * len(texts)
    if not len(texts) == len(complete) == len(verified) == len(reasons):
        raise ValueError("its generations and their flags differ in number")
    for text, is_complete, is_verified, reason in zip(texts, complete, verified, reasons):
        reasoning, _, closed = _split_thinking(text or "")
        yield Solution(reasoning, closed and bool(is_complete) and reason == "stop", bool(is_verified))


def _openmath_solutions(row: dict) -> list[Solution]:
    if not row["generated_solution"]:
        raise ValueError("`generated_solution` is empty")
    reasoning, conclusion, closed = _split_thinking(row["generated_solution"])
    # The data set has no flag for it, so the conclusion is graded as a completion would be.
    return [Solution(reasoning, closed, bool(is_correct(conclusion, row["expected_answer"] or "")))]


def _split_thinking(text: str) -> tuple[str, str, bool]:
    """The working inside `<think>`, what follows it, and whether it is closed and not empty."""
    working, close, conclusion = text.partition("</think>")
    working = working.strip().removeprefix("<think>").strip()
    return working, conclusion, bool(close and working)


def _dapo_answer(row: dict) -> str | None:
    return row["solution"] or (row["reward_model"] or {}).get("ground_truth")


def _gsm8k_answer(row: dict) -> str:
    return _split_gsm8k(row)[1]


def _gsm8k_solutions(row: dict) -> list[Solution]:
    return [Solution(_split_gsm8k(row)[0])]  # people wrote them: complete, and the gold answer is theirs


def _split_gsm8k(row: dict) -> tuple[str, str]:
    """The worked steps and the gold answer."""
    steps, mark, gold = (row["answer"] or "").rpartition("####")
    if not (mark and steps.strip() and gold.strip()):
        raise ValueError("`answer` is not worked steps, then #### and the gold answer")
    return _ANNOTATION.sub("", steps).strip(), gold.strip()


_OPENR1_SOLUTION = ("generations", "is_reasoning_complete", "correctness_math_verify", "finish_reasons")
READERS = {
    "openr1": Reader("problem", ("answer",), _openr1_answer, _OPENR1_SOLUTION, _openr1_solutions),
    "openmath": Reader(
        "problem", ("expected_answer",), itemgetter("expected_answer"), ("generated_solution",), _openmath_solutions
    ),
    "dapo": Reader("prompt", ("solution", "reward_model"), _dapo_answer),
    "gsm8k": Reader("question", ("answer",), _gsm8k_answer, ("answer",), _gsm8k_solutions),
    "math500": Reader("problem", ("answer",), itemgetter("answer")),
}
