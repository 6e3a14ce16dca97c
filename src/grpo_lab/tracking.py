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
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from grpo_lab.host import detect_host, first_line
from grpo_lab.runs import as_json, checkpoint_step, is_continued, latest_checkpoint

PROJECT = "grpo-math"
TRACKERS = ("wandb", "trackio", "none")
KEY = "WANDB_API_KEY"
AXIS = "train/global_step"  # the optimiser's step, as Transformers' callbacks call it in both trackers

NOTES = "tracking.json"  # in the run folder: the W&B id of each stage
INIT_S, FINISH_S = 30, 600  # seconds that W&B may take to begin, and to upload what is left at the end
FLUSH_S = 1.0  # how much of an offline run may be lost when its session is killed; W&B's own default is 15 s


def open_tracker(kind: str, run: Path, stage: str, settings: dict) -> "Tracker":
    """Open a stage's run and print where it is; a stage that goes on from a checkpoint goes on in its run.

    kind: "wandb", "trackio" or "none". stage: "priming", "sft", "grpo" or "evaluation". settings: the resolved configuration;
    dataclasses may be in it. Raises ValueError for another kind, ImportError for a tracker that is not installed; no key, no
    network and no room on the disk are no error. Of several processes that train together only the first tracks.
    """
    if kind not in TRACKERS:
        raise ValueError(f"There is no tracker {kind!r}. Set TRACKER to one of: {', '.join(TRACKERS)}.")
    if kind == "none" or int(os.environ.get("RANK", 0)) > 0:
        return Tracker(run, stage)
    try:
        importlib.import_module(kind)
    except ImportError as error:
        raise ImportError(
            f"TRACKER is {kind!r}, which is not installed: run `pip install {kind}`, or set TRACKER = 'none'."
        ) from error
    settings = as_json(settings)
    try:
        return (_open_wandb if kind == "wandb" else TrackioTracker)(run, stage, settings, is_continued(run, stage))
    except Exception as error:  # a full disk, a process that does not start, a Space that refuses: there are many types for them
        print(f"The tracker {kind!r} cannot keep this run ({first_line(error)}): nothing is tracked.")
        return Tracker(run, stage)


