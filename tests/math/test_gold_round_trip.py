"""Every gold is accepted in each of its renderings and in none of its near misses, however the gold itself is wrapped.

The own golds always run. Public data run where they exist: GRPO_MATH_BENCH names a folder with `data/gsm8k/*.jsonl`
(question, answer) and `bench/verify/dev/*.jsonl` (response, gold, label); without it, `../shared` beside the repo is tried.
"""

import json
import os
import re
from pathlib import Path

import pytest
from golds import GOLDS, bare, classify
from renderings import equivalents, near_misses

from grpo_math.answers import is_equivalent

BENCH = Path(__file__).parents[2] / os.environ.get("GRPO_MATH_BENCH", "../shared")
OWN = [pytest.param(gold, id=f"{kind} {gold}") for kind, golds in GOLDS.items() for gold in golds]


def wrapped(gold: str) -> list[str]:
    """The gold raw, in dollars and in a box, where such a wrapping is not there already."""
    ways = [gold]
    if not re.search(r"(?<!\\)\$|\\boxed", gold):
        ways += [f"${gold}$", f"\\boxed{{{gold}}}"]
    return ways


def failures(gold: str) -> list[str]:
    """One line for each wrong verdict: the gold, the rendering, what came."""
    cases = [(rendering, True) for rendering in (gold, *equivalents(gold))]
    cases += [(rendering, False) for rendering in near_misses(gold)]
    found = []
    for way in wrapped(gold):
        for rendering, expected in cases:
            got = is_equivalent(rendering, way)
            if got is not expected:
                found.append(f"gold {way!r}, rendering {rendering!r}: got {got}, expected {expected}")
    return found


def is_prose(gold: str) -> bool:
    """More than twelve words, or a box within a text: not to be graded, and its renderings are no answers."""
    words = re.findall(r"(?<![\\A-Za-z])[A-Za-z']+", bare(gold))
    return len(words) > 12 and classify(gold).kind == "other" or "boxed" in bare(gold)


def report(found: list[str]) -> str:
    return "\n".join([f"{len(found)} wrong verdicts", *found[:30]])


@pytest.mark.parametrize("gold", OWN)
def test_own_gold(gold):
    found = failures(gold)
    assert not found, report(found)


@pytest.mark.parametrize("gold", OWN)
def test_generator_gives_at_least_twenty_of_each(gold):
    same, wrong = equivalents(gold), near_misses(gold)
    assert len(set(same)) == len(same) >= 20
    assert len(set(wrong)) == len(wrong) >= 20
    assert not set(same) & set(wrong)


def test_no_gold_passes_for_another():
    read = {gold: classify(gold) for golds in GOLDS.values() for gold in golds}
    values = {gold: parts[0] if kind == "number" else gold for gold, (kind, _, parts) in read.items()}
    rounded = {(r"\pi", "3.14")}  # a decimal gold stands for what rounds to it
    pairs = [(a, b) for a in values for b in values if values[a] != values[b] and (a, b) not in rounded]
    found = [f"{answer!r} passes for {gold!r}" for answer, gold in pairs if is_equivalent(answer, gold)]
    assert not found, report(found)


def files(pattern: str, what: str) -> list:
    """The files of public data, or one case that says that they are missing."""
    found = [pytest.param(path, id=path.stem) for path in sorted(BENCH.glob(pattern))]
    return found or [pytest.param(None, marks=pytest.mark.skip(f"no {what} under $GRPO_MATH_BENCH"))]


@pytest.mark.parametrize("path", files("data/gsm8k/*.jsonl", "GSM8K"))
def test_gsm8k_golds(path):
    rows = path.read_text(encoding="utf-8").splitlines()
    golds = {json.loads(row)["answer"].rpartition("####")[2].strip() for row in rows}
    found = [line for gold in sorted(golds) for line in failures(gold)]
    assert not found, report(found)


@pytest.mark.slow
@pytest.mark.parametrize("path", files("bench/verify/dev/*.jsonl", "graded answers"))
def test_graded_golds(path):
    golds = {json.loads(row)["gold"] for row in path.read_text(encoding="utf-8").splitlines()}
    found = [line for gold in sorted(golds) if not is_prose(gold) for line in failures(gold)]
    assert not found, report(found)
