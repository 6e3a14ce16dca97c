"""A run survives its host: what one session makes, the next finds, whatever was cut off, rotated, full or refused."""

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack, redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest import mock

import httpx
import pytest
from hub import Hub, hub_process
from huggingface_hub import HfApi

from grpo_lab import mirror, runs
from grpo_lab.mirror import open_mirror

HOUR = 3600
CHECKPOINT = ("adapter_config.json", "adapter_model.safetensors", "optimizer.pt", "rng/0.pth", "trainer_state.json")
SMALL = {
    "sft/adapter/adapter_model.safetensors",
    "sft/adapter/tokenizer.json",
    "sft_metrics.csv",
    "samples/sft [0].jsonl",  # a name that is a pattern, too
}
KEPT = {*SMALL, *(f"sft/checkpoint-20/{name}" for name in CHECKPOINT)}
COPIED = {*SMALL, "sft/checkpoint-20"}  # a checkpoint is copied as one thing
SKIPPED = {"wandb/run-1/output.log", "half.json.tmp"}


def write(path: Path, text: str, age: float = 0) -> None:
    """A file that was last changed `age` seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (path.stat().st_mtime - age,) * 2)


def add_checkpoint(stage: Path, step: int, version: str = "1", age: float = 0, complete: bool = True) -> None:
    for name in CHECKPOINT[: None if complete else -1]:
        write(stage / f"checkpoint-{step}" / name, json.dumps([name, step, version]), age)


def make_run(run: Path) -> Path:
    """A session of an hour ago, cut off while it wrote its second checkpoint."""
    for name in SMALL | SKIPPED:
        write(run / name, f"content of {name}", HOUR)
    add_checkpoint(run / "sft", 20, age=HOUR)
    add_checkpoint(run / "sft", 40, complete=False)
    return run


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def said(where: str, run: Path, host: str = "local") -> str:
    with redirect_stdout(StringIO()) as out:
        open_mirror(where, run, host)
    return out.getvalue()


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def in_hub_process(hub_folder, tmp_path_factory):
    with hub_process(hub_folder, tmp_path_factory.mktemp("home")) as pool:
        yield lambda *work: pool.submit(*work).result()


# 1. What one machine makes, the next one finds.


def session(where: str, run: Path, times: int = 1) -> list[list[str]]:
    opened = open_mirror(where, run, "local")
    return [opened.copy_new() for _ in range(times)]


def test_a_fresh_machine_finds_what_the_last_one_made(tmp_path, capsys):
    where, first, second = f"{tmp_path}/drive", make_run(tmp_path / "a" / "mine"), tmp_path / "b" / "mine"
    second.mkdir(parents=True)
    assert [set(names) for names in session(where, first, times=2)] == [COPIED, set()]
    assert session(where, second) == session(where, first) == [[]]
    assert contents(second) == {name: text for name, text in contents(first).items() if name in KEPT}
    assert runs.require_adapter(second, "sft") and runs.latest_checkpoint(second / "sft") == second / "sft" / "checkpoint-20"
    place = tmp_path / "drive" / "mine"
    assert capsys.readouterr().out.splitlines() == [
        f"Run 'mine' is mirrored to {place}; files and checkpoints brought back: {count}." for count in (0, len(COPIED), 0)
    ]


def test_the_newest_whole_checkpoint_is_kept_and_every_other_file(tmp_path):
    run, copy = make_run(tmp_path / "mine"), tmp_path / "drive" / "mine"
    opened = open_mirror(f"{tmp_path}/drive", run, "local")
    opened.copy_new()
    add_checkpoint(run / "sft", 40)
    add_checkpoint(run / "sft", 60, complete=False)
    (run / "sft_metrics.csv").unlink()
    shutil.rmtree(run / "sft" / "adapter")
    assert opened.copy_new() == ["sft/checkpoint-40"]
    assert {path.name for path in (copy / "sft").iterdir()} == {"adapter", "checkpoint-40"}
    assert (copy / "sft_metrics.csv").is_file()
    shutil.rmtree(run / "sft")
    assert opened.copy_new() == [] and runs.latest_checkpoint(copy / "sft").name == "checkpoint-40"


def test_what_is_deleted_there_is_cut_to_nothing_first(tmp_path, monkeypatch):
    binned, unlink, rmtree = [], Path.unlink, shutil.rmtree  # what Drive would keep in its bin

    def note(path):
        files = [file for file in (path, *path.rglob("*")) if file.is_file() and "drive" in file.parts]
        binned.extend(file for file in files if file.stat().st_size)

    run = make_run(tmp_path / "mine")
    opened = open_mirror(f"{tmp_path}/drive", run, "local")
    opened.copy_new()
    write(run / "sft_metrics.csv", "another text")
    add_checkpoint(run / "sft", 40)
    monkeypatch.setattr(Path, "unlink", lambda path, **kwargs: (note(path), unlink(path, **kwargs))[1])
    monkeypatch.setattr(shutil, "rmtree", lambda path, **kwargs: (note(path), rmtree(path, **kwargs))[1])
    assert opened.copy_new() == ["sft_metrics.csv", "sft/checkpoint-40"]
    assert binned == [] and (tmp_path / "drive" / "mine" / "sft_metrics.csv").read_text() == "another text"


# Which copy of a file wins: the run's, if it is as new, else the mirror's. Ages in hours.
@pytest.mark.parametrize(("local_age", "mirror_age", "winner"), [(1, 2, "local"), (2, 1, "mirror"), (1, 1, "local")])
def test_which_copy_of_a_file_wins(tmp_path, local_age, mirror_age, winner):
    for folder, version, age in ((tmp_path / "mine", "local", local_age), (tmp_path / "drive" / "mine", "mirror", mirror_age)):
        write(folder / "sft_metrics.csv", version, age * HOUR)
    said(f"{tmp_path}/drive", tmp_path / "mine")
    assert (tmp_path / "mine" / "sft_metrics.csv").read_text() == winner


# Checkpoints of the run and of the mirror, whole but for those in brackets, and what the next session continues from.
CHECKPOINTS = {
    "none here": ((), (), 40, (40, "mirror")),
    "an older one here": ((20,), (), 40, (40, "mirror")),
    "the same here": ((40,), (), 40, (40, "local")),
    "a newer one here": ((60,), (), 40, (60, "local")),
    "a half of a newer one here": ((20,), (60,), 40, (40, "mirror")),
    "a half of the same one here": ((), (40,), 40, (40, "mirror")),
}


@pytest.mark.parametrize(("whole", "halves", "mirrored", "expected"), CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_which_checkpoint_wins(tmp_path, whole, halves, mirrored, expected):
    run = tmp_path / "mine"
    run.mkdir()
    add_checkpoint(tmp_path / "drive" / "mine" / "sft", mirrored, "mirror")
    for step in (*whole, *halves):
        add_checkpoint(run / "sft", step, "local", age=HOUR, complete=step in whole)
    said(f"{tmp_path}/drive", run)
    newest, (step, version) = runs.latest_checkpoint(run / "sft"), expected
    assert newest.name == f"checkpoint-{step}"
    assert contents(newest) == {name: json.dumps([name, step, version]) for name in CHECKPOINT}
    # The trainer deletes the folder that changed first, so what it goes on from must have changed last.
    assert max(newest.parent.glob("checkpoint-*"), key=lambda path: path.stat().st_mtime_ns) == newest or halves


# 2. Copies that fail or are cut off.


class Killed(BaseException):
    """The machine is gone: nothing that is cleaned up afterwards would be."""


def killed_at(call: int):
    """Every change of a file system that the mirror makes is counted; the one number `call` (from 0) does not happen."""
    left = [call]

    def counted(real):
        def change(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                if real is shutil.copyfile:
                    Path(args[1]).write_text("half")
                raise Killed
            return real(*args, **kwargs)

        return change

    places = [(shutil, "copyfile"), (shutil, "rmtree"), (os, "truncate"), (Path, "rename"), (Path, "unlink")]
    stack = ExitStack()
    for owner, name in places:
        stack.enter_context(mock.patch.object(owner, name, counted(getattr(owner, name))))
    return stack


@pytest.mark.parametrize(("direction", "step"), [("copy", 40), ("restore", 40), ("copy", 10)], ids=["copy", "restore", "anew"])
@pytest.mark.parametrize("call", range(20))
def test_a_kill_leaves_no_half(tmp_path, call, direction, step):
    """The target has an older checkpoint-20, which the source's 10, of a stage begun anew, takes the place of, too."""
    run, copy = tmp_path / "mine", tmp_path / "drive" / "mine"
    source, target = (run, copy) if direction == "copy" else (copy, run)
    write(target / "sft_metrics.csv", "old", 2 * HOUR)
    add_checkpoint(target / "sft", 20, "old", 2 * HOUR)
    opened = open_mirror(f"{tmp_path}/drive", run, "local") if direction == "copy" else None
    shutil.rmtree(source / "sft", ignore_errors=True)
    write(source / "sft_metrics.csv", "new", HOUR)
    add_checkpoint(source / "sft", step, "new", HOUR)
    try:
        with killed_at(call):
            (opened or open_mirror(f"{tmp_path}/drive", run, "local")).copy_new()
    except Killed:
        pass
    newest = runs.latest_checkpoint(target / "sft")
    version = {"checkpoint-20": "old", f"checkpoint-{step}": "new"}[newest.name]
    assert contents(newest) == {name: json.dumps([name, int(newest.name[11:]), version]) for name in CHECKPOINT}
    metrics = contents(target).get("sft_metrics.csv")  # which the target is without for the moment between two renames
    assert metrics in (None, "old", "new")
    if step > 20:  # the next session here brings both sides up to date
        open_mirror(f"{tmp_path}/drive", run, "local").copy_new()
        assert (copy / "sft_metrics.csv").read_text() == (run / "sft_metrics.csv").read_text() == "new"
        assert contents(copy / "sft" / "checkpoint-40") == contents(run / "sft" / "checkpoint-40")
        add_checkpoint(run / "sft", 60)
        open_mirror(f"{tmp_path}/drive", run, "local").copy_new()
        assert not list(copy.rglob("*.tmp")) and [path.name for path in (copy / "sft").iterdir()] == ["checkpoint-60"]


