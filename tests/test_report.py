"""report: every number and figure of a made-up run folder, and a sentence for each damaged file."""

import json

import matplotlib
import pandas as pd
import pytest
from matplotlib.figure import Figure

from grpo_math import figures, report
from grpo_math.stats import paired_difference, wilson_interval

N = 40
RIGHT = {"base": range(0, 12), "sft": range(4, 28), "grpo": range(4, 30)}
PROMPT = {"base": "plain", "sft": "chat", "grpo": "chat"}


def sample(number: int, checkpoint: str = "sft", **changes) -> dict:
    """One well-formed row; strict misses every fourth of the right answers."""
    right = number in RIGHT[checkpoint]
    row = {
        "id": f"q{number:03}",
        "checkpoint": checkpoint,
        "question": f"What is {number} + 1?",
        "gold": str(number + 1),
        "completion": "line\u2028separator",
        "extracted_strict": None,
        "extracted_flexible": str(number + right),
        "correct_strict": right and number % 4 != 0,
        "correct_flexible": right,
        "formatted": number % 2 == 0,
        "truncated": number == 39,
        "tokens": 10 + number,
        "prompt_sha256": f"{PROMPT[checkpoint]}{number}",
        "seed": 0,
    }
    return row | changes


def samples(checkpoint: str) -> list[dict]:
    return [sample(number, checkpoint) for number in range(N)]


