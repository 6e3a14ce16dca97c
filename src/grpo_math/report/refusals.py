"""What training does to the refusal of unanswerable problems, over several seeds, and what it costs to keep it."""

from pathlib import Path

import pandas as pd

from grpo_math.report.tables import markdown_table, p_text, percent, points
from grpo_math.stats import paired_difference


def refusals_table(folder: Path | str) -> pd.DataFrame:
    """One row a training seed, as text to be read: how often twins are refused after each stage, and the accuracy on answerable
    problems after GRPO without and with unanswerable prompts (with their difference in points and exact McNemar p). The last row
    is the mean.

    Reads `refusals.csv`, `verdicts.csv` and `verdicts-mix.csv`, which `make seeds` writes. Raises FileNotFoundError.
    """
    twins, plain, mix = (_read(Path(folder) / name) for name in ("refusals.csv", "verdicts.csv", "verdicts-mix.csv"))
    seeds = [name.removeprefix("mix-") for name in mix.columns if name.startswith("mix-")]
    rows = []
    for seed in seeds:
        change = paired_difference(plain[f"grpo-{seed}"].tolist(), mix[f"mix-{seed}"].tolist())
        refused = [twins[f"{stage}-{seed}"].mean() for stage in ("sft", "grpo", "mix")]
        rows.append([*refused, plain[f"grpo-{seed}"].mean(), mix[f"mix-{seed}"].mean(), change.difference, change.p_value])
    frame = pd.DataFrame(rows, index=seeds)
    lines = [_line(seed, values, p_text(values[6])) for seed, values in zip(seeds, rows, strict=True)]
    return pd.DataFrame([*lines, _line("mean", frame.mean().tolist())])


def _line(seed: str, values: list[float], p_value: str = "") -> dict:
    sft, grpo, mixed, plain_accuracy, mix_accuracy, difference, _ = values
    more = f", {p_value}" if p_value else ""
    return {
        "seed": seed,
        "refused after SFT": percent(sft),
        "after GRPO": percent(grpo),
        "after GRPO with 10% unanswerable": percent(mixed),
        "accuracy after GRPO": percent(plain_accuracy),
        "with 10% unanswerable": f"{percent(mix_accuracy)} ({points(difference)}{more})",
    }


def refusals_markdown(folder: Path | str) -> str:
    """`refusals_table` as a GitHub Markdown table. Raises the same."""
    return markdown_table(refusals_table(folder)) + "\n"


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"There are no verdicts of several seeds at {path}: run `make seeds` first.")
    return pd.read_csv(path, dtype={"id": str})
