"""What an offline W&B run holds, read from its file instead of trusted to the calls that wrote it.

`python -m grpo_lab.tracking.readback results/my-run` prints it. The file is a log in LevelDB's format: blocks of 32 KiB with
records, of which one may be spread over several blocks; each whole record is a protobuf message of W&B's.
"""

import json
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BLOCK, HEADER, FILE_HEADER = 32 * 1024, 7, 7  # bytes
MAGIC = b":W&B\xe1\xbe"
WHOLE, LAST = 1, 4  # the kinds of a fragment that end a record; 2 and 3 begin and continue one


@dataclass
class OfflineRun:
    """One `.wandb` file. metrics: by name, x axis and summary. table_files: by name, (step, file) of each time it was logged."""

    folder: Path
    id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    config: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)
    metrics: dict[str, dict] = field(default_factory=dict)
    table_files: dict[str, list[tuple[int | None, Path]]] = field(default_factory=dict)
    artifacts: list[dict] = field(default_factory=list)  # of tables too; "used": by this run, not made by it
    exit_code: int | None = None  # None: the run was cut off, or is under way
    start: float = 0.0  # seconds since 1970

    def series(self, name: str) -> list[tuple[int, float]]:
        """The logged values of a metric with their place on its x axis."""
        axis = self.metrics[name]["step_metric"]
        return [(row[axis], row[name]) for row in self.history if name in row]

    def tables(self, name: str) -> list[tuple[int | None, list[dict]]]:
        """The rows of a table, once for each time it was logged, with the step of it."""
        loaded = [(step, json.loads(path.read_text())) for step, path in self.table_files[name]]
        return [(step, [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]) for step, table in loaded]


def offline_runs(run: Path) -> list[OfflineRun]:
    """Every offline W&B run in a run folder, in the order in which they began."""
    found = (read_offline(path.parent) for path in (run / "wandb").glob("offline-run-*/run-*.wandb"))
    return sorted(found, key=lambda held: held.start)


def last_step(run: Path, run_id: str) -> int:
    """W&B's own number of the last row that the earlier offline files of one W&B run hold, -1 where there is none."""
    files = (read_offline(path.parent) for path in (run / "wandb").glob(f"offline-run-*-{run_id}*/run-*.wandb"))
    return max((row["_step"] for found in files for row in found.history), default=-1)


def read_offline(folder: Path) -> OfflineRun:
    """What the offline run in `folder` holds. FileNotFoundError where it has no `.wandb` file, ValueError for another format."""
    from wandb.proto.wandb_internal_pb2 import Record

    path = next(folder.glob("run-*.wandb"), None)
    if path is None:
        raise FileNotFoundError(f"{folder} is no offline W&B run: it has no run-*.wandb file.")
    found = OfflineRun(folder)
    for data in _records(path.read_bytes(), path):
        record = Record()
        record.ParseFromString(data)
        _take(record, found)
    return found


def _records(data: bytes, path: Path) -> Iterator[bytes]:
    if data and not data.startswith(MAGIC):
        raise ValueError(f"{path} is no W&B file in the format that this reader knows (it begins with {data[:6]!r}).")
    at, record = FILE_HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # too little is left of the block for a header
            at += BLOCK - at % BLOCK
            continue
        checksum, size, kind = struct.unpack_from("<IHB", data, at)
        part = data[at + HEADER : at + HEADER + size]
        if zlib.crc32(part, zlib.crc32(bytes([kind]))) != checksum:  # the rest was cut off, or is damaged
            return
        record += part
        at += HEADER + size
        if kind in (WHOLE, LAST):
            yield record
            record = b""


def _take(record, found: OfflineRun) -> None:
    """Add one record to what is known of the run."""
    kind = record.WhichOneof("record_type")
    if kind == "run":
        found.id, found.name = record.run.run_id, record.run.display_name
        found.group, found.job_type = record.run.run_group, record.run.job_type
        found.start = record.run.start_time.ToNanoseconds() / 1e9
        _update(found.config, record.run.config.update)
    elif kind == "config":
        _update(found.config, record.config.update)
    elif kind == "summary":
        _update(found.summary, record.summary.update)
    elif kind == "history":
        row: dict = {}
        _update(row, record.history.item)
        found.history.append(row | {"_step": record.history.step.num})
        _take_tables(row, found)
    elif kind == "metric":
        summary = [name for name in ("min", "max", "mean", "last", "none") if getattr(record.metric.summary, name)]
        found.metrics[record.metric.name] = {"step_metric": record.metric.step_metric, "summary": summary}
    elif kind == "artifact":
        found.artifacts.append(_artifact(record.artifact))
    elif kind == "exit":
        found.exit_code = record.exit.exit_code


def _artifact(record) -> dict:
    return {
        "name": record.name,
        "type": record.type,
        "digest": record.digest,
        "metadata": json.loads(record.metadata or "{}"),
        "files": {entry.path: entry.local_path for entry in record.manifest.contents},
        "used": record.use_after_commit,
    }


def _update(values: dict, items) -> None:
    for item in items:
        *above, last = item.nested_key or [item.key]
        inner = values
        for key in above:
            inner = inner.setdefault(key, {})
        inner[last] = json.loads(item.value_json)


def _take_tables(row: dict, found: OfflineRun) -> None:
    for name, value in row.items():
        if isinstance(value, dict) and str(value.get("_type")).endswith("table-file"):
            found.table_files.setdefault(name, []).append((row.get("step"), found.folder / "files" / value["path"]))


def describe(found: OfflineRun) -> str:
    """A few lines on what an offline run holds."""
    logged = {name: found.tables(name) for name in found.table_files}
    tables = "; ".join(f"{name}: {sum(len(rows) for _, rows in parts):,} rows in {len(parts)}" for name, parts in logged.items())
    own = [artifact for artifact in found.artifacts if not artifact["type"].startswith(("run_table", "wandb-"))]
    artifacts = "; ".join(
        f"{'uses ' if artifact['used'] else ''}{artifact['name']} ({artifact['type']}, {len(artifact['files'])} files)"
        for artifact in own
    )
    return "\n".join(
        (
            f"{found.folder.name}: {found.name}, group {found.group}, job type {found.job_type}, "
            + {None: "cut off or under way", 0: "finished"}.get(found.exit_code, "failed"),
            f"  {len(found.history):,} rows of {len(found.metrics)} metrics: {', '.join(sorted(found.metrics))}",
            f"  tables: {tables or 'none'}",
            f"  artifacts: {artifacts or 'none'}",
        )
    )


def main(run: Path) -> None:
    found = offline_runs(run)
    print("\n".join(map(describe, found)) or f"{run} holds no offline W&B run.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: python -m grpo_lab.tracking.readback results/<RUN>")
    main(Path(sys.argv[1]))
