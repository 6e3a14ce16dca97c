"""A copy of a run where the host does not forget it: Drive on Colab, the output folder on Kaggle, a folder, or a hub repository.

`open_mirror` brings back what earlier sessions made; `Mirror.copy_new` copies what has changed since, after each checkpoint.
Both ways a checkpoint counts as one thing, judged by its trainer_state.json: the trainer writes that file last, and so does
every copy here, so a copy that is cut off leaves nothing that looks complete. Standard library only at import.
"""

import errno
import glob
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

from grpo_lab.runs import is_complete

HOSTS = ("colab", "kaggle", "local")
FOLDER = "grpo-math-runs"  # holds one folder a run
DRIVE = Path("/content/drive")
KAGGLE_OUTPUT = Path("/kaggle/working")
KAGGLE_INPUT = Path("/kaggle/input")

STATE, WEIGHTS, MANIFEST = "trainer_state.json", "adapter_model.safetensors", "mirror.json"
RUN_MARKS = ("stages.csv", "priming", "sft", "grpo")  # what tells a run from a data set of the same name
CLOCK_SLACK = 2.0  # seconds: some file systems keep times no finer
_CHECKPOINT = re.compile(r"(?:(?P<stage>.+)/)?checkpoint-(?P<step>\d+)")


class Stamp(NamedTuple):
    """What tells one version of a file from another."""

    size: int  # bytes
    mtime: float  # seconds since 1970


class _Store(Protocol):
    """Where the copies of one run are kept. Names are relative to the run folder, with '/'. What fails raises OSError."""

    place: str

    def listing(self) -> dict[str, Stamp]:
        """Every file that can be restored; no part of a checkpoint that was cut off."""

    def fetch(self, names: list[str], run: Path) -> None:
        """Copy these files into the run folder, in this order."""

    def send(self, run: Path, files: dict[str, Stamp]) -> Iterator[str]:
        """Copy these files of the run folder, in this order; yields each name once it is safe."""

    def remove(self, checkpoints: list[str]) -> None:
        """Delete these checkpoint folders."""


class Mirror:
    """A run folder and its copy. Made by `open_mirror`; without a store it does nothing and its place is "nowhere"."""

    def __init__(self, run: Path, store: _Store | None = None, inputs: Iterable[_Store] = ()):
        self._run, self._store, self._inputs = run, store, tuple(inputs)
        self._copied: dict[str, Stamp] = {}  # what the store has, as it was in the run folder
        self._trouble = ""
        self.place = store.place if store else "nowhere"

    def restore(self) -> list[str]:
        """Copy into the run folder what it lacks or has older, and return the names of those files.

        A file is older if it was last changed more than 2 s before the copy; a checkpoint, if its trainer_state.json was.
        One that was cut off counts as lacking in the run, and is never taken from the mirror. Raises OSError.
        """
        restored = []
        for store in (*((self._store,) if self._store else ()), *self._inputs):
            there, here = store.listing(), _scan(self._run)
            wanted = _in_order(name for name in there if _is_older(here.get(_judge(name)), there[_judge(name)]))
            store.fetch(wanted, self._run)
            restored += wanted
            if store is self._store:
                self._copied = {name: stamp for name, stamp in _scan(self._run).items() if _is_same(stamp, there.get(name))}
        return list(dict.fromkeys(restored))

    def trainer_args(self, stage):
        return {}

    def copy_new(self) -> list[str]:
        """Copy the files that are new or changed, by size and time, and return their names.

        Checkpoints that the trainer has deleted are deleted in the mirror too, once it holds another of that stage.
        An OSError (disk full, network gone) does not leave here: it is said once, and the next call tries again.
        """
        if self._store is None:
            return []
        files, sent, trouble, what = self._changed(), [], None, ""
        try:
            for name in self._store.send(self._run, files):
                self._copied[name] = files[name]
                sent.append(name)
        except OSError as error:
            trouble, what = error, f"copying {next(name for name in files if name not in sent)}"
        try:
            self._forget(self._rotated())  # also after a failure: it may make the room that was lacking
        except OSError as error:
            trouble, what = trouble or error, what or "deleting rotated checkpoints"
        self._report(trouble, what)
        return sent

    def _changed(self) -> dict[str, Stamp]:
        here = _scan(self._run)
        new = {name for name, stamp in here.items() if self._copied.get(name) != stamp}
        new |= {_judge(name) for name in new}  # a checkpoint's state follows its files
        for name in new:
            self._copied.pop(name, None)
        return {name: here[name] for name in _in_order(new)}

    def _rotated(self) -> list[str]:
        """Checkpoints in the mirror that are gone from the run, where the mirror has another that is not."""
        mirrored = {found for name in self._copied if (found := _checkpoint(name)) and _judge(name) in self._copied}
        gone = {found for found in mirrored if not (self._run / found[0]).exists()}
        stages = {stage for _, stage, _ in mirrored - gone}
        return sorted(path for path, stage, _ in gone if stage in stages)

    def _forget(self, checkpoints: list[str]) -> None:
        if checkpoints:
            self._store.remove(checkpoints)
            self._copied = {name: stamp for name, stamp in self._copied.items() if not _is_under(name, checkpoints)}

    def _report(self, trouble: OSError | None, what: str) -> None:
        """Say what is wrong when that changes, not at every checkpoint."""
        reason = _reason(trouble) if trouble else ""
        if reason and reason != self._trouble:
            print(
                f"Mirroring to {self.place} failed at {what} ({reason}): training goes on and the next checkpoint tries again, "
                f"but until then what is new lies in results/{self._run.name} only; {_advice(trouble)}."
            )
        elif self._trouble and not reason:
            print(f"Mirroring to {self.place} works again.")
        self._trouble = reason


