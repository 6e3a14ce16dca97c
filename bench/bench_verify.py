r"""The answer checker beside its peers: who is right how often, and how fast. Run it with `make bench-verify`.

Graded pairs are made here from the tests' golds (`renderings.py`). Where GRPO_MATH_BENCH (or `../shared` beside the repo) has
`bench/verify/dev/*.jsonl`, one JSON object a line with `response`, `gold` and `label`, these are read too, and never copied.
All checkers see the same pairs in this one process; speeds are worth comparing within one run only.
"""

import argparse
import json
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from grpo_math.answers import is_correct

sys.path.append(str(Path(__file__).parents[1] / "tests" / "math"))  # the golds and their renderings are the tests'
from golds import GOLDS  # noqa: E402
from renderings import equivalents, near_misses  # noqa: E402

BENCH = Path(__file__).parents[1] / os.environ.get("GRPO_MATH_BENCH", "../shared")
UNIT = ("unit_torchtitan", "unit_other", "unit_mathverify_lighteval", "issues_mathverify")
REAL = ("gsm8k_openai_models", "gsm8k_tora_boxed", "gsm8k_mr", "math_qwen_integer", "theoremqa_unboxed_int")
GROUPS = {  # group of families; "all graded pairs" has every family
    "unit/issue": UNIT,
    "hard pairs": (*UNIT, "hardverify_math"),
    "real outputs + MATH references": (*REAL, "math_refsol_pos", "math_refsol_neg"),
}
INSTALL = "pip install math-verify==0.9.0 antlr4-python3-runtime==4.13.2"
GIVE_UP = 20  # seconds of processor time for one pair; some peers have inputs that they never return from

Pair = tuple[str, str, bool]  # a whole response, the gold, whether it is right
Check = Callable[[str, str], bool | None]


def completion(answer: str) -> str:
    """A response that ends with this answer in a box, inside its dollars where it has some."""
    if "\\boxed" in answer:
        return f"The final answer is {answer}"
    match = re.fullmatch(r"(\$\$?|\\\(|\\\[)(.+?)(\$\$?|\\\)|\\\])", answer, re.DOTALL)
    before, inside, after = match.groups() if match else ("", answer, "")
    return f"The final answer is {before}\\boxed{{{inside}}}{after}"


def generated() -> dict[str, list[Pair]]:
    """Kind of gold: pairs from its renderings and near misses."""
    pairs = {}
    for kind, golds in GOLDS.items():
        labelled = [(gold, [(r, True) for r in equivalents(gold)] + [(r, False) for r in near_misses(gold)]) for gold in golds]
        pairs[kind] = [(completion(answer), gold, label) for gold, answers in labelled for answer, label in answers]
    return pairs


def graded() -> dict[str, list[Pair]]:
    """Family: pairs with the labels of their sources; empty where there are none on this machine."""
    files = sorted(BENCH.glob("bench/verify/dev/*.jsonl"))
    rows = {path.stem: map(json.loads, path.read_text(encoding="utf-8").splitlines()) for path in files}
    return {family: [(row["response"], row["gold"], row["label"]) for row in found] for family, found in rows.items()}


def math_verify() -> Check:
    """Math-Verify as its documentation has it, with the gold in a box."""
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)

    def check(response, gold):
        if "\\boxed" not in gold:
            match = re.fullmatch(r"\s*(\$\$?)([^$]+)\1\s*", gold)
            gold = f"\\boxed{{{match.group(2) if match else gold}}}"
        return verify(parse(gold), parse(response))

    return check


def trl() -> Check:
    """TRL's `accuracy_reward` as shipped, with the gold as the data set has it."""
    from trl.rewards import accuracy_reward

    def check(response, gold):
        reward = accuracy_reward([[{"role": "assistant", "content": response}]], [gold])[0]
        return None if reward is None else reward > 0

    check("\\boxed{1}", "1")  # raises ImportError where Math-Verify is missing
    return check


