"""Opens W&B or Trackio for a stage, without a prompt, so that the trainers' own `report_to` logs there under the library's names.

>>> with open_tracker("none", Path("results/my-run"), "grpo", {}) as tracker:
...     tracker.trainer_args
{'report_to': []}

What a training measures and its completions go there by Transformers' and TRL's callbacks; from here come only the name, the
group and the configuration of the run, and what no trainer knows: held-out accuracy, tables, files, the result.
"""

import importlib
import json
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from grpo_lab.host import detect_host, first_line
from grpo_lab.runs import checkpoint_step, is_continued, latest_checkpoint

PROJECT = "grpo-math"
STAGES = ("priming", "sft", "grpo", "evaluation")
TRACKERS = ("wandb", "trackio", "none")
KEY = "WANDB_API_KEY"
AXIS = "train/global_step"  # the optimiser's step, as Transformers' callbacks call it in both trackers

NOTES = "tracking.json"  # in the run folder: of each stage its W&B id, and how often it was opened
INIT_S, FINISH_S = 30, 600  # seconds that W&B may take to begin, and to upload what is left at the end
FLUSH_S = 1.0  # how much of an offline run may be lost when its session is killed; W&B's own default is 15 s
ROWS = 1_000_000  # more than a session logs: where the row numbers of a stage's next session begin


def open_tracker(kind: str, run: Path, stage: str, settings: dict) -> "Tracker":
    """Open a stage's run and print where it is; a stage that goes on from a checkpoint goes on in its run.

    kind: "wandb", "trackio" or "none". stage: one of STAGES. settings: the resolved configuration; dataclasses
    may be in it. Raises ValueError for another kind or stage, ImportError for a tracker that is not installed; no key and no
    network are no error. Of several processes that train together only the first tracks.
    """
    if kind not in TRACKERS:
        raise ValueError(f"There is no tracker {kind!r}. Set TRACKER to one of: {', '.join(TRACKERS)}.")
    if stage not in STAGES:
        raise ValueError(f"There is no stage {stage!r} to track: choose from {', '.join(STAGES)}.")
    if kind == "none" or int(os.environ.get("RANK", 0)) > 0:
        return Tracker(run, stage)
    settings = json.loads(json.dumps(settings, default=vars))
    return (_open_wandb if kind == "wandb" else _open_trackio)(run, stage, settings, is_continued(run, stage))


class Tracker:
    """A stage's run in a tracker; this one, of `TRACKER = "none"`, does nothing. Use it in `with`, or call `finish`.

    trainer_args: keywords for SFTConfig and GRPOConfig that make the trainer log to this run. No method raises for what fails
    in the tracker, its disk or its network: that is printed, once. The others fill in what begins with an underscore.
    """

    def __init__(self, run: Path, stage: str):
        self.run, self.stage = run, stage
        self.name = f"{run.name}-{stage}"
        self.trainer_args: dict = {"report_to": []}
        self._told = self._closed = False

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Values of an optimiser step that the trainer does not log itself, such as `eval/accuracy`."""
        self._try("log values", self._log, {**values, AXIS: step})

    def log_table(self, name: str, rows: Sequence[Mapping]) -> None:
        """A table; the first row has all columns. What is no number and no text is shown as JSON."""
        if rows:
            plain = [{column: _plain(row.get(column)) for column in rows[0]} for row in rows]
            self._try(f"log the table {name}", self._log_table, name, plain)

    def summarise(self, values: Mapping) -> None:
        """The result: nested mappings become `a/b/c` in the summary, and one of numbers alone a bar chart as well.

        >>> Tracker(Path("my-run"), "evaluation").summarise({"accuracy": {"base": 0.1, "sft": 0.3, "grpo": 0.5}})
        """
        charts = {name: part for name, part in values.items() if _is_chart(part)}
        self._try("write the summary", self._summarise, _flatten(values), charts)

    def save_files(self, name: str, kind: str, paths: Iterable[Path]) -> None:
        """Files and folders of the run as one artifact, `<run>-<name>`, of a kind such as "model"."""
        self._try(f"save {name}", self._save_files, name, kind, [Path(path).resolve() for path in paths])

    def use_files(self, name: str) -> None:
        """This stage works on an artifact that an earlier stage of the run has saved. W&B records that online only."""
        self._try(f"record the use of {name}", self._use_files, name)

    def finish(self, failed: bool = False) -> None:
        """Close the run, which may upload what is left; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._try("finish", self._finish, failed)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.finish(failed=error is not None)

    def _artifact_name(self, name: str) -> str:
        return re.sub(r"[^\w.-]", "_", f"{self.run.name}-{name}", flags=re.ASCII)

    def _fill(self, artifact, paths: list[Path], **options):
        for path in paths:
            add = artifact.add_dir if path.is_dir() else artifact.add_file
            add(str(path), name=path.relative_to(self.run.resolve()).as_posix(), **options)
        return artifact

    def _try(self, what: str, call: Callable, *arguments) -> None:
        try:
            call(*arguments)
        except Exception as error:  # whatever a tracker raises is worth less than the training that it would end
            self._tell(what, error)

    def _tell(self, what: str, error: Exception) -> None:
        if not self._told:
            print(
                f"The tracker could not {what} ({first_line(error)}): the run goes on, and its files in results/ hold everything."
            )
        self._told = True

    def _log(self, values: dict[str, float]) -> None: ...

    def _log_table(self, name: str, rows: list[dict]) -> None: ...

    def _summarise(self, values: dict, charts: dict[str, Mapping[str, float]]) -> None: ...

    def _save_files(self, name: str, kind: str, paths: list[Path]) -> None: ...

    def _use_files(self, name: str) -> None: ...

    def _finish(self, failed: bool) -> None: ...


