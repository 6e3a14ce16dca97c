"""Your own data, rewards, checker, form and adapter, written into the parameters cells of the three notebooks as a user does."""

import csv
import json
import shutil
from itertools import islice
from pathlib import Path

import nbformat
import papermill
import pytest
from run_notebooks import NAMES

from grpo_lab.records import checkpoints_of, read_completions, samples_of
from grpo_lab.tiny.problems import generate

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
CODE = """
import asyncio
from functools import partial

TRIAL, BACKEND, TRACKER = True, "peft", "none"

async def length(completions, unit, **columns):
    await asyncio.sleep(0)
    return [len(completion[0]["content"]) / unit for completion in completions]

def about_right(answer, gold):
    return answer.strip().startswith(gold[:1])
"""


@pytest.fixture
def clone(tmp_path) -> Path:
    for folder in ("data", "notebooks"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def run(clone: Path, names, own: str) -> str:
    """Execute the notebooks with `own` at the end of their parameters cells; gives all text that they printed."""
    printed = ""
    for name in names:
        path = clone / "notebooks" / f"{name}.ipynb"
        notebook = nbformat.read(ROOT / "notebooks" / path.name, 4)
        cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        cell.source += f"\n{CODE}\n{own}"
        nbformat.write(notebook, path)
        done = papermill.execute_notebook(path, clone / "out.ipynb", cwd=path.parent, kernel_name="python3", progress_bar=False)
        outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
        printed += "".join(o.get("text", "") + "".join(o.get("data", {}).get("text/markdown", "")) for o in outputs)
    return printed


def test_a_file_with_a_reward_a_checker_and_a_form_and_then_the_adapter_alone(clone):
    with open(clone / "notebooks" / "mine.csv", "w", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["aufgabe", "ergebnis"])
        rows.writerows([p.question, p.answer] for p in islice(generate("fresh", 0), 200))
    own = """
DATA, COLUMNS = "mine.csv", {"question": "aufgabe", "answer": "ergebnis"}
REWARDS, CHECKER, FORMAT = ["sound", partial(length, unit=100)], about_right, "think"
"""
    printed = run(clone, NAMES, own)
    assert "held out to measure on" in printed and "What length pays is not known" in printed
    folder = clone / "results" / "my-run-trial"
    assert checkpoints_of(folder) == ("base", "sft", "grpo") and not (folder / "sft").exists(), "no solutions, so priming alone"
    rows = read_completions(folder)
    assert all(0 <= row["length"] < 10 for row in rows) and len(rows) == 2 * 2 * 12
    for row in samples_of(folder, "base"):
        answer = row["extracted_flexible"] or ""
        assert row["correct_flexible"] == answer.strip().startswith(row["gold"][:1]), "the checker decides"
    settings = json.loads((folder / "grpo_config.json").read_text())["settings"]["recipe"]
    assert settings["format"] == "think" and settings["checker"].startswith("about_right ")
    assert "<think>" in (folder / "grpo" / "adapter" / "chat_template.jinja").read_text()

    adapter = shutil.move(folder / "grpo" / "adapter", clone / "elsewhere")
    printed = run(clone, NAMES[2:], f'{own}\nRUN, ADAPTER = "alone", "{adapter}"')
    alone = clone / "results" / "alone-trial"
    assert checkpoints_of(alone) == ("base", "grpo") and not (alone / "MODEL_CARD.md").exists()
    assert json.loads((alone / "eval_plan.json").read_text())["frozen_before_training"] is False
    before, after = ([row["completion"] for row in samples_of(run_folder, "grpo")] for run_folder in (folder, alone))
    assert before == after, "the same adapter, the same completions"


def test_a_folder_with_alternatives_and_solutions(clone):
    folder = clone / "mine"
    folder.mkdir()
    for split, part in (("train", "fresh"), ("test", "spent")):
        problems = islice(generate(part, 1), 40)
        rows = [{"problem": p.question, "answer": [p.answer, f"{p.answer}.0 or so"], "solution": "3 + 4 = 7."} for p in problems]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    printed = run(clone, NAMES, 'DATA = "mine"')
    assert "8 of its test part to measure on" in printed and "A right answer earns at least 1 more" in printed
    made = clone / "results" / "my-run-trial"
    assert checkpoints_of(made) == ("base", "sft", "grpo")
    rows = samples_of(made, "grpo")
    assert len(rows) == 8 and all(" or " in row["gold"] for row in rows)
