"""Tables of a run, made from its files alone: no model and no GPU is needed. `figures` draws them.

Reads `samples/<checkpoint>.jsonl`, one row a sample, which notebook 03 makes. The word "improved" is printed only where the
interval of the difference excludes 0 and both sides answered the same prompts.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from grpo_math.stats import PairedDifference, holm, paired_difference, wilson_interval

CHECKPOINTS = ("base", "sft", "grpo")
LABELS = {"base": "base (plain prompt)", "sft": "+ SFT", "grpo": "+ GRPO"}
SAMPLES_NOTEBOOK = "03_Inference_and_Evaluation.ipynb"
EXTRACTIONS = ("flexible", "strict")

TEXT = (str,)
FIELDS = {
    "id": TEXT,
    "checkpoint": TEXT,
    "question": TEXT,
    "gold": TEXT,
    "completion": TEXT,
    "extracted_strict": (str, type(None)),
    "extracted_flexible": (str, type(None)),
    "correct_strict": (bool,),
    "correct_flexible": (bool,),
    "formatted": (bool,),
    "truncated": (bool,),
    "tokens": (int,),
    "prompt_sha256": TEXT,
    "seed": (int,),
}


# --- Samples -----------------------------------------------------------------


def _check_row(row: object) -> None:
    if not isinstance(row, dict):
        raise ValueError("it is not a JSON object")
    for field, types in FIELDS.items():
        if field not in row:
            raise ValueError(f"the field {field!r} is missing")
        # bool is a subclass of int, so only an exact type keeps `true` out of the counts.
        if type(row[field]) not in types:
            raise ValueError(f"the field {field!r} holds {row[field]!r}")


def read_samples(path: Path | str) -> list[dict]:
    """The rows of a samples file, in its order; blank lines are passed over.

    Raises FileNotFoundError that names the notebook which makes it, ValueError that names file and
    line of a damaged row.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There are no samples at {path}: run notebooks/{SAMPLES_NOTEBOOK} for this run first.")
    rows = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                _check_row(row)
            except ValueError as error:
                raise ValueError(
                    f"{path}, line {number} is damaged: {error}. Make the file again with notebooks/{SAMPLES_NOTEBOOK}."
                ) from error
            rows.append(row)
    if not rows:
        raise ValueError(f"{path} holds no samples. Make the file again with notebooks/{SAMPLES_NOTEBOOK}.")
    return rows


def checkpoints_of(run_dir: Path | str) -> tuple[str, ...]:
    """The checkpoints of a run: base, sft and grpo, or base and grpo where the recipe has no supervised stage."""
    measured = tuple(name for name in CHECKPOINTS if (Path(run_dir) / "samples" / f"{name}.jsonl").is_file())
    return measured if measured == ("base", "grpo") else CHECKPOINTS


def samples_of(run_dir: Path | str, checkpoint: str) -> list[dict]:
    return read_samples(Path(run_dir) / "samples" / f"{checkpoint}.jsonl")


def summarise(samples: Sequence[dict]) -> dict:
    """The numbers of one checkpoint: `n`, then for flexible and strict extraction `correct_*` (a
    count) and `accuracy_*`, `low_*`, `high_*` (shares, Wilson 95 %), `format_rate`,
    `truncation_rate` (shares) and `mean_tokens`.

    Raises ValueError where there are no samples.
    """
    n = len(samples)
    if n == 0:
        raise ValueError("There are no samples to summarise.")
    summary = {"n": n}
    for extraction in EXTRACTIONS:
        correct = sum(row[f"correct_{extraction}"] for row in samples)
        low, high = wilson_interval(correct, n)
        summary |= {
            f"correct_{extraction}": correct,
            f"accuracy_{extraction}": correct / n,
            f"low_{extraction}": low,
            f"high_{extraction}": high,
        }
    return summary | {
        "format_rate": sum(row["formatted"] for row in samples) / n,
        "truncation_rate": sum(row["truncated"] for row in samples) / n,
        "mean_tokens": sum(row["tokens"] for row in samples) / n,
    }


