"""Several training seeds side by side: one seed compares checkpoints, a claim about the method needs more.

First what each stage gains, then what training does to the refusal of unanswerable problems, and what it costs to keep it. Read
are the verdicts that `make seeds` writes: a row a problem, 0/1 columns `<stage>-<seed>`. A p-value is of the exact McNemar test
and not adjusted for the number of seeds.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from grpo_lab.report.tables import markdown_table, p_text, percent, points, with_range
from grpo_math.stats import paired_difference


def _read_verdicts(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """A file of verdicts, and its seeds in their order there. Raises FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(f"There are no verdicts of several seeds at {path}: run `make seeds` first.")
    verdicts = pd.read_csv(path, dtype={"id": str})
    return verdicts, [name.removeprefix("grpo-") for name in verdicts.columns if name.startswith("grpo-")]


def seeds_markdown(verdicts_csv: Path | str) -> str:
    """A GitHub table with one row a training seed; the last row is the mean (min–max).

    The file has the columns `base` and for each seed `sft-<seed>` and `grpo-<seed>`: 1 where the answer was correct (flexible);
    and `form-<seed>`: 1 where it had the form after GRPO. Behind an accuracy stand its difference in points to the stage before
    it and p. Raises FileNotFoundError.
    """
    verdicts, seeds = _read_verdicts(Path(verdicts_csv))
    base = percent(verdicts["base"].mean())
    rows, numbers = [], []
    for seed in seeds:
        sft, grpo, form = (verdicts[f"{stage}-{seed}"] for stage in ("sft", "grpo", "form"))
        row = [seed, base]
        numbers.append([])
        for before, after in ((verdicts["base"], sft), (sft, grpo)):
            change = paired_difference(before.tolist(), after.tolist())
            row.append(f"{percent(after.mean())} ({points(change.difference)}, {p_text(change.p_value)})")
            numbers[-1] += [after.mean(), change.difference]
        rows.append([*row, percent(form.mean())])
        numbers[-1].append(form.mean())

    sft, to_sft, grpo, to_grpo, form = zip(*numbers, strict=True)
    means = [f"{_over_seeds(shares)}; {_points_over_seeds(steps)}" for shares, steps in ((sft, to_sft), (grpo, to_grpo))]
    rows.append(["mean (min–max)", base, *means, _over_seeds(form)])
    columns = ["seed", "base", "+ SFT (to base)", "+ GRPO (to + SFT)", "in the format after GRPO"]
    return markdown_table(pd.DataFrame(rows, columns=columns)) + "\n"


def _over_seeds(shares: Sequence[float]) -> str:
    return with_range(sum(shares) / len(shares), min(shares), max(shares))


def _points_over_seeds(differences: Sequence[float]) -> str:
    return f"{points(sum(differences) / len(differences))} ({points(min(differences))} to {points(max(differences))})"


def refusals_markdown(folder: Path | str) -> str:
    """A GitHub table with one row a training seed; the last row is the mean.

    How often twins are refused after each stage (`refusals.csv`), and the accuracy on answerable problems after GRPO without and
    with unanswerable prompts (`verdicts-mix.csv`), with their difference in points and p. Raises FileNotFoundError.
    """
    twins, _ = _read_verdicts(Path(folder) / "refusals.csv")
    verdicts, seeds = _read_verdicts(Path(folder) / "verdicts-mix.csv")
    numbers, p_values = [], []
    for seed in seeds:
        plain, mix = verdicts[f"grpo-{seed}"], verdicts[f"mix-{seed}"]
        change = paired_difference(plain.tolist(), mix.tolist())
        refused = [twins[f"{stage}-{seed}"].mean() for stage in ("sft", "grpo", "mix")]
        numbers.append([*refused, plain.mean(), mix.mean(), change.difference])
        p_values.append(f", {p_text(change.p_value)}")
    numbers.append(pd.DataFrame(numbers).mean().tolist())

    rows = [
        [seed, *map(percent, shares), f"{percent(mix)} ({points(difference)}{p_value})"]
        for seed, (*shares, mix, difference), p_value in zip([*seeds, "mean"], numbers, [*p_values, ""], strict=True)
    ]
    columns = [
        "seed",
        "refused after SFT",
        "after GRPO",
        "after GRPO with 10% unanswerable",
        "accuracy after GRPO",
        "with 10% unanswerable",
    ]
    return markdown_table(pd.DataFrame(rows, columns=columns)) + "\n"
