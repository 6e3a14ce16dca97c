"""Metrics of made-up GRPO runs: a healthy one, and one for each finding that the guards look for."""

import random
from math import nan


def made_up_log(steps: int = 24, seed: int = 0, **changes) -> list[dict[str, float]]:
    """A healthy run of 24 rollouts, 4 updates each, but for the columns in `changes`: functions of the run's share, 0 to 1."""
    draw = random.Random(seed)
    healthy = {
        "loss": lambda t: -0.05,
        "grad_norm": lambda t: 0.04,
        "reward": lambda t: 2.4 + 1.1 * t,
        "rewards/correctness/mean": lambda t: 1.0 + t,
        "rewards/exact_format/mean": lambda t: 0.9,
        "frac_reward_zero_std": lambda t: 0.08,
        "completions/clipped_ratio": lambda t: 0.01,
        "entropy": lambda t: 0.12 - 0.08 * t,
        "eval_accuracy": lambda t: 0.55 + 0.25 * t,
    }
    rows = []
    for i in range(steps):
        row = {"step": 4.0 * (i + 1)} | {name: f(i / (steps - 1)) for name, f in (healthy | changes).items()}
        row = {name: v if name == "step" else v * draw.uniform(0.97, 1.03) for name, v in row.items()}
        if i % 8 and i != steps - 1:
            del row["eval_accuracy"]
        else:
            row |= {"eval_low": row["eval_accuracy"] - 0.06, "eval_high": row["eval_accuracy"] + 0.06}
        rows.append(row)
    return rows


ILL = {
    "not a number": {"loss": lambda t: nan if t == 1 else 0.1},
    "no gradient": {"grad_norm": lambda t: 0.0},
    "no signal": {"frac_reward_zero_std": lambda t: 0.2 + 0.8 * min(1, 2 * t)},
    "cut off": {"completions/clipped_ratio": lambda t: 0.6 * t},
    "entropy collapsed": {"entropy": lambda t: 0.12 * 0.001**t},
    "flat reward": {"reward": lambda t: 2.4},
    "reward hacking": {"rewards/exact_format/mean": lambda t: 0.3 + 0.7 * t, "eval_accuracy": lambda t: 0.55 - 0.25 * t},
}
