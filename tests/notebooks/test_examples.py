"""The examples under notebooks/examples: clean as they are committed, usable where they are opened alone, and run for real."""

import ast
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import papermill
import pytest
import test_notebooks
from test_notebooks import code_cells, load

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


def test_the_notebook_links_the_script_and_both_trainings_earn_more_at_the_end():
    assert f"]({SCRIPT.name})" in "".join(source for cell in load(NOTEBOOK)["cells"] for source in cell["source"])
    assert_rewards_rise(NOTEBOOK)


def assert_rewards_rise(path: Path) -> None:
    """Six steps of Unsloth, then six of the script: every reward in each of them, and at the end they add up to more."""
    printed = "".join("".join(output.get("text", "")) for cell in code_cells(path) for output in cell["outputs"])
    steps = [ast.literal_eval(line) for line in printed.splitlines() if line.startswith("{")]
    assert len(steps) == 12
    assert all(list(step) == ["correctness", "exact_format", "approximate_format"] for step in steps)
    for first, last in ((steps[0], steps[5]), (steps[6], steps[11])):
        assert sum(last.values()) > sum(first.values()) + 0.3 and last["correctness"] > first["correctness"]


def test_unsloth_is_imported_before_trl():
    source = "\n".join("".join(cell["source"]) for cell in code_cells(NOTEBOOK))
    assert source.index("from unsloth") < source.index("from trl")


def test_the_setup_cell_is_that_of_the_chapters_in_another_folder(monkeypatch, tmp_path):
    setup, chapters = (code_cells(path)[0] for path in (NOTEBOOK, test_notebooks.NOTEBOOKS[0]))
    text, end = "".join(setup["source"]).split("from grpo_lab import")
    moved = text.replace("/notebooks/examples", "").replace("../../src", "src")
    assert (moved, end) == ("".join(chapters["source"]).split("from grpo_lab.lab import")[0], " host\n\nhost.set_up();")
    assert setup["metadata"] == chapters["metadata"]
    commands = []

    def clone(command):
        commands.append(command)
        Path("grpo-math", "notebooks", "examples").mkdir(parents=True)
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(os, "system", clone)
    monkeypatch.setattr(host, "set_up", lambda: commands.append("set_up"))
    exec("".join(setup["source"]), {})
    assert commands == [f"git clone --depth 1 {REPOSITORY} grpo-math", "set_up"] and sys.path[0] == "../../src"
    assert Path.cwd() == tmp_path / "grpo-math" / "notebooks" / "examples"


@pytest.mark.slow
def test_it_runs_and_the_rewards_rise(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as what is committed: in bfloat16 the number of threads changes what is sampled
    pytest.importorskip("unsloth", reason="Unsloth is not installed")
    shutil.copytree(ROOT / "data", tmp_path / "data")
    examples = shutil.copytree(FOLDER, tmp_path / "notebooks" / "examples", ignore=shutil.ignore_patterns("tiny-primed"))
    papermill.execute_notebook(
        examples / NOTEBOOK.name, tmp_path / "out.ipynb", cwd=examples, kernel_name="python3", progress_bar=False
    )
    assert_rewards_rise(tmp_path / "out.ipynb")
