"""The filters: each says why a problem is dropped, or None; the report counts what they did."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from grpo_lab.sources.readers import Problem
from grpo_math.answers import as_number
from grpo_math.formats import ReasoningFormat, user_turn
from grpo_math.rewards import ungradable

PROMPT_QUANTILE = 0.9  # "prompt length" drops the prompts that are longer than this quantile


@dataclass(frozen=True)
class Rendering:
    """How problems become rows: with a worked solution where there is a format. Lengths are in the tokenizer's tokens."""

    source: str
    fmt: ReasoningFormat | None = None
    tokenizer: Any = None
    max_length: int | None = None

    def row(self, problem: Problem) -> dict:
        """The row in the package's schema."""
        row = {"prompt": user_turn(problem.question), "answer": problem.answer, "id": problem.id, "source": self.source}
        if self.fmt is not None:
            row["completion"] = [{"role": "assistant", "content": self.completion(problem)}]
        return row

    def completion(self, problem: Problem) -> str:
        """The worked solution in the format, closed with the gold answer."""
        return self.fmt.render_target(problem.solution.reasoning, problem.answer)

    def prompt_tokens(self, problem: Problem) -> int:
        """The length of the prompt as the model is asked."""
        return self._count(self.row(problem)["prompt"], add_generation_prompt=True)

    def example_tokens(self, problem: Problem) -> int:
        """The length of prompt and completion together."""
        row = self.row(problem)
        return self._count(row["prompt"] + row["completion"], add_generation_prompt=False)

    def _count(self, messages: list[dict], add_generation_prompt: bool) -> int:
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def _gradable_gold(problem: Problem, _: Rendering) -> str | None:
    return f"the gold answer {problem.answer!r}" if ungradable([problem.answer]) else None


def _complete_generations(problem: Problem, _: Rendering) -> str | None:
    return None if any(s.complete for s in problem.solutions) else f"none of {len(problem.solutions)} is finished"


def _verified_solutions(problem: Problem, _: Rendering) -> str | None:
    return None if problem.solution else f"none of {sum(s.complete for s in problem.solutions)} finished is verified"


def _exact_form(problem: Problem, rendering: Rendering) -> str | None:
    parsed = rendering.fmt.parse(rendering.completion(problem))
    return None if parsed.exact and parsed.answer == problem.answer else "its working holds a mark of the format"


def _numeric_answers(problem: Problem, _: Rendering) -> str | None:
    return f"the answer {problem.answer!r}" if as_number(problem.answer) is None else None


def _half_the_context(problem: Problem, rendering: Rendering) -> str | None:
    tokens = rendering.example_tokens(problem)
    return f"{tokens:,} tokens" if 2 * tokens > rendering.max_length else None


Filter = Callable[[Problem, Rendering], str | None]
ALWAYS: dict[str, Filter] = {"gradable gold": _gradable_gold}
FOR_SFT: dict[str, Filter] = {  # always applied to worked solutions: what is cut off or wrong is never imitated
    "complete generations": _complete_generations,
    "verified solutions": _verified_solutions,
    "exact form": _exact_form,
}


def _half(wanted: int) -> Filter:
    """Questions in two halves by the last digit of their id, so that two stages of one source share none."""
    return lambda problem, _: None if int(problem.id[-1], 16) % 2 == wanted else "belongs to the other stage"


HALF_THE_CONTEXT, PROMPT_LENGTH = COUNT_TOKENS = "half the context", "prompt length"
CHOSEN: dict[str, Filter | None] = {
    "SFT's half": _half(0),
    "GRPO's half": _half(1),
    "numeric answers": _numeric_answers,
    HALF_THE_CONTEXT: _half_the_context,
    PROMPT_LENGTH: None,  # looks at all rows: _drop_longest
}
FILTERS = ALWAYS | FOR_SFT | CHOSEN


