"""What training does to the refusal of unanswerable problems, over several seeds, and what it costs to keep it."""

from pathlib import Path

import pandas as pd

from grpo_lab.report.tables import markdown_table, p_text, percent, points
from grpo_math.stats import paired_difference


def refusals_table(folder: Path | str) -> pd.DataFrame:
    """One row a training seed, as text to be read; the last row, where there are several, is the mean.

    How often twins are refused after each stage, and the accuracy on answerable problems after GRPO without and with unanswerable
    prompts, with their difference in points and exact McNemar p. Reads `refusals.csv` and `verdicts-mix.csv`, which `make seeds`
    writes. Raises FileNotFoundError.
    """
    twins, verdicts = (_read(Path(folder) / name) for name in ("refusals.csv", "verdicts-mix.csv"))
    seeds = [name.removeprefix("mix-") for name in verdicts.columns if name.startswith("mix-")]
    rows, lines = [], []
    for seed in seeds:
        plain, mix = verdicts[f"grpo-{seed}"], verdicts[f"mix-{seed}"]
        change = paired_difference(plain.tolist(), mix.tolist())
        refused = [twins[f"{stage}-{seed}"].mean() for stage in ("sft", "grpo", "mix")]
        rows.append([*refused, plain.mean(), mix.mean(), change.difference])
        lines.append(_line(seed, rows[-1], f", {p_text(change.p_value)}"))
    if len(seeds) > 1:
        lines.append(_line("mean", pd.DataFrame(rows).mean().tolist()))
    return pd.DataFrame(lines)


def _line(seed: str, values: list[float], p_value: str = "") -> dict:
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


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"There are no verdicts of several seeds at {path}: run `make seeds` first.")
    return pd.read_csv(path, dtype={"id": str})
