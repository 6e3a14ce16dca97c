"""report.look: what the notebook shows of made-up runs, and the page exported from it, opened in Chromium where there is one."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pyarrow
import pytest
from IPython.display import HTML, Markdown
from made_up_log import made_up_log
from made_up_run import samples, write_everything, write_run, write_samples
from matplotlib.figure import Figure
from pyarrow import parquet

from grpo_lab import look
from grpo_lab.records import write_csv

ROOT = Path(__file__).parents[2]
EVIL = "</pre></table><script>document.title = 'EVIL'</script><img src=x onerror=alert(1)> $x^2$ \\(y\\) *b* 39 + 47 = 76 &amp;"


def write_completions(run: Path, steps: int = 3, groups: int = 2, text: str = "5 + 7 = 13. So 12.") -> None:
    folder = run / "grpo" / "completions"
    folder.mkdir(parents=True)
    for step in range(4, 4 * steps + 1, 4):
        rows = [
            {
                "step": step,
                "prompt": [{"role": "user", "content": f"What are 5 and 7, {group}?"}],
                "completion": [{"role": "assistant", "content": text}],
                "correctness": 2.0 * k,
                "exact_format": None,
                "id": f"q{group}",
                "group": group,
                "tokens": 9,
                "truncated": False,
                "reward": 2.0 * k,
                "flags": "H1",
                "advantage": k - 0.5,
            }
            for group in range(groups)
            for k in range(2)
        ]
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"completions_{step:05}.parquet")


def write_metrics(run: Path) -> None:
    write_csv(run / "grpo_metrics.csv", made_up_log())
    write_csv(run / "sft_metrics.csv", [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.4}])


def make_clone(folder: Path) -> Path:
    """A clone with a whole run "first", a run "second" with another seed and without SFT, and "cut" that was cut off early."""
    (folder / "data").mkdir()
    (folder / "data" / "priming.jsonl").touch()
    shutil.copytree(ROOT / "notebooks" / "examples", folder / "notebooks" / "examples")
    first = write_everything(folder / "results" / "first")
    second = write_run(folder / "results" / "second", ("base", "grpo"))
    for run, seed in ((first, 3), (second, 4)):
        write_metrics(run)
        config = {"settings": {"seed": seed, "recipe": {"grpo": {"rollouts": 24}}}, "environment": {"trl": "<b>1.15.0</b>"}}
        (run / "grpo_config.json").write_text(json.dumps(config))
    write_completions(first)
    cut = folder / "results" / "cut"
    cut.mkdir()
    (cut / "grpo_config.json").write_text('{"settings": {"se')
    (folder / "results" / "no-run").mkdir()
    return folder


@pytest.fixture
def clone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_clone(tmp_path)


@pytest.fixture
def shown(monkeypatch):
    """Everything that is displayed, in its order."""
    displayed = []
    monkeypatch.setattr(look, "display", lambda item, **_: displayed.append(item))
    return displayed


def text_of(shown: list) -> str:
    return "\n".join(item.data for item in shown if isinstance(item, HTML | Markdown))


# --- Runs and settings -------------------------------------------------------


def test_all_runs_or_those_that_are_named(clone):
    assert [run.name for run in look.find_runs()] == ["cut", "first", "second"]
    assert [run.name for run in look.find_runs(("second", "first", "second"))] == ["second", "first"]
    with pytest.raises(ValueError, match="holds no run none; there are: cut, first, second"):
        look.find_runs(("first", "none"))
    shutil.rmtree(clone / "results")
    with pytest.raises(ValueError, match="holds no run yet: train one with `make run`"):
        look.find_runs()


def test_only_settings_that_differ_are_listed(clone, shown):
    runs = look.find_runs(("first", "second"))
    assert look.settings_that_differ(runs).to_numpy().tolist() == [["settings.seed", "3", "4"]]
    frame = look.settings_that_differ(look.find_runs(("first", "cut"))).set_index("setting")
    assert frame.loc["environment.trl", "first"] == "&lt;b&gt;1.15.0&lt;/b&gt;" and frame.loc["environment.trl", "cut"] == "–"
    assert frame.loc["grpo_config.json", "cut"].startswith("damaged: ")
    look.show_settings(runs[:1], interactive=False)
    assert "nothing differs" in text_of(shown)


def test_a_run_that_was_cut_off_is_shown_as_far_as_it_goes(clone, shown):
    runs = look.find_runs()
    look.show_results(runs, interactive=False)
    look.show_curves(runs)
    look.show_outcomes(runs)
    look.show_samples(runs, interactive=False)
    look.show_completions(runs, interactive=False)
    text = text_of(shown)
    assert "There are no samples at cut/samples/base.jsonl: run notebooks/03" in text
    assert "There are no metrics at cut/grpo_metrics.csv: run notebooks/02" in text
    assert text.count("No training completions were kept") == 2  # cut and second
    assert sum(isinstance(item, Figure) for item in shown) == 1 + 2 * 2 + 2 * 2  # compared; sft and grpo; outcomes and gain
    assert "<th>run</th>" in text and str(clone) not in text


def test_a_damaged_file_takes_nothing_else_with_it(clone, shown):
    (clone / "results" / "first" / "grpo_metrics.csv").write_text("step,reward\n1,x\n")
    (clone / "results" / "second" / "samples" / "grpo.jsonl").write_text("{\n")
    runs = look.find_runs(("first", "second"))
    look.show_results(runs, interactive=False)
    look.show_curves(runs)
    text = text_of(shown)
    assert "second/samples/grpo.jsonl, line 1 is damaged" in text and "first/grpo_metrics.csv is not a table of numbers" in text
    assert "**base (own prompt) → + SFT**" in text, "the whole run is there"


def test_of_many_runs_only_what_compares_them_is_shown(clone, shown):
    for number in range(look.MOST_RUNS):
        write_run(clone / "results" / f"run-{number}", ("base", "grpo"))
    look.show_results(look.find_runs(), interactive=False)
    assert len([item for item in shown if isinstance(item, HTML)]) == 1, "one table"
    assert "name at most 4 in RUNS" in text_of(shown)


# --- What the models wrote ---------------------------------------------------


def test_the_checkpoints_stand_side_by_side(clone):
    told, frame = look.samples_table(clone / "results" / "first")
    counts = "2 solved, 0 broken, 14 still wrong, 24 still right"
    assert told == f"From + SFT to + GRPO, of 40 problems: {counts}. Here are 40, the kinds in turn."
    assert list(frame) == ["change", "flags", "problem", "gold", "base (own prompt)", "+ SFT", "+ GRPO"]
    assert list(frame["change"][:4]) == ["solved", "still wrong", "still right", "solved"], "the kinds in turn"
    by_problem = {re.search(r"What is (\d+) \+ 1", text)[1]: row for text, row in zip(frame["problem"], frame.to_dict("records"))}
    assert [by_problem["4"][name][:12] for name in list(frame)[4:]] == ["<b>right</b>"] * 3
    marked = by_problem["36"]["+ GRPO"]
    assert marked.startswith("<b>wrong</b>") and "answer 36, 46 tokens, H1" in marked
    assert re.search(r'<mark title="[^"]*false: it is 86[^"]*">39 \+ 47 = 76</mark>', marked)


def test_training_completions_are_shown_with_reward_parts_and_advantage(clone):
    told, frame = look.completions_table(clone / "results" / "first")
    assert told == "12 of 12 completions of 3 logged steps: the first prompts of each."
    assert {"step", "group", "correctness", "exact_format", "reward", "advantage", "tokens", "flags"} < set(frame)
    assert "correct" not in frame and "prompt" not in frame
    assert list(frame["step"]) == [4] * 4 + [8] * 4 + [12] * 4 and list(frame["advantage"][:2]) == [-0.5, 0.5]
    assert "What are 5 and 7, 0?" in frame["problem"][0] and '<mark title="false: it is 12">' in frame["completion"][0]
    told, frame = look.completions_table(clone / "results" / "first", most=7)
    assert told.startswith("7 of 12 completions") and list(frame["step"]) == [4, 4, 4, 8, 8, 12, 12], "groups of every step"


def test_static_tables_are_short_and_say_so(clone, shown):
    look.show_samples(look.find_runs(("first",)), interactive=False)
    html = text_of(shown)
    assert html.count("<tr") == 1 + look.STATIC_ROWS and "37 more rows are in the table that `make report` exports" in html
    assert "<script" not in html


# --- The committed notebook --------------------------------------------------


def test_the_committed_notebook_is_executed_static_and_small():
    text = (ROOT / look.NOTEBOOK).read_text()
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = json.dumps([cell["outputs"] for cell in cells])
    assert '"error"' not in outputs and '"stderr"' not in outputs and "<script" not in outputs and "<pre" in outputs
    assert len(text) < 1_500_000
    (parameters,) = [cell["source"] for cell in cells if "parameters" in cell["metadata"].get("tags", ())]
    assert "".join(parameters) == "RUNS = ()\nINTERACTIVE = True"


# --- The exported page -------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of the run "first", in which every text is hostile."""
    clone = make_clone(tmp_path_factory.mktemp("clone"))
    run = clone / "results" / "first"
    evil = dict.fromkeys(("question", "gold", "completion", "extracted_flexible"), EVIL)
    for name in ("base", "base-chat", "sft", "grpo"):
        write_samples(run, name, [row | evil for row in samples(name)])
    shutil.rmtree(run / "grpo" / "completions")
    write_completions(run, text=EVIL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone)
        path = look.write_report(["first"])
    assert path == run / "report.html"
    return path


