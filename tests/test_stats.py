"""stats: against SciPy and statsmodels, against closed forms, and by how often intervals hold."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from grpo_math.stats import holm, mcnemar, paired_difference, wilson_interval


def verdicts(both: int, gained: int, lost: int, neither: int) -> tuple[list[bool], list[bool]]:
    """Two lists of verdicts with these counts of kept, gained, lost and never right items."""
    before = [True] * both + [False] * gained + [True] * lost + [False] * neither
    after = [True] * (both + gained) + [False] * (lost + neither)
    return before, after


# name: (successes, n, confidence, method of the reference)
WILSON = {
    "middle": (50, 100, 0.95, "wilson"),
    "one of few": (1, 10, 0.95, "wilson"),
    "all but one": (9, 10, 0.95, "wilson"),
    "size of GSM8K's test set": (912, 1319, 0.95, "wilson"),
    "other confidence": (30, 200, 0.99, "wilson"),
    "none: Clopper-Pearson": (0, 50, 0.95, "beta"),
    "all: Clopper-Pearson": (50, 50, 0.95, "beta"),
    "one item, wrong": (0, 1, 0.95, "beta"),
}


@pytest.mark.parametrize(("successes", "n", "confidence", "method"), WILSON.values(), ids=WILSON)
def test_wilson_interval_agrees_with_statsmodels(successes, n, confidence, method):
    expected = proportion_confint(successes, n, alpha=1 - confidence, method=method)
    assert wilson_interval(successes, n, confidence) == pytest.approx(expected, abs=1e-9)


def test_wilson_interval_closed_forms():
    # At one half the interval is 1/2 ± z / (2 sqrt(n + z²)); the exact upper end at 0 of n is
    # 1 - (α/2)^(1/n).
    z = 1.959963984540054
    assert wilson_interval(50, 100) == pytest.approx((0.5 - z / 2 / sqrt(100 + z * z), 0.5 + z / 2 / sqrt(100 + z * z)))
    assert wilson_interval(0, 20) == pytest.approx((0.0, 1 - 0.025 ** (1 / 20)))
    assert wilson_interval(20, 20) == pytest.approx((0.025 ** (1 / 20), 1.0))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_mirrors(counts):
    successes, n = counts
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    mirrored_low, mirrored_high = wilson_interval(n - successes, n)
    assert (low, high) == pytest.approx((1 - mirrored_high, 1 - mirrored_low))


def test_wilson_interval_covers_the_truth():
    """Exact coverage at n = 60 over a grid of true shares: 95 % on average, never far below."""
    n = 60
    lows, highs = np.array([wilson_interval(k, n) for k in range(n + 1)]).T
    shares = np.linspace(0.005, 0.995, 199)
    coverage = np.array([binom.pmf(np.arange(n + 1), n, p)[(lows <= p) & (p <= highs)].sum() for p in shares])
    assert 0.945 < coverage.mean() < 0.965
    assert coverage.min() > 0.83


BAD_COUNTS = {
    "no items": (0, 0),
    "more right than items": (6, 5),
    "negative": (-1, 5),
    "not whole": (2.5, 5),
    "text": ("2", 5),
    "not a number": (float("nan"), 5),
}


@pytest.mark.parametrize(("successes", "n"), BAD_COUNTS.values(), ids=BAD_COUNTS)
def test_wilson_interval_refuses_bad_counts(successes, n):
    with pytest.raises(ValueError, match="whole counts|is not a share"):
        wilson_interval(successes, n)


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.5, float("nan")])
def test_confidence_is_a_share(confidence):
    with pytest.raises(ValueError, match="between 0 and 1"):
        wilson_interval(1, 2, confidence)
    with pytest.raises(ValueError, match="between 0 and 1"):
        paired_difference([True], [False], confidence)


@pytest.mark.parametrize(("b", "c"), [(0, 1), (1, 5), (5, 1), (10, 10), (12, 30), (0, 8), (150, 190)])
def test_mcnemar_agrees_with_statsmodels(b, c):
    assert mcnemar(b, c) == pytest.approx(reference_mcnemar([[7, b], [c, 9]], exact=True).pvalue)


# name: (b, c, exact p, mid-p), by hand from the fair coin
MCNEMAR = {
    "no disagreement": (0, 0, 1.0, 1.0),
    "one": (0, 1, 1.0, 0.5),
    "five to none": (0, 5, 2 / 32, 1 / 32),
    "five to one": (1, 5, 2 * 7 / 64, 2 * (1 + 6 / 2) / 64),
    "a tie": (2, 2, 1.0, 1 - 6 / 16 / 2),
}


@pytest.mark.parametrize(("b", "c", "exact", "mid"), MCNEMAR.values(), ids=MCNEMAR)
def test_mcnemar_by_hand(b, c, exact, mid):
    assert mcnemar(b, c) == mcnemar(c, b) == pytest.approx(exact)
    assert mcnemar(b, c, mid_p=True) == mcnemar(c, b, mid_p=True) == pytest.approx(mid)


@pytest.mark.parametrize(("b", "c"), [(-1, 3), (1, 2.5), ("1", 2)])
def test_mcnemar_refuses_bad_counts(b, c):
    with pytest.raises(ValueError, match="two whole counts"):
        mcnemar(b, c)


def test_paired_difference_by_hand():
    # 50 items, 2 gained, 12 lost: with a half in each cell the centre is -10/52 and the variance
    # (15 - 100/52) / 52².
    result = paired_difference(*verdicts(36, 2, 12, 0))
    reach = 1.959963984540054 * sqrt(15 - 100 / 52) / 52
    assert (result.gained, result.lost, result.difference) == (2, 12, -0.2)
    assert (result.low, result.high) == pytest.approx((-10 / 52 - reach, -10 / 52 + reach))
    assert result.p_value == mcnemar(2, 12)


def test_paired_difference_of_equal_sides_still_has_a_width():
    result = paired_difference(*verdicts(30, 0, 0, 20))
    assert (result.difference, result.gained, result.lost, result.p_value) == (0, 0, 0, 1)
    assert result.low < 0 < result.high


cells = st.tuples(*[st.integers(0, 40)] * 4).filter(lambda counts: sum(counts) > 0)


@settings(max_examples=60, deadline=None)
@given(cells)
def test_paired_difference_holds_the_difference_and_mirrors(counts):
    before, after = verdicts(*counts)
    result, mirrored = paired_difference(before, after), paired_difference(after, before)
    assert -1 <= result.low <= result.difference <= result.high <= 1
    assert result.difference == pytest.approx(np.mean(after) - np.mean(before))
    assert (result.low, result.high) == pytest.approx((-mirrored.high, -mirrored.low))
    assert result.p_value == mirrored.p_value


@pytest.mark.parametrize(
    "shares",
    [(0.4, 0.12, 0.08, 0.4), (0.7, 0.03, 0.02, 0.25), (0.2, 0.3, 0.05, 0.45)],
    ids=["20 % discordant", "5 % discordant", "large gain"],
)
def test_paired_interval_covers_the_truth(shares):
    """In 400 simulated evaluations of 150 items about 95 % of the intervals hold the truth."""
    tables = np.random.default_rng(7).multinomial(150, shares, size=400)
    truth = shares[1] - shares[2]
    results = [paired_difference(*verdicts(*table)) for table in tables]
    covered = np.mean([result.low <= truth <= result.high for result in results])
    assert 0.92 <= covered <= 0.99, f"covered {covered:.3f} of the truths for {shares}"


# name: (before, after, words of the message)
BAD_PAIRS = {
    "lengths differ": ([True], [True, False], "same items"),
    "no items": ([], [], "at least one item"),
    "text": (["False"], [True], "true or false"),
    "missing": ([None], [True], "true or false"),
}


@pytest.mark.parametrize(("before", "after", "words"), BAD_PAIRS.values(), ids=BAD_PAIRS)
def test_paired_difference_refuses(before, after, words):
    with pytest.raises(ValueError, match=words):
        paired_difference(before, after)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12])
def test_holm_agrees_with_statsmodels(count):
    p_values = np.random.default_rng(count).random(count).round(1) ** 3  # rounded, so that some tie
    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


HOLM = {
    "none": ([], []),
    "one stays": ([0.03], [0.03]),
    "own order is kept": ([0.04, 0.01, 0.03], [0.06, 0.03, 0.06]),
    "cut at 1": ([0.9, 0.8], [1.0, 1.0]),
}


@pytest.mark.parametrize(("p_values", "expected"), HOLM.values(), ids=HOLM)
def test_holm_by_hand(p_values, expected):
    assert holm(p_values) == pytest.approx(expected)


@pytest.mark.parametrize("p_value", [-0.1, 1.1, float("nan")])
def test_holm_refuses(p_value):
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, p_value])
