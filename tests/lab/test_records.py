"""records: what a run left is given back as it was written, and a sentence for each damaged file."""

import json
import os
import subprocess
import sys

import pyarrow
import pytest
from made_up_run import well_formed
from pyarrow import parquet

from grpo_lab import records
from grpo_lab.records import FIELDS


def sample(number: int, **changes) -> dict:
    return well_formed(number, "sft", right=number % 2 == 0) | {"completion": "line\u2028separator"} | changes


def test_nothing_heavy_is_imported_with_the_module():
    heavy = "import sys, grpo_lab.records; print({'torch', 'pandas', 'pyarrow', 'numpy', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout == "set()\n"


# --- Samples -----------------------------------------------------------------


def test_samples_come_back_as_they_were_written(tmp_path):
    rows = [sample(0), sample(1, marks=[[0, 4, "false"]])]
    assert rows[0].keys() == FIELDS.keys()
    records.write_jsonl(tmp_path / "samples" / "sft.jsonl", rows)
    assert records.read_samples(tmp_path / "samples" / "sft.jsonl") == rows == records.samples_of(tmp_path, "sft")
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["sft.jsonl"]


def test_a_write_that_is_cut_off_leaves_the_old_file(tmp_path):
    path = tmp_path / "sft.jsonl"
    records.write_jsonl(path, [sample(0)])

    def cut_off():
        yield sample(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        records.write_jsonl(path, cut_off())
    assert records.read_samples(path) == [sample(0)]


def test_read_samples_sees_a_changed_file_and_not_what_a_caller_does_to_its_rows(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(sample(1)) + "\n")
    rows = records.read_samples(path)
    rows[0]["tokens"] = -1
    rows.append("more")
    assert records.read_samples(path) == [sample(1)]
    path.write_text(json.dumps(sample(3)) + "\n")  # of the same length
    os.utime(path, ns=(1, 1))
    assert records.read_samples(path) == [sample(3)]


# name: (second line of the file, words of the message); a number that JSON writes as true or 1.0 is no whole number
DAMAGED = {
    "cut off": (json.dumps(sample(1))[:50].encode(), "line 1 column"),
    "not an object": (b"[1, 2]", "indices must be"),
    "not UTF-8": (b'{"id": "\xff\xfe"}', "can't decode byte 0xff"),
    "of an older kind": (b'{"id": "q001", "checkpoint": "sft"}', "it lacks 'question'"),
    **{f"{field} wrong": (json.dumps(sample(1, **{field: {}})).encode(), f"{field} is {{}}") for field in FIELDS},
    "length as a float": (json.dumps(sample(1, tokens=11.0)).encode(), "tokens is 11.0"),
    "length as a verdict": (json.dumps(sample(1, tokens=True)).encode(), "tokens is True"),
    "verdict as a number": (json.dumps(sample(1, correct_strict=1)).encode(), "correct_strict is 1"),
}


@pytest.mark.parametrize(("line", "words"), DAMAGED.values(), ids=DAMAGED)
def test_read_samples_names_file_and_line_of_a_damaged_row(tmp_path, line, words):
    path = tmp_path / "sft.jsonl"
    path.write_bytes(json.dumps(sample(0)).encode() + b"\n" + line + b"\n")
    with pytest.raises(ValueError, match=rf"sft\.jsonl, line 2 is damaged: .*{words}.*Make the file again"):
        records.read_samples(path)


def test_read_samples_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="run notebooks/03_Inference_and_Evaluation.ipynb"):
        records.read_samples(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ValueError, match="holds no samples"):
        records.read_samples(tmp_path / "empty.jsonl")


def test_the_parts_of_a_run(tmp_path):
    for part in ("base", "sft", "grpo", "twins-sft"):
        records.write_jsonl(tmp_path / "samples" / f"{part}.jsonl", [sample(0)])
    assert records.checkpoints_of(tmp_path) == ("base", "sft", "grpo")
    assert records.has_part(tmp_path, "twins-sft") and not records.has_part(tmp_path, "longer-sft")
    assert records.optional_samples(tmp_path, "longer-sft") is None and len(records.optional_samples(tmp_path, "sft")) == 1
    (tmp_path / "samples" / "sft.jsonl").unlink()
    assert records.checkpoints_of(tmp_path) == ("base", "grpo")
    (tmp_path / "samples" / "grpo.jsonl").unlink()
    assert records.checkpoints_of(tmp_path) == ("base", "sft", "grpo")  # so that what is missing is named


# --- Training ----------------------------------------------------------------


def test_metrics_are_read_by_step_and_the_later_value_counts(tmp_path):
    path = tmp_path / "grpo_metrics.csv"
    assert records.read_metrics(path) == []
    path.write_text("step,reward,eval_accuracy\n1,0.1,\n4,0.4,\n2,0.2,\n2,,0.9\n2,0.3,\n5,nan,\n")
    *rows, last = records.read_metrics(path)
    assert rows == [{"step": 1, "reward": 0.1}, {"step": 2, "reward": 0.3, "eval_accuracy": 0.9}, {"step": 4, "reward": 0.4}]
    assert last["reward"] != last["reward"], "a loss that is not a number is logged as it is"


# name: (text of the file, words of the message)
BAD_METRICS = {
    "no step": ("loss\n1\n", "line 2 .*step"),
    "a row without its step": ("step,loss\n1,1\n,2\n", "line 3 .*step"),
    "text in a cell": ("step,loss\n1,0.1\n2,oops\n", "line 3 .*oops"),
    "a cell too many": ("step,loss\n1,0.1,7\n", "line 2"),
}


@pytest.mark.parametrize(("text", "words"), BAD_METRICS.values(), ids=BAD_METRICS)
def test_read_metrics_says_what_is_wrong(tmp_path, text, words):
    (tmp_path / "sft_metrics.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"sft_metrics\.csv is not a table of numbers by step: {words}"):
        records.read_metrics(tmp_path / "sft_metrics.csv")


def completion(step: int, **changes) -> dict:
    row = {"step": step, "prompt": "How many?", "completion": "<b>7</b>", "correctness": 2.0, "exact_format": None, "id": "q1"}
    return row | {"reward": 2.0, "advantage": 0.5} | changes


def test_completions_are_read_in_the_order_of_steps_and_a_damaged_file_is_named(tmp_path):
    assert records.read_completions(tmp_path) == []
    folder = tmp_path / "grpo" / "completions"
    folder.mkdir(parents=True)
    for step in (8, 4):
        parquet.write_table(pyarrow.Table.from_pylist([completion(step)]), folder / f"completions_{step:05}.parquet")
    whole = (folder / "completions_00008.parquet").read_bytes()
    (folder / "completions_00012.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match=r"completions_00012\.parquet is damaged .*, so its completions are left out"):
        rows = records.read_completions(tmp_path)
    assert rows == [completion(4), completion(8)]
    paid = {name: value for name, value in rows[0].items() if name not in records.COMPLETION_COLUMNS}
    assert paid == {"correctness": 2.0, "exact_format": None}
