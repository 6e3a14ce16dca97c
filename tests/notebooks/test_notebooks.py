"""The notebooks as they are committed: executed in order, clean, and readable."""

import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from grpo_lab.recipes import get_recipe
from grpo_math import REPOSITORY

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MACHINE_PATH = re.compile(r"/(?:root|home|tmp|opt|Users|mnt|work|content|kaggle)/")


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in load(path)["cells"] if cell["cell_type"] == "code"]


def test_there_are_three():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_executed_in_order_without_an_error(self, path):
        cells = code_cells(path)
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
        assert not [o for cell in cells for o in cell["outputs"] if o["output_type"] == "error"]

    def test_outputs_are_clean(self, path):
        outputs = json.dumps([cell["outputs"] for cell in code_cells(path)])
        assert not MACHINE_PATH.search(outputs), MACHINE_PATH.search(outputs)
        assert '"name": "stderr"' not in outputs and "widget-view" not in outputs and "it/s]" not in outputs
        assert "widgets" not in load(path)["metadata"]

    def test_it_shows_what_the_run_wrote(self, path):
        outputs = [o for cell in code_cells(path) for o in cell["outputs"]]
        assert any("image/png" in o.get("data", {}) for o in outputs), "a curve or a figure"
        assert any("✗ wrong" in "".join(o.get("data", {}).get("text/html", "")) for o in outputs), "samples of the model"

    def test_cells_are_short(self, path):
        others = [cell for cell in code_cells(path) if not {"tags", "cellView"} & cell["metadata"].keys()]  # parameters, set-up
        lengths = [len("".join(cell["source"]).splitlines()) for cell in others]
        assert statistics.median(lengths) <= 6 and max(lengths) <= 15

    def test_badges_point_at_this_notebook_in_this_repository(self, path):
        first = "".join(load(path)["cells"][0]["source"])
        address = f"{REPOSITORY.removeprefix('https://github.com/')}/blob/main/notebooks/{path.name}"
        assert first.count(address) == 2, "a Colab and a Kaggle badge"

    def test_the_setup_cell_fetches_this_repository_and_is_the_same_everywhere(self, path):
        setup = "".join(code_cells(path)[0]["source"])
        assert f'"{REPOSITORY}"' in setup and setup == "".join(code_cells(NOTEBOOKS[0])[0]["source"])

    def test_one_parameters_cell_with_the_embedded_default(self, path):
        tagged = [cell for cell in load(path)["cells"] if "parameters" in cell["metadata"].get("tags", [])]
        assert len(tagged) == 1
        values = {}
        exec("".join(tagged[0]["source"]), values)
        assert get_recipe(values["RECIPE"]).name == "tiny" and values["RUN"] == "my-run" and values["BACKEND"] == "auto"


def test_a_notebook_that_is_opened_alone_on_colab_fetches_the_project_once(tmp_path):
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text(
        f'#!/bin/sh\n[ "$1" = clone ] || exit 0\necho "$@" >> {tmp_path}/calls\nmkdir -p grpo-math\ncp -r {ROOT}/src grpo-math/\n'
    )
    git.chmod(0o755)
    bare = "import sys; sys.path = [p for p in sys.path if not p.endswith('src')]\n"  # as on a machine without the package
    code = bare + "".join(code_cells(NOTEBOOKS[0])[0]["source"]) + "\nimport grpo_lab; print(grpo_lab.__file__)"
    environment = {"PATH": f"{git.parent}:/usr/bin:/bin", "COLAB_RELEASE_TAG": "release-colab", "HOME": str(tmp_path)}
    for _ in range(2):  # the second time as after a restart of the session
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{tmp_path}/grpo-math/src/grpo_lab/__init__.py\n"
    assert (tmp_path / "calls").read_text() == f"clone --depth 1 {REPOSITORY} grpo-math\n"
