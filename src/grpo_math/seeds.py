"""Train and evaluate several seeds through the notebooks, as `make seeds` does, and write down who solved what.

One training seed is a comparison of checkpoints; a claim about the method needs several. `results/tiny-seeds/verdicts.csv` has
a row an item, a 0/1 column a checkpoint (flexible extraction) and one for the form after GRPO: the README's table shows them.
"""

import argparse

import pandas as pd

from grpo_math import report, runs
from grpo_math.execute import run_notebooks


def collect_verdicts(names: dict[int, str]) -> pd.DataFrame:
    """Verdicts of the runs, given as {seed: run name}: columns `id`, `base`, then for each seed `sft-`, `grpo-` and `form-`."""
    root, columns = runs.project_root(), {}
    for seed, name in names.items():
        for checkpoint in report.CHECKPOINTS:
            samples = report.read_samples(root / "results" / name / "samples" / f"{checkpoint}.jsonl")
            ids = [sample["id"] for sample in samples]
            if columns and ids != columns["id"]:
                raise ValueError(f"Run {name!r} was measured on other items than the runs before it: evaluate it again.")
            columns.setdefault("id", ids)
            column = "base" if checkpoint == "base" else f"{checkpoint}-{seed}"
            columns[column] = [int(sample["correct_flexible"]) for sample in samples]
        columns[f"form-{seed}"] = [int(sample["formatted"]) for sample in samples]  # of the last checkpoint, + GRPO
    return pd.DataFrame(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and evaluate several seeds.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    names = {seed: "tiny" if seed == 0 else f"tiny-seed-{seed}" for seed in arguments.seeds}  # seed 0 is the reference run
    for number, (seed, name) in enumerate(names.items(), start=1):
        print(f"\n=== seed {seed} ({number} of {len(names)}), results/{name} ===", flush=True)
        if (runs.open_run(name) / "samples" / "grpo.jsonl").is_file():
            print("already measured; delete the folder to do it again")
        else:
            run_notebooks(name, "tiny", seed, keep=False)
    path = runs.open_run("tiny-seeds") / "verdicts.csv"
    collect_verdicts(names).to_csv(path, index=False)
    report.update_readme(runs.project_root() / "README.md", "seeds", report.seeds_markdown(path))
    print(report.seeds_markdown(path))


if __name__ == "__main__":
    main()