def open_mirror(where: str, run: Path, host: str) -> Mirror:
    """The mirror of a run folder, after it has brought back what the run lacks or has older; prints one sentence about it.

    where: "auto" (Drive on Colab, the output folder on Kaggle, nothing elsewhere), "none", the path of a folder (with a "/"),
    or "hub:owner/name" (made private if it does not exist). A folder or repository holds one folder for each run.
    host: "colab", "kaggle" or "local". On Kaggle the outputs of earlier notebooks, attached as input, are read too.
    Raises ValueError for any other `where` or `host`, OSError for a mirror that cannot be opened or read. Only a Drive that
    "auto" cannot mount is no error: the sentence says that nothing is mirrored.
    """
    if host not in HOSTS:
        raise ValueError(f"There is no host {host!r}: choose from {', '.join(HOSTS)}.")
    try:
        store = _choose_store(where, run, host)
        mirror = Mirror(run, store, _kaggle_inputs(run) if host == "kaggle" and where != "none" else ())
        restored = mirror.restore()
    except OSError as error:
        raise OSError(
            f"The mirror {where!r} of run {run.name!r} cannot be opened ({_reason(error)}): "
            f"{_advice(error)}, or set MIRROR = 'none'."
        ) from error
    found = f"{len(restored)} file{'s were' if len(restored) != 1 else ' was'} restored"
    if store:
        print(f"Run {run.name!r} is mirrored to {mirror.place}; {found if restored else 'there was nothing to restore'}.")
    elif host != "colab" or where != "auto":  # else the failed mount has been told
        print(f"Run {run.name!r} is not mirrored: it is kept in results/{run.name} only.")
    return mirror


# 1. Which store.


def _choose_store(where: str, run: Path, host: str) -> "_Store | None":
    if where == "none" or (where == "auto" and host == "local"):
        return None
    if where == "auto":
        return _make_folder(KAGGLE_OUTPUT / FOLDER / run.name) if host == "kaggle" else _drive_store(run)
    if re.fullmatch(r"hub:[\w.-]+/[\w.-]+", where):
        return _HubStore(where.removeprefix("hub:"), run.name)
    if "/" not in where or ":" in where:
        raise ValueError(
            f"There is no mirror {where!r}: choose 'auto', 'none', 'hub:owner/name', or the path of a folder, with a '/' in it."
        )
    folder = Path(where).expanduser().resolve() / run.name
    if folder.is_relative_to(run.resolve()) or run.resolve().is_relative_to(folder):
        raise ValueError(f"The mirror {where!r} would hold the run's own folder, or lie in it: choose another folder.")
    if host == "colab" and folder.is_relative_to(DRIVE):
        mount_drive()  # a folder made here before Drive is mounted would be forgotten, and stop the mount
    return _make_folder(folder)


def _make_folder(folder: Path) -> "_FolderStore":
    folder.mkdir(parents=True, exist_ok=True)
    return _FolderStore(folder)