def checkers(peers: bool) -> dict[str, Check]:
    """Name: checker, ours first; says which peers are missing and how to get them."""
    found = {"grpo_math": is_correct}
    for name, load in {"Math-Verify": math_verify, "TRL accuracy_reward": trl}.items() if peers else ():
        try:
            found[name] = load()
        except ImportError:
            print(f"{name} is not installed: {INSTALL}" + (" trl==1.15.0" if name.startswith("TRL") else ""))
    return found


def late(signum, frame):
    raise TimeoutError("gave up on this pair")


def run(check: Check, pairs: list[Pair], name: str) -> list[tuple[bool | None, float]]:
    """Each pair's verdict and seconds. A pair that raises or takes too long has the verdict None."""
    results = []
    check("\\boxed{1}", "1")  # imports and caches are not timed
    signal.signal(signal.SIGPROF, late)  # not SIGALRM, which Math-Verify uses itself
    for response, gold, _ in tqdm(pairs, desc=name, file=sys.stderr, mininterval=1):
        start = time.perf_counter()
        try:
            signal.setitimer(signal.ITIMER_PROF, GIVE_UP, 1)
            verdict = check(response, gold)
        except Exception:  # whatever a peer raises, it has not accepted the answer
            verdict = None
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        results.append((verdict, time.perf_counter() - start))
    return results


def row(pairs: list[Pair], results: list[tuple[bool | None, float]]) -> dict[str, float]:
    """Accuracy and times of one checker on one group."""
    accepted = [verdict is True for verdict, _ in results]
    times = sorted(1000 * seconds for _, seconds in results)
    wrong = [a and not label for a, (_, _, label) in zip(accepted, pairs)]
    missed = [label and not a for a, (_, _, label) in zip(accepted, pairs)]
    return {
        "pairs": len(pairs),
        "accuracy %": 100 * (1 - (sum(wrong) + sum(missed)) / len(pairs)),
        "FP": sum(wrong),
        "FN": sum(missed),
        "None": sum(verdict is None for verdict, _ in results),
        "pairs/s": 1000 * len(times) / sum(times),
        "p50 ms": times[len(times) // 2],
        "p99 ms": times[int(0.99 * len(times))],
        "max ms": times[-1],
    }


def show(group: str, rows: dict[str, dict[str, float]]) -> None:
    """One table: a line for each checker; the last column compares total times within this run."""
    names = list(next(iter(rows.values())))
    print(f"\n{group}\n{'':20}" + "".join(f"{name:>12}" for name in names) + f"{'x Math-Verify':>15}")
    peer = rows.get("Math-Verify", {}).get("pairs/s")
    for checker, values in rows.items():
        cells = "".join(f"{value:12,.2f}" if isinstance(value, float) else f"{value:12,}" for value in values.values())
        print(f"{checker:20}{cells}" + (f"{values['pairs/s'] / peer:15,.2f}" if peer else ""))


def spread(pairs: list[Pair], limit: int | None) -> list[Pair]:
    """At most `limit` pairs, evenly over the list."""
    return pairs if not limit or len(pairs) <= limit else [pairs[i * len(pairs) // limit] for i in range(limit)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, help="pairs of each family or kind (default: all)")
    parser.add_argument("--no-peers", action="store_true", help="our checker only")
    options = parser.parse_args()
    own = {kind: spread(pairs, options.limit) for kind, pairs in generated().items()}
    dev = {family: spread(pairs, options.limit) for family, pairs in graded().items()}
    if not dev:
        print(f"No graded pairs in {BENCH.name}/bench/verify/dev: GRPO_MATH_BENCH names the folder that has them")
    found = checkers(not options.no_peers)
    families = {**{f"generated, {kind}": pairs for kind, pairs in own.items()}, **dev}
    results = {n: {f: run(check, pairs, f"{n}: {f}") for f, pairs in families.items()} for n, check in found.items()}
    groups = {"generated": [f for f in families if f.startswith("generated")], "all graded pairs": list(dev)}
    groups |= {group: [family for family in members if family in dev] for group, members in GROUPS.items()}
    for group, members in groups.items():
        pairs = [pair for family in members for pair in families[family]]
        if pairs:
            show(group, {n: row(pairs, [r for family in members for r in results[n][family]]) for n in found})


if __name__ == "__main__":
    main()