def _plain(value) -> float | str | None:
    return value if value is None or isinstance(value, int | float | str) else json.dumps(value, ensure_ascii=False, default=str)


def _is_chart(part) -> bool:
    return isinstance(part, Mapping) and bool(part) and all(type(value) in (int, float) for value in part.values())


def _flatten(values: Mapping, prefix: str = "") -> dict[str, float | str]:
    """Nested mappings as one, the names joined by slashes; numbers and texts are kept, anything else is left out."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}/")
        elif isinstance(value, int | float | str):
            flat[f"{prefix}{key}"] = value
    return flat


# W&B: online where a key is found and accepted, offline where none is.


def _open_wandb(run: Path, stage: str, settings: dict, continued: bool) -> Tracker:
    """A stage's W&B run; one line says whether it is online, why not, and how to sync later."""
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
        return Tracker(run, stage)
    run_id, rows = _note_session(run, stage, continued)
    if mode == "online":
        try:
            tracker = WandbTracker(run, stage, settings, run_id, rows, "online")
            print(f"W&B is online: {wandb.run.url}")
            return tracker
        except wandb.Error as error:
            why = first_line(error)
            wandb.teardown()  # its process holds the id of the run that did not begin
    try:
        tracker = WandbTracker(run, stage, settings, run_id, rows, "offline")
    except Exception as error:  # a full disk, a process that does not start: W&B has many types for them
        print(f"W&B cannot keep this run in results/{run.name}/wandb ({first_line(error)}): nothing is tracked.")
        return Tracker(run, stage)
    print(
        f"W&B is offline ({why}); `wandb sync results/{run.name}/wandb/offline-run-*-{run_id}` uploads this later, "
        "once a key is there (`wandb login`)."
    )
    return tracker


def wandb_mode() -> tuple[str, str]:
    """("online", ""), or ("offline" or "disabled", why in a few words). WANDB_MODE and `wandb offline` are respected.

    A key is looked for in the environment, the netrc file and the secrets of Colab and Kaggle, and tried against the server,
    which takes 10 seconds or so where there is no network. One that a secret held stands in the environment afterwards.
    """
    import wandb

    asked = os.environ.get("WANDB_MODE") or wandb.setup(wandb.Settings(silent=True)).settings.mode
    if asked in ("offline", "dryrun", "disabled"):
        return ("disabled" if asked == "disabled" else "offline"), "as WANDB_MODE or `wandb offline` asks"
    try:
        if wandb.login(prompt=False, verify=True):
            return "online", ""
        key, why = _host_secret(detect_host())
        if key:
            os.environ[KEY] = key
            if wandb.login(prompt=False, verify=True):
                return "online", ""
            why = "W&B cannot be reached; on Kaggle, switch Internet on in the session options"
    except wandb.Error as error:
        return "offline", first_line(error)
    return "offline", why or f"no key in {KEY} or the netrc file"


