"""The recipes are data: frozen, printable, with sizes that add up and arguments that the installed trainers take."""

import dataclasses
from pathlib import Path

import pytest
import torch

from grpo_lab import models, recipes, training
from grpo_lab.host import Device
from grpo_math import rewards
from grpo_math.formats import get_format

ALL = [pytest.param(recipe, id=name) for name, recipe in recipes.RECIPES.items()]


@pytest.mark.parametrize("recipe", ALL)
def test_a_recipe_is_frozen_and_prints_every_setting(recipe):
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.max_length = 1
    assert all(f"{field.name}=" in repr(recipe) for field in dataclasses.fields(recipe))
    assert hash(recipe) is not None, "a recipe holds nothing that can change"


# Each recipe as it is, shortened for a trial, and as it fits each kind of hardware.
AS_IT_IS = {name: (recipe, recipe) for name, recipe in recipes.RECIPES.items()}
SHORTENED = {f"{name}-trial": (recipes.shortened(recipe),) * 2 for name, recipe in recipes.RECIPES.items()}
FITTED = {
    f"{name}-{v.hardware}": (recipe, recipes.for_device(recipe, Device(v.kind, "a card", v.memory_gb, (8, 0))))
    for name, recipe in recipes.RECIPES.items()
    for v in recipe.variants
}


@pytest.mark.parametrize(("recipe", "fitted"), (AS_IT_IS | SHORTENED | FITTED).values(), ids=AS_IT_IS | SHORTENED | FITTED)
def test_batches_and_rates_reach_the_trainers_whatever_fits_at_once(recipe, fitted):
    config, plan = training.grpo_config(fitted, Path("out"), 0), recipe.grpo
    rollout = plan.prompts_per_rollout * plan.num_generations
    assert config.generation_batch_size == rollout
    assert config.per_device_train_batch_size * config.gradient_accumulation_steps * plan.updates_per_rollout == rollout
    assert config.learning_rate == plan.learning_rate and config.max_steps == plan.rollouts * plan.updates_per_rollout
    for stage in filter(None, (fitted.priming, fitted.sft)):
        config = training.sft_config(fitted, stage, Path("out"), 0)
        assert config.per_device_train_batch_size * config.gradient_accumulation_steps == stage.batch_size
    assert fitted.grpo.max_completion_length < fitted.max_length, "the prompt has room"
    assert fitted.evaluation.max_completion_length >= fitted.grpo.max_completion_length


def test_each_variant_is_taken_where_it_just_fits():
    assert all(fitted.hardware in name for name, (_, fitted) in FITTED.items())


@pytest.mark.parametrize("recipe", ALL)
def test_the_rewards_of_a_recipe_are_sound(recipe):
    assert rewards.margin(rewards.reward_set(get_format(recipe.format), recipe.rewards)) > 0


# What is known of the systems that the recipes follow.
FACTS = {
    "qwen3-4b-openr1": ("unsloth/Qwen3-4B-Base", "boxed", True, True, "open-r1/OpenR1-Math-220k"),
    "qwen3-4b-dapo": ("unsloth/Qwen3-4B-Base", "tags", True, False, "open-r1/DAPO-Math-17k-Processed"),
    "qwen3-4b-engine": ("unsloth/Qwen3-4B-Base", "tags", True, False, "open-r1/OpenR1-Math-220k"),
    "qwen2.5-0.5b-gsm8k": ("Qwen/Qwen2.5-0.5B-Instruct", "xml", False, False, "openai/gsm8k"),
    "qwen2.5-3b-gsm8k": ("Qwen/Qwen2.5-3B-Instruct", "xml", False, False, "openai/gsm8k"),
}


@pytest.mark.parametrize(("name", "facts"), FACTS.items(), ids=FACTS)
def test_a_recipe_is_the_system_that_it_follows(name, facts):
    recipe = recipes.get_recipe(name)
    got = (recipe.base_model, recipe.format, recipe.priming is not None, recipe.sft is not None, recipe.grpo.source.path)
    assert got == facts, f"{name}: got {got}, expected {facts}"


def test_facts_of_single_recipes():
    assert recipes.get_recipe("qwen3-4b-openr1").evaluation.problems == 2000
    small = recipes.get_recipe("qwen2.5-0.5b-gsm8k")
    assert small.precision == "float32" and small.grpo.prompts_per_rollout * small.grpo.num_generations == 16
    assert recipes.get_recipe("qwen2.5-3b-gsm8k").load_in_4bit


# device: (hardware, 4-bit weights, LoRA rank, completion tokens) of qwen3-4b-dapo
DEVICES = {
    "T4": (Device("cuda", "Tesla T4", 14.6, (7, 5)), ("T4, 16 GB", True, 16, 512)),
    "L4": (Device("cuda", "NVIDIA L4", 22.2, (8, 9)), ("L4, A10 or better, 24 GB", False, 32, 1024)),
    "A100 40": (Device("cuda", "A100-SXM4-40GB", 39.4, (8, 0)), ("L4, A10 or better, 24 GB", False, 32, 1024)),
    "H100": (Device("cuda", "H100 80GB HBM3", 79.2, (9, 0)), ("A100 or H100, 80 GB", False, 32, 2048)),
    "Mac": (Device("mps", "Apple M3 Max", 36.0), ("Apple Silicon, 32 GB", False, 16, 512)),
    "too small": (Device("cuda", "GTX 1660", 5.8, (7, 5)), ("T4, 16 GB", True, 16, 512)),
}
CPU = Device("cpu", "x86_64", 24.0)


