"""How often the intervals hold the truth: 10,000 simulated evaluations a cell, written to `results/stats-calibration.csv`.

    python scripts/calibrate_stats.py        # some minutes on two cores

A cell is n items, a true accuracy p and k samples an item. Items differ: an item's own chance is drawn from a Beta distribution
with mean p in which two samples of one item correlate by `icc` (0.3: about what sampled language models show on word problems).
At k = 1 that makes no difference. Every interval is made by the public functions, as a report would make it.

95 % intervals should hold the truth 94 to 96 % of the time. Two allowances, because counts are whole:

* k = 1: an interval holds p for a run of counts, and counts cannot be split; so the share may leave 94 to 96 % by the chance of
  one count at the edge of that run, the least likely one (`one_count_allowance`). At n = 50 and p = 0.02 the counts 0 to 2 come
  up 92.2 % of the time and 0 to 3 98.2 %: nothing lies between. At n = 2,000 and p = 0.5 the allowance is 0.3 points.
* k = 8: where fewer than SCARCE items' worth of right (or of wrong) answers are expected, the samples cannot show how alike they
  are. There `cluster_interval` may hold the truth up to 97.5 % of the time, and still never less than 94 %.
"""

import argparse
import csv
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from grpo_math.stats.intervals import clopper_pearson, cluster_interval, wilson_interval

ITEMS = (50, 100, 200, 500, 1000, 2000)
SHARES = (0.02, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.98)
ICC = 0.3
TARGET = (0.94, 0.96)
SCARCE, SCARCE_HIGH = 10, 0.975
RESAMPLES = 1000  # a cell of 10,000 evaluations then takes seconds; a report uses the default of `cluster_interval`
COMMAND = "python scripts/calibrate_stats.py"


class Cell(NamedTuple):
    """One line of the table: what was simulated, and by which method the interval was made."""

    n: int
    p: float
    k: int
    icc: float
    method: str


class Coverage(NamedTuple):
    """What came out: the share of intervals that held p, their mean width, and the range that `coverage` should lie in."""

    coverage: float
    mean_width: float
    low: float
    high: float


def percentile_bootstrap(scores: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float]:
    """The textbook bootstrap over items, 95 %: here only to show why it is not used."""
    levels, counts = np.unique(scores.mean(axis=1), return_counts=True)
    n = len(scores)
    means = np.random.default_rng(seed).multinomial(n, counts / n, size=resamples) @ levels / n
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


COUNT_METHODS: dict[str, Callable] = {"wilson_interval": wilson_interval, "clopper_pearson": clopper_pearson}
ITEM_METHODS: dict[str, Callable] = {
    "cluster_interval": lambda scores, seed: cluster_interval(scores, resamples=RESAMPLES, seed=seed),
    "percentile bootstrap": lambda scores, seed: percentile_bootstrap(scores, seed=seed),
}


def measure(cell: Cell, simulations: int = 10_000, seed: int = 0) -> Coverage:
    """Simulate one cell; the same cell, number of simulations and seed give the same result."""
    rng = np.random.default_rng([seed, cell.n, round(cell.p * 1000), cell.k, round(cell.icc * 1000)])
    if cell.method in COUNT_METHODS:
        intervals = _of_counts(cell, rng.binomial(cell.n, cell.p, size=simulations))
        bounds = one_count_allowance(cell)
    else:
        make = ITEM_METHODS[cell.method]
        intervals = np.array([make(simulate_scores(cell, rng), i) for i in range(simulations)])
        scarce = round(cell.n * min(cell.p, 1 - cell.p), 6) < SCARCE
        bounds = (TARGET[0], SCARCE_HIGH if scarce else TARGET[1])
    lows, highs = intervals.T
    return Coverage(float(((lows <= cell.p) & (cell.p <= highs)).mean()), float((highs - lows).mean()), *bounds)


def simulate_scores(cell: Cell, rng: np.random.Generator) -> np.ndarray:
    """The verdicts of one evaluation, (n, k)."""
    spread = (1 - cell.icc) / cell.icc
    chances = rng.beta(cell.p * spread, (1 - cell.p) * spread, size=(cell.n, 1))
    return rng.random((cell.n, cell.k)) < chances


def one_count_allowance(cell: Cell) -> tuple[float, float]:
    """TARGET, widened at each end by the chance of the least likely edge count that could be let in, or left out."""
    from scipy.stats import binom

    lows, highs = _of_counts(cell, np.arange(cell.n + 1)).T
    held = np.flatnonzero((lows <= cell.p) & (cell.p <= highs))
    first, last = held[0], held[-1]
    inside = binom.pmf([first, last], cell.n, cell.p).min()
    outside = binom.pmf([count for count in (first - 1, last + 1) if 0 <= count <= cell.n], cell.n, cell.p).min()
    return TARGET[0] - float(outside), min(1.0, TARGET[1] + float(inside))


def table() -> list[Cell]:
    """Every cell of the committed table; other likenesses of samples than ICC only at some cells."""
    cells = [Cell(n, p, 1, 0.0, method) for method in COUNT_METHODS for n in ITEMS for p in SHARES]
    cells += [Cell(n, p, 8, ICC, "cluster_interval") for n in ITEMS for p in SHARES]
    cells += [Cell(n, p, 8, icc, "cluster_interval") for icc in (0.1, 0.6) for n in (50, 500) for p in (0.02, 0.1, 0.5)]
    return cells + [Cell(n, p, 8, ICC, "percentile bootstrap") for n in (50, 500) for p in (0.02, 0.1, 0.5)]


def write_table(path: Path, simulations: int = 10_000) -> None:
    """Measure every cell on all cores and write the table; its first line is the command that makes it."""
    cells = table()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(measure, cells, [simulations] * len(cells)))
    with path.open("w", newline="") as file:
        file.write(f"# {COMMAND} --simulations {simulations}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*Cell._fields, *Coverage._fields])
        for cell, result in zip(cells, results, strict=True):
            writer.writerow([*cell, *(f"{value:.4f}" for value in result)])


def read_table(path: Path) -> dict[Cell, Coverage]:
    """The table that `write_table` wrote."""
    with path.open(newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {
            Cell(int(row["n"]), float(row["p"]), int(row["k"]), float(row["icc"]), row["method"]): Coverage(
                *(float(row[name]) for name in Coverage._fields)
            )
            for row in rows
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how often the intervals of grpo_math.stats hold the truth.")
    parser.add_argument("--out", type=Path, default=Path("results/stats-calibration.csv"))
    parser.add_argument("--simulations", type=int, default=10_000, help="evaluations a cell (default: 10,000)")
    arguments = parser.parse_args()
    write_table(arguments.out, arguments.simulations)


def _of_counts(cell: Cell, counts: np.ndarray) -> np.ndarray:
    """The interval of each count, (len(counts), 2); each distinct count is worked out once."""
    distinct, places = np.unique(counts, return_inverse=True)
    return np.array([_of_count(cell.method, int(count), cell.n) for count in distinct])[places]


@cache
def _of_count(method: str, count: int, n: int) -> tuple[float, float]:
    return COUNT_METHODS[method](count, n)


if __name__ == "__main__":
    main()
