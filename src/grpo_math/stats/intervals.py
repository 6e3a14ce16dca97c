"""How sure is one number: intervals for an accuracy, from single runs and from k samples an item."""

from collections.abc import Sequence
from numbers import Integral

import numpy as np

# Half an item at either end of the scale, Jeffreys' prior for a share. Without it a resample can never leave the range of the
# observed items, and 95 % intervals of a rare event hold the truth far less often than 95 % of the time.
PSEUDO_ITEMS = 0.5


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval (low, high) of a share: `successes` out of `n` independent items. Needs statsmodels.

    Wilson's score interval (E. B. Wilson 1927, JASA 22:209), except at 0 of n and n of n, where its coverage is poorest: there
    the exact interval of Clopper and Pearson stands in. Raises ValueError for counts that are not whole or do not fit together,
    or a confidence outside (0, 1).
    """
    return _proportion_interval(successes, n, confidence, "beta" if successes in (0, n) else "wilson")


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval (low, high) of a share: holds the truth at least `confidence` of the time, mostly more often.

    Clopper and Pearson (1934, Biometrika 26:404). Needs statsmodels. Raises ValueError as `wilson_interval` does.
    """
    return _proportion_interval(successes, n, confidence, "beta")


def _proportion_interval(successes: int, n: int, confidence: float, method: str) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    check_confidence(confidence)
    if not (isinstance(successes, Integral) and isinstance(n, Integral)):
        raise ValueError(f"An interval needs whole counts, not {successes!r} of {n!r}.")
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is not a share: n must be at least 1 and successes between 0 and n.")
    low, high = proportion_confint(int(successes), int(n), alpha=1 - confidence, method=method)
    return float(low), float(high)


def cluster_interval(
    scores: Sequence[float] | Sequence[Sequence[float]] | np.ndarray,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """The two-sided interval (low, high) of avg@k: the mean over items of the share of k samples that were right.

    scores: (n, k) verdicts of k samples an item, or (n,) scores of items between 0 and 1.

    A bootstrap over items, never over samples, for the samples of one item are alike: each resample weighs the items at random
    (Rubin's Bayesian bootstrap, 1981, Ann. Statist. 9:130), together with half an item that is always right and half an item
    that is always wrong. At k = 1 this is Jeffreys' interval. Where no sample, or every sample, was right, nothing tells how
    alike samples are, and Clopper and Pearson's interval for n items stands in. `scripts/calibrate_stats.py` measures the
    coverage. Raises ValueError for scores outside [0, 1] or of another shape, no items, or a confidence outside (0, 1).
    """
    check_confidence(confidence)
    items = item_scores(scores)
    mean = float(items.mean())
    if items.max() == 0 or items.min() == 1:
        return clopper_pearson(int(items.sum()), len(items), confidence)
    low, high = reweighted_interval(items, (0.0, 1.0), confidence, resamples, seed)
    return min(low, mean), max(high, mean)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Student's two-sided interval (low, high) of the mean of independent values, such as the gains of several training seeds.

    W. S. Gosset 1908, Biometrika 6:1. Needs SciPy. Raises ValueError for fewer than two values.
    """
    from scipy.stats import t

    check_confidence(confidence)
    if len(values) < 2:
        raise ValueError(f"An interval of a mean needs two values or more, not {len(values)}.")
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5
    reach = float(t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return mean - reach, mean + reach


def item_scores(scores) -> np.ndarray:
    """The score of each item, (n,), as the mean of its samples; ValueError says what is wrong with the input."""
    try:
        array = np.asarray(scores, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError("The scores are not a table of numbers: give one row an item, with as many samples each.") from error
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"Scores come as (items,) or (items, samples) with at least one of each, not as {array.shape}.")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError("A score lies between 0 (wrong) and 1 (right); one of these does not.")
    return array if array.ndim == 1 else array.mean(axis=1)


def reweighted_interval(
    values: np.ndarray, ends: tuple[float, float], confidence: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Quantiles of the mean of `values` under random weights, with PSEUDO_ITEMS at each of the two `ends` of the scale.

    The exponential weights of items with the same value add up to a gamma variable, so one draw serves all of them.
    """
    if resamples < 1:
        raise ValueError(f"A bootstrap needs at least one resample, not {resamples}.")
    levels, counts = np.unique(values, return_counts=True)
    levels = np.append(levels, ends)
    shapes = np.append(counts, [PSEUDO_ITEMS, PSEUDO_ITEMS])
    weights = np.random.default_rng(seed).standard_gamma(shapes, size=(resamples, len(levels)))
    means = weights @ levels / weights.sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1 (such as 0.95), not {confidence!r}.")
