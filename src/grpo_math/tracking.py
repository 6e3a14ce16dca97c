"""Runs in W&B: online where a key is found, offline where none is, and never a prompt."""

import json
import netrc
import os
from pathlib import Path


def has_wandb_key() -> bool:
    """Whether a W&B key stands in the environment or in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return bool(netrc.netrc().authenticators("api.wandb.ai"))
    except (FileNotFoundError, netrc.NetrcParseError):
        return False


def start_tracking(tracker: str, run: Path, stage: str, settings: dict) -> list[str]:
    """Begin to track one stage; returns what to pass as `report_to`. The stages of a run share a group.

    tracker: "wandb" or "none" (ValueError for others). Offline runs lie in the run folder; a printed line says how to sync them.
    """
    if tracker == "none":
        return []
    if tracker != "wandb":
        raise ValueError(f"There is no tracker {tracker!r}. Set TRACKER to 'wandb' or 'none'.")
    import wandb

    mode = os.environ.get("WANDB_MODE") or ("online" if has_wandb_key() else "offline")
    wandb.init(
        project="grpo-math",
        group=run.name,
        job_type=stage,
        name=f"{run.name}-{stage}",
        dir=str(run),
        mode=mode,
        config=json.loads(json.dumps(settings, default=vars)),
        settings=wandb.Settings(silent=True),
    )
    print(
        f"W&B is {mode}" + ("" if mode == "online" else f"; `wandb sync results/{run.name}/wandb/offline-run-*` uploads it later")
    )
    return ["wandb"]


def stop_tracking() -> None:
    """End the tracked stage, if one is under way."""
    import wandb

    if wandb.run is not None:
        wandb.finish()
