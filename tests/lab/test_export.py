"""Taking a model home: what is saved answers as what was trained, what is pushed is private, and every refusal is a sentence."""

import ast
import json
import re
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import httpx
import huggingface_hub
import pytest
import torch
from hub import Hub
from transformers import AutoModelForCausalLM, AutoTokenizer

from grpo_lab import export, models, recipes
from grpo_math.formats import FORMATS, plain_template

ROOT = Path(__file__).parents[2]
TINY = recipes.get_recipe("tiny")
FROM_HUB = replace(TINY, base_model="owner/base")
QUESTIONS = ["Ben has 12 pens. Ben buys 30 pens. How many pens does Ben have now?", "What is 17 + 25?", "Anna has 9 shells."]
CARD = '---\nlibrary_name: "peft"\ntags: ["grpo"]\n---\n\n# mine\n\nA LoRA adapter.\n\n---\n\nThe end.\n'


@pytest.fixture(autouse=True)
def few_tokens(monkeypatch):
    monkeypatch.setattr(export, "TOKENS", 24)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> Path:
    """An adapter that changes what the base writes: its second matrix is random instead of zero."""
    path = tmp_path_factory.mktemp("made-up") / "mine" / "grpo" / "adapter"
    base, tokenizer = models.load_base(TINY, ROOT, "peft")
    model = models.add_adapter(base, TINY.lora, "peft", seed=1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    models.save_adapter(model, tokenizer, path)
    return path


@pytest.fixture
def run(adapter, tmp_path) -> Path:
    """A run folder with that adapter and a model card."""
    run = tmp_path / "results" / "mine"
    shutil.copytree(adapter, run / "grpo" / "adapter")
    (run / "MODEL_CARD.md").write_text(CARD)
    return run


def merge(run: Path, recipe: recipes.Recipe = TINY, questions: list[str] = QUESTIONS) -> Path:
    return export.merge_adapter(run, recipe, ROOT, "peft", questions)


# 1. Merge.


def test_the_merged_model_writes_what_adapter_and_base_write(run, capsys):
    folder = merge(run)
    assert folder == run.with_name("mine-export") / "merged"
    told = capsys.readouterr().out
    assert told.startswith("Merged, in float16, against adapter + base: ")
    said = re.search(
        r"(\d) of 3 greedy completions are identical; the logits of their first tokens differ by at most (\S+)\.\n", told
    )
    assert int(said[1]) >= 2 and 0 < float(said[2]) < 0.1  # float16 weights against float32
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)  # as a stranger would
    assert model.dtype == torch.float16 and not hasattr(model, "peft_config")
    assert tokenizer.chat_template == plain_template(FORMATS["tags"]) and tokenizer.eos_token == "<|im_end|>"
    assert model.generation_config.eos_token_id == [tokenizer.eos_token_id, tokenizer.pad_token_id]
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())


def test_the_base_is_loaded_unquantised_and_the_result_rounded_last(run, adapter, monkeypatch, capsys):
    seen, load = [], models.load_base
    monkeypatch.setattr(models, "load_base", lambda recipe, *rest: seen.append(recipe) or load(recipe, *rest))
    (run.with_name("mine-export") / "merged").mkdir(parents=True)
    (run.with_name("mine-export") / "merged" / "model-00009.safetensors").touch()  # of an earlier merge
    folder = merge(run, replace(TINY, load_in_4bit=True), QUESTIONS[:1])
    assert [(was.load_in_4bit, was.base_model) for was in seen] == [(False, "data/tiny-base"), (False, str(folder))]
    assert "over 4-bit weights; over the 16-bit ones it may do a little better or worse" in capsys.readouterr().out
    base, _ = load(TINY, ROOT, "peft")
    exact = models.load_adapter(base, adapter).merge_and_unload().state_dict()
    saved = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert all(torch.equal(saved[name], weight.half()) for name, weight in exact.items())
    assert not (folder / "model-00009.safetensors").exists()