def failing_copies(after: int):
    """The disk is full when the file number `after` (from 0) is half copied."""
    real, left = shutil.copyfile, [after]

    def copyfile(source, target):
        left[0] -= 1
        if left[0] < 0:
            Path(target).write_text(Path(source).read_text()[:3])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    return mock.patch.object(shutil, "copyfile", copyfile)


def test_a_full_drive_is_said_once_and_training_goes_on(tmp_path, capsys):
    run, copy = make_run(tmp_path / "mine"), tmp_path / "drive" / "mine"
    opened = open_mirror(f"{tmp_path}/drive", run, "local")
    opened.copy_new()
    add_checkpoint(run / "sft", 40)
    write(run / "sft_metrics.csv", "longer than before")
    capsys.readouterr()
    with failing_copies(after=2):
        assert opened.copy_new() == ["sft_metrics.csv"]
    with failing_copies(after=0):
        assert opened.copy_new() == []
    assert capsys.readouterr().out == (
        f"Mirroring to {copy} failed ([Errno 28] No space left on device): training goes on and the next checkpoint tries again, "
        f"but until then what is new lies in results/mine only; {mirror.ADVICE}.\n"
    )
    assert runs.latest_checkpoint(copy / "sft").name == "checkpoint-20" and not list(copy.rglob("*.tmp"))
    assert opened.copy_new() == ["sft/checkpoint-40"] and runs.latest_checkpoint(copy / "sft").name == "checkpoint-40"
    assert capsys.readouterr().out == f"Mirroring to {copy} works again.\n"


