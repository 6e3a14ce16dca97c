"""What the five systems that the recipes follow promise, each promise an assertion on what the recipe resolves to.

What needs a real card is in `test_gpu.py`; what is met otherwise than promised says why in docs/recipes.md.
"""

from dataclasses import replace
from pathlib import Path

import public_rows
import pytest
from test_sources import WordTokenizer

from grpo_lab import data, recipes, training
from grpo_lab.host import Device
from grpo_math.formats import get_format
from grpo_math.rewards import margin, reward_name, reward_set

T4, L4 = Device("cuda", "T4", 15.0, (7, 5)), Device("cuda", "L4", 22.5, (8, 9))
MAC = Device("mps", "Apple Silicon", 32.0, None)
OPENR1, DAPO, ENGINE, SMALL, LARGER = (recipes.RECIPES[name] for name in (
    "qwen3-4b-openr1", "qwen3-4b-dapo", "qwen3-4b-engine", "qwen2.5-0.5b-gsm8k", "qwen2.5-3b-gsm8k"))  # fmt: skip


def paid_for(recipe: recipes.Recipe) -> set[str]:
    return {reward_name(function) for function in reward_set(get_format(recipe.format), recipe.rewards)}


def on(recipe: recipes.Recipe, device: Device) -> recipes.Recipe:
    return recipes.for_device(recipe, device)


PROMISES = {
    "openr1: priming on about 60 curated examples": lambda: OPENR1.priming.examples == 60 and OPENR1.priming.source is None,
    "openr1: then SFT on OpenR1-Math": lambda: OPENR1.sft.source.path == "open-r1/OpenR1-Math-220k",
    "openr1: GRPO on other problems than SFT": lambda: (
        {"SFT's half", "GRPO's half"} == {*OPENR1.sft.source.filters, *OPENR1.grpo.source.filters} - {"fits the context"}
    ),
    "openr1: free working, the answer in a box": lambda: OPENR1.format == "boxed",
    "openr1: 2,000 problems held out": lambda: OPENR1.evaluation.problems == 2000 and OPENR1.evaluation.source is None,
    "dapo: priming on numeric answers": lambda: "numeric answers" in DAPO.priming.source.filters,
    "dapo: GRPO on DAPO-Math in English": lambda: (
        (DAPO.grpo.source.path, DAPO.grpo.source.config) == ("open-r1/DAPO-Math-17k-Processed", "en")
    ),
    "dapo: the longest tenth of the prompts is dropped": lambda: DAPO.grpo.source.filters == ("prompt length",),
    "dapo: 100 steps": lambda: training.grpo_config(on(DAPO, T4), Path("out"), 0).max_steps == 100,
    "dapo: LoRA of rank 32 from an L4 on": lambda: on(DAPO, L4).lora.rank == 32,
    "dapo: measured on MATH-500": lambda: DAPO.evaluation.source.path == "HuggingFaceH4/MATH-500",
    "dapo: closeness to the answer pays": lambda: "proximity" in paid_for(DAPO),
    "engine: closeness to the answer pays": lambda: "proximity" in paid_for(ENGINE),
    "engine: sound step-by-step work pays": lambda: "sound_steps" in paid_for(ENGINE),
    "engine: runs on Apple Silicon": lambda: on(ENGINE, MAC).hardware == "Apple Silicon, 32 GB",
    "0.5b: its five rewards": lambda: (
        paid_for(SMALL) == {"correctness", "integer", "strict_format", "soft_format", "xml_structure"}
    ),
    "0.5b: float32, 400 steps of 16 completions": lambda: (
        (SMALL.precision, SMALL.grpo.rollouts) == ("float32", 400)
        and SMALL.grpo.prompts_per_rollout * SMALL.grpo.num_generations == 16
    ),
    "0.5b: 256 prompt and 512 completion tokens": lambda: (SMALL.max_length, SMALL.grpo.max_completion_length) == (768, 512),
    "3b: 4-bit weights on a T4, GRPO alone": lambda: on(LARGER, T4).load_in_4bit and not LARGER.supervised,
    "3b: GSM8K's own test set": lambda: LARGER.evaluation.source.split == "test" and LARGER.evaluation.problems == 1319,
    "all: no wrong answer earns what a right one does": lambda: all(
        margin(reward_set(get_format(r.format), r.rewards)) > 0 for r in recipes.RECIPES.values()
    ),
    "all: fit a T4": lambda: all(on(r, T4).hardware == "T4, 16 GB" for r in (OPENR1, DAPO, ENGINE, SMALL, LARGER)),
}


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_is_kept(promise, capsys):
    assert PROMISES[promise](), promise


