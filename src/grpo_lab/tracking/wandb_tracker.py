"""One stage as a W&B run. W&B logs in a process of its own, and keeps an offline run under `wandb/` of the run folder."""

import json
import os
import secrets
import time
from pathlib import Path

from grpo_lab.mirror import first_line
from grpo_lab.tracking.metrics import METRICS, better_of
from grpo_lab.tracking.tracker import Tracker

try:
    import wandb
except ImportError as error:
    raise ImportError("TRACKER is 'wandb' but W&B is not installed: run `pip install wandb`, or set TRACKER = 'none'.") from error

from grpo_lab.tracking.keys import wandb_mode
from grpo_lab.tracking.readback import last_step, read_offline

NOTES = "tracking.json"  # in the run folder: the id of each stage's W&B run, and what each artifact is made of
INIT_S, FINISH_S = 30, 600  # seconds that W&B may take to begin, and to upload what is left at the end
FLUSH_S = 1.0  # how much of an offline run may be lost when its session is killed; W&B's own default is 15 s


def open_wandb(project: str, run: Path, stage: str, settings: dict, continued: bool) -> Tracker:
    """A stage's W&B run, online if it can be; one line says which, why not, and how to sync later."""
    if wandb.run is not None:  # of a cell that was stopped
        wandb.finish()
    mode, why = wandb_mode()
    if mode == "disabled":
        print(f"W&B is disabled, {why}: nothing is tracked.")
        return Tracker()
    run_id = _run_id(run, stage, continued)
    if mode == "online":
        try:
            tracker = WandbTracker(project, run, stage, settings, run_id, "online")
            print(f"W&B is online: {tracker.url}")
            return tracker
        except wandb.Error as error:
            why = first_line(error)
            wandb.teardown()  # its process holds the id of the run that did not begin
    try:
        tracker = WandbTracker(project, run, stage, settings, run_id, "offline")
    except Exception as error:  # a full disk, a process that does not start: W&B has many types for them
        print(f"W&B cannot keep this run in results/{run.name}/wandb ({first_line(error)}): nothing is tracked.")
        return Tracker()
    print(
        f"W&B is offline ({why}); `wandb sync results/{run.name}/wandb/offline-run-*-{run_id}*` uploads this later, "
        "once a key is there (`wandb login`)."
    )
    return tracker


def _run_id(run: Path, stage: str, continued: bool) -> str:
    """The id that the stage has in W&B; a new one for a stage that begins anew."""
    known = _read_notes(run).get(f"{stage} run")
    if continued and known:
        return known
    return _note(run, f"{stage} run", secrets.token_hex(4))


def _read_notes(run: Path) -> dict:
    try:
        return json.loads((run / NOTES).read_text())
    except (OSError, ValueError):  # none yet, or half of one: W&B gets a new run then
        return {}


def _note(run: Path, key: str, value):
    (run / NOTES).write_text(json.dumps(_read_notes(run) | {key: value}, indent=2) + "\n")
    return value


