"""Public data sets in the schema of `data`: rows have `prompt` (messages), `answer`, `id`, `source`; SFT rows a `completion`.

A `Source` names a data set on the hub, who reads its rows and what is left out of them. Every loader returns the rows with a
report of what each filter dropped. Rows come in the order of their ids, a hash of the question: a fixed shuffle, so that the
first n of them are a fair sample, the same on every machine.

The held-out part of a source without a test split is decided by that hash alone. So a question held out of one data set is
held out of all of them, in any layout that `contamination.normalise` sees through, and whatever the filters are.

>>> Source("openai/gsm8k", "gsm8k", config="main").name
'openai/gsm8k (config main, split train)'

Rows are read and filtered one after another, not by `Dataset.filter`, which reads them all: with a limit of 1,000, most of
OpenR1-Math's 94,000 problems with their long traces need never be read.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from operator import attrgetter
from textwrap import shorten
from typing import Any, NamedTuple

from datasets import Dataset

from grpo_lab.contamination import normalise
from grpo_lab.own_data import ANNOTATION, download, read_splits
from grpo_lab.recipes import Source
from grpo_math.answers import UNANSWERABLE, as_number, is_correct
from grpo_math.formats import ReasoningFormat, user_turn
from grpo_math.rewards import ungradable
from grpo_math.unanswerable import make_twin

PROMPT_QUANTILE = 0.9  # "prompt length" drops the prompts that are longer than this quantile

_NO_ANSWER = frozenset({"proof", "notfound", "not found"})  # NuminaMath's marks, which OpenR1-Math may inherit


@dataclass(frozen=True)
class Solution:
    """A worked solution: is it finished, and is its answer known to be the gold one?"""

    reasoning: str
    complete: bool = True
    verified: bool = True


@dataclass(frozen=True)
class Problem:
    """A row before the filters. `row` is its index in the data set.

    answer: the gold answer, a list where there are alternatives; one that is missing is empty.
    """

    row: int
    id: str
    question: str
    answer: str | list[str] = ""
    solutions: tuple[Solution, ...] = ()

    @property
    def first_answer(self) -> str:
        """The gold answer, of alternatives the first."""
        return self.answer if isinstance(self.answer, str) else self.answer[0]

    @property
    def solution(self) -> Solution | None:
        """The first solution that is both complete and verified."""
        return next((s for s in self.solutions if s.complete and s.verified), None)


def question_id(question: str) -> str:
    """16 hexadecimal digits of the SHA-256 of the normalised question: one id for all its copies, everywhere."""
    return hashlib.sha256(normalise(question).encode()).hexdigest()[:16]


def is_held_out(identifier: str, percent: int) -> bool:
    """Whether the question with this id belongs to the held-out part of every source that holds out so many percent."""
    return int(identifier, 16) * 100 < percent * 16**16


def make_row(question: str, answer: str | list[str], identifier: str, source: str) -> dict:
    """A row in the package's schema."""
    return {"prompt": user_turn(question), "answer": answer, "id": identifier, "source": source}


def assistant_turn(fmt: ReasoningFormat, reasoning: str, answer: str) -> list[dict[str, str]]:
    """A row's `completion`: the worked solution in the format, closed with the answer."""
    return [{"role": "assistant", "content": fmt.render_target(reasoning, answer)}]


# 1. The readers: from a row of each data set to its gold answer and its worked solutions.


class Reader(NamedTuple):
    """How a data set's rows are read: the column of the question, the others that it needs, and what makes an answer of them.

    read: a row's gold answer, None where there is none that can be told, and its worked solutions, where it has some.
    """

    question: str
    columns: tuple[str, ...]
    read: Callable[[dict], tuple[str | None, list[Solution]]]


def _read_openr1(row: dict) -> tuple[str | None, list[Solution]]:
    answer = None if (row["answer"] or "").strip().lower() in _NO_ANSWER else row["answer"]
    texts = row["generations"] or []
    # A list may be missing as a whole: then nothing is known to be finished or verified, or no reason to stop was kept.
    complete = row["is_reasoning_complete"] or [False] * len(texts)
    verified = row["correctness_math_verify"] or [False] * len(texts)
    reasons = row["finish_reasons"] or ["stop"] * len(texts)
    if len({len(texts), len(complete), len(verified), len(reasons)}) > 1:
        return answer, []  # which mark is whose is not known
    solutions = []
    for text, is_complete, is_verified, reason in zip(texts, complete, verified, reasons):
        reasoning, _, closed = _split_thinking(text)
        solutions.append(Solution(reasoning, closed and bool(is_complete) and reason == "stop", bool(is_verified)))
    return answer, solutions


