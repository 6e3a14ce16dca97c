"""The tables and sentences of a run, as GitHub Markdown or data frames of text."""

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd

from grpo_lab.records import checkpoints_of, has_part, label_of, optional_samples, samples_of
from grpo_lab.report.comparisons import (
    Comparison,
    SampledComparison,
    best_samples,
    compare_checkpoints,
    compare_sampled,
    decompose,
    has_false_claim,
    name_pair,
)
from grpo_lab.report.summary import (
    EXTRACTIONS,
    OUTCOMES,
    outcomes,
    summarise,
    summarise_checkpoint,
    summarise_longer,
    summarise_twins,
)

PLAN = "eval_plan.json"
DISCORDANT = 0.2  # as in `evaluation.plan`, which imports torch: the share of problems on which two checkpoints may differ


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


def with_interval(summary: dict, name: str) -> str:
    """A share with its 95 % interval, both in percent."""
    return f"{percent(summary[name])} ({100 * summary[f'{name}_low']:.1f}–{100 * summary[f'{name}_high']:.1f})"


def markdown_table(frame: pd.DataFrame) -> str:
    """A GitHub table: the first column to the left, the others (numbers) to the right."""
    lines = [list(frame.columns), [":--", *["--:"] * (len(frame.columns) - 1)], *frame.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def results_table(run_dir: Path | str) -> pd.DataFrame:
    """One row a checkpoint, as text to be read: accuracy and verified false claims first, then how the accuracy came about.

    Flexible: a correct final answer anywhere it is clearly given; strict: only in the required form. Intervals are Wilson 95 %,
    that of avg@k a bootstrap over problems. The base in the others' prompt has a row of its own where it was measured.
    """
    names = list(checkpoints_of(run_dir))
    rows = [_result_row(label_of(name), summarise_checkpoint(run_dir, name)) for name in names]
    if has_part(run_dir, "base-chat"):
        rows.insert(1, _result_row(label_of("base-chat"), summarise(samples_of(run_dir, "base-chat"))))
    return pd.DataFrame(rows).fillna("–")


def _result_row(label: str, summary: dict) -> dict:
    accuracy = {
        name: f"{percent(summary[f'accuracy_{name}'])} ({100 * summary[f'low_{name}']:.1f}–{100 * summary[f'high_{name}']:.1f})"
        for name in EXTRACTIONS
    }
    row = {
        "checkpoint": label,
        "problems": f"{summary['n']:,}",
        "accuracy, flexible": accuracy["flexible"],
        "with a false claim": with_interval(summary, "false_claim_rate"),
        "accuracy, strict": accuracy["strict"],
        "in the format": percent(summary["format_rate"]),
        "truncated": percent(summary["truncation_rate"]),
        "mean tokens": f"{summary['mean_tokens']:.0f}",
    }
    if sampled := summary.get("sampled"):
        k = sampled["k"]
        row |= {
            f"avg@{k}": with_interval(sampled, "avg_at_k"),
            f"pass@{k}": percent(sampled["pass_at_k"]),
            f"maj@{k}": percent(sampled["maj_at_k"]),
        }
    return row


def results_markdown(run_dir: Path | str) -> str:
    """The results table and, below it, one line a pair of checkpoints, by accuracy and by verified false claims.

    A line gives the difference in points with Agresti and Min's 95 % interval, the problems gained and lost, and p from the
    exact McNemar test, also adjusted by Holm for the comparisons of its list. Raises as `read_samples` and `pair_samples`.
    """
    parts = [
        markdown_table(results_table(run_dir)),
        *_longer_lines(run_dir),
        *_clean_lines(run_dir),
        "On the same problems, by flexible accuracy:",
    ]
    lines = []
    for c in compare_checkpoints(run_dir):
        changed = f"{counted(c.difference.gained, 'problem')} gained, {c.difference.lost:,} lost"
        lines.append(_comparison_line(c, c.verdict(), changed))
    parts.append("\n".join(lines))
    parts.append("By completions with a verified false claim:")
    lines = []
    for c in compare_checkpoints(run_dir, has_false_claim):
        changed = f"no longer in {counted(c.difference.lost, 'completion')}, newly in {c.difference.gained:,}"
        lines.append(_comparison_line(c, c.verdict(up="raised", down="reduced"), changed))
    parts.append("\n".join(lines))
    if sampled := compare_sampled(run_dir):
        drawn = {name for comparison in sampled for name in (comparison.before, comparison.after)}
        temperatures = sorted({row["temperature"] for name in drawn for row in samples_of(run_dir, f"sampled-{name}")})
        told = " or ".join(f"{temperature:g}" for temperature in temperatures)
        parts.append(f"By avg@k, the mean over samples at temperature {told}:")
        parts.append("\n".join(map(_sampled_line, sampled)))
    return "\n\n".join(parts) + "\n"


def _clean_lines(run_dir: Path | str) -> list[str]:
    """The accuracies without the problems that the contamination check flagged, as notebooks 01 and 02 saved them."""
    saved = [json.loads(path.read_text())["flagged"] for path in sorted(Path(run_dir).glob("contamination_*.json"))]
    flagged = set().union(*saved)
    parts = []
    for name in checkpoints_of(run_dir) if flagged else ():
        clean = [row for row in samples_of(run_dir, name) if row["id"] not in flagged]
        if clean:
            parts.append(f"{label_of(name)} {percent(summarise(clean)['accuracy_flexible'])}")
    count = counted(len(flagged), "problem")
    return (
        [f"Without {count} that training may have met (flagged by the contamination check): {', '.join(parts)}."] if parts else []
    )


def _comparison_line(comparison: Comparison, verdict: str, changed: str) -> str:
    """A pair: the verdict on it, the difference in points with its interval, what changed, and p."""
    d = comparison.difference
    return (
        f"- {name_pair(comparison)}: {verdict}, **{points(d.difference)} points** (95% interval {points(d.low)} to "
        f"{points(d.high)}); {changed}; exact McNemar {p_text(d.p_value)}, after Holm {p_text(comparison.adjusted_p)}."
    )


def _sampled_line(comparison: SampledComparison) -> str:
    d = comparison.difference
    return (
        f"- {name_pair(comparison)}: **{points(d.difference)} points** (95% interval {points(d.low)} to {points(d.high)}, paired "
        f"bootstrap); sign-flip {p_text(comparison.p_value)}, after Holm {p_text(comparison.adjusted_p)}."
    )


def _longer_lines(run_dir: Path | str) -> list[str]:
    """What the checkpoints that were often cut off reach with a larger budget."""
    lines = []
    for name in checkpoints_of(run_dir):
        if has_part(run_dir, f"longer-{name}"):
            longer = summarise_longer(samples_of(run_dir, name), samples_of(run_dir, f"longer-{name}"))
            lines.append(
                f"{label_of(name)} was often cut off; with {longer['budget']:,} tokens its flexible accuracy is "
                f"{percent(longer['accuracy_flexible'])}, and {percent(longer['truncation_rate'])} are cut off."
            )
    return lines


def audit_table(run_dir: Path | str) -> pd.DataFrame:
    """The trace audit, one row a checkpoint: what it could check, what it refuted, the share of completions with each flag."""
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
    return pd.DataFrame(rows)


BLIND = (
    "What this cannot see: a wrong plan whose sums are all right, and most wrong solutions are wrong plans. It reads equations "
    "only, and skips what it cannot read."
)


def audit_note(results: Path) -> str:
    """What the audit cannot see and, where `audit.json` of `make bench-audit` lies in the folder, its recall and precision."""
    path = results / "audit.json"
    if not path.is_file():
        return BLIND
    measured = json.loads(path.read_text())
    h1, h2 = measured["H1"], measured["H2"]
    return (
        f"{BLIND} On labelled traces of other models H1 found {h1['found']} of {h1['arithmetic']} with false arithmetic, and "
        f"{h1['flags'] - h1['unconfirmed']} of its {h1['flags']} flags hold by an independent evaluation. H2 found "
        f"{percent(h2['found'] / h2['cases'])} of {h2['cases']:,} planted numbers, and flagged {percent(h2['false_flags'])} of "
        "GSM8K's own solutions."
    )


def audit_markdown(run_dir: Path | str) -> str:
    """`audit_table`, with what the audit cannot see."""
    return f"{markdown_table(audit_table(run_dir))}\n\n*{audit_note(Path(run_dir).parent)}*\n"


def twins_table(run_dir: Path | str) -> pd.DataFrame:
    """H5: what becomes of problems that lack a needed quantity, one row a checkpoint; empty where none were measured."""
    rows = []
    for name in checkpoints_of(run_dir):
        if twins := optional_samples(run_dir, f"twins-{name}"):
            h5 = summarise_twins(twins, samples_of(run_dir, name))
            rows.append(
                {
                    "checkpoint": label_of(name),
                    "unanswerable problems": f"{h5['twins']:,}",
                    "refused": with_interval(h5, "refused"),
                    "answered all the same": with_interval(h5, "false_answer"),
                    "answerable ones refused": percent(h5["over_refused"]),
                }
            )
    return pd.DataFrame(rows)


def twins_markdown(run_dir: Path | str) -> str:
    """`twins_table`, and the paired comparisons of refusals."""
    table = twins_table(run_dir)
    if table.empty:
        return "No unanswerable problems were measured.\n"
    lines = []
    for comparison in compare_checkpoints(run_dir, prefix="twins-"):
        verdict = comparison.verdict(up="raised", down="reduced")
        changed = f"{comparison.difference.gained:,} newly refused, {comparison.difference.lost:,} no longer"
        lines.append(_comparison_line(comparison, f"refusals {verdict}", changed))
    return f"{markdown_table(table)}\n\n{chr(10).join(lines)}".strip() + "\n"


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
    told = f"{counted(plan['items'], 'problem')}, {plan['decoding']}, {plan['max_completion_length']:,} tokens."
    smallest, assuming = plan["smallest_difference"], f"(80% power, if the verdict on {DISCORDANT:.0%} changes)"
    if smallest is None:
        power = ""
    elif smallest > DISCORDANT:  # more than changes at all
        power = f" So few problems cannot show any difference {assuming}."
    else:
        power = f" So many problems can show a difference of {100 * smallest:.1f} points or more {assuming}."
    return f"Planned {when}: {told}{power}"


def read_plan(run_dir: Path | str) -> str:
    """What the run's frozen plan says in one sentence, or that there is none. ValueError where its file is damaged."""
    path = Path(run_dir) / PLAN
    if not path.is_file():
        return f"This run has no {PLAN}, so nothing shows that its measurement was planned before training."
    try:
        return plan_sentence(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged or of an older kind ({error!r}): restore it, or measure the run again.") from error