def test_the_page_loads_nothing_and_typesets_nothing(page):
    html = page.read_text()
    assert page.stat().st_size < 10_000_000
    elements = re.findall(r"<(?:script|link|img|iframe|source|video|audio|object|embed)\b[^>]*>", html)
    addresses = [re.search(r'(?:src|href|data)="([^"]*)"', element) for element in elements]
    assert not [found[1][:80] for found in addresses if found and not found[1].startswith("data:")]
    outside = r"(?:import\s*\(?\s*|from\s+|url\(|@import\s+)['\"]?(?:https?:)?//"
    assert not re.findall(outside, html), "no script or style sheet fetches anything"
    assert "MathJax.Hub" not in html and "mermaid.initialize" not in html and "require.min.js" not in html
    assert 'alt="What became of the completions, in percent"' in html and "No description" not in html
    assert "In [" not in html and "look.show_results" not in html, "the code is not shown"


def test_nothing_that_a_model_wrote_takes_effect_in_the_page(page):
    html = page.read_text()
    assert "<script>document.title" not in html and "<img src=x" not in html
    texts = re.findall(r'<pre class=\\*"tex2jax_ignore mathjax_ignore\\*".*?</pre>', html)
    evil = [text for text in texts if "x^2" in text]
    assert len(evil) >= 40 * 3 and all("$x^2$" in unescape(text) for text in evil)


