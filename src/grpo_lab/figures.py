"""Figures of a run, drawn from its files alone and saved as PNGs in its `figures/`. Nothing that was not measured is drawn.

First how the two stages of training went (notebooks 01 and 02), then what notebook 03 measured, then several runs side by side.
Metrics have the names that TRL logs them under. Nothing here touches matplotlib's own settings.
"""

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from grpo_lab.records import checkpoints_of, label_of, read_metrics, samples_of
from grpo_lab.report.comparisons import best_samples, decompose, is_right
from grpo_lab.report.summary import OUTCOMES, outcomes, summarise

# The paper is transparent, and ink and grid can be read on a light and on a dark page.
# Okabe and Ito's colours, which stay apart for every common kind of colour blindness.
BLUE, ORANGE, GREEN, INK = "#0072B2", "#D55E00", "#009E73", "#6E7781"
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
    "axes.prop_cycle": cycler(linestyle=["-", "--"]) * cycler(color=RUN_COLOURS),
    "grid.color": "#8C8C8C40",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
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


# --- The road ----------------------------------------------------------------

ROAD = {
    "base": ("Base model", "continues text"),
    "sft": ("01 · SFT", "learns the form\nfrom examples"),
    "grpo": ("02 · GRPO", "learns what pays\nfrom right and wrong"),
    "evaluation": ("03 · Evaluation", "all three on problems\nthat none has seen"),
}


def roadmap(here: str) -> Figure:
    """From the base model to the evaluation, in four boxes; that of the stage `here`, a key of ROAD, is filled."""
    with rc_context(STYLE):
        figure = _new_figure(1.2)
        axes = figure.add_subplot()
        axes.set_axis_off()
        axes.set_xlim(-0.5, len(ROAD) - 0.5)
        axes.set_ylim(-1, 1)
        for place, (stage, (title, text)) in enumerate(ROAD.items()):
            face, ink = (BLUE, "white") if stage == here else ("none", INK)
            box = {"boxstyle": "round,pad=0.1,rounding_size=0.1", "facecolor": face, "edgecolor": BLUE}
            axes.add_patch(FancyBboxPatch((place - 0.32, -0.65), 0.64, 1.3, mutation_aspect=2, **box))
            axes.text(place, 0.33, title, ha="center", va="center", color=ink, fontweight="bold")
            axes.text(place, -0.28, text, ha="center", va="center", color=ink, fontsize=7.5)
            if place:
                axes.annotate("", (place - 0.43, 0), (place - 0.58, 0), arrowprops={"arrowstyle": "->", "color": INK})
        return figure


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
    "reward": Metric("Reward", "mean over completions"),
    "frac_reward_zero_std": Metric("Groups without a signal", "groups with equal rewards", share=True),
    "completions/mean_length": Metric("Completion length", "mean length (tokens)"),
    "audit/false_claims": Metric("Completions with a false sum", "of those sampled", share=True),
    "entropy": Metric("Entropy of the policy", "nats per token"),
    "loss": Metric("SFT: loss on the training examples", "cross-entropy (nats per token)"),
}
GRPO_PANELS = tuple(METRICS)[:6]
COMPARED = ("eval_accuracy", "reward", "completions/mean_length", "audit/false_claims")
Rows = Sequence[Mapping[str, float]]  # what was logged, a dict a step


def _metrics_of(run_dir: Path | str, name: str) -> Rows:
    path = Path(run_dir) / name
    if not path.is_file():
        raise FileNotFoundError(f"There are no metrics at {path}: run notebooks/{NOTEBOOKS[name]} for this run first.")
    return read_metrics(path)


def _series(rows: Rows, name: str) -> pd.Series:
    """The finite values of a metric, by step."""
    values = pd.Series({row["step"]: row.get(name, np.nan) for row in rows}, dtype=float)
    return values[np.isfinite(values)]


def _logged(runs: Mapping[str, Rows], names: Sequence[str]) -> list[str]:
    """Those of the metrics that any of the runs logged."""
    return [name for name in names if any(_series(rows, name).size for rows in runs.values())]


