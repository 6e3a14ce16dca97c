"""What a file of an offline W&B run holds, for tests: W&B has no Python that reads it.

The file is a log in LevelDB's format: blocks of 32 KiB with records, of which one may be spread over several blocks; each whole
record is a protobuf message of W&B's.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BLOCK, HEADER, FILE_HEADER = 32 * 1024, 7, 7  # bytes
WHOLE, LAST = 1, 4  # the kinds of a fragment that end a record


@dataclass
class OfflineRun:
    """One `.wandb` file. axes: the x axis of each metric or pattern. exit_code: None where the run was cut off."""

    folder: Path
    id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    config: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)
    axes: dict[str, str] = field(default_factory=dict)
    artifacts: list = field(default_factory=list)
    exit_code: int | None = None

    def series(self, name: str) -> list[tuple[int, float]]:
        """The logged values of a metric with their optimiser step."""
        return [(row["train/global_step"], row[name]) for row in self.history if name in row]

    def tables(self, name: str) -> list[list[dict]]:
        """The rows of a table, once for each time it was logged."""
        files = [self.folder / "files" / row[f"{name}/path"] for row in self.history if f"{name}/path" in row]
        loaded = [json.loads(path.read_text()) for path in files]
        return [[dict(zip(table["columns"], row, strict=True)) for row in table["data"]] for table in loaded]


def offline_runs(run: Path) -> list[OfflineRun]:
    """Every offline W&B run in a run folder, in the order in which they began."""
    found = []
    for path in sorted((run / "wandb").glob("offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime):
        found.append(OfflineRun(path.parent))
        for record in _records(path.read_bytes()):
            _take(record, found[-1])
    return found


def _records(data: bytes) -> Iterator:
    from wandb.proto.wandb_internal_pb2 import Record

    at, whole = FILE_HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # too little is left of the block for a header
            at += BLOCK - at % BLOCK
            continue
        checksum, size, kind = struct.unpack_from("<IHB", data, at)
        part = data[at + HEADER : at + HEADER + size]
        if zlib.crc32(part, zlib.crc32(bytes([kind]))) != checksum:  # the rest was cut off
            return
        whole += part
        at += HEADER + size
        if kind in (WHOLE, LAST):
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def _take(record, found: OfflineRun) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        found.id, found.name = record.run.run_id, record.run.display_name
        found.group, found.job_type = record.run.run_group, record.run.job_type
        found.config |= _values(record.run.config.update)
    elif kind == "config":
        found.config |= _values(record.config.update)
    elif kind == "summary":
        found.summary |= _values(record.summary.update)
    elif kind == "history":
        found.history.append(_values(record.history.item) | {"_step": record.history.step.num})
    elif kind == "metric":
        found.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
    elif kind == "artifact":
        found.artifacts.append(record.artifact)
    elif kind == "exit":
        found.exit_code = record.exit.exit_code


def _values(items) -> dict:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
