"""stats: against SciPy, against closed forms, and by how often intervals hold."""

import subprocess
import sys
from fractions import Fraction
from itertools import combinations, product
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom, binomtest, norm

from grpo_math.stats import (
    CAUSES,
    clopper_pearson,
    cluster_interval,
    decompose_gain,
    holm,
    maj_at_k,
    matched_difference,
    mcnemar,
    mean_interval,
    minimum_detectable_effect,
    paired_bootstrap,
    paired_difference,
    pass_at_k,
    sign_flip,
    wilson_interval,
)


def verdicts(both: int, gained: int, lost: int, neither: int) -> tuple[list[bool], list[bool]]:
    """Two lists of verdicts with these counts of kept, gained, lost and never right items."""
    before = [True] * both + [False] * gained + [True] * lost + [False] * neither
    after = [True] * (both + gained) + [False] * (lost + neither)
    return before, after


# name: (successes, n, confidence, SciPy's method)
SHARES = {
    "middle": (50, 100, 0.95, "wilson"),
    "one of few": (1, 10, 0.95, "wilson"),
    "all but one": (9, 10, 0.95, "wilson"),
    "size of GSM8K's test set": (912, 1319, 0.95, "wilson"),
    "other confidence": (30, 200, 0.99, "wilson"),
    "none: Clopper-Pearson": (0, 50, 0.95, "exact"),
    "all: Clopper-Pearson": (50, 50, 0.95, "exact"),
    "one item, wrong": (0, 1, 0.9, "exact"),
}


@pytest.mark.parametrize(("successes", "n", "confidence", "method"), SHARES.values(), ids=SHARES)
def test_intervals_of_a_share_agree_with_scipy(successes, n, confidence, method):
    test = binomtest(successes, n)
    assert wilson_interval(successes, n, confidence) == pytest.approx(test.proportion_ci(confidence, method), abs=1e-9)
    assert clopper_pearson(successes, n, confidence) == pytest.approx(test.proportion_ci(confidence, "exact"), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_mirrors(counts):
    successes, n = counts
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    mirrored_low, mirrored_high = wilson_interval(n - successes, n)
    assert (low, high) == pytest.approx((1 - mirrored_high, 1 - mirrored_low))


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


# name: (b, c, exact p, mid-p), by hand from the fair coin
MCNEMAR = {
    "no disagreement": (0, 0, 1.0, 1.0),
    "one": (0, 1, 1.0, 0.5),
    "five to none": (0, 5, 2 / 32, 1 / 32),
    "five to one": (1, 5, 2 * 7 / 64, 2 * (1 + 6 / 2) / 64),
    "a tie": (2, 2, 1.0, 1 - 6 / 16 / 2),
    "hundreds": (150, 190, 2 * binom.cdf(150, 340, 0.5), 2 * binom.cdf(149, 340, 0.5) + binom.pmf(150, 340, 0.5)),
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


HOLM = {
    "none": ([], []),
    "one stays": ([0.03], [0.03]),
    "own order is kept": ([0.04, 0.01, 0.03], [0.06, 0.03, 0.06]),
    "none falls below a smaller one's": ([0.02, 0.011, 0.01], [0.03, 0.03, 0.03]),
    "ties": ([0.02, 0.02, 0.5], [0.06, 0.06, 0.5]),
    "cut at 1": ([0.9, 0.8], [1.0, 1.0]),
}


@pytest.mark.parametrize(("p_values", "expected"), HOLM.values(), ids=HOLM)
def test_holm_by_hand(p_values, expected):
    assert holm(p_values) == pytest.approx(expected)


@pytest.mark.parametrize("p_value", [-0.1, 1.1, float("nan")])
def test_holm_refuses(p_value):
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, p_value])


def test_cluster_interval_resamples_items_and_not_samples():
    one_sample = np.array([[1]] * 30 + [[0]] * 70)
    copies = np.repeat(one_sample, 8, axis=1)  # eight equal samples tell no more than one
    assert cluster_interval(copies) == cluster_interval(one_sample) == cluster_interval(one_sample[:, 0])
    spread = np.tile([1, 1, 1, 0, 0, 0, 0, 0, 0, 0], (100, 1))  # the same mean, but every item alike
    assert np.diff(cluster_interval(spread)) < 0.3 * np.diff(cluster_interval(copies))


def test_cluster_interval_at_one_sample_is_jeffreys():
    expected = beta.ppf([0.025, 0.975], 30.5, 70.5)
    assert cluster_interval([1] * 30 + [0] * 70, resamples=200_000) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("right", [0, 1])
def test_cluster_interval_at_none_and_all_is_exact(right):
    assert cluster_interval(np.full((40, 8), right)) == clopper_pearson(40 * right, 40)


