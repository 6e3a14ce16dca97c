"""Figures of a run, drawn from its files alone and saved as PNGs in its `figures/`. Nothing that was not measured is drawn.

First how the two stages of training went (notebooks 01 and 02), then what notebook 03 measured, then several runs side by side.
Metrics have the names that TRL logs them under. Nothing here touches matplotlib's own settings.
"""

import json
from collections.abc import Sequence
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, PercentFormatter

from grpo_lab.records import checkpoints_of, label_of, read_metrics, samples_of
from grpo_lab.report.comparisons import best_samples, decompose, is_right
from grpo_lab.report.summary import EXTRACTIONS, OUTCOMES, outcomes, summarise

# Okabe and Ito's colours, which stay apart for every common kind of colour blindness.
BLUE, ORANGE, GREEN, INK = "#0072B2", "#D55E00", "#009E73", "#333333"
RUN_COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", INK)
STYLE = {
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8C8C8C",
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}
WIDTH_INCHES, DPI = 7.0, 130


def _new_figure(height: float) -> Figure:
    """An empty figure; `height` in inches."""
    return Figure(figsize=(WIDTH_INCHES, height), dpi=DPI, layout="constrained")


def _save(figure: Figure, run_dir: Path | str, name: str) -> Figure:
    """Write `figures/<name>.png` in the run folder, and give the figure back."""
    folder = Path(run_dir) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=DPI)
    return figure


def _percent_axis(axes: Axes, top: float = 1.0) -> None:
    """A y axis for shares, from 0 to `top`, with its ticks in percent."""
    axes.set_ylim(0, top)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if top >= 0.05 else 1))


# --- Training ----------------------------------------------------------------

NOTEBOOKS = {
    "sft_metrics.csv": "01_SFT_pre-tuning.ipynb",
    "grpo_metrics.csv": "02_GRPO_reasoning_tuning.ipynb",
}


class Metric(NamedTuple):
    """How a logged metric is drawn. share: on an axis in percent."""

    title: str
    label: str
    share: bool = False


METRICS = {  # in the order of the panels of `plot_grpo`
    "eval_accuracy": Metric("Held-out accuracy (dev, greedy)", "answered correctly", share=True),
    "rewards/correctness/mean": Metric("Correctness reward", "mean over completions"),
    "rewards/exact_format/mean": Metric("Format reward", "mean over completions"),
    "completions/mean_length": Metric("Completion length", "mean length (tokens)"),
    "audit/false_claims": Metric("Completions with a false claim", "of those sampled", share=True),
    "entropy": Metric("Entropy of the policy", "nats per token"),
    "frac_reward_zero_std": Metric("Groups without a signal", "groups with equal rewards", share=True),
    "reward": Metric("Reward", "mean over completions"),
    "loss": Metric("SFT: loss on the training examples", "cross-entropy (nats per token)"),
}
GRPO_PANELS = tuple(METRICS)[:7]
COMPARED = ("eval_accuracy", "reward", "completions/mean_length", "audit/false_claims")


def _metrics_of(run_dir: Path | str, name: str) -> list[dict[str, float]]:
    path = Path(run_dir) / name
    if not path.is_file():
        raise FileNotFoundError(f"There are no metrics at {path}: run notebooks/{NOTEBOOKS[name]} for this run first.")
    return read_metrics(path)


def _series(rows: Sequence[dict[str, float]], *names: str) -> np.ndarray:
    """The steps at which all of these metrics were logged, and their values: an array of 1 + len(names) rows."""
    found = [[row["step"], *(row[name] for name in names)] for row in rows if all(isfinite(row.get(n, np.nan)) for n in names)]
    return np.array(found).T if found else np.empty((1 + len(names), 0))


