"""Train and measure several seeds through the notebooks, and controls beside them, as `make seeds` does.

One training seed compares checkpoints; a claim about a method needs several. Odd seeds begin with a second base, which is
pretrained first where it is missing. The controls of a seed begin with the same base and never see GRPO: SFT that is told the
best way of working, and SFT on more of the same examples for as long as SFT and GRPO take together. And GRPO goes once more from
the seed's SFT adapter, with a reward for sound steps added.

Writes to `results/tiny-seeds/`: `items.csv`, what is measured, and for each seed `seed-<n>.json`, its verdicts as texts of 0
and 1 in the order of the items, with the recipe's hash and the commit. What is there is not made again, and a file of another
recipe stops the campaign, so it may be cut at any point and goes on.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from pages import write_blocks
from pretrain_tiny import Pretraining, pretrain
from run_notebooks import NAMES, execute

from grpo_lab import data, records, report, runs
from grpo_lab.recipes import TINY, Recipe, with_model

FOLDER = "tiny-seeds"
BASES = ("data/tiny-base", "results/tiny-base-1")  # of even and of odd seeds
SETS = {"test": "", "twins": "twins-", "transfer": "transfer-"}  # what is measured, and how the files of samples begin
# SFT that is told: the same number of examples, all in the way that GRPO has to find.
TOLD = replace(TINY.sft, ways=("place_by_place",))
# SFT for as long as SFT and GRPO take together on two quiet cores.
LONGER = replace(TINY.sft, examples=20_000)
CONTROLS = {"told": TOLD, "longer": LONGER}
STEPS = ("sound", "sound_steps")  # what GRPO pays for the second time


def recipe_hash(recipe: Recipe) -> str:
    """16 hexadecimal digits that change with any setting of the recipe or of its controls that is not its default.

    So a setting that is new, and off by default, leaves the seeds valid that were measured before it was there.
    """
    from grpo_lab.evaluation.plan import short_hash

    def settings(record) -> dict:  # which json asks for each record that it meets, however deep
        values = {field.name: (getattr(record, field.name), field.default) for field in fields(record)}
        return {name: value for name, (value, default) in values.items() if value != default}

    return short_hash(json.dumps([recipe, *CONTROLS.values()], sort_keys=True, default=settings).encode())


def open_seed(path: Path, seed: int, base: Path) -> dict:
    """What a seed's file holds so far; ValueError where it is of another recipe or another base."""
    weights = json.loads((base / "pretraining.json").read_text())["sha256"][:16]
    anew = {"seed": seed, "base": weights, "recipe": recipe_hash(TINY)}
    found = json.loads(path.read_text()) if path.is_file() else anew
    if {name: found[name] for name in anew} != anew:
        raise ValueError(f"{path} was measured with another recipe or base: delete results/{FOLDER}/ to measure all seeds anew.")
    return found


def train_notebooks(run: Path, seed: int, base: str) -> None:
    """Base, SFT and GRPO of one seed, trained and measured by the three notebooks."""
    if not report.has_part(run, "transfer-grpo"):
        execute(NAMES, run, {"RECIPE": "tiny", "RUN": run.name, "SEED": seed, "MODEL": base, "TRACKER": "none"})


def train_control(run: Path, name: str, seed: int, base: str) -> None:
    """A control of one seed: priming and an SFT of its own, then measured as the others are."""
    if report.has_part(run, f"transfer-{name}"):
        return
    backend = runs.choose_backend("auto", "cpu")  # first, because Unsloth patches TRL
    from trl import SFTTrainer

    from grpo_lab import models, training

    recipe = replace(with_model(TINY, base), sft=CONTROLS[name])
    model, tokenizer = models.load_base(recipe, runs.project_root(), backend)
    model = models.add_adapter(model, recipe.lora, backend, seed)
    clock = runs.StageClock(run, name)
    for stage, rows in (
        (recipe.priming, data.load_priming_examples(recipe, tokenizer)),
        (recipe.sft, data.load_sft_examples(recipe, seed, tokenizer)),
    ):
        trainer = SFTTrainer(
            model=model,
            args=training.sft_config(recipe, stage, run / name, seed),
            train_dataset=rows.select_columns(["prompt", "completion"]),
            processing_class=tokenizer,
            callbacks=[training.Progress()],
        )
        trainer.train()
    clock.save()
    measure_alone(model, tokenizer, recipe, run, name)


