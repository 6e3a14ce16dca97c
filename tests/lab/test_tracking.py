"""Tracking: what a real training leaves in W&B's offline file and in Trackio's database; keys; no failure ends a run."""

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

import pytest
import tracked_run
import wandb
from wandb_file import offline_runs

from grpo_lab import tracking

ROOT = Path(__file__).parents[2]
KEY = "a" * 40
needs_trackio = pytest.mark.skipif(not importlib.util.find_spec("trackio"), reason="Trackio is not installed")


def child(code: list[str], home: Path, check: bool = True, **variables) -> subprocess.CompletedProcess:
    """Python in a process of its own, with an empty home, no key and no terminal: a prompt would fail or hang."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "TRACKIO", "HF_", "NETRC"))}
    environment |= {"HOME": str(home), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}", "NO_PROXY": "127.0.0.1"} | variables
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


def track(kind: str, home: Path) -> SimpleNamespace:
    """GRPO, cut and continued, and the evaluation, without a key: the run folder and what was printed."""
    run = home / "results" / "my run"  # a name that is none for an artifact
    run.mkdir(parents=True)
    done = child([str(ROOT / "tests" / "lab" / "tracked_run.py"), kind, str(run)], home)
    lines = [line for line in done.stdout.splitlines() if line and "mirrored" not in line]
    return SimpleNamespace(run=run, lines=lines, err=done.stderr)


# 1. What a real training leaves.


@pytest.fixture(scope="module")
def offline(tmp_path_factory) -> SimpleNamespace:
    told = track("wandb", tmp_path_factory.mktemp("home"))
    return SimpleNamespace(**vars(told), held=offline_runs(told.run))


def test_one_line_a_stage_says_that_it_is_offline_why_and_how_to_sync(offline):
    said = [line for line in offline.lines if "W&B" in line]
    assert len(said) == 3 and all(
        line == "W&B is offline (no key in WANDB_API_KEY or the netrc file); "
        f"`wandb sync results/my run/wandb/offline-run-*-{held.id}` uploads this later, once a key is there (`wandb login`)."
        for line, held in zip(said, offline.held, strict=True)
    )
    others = [line for line in offline.lines if line not in said]
    assert others[0] == "cut off" and others[1] == "continuing from grpo/checkpoint-1" and len(others) == 3
    assert "wandb" not in offline.err.lower() and "Completions" not in "".join(offline.lines), "nothing of a tracker is printed"


def test_the_stages_share_a_group_and_have_job_types(offline):
    assert [(held.group, held.job_type, held.name) for held in offline.held] == [
        ("my run", stage, f"my run-{stage}") for stage in ("grpo", "grpo", "evaluation")
    ]
    assert all(held.done for held in offline.held) and len({held.id for held in offline.held}) == 3


def test_the_configuration_is_the_resolved_one_and_the_trainers(offline):
    config = offline.held[0].config
    assert config["recipe"]["grpo"]["num_generations"] == 4 and config["seed"] == 0 and config["stage"] == "grpo"
    assert config["learning_rate"] == tracked_run.PLAN.learning_rate and config["loss_type"] == "dr_grpo"


def test_values_stand_under_the_trainers_names_at_their_step(offline):
    first, second, _ = offline.held
    for held, step in ((first, 1), (second, 2)):
        (row,) = [row for row in held.history if "train/reward" in row]
        assert row["train/global_step"] == step
        assert {"train/loss", "train/rewards/correctness/mean", "train/audit/false_claims", "train/time/generate"} <= set(row)


def test_dev_accuracy_reaches_the_tracker_at_its_step(offline):
    def measured(held):
        return [(row["train/global_step"], row["eval/accuracy"]) for row in held.history if "eval/accuracy" in row]

    assert list(map(measured, offline.held)) == [[(0, 0.25), (1, 0.5)], [(2, 0.75)], []]
    assert {"eval/low", "eval/high"} <= set(next(row for row in offline.held[0].history if "eval/accuracy" in row))


def test_the_completions_of_every_rollout_are_there(offline):
    for held in offline.held[:2]:
        path = [row["completions/path"] for row in held.history if "completions/path" in row][-1]  # TRL logs the last one twice
        table = json.loads((held.folder / "files" / path).read_text())
        assert len(table["data"]) == tracked_run.COMPLETIONS
        columns = {"prompt", "completion", "correctness", "advantage", "id", "gold", "tokens", "reward", "flags"}
        assert columns <= set(table["columns"])


def test_the_evaluation_has_scalars_a_table_and_artifacts(offline):
    evaluation = offline.held[2]
    assert evaluation.summary["grpo/accuracy_flexible"] == 0.75
    assert any("results/path" in row for row in evaluation.history)
    assert ("my_run-evaluation", "evaluation") in evaluation.artifacts
    assert ("my_run-grpo-adapter", "model") in offline.held[1].artifacts


READ_TRACKIO = """
import json
from trackio.sqlite_storage import SQLiteStorage as S
runs = S.get_run_records("grpo-math")
logs = {r["name"]: S.get_logs("grpo-math", r["name"], run_id=r["id"]) for r in runs}
configs = {r["name"]: S.get_run_config("grpo-math", r["name"], run_id=r["id"]) for r in runs}
links = {r["name"]: S.get_run_artifacts("grpo-math", r["name"], run_id=r["id"]) for r in runs}
print(json.dumps({"runs": [r["name"] for r in runs], "logs": logs, "configs": configs, "links": links}, default=str))
"""


@needs_trackio
def test_trackio_holds_the_same(tmp_path):
    told = track("trackio", tmp_path)
    said = [line for line in told.lines if "rackio" in line]
    assert said == 3 * [
        "Trackio keeps this run in results/my run/trackio; "
        "`TRACKIO_DIR=results/my run/trackio trackio show --project grpo-math` shows it."
    ]
    assert len(told.lines) == 6 and "trackio" not in told.err.lower(), "nothing else is printed"
    held = SimpleNamespace(**json.loads(child(["-c", READ_TRACKIO], tmp_path, TRACKIO_DIR=str(told.run / "trackio")).stdout))
    assert sorted(held.runs) == ["my run-evaluation", "my run-grpo"], "GRPO goes on in its run"
    config = held.configs["my run-grpo"]
    assert config["_Group"] == "my run" and config["recipe"]["name"] == "tiny" and config["loss_type"] == "dr_grpo"
    rows = held.logs["my run-grpo"]
    assert [(row["train/global_step"], row["eval/accuracy"]) for row in rows if "eval/accuracy" in row] == [
        (0, 0.25), (1, 0.5), (2, 0.75)
    ]  # fmt: skip
    assert [row["train/global_step"] for row in rows if "train/reward" in row] == [1, 2]
    tables = [row["completions"]["_value"] for row in rows if "completions" in row]
    assert {table[0]["step"] for table in tables} == {1, 2} and "advantage" in tables[0][0]
    assert {len(table) for table in tables} == {tracked_run.COMPLETIONS}
    links = {name: json.dumps(value) for name, value in held.links.items()}
    assert "my_run-grpo-adapter" in links["my run-grpo"] and "my_run-grpo-adapter" in links["my run-evaluation"]


def test_a_missing_trackio_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(ImportError, match="Trackio is not installed: run `pip install trackio"):
        tracking.open_tracker("trackio", tmp_path, "grpo", {})


# 2. Keys: none, one in a secret, one that is refused; no prompt.


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
{before}
from grpo_lab.tracking import open_tracker
run = Path(sys.argv[1]) / "results" / "r"
run.mkdir(parents=True)
tracker = open_tracker("wandb", run, "grpo", {{}})
tracker.log({{"eval/accuracy": 1.0}}, 1)
tracker.finish()
"""
COLAB = """
import types
sys.modules["google.colab"] = colab = types.ModuleType("google.colab")
colab.userdata = types.SimpleNamespace(get={"WANDB_API_KEY": "b" * 40}.get)
"""