def _host_secret(host: str) -> tuple[str, str]:
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


def _note_session(run: Path, stage: str, continued: bool) -> tuple[str, int]:
    """The stage's id in W&B, a new one where it begins anew, and the number of this session's first row."""
    path = run / NOTES
    try:
        notes = json.loads(path.read_text())
        run_id, sessions = notes[stage] if continued else ("", 0)
    except (OSError, ValueError, KeyError):  # none yet, or half of one: W&B gets a new run then
        notes, run_id, sessions = {}, "", 0
    notes[stage] = [run_id or secrets.token_hex(4), sessions + 1]
    path.write_text(json.dumps(notes, indent=2) + "\n")
    return notes[stage][0], sessions * ROWS


class WandbTracker(Tracker):
    """Opens the W&B run that Transformers' WandbCallback then finds. What W&B does not upload at once lies in the run folder."""

    def __init__(self, run: Path, stage: str, settings: dict, run_id: str, rows: int, mode: str):
        import wandb

        super().__init__(run, stage)
        self.trainer_args = {"report_to": ["wandb"], "run_name": self.name}
        self._wandb, self._offline = wandb, mode == "offline"
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=run.name,
            job_type=stage,
            name=self.name,
            id=run_id,
            resume="allow",
            dir=str(run),
            mode=mode,
            config=settings,
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=INIT_S,
                finish_timeout=FINISH_S,
                x_transaction_log_flush_interval=FLUSH_S,
            ),
        )
        # As the callback does, which begins later than the first measurement.
        self._run.define_metric(AXIS)
        self._run.define_metric("*", step_metric=AXIS, step_sync=True)
        checkpoint = latest_checkpoint(run / stage)
        if rows and checkpoint:  # rows go on at its step; of an offline run each session is a file, numbered after the one before
            self._run.log({AXIS: checkpoint_step(checkpoint)}, step=rows if self._offline else None)
        self._data_dir = os.environ.get("WANDB_DATA_DIR")
        if self._data_dir is None:  # where tables wait for their upload: with an offline run, and not in a cache
            os.environ["WANDB_DATA_DIR"] = str(run.resolve() / "wandb")

        wandb.log = self._log_or_stop  # which the callback and TRL call, and would let end the training

    def _log_or_stop(self, *arguments, **options) -> None:
        """Log; where W&B's own process is gone, say so and track no more."""
        try:
            self._run.log(*arguments, **options)
        except Exception as error:  # a lost connection, in one of several types
            self._tell("log values", error)
            self._run = self._wandb.run = self._wandb.init(mode="disabled", reinit="create_new")

    def _log(self, values: dict[str, float]) -> None:
        self._log_or_stop(values)

    def _table(self, rows: list[dict]):
        data = [list(row.values()) for row in rows]
        return self._wandb.Table(columns=list(rows[0]), data=data, allow_mixed_types=True)

    def _log_table(self, name: str, rows: list[dict]) -> None:
        self._run.log({name: self._table(rows)})

    def _summarise(self, values: dict, charts: dict[str, Mapping[str, float]]) -> None:
        for name, bars in charts.items():
            table = self._table([{"of": label, name: value} for label, value in bars.items()])
            self._run.log({name: self._wandb.plot.bar(table, "of", name, title=name)})
        self._run.summary.update(values)

    def _save_files(self, name: str, kind: str, paths: list[Path]) -> None:
        made_by = {"run": self.run.name, "stage": self.stage}
        artifact = self._wandb.Artifact(self._artifact_name(name), type=kind, metadata=made_by)
        self._run.log_artifact(self._fill(artifact, paths, policy="immutable"))  # not copied: a stage that is done keeps them

    def _use_files(self, name: str) -> None:
        if not self._offline:  # W&B links runs and artifacts on its server only
            self._run.use_artifact(f"{self._artifact_name(name)}:latest")

    def _finish(self, failed: bool) -> None:
        try:
            self._run.finish(exit_code=int(failed))
            self._wandb.teardown()  # waits for W&B's process, which writes an offline run out a moment after `finish` returns
        finally:
            if self._data_dir is None:
                os.environ.pop("WANDB_DATA_DIR", None)


# Trackio: needs no account; what is logged stays in `trackio/` of the run folder.

