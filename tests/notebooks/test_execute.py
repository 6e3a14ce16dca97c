"""What `make run` does around the notebooks: cleaning, and one sentence for a mistake."""

import sys
from pathlib import Path

import nbformat
import pytest
import run_notebooks as execute

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
