"""What the models of a run wrote, as the page holds it: completions of the training by prompt, and checkpoints side by side.

Files are read a row at a time; what cannot be read is counted and left out, so that a run which was cut off can be looked at.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from grpo_lab.records import label_of
from grpo_lab.report.marks import marked_pieces
from grpo_lab.report.tables import counted

MOST_STEPS = 100
TRAINING_BYTES, PROBLEM_BYTES = 2_600_000, 1_800_000  # of one run, as JSON
LARGEST = 1e15  # a larger number is a damaged one

Samples = dict[str, list[dict]]


def read_rows(path: Path, said: list[str]) -> list[dict]:
    """The rows of a JSONL file with a question and a completion; how many lines hold no such row is added to `said`."""
    with path.open("rb") as lines:
        rows = [_read_row(line) for line in lines if line.strip()]
    if damaged := rows.count(None):
        said.append(f"{path.parent.name}/{path.name}: {counted(damaged, 'damaged row')} left out.")
    return [row for row in rows if row is not None]


def _read_row(line: bytes) -> dict | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    texts = [row.get(name) for name in ("question", "completion")] if isinstance(row, dict) else [None]
    return row if all(isinstance(text, str) for text in texts) else None


def read_training(folder: Path, said: list[str], room: int = TRAINING_BYTES) -> dict:
    """The completions of `step-*.jsonl` in groups, as many as fit in `room` bytes; empty where there are none.

    {"told": a sentence on what is here, "groups": [{"step", "group", "question", "gold", "rows"}]}. Every step has the same room,
    and of each the first prompts are taken, whole; of more than MOST_STEPS files those that are evenly spread.
    """
    files = sorted(folder.glob("step-*.jsonl"))
    chosen = files if len(files) <= MOST_STEPS else [files[i * (len(files) - 1) // (MOST_STEPS - 1)] for i in range(MOST_STEPS)]
    groups = list(chain.from_iterable(_first_groups(path, said, room // len(chosen)) for path in chosen))
    total, shown = sum(map(_count_lines, files)), sum(len(group["rows"]) for group in groups)
    steps = counted(len(files), "logged step")
    if shown == total:
        return {"told": f"All {counted(total, 'completion')} of {steps} are on this page.", "groups": groups} if groups else {}
    spread = f"{len(chosen)} of the steps, evenly spread" if len(chosen) < len(files) else "every step"
    told = f"This page holds {shown:,} of {counted(total, 'completion')} of {steps}: of {spread}, those of the first prompts."
    return {"told": told, "groups": groups} if groups else {}


def _count_lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(bool(line.strip()) for line in lines)


def _first_groups(path: Path, said: list[str], room: int) -> Iterator[dict]:
    """The groups of one step while they fit; where not even the first does, as many of its rows as fit, and one at least."""
    groups: dict[tuple, list[dict]] = {}
    for row in read_rows(path, said):
        groups.setdefault((str(row.get("group")), row["question"]), []).append(row)
    for number, members in enumerate(groups.values()):
        cards = [_card(row) for row in members]
        while _size(cards) > room and len(cards) > 1 and not number:
            cards.pop()
        room -= _size(cards)
        if room < 0 and number:
            return
        step = path.stem.removeprefix("step-").lstrip("0") or "0"
        yield {"step": step, "group": number, **_asked(members[0]), "rows": cards}


def _size(value: object) -> int:
    """Of the value in the page, where "<" is written in six characters."""
    text = json.dumps(value)
    return len(text) + 5 * text.count("<")


def _asked(row: dict) -> dict:
    return {"question": row["question"], "gold": str(row.get("gold"))}


def _card(row: dict) -> dict:
    """A row as the page needs it, its text cut at the audit's marks. What is missing or of the wrong kind is null or left out."""
    flags = [flag for flag in _of_kind(row.get("flags"), list, []) if isinstance(flag, str)]
    answer = row.get("extracted_flexible")
    card = {
        "text": marked_pieces(row["completion"], row["question"]) if flags else [row["completion"]],
        "answer": None if answer is None else str(answer),
        "right": _of_kind(row.get("correct_flexible"), bool, None),
        "tokens": _number(row.get("tokens")),
    }
    card |= {"flags": flags} if flags else {}
    card |= {name: True for name in ("formatted", "truncated") if row.get(name) is True}
    if "reward" in row:
        paid = _of_kind(row.get("rewards"), dict, {})
        card |= {"reward": _number(row["reward"]), "rewards": {name: _number(value) for name, value in paid.items()}}
    return card


def _of_kind(value: object, kind: type, otherwise: object) -> object:
    return value if isinstance(value, kind) else otherwise


def _number(value: object) -> float | int | None:
    """A finite number, to four digits behind the point, or None."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST
    return round(value, 4) if known else None


def side_by_side(samples: Samples, room: int = PROBLEM_BYTES) -> dict:
    """The checkpoints' completions of the same problems, in the order of the files, as many as fit; empty where there are none.

    {"told", "checkpoints": [{"name", "label"}], "items": [{"question", "gold", "rows": {name: row}}]}. A checkpoint that has not
    answered a problem is missing from its rows.
    """
    sides = {name: {str(row.get("id")): row for row in rows} for name, rows in samples.items()}
    keys = dict.fromkeys(chain.from_iterable(sides.values()))
    items = list(_fitting((_problem(key, sides) for key in keys), room))
    told = f"All {counted(len(keys), 'problem')} are on this page."
    if len(items) < len(keys):
        told = f"This page holds {len(items):,} of {counted(len(keys), 'problem')}, the first of the files."
    checkpoints = [{"name": name, "label": label_of(name)} for name in sides]
    return {"told": told, "checkpoints": checkpoints, "items": items} if items else {}


def _problem(key: str, sides: dict[str, dict[str, dict]]) -> dict:
    rows = {name: side[key] for name, side in sides.items() if key in side}
    return {**_asked(next(iter(rows.values()))), "rows": {name: _card(row) for name, row in rows.items()}}


def _fitting(items: Iterable[dict], room: int) -> Iterator[dict]:
    for item in items:
        room -= _size(item)
        if room < 0:
            return
        yield item
