"""A run survives its host: what one session makes, the next finds, whatever was cut off, rotated, full or refused."""

import errno
import json
import os
import shutil
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest import mock

import httpx
import pytest
from hub import hub_process
from huggingface_hub import HfApi, auth_check
from huggingface_hub.errors import GatedRepoError

from grpo_lab import mirror, runs
from grpo_lab.mirror import open_mirror

HOUR = 3600
CHECKPOINT = ("adapter_config.json", "adapter_model.safetensors", "optimizer.pt", "rng/0.pth", "trainer_state.json")
KEPT = {
    *(f"sft/checkpoint-20/{name}" for name in CHECKPOINT),
    "sft/adapter/adapter_model.safetensors",
    "sft/adapter/tokenizer.json",
    "sft_metrics.csv",
    "samples/sft [0].jsonl",  # a name that is a pattern, too
}
SKIPPED = {"wandb/run-1/output.log", "half.json.tmp", ".write-probe"}


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
    for name in KEPT | SKIPPED:
        write(run / name, f"content of {name}", HOUR)
    add_checkpoint(run / "sft", 20, age=HOUR)
    add_checkpoint(run / "sft", 40, complete=False)
    return run


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


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


@pytest.fixture(params=["folder", "hub"])
def kind(request, tmp_path):
    """A place to mirror to, and a way to call a function that may use it."""
    if request.param == "folder":
        return f"{tmp_path}/drive", lambda function, *args: function(*args)
    return f"hub:ours/{tmp_path.name[-40:]}", request.getfixturevalue("in_hub_process")


# 1. Every kind of mirror.


def two_sessions(where: str, first: Path, second: Path) -> tuple[list[list[str]], list[str]]:
    """What is copied by two calls in one session, and one each in a session elsewhere and one back here; what is said."""
    with redirect_stdout(StringIO()) as out:
        opened = open_mirror(where, first, "local")
        copied = [opened.copy_new(), opened.copy_new()]
        copied += [open_mirror(where, run, "local").copy_new() for run in (second, first)]
    return copied, out.getvalue().splitlines()


def test_a_fresh_machine_finds_what_the_last_one_made(kind, tmp_path):
    where, call = kind
    first, second = make_run(tmp_path / "a" / "mine"), tmp_path / "b" / "mine"
    second.mkdir(parents=True)
    copied, lines = call(two_sessions, where, first, second)
    assert [sorted(names) for names in copied] == [sorted(KEPT), [], [], []]
    assert contents(second) == {name: text for name, text in contents(first).items() if name in KEPT}
    assert runs.require_adapter(second, "sft") and runs.latest_checkpoint(second / "sft") == second / "sft" / "checkpoint-20"
    assert [line.split("; ")[-1] for line in lines] == [
        "there was nothing to restore.",
        f"{len(KEPT)} files were restored.",
        "there was nothing to restore.",
    ]


def rotate(where: str, run: Path) -> None:
    """A session that saves checkpoints 40 and 60, keeps the last two, and mislays other files."""
    opened = open_mirror(where, run, "local")
    for step, old in ((40, 0), (60, 20)):
        add_checkpoint(run / "sft", step)
        shutil.rmtree(run / "sft" / f"checkpoint-{old}", ignore_errors=True)
        opened.copy_new()
    (run / "sft_metrics.csv").unlink()
    shutil.rmtree(run / "sft" / "adapter")
    opened.copy_new()


def test_rotated_checkpoints_vanish_and_nothing_else(kind, tmp_path):
    where, call = kind
    run, fresh = make_run(tmp_path / "a" / "mine"), tmp_path / "b" / "mine"
    fresh.mkdir(parents=True)
    call(rotate, where, run)
    call(said, where, fresh)
    assert {path.name for path in (fresh / "sft").iterdir()} == {"adapter", "checkpoint-40", "checkpoint-60"}
    assert (fresh / "sft_metrics.csv").is_file()