def test_the_comparison_sees_another_model(run, monkeypatch, capsys):
    """What is loaded again is the bare base, as if the adapter had been lost on the way."""
    load = models.load_base
    monkeypatch.setattr(models, "load_base", lambda recipe, *rest: load(TINY, *rest))
    merge(run)
    said = re.search(r"(\d) of 3 greedy completions are identical.*differ by at most (\S+)\.\n", capsys.readouterr().out)
    assert int(said[1]) < 3 and float(said[2]) > 0.5


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("disk", r"A merge needs 0.0017 GiB of the disk of .*merged, and 0.00098 are free: delete old exports"),
        ("memory", r"A merge needs 0.0041 GiB of the memory of this machine, and 0.00098 are free: restart the session"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="the memory that counts is the card's")
def test_too_little_room_is_said_before_anything_is_loaded(run, monkeypatch, what, says):
    if what == "disk":
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    else:
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2**20))
    monkeypatch.setattr(models, "load_base", mock.Mock(side_effect=AssertionError("loaded")))
    with pytest.raises(RuntimeError, match=says):
        merge(run)
    assert not run.with_name("mine-export").exists()


def test_what_cannot_be_merged_is_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="run notebooks/02_GRPO_reasoning_tuning.ipynb with RUN = 'none' first"):
        merge(tmp_path / "results" / "none")
    with pytest.raises(ValueError, match="was trained with another chat_template than the recipe has now"):
        merge(run, replace(TINY, format="xml"))
    assert not run.with_name("mine-export").exists()


