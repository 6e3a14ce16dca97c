"""Where in the test set a gain lies: by stratum (number of steps), and on problems unlike those that anything trained on."""

from pathlib import Path

import pandas as pd

from grpo_lab.records import checkpoints_of, has_part, label_of, samples_of
from grpo_lab.report.tables import markdown_table, p_text, percent, points
from grpo_math.stats import paired_difference


def strata_table(run_dir: Path | str, prefix: str = "") -> pd.DataFrame:
    """One row a stratum, as text to be read: flexible accuracy of each checkpoint, and what each stage changed.

    prefix: "" for the test set, "transfer-" for the problems unlike those of training. A change is in points, with Agresti and
    Min's 95 % interval and the exact McNemar p, not adjusted for the number of strata.
    """
    names = checkpoints_of(run_dir)
    samples = {name: samples_of(run_dir, prefix + name) for name in names}
    rows = []
    for stratum in dict.fromkeys(row["stratum"] for row in samples[names[0]]):
        verdicts = {
            name: [row["correct_flexible"] for row in part if row["stratum"] == stratum] for name, part in samples.items()
        }
        row = {"problems": stratum or "all", "number": f"{len(verdicts[names[0]]):,}"}
        row |= {label_of(name): percent(sum(right) / len(right)) for name, right in verdicts.items()}
        for before, after in zip(names, names[1:], strict=False):
            change = paired_difference(verdicts[before], verdicts[after])
            between = f"{points(change.low)} to {points(change.high)}"
            row[f"change by {after.upper()}"] = f"{points(change.difference)} ({between}), {p_text(change.p_value)}"
        rows.append(row)
    return pd.DataFrame(rows)


def strata_markdown(run_dir: Path | str) -> str:
    """The table of the test set and, where they were measured, that of the problems unlike those of training."""
    parts = [markdown_table(strata_table(run_dir))]
    if has_part(run_dir, f"transfer-{checkpoints_of(run_dir)[0]}"):
        parts.append("Unlike anything that was trained on, the base's corpus included:")
        parts.append(markdown_table(strata_table(run_dir, "transfer-")))
    return "\n\n".join(parts) + "\n"
