"""Problems in one schema: every row has `prompt` (messages), `answer`, `id` and `source`; SFT rows have a `completion` too.

The splits of the tiny world are disjoint by construction (`tiny.problems.split_of`); the functions here only draw from them.
"""

import itertools
import json
from pathlib import Path

from datasets import Dataset

from grpo_math.formats import get_format
from grpo_math.recipes import Recipe
from grpo_math.runs import project_root
from grpo_math.tiny.corpus import WAYS
from grpo_math.tiny.problems import Difficulty, Problem, generate

PRIMING_FILE = Path("data/priming.jsonl")

# The ways of working in the SFT examples, in parts of their sum. To find out which of them pays is GRPO's work.
SFT_WAYS = {"in_one_go": 3, "step_by_step": 5, "place_by_place": 3}


def user_turn(question: str) -> list[dict[str, str]]:
    """A conversation that asks the question."""
    return [{"role": "user", "content": question}]


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


def load_problems(recipe: Recipe, split: str, count: int, seed: int = 0) -> Dataset:
    """`count` rows to train on with GRPO (split "grpo") or to measure on ("dev", "test"). The held-out sets use seed 0."""
    return Dataset.from_list([_row(problem) for problem in draw_problems(recipe, split, count, seed)])


def load_sft_examples(recipe: Recipe, seed: int) -> Dataset:
    """Worked examples in the recipe's format, the ways of working mixed by SFT_WAYS in a fixed order."""
    ways = [way for way, parts in SFT_WAYS.items() for _ in range(parts)]
    rows = []
    for i, problem in enumerate(draw_problems(recipe, "sft", recipe.sft.examples, seed)):
        reasoning = WAYS[ways[i % len(ways)]](problem)
        rows.append({**_row(problem), "completion": _assistant_turn(recipe, reasoning, str(problem.answer))})
    return Dataset.from_list(rows)


def load_priming_examples(recipe: Recipe, path: Path | None = None) -> Dataset:
    """The curated examples that prime the format. ValueError names the line of a damaged row."""
    path = path or project_root() / PRIMING_FILE
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            example = json.loads(line)
            completion = _assistant_turn(recipe, example["reasoning"], example["answer"])
            rows.append(
                {
                    "prompt": user_turn(example["problem"]),
                    "answer": example["answer"],
                    "id": example["id"],
                    "source": "priming",
                    "completion": completion,
                }
            )
        except (json.JSONDecodeError, KeyError) as error:
            raise ValueError(
                f"{path}, line {number} is damaged ({error!r}). Restore it with `git checkout -- {path}`."
            ) from error
    return Dataset.from_list(rows)


def own_problem(question: str) -> Dataset:
    """A reader's own question as one row. It has no gold answer, so only the completion and what is extracted mean anything."""
    return Dataset.from_list([{"prompt": user_turn(question.strip()), "answer": "", "id": "own", "source": "own"}])