class Tracker:
    """A stage's run in a tracker; this one, of `TRACKER = "none"`, does nothing. Use it in `with`, or call `finish`.

    trainer_args: keywords for SFTConfig and GRPOConfig that make the trainer log to this run. No method raises for what fails
    in the tracker, its disk or its network: that is printed, once. W&B and Trackio have one API but for what the classes of the
    two say themselves.
    """

    _as_they_are: Mapping = {}  # how an artifact takes files

    def __init__(self, run: Path, stage: str):
        self.run, self.stage = run, stage
        self.name = f"{run.name}-{stage}"
        self.trainer_args: dict = {"report_to": []}
        self._module = self._run = None  # the tracker's module, and its run
        self._told = False

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Values of an optimiser step that the trainer does not log itself, such as `eval/accuracy`."""
        self._try("log values", lambda: self._run.log({**values, AXIS: step}))

    def log_table(self, name: str, rows: Sequence[Mapping]) -> None:
        """A table of numbers and texts."""
        self._try(f"log the table {name}", lambda: self._run.log({name: self._table(rows)}))

    def summarise(self, values: Mapping) -> None:
        """The result: nested mappings become `a/b/c` in the summary, and the numbers of "accuracy" a bar chart as well.

        >>> Tracker(Path("my-run"), "evaluation").summarise({"accuracy": {"base": 0.1, "sft": 0.3, "grpo": 0.5}})
        """
        self._try("write the summary", lambda: self._summarise(_flatten(values), values.get("accuracy", {})))

    def save_files(self, name: str, kind: str, paths: Iterable[Path]) -> None:
        """Files and folders of the run as one artifact, `<run>-<name>`, of a kind such as "model"."""
        self._try(f"save {name}", self._save_files, name, kind, paths)

    def use_files(self, name: str) -> None:
        """This stage works on an artifact that an earlier stage of the run has saved. W&B records that online only."""
        self._try(f"record the use of {name}", lambda: self._run.use_artifact(f"{self._artifact_name(name)}:latest"))

    def finish(self, failed: bool = False) -> None:
        """Close the run, which may upload what is left; a second call does nothing."""
        self._try("finish", lambda: self._finish(failed))
        self._run = None

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.finish(failed=error is not None)

    def _try(self, what: str, call: Callable, *arguments) -> None:
        if self._run is None:
            return
        try:
            call(*arguments)
        except Exception as error:  # whatever a tracker raises is worth less than the training that it would end
            self._tell(what, error)

    def _tell(self, what: str, error: Exception) -> None:
        if not self._told:
            why = first_line(error)
            print(f"The tracker could not {what} ({why}): the run goes on, and its files in results/ hold everything.")
        self._told = True

    def _table(self, rows: Sequence[Mapping]):
        import pandas as pd

        return self._module.Table(dataframe=pd.DataFrame(rows), allow_mixed_types=True)

    def _save_files(self, name: str, kind: str, paths: Iterable[Path]) -> None:
        made_by = {"run": self.run.name, "stage": self.stage}
        artifact = self._module.Artifact(self._artifact_name(name), type=kind, metadata=made_by)
        for path in map(Path.resolve, paths):
            add = artifact.add_dir if path.is_dir() else artifact.add_file
            add(str(path), name=path.relative_to(self.run.resolve()).as_posix(), **self._as_they_are)
        self._run.log_artifact(artifact)

    def _artifact_name(self, name: str) -> str:
        return re.sub(r"[^\w.-]", "_", f"{self.run.name}-{name}", flags=re.ASCII)


def _flatten(values: Mapping) -> dict[str, float | str]:
    """Nested mappings as one, the names joined by slashes; numbers and texts are kept, anything else is left out."""
    import pandas as pd

    (flat,) = pd.json_normalize(values, sep="/").to_dict("records")
    return {name: value for name, value in flat.items() if isinstance(value, int | float | str)}


# W&B: online where a key is found and accepted, offline where none is.


def _open_wandb(run: Path, stage: str, settings: dict, continued: bool) -> Tracker:
    """A stage's W&B run; one line says whether it is online, why not, and how to sync later."""
    import wandb

    if wandb.run is not None:  # of a cell that was stopped
        wandb.finish()
    mode, why = wandb_mode()
    if mode == "disabled":
        print(f"W&B is disabled, {why}: nothing is tracked.")
        return Tracker(run, stage)
    run_id = _note_id(run, stage, continued)
    if mode == "online":
        try:
            tracker = WandbTracker(run, stage, settings, run_id, mode)
            print(f"W&B is online: {wandb.run.url}")
            return tracker
        except wandb.Error as error:
            why = first_line(error)
            wandb.teardown()  # its process holds the id of the run that did not begin
    tracker = WandbTracker(run, stage, settings, run_id, "offline")
    print(
        f"W&B is offline ({why}); `wandb sync results/{run.name}/wandb/offline-run-*-{run_id}` uploads this later, "
        "once a key is there (`wandb login`)."
    )
    return tracker


def wandb_mode() -> tuple[str, str]:
    """("online", ""), or ("offline" or "disabled", why in a few words). WANDB_MODE and `wandb offline` are respected.

    A key is looked for in the environment, the secrets of Colab and Kaggle and the netrc file, and tried against the server,
    which takes 10 seconds or so where there is no network. One that a secret held stands in the environment afterwards.
    """
    import wandb

    asked = os.environ.get("WANDB_MODE") or wandb.setup(wandb.Settings(silent=True)).settings.mode
    if asked in ("offline", "dryrun", "disabled"):
        return ("disabled" if asked == "disabled" else "offline"), "as WANDB_MODE or `wandb offline` asks"
    why = f"no key in {KEY} or the netrc file"
    if not os.environ.get(KEY):
        try:
            if key := _host_secret(detect_host()):
                os.environ[KEY] = key
                why = "W&B cannot be reached; on Kaggle, switch Internet on in the session options"
        except Exception as error:  # the hosts' own types for a secret that is missing or not granted have no common parent
            why = f"no key, and the secret {KEY} of this host cannot be read: {type(error).__name__}"
    try:
        return ("online", "") if wandb.login(prompt=False, verify=True) else ("offline", why)
    except wandb.Error as error:
        return "offline", first_line(error)