# Runs in the page: waits for both tables, then searches, filters by the first column and sorts the first one.
USE_IT = """<script>
const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));
const said = [];
window.addEventListener('error', event => said.push('ERROR ' + event.message));
window.addEventListener('load', async () => {
  while (document.querySelectorAll('.dt-info').length < 2) await pause(50);
  const table = document.querySelector('.dt-container');
  const told = () => said.push(table.querySelector('.dt-info').textContent.trim());
  const first = () => said.push(table.querySelector('tbody td').textContent);
  const type = async (selector, text) => {
    const field = table.querySelector(selector);
    field.value = text;
    for (const name of ['input', 'keyup', 'change']) field.dispatchEvent(new Event(name, {bubbles: true}));
    await pause(700);
  };
  const click = async selector => { table.querySelector(selector).click(); await pause(300); };
  told();
  await type('.dt-search input', 'solved'); told();
  await type('.dt-search input', '');
  await type('.dt-scroll-foot input', 'still right'); told();
  await type('.dt-scroll-foot input', '');
  await click('.dt-scroll-head thead th'); first();
  await click('.dt-scroll-head thead th'); first();
  said.push(document.title);
  const list = document.createElement('pre');
  list.id = 'said';
  list.textContent = JSON.stringify(said);
  document.body.append(list);
});
</script></body>"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="Chromium is not installed")
def test_tables_are_searched_filtered_and_sorted_in_a_browser(page, tmp_path):
    probe = tmp_path / "probe.html"
    probe.write_text(page.read_text().replace("</body>", USE_IT))
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --virtual-time-budget=20000 --dump-dom".split()
    command = ["chromium", *flags, f"--user-data-dir={tmp_path / 'profile'}", probe.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert json.loads(unescape(re.search(r'<pre id="said">(.*?)</pre>', dom)[1])) == [
        "Showing 1 to 5 of 40 entries",
        "Showing 1 to 2 of 2 entries (filtered from 40 total entries)",
        "Showing 1 to 5 of 24 entries (filtered from 40 total entries)",
        "solved",
        "still wrong",
        "grpo-math: first",
    ]
