"""Tracking: what an offline run holds is read back; keys are found, or not, without a prompt; no failure ends a run."""

import csv
import importlib.util
import json
import os
import re
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

from grpo_lab import tracking
from grpo_lab.tracking import keys, metrics, readback, workspace
from grpo_lab.tracking.readback import OfflineRun, last_step, offline_runs, read_offline

ROOT = Path(__file__).parents[2]
KEY = "a" * 40
needs_trackio = pytest.mark.skipif(not importlib.util.find_spec("trackio"), reason="Trackio is not installed")
needs_workspaces = pytest.mark.skipif(
    not importlib.util.find_spec("wandb_workspaces"), reason="wandb-workspaces is not installed"
)


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


@pytest.fixture(scope="module")
def offline(tmp_path_factory) -> SimpleNamespace:
    """The three stages without a key: the run folder, what was printed, and what the offline runs hold."""
    home = tmp_path_factory.mktemp("home")
    run = home / "results" / "my run"  # a name that is none for an artifact
    run.mkdir(parents=True)
    done = child([str(ROOT / "tests" / "lab" / "tracked_run.py"), "wandb", str(run)], home)
    return SimpleNamespace(run=run, home=home, out=done.stdout, err=done.stderr, held=offline_runs(run))


# 1. What an offline run holds.


def test_one_line_a_stage_says_that_it_is_offline_why_and_how_to_sync(offline):
    lines = offline.out.splitlines()
    assert len(lines) == 4 and not offline.err  # GRPO was opened twice
    for line, held in zip(lines, offline.held, strict=True):
        assert line.startswith("W&B is offline (no key in WANDB_API_KEY or the netrc file); `wandb sync results/my run/wandb/")
        pattern = line.split("results/my run/wandb/")[1].split("`")[0]
        assert held.folder in (offline.run / "wandb").glob(pattern)


def test_the_stages_share_a_group_and_have_job_types(offline):
    assert [held.job_type for held in offline.held] == ["sft", "grpo", "grpo", "evaluation"]
    assert {held.group for held in offline.held} == {"my run"}
    assert [held.exit_code for held in offline.held] == [0, 1, 0, 0]  # the second was cut off


def test_a_stage_that_goes_on_from_a_checkpoint_goes_on_in_its_run(offline):
    sft, cut, rest, evaluation = offline.held
    assert cut.id == rest.id and len({held.id for held in offline.held}) == 3
    rows = [row["_step"] for held in (cut, rest) for row in held.history]
    assert rows == list(range(len(rows))), "rows of the second part must come after those of the first"


def test_the_configuration_is_the_resolved_one(offline):
    sft = offline.held[0].config
    assert sft["recipe"] == {"name": "tiny", "learning_rate": 7e-4} and sft["seed"] == 0
    assert sft["trainer"] == {"learning_rate": 0.002}
    assert sft["units"]["time/generate"] == "seconds"


def test_every_value_is_there_under_its_name_over_its_step(offline):
    _, cut, rest, _ = offline.held
    accuracy = cut.series("accuracy/held_out") + rest.series("accuracy/held_out")
    assert accuracy == list(tracked_run.ACCURACY.items())
    for step, held in ((4, cut), (8, rest), (12, rest)):
        for key, value in tracked_run.measured(step).items():
            assert (step, pytest.approx(value)) in held.series(metrics.metric_of(key).name), key


