"""One style for all figures, and how one is made and saved. Nothing here touches matplotlib's own settings."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

# Okabe and Ito's colours, which stay apart for every common kind of colour blindness.
BLUE, ORANGE, GREEN, INK = "#0072B2", "#D55E00", "#009E73", "#333333"
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


def new_figure(height: float) -> Figure:
    """An empty figure; `height` in inches."""
    return Figure(figsize=(WIDTH_INCHES, height), dpi=DPI, layout="constrained")


def save(figure: Figure, run_dir: Path | str, name: str) -> Figure:
    """Write `figures/<name>.png` in the run folder, and give the figure back."""
    folder = Path(run_dir) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=DPI)
    return figure


def percent_axis(axes: Axes, top: float = 1.0) -> None:
    """A y axis for shares, from 0 to `top`, with its ticks in percent."""
    axes.set_ylim(0, top)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if top >= 0.05 else 1))
