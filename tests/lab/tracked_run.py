"""A run of three stages, tracked: what the notebooks tell a tracker, without the training. Run in a process of its own.

`python tracked_run.py <kind> <run folder>`: GRPO is cut off after its first logged step, and goes on from a checkpoint.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from grpo_lab.tracking import open_tracker

STEPS = (4, 8, 12)
ACCURACY = {0: 0.5, 4: 0.625, 8: 0.75, 12: 0.7}
COMPLETIONS = 3  # a step


@dataclass(frozen=True)
class Recipe:
    """As in the notebooks' settings: a dataclass in a dict."""

    name: str = "tiny"
    learning_rate: float = 7e-4


def rollout(step: int) -> list[dict]:
    """The rows of one logged step, with the keys of `training.Rollouts`."""
    return [
        {
            "step": step,
            "id": f"problem-{i}",
            "group": 0,
            "question": "What is 6 * 7?",
            "gold": "42",
            "completion": f"6 * 7 = {41 + i}. Schritt {step}: “{'x' * 50}”",
            "truncated": i == 2,
            "tokens": 11,
            "rewards": {"correctness": None if i == 2 else float(i), "exact_format": 1.0},
            "extracted_strict": None if i == 2 else str(41 + i),
            "extracted_flexible": str(41 + i),
            "correct_strict": i == 1,
            "correct_flexible": i == 1,
            "formatted": True,
            "claims": 1,
            "false_claims": int(i != 1),
            "ungrounded": 0,
            "flags": [] if i == 1 else ["H1", "H6"],
            "reward": 1.0 + i,
        }
        for i in range(COMPLETIONS)
    ]


def measured(step: int) -> dict[str, float]:
    """What `training.MetricsFile` hands on after a logged step."""
    return {
        "loss": 0.1,
        "grad_norm": 0.05,
        "reward": 1.5,
        "frac_reward_zero_std": 0.25,
        "rewards/correctness/mean": step / 12,
        "rewards/correctness/std": 0.5,
        "completions/clipped_ratio": 1 - step / 12,
        "audit/false_claims": 2 / 3,
        "time/generate": 2.5,
        "skipped_updates": 0,
        "sampling/made_up": 1.0,
    }


def sft(kind: str, run: Path) -> None:
    adapter = run / "sft" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_bytes(b"sft" * 1000)
    (run / "sft" / "trainer_args.json").write_text('{"learning_rate": 0.002}')
    with open_tracker(kind, run, "sft", {"recipe": Recipe(), "seed": 0}) as tracker:
        priming = tracker.part("priming")
        for step in (1, 2, 3):
            priming.log({"loss": 1.0 / step, "step": step}, step)
        for step in (1, 2):
            tracker.log({"loss": 0.5 / step}, step)
        tracker.save_files("sft-adapter", "model", [adapter])


def grpo(kind: str, run: Path, steps: tuple[int, ...]) -> None:
    with open_tracker(kind, run, "grpo", {"recipe": Recipe(), "seed": 0}) as tracker:
        tracker.use_files("sft-adapter")
        if steps[0] == STEPS[0]:
            tracker.log({"eval_accuracy": ACCURACY[0], "eval_low": 0.4, "eval_high": 0.6}, 0)
        for step in steps:
            tracker.log({"eval_accuracy": ACCURACY[step]}, step)  # before the others of the step, as the callbacks do
            tracker.log_table("completions", rollout(step), step)
            tracker.log(measured(step), step)
        if steps[-1] != STEPS[-1]:
            raise InterruptedError("the session ends here")
        adapter = run / "grpo" / "adapter"
        adapter.mkdir()
        (adapter / "adapter_model.safetensors").write_bytes(b"grpo" * 1000)
        tracker.save_files("grpo-adapter", "model", [adapter])


def evaluation(kind: str, run: Path) -> None:
    (run / "samples").mkdir()
    (run / "samples" / "grpo.jsonl").write_text(json.dumps(rollout(0)[0]) + "\n")
    (run / "evaluation.json").write_text("{}")
    with open_tracker(kind, run, "evaluation", {"recipe": Recipe()}) as tracker:
        for stage in ("sft", "grpo"):
            tracker.use_files(f"{stage}-adapter")
        tracker.log_table("grpo", rollout(0))
        tracker.log_table(
            "results", [{"checkpoint": "+ SFT", "accuracy": "62.5%"}, {"checkpoint": "+ GRPO", "accuracy": "82.4%"}]
        )
        tracker.summarise({"evaluation": {"grpo": {"accuracy_flexible": 0.824, "flags": {"H1": 0.096}}}})
        tracker.save_files("evaluation", "evaluation", [run / "samples", run / "evaluation.json"])


def checkpoint(stage: Path, step: int) -> None:
    folder = stage / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").touch()
    (folder / "trainer_state.json").write_text("{}")


def main(kind: str, run: Path) -> None:
    sft(kind, run)
    try:
        grpo(kind, run, STEPS[:1])
    except InterruptedError:
        checkpoint(run / "grpo", STEPS[0])
    grpo(kind, run, STEPS[1:])
    evaluation(kind, run)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