# name: (scores, words of the message)
BAD_SCORES = {
    "no items": ([], "at least one of each"),
    "three axes": (np.zeros((2, 2, 2)), "items, samples"),
    "not as many samples each": ([[1, 0], [1]], "as many samples each"),
    "text": (["right"], "not a table of numbers"),
    "percent": ([[100, 0]], "between 0 .wrong. and 1"),
    "not a number": ([float("nan")], "between 0 .wrong. and 1"),
}


@pytest.mark.parametrize(("scores", "words"), BAD_SCORES.values(), ids=BAD_SCORES)
def test_bad_scores(scores, words):
    for function in (cluster_interval, lambda scores: paired_bootstrap(scores, [0.5]), lambda scores: sign_flip([0.5], scores)):
        with pytest.raises(ValueError, match=words):
            function(scores)


def test_paired_comparisons_of_other_items():
    for function in (paired_bootstrap, sign_flip):
        with pytest.raises(ValueError, match="same items: 2 on one side, 3 on the other"):
            function([1, 0], [1, 0, 0])


def test_paired_bootstrap_mirrors_and_repeats():
    rng = np.random.default_rng(2)
    a, b = rng.random((60, 8)) < 0.4, rng.random((60, 8)) < 0.6
    result, mirrored = paired_bootstrap(a, b), paired_bootstrap(b, a)
    assert result == paired_bootstrap(a.mean(axis=1), b) == paired_bootstrap(a, b, seed=0)
    assert result.difference == pytest.approx(b.mean() - a.mean())
    assert -1 <= result.low < result.difference < result.high <= 1
    assert (result.low, result.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=0.004)
    no_change = paired_bootstrap(a, a)
    assert no_change.low < no_change.difference == 0 < no_change.high


@pytest.mark.parametrize(("gained", "lost"), [(0, 5), (3, 9), (40, 60), (7, 7), (0, 0)])
def test_sign_flip_at_one_sample_is_exact_mcnemar(gained, lost):
    assert sign_flip(*verdicts(30, gained, lost, 20)) == pytest.approx(mcnemar(gained, lost))


def test_sign_flip_agrees_with_all_flips_written_out():
    rng = np.random.default_rng(4)
    a, b = rng.binomial(8, 0.4, 9) / 8, rng.binomial(8, 0.6, 9) / 8
    reached = [abs(np.dot(signs, b - a)) >= abs((b - a).sum()) - 1e-9 for signs in product([-1, 1], repeat=9)]
    assert sign_flip(a, b) == pytest.approx(np.mean(reached))


def test_sign_flip_draws_where_there_is_too_much_to_count():
    rng = np.random.default_rng(6)
    a, b = rng.random(300), rng.random(300)
    drawn = sign_flip(a, b, resamples=20_000)
    z = abs((b - a).sum()) / np.sqrt(((b - a) ** 2).sum())
    assert drawn == pytest.approx(2 * norm.sf(z), abs=0.02)
    assert sign_flip(np.zeros(300), rng.random(300), resamples=99) == 1 / 100  # never 0


@pytest.mark.parametrize(("n", "points"), [(500, 5.6), (1319, 3.5), (2000, 2.8)])
def test_minimum_detectable_effect_of_the_protocol(n, points):
    assert round(100 * minimum_detectable_effect(n, discordant=0.2, power=0.8, alpha=0.05), 1) == points


def test_minimum_detectable_effect_refuses():
    with pytest.raises(ValueError, match="2 or more items, not 1"):
        minimum_detectable_effect(1)
    with pytest.raises(ValueError, match="discordant must lie between 0 and 1, not 20"):
        minimum_detectable_effect(500, discordant=20)


