"""What `make run` and `make seeds` do around the notebooks: cleaning, collecting, and one sentence for a mistake."""

import json
import sys
from pathlib import Path

import nbformat
import pytest
import run_notebooks as execute
import seeds

from grpo_lab import report

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


def write_run(root: Path, name: str, verdicts: dict[str, list[bool]], ids: str = "abc") -> None:
    for checkpoint in report.CHECKPOINTS:
        path = root / "results" / name / "samples" / f"{checkpoint}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {
                "id": i,
                "checkpoint": checkpoint,
                "sample": 0,
                "question": "?",
                "gold": "1",
                "completion": "1",
                "extracted_strict": "1",
                "extracted_flexible": "1",
                "correct_strict": v,
                "correct_flexible": v,
                "reason": "equal",
                "formatted": True,
                "claims": 0,
                "false_claims": 0,
                "ungrounded": 0,
                "flags": [],
                "truncated": False,
                "tokens": 1,
                "budget": 256,
                "temperature": 0.0,
                "prompt_sha256": "x",
                "setting": "x",
                "seed": 0,
            }
            for i, v in zip(ids, verdicts[checkpoint], strict=True)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_verdicts_of_several_seeds(tmp_path, monkeypatch):
    monkeypatch.setattr(seeds.runs, "project_root", lambda: tmp_path)
    verdicts = {"base": [False, True, False], "sft": [True, True, False], "grpo": [True, True, True]}
    write_run(tmp_path, "one", verdicts)
    write_run(tmp_path, "two", verdicts | {"sft": [False, True, False]})
    table = seeds.collect({0: "one", 1: "two"})
    assert list(table) == ["id", "base", "sft-0", "grpo-0", "form-0", "sft-1", "grpo-1", "form-1"]
    assert table["sft-1"].tolist() == [0, 1, 0] and table["grpo-1"].tolist() == [1, 1, 1]
    assert table["form-0"].tolist() == [1, 1, 1]
    write_run(tmp_path, "three", verdicts, ids="xyz")
    with pytest.raises(ValueError, match="Run 'three' was measured on other items"):
        seeds.collect({0: "one", 2: "three"})


def test_a_mix_begins_where_sft_ended(tmp_path, monkeypatch):
    """Each seed trains GRPO twice from one SFT adapter; the base is measured once for all seeds."""
    monkeypatch.setattr(seeds.runs, "project_root", lambda: tmp_path)
    ran = []

    def execute(names, run, parameters, keep=False):
        ran.append(([name[:2] for name in names], run.name, parameters.get("UNANSWERABLE", 0.0), parameters["SEED"]))
        assert (run / "samples" / "base.jsonl").is_file() or run.name == "one", "the base's samples are there already"
        (run / "sft").mkdir(exist_ok=True)
        for name in ("sft_config.json", "eval_plan.json", "stages.csv"):
            (run / name).touch()
        write_run(tmp_path, run.name, {checkpoint: [True, True, False] for checkpoint in report.CHECKPOINTS})

    monkeypatch.setattr(seeds, "execute", execute)
    for seed, name in enumerate(("one", "two")):
        seeds.measure_seed(seed, name, first="one")
    mixes = [(["02"], "one-mix", 0.1, 0), (["03"], "one-mix", 0.0, 0), (["02"], "two-mix", 0.1, 1), (["03"], "two-mix", 0.0, 1)]
    assert ran == [(["01", "02", "03"], "one", 0.0, 0), *mixes[:2], (["01", "02", "03"], "two", 0.0, 1), *mixes[2:]]
    seeds.measure_seed(1, "two", first="one")
    assert len(ran) == 6, "what is there is not made again"
    forked = seeds.fork(tmp_path / "results" / "one", "three")
    assert sorted(path.name for path in (forked / "samples").iterdir()) == ["base.jsonl", "sft.jsonl"]
