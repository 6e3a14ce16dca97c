"""Taking a model home: its size is known first, what is saved answers as what was trained, and every refusal is a sentence."""

import importlib.util
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest import mock

import httpx
import huggingface_hub
import pytest
import torch
from hub import Hub
from jinja2 import Environment
from transformers import AutoModelForCausalLM, AutoTokenizer

from grpo_lab import mirror, models, recipes
from grpo_lab.export import compare, gguf, merge, notebook, ollama, sizes
from grpo_math.formats import FORMATS, chat_template, plain_template

ROOT = Path(__file__).parents[2]
TINY = recipes.get_recipe("tiny")
QUESTIONS = ["Ben has 12 pens. Ben buys 30 pens. How many pens does Ben have now?", "What is 17 + 25?", "Anna has 9 shells."]
CARD = '---\nlibrary_name: "peft"\ntags: ["grpo"]\n---\n\n# mine\n\nA LoRA adapter.\n\n---\n\nThe end.\n'


@pytest.fixture(autouse=True)
def few_tokens(monkeypatch):
    monkeypatch.setattr(compare, "TOKENS", 24)


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


@pytest.fixture(scope="module")
def merged(adapter, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("once") / "merged"
    merge.export_merged(adapter, TINY, ROOT, "peft", folder, ())
    return folder


@pytest.fixture
def quick_merge(merged, monkeypatch):
    """The merged model of this file's adapter, copied instead of made again, for what comes after a merge."""
    monkeypatch.setattr(notebook, "export_merged", lambda *args: shutil.copytree(merged, args[4]) and None)


def take(run: Path, *wanted: str, questions=(), **settings) -> dict:
    return notebook.take_home(run, TINY, ROOT, "peft", wanted, questions, **settings)


# 1. What is asked for.


def test_an_order_is_completed_with_what_it_is_made_of():
    assert notebook.read_order(()).kinds == ()
    assert notebook.read_order("merged").kinds == ("merged",)  # a forgotten comma
    assert notebook.read_order(["ollama"]).kinds == ("merged", "gguf", "ollama")
    order = notebook.read_order(["hub-gguf:me/mine", "gguf-q8_0", "hub:me/mine-lora", "drive:/a/folder"])
    assert order.kinds == ("adapter", "merged", "gguf", "ollama") and order.gguf_type == "q8_0"
    assert order.pushes == (("gguf", "me/mine"), ("adapter", "me/mine-lora"))
    assert (order.folder, order.copied) == ("/a/folder", {"gguf"})
    assert notebook.read_order(["drive"]).copied == {"adapter"}


@pytest.mark.parametrize("name", ["", "Merged", "hub:", "hub:name", "hub:a/b/c", "hub-ollama:a/b", "drive:folder", "safetensors"])
def test_a_name_that_is_no_export(run, name):
    with pytest.raises(ValueError, match=f"There is no export '{name}': EXPORT holds any of 'adapter', 'merged', 'gguf'"):
        take(run, "adapter", name)
    assert not run.with_name("mine-export").exists()


def test_what_would_overwrite_itself_is_refused(run):
    with pytest.raises(ValueError, match="EXPORT names the repository me/mine twice: give each export one of its own"):
        take(run, "hub:me/mine", "hub-merged:me/mine")
    with pytest.raises(ValueError, match="EXPORT names two GGUFs"):
        take(run, "gguf", "gguf-q8_0")


def test_the_offers_tell_sizes_and_load_nothing(run, merged):
    with mock.patch.object(AutoModelForCausalLM, "from_pretrained", side_effect=AssertionError("loaded")):
        text = notebook.offers_markdown(run, TINY, ROOT)
    told = dict(re.findall(r"\| `([^`]+)` \| [^|]+ \| (\S+) MiB \|", text))
    made = (merged / "model.safetensors").stat().st_size / 2**20
    assert float(told["merged"]) == float(told["gguf"]) == pytest.approx(made, rel=0.05)
    assert float(told["gguf-q8_0"]) == pytest.approx(made * 17 / 32, rel=0.05)
    assert float(told["adapter"]) == pytest.approx(sizes.size_of(run / "grpo" / "adapter") / 2**20, abs=0.06)
    assert "`results/mine-export` has" in text and "downloaded" not in text


def test_a_run_without_an_adapter(tmp_path):
    with pytest.raises(FileNotFoundError, match="run notebooks/02_GRPO_reasoning_tuning.ipynb with RUN = 'mine' first"):
        take(tmp_path / "results" / "mine", "merged")


# 2. Room: asked before anything is loaded.


def little_of(monkeypatch, what: str) -> None:
    if what == "disk":
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    else:
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2**20))