# Layers, heads of keys and values, their size, and parameters in billions, from the models' cards.
SHAPES = {
    "unsloth/Qwen3-4B-Base": (36, 8, 128, 4.0),
    "Qwen/Qwen2.5-3B-Instruct": (36, 2, 128, 3.1),
    "Qwen/Qwen2.5-0.5B-Instruct": (24, 2, 64, 0.5),
}


@pytest.mark.parametrize("recipe", [OPENR1, DAPO, ENGINE, SMALL, LARGER], ids=lambda r: r.name)
def test_weights_and_the_cache_of_what_is_generated_at_once_fit_each_card(recipe):
    layers, heads, size, billions = SHAPES[recipe.base_model]
    for variant in recipe.variants:
        fitted = on(recipe, Device(variant.kind, "a card", variant.memory_gb, (8, 0)))
        bytes_each = 4 if recipe.precision == "float32" or variant.kind == "mps" else 2
        at_once = min(fitted.grpo.generation_batch, fitted.grpo.prompts_per_rollout * fitted.grpo.num_generations)
        cache = 2 * layers * heads * size * bytes_each * at_once * fitted.max_length
        weights = billions * 1e9 * (0.6 if fitted.load_in_4bit else bytes_each)
        assert cache + weights < 0.8 * variant.memory_gb * 2**30, f"{variant.hardware}: {cache / 2**30:.1f} GiB of cache"


# Rows of real lengths: traces of 300 to 4,000 tokens, here words.
LENGTHS = (300, 420, 560, 700, 850, 1000, 1500, 2600, 4000)


@pytest.fixture
def real_lengths(folder):
    """OpenMathReasoning-mini as it is: most of its worked solutions would not fit half of a T4's context."""
    rows = []
    for n in range(200):
        terms, words = 40 + n, LENGTHS[n % len(LENGTHS)]
        working = f"<think>{'so we add one more odd number ' * (words // 6)}= {terms**2}.</think>It is \\boxed{{{terms**2}}}."
        rows.append(public_rows.openmath_row(terms, solution=working))
    public_rows.write_table(folder / "datasets" / "ours" / "real-lengths" / "cot.parquet", rows, public_rows.OPENMATH)
    return replace(recipes.OPENMATH, path="ours/real-lengths", split="train")


@pytest.mark.parametrize("recipe", [DAPO, replace(OPENR1, priming=replace(OPENR1.priming, examples=400))], ids=lambda r: r.name)
def test_on_a_t4_there_are_rows_to_prime_on_and_fewer_than_asked_is_said(recipe, real_lengths, call, capsys):
    fitted = on(replace(recipe, priming=replace(recipe.priming, source=real_lengths)), T4)
    rows = call(data.load_priming_examples, fitted, WordTokenizer())
    longest = max(len(row["completion"][0]["content"].split()) for row in rows)
    assert fitted.max_length == 1024 and 900 < longest <= 1024 and len(rows) >= 60


def test_fewer_examples_than_asked_is_said_and_than_a_batch_is_refused(real_lengths, capsys):
    rows = data.Dataset.from_list([data.make_row(f"{n}?", str(n), f"{n}", "x") for n in range(9)])
    report = data.load_examples.__globals__["FilterReport"]("ours", 9)
    stage = replace(DAPO.priming, source=real_lengths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load_examples", lambda *_: (rows, report))
        data._public_examples(DAPO, stage, None)
        assert "9 of the 60 examples asked for are left of ours/real-lengths" in capsys.readouterr().out
        with pytest.raises(ValueError, match="9 of the 60 examples .* less than one batch of 16: loosen its filters"):
            data._public_examples(DAPO, replace(stage, batch_size=16), None)


def test_a_prompt_that_leaves_the_completion_no_room_is_dropped_and_counted(folder, call):
    rows = [public_rows.dapo_row(100 + n, "word " * (450 if n % 2 else 550)) for n in range(20)]
    public_rows.write_table(folder / "datasets" / "ours" / "long-prompts" / "train.parquet", rows, public_rows.DAPO)
    fitted = on(replace(DAPO, grpo=replace(DAPO.grpo, source=recipes.Source("ours/long-prompts", "dapo"))), T4)
    assert fitted.max_length - fitted.grpo.max_completion_length == 512
    pool = call(data.load_problems, fitted, "grpo", 100, 0, WordTokenizer())
    assert len(pool) >= 8 and all(len(row["prompt"][0]["content"].split()) < 500 for row in pool)
    assert "fits beside the completion" in pool.info.description and " tokens" in pool.info.description
