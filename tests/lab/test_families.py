"""Any chat or base model as MODEL: its own template and end of turn, padding, one BOS; and what is refused, in a sentence."""

import dataclasses
from pathlib import Path

import pytest
import torch
from families import FAMILIES, Family
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from grpo_lab import attention, chat, data, evaluation, export, models, recipes
from grpo_lab.recipes import TINY
from grpo_math.formats import FORMATS, chat_template, plain_prompt, plain_template, question_prompt

ROOT = Path(__file__).parents[2]
CHATML = recipes.get_recipe("qwen3-4b-dapo")
OWN = [name for name in FAMILIES if FAMILIES[name].template and "<|im_start|>" not in FAMILIES[name].special]
families = pytest.mark.parametrize("name", FAMILIES)


@pytest.fixture(scope="session")
def bases(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bases")
    for name, family in FAMILIES.items():
        family.save(folder / name)
    return folder


def prepared(family: Family, recipe: recipes.Recipe = CHATML):
    return chat.prepare_tokenizer(family.tokenizer(), recipe)


@pytest.mark.parametrize("fmt", FORMATS)
@families
def test_what_is_asked_is_what_the_answer_follows_in_training(name, fmt):
    family, form = FAMILIES[name], FORMATS[fmt]
    tokenizer = prepared(family, dataclasses.replace(CHATML, format=fmt))
    assert (tokenizer.eos_token, tokenizer.pad_token) == (family.end, family.padding)
    asked = [{"role": "user", "content": "What is 3 + 4?"}]
    target = form.render_target("3 + 4 = 7.", "7")
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True)["input_ids"]  # as TRL does
    whole = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": target}])["input_ids"]
    assert whole[: len(prompt)] == prompt
    answer = whole[len(prompt) :]
    end = answer.index(tokenizer.eos_token_id)
    answered = form.reasoning_start + tokenizer.decode(answer[:end])
    assert answered.replace(" ", "") == target.replace(" ", "") and not tokenizer.decode(answer[end + 1 :]).strip()
    text = tokenizer.decode(prompt)
    assert text.endswith(form.reasoning_start) and not text.endswith(" ")
    assert text.count(form.system_prompt) == (name != "llama3-base")


@families
def test_a_text_begins_once(name):
    family, rows = FAMILIES[name], data.load_problems(TINY, "dev", 1)
    question = rows[0]["prompt"][-1]["content"]
    for recipe in (CHATML, TINY):
        tokenizer = prepared(family, recipe)
        for style in ("chat", "plain", "few-shot", "question"):
            (prompt,) = evaluation.render_prompts(tokenizer, rows, style)
            ids = tokenizer(prompt, add_special_tokens=False).input_ids
            assert prompt.count(question) == 1 and ids.count(tokenizer.bos_token_id) == bool(family.adds_bos)
            assert not family.adds_bos or ids[0] == tokenizer.bos_token_id


def test_each_is_asked_alone_in_its_own_way():
    alone = {name: chat.ask_alone(prepared(FAMILIES[name]), "6 * 7?") for name in FAMILIES}
    assert alone["qwen2.5-chat"] == question_prompt("6 * 7?")
    assert alone["llama3-base"] == "<|begin_of_text|>" + plain_prompt("6 * 7?")
    for name in OWN:
        unwrapped = FAMILIES[name].tokenizer()
        unwrapped.chat_template = unwrapped.chat_template.replace("strftime_now('%d %b %Y')", "'1 January 2025'")
        text = unwrapped.apply_chat_template([{"role": "user", "content": "6 * 7?"}], tokenize=False, add_generation_prompt=True)
        assert alone[name] == ("<s>" if name == "zephyr" else "") + text


@families
def test_chatml_and_the_tiny_recipe_are_as_they_were(name):
    """Templates are compared with those of trained adapters, so where no BOS is added they stay the same to the byte."""
    family = FAMILIES[name]
    begin = f'{{{{ "{family.bos}" }}}}' if family.adds_bos else ""
    if "<|im_start|>" in family.special:
        assert prepared(family).chat_template == begin + chat_template(FORMATS["tags"])
        assert prepared(family, TINY).chat_template == begin + plain_template(FORMATS["tags"])
    own_end = plain_template(FORMATS["tags"]).replace("<|im_end|>", prepared(family, TINY).eos_token)
    assert prepared(family, TINY).chat_template == begin + own_end


def test_a_base_without_a_template_is_named(capsys):
    for name in FAMILIES:
        prepared(FAMILIES[name])
        assert ("has no chat template: it is asked" in capsys.readouterr().out) == (name == "llama3-base")


@families
def test_what_was_exported_is_prepared_as_before(name, tmp_path):
    for recipe in (CHATML, TINY):
        tokenizer = prepared(FAMILIES[name], recipe)
        tokenizer.save_pretrained(tmp_path)
        again = models.load_tokenizer(dataclasses.replace(recipe, base_model=str(tmp_path)), ROOT)
        models.check_tokenizer(again, tmp_path)


SYSTEM = {
    "none": ("", [], ""),
    "another": ('Be "brief"', [], 'Be "brief"'),
    "the conversation's own": (None, [{"role": "system", "content": "Be long."}], "Be long."),
}