@pytest.mark.parametrize("n", [1, 5, 9])
def test_pass_at_k_is_the_share_of_choices_with_a_right_one(n):
    for c, k in product(range(n + 1), range(1, n + 1)):
        choices = list(combinations([True] * c + [False] * (n - c), k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(any(choice) for choice in choices) / len(choices))


def test_pass_at_k_keeps_its_digits():
    assert pass_at_k(10**6, 1, 1) == 1e-6
    assert pass_at_k(4000, 1, 1000) == 0.25
    assert pass_at_k(2000, 1999, 2) == 1.0


@pytest.mark.parametrize(
    ("n", "c", "k", "words"),
    [
        (8, 2, 9, "Only 8 samples .* k = 9"),
        (8, 9, 1, "9 right samples of 8"),
        (0, 0, 1, "whole numbers of 1 or more"),
        (8, 1, 0, "k = 0"),
    ],
)
def test_pass_at_k_refuses(n, c, k, words):
    with pytest.raises(ValueError, match=words):
        pass_at_k(n, c, k)


def same_number(a: str, b: str) -> bool:
    return Fraction(a) == Fraction(b)


# name: (answers, k, expected), the gold answer is 1/2
VOTES = {
    "most": (["1/2", "1/2", "3"], None, 1.0),
    "outvoted": (["1/2", "3", "3"], None, 0.0),
    "equivalent answers are one class": (["0.5", "1/2", "3", "3", "2/4"], None, 1.0),
    "equivalent wrong answers too": (["0.5", "1/2", "3", "3.0", "6/2"], None, 0.0),
    "a tie of two": (["1/2", "3"], None, 0.5),
    "a tie of three": (["1/2", "3", "4"], None, 1 / 3),
    "a tie without the right one": (["3", "4"], None, 0.0),
    "no answer casts no vote": ([None, None, None, "1/2"], None, 1.0),
    "nobody votes": ([None, None], None, 0.0),
    "one vote is avg@k": (["1/2", "3", None, "0.5"], 1, 0.5),
    "three of four": (["1/2", "1/2", "3", "3"], 3, 0.5),
}


@pytest.mark.parametrize(("answers", "k", "expected"), VOTES.values(), ids=VOTES)
def test_maj_at_k_by_hand(answers, k, expected):
    assert maj_at_k(answers, "1/2", same_number, k) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["1/2", "0.5", "3", "6/2", "4", "7", None]), min_size=1, max_size=8), st.data())
def test_maj_at_k_is_the_mean_over_all_ballots(answers, data):
    k = data.draw(st.integers(1, len(answers)))
    ballots = [maj_at_k(ballot, "1/2", same_number) for ballot in combinations(answers, k)]
    assert maj_at_k(answers, "1/2", same_number, k) == pytest.approx(np.mean(ballots))
    assert maj_at_k(answers[::-1], "1/2", same_number, k) == maj_at_k(answers, "1/2", same_number, k)
    assert len(ballots) == comb(len(answers), k)


def test_maj_at_k_refuses_more_votes_than_samples():
    with pytest.raises(ValueError, match="Only 2 samples of the item were taken, too few for k = 3"):
        maj_at_k(["1", "2"], "1", same_number, 3)


RIGHT = {"correct_flexible": True, "truncated": False, "false_arithmetic": False, "ungrounded": False, "extracted_flexible": "5"}
WRONG = RIGHT | {"correct_flexible": False, "extracted_flexible": "6"}
# name: (the wrong sample, cause; None where the verdict did not change)
WRONG_SAMPLES = {
    "right in another form": (RIGHT | {"correct_strict": False}, None),
    "cut off without an answer": (WRONG | {"truncated": True, "extracted_flexible": None}, "truncation"),
    "cut off after a false step": (WRONG | {"truncated": True, "false_arithmetic": True}, "truncation"),
    "no answer": (WRONG | {"extracted_flexible": None, "false_arithmetic": True}, "format/extraction"),
    "false step with an ungrounded number": (WRONG | {"false_arithmetic": True, "ungrounded": True}, "arithmetic"),
    "ungrounded number": (WRONG | {"ungrounded": True}, "grounding"),
    "wrong plan": (WRONG, "other"),
}


@pytest.mark.parametrize(("sample", "cause"), WRONG_SAMPLES.values(), ids=WRONG_SAMPLES)
def test_decompose_gain_by_hand(sample, cause):
    flagged_right = RIGHT | {"false_arithmetic": True, "ungrounded": True}  # flags of the right sample say nothing
    gained = {part.cause: part for part in decompose_gain([sample, RIGHT], [flagged_right, RIGHT])}
    lost = {part.cause: part for part in decompose_gain([flagged_right, RIGHT], [sample, RIGHT])}
    expected = {name: (1, 0, 1, 50) if name == cause else (0, 0, 0, 0) for name in CAUSES}
    assert {name: tuple(part)[1:] for name, part in gained.items()} == expected
    assert {name: part.net for name, part in lost.items()} == {name: -row[2] for name, row in expected.items()}


# name: (before, after, words of the message)
BAD_RECORDS = {
    "lengths differ": ([RIGHT], [RIGHT, RIGHT], "same items, one or more: 1 before, 2 after"),
    "no items": ([], [], "one or more: 0 before"),
    "a key is missing": ([RIGHT], [{"truncated": True}], "record of item 0 has no 'correct_flexible'"),
    "another item": ([RIGHT | {"id": "a"}], [RIGHT | {"id": "b"}], "Item 0 is 'a' before and 'b' after"),
}