@pytest.mark.parametrize(
    ("what", "wanted", "says"),
    [
        ("disk", "merged", r"This export needs 1.7 MiB on the disk of .*mine-export, and 1.0 MiB are free: delete old exports"),
        ("disk", "adapter", r"This export needs 1.2 MiB on the disk of .*mine-export"),
        ("memory", "merged", r"Merging needs 4.1 MiB of memory, and this machine has 1.0 MiB free: restart the session"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="the memory that counts is the card's")
def test_too_little_room_is_said_before_anything_is_loaded(run, monkeypatch, what, wanted, says):
    little_of(monkeypatch, what)
    monkeypatch.setattr(models, "load_base", mock.Mock(side_effect=AssertionError("loaded")))
    with pytest.raises(RuntimeError, match=says):
        take(run, wanted)
    assert not run.with_name("mine-export").exists()


def test_one_disk_has_to_hold_all_that_goes_there(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=15))
    sizes.require_room({tmp_path / "a": 15})
    with pytest.raises(RuntimeError, match="/a and .*/b, and"):
        sizes.require_room({tmp_path / "a": 10, tmp_path / "b": 10})


def test_an_earlier_export_counts_as_room(tmp_path):
    (tmp_path / "old").write_bytes(bytes(100))
    assert [sizes.replacing(tmp_path, size) for size in (80, 130)] == [0, 30] and sizes.replacing(tmp_path / "none", 5) == 5


def test_a_base_trained_in_4_bits_has_to_be_downloaded_again(tmp_path, monkeypatch):
    recipe = replace(TINY, base_model="owner/base")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert (sizes.to_download(TINY, 1000), sizes.to_download(recipe, 1000)) == (0, 2000)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model-1.safetensors").write_bytes(bytes(1500))
    monkeypatch.setattr(sizes, "snapshot_download", lambda *_, **__: str(tmp_path / "base"))
    assert sizes.to_download(recipe, 1000) == 500


# 3. The adapter and the merged model.


def test_the_adapter_is_copied_without_a_path_of_this_machine(run, adapter):
    made = take(run, "adapter")["adapter"]
    assert made == run.with_name("mine-export") / "adapter" and not (made / "README.md").exists()
    assert str(ROOT) in (adapter / "adapter_config.json").read_text()
    assert str(ROOT) not in (made / "adapter_config.json").read_text()
    assert json.loads((made / "adapter_config.json").read_text())["base_model_name_or_path"] == "data/tiny-base"
    for name in ("adapter_model.safetensors", "tokenizer.json", "chat_template.jinja"):
        assert (made / name).read_bytes() == (adapter / name).read_bytes()


def test_the_merged_model_writes_what_adapter_and_base_write(run, capsys):
    folder = take(run, "merged", questions=QUESTIONS)["merged"]
    told = capsys.readouterr().out
    said = re.search(r"(\d) of 3 greedy completions are identical.*the logits differ by at most (\S+)\.\n", told)
    assert int(said[1]) >= 2 and 0 < float(said[2]) < 0.1  # float16 weights against float32
    model = AutoModelForCausalLM.from_pretrained(folder)  # by Transformers alone, as a stranger would
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.float16 and not hasattr(model, "peft_config")
    assert tokenizer.chat_template == plain_template(FORMATS["tags"]) and tokenizer.eos_token == "<|im_end|>"
    assert model.generation_config.eos_token_id == [tokenizer.eos_token_id, tokenizer.pad_token_id]
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())