@dataclass
class FilterStep:
    """What one filter did: rows dropped, rows left after it, and the first dropped row with the reason."""

    name: str
    dropped: int = 0
    left: int = 0
    example: str = ""

    def keeps(self, row: int, reason: str | None) -> bool:
        """Count a row, which is dropped where there is a reason. Returns whether it is kept."""
        if reason is None:
            self.left += 1
        else:
            self.dropped += 1
            self.example = self.example or f"row {row}: {reason}"
        return reason is None


@dataclass
class FilterReport:
    """From all rows of a source to those that were kept. With a limit, rows are read only until it is reached."""

    source: str
    rows: int
    limit: int | None = None
    kept: int = 0
    steps: list[FilterStep] = field(default_factory=list)

    def step(self, name: str) -> FilterStep:
        """A new last step."""
        self.steps.append(FilterStep(name))
        return self.steps[-1]

    def markdown(self) -> str:
        """A table with a line for each filter, in the order of their work."""
        end = ", which is the limit: later rows were not read" if self.kept == self.limit else ""
        lines = [f"{self.source}: {self.rows:,} rows, {self.kept:,} kept{end}.", ""]
        lines += ["| filter | rows dropped | rows left | example |", "|---|---:|---:|---|"]
        lines += [f"| {s.name} | {s.dropped:,} | {s.left:,} | {_cell(s.example)} |" for s in self.steps]
        return "\n".join(lines)


def _cell(text: str) -> str:
    """A text that cannot end a cell or a line of a Markdown table."""
    return " ".join(text.replace("|", r"\|").split())


def filter_names(chosen: Sequence[str], rendering: Rendering) -> list[str]:
    """All filters that apply, in the order of their work. ValueError for one that is unknown, or that lacks what it needs."""
    for name in chosen:
        if name not in FILTERS:
            raise ValueError(f"There is no filter {name!r}; choose from: {', '.join(FILTERS)}.")
        if rendering.fmt is None and name in (*FOR_SFT, HALF_THE_CONTEXT):
            raise ValueError(f"The filter {name!r} looks at worked solutions: use it with load_examples only.")
        if rendering.tokenizer is None and name in COUNT_TOKENS:
            raise ValueError(f"The filter {name!r} counts tokens: pass the tokenizer, with its chat template.")
        if rendering.max_length is None and name == HALF_THE_CONTEXT:
            raise ValueError(f"The filter {name!r} needs to know the context: pass max_length, in tokens.")
    return list(dict.fromkeys((*ALWAYS, *(FOR_SFT if rendering.fmt else ()), *chosen)))


def apply_filters(
    problems: Iterable[Problem], names: Sequence[str], rendering: Rendering, report: FilterReport
) -> Iterable[Problem]:
    """The problems that pass the filters, each read only when it is asked for; the report fills as they pass."""
    for name in names:
        if name == PROMPT_LENGTH:
            problems = _drop_longest(problems, rendering, report)
        else:
            problems = _sieve(problems, FILTERS[name], rendering, report.step(name))
    return problems


def _sieve(problems: Iterable[Problem], reason: Filter, rendering: Rendering, step: FilterStep) -> Iterator[Problem]:
    for problem in problems:
        if step.keeps(problem.row, reason(problem, rendering)):
            yield problem


def _drop_longest(problems: Iterable[Problem], rendering: Rendering, report: FilterReport) -> list[Problem]:
    """Drop the prompts above the quantile by nearest rank: the least length that at least such a share does not exceed."""
    measured = [(problem, rendering.prompt_tokens(problem)) for problem in problems]
    lengths = sorted(tokens for _, tokens in measured)
    most = lengths[math.ceil(PROMPT_QUANTILE * len(lengths)) - 1] if lengths else 0
    step = report.step(f"{PROMPT_LENGTH} (at most {most:,} tokens, the {PROMPT_QUANTILE} quantile)")
    return [p for p, tokens in measured if step.keeps(p.row, f"{tokens:,} tokens" if tokens > most else None)]