@pytest.mark.parametrize(("before", "after", "words"), BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_decompose_gain_refuses(before, after, words):
    with pytest.raises(ValueError, match=words):
        decompose_gain(before, after)


# How a sample goes wrong for each cause, and how often a checkpoint does. The second checkpoint mends some and breaks a few.
FLAWS = {
    "format/extraction": WRONG | {"extracted_flexible": None},
    "truncation": WRONG | {"truncated": True, "extracted_flexible": None},
    "arithmetic": WRONG | {"false_arithmetic": True},
    "grounding": WRONG | {"ungrounded": True},
    "other": WRONG,
}
MENDED, BROKEN = (0.08, 0.03, 0.06, 0.02, 0.04), (0.01, 0.01, 0.02, 0.01, 0.02)


def planted_checkpoints(n: int, rng: np.random.Generator) -> tuple[list[dict], list[dict], dict[str, int]]:
    """Two checkpoints with a known cause for every change: their records, and the items each cause is worth.

    As in life the audit misses 1 in 50 flags, another 1 in 50 wrong samples has a false calculation beside its cause, and three
    items in ten are wrong on both sides.
    """
    kinds = rng.choice(12, size=n, p=[*MENDED, *BROKEN, 0.4, 0.3])
    noise = rng.random((n, 2)) < 0.02
    before, after, planted = [], [], dict.fromkeys(FLAWS, 0)
    for kind, (missed, also) in zip(kinds, noise, strict=True):
        if kind >= 10:
            same = RIGHT if kind == 10 else WRONG
            before.append(same)
            after.append(same)
            continue
        cause = CAUSES[kind % 5]
        wrong = FLAWS[cause]
        if missed:
            wrong = wrong | {"false_arithmetic": False, "ungrounded": False}
        elif also:
            wrong = wrong | {"false_arithmetic": True}
        before.append(wrong if kind < 5 else RIGHT)
        after.append(RIGHT if kind < 5 else wrong)
        planted[cause] += 1 if kind < 5 else -1
    return before, after, planted


def test_decompose_gain_recovers_planted_causes():
    """1,000 pairs of checkpoints of 1,000 items: every cause within 1 point, and the sum exact, each time."""
    rng = np.random.default_rng(17)
    for simulation in range(1000):
        before, after, planted = planted_checkpoints(1000, rng)
        parts = decompose_gain(before, after)
        difference = sum(r["correct_flexible"] for r in after) - sum(r["correct_flexible"] for r in before)
        assert sum(part.net for part in parts) == difference, f"simulation {simulation}"
        assert sum(part.points for part in parts) == Fraction(100 * difference, 1000), f"simulation {simulation}"
        for part in parts:
            off = abs(part.points - Fraction(100 * planted[part.cause], 1000))
            assert off <= 1, f"simulation {simulation}: {part.cause} is off by {float(off):.1f} points"


def test_the_import_waits_for_scipy_and_statsmodels():
    code = "import sys, grpo_math.stats; print({'scipy', 'statsmodels', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def simulated_cells(rng: np.random.Generator) -> tuple[list, list, list]:
    """200 changes in four cells of different levels; those of marked items are larger by 0.5."""
    cells, marked = rng.integers(0, 4, 200), rng.random(200) < 0.4
    return (0.3 * cells + 0.5 * marked + rng.normal(size=200)).tolist(), marked.tolist(), cells.tolist()


def test_a_matched_difference_is_the_regression_with_a_level_for_each_cell():
    changes, marked, cells = simulated_cells(np.random.default_rng(0))
    design = np.column_stack([marked, *(np.array(cells) == cell for cell in range(4))]).astype(float)
    expected = np.linalg.lstsq(design, np.array(changes), rcond=None)[0][0]
    assert matched_difference(changes, marked, cells)[0] == pytest.approx(expected)


def test_the_interval_of_a_matched_difference_holds_as_often_as_it_says():
    rng = np.random.default_rng(1)
    found = [matched_difference(*simulated_cells(rng)) for _ in range(1000)]
    assert 0.93 < sum(low < 0.5 < high for _, low, high in found) / 1000 < 0.97


def test_a_matched_difference_needs_both_kinds_in_a_cell():
    assert matched_difference([1, 0, 1, 0], [True, True, False, False], ["a", "a", "b", "b"]) is None


def test_the_interval_of_a_mean_over_seeds():
    low, high = mean_interval([1.0, 2.0, 3.0])
    assert (low, high) == (pytest.approx(2 - 4.302653 / sqrt(3)), pytest.approx(2 + 4.302653 / sqrt(3)))
    with pytest.raises(ValueError, match="needs two values or more, not 1"):
        mean_interval([1.0])
