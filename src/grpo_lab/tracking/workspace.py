"""A ready dashboard in W&B, made from code: `python -m grpo_lab.tracking.workspace --entity <user or team>`.

W&B draws panels of its own for whatever is logged, in alphabetical sections; this puts them in the order in which a run is read,
with units at the axes. It becomes one more view of the project, and no other view is changed.
"""

import argparse
import sys
from collections.abc import Sequence

from grpo_lab.tracking import METRICS, PROJECT

NAME = "grpo-math"
UNITS = {metric.name: metric.unit for metric in METRICS}
# Sections from top to bottom: panels by title, each with the metrics (or one pattern, with a "*") that it shows together.
SECTIONS = {
    "Accuracy": {
        "Accuracy on held-out problems, with its 95% interval": (
            "accuracy/held_out",
            "accuracy/held_out_low",
            "accuracy/held_out_high",
        ),
        "Completions with a verified false claim": ("audit/false_claims",),
        "Completions with an ungrounded number, or any flag": ("audit/ungrounded", "audit/flagged"),
    },
    "Rewards": {
        "Mean of each reward": ("rewards/*_mean",),
        "Deviation of each reward": ("rewards/*_std",),
        "Sum of the rewards": ("rewards/sum_mean", "rewards/sum_std"),
    },
    "Health": {
        "Groups whose completions all earn the same": ("health/zero_variance_groups",),
        "Entropy": ("health/entropy",),
        "KL to the reference": ("health/kl",),
        "Gradient norm": ("health/gradient_norm",),
        "Updates skipped in fp16": ("health/skipped_updates",),
        "Tokens whose ratio was clipped": ("health/ratio_clipped", "health/ratio_clipped_low", "health/ratio_clipped_high"),
    },
    "Lengths": {
        "Length": ("lengths/mean", "lengths/terminated_mean"),
        "Longest and shortest": ("lengths/max", "lengths/min"),
        "Completions cut off at the budget": ("lengths/cut_off",),
    },
    "Time": {
        "Seconds by phase": ("time/generate", "time/reward", "time/update"),
        "Generation": ("time/tokens_per_second",),
        "Tokens generated": ("time/tokens_generated",),
    },
    "Samples": {"": ("samples/completions", "samples/results", "samples/audit")},
    "Training": {
        "Loss": ("training/loss",),
        "Learning rate": ("training/learning_rate",),
        "Tokens seen": ("training/tokens_seen",),
        "Loss while priming": ("priming/loss",),
    },
}


def make_workspace(entity: str, project: str = PROJECT, name: str = NAME):
    """The `wandb_workspaces` Workspace, not saved yet: `.save()` does that. ImportError where the library is missing."""
    try:
        import wandb_workspaces.workspaces as ws
    except ImportError as error:
        raise ImportError("The workspace needs wandb-workspaces: run `pip install wandb-workspaces==0.4.13`.") from error
    sections = [
        ws.Section(
            name=section,
            is_open=section not in ("Time", "Training"),
            panels=[panel for title, names in panels.items() for panel in _panels(title, names)],
        )
        for section, panels in SECTIONS.items()
    ]
    return ws.Workspace(entity=entity, project=project, name=name, sections=sections)


def _panels(title: str, names: Sequence[str]) -> list:
    import wandb_workspaces.reports.v2 as wr

    if names[0].startswith("samples/"):
        return [wr.WeavePanelSummaryTable(table_name=name) for name in names]
    axis = names[0].split("/")[0] + "/step" if names[0].startswith("priming/") else "step"
    unit = UNITS.get(names[0], "")
    if "*" in names[0]:
        return [wr.LinePlot(title=title, x=axis, title_x="step", title_y=unit, metric_regex=names[0].replace("*", ".*"))]
    return [wr.LinePlot(title=title, x=axis, y=list(names), title_x="step", title_y=unit)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Save the workspace to W&B. Exits with a sentence where no key is found or W&B refuses."""
    parser = argparse.ArgumentParser(prog="python -m grpo_lab.tracking.workspace", description="Save the dashboard to W&B.")
    parser.add_argument("--entity", required=True, help="the W&B user or team whose project it is")
    parser.add_argument("--project", default=PROJECT)
    parser.add_argument("--name", default=NAME, help="what the view is called")
    options = parser.parse_args(arguments)
    import wandb

    from grpo_lab.tracking.keys import wandb_mode

    workspace = make_workspace(options.entity, options.project, options.name)
    mode, why = wandb_mode()
    if mode != "online":
        sys.exit(f"The workspace was not saved ({why}): run `wandb login` first, with a network.")
    try:
        workspace.save()
    except (wandb.Error, ValueError) as error:
        sys.exit(f"W&B did not save the workspace ({error}): check --entity and that the project has a run.")
    print(f"Saved: {workspace.url}")


if __name__ == "__main__":
    main()