def _read_openmath(row: dict) -> tuple[str | None, list[Solution]]:
    reasoning, conclusion, closed = _split_thinking(row["generated_solution"])
    # The data set has no flag for it, so the conclusion is graded as a completion would be.
    return row["expected_answer"], [Solution(reasoning, closed, bool(is_correct(conclusion, row["expected_answer"] or "")))]


def _split_thinking(text: str | None) -> tuple[str, str, bool]:
    """The working inside `<think>`, what follows it, and whether it is closed and not empty."""
    working, close, conclusion = (text or "").partition("</think>")
    working = working.strip().removeprefix("<think>").strip()
    return working, conclusion, bool(close and working)


def _read_dapo(row: dict) -> tuple[str | None, list[Solution]]:
    return row["solution"] or (row["reward_model"] or {}).get("ground_truth"), []


def _read_gsm8k(row: dict) -> tuple[str | None, list[Solution]]:
    steps, mark, gold = (row["answer"] or "").rpartition("####")
    steps = ANNOTATION.sub("", steps).strip()
    return gold if mark else None, [Solution(steps, complete=bool(steps))]  # people wrote them: the gold answer is theirs


def _read_math500(row: dict) -> tuple[str | None, list[Solution]]:
    return row["answer"], []


def _read_own(row: dict) -> tuple[str | list[str] | None, list[Solution]]:
    golds = row["answer"]
    solutions = [Solution(row["solution"], complete=True)] if row["solution"] else []  # yours, so taken to be right
    return golds[0] if len(golds) == 1 else golds, solutions


_OPENR1 = ("answer", "generations", "is_reasoning_complete", "correctness_math_verify", "finish_reasons")
READERS = {
    "openr1": Reader("problem", _OPENR1, _read_openr1),
    "openmath": Reader("problem", ("expected_answer", "generated_solution"), _read_openmath),
    "dapo": Reader("prompt", ("solution", "reward_model"), _read_dapo),
    "gsm8k": Reader("question", ("answer",), _read_gsm8k),
    "math500": Reader("problem", ("answer",), _read_math500),
    "own": Reader("question", ("answer", "solution"), _read_own),
}


# 2. The filters: each gives the reason why a problem is dropped, or None; the report counts what they did.


@dataclass(frozen=True)
class Rendering:
    """How the model meets a problem: with a worked solution where there is a format. max_length: its context in tokens."""

    fmt: ReasoningFormat | None = None
    tokenizer: Any = None
    max_length: int | None = None

    def completion(self, problem: Problem) -> list[dict[str, str]]:
        """The problem's first complete and verified solution in the format, closed with the gold answer."""
        return assistant_turn(self.fmt, problem.solution.reasoning, problem.first_answer)

    def tokens(self, messages: list[dict[str, str]]) -> int:
        """The length of a prompt as the model is asked, or of a whole conversation, in tokens."""
        asks = messages[-1]["role"] == "user"
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=asks)
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def _gradable_gold(_: Rendering, problem: Problem) -> str | None:
    return f"the gold answer {problem.answer!r}" if ungradable([problem.answer]) else None


def _complete_generations(_: Rendering, problem: Problem) -> str | None:
    return None if any(s.complete for s in problem.solutions) else f"none of {len(problem.solutions)} is finished"


def _verified_solutions(_: Rendering, problem: Problem) -> str | None:
    return None if problem.solution else f"none of {sum(s.complete for s in problem.solutions)} finished is verified"


def _exact_form(rendering: Rendering, problem: Problem) -> str | None:
    parsed = rendering.fmt.parse(rendering.completion(problem)[0]["content"])
    return None if parsed.exact and parsed.answer == problem.first_answer else "its working holds a mark of the format"


def _half(wanted: int, _: Rendering, problem: Problem) -> str | None:
    """Questions in two halves by the last digit of their id, so that two stages of one source share none."""
    return None if int(problem.id[-1], 16) % 2 == wanted else "belongs to the other stage"


def _numeric_answers(_: Rendering, problem: Problem) -> str | None:
    return f"the answer {problem.answer!r}" if as_number(problem.answer) is None else None


def _fits_the_context(rendering: Rendering, problem: Problem) -> str | None:
    tokens = rendering.tokens(user_turn(problem.question) + rendering.completion(problem))
    return f"{tokens:,} tokens" if tokens > rendering.max_length else None


def _fits_beside_the_completion(rendering: Rendering, problem: Problem) -> str | None:
    tokens = rendering.tokens(user_turn(problem.question))
    return f"{tokens:,} tokens" if tokens > rendering.max_length else None


