"""What notebook 03 measured: accuracy, what became of the completions, and where each gain comes from."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import PercentFormatter

from grpo_lab.figures.style import BLUE, GREEN, INK, ORANGE, STYLE, new_figure, percent_axis, save
from grpo_lab.report import EXTRACTIONS, OUTCOMES, checkpoints_of, decompose, is_right, label_of, outcomes, samples_of, summarise
from grpo_lab.report.browser import best_samples

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
        figure = new_figure(3.9)
        axes = figure.add_subplot()
        for extraction in EXTRACTIONS:
            _draw_accuracies(axes, summaries, extraction)
        axes.set_xticks(range(len(checkpoints)), [label_of(name) for name in checkpoints], fontsize=10.5)
        axes.set_xlim(-0.55, len(checkpoints) - 0.45)
        percent_axis(axes)
        axes.set_ylim(-0.04, 1.14)  # room for a dot at 0 % and for the legend above 100 %
        axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
        axes.set_ylabel("problems answered correctly")
        axes.set_title(f"Accuracy on {counts} held-out problems (whiskers: 95% interval)")
        axes.legend(loc="upper left", ncols=2, borderaxespad=0.2)
        return save(figure, run_dir, "accuracy")


def plot_outcomes(run_dir: Path | str) -> Figure:
    """What became of the completions, one bar a checkpoint, in percent of them: `figures/outcomes.png`.

    The parts are `report.OUTCOMES` in their order; what no checkpoint has is not in the legend. Raises as `read_samples`.
    """
    shares = {label_of(name): _outcome_shares(samples_of(run_dir, name)) for name in checkpoints_of(run_dir)}
    shown = [outcome for outcome in OUTCOMES if any(bar[outcome] for bar in shares.values())]
    with rc_context(STYLE):
        figure = new_figure(1.25 + 0.42 * len(shares) + 0.2 * ((len(shown) + 1) // 2))
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
        return save(figure, run_dir, "outcomes")


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
    `report.decompose`, in points, but for those that round to 0.0. Raises as `read_samples` and `compare`.
    """
    bars = _waterfall(run_dir)
    top = max(max(bar.start, bar.end) for bar in bars)
    with rc_context(STYLE):
        figure = new_figure(4.1)
        axes = figure.add_subplot()
        percent_axis(axes, min(1.1, 1.12 * top) if top else 1.0)
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
        return save(figure, run_dir, "gain")


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
