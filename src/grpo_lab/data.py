"""What a recipe trains and is measured on, in one schema: rows have `prompt` (messages), `answer`, `id` and `source`, and for
SFT a `completion` too. Where the rows come from, and what was left out, stands in the data set's `info.description`.

The splits of the tiny world are disjoint by construction (`tiny.problems.split_of`), those of public data by a hash of the
question (`sources`); the functions here only draw from them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from math import floor
from pathlib import Path
from typing import Any

from datasets import Dataset, concatenate_datasets

from grpo_lab.contamination import Contamination, contamination_report
from grpo_lab.own_data import digest, read_splits
from grpo_lab.recipes import Recipe, Sft, Source
from grpo_lab.records import DISCORDANT
from grpo_lab.runs import project_root
from grpo_lab.sources import (
    assistant_turn,
    is_held_out,
    load_examples,
    load_held_out,
    load_prompts,
    load_twin_problems,
    make_row,
    question_id,
)
from grpo_lab.tiny.corpus import WAYS, documents
from grpo_lab.tiny.problems import Difficulty, Problem, generate
from grpo_math.answers import UNANSWERABLE
from grpo_math.formats import get_format
from grpo_math.stats import minimum_detectable_effect
from grpo_math.unanswerable import make_twin

OWN_HELD_OUT = 20  # percent of your own questions
FEWEST_HELD_OUT = 20
PRIMING_FILE = Path("data/priming.jsonl")

# What an example says where a quantity is missing: it asks back, in words that the tiny base has read.
REFUSAL = ("How many?", "How many?")


def with_data(recipe: Recipe, data: str, columns: Mapping[str, str] | None = None) -> Recipe:
    """The recipe on your own problems (see `own_data.read_splits`); "" leaves it as it is. Says how they are split.

    Measured is on the data's own test part, or on half of what is held out of it: OWN_HELD_OUT percent of the questions, by a
    hash; the other half is for dev. SFT takes the worked solutions, where there are some. What only the tiny world has, twins and
    problems for transfer, is left out. ValueError where less than FEWEST_HELD_OUT problems could be held out.
    """
    if not data:
        return recipe
    chosen = tuple(sorted((columns or {}).items()))
    splits = read_splits(data, chosen)
    train = Source(data, "own", held_out=OWN_HELD_OUT, columns=chosen, digest=digest(data), any_gold=bool(recipe.checker))
    ids = {question_id(row["question"]) for row in splits["train"]}
    held_out = sum(is_held_out(identifier, OWN_HELD_OUT) for identifier in ids)
    measured = len({question_id(row["question"]) for row in splits["test"]}) if "test" in splits else (held_out + 1) // 2
    if "test" not in splits and held_out < FEWEST_HELD_OUT:
        raise ValueError(
            f"{data} has {len(ids):,} different problems: {OWN_HELD_OUT} % of them, {held_out}, are too few to measure on. Give "
            "a test part: a folder with train.csv and test.csv, or a data set with a split named test."
        )
    measured = min(measured, recipe.evaluation.problems)
    shown = minimum_detectable_effect(measured, DISCORDANT) if measured > 1 else 1
    dev = held_out if "test" in splits else held_out - measured
    where = "of its test part" if "test" in splits else "held out"
    print(
        f"{data}: {len(ids) - held_out:,} problems to train on, {dev:,} for dev, {measured:,} {where} to measure on: "
        f"they can show a difference of {100 * shown:.0f} points or more."
    )

    plan, most = recipe.grpo, min(recipe.grpo.prompts_per_rollout, len(ids) - held_out)
    shares = plan.updates_per_rollout * (plan.micro_batch or 1)
    prompts = next((n for n in range(most, 0, -1) if n * plan.num_generations % shares == 0), most)
    if prompts < plan.prompts_per_rollout:
        print(f"prompts_per_rollout {plan.prompts_per_rollout} → {prompts}, because there are no more problems to train on.")

    sft, solved = recipe.sft, {question_id(row["question"]) for row in splits["train"] if row["solution"]}
    solved = sum(not is_held_out(identifier, OWN_HELD_OUT) for identifier in solved)
    if sft and solved < sft.batch_size:
        print(f"{solved:,} of them have a worked solution, and a batch of SFT takes {sft.batch_size}: that stage is left out.")
        sft = None
    return replace(
        recipe,
        sft=sft and replace(sft, source=replace(train, filters=("fits the context",)), unanswerable=0.0),
        grpo=replace(plan, source=train, prompts_per_rollout=prompts),
        evaluation=replace(
            recipe.evaluation, source=replace(train, split="test") if "test" in splits else None, twins=0, transfer=0
        ),
    )


def load_problems(recipe: Recipe, split: str, count: int, seed: int = 0, tokenizer: Any = None) -> Dataset:
    """`count` rows to train on with GRPO (split "grpo") or to measure on ("dev", "test"). The held-out sets use seed 0.

    tokenizer: for split "grpo" of public and own problems, whose prompts must leave the completion its room. Raises as
    `sources.load_prompts`, and ValueError for fewer prompts than one rollout needs.
    """
    plan, test_source = recipe.grpo, recipe.evaluation.source

    # The tiny world.
    if plan.source is None:
        share = plan.unanswerable if split == "grpo" else 0.0
        rows = [row for _, row in _draw_with_twins(recipe, split, count, seed, share)]
        return _described(rows, f"{count:,} problems of the tiny world, split {split}{_twins_among(rows)}.")

    # Public prompts to train on: the last of them make room for the unanswerable ones.
    if split == "grpo":
        room = recipe.max_length - plan.max_completion_length if tokenizer else None
        prompts, report = load_prompts(replace(plan.source, limit=count), tokenizer, room)
        if len(prompts) < plan.prompts_per_rollout:
            raise ValueError(
                f"{len(prompts)} prompts are left of {plan.source.path}, and one rollout needs prompts_per_rollout = "
                f"{plan.prompts_per_rollout}: lower that, or loosen the filters."
            )
        unanswerable = floor(len(prompts) * plan.unanswerable)
        if not unanswerable:
            return _described(prompts, report.markdown())
        twins, among = load_twin_problems(replace(plan.source, limit=unanswerable), held_out=False)
        prompts = concatenate_datasets([prompts.select(range(len(prompts) - len(twins))), twins])
        replaced = f"The last {len(twins):,} are replaced by twins that lack a quantity. {among.markdown()}"
        return _described(prompts, f"{report.markdown()}\n\n{replaced}")

    # Public problems to measure on: the test set is the recipe's own or the first of the held-out ones, dev are the others.
    if split == "test" and test_source:
        held_out, report = load_held_out(test_source)
    else:
        held_out, report = load_held_out(replace(plan.source, filters=()))
        tested = 0 if test_source else min(recipe.evaluation.problems, (len(held_out) + 1) // 2)
        held_out = held_out.select(range(tested) if split == "test" else range(tested, len(held_out)))
    return _described(held_out.select(range(min(count, len(held_out)))), report.markdown())


def load_twins(recipe: Recipe) -> Dataset | None:
    """The unanswerable twins of the recipe's test problems, as many as it measures; None where it measures none.

    Of public data only sets with worked solutions have twins: what is needed is read off the solution.
    """
    count = recipe.evaluation.twins
    if not count:
        return None
    if recipe.grpo.source is None:
        rows = _test_twins(recipe)
        return _described(rows, f"{len(rows):,} of the test problems without a quantity that they need.")
    twins, report = load_twin_problems(replace(recipe.evaluation.source or recipe.grpo.source, filters=(), limit=count))
    return _described(twins, report.markdown())


def load_transfer(recipe: Recipe) -> Dataset | None:
    """Problems of the tiny world unlike those that SFT and GRPO train on; `stratum` says in which way.

    The question before the story (the first test problems, told so); one and two steps more than the most; stories of unseen
    families: of these the base has read nothing either. And twice the largest number, of which it has read the lower part.
    None where the recipe measures none.
    """
    count = recipe.evaluation.transfer
    if not count:
        return None
    usual, most = Difficulty(recipe.max_number, recipe.problem_steps), max(recipe.problem_steps)
    kinds = {
        "question first": replace(usual, question_first=True),
        f"numbers to {2 * recipe.max_number}": replace(usual, max_number=2 * recipe.max_number),
        f"{most + 1} or {most + 2} steps": replace(usual, steps=(most + 1, most + 2)),
        "unseen story": replace(usual, unseen=True),
    }
    rows = []
    for kind, difficulty in kinds.items():
        for problem in islice(generate("test", 0, difficulty), count):
            named = f"{kind}: {problem.family}" if difficulty.unseen else kind
            rows.append(_row(problem) | {"id": f"{problem.id}-{kind.replace(' ', '-')}", "stratum": named})
    return _described(rows, f"{len(rows):,} problems unlike those that SFT and GRPO train on.")


def load_sft_examples(recipe: Recipe, seed: int, tokenizer: Any = None) -> Dataset | None:
    """Worked examples in the recipe's format; None where the recipe has no such stage.

    In the tiny world the stage's `ways` of working follow each other in a fixed order. Public solutions are complete and
    verified.
    """
    stage, fmt = recipe.sft, get_format(recipe.format)
    if stage is None:
        return None
    if stage.source:
        return _public_examples(recipe, stage, tokenizer)
    rows = []
    for i, (problem, row) in enumerate(_draw_with_twins(recipe, "sft", stage.examples, seed, stage.unanswerable)):
        worked = WAYS[stage.ways[i % len(stage.ways)]](problem), str(problem.answer)
        reasoning, answer = REFUSAL if row["answer"] == UNANSWERABLE else worked
        rows.append(row | {"completion": assistant_turn(fmt, reasoning, answer)})
    return _described(rows, f"{len(rows):,} worked examples of the tiny world{_twins_among(rows)}.")


def load_priming_examples(recipe: Recipe, tokenizer: Any = None) -> Dataset:
    """The examples that prime the format: the curated ones of PRIMING_FILE, or those of the recipe's source.

    ValueError names the line of a damaged row.
    """
    stage, fmt = recipe.priming, get_format(recipe.format)
    if stage.source:
        return _public_examples(recipe, stage, tokenizer)
    path = project_root() / PRIMING_FILE
    rows = []
    for number, line in enumerate(path.read_text().splitlines()[: stage.examples], start=1):
        try:
            example = json.loads(line)
            row = make_row(example["problem"], example["answer"], example["id"], "priming")
            rows.append(row | {"completion": assistant_turn(fmt, example["reasoning"], example["answer"])})
        except (json.JSONDecodeError, KeyError) as error:
            raise ValueError(
                f"{path}, line {number} is damaged ({error!r}). Restore it with `git checkout -- {path}`."
            ) from error
    return _described(rows, f"{len(rows)} curated examples, written and checked by hand.")


def _public_examples(recipe: Recipe, stage: Sft, tokenizer: Any) -> Dataset:
    """The stage's examples from its source. Fewer than it asks for is said; ValueError for fewer than a batch."""
    fmt, source = get_format(recipe.format), replace(stage.source, limit=stage.examples)
    examples, report = load_examples(source, fmt, tokenizer, recipe.max_length)
    short = f"{len(examples):,} of the {stage.examples:,} examples asked for are left of {source.name}"
    if len(examples) < stage.batch_size:
        raise ValueError(f"{short}, less than one batch of {stage.batch_size}: loosen its filters.\n{report.markdown()}")
    if len(examples) < stage.examples:
        print(f"{short}: the stage is so much shorter.")
    return _described(examples, report.markdown())