FILTERS: dict[str, Callable[[Rendering, Problem], str | None] | None] = {
    "gradable gold": _gradable_gold,  # always applied
    "complete generations": _complete_generations,
    "verified solutions": _verified_solutions,
    "exact form": _exact_form,
    "SFT's half": partial(_half, 0),
    "GRPO's half": partial(_half, 1),
    "numeric answers": _numeric_answers,
    "fits the context": _fits_the_context,
    "fits beside the completion": _fits_beside_the_completion,  # applied to prompts where their room is known
    "prompt length": None,  # looks at all rows: _drop_longest
}
# Always applied to worked solutions: what is cut off or wrong is never imitated.
FOR_SFT = ("complete generations", "verified solutions", "exact form")
# What some filters must know of the rendering.
NEEDED = {"exact form": ("fmt",), "fits the context": ("fmt", "tokenizer", "max_length"), "prompt length": ("tokenizer",)}


@dataclass
class FilterReport:
    """From all rows of a source to those that were kept. With a limit, rows are read only until it is reached.

    For each filter, in the order of their work: how many rows it dropped, how many passed it, and the first dropped row with the
    reason.
    """

    source: str
    rows: int
    limit: int | None = None
    kept: int = 0
    dropped: Counter = field(default_factory=Counter)
    left: Counter = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def drop(self, name: str, reason: Callable[[Problem], str | None], problems: Iterable[Problem]) -> Iterator[Problem]:
        """The problems for which there is no reason to drop them, each read only when it is asked for; all are counted."""
        self.dropped[name] = self.left[name] = 0

        def passes(problem: Problem) -> bool:
            why = reason(problem)
            (self.left if why is None else self.dropped)[name] += 1
            if why is not None:
                self.examples.setdefault(name, f"row {problem.row}: {why}")
            return why is None

        return filter(passes, problems)

    def markdown(self) -> str:
        """A table with a line for each filter, in the order of their work."""
        end = ", which is the limit: later rows were not read" if self.kept == self.limit else ""
        lines = [f"{self.source}: {self.rows:,} rows, {self.kept:,} kept{end}.", ""]
        lines += ["| filter | rows dropped | rows left | example |", "|---|---:|---:|---|"]
        for name, dropped in self.dropped.items():
            example = " ".join(self.examples.get(name, "").replace("|", r"\|").split())  # ends no cell and no line of the table
            lines.append(f"| {name} | {dropped:,} | {self.left[name]:,} | {example} |")
        return "\n".join(lines)


def _drop_longest(problems: Iterable[Problem], rendering: Rendering, report: FilterReport) -> list[Problem]:
    """Drop the prompts above the quantile by nearest rank: the least length that at least such a share does not exceed."""
    problems = list(problems)
    tokens = {problem.id: rendering.tokens(user_turn(problem.question)) for problem in problems}
    most = sorted(tokens.values())[math.ceil(PROMPT_QUANTILE * len(tokens)) - 1] if tokens else 0
    name = f"prompt length (at most {most:,} tokens, the {PROMPT_QUANTILE} quantile)"
    return list(report.drop(name, lambda p: f"{tokens[p.id]:,} tokens" if tokens[p.id] > most else None, problems))


# 3. The loading: a data set from the hub, the part of it that is wanted, its rows read and filtered.


def load_prompts(source: Source, tokenizer: Any = None, room: int | None = None) -> tuple[Dataset, FilterReport]:
    """Problems to train on with GRPO, without the held-out part: `prompt`, `answer`, `id`, `source`.

    tokenizer (with a chat template): needed by the filters that count tokens. room: what the completion leaves of the context, in
    tokens; longer prompts are dropped. Raises ConnectionError where the hub cannot be reached, and ValueError, saying what is
    wrong, where and what to do, for anything else.
    """
    return _load(source, Rendering(tokenizer=tokenizer, max_length=room), held_out=False)


def load_examples(
    source: Source, fmt: ReasoningFormat, tokenizer: Any = None, max_length: int | None = None
) -> tuple[Dataset, FilterReport]:
    """Worked examples to imitate, as `load_prompts`, with a `completion` in the format `fmt`.

    The solution is the first that is complete and verified. `max_length`: the model's context in tokens, which prompt and
    completion together may fill by the filter "fits the context".
    """
    return _load(source, Rendering(fmt, tokenizer, max_length), held_out=False)


def load_held_out(source: Source) -> tuple[Dataset, FilterReport]:
    """Problems to measure on, as `load_prompts`: a whole test split, or else the part held out of the source by the hash."""
    return _load(source, Rendering(), held_out=True)


