"""Where in the test set a gain lies: by stratum (number of steps), and on problems unlike those that SFT and GRPO train on."""

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd

from grpo_lab.records import checkpoints_of, has_part, label_of, samples_of
from grpo_lab.report.tables import counted, markdown_table, p_text, pair_label, percent, points
from grpo_math.stats import matched_difference, paired_difference


def strata_table(run_dir: Path | str, prefix: str = "", by: str = "stratum") -> pd.DataFrame:
    """One row a stratum, as text to be read: flexible accuracy of each checkpoint, and what each stage changed.

    prefix: "" for the test set, "transfer-" for the problems unlike those of training. by: "stratum" or "source". A change is in
    points, with Agresti and Min's 95 % interval and the exact McNemar p, not adjusted for the number of strata.
    """
    names = checkpoints_of(run_dir)
    samples = {name: samples_of(run_dir, prefix + name) for name in names}
    rows = []
    for stratum in dict.fromkeys(row[by] for row in samples[names[0]]):
        verdicts = {name: [row["correct_flexible"] for row in part if row[by] == stratum] for name, part in samples.items()}
        row = {"problems": stratum or "all", "number": f"{len(verdicts[names[0]]):,}"}
        row |= {label_of(name): percent(sum(right) / len(right)) for name, right in verdicts.items()}
        for before, after in pairwise(names):
            change = paired_difference(verdicts[before], verdicts[after])
            between = f"{points(change.low)} to {points(change.high)}"
            row[f"change by {after.upper()}"] = f"{points(change.difference)} ({between}), {p_text(change.p_value)}"
        rows.append(row)
    return pd.DataFrame(rows)


def strata_markdown(run_dir: Path | str) -> str:
    """The table of the test set, that of the problems unlike those of training where they were measured, and what is shared."""
    parts = [markdown_table(strata_table(run_dir))]
    if has_part(run_dir, f"transfer-{checkpoints_of(run_dir)[0]}"):
        parts.append("Unlike what SFT and GRPO train on:")
        parts.append(markdown_table(strata_table(run_dir, "transfer-")))
    if shared := contamination_markdown(run_dir):
        parts.append(shared)
    return "\n\n".join(parts) + "\n"


def contamination_markdown(run_dir: Path | str) -> str:
    """What the test problems share with training, as notebooks 01 and 02 found it, and a line a gain: is it theirs alone?

    Flagged problems are of other kinds than the rest, so the gains are also compared within the same source and stratum. Empty
    where nothing was flagged.
    """
    saved = [json.loads(path.read_text()) for path in sorted(Path(run_dir).glob("contamination_*.json"))]
    flagged = set().union(*(found["flagged"] for found in saved))
    if not flagged:
        return ""
    names = checkpoints_of(run_dir)
    samples = {name: samples_of(run_dir, name) for name in names}
    exact = max(found["measures"]["exact duplicate"] for found in saved)
    share = "shares" if len(flagged) == 1 else "share"
    lines = [
        f"{counted(len(flagged), 'problem')} of {len(samples[names[0]]):,} {share} wording with training beyond chance (13 words "
        f"in a row, or a story pattern with other names and numbers); {exact or 'none'} of them word for word.\n"
    ]
    for before, after in pairwise(names):
        pairs = list(zip(samples[before], samples[after], strict=True))
        marked = [old["id"] in flagged for old, _ in pairs]
        changes = [new["correct_flexible"] - old["correct_flexible"] for old, new in pairs]
        gains = [[change for change, mark in zip(changes, marked, strict=True) if mark == side] for side in (True, False)]
        if not all(gains):
            continue
        on, off = (points(sum(part) / len(part)) for part in gains)
        sentence = f"- {pair_label(before, after)}: {on} points on these, {off} on the others"
        matched = matched_difference(changes, marked, [(old.get("source"), old.get("stratum")) for old, _ in pairs])
        if matched:
            difference, low, high = map(points, matched)
            sentence += f"; within the same source and stratum {difference} points more on these (95% interval {low} to {high})"
        lines.append(sentence + ".")
    return "\n".join(lines)