def test_a_file_that_vanishes_while_it_is_looked_at_stops_no_training(tmp_path, monkeypatch, capsys):
    run = make_run(tmp_path / "mine")
    opened = open_mirror(f"{tmp_path}/drive", run, "local")
    with monkeypatch.context() as patch:
        patch.setattr(mirror, "_scan", mock.Mock(side_effect=FileNotFoundError(errno.ENOENT, "No such file", "x.db-journal")))
        assert opened.copy_new() == []
    assert "No such file: 'x.db-journal'): training goes on" in capsys.readouterr().out
    assert set(opened.copy_new()) == COPIED


# 3. Each host's own place.


@pytest.fixture
def colab(tmp_path, monkeypatch):
    """A Colab whose Drive is a folder here: set `drive.mount.side_effect` to have it refused."""
    monkeypatch.setattr(mirror, "DRIVE", tmp_path / "content")
    drive = SimpleNamespace(mount=mock.Mock(side_effect=lambda path: (Path(path) / "MyDrive").mkdir(parents=True)))
    module = ModuleType("google.colab")
    module.drive = drive
    monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", module)
    return drive


@pytest.mark.parametrize("where", ["auto", "{drive}/MyDrive/grpo-math-runs"])
def test_colab_mirrors_to_drive_and_asks_once(tmp_path, colab, where):
    run, where = make_run(tmp_path / "mine"), where.format(drive=mirror.DRIVE)
    open_mirror(where, run, "colab").copy_new()
    opened = open_mirror(where, run, "colab")
    assert opened.place == str(tmp_path / "content" / "MyDrive" / "grpo-math-runs" / "mine") and opened.copy_new() == []
    assert set(contents(Path(opened.place))) == KEPT
    colab.mount.assert_called_once_with(str(tmp_path / "content"))


