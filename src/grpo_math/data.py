"""What a recipe trains and is measured on, in one schema: rows have `prompt` (messages), `answer`, `id` and `source`, and for
SFT a `completion` too. Where the rows come from, and what was left out, stands in the data set's `info.description`.

The splits of the tiny world are disjoint by construction (`tiny.problems.split_of`), those of public data by a hash of the
question (`sources`); the functions here only draw from them.
"""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset

from grpo_math.contamination import Contamination, contamination_report
from grpo_math.formats import get_format, user_turn
from grpo_math.recipes import Recipe
from grpo_math.runs import project_root
from grpo_math.sources import load_examples, load_held_out, load_prompts
from grpo_math.sources.filters import FilterReport
from grpo_math.tiny.corpus import WAYS
from grpo_math.tiny.problems import Difficulty, Problem, generate

PRIMING_FILE = Path("data/priming.jsonl")

# The ways of working in the SFT examples, in parts of their sum. To find out which of them pays is GRPO's work.
SFT_WAYS = {"in_one_go": 3, "step_by_step": 5, "place_by_place": 3}


def _row(problem: Problem) -> dict:
    return {
        "prompt": user_turn(problem.question),
        "answer": str(problem.answer),
        "id": problem.id,
        "source": f"tiny/{problem.family}",
    }


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
        rows = Dataset.from_list([_row(problem) for problem in draw_problems(recipe, split, count, seed)])
        return _described(rows, f"{count:,} problems of the tiny world, split {split}.")
    if split == "grpo":
        return _described(*load_prompts(replace(recipe.grpo.source, limit=count), tokenizer))
    return _load_measured(recipe, split, count)


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
    for i, problem in enumerate(draw_problems(recipe, "sft", recipe.sft.examples, seed)):
        reasoning = WAYS[ways[i % len(ways)]](problem)
        rows.append({**_row(problem), "completion": _assistant_turn(recipe, reasoning, str(problem.answer))})
    return _described(Dataset.from_list(rows), f"{len(rows):,} worked examples of the tiny world.")


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


def check_contamination(recipe: Recipe, *training: Dataset | None) -> Contamination:
    """Compare the questions that a stage trains on with those of the recipe's test set (`contamination_report`).

    Reads the questions of the test set and nothing else of it.
    """
    questions = [messages[-1]["content"] for rows in training if rows for messages in rows["prompt"]]
    test = load_problems(recipe, "test", recipe.evaluation.problems)
    return contamination_report(questions, [messages[-1]["content"] for messages in test["prompt"]])


def own_problem(question: str) -> Dataset:
    """A reader's own question as one row. It has no gold answer, so only the completion and what is extracted mean anything."""
    return Dataset.from_list([{"prompt": user_turn(question.strip()), "answer": "", "id": "own", "source": "own"}])
