"""A copy of a run where the host does not forget it: Drive on Colab, the output folder on Kaggle, a folder, or the hub.

`open_mirror` brings back what earlier sessions made; `Mirror.copy_new` copies what has changed since, after each checkpoint:
every file, and the newest whole checkpoint of each stage as one thing. Standard library only at import.
"""

import glob
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from grpo_lab.host import first_line
from grpo_lab.runs import checkpoint_step, is_complete, latest_checkpoint

STAGES = ("priming", "sft", "grpo")
FOLDER = "grpo-math-runs"  # holds one folder a run
DRIVE = Path("/content/drive")
KAGGLE_OUTPUT, KAGGLE_INPUT = Path("/kaggle/working"), Path("/kaggle/input")

STATE, LATEST = "trainer_state.json", "last-checkpoint"  # as the trainer names them
NEW, OLD = ".new.tmp", ".old.tmp"  # being written, being replaced or deleted: nobody reads these
CLOCK_SLACK = 2.0  # seconds: some file systems keep times no finer
HUB_PATIENCE = 120.0  # seconds that the hub may be silent
ADVICE = (
    "free some space there (on Drive, empty the bin too), and see that it can be reached and written to (the hub: with the token "
    "of your login or HF_TOKEN)"
)
Stamp = tuple[int, float]  # bytes and seconds since 1970: what tells one version of a file from another


class Mirror:
    """A run folder and its copy, of which this one has none: its place is "nowhere". Made by `open_mirror`."""

    place = "nowhere"

    def __init__(self, run: Path):
        self.run = run
        self._copied: dict[str, Stamp] = {}  # what the copy has, as it was in the run folder
        self._failing = False

    def trainer_args(self, stage: str) -> dict:
        """Keywords for the TrainingArguments of "priming", "sft" or "grpo": what the trainer itself pushes, if anything."""
        return {}

    def restore(self) -> list[str]:
        """Copy into the run folder what it lacks, and return the names."""
        return []

    def copy_new(self) -> list[str]:
        """Copy the files and checkpoints that are new or changed, by size and time, and return their names.

        What fails (disk full, network gone) does not leave here: it is said once, and the next call tries again.
        """
        sent = []
        try:
            found = _scan(self.run)
            for name in self._send([name for name in found if self._copied.get(name) != found[name]]):
                self._copied[name] = found[name]
                sent.append(name)
        except Exception as error:  # the hub's client has types of several libraries, and none is worth the training
            if not self._failing:
                print(
                    f"Mirroring to {self.place} failed ({first_line(error)}): training goes on and the next checkpoint tries "
                    f"again, but until then what is new lies in results/{self.run.name} only; {ADVICE}."
                )
            self._failing = True
        else:
            if self._failing:
                print(f"Mirroring to {self.place} works again.")
            self._failing = False
        return sent

    def _send(self, names: list[str]) -> Iterator[str]:
        """Copy these in this order; yields each name once it is safe."""
        return iter(())


def open_mirror(where: str, run: Path, host: str) -> Mirror:
    """The mirror of a run folder, after it has brought back what the run lacks; prints one sentence about it.

    where: "auto" (Drive on Colab, the output folder on Kaggle, nothing elsewhere), "none", the path of a folder (with a "/"), or
    "hub:owner/name" (private repositories, made if they do not exist). A folder or repository holds one folder for each run.
    host: "colab", "kaggle" or "local". On Kaggle the outputs of earlier notebooks, attached as input, are read too.
    Raises ValueError for any other `where` and for a repository that is public, OSError for a mirror that cannot be opened or
    read. Only a Drive that "auto" cannot mount is no error: it is said, and that nothing is mirrored.
    """
    try:
        mirror = _choose(where, run, host)
        restored = mirror.restore()
        if host == "kaggle" and where != "none":
            for attached in sorted(KAGGLE_INPUT.glob(f"**/{FOLDER}/{run.name}")):
                restored += _bring_back(attached, run)
    except ValueError:
        raise
    except Exception as error:  # a full disk, a refused Drive, no network, for which the hub's client has types of its own
        raise OSError(
            f"The mirror {where!r} of run {run.name!r} cannot be opened ({first_line(error)}): {ADVICE}, or set MIRROR = 'none'."
        ) from error
    if mirror.place == "nowhere":
        print(f"Run {run.name!r} is not mirrored: it is kept in results/{run.name} only.")
    else:
        print(f"Run {run.name!r} is mirrored to {mirror.place}; files and checkpoints brought back: {len(restored)}.")
    return mirror