def test_a_refused_drive_is_said_and_the_run_goes_on(tmp_path, colab, capsys):
    colab.mount.side_effect = ValueError("mount failed")
    opened = open_mirror("auto", make_run(tmp_path / "mine"), "colab")
    assert (opened.place, opened.restore(), opened.copy_new()) == ("nowhere", [], [])
    said, where = capsys.readouterr().out.splitlines()
    assert said.startswith("Drive cannot be used (ValueError: mount failed): what this Colab session makes is lost when it ends")
    assert where == "Run 'mine' is not mirrored: it is kept in results/mine only."
    with pytest.raises(OSError, match="cannot be opened .*mount failed.* or set MIRROR = 'none'"):
        open_mirror(f"{mirror.DRIVE}/MyDrive/other", tmp_path / "mine", "colab")  # asked for by name, so not passed over
    assert not mirror.DRIVE.exists()


def test_kaggle_mirrors_to_its_output_and_reads_earlier_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(mirror, "KAGGLE_OUTPUT", tmp_path / "working")
    monkeypatch.setattr(mirror, "KAGGLE_INPUT", tmp_path / "input")
    first, second = make_run(tmp_path / "a" / "tiny"), tmp_path / "b" / "tiny"
    open_mirror("auto", first, "kaggle").copy_new()
    (tmp_path / "input").mkdir()
    (tmp_path / "working").rename(tmp_path / "input" / "notebook-01")
    write(tmp_path / "input" / "whisper" / "tiny" / "config.json", "a data set of the same name")
    second.mkdir(parents=True)
    opened = open_mirror("auto", second, "kaggle")
    assert set(contents(second)) == KEPT and runs.latest_checkpoint(second / "sft").name == "checkpoint-20"
    assert opened.place == str(tmp_path / "working" / "grpo-math-runs" / "tiny")
    assert set(opened.copy_new()) == COPIED  # so that this notebook's output alone is enough for the next


@pytest.mark.parametrize(("where", "host"), [("auto", "local"), ("none", "local"), ("none", "colab"), ("none", "kaggle")])
def test_nowhere(tmp_path, where, host, capsys):
    opened = open_mirror(where, make_run(tmp_path / "mine"), host)
    assert (opened.place, opened.restore(), opened.copy_new()) == ("nowhere", [], [])
    assert capsys.readouterr().out == "Run 'mine' is not mirrored: it is kept in results/mine only.\n"


# 4. The hub.


