"""What surrounds a notebook's own cells: `start` and `lab.stage`, without a training."""

import dataclasses
import json
import logging
import os
import shutil
import warnings
from pathlib import Path

import pytest

from grpo_lab import lab, recipes, runs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """What `start` needs of a clone, in a folder of its own, which is the working directory."""
    shutil.copytree(ROOT / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKIO_DIR", "to be restored")
    monkeypatch.delenv("TRACKIO_DIR")
    return tmp_path


def start(**changes) -> lab.Lab:
    arguments = {"recipe": "tiny", "run": "mine", "seed": 3, "backend": "peft", "tracker": "none"}
    return lab.start(**arguments | changes)


def test_start_resolves_the_recipe_and_says_what_it_found(clone, capsys):
    here = start(unanswerable=0.1)
    assert here.run == clone / "results" / "mine" and here.run.is_dir() and here.root == clone
    assert here.recipe == recipes.with_unanswerable(recipes.get_recipe("tiny"), 0.1) and here.seed == 3
    assert os.environ["TRACKIO_DIR"] == str(here.run / "trackio")
    said = capsys.readouterr().out
    assert "local" in said and "torch" in said and "CPU with" in said
    assert "recipe tiny, seed 3, backend peft, float32, results/mine" in said


def test_start_keeps_two_warnings_back_and_no_other(clone, caplog):
    with warnings.catch_warnings(record=True) as warned:
        start()
        for text in ("IProgress not found. Please update jupyter", "something else"):
            warnings.warn(text, stacklevel=1)
    for text in ("Failed to load CPU gemm_4bit_forward from %s", "something %s"):
        logging.getLogger("bitsandbytes.backends.cpu.ops").warning(text, "else")
    assert [str(warning.message) for warning in warned][-1:] == caplog.messages == ["something else"]


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    {
        "recipe": ({"recipe": "tinny"}, ValueError, "There is no recipe 'tinny'"),
        "run": ({"run": "a/b"}, ValueError, "RUN = 'a/b' is not a folder name"),
        "share": ({"unanswerable": 2}, ValueError, "UNANSWERABLE = 2 is not a share"),
        "backend": ({"backend": "jax"}, ValueError, "There is no backend 'jax'"),
        "mirror": ({"mirror": "nowhere"}, ValueError, "There is no mirror 'nowhere'"),
        "form": ({"format": "json"}, ValueError, "There is no format 'json'; choose one of tags, xml, boxed, think"),
        "reward": ({"rewards": "best"}, ValueError, "There is no reward 'best'; choose among sound, graded"),
        "checker": ({"checker": lambda answer: True}, ValueError, "CHECKER is called with an answer and a gold answer"),
        "data": ({"data": "none.csv"}, ValueError, "DATA = 'none.csv' is not there"),
        "adapter": ({"adapter": "no adapter"}, ValueError, "ADAPTER = 'no adapter' is no folder with an adapter"),
        "no GPU": ({"recipe": "qwen3-4b-dapo"}, RuntimeError, "This recipe needs a GPU and there is none"),
        "vLLM without a card": ({"use_vllm": True}, RuntimeError, "vLLM needs a CUDA card"),
    }.values(),
    ids=lambda value: str(value)[:30],
)
def test_a_parameter_that_is_wrong_stops_in_one_sentence(changes, error, sentence, clone):
    with pytest.raises(error, match=sentence):
        start(**changes)


def test_a_stage_keeps_its_configuration_and_its_time_also_where_it_fails(clone):
    here = start()
    with pytest.raises(ZeroDivisionError), here.stage("sft") as stage:
        assert json.loads((here.run / "sft_config.json").read_text())["settings"]["seed"] == 3
        assert stage.folder == here.run / "sft"
        assert stage.trainer_args == {"output_dir": here.run / "sft", "seed": 3, "report_to": []}
        1 / 0  # noqa: B018
    assert [row["stage"] for row in runs.read_stages(here.run)] == ["sft"]


def test_the_sft_adapter_is_that_of_the_last_supervised_stage(clone):
    here = start()
    primed_only = dataclasses.replace(here, recipe=dataclasses.replace(here.recipe, sft=None))
    for stage in ("priming", "sft"):
        (here.run / stage / "adapter").mkdir(parents=True)
        (here.run / stage / "adapter" / "adapter_model.safetensors").touch()
    assert here.adapter("sft") == here.run / "sft" / "adapter"
    assert primed_only.adapter("sft") == here.run / "priming" / "adapter"
    with pytest.raises(FileNotFoundError, match="run notebooks/02_GRPO_reasoning_tuning.ipynb with RUN = 'mine' first"):
        here.adapter("grpo")
