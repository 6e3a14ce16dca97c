"""Draw the README's picture from a run's files: `python scripts/hero.py --run tiny` writes `figures/hero*.png`.

Left the accuracy on dev problems while GRPO trains, with the levels of base and SFT on the test set. Right one test problem as
base, SFT and GRPO write it. A rule says which, so that nobody picks: see `choose_problem`. Drawn four times, for a light and a
dark page, wide and for a phone.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from grpo_lab import records, report, runs
from grpo_lab.report.tables import SHORT_LABELS
from grpo_math.audit import audit

LONGEST = 130  # characters of a question and of each completion that the picture has room for


class Look(NamedTuple):
    """The colours of a page. `tint` lies behind a false sum."""

    paper: str
    ink: str
    pale: str
    good: str
    bad: str
    tint: str


LOOKS = {
    "": Look("#FFFFFF", "#1F2328", "#6E7781", "#007A5A", "#B84300", "#FFE1D1"),
    "-dark": Look("#0D1117", "#E6EDF3", "#8D96A0", "#3FCF9F", "#FF9A5C", "#5A2A10"),
}


class Word(NamedTuple):
    """A word of a completion with the blank behind it. kind: "false" in a false sum, "tag" for the answer's form, or "text"."""

    text: str
    kind: str


def choose_problem(base: Sequence[dict], sft: Sequence[dict], grpo: Sequence[dict]) -> tuple[dict, dict, dict]:
    """The first test problem, in the order of the files, that base and SFT get wrong with a false sum and GRPO right without one.

    Question and completions have at most LONGEST characters. ValueError where there is no such problem.
    """
    for rows in zip(base, sft, grpo, strict=True):
        longest = max(len(text) for text in (rows[0]["question"], *(row["completion"] for row in rows)))
        failed = [not row["correct_flexible"] and row["false_claims"] > 0 for row in rows]
        if longest <= LONGEST and failed == [True, True, False] and rows[2]["correct_flexible"] and not rows[2]["false_claims"]:
            return rows
    raise ValueError(f"No problem of at most {LONGEST} characters is one that GRPO alone solves, the others with a false sum.")


def split_words(completion: str) -> list[Word]:
    """The completion's words and tags in order; together they are its text."""
    words, at = [], 0
    false = sorted((claim.start, claim.end) for claim in audit(completion).claims if not claim.true)
    for start, end in [*false, (len(completion), len(completion))]:
        for text, kind in ((completion[at:start], "text"), (completion[max(at, start) : end], "false")):
            parts = re.findall(r"<[^<>]*>\s*|[^\s<]+\s*|\s+|<", text)
            words += [Word(part, "tag" if part.startswith("<") else kind) for part in parts]
        at = max(at, end)
    return words


def wrap(words: Sequence[Word], width: int) -> list[list[Word]]:
    """The words in lines of at most `width` characters (a longer word has a line of its own), broken after a comma or a full stop
    where what follows would not fit as a whole. The tags begin a line."""
    lines, used, tagged = [[]], 0, False
    for i, word in enumerate(words):
        needed = len(word.text.rstrip())
        if i and words[i - 1].text.rstrip().endswith((",", ".")):
            clause = next((j for j in range(i, len(words)) if words[j].text.rstrip().endswith((",", "."))), i)
            whole = len("".join(part.text for part in words[i : clause + 1]).rstrip())
            needed = whole if whole <= width else needed
        first_tag, tagged = word.kind == "tag" and not tagged, tagged or word.kind == "tag"
        if lines[-1] and (first_tag or used + needed > width):
            lines.append([])
            used = 0
        lines[-1].append(word)
        used += len(word.text)
    return lines


def draw(run: Path, look: Look, narrow: bool) -> Figure:
    """The picture, 8.3 inches wide beside each other or 3.9 inches one below the other; an inch is 100 pixels on the page."""
    with rc_context({"text.parse_math": False, "text.hinting": "none", "font.size": 8.5}):
        if narrow:
            size, chart, story = (3.9, 5.4), (0.11, 0.67, 0.86, 0.28), (0.03, 0.0, 0.95, 0.56)
        else:
            size, chart, story = (8.3, 3.1), (0.06, 0.17, 0.34, 0.73), (0.44, 0.0, 0.55, 1.0)
        figure = Figure(figsize=size, dpi=200, facecolor=look.paper)
        _draw_curve(figure.add_axes(chart, facecolor=look.paper), run, look)
        _draw_problem(figure.add_axes(story), run, look)
    return figure