def write_samples(path, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def grpo_metrics(steps: int = 60) -> pd.DataFrame:
    rows = []
    for step in range(1, steps + 1):
        row = {
            "step": step,
            "rewards/correctness/mean": 0.4 + step / 200,
            "rewards/exact_format/mean": 0.9,
            "entropy": 1 / step,
            "frac_reward_zero_std": 0.25,
            "completions/mean_length": 50 - step / 4,
            "completions/clipped_ratio": 0.5 / step,
        }
        if step % 20 == 0:
            row |= {"eval_accuracy": 0.6, "eval_low": 0.5, "eval_high": 0.7}
        rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture
def run(tmp_path):
    """A run folder as the three notebooks leave it."""
    for checkpoint in RIGHT:
        write_samples(tmp_path / "samples" / f"{checkpoint}.jsonl", samples(checkpoint))
    pd.DataFrame({"step": range(1, 61), "loss": [2 / step for step in range(1, 61)]}).to_csv(
        tmp_path / "sft_metrics.csv", index=False
    )
    grpo_metrics().to_csv(tmp_path / "grpo_metrics.csv", index=False)
    return tmp_path


@pytest.fixture
def verdicts_csv(tmp_path):
    path = tmp_path / "verdicts.csv"
    columns = {
        "base": RIGHT["base"],
        "sft-0": RIGHT["sft"],
        "grpo-0": RIGHT["grpo"],
        "sft-7": range(20),
        "grpo-7": range(20),
        "form-0": range(40),
        "form-7": range(38),
    }
    frame = pd.DataFrame({name: [int(i in right) for i in range(N)] for name, right in columns.items()})
    frame.insert(0, "id", [f"q{i}" for i in range(N)])
    frame.to_csv(path, index=False)
    return path


# --- Samples -----------------------------------------------------------------


def test_read_samples_gives_back_what_was_written(run):
    assert report.read_samples(run / "samples" / "sft.jsonl") == samples("sft")


def test_read_samples_passes_over_blank_lines(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(f"\n{json.dumps(sample(1))}\n\n{json.dumps(sample(2))}\n")
    assert report.read_samples(path) == [sample(1), sample(2)]


# name: (second line of the file, words of the message)
DAMAGED = {
    "cut off": (json.dumps(sample(1))[:50], "line 2 is damaged"),
    "not an object": ("[1, 2]", "line 2 .* not a JSON object"),
    "field missing": (
        json.dumps({k: v for k, v in sample(1).items() if k != "gold"}),
        "line 2 .* 'gold' is missing",
    ),
    "verdict as text": (
        json.dumps(sample(1, correct_strict="false")),
        "line 2 .* 'correct_strict'",
    ),
    "verdict missing": (
        json.dumps(sample(1, correct_flexible=None)),
        "line 2 .* 'correct_flexible'",
    ),
    "length as bool": (json.dumps(sample(1, tokens=True)), "line 2 .* 'tokens'"),
    "not UTF-8": (b'{"id": "\xff\xfe"}', "line 2 is damaged"),
}


@pytest.mark.parametrize(("line", "words"), DAMAGED.values(), ids=DAMAGED)
def test_read_samples_names_file_and_line_of_a_damaged_row(tmp_path, line, words):
    path = tmp_path / "sft.jsonl"
    line = line if isinstance(line, bytes) else line.encode()
    path.write_bytes(json.dumps(sample(0)).encode() + b"\n" + line + b"\n")
    with pytest.raises(ValueError, match=rf"sft\.jsonl, {words}"):
        report.read_samples(path)


def test_read_samples_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="run notebooks/03_Inference_and_Evaluation.ipynb"):
        report.read_samples(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ValueError, match="holds no samples"):
        report.read_samples(tmp_path / "empty.jsonl")


def test_summarise():
    summary = report.summarise(samples("sft"))
    low, high = wilson_interval(24, N)
    assert summary == {
        "n": N,
        "correct_flexible": 24,
        "accuracy_flexible": 0.6,
        "low_flexible": low,
        "high_flexible": high,
        "correct_strict": 18,
        "accuracy_strict": 0.45,
        "low_strict": wilson_interval(18, N)[0],
        "high_strict": wilson_interval(18, N)[1],
        "format_rate": 0.5,
        "truncation_rate": 1 / N,
        "mean_tokens": 29.5,
    }
    with pytest.raises(ValueError, match="no samples"):
        report.summarise([])


def test_compare_pairs_by_id_not_by_place():
    before, after = samples("base"), samples("sft")
    result = report.compare(before, after[::-1])
    for extraction in ("flexible", "strict"):
        key = f"correct_{extraction}"
        assert result[extraction] == paired_difference([r[key] for r in before], [r[key] for r in after])
    assert (result["flexible"].gained, result["flexible"].lost) == (16, 4)


def test_changed_samples_are_all_samples_once():
    changed = report.changed_samples(samples("base"), samples("sft"))
    sizes = {name: len(pairs) for name, pairs in changed.items()}
    assert sizes == {"solved": 16, "broken": 4, "still_wrong": 12, "still_right": 8}
    assert all(was["id"] == now["id"] for pairs in changed.values() for was, now in pairs)
    assert [was["id"] for was, _ in changed["broken"]] == ["q000", "q001", "q002", "q003"]


# name: (after, words of the message)
UNPAIRED = {
    "one missing": (samples("sft")[1:], "1 ids are on one side only, such as 'q000'"),
    "one twice": ([*samples("sft"), sample(0)], "an id twice"),
    "another gold": ([sample(0, gold="77"), *samples("sft")[1:]], "two gold answers, '1' and '77'"),
}


@pytest.mark.parametrize("function", [report.compare, report.changed_samples])
@pytest.mark.parametrize(("after", "words"), UNPAIRED.values(), ids=UNPAIRED)
def test_paired_functions_refuse_other_problems(function, after, words):
    with pytest.raises(ValueError, match=words):
        function(samples("base"), after)


# --- Tables ------------------------------------------------------------------


def test_results_table(run):
    table = report.results_table(run)
    assert list(table["checkpoint"]) == ["base (plain prompt)", "+ SFT", "+ GRPO"]
    low, high = wilson_interval(24, N)
    assert table.loc[1, "flexible accuracy (95% interval)"] == f"60.0% ({100 * low:.1f}–{100 * high:.1f})"
    assert list(table.loc[1, ["problems", "in the format", "truncated", "mean tokens"]]) == [
        "40",
        "50.0%",
        "2.5%",
        "30",
    ]


def test_a_run_without_sft_compares_base_and_grpo(run):
    (run / "samples" / "sft.jsonl").unlink()
    assert list(report.results_table(run)["checkpoint"]) == ["base (plain prompt)", "+ GRPO"]
    assert report.results_markdown(run).count("\n- **") == 1 and list(report.save_summary(run)) == ["base", "grpo"]
    assert len(figures.plot_accuracy(run).axes[0].get_xticks()) == 2


def test_results_markdown_has_a_table_and_three_comparisons(run):
    lines = report.results_markdown(run).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 5
    assert {line.count("|") for line in table} == {8}
    comparisons = [line for line in lines if line.startswith("- ")]
    assert "**base (plain prompt) → + SFT**: higher, each in its own prompt, **+30.0 points**" in comparisons[0]
    assert "16 problems gained, 4 lost; exact McNemar p = 0.012, after Holm p = 0.024" in comparisons[0]
    assert "**+ SFT → + GRPO**: no clear difference, **+5.0 points**" in comparisons[1]
    assert "improved" not in "\n".join(lines)


# name: (right before, right after, prompt before, verdict)
VERDICTS = {
    "clear gain": (range(5), range(30), "chat", "improved"),
    "clear gain, other prompt": (range(5), range(30), "plain", "higher, each in its own prompt"),
    "clear loss": (range(30), range(5), "chat", "worse"),
    "small gain": (range(10), range(12), "chat", "no clear difference"),
    "small loss": (range(12), range(10), "chat", "no clear difference"),
    "nothing changed": (range(12), range(12), "chat", "no clear difference"),
}


@pytest.mark.parametrize(("before", "after", "prompt", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_improved_is_printed_only_where_it_is_shown(run, before, after, prompt, verdict):
    for checkpoint, right in (("base", before), ("sft", after)):
        rows = [
            sample(
                i,
                correct_flexible=i in right,
                prompt_sha256=prompt if checkpoint == "base" else "chat",
            )
            for i in range(N)
        ]
        write_samples(run / "samples" / f"{checkpoint}.jsonl", rows)
    line = next(line for line in report.results_markdown(run).splitlines() if line.startswith("- **base"))
    assert f"→ + SFT**: {verdict}, **" in line, line


def test_seeds_table(verdicts_csv):
    table = report.seeds_table(verdicts_csv)
    assert list(table.columns) == ["seed", "base", "+ SFT (to base)", "+ GRPO (to + SFT)", "in the format after GRPO"]
    assert list(table.iloc[0]) == [
        "0",
        "30.0%",
        "60.0% (+30.0, p = 0.012)",
        "65.0% (+5.0, p = 0.500)",
        "100.0%",
    ]
    assert list(table.iloc[1]) == [
        "7",
        "30.0%",
        "50.0% (+20.0, p = 0.008)",
        "50.0% (+0.0, p = 1.000)",
        "95.0%",
    ]
    assert list(table.iloc[2]) == [
        "mean (min–max)",
        "30.0%",
        "55.0% (50.0–60.0); +25.0 (+20.0 to +30.0)",
        "57.5% (50.0–65.0); +2.5 (+0.0 to +5.0)",
        "97.5% (95.0–100.0)",
    ]


def test_seeds_markdown(verdicts_csv):
    lines = report.seeds_markdown(verdicts_csv).splitlines()
    assert len(lines) == 5
    assert lines[0] == "| seed | base | + SFT (to base) | + GRPO (to + SFT) | in the format after GRPO |"
    assert lines[2].startswith("| 0 | 30.0% | 60.0% ")


# name: (text of the file, words of the message)
BAD_VERDICTS = {
    "no seed": ("id,base\na,1\n", "sft-<seed>"),
    "GRPO missing": ("id,base,sft-0,form-0\na,1,1,1\n", "unpaired: grpo-0"),
    "form missing": ("id,base,sft-0,grpo-0\na,1,1,1\n", "unpaired: form-0"),
    "SFT missing": ("id,base,sft-0,grpo-0,form-0,grpo-1\na,1,1,1,1,1\n", "unpaired: grpo-1"),
    "base missing": ("id,sft-0,grpo-0,form-0\na,1,1,1\n", "unpaired: base"),
    "no rows": ("id,base,sft-0,grpo-0,form-0\n", "one row a problem"),
    "id twice": ("id,base,sft-0,grpo-0,form-0\na,1,1,1,1\na,1,1,1,1\n", "each id once"),
    "not 0 or 1": ("id,base,sft-0,grpo-0,form-0\na,1,0.5,1,1\n", "'sft-0': a verdict is 0 or 1"),
    "cell empty": ("id,base,sft-0,grpo-0,form-0\na,1,1,,1\n", "'grpo-0': a verdict is 0 or 1"),
}


@pytest.mark.parametrize(("text", "words"), BAD_VERDICTS.values(), ids=BAD_VERDICTS)
def test_seeds_table_says_what_is_wrong(tmp_path, text, words):
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        report.seeds_table(tmp_path / "v.csv")


def test_seeds_table_without_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no verdicts"):
        report.seeds_table(tmp_path / "none.csv")


# --- README ------------------------------------------------------------------


def test_update_readme_changes_its_block_alone_and_settles(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# é\n<!-- other:start -->\nkeep\n<!-- other:end -->\n<!-- results:start --><!-- results:end -->\nend\n")
    report.update_readme(path, "results", "| a |\n| \\1 |\n")
    once = path.read_text()
    assert once == (
        "# é\n<!-- other:start -->\nkeep\n<!-- other:end -->\n<!-- results:start -->\n| a |\n| \\1 |\n<!-- results:end -->\nend\n"
    )
    assert report.readme_block(path, "results") == "| a |\n| \\1 |"
    report.update_readme(path, "results", report.readme_block(path, "results"))
    assert path.read_text() == once


# name: (text, words of the message)
BAD_READMES = {
    "no start": ("<!-- results:end -->", "results:start --> is missing"),
    "no end": ("<!-- results:start -->", "results:end --> is missing"),
    "twice": ("<!-- results:start --><!-- results:start --><!-- results:end -->", "more than once"),
    "wrong order": ("<!-- results:end --><!-- results:start -->", "stands before"),
}


@pytest.mark.parametrize(("text", "words"), BAD_READMES.values(), ids=BAD_READMES)
def test_readme_without_its_marks_is_left_alone(tmp_path, text, words):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        report.update_readme(path, "results", "new")
    with pytest.raises(ValueError, match=words):
        report.readme_block(path, "results")
    assert path.read_text() == text


# --- Figures -----------------------------------------------------------------


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


@pytest.mark.parametrize("name", ["accuracy", "sft", "grpo"])
def test_figures_are_saved_and_leave_the_settings_alone(run, name):
    before = dict(matplotlib.rcParams)
    figure = getattr(figures, f"plot_{name}")(run)
    assert isinstance(figure, Figure)
    png = (run / "figures" / f"{name}.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert len(png) > 10_000
    assert int.from_bytes(png[16:20]) == 910  # pixels wide
    assert dict(matplotlib.rcParams) == before


def test_plot_accuracy_draws_the_measured_shares(run):
    axes = figures.plot_accuracy(run).axes[0]
    assert [text.get_text() for text in axes.texts] == [
        "30.0",
        "60.0",
        "65.0",
        "22.5",
        "45.0",
        "47.5",
    ]
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "base (plain prompt)",
        "+ SFT",
        "+ GRPO",
    ]
    assert "40 held-out problems" in axes.get_title(loc="left")


def test_plot_sft_draws_the_logged_losses(run):
    loss = pd.read_csv(run / "sft_metrics.csv")["loss"]
    assert list(figures.plot_sft(run).axes[0].lines[0].get_ydata()) == list(loss)


# name: (columns left out of the metrics, titles of the panels)
DEV, CORRECT, FORMAT, LENGTH = (
    "Accuracy on held-out dev problems, greedy (whiskers: 95% interval)",
    "Correctness reward",
    "Format reward",
    "Completion length",
)
PANELS = {
    "all": ([], [DEV, CORRECT, FORMAT, LENGTH, "Entropy of the policy"]),
    "no entropy": (["entropy"], [DEV, CORRECT, FORMAT, LENGTH, "Groups without a signal"]),
    "no dev accuracy": (["eval_accuracy"], [CORRECT, FORMAT, LENGTH, "Entropy of the policy"]),
    "no whiskers": (
        ["eval_low", "eval_high"],
        [DEV, CORRECT, FORMAT, LENGTH, "Entropy of the policy"],
    ),
    "no clipping": (
        ["completions/clipped_ratio"],
        [DEV, CORRECT, FORMAT, LENGTH, "Entropy of the policy"],
    ),
    "one left": (
        [
            "eval_accuracy",
            "rewards/exact_format/mean",
            "completions/mean_length",
            "entropy",
            "frac_reward_zero_std",
        ],
        [CORRECT],
    ),
}


@pytest.mark.parametrize(("left_out", "expected"), PANELS.values(), ids=PANELS)
def test_plot_grpo_draws_what_was_logged(run, left_out, expected):
    grpo_metrics().drop(columns=left_out).to_csv(run / "grpo_metrics.csv", index=False)
    assert titles(figures.plot_grpo(run)) == expected


def test_plot_grpo_takes_the_later_of_two_values_and_joins_the_rows_of_a_step(run):
    (run / "grpo_metrics.csv").write_text("step,rewards/correctness/mean,eval_accuracy\n1,0.1,\n2,0.2,\n2,,0.9\n2,0.3,\n3,0.4,\n")
    dev, correctness = figures.plot_grpo(run).axes
    assert list(dev.lines[0].get_xydata()[0]) == [2, 0.9]
    assert correctness.lines[0].get_xydata().tolist() == [[1, 0.1], [2, 0.3], [3, 0.4]]


# name: (function, file, its text, words of the message)
BAD_METRICS = {
    "no loss": (
        figures.plot_sft,
        "sft_metrics.csv",
        "step,lr\n1,0.1\n",
        "no value in a column 'loss'",
    ),
    "no step": (figures.plot_sft, "sft_metrics.csv", "loss\n1\n", "needs a column 'step'"),
    "no rows": (figures.plot_sft, "sft_metrics.csv", "step,loss\n", "at least one row"),
    "nothing at all": (figures.plot_sft, "sft_metrics.csv", "", "not a table of numbers"),
    "text in a cell": (
        figures.plot_sft,
        "sft_metrics.csv",
        "step,loss\n1,oops\n",
        "not a table of numbers",
    ),
    "nothing to draw": (
        figures.plot_grpo,
        "grpo_metrics.csv",
        "step,loss\n1,1\n",
        "none of the metrics",
    ),
}


@pytest.mark.parametrize(("plot", "name", "text", "words"), BAD_METRICS.values(), ids=BAD_METRICS)
def test_figures_say_what_is_wrong_with_the_metrics(run, plot, name, text, words):
    (run / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{name}.*{words}"):
        plot(run)
    assert not (run / "figures").exists()


@pytest.mark.parametrize(
    ("plot", "notebook"),
    [
        (figures.plot_sft, "01_SFT"),
        (figures.plot_grpo, "02_GRPO"),
        (figures.plot_accuracy, "03_Inference"),
    ],
)
def test_figures_without_a_run_say_which_notebook_to_run(tmp_path, plot, notebook):
    with pytest.raises(FileNotFoundError, match=f"run notebooks/{notebook}"):
        plot(tmp_path)