def _draw_metric(axes: Axes, rows: Sequence[dict[str, float]], name: str) -> None:
    """One panel: the logged values, pale, and over them their centred moving mean (full windows only)."""
    metric = METRICS[name]
    if name == "eval_accuracy":
        _draw_accuracy(axes, rows)
    else:
        steps, values = _series(rows, name)
        window = max(3, len(values) // 20 | 1)
        if len(values) < 3 * window:
            axes.plot(steps, values, color=BLUE, linewidth=1.8, marker="o", markersize=3)
        else:
            axes.plot(steps, values, color=BLUE, alpha=0.28, linewidth=0.9)
            smooth = np.convolve(values, np.full(window, 1 / window), "valid")
            half = window // 2
            axes.plot(steps[half:-half], smooth, color=BLUE, linewidth=2, label=f"mean of {window} logged steps")
            axes.legend(loc="best")
    if name == "completions/mean_length":
        _draw_cut_off(axes, rows)
    _finish_panel(axes, metric)


def _finish_panel(axes: Axes, metric: Metric) -> None:
    axes.set_title(metric.title)
    axes.set_ylabel(metric.label)
    axes.set_xlabel("optimiser step")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    if metric.share:
        _percent_axis(axes, 1.02)


def _draw_accuracy(axes: Axes, rows: Sequence[dict[str, float]]) -> None:
    """Held-out accuracy, with its interval where that was logged."""
    axes.plot(*_series(rows, "eval_accuracy"), color=GREEN, linewidth=2, marker="o", markersize=5)
    steps, accuracy, low, high = _series(rows, "eval_accuracy", "eval_low", "eval_high")
    reach = np.clip([accuracy - low, high - accuracy], 0, None)
    axes.errorbar(steps, accuracy, reach, fmt="none", ecolor=GREEN, elinewidth=1.4, capsize=3, alpha=0.7)


def _draw_cut_off(axes: Axes, rows: Sequence[dict[str, float]]) -> None:
    """The share of completions that were cut off, on a second axis, if any was."""
    steps, clipped = _series(rows, "completions/clipped_ratio")
    if not clipped.any():
        return
    share = axes.twinx()
    share.grid(False)
    share.fill_between(steps, clipped, color=ORANGE, alpha=0.35, linewidth=0)
    share.set_ylabel("cut off at the limit", color=ORANGE)
    share.tick_params(axis="y", colors=ORANGE)
    _percent_axis(share, min(1.0, 3 * clipped.max()))  # kept low, so that the length stays in front
    share.yaxis.set_major_locator(MaxNLocator(4))


def plot_sft(run_dir: Path | str) -> Figure:
    """The SFT loss over the optimiser steps, of priming where that is the only stage: `figures/sft.png`.

    Raises FileNotFoundError that names the notebook, ValueError where the file is damaged or no loss was logged.
    """
    primed_only = not (Path(run_dir) / "sft_metrics.csv").is_file() and (Path(run_dir) / "priming_metrics.csv").is_file()
    name = "priming_metrics.csv" if primed_only else "sft_metrics.csv"
    rows = _metrics_of(run_dir, name)
    losses = _series(rows, "loss")[1]
    if not losses.size:
        raise ValueError(f"{Path(run_dir) / name} has no value in a column 'loss', so there is no curve to draw.")
    with rc_context(STYLE):
        figure = _new_figure(3.3)
        axes = figure.add_subplot()
        _draw_metric(axes, rows, "loss")
        axes.set_ylim(bottom=min(0, losses.min()))
        return _save(figure, run_dir, "sft")


def plot_grpo(run_dir: Path | str) -> Figure:
    """How GRPO went, in small panels over the optimiser steps: `figures/grpo.png`.

    Held-out accuracy, correctness and format reward, completion length (with the share cut off, if any was), completions with a
    false claim, and entropy, or, where that was not logged, the share of groups whose rewards were all equal. A metric that was
    never logged has no panel. Raises FileNotFoundError that names the notebook, ValueError where the file is damaged or holds
    none of these.
    """
    rows = _metrics_of(run_dir, "grpo_metrics.csv")
    drawn = [name for name in GRPO_PANELS if _series(rows, name).size]
    if "entropy" in drawn and "frac_reward_zero_std" in drawn:
        drawn.remove("frac_reward_zero_std")
    if not drawn:
        raise ValueError(
            f"{Path(run_dir) / 'grpo_metrics.csv'} holds none of the metrics that are drawn: {', '.join(GRPO_PANELS)}."
        )
    wide = len(drawn) % 2  # with an odd number of panels the first spans both columns
    height = (len(drawn) + wide) // 2
    with rc_context(STYLE):
        figure = _new_figure(2.6 * height)
        figure.get_layout_engine().set(h_pad=0.09, w_pad=0.06)
        grid = figure.add_gridspec(height, 2)
        for i, name in enumerate(drawn):
            cell = grid[0, :] if wide and i == 0 else grid[divmod(i + wide, 2)]
            _draw_metric(figure.add_subplot(cell), rows, name)
        return _save(figure, run_dir, "grpo")


def live_curves(rows: Sequence[dict[str, float]]) -> bytes:
    """The reward and the held-out accuracy so far, as a PNG, from what was logged while training goes on: one dict a step."""
    with rc_context(STYLE):
        figure = _new_figure(2.3)
        for axes, name in zip(figure.subplots(1, 2), ("reward", "eval_accuracy"), strict=True):
            _draw_metric(axes, rows, name)
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
    change = json.loads(path.read_text())["change"]  # a dict a layer: its number, and the norm of each part's change
    layers = np.array([row["layer"] for row in change])
    parts = [name for name in change[0] if name != "layer"]
    with rc_context(STYLE):
        figure = _new_figure(2.4)
        axes = figure.add_subplot()
        for i, (part, colour) in enumerate(zip(parts, RUN_COLOURS, strict=False)):
            place = layers + 0.38 * (i - (len(parts) - 1) / 2)
            axes.bar(place, [row[part] for row in change], 0.36, color=colour, label=part)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axes.set_title("How far the weights moved")
        axes.set_xlabel("layer")
        axes.set_ylabel("norm of the change")
        axes.xaxis.set_major_locator(MaxNLocator(20, integer=True))
        return _save(figure, run_dir, f"{stage}_change")


def compare_curves(runs: dict[str, list[dict[str, float]]]) -> Figure:
    """Several GRPO stages in the same panels, a line a run: {name: metric rows}. It belongs to no run and is not saved.

    A panel for each of COMPARED that any run logged; raises ValueError where none was.
    """
    drawn = [name for name in COMPARED if any(_series(rows, name).size for rows in runs.values())]
    if not drawn:
        raise ValueError(f"None of these runs logged any of {', '.join(COMPARED)}.")
    with rc_context(STYLE):
        height = (len(drawn) + 1) // 2
        figure = _new_figure(2.6 * height + 0.2 * len(runs))
        grid = figure.add_gridspec(height, 2)
        for i, name in enumerate(drawn):
            axes = figure.add_subplot(grid[divmod(i, 2)])
            for number, rows in enumerate(runs.values()):
                dashed = "-" if number < len(RUN_COLOURS) else "--"
                axes.plot(*_series(rows, name), dashed, color=RUN_COLOURS[number % len(RUN_COLOURS)], linewidth=1.4)
            _finish_panel(axes, METRICS[name])
        figure.legend(figure.axes[0].lines, list(runs), loc="outside lower center", ncols=3)
        return figure


# --- Evaluation --------------------------------------------------------------

# Right: blues. No usable answer: greys. A wrong answer: from yellow to brown. Greys and browns grow darker in the order of
# OUTCOMES, so that they keep it for every kind of colour blindness.
_PALETTE = "#0072B2 #76C0EC #DEDEDE #B4B4B4 #7F7F7F #555555 #FDD26B #F0923B #C4501B #6E2507"
OUTCOME_COLOURS = dict(zip(OUTCOMES, _PALETTE.split(), strict=True))
LEAST_NAMED = 0.04  # a narrower segment has no room for its percentage


def _draw_accuracies(axes: Axes, summaries: Sequence[dict], extraction: str) -> None:
    """One dot with whiskers a checkpoint: flexible left of the tick, strict right of it."""
    flexible = extraction == "flexible"
    colour, side = (BLUE, -1) if flexible else (ORANGE, 1)
    where = "flexible: clearly given anywhere" if flexible else "strict: in the required form"
    for i, s in enumerate(summaries):
        share, low, high = (s[f"{part}_{extraction}"] for part in ("accuracy", "low", "high"))
        axes.errorbar(
            i + 0.13 * side,
            share,
            [[max(0, share - low)], [max(0, high - share)]],
            color=colour,
            fmt="o" if flexible else "s",
            markersize=7,
            elinewidth=2,
            capsize=4,
            capthick=1.5,
            label=None if i else where,
        )
        axes.annotate(
            f"{100 * share:.1f}",
            (i + 0.13 * side, share),
            (9 * side, 0),
            textcoords="offset points",
            ha="right" if flexible else "left",
            va="center",
            color=colour,
            fontweight="bold",
        )


def plot_accuracy(run_dir: Path | str) -> Figure:
    """Accuracy of every checkpoint with Wilson 95 % whiskers: `figures/accuracy.png`.

    Strict extraction stands beside flexible. Raises as `read_samples`.
    """
    checkpoints = checkpoints_of(run_dir)
    summaries = [summarise(samples_of(run_dir, name)) for name in checkpoints]
    counts = " or ".join(f"{n:,}" for n in sorted({s["n"] for s in summaries}))
    with rc_context(STYLE):
        figure = _new_figure(3.9)
        axes = figure.add_subplot()
        for extraction in EXTRACTIONS:
            _draw_accuracies(axes, summaries, extraction)
        axes.set_xticks(range(len(checkpoints)), [label_of(name) for name in checkpoints], fontsize=10.5)
        axes.set_xlim(-0.55, len(checkpoints) - 0.45)
        _percent_axis(axes)
        axes.set_ylim(-0.04, 1.14)  # room for a dot at 0 % and for the legend above 100 %
        axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
        axes.set_ylabel("problems answered correctly")
        axes.set_title(f"Accuracy on {counts} held-out problems (whiskers: 95% interval)")
        axes.legend(loc="upper left", ncols=2, borderaxespad=0.2)
        return _save(figure, run_dir, "accuracy")


def plot_outcomes(run_dir: Path | str) -> Figure:
    """What became of the completions, one bar a checkpoint, in percent of them: `figures/outcomes.png`.

    The parts are `report.OUTCOMES` in their order; what no checkpoint has is not in the legend. Raises as `read_samples`.
    """
    shares = {label_of(name): _outcome_shares(samples_of(run_dir, name)) for name in checkpoints_of(run_dir)}
    shown = [outcome for outcome in OUTCOMES if any(bar[outcome] for bar in shares.values())]
    with rc_context(STYLE):
        figure = _new_figure(1.25 + 0.42 * len(shares) + 0.2 * ((len(shown) + 1) // 2))
        axes = figure.add_subplot()
        for i, bar in enumerate(shares.values()):
            _draw_outcomes(axes, i, bar)
        axes.set_yticks(range(len(shares)), list(shares), fontsize=10.5)
        axes.invert_yaxis()
        axes.spines["left"].set_visible(False)
        axes.grid(False)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_title("What became of the completions, in percent")
        handles = [Patch(facecolor=OUTCOME_COLOURS[outcome], label=outcome) for outcome in shown]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
        return _save(figure, run_dir, "outcomes")


def _outcome_shares(samples: Sequence[dict]) -> dict[str, float]:
    return {outcome: count / len(samples) for outcome, count in outcomes(samples).items()}


def _draw_outcomes(axes: Axes, row: int, shares: dict[str, float]) -> None:
    """One stacked bar, with the percentage in each segment that has room for it."""
    left = 0.0
    for outcome, share in shares.items():
        colour = OUTCOME_COLOURS[outcome]
        axes.barh(row, share, left=left, height=0.66, color=colour, edgecolor="white", linewidth=0.6)
        if share >= LEAST_NAMED:
            text = f"{100 * share:.1f}"
            axes.text(left + share / 2, row, text, ha="center", va="center", fontsize=8.5, color=_readable_on(colour))
        left += share


def _readable_on(colour: str) -> str:
    red, green, blue = to_rgb(colour)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


class _Bar(NamedTuple):
    """A bar of the waterfall, from `start` to `end`, both shares; a checkpoint's starts at 0. `text`: what stands beside it."""

    label: str
    start: float
    end: float
    text: str
    is_checkpoint: bool = False


def plot_gain(run_dir: Path | str) -> Figure:
    """Where each step's gain comes from, as a waterfall of accuracy: `figures/gain.png`.

    Full bars are the checkpoints, in percent, the base in the prompt that serves it better; floating ones the causes of
    `report.decompose`, in points, but for those that round to 0.0. Raises as `read_samples` and `pair_samples`.
    """
    bars = _waterfall(run_dir)
    top = max(max(bar.start, bar.end) for bar in bars)
    with rc_context(STYLE):
        figure = _new_figure(4.1)
        axes = figure.add_subplot()
        _percent_axis(axes, min(1.1, 1.12 * top) if top else 1.0)
        for i, bar in enumerate(bars):
            _draw_bar(axes, i, bar, font_size=9.5 if len(bars) < 10 else 8.5)
        for i, bar in enumerate(bars[:-1]):  # a thin line leads from the end of each bar to the next
            axes.plot([i + 0.36, i + 0.64], [bar.end, bar.end], color="#8C8C8C", linewidth=0.8)
        axes.set_xticks(range(len(bars)), [bar.label for bar in bars], rotation=35, ha="right", rotation_mode="anchor")
        for tick, bar in zip(axes.get_xticklabels(), bars, strict=True):
            tick.set_fontweight("bold" if bar.is_checkpoint else "normal")
        axes.set_xlim(-0.6, len(bars) - 0.4)
        axes.set_ylabel("problems answered correctly")
        axes.set_title("Where the gain comes from, in points of accuracy")
        return _save(figure, run_dir, "gain")


def _waterfall(run_dir: Path | str) -> list[_Bar]:
    """The checkpoints, and between each two the causes that moved the accuracy."""
    bars: list[_Bar] = []
    before = None
    for name, rows in best_samples(run_dir).items():
        level = bars[-1].end if bars else 0.0
        for part in decompose(before, rows) if before else ():
            start, level = level, level + float(part.points) / 100
            text = f"{float(part.points):+.1f}"
            if text not in ("+0.0", "-0.0"):
                bars.append(_Bar(part.cause, start, level, text))
        accuracy = sum(map(is_right, rows)) / len(rows)
        bars.append(_Bar(label_of(name), 0.0, accuracy, f"{100 * accuracy:.1f}%", True))
        before = rows
    return bars


def _draw_bar(axes: Axes, i: int, bar: _Bar, font_size: float) -> None:
    """A bar, with its accuracy in percent or its signed points above it; points below where they are lost and there is room."""
    change = bar.end - bar.start
    colour = BLUE if bar.is_checkpoint else GREEN if change > 0 else ORANGE
    axes.bar(i, change, bottom=bar.start, width=0.72, color=colour, edgecolor=colour, linewidth=1.2)  # the edge shows a thin one
    below = change < 0 and bar.end > 0.07 * axes.get_ylim()[1]
    axes.annotate(
        bar.text,
        (i, bar.end if below else max(bar.start, bar.end)),
        (0, -3 if below else 3),
        textcoords="offset points",
        ha="center",
        va="top" if below else "bottom",
        color=colour,
        fontweight="bold",
        fontsize=font_size if bar.is_checkpoint else font_size - 0.7,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],  # so that no grid line runs through the number
    )
