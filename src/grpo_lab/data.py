"""What a recipe trains and is measured on, in one schema: rows have `prompt` (messages), `answer`, `id` and `source`, and for
SFT a `completion` too. Where the rows come from, and what was left out, stands in the data set's `info.description`.

The splits of the tiny world are disjoint by construction (`tiny.problems.split_of`), those of public data by a hash of the
question (`sources`); the functions here only draw from them.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import floor
from pathlib import Path
from typing import Any

from datasets import Dataset, concatenate_datasets

from grpo_lab.contamination import Contamination, contamination_report
from grpo_lab.recipes import Grpo, Recipe
from grpo_lab.runs import project_root
from grpo_lab.sources import load_examples, load_held_out, load_prompts, load_twin_problems
from grpo_lab.sources.filters import FilterReport
from grpo_lab.tiny.corpus import WAYS
from grpo_lab.tiny.problems import Difficulty, Problem, generate
from grpo_math.answers import UNANSWERABLE
from grpo_math.formats import get_format, user_turn
from grpo_math.unanswerable import make_twin

PRIMING_FILE = Path("data/priming.jsonl")

# What an example says where a quantity is missing: it asks back, in words that the tiny base has read.
REFUSAL = ("How many?", "How many?")

# The ways of working in the SFT examples, in parts of their sum. To find out which of them pays is GRPO's work.
SFT_WAYS = {"in_one_go": 3, "step_by_step": 5, "place_by_place": 3}


def _row(problem: Problem) -> dict:
    return {
        "prompt": user_turn(problem.question),
        "answer": str(problem.answer),
        "id": problem.id,
        "source": f"tiny/{problem.family}",
    }


def _twin_row(problem: Problem) -> dict | None:
    """The problem without a quantity that it needs; None where none can be taken."""
    question = make_twin(problem.question, WAYS["step_by_step"](problem))
    twin = {"prompt": user_turn(question), "answer": UNANSWERABLE, "id": f"{problem.id}-twin"}
    return question and {**_row(problem), **twin}


def _with_twins(problems: Sequence[Problem], recipe: Recipe, share: float) -> Iterator[tuple[Problem, dict]]:
    """Each problem with its row; of every 1 / share problems the last that has a twin is replaced by it.

    Problems that differ in one number have the same twin, so one that is measured is not trained on.
    """
    measured = {row["prompt"][-1]["content"] for row in _test_twins(recipe)} if share else set()
    made = 0
    for count, problem in enumerate(problems, start=1):
        twin = _twin_row(problem) if made < floor(count * share) else None
        twin = twin if twin and twin["prompt"][-1]["content"] not in measured else None
        made += twin is not None
        yield problem, twin or _row(problem)


def _test_twins(recipe: Recipe) -> list[dict]:
    """Those of the first test problems of the tiny world."""
    problems = draw_problems(recipe, "test", 2 * recipe.evaluation.twins)
    return list(itertools.islice(filter(None, map(_twin_row, problems)), recipe.evaluation.twins))


def _assistant_turn(recipe: Recipe, reasoning: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": get_format(recipe.format).render_target(reasoning, answer)}]


def draw_problems(recipe: Recipe, split: str, count: int, seed: int = 0) -> list[Problem]:
    """The first `count` problems of a split of the tiny world at the recipe's difficulty."""
    return list(itertools.islice(generate(split, seed, Difficulty(recipe.max_number, recipe.problem_steps)), count))


def load_problems(recipe: Recipe, split: str, count: int, seed: int = 0, tokenizer: Any = None) -> Dataset:
    """`count` rows to train on with GRPO (split "grpo") or to measure on ("dev", "test"). The held-out sets use seed 0.

    tokenizer: needed for split "grpo" where the source has a filter that counts tokens. Raises as `sources.load_prompts`.
    """
    if recipe.grpo.source is None:
        share = recipe.grpo.unanswerable if split == "grpo" else 0.0
        rows = [row for _, row in _with_twins(draw_problems(recipe, split, count, seed), recipe, share)]
        return _described(Dataset.from_list(rows), f"{count:,} problems of the tiny world, split {split}{_twins_among(rows)}.")
    if split == "grpo":
        return _load_pool(recipe.grpo, count, tokenizer)
    return _load_measured(recipe, split, count)


def _load_pool(plan: Grpo, count: int, tokenizer: Any) -> Dataset:
    """Public prompts for GRPO; the last of them make room for the unanswerable ones."""
    rows, report = load_prompts(replace(plan.source, limit=count), tokenizer)
    unanswerable = floor(len(rows) * plan.unanswerable)
    if not unanswerable:
        return _described(rows, report)
    twins, among = load_twin_problems(replace(plan.source, limit=unanswerable), held_out=False)
    rows = concatenate_datasets([rows.select(range(len(rows) - len(twins))), twins])
    return _described(
        rows, f"{report.markdown()}\n\nThe last {len(twins):,} are replaced by twins that lack a quantity. {among.markdown()}"
    )


