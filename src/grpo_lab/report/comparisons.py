"""Two checkpoints on the same problems: what moved, how sure that is, and where the difference comes from.

"improved" and "reduced" are printed only where the interval excludes 0 and both sides had the same prompts, token budget and
temperature.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from grpo_lab.records import checkpoints_of, has_part, label_of, optional_samples, samples_of
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

PAIRS = (("base", "sft"), ("sft", "grpo"), ("base", "grpo"))
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
    adjusted_p: McNemar's p after Holm over the pairs of the measure. differs: which of SAME the sides do not share.
    """

    before: str
    after: str
    difference: PairedDifference
    adjusted_p: float
    differs: tuple[str, ...] = ()

    @property
    def comparable(self) -> bool:
        """Whether both sides had the same prompts, token budget and temperature."""
        return not self.differs

    def verdict(self, up: str = "improved", down: str = "worse") -> str:
        """`up` or `down` where the interval excludes 0 (said more carefully where the sides are not comparable)."""
        if self.difference.low <= 0 <= self.difference.high:
            return "no clear difference"
        risen = self.difference.low > 0
        if self.comparable:
            return up if risen else down
        return f"{'higher' if risen else 'lower'}, {' and '.join(SAME[name] for name in self.differs)}"


@dataclass(frozen=True)
class SampledComparison:
    """One pair of checkpoints by avg@k. p_value: of the sign-flip test; adjusted_p: after Holm over the pairs."""

    before: str
    after: str
    difference: SampledDifference
    p_value: float
    adjusted_p: float


def pair_samples(before: Sequence[dict], after: Sequence[dict]) -> list[tuple[dict, dict]]:
    """The rows of both sides side by side, in the order of `before`; ValueError where they are not the same problems."""
    sides = []
    for name, rows in (("before", before), ("after", after)):
        by_id = {row["id"]: row for row in rows}
        if len(by_id) != len(rows):
            raise ValueError(f"The samples {name} hold an id twice: a paired comparison needs one sample a problem.")
        sides.append(by_id)
    first, second = sides
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


def _difference(pairs: list[tuple[dict, dict]], measure: Callable[[dict], bool]) -> PairedDifference:
    return paired_difference([measure(was) for was, _ in pairs], [measure(now) for _, now in pairs])


def is_right(row: dict) -> bool:
    """A correct answer by flexible extraction; on a twin, a refusal."""
    return row["correct_flexible"]


def has_false_claim(row: dict) -> bool:
    """At least one claim that exact re-evaluation refutes."""
    return row["false_claims"] > 0


def compare_checkpoints(run_dir: Path | str, measure: Callable[[dict], bool] = is_right, prefix: str = "") -> list[Comparison]:
    """Every pair of the run's checkpoints by one yes-or-no measure, Holm over the pairs. `prefix`: "twins-" for the twins.

    The base stands for the better of its two prompts, by accuracy; on the twins for its own. Empty where nothing was measured.
    """
    names = {name: name for name in checkpoints_of(run_dir) if not prefix or has_part(run_dir, prefix + name)}
    if not prefix:
        names["base"] = best_base_part(run_dir)
    pairs = [(names[before], names[after]) for before, after in PAIRS if {before, after} <= names.keys()]
    sides = [pair_samples(*(samples_of(run_dir, prefix + name) for name in pair)) for pair in pairs]
    differences = [_difference(rows, measure) for rows in sides]
    adjusted = holm([difference.p_value for difference in differences])
    return [
        Comparison(*pair, difference, p, tuple(key for key in SAME if any(was[key] != now[key] for was, now in rows)))
        for pair, rows, difference, p in zip(pairs, sides, differences, adjusted, strict=True)
    ]


def compare_sampled(run_dir: Path | str) -> list[SampledComparison]:
    """Every pair of the run's checkpoints by avg@k, Holm over the pairs; the base in its own prompt. Empty where none was drawn.

    Raises ValueError where the samples of a pair are not of the same problems, or `group_samples` does.
    """
    names = [name for name in checkpoints_of(run_dir) if has_part(run_dir, f"sampled-{name}")]
    items = {name: group_samples(samples_of(run_dir, f"sampled-{name}")) for name in names}
    pairs = [pair for pair in PAIRS if set(pair) <= items.keys()]
    found = []
    for pair in pairs:
        pair_samples(*([rows[0] for rows in items[name]] for name in pair))  # raises where the problems differ
        sides = [[[is_right(row) for row in rows] for rows in items[name]] for name in pair]
        found.append((paired_bootstrap(*sides), sign_flip(*sides)))
    adjusted = holm([p for _, p in found])
    return [SampledComparison(*pair, *measured, p) for pair, measured, p in zip(pairs, found, adjusted, strict=True)]


def best_base_part(run_dir: Path | str) -> str:
    """ "base" or, where the base answers more problems correctly in the prompt of the other checkpoints, "base-chat"."""
    own, chat = samples_of(run_dir, "base"), optional_samples(run_dir, "base-chat") or []
    return "base-chat" if sum(map(is_right, chat)) > sum(map(is_right, own)) else "base"


def best_samples(run_dir: Path | str) -> dict[str, list[dict]]:
    """The rows of each checkpoint by the name of their part, in the order of training; the base in its better prompt.

    So the first key is "base" or "base-chat". Raises as `read_samples`.
    """
    return {name: samples_of(run_dir, name) for name in (best_base_part(run_dir), *checkpoints_of(run_dir)[1:])}


def decompose(before: Sequence[dict], after: Sequence[dict]) -> list[GainPart]:
    """Where a difference of flexible accuracy comes from (see `stats.decompose_gain`)."""
    pairs = pair_samples(before, after)
    sides = [[_causes(row) for row in side] for side in zip(*pairs, strict=True)]
    return decompose_gain(*sides)


def _causes(row: dict) -> dict:
    causes = {"false_arithmetic": has_false_claim(row), "ungrounded": row["ungrounded"] > 0}
    return row | causes | {"extracted_flexible": row["extracted_flexible"] or None}  # an empty answer section is no answer


def changed_samples(before: Sequence[dict], after: Sequence[dict]) -> dict[str, list[tuple[dict, dict]]]:
    """Pairs of rows (before, after), sorted by what became of the problem under flexible extraction.

    Lists "solved" (wrong, then right), "broken" (right, then wrong), "still_wrong" and "still_right". Raises as `pair_samples`.
    """
    names = {(False, True): "solved", (True, False): "broken", (False, False): "still_wrong", (True, True): "still_right"}
    lists: dict[str, list[tuple[dict, dict]]] = {name: [] for name in names.values()}
    for was, now in pair_samples(before, after):
        lists[names[is_right(was), is_right(now)]].append((was, now))
    return lists


def name_pair(comparison: Comparison | SampledComparison) -> str:
    """`base -> + SFT`, in bold lest "+" begin a list."""
    return f"**{label_of(comparison.before)} → {label_of(comparison.after)}**"
