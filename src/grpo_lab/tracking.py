"""Opens a dashboard without a prompt and gives names; what stands on it is logged by the trainers themselves (`report_to`).

W&B is online where a key is found and offline where none is; Trackio needs no account; or none. Training's values have the names
that Transformers and TRL give them (`train/reward`, ...), so our runs lie over everybody's. Departures, for values that no
trainer logs: dev accuracy (`eval/accuracy`) and the evaluation's results go through `Tracker`.
"""

import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from grpo_lab.host import detect_host, first_line
from grpo_lab.runs import is_continued

PROJECT = "grpo-math"
TRACKERS = ("wandb", "trackio", "none")
STEP = "train/global_step"  # the x axis that Transformers gives every value
KEY = "WANDB_API_KEY"
NOTES = "tracking.json"  # in the run folder: the W&B id of each stage, by which a stage goes on
INIT_S, FINISH_S = 30, 600  # seconds that W&B may take to begin, and to upload what is left at the end
FLUSH_S = 1.0  # how much of an offline run may be lost when its session is killed; W&B's own default is 15 s


class Tracker:
    """A stage's dashboard; this one, of `TRACKER = "none"`, does nothing.

    trainer_args: keywords for the trainer's settings. No method raises for what fails in the dashboard, its disk or its network:
    that is printed, once, and the run goes on.
    """

    trainer_args: Mapping = {"report_to": []}
    told = False

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Values that no trainer logs, measured at an optimiser step."""
        self.attempt("log values", lambda: self._log({**values, STEP: step}))

    def summarise(self, values: Mapping) -> None:
        """Final values; nested mappings become `a/b/c`, and what is neither number nor text is left out."""
        self.attempt("write the summary", lambda: self._summarise(flatten(values)))

    def log_table(self, name: str, rows: Sequence[Mapping]) -> None:
        """Rows of one table, each with the keys of the first one."""
        self.attempt(f"log the table {name}", lambda: self._log_table(name, [list(row.values()) for row in rows], list(rows[0])))

    def save_files(self, name: str, kind: str, paths: Iterable[Path]) -> None:
        """Files and folders of the run as one artifact, `<run>-<name>`."""
        self.attempt(f"save {name}", lambda: self._save_files(name, kind, list(paths)))

    def use_files(self, name: str) -> None:
        """This stage works on an artifact that an earlier stage of the run has saved; offline, W&B keeps no such link."""
        self.attempt(f"record the use of {name}", lambda: self._use_files(name))

    def finish(self, failed: bool = False) -> None:
        """Close the stage's run, which may upload what is left."""
        self.attempt("finish", lambda: self._finish(failed))

    def attempt(self, what: str, call) -> None:
        try:
            call()
        except Exception as error:  # whatever a dashboard raises is worth less than the training that it would end
            if not self.told:
                print(
                    f"The dashboard could not {what} ({first_line(error)}): the run goes on, "
                    "and its files in results/ hold everything."
                )
            self.told = True

    def _log(self, values): ...

    def _summarise(self, values): ...

    def _log_table(self, name, rows, columns): ...

    def _save_files(self, name, kind, paths): ...

    def _use_files(self, name): ...

    def _finish(self, failed): ...