def check_contamination(recipe: Recipe, *training: Dataset | None, save: Path | None = None) -> Contamination:
    """Compare the questions that a stage trains on with those of the recipe's test set (`contamination_report`).

    Reads the questions of the test set and nothing else of it. save: a JSON file for the ids of the test problems that were
    found, without which notebook 03 gives the accuracy as well.
    """
    test = load_problems(recipe, "test", recipe.evaluation.problems)
    found = contamination_report((question for rows in training if rows for question in _questions(rows)), _questions(test))
    if save:
        counts = {measure: len(matches) for measure, matches in found.matches.items()}
        save.write_text(json.dumps({"measures": counts, "flagged": [test["id"][i] for i in found.flagged]}) + "\n")
    return found


def check_base_corpus(recipe: Recipe) -> Contamination | None:
    """The same check against the problems that the tiny base has read; None for a base whose corpus is not known here."""
    record = project_root() / recipe.base_model / "pretraining.json"
    if not record.is_file():
        return None
    plan = json.loads(record.read_text())["plan"]
    read = islice(documents(plan["seed"], plan["arithmetic"]), plan["documents"])
    questions = (text.partition("\n")[0].removeprefix("Problem: ") for text in read if text.startswith("Problem: "))
    return contamination_report(questions, _questions(load_problems(recipe, "test", recipe.evaluation.problems)))