def _draw_curve(axes: Axes, run: Path, look: Look) -> None:
    rows = [row for row in records.read_metrics(run / "grpo_metrics.csv") if row.get("eval_accuracy", -1) >= 0]
    steps, accuracy = [row["step"] for row in rows], [row["eval_accuracy"] for row in rows]
    reach = [[row["eval_accuracy"] - row["eval_low"] for row in rows], [row["eval_high"] - row["eval_accuracy"] for row in rows]]
    axes.errorbar(steps, accuracy, reach, color=look.good, marker="o", markersize=4, linewidth=2, elinewidth=1.2, capsize=2.5)
    levels = {name: report.summarise_checkpoint(run, name)["accuracy_flexible"] for name in ("base", "sft")}
    for name, level in levels.items():
        colour, va = look.bad if name == "base" else look.pale, "bottom" if level == max(levels.values()) else "top"
        axes.axhline(level, color=colour, linewidth=1.2, linestyle=(0, (4, 3)), zorder=0)
        font = {"size": 7.5, "color": colour, "ha": "right", "va": va}
        beside = level + (0.015 if va == "bottom" else -0.02)
        axes.text(1, beside, f"{SHORT_LABELS[name]}, test set: {100 * level:.0f} %", transform=axes.get_yaxis_transform(), **font)
    axes.set_title("Problems solved while GRPO trains (dev set)", loc="left", fontsize=8.5, fontweight="bold", color=look.ink)
    axes.set_xlabel("optimiser step; whiskers: 95 % interval", color=look.ink, fontsize=7.5)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(colors=look.ink, length=0, labelsize=7.5)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(look.pale)


def _draw_problem(axes: Axes, run: Path, look: Look) -> None:
    """Question, then a block a checkpoint: its name with the verdict, and what it wrote. Coordinates are points from the top."""
    axes.set_axis_off()
    size = axes.get_window_extent().transformed(axes.figure.dpi_scale_trans.inverted()).size * 72
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0))
    chosen = choose_problem(*(report.samples_of(run, name) for name in SHORT_LABELS))
    letter, y = 13 * 72 / 200, 12.0  # a letter of DejaVu Sans Mono at 8 points is 13 whole pixels of 200 an inch
    for line in wrap([Word(f"{word} ", "text") for word in chosen[0]["question"].split()], int(size[0] / 5.6)):
        axes.text(0, y, "".join(word.text for word in line), va="top", fontsize=8.5, fontweight="bold", color=look.ink)
        y += 12.5
    y += 5
    for row, name in zip(chosen, SHORT_LABELS, strict=True):
        right = row["correct_flexible"]
        verdict = "✓ right" if right else f"✗ wrong: it is {row['gold']}"
        axes.text(0, y, f"{SHORT_LABELS[name]}  {verdict}", va="top", fontweight="bold", color=look.good if right else look.bad)
        y += 13.5
        for line in wrap(split_words(row["completion"]), int(size[0] / letter) - 1):
            _draw_line(axes, y, line, letter, look)
            y += 12
        y += 7


def _draw_line(axes: Axes, y: float, line: Sequence[Word], letter: float, look: Look) -> None:
    colours, column = {"text": look.ink, "tag": look.pale, "false": look.bad}, 0
    for i, word in enumerate(line):
        ends = i + 1 == len(line) or line[i + 1].kind != "false"
        if word.kind == "false":  # the tint runs through to the next word of the same sum
            width = len(word.text.rstrip() if ends else word.text)
            axes.fill_between([column * letter - 1, (column + width) * letter + 1], y - 1, y + 10, color=look.tint, linewidth=0)
        font = {"family": "DejaVu Sans Mono", "size": 8}
        axes.text(column * letter, y, word.text.rstrip(), va="top", fontdict=font, color=colours[word.kind])
        column += len(word.text)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the README's picture from a run's files.")
    parser.add_argument("--run", default="tiny", help="the folder under results/ (default: tiny)")
    name = parser.parse_args().run
    try:
        run = runs.project_root() / "results" / name
        for dark, look in LOOKS.items():
            for narrow in (False, True):
                draw(run, look, narrow).savefig(run / "figures" / f"hero{'-narrow' * narrow}{dark}.png")
    except (ValueError, OSError) as error:
        raise SystemExit(f"grpo-math: {error}") from error


if __name__ == "__main__":
    main()