def test_the_comparison_sees_another_model(adapter):
    base, tokenizer = models.load_base(TINY, ROOT, "peft")
    prompts = compare.chat_prompts(tokenizer, QUESTIONS)
    before = compare.trace(base, tokenizer, prompts)
    assert compare.compare(before, before, tokenizer.pad_token_id) == compare.Comparison(3, 3, None, 0.0)
    after = compare.trace(models.load_adapter(base, adapter, trainable=False), tokenizer, prompts)
    result = compare.compare(before, after, tokenizer.pad_token_id)
    assert result.identical < 3 and result.first_difference and result.logit_difference > 0.5


def made_up_trace(*rows: list[int]) -> compare.Trace:
    """A trace whose logits are the tokens themselves, so that a difference of logits is one of tokens."""
    tokens = torch.tensor(rows)
    return compare.Trace(tokens, tokens.T[:, :, None].float())


def test_a_comparison_ends_where_the_texts_part():
    first = made_up_trace([5, 6, 7, 2, 0], [5, 6, 7, 8, 9])
    second = made_up_trace([5, 6, 7, 2, 0], [5, 6, 4, 90, 90])
    assert compare.compare(first, second, 0) == compare.Comparison(2, 1, 3, 3.0)  # 7 against 4; what follows is another text
    longer = made_up_trace([5, 6, 7, 2, 9], [5, 6, 7, 8, 9])
    assert compare.compare(first, longer, 0) == compare.Comparison(2, 1, 5, 9.0)
    assert str(compare.compare(first, second, 0)) == (
        "1 of 2 greedy completions are identical, the first difference at token 3; the logits differ by at most 3"
    )


def test_the_base_is_loaded_unquantised_and_the_result_rounded_last(adapter, tmp_path, monkeypatch, capsys):
    seen, load = [], models.load_base
    monkeypatch.setattr(models, "load_base", lambda recipe, *rest: seen.append(recipe) or load(recipe, *rest))
    recipe = replace(TINY, load_in_4bit=True)
    merge.export_merged(adapter, recipe, ROOT, "peft", tmp_path / "merged", QUESTIONS[:1])
    assert [(was.load_in_4bit, was.base_model) for was in seen] == [(False, "data/tiny-base"), (False, str(tmp_path / "merged"))]
    base, _ = load(TINY, ROOT, "peft")
    exact = models.load_adapter(base, adapter, trainable=False).merge_and_unload().state_dict()
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").state_dict()
    assert all(torch.equal(saved[name], weight.half()) for name, weight in exact.items())


def test_an_adapter_of_another_recipe_is_refused(adapter, tmp_path):
    with pytest.raises(ValueError, match="was trained with another chat_template than the recipe has now"):
        merge.export_merged(adapter, replace(TINY, format="xml"), ROOT, "peft", tmp_path / "merged", ())


def test_weights_that_float16_cannot_hold_are_refused(adapter, tmp_path, monkeypatch):
    add = models.load_adapter

    def too_large(*args, **kwargs):
        model = add(*args, **kwargs)
        next(model.parameters()).data[0, 0] = 1e6
        return model

    monkeypatch.setattr(models, "load_adapter", too_large)
    with pytest.raises(ValueError, match="do not fit in float16 .model.embed_tokens.weight has infinite values.: merge on"):
        merge.export_merged(adapter, TINY, ROOT, "peft", tmp_path / "merged", ())
    assert not (tmp_path / "merged").exists()


# 4. GGUF. The converter is not a package, so what needs the real one is skipped where it is not.