def test_a_stage_that_is_wiped_keeps_its_mirrored_checkpoint(tmp_path):
    run = make_run(tmp_path / "mine")
    opened = open_mirror(f"{tmp_path}/drive", run, "local")
    opened.copy_new()
    shutil.rmtree(run / "sft")
    opened.copy_new()
    assert runs.latest_checkpoint(tmp_path / "drive" / "mine" / "sft")


# Which copy wins: the run's, if it is as new, else the mirror's. Ages in hours; a checkpoint is judged by its state.
VERSIONS = {
    "a newer local file stays": ("file", 1, 2, "local"),
    "an older local file is replaced": ("file", 2, 1, "mirror"),
    "a local file of the same age stays": ("file", 1, 1, "local"),
    "a newer local checkpoint stays": ("checkpoint", 1, 2, "local"),
    "a newer local checkpoint stays, older files and all": ("mixed ages", 1, 2, "local"),
    "an older local checkpoint is replaced": ("checkpoint", 2, 1, "mirror"),
    "a cut-off local checkpoint is replaced, however new": ("cut off", 1, 2, "mirror"),
}


@pytest.mark.parametrize(("what", "local_age", "mirror_age", "winner"), VERSIONS.values(), ids=VERSIONS)
def test_which_copy_wins(tmp_path, what, local_age, mirror_age, winner):
    run, copy = tmp_path / "mine", tmp_path / "drive" / "mine"
    for folder, version, age in ((run, "local", local_age), (copy, "mirror", mirror_age)):
        if what == "file":
            write(folder / "sft_metrics.csv", version, age * HOUR)
        else:
            add_checkpoint(folder / "sft", 20, version, age * HOUR, complete=what != "cut off" or folder == copy)
    if what == "mixed ages":
        write(run / "sft" / "checkpoint-20" / "optimizer.pt", "local", 3 * HOUR)
    said(f"{tmp_path}/drive", run)
    assert contents(run) and all(winner in text for text in contents(run).values()), contents(run)


# 2. Copies that fail or are cut off.


def failing_copies(after: int, error: BaseException):
    """Copying writes a half of the file number `after` (from 0), then raises."""
    real, left = shutil.copyfile, [after]

    def copyfile(source, target):
        left[0] -= 1
        if left[0] < 0:
            Path(target).write_text(Path(source).read_text()[:3])
            raise error
        return real(source, target)

    return mock.patch.object(shutil, "copyfile", copyfile)


