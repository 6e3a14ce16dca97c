"""What `make run` does around the notebooks: cleaning, and one sentence for a mistake."""

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import made_up_run
import nbformat
import pytest
import run_notebooks as execute
from made_up_log import made_up_log

from grpo_lab import records, report
from grpo_lab.recipes import TINY

ROOT = Path("/somewhere/clone")


def executed_notebook() -> nbformat.NotebookNode:
    v4 = nbformat.v4
    return v4.new_notebook(
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3"},
            "language_info": {"name": "python"},
            "widgets": {"state": 1},
            "papermill": {},
        },
        cells=[
            v4.new_markdown_cell("# Title", metadata={"papermill": {"duration": 1}}),
            v4.new_code_cell("RUN = 'my-run'", execution_count=4, metadata={"tags": ["parameters"], "papermill": {}}),
            v4.new_code_cell("RUN = 'tiny'", execution_count=5, metadata={"tags": ["injected-parameters"]}),
            v4.new_code_cell(
                "train()",
                execution_count=9,
                outputs=[
                    v4.new_output("stream", name="stderr", text="a warning"),
                    v4.new_output("display_data", data={"application/vnd.jupyter.widget-view+json": {}, "text/plain": "0%"}),
                    v4.new_output("stream", name="stdout", text=f"  0%|   |\r 50%|  |\rsaved to {ROOT}/results/tiny\n"),
                    v4.new_output("stream", name="stdout", text="\rgrpo:  50%|##  | 12/24 [04:07<04:07]"),
                    v4.new_output("execute_result", data={"text/plain": "1"}, execution_count=9),
                ],
            ),
        ],
    )


def test_clean_outputs():
    clean = execute.clean_outputs(executed_notebook(), ROOT)
    assert [cell.source for cell in clean.cells] == ["# Title", "RUN = 'my-run'", "train()"]
    assert [cell.execution_count for cell in clean.cells[1:]] == [1, 2]
    assert [cell.metadata for cell in clean.cells] == [{}, {"tags": ["parameters"]}, {}]
    assert [output.get("text") for output in clean.cells[2].outputs] == ["saved to results/tiny\n", None]
    assert clean.cells[2].outputs[1].execution_count == 2
    assert set(clean.metadata) == {"kernelspec", "language_info"}


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--recipe", "tinny"], "There is no recipe 'tinny'. Set RECIPE to one of: qwen2.5"),
        (["--run", "a/b"], "RUN = 'a/b' is not a folder name"),
    ],
)
def test_a_mistake_is_one_sentence(flags, sentence, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["execute", *flags])
    with pytest.raises(SystemExit, match=sentence):
        execute.main()


@pytest.fixture
def made_up(tmp_path) -> Path:
    """What a run of the recipe tiny leaves."""
    run = made_up_run.write_run(tmp_path / "tiny")
    for stage in ("sft", "grpo"):
        (run / f"{stage}_config.json").write_text(json.dumps({"settings": {"recipe": asdict(TINY), "seed": 0}}))
    records.write_csv(run / "sft_metrics.csv", [{"step": 1, "loss": 1.0585}, {"step": 2, "loss": 0.0876}])
    records.write_csv(run / "grpo_metrics.csv", made_up_log())
    records.write_csv(run / "stages.csv", [{"stage": name, "wall_s": 73.4} for name in ("sft", "grpo", "evaluation")])
    report.save_summary(run)
    return run


def test_each_notebook_is_told_in_lines_with_numbers(made_up):
    first, second, third = (execute.came_out(name, made_up) for name in execute.NAMES)
    assert first == f"sft: {TINY.sft.examples:,} examples, loss 1.06 → 0.09, 73 s"
    assert "of 200 dev problems solved\ngrpo: mean reward 2.39 → 3.46, first and last rollout, 73 s" in second
    assert third.startswith("40 problems") and third.splitlines()[3].split()[:3] == ["+", "GRPO", "65.0%"]
    assert max(map(len, "\n".join((first, second, third)).splitlines())) <= 80


def test_numbers_are_said_to_be_the_readmes_only_where_they_are(made_up, tmp_path):
    run = shutil.copytree(made_up, tmp_path / "mine")
    assert execute.compare_with_readme(made_up, made_up) == "" == execute.compare_with_readme(tmp_path, made_up)
    assert execute.compare_with_readme(run, made_up).endswith("README to the digit.")
    summary = json.loads((run / "evaluation.json").read_text())
    summary["sft"]["accuracy_flexible"] += 1 / 2000
    (run / "evaluation.json").write_text(json.dumps(summary))
    assert "differ" in execute.compare_with_readme(run, made_up)
    (run / "grpo_config.json").write_text(json.dumps({"settings": {"recipe": asdict(TINY), "seed": 1}}))
    assert execute.compare_with_readme(run, made_up) == ""