CONVERTER = """
import argparse, pathlib, sys
class TextModel:
    def get_vocab_base_pre(self, tokenizer): raise NotImplementedError("unknown tokenizer")
def main():
    parser = argparse.ArgumentParser()
    for name in ("model", "--outtype", "--outfile"): parser.add_argument(name)
    given = parser.parse_args()
    pathlib.Path(given.outfile).write_text(f"{given.outtype} {TextModel().get_vocab_base_pre(None)}")
if __name__ == "__main__": main()
"""


@pytest.fixture
def made_up_converter(tmp_path, monkeypatch) -> Path:
    """A converter that refuses the tokenizer as llama.cpp's does, and writes what it was told."""
    (tmp_path / "llama").mkdir()
    script = tmp_path / "llama" / gguf.SCRIPT
    script.write_text(CONVERTER)
    monkeypatch.setenv("LLAMA_CPP", str(script.parent))
    monkeypatch.setattr(gguf, "find_spec", lambda name: name == "sentencepiece" or None)
    return script


def test_the_tiny_base_is_converted_as_the_nearest_tokenizer(run, made_up_converter, quick_merge, capsys):
    made = take(run, "ollama", "gguf-q8_0", questions=QUESTIONS[:1])
    assert made["gguf"].read_text() == "q8_0 qwen2" and {path.name for path in made["gguf"].parent.iterdir()} == {
        "model-q8_0.gguf",
        "Modelfile",
    }
    assert made["ollama"].read_text().startswith("FROM ./model-q8_0.gguf\n")
    told = capsys.readouterr().out
    assert "does not know the tiny base's tokenizer" in told and "logits were not compared: that takes llama.cpp's bind" in told


def test_a_converter_that_fails_is_quoted(merged, made_up_converter, tmp_path):
    with pytest.raises(RuntimeError, match="could not make a GGUF of merged .NotImplementedError: unknown tokenizer.: it may be"):
        gguf.export_gguf(merged, replace(TINY, base_model="owner/base"), gguf.find_converter(), tmp_path / "gguf")
    assert list((tmp_path / "gguf").iterdir()) == []


def test_what_the_converter_lacks_is_said_before_the_merge(run, tmp_path, monkeypatch):
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for present, error, says in [
        (False, ModuleNotFoundError, "run `pip install sentencepiece`"),
        (True, FileNotFoundError, "GGUF needs llama.cpp's convert_hf_to_gguf.py, and there is none here: run `git clone"),
    ]:
        monkeypatch.setattr(gguf, "find_spec", lambda _, present=present: present or None)
        with pytest.raises(error, match=says):
            take(run, "gguf")
    assert not run.with_name("mine-export").exists()


def real_converter() -> Path | None:
    try:
        return gguf.find_converter()
    except (FileNotFoundError, ModuleNotFoundError):
        return None


@pytest.mark.skipif(real_converter() is None, reason="no llama.cpp here: set LLAMA_CPP to its folder, install sentencepiece")
@pytest.mark.parametrize(("kind", "bound"), [("f16", 0.05), ("q8_0", 1.0)])
def test_llama_cpp_computes_what_transformers_computes(merged, tmp_path, kind, bound):
    path = gguf.export_gguf(merged, TINY, real_converter(), tmp_path, kind)
    assert path.stat().st_size == pytest.approx(sizes.size_of(merged) * gguf.TYPES[kind] / 2, rel=0.05)
    if importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("the GGUF was made; llama.cpp's bindings, which compute with it, are not installed")
    found = gguf.read_gguf(path, merged, TINY, "peft", QUESTIONS)
    assert found.prompts == 3 and found.positions > 50
    assert found.same_choice >= 0.95 * found.positions and found.logit_difference < bound, str(found)
    assert found.same_tokens == 0 and "reads text otherwise than the model was trained to" in str(found)


# 5. The Modelfile: Go's template writes what Jinja's writes.

CONVERSATIONS = {
    "question": [("user", "What is 2 + 2?")],
    "several lines": [("user", 'First.\n\nSecond with {{ braces }} and "quotes".')],
    "turns": [("user", "2 + 2?"), ("assistant", "4<end_working_out><SOLUTION>4</SOLUTION>"), ("user", "And 3 + 3?")],
    "own system": [("system", "Be brief."), ("user", "What is 2 + 2?")],
}