def train_steps(run: Path, seed: int, base: str) -> None:
    """GRPO of one seed with a reward for sound steps, from the SFT adapter, which notebook 01 trains where it is missing."""
    if report.has_part(run, "transfer-steps"):
        return
    backend = runs.choose_backend("auto", "cpu")  # first, because Unsloth patches TRL
    from trl import GRPOTrainer

    from grpo_lab import models, training
    from grpo_math.formats import get_format
    from grpo_math.rewards import reward_set

    if not (run / "sft" / "adapter").is_dir():
        parameters = {"RECIPE": "tiny", "RUN": run.name, "SEED": seed, "MODEL": base, "TRACKER": "none"}
        execute(NAMES[:1], run, parameters)
    recipe = replace(with_model(TINY, base), rewards=STEPS)
    model, tokenizer = models.load_base(recipe, runs.project_root(), backend)
    model = models.add_adapter(model, recipe.lora, backend, seed)
    models.fill_adapter(model, run / "sft" / "adapter")
    recorder = training.Recorder(reward_set(get_format(recipe.format), recipe.rewards), recipe, tokenizer)
    clock, wanted = runs.StageClock(run, "steps"), recipe.grpo.rollouts * recipe.grpo.prompts_per_rollout
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=recorder.functions,
        args=training.grpo_config(recipe, run / "steps", seed),
        train_dataset=data.load_problems(recipe, "grpo", wanted, seed, tokenizer),
        processing_class=tokenizer,
        callbacks=[recorder, training.Progress()],
    )
    training.train(trainer, run / "steps")
    clock.save()
    measure_alone(model, tokenizer, recipe, run, "steps")


def measure_alone(model, tokenizer, recipe: Recipe, run: Path, name: str) -> None:
    """What is measured of one checkpoint, but for samples at temperature."""
    from grpo_lab import evaluation

    rows = data.load_problems(recipe, "test", recipe.evaluation.problems)
    measured = replace(recipe, evaluation=replace(recipe.evaluation, sampled=0))
    evaluation.measure(model, tokenizer, measured, run, name, rows, data.load_twins(recipe), data.load_transfer(recipe))


def collect(run: Path, checkpoints: Sequence[str]) -> dict:
    """Of each set and checkpoint the flexible verdicts; of the test set also who made a false claim, and what was sampled."""
    found: dict = {kind: {} for kind in (*SETS, "false claims", "sampled")}
    for kind, prefix in SETS.items():
        for name in checkpoints:
            rows = report.samples_of(run, prefix + name)
            found[kind][name] = _digits(row["correct_flexible"] for row in rows)
            if kind == "test":
                found["false claims"][name] = _digits(row["false_claims"] > 0 for row in rows)
    for name in checkpoints:
        if report.has_part(run, f"sampled-{name}"):
            summary = report.summarise_sampled(report.samples_of(run, f"sampled-{name}"))
            found["sampled"][name] = {key: summary[key] for key in ("k", "items", "avg_at_k", "pass_at_k", "maj_at_k")}
    found["cpu_s"] = {row["stage"]: float(row["cpu_s"]) for row in runs.read_stages(run)}
    return found


def _digits(verdicts) -> str:
    return "".join(str(int(verdict)) for verdict in verdicts)


def write_items(path: Path, run: Path) -> None:
    """Which items the verdicts are of: set, id, stratum and source, in their order."""
    items = [
        {"set": kind, **{name: row[name] for name in ("id", "stratum", "source")}}
        for kind, prefix in SETS.items()
        for row in report.samples_of(run, f"{prefix}grpo")
    ]
    records.write_csv(path, items)


def measure_seed(seed: int) -> None:
    """Everything of one seed that is not there yet; its file is written after each part."""
    root, folder, base = runs.project_root(), runs.open_run(FOLDER), BASES[seed % 2]
    path, run = folder / f"seed-{seed}.json", runs.open_run("tiny" if seed == 0 else f"tiny-seed-{seed}")
    if not (root / base).is_dir():
        pretrain(Pretraining(seed=1), root / base)
    found = open_seed(path, seed, root / base)
    for checkpoints in (("base", "sft", "grpo"), *((name,) for name in (*CONTROLS, "steps"))):
        if checkpoints[-1] in found.get("test", {}):
            continue
        if checkpoints[-1] == "grpo":
            train_notebooks(run, seed, base)
        elif checkpoints[-1] == "steps":
            train_steps(run, seed, base)
        else:
            train_control(run, checkpoints[0], seed, base)
        for key, values in collect(run, checkpoints).items():
            found.setdefault(key, {}).update(values)
        found["commit"] = runs.describe_environment()["commit"]
        records.write_text(path, json.dumps(found, indent=1) + "\n")
        if not (folder / "items.csv").is_file():
            write_items(folder / "items.csv", run)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and measure several seeds, and controls beside them.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    for number, seed in enumerate(arguments.seeds, start=1):
        print(f"\n=== seed {seed} ({number} of {len(arguments.seeds)}) ===", flush=True)
        measure_seed(seed)
    tables = report.seeds_tables(runs.open_run(FOLDER))
    write_blocks(runs.project_root(), tables)
    print(*tables.values(), sep="\n")


if __name__ == "__main__":
    main()
