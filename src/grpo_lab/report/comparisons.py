"""Two checkpoints on the same problems: what moved, how sure that is, and where the difference comes from.

"improved" and "reduced" are printed only where the interval excludes 0 and both sides had the same prompts, token budget and
temperature.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from grpo_lab.records import checkpoints_of, has_part, optional_samples, samples_of
from grpo_lab.report.summary import group_samples
from grpo_math.stats import (
    GainPart,
    PairedDifference,
    SampledDifference,
    decompose_gain,
    holm,
    paired_bootstrap,
    paired_difference,
    sign_flip,
)

# What both sides must share for "improved" and "reduced", and what is said where they do not.
SAME = {
    "prompt_sha256": "each in its own prompt",
    "budget": "with different token budgets",
    "temperature": "at different temperatures",
}


@dataclass(frozen=True)
class Comparison:
    """One pair of checkpoints by one measure.

    before, after: the parts that were compared; "base-chat" where the base did better in the others' prompt.
    p_value: McNemar's, or of the sign-flip test on avg@k; adjusted_p: after Holm over the pairs of the measure.
    differs: which of SAME the sides do not share.
    """

    before: str
    after: str
    difference: PairedDifference | SampledDifference
    p_value: float
    adjusted_p: float
    differs: tuple[str, ...]

    def verdict(self, up: str, down: str) -> str:
        """`up` or `down` where the interval excludes 0 (said more carefully where the sides are not comparable)."""
        if self.difference.low <= 0 <= self.difference.high:
            return "no clear difference"
        risen = self.difference.low > 0
        if not self.differs:
            return up if risen else down
        return f"{'higher' if risen else 'lower'}, {' and '.join(SAME[name] for name in self.differs)}"


def pair_samples(before: Sequence[dict], after: Sequence[dict]) -> list[tuple[dict, dict]]:
    """The rows of both sides side by side, in the order of `before`; ValueError where they are not the same problems."""
    first, second = ({row["id"]: row for row in rows} for rows in (before, after))
    if len(first) != len(before) or len(second) != len(after):
        raise ValueError("The samples hold an id twice: a paired comparison needs one sample a problem.")
    if first.keys() != second.keys():
        odd = sorted(first.keys() ^ second.keys())
        raise ValueError(
            f"The two sides did not answer the same problems: {len(odd)} ids are on one side only, "
            f"such as {odd[0]!r}. Evaluate both checkpoints again on the same problems."
        )
    for key, row in first.items():
        if row["gold"] != second[key]["gold"]:
            raise ValueError(f"Problem {key!r} has two gold answers, {row['gold']!r} and {second[key]['gold']!r}.")
    return [(row, second[key]) for key, row in first.items()]


def is_right(row: dict) -> bool:
    """A correct answer by flexible extraction; on a twin, a refusal."""
    return row["correct_flexible"]


def has_false_claim(row: dict) -> bool:
    """At least one claim that exact re-evaluation refutes."""
    return row["false_claims"] > 0


def compare_checkpoints(run_dir: Path | str, measure: Callable[[dict], bool] = is_right, prefix: str = "") -> list[Comparison]:
    """Every pair of the run's checkpoints by one yes-or-no measure, Holm over the pairs; empty where nothing was measured.

    prefix: "twins-" for the twins, "sampled-" for avg@k (paired bootstrap and sign-flip test); there the base stands in its own
    prompt, else for the better of its two. Raises as `pair_samples` and `group_samples`.
    """
    if prefix:
        measured = [name for name in checkpoints_of(run_dir) if has_part(run_dir, prefix + name)]
        samples = {name: samples_of(run_dir, prefix + name) for name in measured}
    else:
        samples = best_samples(run_dir)
    names = list(samples)
    pairs = [*pairwise(names), *([(names[0], names[-1])] if len(names) > 2 else [])]

    found = []
    for before, after in pairs:
        if prefix == "sampled-":
            sides = [group_samples(samples[before]), group_samples(samples[after])]
            rows = pair_samples(*([items[0] for items in side] for side in sides))
            scores = [[[measure(row) for row in items] for items in side] for side in sides]
            difference, p_value = paired_bootstrap(*scores), sign_flip(*scores)
        else:
            rows = pair_samples(samples[before], samples[after])
            difference = paired_difference([measure(was) for was, _ in rows], [measure(now) for _, now in rows])
            p_value = difference.p_value
        differs = tuple(key for key in SAME if any(was[key] != now[key] for was, now in rows))
        found.append((before, after, difference, p_value, differs))
    adjusted = holm([p_value for *_, p_value, _ in found])
    return [Comparison(*told, p, differs) for (*told, differs), p in zip(found, adjusted, strict=True)]


def best_samples(run_dir: Path | str) -> dict[str, list[dict]]:
    """The rows of each checkpoint by the name of their part, in the order of training; the base in its better prompt.

    The first key is "base" or, where the base answers more problems correctly in the prompt of the other checkpoints,
    "base-chat". Raises as `read_samples`.
    """
    samples = {name: samples_of(run_dir, name) for name in checkpoints_of(run_dir)}
    chat = optional_samples(run_dir, "base-chat") or []
    if sum(map(is_right, chat)) > sum(map(is_right, samples["base"])):
        del samples["base"]
        return {"base-chat": chat, **samples}
    return samples


def decompose(before: Sequence[dict], after: Sequence[dict]) -> list[GainPart]:
    """Where a difference of flexible accuracy comes from (see `stats.decompose_gain`)."""

    def record(row: dict) -> dict:
        causes = {"false_arithmetic": has_false_claim(row), "ungrounded": row["ungrounded"] > 0}
        return row | causes | {"extracted_flexible": row["extracted_flexible"] or None}  # an empty answer section is no answer

    pairs = pair_samples(before, after)
    return decompose_gain([record(was) for was, _ in pairs], [record(now) for _, now in pairs])


def changed_samples(before: Sequence[dict], after: Sequence[dict]) -> dict[str, list[tuple[dict, dict]]]:
    """Pairs of rows (before, after), sorted by what became of the problem under flexible extraction.

    Lists "solved" (wrong, then right), "broken" (right, then wrong), "still_wrong" and "still_right". Raises as `pair_samples`.
    """
    names = {(False, True): "solved", (True, False): "broken", (False, False): "still_wrong", (True, True): "still_right"}
    lists: dict[str, list[tuple[dict, dict]]] = {name: [] for name in names.values()}
    for was, now in pair_samples(before, after):
        lists[names[is_right(was), is_right(now)]].append((was, now))
    return lists