@pytest.mark.parametrize(("given", "before", "expected"), SYSTEM.values(), ids=SYSTEM)
def test_the_system_turn_and_a_date_that_stays(given, before, expected):
    tokenizer = prepared(FAMILIES["llama3-chat"], dataclasses.replace(CHATML, system_prompt=given))
    text = tokenizer.apply_chat_template([*before, {"role": "user", "content": "Hi"}], tokenize=False)
    system = f"system<|end_header_id|>\n\nToday: 1 January 2025\n\n{expected}<|eot_id|>"
    user = "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    assert text == f"<|begin_of_text|><|start_header_id|>{system}{user}"


def changed(name: str, old: str, new: str) -> Family:
    family = FAMILIES[name]
    assert old in family.template
    return dataclasses.replace(family, template=family.template.replace(old, new))


LLAMA3, MISTRAL = "llama3-chat", "mistral-chat"
NO_PADDING = dataclasses.replace(FAMILIES["qwen3-base"], special=("<|im_start|>", "<|im_end|>"), eos="<|im_end|>", pad=None)
REFUSED = {
    "opens a thought": (changed(LLAMA3, "assistant<|end_header_id|>", "assistant<think>"), "begins an answer otherwise"),
    "cuts the answer": (changed(LLAMA3, "['content'] | trim", "['content'][:30]"), "changes an answer"),
    "takes lists": (changed(MISTRAL, "message['content'] + '", "message['content'][0].text + '"), "takes no plain texts"),
    "ends nothing": (changed(MISTRAL, "trim + eos_token", "trim"), "changes an answer, or marks no end"),
    "no padding": (NO_PADDING, "no token to pad with but <.im_end.>"),
}


@pytest.mark.parametrize(("family", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trained_is_refused(family, why):
    with pytest.raises(ValueError, match=f"{why}.*set MODEL to a base"):
        prepared(family)


def test_a_prompt_whose_last_token_depends_on_the_answer_is_refused(monkeypatch):
    monkeypatch.setattr("families.TEXTS", 9 * ["]: 6 * 7 = 42."])
    family = changed("mistral-chat", "' [/INST]'", "' [/INST]:'")
    with pytest.raises(ValueError, match="the tokens of a prompt are not those that its answer follows"):
        prepared(family, dataclasses.replace(CHATML, format="boxed"))


def load(bases: Path, name: str) -> AutoModelForCausalLM:
    return models.load_base(dataclasses.replace(CHATML, base_model=str(bases / name), precision="float32"), ROOT, "peft")


@families
def test_layers_that_lora_leaves_out_are_named(name, bases, capsys):
    model, _ = load(bases, name)
    capsys.readouterr()
    models.add_adapter(model, TINY.lora, "peft", 0)
    kinds = "conv1d, in_proj_a, in_proj_b, in_proj_qkv, in_proj_z, out_proj"
    left = f"6 weights of the model's blocks have no adapter and stay as they are: {kinds}.\n"
    assert capsys.readouterr().out == (left if name == "qwen3.5" else "")


def test_a_model_without_such_layers_is_refused():
    model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=9))
    with pytest.raises(ValueError, match="The GPT2LMHeadModel has none of the layers that LoRA is put on .*: set MODEL"):
        models.add_adapter(model, TINY.lora, "peft", 0)


def test_an_adapter_of_another_base_is_refused(bases, tmp_path):
    models.add_adapter(load(bases, "llama3-chat")[0], TINY.lora, "peft", 0).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="does not fit the model: its weights have other shapes, .* on .*llama3-chat"):
        models.load_adapter(models.load_base(TINY, ROOT, "peft")[0], tmp_path)


def test_a_merged_model_is_compared_by_prompts_of_several_lengths(bases, tmp_path, capsys):
    recipe = dataclasses.replace(CHATML, base_model=str(bases / "llama3-chat"), precision="float32", load_in_4bit=False)
    model, tokenizer = load(bases, "llama3-chat")
    models.save_adapter(models.add_adapter(model, TINY.lora, "peft", 0), tokenizer, tmp_path / "run" / "grpo" / "adapter")
    export.merge_adapter(tmp_path / "run", recipe, ROOT, "peft", ["6 * 7?", "What is 3 + 4?"])
    assert float(capsys.readouterr().out.rsplit(" ", 1)[1].rstrip(".\n")) < 0.1, "the logits of a merge in fp16"


@pytest.mark.parametrize("name", {family.kind: name for name, family in FAMILIES.items()}.values())
def test_on_a_cpu_each_architecture_writes_what_it_would_without_our_attention(name, bases):
    model, tokenizer = load(bases, name)
    batch = tokenizer(["What is 3 + 4?", "6 * 7, or 58 + 67 - 39, so"], padding=True, return_tensors="pt")
    logits = {}
    for kind in (model.config._attn_implementation, "sdpa"):
        model.set_attn_implementation(kind)
        written = model.generate(**batch, max_new_tokens=8, do_sample=False, return_dict_in_generate=True, output_logits=True)
        logits[kind] = torch.stack(written.logits)
    assert logits.keys() == {attention.NAME, "sdpa"}
    torch.testing.assert_close(*logits.values())