def go(template: str, messages: list[dict]) -> str:
    """Render the part of Go's text/template that `go_template` uses: range .Messages, if eq .Role, else, end, two fields."""
    tokens = re.split(r"(\{\{.*?\}\})", template)

    def block(at: int, message: dict | None, live: bool) -> tuple[str, int]:
        out = ""
        while at < len(tokens):
            token = tokens[at].strip("{} ") if tokens[at].startswith("{{") else None
            if token is None:
                out += tokens[at] if live else ""
            elif token in ("end", "else"):
                return out, at
            elif token == "range .Messages":
                parts = [block(at + 1, each, live) for each in messages]
                out, at = out + "".join(text for text, _ in parts), parts[0][1]
            elif test := re.fullmatch(r'if eq \.Role "(\w+)"', token):
                holds = message["role"] == test[1]
                then, at = block(at + 1, message, live and holds)
                otherwise, at = block(at + 1, message, live and not holds)
                out += then + otherwise
            else:
                out += {".Role": message["role"], ".Content": message["content"]}[token] if live else ""
            at += 1
        return out, at

    text, end = block(0, None, True)
    assert end == len(tokens), "a block that was never closed"
    return text


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("system", [None, "", "Think hard."])
@pytest.mark.parametrize("fmt", FORMATS)
def test_the_go_template_writes_what_the_jinja_template_writes(fmt, system, conversation):
    messages = [{"role": role, "content": content} for role, content in CONVERSATIONS[conversation]]
    for template in ("chatml", "plain"):
        recipe = replace(TINY, format=fmt, template=template, system_prompt=system)
        text = ollama.modelfile(recipe, "./model.gguf", ["<|im_end|>"], 512)
        written = re.search(r'TEMPLATE """(.*?)"""', text, re.S)[1]
        told = re.search(r'SYSTEM """(.*?)"""', text, re.S)
        # Ollama puts the Modelfile's SYSTEM before messages that have none.
        given = [{"role": "system", "content": told[1]}] if told and messages[0]["role"] != "system" else []
        ours = plain_template(FORMATS[fmt]) if template == "plain" else chat_template(FORMATS[fmt], system)
        expected = Environment().from_string(ours, globals={}).render(messages=messages, add_generation_prompt=True)
        assert go(written, given + messages) == expected, template


def test_a_modelfile_has_the_stops_and_decoding_of_the_measurement(merged, tmp_path):
    path = ollama.export_modelfile(tmp_path / "model-f16.gguf", merged, TINY)
    assert path.read_text() == (
        'FROM ./model-f16.gguf\nTEMPLATE """{{ range .Messages }}{{ if eq .Role "user" }}Problem: {{ .Content }}\nSolution:\n'
        '{{ else }}{{ .Content }}<|im_end|>\n{{ end }}{{ end }}<start_working_out>"""\n'
        'PARAMETER stop "<|im_end|>"\nPARAMETER stop "<|endoftext|>"\n'
        "# As it was measured: greedily, within this budget, and without a penalty on what repeats, as digits do.\n"
        "PARAMETER temperature 0\nPARAMETER repeat_penalty 1\nPARAMETER num_predict 256\nPARAMETER num_ctx 512\n"
    )