def load_twin_problems(source: Source, held_out: bool = True) -> tuple[Dataset, FilterReport]:
    """Unanswerable twins (`make_twin`) of the problems of `load_held_out`, or of those to train on; the answer is UNANSWERABLE.

    The filters that count tokens are left out. What a problem needs is read off its worked solution: a data set without any has
    no twins.
    """
    filters = tuple(name for name in source.filters if name not in NEEDED)
    return _load(replace(source, filters=filters), Rendering(), held_out, twins=True)


def _load(source: Source, rendering: Rendering, held_out: bool, twins: bool = False) -> tuple[Dataset, FilterReport]:
    # What is wrong with the source is said before anything is downloaded.
    if source.split == "test" and not held_out:
        raise ValueError(f"{source.name} is a test split: measure on it with load_held_out, and train on another split.")
    for name, known in ((source.rows, READERS), *((name, FILTERS) for name in source.filters)):
        if name not in known:
            raise ValueError(f"{source.name} asks for {name!r}, which is none of: {', '.join(known)}.")
        if lacking := [what for what in NEEDED.get(name, ()) if getattr(rendering, what) is None]:
            raise ValueError(f"The filter {name!r} of {source.name} needs {', '.join(lacking)}: pass them to load_examples.")

    # The wanted part, each question once, in the order of their ids; only questions are read yet.
    def is_elsewhere(problem: Problem) -> str | None:
        elsewhere = source.split != "test" and is_held_out(problem.id, source.held_out) != held_out
        return shorten(problem.question, 60, placeholder=" ...") if elsewhere else None

    def is_a_copy(problem: Problem) -> str | None:
        first = first_rows.setdefault(problem.id, problem.row)
        return None if first == problem.row else f"the question of row {first}"

    reader, table, first_rows = READERS[source.rows], _table(source), {}
    report = FilterReport(source.name, len(table), source.limit)
    questions = [(question or "").strip() for question in table[reader.question]]
    if "" in questions:
        raise ValueError(f"Row {questions.index('')} of {source.name} has no question: is {source.rows!r} the reader for it?")
    problems = (Problem(row, question_id(question), question) for row, question in enumerate(questions))
    problems = report.drop("not held out" if held_out else "held out", is_elsewhere, problems)
    problems = sorted(report.drop("duplicates", is_a_copy, problems), key=attrgetter("id"))

    # Answers and solutions are read, and each filter takes its problems from the one before.
    def read(problem: Problem) -> Problem:
        answer, solutions = reader.read(table[problem.row])
        answer = answer.strip() if isinstance(answer, str) else answer or ""
        return replace(problem, answer=answer, solutions=tuple(solutions))

    problems = map(read, problems)
    names = () if source.any_gold else ("gradable gold",)
    names += FOR_SFT if rendering.fmt else ("fits beside the completion",) if rendering.max_length else ()
    for name in dict.fromkeys((*names, *source.filters)):
        if name == "prompt length":
            problems = _drop_longest(problems, rendering, report)
        else:
            problems = report.drop(name, partial(FILTERS[name], rendering), problems)
    if twins:
        problems = map(_twin, problems)
        problems = report.drop("has a twin", lambda p: None if p.question else "no quantity can be taken from it", problems)

    rows = []
    for problem in islice(problems, source.limit):
        row = make_row(problem.question, problem.answer, problem.id, source.path)
        rows.append(row | {"completion": rendering.completion(problem)} if rendering.fmt else row)
    report.kept = len(rows)
    if any(isinstance(row["answer"], list) for row in rows):  # then all are: a column has one type
        rows = [row | {"answer": [row["answer"]] if isinstance(row["answer"], str) else row["answer"]} for row in rows]
    if not rows:
        raise ValueError(f"No row of {source.name} is left: loosen the source's filters or limit.\n{report.markdown()}")
    return Dataset.from_list(rows), report


def _table(source: Source) -> Dataset:
    """The columns of the data set that its reader needs."""
    if source.rows == "own":
        return Dataset.from_list(read_splits(source.path, source.columns)[source.split])
    reader = READERS[source.rows]
    return download(source.path, source.config, source.split, source.name).select_columns([reader.question, *reader.columns])


def _twin(problem: Problem) -> Problem:
    """The problem without a quantity that it needs; its question is empty where none can be taken."""
    question = make_twin(problem.question, problem.solution.reasoning) if problem.solution else None
    return replace(problem, question=question or "", answer=UNANSWERABLE, id=f"{problem.id}-twin")
