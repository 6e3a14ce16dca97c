"""Several training seeds side by side: one seed compares checkpoints, a claim about the method needs more.

First what each stage gains, then what training does to the refusal of unanswerable problems, and what it costs to keep it. Read
are the verdicts that `make seeds` writes: a row a problem, 0/1 columns `<stage>-<seed>`. A p-value is of the exact McNemar test
and not adjusted for the number of seeds.
"""

from pathlib import Path
from statistics import fmean

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
    base = verdicts["base"]
    table = {"seed": [*seeds, "mean (min–max)"], "base": [percent(base.mean())] * (len(seeds) + 1)}
    for column, before, after in (("+ SFT (to base)", "base", "sft"), ("+ GRPO (to + SFT)", "sft", "grpo")):
        sides = [(base if before == "base" else verdicts[f"{before}-{seed}"], verdicts[f"{after}-{seed}"]) for seed in seeds]
        changes = [paired_difference(was.tolist(), now.tolist()) for was, now in sides]
        shares, steps = [now.mean() for _, now in sides], [change.difference for change in changes]
        cells = [f"{percent(x)} ({points(c.difference)}, {p_text(c.p_value)})" for x, c in zip(shares, changes, strict=True)]
        mean_step = f"{points(fmean(steps))} ({points(min(steps))} to {points(max(steps))})"
        table[column] = [*cells, f"{with_range(fmean(shares), min(shares), max(shares))}; {mean_step}"]
    forms = [verdicts[f"form-{seed}"].mean() for seed in seeds]
    table["in the format after GRPO"] = [*map(percent, forms), with_range(fmean(forms), min(forms), max(forms))]
    return markdown_table(pd.DataFrame(table)) + "\n"


def refusals_markdown(folder: Path | str) -> str:
    """A GitHub table with one row a training seed; the last row is the mean.

    How often twins are refused after each stage (`refusals.csv`), and the accuracy on answerable problems after GRPO without and
    with unanswerable prompts (`verdicts-mix.csv`), with their difference in points and p. Raises FileNotFoundError.
    """
    twins, _ = _read_verdicts(Path(folder) / "refusals.csv")
    verdicts, seeds = _read_verdicts(Path(folder) / "verdicts-mix.csv")
    table = {"seed": [*seeds, "mean"]}
    for column, measured, stage in (
        ("refused after SFT", twins, "sft"),
        ("after GRPO", twins, "grpo"),
        ("after GRPO with 10% unanswerable", twins, "mix"),
        ("accuracy after GRPO", verdicts, "grpo"),
        ("with 10% unanswerable", verdicts, "mix"),
    ):
        shares = [measured[f"{stage}-{seed}"].mean() for seed in seeds]
        table[column] = [percent(share) for share in (*shares, fmean(shares))]
    changes = [paired_difference(verdicts[f"grpo-{seed}"].tolist(), verdicts[f"mix-{seed}"].tolist()) for seed in seeds]
    told = [f"{points(change.difference)}, {p_text(change.p_value)}" for change in changes]
    told.append(points(fmean(change.difference for change in changes)))
    table[column] = [f"{share} ({change})" for share, change in zip(table[column], told, strict=True)]
    return markdown_table(pd.DataFrame(table)) + "\n"