# 6. The hub, and copies.


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folder of a hub on the loopback address, which this process now takes for the hub."""
    (tmp_path / "hub" / "models").mkdir(parents=True)
    with Hub(tmp_path / "hub") as served:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        yield tmp_path / "hub"


def test_adapter_and_merged_model_are_pushed_privately_with_the_card(run, hub, quick_merge, capsys):
    made = take(run, "hub:me/lora", "hub-merged:me/whole")
    lora, whole = hub / "models" / "me" / "lora", hub / "models" / "me" / "whole"
    assert (lora / ".private").exists() and (whole / ".private").exists()
    assert {path.name for path in lora.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"}
    for name in ("model.safetensors", "generation_config.json", "chat_template.jinja"):
        assert (whole / name).read_bytes() == (made["merged"] / name).read_bytes()
    assert made["hub:me/lora"].endswith("/me/lora") and re.search(r"Uploading 1\.\d MiB to me/lora", capsys.readouterr().out)
    card = (whole / "README.md").read_text()
    assert card.startswith(
        '---\nlibrary_name: "transformers"\ntags: ["grpo"]\n---\n\n> This repository holds the adapter folded into'
    )
    assert card.endswith("# mine\n\nA LoRA adapter.\n\n---\n\nThe end.\n") and 'from_pretrained("me/whole")' in card
    assert (lora / "README.md").read_text().startswith('---\nlibrary_name: "peft"')


def test_a_public_repository_takes_nothing_unless_told(run, hub):
    (hub / "models" / "me" / "open").mkdir(parents=True)
    with pytest.raises(OSError, match="The hub repository me/open is public: choose another name, or"):
        take(run, "hub:me/open")
    assert list((hub / "models" / "me" / "open").iterdir()) == []
    take(run, "hub:me/open", private=False)
    assert (hub / "models" / "me" / "open" / "README.md").is_file()


def test_a_missing_token_is_said_before_anything_is_made(run, hub, monkeypatch):
    (hub / ".token").write_text("hf_right")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(OSError, match=r"The hub repository me/lora cannot be written to .*401.*: set HF_TOKEN to a token"):
        take(run, "hub:me/lora")
    assert not run.with_name("mine-export").exists()
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert take(run, "hub:me/lora")["hub:me/lora"].endswith("/me/lora")


def test_an_upload_that_fails_leaves_the_export(run, hub, monkeypatch):
    lost = mock.Mock(side_effect=httpx.ConnectError("No route to the hub"))
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", lost)
    with pytest.raises(OSError, match="Uploading to me/lora failed .No route to the hub.: what was exported lies in .*adapter"):
        take(run, "hub:me/lora")
    assert (run.with_name("mine-export") / "adapter" / "adapter_model.safetensors").is_file()


def test_a_run_without_a_card_is_not_pushed(run, hub):
    (run / "MODEL_CARD.md").unlink()
    with pytest.raises(FileNotFoundError, match="There is no MODEL_CARD.md in mine: run the cell that writes the card first"):
        take(run, "hub:me/lora")
    assert list((hub / "models").iterdir()) == []


def test_a_copy_goes_to_drive_on_colab(run, tmp_path, monkeypatch):
    monkeypatch.setattr(mirror, "DRIVE", tmp_path / "content")
    module = ModuleType("google.colab")
    module.drive = SimpleNamespace(mount=mock.Mock(side_effect=lambda path: (Path(path) / "MyDrive").mkdir(parents=True)))
    monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", module)
    copy = take(run, "drive")["drive"]
    assert copy == tmp_path / "content" / "MyDrive" / "grpo-math-runs" / "mine-export"
    assert (copy / "adapter" / "adapter_model.safetensors").is_file()
    module.drive.mount.assert_called_once_with(str(tmp_path / "content"))
    monkeypatch.setattr(mirror, "DRIVE", tmp_path / "refused")
    module.drive.mount.side_effect = ValueError("mount failed")
    with pytest.raises(OSError, match="Drive could not be used .ValueError: mount failed.: run this cell again and allow it"):
        take(run, "drive")


def test_elsewhere_a_copy_needs_a_folder(run, quick_merge, tmp_path):
    with pytest.raises(ValueError, match="'drive' is Colab's Google Drive: elsewhere name a folder, as in 'drive:/a/folder'"):
        take(run, "drive")
    made = take(run, "merged", f"drive:{tmp_path}/disk")
    assert {path.name for path in (tmp_path / "disk" / "mine-export").iterdir()} == {"merged"}
    assert sizes.size_of(tmp_path / "disk") == sizes.size_of(made["merged"])
