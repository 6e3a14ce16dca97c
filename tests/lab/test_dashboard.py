"""The page of all runs: what the files say and no more, whole or damaged; and its views in a real browser."""

import csv
import json
import os
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from chromium import Browser, find_chromium
from made_up_run import N, sample, samples, write_everything, write_samples

from grpo_lab import dashboard, report
from grpo_lab.dashboard import __main__ as command
from grpo_lab.dashboard import completions
from grpo_lab.dashboard.curves import catalogue, read_curves
from grpo_lab.runs import project_root
from grpo_math.stats import wilson_interval

STEPS, GROUPS, ROWS = range(4, 41, 4), 3, 4
STAGES = "stage,wall_s,cpu_s,peak_memory_mb\nsft,60.0,1,1\ngrpo,120.0,1,1\nevaluation,30.0,1,1\n"


def rollout(step: int) -> list[dict]:
    """Three prompts with four completions each; every third is right, one in each group has a false claim."""
    rows = []
    for group in range(GROUPS):
        for i in range(ROWS):
            row = sample(step * 10 + group, tokens=i) | {"step": step, "group": group}
            right = (step + group + i) % 3 == 0
            text = "39 + 47 = 76. The answer is 76." if i == 1 else f"It is {i}."
            paid = {"correctness": 3.0 * right, "exact_format": None if i == 3 else 0.5}
            row |= {"completion": text, "correct_flexible": None if i == 2 else right, "flags": ["H1"] if i == 1 else []}
            rows.append(row | {"rewards": paid, "reward": sum(filter(None, paid.values()))})
    return rows


def reward(step: int) -> float:
    return step * 7 % 13 / 10


def write_metrics(run: Path, shift: float = 0) -> None:
    rows = [{"step": 0, "eval_accuracy": 0.5, "eval_low": 0.4, "eval_high": 0.6}]
    rows += [{"step": step, "loss": 0.1, "reward": reward(step) + shift, "time/generate": 2, "new/metric": 7} for step in STEPS]
    rows[-1] |= {"eval_accuracy": 0.75, "eval_low": 0.7, "eval_high": 0.8, "train_runtime": 99}
    write_csv(run / "grpo_metrics.csv", rows)
    write_csv(run / "sft_metrics.csv", [{"step": step, "loss": 1 / step} for step in STEPS])


def write_csv(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(key for row in rows for key in row))
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_whole_run(run: Path, shift: float = 0) -> Path:
    write_everything(run)
    write_metrics(run, shift)
    (run / "stages.csv").write_text(STAGES)
    recipe = {"name": "tiny", "priming": None, "sft": {"epochs": 1}, "grpo": {"rollouts": 10}}
    (run / "grpo_config.json").write_text(json.dumps({"settings": {"recipe": recipe, "seed": 3}}))
    for step in STEPS:
        write_jsonl(run / "completions" / f"step-{step:05}.jsonl", rollout(step))
    return run


@pytest.fixture
def results(tmp_path):
    """Two whole runs."""
    write_whole_run(tmp_path / "results" / "one")
    write_whole_run(tmp_path / "results" / "two", shift=1)
    return tmp_path / "results"


class Page(HTMLParser):
    """The elements of a page, its texts without scripts, and the data within it."""

    def __init__(self, path: Path):
        super().__init__()
        self.elements, self.text, self.scripts = [], "", []
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)
        self.data = json.loads(self.scripts[0]) if len(self.scripts) > 1 else None

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        self.scripts += [""] * (name == "script")

    def handle_data(self, data):
        within = self.elements[-1][0] if self.elements else ""
        if within == "script" and not self.scripts[-1]:
            self.scripts[-1] = data
        elif within != "style":
            self.text += data

    def all(self, name: str) -> list[dict]:
        return [attributes for found, attributes in self.elements if found == name]


def page_of(results: Path, runs=None) -> Page:
    return Page(dashboard.write_dashboard(results, runs))


def run_of(results: Path, name: str = "one") -> dict:
    return next(run for run in page_of(results).data["runs"] if run["name"] == name)


# --- What the page says --------------------------------------------------------------


