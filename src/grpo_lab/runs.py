"""A run and its folder: where things are, what was resolved, how long each stage took. Standard library only.

A run folder holds everything that one pass through the notebooks makes: `sft/` and `grpo/` (checkpoints, adapter, metrics),
`samples/`, `figures/`, `stages.csv` and one JSON of the resolved configuration a stage.
"""

import csv
import hashlib
import importlib
import importlib.util
import inspect
import io
import json
import os
import platform
import re
import subprocess
import sys
import time
from contextlib import redirect_stdout
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from grpo_lab.records import write_csv

try:
    import resource
except ModuleNotFoundError:  # Windows, where peak memory is not told
    resource = None

LIBRARIES = ("torch", "transformers", "trl", "peft", "datasets", "unsloth", "unsloth_zoo", "wandb")
BACKENDS = ("auto", "unsloth", "peft")
NOTEBOOKS = {"priming": "01_SFT_pre-tuning.ipynb", "sft": "01_SFT_pre-tuning.ipynb", "grpo": "02_GRPO_reasoning_tuning.ipynb"}


def project_root(start: Path | None = None) -> Path:
    """The clone's top folder, found upwards from `start` (default: the working directory)."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "data" / "priming.jsonl").is_file():
            return folder
    raise FileNotFoundError(
        f"{start} is not inside a clone of grpo-math (no data/priming.jsonl above it): "
        "clone the repository and start Jupyter there."
    )


def open_run(name: str, root: Path | None = None) -> Path:
    """The folder `results/<name>` of the clone, made if needed.

    Raises ValueError for a name that is not a plain folder name, PermissionError where nothing can be written.
    """
    if not re.fullmatch(r"[\w.-]*\w[\w.-]*", name):
        raise ValueError(f"RUN = {name!r} is not a folder name: use letters, digits, '.', '_' and '-'.")
    folder = (root or project_root()) / "results" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".write-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise PermissionError(
            f"Cannot write to {folder} ({error.strerror}): free the folder or its disk, or choose another RUN."
        ) from error
    return folder


def require_adapter(run: Path, stage: str) -> Path:
    """The adapter that an earlier stage saved; FileNotFoundError says which notebook makes it."""
    adapter = run / stage / "adapter"
    if not (adapter / "adapter_model.safetensors").is_file():
        raise FileNotFoundError(
            f"Run {run.name!r} has no {stage.upper()} adapter yet ({stage}/adapter is missing): "
            f"run notebooks/{NOTEBOOKS[stage]} with RUN = {run.name!r} first."
        )
    return adapter


def latest_checkpoint(stage_dir: Path) -> Path | None:
    """The newest complete checkpoint of a stage, or None. One that was cut off while it was written has no trainer state."""
    found = [path for path in stage_dir.glob("checkpoint-*") if checkpoint_step(path) is not None and is_complete(path)]
    return max(found, key=checkpoint_step, default=None)


def checkpoint_step(path: Path) -> int | None:
    """The step of a checkpoint, by the name of its folder; None for any other."""
    match = re.fullmatch(r"checkpoint-(\d+)", path.name)
    return int(match[1]) if match else None


def is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end: the trainer writes its state last, so a readable one means all is there."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    return (checkpoint / "adapter_model.safetensors").is_file()


def is_continued(run: Path, stage: str) -> bool:
    """Whether a stage will go on with what it left: a training stage with its checkpoint, the evaluation with its samples."""
    if stage == "evaluation":
        return any((run / "samples").glob("*.jsonl*"))
    return latest_checkpoint(run / stage) is not None


# What may change while a stage is under way, and of which other stages one does not depend.
FREE = re.compile(
    r"recipe\.(evaluation|needs|variants|hardware)\b|.*\.(micro_batch|generation_batch|save_every|eval_every|eval_problems)$|recipe\.grpo\.rollouts$"
)
OTHERS = {"priming": ("sft", "grpo"), "sft": ("grpo",), "grpo": ("priming", "sft")}


def _binding(settings: dict, stage: str) -> dict[str, object]:
    """The settings that a stage is bound to, by dotted names."""
    import pandas as pd

    (flat,) = pd.json_normalize(settings).astype(object).to_dict("records")
    others = tuple(f"recipe.{other}." for other in OTHERS.get(stage, ()))
    return {name: value for name, value in flat.items() if not FREE.match(name) and not name.startswith(others)}


def as_json(settings: dict) -> dict:
    """Settings as JSON has them: a record by its fields, a function by its name and a hash of its source."""

    def plain(value):
        if not callable(value):
            return vars(value)
        bound = ""
        while isinstance(value, partial):
            value, bound = value.func, f"{bound}{value.args}{value.keywords}"
        code = value if hasattr(value, "__name__") else type(value)
        try:
            source = inspect.getsource(code)
        except (OSError, TypeError):  # not written in Python, or nowhere to be read
            source = ""
        return f"{code.__name__} {hashlib.sha256((source + bound).encode()).hexdigest()[:8]}"

    return json.loads(json.dumps(settings, default=plain))


def save_config(run: Path, stage: str, settings: dict) -> Path:
    """Write `<stage>_config.json`: the settings with what they ran on. Refuses a folder that holds other settings.

    A stage may only be continued under the settings that it began with, as far as they alter what is learned: ValueError
    names the first that differ, old and new. How much fits on the device at once, how often is saved and measured, and the
    number of rollouts may change.
    """
    path, settings = run / f"{stage}_config.json", as_json(settings)
    if path.is_file() and latest_checkpoint(run / stage):
        saved = json.loads(path.read_text())["settings"]
        before, now = _binding(saved, stage), _binding(settings, stage)
        changed = [
            f"{name} ({before[name]!r} then, {now[name]!r} now)" for name in now if before.get(name, now[name]) != now[name]
        ]
        if changed:
            began, here = (kept.get("recipe", {}).get("hardware") for kept in (saved, settings))
            hint = f" HARDWARE = {began!r} takes the settings of the card that it began on." if began != here else ""
            raise ValueError(
                f"Run {run.name!r} holds a {stage.upper()} stage with another {', '.join(changed[:3])}: choose another "
                f"RUN, or delete {path.parent.name}/{stage}, in its mirror too if it has one, to start it afresh.{hint}"
            )
    path.write_text(json.dumps({"settings": settings, "environment": describe_environment()}, indent=2) + "\n")
    return path


def choose_backend(wanted: str = "auto", device_kind: str = "cpu") -> str:
    """The backend to use, "unsloth" or "peft"; "auto" takes Unsloth where it is installed, but PEFT on Apple Silicon ("mps").

    Raises ValueError for an unknown name or for Unsloth on Apple Silicon, ImportError for a missing Unsloth. Unsloth is imported
    here, before what it patches.
    """
    if wanted not in BACKENDS:
        raise ValueError(f"There is no backend {wanted!r}. Set BACKEND to one of: {', '.join(BACKENDS)}.")
    if wanted == "unsloth" and device_kind == "mps":  # Unsloth trains there through MLX, which has no GRPO
        raise ValueError("On Apple Silicon Unsloth has no GRPO: set BACKEND = 'auto' or 'peft', which train on MPS.")
    installed = importlib.util.find_spec("unsloth") is not None
    if wanted == "unsloth" and not installed:
        raise ImportError("BACKEND is 'unsloth' but Unsloth is not installed: run `make setup`, or set BACKEND = 'peft'.")
    if wanted == "auto":
        wanted = "unsloth" if installed and device_kind != "mps" else "peft"
    if wanted == "unsloth":
        with redirect_stdout(io.StringIO() if device_kind == "cpu" else sys.stdout):  # what it says of a CPU, `start` says
            importlib.import_module("unsloth")
    return wanted


def describe_environment() -> dict[str, str]:
    """Library versions, Python, platform and git commit, as short strings."""
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        **found,
        "commit": _commit(),
    }


def _commit() -> str:
    """The commit of the working directory; "unknown" in a downloaded copy, or where there is no git."""
    try:
        found = subprocess.run(("git", "rev-parse", "--short", "HEAD"), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return found.stdout.strip() or "unknown"


class StageClock:
    """The time that a stage takes, in `stages.csv`: a row a stage with wall and CPU seconds and the process's peak memory in MB.

    A stage that goes on after a cut adds to what it took before; `save` at each checkpoint, so that a killed session counts too.
    """

    def __init__(self, run: Path, stage: str):
        self.run, self.stage = run, stage
        earlier = read_stages(run) if is_continued(run, stage) else []
        self.before = next((row for row in earlier if row["stage"] == stage), {})
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def save(self) -> None:
        """Write the row as it is now, beside the file and then in its place."""
        unit = 1024**2 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit if resource else 0
        row = {
            "stage": self.stage,
            "wall_s": round(float(self.before.get("wall_s", 0)) + time.perf_counter() - self.wall, 1),
            "cpu_s": round(float(self.before.get("cpu_s", 0)) + time.process_time() - self.cpu, 1),
            "peak_memory_mb": max(int(self.before.get("peak_memory_mb", 0)), round(peak)),
        }
        rows = [old for old in read_stages(self.run) if old["stage"] != self.stage] + [row]
        write_csv(self.run / "stages.csv", rows)


def read_stages(run: Path) -> list[dict[str, str]]:
    """The rows of `stages.csv`, empty where there is none yet."""
    path = run / "stages.csv"
    if not path.is_file():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