def _choose(where: str, run: Path, host: str) -> Mirror:
    if where == "none" or (where == "auto" and host == "local"):
        return Mirror(run)
    if where == "auto" and host == "kaggle":
        return _FolderMirror(run, KAGGLE_OUTPUT / FOLDER / run.name)
    if where == "auto":
        try:
            mount_drive()
            return _FolderMirror(run, DRIVE / "MyDrive" / FOLDER / run.name)
        except OSError as error:
            print(
                f"Drive cannot be used ({first_line(error)}): what this Colab session makes is lost when it ends, unless you "
                "download it or run this cell again and allow Drive."
            )
            return Mirror(run)
    if re.fullmatch(r"hub:[\w.-]+/[\w.-]+", where):
        return _HubMirror(run, where.removeprefix("hub:"))
    if "/" not in where or ":" in where:
        raise ValueError(
            f"There is no mirror {where!r}: choose 'auto', 'none', 'hub:owner/name', or the path of a folder, with a '/' in it."
        )
    folder = Path(where).expanduser().resolve() / run.name
    if folder.is_relative_to(run.resolve()) or run.resolve().is_relative_to(folder):
        raise ValueError(f"The mirror {where!r} would hold the run's own folder, or lie in it: choose another folder.")
    if host == "colab" and folder.is_relative_to(DRIVE):
        mount_drive()  # a folder made here before Drive is mounted would be forgotten, and stop the mount
    return _FolderMirror(run, folder)


def mount_drive() -> None:
    """Mount Colab's Drive, which asks once. OSError where that is refused."""
    if (DRIVE / "MyDrive").is_dir():
        return
    try:
        from google.colab import drive

        drive.mount(str(DRIVE))
    except Exception as error:  # Colab's own types for a refusal exist on Colab only, and have no common parent
        raise OSError(f"{type(error).__name__}: {error}") from error


# 1. A folder, on Drive or elsewhere.