_chosen: set[str] = set()  # values of TRACKIO_DIR that were set here, and not by whoever runs this


def _open_trackio(run: Path, stage: str, settings: dict, continued: bool) -> Tracker:
    """A stage's Trackio run; one line says where it is kept and how to look at it.

    TRACKIO_DIR, where it is set, is the place, and TRACKIO_SPACE_ID sends a copy to that Space of the hub, as Trackio has it.
    """
    if os.environ.get("TRACKIO_DIR") in (None, *_chosen):
        os.environ["TRACKIO_DIR"] = str(run.resolve() / "trackio")
        _chosen.add(os.environ["TRACKIO_DIR"])
    folder = Path(os.environ["TRACKIO_DIR"])
    try:
        trackio = importlib.import_module("trackio")
    except ImportError as error:
        raise ImportError(
            "TRACKER is 'trackio' but Trackio is not installed: run `pip install trackio==0.43.0`, or set TRACKER = 'wandb'."
        ) from error
    _set_up_trackio(folder)
    shown = f"results/{run.name}/trackio" if folder == run.resolve() / "trackio" else folder
    try:
        tracker = TrackioTracker(trackio, run, stage, settings, continued)
    except Exception as error:  # a full disk, a Space that refuses: Trackio has no type of its own for them
        print(f"Trackio cannot keep this run in {shown} ({first_line(error)}): nothing is tracked.")
        return Tracker(run, stage)
    print(f"Trackio keeps this run in {shown}; `TRACKIO_DIR={shown} trackio show --project {PROJECT}` shows it.")
    return tracker


def _set_up_trackio(folder: Path) -> None:
    """Trackio reads its folder once, when it is imported, as TRL may have done before; and it cannot be told not to print."""
    places = {"TRACKIO_DIR": folder, "MEDIA_DIR": folder / "media", "ARTIFACTS_DIR": folder / "artifacts"}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "trackio":
            vars(module).update({place: path for place, path in places.items() if place in vars(module)})
            module.print = lambda *_, **__: None


class TrackioTracker(Tracker):
    """Makes the Trackio run that Transformers' TrackioCallback then opens by its name, and closes at the end of the training."""

    def __init__(self, trackio, run: Path, stage: str, settings: dict, continued: bool):
        super().__init__(run, stage)
        self.trainer_args = {
            "report_to": ["trackio"],
            "project": PROJECT,
            "run_name": self.name,
            "trackio_static_space_id": False,  # with a push to the hub it would make a Space of the logs, unasked
        }
        self._trackio, self._init = trackio, trackio.init
        # The callback names neither group nor configuration, and would show Trackio's page under a cell: what it does not say
        # is said for it, until `finish`.
        self._settings = settings | {"job_type": stage}
        shared = {"project": PROJECT, "name": self.name, "group": run.name, "private": True}
        trackio.init = partial(self._init, **shared, config=self._settings, embed=False)
        opened = trackio.init(resume="allow" if continued else "never")
        if not continued:  # a run is there from its first row on: without one the callback would find an older of this name
            opened.log({AXIS: 0})

    @property
    def _run(self):
        """The run that is open: the callback's while it trains, else one of ours that goes on with it."""
        run = self._trackio.context_vars.current_run.get()
        if run is None or run.name != self.name:
            self._settings.update({key: value for key, value in self._trackio.config.items() if not key.startswith("_")})
            run = self._trackio.init(resume="allow")
        return run

    def _log(self, values: dict[str, float]) -> None:
        self._run.log(values)

    def _log_table(self, name: str, rows: list[dict]) -> None:
        self._run.log({name: self._trackio.Table(data=rows)})

    def _summarise(self, values: dict, charts: dict[str, Mapping[str, float]]) -> None:
        self._run.log(values)  # it has no summary and no bar charts

    def _save_files(self, name: str, kind: str, paths: list[Path]) -> None:
        made_by = {"run": self.run.name, "stage": self.stage}
        self._run.log_artifact(self._fill(self._trackio.Artifact(self._artifact_name(name), type=kind, metadata=made_by), paths))

    def _use_files(self, name: str) -> None:
        self._run.use_artifact(self._artifact_name(name))

    def _finish(self, failed: bool) -> None:
        self._trackio.init = self._init
        if self._trackio.context_vars.current_run.get() is not None:
            self._trackio.finish()
