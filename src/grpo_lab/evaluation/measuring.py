"""Generate, grade, audit: one JSONL row a sample, so that every number can be computed again without the model.

Grading is `answers.read_completion`, the definition of correct that the rewards use. A measurement that was cut short goes on
where it stopped: finished batches stand in a file beside the final one.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from grpo_lab.chat import ask_alone, text_begin
from grpo_lab.evaluation.generation import Completion, Decoding, TransformersGenerator, VllmGenerator
from grpo_lab.evaluation.plan import short_hash
from grpo_lab.progress import bar
from grpo_lab.recipes import Recipe
from grpo_lab.records import write_jsonl
from grpo_math.answers import Checker, Gold, read_completion
from grpo_math.audit import audit, number_text
from grpo_math.formats import NEXT_PROBLEM, ReasoningFormat, few_shot_prompt, get_format, plain_prompt
from grpo_math.rewards.contract import RewardFunction, gold_text, pay, reward_name, total_reward
from grpo_math.stats import wilson_interval

# A model's prompts without a word about the form; any other style is "chat".
OWN_PROMPTS = {
    "plain": lambda tokenizer, question: text_begin(tokenizer) + plain_prompt(question),
    "few-shot": lambda tokenizer, question: text_begin(tokenizer) + few_shot_prompt(question),
    "question": ask_alone,
}
MOST_TRUNCATED = 0.02  # a share of truncated completions above this calls for a second look at twice the budget


def render_prompts(tokenizer: PreTrainedTokenizerBase, rows: Dataset, style: str) -> list[str]:
    """The text that the model continues: "chat" by the chat template, or one of OWN_PROMPTS. ValueError for another style."""
    if style == "chat":
        return [
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) for messages in rows["prompt"]
        ]
    if style not in OWN_PROMPTS:
        raise ValueError(f"There is no prompt style {style!r}; choose one of chat, {', '.join(OWN_PROMPTS)}.")
    return [OWN_PROMPTS[style](tokenizer, messages[-1]["content"]) for messages in rows["prompt"]]


def grade(
    completion: str, question: str, gold: Gold, fmt: ReasoningFormat, truncated: bool = False, checker: Checker | None = None
) -> dict:
    """A completion, read once, its answer judged by `checker` (None: ours).

    Extracted answers and verdicts, strict (the required form) and flexible (a clearly given answer anywhere); the reason of the
    flexible one (see `answers.REASONS`); and the audit: claims that it read, false ones, ungrounded numbers, its flags, and
    `marks`, a [start, end, true value] for each false claim.
    """
    read = read_completion(completion, gold, fmt, checker)
    found = audit(completion, question, read.answer, truncated)
    false = [claim for claim in found.claims if not claim.true]
    return {
        "extracted_strict": read.strict_answer,
        "extracted_flexible": read.answer,
        "correct_strict": bool(read.strict_correct),
        "correct_flexible": bool(read.correct),
        "reason": read.reason,
        "formatted": read.exact,
        "claims": len(found.claims),
        "false_claims": len(false),
        "ungrounded": len(found.ungrounded),
        "flags": list(found.flags),
        "marks": [[claim.start, claim.end, number_text(claim.exact)] for claim in false],
    }


def evaluate(
    model: PreTrainedModel | VllmGenerator,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    recipe: Recipe,
    checkpoint: str,
    style: str = "chat",
    path: Path | None = None,
    decoding: Decoding | None = None,
) -> list[dict]:
    """Completions for every row, graded and audited: the samples, in the order of the rows, written to `path` as JSONL if given.

    decoding: greedy with the recipe's budget by default. Where `path` or the unfinished file beside it already holds samples of
    the same model, prompts and decoding, they are kept and not drawn again, which is said.
    """
    # 1. What is wanted: each row `decoding.samples` times, in batches of prompts of like length.
    generator = model
    if not isinstance(model, VllmGenerator):
        generator = TransformersGenerator(model, tokenizer, recipe.evaluation.batch_size)
    decoding = decoding or Decoding(recipe.evaluation.max_completion_length)
    decoding = replace(decoding, stop=NEXT_PROBLEM if style == "few-shot" else None)
    prompts = render_prompts(tokenizer, rows, style)
    hashes = [short_hash(prompt.encode()) for prompt in prompts]
    setting = short_hash(json.dumps([generator.fingerprint, asdict(decoding)]).encode())
    by_length = sorted(range(len(rows)), key=lambda i: len(prompts[i]))
    tasks = [(i, k) for i in by_length for k in range(decoding.samples)]
    batches = [(n, tasks[n : n + generator.batch_size]) for n in range(0, len(tasks), generator.batch_size)]

    # 2. What an earlier pass, finished or not, has drawn in the same setting.
    samples: dict[tuple[int, int], dict] = {}
    unfinished = path and path.with_name(f"{path.name}.part")
    if path:
        places = {(row["id"], digest): i for i, (row, digest) in enumerate(zip(rows, hashes, strict=True))}
        for sample in (*_readable(path), *_readable(unfinished)):
            i = places.get((sample.get("id"), sample.get("prompt_sha256")))
            if i is not None and sample.get("setting") == setting:
                samples[i, sample["sample"]] = sample
        if samples:
            print(f"{checkpoint}: {len(samples):,} of {len(tasks):,} samples were there already")

    # 3. Draw, grade and keep what is missing, a batch at a time.
    fmt, items = get_format(recipe.format), list(rows)

    def graded(i: int, k: int, completion: Completion) -> dict:
        question, gold = items[i]["prompt"][-1]["content"], items[i]["answer"]
        return {
            "id": items[i]["id"],
            "checkpoint": checkpoint,
            "sample": k,
            "question": question,
            "gold": gold_text(gold),
            "source": items[i]["source"],
            "stratum": items[i].get("stratum", ""),
            "completion": completion.text,
            **grade(completion.text, question, gold, fmt, completion.truncated, recipe.checker),
            "truncated": completion.truncated,
            "tokens": completion.tokens,
            "budget": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "prompt_sha256": hashes[i],
            "setting": setting,
            "seed": decoding.seed,
        }

    missing = [(n, batch) for n, batch in batches if not samples.keys() >= set(batch)]
    for n, batch in bar(missing, desc=path and path.stem, unit="batch", disable=path is None):
        completions = generator([prompts[i] for i, _ in batch], decoding, decoding.seed + n)
        drawn = {task: graded(*task, completion) for task, completion in zip(batch, completions, strict=True)}
        samples |= drawn
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(unfinished, "a", encoding="utf-8") as file:
                file.writelines(json.dumps(sample, ensure_ascii=False) + "\n" for sample in drawn.values())

    # 4. The whole file, in the order of the rows.
    ordered = [samples[task] for task in sorted(tasks)]
    if path:
        write_jsonl(path, ordered)
        unfinished.unlink(missing_ok=True)
    return ordered


def _readable(path: Path) -> Iterator[dict]:
    """The samples in a file, but for a line that was cut off while it was written."""
    if path.is_file():
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    print(f"{path.name} ends in half a line, which is drawn again")


def measure(
    model,
    tokenizer,
    recipe: Recipe,
    run: Path,
    checkpoint: str,
    rows: Dataset,
    twins: Dataset | None = None,
    transfer: Dataset | None = None,
) -> None:
    """Draw all samples of one checkpoint, each part a file in `samples/`.

    `<checkpoint>`: greedy on all rows. `longer-...`: those that were cut off, at twice the budget, where they are more than
    MOST_TRUNCATED. `sampled-...`: k samples on the first rows. `twins-...`: the unanswerable twins. `transfer-...`: problems
    unlike those that SFT and GRPO train on. The base is asked in its own prompt, and in that of the others: `base-chat`.
    """
    plan, folder = recipe.evaluation, run / "samples"
    style = recipe.base_prompt if checkpoint == "base" else "chat"

    def part(name: str, rows: Dataset, style: str = style, **decoding) -> list[dict]:
        settings = Decoding(**{"max_new_tokens": plan.max_completion_length} | decoding)
        return evaluate(model, tokenizer, rows, recipe, checkpoint, style, folder / f"{name}.jsonl", settings)

    greedy = part(checkpoint, rows)
    if checkpoint == "base":
        part("base-chat", rows, style="chat")
    truncated = {sample["id"] for sample in greedy if sample["truncated"]}
    if len(truncated) > MOST_TRUNCATED * len(rows):
        again = rows.filter(lambda row: row["id"] in truncated)
        part(f"longer-{checkpoint}", again, max_new_tokens=2 * plan.max_completion_length)
    if plan.sampled:
        first = rows.select(range(min(plan.sampled, len(rows))))
        part(f"sampled-{checkpoint}", first, samples=plan.samples, temperature=recipe.grpo.temperature)
    for name, others in (("twins", twins), ("transfer", transfer)):
        if others:
            part(f"{name}-{checkpoint}", others)


def sample_groups(
    model, tokenizer, rows: Dataset, recipe: Recipe, reward_functions: Sequence[RewardFunction]
) -> list[list[dict]]:
    """What a rollout of GRPO begins with: a group of completions for each row, sampled from the model as it is.

    Each is a graded sample (see `evaluate`) with its `rewards` by function and their sum, `reward`.
    """
    settings = recipe.grpo
    decoding = Decoding(settings.max_completion_length, settings.temperature, settings.num_generations)
    samples = evaluate(model, tokenizer, rows, recipe, "rollout", decoding=decoding)
    completions = [[{"role": "assistant", "content": sample["completion"]}] for sample in samples]
    columns = {name: [value for value in rows[name] for _ in range(decoding.samples)] for name in rows.column_names}
    ids = [tokenizer(sample["completion"], add_special_tokens=False)["input_ids"] for sample in samples]
    given = {"prompts": columns.pop("prompt"), "completion_ids": ids, **columns}
    paid = {reward_name(function): pay(function, completions, **given) for function in reward_functions}
    for n, sample in enumerate(samples):
        sample["rewards"] = {name: values[n] for name, values in paid.items()}
        sample["reward"] = total_reward(sample["rewards"].values())
    return [samples[n : n + decoding.samples] for n in range(0, len(samples), decoding.samples)]


def accuracy_probe(model, tokenizer, rows: Dataset, recipe: Recipe) -> Callable[[], dict[str, float]]:
    """A function that measures greedy flexible accuracy on the rows, with its interval, for a training curve."""

    def probe() -> dict[str, float]:
        samples = evaluate(model, tokenizer, rows, recipe, "probe")
        solved = sum(sample["correct_flexible"] for sample in samples)
        low, high = wilson_interval(solved, len(samples))
        return {"eval_accuracy": solved / len(samples), "eval_low": low, "eval_high": high}

    probe.problems = len(rows)  # which `training.Metrics` says
    return probe
