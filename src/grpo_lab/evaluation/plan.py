"""The plan of an evaluation, frozen before training: what is measured, how, and which difference it can show at all."""

import hashlib
import json
from pathlib import Path

from datasets import Dataset

import grpo_math
from grpo_lab.recipes import Recipe
from grpo_lab.records import DISCORDANT, PLAN
from grpo_lab.runs import as_json
from grpo_math.stats import minimum_detectable_effect


def freeze_plan(run: Path, recipe: Recipe, rows: Dataset, trained: bool = False) -> dict:
    """Write `eval_plan.json` if the run has none, else compare: the plan of a run stays as it was.

    Returns the plan as it is on disk. Its `frozen_before_training` is false where the run already held trained weights,
    or where what is measured is `trained` elsewhere.
    ValueError says which part differs now, or that the file was changed by hand.
    """
    # 1. What this recipe plans.
    path, evaluation, n = run / PLAN, recipe.evaluation, len(rows)
    plan = {
        "items": n,
        "items_sha256": short_hash("".join(rows["id"]).encode()),
        "prompts": {"base": recipe.base_prompt, "sft": "chat", "grpo": "chat"},
        "decoding": "greedy",
        "sampled": {"items": min(evaluation.sampled, n), "samples": evaluation.samples, "temperature": recipe.grpo.temperature},
        "twins": evaluation.twins,
        "max_completion_length": evaluation.max_completion_length,
        "extractor_sha256": hash_extractor(),
        **({"checker": as_json({"": recipe.checker})[""]} if recipe.checker else {}),
        "primary_metric": "accuracy, flexible extraction",
        "comparisons": ["base -> sft", "sft -> grpo", "base -> grpo"] if recipe.supervised else ["base -> grpo"],
        "smallest_difference": round(minimum_detectable_effect(n, DISCORDANT), 4) if n > 1 else None,
    }

    # 2. The first plan of a run is kept, with whether anything was trained by then.
    if not path.is_file():
        trained = trained or any(run.glob("*/checkpoint-*")) or any(run.glob("*/adapter"))
        plan |= {"frozen_before_training": not trained}
        plan |= {"sha256": _digest(plan)}
        path.write_text(json.dumps(plan, indent=2) + "\n")
        return plan

    # 3. Every later one is compared with it.
    frozen = json.loads(path.read_text())
    anew = f"or delete results/{run.name}/{PLAN} to plan anew, which the report will say."
    if frozen.get("sha256") != _digest({key: value for key, value in frozen.items() if key != "sha256"}):
        raise ValueError(
            f"The evaluation plan of run {run.name!r} was changed by hand: restore results/{run.name}/{PLAN}, {anew}"
        )
    changed = [key for key in plan if plan[key] != frozen.get(key)]
    if changed:
        differences = "; ".join(f"{key} {frozen.get(key)!r} then, {plan[key]!r} now" for key in changed[:3])
        raise ValueError(f"Run {run.name!r} was planned otherwise ({differences}): go back to the plan's settings, {anew}")
    return frozen


def _digest(plan: dict) -> str:
    return short_hash(json.dumps(plan, sort_keys=True).encode())


def hash_extractor() -> str:
    """16 hexadecimal digits for the code that finds and grades answers, so that a change of it does not pass unseen."""
    package = Path(grpo_math.__file__).parent
    # `harness` restates another project's extraction and grades nothing here.
    answers = sorted(path for path in (package / "answers").glob("*.py") if path.name != "harness.py")
    sources = [package / "formats.py", *answers]
    return short_hash(b"".join(path.read_bytes() for path in sources))


def short_hash(content: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]
