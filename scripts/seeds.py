"""Train and measure several seeds through the notebooks, as `make seeds` does, each twice: GRPO as it is, and with unanswerable
prompts mixed in. One training seed is a comparison of checkpoints; a claim about the method needs several.

Writes to `results/tiny-seeds/`, and the README's tables from there:
`verdicts.csv`: a row a held-out problem, a 0/1 column a checkpoint (flexible extraction) and one for the form after GRPO;
`verdicts-mix.csv`: GRPO beside GRPO with the mix; `refusals.csv`: a row an unanswerable twin, 1 where it was refused.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from readme import update_readme
from run_notebooks import NAMES, execute

from grpo_lab import report, runs

UNANSWERABLE = 0.1  # the share of GRPO's prompts in the mix
MIX = "mix"  # its columns, beside "sft" and "grpo"
SHARED = ("sft", "sft_config.json", "eval_plan.json", "stages.csv")  # what a mix takes over from the plain run of its seed


def fork(run: Path, name: str) -> Path:
    """A run of this name that begins with what another has after SFT: its adapter, its plan, and its samples up to there."""
    forked = runs.open_run(name)
    for part in SHARED:
        copy = shutil.copytree if (run / part).is_dir() else shutil.copy2
        copy(run / part, forked / part, **({"dirs_exist_ok": True} if (run / part).is_dir() else {}))
    (forked / "samples").mkdir(exist_ok=True)
    for path in (run / "samples").glob("*.jsonl"):
        if not path.stem.endswith("grpo"):
            shutil.copy2(path, forked / "samples")
    return forked


def measure_seed(seed: int, name: str, first: str) -> None:
    """Everything of one seed; what is there already is not made again, nor are the base's samples, which run `first` holds."""
    parameters = {"RECIPE": "tiny", "RUN": name, "SEED": seed}
    run = runs.open_run(name)
    if not report.has_part(run, "grpo"):
        if name != first:
            (run / "samples").mkdir(exist_ok=True)
            for path in (runs.open_run(first) / "samples").glob("*base*.jsonl"):
                shutil.copy2(path, run / "samples")
        execute(NAMES, run, parameters)
    mix = runs.open_run(f"{name}-{MIX}")
    if not report.has_part(mix, "grpo"):
        fork(run, mix.name)
        execute(NAMES[1:2], mix, parameters | {"RUN": mix.name, "UNANSWERABLE": UNANSWERABLE})
        execute(NAMES[2:], mix, parameters | {"RUN": mix.name})


def collect(names: dict[int, str], checkpoints: Sequence[str] = ("base", "sft", "grpo"), prefix: str = "") -> pd.DataFrame:
    """Verdicts of the runs, given as {seed: run name}: `id`, `base`, then a column `<checkpoint>-<seed>` each.

    checkpoints: "mix" is GRPO with unanswerable prompts; with "grpo" comes `form-<seed>`, whether the completion had the form.
    prefix: "twins-" for the unanswerable twins, where a verdict is 1 for a refusal.
    """
    root, columns = runs.project_root() / "results", {}
    for seed, name in names.items():
        for checkpoint in checkpoints:
            run, part = (f"{name}-{MIX}", "grpo") if checkpoint == MIX else (name, checkpoint)
            samples = report.samples_of(root / run, prefix + part)
            ids = [sample["id"] for sample in samples]
            if columns and ids != columns["id"]:
                raise ValueError(f"Run {run!r} was measured on other items than the runs before it: evaluate it again.")
            columns.setdefault("id", ids)
            columns["base" if part == "base" else f"{checkpoint}-{seed}"] = [int(s["correct_flexible"]) for s in samples]
        if "grpo" in checkpoints and not prefix:
            columns[f"form-{seed}"] = [int(s["formatted"]) for s in report.samples_of(root / name, "grpo")]
    return pd.DataFrame(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and measure several seeds, with and without unanswerable prompts.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    names = {seed: "tiny" if seed == 0 else f"tiny-seed-{seed}" for seed in arguments.seeds}  # seed 0 is the reference run
    for number, (seed, name) in enumerate(names.items(), start=1):
        print(f"\n=== seed {seed} ({number} of {len(names)}), results/{name} ===", flush=True)
        measure_seed(seed, name, first=names[arguments.seeds[0]])
    folder, readme = runs.open_run("tiny-seeds"), runs.project_root() / "README.md"
    collect(names).to_csv(folder / "verdicts.csv", index=False)
    collect(names, ["grpo", MIX]).to_csv(folder / "verdicts-mix.csv", index=False)
    collect(names, ["base", "sft", "grpo", MIX], prefix="twins-").to_csv(folder / "refusals.csv", index=False)
    update_readme(readme, "seeds", report.seeds_markdown(folder / "verdicts.csv"))
    update_readme(readme, "refusals", report.refusals_markdown(folder))
    print(report.seeds_markdown(folder / "verdicts.csv"), report.refusals_markdown(folder), sep="\n")


if __name__ == "__main__":
    main()
