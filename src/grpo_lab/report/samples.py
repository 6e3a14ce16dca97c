"""The samples of a run as they lie on disk: `samples/<part>.jsonl`, one row a sample, which notebook 03 makes."""

import json
from functools import lru_cache
from pathlib import Path

CHECKPOINTS = ("base", "sft", "grpo")
LABELS = {
    "base": "base (own prompt)",
    "base-chat": "base (same prompt)",
    "sft": "+ SFT",
    "grpo": "+ GRPO",
}
SAMPLES_NOTEBOOK = "03_Inference_and_Evaluation.ipynb"

TEXT, COUNT, YES_NO = (str,), (int,), (bool,)
FIELDS = {
    "id": TEXT,
    "checkpoint": TEXT,
    "sample": COUNT,
    "question": TEXT,
    "gold": TEXT,
    "completion": TEXT,
    "extracted_strict": (str, type(None)),
    "extracted_flexible": (str, type(None)),
    "correct_strict": YES_NO,
    "correct_flexible": YES_NO,
    "reason": TEXT,
    "formatted": YES_NO,
    "claims": COUNT,
    "false_claims": COUNT,
    "ungrounded": COUNT,
    "flags": (list,),
    "truncated": YES_NO,
    "tokens": COUNT,
    "budget": COUNT,
    "temperature": (float, int),
    "prompt_sha256": TEXT,
    "setting": TEXT,
    "seed": COUNT,
}


def read_samples(path: Path | str) -> list[dict]:
    """The rows of a samples file, in its order; blank lines are passed over.

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
    with path.open("rb") as lines:
        rows = tuple(_read_row(path, number, line) for number, line in enumerate(lines, start=1) if line.strip())
    if not rows:
        raise ValueError(f"{path} holds no samples. Make the file again with notebooks/{SAMPLES_NOTEBOOK}.")
    return rows


def _read_row(path: Path, number: int, line: bytes) -> dict:
    try:
        row = json.loads(line)
        _check_row(row)
    except ValueError as error:
        raise ValueError(
            f"{path}, line {number} is damaged: {error}. Make the file again with notebooks/{SAMPLES_NOTEBOOK}."
        ) from error
    return row


def _check_row(row: object) -> None:
    if not isinstance(row, dict):
        raise ValueError("it is not a JSON object")
    for field, types in FIELDS.items():
        if field not in row:
            raise ValueError(f"the field {field!r} is missing")
        # bool is a subclass of int, so only an exact type keeps `true` out of the counts.
        if type(row[field]) not in types:
            raise ValueError(f"the field {field!r} holds {row[field]!r}")


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