def _questions(rows: Dataset) -> list[str]:
    return [messages[-1]["content"] for messages in rows["prompt"]]


def own_problem(question: str) -> Dataset:
    """A reader's own question as one row. It has no gold answer, so only the completion and what is extracted mean anything."""
    return Dataset.from_list([make_row(question.strip(), "", "own", "own")])


def _draw(recipe: Recipe, split: str, count: int, seed: int) -> list[Problem]:
    """The first problems of a split of the tiny world at the recipe's difficulty."""
    return list(islice(generate(split, seed, Difficulty(recipe.max_number, recipe.problem_steps)), count))


def _draw_with_twins(recipe: Recipe, split: str, count: int, seed: int, share: float) -> Iterator[tuple[Problem, dict]]:
    """Each problem with its row; of every 1 / share problems the last that has a twin is replaced by it.

    Problems that differ in one number have the same twin, so one that is measured is not trained on.
    """
    measured = {row["prompt"][-1]["content"] for row in _test_twins(recipe)} if share else set()
    made = 0
    for number, problem in enumerate(_draw(recipe, split, count, seed), start=1):
        twin = _twin_row(problem) if made < floor(number * share) else None
        if twin and twin["prompt"][-1]["content"] not in measured:
            made += 1
            yield problem, twin
        else:
            yield problem, _row(problem)


