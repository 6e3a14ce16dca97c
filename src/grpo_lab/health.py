"""Is GRPO learning? Plain sentences on what the logged metrics show to be wrong, and what to change.

The bounds are rules of thumb, written here and nowhere else; one that is passed is a reason to look, not a verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from statistics import fmean, variance

RECENT = 5  # rollouts that "lately" means; nothing is said before there are as many
MOST_CUT_OFF = 0.3  # share of completions at the token limit
MOST_SILENT = 0.9  # share of groups whose rewards are all equal
FLAT_AFTER = 20  # rollouts without a rise of the reward
COLLAPSED = 0.1  # of the entropy that training began with
MUCH = 0.3  # a gain or loss between the first and the last third of a reward's values, as a share of their range

NO_WARNINGS = (
    "No warnings: loss and gradient are numbers, the form does not gain at accuracy's cost, groups differ, few completions are "
    "cut off, and entropy and reward move."
)

Rows = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Finding:
    """What is wrong: a name of one or two words, a sentence of what the metrics show, and one of what to change."""

    name: str
    sign: str
    advice: str

    def __str__(self) -> str:
        return f"{self.sign} {self.advice}"


def diagnose(rows: Rows) -> list[Finding]:
    """The findings that show in the rows of `grpo_metrics.csv` so far (a dict a logged step, by TRL's names), the gravest first.

    None for a healthy run or one that has just begun.
    """
    found = []

    def add(name: str, sign: str, advice: str) -> None:
        found.append(Finding(name, sign, advice))

    # 1. The newest loss, gradient or reward is not a number.
    bad = [name for name in ("loss", "grad_norm", "reward") if not all(map(isfinite, _series(rows, name)[-1:]))]
    if bad:
        add(
            "not a number",
            f"The newest {' and '.join(bad)} {'is' if len(bad) == 1 else 'are'} not a number, so the weights may be spoilt.",
            "Go back to the checkpoint before, lower the learning rate, and on a T4 see that the LoRA weights are float32.",
        )

    # 2. Nothing is learned: no gradient.
    norms = _series(rows, "grad_norm")[-RECENT:]
    if len(norms) == RECENT and not any(norms):
        add(
            "no gradient",
            f"The gradient was zero in the last {RECENT} logged steps, so nothing is learned.",
            "See whether the adapter is trainable, and whether any group holds completions with different rewards.",
        )

    # 3. The form gains while accuracy falls: held out, below the interval's reach of its best; or, unmeasured, as a reward.
    logged = {name for row in rows[-RECENT:] for name in row if name.startswith("rewards/") and name.endswith("/mean")}
    forms = [name for name in logged if "format" in name or "structure" in name]
    measured = [row for row in rows if row.get("eval_high") is not None]
    if len(measured) >= 2:
        before, now = max(row["eval_accuracy"] for row in measured), measured[-1]["eval_accuracy"]
        fell = measured[-1]["eval_high"] < before
        what = f"held-out accuracy fell from {before:.0%} to {now:.0%}"
    else:
        fell, what = _gain(rows, "rewards/correctness/mean") < -MUCH, "the reward for right answers falls"
    if fell and any(_gain(rows, name) > MUCH for name in forms):
        add(
            "reward hacking",
            f"The form earns more and more while {what}: the model is paid for looks.",
            "See that the margin of the reward set is positive (notebook 02, section 2), and pay less for the form.",
        )

    # 4. Groups whose completions all earn the same teach nothing.
    silent = _series(rows, "frac_reward_zero_std")[-RECENT:]
    if len(silent) == RECENT and fmean(silent) >= MOST_SILENT:
        add(
            "no signal",
            f"In {fmean(silent):.0%} of the last groups all completions earned the same, so these groups teach nothing.",
            "Where they are all right, take harder problems; where all wrong, easier ones, more completions a group "
            "(num_generations) or a longer SFT.",
        )

    # 5. Completions at the token limit cannot be right.
    cut = _series(rows, "completions/clipped_ratio")[-RECENT:]
    if len(cut) == RECENT and fmean(cut) >= MOST_CUT_OFF:
        add(
            "cut off",
            f"{fmean(cut):.0%} of the last completions were cut off at the token limit, and could not be right.",
            "Raise max_completion_length, or see whether the model ever learned to stop (notebook 01, section 5).",
        )

    # 6. The policy samples the same again and again.
    entropy = _series(rows, "entropy")
    if len(entropy) >= 2 * RECENT and fmean(entropy[-RECENT:]) < COLLAPSED * fmean(entropy[:RECENT]):
        add(
            "entropy collapsed",
            f"The policy's entropy fell from {fmean(entropy[:RECENT]):.3f} to {fmean(entropy[-RECENT:]):.3f} nats a token: "
            "samples are all alike.",
            "Lower the learning rate, raise the temperature, or set beta above 0.",
        )

    # 7. The last third of the rewards is no higher than the first, beyond twice the standard error of the difference.
    rewards = _series(rows, "reward")
    if len(rewards) >= FLAT_AFTER:
        n = len(rewards) // 3
        first, last = rewards[:n], rewards[-n:]
        if fmean(last) - fmean(first) <= 2 * sqrt((variance(first) + variance(last)) / n):
            add(
                "flat reward",
                f"The reward has not risen in {len(rewards)} rollouts: {fmean(first):.2f} at first, {fmean(last):.2f} lately.",
                "Raise the learning rate or the completions a group, and read some completions: is anything right now and then?",
            )
    return found


def _series(rows: Rows, name: str) -> list[float]:
    return [row[name] for row in rows if row.get(name) is not None]


def _gain(rows: Rows, name: str) -> float:
    """How far the last third of the values lies above the first, as a share of the range of all so far; 0 before 2 RECENT."""
    values = _series(rows, name)
    spread, n = max(values, default=0) - min(values, default=0), len(values) // 3
    return (fmean(values[-n:]) - fmean(values[:n])) / spread if spread and len(values) >= 2 * RECENT else 0.0
