"""Is GRPO learning? Plain sentences on what the logged metrics show to be wrong, and what to change.

Each guard looks at the rows of `grpo_metrics.csv` (a dict a logged step, by TRL's names) and says one sentence or nothing. The
bounds are rules of thumb, written here and nowhere else; one that fires is a reason to look, not a verdict.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan, sqrt
from statistics import fmean, variance

RECENT = 5  # rollouts that "lately" means; a guard waits for as many
MOST_CUT_OFF = 0.3  # share of completions at the token limit
MOST_SILENT = 0.9  # share of groups whose rewards are all equal
FLAT_AFTER = 20  # rollouts without a rise of the reward
COLLAPSED = 0.1  # of the entropy that training began with
MUCH = 0.3  # a gain or loss between the first and the last third of a reward's values, as a share of their range

Rows = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Illness:
    """What is wrong: a name of one or two words, a sentence of what the metrics show, and one of what to change."""

    name: str
    sign: str
    advice: str

    def __str__(self) -> str:
        return f"{self.sign} {self.advice}"


def diagnose(rows: Rows) -> list[Illness]:
    """The illnesses that show in the rows so far, the gravest first; none for a healthy run or one that has just begun."""
    return [found for guard in GUARDS if (found := guard(rows))]


def _series(rows: Rows, name: str) -> list[float]:
    return [row[name] for row in rows if row.get(name) is not None]


def _lately(rows: Rows, name: str) -> float | None:
    """The mean of the last RECENT values; None before there are as many."""
    values = _series(rows, name)[-RECENT:]
    return fmean(values) if len(values) == RECENT else None


def _not_a_number(rows: Rows) -> Illness | None:
    bad = [name for name in ("loss", "grad_norm", "reward") if not all(isfinite(v) for v in _series(rows, name)[-1:])]
    if bad:
        return Illness(
            "not a number",
            f"The newest {' and '.join(bad)} {'is' if len(bad) == 1 else 'are'} not a number, so the weights may be spoilt.",
            "Go back to the checkpoint before, lower the learning rate, and on a T4 see that the LoRA weights are float32.",
        )
    return None


def _no_updates(rows: Rows) -> Illness | None:
    norms = _series(rows, "grad_norm")[-RECENT:]
    if len(norms) == RECENT and not any(norms):
        return Illness(
            "no gradient",
            f"The gradient was zero in the last {RECENT} logged steps, so nothing is learned.",
            "See whether the adapter is trainable, and whether any group holds completions with different rewards.",
        )
    return None


def _silent_groups(rows: Rows) -> Illness | None:
    share = _lately(rows, "frac_reward_zero_std")
    if share is None or share < MOST_SILENT:
        return None
    return Illness(
        "no signal",
        f"In {share:.0%} of the last groups all completions earned the same, so these groups teach nothing.",
        "Where they are all right, take harder problems; where all wrong, easier ones, more completions a group "
        "(num_generations) or a longer SFT.",
    )


def _cut_off(rows: Rows) -> Illness | None:
    share = _lately(rows, "completions/clipped_ratio")
    if share is None or share < MOST_CUT_OFF:
        return None
    return Illness(
        "cut off",
        f"{share:.0%} of the last completions were cut off at the token limit, and could not be right.",
        "Raise max_completion_length, or see whether the model ever learned to stop (notebook 01, section 5).",
    )


def _hacked(rows: Rows) -> Illness | None:
    """The form gains while accuracy falls: held out, below the interval's reach of its best; or, unmeasured, as a reward."""
    forms = {name for row in rows[-RECENT:] for name in row if _is_form(name)}
    if not any(_gain(rows, name) > MUCH for name in forms):
        return None
    measured = [row for row in rows if row.get("eval_accuracy") is not None]
    if len(measured) >= 2:
        before, now = max(row["eval_accuracy"] for row in measured), measured[-1]["eval_accuracy"]
        fell = measured[-1].get("eval_high", now + 0.05) < before
        what = f"held-out accuracy fell from {before:.0%} to {now:.0%}"
    else:
        fell, what = _gain(rows, "rewards/correctness/mean") < -MUCH, "the reward for right answers falls"
    if not fell:
        return None
    return Illness(
        "reward hacking",
        f"The form earns more and more while {what}: the model is paid for looks.",
        "See that the margin of the reward set is positive (notebook 02, section 2), and pay less for the form.",
    )


def _is_form(name: str) -> bool:
    return name.startswith("rewards/") and name.endswith("/mean") and ("format" in name or "structure" in name)


def _gain(rows: Rows, name: str) -> float:
    """How far the last third of the values lies above the first, as a share of the range of all so far; 0 before 2 RECENT."""
    values = _series(rows, name)
    spread, n = max(values, default=0) - min(values, default=0), len(values) // 3
    return (fmean(values[-n:]) - fmean(values[:n])) / spread if spread and len(values) >= 2 * RECENT else 0.0


def _collapsed(rows: Rows) -> Illness | None:
    values, now = _series(rows, "entropy"), _lately(rows, "entropy")
    if now is None or len(values) < 2 * RECENT or now >= COLLAPSED * fmean(values[:RECENT]):
        return None
    return Illness(
        "entropy collapsed",
        f"The policy's entropy fell from {fmean(values[:RECENT]):.3f} to {now:.3f} nats a token: samples are all alike.",
        "Lower the learning rate, raise the temperature, or set beta above 0.",
    )


def _flat(rows: Rows) -> Illness | None:
    """The last third of the rewards is no higher than the first, beyond twice the standard error of the difference."""
    values = _series(rows, "reward")
    if len(values) < FLAT_AFTER:
        return None
    n = len(values) // 3
    first, last = values[:n], values[-n:]
    error = sqrt((variance(first) + variance(last)) / n)
    rise = fmean(last) - fmean(first)
    if isnan(rise) or rise > 2 * error:
        return None
    return Illness(
        "flat reward",
        f"The reward has not risen in {len(values)} rollouts: {fmean(first):.2f} at first, {fmean(last):.2f} lately.",
        "Raise the learning rate or the completions a group, and read some completions: is anything right now and then?",
    )


GUARDS: tuple[Callable[[Rows], Illness | None], ...] = (
    _not_a_number,
    _no_updates,
    _hacked,
    _silent_groups,
    _cut_off,
    _collapsed,
    _flat,
)