def copy_with(error: Exception, where: str, run: Path) -> str:
    opened = open_mirror(where, run, "local")
    with redirect_stdout(StringIO()) as out, mock.patch.object(HfApi, "upload_folder", side_effect=error):
        assert opened.copy_new() == opened.copy_new() == []
    with redirect_stdout(out):
        assert opened.copy_new()
    return out.getvalue()


def test_a_lost_network_is_said_once(in_hub_process, tmp_path):
    error = httpx.ConnectError("No route to the hub")
    lines = in_hub_process(copy_with, error, "hub:ours/lost", make_run(tmp_path / "mine")).splitlines()
    assert len(lines) == 2 and "(No route to the hub): training goes on" in lines[0] and lines[1].endswith("works again."), lines


def test_a_hub_mirror_is_private_and_keeps_runs_apart(in_hub_process, hub_folder, tmp_path):
    for name in ("one", "two"):
        run, fresh = make_run(tmp_path / name), tmp_path / "fresh" / name
        fresh.mkdir(parents=True)
        copied = in_hub_process(session, "hub:ours/runs", run, 2)
        assert [set(names) for names in copied] == [SMALL, set()], "its checkpoints are the trainer's to push"
        assert in_hub_process(session, "hub:ours/runs", fresh) == [[]]
        assert contents(fresh) == {name: text for name, text in contents(run).items() if name in SMALL}
    assert {path.name for path in (hub_folder / "models" / "ours" / "runs").iterdir()} == {".private", "one", "two"}
    assert "mirrored to the private hub repository ours/runs" in in_hub_process(said, "hub:ours/runs", tmp_path / "one")


def test_what_a_run_has_is_not_replaced_from_the_hub(in_hub_process, tmp_path):
    in_hub_process(session, "hub:ours/other", make_run(tmp_path / "mine"))
    write(tmp_path / "b" / "mine" / "sft_metrics.csv", "of this machine", HOUR)
    assert "brought back: 3." in in_hub_process(said, "hub:ours/other", tmp_path / "b" / "mine")
    assert (tmp_path / "b" / "mine" / "sft_metrics.csv").read_text() == "of this machine"


@pytest.mark.parametrize("name", ["open", "open-mine-grpo"])
def test_a_public_repository_is_refused(in_hub_process, hub_folder, tmp_path, name):
    (hub_folder / "models" / "ours" / name).mkdir()
    with pytest.raises(ValueError, match=f"The hub repository ours/{name} is public: make it private, or choose another MIRROR"):
        in_hub_process(said, "hub:ours/open", make_run(tmp_path / "mine"))
    (hub_folder / "models" / "ours" / name).rmdir()


def pushed(hub_folder: Path, repo: str, step: int) -> Path:
    """What the trainer's push of a checkpoint leaves."""
    folder = hub_folder / "models" / "ours" / repo
    write(folder / ".private", "")
    write(folder / "adapter_model.safetensors", "weights")
    for name in CHECKPOINT:
        write(folder / "last-checkpoint" / name, json.dumps({"global_step": step}))
    return folder


def test_the_last_checkpoint_comes_back_under_its_step(in_hub_process, hub_folder, tmp_path):
    pushed(hub_folder, "pushed-mine-sft", 40)
    (pushed(hub_folder, "pushed-mine-grpo", 8) / "last-checkpoint" / "trainer_state.json").unlink()
    (tmp_path / "mine").mkdir()
    assert "brought back: 1." in in_hub_process(said, "hub:ours/pushed", tmp_path / "mine")
    assert names_in(tmp_path / "mine") == {f"sft/checkpoint-40/{name}" for name in CHECKPOINT}
    pushed(hub_folder, "pushed-mine-sft", 60)
    assert "brought back: 0." in in_hub_process(said, "hub:ours/pushed", tmp_path / "mine"), "what a run has, stays"


@pytest.fixture
def machine(tmp_path):
    """Run a stage on a machine whose run folder is made for it, with a hub that wants this token; returns its output."""
    served = tmp_path / "hub"
    served.mkdir()
    (served / ".token").write_text(TOKEN)

    def start(name: str, stage: str, *die_at: str) -> str:
        run = tmp_path / name / "mine"
        run.mkdir(parents=True)
        with Hub(served) as hub:
            environment = os.environ | hub.environment(tmp_path / name / "home") | {"HF_TOKEN": TOKEN, "HUB_FOLDER": str(served)}
            command = [sys.executable, Path(__file__).with_name("hub_machine.py"), stage, run, "hub:ours/runs", *die_at]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == (9 if die_at else 0), done.stdout + done.stderr
        return done.stdout

    return start


