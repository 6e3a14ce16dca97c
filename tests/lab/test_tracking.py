"""Tracking: what a real training leaves in W&B's file and in Trackio's database; keys without a prompt; no failure ends a run."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType, SimpleNamespace
from unittest import mock

import pytest
import tracked_run
import wandb_file
from wandb_file import OfflineRun

from grpo_lab import tracking

ROOT = Path(__file__).parents[2]
KEY = "a" * 40
PARTS = {"killed": -9, "continued": 0, "evaluation": 0}  # of tracked_run.py, with their exit codes
COMPLETIONS = tracked_run.PROMPTS * tracked_run.GENERATIONS
needs_trackio = pytest.mark.skipif(not importlib.util.find_spec("trackio"), reason="Trackio is not installed")


def child(code: list[str], home: Path, check: bool = True, **variables) -> subprocess.CompletedProcess:
    """Python in a process of its own, with an empty home, no key and no terminal: a prompt would fail or hang."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "TRACKIO", "HF_", "NETRC"))}
    environment |= {
        "HOME": str(home),
        "PYTHONPATH": f"{ROOT / 'src'}:{Path(__file__).parent}",
        "NO_PROXY": "127.0.0.1",
    } | variables
    done = subprocess.run(
        [sys.executable, *code],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def tracked(kind: str, home: Path) -> SimpleNamespace:
    """The three parts of tracked_run.py: the run folder, and by part what was printed."""
    run = home / "results" / "my run"  # a name that is none for an artifact
    run.mkdir(parents=True)
    printed = {}
    for part, code in PARTS.items():
        done = child([tracked_run.__file__, kind, str(run), part], home, check=False, TRACKIO_DIR=str(run / "trackio"))
        assert done.returncode == code, done.stderr
        printed[part] = (done.stdout.splitlines(), done.stderr)
    return SimpleNamespace(run=run, printed=printed)


def check_printed(printed: dict, first: str) -> None:
    """One line of ours a part; once the training begins, nothing more is printed, of no tracker and no table."""
    for part, (out, err) in printed.items():
        said = [line for line in out if not line.startswith("Triton is not installed")]
        assert said[0].startswith(first), part
        assert said[1:] == ([] if part == "evaluation" else ["THE TRAINING BEGINS"]), part
        assert not any(word in err.lower() for word in ("wandb", "trackio")), err
        assert err == "" if part == "evaluation" else err.endswith("THE TRAINING BEGINS\n"), err


ACCURACY = [(step, tracked_run.accuracy(step)) for step in range(tracked_run.STEPS + 1)]


# 1. What a training and an evaluation leave in W&B's offline files.


@pytest.fixture(scope="module")
def offline(tmp_path_factory) -> SimpleNamespace:
    made = tracked("wandb", tmp_path_factory.mktemp("home"))
    made.held = wandb_file.offline_runs(made.run)
    return made


@pytest.mark.slow
def test_one_line_a_stage_says_that_it_is_offline_why_and_how_to_sync(offline):
    check_printed(
        offline.printed, "W&B is offline (no key in WANDB_API_KEY or the netrc file); `wandb sync results/my run/wandb/"
    )
    for (out, _), held in zip(offline.printed.values(), offline.held, strict=True):
        pattern = out[0].split("results/my run/wandb/")[1].split("`")[0]
        assert held.folder in (offline.run / "wandb").glob(pattern)


@pytest.mark.slow
def test_the_stages_share_a_group_and_a_killed_one_goes_on_in_its_run(offline):
    assert [held.job_type for held in offline.held] == ["grpo", "grpo", "evaluation"]
    assert {held.group for held in offline.held} == {"my run"}
    assert [held.exit_code for held in offline.held] == [None, 0, 0]
    killed, rest, evaluation = offline.held
    assert killed.id == rest.id != evaluation.id and killed.name == "my run-grpo"
    rows = [row["_step"] for held in (killed, rest) for row in held.history]
    assert rows == sorted(set(rows)), "rows of the second part must come after those of the first"


@pytest.mark.slow
def test_the_trainer_and_our_callback_log_over_the_same_steps(offline):
    killed, rest, _ = offline.held
    assert killed.axes["*"] == "train/global_step"
    assert killed.series("eval/accuracy") + rest.series("eval/accuracy") == [(x, pytest.approx(y)) for x, y in ACCURACY]
    for name in ("train/loss", "train/reward", "train/rewards/short/mean", "train/completions/mean_length"):
        assert [step for step, _ in killed.series(name) + rest.series(name)] == [1, 2, 3], name
    assert min(row["train/global_step"] for row in rest.history) == 2, "a resumed session goes on at its checkpoint"
    config = rest.config
    assert config["recipe"] == {"name": "tiny"} and config["made_up"] == 7 and config["num_generations"] == 4


@pytest.mark.slow
def test_the_completions_of_every_step_are_there(offline):
    killed, rest, _ = offline.held
    for step, rows in enumerate([*killed.tables("completions"), rest.tables("completions")[0]], start=1):
        assert len(rows) == COMPLETIONS and {row["step"] for row in rows} == {step}
        assert {"prompt", "completion", "short", "id", "advantage"} <= set(rows[0])
        assert sum(row["advantage"] for row in rows) == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
def test_the_result_is_in_the_summary_a_chart_and_a_table(offline):
    evaluation = offline.held[2]
    assert [evaluation.summary[f"accuracy/{name}"] for name in ("base", "sft", "grpo")] == [0.1, 0.3, 0.5]
    assert evaluation.summary["flags/grpo/H1"] == 0.096
    assert evaluation.tables("accuracy_table")[0][2] == {"of": "grpo", "accuracy": 0.5}
    assert evaluation.tables("results") == [tracked_run.ROWS]


@pytest.mark.slow
def test_adapters_and_samples_are_artifacts_that_wait_in_the_run_folder(offline):
    own = {a.name: a for held in offline.held for a in held.artifacts if a.type in ("model", "evaluation")}
    assert set(own) == {"my_run-grpo-adapter", "my_run-evaluation"}
    assert {entry.path for entry in own["my_run-evaluation"].manifest.contents} == {"samples/grpo.jsonl", "evaluation.json"}
    for held in offline.held:
        for artifact in held.artifacts:
            for path in (Path(entry.local_path) for entry in artifact.manifest.contents):
                assert path.is_file() and path.is_relative_to(offline.run), f"{artifact.name}: {path}"


# 2. Trackio.

READ_TRACKIO = """
import json
from trackio.sqlite_storage import SQLiteStorage as S
runs = S.get_run_records("grpo-math")
logs = {r["name"]: S.get_logs("grpo-math", r["name"], run_id=r["id"]) for r in runs}
configs = {r["name"]: S.get_run_config("grpo-math", r["name"], run_id=r["id"]) for r in runs}
links = {r["name"]: S.get_run_artifacts("grpo-math", r["name"], run_id=r["id"]) for r in runs}
print(json.dumps({"runs": [r["name"] for r in runs], "logs": logs, "configs": configs, "links": links}, default=str))
"""


@pytest.fixture(scope="module")
def in_trackio(tmp_path_factory) -> SimpleNamespace:
    home = tmp_path_factory.mktemp("home")
    made = tracked("trackio", home)
    vars(made).update(json.loads(child(["-c", READ_TRACKIO], home, TRACKIO_DIR=str(made.run / "trackio")).stdout))
    return made


@pytest.mark.slow
@needs_trackio
def test_trackio_holds_what_the_trainer_and_our_callback_log(in_trackio):
    place = in_trackio.run / "trackio"
    check_printed(in_trackio.printed, f"Trackio keeps this run in {place}; `TRACKIO_DIR={place} trackio show")
    assert sorted(in_trackio.runs) == ["my run-evaluation", "my run-grpo"], "GRPO goes on in its run"
    rows = in_trackio.logs["my run-grpo"]
    series = [(row["train/global_step"], row["eval/accuracy"]) for row in rows if "eval/accuracy" in row]
    assert series == [(x, pytest.approx(y)) for x, y in ACCURACY]
    assert [row["train/global_step"] for row in rows if "train/reward" in row] == [1, 2, 3]
    tables = {table[0]["step"]: table for row in rows if (table := row.get("completions", {}).get("_value"))}
    assert sorted(tables) == [1, 2, 3] and all(len(table) == COMPLETIONS for table in tables.values())
    config = in_trackio.configs["my run-grpo"]
    assert config["_Group"] == "my run" and config["job_type"] == "grpo" and config["made_up"] == 7
    assert config["num_generations"] == 4, "what the trainer adds stays"
    assert any(row.get("accuracy/grpo") == 0.5 for row in in_trackio.logs["my run-evaluation"])

    made, links = in_trackio.links["my run-grpo"], in_trackio.links["my run-evaluation"]
    assert [artifact["name"] for artifact in made["output"]] == ["my_run-grpo-adapter"]
    assert [artifact["name"] for artifact in links["input"]] == ["my_run-grpo-adapter"]
    assert [artifact["name"] for artifact in links["output"]] == ["my_run-evaluation"]


@pytest.mark.slow
@needs_trackio
def test_a_stage_that_begins_anew_is_another_trackio_run(tmp_path):
    for _ in range(2):  # the second is no continuation: no checkpoint is there
        child(["-c", ONE_STAGE, "trackio", str(tmp_path)], tmp_path, TRACKIO_DIR=str(tmp_path / "trackio"))
    held = json.loads(child(["-c", READ_TRACKIO], tmp_path, TRACKIO_DIR=str(tmp_path / "trackio")).stdout)
    assert len(held["runs"]) == 2


@pytest.mark.parametrize("kind", ["wandb", "trackio"])
def test_a_missing_tracker_is_a_sentence(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(ImportError, match=f"TRACKER is '{kind}', which is not installed: run `pip install {kind}`, or"):
        tracking.open_tracker(kind, tmp_path, "grpo", {})


# 3. Keys: none, one in a secret, one that is refused; no prompt.


class Server:
    """Stands for W&B on the loopback address: counts the keys that it is shown; answers with `status`, or knows the user."""

    def __init__(self, knows_the_user: bool = False):
        seen = self.seen = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = b"query Viewer" in body
                if asked:
                    seen.append(self.headers.get("Authorization", ""))
                answer = {
                    "data": {"viewer": {"id": "1", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}
                }
                self.send_response(200 if asked and knows_the_user else 401)
                self.end_headers()
                self.wfile.write(json.dumps(answer if asked and knows_the_user else {"errors": ["no such key"]}).encode())

            def log_message(self, *_): ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server(request) -> Iterator[Server]:
    made = Server(getattr(request, "param", False))
    yield made
    made.server.shutdown()
    made.server.server_close()


ONE_STAGE = """
import sys
from pathlib import Path
from grpo_lab.tracking import open_tracker
run = Path(sys.argv[2]) / "results" / "r"
run.mkdir(parents=True, exist_ok=True)
with open_tracker(sys.argv[1], run, "grpo", {}) as tracker:
    tracker.log({"train/loss": 1.0}, 1)
"""


def one_stage(folder: Path, **variables) -> tuple[str, list[OfflineRun]]:
    done = child(["-c", ONE_STAGE, "wandb", str(folder)], folder, **variables)
    return done.stdout, wandb_file.offline_runs(folder / "results" / "r")


@pytest.mark.parametrize("source", ["netrc", pytest.param("environment", marks=pytest.mark.slow)])
def test_a_key_that_is_refused_means_offline(source, server, tmp_path):
    variables = {"WANDB_BASE_URL": server.url}
    if source == "environment":
        variables["WANDB_API_KEY"] = KEY
    else:
        (tmp_path / ".netrc").write_text(f"machine {server.url.removeprefix('http://')} login user password {KEY}\n")
        (tmp_path / ".netrc").chmod(0o600)
    out, held = one_stage(tmp_path, **variables)
    assert out.startswith(f"W&B is offline (Failed to authenticate with {server.url}: ") and out.count("\n") == 1
    assert server.seen, "the key was never tried"
    assert held[0].series("train/loss") == [(1, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("server", [True], indirect=True, ids=["the key is right"])
def test_a_run_that_cannot_begin_online_is_offline(server, tmp_path):
    out, held = one_stage(tmp_path, WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY)
    assert out.startswith("W&B is offline (") and server.seen
    assert held[0].series("train/loss") == [(1, 1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "sentence", "runs"),
    [
        ({"WANDB_BASE_URL": "http://127.0.0.1:9"}, "W&B is offline (Failed to authenticate", 1),
        ({"WANDB_MODE": "offline"}, "W&B is offline (as WANDB_MODE or `wandb offline` asks)", 1),
        ({"WANDB_MODE": "disabled"}, "W&B is disabled, as WANDB_MODE or `wandb offline` asks", 0),
    ],
    ids=["no network", "offline", "disabled"],
)
def test_no_network_and_wandb_mode(variables, sentence, runs, tmp_path):
    start = time.perf_counter()
    out, held = one_stage(tmp_path, WANDB_API_KEY=KEY, **variables)
    assert out.startswith(sentence) and len(held) == runs
    assert time.perf_counter() - start < 60


class SecretNotFoundError(Exception):
    """As on Colab, where the types have no common parent."""


@pytest.mark.parametrize("host", ["colab", "kaggle"])
@pytest.mark.parametrize(
    ("secret", "accepted", "expected"),
    [
        (KEY, True, ("online", "")),
        (KEY, False, ("offline", "W&B cannot be reached; on Kaggle, switch Internet on in the session options")),
        (None, False, ("offline", "no key in WANDB_API_KEY or the netrc file")),
        ("", False, ("offline", "no key in WANDB_API_KEY or the netrc file")),
        (
            SecretNotFoundError("no such secret"),
            False,
            ("offline", "no key, and the secret WANDB_API_KEY of this host cannot be read: SecretNotFoundError"),
        ),
    ],
)
def test_a_secret_of_the_host_is_what_wandb_logs_in_with(host, secret, accepted, expected, monkeypatch):
    import wandb

    get = mock.Mock(side_effect=secret if isinstance(secret, Exception) else [secret])
    colab, kaggle = ModuleType("google.colab"), ModuleType("kaggle_secrets")
    colab.userdata = SimpleNamespace(get=get)
    kaggle.UserSecretsClient = lambda: SimpleNamespace(get_secret=get)
    for module in (colab, kaggle):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("WANDB_MODE", tracking.KEY):
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    monkeypatch.setattr(tracking, "detect_host", lambda: host)
    monkeypatch.setattr(wandb, "login", lambda prompt, verify: accepted and os.environ[tracking.KEY] == KEY and not prompt)
    assert tracking.wandb_mode() == expected
    get.assert_called_once_with("WANDB_API_KEY")


# 4. Nothing that fails ends a run.


def use_all(tracker: tracking.Tracker) -> None:
    with tracker:
        tracker.log({"loss": 1.0}, 1)
        tracker.log_table("results", [{"a": 1}])
        tracker.summarise({"a": 1})
        tracker.save_files("adapter", "model", [Path("x")])
        tracker.use_files("adapter")
    tracker.finish()


def test_a_failing_tracker_is_told_once(tmp_path, capsys):
    broken = tracking.Tracker(tmp_path, "grpo")
    broken._run = SimpleNamespace(log=mock.Mock(side_effect=OSError("no space left\non device")))
    use_all(broken)
    assert capsys.readouterr().out == (
        "The tracker could not log values (no space left): the run goes on, and its files in results/ hold everything.\n"
    )


def test_a_tracker_that_cannot_begin_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tracking, "_open_wandb", mock.Mock(side_effect=OSError("no space left\non device")))
    use_all(tracking.open_tracker("wandb", tmp_path, "grpo", {}))
    assert capsys.readouterr().out == "The tracker 'wandb' cannot keep this run (no space left): nothing is tracked.\n"


@pytest.mark.parametrize(("kind", "rank"), [("none", "0"), ("wandb", "1")], ids=["none", "only the first process tracks"])
def test_no_tracker_does_nothing(kind, rank, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANK", rank)
    use_all(tracking.open_tracker(kind, tmp_path, "grpo", {}))
    assert not capsys.readouterr().out and not list(tmp_path.iterdir())


def test_an_unknown_tracker_is_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no tracker 'tensorboard'"):
        tracking.open_tracker("tensorboard", tmp_path, "grpo", {})


@pytest.mark.slow
def test_training_goes_on_without_the_process_of_wandb(tmp_path):
    run = tmp_path / "results" / "r"
    run.mkdir(parents=True)
    lines = child([tracked_run.__file__, "wandb", str(run), "orphaned"], tmp_path).stdout.splitlines()
    assert [line for line in lines if line.startswith("The tracker could not")] == lines[-1:]
    assert (run / "grpo" / "checkpoint-3").is_dir() and (run / "grpo" / "adapter").is_dir()
