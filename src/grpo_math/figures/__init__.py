"""Figures of a run, drawn from its files alone and saved as PNGs in its `figures/`. Nothing that was not measured is drawn.

`training` draws how the two stages went, `evaluation` what was measured afterwards, both in the one style of `style`.
"""

from grpo_math.figures.evaluation import plot_accuracy, plot_gain, plot_outcomes
from grpo_math.figures.training import plot_grpo, plot_sft

__all__ = ["plot_accuracy", "plot_gain", "plot_grpo", "plot_outcomes", "plot_sft"]
