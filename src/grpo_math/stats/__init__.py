"""Intervals and paired tests for accuracies: how sure is a number, did it really move, and where did the gain come from?

Functions take plain counts, verdicts or scores and return plain numbers between -1 and 1; percentages are made by the report
(only the parts of a gain are points). Intervals and paired tests need NumPy, SciPy and statsmodels (`pip install
grpo-math[stats]`); the last two are imported by the first call that needs them, which then takes about a second.

The parts: `intervals` of one number, `paired` comparisons, `sampling` (pass@k, maj@k) and `decomposition` of a gain.
"""

from grpo_math.stats.decomposition import CAUSES, GainPart, decompose_gain
from grpo_math.stats.intervals import clopper_pearson, cluster_interval, mean_interval, wilson_interval
from grpo_math.stats.paired import (
    PairedDifference,
    SampledDifference,
    holm,
    matched_difference,
    mcnemar,
    minimum_detectable_effect,
    paired_bootstrap,
    paired_difference,
    sign_flip,
)
from grpo_math.stats.sampling import maj_at_k, pass_at_k

__all__ = [
    "CAUSES",
    "GainPart",
    "PairedDifference",
    "SampledDifference",
    "clopper_pearson",
    "cluster_interval",
    "decompose_gain",
    "holm",
    "maj_at_k",
    "matched_difference",
    "mcnemar",
    "mean_interval",
    "minimum_detectable_effect",
    "paired_bootstrap",
    "paired_difference",
    "pass_at_k",
    "sign_flip",
    "wilson_interval",
]
