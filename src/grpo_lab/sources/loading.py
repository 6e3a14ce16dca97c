"""The loading: a data set from the hub, the part of it that is wanted, its rows read and filtered."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from textwrap import shorten
from typing import Any

import httpx
from datasets import Dataset, config, load_dataset
from datasets.exceptions import DatasetGenerationError
from pyarrow import ArrowInvalid

from grpo_lab.recipes import Source
from grpo_lab.sources.filters import COUNT_TOKENS, FilterReport, Rendering, apply_filters, filter_names
from grpo_lab.sources.readers import READERS, Problem, Reader, question_id
from grpo_math.answers import UNANSWERABLE
from grpo_math.formats import ReasoningFormat
from grpo_math.unanswerable import make_twin

HELD_OUT_PERCENT = 5  # of the questions: 4,700 of OpenR1-Math's, of which the first 2,000 make a test set


def load_prompts(source: Source, tokenizer: Any = None) -> tuple[Dataset, FilterReport]:
    """Problems to train on with GRPO, without the held-out part: `prompt`, `answer`, `id`, `source`.

    `tokenizer` (with a chat template) is needed by the filters that count tokens. Raises ConnectionError where the hub cannot
    be reached, and ValueError, saying what is wrong, where and what to do, for anything else.
    """
    return _load(source, Rendering(source.path, tokenizer=tokenizer), held_out=False)


def load_examples(
    source: Source, fmt: ReasoningFormat, tokenizer: Any = None, max_length: int | None = None
) -> tuple[Dataset, FilterReport]:
    """Worked examples to imitate, as `load_prompts`, with a `completion` in the format `fmt`.

    The solution is the first that is complete and verified. `max_length` is the model's context in tokens, of which the filter
    "half the context" leaves prompt and completion together one half.
    """
    return _load(source, Rendering(source.path, fmt, tokenizer, max_length), held_out=False)


def load_held_out(source: Source, tokenizer: Any = None) -> tuple[Dataset, FilterReport]:
    """Problems to measure on, as `load_prompts`: a whole test split, or else the part held out of the source by the hash."""
    return _load(source, Rendering(source.path, tokenizer=tokenizer), held_out=True)


def is_held_out(question: str) -> bool:
    """Whether the question belongs to the held-out part of every source without a test split."""
    return _is_held_out(question_id(question))


def _is_held_out(identifier: str) -> bool:
    return int(identifier, 16) * 100 < HELD_OUT_PERCENT * 16**16


def load_twin_problems(source: Source, held_out: bool = True) -> tuple[Dataset, FilterReport]:
    """Unanswerable twins (see `twins`) of the problems of `load_held_out`, or of those to train on; the answer is UNANSWERABLE.

    ValueError where the data set holds no worked solutions: what a problem needs is read off its solution.
    """
    rendering = Rendering(source.path)
    problems, report = _problems(source, True, held_out)
    names = filter_names([name for name in source.filters if name not in COUNT_TOKENS], rendering)
    gradable = apply_filters(problems, names, rendering, report)
    step = report.step("has a twin")
    found = ((problem, _twin(problem)) for problem in gradable)
    twins = (twin for problem, twin in found if step.keeps(problem.row, None if twin else "no quantity can be taken from it"))
    return _finish(islice(twins, source.limit), source, rendering, report)


def _twin(problem: Problem) -> Problem | None:
    question = make_twin(problem.question, problem.solution.reasoning) if problem.solution else None
    return question and replace(problem, question=question, answer=UNANSWERABLE, id=f"{problem.id}-twin")


def _load(source: Source, rendering: Rendering, held_out: bool) -> tuple[Dataset, FilterReport]:
    with_solutions = rendering.fmt is not None
    names = filter_names(source.filters, rendering)
    problems, report = _problems(source, with_solutions, held_out)
    return _finish(islice(apply_filters(problems, names, rendering, report), source.limit), source, rendering, report)


def _problems(source: Source, with_solutions: bool, held_out: bool) -> tuple[Iterator[Problem], FilterReport]:
    """The problems of the wanted part, read one after another, and the report that their filters fill."""
    if source.split == "test" and not held_out:
        raise ValueError(f"{source.name} is a test split: measure on it with load_held_out, and train on another split.")
    reader = _reader(source, with_solutions)
    table = _select(_download(source), source, reader.columns(with_solutions))
    report = FilterReport(source.name, len(table), source.limit)
    chosen = _choose(table[reader.question], source, reader, held_out, report)
    return _read(table, chosen, source, reader, with_solutions), report


def _finish(
    passed: Iterable[Problem], source: Source, rendering: Rendering, report: FilterReport
) -> tuple[Dataset, FilterReport]:
    rows = [rendering.row(problem) for problem in passed]
    report.kept = len(rows)
    if not rows:
        raise ValueError(f"No row of {source.name} is left: loosen the source's filters or limit.\n{report.markdown()}")
    return Dataset.from_list(rows), report


def _reader(source: Source, with_solutions: bool) -> Reader:
    if source.rows not in READERS:
        raise ValueError(f"There is no reader {source.rows!r} for the rows of {source.path}; choose from: {', '.join(READERS)}.")
    if with_solutions and READERS[source.rows].solutions is None:
        raise ValueError(f"{source.path} holds no worked solutions to imitate or to make twins of: load it with load_prompts.")
    return READERS[source.rows]


def _download(source: Source) -> Dataset:
    """The data set from the hub, or from the cache of an earlier download."""
    try:
        return load_dataset(source.path, source.config, split=source.split)
    except (ConnectionError, httpx.HTTPError) as error:
        raise ConnectionError(
            f"{source.name} is not in the cache, and the hub at {config.HF_ENDPOINT} cannot be reached ({_brief(error)}). "
            "Check the network, HF_ENDPOINT and HF_HUB_OFFLINE and run again; the recipe `tiny` needs no network."
        ) from error
    except FileNotFoundError as error:
        raise ValueError(
            f"The hub at {config.HF_ENDPOINT} gave no data set {source.path!r} ({_brief(error)}). Check its id; where it is "
            "private or gated, log in with `hf auth login`."
        ) from error
    except (DatasetGenerationError, ArrowInvalid) as error:
        raise ValueError(
            f"A file of {source.name} is damaged or has no rows ({_brief(error.__cause__ or error)}). Delete it with "
            f"`hf cache rm dataset/{source.path}` and run again."
        ) from error
    except ValueError as error:
        raise ValueError(f"{source.name} does not exist: {_brief(error)}. Correct the source's path, config or split.") from error


def _brief(error: BaseException) -> str:
    """What an error says in its first two lines, as part of a sentence."""
    return " ".join(str(error).splitlines()[:2]).rstrip(".") or type(error).__name__


def _select(table: Dataset, source: Source, columns: list[str]) -> Dataset:
    """Only these columns. Raises ValueError where one is missing, or where there are no rows."""
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise ValueError(
            f"{source.name} has no column {', '.join(map(repr, missing))}, only {', '.join(table.column_names)}. "
            f"Check that {source.rows!r} is the reader for this data set."
        )
    if len(table) == 0:
        raise ValueError(f"{source.name} has no rows. Choose another split.")
    return table.select_columns(columns)


def _choose(questions: Iterable[str | None], source: Source, reader: Reader, held_out: bool, report: FilterReport) -> list[int]:
    """The rows of the wanted part, one for each question, in the order of their ids."""
    part, unique = report.step("not held out" if held_out else "held out"), report.step("duplicates")
    rows: dict[str, int] = {}
    for row, question in enumerate(questions):
        if not isinstance(question, str) or not question.strip():
            raise _damaged(source, row, f"`{reader.question}` is empty")
        identifier = question_id(question)
        elsewhere = source.split != "test" and _is_held_out(identifier) != held_out
        if part.keeps(row, shorten(question, 60, placeholder=" ...") if elsewhere else None):
            first = rows.setdefault(identifier, row)
            unique.keeps(row, None if first == row else f"the question of row {first}")
    return [row for _, row in sorted(rows.items())]


def _read(table: Dataset, rows: list[int], source: Source, reader: Reader, with_solutions: bool) -> Iterator[Problem]:
    for row in rows:
        try:
            problem = reader.read(row, table[row], with_solutions)
        except ValueError as error:
            raise _damaged(source, row, str(error)) from error
        yield problem


def _damaged(source: Source, row: int, how: str) -> ValueError:
    cache = Path(config.HF_DATASETS_CACHE) / source.path.replace("/", "___")
    return ValueError(
        f"Row {row} of {source.name} is damaged: {how}. Check that {source.rows!r} is the reader for this data set; if it is, "
        f"delete {cache} and load it afresh."
    )
