"""Which way of working did a completion take, and did it pay? Read off the text, so it can be checked on any samples."""

import re
from collections.abc import Mapping, Sequence

WAYS = ("in_one_go", "step_by_step", "place_by_place", "other")


def way_of(completion: str) -> str:
    """ "in_one_go", "step_by_step" or "place_by_place" (see `tiny.corpus`), or "other" where no sum is written down."""
    working = re.split(r"<end_working_out>|Answer|The answer", completion)[0]
    if re.search(r"\d: \d", working):
        return "place_by_place"
    left_sides = re.findall(r"([^=.]+)=", working)
    if any(len(re.findall(r" [-+*/] ", side)) > 1 for side in left_sides):
        return "in_one_go"
    return "step_by_step" if left_sides else "other"


def ways_markdown(samples: Mapping[str, Sequence[dict]]) -> str:
    """A Markdown table: for each checkpoint's samples the share of each way, and how many of those are correct (flexible)."""
    lines = ["| checkpoint | " + " | ".join(way.replace("_", " ") for way in WAYS) + " |", "| :-- |" + " --: |" * len(WAYS)]
    for checkpoint, rows in samples.items():
        verdicts = {way: [row["correct_flexible"] for row in rows if way_of(row["completion"]) == way] for way in WAYS}
        cells = [f"{len(v) / len(rows):.1%} ({sum(v) / len(v):.1%} correct)" if v else "none" for v in verdicts.values()]
        lines.append(f"| {checkpoint} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