TOKEN = "hf_of_the_login"


@pytest.mark.slow
def test_a_stage_is_killed_on_one_machine_and_goes_on_on_the_next_two(machine, tmp_path):
    machine("a", "sft", "2")
    printed = machine("b", "sft")
    assert "continuing from sft/checkpoint-2" in printed and "steps 3\n" in printed
    printed = machine("c", "grpo", "1")
    assert "mirrored to the private hub repository ours/runs" in printed
    printed = machine("d", "grpo")
    assert "continuing from grpo/checkpoint-1" in printed and "steps 3\n" in printed
    assert len(list((tmp_path / "d" / "mine" / "grpo" / "completions").glob("*.parquet"))) == 3

    repositories = {path.name: path for path in (tmp_path / "hub" / "models" / "ours").iterdir()}
    assert set(repositories) == {"runs", "runs-mine-sft", "runs-mine-grpo"}
    assert all((path / ".private").exists() for path in repositories.values())
    small = names_in(repositories["runs"] / "mine")
    assert {"sft/adapter/adapter_model.safetensors", "grpo/adapter/adapter_model.safetensors", "stages.csv"} <= small
    assert not [name for name in small if "checkpoint-" in name]
    for folder in (repositories["runs"].parent, tmp_path / "d" / "mine"):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files and not [path for path in files if TOKEN.encode() in path.read_bytes()]


def trainer_args(where: str, run: Path) -> dict:
    return open_mirror(where, run, "local").trainer_args("sft")


def test_only_to_the_hub_does_the_trainer_push_and_in_private(in_hub_process, tmp_path):
    run = make_run(tmp_path / "mine")
    assert trainer_args("none", run) == trainer_args(f"{tmp_path}/drive", run) == {}
    assert in_hub_process(trainer_args, "hub:ours/args", run) == {
        "push_to_hub": True,
        "hub_model_id": "ours/args-mine-sft",
        "hub_strategy": "checkpoint",
        "hub_private_repo": True,
    }


# 5. What can go wrong when a mirror is opened, in one sentence.


@pytest.mark.parametrize("where", ["", "Auto", "drive", "hub:", "hub:name", "hub:a/b/c", "hub:a b/c", "https://google.com/x"])
def test_a_place_that_is_none(tmp_path, where):
    with pytest.raises(ValueError, match="There is no mirror .*: choose 'auto', 'none', 'hub:owner/name', or the path of a fol"):
        open_mirror(where, tmp_path / "mine", "local")


@pytest.mark.parametrize("where", ["mine/results", "mine/results/mine", "mine/results/mine/copy", ""])
def test_a_mirror_in_the_run_or_around_it(tmp_path, where):
    with pytest.raises(ValueError, match="would hold the run's own folder, or lie in it: choose another folder"):
        open_mirror(f"{tmp_path}/{where}", make_run(tmp_path / "mine" / "results" / "mine"), "local")


def test_a_place_that_cannot_be_made(tmp_path):
    (tmp_path / "drive").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="The mirror .* of run 'mine' cannot be opened .*Not a directory.* or set MIRROR = 'none'"):
        open_mirror(f"{tmp_path}/drive", make_run(tmp_path / "mine"), "local")


def test_a_hub_that_refuses(in_hub_process, tmp_path):
    with pytest.raises(OSError, match="The mirror 'hub:ours/none' of run 'mine' cannot be opened .*No route"):
        in_hub_process(open_unreachable, "hub:ours/none", make_run(tmp_path / "mine"))


def open_unreachable(where: str, run: Path) -> None:
    with mock.patch.object(HfApi, "create_repo", side_effect=httpx.ConnectError("No route to the hub")):
        open_mirror(where, run, "local")