def one_stage(folder: Path, before: str = "", **variables) -> tuple[str, list[SimpleNamespace]]:
    done = child(["-c", ONE_STAGE.format(before=before), str(folder)], folder, **variables)
    return done.stdout, offline_runs(folder / "results" / "r")


@pytest.mark.parametrize(
    "source", ["netrc", pytest.param("environment", marks=pytest.mark.slow), pytest.param("secret", marks=pytest.mark.slow)]
)
def test_a_key_that_is_refused_means_offline(source, server, tmp_path):
    variables, before = {"WANDB_BASE_URL": server.url}, ""
    if source == "environment":
        variables["WANDB_API_KEY"] = KEY
    elif source == "netrc":
        (tmp_path / ".netrc").write_text(f"machine {server.url.removeprefix('http://')} login user password {KEY}\n")
        (tmp_path / ".netrc").chmod(0o600)
    else:
        before = COLAB
    out, held = one_stage(tmp_path, before, **variables)
    assert out.startswith(f"W&B is offline (Failed to authenticate with {server.url}: ") and out.count("\n") == 1
    assert server.seen, "the key was never tried"
    assert held[0].history[0]["eval/accuracy"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("server", [True], indirect=True, ids=["the key is right"])
def test_a_run_that_cannot_begin_online_is_offline(server, tmp_path):
    out, held = one_stage(tmp_path, WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY)
    assert out.startswith("W&B is offline (") and server.seen
    assert held[0].history[0]["eval/accuracy"] == 1.0


@pytest.mark.slow
def test_no_network_means_offline(tmp_path):
    start = time.perf_counter()
    out, held = one_stage(tmp_path, WANDB_BASE_URL="http://127.0.0.1:9", WANDB_API_KEY=KEY)
    assert out.startswith("W&B is offline (Failed to authenticate") and held[0].history
    assert time.perf_counter() - start < 60


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "runs"), [("offline", 1), ("disabled", 0)])
def test_wandb_mode_is_respected(mode, runs, tmp_path):
    out, held = one_stage(tmp_path, WANDB_MODE=mode, WANDB_API_KEY=KEY)
    assert out.startswith(f"W&B is {mode}") and "as WANDB_MODE or `wandb offline` asks" in out
    assert len(held) == runs