class _FolderMirror(Mirror):
    """Times are kept, so a file that is older in the run than here counts as lacking there."""

    def __init__(self, run: Path, folder: Path):
        super().__init__(run)
        self._folder, self.place = folder, str(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for rest in sorted(folder.rglob("*.tmp")):  # of a session that was killed
            _wipe(rest)

    def restore(self) -> list[str]:
        restored, there = _bring_back(self._folder, self.run), _scan(self._folder)
        for name, (size, mtime) in _scan(self.run).items():
            if name in there and there[name][0] == size and abs(there[name][1] - mtime) <= CLOCK_SLACK:
                self._copied[name] = (size, mtime)
        return restored

    def _send(self, names: list[str]) -> Iterator[str]:
        for name in names:
            copy = self._folder / name
            _put(self.run / name, copy)
            yield name
            if checkpoint_step(copy):  # one checkpoint a stage is kept
                for path in copy.parent.glob("checkpoint-*"):
                    if path != copy and checkpoint_step(path):
                        _wipe(path.rename(path.with_name(path.name + OLD)))


def _bring_back(source: Path, run: Path) -> list[str]:
    """Copy from a folder what the run lacks or has older: a file by its time, a checkpoint by its step. Returns the names."""
    here, brought = _scan(run), []
    for name, (_, mtime) in _scan(source).items():
        if step := checkpoint_step(source / name):
            newest = latest_checkpoint((run / name).parent)
            wanted = newest is None or checkpoint_step(newest) < step
        else:
            wanted = name not in here or mtime > here[name][1] + CLOCK_SLACK
        if wanted:
            _put(source / name, run / name)
            brought.append(name)
    return brought


def _put(source: Path, target: Path) -> None:
    """Copy a file or a checkpoint, times and all: written beside and renamed, so that no half of one bears its name."""
    new, old = target.with_name(target.name + NEW), target.with_name(target.name + OLD)
    _wipe(new)
    try:
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file():
                copy = new / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
                os.utime(copy, (path.stat().st_mtime,) * 2)
    except OSError:
        _wipe(new)  # a full disk gets its room back
        raise
    if target.exists():
        target.rename(old)
    new.rename(target)
    _wipe(old)


def _wipe(path: Path) -> None:
    """Delete a file or folder, if there is one. Files are cut to 0 bytes first: Drive's bin counts against its 15 GB."""
    for file in [path, *path.rglob("*")]:
        if file.is_file():
            os.truncate(file, 0)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# 2. The hub.


class _HubMirror(Mirror):
    """Private repositories: `owner/name` holds a folder for each run, and `owner/name-<run>-<stage>` what its trainer pushes.

    The trainer keeps the newest checkpoint in `last-checkpoint/` at the top of a repository: hence one for each stage. The token
    is that of the login, and stands in no argument and no file. The hub keeps no files' times: what the run has, stays.
    """

    def __init__(self, run: Path, repo: str):
        import httpx
        from huggingface_hub import HfApi, get_session, set_client_factory

        super().__init__(run)
        self._api, self._repo, self.place = HfApi(), repo, f"the private hub repository {repo}"
        self._stages = {stage: f"{repo}-{run.name}-{stage}" for stage in STAGES}
        # The hub's client waits without end by default, and so would the trainer at the end of a stage.
        hooks = get_session().event_hooks
        set_client_factory(lambda: httpx.Client(event_hooks=hooks, follow_redirects=True, timeout=HUB_PATIENCE))
        self._api.create_repo(repo, private=True, exist_ok=True)
        for name in [repo, *filter(self._api.repo_exists, self._stages.values())]:
            if not self._api.model_info(name).private:
                raise ValueError(f"The hub repository {name} is public: make it private, or choose another MIRROR.")

    def trainer_args(self, stage: str) -> dict:
        return {
            "push_to_hub": True,
            "hub_model_id": self._stages[stage],
            "hub_strategy": "checkpoint",
            "hub_private_repo": True,
        }

    def restore(self) -> list[str]:
        with TemporaryDirectory(dir=self.run, suffix=".tmp") as folder:  # on the run's disk, which has the room
            copy = Path(folder) / self.run.name
            there = [glob.escape(f"{self.run.name}/{name}") for name in _scan(self.run)]
            wanted = f"{self.run.name}/*"
            self._api.snapshot_download(self._repo, local_dir=folder, allow_patterns=wanted, ignore_patterns=there)
            for stage, repo in self._stages.items():
                if latest_checkpoint(self.run / stage) is None and self._api.repo_exists(repo):
                    latest = Path(folder) / f"{stage}.pushed" / LATEST
                    self._api.snapshot_download(repo, local_dir=latest.parent, allow_patterns=f"{LATEST}/*")
                    if is_complete(latest):  # back under its step's name
                        step = json.loads((latest / STATE).read_text())["global_step"]
                        (copy / stage).mkdir(parents=True, exist_ok=True)
                        latest.rename(copy / stage / f"checkpoint-{step}")
            restored = _bring_back(copy, self.run)
        found = _scan(self.run)
        self._copied = {name: found[name] for name in restored}
        return restored

    def _send(self, names: list[str]) -> Iterator[str]:
        names = [name for name in names if str(PurePosixPath(name).parent) not in STAGES]  # those the trainer has pushed
        if names:
            self._api.upload_folder(
                repo_id=self._repo,
                folder_path=self.run,
                path_in_repo=self.run.name,
                allow_patterns=[glob.escape(name) for name in names],
                commit_message=f"{self.run.name}: {len(names)} new or changed",
            )
        yield from names


# 3. Files and checkpoints.


def _scan(folder: Path) -> dict[str, Stamp]:
    """What counts of a run folder, by its name there: each file outside checkpoints, then the newest whole one of each stage.

    Half-written files do not count, nor W&B's own but for its offline runs, which nobody has synced.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        unfinished = any(part.endswith(".tmp") for part in name.parts)
        in_checkpoint = any(map(checkpoint_step, (name, *name.parents)))
        of_wandb = name.parts[0] == "wandb" and not name.as_posix().startswith("wandb/offline-run-")
        if path.is_file() and not (unfinished or in_checkpoint or of_wandb):
            found[name.as_posix()] = (path.stat().st_size, path.stat().st_mtime)
    for stage in STAGES:
        if newest := latest_checkpoint(folder / stage):
            state = (newest / STATE).stat()
            found[f"{stage}/{newest.name}"] = (state.st_size, state.st_mtime)
    return found