def flatten(values: Mapping, prefix: str = "") -> dict[str, float | str]:
    """Nested mappings as one, the names joined by slashes."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}/")
        elif isinstance(value, int | float | str):
            flat[f"{prefix}{key}"] = value
    return flat


def open_tracker(kind: str, run: Path, stage: str, settings: dict) -> Tracker:
    """Begin to track a stage, and print where in one line.

    kind: "wandb", "trackio" or "none". settings: the resolved configuration; dataclasses may be in it. Raises ValueError for
    another kind, ImportError for a dashboard that is not installed; no key and no network are no error. Of several processes
    that train together only the first tracks.
    """
    if kind not in TRACKERS:
        raise ValueError(f"There is no tracker {kind!r}. Set TRACKER to one of: {', '.join(TRACKERS)}.")
    if kind == "none" or int(os.environ.get("RANK", 0)) > 0:
        return Tracker()
    config = json.loads(json.dumps({**settings, "stage": stage}, default=vars))
    return (_open_wandb if kind == "wandb" else _open_trackio)(run, stage, config)


def _artifact_name(run: Path, name: str) -> str:
    return re.sub(r"[^\w.-]", "_", f"{run.name}-{name}", flags=re.ASCII)


def _add_paths(artifact, run: Path, paths: Iterable[Path]):
    """Put files and folders of the run into an artifact of W&B or Trackio, under their names in the run."""
    for path in paths:
        add = artifact.add_dir if path.is_dir() else artifact.add_file
        add(str(path), name=path.relative_to(run).as_posix())
    return artifact


# --- W&B --------------------------------------------------------------------------


def _open_wandb(run: Path, stage: str, config: dict) -> Tracker:
    """A W&B run that is already open when the trainer looks for one; online if it can be."""
    try:
        import wandb
    except ImportError as error:
        raise ImportError(
            "TRACKER is 'wandb' but W&B is not installed: run `pip install wandb`, or set TRACKER = 'none'."
        ) from error

    if wandb.run is not None:  # of a cell that was stopped
        wandb.finish()
    mode, why = wandb_mode()
    if mode == "disabled":
        print(f"W&B is disabled, {why}: nothing is tracked.")
        return Tracker()
    notes = _read_notes(run)
    # Online a stage goes on in its own run. Offline it begins another in the same group, at the optimiser step where it goes on:
    # two offline files of one id would write over each other's rows when they are synced.
    run_id = (notes.get(stage) if mode == "online" and is_continued(run, stage) else None) or secrets.token_hex(4)
    arguments = {
        "project": os.environ.get("WANDB_PROJECT", PROJECT),
        "group": run.name,
        "job_type": stage,
        "name": f"{run.name}-{stage}",
        "id": run_id,
        "resume": "allow",
        "dir": str(run),
        "config": config,
        "settings": wandb.Settings(
            silent=True,
            console="off",
            init_timeout=INIT_S,
            finish_timeout=FINISH_S,
            x_transaction_log_flush_interval=FLUSH_S,
        ),
    }
    if mode == "online":
        try:
            opened = wandb.init(mode="online", **arguments)
            (run / NOTES).write_text(json.dumps(notes | {stage: run_id}, indent=2) + "\n")
            print(f"W&B is online: {opened.url}")
            return WandbTracker(opened, run)
        except wandb.Error as error:
            why = first_line(error)
            wandb.teardown()  # its process holds the id of the run that did not begin
    try:
        opened = wandb.init(mode="offline", **arguments)
    except Exception as error:  # a full disk, a process that does not start: W&B has many types for them
        print(f"W&B cannot keep this run in results/{run.name}/wandb ({first_line(error)}): nothing is tracked.")
        return Tracker()
    print(
        f"W&B is offline ({why}); `wandb sync results/{run.name}/wandb/offline-run-*-{run_id}` uploads this later, "
        "once a key is there (`wandb login`)."
    )
    return WandbTracker(opened, run)


def _read_notes(run: Path) -> dict:
    try:
        return json.loads((run / NOTES).read_text())
    except (OSError, ValueError):  # none yet, or half of one: W&B gets a new run then
        return {}


def wandb_mode() -> tuple[str, str]:
    """("online", ""), or ("offline" or "disabled", why in a few words). WANDB_MODE and `wandb offline` are respected.

    The key stands in the environment, the netrc file or a secret of Colab or Kaggle; nothing is asked. It is tried against the
    server, which takes 10 seconds or so where there is no network.
    """
    import wandb

    asked = os.environ.get("WANDB_MODE") or wandb.setup(wandb.Settings(silent=True)).settings.mode
    if asked in ("offline", "dryrun", "disabled"):
        return ("disabled" if asked == "disabled" else "offline"), "as WANDB_MODE or `wandb offline` asks"
    try:
        if wandb.login(prompt=False, verify=True):
            return "online", ""
        key, why = host_secret(detect_host())
        if key:
            os.environ[KEY] = key  # where W&B finds it
            if wandb.login(prompt=False, verify=True):
                return "online", ""
            why = "W&B cannot be reached; on Kaggle, switch Internet on in the session options"
    except wandb.Error as error:
        return "offline", first_line(error)
    return "offline", why or f"no key in {KEY} or the netrc file"


def host_secret(host: str) -> tuple[str, str]:
    """The secret WANDB_API_KEY of Colab or Kaggle, or "" and why there is none; both are empty on your own machine."""
    try:
        if host == "colab":
            from google.colab import userdata

            return userdata.get(KEY) or "", f"the Colab secret {KEY} is empty"
        if host == "kaggle":
            from kaggle_secrets import UserSecretsClient

            return UserSecretsClient().get_secret(KEY) or "", f"the Kaggle secret {KEY} is empty"
    except Exception as error:  # the hosts' own types for a secret that is missing or not granted have no common parent
        return "", f"no key, and the {host.capitalize()} secret {KEY} cannot be read: {type(error).__name__}"
    return "", ""


class WandbTracker(Tracker):
    """An open W&B run, which the trainer's own callback logs to as well."""

    def __init__(self, opened, run: Path):
        self.opened, self.run = opened, run
        self.trainer_args = {"report_to": ["wandb"], "run_name": opened.name}
        self.data_folder = os.environ.get("WANDB_DATA_DIR")
        if self.data_folder is None:  # where artifacts wait for their upload: with an offline run, and not in a cache
            os.environ["WANDB_DATA_DIR"] = str(run.resolve() / "wandb")

    def _log(self, values):
        self.opened.log(values)

    def _summarise(self, values):
        self.opened.summary.update(values)

    def _log_table(self, name, rows, columns):
        import wandb

        self.opened.log({name: wandb.Table(columns=columns, data=rows, allow_mixed_types=True)})

    def _save_files(self, name, kind, paths):
        import wandb

        self.opened.log_artifact(_add_paths(wandb.Artifact(_artifact_name(self.run, name), type=kind), self.run, paths))

    def _use_files(self, name):
        if not self.opened.settings._offline:
            self.opened.use_artifact(f"{_artifact_name(self.run, name)}:latest")

    def _finish(self, failed):
        self.opened.finish(exit_code=int(failed))
        if self.data_folder is None:
            os.environ.pop("WANDB_DATA_DIR", None)


