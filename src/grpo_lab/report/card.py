"""The model card of a run, for the Hugging Face hub: what it is, how it was trained and measured, what it cannot do.

Every number in it comes from the run's files or from the recipe. To publish an adapter, put the card beside it as README.md.
"""

import json
from dataclasses import fields
from pathlib import Path

import pandas as pd

import grpo_math
from grpo_lab.recipes import Recipe, Source, with_unanswerable
from grpo_lab.records import checkpoints_of, samples_of
from grpo_lab.report.summary import summarise
from grpo_lab.report.tables import audit_markdown, gain_table, markdown_table, read_plan, results_markdown, twins_markdown
from grpo_math.formats import get_format

OURS = "data/"  # base models of this repository stand under it
GENERAL = ("base_model", "format", "template", "rewards", "precision", "load_in_4bit", "max_length", "hardware")
STAGES = ("lora", "priming", "sft", "grpo", "evaluation")
OWN_WORLD = "word problems made by grpo-math"


def write_card(run_dir: Path | str, recipe: Recipe) -> Path:
    """Write `MODEL_CARD.md` in the run folder and return its path.

    recipe: the one that the run was trained with. Raises as `read_samples` and `pair_samples`, and ValueError where the plan is
    damaged.
    """
    run = Path(run_dir).resolve()
    recipe = _as_trained(run, recipe)
    parts = (
        f"---\n{_front_matter(run, recipe)}\n---",
        _what_it_is(run, recipe),
        _training(run, recipe),
        _measurement(run, recipe),
        _results(run),
        _limits(run, recipe),
        _usage(run, recipe),
    )
    path = run / "MODEL_CARD.md"
    path.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    return path


def _is_ours(recipe: Recipe) -> bool:
    return recipe.base_model.startswith(OURS)


def _front_matter(run: Path, recipe: Recipe) -> str:
    """The metadata as YAML, each value in the form of JSON, which YAML takes as it is."""
    base = {} if _is_ours(recipe) else {"base_model": recipe.base_model}  # a path would name a stranger's model on the hub
    trained_on = [stage.source.path for stage in (recipe.priming, recipe.sft, recipe.grpo) if stage and stage.source]
    hub = f"https://huggingface.co/{recipe.base_model}"
    other = {"license": "other", "license_name": "that-of-the-base-model", "license_link": hub}
    metadata = {
        **base,
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        **({"license": "mit"} if _is_ours(recipe) else other),
        "tags": ["grpo", "math", "lora"],
        **({"datasets": list(dict.fromkeys(trained_on))} if trained_on else {}),
        "model-index": [{"name": run.name, "results": [_model_index(run, recipe)]}],
    }
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in metadata.items())


def _model_index(run: Path, recipe: Recipe) -> dict:
    """The accuracy of the last checkpoint, in percent."""
    summary = summarise(samples_of(run, checkpoints_of(run)[-1]))
    metrics = [
        {"type": "accuracy", "name": f"accuracy, {extraction} extraction, %", "value": round(100 * summary[key], 1)}
        for extraction, key in (("flexible", "accuracy_flexible"), ("strict", "accuracy_strict"))
    ]
    source = _measured_on(recipe)
    data = {"type": "grpo-math", "name": OWN_WORLD}
    if source:
        part = source.name if recipe.evaluation.source else f"held-out part of {source.name}"
        data = {"type": source.path, "name": part, "split": source.split}
    return {"task": {"type": "text-generation", "name": "mathematics"}, "dataset": data, "metrics": metrics}


def _measured_on(recipe: Recipe) -> Source | None:
    return recipe.evaluation.source or recipe.grpo.source


def _what_it_is(run: Path, recipe: Recipe) -> str:
    stages = {"priming on worked examples": recipe.priming, "supervised fine-tuning": recipe.sft, "GRPO": recipe.grpo}
    base = f"`{recipe.base_model}`" + " of the grpo-math repository" * _is_ours(recipe)
    return (
        f"# {run.name}\n\nA LoRA adapter that makes {base} reason through mathematics step by step. It was trained with "
        f"[grpo-math]({grpo_math.REPOSITORY}) by {', then '.join(name for name, stage in stages.items() if stage)}: "
        "reinforcement learning that rewards a right final answer in the required form."
    )


def _training(run: Path, recipe: Recipe) -> str:
    rows = [("general", name, getattr(recipe, name)) for name in GENERAL]
    for name in STAGES:
        if stage := getattr(recipe, name):
            rows += [(name, field.name, getattr(stage, field.name)) for field in fields(stage)]
    told = [(stage, name, _cell(value)) for stage, name, value in rows if value is not None]
    table = markdown_table(pd.DataFrame(told, columns=["part", "setting", "value"]))
    return f"## How it was trained\n\nThe recipe `{recipe.name}`.{_circumstances(run)}\n\n{table}"


