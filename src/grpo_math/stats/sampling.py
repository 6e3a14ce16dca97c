"""What k samples of one item are worth: the unbiased pass@k and maj@k."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import comb
from numbers import Integral


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that at least one of k samples is right, estimated without bias from n samples of which c are.

    1 - C(n - c, k) / C(n, k) for one item (Chen et al. 2021, arXiv:2107.03374); the metric is the mean over items. Whole
    numbers are divided once, so nothing is lost to rounding. Raises ValueError for counts that do not fit together.
    """
    _check_counts(n, k)
    if not isinstance(c, Integral) or not 0 <= c <= n:
        raise ValueError(f"{c!r} right samples of {n} make no sense: give a whole count between 0 and {n}.")
    n, c, k = int(n), int(c), int(k)
    return (comb(n, k) - comb(n - c, k)) / comb(n, k)


def maj_at_k(
    answers: Sequence[str | None],
    gold: str,
    equivalent: Callable[[str, str], bool | None],
    k: int | None = None,
) -> float:
    """The chance that the most frequent of k answers to one item is right; the metric is the mean over items.

    answers: the extracted answer of each sample, None where there is none.
    equivalent: says whether two answers are the same, as `answers.is_equivalent` does; its None (undecided) counts as no.
    k: votes a ballot (default: all samples).

    Votes go to classes of equivalent answers; an answer joins the gold answer's class first, else the first class whose first
    member it equals. None casts no vote, and where nobody votes the item is wrong. Of classes that tie for first place one is
    drawn by lot: with two it counts one half if one of them is right. Of more than k samples every choice of k counts the same;
    the average over all of them is counted exactly, not drawn, so it does not depend on the samples' order or a seed.
    Raises ValueError for no answers or a k that is not between 1 and their number.
    """
    n = len(answers)
    k = n if k is None else k
    _check_counts(n, k)
    silent = sum(answer is None for answer in answers)
    right, *others = _votes([answer for answer in answers if answer is not None], gold, equivalent)
    won = sum(comb(right, votes) * _ballots_won(votes, others, silent, k) for votes in range(1, min(right, k) + 1))
    return float(Fraction(won) / comb(n, k))


def _votes(answers: list[str], gold: str, equivalent: Callable[[str, str], bool | None]) -> list[int]:
    """The size of every class of equivalent answers, the gold answer's first (it may be 0)."""
    firsts, sizes = [gold], [0]
    for answer in answers:
        # The checker need not be transitive, so it is the first match that counts.
        place = next((i for i, first in enumerate(firsts) if answer == first or equivalent(answer, first)), None)
        if place is None:
            firsts.append(answer)
            sizes.append(1)
        else:
            sizes[place] += 1
    return sizes


def _ballots_won(votes: int, others: list[int], silent: int, k: int) -> Fraction:
    """Ways to fill a ballot of k that `votes` right answers win; a way with t rivals at the same height counts 1 / (t + 1)."""
    ways = {(used, 0): comb(silent, used) for used in range(min(silent, k - votes) + 1)}  # (samples drawn, rivals that tie)
    for size in others:
        grown: dict[tuple[int, int], int] = {}
        for (used, ties), count in ways.items():
            for more in range(min(size, votes, k - votes - used) + 1):
                key = used + more, ties + (more == votes)
                grown[key] = grown.get(key, 0) + count * comb(size, more)
        ways = grown
    return sum((Fraction(count, ties + 1) for (used, ties), count in ways.items() if used == k - votes), Fraction(0))


def _check_counts(n: int, k: int) -> None:
    if not (isinstance(n, Integral) and isinstance(k, Integral)) or n < 1 or k < 1:
        raise ValueError(f"n and k count samples: give whole numbers of 1 or more, not n = {n!r} and k = {k!r}.")
    if k > n:
        raise ValueError(f"Only {n} samples of the item were taken, too few for k = {k}: sample more, or choose a k up to {n}.")
