"""Generate, grade, audit: one JSONL row a sample, so that every number can be computed again without the model.

Grading is `answers.is_correct`, the definition of correct that the rewards use. A measurement that was cut short goes on where it
stopped: finished batches stand in a file beside the final one.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from datasets import Dataset
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from grpo_lab.evaluation.generation import Completion, Decoding, Generator, TransformersGenerator, VllmGenerator
from grpo_lab.recipes import Recipe
from grpo_math.answers import explain, extract_answer, is_correct
from grpo_math.audit import audit
from grpo_math.formats import NEXT_PROBLEM, ReasoningFormat, few_shot_prompt, get_format, plain_prompt, question_prompt
from grpo_math.stats import wilson_interval

# A model's prompts without a word about the form; any other style is "chat".
OWN_PROMPTS = {"plain": plain_prompt, "few-shot": few_shot_prompt, "question": question_prompt}
MOST_TRUNCATED = 0.02  # a share of truncated completions above this calls for a second look at twice the budget


def render_prompts(tokenizer: PreTrainedTokenizerBase, rows: Dataset, style: str) -> list[str]:
    """The text that the model continues: "chat" by the chat template, or one of OWN_PROMPTS. ValueError for another style."""
    if style in OWN_PROMPTS:
        return [OWN_PROMPTS[style](messages[-1]["content"]) for messages in rows["prompt"]]
    if style != "chat":
        raise ValueError(f"There is no prompt style {style!r}; choose one of chat, {', '.join(OWN_PROMPTS)}.")
    return [tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) for messages in rows["prompt"]]


def grade(completion: str, question: str, gold: str, fmt: ReasoningFormat, truncated: bool = False) -> dict:
    """Extracted answers and verdicts, strict (the required form) and flexible (a clearly given answer anywhere).

    Also the reason of the flexible one (see `answers.REASONS`), and the audit's counts: claims that it read, false ones,
    ungrounded numbers, and its flags.
    """
    verdict = explain(completion, gold, fmt)
    found = audit(completion, question, verdict.answer, truncated)
    return {
        "extracted_strict": extract_answer(completion, fmt, strict=True),
        "extracted_flexible": verdict.answer,
        "correct_strict": bool(is_correct(completion, gold, fmt, strict=True)),
        "correct_flexible": bool(verdict.correct),
        "reason": verdict.reason,
        "formatted": fmt.parse(completion).exact,
        "claims": len(found.claims),
        "false_claims": sum(not claim.true for claim in found.claims),
        "ungrounded": len(found.ungrounded),
        "flags": list(found.flags),
    }


def evaluate(
    model: PreTrainedModel | VllmGenerator,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    recipe: Recipe,
    checkpoint: str,
    style: str = "chat",
    path: Path | None = None,
    progress: bool = True,
    decoding: Decoding | None = None,
) -> list[dict]:
    """Completions for every row, graded and audited: the samples, in the order of the rows, written to `path` as JSONL if given.

    decoding: greedy with the recipe's budget by default. Where `path` or the unfinished file beside it already holds samples of
    the same model, prompts and decoding, they are kept and not drawn again, which is said.
    """
    generator = (
        model if isinstance(model, VllmGenerator) else TransformersGenerator(model, tokenizer, recipe.evaluation.batch_size)
    )
    decoding = decoding or Decoding(recipe.evaluation.max_completion_length)
    decoding = replace(decoding, stop=NEXT_PROBLEM if style == "few-shot" else None)
    prompts = render_prompts(tokenizer, rows, style)
    work = _Work(generator, rows, prompts, decoding, get_format(recipe.format), checkpoint)
    samples = work.run(path, progress)
    if path:
        write_samples(path, samples)
        _unfinished(path).unlink(missing_ok=True)
    return samples


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def write_samples(path: Path, samples: Sequence[dict]) -> None:
    """Write graded completions as JSONL, a row each; the folder is made if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples))