def _drive_store(run: Path) -> "_Store | None":
    try:
        mount_drive()
        return _make_folder(DRIVE / "MyDrive" / FOLDER / run.name)
    except OSError as error:
        print(
            f"Run {run.name!r} is not mirrored, because Drive could not be used ({_reason(error)}): results/{run.name} is lost "
            "when this Colab session ends, unless you download it or run this cell again and allow Drive."
        )
        return None


def mount_drive() -> None:
    if (DRIVE / "MyDrive").is_dir():
        return
    try:
        from google.colab import drive

        drive.mount(str(DRIVE))
    except Exception as error:  # Colab's own types for a refusal exist on Colab only, and have no common parent
        raise OSError(f"{type(error).__name__}: {error}") from error


def _kaggle_inputs(run: Path) -> "list[_Store]":
    """Folders named as the run in what the user attached, and which look like a run."""
    found = sorted(path for path in KAGGLE_INPUT.glob(f"**/{run.name}") if path.is_dir())
    return [_FolderStore(path) for path in found if any((path / mark).exists() for mark in RUN_MARKS)]


# 2. The two stores.


class _FolderStore:
    """A folder, on Drive or elsewhere; times are kept, so both sides can be compared."""

    def __init__(self, folder: Path):
        self._folder, self.place = folder, str(folder)

    def listing(self) -> dict[str, Stamp]:
        return _scan(self._folder)

    def fetch(self, names: list[str], run: Path) -> None:
        for _ in _copy_files(names, self._folder, run):
            pass

    def send(self, run: Path, files: dict[str, Stamp]) -> Iterator[str]:
        yield from _copy_files(files, run, self._folder)

    def remove(self, checkpoints: list[str]) -> None:
        for checkpoint in checkpoints:
            (self._folder / checkpoint / STATE).unlink(missing_ok=True)  # first, so that a half is never taken for a whole
            if (self._folder / checkpoint).exists():
                shutil.rmtree(self._folder / checkpoint)


class _HubStore:
    """A folder of a hub repository. Every change is one commit, which the hub applies wholly or not at all.

    The hub keeps no file times, so mirror.json beside the files records each one's size and time.
    """

    def __init__(self, repo: str, name: str):
        from huggingface_hub import HfApi

        self._api, self._repo, self._name = HfApi(), repo, name
        with as_os_errors():
            self._api.create_repo(repo, private=True, exist_ok=True)
            private = self._api.model_info(repo).private
        self.place = f"the {'private' if private else 'PUBLIC'} hub repository {repo}"
        self._there: dict[str, Stamp] = {}

    def listing(self) -> dict[str, Stamp]:
        from huggingface_hub.errors import RemoteEntryNotFoundError

        with TemporaryDirectory() as folder, as_os_errors():
            try:
                manifest = self._api.hf_hub_download(self._repo, f"{self._name}/{MANIFEST}", local_dir=folder)
            except RemoteEntryNotFoundError:
                self._there = {}
            else:
                found = json.loads(Path(manifest).read_text())
                self._there = {name: Stamp(*stamp) for name, stamp in found.items() if not _is_skipped(name)}
        return dict(self._there)

    def fetch(self, names: list[str], run: Path) -> None:
        if not names:
            return
        with TemporaryDirectory(dir=run, suffix=".tmp") as folder, as_os_errors():  # on the run's disk, which has the room
            patterns = [glob.escape(f"{self._name}/{name}") for name in names]
            self._api.snapshot_download(self._repo, local_dir=folder, allow_patterns=patterns)
            for name in names:
                os.utime(Path(folder) / self._name / name, (self._there[name].mtime,) * 2)
            for _ in _copy_files(names, Path(folder) / self._name, run):
                pass

    def send(self, run: Path, files: dict[str, Stamp]) -> Iterator[str]:
        from huggingface_hub import CommitOperationAdd

        if files:
            adds = [CommitOperationAdd(f"{self._name}/{name}", str(run / name)) for name in files]
            self._commit(f"{self._name}: {len(files)} new or changed", adds, self._there | files)
            yield from files

    def remove(self, checkpoints: list[str]) -> None:
        from huggingface_hub import CommitOperationDelete

        folders = [CommitOperationDelete(f"{self._name}/{checkpoint}/", is_folder=True) for checkpoint in checkpoints]
        left = {name: stamp for name, stamp in self._there.items() if not _is_under(name, checkpoints)}
        self._commit(f"{self._name}: {', '.join(checkpoints)} rotated out", folders, left)

    def _commit(self, message: str, operations: list, there: dict[str, Stamp]) -> None:
        from huggingface_hub import CommitOperationAdd

        manifest = CommitOperationAdd(f"{self._name}/{MANIFEST}", json.dumps(there, indent=1).encode())
        with as_os_errors():
            self._api.create_commit(self._repo, [*operations, manifest], commit_message=message)
        self._there = there