class SecretNotFoundError(Exception):
    """As on Colab, where the types have no common parent."""


@pytest.fixture
def hosts(monkeypatch):
    """Colab's and Kaggle's modules, whose secrets are what the test says: a value, or an error."""

    def set_up(secret: str | Exception | None) -> None:
        def get(name: str):
            assert name == "WANDB_API_KEY"
            if isinstance(secret, Exception):
                raise secret
            return secret

        colab, kaggle = ModuleType("google.colab"), ModuleType("kaggle_secrets")
        colab.userdata = SimpleNamespace(get=get)
        kaggle.UserSecretsClient = lambda: SimpleNamespace(get_secret=get)
        for module in (colab, kaggle):
            monkeypatch.setitem(sys.modules, module.__name__, module)

    return set_up


@pytest.mark.parametrize("host", ["colab", "kaggle"])
def test_the_secrets_of_the_hosts_are_read(host, hosts):
    hosts(KEY)
    assert tracking.host_secret(host)[0] == KEY
    for nothing in (None, ""):
        hosts(nothing)
        assert tracking.host_secret(host) == ("", f"the {host.capitalize()} secret WANDB_API_KEY is empty")
    hosts(SecretNotFoundError("no such secret"))
    key, why = tracking.host_secret(host)
    assert not key and why == f"no key, and the {host.capitalize()} secret WANDB_API_KEY cannot be read: SecretNotFoundError"


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [(True, ("online", "")), (False, ("offline", "W&B cannot be reached; on Kaggle, switch Internet on in the session options"))],
)
def test_a_secret_is_what_wandb_logs_in_with(accepted, expected, hosts, monkeypatch):
    hosts(KEY)
    for name in ("WANDB_MODE", tracking.KEY):
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    monkeypatch.setattr(tracking, "detect_host", lambda: "kaggle")
    monkeypatch.setattr(wandb, "login", lambda prompt, verify: accepted and os.environ.get(tracking.KEY) == KEY and not prompt)
    assert tracking.wandb_mode() == expected


def test_your_own_machine_has_no_secrets():
    assert tracking.host_secret("local") == ("", "")


# 3. Nothing that fails ends a run.


class Broken(tracking.Tracker):
    """A dashboard that raises for everything."""

    def _fail(self, *_):
        raise OSError("no space left\non device")

    _log = _log_table = _summarise = _save_files = _use_files = _finish = _fail


def use_all(tracker: tracking.Tracker) -> None:
    tracker.log({"eval/accuracy": 1.0}, 1)
    tracker.log_table("results", [{"a": 1}])
    tracker.summarise({"a": 1})
    tracker.save_files("adapter", "model", [Path("x")])
    tracker.use_files("adapter")
    tracker.finish()


def test_a_failing_dashboard_is_told_once(capsys):
    use_all(Broken())
    assert capsys.readouterr().out == (
        "The dashboard could not log values (no space left): the run goes on, and its files in results/ hold everything.\n"
    )


def test_none_does_nothing(tmp_path, capsys):
    tracker = tracking.open_tracker("none", tmp_path, "grpo", {})
    use_all(tracker)
    assert tracker.trainer_args == {"report_to": []} and not capsys.readouterr().out and not list(tmp_path.iterdir())


def test_only_the_first_process_tracks(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert type(tracking.open_tracker("wandb", tmp_path, "grpo", {})) is tracking.Tracker and not list(tmp_path.iterdir())


def test_an_unknown_tracker_is_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no tracker 'tensorboard'. Set TRACKER to one of: wandb, trackio, none"):
        tracking.open_tracker("tensorboard", tmp_path, "grpo", {})


@pytest.mark.slow
def test_a_killed_session_leaves_what_it_logged(tmp_path):
    kill = ONE_STAGE.format(before="import os, time").replace("tracker.finish()", "time.sleep(2); os.kill(os.getpid(), 9)")
    child(["-c", kill, str(tmp_path)], tmp_path, check=False)
    (held,) = offline_runs(tmp_path / "results" / "r")
    assert [row["eval/accuracy"] for row in held.history] == [1.0] and not held.done
