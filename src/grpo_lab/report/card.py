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
from grpo_lab.report.summary import EXTRACTIONS, summarise
from grpo_lab.report.tables import audit_markdown, gain_table, markdown_table, read_plan, results_markdown, twins_markdown
from grpo_math.formats import get_format

OURS = "data/"  # base models of this repository stand under it
GENERAL = ("base_model", "format", "template", "rewards", "precision", "load_in_4bit", "max_length", "hardware")
STAGES = ("lora", "priming", "sft", "grpo", "evaluation")
OWN_WORLD = "word problems made by grpo-math"


def write_card(run_dir: Path | str, recipe: Recipe) -> Path:
    """Write `MODEL_CARD.md` in the run folder and return its path.

    recipe: the one that the run was trained with. Raises FileNotFoundError where the run has no `grpo_config.json` or samples,
    ValueError where its plan is damaged, and as `pair_samples`.
    """
    run = Path(run_dir).resolve()
    config = json.loads((run / "grpo_config.json").read_text(encoding="utf-8"))
    settings = config["settings"]
    # Notebook 02 may have been told another share of unanswerable prompts than the recipe has.
    recipe = with_unanswerable(recipe, settings["recipe"]["grpo"]["unanswerable"])
    ours = recipe.base_model.startswith(OURS)
    source = recipe.evaluation.source or recipe.grpo.source
    stages = {"priming on worked examples": recipe.priming, "supervised fine-tuning": recipe.sft, "GRPO": recipe.grpo}
    versions = ", ".join(f"{name} {value}" for name, value in config["environment"].items())
    fmt = get_format(recipe.format)
    opened = f" Its prompt already writes `{fmt.reasoning_start}`, so a completion begins inside the working." * (not fmt.boxed)
    four_bit = " It was trained over 4-bit weights; the snippet loads the base unquantised." * recipe.load_in_4bit
    where = "\n\nRun it in the root of the grpo-math repository, where the base model is." * ours

    card = f"""---
{_front_matter(run, recipe, ours, source)}
---

# {run.name}

A LoRA adapter that makes `{recipe.base_model}`{" of the grpo-math repository" * ours} reason through mathematics step by step. \
It was trained with [grpo-math]({grpo_math.REPOSITORY}) by {", then ".join(name for name, stage in stages.items() if stage)}: \
reinforcement learning that rewards a right final answer in the required form.

## How it was trained

The recipe `{recipe.name}`. Training seed {settings["seed"]}, backend {settings["backend"]}. Run on: {versions}.

{_settings_markdown(recipe)}

## How it was measured

{read_plan(run)}

The problems are {source.name if source else OWN_WORLD}{"" if recipe.evaluation.source else ", held out from training"}. \
Every checkpoint answers the same problems within the same token budget, and the same code grades it. *Flexible* takes a \
correct final answer wherever it is clearly given, *strict* only one in the required form. The base model is also asked in its \
own plain prompt, so that it is not marked down for a form that it was never shown. Intervals of shares are Wilson's.

## Results

{results_markdown(run).strip()}

### Where the gain comes from

In points of flexible accuracy, by what was wrong with the wrong one of two completions.

{markdown_table(gain_table(run))}

### False claims

{audit_markdown(run).strip()}

### Problems that cannot be answered

{twins_markdown(run).strip()}

## Limits

- One training seed ({settings["seed"]}): the results compare checkpoints of one run and are no claim about the method, which \
needs several seeds.
- Nothing is known about problems of another kind than {source.path if source else OWN_WORLD}, or in other languages.
- The audit counts verified false claims. It sees no wrong plan whose sums are right, reads equations only, and skips what it \
cannot read: a completion without a flag need not be right.
- A right final answer does not show that the reasoning before it is sound.

## How to use it

The chat template lies beside the adapter, in its tokenizer: use that tokenizer, not the base model's.{opened} The final answer \
stands between `{fmt.answer_start}` and `{fmt.answer_end}`.{four_bit}

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

adapter = {json.dumps(f"results/{run.name}/grpo/adapter")}  # or where you have put it
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
```{where}
"""
    path = run / "MODEL_CARD.md"
    path.write_text(card, encoding="utf-8")
    return path


def _front_matter(run: Path, recipe: Recipe, ours: bool, source: Source | None) -> str:
    """The metadata as YAML, each value in the form of JSON, which YAML takes as it is; accuracies in percent."""
    summary = summarise(samples_of(run, checkpoints_of(run)[-1]))
    metrics = [
        {"type": "accuracy", "name": f"accuracy, {name} extraction, %", "value": round(100 * summary[f"accuracy_{name}"], 1)}
        for name in EXTRACTIONS
    ]
    data = {"type": "grpo-math", "name": OWN_WORLD}
    if source:
        part = source.name if recipe.evaluation.source else f"held-out part of {source.name}"
        data = {"type": source.path, "name": part, "split": source.split}
    result = {"task": {"type": "text-generation", "name": "mathematics"}, "dataset": data, "metrics": metrics}
    sources = [stage.source for stage in (recipe.priming, recipe.sft, recipe.grpo) if stage and stage.source]
    trained_on = [source.path for source in sources if not source.digest]  # a file has no name on the hub
    licence = {"license": "mit"}
    if not ours:
        hub = f"https://huggingface.co/{recipe.base_model}"
        licence = {"license": "other", "license_name": "that-of-the-base-model", "license_link": hub}
    metadata = {
        **({} if ours else {"base_model": recipe.base_model}),  # a path would name a stranger's model on the hub
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        **licence,
        "tags": ["grpo", "math", "lora"],
        **({"datasets": list(dict.fromkeys(trained_on))} if trained_on else {}),
        "model-index": [{"name": run.name, "results": [result]}],
    }
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in metadata.items())


def _settings_markdown(recipe: Recipe) -> str:
    """The recipe's settings as a table, but for those that are not set."""
    values = [("general", name, getattr(recipe, name)) for name in GENERAL]
    for name in STAGES:
        if stage := getattr(recipe, name):
            values += [(name, field.name, getattr(stage, field.name)) for field in fields(stage)]
    rows = []
    for part, setting, value in values:
        if isinstance(value, Source):
            value = (value.name, *value.filters)
        if value is not None:
            rows.append([part, setting, ", ".join(map(str, value)) if isinstance(value, tuple) else value])
    return markdown_table(pd.DataFrame(rows, columns=["part", "setting", "value"], dtype=object))