def load_twins(recipe: Recipe) -> Dataset | None:
    """The unanswerable twins of the recipe's test problems, as many as it measures; None where it measures none.

    Of public data only sets with worked solutions have twins: what is needed is read off the solution.
    """
    count, own = recipe.evaluation.twins, recipe.evaluation.source
    if not count:
        return None
    if recipe.grpo.source is None:
        rows = _test_twins(recipe)
        return _described(Dataset.from_list(rows), f"{len(rows):,} of the test problems without a quantity that they need.")
    return _described(*load_twin_problems(replace(own or recipe.grpo.source, filters=(), limit=count)))


def _load_measured(recipe: Recipe, split: str, count: int) -> Dataset:
    """The test set is the recipe's own, or the first of the held-out problems; dev are the others of these."""
    own = recipe.evaluation.source
    if split == "test" and own:
        rows, report = load_held_out(own)
    else:
        rows, report = load_held_out(replace(recipe.grpo.source, filters=()))
        tested = 0 if own else min(recipe.evaluation.problems, (len(rows) + 1) // 2)
        rows = rows.select(range(tested) if split == "test" else range(tested, len(rows)))
    return _described(rows.select(range(min(count, len(rows)))), report)


def _described(rows: Dataset, report: FilterReport | str) -> Dataset:
    rows.info.description = report if isinstance(report, str) else report.markdown()
    return rows


def load_sft_examples(recipe: Recipe, seed: int, tokenizer: Any = None) -> Dataset | None:
    """Worked examples in the recipe's format; None where the recipe has no such stage.

    In the tiny world the ways of working are mixed by SFT_WAYS in a fixed order. Public solutions are complete and verified.
    """
    if recipe.sft is None:
        return None
    if recipe.sft.source:
        source = replace(recipe.sft.source, limit=recipe.sft.examples)
        return _described(*load_examples(source, get_format(recipe.format), tokenizer, recipe.max_length))
    ways = [way for way, parts in SFT_WAYS.items() for _ in range(parts)]
    rows = []
    problems = draw_problems(recipe, "sft", recipe.sft.examples, seed)
    for i, (problem, row) in enumerate(_with_twins(problems, recipe, recipe.sft.unanswerable)):
        worked = WAYS[ways[i % len(ways)]](problem), str(problem.answer)
        reasoning, answer = REFUSAL if row["answer"] == UNANSWERABLE else worked
        rows.append({**row, "completion": _assistant_turn(recipe, reasoning, answer)})
    return _described(Dataset.from_list(rows), f"{len(rows):,} worked examples of the tiny world{_twins_among(rows)}.")


def _twins_among(rows: Sequence[dict]) -> str:
    twins = sum(row["answer"] == UNANSWERABLE for row in rows)
    return f", {twins:,} of them without a quantity that they need" if twins else ""


def load_priming_examples(recipe: Recipe, tokenizer: Any = None, path: Path | None = None) -> Dataset:
    """The examples that prime the format: the curated ones at `path`, or those of the recipe's source.

    ValueError names the line of a damaged row.
    """
    if recipe.priming.source:
        source = replace(recipe.priming.source, limit=recipe.priming.examples)
        return _described(*load_examples(source, get_format(recipe.format), tokenizer, recipe.max_length))
    path = path or project_root() / PRIMING_FILE
    rows = [_curated(recipe, path, number, line) for number, line in enumerate(path.read_text().splitlines(), start=1)]
    rows = rows[: recipe.priming.examples]
    return _described(Dataset.from_list(rows), f"{len(rows)} curated examples, written and checked by hand.")


def _curated(recipe: Recipe, path: Path, number: int, line: str) -> dict:
    try:
        example = json.loads(line)
        completion = _assistant_turn(recipe, example["reasoning"], example["answer"])
        return {
            "prompt": user_turn(example["problem"]),
            "answer": example["answer"],
            "id": example["id"],
            "source": "priming",
            "completion": completion,
        }
    except (json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"{path}, line {number} is damaged ({error!r}). Restore it with `git checkout -- {path}`.") from error


def check_contamination(recipe: Recipe, *training: Dataset | None, save: Path | None = None) -> Contamination:
    """Compare the questions that a stage trains on with those of the recipe's test set (`contamination_report`).

    Reads the questions of the test set and nothing else of it. save: a JSON file for the ids of the test problems that were
    found, without which notebook 03 gives the accuracy as well.
    """
    questions = [messages[-1]["content"] for rows in training if rows for messages in rows["prompt"]]
    test = load_problems(recipe, "test", recipe.evaluation.problems)
    found = contamination_report(questions, [messages[-1]["content"] for messages in test["prompt"]])
    if save:
        save.write_text(json.dumps({"flagged": [test["id"][i] for i in found.flagged]}) + "\n")
    return found


def own_problem(question: str) -> Dataset:
    """A reader's own question as one row. It has no gold answer, so only the completion and what is extracted mean anything."""
    return Dataset.from_list([{"prompt": user_turn(question.strip()), "answer": "", "id": "own", "source": "own"}])
