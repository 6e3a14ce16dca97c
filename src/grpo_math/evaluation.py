"""Measure a model: generate, grade, and keep one JSONL row a sample, so that every number can be computed again without it.

Grading is `answers.is_correct`, the same definition of correct that the rewards use.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from grpo_math.answers import extract_answer, is_correct
from grpo_math.formats import NEXT_PROBLEM, ReasoningFormat, few_shot_prompt, get_format, plain_prompt, question_prompt
from grpo_math.recipes import Recipe
from grpo_math.stats import wilson_interval

# A model's prompts without a word about the form; any other style is "chat".
OWN_PROMPTS = {"plain": plain_prompt, "few-shot": few_shot_prompt, "question": question_prompt}


def render_prompts(tokenizer: PreTrainedTokenizerBase, rows: Dataset, style: str) -> list[str]:
    """The text that the model continues: "chat" by the chat template, or one of OWN_PROMPTS. ValueError for another style."""
    if style in OWN_PROMPTS:
        return [OWN_PROMPTS[style](messages[-1]["content"]) for messages in rows["prompt"]]
    if style != "chat":
        raise ValueError(f"There is no prompt style {style!r}; choose one of chat, {', '.join(OWN_PROMPTS)}.")
    return [tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) for messages in rows["prompt"]]


@torch.inference_mode()
def generate_completions(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    max_new_tokens: int,
    batch_size: int,
    temperature: float = 0.0,
    progress: bool = True,
    stop: str | None = None,
) -> list[tuple[str, int, bool]]:
    """One completion a prompt as (text, tokens, truncated); greedy at temperature 0. Prompts of like length share a batch.

    A completion ends at the end of the turn or of the text, or before the text `stop`; one that reached none is truncated.
    """
    ends = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    stopping = {"stop_strings": [stop], "tokenizer": tokenizer} if stop else {}
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {"do_sample": False}
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    results: list = [None] * len(prompts)
    was_training = model.training
    model.eval()
    for start in tqdm(range(0, len(order), batch_size), desc="generating", unit="batch", disable=not progress, leave=False):
        picked = order[start : start + batch_size]
        batch = tokenizer([prompts[i] for i in picked], return_tensors="pt", padding=True, add_special_tokens=False).to(
            model.device
        )
        output = model.generate(
            **batch,
            max_new_tokens=max_new_tokens,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
            use_cache=True,
            **sampling,
            **stopping,
        )
        for i, ids in zip(picked, output[:, batch["input_ids"].shape[1] :].tolist(), strict=True):
            end = next((n for n, token in enumerate(ids) if token in ends), None)
            text = tokenizer.decode(ids[:end], skip_special_tokens=True)
            stopped = bool(stop) and stop in text
            results[i] = (text.split(stop)[0] if stopped else text, len(ids) if end is None else end, end is None and not stopped)
    model.train(was_training)
    return results


def grade(completion: str, gold: str, fmt: ReasoningFormat) -> dict:
    """Extracted answers and verdicts, strict (the required form) and flexible (a clearly given answer anywhere)."""
    return {
        "extracted_strict": extract_answer(completion, fmt, strict=True),
        "extracted_flexible": extract_answer(completion, fmt),
        "correct_strict": bool(is_correct(completion, gold, fmt, strict=True)),
        "correct_flexible": bool(is_correct(completion, gold, fmt)),
        "formatted": fmt.parse(completion).exact,
    }


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    recipe: Recipe,
    checkpoint: str,
    style: str = "chat",
    seed: int = 0,
    path: Path | None = None,
    progress: bool = True,
) -> list[dict]:
    """Greedy completions for every row, graded; written to `path` as JSONL if given. Returns the samples."""
    plan, fmt = recipe.evaluation, get_format(recipe.format)
    prompts = render_prompts(tokenizer, rows, style)
    completions = generate_completions(
        model,
        tokenizer,
        prompts,
        plan.max_completion_length,
        plan.batch_size,
        progress=progress,
        stop=NEXT_PROBLEM if style == "few-shot" else None,
    )
    samples = []
    for row, prompt, (text, tokens, truncated) in zip(rows, prompts, completions, strict=True):
        samples.append(
            {
                "id": row["id"],
                "checkpoint": checkpoint,
                "question": row["prompt"][-1]["content"],
                "gold": row["answer"],
                "completion": text,
                **grade(text, row["answer"], fmt),
                "truncated": truncated,
                "tokens": tokens,
                "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest()[:16],
                "seed": seed,
            }
        )
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples))
    return samples


def accuracy_probe(model, tokenizer, rows: Dataset, recipe: Recipe):
    """A function that measures greedy flexible accuracy on the rows, with its interval, for a training curve."""

    def measure() -> dict[str, float]:
        samples = evaluate(model, tokenizer, rows, recipe, "probe", progress=False)
        solved = sum(sample["correct_flexible"] for sample in samples)
        low, high = wilson_interval(solved, len(samples))
        return {"eval_accuracy": solved / len(samples), "eval_low": low, "eval_high": high}

    return measure


def save_plan(run: Path, recipe: Recipe, rows: Dataset) -> dict:
    """Write `eval_plan.json` before the first completion: the items' hash, the prompts, decoding, budget and primary metric."""
    plan = {
        "items": len(rows),
        "items_sha256": hashlib.sha256("".join(rows["id"]).encode()).hexdigest()[:16],
        "prompts": {"base": recipe.base_prompt, "sft": "chat", "grpo": "chat"},
        "decoding": "greedy",
        "max_completion_length": recipe.evaluation.max_completion_length,
        "primary_metric": "accuracy, flexible extraction",
        "comparisons": ["base -> sft", "sft -> grpo"],
    }
    (run / "eval_plan.json").write_text(json.dumps(plan, indent=2) + "\n")
    return plan
