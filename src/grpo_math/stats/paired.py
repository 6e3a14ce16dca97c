"""Did a number really move: tests and intervals for two checkpoints on the same items, and what an evaluation can show."""

from collections.abc import Hashable, Sequence
from math import prod, sqrt
from numbers import Integral
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from grpo_math.stats.intervals import check_confidence, item_scores, reweighted_interval

EXACT_OUTCOMES = 200_000  # sign_flip counts up to this many outcomes in full and draws from more


class PairedDifference(NamedTuple):
    """How accuracy differs between two sets of verdicts on the same items.

    difference, low, high: accuracy after minus accuracy before with its interval, as shares (0.05 is five points).
    gained, lost: items that only the second, or only the first, answered correctly.
    p_value: of the exact two-sided McNemar test.
    """

    difference: float
    low: float
    high: float
    gained: int
    lost: int
    p_value: float


class SampledDifference(NamedTuple):
    """How avg@k differs between two checkpoints on the same items: second minus first with its interval, as shares."""

    difference: float
    low: float
    high: float


def mcnemar(b: int, c: int, mid_p: bool = False) -> float:
    """The two-sided p-value of McNemar's test, from the two counts of items that changed sides. Needs statsmodels.

    Exact: the smaller count under a fair coin over b + c throws (McNemar 1947, Psychometrika 12:153). `mid_p`, which statsmodels
    lacks, counts outcomes as likely as the observed one half, which is less conservative (Fagerland, Lydersen and Laake 2013,
    BMC Med. Res. Methodol. 13:91). With no disagreement at all p is 1. Raises ValueError for counts that are negative or not
    whole.
    """
    from scipy.stats import binom
    from statsmodels.stats import contingency_tables

    for count in (b, c):
        if not isinstance(count, Integral) or count < 0:
            raise ValueError(f"McNemar's test needs two whole counts of 0 or more, not {b!r} and {c!r}.")
    if b + c == 0:
        return 1.0
    p = float(contingency_tables.mcnemar([[0, b], [c, 0]], exact=True).pvalue)
    if mid_p:
        as_likely = float(binom.pmf(min(b, c), b + c, 0.5)) * (1 if b == c else 2)
        p -= as_likely / 2
    return p


def paired_difference(before: Sequence[bool], after: Sequence[bool], confidence: float = 0.95) -> PairedDifference:
    """Compare two lists of verdicts (true or 1: correct) on the same items in the same order.

    The interval is Agresti and Min's for paired proportions (2005, Stat. Med. 24:729), cut at -1 and 1; p is exact McNemar. The
    two answer slightly different questions, so near the edge one may call a difference clear and the other not. Needs
    statsmodels. Raises ValueError where the lengths differ, there are no items, a verdict is neither true nor false, or the
    confidence is outside (0, 1).
    """
    from scipy.stats import norm

    check_confidence(confidence)
    if len(before) != len(after):
        raise ValueError(f"A paired comparison needs the same items: {len(before)} verdicts before, {len(after)} after.")
    if len(before) == 0:
        raise ValueError("A paired comparison needs at least one item.")
    pairs = list(zip(before, after, strict=True))
    for verdict in (verdict for pair in pairs for verdict in pair):
        if verdict not in (0, 1):
            raise ValueError(f"A verdict is true or false, not {verdict!r}.")
    gained = sum(1 for was, now in pairs if now and not was)
    lost = sum(1 for was, now in pairs if was and not now)
    # Wald's interval with half an item added to each of the four paired cells: kept, gained, lost, never right.
    n_more = len(pairs) + 2
    centre = (gained - lost) / n_more
    variance = (gained + lost + 1) / n_more - centre**2
    reach = float(norm.ppf((1 + confidence) / 2)) * sqrt(variance / n_more)
    low, high = max(-1.0, centre - reach), min(1.0, centre + reach)
    return PairedDifference((gained - lost) / len(pairs), low, high, gained, lost, mcnemar(gained, lost))


def paired_bootstrap(a, b, resamples: int = 10_000, confidence: float = 0.95, seed: int = 0) -> SampledDifference:
    """The difference of avg@k, `b` minus `a`, with its interval from a bootstrap over items.

    a, b: (n, k) verdicts or (n,) scores between 0 and 1 on the same items in the same order; k may differ between the sides.

    The bootstrap is that of `cluster_interval`, on the differences of the items: half an item at the largest difference seen
    and half at its opposite are added (at -1 and 1 where no item differs), so that a few lucky items do not look certain.
    Raises ValueError for scores that do not fit, or a confidence outside (0, 1).
    """
    check_confidence(confidence)
    differences = _item_differences(a, b)
    mean = float(differences.mean())
    end = float(np.abs(differences).max()) or 1.0
    low, high = reweighted_interval(differences, (-end, end), confidence, resamples, seed)
    return SampledDifference(mean, min(low, mean), max(high, mean))


