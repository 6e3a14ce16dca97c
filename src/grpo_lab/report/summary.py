"""The numbers of one checkpoint, from its samples alone."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from grpo_lab.records import SAMPLES_NOTEBOOK, optional_samples, samples_of
from grpo_math.answers import is_equivalent
from grpo_math.answers.refusal import refuses
from grpo_math.stats import cluster_interval, maj_at_k, pass_at_k, wilson_interval

EXTRACTIONS = ("flexible", "strict")
FLAGS = ("H1", "H2", "H3", "H4", "H6")

# What became of a completion; the first that matches counts. The right ones come first, so that they add up to the accuracy.
OUTCOMES: dict[str, Callable[[dict], bool]] = {
    "right and clean": lambda row: row["correct_flexible"] and not row["flags"],
    "right with a flag": lambda row: row["correct_flexible"],
    "no answer": lambda row: not row["extracted_flexible"],  # None, or a section that is empty
    "truncated": lambda row: row["truncated"],
    "degenerate": lambda row: "H6" in row["flags"],
    "unparseable": lambda row: row["reason"] in ("unparsed", "over budget"),
    "wrong, false arithmetic": lambda row: "H1" in row["flags"],
    "wrong, ungrounded number": lambda row: "H2" in row["flags"],
    "wrong, answer contradicts the trace": lambda row: "H3" in row["flags"] or "H4" in row["flags"],
    "wrong otherwise": lambda row: True,
}


def outcomes(samples: Sequence[dict]) -> dict[str, int]:
    """How many samples belong to each of OUTCOMES; they add up to all."""
    counts = dict.fromkeys(OUTCOMES, 0)
    for row in samples:
        counts[next(name for name, matches in OUTCOMES.items() if matches(row))] += 1
    return counts


def share(count: int, n: int, name: str) -> dict[str, float]:
    """A share with its Wilson 95 % interval: `name`, `name_low`, `name_high`."""
    low, high = wilson_interval(count, n)
    return {name: count / n, f"{name}_low": low, f"{name}_high": high}


def summarise(samples: Sequence[dict]) -> dict:
    """One greedy sample a problem: `n`, for flexible and strict extraction `correct_*` (a count) and `accuracy_*`, `low_*`,
    `high_*` (shares, Wilson 95 %), `format_rate`, `truncation_rate`, `mean_tokens`.

    Then the trace audit: the share of completions with a verified false claim (`false_claim_rate`, with its interval), false
    claims per 100 tokens and per 100 claims, the share with a claim that can be checked, the share with each flag, and the
    outcomes. Raises ValueError where there are no samples.
    """
    n = len(samples)
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
    tokens, claims, false = (sum(row[name] for row in samples) for name in ("tokens", "claims", "false_claims"))
    return summary | {
        "format_rate": sum(row["formatted"] for row in samples) / n,
        "truncation_rate": sum(row["truncated"] for row in samples) / n,
        "mean_tokens": tokens / n,
        **share(sum(row["false_claims"] > 0 for row in samples), n, "false_claim_rate"),
        "false_per_100_tokens": 100 * false / tokens if tokens else 0.0,
        "false_per_100_claims": 100 * false / claims if claims else 0.0,
        "checkable": sum(row["claims"] > 0 for row in samples) / n,
        "flags": {flag: sum(flag in row["flags"] for row in samples) / n for flag in FLAGS},
        "outcomes": outcomes(samples),
    }


def summarise_sampled(samples: Sequence[dict]) -> dict:
    """k samples a problem: `k`, `items`, avg@k with its interval (bootstrap over items), pass@k and maj@k (shares)."""
    items = group_samples(samples)
    k = len(items[0])
    scores = [[row["correct_flexible"] for row in rows] for rows in items]
    low, high = cluster_interval(scores)
    majorities = [_majority(rows) for rows in items]
    return {
        "k": k,
        "items": len(items),
        "avg_at_k": sum(map(sum, scores)) / (k * len(items)),
        "avg_at_k_low": low,
        "avg_at_k_high": high,
        "pass_at_k": sum(pass_at_k(k, sum(verdicts), k) for verdicts in scores) / len(items),
        "maj_at_k": sum(majorities) / len(items),
    }


def _majority(rows: Sequence[dict]) -> float:
    """maj@k of one problem; whether an answer is the gold, one of its alternatives, or passes a checker, its sample says."""
    gold, right = object(), {row["extracted_flexible"] for row in rows if row["correct_flexible"]}

    def same(answer: str, other: str | object) -> bool | None:
        return answer in right if other is gold else is_equivalent(answer, other)

    return maj_at_k([row["extracted_flexible"] or None for row in rows], gold, same)


def group_samples(samples: Sequence[dict]) -> list[list[dict]]:
    """The samples of each problem, sorted by id and number. Raises ValueError where a problem lacks one of 0 to k - 1."""
    items = defaultdict(list)
    for row in sorted(samples, key=lambda row: (row["id"], row["sample"])):
        items[row["id"]].append(row)
    k = max(map(len, items.values()))
    for name, rows in items.items():
        if [row["sample"] for row in rows] != list(range(k)):
            raise ValueError(
                f"Problem {name!r} has {len(rows)} samples, not the {k} from 0 to {k - 1}: run notebooks/{SAMPLES_NOTEBOOK} "
                "again, which draws those that are missing."
            )
    return list(items.values())


def summarise_checkpoint(run_dir: Path | str, checkpoint: str) -> dict:
    """Everything about one checkpoint: `summarise` and, where measured, `sampled` (see `summarise_sampled`), `h5` and `longer`.

    h5: on problems that lack a needed quantity (`twins`), the shares that were refused and that were answered all the same
    (`refused`, `false_answer`, with intervals; a completion may do neither), and the share of answerable problems that were
    refused (`over_refused`, by the same reading of the completion).
    longer: the accuracy when samples drawn with a larger `budget` stand for those that were cut off.
    """
    greedy = samples_of(run_dir, checkpoint)
    summary = summarise(greedy)
    if sampled := optional_samples(run_dir, f"sampled-{checkpoint}"):
        summary["sampled"] = summarise_sampled(sampled)
    if twins := optional_samples(run_dir, f"twins-{checkpoint}"):
        refused = sum(row["correct_flexible"] for row in twins)
        answered = sum(not row["correct_flexible"] and bool(row["extracted_flexible"]) for row in twins)
        over = sum(not row["correct_flexible"] and refuses(row["completion"], row["extracted_flexible"]) for row in greedy)
        summary["h5"] = {
            "twins": len(twins),
            **share(refused, len(twins), "refused"),
            **share(answered, len(twins), "false_answer"),
            **share(over, len(greedy), "over_refused"),
        }
    if longer := optional_samples(run_dir, f"longer-{checkpoint}"):
        again = {row["id"]: row for row in longer}
        whole = summarise([again.get(row["id"], row) for row in greedy])
        kept = ("correct_flexible", "accuracy_flexible", "low_flexible", "high_flexible", "truncation_rate")
        summary["longer"] = {"budget": longer[0]["budget"], **{key: whole[key] for key in kept}}
    return summary