def _pairs(before: Sequence[dict], after: Sequence[dict]) -> list[tuple[dict, dict]]:
    """The rows of both sides side by side, in the order of `before`; ValueError where they are not
    the same problems.
    """
    sides = []
    for name, rows in (("before", before), ("after", after)):
        by_id = {row["id"]: row for row in rows}
        if len(by_id) != len(rows):
            raise ValueError(f"The samples {name} hold an id twice: a paired comparison needs one sample a problem.")
        sides.append(by_id)
    first, second = sides
    if first.keys() != second.keys():
        odd = sorted(first.keys() ^ second.keys())
        raise ValueError(
            f"The two sides did not answer the same problems: {len(odd)} ids are on one side only, "
            f"such as {odd[0]!r}. Evaluate both checkpoints again on the same problems."
        )
    for key, row in first.items():
        if row["gold"] != second[key]["gold"]:
            raise ValueError(f"Problem {key!r} has two gold answers, {row['gold']!r} and {second[key]['gold']!r}.")
    return [(row, second[key]) for key, row in first.items()]


def compare(before: Sequence[dict], after: Sequence[dict]) -> dict[str, PairedDifference]:
    """Two checkpoints on the same problems, paired by id: {"flexible": PairedDifference, "strict":
    PairedDifference}.

    Raises ValueError where the ids or the gold answers of the sides differ, an id stands twice, or
    there are no samples.
    """
    pairs = _pairs(before, after)
    return {
        extraction: paired_difference(
            [was[f"correct_{extraction}"] for was, _ in pairs],
            [now[f"correct_{extraction}"] for _, now in pairs],
        )
        for extraction in EXTRACTIONS
    }


def changed_samples(before: Sequence[dict], after: Sequence[dict]) -> dict[str, list[tuple[dict, dict]]]:
    """Pairs of rows (before, after), sorted by what became of the problem under flexible
    extraction.

    Lists "solved" (wrong, then right), "broken" (right, then wrong), "still_wrong" and
    "still_right". Raises as `compare`.
    """
    names = {
        (False, True): "solved",
        (True, False): "broken",
        (False, False): "still_wrong",
        (True, True): "still_right",
    }
    lists: dict[str, list[tuple[dict, dict]]] = {name: [] for name in names.values()}
    for was, now in _pairs(before, after):
        lists[names[was["correct_flexible"], now["correct_flexible"]]].append((was, now))
    return lists


