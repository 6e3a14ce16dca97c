"""Intervals and paired tests for accuracies: how sure is a number, and did it really move?

Every function takes plain counts or verdicts and returns plain numbers between -1 and 1;
percentages are made by the report. SciPy is imported where it is used, so that importing this
module costs nothing.
"""

from collections.abc import Sequence
from math import sqrt
from numbers import Integral
from typing import NamedTuple


class PairedDifference(NamedTuple):
    """How accuracy differs between two sets of verdicts on the same items.

    difference, low, high: accuracy after minus accuracy before with its interval, as shares (0.05
        is five points).
    gained, lost: items that only the second, or only the first, answered correctly.
    p_value: of the exact two-sided McNemar test.
    """

    difference: float
    low: float
    high: float
    gained: int
    lost: int
    p_value: float


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1 (such as 0.95), not {confidence!r}.")


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval (low, high) of a share: `successes` out of `n` independent items.

    Wilson's score interval (E. B. Wilson 1927, JASA 22:209), except at 0 of n and n of n, where its
    coverage is poorest: there the exact interval of Clopper and Pearson (1934, Biometrika 26:404)
    stands in. Raises ValueError for counts that are not whole or do not fit together, or a
    confidence outside (0, 1).
    """
    from scipy.stats import binomtest

    _check_confidence(confidence)
    if not (isinstance(successes, Integral) and isinstance(n, Integral)):
        raise ValueError(f"An interval needs whole counts, not {successes!r} of {n!r}.")
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is not a share: n must be at least 1 and successes between 0 and n.")
    method = "exact" if successes in (0, n) else "wilson"
    interval = binomtest(int(successes), int(n)).proportion_ci(confidence, method=method)
    return float(interval.low), float(interval.high)


def mcnemar(b: int, c: int, mid_p: bool = False) -> float:
    """The two-sided p-value of McNemar's test, from the two counts of items that changed sides.

    Exact: the smaller count under a fair coin over b + c throws (McNemar 1947, Psychometrika
    12:153). `mid_p` counts outcomes as likely as the observed one half, which is less conservative
    (Fagerland, Lydersen and Laake 2013, BMC Med. Res. Methodol. 13:91). With no
    disagreement at all p is 1. Raises ValueError for counts that are negative or not whole.
    """
    from scipy.stats import binom, binomtest

    for count in (b, c):
        if not isinstance(count, Integral) or count < 0:
            raise ValueError(f"McNemar's test needs two whole counts of 0 or more, not {b!r} and {c!r}.")
    smaller, throws = int(min(b, c)), int(b + c)
    if throws == 0:
        return 1.0
    exact = float(binomtest(smaller, throws, 0.5).pvalue)
    if not mid_p:
        return exact
    as_likely = float(binom.pmf(smaller, throws, 0.5)) * (1 if b == c else 2)
    return exact - as_likely / 2


def _agresti_min(gained: int, lost: int, n: int, confidence: float) -> tuple[float, float]:
    """Wald's interval of (gained - lost) / n with half an item added to all four paired cells."""
    from scipy.stats import norm

    gained_half, lost_half, n_more = gained + 0.5, lost + 0.5, n + 2
    centre = (gained_half - lost_half) / n_more
    variance = (gained_half + lost_half) / n_more - centre**2
    reach = float(norm.ppf((1 + confidence) / 2)) * sqrt(variance / n_more)
    return max(-1.0, centre - reach), min(1.0, centre + reach)


def paired_difference(before: Sequence[bool], after: Sequence[bool], confidence: float = 0.95) -> PairedDifference:
    """Compare two lists of verdicts (true or 1: correct) on the same items in the same order.

    The interval is Agresti and Min's for paired proportions (2005, Stat. Med. 24:729), cut at -1
    and 1; p is exact McNemar. The two answer slightly different questions, so near the edge one may
    call a difference clear and the other not. Raises ValueError where the lengths differ, there are
    no items, a verdict is neither true nor false, or the confidence is outside (0, 1).
    """
    _check_confidence(confidence)
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
    low, high = _agresti_min(gained, lost, len(pairs), confidence)
    return PairedDifference((gained - lost) / len(pairs), low, high, gained, lost, mcnemar(gained, lost))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of one family of tests for their number, keeping their order.

    Holm's step-down method (1979, Scand. J. Stat. 6:65): the i-th smallest of m is multiplied
    by m - i + 1, and none may fall below a smaller one's. Raises ValueError for a value that is
    not between 0 and 1.
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise ValueError(f"A p-value lies between 0 and 1, not {p!r}.")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, float(p_values[i]) * (len(p_values) - rank)))
        adjusted[i] = largest
    return adjusted