# 2. The hub.


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folder of a hub on the loopback address, which this process now takes for the hub."""
    (tmp_path / "hub" / "models").mkdir(parents=True)
    with Hub(tmp_path / "hub") as served:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        yield tmp_path / "hub"


def test_the_adapter_is_pushed_privately_without_a_path_of_this_machine(run, hub, adapter):
    assert export.push(run, TINY, "me/lora").endswith("/me/lora")
    lora = hub / "models" / "me" / "lora"
    assert (lora / ".private").exists()
    assert str(ROOT) in (adapter / "adapter_config.json").read_text()
    assert not [path.name for path in lora.iterdir() if str(ROOT).encode() in path.read_bytes()]
    assert json.loads((lora / "adapter_config.json").read_text())["base_model_name_or_path"] == "data/tiny-base"
    for name in ("adapter_model.safetensors", "tokenizer.json", "chat_template.jinja"):
        assert (lora / name).read_bytes() == (adapter / name).read_bytes()
    assert (lora / "README.md").read_text().startswith('---\nlibrary_name: "peft"')


def test_a_merged_model_is_pushed_with_a_card_that_says_so(run, hub, tmp_path):
    (tmp_path / "merged" / "deep").mkdir(parents=True)
    (tmp_path / "merged" / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "merged" / "deep" / "more.json").write_text("{}")
    export.push(run, TINY, "me/whole", tmp_path / "merged")
    whole = hub / "models" / "me" / "whole"
    assert (whole / ".private").exists() and (whole / "model.safetensors").read_bytes() == b"weights"
    assert (whole / "deep" / "more.json").is_file()
    card = (whole / "README.md").read_text()
    top = '---\nlibrary_name: "transformers"\ntags: ["grpo"]\n---\n\n> This repository holds the adapter folded into'
    assert card.startswith(top) and 'from_pretrained("me/whole")' in card
    assert card.endswith("# mine\n\nA LoRA adapter.\n\n---\n\nThe end.\n")


def test_a_public_repository_takes_nothing(run, hub):
    (hub / "models" / "me" / "open").mkdir(parents=True)
    with pytest.raises(OSError, match="could not be pushed to me/open .it is public, and must be private."):
        export.push(run, TINY, "me/open")
    assert list((hub / "models" / "me" / "open").iterdir()) == []


def test_a_token_that_may_not_write_is_said(run, hub, monkeypatch):
    (hub / ".token").write_text("hf_right")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(OSError, match=r"could not be pushed to me/lora .*401.*: set HF_TOKEN to a token that may write there"):
        export.push(run, TINY, "me/lora")
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert export.push(run, TINY, "me/lora").endswith("/me/lora")


@pytest.mark.parametrize("error", [httpx.ConnectError("No route to the hub"), RuntimeError("No route to the hub")])
def test_an_upload_that_fails_says_where_it_lies(run, hub, monkeypatch, error):
    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", mock.Mock(side_effect=error))
    with pytest.raises(OSError, match="grpo/adapter could not be pushed to me/lora .No route to the hub.:.* run the cell again"):
        export.push(run, TINY, "me/lora")


def test_a_run_without_a_card_is_not_pushed(run, hub):
    (run / "MODEL_CARD.md").unlink()
    with pytest.raises(FileNotFoundError, match="There is no MODEL_CARD.md in mine: run the cell that writes the card first"):
        export.push(run, TINY, "me/lora")
    assert list((hub / "models").iterdir()) == []


# 3. GGUF. Unsloth is stood in for: it would install system packages.


@pytest.mark.parametrize(
    ("host", "backend", "called"),
    [("colab", "unsloth", True), ("kaggle", "unsloth", True), ("local", "unsloth", False), ("colab", "peft", False)],
)
def test_unsloth_converts_only_where_it_may_install(monkeypatch, tmp_path, host, backend, called):
    made, merged = tmp_path / "merged_gguf" / "base.Q8_0.gguf", tmp_path / "merged"
    convert = mock.Mock(return_value={"gguf_files": [str(made)]})
    monkeypatch.setattr(models, "load_base", lambda recipe, *_: (SimpleNamespace(save_pretrained_gguf=convert), None))
    monkeypatch.setattr(export.AutoTokenizer, "from_pretrained", lambda folder: f"tokenizer of {folder.name}")
    monkeypatch.setattr(export, "detect_host", lambda: host)
    if called:
        assert export.write_gguf(merged, FROM_HUB, backend, "q8_0") == [made]
        convert.assert_called_once_with(str(merged), "tokenizer of merged", quantization_method="q8_0")
    else:
        with pytest.raises(RuntimeError, match=r"type `git clone .*_to_gguf.py \S+merged --outtype q8_0 --outfile \S+`\."):
            export.write_gguf(merged, FROM_HUB, backend, "q8_0")
        convert.assert_not_called()


@pytest.mark.parametrize(
    ("recipe", "kind", "error", "says"),
    [
        (FROM_HUB, "q3", ValueError, "There is no GGUF type 'q3': choose one of f16, q8_0, q4_k_m"),
        (TINY, "f16", ValueError, "llama.cpp does not know the tiny base's tokenizer"),
        (FROM_HUB, "q4_k_m", RuntimeError, "--outtype f16 --outfile .*model-f16.gguf`, of which llama-quantize makes q4_k_m"),
    ],
)
def test_what_cannot_become_a_gguf_is_refused(monkeypatch, tmp_path, recipe, kind, error, says):
    monkeypatch.setattr(export, "detect_host", lambda: "local")
    with pytest.raises(error, match=says):
        export.write_gguf(tmp_path / "merged", recipe, "unsloth", kind)


def test_the_installed_unsloth_has_what_the_conversion_relies_on():
    """Read, not imported: importing Unsloth patches the libraries of the other tests."""
    found = find_spec("unsloth")
    if found is None:
        pytest.skip("unsloth is not installed")
    source = (Path(found.submodule_search_locations[0]) / "save.py").read_text()
    assert "model.save_pretrained_gguf =" in source and '"gguf_files":' in source
    save = next(n for n in ast.parse(source).body if getattr(n, "name", "") == "unsloth_save_pretrained_gguf")
    names = [argument.arg for argument in save.args.args]
    assert names[1:3] == ["save_directory", "tokenizer"] and "quantization_method" in names
