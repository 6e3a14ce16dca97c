"""Figures of a run, drawn from its files alone and saved as PNGs in its `figures/`. Nothing that was not measured is drawn.

`training` draws how the two stages went, `evaluation` what was measured afterwards, both in the one style of `style`.
"""

from grpo_lab.figures.evaluation import plot_accuracy, plot_gain, plot_outcomes
from grpo_lab.figures.training import live_curves, plot_grpo, plot_learning, plot_sft

__all__ = ["live_curves", "plot_accuracy", "plot_gain", "plot_grpo", "plot_learning", "plot_outcomes", "plot_sft"]