class WandbTracker(Tracker):
    """Logs to W&B under the run's group. x axis: the optimiser step. The summary keeps the last value and, where one way is
    better, the best.

    A table grows by the rows of each step, and W&B shows the latest 100 steps of them; its artifact holds all. Artifacts are
    linked to the runs that made and used them, offline ones once they are synced, in the order of the stages.
    """

    def __init__(self, project: str, run: Path, stage: str, settings: dict, run_id: str, mode: str):
        super().__init__(run)
        self._stage, self._offline = stage, mode == "offline"
        self._known: set[str] = set()  # metrics that are defined
        self._tables: dict[str, wandb.Table] = {}
        self._used: list[str] = []
        self._has_arguments = False
        self._next = last_step(run, run_id) + 1 if self._offline else None
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", project),
            group=run.name,
            job_type=stage,
            name=f"{run.name}-{stage}",
            id=run_id,
            resume="allow",
            dir=str(run),
            mode=mode,
            config=json.loads(json.dumps(settings, default=vars)) | {"units": {m.name: m.unit for m in METRICS}},
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=INIT_S,
                finish_timeout=FINISH_S,
                x_transaction_log_flush_interval=FLUSH_S,
            ),
        )
        self.url, self._file = self._run.url, Path(self._run.settings.sync_file).resolve()
        self._data_dir = os.environ.get("WANDB_DATA_DIR")
        if self._data_dir is None:  # where tables wait for their upload: with an offline run, and not in a cache
            os.environ["WANDB_DATA_DIR"] = str(run.resolve() / "wandb")

    def _log(self, values: dict, step: int, axis: str) -> None:
        path = self._folder / self._stage / "trainer_args.json"  # written when the stage itself begins, after its parts
        if axis == "step" and not self._has_arguments and path.is_file():
            self._run.config.update({"trainer": json.loads(path.read_text())}, allow_val_change=True)
            self._has_arguments = True
        self._define(values, axis)
        self._send({axis: step, **values})

    def _define(self, names, axis: str) -> None:
        if axis not in self._known:
            self._run.define_metric(axis, hidden=True)
            self._known.add(axis)
        for name in names:
            if name not in self._known:
                better = better_of(name)
                self._run.define_metric(name, step_metric=axis, summary=f"{better},last" if better else "last")
                self._known.add(name)

    def _send(self, values: dict) -> None:
        if self._next is None:
            self._run.log(values)
        else:  # an offline run that goes on begins a new file; its rows must come after those of the first
            self._run.log(values, step=self._next, commit=True)
            self._next += 1

    def _log_table(self, name: str, rows: list[dict], step: int | None) -> None:
        table = self._tables.get(name)
        if table is None:
            mode = "IMMUTABLE" if step is None else "INCREMENTAL"
            table = wandb.Table(columns=list(rows[0]), allow_mixed_types=True, log_mode=mode)
        if step is not None:
            self._tables[name] = table
        for row in rows:
            table.add_data(*(row.get(column) for column in table.columns))
        self._send({name: table} if step is None else {"step": step, name: table})

    def _summarise(self, values: dict) -> None:
        self._run.summary.update(values)

    def _save_files(self, name: str, kind: str, paths: list[Path]) -> None:
        inside = [path.relative_to(self._folder.resolve()).as_posix() for path in paths]
        made_from = {"run": self._folder.name, "stage": self._stage, "made_from": self._used}
        self._run.log_artifact(self._artifact(name, kind, inside, made_from))
        _note(self._folder, f"{name} artifact", [kind, inside])

    def _use_files(self, name: str) -> None:
        self._used.append(self.artifact_name(name))
        self._run.config.update({"made_from": self._used}, allow_val_change=True)
        if not self._offline:
            self._run.use_artifact(f"{self._used[-1]}:latest")
            return
        notes = _read_notes(self._folder)
        if f"{name} artifact" not in notes:
            raise ValueError(f"no stage of run {self._folder.name!r} has saved {name} to W&B")
        # `use_artifact` refuses to work offline, but what it calls for files does not: the same files are the same version, and
        # the sync links it to this run.
        artifact = self._artifact(name, *notes[f"{name} artifact"])
        self._run._log_artifact(artifact, is_user_created=True, use_after_commit=True)

    def _artifact(self, name: str, kind: str, inside: list[str], metadata: dict | None = None) -> wandb.Artifact:
        """An artifact of files and folders of the run. They are not copied, as they do not change once a stage is done."""
        artifact = wandb.Artifact(self.artifact_name(name), type=kind, metadata=metadata)
        for part in inside:
            path = self._folder.resolve() / part
            if path.is_dir():
                artifact.add_dir(str(path), name=part, policy="immutable")
            else:
                artifact.add_file(str(path), name=part, policy="immutable")
        return artifact

    def _finish(self, failed: bool) -> None:
        try:
            self._run.finish(exit_code=int(failed))
            if self._offline:
                self._wait_for_the_end()
        finally:
            if self._data_dir is None:
                os.environ.pop("WANDB_DATA_DIR", None)

    def _wait_for_the_end(self) -> None:
        """An offline run is written out a moment after `finish` returns: whoever reads or copies it next needs all of it."""
        for _ in range(100):
            if read_offline(self._file.parent).exit_code is not None:
                return
            time.sleep(0.1)
        raise TimeoutError(f"the end of {self._file.name} was not written")
