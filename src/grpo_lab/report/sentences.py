"""What a run shows, in sentences for the notebooks. Every number, and every word that says up or down, is read off the run."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from grpo_lab.records import checkpoints_of, label_of, samples_of
from grpo_lab.report.comparisons import Comparison, changed_samples, compare_checkpoints, has_false_claim, is_right
from grpo_lab.report.tables import counted, pair_label, percent, points
from grpo_math.rewards import margin
from grpo_math.rewards.contract import RewardFunction
from grpo_math.stats import PairedDifference, SampledDifference, paired_difference


def form_sentence(samples: Sequence[dict]) -> str:
    """How many completions ended by themselves, stand in the required form, and are right."""
    formed, right = (sum(row[key] for row in samples) for key in ("formatted", "correct_flexible"))
    ended = sum(not row["truncated"] for row in samples)
    told = f"Of {counted(len(samples), 'completion')} {ended} ended without being cut off"
    return f"{told}, {formed} are in the required form, {right} are right."


def margin_sentence(functions: Sequence[RewardFunction]) -> str:
    """By how much a right answer earns more than any wrong one, or why that is not known."""
    try:
        least = margin(functions)
    except ValueError as error:
        return str(error)
    if least > 0:
        return f"A right answer earns at least {least:g} more than any wrong one."
    return f"A wrong answer may earn as much as a right one: the margin is {least:g}. Let correctness pay more."


def group_sentence(group: Sequence[dict], way_of: Callable[[str], str] | None = None) -> str:
    """What the advantages of a group push up and down: how many, how many of them right, how long, with how many false sums.

    way_of: names the way of working of a completion, where that can be told; the ways are counted then, too.
    """
    if not any(row["advantage"] for row in group):
        what = "right" if all(map(is_right, group)) else "wrong" if not any(map(is_right, group)) else "paid the same"
        return (
            f"All {len(group)} are {what} and earn {group[0]['reward']:g}, which is the mean: every advantage is 0, no "
            "completion becomes more or less likely, and the group teaches nothing."
        )
    parts = []
    for direction, sign in (("up", 1), ("down", -1)):
        rows = [row for row in group if sign * row["advantage"] > 0]
        worked = Counter(way_of(row["completion"]).replace("_", " ") for row in rows) if way_of else {}
        told = ", ".join(f"{count} {way}" for way, count in worked.items())
        parts.append(
            f"Pushed **{direction}**: {counted(len(rows), 'completion')}, {sum(map(is_right, rows))} of them right, "
            f"{sum(map(has_false_claim, rows))} with a false sum, {fmean(row['tokens'] for row in rows):.0f} tokens on average"
            + (f" ({told})." if told else ".")
        )
    return f"The mean reward is {fmean(row['reward'] for row in group):.2f}. " + " ".join(parts)


def course_sentences(metrics: Sequence[Mapping[str, float]], best: float) -> str:
    """How a GRPO stage went, as a list: the first value and the last of what its figure shows. best: the most reward."""

    def ends(name: str) -> tuple[float, float] | None:
        values = [row[name] for row in metrics if row.get(name) is not None]
        return (values[0], values[-1]) if values else None

    told = {
        "eval_accuracy": "Accuracy on the dev problems: {:.1%} before, {:.1%} after.",
        "reward": f"Mean reward of a rollout: {{:.2f}} at first, {{:.2f}} at last, of {best:g} at most.",
        "frac_reward_zero_std": "Groups without a signal: {:.0%} of the first rollout, {:.0%} of the last.",
        "completions/mean_length": "Tokens a completion: {:.0f} at first, {:.0f} at last. No reward function counts them.",
        "audit/false_claims": "Completions with a false sum: {:.0%} at first, {:.0%} at last. Nor these.",
    }
    return "\n".join(f"- {sentence.format(*ends(name))}" for name, sentence in told.items() if ends(name))


def changes_sentence(before: Sequence[dict], after: Sequence[dict]) -> str:
    """What became of the problems between two checkpoints: solved, broken, still wrong, still right, and the difference."""
    kinds = {kind.replace("_", " "): len(pairs) for kind, pairs in changed_samples(before, after).items()}
    counts = ", ".join(f"{kind} {n:,}" for kind, n in kinds.items())
    difference = paired_difference(list(map(is_right, before)), list(map(is_right, after)))
    return f"Of {counted(len(before), 'problem')}: {counts}. {_difference_text(difference)}."


def _difference_text(d: PairedDifference) -> str:
    return f"That is {points(d.difference)} points (95 % interval {points(d.low)} to {points(d.high)}){_chance(d)}"


def _chance(d: PairedDifference | SampledDifference) -> str:
    """What is added to a difference whose interval holds 0."""
    return ", which may be chance" if d.low <= 0 <= d.high else ""


def headline_sentences(run_dir: Path | str) -> str:
    """One sentence a pair of checkpoints: problems solved and lost, the difference, and whether it may be chance."""
    return "\n".join(f"- {_headline(c)}." for c in compare_checkpoints(run_dir))


def _headline(c: Comparison) -> str:
    gained, lost = counted(c.difference.gained, "problem"), f"{c.difference.lost:,}"
    own = " (each in its own prompt)" if "prompt_sha256" in c.differs else ""
    return (
        f"**{label_of(c.after)}** solves {gained} that {label_of(c.before)} does not, and loses {lost}{own}. "
        f"{_difference_text(c.difference)}"
    )


def sampling_sentences(run_dir: Path | str) -> str:
    """What each stage does to samples at GRPO's temperature (avg@k), and where they lose and greedy decoding does not, why."""
    greedy = {(c.before.removesuffix("-chat"), c.after): c.difference for c in compare_checkpoints(run_dir)}
    lines = []
    for c in compare_checkpoints(run_dir, prefix="sampled-"):
        d, between = c.difference, f"{points(c.difference.low)} to {points(c.difference.high)}"
        line = f"- {pair_label(c.before, c.after)}: {points(d.difference)} points by avg@k ({between}){_chance(d)}."
        if d.high < 0 <= greedy[c.before, c.after].high:
            line += (
                f" Greedy decoding takes the likeliest token each time; samples take all that {label_of(c.after)} finds "
                "possible, its worse ways of working too."
            )
        lines.append(line)
    return "\n".join(lines)


def transfer_sentence(run_dir: Path | str) -> str:
    """On which kinds of problems, unlike those of training, the last stage gains, loses, or does neither for sure."""
    before, after = checkpoints_of(run_dir)[-2:]
    sides = [samples_of(run_dir, f"transfer-{name}") for name in (before, after)]
    found: dict[str, list[str]] = {"gains on": [], "loses on": [], "shows no clear change on": []}
    for kind in dict.fromkeys(row["stratum"] for row in sides[0]):
        verdicts = [[is_right(row) for row in rows if row["stratum"] == kind] for rows in sides]
        d, reached = paired_difference(*verdicts), fmean(verdicts[1])
        change = "gains on" if d.low > 0 else "loses on" if d.high < 0 else "shows no clear change on"
        found[change].append(f"{kind} ({points(d.difference)} points, to {percent(reached)})")
    told = [f"{change} {', '.join(kinds)}" for change, kinds in found.items() if kinds]
    return f"On problems unlike those of training, {label_of(after)} {'; it '.join(told)}."
