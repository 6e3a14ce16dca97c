"""The examples under notebooks/examples: clean as they are committed, usable where they are opened alone, and run for real."""

import contextlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import papermill
import pytest
import test_notebooks
from test_notebooks import MACHINE_PATH, code_cells, load

from grpo_lab import host
from grpo_math import REPOSITORY

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks" / "examples"
NOTEBOOK = FOLDER / "04_Use_the_rewards_elsewhere.ipynb"
SCRIPT = FOLDER / "trl_script.py"

AS_THE_CHAPTERS = ("test_executed_in_order_without_an_error", "test_outputs_are_clean", "test_cells_are_short")


@pytest.mark.parametrize("check", AS_THE_CHAPTERS)
def test_the_notebook_is_as_clean_as_the_chapters(check):
    getattr(test_notebooks.TestNotebook(), check)(NOTEBOOK)


def test_every_cell_has_an_id_and_the_file_is_written_as_jupyter_writes_it():
    ids = [cell.get("id") for cell in load(NOTEBOOK)["cells"]]
    assert all(ids) and len(set(ids)) == len(ids)
    assert NOTEBOOK.read_text() == json.dumps(load(NOTEBOOK), indent=1, ensure_ascii=False) + "\n"


def test_badges_point_at_this_notebook_in_this_repository():
    first = "".join(load(NOTEBOOK)["cells"][0]["source"])
    address = f"{REPOSITORY.removeprefix('https://github.com/')}/blob/main/{NOTEBOOK.relative_to(ROOT)}"
    assert first.count(address) == 2, "a Colab and a Kaggle badge"


def test_the_notebook_shows_the_script_as_it_is():
    outputs = [o for cell in code_cells(NOTEBOOK) for o in cell["outputs"]]
    assert any(SCRIPT.read_text().strip() in "".join(o.get("text", "")) for o in outputs), "execute the notebook again"
    assert not MACHINE_PATH.search(SCRIPT.read_text())


def test_unsloth_is_imported_before_trl():
    source = "\n".join("".join(cell["source"]) for cell in code_cells(NOTEBOOK))
    assert source.index("from unsloth") < source.index("from trl")


@pytest.mark.parametrize("missing", [True, False])
def test_the_setup_cell_fetches_the_project_where_it_is_missing(missing, monkeypatch, tmp_path):
    commands, found = [], None if missing else object()

    def run(command, check):
        commands.append(command)
        Path("grpo-math", "notebooks", "examples").mkdir(parents=True)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(host, "set_up", lambda: commands.append("set_up"))
    exec("".join(code_cells(NOTEBOOK)[0]["source"]), {})
    clone = ["git", "clone", "--depth", "1", REPOSITORY, "grpo-math"]
    assert commands == [clone, "set_up"] if missing else commands == ["set_up"]
    assert Path.cwd() == (tmp_path / "grpo-math" / "notebooks" / "examples" if missing else tmp_path)


@pytest.mark.slow
def test_it_runs_and_every_reward_arrives_in_every_step(tmp_path):
    pytest.importorskip("unsloth", reason="Unsloth is not installed")
    shutil.copytree(ROOT / "data", tmp_path / "data")
    examples = shutil.copytree(FOLDER, tmp_path / "notebooks" / "examples")
    papermill.execute_notebook(
        examples / NOTEBOOK.name, tmp_path / "out.ipynb", cwd=examples, kernel_name="python3", progress_bar=False
    )
    printed = "".join(
        "".join(output.get("text", "")) for cell in code_cells(tmp_path / "out.ipynb") for output in cell["outputs"]
    )
    steps = []
    for line in printed.splitlines():
        with contextlib.suppress(ValueError):
            steps.append(json.loads(line.replace("'", '"')))
    assert len(steps) == 8, "four steps of TRL alone, four of Unsloth"
    assert all(list(step) == ["correctness", "exact_format", "approximate_format"] for step in steps)
    assert any(step["approximate_format"] != steps[0]["approximate_format"] for step in steps), "the rewards never change"
