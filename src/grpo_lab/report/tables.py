"""The tables and sentences of a run, as GitHub Markdown or data frames of text."""

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd

from grpo_lab.records import DISCORDANT, PLAN, checkpoints_of, has_part, label_of, samples_of
from grpo_lab.report.comparisons import Comparison, best_samples, compare_checkpoints, decompose, has_false_claim
from grpo_lab.report.summary import EXTRACTIONS, OUTCOMES, outcomes, summarise, summarise_checkpoint

SHORT_LABELS = {"base": "base", "sft": "+ SFT", "grpo": "+ GRPO"}


def percent(share: float) -> str:
    """0.123 -> 12.3%"""
    return f"{100 * share:.1f}%"


def points(difference: float) -> str:
    """A difference of shares in percentage points, always with its sign."""
    return f"{round(float(100 * difference), 1) + 0.0:+.1f}"  # an exact fraction stays exact up to the rounding


def p_text(p_value: float) -> str:
    """A p-value as it is printed."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def counted(n: int, noun: str) -> str:
    """1 problem, 1,149 problems"""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def with_range(share: float, low: float, high: float) -> str:
    """A share with an interval or the extremes, in percent: 60.0% (50.0–70.0)"""
    return f"{percent(share)} ({100 * low:.1f}–{100 * high:.1f})"


def with_interval(summary: dict, name: str) -> str:
    """A share of a summary with its 95 % interval."""
    return with_range(summary[name], summary[f"{name}_low"], summary[f"{name}_high"])


def pair_label(before: str, after: str) -> str:
    """What a list calls two checkpoints: in bold, lest the "+" of a label begin a list within it."""
    return f"**{label_of(before)} → {label_of(after)}**"


def markdown_table(frame: pd.DataFrame, left: bool = False) -> str:
    """A GitHub table: the first column to the left, the others to the right, where they are numbers, or all to the `left`."""
    lines = [list(frame.columns), [":--", *[":--" if left else "--:"] * (len(frame.columns) - 1)], *frame.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def results_table(run_dir: Path | str) -> pd.DataFrame:
    """One row a checkpoint, as text to be read: accuracy and verified false claims first, then how the accuracy came about.

    Flexible: a correct final answer anywhere it is clearly given; strict: only in the required form. Intervals are Wilson 95 %,
    that of avg@k a bootstrap over problems. The base in the others' prompt has a row of its own where it was measured.
    """
    base, *trained = checkpoints_of(run_dir)
    rows = []
    for name in (base, *["base-chat"] * has_part(run_dir, "base-chat"), *trained):
        s = summarise_checkpoint(run_dir, name)
        accuracy = {kind: with_range(s[f"accuracy_{kind}"], s[f"low_{kind}"], s[f"high_{kind}"]) for kind in EXTRACTIONS}
        row = {
            "checkpoint": label_of(name),
            "problems": f"{s['n']:,}",
            "accuracy, flexible": accuracy["flexible"],
            "with a false claim": with_interval(s, "false_claim_rate"),
            "accuracy, strict": accuracy["strict"],
            "in the format": percent(s["format_rate"]),
            "truncated": percent(s["truncation_rate"]),
            "mean tokens": f"{s['mean_tokens']:.0f}",
        }
        if sampled := s.get("sampled"):
            k = sampled["k"]
            row |= {
                f"avg@{k}": with_interval(sampled, "avg_at_k"),
                f"pass@{k}": percent(sampled["pass_at_k"]),
                f"maj@{k}": percent(sampled["maj_at_k"]),
            }
        rows.append(row)
    return pd.DataFrame(rows).fillna("–")


def short_results_markdown(run_dir: Path | str) -> str:
    """The README's table: solved (flexible), completions with a false sum, both with Wilson 95 % intervals, and mean tokens.

    Raises as `read_samples`.
    """
    rows = []
    for name in checkpoints_of(run_dir):
        s = summarise(samples_of(run_dir, name))
        solved = with_range(s["accuracy_flexible"], s["low_flexible"], s["high_flexible"])
        row = {f"{s['n']:,} problems": SHORT_LABELS[name], "solved": solved}
        rows.append(row | {"false sums": with_interval(s, "false_claim_rate"), "tokens": f"{s['mean_tokens']:.0f}"})
    return markdown_table(pd.DataFrame(rows)) + "\n"


def results_markdown(run_dir: Path | str) -> str:
    """The results table and, below it, one line a pair of checkpoints, by accuracy and by verified false claims.

    A line gives the difference in points with Agresti and Min's 95 % interval, the problems gained and lost, and p from the
    exact McNemar test, also adjusted by Holm for the comparisons of its list. Raises as `read_samples` and `pair_samples`.
    """
    parts = [markdown_table(results_table(run_dir))]

    # What the checkpoints that were often cut off reach with a larger budget.
    for name in checkpoints_of(run_dir):
        if longer := summarise_checkpoint(run_dir, name).get("longer"):
            parts.append(
                f"{label_of(name)} was often cut off; with {longer['budget']:,} tokens its flexible accuracy is "
                f"{percent(longer['accuracy_flexible'])}, and {percent(longer['truncation_rate'])} are cut off."
            )

    parts.append("On the same problems, by flexible accuracy:")
    lines = []
    for c in compare_checkpoints(run_dir):
        changed = f"{counted(c.difference.gained, 'problem')} gained, {c.difference.lost:,} lost"
        lines.append(_paired_line(c, c.verdict("improved", "worse"), changed))
    parts.append("\n".join(lines))

    parts.append("By completions with a verified false claim:")
    lines = []
    for c in compare_checkpoints(run_dir, has_false_claim):
        changed = f"no longer in {counted(c.difference.lost, 'completion')}, newly in {c.difference.gained:,}"
        lines.append(_paired_line(c, c.verdict("raised", "reduced"), changed))
    parts.append("\n".join(lines))

    if sampled := compare_checkpoints(run_dir, prefix="sampled-"):
        drawn = {name for c in sampled for name in (c.before, c.after)}
        temperatures = sorted({row["temperature"] for name in drawn for row in samples_of(run_dir, f"sampled-{name}")})
        told = " or ".join(f"{temperature:g}" for temperature in temperatures)
        parts.append(f"By avg@k, the mean over samples at temperature {told}:")
        parts.append("\n".join(_line(c, "", ", paired bootstrap", "sign-flip") for c in sampled))
    return "\n\n".join(parts) + "\n"


def _paired_line(comparison: Comparison, verdict: str, changed: str) -> str:
    return _line(comparison, f"{verdict}, ", "", f"{changed}; exact McNemar")


def _line(comparison: Comparison, verdict: str, method: str, test: str) -> str:
    """A pair: the verdict on it, the difference in points with its interval, what changed, and p."""
    d, pair = comparison.difference, pair_label(comparison.before, comparison.after)
    return (
        f"- {pair}: {verdict}**{points(d.difference)} points** (95% interval {points(d.low)} to {points(d.high)}{method}); "
        f"{test} {p_text(comparison.p_value)}, after Holm {p_text(comparison.adjusted_p)}."
    )


def audit_markdown(run_dir: Path | str) -> str:
    """The trace audit, one row a checkpoint: what it could check, what it refuted, the share of completions with each flag.

    Below it what the audit cannot see and, where `make bench-audit` left `audit.json` beside the run, its recall and precision.
    """
    rows = []
    for name in checkpoints_of(run_dir):
        s = summarise(samples_of(run_dir, name))
        rows.append(
            {
                "checkpoint": label_of(name),
                "with a claim to check": percent(s["checkable"]),
                "H1 false arithmetic": with_interval(s, "false_claim_rate"),
                "false per 100 claims": f"{s['false_per_100_claims']:.2f}",
                "false per 100 tokens": f"{s['false_per_100_tokens']:.2f}",
                "H2 ungrounded number": percent(s["flags"]["H2"]),
                "H3 answer not in trace": percent(s["flags"]["H3"]),
                "H4 several answers": percent(s["flags"]["H4"]),
                "H6 loop or cut off": percent(s["flags"]["H6"]),
            }
        )
    note = (
        "What this cannot see: a wrong plan whose sums are all right, and most wrong solutions are wrong plans. It reads "
        "equations only, and skips what it cannot read."
    )
    path = Path(run_dir).parent / "audit.json"
    if path.is_file():
        measured = json.loads(path.read_text())
        h1, h2 = measured["H1"], measured["H2"]
        note += (
            f" On labelled traces of other models H1 found {h1['found']} of {h1['arithmetic']} with false arithmetic, and "
            f"{h1['flags'] - h1['unconfirmed']} of its {h1['flags']} flags hold by an independent evaluation. H2 found "
            f"{percent(h2['found'] / h2['cases'])} of {h2['cases']:,} planted numbers, and flagged {percent(h2['false_flags'])} "
            "of GSM8K's own solutions."
        )
    return f"{markdown_table(pd.DataFrame(rows))}\n\n*{note}*\n"


def twins_markdown(run_dir: Path | str) -> str:
    """H5: what becomes of problems that lack a needed quantity, one row a checkpoint, and the paired comparisons of refusals."""
    rows = []
    for name in checkpoints_of(run_dir):
        if h5 := summarise_checkpoint(run_dir, name).get("h5"):
            rows.append(
                {
                    "checkpoint": label_of(name),
                    "unanswerable problems": f"{h5['twins']:,}",
                    "refused": with_interval(h5, "refused"),
                    "answered all the same": with_interval(h5, "false_answer"),
                    "answerable ones refused": percent(h5["over_refused"]),
                }
            )
    if not rows:
        return "No unanswerable problems were measured.\n"
    lines = []
    for c in compare_checkpoints(run_dir, prefix="twins-"):
        changed = f"{c.difference.gained:,} newly refused, {c.difference.lost:,} no longer"
        lines.append(_paired_line(c, f"refusals {c.verdict('raised', 'reduced')}", changed))
    return "\n".join([markdown_table(pd.DataFrame(rows)), "", *lines]).strip() + "\n"


def outcomes_table(run_dir: Path | str) -> pd.DataFrame:
    """What became of the completions: one row for each of OUTCOMES, one column a checkpoint, in percent of its completions."""
    samples = {label_of(name): samples_of(run_dir, name) for name in checkpoints_of(run_dir)}
    shares = {label: [percent(count / len(rows)) for count in outcomes(rows).values()] for label, rows in samples.items()}
    return pd.DataFrame({"outcome": list(OUTCOMES), **shares})


def gain_table(run_dir: Path | str) -> pd.DataFrame:
    """Where each step's gain comes from: one row a cause, in points of flexible accuracy (problems gained, lost).

    The points add up to the last row, but for rounding. The base stands for the better of its two prompts.
    """
    table = {}
    for (before, rows), (after, later) in pairwise(best_samples(run_dir).items()):
        parts = decompose(rows, later)
        cells = [f"{points(part.points / 100)} ({part.gained:,} gained, {part.lost:,} lost)" for part in parts]
        table["cause"] = [*(part.cause for part in parts), "all"]
        table[f"{label_of(before)} → {label_of(after)}"] = [*cells, points(sum(part.points for part in parts) / 100)]
    return pd.DataFrame(table)


def save_summary(run_dir: Path | str) -> dict[str, dict]:
    """Write `evaluation.json`: the summary of every checkpoint, computed from its samples."""
    summary = {name: summarise_checkpoint(run_dir, name) for name in checkpoints_of(run_dir)}
    (Path(run_dir) / "evaluation.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def plan_sentence(plan: dict) -> str:
    """What the frozen plan says, in one short paragraph."""
    when = "before anything was trained" if plan["frozen_before_training"] else "**only after training had begun**"
    told = f"Planned {when}: {counted(plan['items'], 'problem')}, {plan['decoding']}, {plan['max_completion_length']:,} tokens."
    smallest = plan["smallest_difference"]
    if smallest is None:  # a single problem
        return told
    shows = f"many problems can show a difference of {100 * smallest:.1f} points or more"
    if smallest > DISCORDANT:  # more than changes at all
        shows = "few problems cannot show any difference"
    return f"{told} So {shows} (80% power, if the verdict on {DISCORDANT:.0%} changes)."


def read_plan(run_dir: Path | str) -> str:
    """What the run's frozen plan says in one sentence, or that there is none. ValueError where its file is damaged."""
    path = Path(run_dir) / PLAN
    if not path.is_file():
        return f"This run has no {PLAN}, so nothing shows that its measurement was planned before training."
    try:
        return plan_sentence(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged or of an older kind ({error!r}): restore it, or measure the run again.") from error