@pytest.mark.parametrize(("device", "expected"), DEVICES.values(), ids=DEVICES)
def test_the_variant_follows_the_device_and_says_so(device, expected, capsys):
    recipe = recipes.for_device(recipes.get_recipe("qwen3-4b-dapo"), device)
    assert (recipe.hardware, recipe.load_in_4bit, recipe.lora.rank, recipe.grpo.max_completion_length) == expected
    assert recipe.lora.alpha == 2 * recipe.lora.rank
    assert recipe.evaluation.max_completion_length == 2 * recipe.grpo.max_completion_length
    said = capsys.readouterr().out
    assert said.startswith(f"qwen3-4b-dapo for {expected[0]}, because the device is {device}")
    assert ("lora.rank 16 → " in said) == (expected[2] != 16)


def test_what_somebody_set_wins_over_the_hardware(capsys):
    recipe = recipes.get_recipe("qwen3-4b-openr1")
    mine = dataclasses.replace(recipe, lora=recipes.Lora(64, 64), max_length=1500)
    for device in (DEVICES["T4"][0], Device("cuda", "A100", 79.0, (8, 0))):
        fitted = recipes.for_device(mine, device)
        assert fitted.lora == mine.lora and fitted.max_length == 1500
    assert "grpo.micro_batch 2 → 8" in capsys.readouterr().out
    named = recipes.for_device(recipe, Device("cuda", "L4", 22.0, (8, 9)), "t4")
    assert named.hardware == "T4, 16 GB" and capsys.readouterr().out == "qwen3-4b-openr1 for T4, 16 GB, as HARDWARE says.\n"
    with pytest.raises(ValueError, match="HARDWARE = 'V100' is no variant of qwen3-4b-openr1. There are: A100 or H100, 80 GB;"):
        recipes.for_device(recipe, DEVICES["T4"][0], "V100")
    with pytest.raises(ValueError, match="There are: none, so leave it empty"):
        recipes.for_device(recipes.TINY, CPU, "T4")
    assert recipes.for_device(recipe, CPU) is recipe and capsys.readouterr().out == "", "refused by preflight"


UNEVEN = {  # name: (settings of GRPO, words of the message)
    "updates": (
        {"prompts_per_rollout": 5, "num_generations": 4, "updates_per_rollout": 3},
        "20 completions by updates_per_rollout = 3",
    ),
    "micro batch": (
        {"prompts_per_rollout": 5, "num_generations": 4, "updates_per_rollout": 2, "micro_batch": 4},
        "10 each, by micro_",
    ),
}


@pytest.mark.parametrize(("settings", "words"), UNEVEN.values(), ids=UNEVEN)
def test_batches_that_do_not_divide_are_refused_in_the_recipes_words(settings, words):
    for recipe in recipes.RECIPES.values():
        recipes.check_batches(recipe)
    tiny = recipes.TINY
    with pytest.raises(ValueError, match=words):
        recipes.check_batches(dataclasses.replace(tiny, grpo=dataclasses.replace(tiny.grpo, **settings)))
    with pytest.raises(ValueError, match="batch_size = 32 of sft by micro_batch = 5"):
        recipes.check_batches(dataclasses.replace(tiny, sft=dataclasses.replace(tiny.sft, micro_batch=5)))


@pytest.mark.parametrize("recipe", [param for param in ALL if param.values[0].variants])
def test_the_record_holds_the_values_of_a_t4(recipe):
    on_a_t4 = recipes.for_device(recipe, DEVICES["T4"][0])
    assert on_a_t4 == dataclasses.replace(recipe, hardware="T4, 16 GB")


def test_the_tiny_recipe_and_a_trial_run_anywhere():
    cpu = CPU
    for recipe in (recipes.TINY, recipes.get_recipe("qwen3-4b-dapo", trial=True)):
        assert recipes.for_device(recipe, cpu) is recipe and not recipe.needs.gpu
    assert all(
        recipe.needs.gpu and recipe.needs.model == recipe.base_model for recipe in recipes.RECIPES.values() if recipe.variants
    )


# card: (capability, precision of a recipe that leaves it to the device)
CARDS = {"T4": ((7, 5), torch.float16), "A100": ((8, 0), torch.bfloat16), "L4": ((8, 9), torch.bfloat16)}


@pytest.mark.parametrize(("capability", "dtype"), CARDS.values(), ids=CARDS)
def test_precision_follows_the_card_unless_the_recipe_says_float32(capability, dtype, monkeypatch):
    monkeypatch.setattr(models.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(models.torch.cuda, "get_device_capability", lambda: capability)
    assert models.compute_dtype(recipes.get_recipe("qwen3-4b-dapo")) is dtype
    assert models.compute_dtype(recipes.get_recipe("qwen2.5-0.5b-gsm8k")) is torch.float32
    args = training.device_args(recipes.get_recipe("qwen3-4b-dapo"))
    assert (args["fp16"], args["bf16"]) == (dtype is torch.float16, dtype is torch.bfloat16)
    assert not args["use_cpu"] and args["gradient_checkpointing"]


def test_a_recipe_without_sft_says_where_to_go_on():
    with pytest.raises(ValueError, match="no supervised stage: go on with notebooks/02"):
        recipes.require_supervised(recipes.get_recipe("qwen2.5-3b-gsm8k"))
    recipes.require_supervised(recipes.TINY)
