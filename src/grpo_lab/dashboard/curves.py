"""The metrics of a run as curves: what each is called, in which group it stands, and its values."""

import csv
from math import isfinite, nan
from pathlib import Path

from grpo_lab.records import read_metrics
from grpo_lab.report.tables import counted

STAGES = ("grpo", "sft", "priming")
# No curves of their own: one value a run, the step itself, or a bound of another.
LEFT_OUT = {"step", "epoch", "total_flos", "eval_low", "eval_high"}
LEFT_OUT |= {"train_runtime", "train_loss", "train_samples_per_second", "train_steps_per_second"}
EXACT = {"eval_accuracy", "learning_rate", "num_tokens", "skipped_updates"}  # never smoothed: measured apart, or without noise
BANDS = {"eval_accuracy": ("eval_low", "eval_high")}

RARE = ("/std", "min_", "max_", "low_m", "high_m", "terminated")  # parts of a name: these metrics go to the last but one group
OTHER = "Other metrics"
GROUPS = {  # by the beginning of a metric's name; the first that fits counts
    "Held-out accuracy": ("eval_",),
    "Rewards": ("reward",),
    "Health": ("frac_reward_zero_std", "entropy", "kl", "grad_norm", "skipped_updates", "clip_ratio/", "learning_rate"),
    "Lengths": ("completions/",),
    "Time and tokens": ("time/", "step_time", "tokens/", "num_tokens"),
    "Audit": ("audit/",),
    OTHER: (),
    "Loss": ("loss",),
}
TITLES = {  # metric: (title, unit); "share" is drawn in percent
    "eval_accuracy": ("Accuracy on held-out problems, greedy, with its 95% interval", "share"),
    "reward": ("Reward, mean over completions", "reward"),
    "reward_std": ("Standard deviation of the reward", "reward"),
    "frac_reward_zero_std": ("Groups whose rewards are all equal", "share"),
    "entropy": ("Entropy of the policy", "nats per token"),
    "kl": ("KL divergence from the reference", "nats per token"),
    "grad_norm": ("Norm of the gradient", "before clipping"),
    "skipped_updates": ("Updates skipped so far", "updates"),
    "learning_rate": ("Learning rate", "per update"),
    "clip_ratio/region_mean": ("Tokens whose probability ratio was clipped", "share"),
    "completions/mean_length": ("Length of a completion, mean", "tokens"),
    "completions/clipped_ratio": ("Completions cut off at the limit", "share"),
    "time/generate": ("Time to generate", "s"),
    "time/reward": ("Time to reward", "s"),
    "time/update": ("Time to update", "s"),
    "step_time": ("Time of a step", "s"),
    "tokens/generated": ("Tokens generated", "tokens"),
    "tokens/per_second": ("Speed of generation", "tokens/s"),
    "num_tokens": ("Tokens seen so far", "tokens"),
    "audit/false_claims": ("Completions with a false claim", "share"),
    "audit/ungrounded": ("Completions with an ungrounded number", "share"),
    "audit/flagged": ("Completions with any flag", "share"),
    "loss": ("Loss", "of the batch"),
}


def read_curves(path: Path, said: list[str]) -> dict[str, list[list[float]]]:
    """The curves of a metrics file by metric, each a list of [step, value] or, with an interval, [step, value, low, high].

    Empty where there is no file. Where a step stands twice the later row counts. A last row without its line end was cut off,
    perhaps within a number, and is left out. What could not be read is added to `said`.
    """
    try:
        rows = read_metrics(path)
        cut = bool(rows) and not path.read_bytes().endswith(b"\n")
    except (OSError, ValueError, csv.Error) as error:
        said.append(f"{path.name} cannot be read ({error}).")
        return {}
    whole = [row for row in rows[: len(rows) - cut] if isfinite(row.get("step", nan))]
    if len(whole) < len(rows):
        said.append(f"{path.name}: {counted(len(rows) - len(whole), 'damaged row')} left out.")
    steps = dict(sorted({int(row["step"]): row for row in whole}.items()))
    names = dict.fromkeys(name for row in whole for name in row if name not in LEFT_OUT)
    return {name: points for name in names if (points := _points(steps, name))}


def _points(steps: dict[int, dict[str, float]], name: str) -> list[list[float]]:
    points = []
    for step, row in steps.items():
        values = [row.get(column, nan) for column in (name, *BANDS.get(name, ()))]
        if isfinite(values[0]):
            points.append([step, *(float(f"{value:.5g}") for value in (values if all(map(isfinite, values)) else values[:1]))])
    return points


def catalogue(metrics: set[str]) -> list[dict]:
    """The groups that hold any of these metrics, in their order: {"name", "metrics": [{"name", "title", "unit", "exact"}]}."""
    order = {name: number for number, name in enumerate(TITLES)}
    groups: dict[str, list[dict]] = {group: [] for group in GROUPS}
    for name in sorted(metrics, key=lambda name: (order.get(name, len(order)), name)):
        title, unit = _title_of(name)
        groups[_group_of(name)].append({"name": name, "title": title, "unit": unit, "exact": name in EXACT})
    return [{"name": group, "metrics": found} for group, found in groups.items() if found]


def _group_of(name: str) -> str:
    beginnings = {} if any(part in name for part in RARE) else GROUPS
    return next((group for group, those in beginnings.items() if name.startswith(those)), OTHER)


def _title_of(name: str) -> tuple[str, str]:
    """The title and unit of a metric; of one that is not listed, its name in plain words and no unit."""
    if name in TITLES:
        return TITLES[name]
    first, _, rest = name.partition("/")
    if first == "rewards" and rest.endswith("/mean"):
        return f"{rest.removesuffix('/mean').replace('_', ' ').capitalize()}, mean", "reward"
    return name.replace("_", " ").replace("/", ": "), ""
