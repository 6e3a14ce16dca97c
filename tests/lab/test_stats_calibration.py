"""stats: how often intervals hold the truth and tests err, in simulated evaluations; the committed table shows all of it."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from calibrate_stats import ICC, SHARES, TARGET, Cell, measure, read_table, simulate_scores, table
from scipy.stats import binom

from grpo_math.stats import mcnemar, minimum_detectable_effect, paired_bootstrap, sign_flip

TABLE = Path(__file__).parents[2] / "results" / "stats-calibration.csv"
mcnemar_p = cache(mcnemar)


@pytest.mark.parametrize("n", [50, 100, 500])
def test_wilson_interval_holds_the_truth_in_simulations(n):
    for p in SHARES:
        result = measure(Cell(n, p, 1, 0.0, "wilson_interval"))
        assert result.low <= result.coverage <= result.high, f"n = {n}, p = {p}: {result}"


def test_cluster_interval_holds_the_truth_in_simulations():
    """A part of the table, 1,000 evaluations a cell, so with three standard errors (2 points) of room."""
    for n, p in [(50, 0.02), (50, 0.5), (200, 0.9), (1000, 0.3)]:
        result = measure(Cell(n, p, 8, ICC, "cluster_interval"), simulations=1000)
        assert result.low - 0.02 <= result.coverage <= result.high + 0.02, f"n = {n}, p = {p}: {result}"
    plain = measure(Cell(50, 0.02, 8, ICC, "percentile bootstrap"), simulations=1000)
    assert plain.coverage < 0.9, "the plain bootstrap does as well: then ours is not needed"


def test_the_committed_table_is_whole_and_keeps_its_promises():
    results = read_table(TABLE)
    assert list(results) == table()
    for cell, result in results.items():
        if cell.method in ("wilson_interval", "cluster_interval"):
            assert result.low <= result.coverage <= result.high, f"{cell}: {result}"
        elif cell.method == "clopper_pearson":
            assert result.coverage >= TARGET[0], f"{cell}: {result}"


def test_the_committed_table_is_what_the_code_measures():
    """Some cells again, to the digit: a changed method must come with a new table."""
    results = read_table(TABLE)
    for cell in (Cell(50, 0.02, 1, 0.0, "wilson_interval"), Cell(500, 0.3, 1, 0.0, "clopper_pearson")):
        assert tuple(measure(cell)) == pytest.approx(tuple(results[cell]), abs=6e-5)


@pytest.mark.slow
def test_the_whole_table_is_what_the_code_measures():
    for cell, result in read_table(TABLE).items():
        assert tuple(measure(cell)) == pytest.approx(tuple(result), abs=6e-5), f"{cell}"


@pytest.mark.parametrize("mid_p", [False, True], ids=["exact", "mid-p"])
@pytest.mark.parametrize(("n", "discordant"), [(50, 0.2), (200, 0.05), (200, 0.2)])
def test_mcnemar_errs_at_most_5_in_100_times(n, discordant, mid_p):
    """The chance of p <= 0.05 where nothing moved, summed over all outcomes, and its share in 10,000 simulations."""
    most = int(binom.isf(1e-9, n, discordant))
    error = 1e-9 + sum(
        binom.pmf(m, n, discordant) * binom.pmf(b, m, 0.5)
        for m in range(most + 1)
        for b in range(m // 2 + 1)
        for b in {b, m - b}
        if mcnemar_p(min(b, m - b), max(b, m - b), mid_p) <= 0.05
    )
    assert 0 < error <= 0.05
    rng = np.random.default_rng(n)
    changed = rng.binomial(n, discordant, size=10_000)
    gained = rng.binomial(changed, 0.5)
    pairs = np.sort([gained, changed - gained], axis=0).T
    rejected = np.mean([mcnemar_p(int(b), int(c), mid_p) <= 0.05 for b, c in pairs])
    assert rejected <= 0.05
    assert rejected == pytest.approx(error, abs=0.008)


@pytest.mark.parametrize("n", [500, 1319])
def test_the_minimum_detectable_effect_is_found_4_times_in_5(n):
    effect = minimum_detectable_effect(n)
    shares = [(0.2 + effect) / 2, (0.2 - effect) / 2, 0.8]
    counts = np.random.default_rng(3).multinomial(n, shares, size=3000)
    power = np.mean([mcnemar_p(int(min(row[:2])), int(max(row[:2])), True) <= 0.05 for row in counts])
    assert 0.77 <= power <= 0.83


def sampled_sides(n: int, p: float, share_moved: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Eight samples an item of two checkpoints; the second solves `share_moved` of the first's failures."""
    spread = (1 - ICC) / ICC
    chances = rng.beta(p * spread, (1 - p) * spread, size=(n, 1))
    better = chances + share_moved * (1 - chances)
    return rng.random((n, 8)) < chances, rng.random((n, 8)) < better


@pytest.mark.parametrize(("n", "p"), [(50, 0.5), (50, 0.05), (500, 0.7)])
def test_paired_bootstrap_holds_the_truth(n, p):
    rng = np.random.default_rng(n)
    truth = 0.1 * (1 - p)
    results = [paired_bootstrap(*sampled_sides(n, p, 0.1, rng), resamples=1000, seed=i) for i in range(1000)]
    covered = np.mean([result.low <= truth <= result.high for result in results])
    assert 0.93 <= covered <= 0.975, f"covered {covered:.3f}"


def test_sign_flip_errs_about_5_in_100_times():
    rng = np.random.default_rng(11)
    p_values = [sign_flip(*sampled_sides(40, 0.4, 0.0, rng), resamples=999, seed=i) for i in range(1500)]
    assert 0.035 <= np.mean(np.array(p_values) <= 0.05) <= 0.065


def test_simulated_items_are_as_alike_as_they_should_be():
    """avg@8 varies as (icc + (1 - icc) / 8) p (1 - p): what makes the simulation one of clusters."""
    scores = simulate_scores(Cell(200_000, 0.3, 8, ICC, "cluster_interval"), np.random.default_rng(5)).mean(axis=1)
    assert scores.mean() == pytest.approx(0.3, abs=0.005)
    assert scores.var() == pytest.approx(0.21 * (ICC + (1 - ICC) / 8), rel=0.02)