def _draw_panels(runs: Mapping[str, Rows], names: Sequence[str], row_height: float, best: float | None = None) -> Figure:
    """A panel a metric over the optimiser steps, two side by side, of an odd number the first across both columns.

    One run is drawn in full; of several each is a line, in the order of the style's cycle. best: the most that a completion can
    earn, a line in the panel of the reward.
    """
    cells = [*names[: len(names) % 2], *names]  # a name that stands twice in a row spans it
    figure = _new_figure(row_height * len(cells) / 2)
    figure.get_layout_engine().set(h_pad=0.09, w_pad=0.06)
    for name, axes in figure.subplot_mosaic([cells[i : i + 2] for i in range(0, len(cells), 2)]).items():
        for rows in runs.values():
            if len(runs) > 1:
                axes.plot(_series(rows, name), linewidth=1.4)
            else:
                _draw_metric(axes, rows, name)
        axes.set_title(METRICS[name].title)
        axes.set_ylabel(METRICS[name].label)
        axes.set_xlabel("optimiser step")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
        if name == "reward" and best is not None:
            axes.axhline(best, color=INK, linewidth=1, linestyle=":")
            axes.annotate(f"the most: {best:g}", (0.01, best), (0, -3), ("axes fraction", "data"), "offset points", va="top")
        if METRICS[name].share:
            _percent_axis(axes, 1.02)
        else:
            axes.set_ylim(bottom=min([0, *(value for rows in runs.values() for value in _series(rows, name))]))
    named = {label: line for axes in figure.axes for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if named:
        figure.legend(named.values(), named, loc="outside lower center")
    return figure


def _draw_metric(axes: Axes, rows: Rows, name: str) -> None:
    """The logged values, pale, and over them their centred moving mean (full windows only); accuracy with its intervals."""
    values = _series(rows, name)
    window = max(3, len(values) // 20 | 1)
    if name == "eval_accuracy":
        axes.plot(values, color=GREEN, linewidth=2, marker="o", markersize=5)
        low, high = (_series(rows, bound).reindex(values.index) for bound in ("eval_low", "eval_high"))
        reach = [(values - low).clip(0), (high - values).clip(0)]
        axes.errorbar(values.index, values, reach, fmt="none", ecolor=GREEN, elinewidth=1.4, capsize=3, alpha=0.7)
    elif len(values) < 3 * window:
        axes.plot(values, color=BLUE, linewidth=1.8, marker="o", markersize=3)
    else:
        axes.plot(values, color=BLUE, alpha=0.28, linewidth=0.9)
        smooth = values.rolling(window, center=True).mean().dropna()
        axes.plot(smooth, color=BLUE, linewidth=2, label=f"mean of {window} logged steps")
    clipped = _series(rows, "completions/clipped_ratio")
    if name == "completions/mean_length" and clipped.any():  # the share that was cut off, on a second axis
        share = axes.twinx()
        share.grid(False)
        share.fill_between(clipped.index, clipped, color=ORANGE, alpha=0.35, linewidth=0)
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
    losses = _series(rows, "loss")
    if losses.empty:
        raise ValueError(f"{Path(run_dir) / name} has no value in a column 'loss', so there is no curve to draw.")
    with rc_context(STYLE):
        figure = _draw_panels({"": rows}, ["loss"], row_height=3.3)
        return _save(figure, run_dir, "sft")


def plot_grpo(run_dir: Path | str, best: float | None = None) -> Figure:
    """How GRPO went, in small panels over the optimiser steps: `figures/grpo.png`.

    Held-out accuracy, reward (with a line at `best`, the most that a completion can earn), groups without a signal, completion
    length (with the share cut off, if any was), completions with a false claim, and entropy. A metric that was never logged has
    no panel. Raises FileNotFoundError that names the notebook, ValueError where the file is damaged or holds none of these.
    """
    runs = {"": _metrics_of(run_dir, "grpo_metrics.csv")}
    drawn = _logged(runs, GRPO_PANELS)
    if not drawn:
        raise ValueError(
            f"{Path(run_dir) / 'grpo_metrics.csv'} holds none of the metrics that are drawn: {', '.join(GRPO_PANELS)}."
        )
    with rc_context(STYLE):
        return _save(_draw_panels(runs, drawn, 2.6, best), run_dir, "grpo")


def live_curves(rows: Rows, steps: int, rewards: tuple[float, float]) -> bytes:
    """The reward and the held-out accuracy so far, as a PNG, from what was logged while training goes on: one dict a step.

    steps, rewards: the last step, and the least and the most that a completion can earn: the axes, which stay as they are.
    """
    with rc_context(STYLE):
        png = BytesIO()
        figure = _draw_panels({"": rows}, ["reward", "eval_accuracy"], 2.3, rewards[1])
        for axes in figure.axes:
            axes.set_xlim(0, steps)
        figure.axes[0].set_ylim(*rewards)
        figure.savefig(png, dpi=90)
        return png.getvalue()


def compare_curves(runs: Mapping[str, Rows]) -> Figure:
    """Several GRPO stages in the same panels, a line a run: {name: metric rows}. It belongs to no run and is not saved.

    A panel for each of COMPARED that any run logged; raises ValueError where none was.
    """
    drawn = _logged(runs, COMPARED)
    if not drawn:
        raise ValueError(f"None of these runs logged any of {', '.join(COMPARED)}.")
    with rc_context(STYLE):
        figure = _draw_panels(runs, drawn, row_height=2.8)
        figure.legend(figure.axes[0].lines, list(runs), loc="outside lower center", ncols=3)
        return figure


def plot_learning(run_dir: Path | str, stage: str) -> Figure:
    """How far each layer's weights moved in a stage ("priming", "sft" or "grpo"): `figures/<stage>_change.png`.

    Raises FileNotFoundError where the stage left no `<stage>_learning.json`.
    """
    path = Path(run_dir) / f"{stage}_learning.json"
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}: train the stage {stage!r} of this run first.")
    change = pd.DataFrame(json.loads(path.read_text())["change"]).set_index("layer")  # a column a part: the norm of its change
    with rc_context(STYLE):
        figure = _new_figure(2.4)
        axes = figure.add_subplot()
        for i, part in enumerate(change):
            place = change.index + 0.38 * (i - (len(change.columns) - 1) / 2)
            axes.bar(place, change[part], 0.36, color=RUN_COLOURS[i], label=part)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axes.set_title("How far the weights moved")
        axes.set_xlabel("layer")
        axes.set_ylabel("norm of the change")
        axes.xaxis.set_major_locator(MaxNLocator(20, integer=True))
        return _save(figure, run_dir, f"{stage}_change")


# --- Evaluation --------------------------------------------------------------

# Right: blues. No usable answer: greys. A wrong answer: from yellow to brown. Greys and browns grow darker in the order of
# OUTCOMES, so that they keep it for every kind of colour blindness.
_PALETTE = "#0072B2 #76C0EC #DEDEDE #B4B4B4 #7F7F7F #555555 #FDD26B #F0923B #C4501B #6E2507"
OUTCOME_COLOURS = dict(zip(OUTCOMES, _PALETTE.split(), strict=True))
LEAST_NAMED = 0.04  # a narrower segment has no room for its percentage


def plot_accuracy(run_dir: Path | str) -> Figure:
    """Accuracy of every checkpoint with Wilson 95 % whiskers: `figures/accuracy.png`.

    Strict extraction stands beside flexible. Raises as `read_samples`.
    """
    summaries = pd.DataFrame({label_of(name): summarise(samples_of(run_dir, name)) for name in checkpoints_of(run_dir)}).T
    counts = " or ".join(f"{n:,}" for n in sorted(set(summaries["n"])))
    with rc_context(STYLE):
        figure = _new_figure(3.9)
        axes = figure.add_subplot()
        for extraction, label, marker, colour, side in (
            ("flexible", "flexible: clearly given anywhere", "o", BLUE, -1),
            ("strict", "strict: in the required form", "s", ORANGE, 1),
        ):
            share, low, high = (summaries[f"{part}_{extraction}"].astype(float) for part in ("accuracy", "low", "high"))
            places = np.arange(len(share)) + 0.13 * side
            look = {"color": colour, "markersize": 7, "elinewidth": 2, "capsize": 4, "capthick": 1.5}
            axes.errorbar(places, share, [(share - low).clip(0), (high - share).clip(0)], fmt=marker, label=label, **look)
            beside = {"textcoords": "offset points", "ha": "right" if side < 0 else "left", "va": "center"}
            for place, value in zip(places, share, strict=True):
                axes.annotate(f"{100 * value:.1f}", (place, value), (9 * side, 0), **beside, color=colour, fontweight="bold")
        axes.set_xticks(range(len(summaries)), summaries.index, fontsize=10.5)
        axes.set_xlim(-0.55, len(summaries) - 0.45)
        _percent_axis(axes)
        axes.set_ylim(-0.04, 1.14)  # room for a dot at 0 % and for the legend above 100 %
        axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
        axes.set_ylabel("problems answered correctly")
        axes.set_title(f"Accuracy on {counts} held-out problems (whiskers: 95% interval)")
        axes.legend(loc="upper left", ncols=2, borderaxespad=0.2)
        return _save(figure, run_dir, "accuracy")


def plot_outcomes(run_dir: Path | str) -> Figure:
    """What became of the completions, one bar a checkpoint, in percent of them: `figures/outcomes.png`.

    The parts are `report.OUTCOMES` in their order; what no checkpoint has is left out. Raises as `read_samples`.
    """
    counts = pd.DataFrame({label_of(name): outcomes(samples_of(run_dir, name)) for name in checkpoints_of(run_dir)})
    shares = counts[counts.any(axis=1)] / counts.sum()
    ends = shares.cumsum()
    with rc_context(STYLE):
        figure = _new_figure(1.25 + 0.42 * len(shares.columns) + 0.2 * ((len(shares) + 1) // 2))
        axes = figure.add_subplot()
        for outcome, share in shares.iterrows():
            colour = OUTCOME_COLOURS[outcome]
            bar = {"color": colour, "edgecolor": "white", "linewidth": 0.6, "label": outcome}
            segments = axes.barh(shares.columns, share, left=ends.loc[outcome] - share, height=0.66, **bar)
            text_colour = "#333333" if np.dot(to_rgb(colour), (0.299, 0.587, 0.114)) > 0.5 else "white"  # by its lightness
            texts = [f"{100 * part:.1f}" if part >= LEAST_NAMED else "" for part in share]
            axes.bar_label(segments, texts, label_type="center", fontsize=8.5, color=text_colour)
        axes.tick_params(axis="y", labelsize=10.5)
        axes.invert_yaxis()
        axes.spines["left"].set_visible(False)
        axes.grid(False)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_title("What became of the completions, in percent")
        figure.legend(loc="outside lower center", ncols=2)
        return _save(figure, run_dir, "outcomes")


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
    # The checkpoints, and between each two the causes that moved the accuracy.
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

    # A bar's number stands at its right; a thin line leads from the end of each bar to the next.
    places, top = np.arange(len(bars)), max(max(bar.start, bar.end) for bar in bars)
    starts, ends = np.array([(bar.start, bar.end) for bar in bars]).T
    colours = [BLUE if bar.is_checkpoint else GREEN if bar.end > bar.start else ORANGE for bar in bars]
    with rc_context(STYLE):
        figure = _new_figure(0.9 + 0.28 * len(bars))
        axes = figure.add_subplot()
        edges = {"edgecolor": colours, "linewidth": 1.2}  # which show a thin bar
        axes.barh(places, ends - starts, left=starts, height=0.72, color=colours, **edges)
        axes.vlines(ends[:-1], places[:-1] + 0.36, places[:-1] + 0.64, color="#8C8C8C", linewidth=0.8)
        axes.set_yticks(places, [bar.label for bar in bars])
        for bar, place, tick, colour in zip(bars, places, axes.get_yticklabels(), colours, strict=True):
            end = max(bar.start, bar.end)
            axes.annotate(
                bar.text, (end, place), (4, 0), textcoords="offset points", va="center", color=colour, fontweight="bold"
            )
            tick.set_fontweight("bold" if bar.is_checkpoint else "normal")
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x")
        axes.set_xlim(0, min(1.1, 1.15 * top) if top else 1.0)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_xlabel("problems answered correctly")
        axes.set_title("Where the gain comes from, in points of accuracy")
        return _save(figure, run_dir, "gain")
