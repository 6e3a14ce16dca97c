"""Example 06, your own data, reward and checker: as clean as the chapters, and run as a new user would."""

import csv
import json
import re
import shutil
from pathlib import Path

import papermill
import pytest
import test_notebooks
from test_notebooks import NOTEBOOKS, code_cells, load

from grpo_lab.records import read_completions
from grpo_math import REPOSITORY

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "examples" / "06_Your_own_data_and_reward.ipynb"
AS_THE_CHAPTERS = ("test_executed_in_order_without_an_error", "test_outputs_are_clean")


@pytest.mark.parametrize("check", AS_THE_CHAPTERS)
def test_the_notebook_is_as_clean_as_the_chapters(check):
    getattr(test_notebooks.TestNotebook(), check)(NOTEBOOK)


def test_it_begins_as_the_chapters_do():
    first = "".join(load(NOTEBOOK)["cells"][0]["source"])
    address = f"{REPOSITORY.removeprefix('https://github.com/')}/blob/main/{NOTEBOOK.relative_to(ROOT)}"
    assert first.count(address) == 2, "a Colab and a Kaggle badge"
    assert code_cells(NOTEBOOK)[0]["source"] == code_cells(NOTEBOOKS[0])[0]["source"]


def test_it_runs_and_data_reward_and_checker_are_used(tmp_path):
    shutil.copytree(ROOT / "data", tmp_path / "data")
    folder = tmp_path / "notebooks" / "examples"
    folder.mkdir(parents=True)
    papermill.execute_notebook(NOTEBOOK, tmp_path / "out.ipynb", cwd=folder, kernel_name="python3", progress_bar=False)
    shown = json.dumps([cell["outputs"] for cell in code_cells(tmp_path / "out.ipynb")])

    # The file's problems, split as was said.
    with open(folder / "my_stories.csv", encoding="utf-8") as file:
        asked = {row["story"]: row["asked for"] for row in csv.DictReader(file)}
    train, dev, test = map(int, re.search(r"(\d+) problems to train on, (\d+) for dev, (\d+) held out", shown).groups())
    assert len(asked) == 300 == train + dev + test

    # The reward is paid, and the checker decides: an answer with the same last word is right.
    rows = read_completions(tmp_path / "results" / "my-stories")
    assert len(rows) == 16 * 288 and {row["gold"] for row in rows} <= set(asked.values())
    texts = [row["completion"][-1]["content"] if isinstance(row["completion"], list) else row["completion"] for row in rows]
    assert [round(row["brief"], 2) for row in rows] == [round(-min(0.5, 0.02 * len(text.split())), 2) for text in texts]

    def last_word(text: str) -> str:
        return (re.findall(r"\w+", text.lower()) or [""])[-1].rstrip("s")

    answered = [row for row in rows if row["extracted"]]
    right = [last_word(row["extracted"]) == last_word(row["gold"]) for row in answered]
    assert [bool(row["correct"]) for row in answered] == right and True in right and False in right

    # It learned.
    before, after = (int(found) for found in re.findall(r"(\d+) are right", shown))
    assert after > before + test // 4