def _host_secret(host: str) -> str | None:
    """The secret WANDB_API_KEY of Colab or Kaggle."""
    if host == "colab":
        from google.colab import userdata

        return userdata.get(KEY)
    if host == "kaggle":
        from kaggle_secrets import UserSecretsClient

        return UserSecretsClient().get_secret(KEY)
    return None


def _note_id(run: Path, stage: str, continued: bool) -> str:
    """The stage's id in W&B, a new one where it begins anew."""
    path = run / NOTES
    notes = json.loads(path.read_text()) if path.is_file() else {}
    if not continued or stage not in notes:
        notes[stage] = secrets.token_hex(4)
        path.write_text(json.dumps(notes, indent=2) + "\n")
    return notes[stage]


class WandbTracker(Tracker):
    """Opens the W&B run that Transformers' WandbCallback then finds. What W&B does not upload at once lies in the run folder."""

    _as_they_are = {"policy": "immutable"}  # not copied: a stage that is done keeps them

    def __init__(self, run: Path, stage: str, settings: dict, run_id: str, mode: str):
        import wandb

        super().__init__(run, stage)
        self.trainer_args = {"report_to": ["wandb"], "run_name": self.name}
        os.environ["WANDB_DATA_DIR"] = str(run.resolve() / "wandb")  # tables wait here for their upload, and not in a cache
        self._module = wandb
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
        if checkpoint := latest_checkpoint(run / stage):
            # An offline run does not know the rows of the sessions before: a clock's milliseconds come after them all.
            self._run.log({AXIS: checkpoint_step(checkpoint)}, step=int(time.time() * 1000) if mode == "offline" else None)
        wandb.log = self._log_or_stop  # which the callback and TRL call, and would let end the training

    def _log_or_stop(self, *arguments, **options) -> None:
        """Log; where W&B's own process is gone, say so and track no more."""
        try:
            self._run.log(*arguments, **options)
        except Exception as error:  # a lost connection, in one of several types
            self._tell("log values", error)
            self._run = self._module.run = self._module.init(mode="disabled", reinit="create_new")

    def _summarise(self, values: dict[str, float | str], accuracy: Mapping[str, float]) -> None:
        if accuracy:
            bars = [{"of": checkpoint, "accuracy": value} for checkpoint, value in accuracy.items()]
            self._run.log({"accuracy": self._module.plot.bar(self._table(bars), "of", "accuracy", title="accuracy")})
        self._run.summary.update(values)

    def use_files(self, name: str) -> None:
        if not self._run.offline:  # W&B links runs and artifacts on its server only
            super().use_files(name)

    def _finish(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))
        self._module.teardown()  # waits for W&B's process, which writes an offline run out a moment after `finish` returns


# Trackio: needs no account; what is logged stays in TRACKIO_DIR, which `lab.start` sets to `trackio/` of the run folder.


class TrackioTracker(Tracker):
    """A Trackio run that Transformers' TrackioCallback logs to; one line says where it is kept and how to look at it.

    TRACKIO_SPACE_ID sends a copy to that Space of the hub, as Trackio has it.
    """

    def __init__(self, run: Path, stage: str, settings: dict, continued: bool):
        import trackio

        super().__init__(run, stage)
        self.trainer_args = {
            "report_to": ["trackio"],
            "project": PROJECT,
            "run_name": self.name,
            "trackio_static_space_id": False,  # with a push to the hub it would make a Space of the logs, unasked
        }
        self._module = trackio
        with redirect_stdout(StringIO()):  # it cannot be told not to print
            self._run = trackio.init(
                project=PROJECT,
                name=self.name,
                group=run.name,
                config=settings | {"job_type": stage},
                resume="allow" if continued else "never",
                private=True,
                embed=False,
            )
        # The callback would open the run again, without group and configuration, and close it before the last table: here it
        # finds this one, which stays open.
        self._own = trackio.init, trackio.finish
        trackio.init, trackio.finish = lambda **_: self._run, lambda: None
        place = trackio.TRACKIO_DIR
        print(f"Trackio keeps this run in {place}; `TRACKIO_DIR={place} trackio show --project {PROJECT}` shows it.")

    def _summarise(self, values: dict[str, float | str], accuracy: Mapping[str, float]) -> None:
        self._run.log(values)  # it has no summary and no bar charts

    def _finish(self, failed: bool) -> None:
        self._module.init, self._module.finish = self._own
        with redirect_stdout(StringIO()):
            self._module.finish()