def test_the_table_of_runs_says_what_the_samples_say(results):
    page = page_of(results)
    for name in ("base", "base-chat", "sft", "grpo"):
        right = sum(row["correct_flexible"] for row in samples(name))
        low, high = wilson_interval(right, N)
        assert page.text.count(f"{100 * right / N:.1f}% ({100 * low:.1f}–{100 * high:.1f})of {N}") >= 2, name
        false = sum("H1" in row["flags"] for row in samples(name))
        assert f"false claims {100 * false / N:.1f}%" in page.text
    assert page.text.count("sft, grpo, evaluation3.5 min in all") == 2
    assert [run["seed"] for run in page.data["runs"]] == ["3", "3"]
    assert not [attributes for attributes in page.all("a") if "report" in attributes["href"]]
    (results / "one" / "report.html").touch()
    assert {"href": "one/report.html"} in page_of(results).all("a")


def test_the_page_needs_no_network_and_runs_no_script_but_its_own(results):
    page = page_of(results)
    policy = page.all("meta")[2]["content"]
    assert policy.startswith("default-src 'none'") and b64encode(sha256(page.scripts[1].encode()).digest()).decode() in policy
    assert page.all("script") == [{"type": "application/json", "id": "data"}, {}]
    links = [value for _, attributes in page.elements for key, value in attributes.items() if key in ("src", "href")]
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert links and {link[1:] for link in links if link.startswith("#")} == set(filter(lambda link: link[0] != "/", ids)) & {
        "runs",
        "curves",
        "training",
        "problems",
    }
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(|@import|innerHTML|eval\(", page.html)


def test_whole_runs_have_nothing_to_be_said_about(results):
    assert [run["said"] for run in page_of(results).data["runs"]] == [[], []]


def test_every_completion_is_there_once_with_its_marks(results):
    groups = run_of(results)["training"]["groups"]
    assert [(group["step"], group["group"]) for group in groups] == [(str(step), i) for step in STEPS for i in range(GROUPS)]
    rows = [row for group in groups for row in group["rows"]]
    written = [row for step in STEPS for row in rollout(step)]
    assert ["".join(p if isinstance(p, str) else p[0] for p in row["text"]) for row in rows] == [r["completion"] for r in written]
    assert [row["right"] for row in rows] == [row["correct_flexible"] for row in written]
    assert [row["rewards"] for row in rows] == [row["rewards"] for row in written]
    (claim, title, loose), rest = rows[1]["text"]
    assert (claim, loose, rest) == ("39 + 47 = 76", False, ". The answer is 76.") and "false: it is 86" in title
    assert run_of(results)["training"]["told"] == "All 120 completions of 10 logged steps are on this page."


@pytest.mark.parametrize(("runs", "found"), [(["two", "one"], ["two", "one"]), (["one"], ["one"]), (None, ["one", "two"])])
def test_the_runs_that_are_named_in_their_order(results, runs, found):
    assert [run["name"] for run in page_of(results, runs).data["runs"]] == found


def test_the_base_stands_in_its_better_prompt(results):
    assert [side["name"] for side in run_of(results)["problems"]["checkpoints"]] == ["base", "sft", "grpo"]
    write_samples(results / "one", "base-chat", [sample(i, "base-chat", correct_flexible=True) for i in range(N)])
    assert [side["name"] for side in run_of(results)["problems"]["checkpoints"]] == ["base-chat", "sft", "grpo"]


def test_verdicts_of_several_seeds_have_a_table(results):
    committed = (project_root() / "results" / "tiny-seeds" / "verdicts.csv").read_bytes()
    (results / "seeds").mkdir()
    (results / "seeds" / "verdicts.csv").write_bytes(committed)
    page = page_of(results)
    assert "Seeds of seeds" in page.text
    cells = set(re.findall(r"<td>(.*?)</td>", page.html.replace("&lt;", "<")))
    assert set(map(str, report.seeds_table(results / "seeds" / "verdicts.csv").to_numpy().ravel())) <= cells
    assert "Seeds of" not in page_of(results, ["one"]).text
    (results / "seeds" / "verdicts.csv").write_text("id\n")
    assert "needs the columns id, base" in page_of(results).text


# --- Room ----------------------------------------------------------------------------


def test_what_does_not_fit_is_left_out_in_whole_prompts_of_every_step_and_told(results):
    folder = results / "one" / "completions"
    whole = completions.read_training(folder, [])
    size = max(len(json.dumps(group["rows"])) for group in whole["groups"])
    part = completions.read_training(folder, [], room=10 * 2 * size + 10)
    assert [group["step"] for group in part["groups"]] == [str(step) for step in STEPS for _ in range(2)]
    assert all(len(group["rows"]) == ROWS for group in part["groups"])
    assert part["told"] == "This page holds 80 of 120 completions of 10 logged steps: of every step, those of the first prompts."
    tight = completions.read_training(folder, [], room=0)
    assert [len(group["rows"]) for group in tight["groups"]] == [1] * 10


def test_many_steps_are_thinned_evenly_and_told(results, monkeypatch):
    monkeypatch.setattr(completions, "MOST_STEPS", 4)
    part = completions.read_training(results / "one" / "completions", [])
    assert list(dict.fromkeys(group["step"] for group in part["groups"])) == ["4", "16", "28", "40"]
    assert "holds 48 of 120 completions of 10 logged steps: of 4 of the steps, evenly spread" in part["told"]


def test_problems_that_do_not_fit_are_told():
    rows = {"sft": samples("sft")}
    assert completions.side_by_side(rows)["told"] == f"All {N} problems are on this page."
    part = completions.side_by_side(rows, room=2_000)
    assert (
        0 < len(part["items"]) < N
        and part["told"] == f"This page holds {len(part['items'])} of {N} problems, the first of the files."
    )


def test_a_run_of_long_completions_keeps_to_its_room(results):
    long = "<é & 12 * 12 = 145> " * 200
    for step in STEPS:
        rows = [row | {"completion": long, "flags": []} for row in rollout(step) * 20]
        write_jsonl(results / "one" / "completions" / f"step-{step:05}.jsonl", rows)
    for name in ("base", "sft", "grpo"):
        rows = [sample(i, name, id=f"{i}-{k}", completion=long, flags=[]) for i in range(N) for k in range(10)]
        write_samples(results / "one", name, rows)
    most = completions.TRAINING_BYTES + completions.PROBLEM_BYTES
    assert 0.5 * most < dashboard.write_dashboard(results, ["one"]).stat().st_size < 1.05 * most
    assert all("This page holds" in run_of(results)[part]["told"] for part in ("training", "problems"))


# --- Curves --------------------------------------------------------------------------


def test_every_value_of_the_metrics_is_in_the_curves(results):
    said = []
    curves = read_curves(results / "two" / "grpo_metrics.csv", said)
    assert said == []
    assert curves["reward"] == [[step, pytest.approx(reward(step) + 1)] for step in STEPS]
    assert curves["eval_accuracy"] == [[0, 0.5, 0.4, 0.6], [40, 0.75, 0.7, 0.8]]
    assert curves.keys() == {"eval_accuracy", "loss", "reward", "time/generate", "new/metric"}


def test_every_metric_of_the_reference_run_is_drawn_in_a_group():
    path = project_root() / "results" / "tiny" / "grpo_metrics.csv"
    columns = path.read_text().splitlines()[0].split(",")
    groups = {metric["name"]: group["name"] for group in catalogue(set(read_curves(path, []))) for metric in group["metrics"]}
    once = ("epoch", "train_", "total_flos", "eval_low", "eval_high")  # and not "step", which "step_time" begins with
    assert groups.keys() == {name for name in columns if name != "step" and not name.startswith(once)}
    assert groups["step_time"] == groups["num_tokens"] == "Time and tokens"
    assert [group["name"] for group in catalogue(set(groups))][:3] == ["Held-out accuracy", "Rewards", "Health"]
    assert groups["frac_reward_zero_std"] == groups["entropy"] == groups["skipped_updates"] == "Health"
    assert groups["loss"] == "Loss" and groups["completions/mean_length"] == "Lengths"
    assert groups["rewards/exact_format/std"] == "Other metrics"


# name: (text of the metrics file, curves, what is said)
METRICS = {
    "missing": (None, {}, []),
    "empty": ("", {}, []),
    "cut in a row": ("step,loss\n1,0.5\n2,0.2", {"loss": [[1, 0.5]]}, ["m.csv: 1 damaged row left out."]),
    "cut before a comma": ("step,loss\n1,0.5\n2\n", {"loss": [[1, 0.5]]}, []),
    "not a number": ("step,loss\n1,oops\n2,nan\n3,inf\n4,1\n", {"loss": [[4, 1.0]]}, []),
    "no step": ("loss\n1\n", {}, ["m.csv: 1 damaged row left out."]),
    "twice": ("step,loss\n1,0.5\n1,0.25\n", {"loss": [[1, 0.25]]}, []),
    "too many cells": ("step,loss\n1,0.5,9,9\n", {"loss": [[1, 0.5]]}, []),
    "half an interval": ("step,eval_accuracy,eval_low,eval_high\n1,0.5,,0.6\n", {"eval_accuracy": [[1, 0.5]]}, []),
}


@pytest.mark.parametrize(("text", "curves", "said"), METRICS.values(), ids=METRICS)
def test_metrics_whole_and_damaged(tmp_path, text, curves, said):
    if text is not None:
        (tmp_path / "m.csv").write_text(text)
    heard = []
    assert read_curves(tmp_path / "m.csv", heard) == curves
    assert heard == said


# --- Runs that are cut off or damaged ------------------------------------------------


def write(path: str, text: str):
    return lambda run: (run / path).write_text(text)


def append(path: str, text: bytes):
    def damage(run):
        with (run / path).open("ab") as file:
            file.write(text)

    return damage


def remove(*paths: str):
    def damage(run):
        for path in paths:
            for found in run.glob(path):
                found.unlink()

    return damage


def only_sft(run: Path) -> None:
    remove("grpo_metrics.csv", "completions/*", "samples/*")(run)
    (run / "stages.csv").write_text("stage,wall_s\nsft,1\n")


NO_ROWS = b'[]\n7\n{"question": 1, "completion": "x"}\n\xff\xfe\n' + b"[" * 9999

# name: (what is done to the run, a sentence that tells it)
DAMAGES = {
    "only SFT": (only_sft, "grpo: not trained yet."),
    "cut in training": (write("stages.csv", "stage,wall_s\nsft,1\n"), "grpo: begun but not finished; step 40 is the last."),
    "no metrics": (remove("sft_metrics.csv"), "sft: its metrics are missing."),
    "no completions": (remove("completions/*"), "The completions of GRPO were not kept (no completions/)."),
    "not evaluated": (remove("samples/grpo.jsonl"), "Not evaluated yet: grpo."),
    "cut completions": (append("completions/step-00004.jsonl", b'{"step": 4,'), "step-00004.jsonl: 1 damaged row left out."),
    "cut samples": (append("samples/sft.jsonl", b'{"id": "q1"'), "samples/sft.jsonl: 1 damaged row left out."),
    "rows of other kinds": (append("samples/base.jsonl", NO_ROWS), "samples/base.jsonl: 5 damaged rows left out."),
    "empty samples": (write("samples/base.jsonl", ""), None),
    "binary metrics": (lambda run: (run / "grpo_metrics.csv").write_bytes(b"\xff\xfe\x00"), "grpo_metrics.csv cannot be read"),
    "damaged configuration": (write("grpo_config.json", "{"), "grpo_config.json cannot be read"),
    "other configuration": (write("grpo_config.json", '{"settings": {"recipe": 7}}'), None),
    "damaged stages": (write("stages.csv", "stage,wall_s\nsft,soon\n"), "stages.csv cannot be read"),
    "no configuration": (remove("*_config.json"), None),
}


@pytest.mark.parametrize(("damage", "sentence"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_is_shown_as_far_as_it_goes_and_says_what_is_missing(results, damage, sentence):
    damage(results / "one")
    page = page_of(results)
    assert [run["name"] for run in page.data["runs"]] == ["one", "two"]
    assert sentence is None or sentence in page.text
    assert page.data["runs"][1]["said"] == []


STRANGE = {"correct_flexible": "yes", "tokens": 10**400, "flags": "H1", "rewards": [1], "reward": float("nan"), "gold": None}


def test_rows_with_strange_values_are_shown_without_them(results):
    rows = [{"question": "q", "completion": "c \ud800", **STRANGE}, {"question": "q", "completion": "c", "flags": [1, "H2"]}]
    write_jsonl(results / "one" / "completions" / "step-00004.jsonl", rows)
    (group, *_) = run_of(results)["training"]["groups"]
    first, second = group["rows"]
    assert (first["right"], first["tokens"], first["reward"], first["rewards"]) == (None, None, None, {})
    assert first["text"] == ["c \ud800"] and "flags" not in first
    assert second["flags"] == ["H2"]


def test_what_the_metrics_show_to_be_wrong_is_said(results):
    write_csv(results / "one" / "grpo_metrics.csv", [{"step": step, "loss": 0.1, "grad_norm": 0.0} for step in STEPS])
    assert "The gradient was zero in the last 5 logged steps" in page_of(results).text


def test_no_runs_at_all(tmp_path):
    (tmp_path / "notes").mkdir()
    page = page_of(tmp_path)
    assert "There are no runs here yet" in page.text and page.data is None


def test_a_folder_or_a_run_that_is_not_there(results):
    with pytest.raises(FileNotFoundError, match="There is no folder .*nowhere"):
        dashboard.write_dashboard(results / "nowhere")
    with pytest.raises(ValueError, match="holds no run three; there are: one, two"):
        dashboard.write_dashboard(results, ["one", "three"])


# --- Hostile text --------------------------------------------------------------------

EVIL = (
    '</script></pre><script>window.evil = 1</script><!--<script><img src=x onerror="window.evil = 1">" \' 39 + 47 = 76 &lt;b&gt;'
)


def make_evil(results: Path) -> None:
    """Model output, names and metrics that would run as a script if anything did."""
    run = results / "one"
    changes = dict.fromkeys(("question", "gold", "completion", "extracted_flexible"), EVIL) | {
        "flags": ["H1", EVIL],
        "formatted": True,
    }
    for name in ("base", "sft", "grpo"):
        write_samples(run, name, [row | changes for row in samples(name)])
    rows = [row | changes | {"rewards": {EVIL: 1.0}} for row in rollout(4)]
    write_jsonl(run / "completions" / "step-00004.jsonl", rows)
    (run / "grpo_config.json").write_text(
        json.dumps({"settings": {"recipe": {"name": EVIL + "\ud800", "grpo": 1}, "seed": EVIL}})
    )
    write_csv(run / "grpo_metrics.csv", [{"step": 1, EVIL: 1}, {"step": 2, EVIL: 2}])
    run.rename(results / "<img src=x onerror=alert(1)> & 'x'")


def test_nothing_that_a_model_wrote_can_leave_its_place(results):
    make_evil(results)
    page = page_of(results)
    assert len(page.scripts) == 2 and page.scripts[0].count("<") == 0
    assert page.data["runs"][0]["training"]["groups"][0]["question"] == EVIL
    assert not page.all("img") and not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]
    assert page.text.count(EVIL) == 2  # recipe and seed in the table of runs


# --- Command and notebook ------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "display", "opened"),
    [([], "", 0), ([], ":0", 1), (["--open"], "", 1), (["--no-open"], ":0", 0)],
    ids=["no display", "display", "asked for", "not wanted"],
)
def test_the_command_writes_and_opens_the_page(results, monkeypatch, capsys, options, display, opened):
    pages = []
    monkeypatch.setattr(command.sys, "platform", "linux")
    monkeypatch.setattr(command.webbrowser, "open", pages.append)
    monkeypatch.setattr(command, "write_dashboard", lambda runs: dashboard.write_dashboard(results, runs))
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    command.main([*options, "--runs", "one"])
    assert str(results / "dashboard.html") in capsys.readouterr().out
    assert pages == [(results / "dashboard.html").as_uri()] * opened


def test_the_command_says_what_is_wrong(monkeypatch, results):
    monkeypatch.setattr(command, "write_dashboard", lambda runs: dashboard.write_dashboard(results, runs))
    with pytest.raises(SystemExit, match="grpo-math: .* holds no run nine"):
        command.main(["--runs", "nine"])


def test_a_notebook_gets_a_link_or_the_page_in_a_frame(results, monkeypatch, tmp_path):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    link = dashboard.show(tmp_path)
    assert 'href="../results/dashboard.html"' in link.data and str(tmp_path) not in link.data
    frame = dashboard.show(tmp_path, ["one"], embed=True, height=500).data
    (tmp_path / "frame.html").write_text(frame)
    page = Page(tmp_path / "frame.html")
    assert (
        page.all("iframe")[0]["srcdoc"] == (results / "dashboard.html").read_text() and page.all("iframe")[0]["height"] == "500"
    )


# --- In a real browser ---------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not find_chromium():
        pytest.skip("no Chromium on this machine")
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of two whole runs, and a third that has only begun."""
    results = tmp_path_factory.mktemp("results")
    write_whole_run(results / "one")
    write_whole_run(results / "two", shift=1)
    (results / "young").mkdir()
    (results / "young" / "sft_metrics.csv").write_text("step,loss\n1,2.5\n2,2.25")
    return dashboard.write_dashboard(results)


def shown(browser: Browser, selector: str) -> list[str]:
    """The texts of the elements that a selector finds."""
    return browser.run(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")


WIDTHS = {"laptop": (1280, 900), "phone": (390, 844)}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), WIDTHS.values(), ids=WIDTHS)
def test_it_fits_the_screen_and_follows_the_colour_scheme(browser, path, width, height, dark):
    browser.open(path, width=width, height=height, dark=dark)
    assert browser.run("innerWidth") == width
    assert browser.run("document.documentElement.scrollWidth") <= width
    outside = """[...document.querySelectorAll("section *")].filter(e => !e.closest(".scroll") && !e.closest("svg")
        && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
    assert browser.run(outside) == []
    light = sum(map(int, re.findall(r"\d+", browser.run("getComputedStyle(document.body).backgroundColor")))) > 3 * 128
    assert light is not dark
    columns = browser.run(
        "getComputedStyle(document.querySelectorAll('.charts')[1] ?? document.body).gridTemplateColumns.split(' ').length"
    )
    assert columns == (3 if width == 1280 else 1)
    assert browser.problems() == []


def test_every_control_has_a_label_and_a_place_in_the_tab_order(browser, path):
    browser.open(path)
    assert browser.run("[...document.querySelectorAll('form [name]')].filter(e => !e.labels.length).map(e => e.name)") == []
    assert browser.run("[...document.querySelectorAll('#charts svg')].every(e => e.tabIndex === 0 && e.ariaLabel)") is True


def fitting(verdict="", flag="", words="", step=None, least=None) -> list[dict]:
    """The completions that the filters should find, in the order of the files."""
    names = {True: "right", False: "wrong", None: "ungraded"}
    return [
        row
        for at in STEPS
        for row in rollout(at)
        if step in (None, at)
        and verdict in ("", names[row["correct_flexible"]])
        and (flag == "" or flag in row["flags"])
        and words in f"{row['question']} {row['completion']}".lower()
        and (least is None or row["reward"] >= least)
    ]


VIEWS = [
    {},
    {"step": 8},
    {"verdict": "right"},
    {"verdict": "ungraded", "step": 12},
    {"flag": "H1", "verdict": "wrong"},
    {"words": "the answer is", "step": 40},
    {"words": "what is 81"},
    {"least": 3.5},
    {"flag": "H6"},
]


@pytest.mark.parametrize("view", VIEWS, ids=map(str, VIEWS))
def test_a_view_in_the_address_shows_the_completions_that_fit(browser, path, view):
    browser.open(path, "&".join(["run=two", *(f"{name}={value}" for name, value in view.items())]))
    rows = fitting(**view)
    prompts = len({(row["step"], row["group"]) for row in rows})
    assert shown(browser, "#training-count")[0].startswith(f"{len(rows)} completion{'s' * (len(rows) != 1)} of {prompts} prompt")
    while browser.run("!document.getElementById('training-more').hidden"):
        browser.click("#training-more")
    assert shown(browser, "#training-list > article > .cards pre") == [row["completion"] for row in rows]


def test_the_other_completions_of_a_prompt_are_a_click_away(browser, path):
    browser.open(path, "step=8&flag=H1")
    assert shown(browser, "#training-list .side h3") == ["completion 2 right", "completion 2 wrong", "completion 2 wrong"]
    for _ in range(3):  # opened, closed and opened again
        browser.click("#training-list details summary")
        browser.run("new Promise(requestAnimationFrame)")
    first = shown(browser, "#training-list article:first-child .side h3")
    assert first == ["completion 2 right", "completion 1 wrong", "completion 3 not graded", "completion 4 wrong"]


def test_typing_filters_and_the_address_keeps_the_view(browser, path):
    browser.open(path)
    browser.click("[name=words]")
    browser.type("What is 40")
    wanted = fitting(words="what is 40")
    assert shown(browser, "#training-count")[0].startswith(f"{len(wanted)} completions of")
    view = browser.run("location.hash.slice(1)")
    browser.open(path, view)
    assert browser.run("document.querySelector('[name=words]').value") == "What is 40"
    assert shown(browser, "#training-count")[0].startswith(f"{len(wanted)} completions of")
    assert browser.run("document.getElementById('training').getBoundingClientRect().top") < 50


def test_a_mark_says_why_by_touch_and_by_key(browser, path):
    browser.open(path, "flag=H1", *WIDTHS["phone"])
    assert shown(browser, "#training-list mark")[0] == "39 + 47 = 76"
    assert "false: it is 86" in browser.run("document.querySelector('#training-list mark').title")
    told = "getComputedStyle(document.querySelector('#training-list mark'), '::after').content"
    assert "it is 86" not in browser.run(told)
    browser.click("#training-list mark")
    assert "it is 86" in browser.run(told)
    browser.run("document.querySelector('#training-list mark').focus()")
    browser.press("Enter")
    assert "it is 86" not in browser.run(told)


@pytest.mark.parametrize("pair", [("sft", "grpo"), ("base", "sft"), ("base", "grpo")], ids="-".join)
def test_problems_side_by_side_by_what_became_of_them(browser, path, pair):
    for kind, pairs in report.changed_samples(samples(pair[0]), samples(pair[1])).items():
        browser.open(path, f"pair={pair[0]}+{pair[1]}&kind={kind}")
        assert shown(browser, "#problems-count") == [f"{len(pairs)} problem{'s fit' if len(pairs) != 1 else ' fits'}."]
        assert shown(browser, "#problems-list .question") == [was["question"] for was, _ in pairs][:8]
        labels = [report.label_of(name) for name in ("base", "sft", "grpo")]
        heads = shown(browser, "#problems-list article:first-child h3")
        assert [head.rsplit(" ", 1)[0] for head in heads] == (labels if pairs else [])


@pytest.mark.parametrize("flag", ["none", "some", "H2", "cut"])
def test_problems_by_flag(browser, path, flag):
    def has(row):
        return {"none": not row["flags"], "some": bool(row["flags"]), "cut": row["truncated"]}.get(flag, flag in row["flags"])

    sides = list(zip(samples("base"), samples("sft"), samples("grpo"), strict=True))
    count = sum((all if flag == "none" else any)(map(has, rows)) for rows in sides)
    browser.open(path, f"problem-flag={flag}")
    assert shown(browser, "#problems-count")[0].split()[0] == str(count)


def read_out(browser: Browser, metric: str) -> str:
    return shown(browser, f"figure[data-metric='{metric}'] output")[0]


def test_the_chosen_runs_are_drawn_and_their_values_read(browser, path):
    browser.open(path, "smooth=1")
    drawn = browser.run(
        "[...document.querySelectorAll('#charts figure')].map(f => [f.dataset.metric, f.querySelectorAll('.line').length])"
    )
    assert dict(drawn) == dict.fromkeys(("eval_accuracy", "reward", "time/generate", "new/metric", "loss"), 2)
    assert read_out(browser, "eval_accuracy") == "step 40: one 75% (70% to 80%)two 75% (70% to 80%)"
    assert browser.run("document.querySelectorAll('figure[data-metric=eval_accuracy] .band').length") == 2
    browser.click("input[name=runs][value=one]")
    assert read_out(browser, "reward") == f"step 40: two {reward(40) + 1:.3g}"
    browser.click("input[name=runs][value=two]")
    assert "logged nothing in this stage" in shown(browser, "#charts")[0]
    view = browser.run("location.hash.slice(1)")
    browser.open(path, view)  # that no run is chosen is part of the view
    assert browser.run("document.querySelectorAll('#charts figure').length") == 0


def test_the_mouse_a_finger_and_the_keys_read_a_chart(browser, path):
    browser.open(path, "smooth=1&runs=one")
    svg = "figure[data-metric=reward] svg"
    x, y = browser.middle(svg)
    browser.point(x - 1000, y)  # outside: nothing is read
    assert read_out(browser, "reward").startswith("step 40:")
    browser.point(x - 0.35 * browser.run(f"document.querySelector('{svg}').clientWidth"), y)
    assert read_out(browser, "reward") == f"step 4: one {reward(4):.3g}"
    browser.run(f"document.querySelector('{svg}').focus()")
    browser.press("ArrowRight")
    browser.press("ArrowRight")
    assert read_out(browser, "reward") == f"step 12: one {reward(12):.3g}"
    browser.open(path, "smooth=1&runs=one", *WIDTHS["phone"])
    browser.point(*browser.middle(svg), touch=True)
    assert re.match(r"step (20|24): one", read_out(browser, "reward"))


def test_the_slider_smooths(browser, path):
    browser.open(path, "smooth=5&runs=one")
    values = [reward(step) for step in STEPS]
    svg = "figure[data-metric=reward] svg"
    browser.run(f"document.querySelector('{svg}').focus()")
    for i in reversed(range(len(values))):
        near = values[max(0, i - 2) : i + 3]
        told = read_out(browser, "reward")
        assert float(re.search(r"mean ([\d.]+)", told)[1]) == pytest.approx(sum(near) / len(near), rel=0.01), told
        browser.press("ArrowLeft")
    line = f"document.querySelector('{svg} .line').getAttribute('d')"
    smooth = browser.run(line)
    browser.run("document.querySelector('[name=smooth]').focus()")
    for _ in range(2):
        browser.press("ArrowLeft")
    assert shown(browser, "#smooth-told") == ["none"]
    assert browser.run(line) != smooth and browser.run(f"document.querySelectorAll('{svg} .raw').length") == 0


def test_another_stage_and_a_run_that_has_only_begun(browser, path):
    browser.open(path, "stage=sft&smooth=1")
    assert read_out(browser, "loss") == "step 40: one 0.025two 0.025young 2.5 (at step 1)"
    assert "young" not in shown(browser, "[name=problem-run] option")
    assert browser.problems() == []


def test_hostile_text_is_shown_as_it_is_and_does_nothing(browser, results):
    make_evil(results)
    path = dashboard.write_dashboard(results)
    for width, height in WIDTHS.values():
        browser.open(path, "smooth=1", width, height)
        assert shown(browser, "#training-list .question")[0] == EVIL
        assert shown(browser, "#problems-list pre")[0] == EVIL
        assert shown(browser, "#problems-list .flag")[:2] == ["H1 false arithmetic", EVIL]
        assert browser.run("[window.evil ?? 0, document.images.length, document.scripts.length]") == [0, 0, 2]
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.problems() == []


def test_in_a_notebook_s_frame_the_page_works_without_an_address_of_its_own(browser, results, tmp_path):
    frame = tmp_path / "frame.html"
    frame.write_text(dashboard.show(results, embed=True).data)
    browser.open(frame)
    inner = "document.querySelector('iframe').contentDocument"
    assert browser.run(f"{inner}.querySelectorAll('#charts figure').length") == 5
    browser.run(
        f"const flag = {inner}.querySelector('[name=flag]'); flag.value = 'H1'; flag.form.dispatchEvent(new Event('input'))"
    )
    count = browser.run(f"{inner}.getElementById('training-count').textContent")
    assert count.startswith(f"{len(fitting(flag='H1'))} completions of")
    assert browser.problems() == []


@pytest.mark.parametrize("name", ["only SFT", "not evaluated", "no completions", "binary metrics", "empty samples"])
def test_the_page_of_a_damaged_run_alone_works(browser, results, name):
    damage, _ = DAMAGES[name]
    damage(results / "one")
    browser.open(dashboard.write_dashboard(results, ["one"]))
    assert browser.problems() == []
    assert len(shown(browser, "section h2")) == 4


@pytest.mark.skipif(not os.environ.get("SCREENSHOTS"), reason="set SCREENSHOTS to a folder to look at the page")
def test_screenshots(browser, path):
    for name, size in WIDTHS.items():
        for dark in (False, True):
            for section in ("runs", "curves", "training", "problems"):
                browser.open(path, f"at={section}", *size, dark)
                browser.screenshot(Path(os.environ["SCREENSHOTS"]) / f"{section}-{name}{'-dark' * dark}.png")