@contextmanager
def as_os_errors() -> Iterator[None]:
    """What the hub's client raises for a lost connection (httpx), or for a failed upload (hf_xet), as ConnectionError."""
    import httpx

    try:
        yield
    except OSError:  # HfHubHTTPError among them
        raise
    except (httpx.HTTPError, RuntimeError) as error:
        raise ConnectionError(str(error)) from error


# 3. Files and checkpoints.


def _scan(folder: Path) -> dict[str, Stamp]:
    """The files of a run folder, without temporary ones and without checkpoints that were cut off."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if not _is_skipped(name) and path.is_file():
            stat = path.stat()
            found[name] = Stamp(stat.st_size, stat.st_mtime)
    cut_off = [path for path, _, _ in {_checkpoint(name) for name in found} - {None} if not is_complete(folder / path)]
    return {name: stamp for name, stamp in found.items() if not _is_under(name, cut_off)}


def _is_skipped(name: str) -> bool:
    """Half-written files, W&B's own files (but for its offline runs, which nobody has synced), and names that lead outside."""
    parts = PurePosixPath(name).parts
    outside = name.startswith("/") or ".." in parts
    synced = parts[0] == "wandb" and not (len(parts) > 1 and parts[1].startswith("offline-run-"))
    return outside or synced or parts[-1] == ".write-probe" or any(part.endswith(".tmp") for part in parts)


def _checkpoint(name: str) -> tuple[str, str, int] | None:
    """The checkpoint that a file belongs to: its folder, its stage, its step."""
    for folder in PurePosixPath(name).parents:
        if match := _CHECKPOINT.fullmatch(str(folder)):
            return str(folder), match["stage"] or "", int(match["step"])
    return None


def _judge(name: str) -> str:
    """The file whose age decides for this one: a checkpoint's state, or itself."""
    found = _checkpoint(name)
    return f"{found[0]}/{STATE}" if found else name


def _in_order(names: Iterable[str]) -> list[str]:
    """The small files first, then checkpoints by step (the trainer deletes the oldest folder); weights and state end theirs."""

    def rank(name: str) -> tuple:
        found, path = _checkpoint(name), PurePosixPath(name)
        step, folder = (found[2], found[0]) if found else (-1, "")
        return step, folder, _judge(name) == name, str(path.parent), path.name == WEIGHTS, name

    return sorted(names, key=rank)


def _copy_files(names: Iterable[str], source: Path, target: Path) -> Iterator[str]:
    """Copy in this order, each file under a temporary name first; yields each name once it is in place."""
    for name in names:
        path, temporary = target / name, target / f"{name}.tmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        if _judge(name) != name:
            (target / _judge(name)).unlink(missing_ok=True)  # an older state must not vouch for a mixture
        try:
            shutil.copyfile(source / name, temporary)
            os.utime(temporary, ((source / name).stat().st_mtime,) * 2)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        yield name


def _is_older(here: Stamp | None, there: Stamp) -> bool:
    return here is None or there.mtime > here.mtime + CLOCK_SLACK


def _is_same(here: Stamp, there: Stamp | None) -> bool:
    return there is not None and here.size == there.size and abs(here.mtime - there.mtime) <= CLOCK_SLACK


def _is_under(name: str, folders: Iterable[str]) -> bool:
    return any(name.startswith(f"{folder}/") for folder in folders)


# 4. What to say.


def _reason(error: OSError) -> str:
    """Why, in a few words that stay the same from one checkpoint to the next."""
    if _status(error):
        return f"the hub answered {_status(error)}"
    return error.strerror or first_line(error)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _status(error: OSError) -> int | None:
    """The HTTP status behind a HfHubHTTPError."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space there (on Drive, empty the bin too)"
    if _status(error) in (401, 403, 404):
        return "log in with a token that may write there (HF_TOKEN), and check the repository's name and quota"
    return "check that it can be reached and written to"
