"""One stage as a Trackio run, which needs no account: what is logged stays in `trackio/` of the run folder."""

import importlib
import json
import os
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from grpo_lab.mirror import first_line
from grpo_lab.tracking.metrics import METRICS
from grpo_lab.tracking.tracker import Tracker

_chosen: set[str] = set()  # values of TRACKIO_DIR that were set here, and not by whoever runs this


def open_trackio(project: str, run: Path, stage: str, settings: dict, continued: bool) -> Tracker:
    """A stage's Trackio run in the run's group; one line says where it is kept and how to look at it.

    TRACKIO_DIR, where it is set, is the place, and TRACKIO_SPACE_ID sends a copy to that Space of the hub, as Trackio has it.
    """
    try:
        trackio = _import_for(run)
    except ImportError as error:
        raise ImportError(
            "TRACKER is 'trackio' but Trackio is not installed: run `pip install trackio==0.43.0`, or set TRACKER = 'wandb'."
        ) from error
    folder = Path(trackio.utils.TRACKIO_DIR)
    shown = f"results/{run.name}/trackio" if folder == run.resolve() / "trackio" else folder
    try:
        tracker = TrackioTracker(trackio, project, run, stage, settings, continued)
    except Exception as error:  # a full disk, a Space that refuses: Trackio has no type of its own for them
        print(f"Trackio cannot keep this run in {shown} ({first_line(error)}): nothing is tracked.")
        return Tracker()
    print(f"Trackio keeps this run in {shown}; `TRACKIO_DIR={shown} trackio show --project {project}` shows it.")
    return tracker


def _import_for(run: Path):
    """Trackio, keeping its files in the run folder. It reads the place when it is imported, as TRL may have done before."""
    if os.environ.get("TRACKIO_DIR") in (None, *_chosen):
        os.environ["TRACKIO_DIR"] = str(run.resolve() / "trackio")
        _chosen.add(os.environ["TRACKIO_DIR"])
    loaded = sys.modules.get("trackio")
    if loaded and Path(loaded.utils.TRACKIO_DIR) != Path(os.environ["TRACKIO_DIR"]):
        for name in [name for name in sys.modules if name.partition(".")[0] == "trackio"]:
            del sys.modules[name]
    return importlib.import_module("trackio")


class TrackioTracker(Tracker):
    """Logs to Trackio at the optimiser's steps. It keeps no summary: best values are logged as any other, at the last step."""

    def __init__(self, trackio, project: str, run: Path, stage: str, settings: dict, continued: bool):
        super().__init__(run)
        self._trackio, self._stage, self._step, self._used = trackio, stage, 0, []
        config = json.loads(json.dumps(settings, default=vars))
        with redirect_stdout(StringIO()):  # its own lines, which `open_trackio` says in one
            self._run = trackio.init(
                project=project,
                name=f"{run.name}-{stage}",
                group=run.name,
                config=config | {"job_type": stage, "units": {metric.name: metric.unit for metric in METRICS}},
                resume="allow" if continued else "never",
                embed=False,
            )

    def _log(self, values: dict, step: int, axis: str) -> None:
        self._step = max(self._step, step)
        self._run.log(values, step=step)

    def _log_table(self, name: str, rows: list[dict], step: int | None) -> None:
        self._run.log({name: self._trackio.Table(data=rows)}, step=self._step if step is None else step)

    def _summarise(self, values: dict) -> None:
        self._run.log(values, step=self._step)

    def _save_files(self, name: str, kind: str, paths: list[Path]) -> None:
        metadata = {"run": self._folder.name, "stage": self._stage, "made_from": self._used}
        artifact = self._trackio.Artifact(self.artifact_name(name), type=kind, metadata=metadata)
        for path in paths:
            add = artifact.add_dir if path.is_dir() else artifact.add_file
            add(path, name=path.relative_to(self._folder.resolve()).as_posix())
        self._run.log_artifact(artifact)

    def _use_files(self, name: str) -> None:
        self._used.append(self.artifact_name(name))
        self._run.use_artifact(self._used[-1])

    def _finish(self, failed: bool) -> None:
        with redirect_stdout(StringIO()):
            self._trackio.finish()
