"""How training went: the curves of `sft_metrics.csv` (notebook 01) and `grpo_metrics.csv` (02), one row a logged step."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grpo_lab.figures.style import BLUE, GREEN, ORANGE, STYLE, new_figure, percent_axis, save

NOTEBOOKS = {
    "sft_metrics.csv": "01_SFT_pre-tuning.ipynb",
    "grpo_metrics.csv": "02_GRPO_reasoning_tuning.ipynb",
}


def _read_metrics(run_dir: Path | str, name: str) -> pd.DataFrame:
    """A metrics file by `step`; where a resumed run logged a step twice, the later values stand."""
    path = Path(run_dir) / name
    if not path.is_file():
        raise FileNotFoundError(f"There are no metrics at {path}: run notebooks/{NOTEBOOKS[name]} for this run first.")
    try:
        frame = pd.read_csv(path).apply(pd.to_numeric)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a table of numbers: {error}") from error
    if "step" not in frame or frame.empty:
        raise ValueError(f"{path} needs a column 'step' and at least one row.")
    return frame.groupby("step").last().sort_index()


def _measured(metrics: pd.DataFrame, column: str) -> pd.Series:
    """The steps at which a metric was logged, with its values; empty where it never was."""
    return metrics[column].dropna() if column in metrics else pd.Series(dtype=float)


def _draw_curve(axes: Axes, values: pd.Series, colour: str) -> None:
    """The logged values, pale, and over them their centred moving mean (full windows only)."""
    window = max(3, len(values) // 20 | 1)
    if len(values) < 3 * window:
        axes.plot(values.index, values, color=colour, linewidth=1.8, marker="o", markersize=3)
    else:
        axes.plot(values.index, values, color=colour, alpha=0.28, linewidth=0.9)
        smooth = values.rolling(window, center=True).mean().dropna()
        axes.plot(smooth.index, smooth, color=colour, linewidth=2, label=f"mean of {window} logged steps")
        axes.legend(loc="best")
    axes.set_xlabel("optimiser step")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))


def plot_sft(run_dir: Path | str) -> Figure:
    """The SFT loss over the optimiser steps, of priming where that is the only stage: `figures/sft.png`.

    Raises FileNotFoundError that names the notebook, ValueError where the file is damaged or no
    loss was logged.
    """
    primed_only = not (Path(run_dir) / "sft_metrics.csv").is_file() and (Path(run_dir) / "priming_metrics.csv").is_file()
    name = "priming_metrics.csv" if primed_only else "sft_metrics.csv"
    loss = _measured(_read_metrics(run_dir, name), "loss")
    if loss.empty:
        raise ValueError(f"{Path(run_dir) / name} has no value in a column 'loss', so there is no curve to draw.")
    with rc_context(STYLE):
        figure = new_figure(3.3)
        axes = figure.add_subplot()
        _draw_curve(axes, loss, BLUE)
        axes.set_ylim(bottom=min(0, loss.min()))
        axes.set_ylabel("cross-entropy (nats per token)")
        axes.set_title("SFT: loss on the training examples")
        return save(figure, run_dir, "sft")


def _panel_dev(axes: Axes, metrics: pd.DataFrame) -> None:
    accuracy = _measured(metrics, "eval_accuracy")
    axes.plot(accuracy.index, accuracy, color=GREEN, linewidth=2, marker="o", markersize=5)
    if {"eval_low", "eval_high"} <= set(metrics.columns):
        bounds = metrics.loc[accuracy.index, ["eval_accuracy", "eval_low", "eval_high"]].dropna()
        middle = bounds["eval_accuracy"]
        reach = [
            (middle - bounds["eval_low"]).clip(lower=0),
            (bounds["eval_high"] - middle).clip(lower=0),
        ]
        axes.errorbar(
            bounds.index,
            middle,
            reach,
            fmt="none",
            ecolor=GREEN,
            elinewidth=1.4,
            capsize=3,
            alpha=0.7,
        )
    percent_axis(axes, 1.02)
    axes.set_title("Held-out accuracy (dev, greedy)")
    axes.set_ylabel("answered correctly")
    axes.set_xlabel("optimiser step")
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))


def _panel(column: str, title: str, label: str, share: bool = False) -> Callable[[Axes, pd.DataFrame], None]:
    """A panel of one logged value; share: with an axis in percent."""

    def draw(axes: Axes, metrics: pd.DataFrame) -> None:
        _draw_curve(axes, _measured(metrics, column), BLUE)
        axes.set_title(title)
        axes.set_ylabel(label)
        if share:
            percent_axis(axes, 1.02)

    return draw


def _panel_length(axes: Axes, metrics: pd.DataFrame) -> None:
    _draw_curve(axes, _measured(metrics, "completions/mean_length"), BLUE)
    axes.set_title("Completion length")
    axes.set_ylabel("mean length (tokens)")
    clipped = _measured(metrics, "completions/clipped_ratio")
    if clipped.gt(0).any():
        share = axes.twinx()
        share.grid(False)
        share.fill_between(clipped.index, clipped, color=ORANGE, alpha=0.35, linewidth=0)
        share.set_ylabel("cut off at the limit", color=ORANGE)
        share.tick_params(axis="y", colors=ORANGE)
        percent_axis(share, min(1.0, 3 * clipped.max()))  # kept low, so that the length stays in front
        share.yaxis.set_major_locator(MaxNLocator(4))


PANELS = {
    "eval_accuracy": _panel_dev,
    "rewards/correctness/mean": _panel("rewards/correctness/mean", "Correctness reward", "mean over completions"),
    "rewards/exact_format/mean": _panel("rewards/exact_format/mean", "Format reward", "mean over completions"),
    "completions/mean_length": _panel_length,
    "audit/false_claims": _panel("audit/false_claims", "Completions with a false claim", "of those sampled", share=True),
    "entropy": _panel("entropy", "Entropy of the policy", "nats per token"),
    "frac_reward_zero_std": _panel("frac_reward_zero_std", "Groups without a signal", "groups with equal rewards", share=True),
}


def live_curves(run_dir: Path | str) -> bytes:
    """The reward and the held-out accuracy so far, as a PNG, from `grpo_metrics.csv` while it grows. Raises as `plot_grpo`."""
    metrics = _read_metrics(run_dir, "grpo_metrics.csv")
    with rc_context(STYLE):
        figure = new_figure(2.3)
        left, right = figure.subplots(1, 2)
        _panel("reward", "Reward", "mean over completions")(left, metrics)
        _panel_dev(right, metrics)
        right.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
        png = BytesIO()
        figure.savefig(png, dpi=90)
        return png.getvalue()


def plot_learning(run_dir: Path | str, stage: str) -> Figure:
    """How far each layer's weights moved in a stage ("priming", "sft" or "grpo"): `figures/<stage>_change.png`.

    Raises FileNotFoundError where the stage left no `<stage>_learning.json`.
    """
    path = Path(run_dir) / f"{stage}_learning.json"
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}: train the stage {stage!r} of this run first.")
    change = pd.DataFrame(json.loads(path.read_text())["change"]).set_index("layer")
    with rc_context(STYLE):
        figure = new_figure(2.4)
        axes = figure.add_subplot()
        for i, (part, colour) in enumerate(zip(change.columns, (BLUE, ORANGE, GREEN), strict=False)):
            axes.bar(change.index + 0.38 * (i - (len(change.columns) - 1) / 2), change[part], 0.36, color=colour, label=part)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axes.set_title("How far the weights moved")
        axes.set_xlabel("layer")
        axes.set_ylabel("norm of the change")
        axes.xaxis.set_major_locator(MaxNLocator(20, integer=True))
        return save(figure, run_dir, f"{stage}_change")


def plot_grpo(run_dir: Path | str) -> Figure:
    """How GRPO went, in small panels over the optimiser steps: `figures/grpo.png`.

    Held-out accuracy, correctness and format reward, completion length (with the share cut off, if
    any was), completions with a false claim, and entropy, or, where that was not logged, the share of
    groups whose rewards were all equal. A metric that was never logged has no panel. Raises
    FileNotFoundError that names the notebook, ValueError where the file is damaged or holds none of these.
    """
    metrics = _read_metrics(run_dir, "grpo_metrics.csv")
    drawn = [column for column in PANELS if not _measured(metrics, column).empty]
    if "entropy" in drawn and "frac_reward_zero_std" in drawn:
        drawn.remove("frac_reward_zero_std")
    if not drawn:
        raise ValueError(f"{Path(run_dir) / 'grpo_metrics.csv'} holds none of the metrics that are drawn: {', '.join(PANELS)}.")
    wide = len(drawn) % 2  # with an odd number of panels the first spans both columns
    rows = (len(drawn) + wide) // 2
    with rc_context(STYLE):
        figure = new_figure(2.6 * rows)
        figure.get_layout_engine().set(h_pad=0.09, w_pad=0.06)
        grid = figure.add_gridspec(rows, 2)
        for i, column in enumerate(drawn):
            cell = grid[0, :] if wide and i == 0 else grid[divmod(i + wide, 2)]
            PANELS[column](figure.add_subplot(cell), metrics)
        return save(figure, run_dir, "grpo")