@pytest.mark.parametrize("direction", ["copy", "restore"])
@pytest.mark.parametrize("after", range(10))
def test_a_killed_copy_leaves_no_half_checkpoint(tmp_path, after, direction):
    # The target has an older checkpoint-40 and gets a newer one and checkpoint-60: no mixture of the two may look complete.
    run, copy = tmp_path / "mine", tmp_path / "drive" / "mine"
    source, target = (run, copy) if direction == "copy" else (copy, run)
    add_checkpoint(target / "sft", 40, "old", 2 * HOUR)
    add_checkpoint(source / "sft", 40, "new", HOUR)
    add_checkpoint(source / "sft", 60, "new", HOUR)
    with failing_copies(after, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        open_mirror(f"{tmp_path}/drive", run, "local").copy_new()
    for step in (40, 60):
        checkpoint = target / "sft" / f"checkpoint-{step}"
        whole = {name: json.dumps([name, step, "new"]) for name in CHECKPOINT}
        if runs.latest_checkpoint(target / "sft") == checkpoint:
            assert contents(checkpoint) == whole
    assert (runs.latest_checkpoint(target / "sft") is not None) == (after >= 5)
    said(f"{tmp_path}/drive", run)
    open_mirror(f"{tmp_path}/drive", run, "local").copy_new()  # the next session brings both sides up to date
    assert contents(run) == contents(copy) and runs.latest_checkpoint(target / "sft").name == "checkpoint-60"


def test_a_checkpoint_that_changes_in_one_file_is_whole_again(tmp_path):
    run, copy = make_run(tmp_path / "mine"), tmp_path / "drive" / "mine"
    opened = open_mirror(f"{tmp_path}/drive", run, "local")
    opened.copy_new()
    write(run / "sft" / "checkpoint-20" / "optimizer.pt", "another")
    with failing_copies(1, OSError("the state cannot be copied")):
        opened.copy_new()
    assert runs.latest_checkpoint(copy / "sft") is None
    assert opened.copy_new() == ["sft/checkpoint-20/trainer_state.json"] and runs.latest_checkpoint(copy / "sft")


def test_checkpoints_come_back_in_the_order_of_their_steps(tmp_path):
    # The trainer deletes the folder that changed first, so the newest must be written last.
    for step in (10, 9):
        add_checkpoint(tmp_path / "drive" / "mine" / "sft", step)
    said(f"{tmp_path}/drive", tmp_path / "mine")
    names = sorted((tmp_path / "mine" / "sft").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert [path.name for path in names] == ["checkpoint-9", "checkpoint-10"]


def test_a_full_drive_is_said_once_and_training_goes_on(tmp_path, capsys):
    run, copy = make_run(tmp_path / "mine"), tmp_path / "drive" / "mine"
    opened = open_mirror(f"{tmp_path}/drive", run, "local")
    opened.copy_new()
    add_checkpoint(run / "sft", 40)
    capsys.readouterr()
    with failing_copies(1, OSError(errno.ENOSPC, "No space left on device")):
        assert opened.copy_new() == ["sft/checkpoint-40/adapter_config.json"]
        assert opened.copy_new() == []
    assert capsys.readouterr().out == (
        f"Mirroring to {copy} failed at copying sft/checkpoint-40/optimizer.pt (No space left on device): training goes on and "
        "the next checkpoint tries again, but until then what is new lies in results/mine only; free some space there (on Drive, "
        "empty the bin too).\n"
    )
    assert runs.latest_checkpoint(copy / "sft").name == "checkpoint-20" and not list(copy.rglob("*.tmp"))
    assert len(opened.copy_new()) == 4 and runs.latest_checkpoint(copy / "sft").name == "checkpoint-40"
    assert capsys.readouterr().out == f"Mirroring to {copy} works again.\n"


def test_rotation_makes_room_on_a_full_drive(tmp_path):
    run, copy = make_run(tmp_path / "mine"), tmp_path / "drive" / "mine"
    opened = open_mirror(f"{tmp_path}/drive", run, "local")
    add_checkpoint(run / "sft", 40)
    opened.copy_new()
    add_checkpoint(run / "sft", 60)
    shutil.rmtree(run / "sft" / "checkpoint-20")
    with failing_copies(0, OSError(errno.ENOSPC, "No space left on device")):
        opened.copy_new()
    assert not (copy / "sft" / "checkpoint-20").exists()
    assert runs.latest_checkpoint(copy / "sft").name == "checkpoint-40"


def copy_with(error: Exception, where: str, run: Path) -> str:
    opened = open_mirror(where, run, "local")
    with redirect_stdout(StringIO()) as out, mock.patch.object(HfApi, "create_commit", side_effect=error):
        assert opened.copy_new() == opened.copy_new() == []
    assert opened.copy_new()
    return out.getvalue()


@pytest.mark.parametrize("error", [httpx.ConnectError("No route to the hub"), RuntimeError("No route to the hub")])
def test_a_lost_network_is_said_once(in_hub_process, tmp_path, error):
    lines = in_hub_process(copy_with, error, "hub:ours/lost", make_run(tmp_path / type(error).__name__)).splitlines()
    assert len(lines) == 1 and "(No route to the hub): training goes on" in lines[0], lines


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
    assert capsys.readouterr().out == (
        "Run 'mine' is not mirrored, because Drive could not be used (ValueError: mount failed): results/mine is lost when this "
        "Colab session ends, unless you download it or run this cell again and allow Drive.\n"
    )
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
    assert set(opened.copy_new()) == KEPT  # so that this notebook's output alone is enough for the next


@pytest.mark.parametrize(("where", "host"), [("auto", "local"), ("none", "local"), ("none", "colab"), ("none", "kaggle")])
def test_nowhere(tmp_path, where, host, capsys):
    opened = open_mirror(where, make_run(tmp_path / "mine"), host)
    assert (opened.place, opened.restore(), opened.copy_new()) == ("nowhere", [], [])
    assert capsys.readouterr().out == "Run 'mine' is not mirrored: it is kept in results/mine only.\n"


# 4. The hub.


def test_a_hub_mirror_is_private_and_keeps_runs_apart(in_hub_process, hub_folder, tmp_path):
    for name in ("one", "two"):
        (tmp_path / "fresh" / name).mkdir(parents=True)
        in_hub_process(two_sessions, "hub:ours/runs", make_run(tmp_path / name), tmp_path / "fresh" / name)
    assert {path.name for path in (hub_folder / "models" / "ours" / "runs").iterdir()} == {".private", "one", "two"}
    assert "mirrored to the private hub repository ours/runs" in in_hub_process(said, "hub:ours/runs", tmp_path / "one")
    (hub_folder / "models" / "ours" / "open").mkdir()
    assert "mirrored to the PUBLIC hub repository ours/open" in in_hub_process(said, "hub:ours/open", tmp_path / "one")


def test_names_that_lead_out_of_the_run_are_passed_over(in_hub_process, hub_folder, tmp_path):
    for name in ("../outside.txt", "/tmp/outside.txt", "inside.txt"):
        write(hub_folder / "models" / "ours" / "odd" / "mine" / Path(name).name, "text")
    manifest = {name: [4, 1.0] for name in ("../outside.txt", "/tmp/outside.txt", "inside.txt")}
    write(hub_folder / "models" / "ours" / "odd" / "mine" / "mirror.json", json.dumps(manifest))
    (tmp_path / "mine").mkdir()
    assert "1 file was restored" in in_hub_process(said, "hub:ours/odd", tmp_path / "mine")
    assert set(contents(tmp_path)) == {"mine/inside.txt"}


def check_access(repo: str) -> None:
    auth_check(repo)  # the one of the process that this runs in: it knows the hub's address


def test_a_gated_model_is_refused_by_name(in_hub_process, hub_folder):
    for name, mark in (("gated", ".gated"), ("free", "config.json")):
        write(hub_folder / "models" / "meta" / name / mark, "")
    in_hub_process(check_access, "meta/free")
    with pytest.raises(GatedRepoError):
        in_hub_process(check_access, "meta/gated")


# 5. What can go wrong when a mirror is opened, in one sentence.


@pytest.mark.parametrize("where", ["", "Auto", "drive", "hub:", "hub:name", "hub:a/b/c", "hub:a b/c", "https://google.com/x"])
def test_a_place_that_is_none(tmp_path, where):
    with pytest.raises(ValueError, match="There is no mirror .*: choose 'auto', 'none', 'hub:owner/name', or the path of a fol"):
        open_mirror(where, tmp_path / "mine", "local")


@pytest.mark.parametrize("where", ["mine/results", "mine/results/mine", "mine/results/mine/copy", ""])
def test_a_mirror_in_the_run_or_around_it(tmp_path, where):
    with pytest.raises(ValueError, match="would hold the run's own folder, or lie in it: choose another folder"):
        open_mirror(f"{tmp_path}/{where}", make_run(tmp_path / "mine" / "results" / "mine"), "local")


def test_an_unknown_host(tmp_path):
    with pytest.raises(ValueError, match="There is no host 'sagemaker': choose from colab, kaggle, local"):
        open_mirror("auto", tmp_path / "mine", "sagemaker")


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