def _cell(value: object) -> str:
    if isinstance(value, Source):
        return f"{value.name}{''.join(f', {name}' for name in value.filters)}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _settings(run: Path) -> dict:
    """`grpo_config.json`: what the GRPO stage was run with, and on what; empty where the file is missing."""
    path = run / "grpo_config.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _as_trained(run: Path, recipe: Recipe) -> Recipe:
    """The recipe with the share of unanswerable prompts that notebook 02 was told."""
    plan = _settings(run).get("settings", {}).get("recipe", {}).get("grpo", {})
    return with_unanswerable(recipe, plan.get("unanswerable", recipe.grpo.unanswerable))


def _circumstances(run: Path) -> str:
    config = _settings(run)
    if not config:
        return ""
    versions = ", ".join(f"{name} {value}" for name, value in config["environment"].items())
    return f" Training seed {config['settings']['seed']}, backend {config['settings']['backend']}. Run on: {versions}."


def _measurement(run: Path, recipe: Recipe) -> str:
    source = _measured_on(recipe)
    held_out = "" if recipe.evaluation.source else ", held out from training"
    return (
        f"## How it was measured\n\n{read_plan(run)}\n\nThe problems are {source.name if source else OWN_WORLD}{held_out}. Every "
        "checkpoint answers the same problems within the same token budget, and the same code grades it. *Flexible* takes a "
        "correct final answer wherever it is clearly given, *strict* only one in the required form. The base model is also asked "
        "in its own plain prompt, so that it is not marked down for a form that it was never shown. Intervals of shares are "
        "Wilson's."
    )


def _results(run: Path) -> str:
    told = "In points of flexible accuracy, by what was wrong with the wrong one of two completions."
    parts = {
        "## Results": results_markdown(run),
        "### Where the gain comes from": f"{told}\n\n{markdown_table(gain_table(run))}",
        "### False claims": audit_markdown(run),
        "### Problems that cannot be answered": twins_markdown(run),
    }
    return "\n\n".join(f"{heading}\n\n{text.strip()}" for heading, text in parts.items())


def _limits(run: Path, recipe: Recipe) -> str:
    seed = _settings(run).get("settings", {}).get("seed")
    one = "One training seed" + ("" if seed is None else f" ({seed})")
    source = _measured_on(recipe)
    return (
        "## Limits\n\n"
        f"- {one}: the results compare checkpoints of one run and are no claim about the method, which needs several seeds.\n"
        f"- Nothing is known about problems of another kind than {source.path if source else OWN_WORLD}, or in other languages.\n"
        "- The audit counts verified false claims. It sees no wrong plan whose sums are right, reads equations only, and skips "
        "what it cannot read: a completion without a flag need not be right.\n"
        "- A right final answer does not show that the reasoning before it is sound."
    )


def _usage(run: Path, recipe: Recipe) -> str:
    fmt = get_format(recipe.format)
    answer = f"`{fmt.answer_start}` and `{fmt.answer_end}`"
    opened = f" Its prompt already writes `{fmt.reasoning_start}`, so a completion begins inside the working." * (not fmt.boxed)
    where = "\n\nRun it in the root of the grpo-math repository, where the base model is." * _is_ours(recipe)
    four_bit = " It was trained over 4-bit weights; the snippet loads the base unquantised." * recipe.load_in_4bit
    return (
        f"## How to use it\n\nThe chat template lies beside the adapter, in its tokenizer: use that tokenizer, not the base "
        f"model's.{opened} The final answer stands between {answer}.{four_bit}\n\n"
        f"```python\n{snippet(run.name, recipe)}```{where}"
    )


def snippet(name: str, recipe: Recipe) -> str:
    """The Python code that asks the adapter of the run called `name`."""
    return f"""from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

adapter = {json.dumps(f"results/{name}/grpo/adapter")}  # or where you have put it
tokenizer = AutoTokenizer.from_pretrained(adapter)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained({json.dumps(recipe.base_model)}), adapter)

messages = [{{"role": "user", "content": "Your problem here."}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
output = model.generate(
    **inputs,
    max_new_tokens={recipe.evaluation.max_completion_length},
    do_sample=False,
    eos_token_id=tokenizer.eos_token_id,
    pad_token_id=tokenizer.pad_token_id,
)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
"""