# --- Trackio ----------------------------------------------------------------------


def _open_trackio(run: Path, stage: str, config: dict) -> Tracker:
    """A Trackio run, kept where TRACKIO_DIR said when Trackio was first imported (`lab.start` names the run folder)."""
    try:
        import trackio
    except ImportError as error:
        raise ImportError(
            "TRACKER is 'trackio' but Trackio is not installed: run `pip install trackio`, or set TRACKER = 'wandb'."
        ) from error
    folder = Path(trackio.utils.TRACKIO_DIR)
    shown = f"results/{run.name}/trackio" if folder == run.resolve() / "trackio" else folder
    try:
        tracker = TrackioTracker(trackio, run, stage, config)
    except Exception as error:  # a full disk, a Space that refuses: Trackio has no type of its own for them
        print(f"Trackio cannot keep this run in {shown} ({first_line(error)}): nothing is tracked.")
        return Tracker()
    print(f"Trackio keeps this run in {shown}; `TRACKIO_DIR={shown} trackio show --project {PROJECT}` shows it.")
    return tracker


class TrackioTracker(Tracker):
    """An open Trackio run, which the trainer's own callback logs to as well.

    That callback opens a run by itself, prints, puts a dashboard into the cell, and closes the run before the stage has said all;
    so while the stage lasts, Trackio's `init` gives the open run and its `finish` waits.
    """

    def __init__(self, trackio, run: Path, stage: str, config: dict):
        self.trackio, self.run = trackio, run
        name = f"{run.name}-{stage}"
        self.trainer_args = {
            "report_to": ["trackio"],
            "project": PROJECT,
            "run_name": name,
            "trackio_static_space_id": False,  # else a push to the hub would publish the curves
        }
        with redirect_stdout(StringIO()):  # its own lines, which `_open_trackio` says in one
            self.opened = trackio.init(
                project=PROJECT,
                name=name,
                group=run.name,
                config=config,
                resume="allow" if is_continued(run, stage) else "never",
                embed=False,
            )
        self.calls = trackio.init, trackio.finish
        trackio.init, trackio.finish = (lambda **_: self.opened), (lambda: None)

    def _log(self, values):
        self.opened.log(values)

    def _summarise(self, values):
        self.opened.log(values)  # it keeps no summary

    def _log_table(self, name, rows, columns):
        self.opened.log({name: self.trackio.Table(data=[dict(zip(columns, row, strict=True)) for row in rows])})

    def _save_files(self, name, kind, paths):
        artifact = self.trackio.Artifact(_artifact_name(self.run, name), type=kind)
        self.opened.log_artifact(_add_paths(artifact, self.run, paths))

    def _use_files(self, name):
        self.opened.use_artifact(_artifact_name(self.run, name))

    def _finish(self, failed):
        self.trackio.init, self.trackio.finish = self.calls
        with redirect_stdout(StringIO()):
            self.trackio.finish()
