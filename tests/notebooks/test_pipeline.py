"""The real thing, end to end: the three notebooks in a fresh folder, and again after a cut. Minutes long."""

import json
import shutil
from pathlib import Path

import papermill
import pytest
import run_notebooks as execute
from pages import PAGES, read_block

from grpo_lab import report, runs

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """What the notebooks need of a clone, in a folder of its own."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("data", "notebooks"):
        shutil.copytree(ROOT / name, folder / name)
    for page, markers in PAGES.items():
        (folder / page).parent.mkdir(exist_ok=True)
        (folder / page).write_text("".join(f"<!-- {m}:start -->\n<!-- {m}:end -->\n" for m in markers))
    return folder


def test_notebook_02_alone_says_what_to_run_first(clone, monkeypatch):
    monkeypatch.chdir(clone)
    runs.open_run("early", clone)
    with pytest.raises(papermill.PapermillExecutionError, match="run notebooks/01_SFT_pre-tuning.ipynb with RUN = 'early' first"):
        papermill.execute_notebook(
            clone / "notebooks" / "02_GRPO_reasoning_tuning.ipynb",
            clone / "out.ipynb",
            {"RUN": "early"},
            cwd=clone / "notebooks",
            progress_bar=False,
        )


def test_make_run_learns(clone, monkeypatch):
    monkeypatch.chdir(clone)
    execute.run_notebooks("whole", "tiny", seed=7, keep=True)
    run = clone / "results" / "whole"
    summary = json.loads((run / "evaluation.json").read_text())
    accuracy = {name: values["accuracy_flexible"] for name, values in summary.items()}
    assert accuracy["base"] - 0.06 <= accuracy["sft"] <= accuracy["grpo"] - 0.15, accuracy
    assert summary["grpo"]["format_rate"] >= 0.99
    assert read_block(clone / "README.md", "results") == report.short_results_markdown(run).strip()
    assert read_block(clone / "docs/results.md", "results-full") == report.results_markdown(run).strip()
    for name in ("sft", "grpo", "accuracy", "outcomes", "gain"):
        assert (run / "figures" / f"{name}.png").stat().st_size > 10_000


def test_a_second_run_finds_everything_done(clone, monkeypatch, capsys):
    monkeypatch.chdir(clone)
    before = (clone / "results" / "whole" / "samples" / "grpo.jsonl").read_text()
    execute.run_notebooks("whole", "tiny", seed=7, keep=False)
    assert (clone / "results" / "whole" / "samples" / "grpo.jsonl").read_text() == before