class _Work:
    """One measurement: every row, `decoding.samples` times, in batches of prompts of like length."""

    def __init__(self, generator: Generator, rows: Dataset, prompts: list[str], decoding: Decoding, fmt, checkpoint: str):
        self.generator, self.rows, self.prompts, self.decoding = generator, list(rows), prompts, decoding
        self.fmt, self.checkpoint = fmt, checkpoint
        setting = json.dumps([generator.fingerprint, asdict(decoding)])
        self.hashes = [hashlib.sha256(prompt.encode()).hexdigest()[:16] for prompt in prompts]
        self.setting = hashlib.sha256(setting.encode()).hexdigest()[:16]

    def run(self, path: Path | None, progress: bool) -> list[dict]:
        tasks = [(i, k) for i in sorted(range(len(self.rows)), key=self._length) for k in range(self.decoding.samples)]
        kept = self._kept(path) if path else {}
        size = self.generator.batch_size
        batches = [(n, tasks[n : n + size]) for n in range(0, len(tasks), size)]
        missing = [(n, batch) for n, batch in batches if not kept.keys() >= set(batch)]
        if kept:
            print(f"{self.checkpoint}: {len(kept):,} of {len(tasks):,} samples were there already")
        name = path.stem if path else self.checkpoint
        for n, batch in tqdm(missing, desc=name, unit="batch", disable=not progress, leave=False):
            drawn = self._draw(batch, seed=self.decoding.seed + n)
            kept |= drawn
            if path:
                self._append(path, drawn.values())
        return [kept[task] for task in sorted(tasks)]

    def _length(self, i: int) -> int:
        return len(self.prompts[i])

    def _kept(self, path: Path) -> dict[tuple[int, int], dict]:
        """The samples of an earlier, finished or unfinished pass that are the very ones wanted now, by row and sample number."""
        places = {(row["id"], digest): i for i, (row, digest) in enumerate(zip(self.rows, self.hashes, strict=True))}
        kept = {}
        for sample in (*_readable(path), *_readable(_unfinished(path))):
            i = places.get((sample.get("id"), sample.get("prompt_sha256")))
            if i is not None and sample.get("setting") == self.setting:
                kept[i, sample["sample"]] = sample
        return kept

    def _draw(self, batch: list[tuple[int, int]], seed: int) -> dict[tuple[int, int], dict]:
        completions = self.generator([self.prompts[i] for i, _ in batch], self.decoding, seed)
        return {task: self._sample(*task, completion) for task, completion in zip(batch, completions, strict=True)}

    def _sample(self, i: int, k: int, completion: Completion) -> dict:
        row = self.rows[i]
        question = row["prompt"][-1]["content"]
        return {
            "id": row["id"],
            "checkpoint": self.checkpoint,
            "sample": k,
            "question": question,
            "gold": row["answer"],
            "completion": completion.text,
            **grade(completion.text, question, row["answer"], self.fmt, completion.truncated),
            "truncated": completion.truncated,
            "tokens": completion.tokens,
            "budget": self.decoding.max_new_tokens,
            "temperature": self.decoding.temperature,
            "prompt_sha256": self.hashes[i],
            "setting": self.setting,
            "seed": self.decoding.seed,
        }

    def _append(self, path: Path, samples) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(_unfinished(path), "a") as file:
            file.writelines(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)


def _readable(path: Path) -> Iterator[dict]:
    """The samples in a file, but for a line that was cut off while it was written."""
    if path.is_file():
        with open(path) as lines:
            for line in lines:
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    print(f"{path.name} ends in half a line, which is drawn again")


def measure(model, tokenizer, recipe: Recipe, run: Path, checkpoint: str, rows: Dataset, twins: Dataset | None) -> None:
    """Draw all samples of one checkpoint, each part a file in `samples/`.

    `<checkpoint>`: greedy on all rows. `longer-...`: those that were cut off, at twice the budget, where they are more than
    MOST_TRUNCATED. `sampled-...`: k samples on the first rows. `twins-...`: the unanswerable twins. The base is asked in its own
    prompt, and once more in that of the others: `base-chat`.
    """
    plan, folder = recipe.evaluation, run / "samples"
    style = recipe.base_prompt if checkpoint == "base" else "chat"

    def part(name: str, rows: Dataset, style: str = style, **decoding) -> list[dict]:
        settings = Decoding(**{"max_new_tokens": plan.max_completion_length} | decoding)
        return evaluate(model, tokenizer, rows, recipe, checkpoint, style, folder / f"{name}.jsonl", True, settings)

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
    if twins:
        part(f"twins-{checkpoint}", twins)


def accuracy_probe(model, tokenizer, rows: Dataset, recipe: Recipe) -> Callable[[], dict[str, float]]:
    """A function that measures greedy flexible accuracy on the rows, with its interval, for a training curve."""

    def probe() -> dict[str, float]:
        samples = evaluate(model, tokenizer, rows, recipe, "probe", progress=False)
        solved = sum(sample["correct_flexible"] for sample in samples)
        low, high = wilson_interval(solved, len(samples))
        return {"eval_accuracy": solved / len(samples), "eval_low": low, "eval_high": high}

    return probe
