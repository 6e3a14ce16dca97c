"""The recipes are data: frozen, printable, with sizes that add up and arguments that the installed trainers take."""

import dataclasses
from pathlib import Path

import pytest
import torch

from grpo_math import models, recipes, rewards, training
from grpo_math.formats import get_format

ALL = [pytest.param(recipe, id=name) for name, recipe in recipes.RECIPES.items()]


@pytest.mark.parametrize("recipe", ALL)
def test_a_recipe_is_frozen_and_prints_every_setting(recipe):
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.seed = 1
    assert all(f"{field.name}=" in repr(recipe) for field in dataclasses.fields(recipe))
    assert hash(recipe) is not None, "a recipe holds nothing that can change"


@pytest.mark.parametrize("short", [False, True], ids=["whole", "trial"])
@pytest.mark.parametrize("recipe", ALL)
def test_the_sizes_of_a_rollout_add_up(recipe, short):
    recipe = recipes.shortened(recipe) if short else recipe
    plan, config = recipe.grpo, training.grpo_config(recipe, Path("out"), 0, [])
    rollout = plan.prompts_per_rollout * plan.num_generations
    assert config.generation_batch_size == rollout
    assert config.per_device_train_batch_size * config.gradient_accumulation_steps * plan.updates_per_rollout == rollout
    assert config.max_steps == plan.rollouts * plan.updates_per_rollout


@pytest.mark.parametrize("recipe", ALL)
def test_every_stage_makes_trainer_settings(recipe):
    for stage in (recipe.priming, recipe.sft):
        if stage:
            config = training.sft_config(recipe, stage, Path("out"), 0, [])
            assert config.per_device_train_batch_size * config.gradient_accumulation_steps == stage.batch_size


@pytest.mark.parametrize("recipe", ALL)
def test_the_rewards_of_a_recipe_are_sound(recipe):
    assert rewards.margin(rewards.reward_set(get_format(recipe.format), recipe.rewards)) > 0


@pytest.mark.parametrize("recipe", ALL)
def test_the_budget_leaves_room_for_the_prompt(recipe):
    assert recipe.grpo.max_completion_length < recipe.max_length
    assert recipe.evaluation.max_completion_length >= recipe.grpo.max_completion_length


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


def test_a_recipe_for_a_gpu_refuses_a_cpu(monkeypatch):
    monkeypatch.setattr(models.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(models.torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="'qwen3-4b-dapo' needs a GPU and this machine shows none"):
        models.check_device(recipes.get_recipe("qwen3-4b-dapo"))
    models.check_device(recipes.get_recipe("qwen3-4b-dapo", trial=True))
    models.check_device(recipes.TINY)


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