# --- Tables ------------------------------------------------------------------


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _points(difference: float) -> str:
    """A difference of shares in percentage points, always with its sign."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def _p(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def label_of(checkpoint: str) -> str:
    return LABELS.get(checkpoint, checkpoint)


def _markdown_table(frame: pd.DataFrame) -> str:
    """A GitHub table: the first column to the left, the others (numbers) to the right."""
    lines = [
        list(frame.columns),
        [":--", *["--:"] * (len(frame.columns) - 1)],
        *frame.to_numpy().tolist(),
    ]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _results_frame(samples: dict[str, list[dict]]) -> pd.DataFrame:
    rows = []
    for checkpoint, checkpoint_samples in samples.items():
        s = summarise(checkpoint_samples)
        accuracies = {
            f"{extraction} accuracy (95% interval)": f"{_percent(s[f'accuracy_{extraction}'])} "
            f"({100 * s[f'low_{extraction}']:.1f}–{100 * s[f'high_{extraction}']:.1f})"
            for extraction in EXTRACTIONS
        }
        rows.append(
            {
                "checkpoint": label_of(checkpoint),
                "problems": f"{s['n']:,}",
                **accuracies,
                "in the format": _percent(s["format_rate"]),
                "truncated": _percent(s["truncation_rate"]),
                "mean tokens": f"{s['mean_tokens']:.0f}",
            }
        )
    return pd.DataFrame(rows)


def results_table(run_dir: Path | str) -> pd.DataFrame:
    """One row a checkpoint, as text to be read.

    Accuracies stand with their Wilson 95 % intervals. Flexible: a correct final answer anywhere it
    is clearly given; strict: only in the required form. Raises as `read_samples`.
    """
    return _results_frame({name: samples_of(run_dir, name) for name in checkpoints_of(run_dir)})


def _verdict(difference: PairedDifference, same_prompt: bool) -> str:
    if difference.low <= 0 <= difference.high:
        return "no clear difference"
    if difference.high < 0:
        return "worse"
    return "improved" if same_prompt else "higher, each in its own prompt"


def _comparison_line(before: str, after: str, difference: PairedDifference, adjusted_p: float, same_prompt: bool) -> str:
    return (
        f"- **{label_of(before)} → {label_of(after)}**: {_verdict(difference, same_prompt)}, "  # bold, lest "+" begin a list
        f"**{_points(difference.difference)} points** "
        f"(95% interval {_points(difference.low)} to {_points(difference.high)}); "
        f"{difference.gained} problems gained, {difference.lost} lost; "
        f"exact McNemar {_p(difference.p_value)}, after Holm {_p(adjusted_p)}."
    )


def results_markdown(run_dir: Path | str) -> str:
    """The results table as GitHub Markdown and, below it, one line a pair of checkpoints.

    A line gives the difference of flexible accuracy in points with Agresti and Min's 95 % interval,
    the problems gained and lost, and p from the exact McNemar test, also adjusted by Holm for the
    three comparisons. "improved" needs an interval above 0 and the same prompts on both sides.
    Raises as `read_samples` and `compare`.
    """
    samples = {name: samples_of(run_dir, name) for name in checkpoints_of(run_dir)}
    pairs = [pair for pair in (("base", "sft"), ("sft", "grpo"), ("base", "grpo")) if set(pair) <= set(samples)]
    differences = [compare(samples[before], samples[after])["flexible"] for before, after in pairs]
    adjusted = holm([difference.p_value for difference in differences])
    lines = []
    for (before, after), difference, p_value in zip(pairs, differences, adjusted, strict=True):
        rows = _pairs(samples[before], samples[after])
        same_prompt = all(was["prompt_sha256"] == now["prompt_sha256"] for was, now in rows)
        lines.append(_comparison_line(before, after, difference, p_value, same_prompt))
    table = _markdown_table(_results_frame(samples))
    return f"{table}\n\nOn the same problems, by flexible accuracy:\n\n" + "\n".join(lines) + "\n"


def save_summary(run_dir: Path | str) -> dict[str, dict]:
    """Write `evaluation.json`: the summary of every checkpoint, computed from its samples."""
    summary = {name: summarise(samples_of(run_dir, name)) for name in checkpoints_of(run_dir)}
    (Path(run_dir) / "evaluation.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def _read_verdicts(verdicts_csv: Path | str) -> tuple[pd.DataFrame, list[str]]:
    """The 0/1 columns of a verdicts file, and its seeds in their order there."""
    path = Path(verdicts_csv)
    if not path.is_file():
        raise FileNotFoundError(f"There are no verdicts of several seeds at {path}.")
    frame = pd.read_csv(path, dtype={"id": str})
    seeds = [name.removeprefix("sft-") for name in frame.columns if name.startswith("sft-")]
    wanted = ["id", "base", *[f"{stage}-{seed}" for seed in seeds for stage in ("sft", "grpo", "form")]]
    if not seeds or set(wanted) != set(frame.columns):
        odd = sorted(set(wanted) ^ set(frame.columns)) or ["sft-<seed>"]
        raise ValueError(
            f"{path} needs the columns id, base and, for each seed, sft-<seed>, grpo-<seed> and form-<seed>; "
            f"missing or unpaired: {', '.join(odd)}."
        )
    if frame.empty or frame["id"].duplicated().any():
        raise ValueError(f"{path} needs one row a problem, each id once.")
    for name in wanted[1:]:
        if not frame[name].isin([0, 1]).all():
            raise ValueError(f"{path}, column {name!r}: a verdict is 0 or 1, and none may be missing.")
    return frame[wanted[1:]].astype(int), seeds


def _mean_and_range(shares: list[float], differences: list[float]) -> str:
    """The last row's cell: mean, smallest and largest over seeds, then so for the difference."""
    mean, mean_difference = sum(shares) / len(shares), sum(differences) / len(differences)
    return (
        f"{_percent(mean)} ({100 * min(shares):.1f}–{100 * max(shares):.1f}); "
        f"{_points(mean_difference)} ({_points(min(differences))} to {_points(max(differences))})"
    )


