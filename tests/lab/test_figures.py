"""figures: what is drawn is what stands in the run's files, and it can be read."""

from itertools import combinations

import matplotlib
import pandas as pd
import pytest
from made_up_log import made_up_log
from made_up_run import N, sample, samples, write_run, write_samples
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from grpo_lab import figures
from grpo_lab.report import comparisons, summary


def grpo_metrics() -> pd.DataFrame:
    return pd.DataFrame(made_up_log(60, **{"completions/mean_length": lambda t: 50 - 15 * t}))


@pytest.fixture
def run(tmp_path):
    """A run folder as the three notebooks leave it."""
    (tmp_path / "sft_metrics.csv").write_text("step,loss\n" + "".join(f"{step},{2 / step}\n" for step in range(1, 61)))
    grpo_metrics().to_csv(tmp_path / "grpo_metrics.csv", index=False)
    return write_run(tmp_path)


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


@pytest.mark.parametrize("name", ["accuracy", "outcomes", "gain", "sft", "grpo"])
def test_figures_are_saved_and_leave_the_settings_alone(run, name):
    before = dict(matplotlib.rcParams)
    figure = getattr(figures, f"plot_{name}")(run)
    assert isinstance(figure, Figure)
    png = (run / "figures" / f"{name}.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert len(png) > 10_000
    assert int.from_bytes(png[16:20]) == 910  # pixels wide
    assert dict(matplotlib.rcParams) == before


# --- Training ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["sft", "priming"])
def test_plot_sft_draws_the_logged_losses_of_priming_where_that_is_the_only_stage(run, name):
    (run / "sft_metrics.csv").rename(run / f"{name}_metrics.csv")
    loss = pd.read_csv(run / f"{name}_metrics.csv")["loss"]
    assert list(figures.plot_sft(run).axes[0].lines[0].get_ydata()) == list(loss)


DEV, REWARD, SIGNAL, LENGTH, ENTROPY = (
    "Held-out accuracy (dev, greedy)",
    "Reward",
    "Groups without a signal",
    "Completion length",
    "Entropy of the policy",
)
PANELS = {  # name: (columns left out of the metrics, titles of the panels)
    "all": ([], [DEV, REWARD, SIGNAL, LENGTH, ENTROPY]),
    "no entropy": (["entropy"], [DEV, REWARD, SIGNAL, LENGTH]),
    "no dev accuracy": (["eval_accuracy"], [REWARD, SIGNAL, LENGTH, ENTROPY]),
    "no whiskers, nothing cut off": (["eval_low", "completions/clipped_ratio"], [DEV, REWARD, SIGNAL, LENGTH, ENTROPY]),
    "one left": (list(grpo_metrics().columns.drop(["step", "reward"])), [REWARD]),
}


@pytest.mark.parametrize(("left_out", "expected"), PANELS.values(), ids=PANELS)
def test_plot_grpo_draws_what_was_logged(run, left_out, expected):
    grpo_metrics().drop(columns=left_out).to_csv(run / "grpo_metrics.csv", index=False)
    figure = figures.plot_grpo(run, best=4.5)
    assert titles(figure) == expected
    lines = [line for axes in figure.axes for line in axes.lines if set(line.get_ydata()) == {4.5}]
    assert len(lines) == ("reward" not in left_out), "the most that can be earned"


@pytest.mark.parametrize("left_out", [[], ["entropy"], ["completions/mean_length"]])
def test_no_title_of_a_panel_reaches_into_another_panel(run, left_out):
    metrics = grpo_metrics().assign(**{"audit/false_claims": 0.1}).drop(columns=left_out)
    metrics.to_csv(run / "grpo_metrics.csv", index=False)
    figure = figures.plot_grpo(run)
    shown = [text for axes in figure.axes for text in axes.findobj(Text) if text.get_text() in titles(figure)]
    boxes = [text.get_window_extent() for text in shown]
    assert len(boxes) >= 4 and not [1 for a, b in combinations(boxes, 2) if a.overlaps(b)]


BAD_METRICS = {  # name: (function, file, its text, words of the message)
    "no loss": (figures.plot_sft, "sft_metrics.csv", "step,lr\n1,0.1\n", "no value in a column 'loss'"),
    "damaged": (figures.plot_sft, "sft_metrics.csv", "step,loss\n1,oops\n", "not a table of numbers"),
    "nothing to draw": (figures.plot_grpo, "grpo_metrics.csv", "step,loss\n1,1\n", "none of the metrics"),
}


@pytest.mark.parametrize(("plot", "name", "text", "words"), BAD_METRICS.values(), ids=BAD_METRICS)
def test_figures_say_what_is_wrong_with_the_metrics(run, plot, name, text, words):
    (run / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{name}.*{words}"):
        plot(run)
    assert not (run / "figures").exists()


def test_a_value_that_is_not_a_number_leaves_a_gap(run):
    (run / "sft_metrics.csv").write_text("step,loss\n1,0.3\n2,nan\n3,0.1\n")
    assert figures.plot_sft(run).axes[0].lines[0].get_xydata().tolist() == [[1, 0.3], [3, 0.1]]


def test_a_moving_mean_stands_at_the_middle_of_its_window(run):
    (run / "sft_metrics.csv").write_text("step,loss\n" + "".join(f"{step},{step % 3}\n" for step in range(1, 13)))
    pale, smooth = figures.plot_sft(run).axes[0].lines
    assert len(pale.get_xdata()) == 12 and list(smooth.get_xdata()) == list(range(2, 12))
    assert list(smooth.get_ydata()) == pytest.approx([1] * 10)


@pytest.mark.parametrize("rows", [[{"step": 1.0, "loss": 0.1}], grpo_metrics().assign(reward=2.0).to_dict("records")])
def test_live_curves_are_drawn_from_rows_and_leave_no_file(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert figures.live_curves(rows, 96, (-0.5, 4.5)).startswith(b"\x89PNG") and not list(tmp_path.iterdir())


def test_curves_of_several_runs_share_their_panels(tmp_path):
    rows = grpo_metrics().assign(reward=range(60)).to_dict("records")
    figure = figures.compare_curves({"one": rows, "two": rows[:20], "cut off": []})
    assert titles(figure) == ["Held-out accuracy (dev, greedy)", "Reward", "Completion length"]
    assert [len(line.get_xdata()) for line in figure.axes[1].lines] == [60, 20, 0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two", "cut off"]
    with pytest.raises(ValueError, match="None of these runs logged any of eval_accuracy"):
        figures.compare_curves({"one": [{"step": 1.0}]})


# --- Evaluation --------------------------------------------------------------


def test_plot_accuracy_draws_the_measured_shares(run):
    axes = figures.plot_accuracy(run).axes[0]
    assert texts(axes) == ["30.0", "60.0", "65.0", "22.5", "45.0", "47.5"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["base (own prompt)", "+ SFT", "+ GRPO"]
    assert "40 held-out problems" in axes.get_title(loc="left")


def test_plot_outcomes_draws_every_share_that_is_not_0(run):
    rows = {name: [row | {"truncated": False} for row in samples(name)] for name in ("base", "sft", "grpo")}
    for name in rows:
        write_samples(run, name, rows[name])
    figure = figures.plot_outcomes(run)
    counts = pd.DataFrame({name: summary.outcomes(found) for name, found in rows.items()})
    shares = counts[counts.any(axis=1)] / N
    bars = figure.axes[0].containers  # one an outcome
    assert [[part.get_width() for part in bar.patches] for bar in bars] == [pytest.approx(row) for row in shares.to_numpy()]
    assert [[part.get_x() for part in bar.patches] for bar in bars][1] == pytest.approx(shares.iloc[0])
    assert texts(figure.axes[0]) == [f"{100 * share:.1f}" for share in shares.to_numpy().flatten() if share >= 0.04]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == list(shares.index) and "truncated" not in legend


def bars_of(axes: Axes) -> list[tuple[str, float, float]]:
    """(label, start, end) of the bars of a waterfall; the end of one that falls is below its start."""
    labels = [label.get_text() for label in axes.get_yticklabels()]
    patches = axes.containers[0].patches
    return [(name, bar.get_x(), bar.get_x() + bar.get_width()) for name, bar in zip(labels, patches, strict=True)]


def test_plot_gain_leads_from_the_base_to_the_last_checkpoint(run):
    axes = figures.plot_gain(run).axes[0]
    bars = bars_of(axes)
    full = {"base (own prompt)": 12 / N, "+ SFT": 24 / N, "+ GRPO": 26 / N}
    assert {name: end for name, start, end in bars if name in full} == pytest.approx(full)
    for (before, _, end), (name, start, _) in zip(bars, bars[1:], strict=False):
        if name in full:
            assert end == pytest.approx(full[name]), f"the causes do not lead to {name}"
            assert start == 0
        else:
            assert start == pytest.approx(end), f"{name} does not begin where {before} ends"
    assert axes.get_xlim()[0] == 0


def test_plot_gain_writes_the_points_of_the_table_and_leaves_out_what_is_0(run):
    expected = []
    sides = [samples(name) for name in ("base", "sft", "grpo")]
    for before, after in zip(sides, sides[1:], strict=False):
        expected += [f"{float(part.points):+.1f}" for part in comparisons.decompose(before, after) if part.net]
    shown = texts(figures.plot_gain(run).axes[0])
    assert [text for text in shown if not text.endswith("%")] == expected
    assert [text for text in shown if text.endswith("%")] == ["30.0%", "60.0%", "65.0%"]


def test_plot_gain_names_the_prompt_that_serves_the_base_better(run):
    write_samples(run, "base-chat", [sample(i, "base-chat", correct_flexible=i < 20) for i in range(N)])
    assert bars_of(figures.plot_gain(run).axes[0])[0] == ("base (same prompt)", 0, 0.5)


def test_a_run_without_sft_is_drawn_with_two_checkpoints(run):
    (run / "samples" / "sft.jsonl").unlink()
    assert len(figures.plot_accuracy(run).axes[0].get_xticks()) == 2
    assert [t.get_text() for t in figures.plot_outcomes(run).axes[0].get_yticklabels()] == ["base (own prompt)", "+ GRPO"]
    assert [name for name, start, _ in bars_of(figures.plot_gain(run).axes[0]) if "+" in name] == ["+ GRPO"]


def write_crowded(run) -> None:
    """Every cause moves both steps, up to 100 %: the most bars and the widest labels that there can be."""
    sides = {"base": range(0), "sft": range(20), "grpo": range(40)}
    causes = [{"extracted_flexible": None}, {"truncated": True}, {"false_claims": 1}, {"ungrounded": 1}, {}]
    for name, right in sides.items():
        rows = [sample(i) | {"truncated": False, "false_claims": 0, "ungrounded": 0, "flags": []} for i in range(N)]
        rows = [row | {"correct_flexible": i in right} | ({} if i in right else causes[i % 5]) for i, row in enumerate(rows)]
        write_samples(run, name, rows)
    write_samples(run, "base-chat", [row | {"correct_flexible": False} for row in samples("base-chat")])


@pytest.mark.parametrize("name", ["outcomes", "gain"])
@pytest.mark.parametrize("crowded", [False, True])
def test_no_text_overlaps_another_or_leaves_the_figure(run, name, crowded):
    if crowded:
        write_crowded(run)
    figure = getattr(figures, f"plot_{name}")(run)
    axes, page = figure.axes[0], figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in axes.texts if text.get_text()]
    if name == "outcomes":
        boxes += [(text.get_text(), text.get_window_extent()) for text in figure.legends[0].get_texts()]
    else:
        assert len(axes.texts) == (13 if crowded else len(bars_of(axes)))
    for text, box in boxes:
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, f"{text} leaves the figure"
    for (one, first), (other, second) in combinations(boxes, 2):
        apart = first.x1 < second.x0 or second.x1 < first.x0 or first.y1 < second.y0 or second.y1 < first.y0
        assert apart, f"{one} and {other} overlap"
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        box = label.get_window_extent()
        assert page.x0 <= box.x0 and page.y0 <= box.y0, f"{label.get_text()} is cut off"


NOTEBOOKS = {"sft": "01_SFT", "grpo": "02_GRPO", "accuracy": "03_Inference", "outcomes": "03_Inference", "gain": "03_Inference"}


@pytest.mark.parametrize(("name", "notebook"), NOTEBOOKS.items())
def test_figures_without_a_run_say_which_notebook_to_run(tmp_path, name, notebook):
    with pytest.raises(FileNotFoundError, match=f"run notebooks/{notebook}"):
        getattr(figures, f"plot_{name}")(tmp_path)