def test_priming_has_its_own_steps(offline):
    sft = offline.held[0]
    assert sft.series("priming/loss") == [(1, 1), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert sft.series("training/loss") == [(1, 0.5), (2, 0.25)]


def test_the_summary_keeps_the_last_and_the_best(offline):
    rest = offline.held[2]
    assert rest.summary["accuracy/held_out"] == {"last": 0.7, "max": 0.75}
    assert rest.summary["lengths/cut_off"] == {"last": 0, "min": 0}
    assert rest.summary["training/loss"] == {"last": 0.1}
    assert offline.held[3].summary["evaluation/grpo/accuracy_flexible"] == 0.824
    assert offline.held[3].summary["evaluation/grpo/flags/H1"] == 0.096


def test_the_completions_of_every_logged_step_are_there(offline):
    _, cut, rest, _ = offline.held
    tables = cut.tables("samples/completions") + rest.tables("samples/completions")
    assert [step for step, _ in tables] == list(tracked_run.STEPS)
    for step, rows in tables:
        for row, made in zip(rows, tracked_run.rollout(step), strict=True):
            rewards = made.pop("rewards")
            assert row == made | {"flags": " ".join(made["flags"])} | {
                f"rewards/{name}": value for name, value in rewards.items()
            }
    assert list(tables[0][1][0])[:5] == ["step", "question", "completion", "extracted_strict", "gold"]


def test_the_evaluation_has_its_tables(offline):
    evaluation = offline.held[3]
    assert evaluation.tables("samples/results")[0][1][1] == {"checkpoint": "+ GRPO", "accuracy": "82.4%"}
    assert len(evaluation.tables("samples/grpo")[0][1]) == tracked_run.COMPLETIONS


def own_artifacts(held: OfflineRun) -> dict[str, dict]:
    return {artifact["name"]: artifact for artifact in held.artifacts if artifact["type"] in ("model", "evaluation")}


def test_artifacts_lead_from_01_to_03(offline):
    sft, cut, rest, evaluation = map(own_artifacts, offline.held)
    assert not sft["my_run-sft-adapter"]["used"] and not rest["my_run-grpo-adapter"]["used"]
    for used, made in (
        (cut["my_run-sft-adapter"], sft["my_run-sft-adapter"]),
        (rest["my_run-sft-adapter"], sft["my_run-sft-adapter"]),
        (evaluation["my_run-sft-adapter"], sft["my_run-sft-adapter"]),
        (evaluation["my_run-grpo-adapter"], rest["my_run-grpo-adapter"]),
    ):
        assert used["used"] and used["digest"] == made["digest"], "W&B takes the same content for the same version"
    result = evaluation["my_run-evaluation"]
    assert not result["used"] and set(result["files"]) == {"samples/grpo.jsonl", "evaluation.json"}
    assert result["metadata"]["made_from"] == ["my_run-sft-adapter", "my_run-grpo-adapter"]
    assert offline.held[3].config["made_from"] == result["metadata"]["made_from"]


def test_what_is_to_be_uploaded_lies_in_the_run_folder(offline):
    for held in offline.held:
        for artifact in held.artifacts:
            for path in map(Path, artifact["files"].values()):
                assert path.is_file() and path.is_relative_to(offline.run), f"{artifact['name']}: {path}"


def test_a_user_can_read_it_back_too(offline, capsys):
    readback.main(offline.run)
    out = capsys.readouterr().out
    assert "samples/completions: 6 rows in 2" in out and "uses my_run-grpo-adapter (model, 1 files)" in out
    readback.main(offline.home)
    assert "holds no offline W&B run" in capsys.readouterr().out


def test_a_damaged_file_is_read_up_to_the_damage(offline, tmp_path):
    whole = offline.held[2]
    data = next(whole.folder.glob("*.wandb")).read_bytes()
    folder = tmp_path / "wandb" / f"offline-run-1-{whole.id}"
    folder.mkdir(parents=True)
    counts = []
    for end in (len(data), len(data) * 2 // 3, 7, 0):
        (folder / "run-x.wandb").write_bytes(data[:end])
        counts.append(len(read_offline(folder).history))
    assert counts[0] == len(whole.history) > counts[1] > counts[2] == counts[3] == 0
    assert last_step(tmp_path, whole.id) == last_step(tmp_path, "none") == -1
    (folder / "run-x.wandb").write_bytes(b"something else")
    with pytest.raises(ValueError, match="is no W&B file in the format"):
        read_offline(folder)


# 2. Names.


def test_every_column_of_the_reference_run_is_in_the_table():
    heads = [path.read_text().splitlines() for path in (ROOT / "results" / "tiny").glob("*_metrics.csv")]
    columns = {key for head in heads for key in next(csv.reader(head))}
    totals = {"train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos", "train_loss"}
    outside = {key for key in columns if not metrics.metric_of(key).unit} - totals - {"step"}
    assert outside == {"clip_ratio/low_min", "clip_ratio/high_max"}, "give it a row in METRICS, or name it here"


def test_loss_comes_last_and_accuracy_first():
    sections = [metric.name.split("/")[0] for metric in metrics.METRICS] + ["samples", "priming", "evaluation"]
    assert min(sections) == "accuracy" and max(sections) == "training" == metrics.metric_of("loss").name.split("/")[0]
    assert metrics.metric_of("some/thing_new").name == "training/some_thing_new"
    assert len({metric.name for metric in metrics.METRICS}) == len(metrics.METRICS)


@pytest.mark.parametrize(
    ("name", "better"),
    [("rewards/correctness_mean", "max"), ("rewards/correctness_std", ""), ("lengths/cut_off", "min"), ("training/x", "")],
)
def test_which_way_is_better(name, better):
    assert metrics.better_of(name) == better


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
{before}
from grpo_lab.tracking import open_tracker
run = Path(sys.argv[1]) / "results" / "r"
run.mkdir(parents=True)
with open_tracker("wandb", run, "grpo", {{}}) as tracker:
    tracker.log({{"loss": 1.0}}, 1)
"""
COLAB = """
import types
sys.modules["google.colab"] = colab = types.ModuleType("google.colab")
colab.userdata = types.SimpleNamespace(get={"WANDB_API_KEY": "b" * 40}.get)
"""


def one_stage(folder: Path, before: str = "", **variables) -> tuple[str, list[OfflineRun]]:
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
    assert held[0].series("training/loss") == [(1, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("server", [True], indirect=True, ids=["the key is right"])
def test_a_run_that_cannot_begin_online_is_offline(server, tmp_path):
    out, held = one_stage(tmp_path, WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY)
    assert out.startswith("W&B is offline (") and server.seen
    assert held[0].series("training/loss") == [(1, 1)]


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
    assert keys.host_secret(host)[0] == KEY
    for nothing in (None, ""):
        hosts(nothing)
        assert keys.host_secret(host) == ("", f"the {host.capitalize()} secret WANDB_API_KEY is empty")
    hosts(SecretNotFoundError("no such secret"))
    key, why = keys.host_secret(host)
    assert not key and why == f"no key, and the {host.capitalize()} secret WANDB_API_KEY cannot be read: SecretNotFoundError"


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [(True, ("online", "")), (False, ("offline", "W&B cannot be reached; on Kaggle, switch Internet on in the session options"))],
)
def test_a_secret_is_what_wandb_logs_in_with(accepted, expected, hosts, monkeypatch):
    hosts(KEY)
    for name in ("WANDB_MODE", keys.NAME):
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    monkeypatch.setattr(keys, "detect_host", lambda: "kaggle")
    monkeypatch.setattr(keys.wandb, "login", lambda prompt, verify: accepted and os.environ.get(keys.NAME) == KEY and not prompt)
    assert keys.wandb_mode() == expected


def test_your_own_machine_has_no_secrets():
    assert keys.host_secret("local") == ("", "")


# 4. Nothing that fails ends a run.


class Broken(tracking.Tracker):
    """A dashboard that raises for everything."""

    def _fail(self, *_):
        raise OSError("no space left\non device")

    _log = _log_table = _summarise = _save_files = _use_files = _finish = _fail


def use_all(tracker: tracking.Tracker) -> None:
    with tracker:
        tracker.log({"loss": 1.0}, 1)
        tracker.part("priming").log({"loss": 1.0}, 1)
        tracker.log_table("completions", [{"a": 1}], 1)
        tracker.summarise({"a": 1})
        tracker.save_files("adapter", "model", [Path("x")])
        tracker.use_files("adapter")
    tracker.finish()


def test_a_failing_dashboard_is_told_once(tmp_path, capsys):
    use_all(Broken(tmp_path))
    assert capsys.readouterr().out == (
        "The dashboard could not log values (no space left): the run goes on, and its files in results/ hold everything.\n"
    )


def test_none_does_nothing(tmp_path, capsys):
    use_all(tracking.open_tracker("none", tmp_path, "grpo", {}))
    assert not capsys.readouterr().out and not list(tmp_path.iterdir())


def test_only_the_first_process_tracks(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert type(tracking.open_tracker("wandb", tmp_path, "grpo", {})) is tracking.Tracker and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("kind", "stage"), [("tensorboard", "grpo"), ("wandb", "training")])
def test_unknown_names_are_refused(kind, stage, tmp_path):
    with pytest.raises(ValueError, match="There is no (tracker 'tensorboard'|stage 'training')"):
        tracking.open_tracker(kind, tmp_path, stage, {})


KILL = """
import os, signal, sys, time
from pathlib import Path
import psutil
from grpo_lab.tracking import open_tracker
run = Path(sys.argv[1]) / "results" / "r"
run.mkdir(parents=True)
with open_tracker("wandb", run, "grpo", {}) as tracker:
    tracker.log({"loss": 1.0}, 1)
    tracker.log_table("completions", [{"step": 1, "completion": "x"}], 1)
    time.sleep(2)
    if sys.argv[2] == "session":
        os.kill(os.getpid(), signal.SIGKILL)
    for process in psutil.Process().children(recursive=True):
        process.kill()
    time.sleep(0.2)
    for step in (2, 3):
        tracker.log({"loss": 1.0}, step)
        tracker.log_table("completions", [{"step": step, "completion": "x"}], step)
print("training has ended well")
"""


@pytest.mark.slow
def test_a_killed_session_leaves_what_it_logged(tmp_path):
    child(["-c", KILL, str(tmp_path), "session"], tmp_path, check=False)
    (held,) = offline_runs(tmp_path / "results" / "r")
    assert held.series("training/loss") == [(1, 1)] and held.exit_code is None
    assert held.tables("samples/completions") == [(1, [{"step": 1, "completion": "x"}])]


@pytest.mark.slow
def test_training_goes_on_without_the_process_of_wandb(tmp_path):
    lines = child(["-c", KILL, str(tmp_path), "wandb"], tmp_path).stdout.splitlines()
    assert lines[-1] == "training has ended well"
    told = [line for line in lines if line.startswith("The dashboard could not")]
    assert lines[1:-1] == told and len(told) == 1


# 5. Trackio.

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
def trackio_run(tmp_path_factory) -> SimpleNamespace:
    home = tmp_path_factory.mktemp("home")
    run = home / "results" / "r"
    run.mkdir(parents=True)
    imported_before = "import trackio, tracked_run, sys, pathlib; tracked_run.main('trackio', pathlib.Path(sys.argv[1]))"
    done = child(["-c", imported_before, str(run)], home)  # as TRL imports it, which reads where it keeps its files
    held = json.loads(child(["-c", READ_TRACKIO], home, TRACKIO_DIR=str(run / "trackio")).stdout)
    return SimpleNamespace(run=run, out=done.stdout, **held)


@pytest.mark.slow
@needs_trackio
def test_trackio_says_where_it_keeps_the_run(trackio_run):
    lines = trackio_run.out.splitlines()
    assert len(lines) == 4 and set(lines) == {
        "Trackio keeps this run in results/r/trackio; `TRACKIO_DIR=results/r/trackio trackio show --project grpo-math` shows it."
    }


@pytest.mark.slow
@needs_trackio
def test_trackio_holds_the_stages(trackio_run):
    assert sorted(trackio_run.runs) == ["r-evaluation", "r-grpo", "r-sft"], "GRPO goes on in its run"
    for stage in tracking.STAGES:
        config = trackio_run.configs[f"r-{stage}"]
        assert config["_Group"] == "r" and config["job_type"] == stage and config["recipe"]["name"] == "tiny"


@pytest.mark.slow
@needs_trackio
def test_trackio_holds_every_value_and_table(trackio_run):
    rows = trackio_run.logs["r-grpo"]
    assert [(row["step"], row["accuracy/held_out"]) for row in rows if "accuracy/held_out" in row] == list(
        tracked_run.ACCURACY.items()
    )
    tables = [row["samples/completions"]["_value"] for row in rows if "samples/completions" in row]
    assert [(table[0]["step"], len(table)) for table in tables] == [(step, tracked_run.COMPLETIONS) for step in tracked_run.STEPS]
    assert tables[0][0]["completion"] == tracked_run.rollout(4)[0]["completion"]


@pytest.mark.slow
@needs_trackio
def test_trackio_links_the_artifacts(trackio_run):
    links = {name: json.dumps(value) for name, value in trackio_run.links.items()}
    assert "r-sft-adapter" in links["r-sft"] and "r-sft-adapter" in links["r-grpo"] and "r-grpo-adapter" in links["r-grpo"]
    assert all(name in links["r-evaluation"] for name in ("r-sft-adapter", "r-grpo-adapter", "r-evaluation"))


def test_a_missing_trackio_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(ImportError, match="Trackio is not installed: run `pip install trackio"):
        tracking.open_tracker("trackio", tmp_path, "grpo", {})


# 6. The workspace.


@needs_workspaces
def test_the_workspace_shows_what_is_logged_and_the_loss_last():
    from wandb_workspaces.workspaces import Workspace

    made = workspace.make_workspace("me")
    spec = json.loads(made._to_model().model_dump_json(by_alias=True, exclude_none=True))["spec"]["section"]["panelBankConfig"]
    assert [section["name"] for section in spec["sections"]] == list(workspace.SECTIONS)
    shown = [(section["name"], panel["config"]) for section in spec["sections"] for panel in section["panels"]]
    logged = {metric.name.replace("*", "correctness") for metric in metrics.METRICS} | {"priming/loss"}
    for section, config in shown:
        for name in config.get("metrics", []):
            assert name in logged, f"{section}: {name} is never logged"
        if "metricRegex" in config:
            assert any(re.fullmatch(config["metricRegex"], name) for name in logged)
        assert section == "Samples" or config["yAxisTitle"] or "priming/loss" in config["metrics"]
    assert [section for section, config in shown if "training/loss" in config.get("metrics", [])] == [
        list(workspace.SECTIONS)[-1]
    ]
    assert isinstance(Workspace._from_model(made._to_model()), Workspace)


@needs_workspaces
def test_every_metric_of_note_has_a_panel():
    panels = " ".join(name for section in workspace.SECTIONS.values() for names in section.values() for name in names)
    without = {metric.name for metric in metrics.METRICS if metric.name not in panels}
    assert without == {"accuracy/next_token", "lengths/terminated_min", "lengths/terminated_max", "time/step", "training/epoch"}


@pytest.mark.slow
def test_saving_the_workspace_without_a_key_is_a_sentence(tmp_path):
    done = child(["-m", "grpo_lab.tracking.workspace", "--entity", "me"], tmp_path, check=False)
    assert done.returncode == 1 and "run `wandb login` first" in done.stderr and "Traceback" not in done.stderr
