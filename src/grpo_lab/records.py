"""What a run leaves in its folder, written whole and read back: samples (JSONL), metrics (CSV), TRL's completions (parquet).

The one reader for tables, figures, the health guards and a stage that is continued. Standard library only at import.
"""

import csv
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TextIO

CHECKPOINTS = ("base", "sft", "grpo")
LABELS = {"base": "base (own prompt)", "base-chat": "base (same prompt)", "sft": "+ SFT", "grpo": "+ GRPO"}
SAMPLES_NOTEBOOK = "03_Inference_and_Evaluation.ipynb"
PLAN = "eval_plan.json"
DISCORDANT = 0.2  # the share of problems on which two checkpoints are taken to differ, in the plan and in what is said of it

KINDS = {  # a type stands for itself alone, since bool is a subclass of int
    "id checkpoint question gold completion reason prompt_sha256 setting": (str,),
    "extracted_strict extracted_flexible": (str, type(None)),
    "sample claims false_claims ungrounded tokens budget seed": (int,),
    "correct_strict correct_flexible formatted truncated": (bool,),
    "temperature": (float, int),
    "flags": (list,),
}
# The fields of a sample, beside `marks`, `source` and `stratum`, which samples of earlier runs lack.
FIELDS = {field: types for fields, types in KINDS.items() for field in fields.split()}

# The columns of a training completion that are no reward function: those that training adds (see `training.Recorder`), and TRL's.
ADDED_COLUMNS = ("id", "gold", "extracted", "correct", "group", "tokens", "truncated", "flags", "false_claims", "reward")
COMPLETION_COLUMNS = ("step", "prompt", "completion", "advantage", *ADDED_COLUMNS)


# --- Samples: what notebook 03 measures --------------------------------------


def read_samples(path: Path | str) -> list[dict]:
    """The rows of a samples file, in its order.

    Raises FileNotFoundError that names the notebook which makes it, ValueError that names file and line of a damaged row.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There are no samples at {path}: run notebooks/{SAMPLES_NOTEBOOK} for this run first.")
    stamp = path.stat()
    return [dict(row) for row in _read_rows(path.resolve(), stamp.st_ino, stamp.st_mtime_ns, stamp.st_size)]


@lru_cache(maxsize=32)
def _read_rows(path: Path, *stamp: int) -> tuple[dict, ...]:
    """The rows, read once for each state of the file: the tables and figures of a run read the same files many times."""
    again = f"Make the file again with notebooks/{SAMPLES_NOTEBOOK}."
    rows = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                wrong = [f"{field} is {row[field]!r}" for field, types in FIELDS.items() if type(row[field]) not in types]
            except KeyError as missing:
                wrong = [f"it lacks {missing}"]
            except (ValueError, TypeError) as error:  # no JSON, or no object
                wrong = [str(error)]
            if wrong:
                raise ValueError(f"{path}, line {number} is damaged: {', '.join(wrong)}. {again}")
            rows.append(row)
    if not rows:
        raise ValueError(f"{path} holds no samples. {again}")
    return tuple(rows)


def write_jsonl(path: Path | str, rows: Iterable[dict]) -> None:
    """Write the rows, one a line; the folder is made if needed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _in_place_of(path) as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with _in_place_of(path) as file:
        file.write(text)


def write_csv(path: Path, rows: Sequence[Mapping]) -> None:
    """Write the rows with every column that any of them has."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with _in_place_of(path) as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def _in_place_of(path: Path) -> Iterator[TextIO]:
    """A file to write beside `path`, put in its place at the end, so that a cut leaves the old one whole."""
    beside = path.with_name(path.name + ".new")
    with beside.open("w", newline="", encoding="utf-8") as file:
        yield file
    beside.replace(path)


def checkpoints_of(run_dir: Path | str) -> tuple[str, ...]:
    """The checkpoints of a run: base, sft and grpo, or base and grpo where the recipe has no supervised stage."""
    measured = tuple(name for name in CHECKPOINTS if has_part(run_dir, name))
    return measured if measured == ("base", "grpo") else CHECKPOINTS


def has_part(run_dir: Path | str, part: str) -> bool:
    """Whether the run holds `samples/<part>.jsonl`."""
    return (Path(run_dir) / "samples" / f"{part}.jsonl").is_file()


def samples_of(run_dir: Path | str, part: str) -> list[dict]:
    """The rows of `samples/<part>.jsonl`: a checkpoint, or a part of its measurement such as "twins-sft"."""
    return read_samples(Path(run_dir) / "samples" / f"{part}.jsonl")


def optional_samples(run_dir: Path | str, part: str) -> list[dict] | None:
    """`samples_of`, or None where the recipe does not measure this part."""
    return samples_of(run_dir, part) if has_part(run_dir, part) else None


def label_of(checkpoint: str) -> str:
    """What tables and figures call a checkpoint."""
    return LABELS.get(checkpoint, checkpoint)


# --- Training: what the trainers log -----------------------------------------


def read_metrics(path: Path | str) -> list[dict[str, float]]:
    """The rows of a `<stage>_metrics.csv` by step, without their empty cells; none where there is no file.

    Where a step stands twice, its values are joined and the later ones count. Raises ValueError that names file and line of a row
    without a step, or of a cell that is no number.
    """
    path = Path(path)
    if not path.is_file():
        return []
    rows: dict[float, dict[str, float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        for line in reader:
            try:
                row = {name: float(cell) for name, cell in line.items() if cell}
                rows.setdefault(row["step"], {}).update(row)
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(f"{path} is not a table of numbers by step: line {reader.line_num} ({error!r}).") from error
    return [rows[step] for step in sorted(rows)]


def read_completions(run_dir: Path | str) -> list[dict]:
    """The completions of the GRPO stage, in the order of the steps: the rows of `grpo/completions/*.parquet` as dicts.

    The columns are COMPLETION_COLUMNS, as far as they were logged, and one a reward function by its name. A damaged file is left
    out, with a warning that names it. Empty where nothing was logged.
    """
    from pyarrow import ArrowException, parquet  # heavy: only where completions are read

    rows = []
    for path in sorted((Path(run_dir) / "grpo" / "completions").glob("*.parquet")):
        try:
            rows += parquet.read_table(path).to_pylist()
        except (ArrowException, OSError) as error:
            warnings.warn(f"{path} is damaged ({type(error).__name__}), so its completions are left out", stacklevel=2)
    return sorted(rows, key=lambda row: row["step"])
