"""What an offline W&B run holds, read from its file: a log in LevelDB's format, each record a protobuf message of W&B's."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

BLOCK, HEADER, FILE_HEADER = 32 * 1024, 7, 7  # bytes
WHOLE, LAST = 1, 4  # the kinds of a fragment that end a record


def records(data: bytes) -> Iterator[bytes]:
    at, record = FILE_HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # too little is left of the block for a header
            at += BLOCK - at % BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        record += data[at + HEADER : at + HEADER + size]
        at += HEADER + size
        if kind in (WHOLE, LAST):
            yield record
            record = b""


def offline_runs(run: Path) -> list[SimpleNamespace]:
    """Every offline W&B run in a run folder, oldest first. done: whether it was closed; artifacts: (name, type)."""
    from wandb.proto.wandb_internal_pb2 import Record

    found = []
    for path in sorted((run / "wandb").glob("offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime):
        held = SimpleNamespace(folder=path.parent, config={}, summary={}, history=[], artifacts=[], done=False)
        for data in records(path.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                held.id, held.name = record.run.run_id, record.run.display_name
                held.group, held.job_type = record.run.run_group, record.run.job_type
                update(held.config, record.run.config.update)
            elif kind in ("config", "summary"):
                update(getattr(held, kind), getattr(record, kind).update)
            elif kind == "history":
                held.history.append({})
                update(held.history[-1], record.history.item)
            elif kind == "artifact":
                held.artifacts.append((record.artifact.name, record.artifact.type))
            elif kind == "exit":
                held.done = True
        found.append(held)
    return found


def update(values: dict, items) -> None:
    for item in items:
        values["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
