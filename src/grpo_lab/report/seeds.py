"""Several training seeds side by side: one seed compares checkpoints, a claim about the method needs more.

First what each stage gains, then what training does to the refusal of unanswerable problems, and what it costs to keep it.
"""

from pathlib import Path

import pandas as pd

from grpo_lab.report.tables import markdown_table, p_text, percent, points
from grpo_math.stats import paired_difference


def _read_verdicts(verdicts_csv: Path | str) -> tuple[pd.DataFrame, list[str]]:
    """The 0/1 columns of a verdicts file, and its seeds in their order there."""
    path = Path(verdicts_csv)
    if not path.is_file():
        raise FileNotFoundError(f"There are no verdicts of several seeds at {path}.")
    frame = pd.read_csv(path, dtype={"id": str})
    seeds = [name.removeprefix("sft-") for name in frame.columns if name.startswith("sft-")]
    wanted = ["id", "base", *[f"{stage}-{seed}" for seed in seeds for stage in ("sft", "grpo", "form")]]
    if not seeds or set(wanted) != set(frame.columns):
        odd = sorted(set(wanted) ^ set(frame.columns)) or ["sft-<seed>"]
        raise ValueError(
            f"{path} needs the columns id, base and, for each seed, sft-<seed>, grpo-<seed> and form-<seed>; "
            f"missing or unpaired: {', '.join(odd)}."
        )
    if frame.empty or frame["id"].duplicated().any():
        raise ValueError(f"{path} needs one row a problem, each id once.")
    for name in wanted[1:]:
        if not frame[name].isin([0, 1]).all():
            raise ValueError(f"{path}, column {name!r}: a verdict is 0 or 1, and none may be missing.")
    return frame[wanted[1:]].astype(int), seeds


def _mean_and_range(shares: list[float], differences: list[float]) -> str:
    """The last row's cell: mean, smallest and largest over seeds, then so for the difference."""
    mean, mean_difference = sum(shares) / len(shares), sum(differences) / len(differences)
    return (
        f"{percent(mean)} ({100 * min(shares):.1f}–{100 * max(shares):.1f}); "
        f"{points(mean_difference)} ({points(min(differences))} to {points(max(differences))})"
    )


def seeds_table(verdicts_csv: Path | str) -> pd.DataFrame:
    """One row a training seed, as text to be read; the last row is the mean (min–max).

    The file has the columns `id`, `base` and for each seed `sft-<seed>` and `grpo-<seed>`: 1 where the answer was correct
    (flexible), else 0; and `form-<seed>`: 1 where it had the form after GRPO. Behind an accuracy stand its difference in points
    to the stage before it and the exact McNemar p, not adjusted for the number of seeds. Raises FileNotFoundError, and
    ValueError that says what is wrong with the file.
    """
    verdicts, seeds = _read_verdicts(verdicts_csv)
    base = percent(verdicts["base"].mean())
    columns = {"sft": "+ SFT (to base)", "grpo": "+ GRPO (to + SFT)"}
    rows = [{"seed": seed, "base": base} for seed in seeds]
    last = {"seed": "mean (min–max)", "base": base}
    for stage, column in columns.items():
        shares, differences = [], []
        for seed, row in zip(seeds, rows, strict=True):
            before = "base" if stage == "sft" else f"sft-{seed}"
            change = paired_difference(verdicts[before].tolist(), verdicts[f"{stage}-{seed}"].tolist())
            shares.append(verdicts[f"{stage}-{seed}"].mean())
            differences.append(change.difference)
            row[column] = f"{percent(shares[-1])} ({points(change.difference)}, {p_text(change.p_value)})"
        last[column] = _mean_and_range(shares, differences)
    forms = [verdicts[f"form-{seed}"].mean() for seed in seeds]
    for share, row in zip([*forms, sum(forms) / len(forms)], [*rows, last], strict=True):
        row["in the format after GRPO"] = percent(share)
    last["in the format after GRPO"] += f" ({100 * min(forms):.1f}–{100 * max(forms):.1f})"
    return pd.DataFrame([*rows, last])


def seeds_markdown(verdicts_csv: Path | str) -> str:
    """`seeds_table` as a GitHub Markdown table. Raises the same."""
    return markdown_table(seeds_table(verdicts_csv)) + "\n"


def refusals_table(folder: Path | str) -> pd.DataFrame:
    """One row a training seed, as text to be read; the last row, where there are several, is the mean.

    How often twins are refused after each stage, and the accuracy on answerable problems after GRPO without and with unanswerable
    prompts, with their difference in points and exact McNemar p. Reads `refusals.csv` and `verdicts-mix.csv`, which `make seeds`
    writes. Raises FileNotFoundError.
    """
    frames = []
    for path in (Path(folder) / "refusals.csv", Path(folder) / "verdicts-mix.csv"):
        if not path.is_file():
            raise FileNotFoundError(f"There are no verdicts of several seeds at {path}: run `make seeds` first.")
        frames.append(pd.read_csv(path, dtype={"id": str}))
    twins, verdicts = frames
    seeds = [name.removeprefix("mix-") for name in verdicts.columns if name.startswith("mix-")]
    rows, lines = [], []
    for seed in seeds:
        plain, mix = verdicts[f"grpo-{seed}"], verdicts[f"mix-{seed}"]
        change = paired_difference(plain.tolist(), mix.tolist())
        refused = [twins[f"{stage}-{seed}"].mean() for stage in ("sft", "grpo", "mix")]
        rows.append([*refused, plain.mean(), mix.mean(), change.difference])
        lines.append(_refusals_row(seed, rows[-1], f", {p_text(change.p_value)}"))
    if len(seeds) > 1:
        lines.append(_refusals_row("mean", pd.DataFrame(rows).mean().tolist()))
    return pd.DataFrame(lines)


def _refusals_row(seed: str, values: list[float], p_value: str = "") -> dict:
    sft, grpo, mixed, plain_accuracy, mix_accuracy, difference = values
    return {
        "seed": seed,
        "refused after SFT": percent(sft),
        "after GRPO": percent(grpo),
        "after GRPO with 10% unanswerable": percent(mixed),
        "accuracy after GRPO": percent(plain_accuracy),
        "with 10% unanswerable": f"{percent(mix_accuracy)} ({points(difference)}{p_value})",
    }


def refusals_markdown(folder: Path | str) -> str:
    """`refusals_table` as a GitHub Markdown table. Raises the same."""
    return markdown_table(refusals_table(folder)) + "\n"

