"""Runs on a dashboard: W&B (online where a key is found, offline where none is), Trackio, or none; never a prompt.

>>> with open_tracker("none", Path("results/my-run"), "grpo", {}) as tracker:
...     tracker.log({"eval_accuracy": 0.5}, step=0)

The stages of a run share a group, and each has its own job type. The parts: `metrics` names what is logged, `wandb_tracker` and
`trackio_tracker` log it, `keys` finds W&B's key, `workspace` lays out the dashboard, `readback` reads what an offline run holds.
"""

import os
from pathlib import Path

from grpo_lab.runs import latest_checkpoint
from grpo_lab.tracking.metrics import METRICS, Metric, metric_of
from grpo_lab.tracking.tracker import Tracker

__all__ = ["METRICS", "PROJECT", "STAGES", "TRACKERS", "Metric", "Tracker", "metric_of", "open_tracker"]

PROJECT = "grpo-math"
STAGES = ("sft", "grpo", "evaluation")
TRACKERS = ("wandb", "trackio", "none")


def open_tracker(kind: str, run: Path, stage: str, settings: dict) -> Tracker:
    """Begin to track a stage, and print where; a stage that goes on from a checkpoint goes on in its dashboard too.

    kind: "wandb", "trackio" or "none". settings: the resolved configuration; dataclasses may be in it. Raises ValueError for
    another kind or stage, ImportError for a dashboard that is not installed; no key and no network are no error. Of several
    processes that train together only the first tracks.
    """
    if kind not in TRACKERS:
        raise ValueError(f"There is no tracker {kind!r}. Set TRACKER to one of: {', '.join(TRACKERS)}.")
    if stage not in STAGES:
        raise ValueError(f"There is no stage {stage!r} to track: choose from {', '.join(STAGES)}.")
    if kind == "none" or int(os.environ.get("RANK", 0)) > 0:
        return Tracker()
    if kind == "wandb":
        from grpo_lab.tracking.wandb_tracker import open_wandb as open_it
    else:
        from grpo_lab.tracking.trackio_tracker import open_trackio as open_it
    return open_it(PROJECT, run, stage, settings, continued=_is_continued(run, stage))


def _is_continued(run: Path, stage: str) -> bool:
    """Whether the stage will go on with what it left, as `training` and `evaluation` do."""
    if stage == "evaluation":
        return any((run / "samples").glob("*.jsonl*"))
    return any(latest_checkpoint(run / part) for part in (("priming", "sft") if stage == "sft" else (stage,)))
