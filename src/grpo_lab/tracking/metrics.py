"""What a run logs: one table from TRL's names to those of the dashboard, with section, unit, and which way is better.

W&B makes a section of the words before the slash and puts the sections in alphabetical order, so accuracy comes first and
training, which holds the loss, last. Trackio groups in the same way. A share is between 0 and 1.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

LAST = "training"  # the section of the loss, and of whatever TRL logs that is not in the table


class Metric(NamedTuple):
    """One row of the table. better: "max", "min" or "" (neither); the best and the last value stand in the run's summary."""

    key: str  # TRL's name; "*" stands for the name of a reward
    name: str  # the dashboard's: section/what
    unit: str
    better: str = ""


METRICS = (
    Metric("eval_accuracy", "accuracy/held_out", "share of problems", "max"),
    Metric("eval_low", "accuracy/held_out_low", "share of problems, 95% interval"),
    Metric("eval_high", "accuracy/held_out_high", "share of problems, 95% interval"),
    Metric("mean_token_accuracy", "accuracy/next_token", "share of tokens", "max"),
    Metric("audit/false_claims", "audit/false_claims", "share of completions", "min"),
    Metric("audit/ungrounded", "audit/ungrounded", "share of completions", "min"),
    Metric("audit/flagged", "audit/flagged", "share of completions", "min"),
    Metric("frac_reward_zero_std", "health/zero_variance_groups", "share of groups", "min"),
    Metric("entropy", "health/entropy", "nats a token"),
    Metric("kl", "health/kl", "nats a token"),
    Metric("grad_norm", "health/gradient_norm", "before clipping"),
    Metric("skipped_updates", "health/skipped_updates", "updates skipped in fp16, so far", "min"),
    Metric("clip_ratio/region_mean", "health/ratio_clipped", "share of tokens"),
    Metric("clip_ratio/low_mean", "health/ratio_clipped_low", "share of tokens"),
    Metric("clip_ratio/high_mean", "health/ratio_clipped_high", "share of tokens"),
    Metric("completions/mean_length", "lengths/mean", "tokens"),
    Metric("completions/min_length", "lengths/min", "tokens"),
    Metric("completions/max_length", "lengths/max", "tokens"),
    Metric("completions/clipped_ratio", "lengths/cut_off", "share of completions", "min"),
    Metric("completions/mean_terminated_length", "lengths/terminated_mean", "tokens, of completions that ended"),
    Metric("completions/min_terminated_length", "lengths/terminated_min", "tokens, of completions that ended"),
    Metric("completions/max_terminated_length", "lengths/terminated_max", "tokens, of completions that ended"),
    Metric("reward", "rewards/sum_mean", "reward", "max"),
    Metric("reward_std", "rewards/sum_std", "reward, within groups"),
    Metric("rewards/*/mean", "rewards/*_mean", "reward", "max"),
    Metric("rewards/*/std", "rewards/*_std", "reward"),
    Metric("time/generate", "time/generate", "seconds"),
    Metric("time/reward", "time/reward", "seconds"),
    Metric("time/update", "time/update", "seconds"),
    Metric("step_time", "time/step", "seconds"),
    Metric("tokens/generated", "time/tokens_generated", "tokens"),
    Metric("tokens/per_second", "time/tokens_per_second", "tokens a second", "max"),
    Metric("loss", f"{LAST}/loss", "loss"),
    Metric("learning_rate", f"{LAST}/learning_rate", "per update"),
    Metric("num_tokens", f"{LAST}/tokens_seen", "tokens, so far"),
    Metric("epoch", f"{LAST}/epoch", "passes over the data"),
)
_PLAIN = {metric.key: metric for metric in METRICS if "*" not in metric.key}
_PATTERNS = [(re.compile(re.escape(m.key).replace(r"\*", "(.+)")), m) for m in METRICS if "*" in m.key]


def metric_of(key: str) -> Metric:
    """The row for a key that TRL or a callback logged; one that is not in the table goes to the last section, without a unit.

    >>> metric_of("rewards/correctness/mean").name
    'rewards/correctness_mean'
    """
    if key in _PLAIN:
        return _PLAIN[key]
    for pattern, metric in _PATTERNS:
        if match := pattern.fullmatch(key):
            return metric._replace(key=key, name=metric.name.replace("*", match[1]))
    return Metric(key, f"{LAST}/{key.replace('/', '_')}", "")


def better_of(name: str) -> str:
    """Which way the metric of this dashboard name is better: "max", "min" or ""."""
    return next((m.better for m in METRICS if re.fullmatch(re.escape(m.name).replace(r"\*", ".+"), name)), "")


def flatten(values: Mapping, prefix: str = "") -> dict[str, float | str]:
    """Nested mappings as one, the names joined by slashes; numbers and texts are kept, anything else is left out."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}/")
        elif isinstance(value, int | float | str):
            flat[f"{prefix}{key}"] = value
    return flat