def _row(problem: Problem) -> dict:
    """A problem of the tiny world as a row; its stratum is the number of its steps."""
    row = make_row(problem.question, str(problem.answer), problem.id, f"tiny/{problem.family}")
    return row | {"stratum": f"{len(problem.steps)} steps"}


def _test_twins(recipe: Recipe) -> list[dict]:
    """Those of the first test problems of the tiny world."""
    problems = _draw(recipe, "test", 2 * recipe.evaluation.twins, seed=0)
    return list(islice(filter(None, map(_twin_row, problems)), recipe.evaluation.twins))


def _twin_row(problem: Problem) -> dict | None:
    """The problem without a quantity that it needs; None where none can be taken."""
    question = make_twin(problem.question, WAYS["step_by_step"](problem))
    if question is None:
        return None
    return _row(problem) | make_row(question, UNANSWERABLE, f"{problem.id}-twin", f"tiny/{problem.family}")


def _twins_among(rows: Sequence[dict]) -> str:
    twins = sum(row["answer"] == UNANSWERABLE for row in rows)
    return f", {twins:,} of them without a quantity that they need" if twins else ""


def _described(rows: Dataset | list[dict], description: str) -> Dataset:
    rows = Dataset.from_list(rows) if isinstance(rows, list) else rows
    rows.info.description = description
    return rows
