"""The trace audit on labelled data: `python bench/bench_audit.py --data FOLDER` (or AUDIT_DATA).

The folder, by default `shared/` beside the clone, holds `bench/audit/*.jsonl` (BIG-Bench-Mistake: steps and the first
wrong one) and `data/gsm8k/{train,test}.jsonl`. What was measured goes to `results/audit.json`, which the report quotes.
"""

import argparse
import json
import os
import random
import re
import sys
import time
from bisect import bisect_right
from pathlib import Path

from grpo_math.audit import Claim, audit
from grpo_math.audit.grounding import grounded_numbers

sys.path.append(str(Path(__file__).parents[1] / "tests" / "math"))  # the injected errors are the tests'
from inject import evaluate, inject  # noqa: E402

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("AUDIT_DATA", ROOT.parent / "shared"))
H1_COUNTS = ("traces", "arithmetic", "found", "exact", "flags", "unconfirmed")


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def confirms(claim: Claim) -> bool:
    """Whether the two sides of a flagged claim differ by an evaluation that shares nothing with the audit's.

    Units, annotations and percent signs are struck out; a side that still cannot be read confirms nothing. A decimal result
    may differ by half a unit of its last place.
    """
    plain = re.sub(r"<<.*?>>|(?<![0-9a-z ])\s*of\b|[A-Za-z%°](?<!x)[\w'’-]*|/(?=[A-Za-z])", " ", claim.text)
    plain = plain.translate(str.maketrans("−–×÷", "--*/")).replace("≈", "=").replace("^", "**")
    left, _, right = plain.rpartition("=")
    a, b = evaluate(left), evaluate(right)
    decimals = len(right.strip().partition(".")[2]) if re.fullmatch(r"[\s$]*[0-9,]*\.[0-9]+\s*", right) else None
    return None not in (a, b) and abs(a - b) * 2 > (0 if decimals is None else 10**-decimals)


def false_step(step: str) -> bool:
    """Whether a step of the multistep set holds a false equality: its sides are cut at "=" and read by Python's parser."""
    sides = [evaluate(side.rstrip(" .")) for side in step.split("So the answer")[0].split("=")]
    return any(a is not None and b is not None and a != b for a, b in zip(sides, sides[1:]))


def multistep(path: Path) -> dict:
    """H1 against the labels. A labelled mistake is arithmetic where its step holds an equality that `false_step` finds false."""
    counts = dict.fromkeys(("traces", "arithmetic", "found", "exact", "other", "flags", "unconfirmed", "unlabelled"), 0)
    for row in rows(path):
        starts = [0]
        for step in row["steps"]:
            starts.append(starts[-1] + len(step) + 1)
        false = [claim for claim in audit("\n".join(row["steps"]), row["input"]).claims if not claim.true]
        first = bisect_right(starts, false[0].start) - 1 if false else None
        label = row["mistake_index"]
        counts["traces"] += 1
        counts["flags"] += len(false)
        counts["unconfirmed"] += sum(not confirms(claim) for claim in false)
        if label is None:
            counts["unlabelled"] += bool(false)
        elif false_step(row["steps"][label]):
            counts["arithmetic"] += 1
            counts["found"] += bool(false)
            counts["exact"] += first == label
        else:
            counts["other"] += 1
    return counts


def gold(folder: Path) -> dict:
    """GSM8K's own solutions: how many hold a claim, how many earn each flag, and the false claims themselves."""
    items = [item for name in ("train", "test") for item in rows(folder / f"{name}.jsonl")]
    counts = {"traces": len(items), "with a claim": 0, "H1": 0, "H2": 0, "H3": 0, "H4": 0, "H6": 0, "false": []}
    for item in items:
        result = audit(item["answer"], item["question"])
        counts["with a claim"] += bool(result.claims)
        for flag in result.flags:
            counts[flag] += 1
        counts["false"] += [claim for claim in result.claims if not claim.true]
    return counts


def injected(folder: Path, name: str = "train", first: int = 3737, most: int = 3000, seed: int = 0) -> dict:
    """H2 on injected errors, in solutions from `first` on, as the constants were chosen on those before.

    `operand`: the wrong value itself is named; `alone`: H2 is the only flag.
    """
    rng = random.Random(f"inject-{seed}")
    counts = {"cases": 0, "found": 0, "operand": 0, "alone": 0}
    for item in rows(folder / f"{name}.jsonl")[first : first + most]:
        case = inject(item["question"], item["answer"], rng)
        if case is None:
            continue
        result = audit(case[0], item["question"])
        counts["cases"] += 1
        counts["found"] += "H2" in result.flags
        counts["operand"] += case[1] in [operand.text for operand in result.ungrounded]
        counts["alone"] += result.flags == ("H2",)
    return counts


def speed(folder: Path, turns: int = 3) -> float:
    """Traces a second on one core, problem and all, on GSM8K's solutions: the best of a few turns."""
    items = [(item["answer"], item["question"]) for item in rows(folder / "test.jsonl")]
    times = []
    for _ in range(turns):
        grounded_numbers.cache_clear()  # each problem is new, as in a first evaluation
        start = time.process_time()
        for trace, problem in items:
            audit(trace, problem)
        times.append(time.process_time() - start)
    return len(items) / min(times)


def measure(data: Path) -> tuple[dict, list[Claim]]:
    """Everything that `results/audit.json` holds, and the claims of gold solutions that the audit calls false."""
    labelled = [multistep(path) for path in sorted((data / "bench" / "audit").glob("multistep*.jsonl"))]
    solutions, planted = gold(data / "data" / "gsm8k"), injected(data / "data" / "gsm8k")
    figures = {
        "H1": {key: sum(counts[key] for counts in labelled) for key in H1_COUNTS},
        "H2": {key: planted[key] for key in ("cases", "found")} | {"false_flags": solutions["H2"] / solutions["traces"]},
        "gold": {key: solutions[key] for key in ("traces", "with a claim", "H1")},
        "traces_per_second": round(speed(data / "data" / "gsm8k")),
    }
    return figures, solutions["false"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with bench/audit and data/gsm8k")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "audit.json", help="the file for the figures")
    given = parser.parse_args()
    if not (given.data / "data" / "gsm8k").is_dir() or not (given.data / "bench" / "audit").is_dir():
        raise SystemExit(f"{given.data} lacks bench/audit or data/gsm8k: name the folder with --data or AUDIT_DATA.")
    figures, false = measure(given.data)
    for claim in false:
        print(f"  false: {claim.text!r} is {claim.exact}", "" if confirms(claim) else "(not confirmed)")
    for name, counts in figures.items():
        print(f"{name}: {counts}")
    given.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