def sign_flip(a, b, resamples: int = 10_000, seed: int = 0) -> float:
    """The two-sided p-value of no difference: how often random signs on the items' differences reach as far from 0 as these.

    a, b: as in `paired_bootstrap`. At k = 1 this is exact McNemar.

    Items that differ equally much are interchangeable, so the outcomes are counts of signs; up to EXACT_OUTCOMES of them are
    weighed exactly. From more, `resamples` are drawn, and the observed one is counted among them (p is at least
    1 / (resamples + 1)). Fisher's randomisation test (1935, The Design of Experiments). Raises ValueError as `paired_bootstrap`.
    """
    differences = _item_differences(a, b)
    # Rounded, because 3/8 - 2/8 and 1/8 may differ in the last bit.
    sizes, counts = np.unique(np.abs(differences[differences != 0]).round(12), return_counts=True)
    reach = abs(float(differences.sum())) - 1e-9
    if prod(int(count) + 1 for count in counts) <= EXACT_OUTCOMES:
        sums, chances = _all_flips(sizes, counts)
        return min(1.0, float(chances[np.abs(sums) >= reach].sum()))
    plus = np.random.default_rng(seed).binomial(counts, 0.5, size=(resamples, len(counts)))
    sums = (2 * plus - counts) @ sizes
    return float(1 + (np.abs(sums) >= reach).sum()) / (resamples + 1)


def matched_difference(
    changes: Sequence[float], marked: Sequence[bool], cells: Sequence[Hashable], confidence: float = 0.95
) -> tuple[float, float, float] | None:
    """How much larger the mean change of the marked items is than that of the others in the same cell: (difference, low, high).

    changes: (n,), such as after less before; cells: (n,), what items are matched by. The mean of the cells' differences, weighed
    by a * b / (a + b) for a marked and b other items, is the coefficient of the mark in a least-squares regression with a level
    for each cell; the interval is normal, with a variance for each side of a cell. None where no cell has two items of both
    kinds.
    """
    check_confidence(confidence)
    sides: dict[Hashable, tuple[list[float], list[float]]] = {}
    for change, mark, cell in zip(changes, marked, cells, strict=True):
        sides.setdefault(cell, ([], []))[not mark].append(change)
    total = weighed = variance = 0.0
    for ours, others in sides.values():
        a, b = len(ours), len(others)
        if min(a, b) < 2:
            continue
        weight = a * b / (a + b)
        total += weight
        weighed += weight * (np.mean(ours) - np.mean(others))
        variance += weight**2 * (np.var(ours, ddof=1) / a + np.var(others, ddof=1) / b)
    if not total:
        return None
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * variance**0.5 / total
    return float(weighed / total), float(weighed / total - reach), float(weighed / total + reach)


def minimum_detectable_effect(n: int, discordant: float = 0.2, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest paired difference, as a share (0.056 is 5.6 points), that n items show with the chance `power`.

    discordant: the share of items whose verdict differs between the two sides.
    alpha: the level of the two-sided test.

    (t(1 - alpha/2) + t(power)) · sqrt(discordant / n), with Student's t at n - 1 degrees of freedom: the paired t-test's
    approximation, with the variance that holds when nothing moved. Where the result exceeds `discordant`, n items cannot show
    any difference at that share. Raises ValueError for fewer than 2 items or shares outside (0, 1).
    """
    from scipy.stats import t

    if not isinstance(n, Integral) or n < 2:
        raise ValueError(f"A detectable effect needs a whole number of 2 or more items, not {n!r}.")
    for name, share in {"discordant": discordant, "power": power, "alpha": alpha}.items():
        if not 0 < share < 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {share!r}.")
    return float(t.ppf(1 - alpha / 2, n - 1) + t.ppf(power, n - 1)) * sqrt(discordant / n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of one family of tests for their number, keeping their order. Needs statsmodels.

    Holm's step-down method (1979, Scand. J. Stat. 6:65). Raises ValueError for a value that is not between 0 and 1.
    """
    from statsmodels.stats.multitest import multipletests

    for p in p_values:
        if not 0 <= p <= 1:
            raise ValueError(f"A p-value lies between 0 and 1, not {p!r}.")
    return multipletests(p_values, method="holm")[1].tolist() if len(p_values) else []


def _item_differences(a, b) -> np.ndarray:
    first, second = item_scores(a), item_scores(b)
    if len(first) != len(second):
        raise ValueError(f"A paired comparison needs the same items: {len(first)} on one side, {len(second)} on the other.")
    return second - first


def _all_flips(sizes: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every sum that random signs can give, with its chance: `counts[i]` items differ by `sizes[i]`."""
    from scipy.stats import binom

    sums, chances = np.zeros(1), np.ones(1)
    for size, count in zip(sizes, counts, strict=True):
        plus = np.arange(count + 1)
        sums = np.add.outer(sums, size * (2 * plus - count)).ravel()
        chances = np.multiply.outer(chances, binom.pmf(plus, count, 0.5)).ravel()
    return sums, chances
