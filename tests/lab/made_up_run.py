"""A made-up run folder, for the tests of figures, page and card: every outcome and every cause of a gain occurs in it."""

import json
from pathlib import Path

N = 40
RIGHT = {"base": range(0, 12), "base-chat": range(0, 8), "sft": range(4, 28), "grpo": range(4, 30)}
WRONG = {  # what is wrong with a wrong sample, by its number modulo 8
    0: {"extracted_flexible": None, "reason": "no answer"},
    1: {"truncated": True},
    2: {"flags": ["H6"]},
    3: {"reason": "unparsed", "claims": 0},
    4: {"flags": ["H1"], "false_claims": 1, "completion": "39 + 47 = 76. The answer is 76."},
    5: {"flags": ["H2"], "ungrounded": 1},
    6: {"flags": ["H3"]},
    7: {},
}


def well_formed(number: int, checkpoint: str, right: bool) -> dict:
    """One row with every key that a sample has; strict misses every fourth right answer."""
    return {
        "id": f"q{number:03}",
        "checkpoint": checkpoint.removesuffix("-chat"),
        "sample": 0,
        "question": f"What is {number} + 1?",
        "gold": str(number + 1),
        "completion": f"{number} + 1 = {number + 1}. The answer is {number + 1}.",
        "extracted_strict": None,
        "extracted_flexible": str(number + right),
        "correct_strict": right and number % 4 != 0,
        "correct_flexible": right,
        "reason": "equal" if right else "different",
        "formatted": number % 2 == 0,
        "claims": 2,
        "false_claims": 0,
        "ungrounded": 0,
        "flags": [],
        "truncated": False,
        "tokens": 10 + number,
        "budget": 64,
        "temperature": 0.0,
        "prompt_sha256": f"{'plain' if checkpoint == 'base' else 'chat'}{number}",
        "setting": "0123456789abcdef",
        "seed": 0,
    }


def sample(number: int, checkpoint: str = "sft", **changes) -> dict:
    """A row in which every tenth right answer has a flag, and the wrong ones are wrong in turn as WRONG has it."""
    right = number in RIGHT[checkpoint]
    kind = {"flags": ["H2"] if number % 10 == 9 else []} if right else WRONG[number % 8]
    return well_formed(number, checkpoint, right) | kind | changes


def samples(checkpoint: str) -> list[dict]:
    return [sample(number, checkpoint) for number in range(N)]


def twins(checkpoint: str) -> list[dict]:
    """Unanswerable problems: SFT refuses every third, GRPO every sixth, and in every fifth there is no answer at all."""
    every = {"base": N, "sft": 3, "grpo": 6}[checkpoint]
    rows = []
    for number in range(1, N // 2):
        refused = number % every == 0
        answer = "cannot be determined" if refused else None if number % 5 == 0 else "7"
        rows.append(sample(number, checkpoint, correct_flexible=refused, correct_strict=refused, extracted_flexible=answer))
    return rows


def sampled(checkpoint: str) -> list[dict]:
    """Two samples for each of the first ten problems."""
    return [
        sample(number, checkpoint, sample=k, temperature=0.5, correct_flexible=number in RIGHT[checkpoint] and k == 0)
        for number in range(10)
        for k in range(2)
    ]


def write_samples(run: Path, part: str, rows: list[dict]) -> None:
    path = run / "samples" / f"{part}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_run(run: Path, checkpoints: tuple[str, ...] = ("base", "sft", "grpo")) -> Path:
    """The samples of a run with these checkpoints: greedy, and the base in the others' prompt."""
    for checkpoint in checkpoints:
        write_samples(run, checkpoint, samples(checkpoint))
    write_samples(run, "base-chat", samples("base-chat"))
    return run


def write_config(run: Path) -> None:
    """The resolved configuration of GRPO."""
    settings = {"seed": 3, "backend": "peft", "recipe": {"grpo": {"unanswerable": 0.0}}}
    config = {"settings": settings, "environment": {"python": "3.11.7", "trl": "1.15.0"}}
    (run / "grpo_config.json").write_text(json.dumps(config))


def write_everything(run: Path) -> Path:
    """`write_run` with twins, sampled completions, the plan and the resolved configuration."""
    write_run(run)
    for checkpoint in ("base", "sft", "grpo"):
        write_samples(run, f"twins-{checkpoint}", twins(checkpoint))
        write_samples(run, f"sampled-{checkpoint}", sampled(checkpoint))
    plan = {
        "items": N,
        "decoding": "greedy",
        "max_completion_length": 64,
        "smallest_difference": 0.1983,
        "frozen_before_training": True,
    }
    (run / "eval_plan.json").write_text(json.dumps(plan))
    write_config(run)
    return run