def seeds_table(verdicts_csv: Path | str) -> pd.DataFrame:
    """One row a training seed, as text to be read; the last row is the mean (min–max).

    The file has the columns `id`, `base` and for each seed `sft-<seed>` and `grpo-<seed>`: 1 where the answer was correct
    (flexible), else 0; and `form-<seed>`: 1 where it had the form after GRPO. Behind an accuracy stand its difference in points
    to the stage before it and the exact McNemar p, not adjusted for the number of seeds. Raises FileNotFoundError, and
    ValueError that says what is wrong with the file.
    """
    verdicts, seeds = _read_verdicts(verdicts_csv)
    base = _percent(verdicts["base"].mean())
    columns = {"sft": "+ SFT (to base)", "grpo": "+ GRPO (to + SFT)"}
    rows = [{"seed": seed, "base": base} for seed in seeds]
    last = {"seed": "mean (min–max)", "base": base}
    for stage, column in columns.items():
        shares, differences = [], []
        for seed, row in zip(seeds, rows, strict=True):
            before = "base" if stage == "sft" else f"sft-{seed}"
            change = paired_difference(verdicts[before].tolist(), verdicts[f"{stage}-{seed}"].tolist())
            shares.append(verdicts[f"{stage}-{seed}"].mean())
            differences.append(change.difference)
            row[column] = f"{_percent(shares[-1])} ({_points(change.difference)}, {_p(change.p_value)})"
        last[column] = _mean_and_range(shares, differences)
    forms = [verdicts[f"form-{seed}"].mean() for seed in seeds]
    for share, row in zip([*forms, sum(forms) / len(forms)], [*rows, last], strict=True):
        row["in the format after GRPO"] = _percent(share)
    last["in the format after GRPO"] += f" ({100 * min(forms):.1f}–{100 * max(forms):.1f})"
    return pd.DataFrame([*rows, last])


def seeds_markdown(verdicts_csv: Path | str) -> str:
    """`seeds_table` as a GitHub Markdown table. Raises the same."""
    return _markdown_table(seeds_table(verdicts_csv)) + "\n"


# --- README ------------------------------------------------------------------


def _block_span(text: str, readme_path: Path, marker: str) -> tuple[int, int]:
    """Where the text between the two marks begins and ends."""
    start, end = f"<!-- {marker}:start -->", f"<!-- {marker}:end -->"
    for mark in (start, end):
        if text.count(mark) != 1:
            found = "is missing" if mark not in text else "stands more than once"
            raise ValueError(f"The mark {mark} {found} in {readme_path}: it must stand there once.")
    first, last = text.index(start) + len(start), text.index(end)
    if last < first:
        raise ValueError(f"The mark {end} stands before {start} in {readme_path}.")
    return first, last


def readme_block(readme_path: Path | str, marker: str) -> str:
    """The text between `<!-- marker:start -->` and `<!-- marker:end -->`, stripped.

    Raises ValueError that names a mark which is missing, doubled or out of order.
    """
    text = Path(readme_path).read_text(encoding="utf-8")
    first, last = _block_span(text, Path(readme_path), marker)
    return text[first:last].strip()


def update_readme(readme_path: Path | str, marker: str, markdown: str) -> None:
    """Put `markdown` in place of what stands between the two marks. Raises as `readme_block`."""
    path = Path(readme_path)
    text = path.read_text(encoding="utf-8")
    first, last = _block_span(text, path, marker)
    path.write_text(f"{text[:first]}\n{markdown.strip()}\n{text[last:]}", encoding="utf-8")
