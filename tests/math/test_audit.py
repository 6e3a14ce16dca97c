"""The trace audit: what it reads and what it skips, that it never raises and stays quick, and its bars on labelled data."""

import json
import random
import time
from fractions import Fraction
from itertools import islice

import pytest
from bench_audit import DATA, H1_COUNTS, ROOT, confirms, gold, injected, multistep
from hypothesis import given, settings
from hypothesis import strategies as st
from inject import evaluate, inject

from grpo_lab.tiny.corpus import WAYS, arithmetic_document
from grpo_lab.tiny.problems import Difficulty, generate
from grpo_math.audit import audit, number_text

needs_gsm8k = pytest.mark.skipif(not (DATA / "data" / "gsm8k").is_dir(), reason="no GSM8K: set AUDIT_DATA")

TRUE = [  # text, and how many claims it holds
    ("48/2 = 24", 1),
    ("48/2 = <<48/2=24>>24 clips", 1),  # an annotation that repeats the text is no second claim
    ("half of 48 = <<48/2=24>>24 clips", 1),
    ("3 + 4 = 7 = 7", 2),  # a chain: each link is a claim
    ("A = (5 + 2) = 7", 1),  # the variable is skipped, the rest is read
    ("5 - -9 = 14", 1),
    ("(since 3*4 = 12)", 1),
    ("5 apples * 2 = 10 apples", 1),
    ("35 people on the bus – 8 who got off = 27", 1),
    ("$5 * 3 = $15", 1),
    ("50 cents * 4 = $2", 1),
    ("60 / 100 * 50 = 30%", 1),
    ("1/2 = 50%", 1),
    ("20% of 50 = 10", 1),
    ("2 hours + 30 minutes = 150 minutes", 1),
    ("1 1/2 + 2 = 3 1/2 and 2½ * 2 = 5", 2),
    ("2^3 = 8 and 2**3 = 8 and 2³ = 8", 3),
    ("1,200 × 3 = 3,600", 1),
    ("2/5 * 500cm³ = 200cm³", 1),
    ("3x4 = 12 and 3 X 4 = 12", 2),
    (r"$$\frac{1}{2} \times 4 = 2$$", 1),
    (r"$3 \text{ apples} \cdot 2 = 6$", 1),
    (r"\[ 10 \div 4 = 2.5 \]", 1),
    ("5 + 3\n= 8", 1),
    ("5 + 3 = **8**", 1),
    ("3 * 4 is 12.", 1),
    ("10/3 = 3.33", 1),  # rounded to the decimals that are written
    ("10/3 ≈ 3", 1),
    ("10/3 = about 3", 1),
    ("2/3 = 67%", 1),
    ("84 * 2: 80 * 2 = 160, 4 * 2 = 8, 160 + 8 = 168.", 3),
]
FALSE = [  # text, exact value
    ("48/2 = 25", 24),
    ("3 * 4 is 13.", 12),
    ("$5 * 3 = $16", 15),
    ("3 weeks * 7 = 22 days", 21),
    ("20% of 50 = 11", 10),
    ("10/3 = 3.34", Fraction(10, 3)),
    ("10/3 ≈ 5", Fraction(10, 3)),
    ("(2 + 3) * 4 = 14", 20),
    (r"\frac{1}{2} + \frac{1}{3} = \frac{2}{5}", Fraction(5, 6)),
    ("2 - -3 = -1", 5),
    ("2^3 = 6", 8),
    ("1/4 + 1/4 = 1%", Fraction(1, 2)),
]
SKIPPED = [
    "2x + 3 = 7",  # a variable
    "x - 5 + 3 = 2",
    "3 kids = 5 * 3",  # words that no unit explains
    "half of 4 + 2 = 4",
    "twice 5 + 3 = 13",
    "1/3 = 20 students",  # a part named by its fraction
    "Step 1 - 5 * 3 = 15",
    "7 adults + Shonda (1) + 2 = 10",
    "For 2 days - 5 * 3 = 15",
    "13/2 = 6 remainder 1",
    "2 * (3 + 4 = 7",  # a bracket that never closes
    "5 / 1/2 = 10",  # two readings
    "-2^2 = 4",
    "at 10:30 - 2 = 8",
    "3 != 4",
    "5 + 3 = 8x",
    "1/0 = 0",
    r"\sqrt{16} + 2 = 6",
    "1 foot = 12 inches",
]


@pytest.mark.parametrize(("text", "count"), TRUE)
def test_a_true_claim_is_read_and_not_flagged(text, count):
    result = audit(text)
    assert [claim.true for claim in result.claims] == [True] * count, result.claims
    assert all(text[claim.start : claim.end] == claim.text for claim in result.claims)


@pytest.mark.parametrize(("text", "exact"), FALSE)
def test_a_false_claim_is_flagged_with_its_exact_value(text, exact):
    result = audit(text)
    assert [(claim.true, claim.exact) for claim in result.claims] == [(False, exact)]
    assert result.flags == ("H1",)


@pytest.mark.parametrize("text", SKIPPED)
def test_what_cannot_be_read_is_skipped(text):
    assert audit(text).claims == ()


PROBLEM = "Ann has 48 clips and twice as many pins. She sells 20% of the clips in two weeks; one third of the pins are red."

GROUNDED = [
    "48 * 2 = 96",
    "48 * 0.2 = 9.6",
    "48 * 0.8 = 38.4",
    "48 / 14 = 3.43",
    "48 * 2/3 = 32",
    "48 * 2 = 96. 96 / 3 = 32",
    "48 / 100 = 0.48",
]
UNGROUNDED = [("47 * 2 = 94", ["47"]), ("48 * 2 = 96. 95 / 3 = 31.67", ["95"]), ("17 + 19 = 36", ["17", "19"])]


@pytest.mark.parametrize("text", GROUNDED)
def test_a_number_of_the_problem_or_of_an_earlier_step_is_grounded(text):
    assert audit(text, PROBLEM).flags == ()


@pytest.mark.parametrize(("text", "numbers"), UNGROUNDED)
def test_a_number_from_nowhere_is_named(text, numbers):
    result = audit(text, PROBLEM)
    assert [operand.text for operand in result.ungrounded] == numbers
    assert result.flags == ("H2",)
    assert audit(text).ungrounded == ()  # without the problem nothing can be said


# An operation taken apart by its digits' places: 84 and 57 are given, 86 is not.
GIVEN = "Ann has 84 clips and 57 pins, 168 beads and 312 nails in 2 boxes, and 1,250 rings for 6 girls."
TAKEN_APART = {
    "a product": "84 * 2: 80 * 2 = 160, 4 * 2 = 8, 160 + 8 = 168.",
    "a sum": "57 + 84: 57 + 80 = 137, 137 + 4 = 141.",
    "a difference": "312 - 57: 312 - 50 = 262, 262 - 7 = 255.",
    "a quotient": "168 / 2: 160 / 2 = 80, 8 / 2 = 4, 80 + 4 = 84.",
    "a quotient with other parts": "312 / 6: 300 / 6 = 50, 12 / 6 = 2, 50 + 2 = 52.",
    "no spaces": "84*2: 80*2=160, 4*2=8, 160+8=168.",
    "the sign of multiplication": "84 × 2: 80 × 2 = 160, 4 × 2 = 8, 160 + 8 = 168.",
    "a result of an earlier step": "84 + 57 = 141. 141 * 2: 100 * 2 = 200, 40 * 2 = 80, 1 * 2 = 2, 200 + 80 + 2 = 282.",
    "two headings in one sentence": "84 * 2: 80 * 2 = 160, 4 * 2 = 8, and 57 * 6: 50 * 6 = 300, 7 * 6 = 42.",
    "a decimal inside": "84 * 2: 168 / 100 = 1.68, 80 * 2 = 160.",
}
# name: (text, the numbers from nowhere)
FROM_NOWHERE = {
    "no heading": ("80 * 2 = 160, 40 * 2 = 80.", ["80", "40"]),
    "other places": ("84 * 2: 70 * 2 = 140, 4 * 2 = 8.", ["70"]),
    "a place ten times too large": ("84 * 2: 800 * 2 = 1600, 4 * 2 = 8.", ["800"]),
    "another number in the heading": ("94 * 2: 90 * 2 = 180, 4 * 2 = 8.", ["90", "4"]),
    "after the sentence": ("84 * 2: 80 * 2 = 160. 80 + 1 = 81.", ["80"]),
    "after the line": ("84 * 2: 80 * 2 = 160\n80 + 1 = 81", ["80"]),
    "before the heading": ("80 * 2 = 160, for 84 * 2: 4 * 2 = 8.", ["80"]),
    "under the next heading": ("84 * 2: 80 * 2 = 160. 57 * 6: 50 * 6 = 300, 80 * 6 = 480.", ["80"]),
    "a quotient that is not whole": ("57 / 2: 40 / 2 = 20, 16 / 2 = 8.", ["40", "16"]),
    "a division by nothing": ("84 / 0: 70 / 2 = 35.", ["70"]),
    "a decimal number": ("8.4 * 2: 80 * 2 = 160.", ["80"]),
}


@pytest.mark.parametrize("text", TAKEN_APART.values(), ids=TAKEN_APART)
def test_the_places_of_a_number_in_a_heading_are_grounded(text):
    assert audit(text, GIVEN).ungrounded == ()


@pytest.mark.parametrize(("text", "numbers"), FROM_NOWHERE.values(), ids=FROM_NOWHERE)
def test_a_heading_grounds_its_own_places_alone(text, numbers):
    result = audit(text, GIVEN)
    assert [operand.text for operand in result.ungrounded] == numbers
    assert "H2" in result.flags


ENDS = [
    ("48 + 2 = 50. #### 50", {}, ()),
    ("48 + 2 = 50. #### 60", {}, ("H3",)),
    ("48 + 2 = 50.", {"answer": "60"}, ("H3",)),
    ("48 + 2 = 50.", {"answer": "$50.00"}, ()),
    ("60", {"answer": "60"}, ()),  # a bare answer has no trace to contradict
    (r"48 + 2 = 50. \boxed{50} The answer is 50.", {}, ()),
    (r"48 + 2 = 50, 50 + 2 = 52. \boxed{50} The answer is 52.", {}, ("H4",)),
    ("<SOLUTION>50</SOLUTION><|im_end|>", {}, ()),
    ("<SOLUTION>50</SOLUTION> And now", {}, ("H6",)),
    ("<answer>50</answer>\nuser: next", {}, ("H6",)),
    ("48 + 2 = 50", {"truncated": True}, ("H6",)),
    ("so the total is " * 20, {}, ("H6",)),
    ("ha" * 500, {}, ("H6",)),
    ("1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 = 8", {}, ()),
]


@pytest.mark.parametrize(("text", "arguments", "flags"), ENDS)
def test_the_end_of_a_trace(text, arguments, flags):
    assert audit(text, **arguments).flags == flags


NUMBERS = {
    Fraction(86): "86",
    Fraction(-5, 2): "-2.5",
    Fraction(1, 3): "1/3",
    Fraction(-1, 3): "-1/3",
    Fraction(0): "0",
    Fraction(1, 20): "0.05",
    Fraction(100001, 100000): "1.00001",
    Fraction(22, 70001): "about 0.000314281",
    Fraction(10**12): "about 1e12",
    Fraction(-3 * 10**5000): "about -3e5000",
    Fraction(1, 10**5000): "about 0",
}


@pytest.mark.parametrize(("value", "text"), NUMBERS.items(), ids=NUMBERS.values())
def test_a_value_as_it_is_read(value, text):
    assert number_text(value) == text


HOSTILE = {
    "digits": "9" * 10**6,
    "digits and equals signs": "1=" * 500_000,
    "open brackets": "(" * 10**6,
    "closed brackets": ")" * 10**6,
    "deep brackets": "(" * 500 + "1" + ")" * 500 + " = 1",
    "equals signs": "=" * 10**6,
    "nulls": "\0" * 10**6,
    "right to left": "\u202e1+1=3\u202c" * 120_000,
    "surrogates": "\ud800" * 10**6,
    "commas": "1" + ",000" * 250_000,
    "minus signs": "1" + "-" * 10**6 + "1 = 2",
    "powers": "9^" * 500_000 + "9 = 1",
    "a tower": "9**9**9**9 = 1",
    "one chain": "1+1=" * 250_000,
    "one sum": "+".join("1" * 500_000) + " = 3",
    "annotations": "<<1+1=3>>" * 110_000,
    "a long unit": "1 " + "apple " * 160_000 + "= 1",
    "lines": "1+1\n" * 250_000,
    "a chain of lines": "1+1" + "\n=2" * 330_000,
    "boxes": "\\boxed{" * 140_000,
    "blanks after the end": "</answer>" + " " * 10**6,
    "headings": "12 / 3: " * 125_000,
    "headings without a space": "12/3:" * 200_000,
    "headings with steps": "84 * 2: 80 * 2 = 160, " * 45_000,
    "a heading of periods": "12 / 3: " + ".5" * 500_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_read_in_bounded_time(text):
    start = time.process_time()
    audit(text, text, "1")
    assert time.process_time() - start < 3  # under a second on an idle core


WORDS = ["\\frac", " apples", " of ", " is ", "<<", ">>", "**", "50 cents", "2 weeks"]
PIECES = [*"0123456789+-*/=().,%$ xX^{}\\<>#½≈\n\u202e\ud800", *WORDS]


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
@settings(max_examples=300, deadline=None)
def test_no_text_raises_and_none_is_read_differently_twice(text):
    assert audit(text, text) == audit(text, text)


@st.composite
def chains(draw):
    """A random expression of whole numbers, and its value by Python's own parser."""
    numbers = draw(st.lists(st.integers(1, 999), min_size=2, max_size=6))
    signs = draw(st.lists(st.sampled_from(("+", "-", "*", "/")), min_size=len(numbers) - 1, max_size=len(numbers) - 1))
    text = str(numbers[0]) + "".join(f" {sign} {number}" for sign, number in zip(signs, numbers[1:]))
    bracketed = draw(st.booleans())
    return f"({text}) * 3" if bracketed else text, evaluate(f"({text})*3" if bracketed else text)


def written(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


@given(chains(), st.integers(1, 50))
def test_a_true_chain_is_never_flagged_and_a_corrupted_one_always(chain, slip):
    expression, value = chain
    good, bad = (audit(f"So we get {expression} = {written(v)}.") for v in (value, value + slip))
    assert [claim.true for claim in good.claims] == [True]
    assert [claim.true for claim in bad.claims] == [False]
    assert bad.claims[0].exact == value and confirms(bad.claims[0])


def test_the_tiny_world_is_read_without_a_false_flag():
    rng = random.Random(0)
    problems = generate("dev", 0, Difficulty(50))
    texts = [way(problem) for problem, _ in zip(problems, range(100)) for way in WAYS.values()]
    texts += [arithmetic_document(rng, 50) for _ in range(100)]
    results = [audit(text) for text in texts]
    assert all(result.claims and "H1" not in result.flags for result in results)


@pytest.mark.parametrize("way", WAYS)
def test_a_right_solution_of_the_tiny_world_is_never_flagged(way):
    for problem in islice(generate("dev", 0), 300):
        trace = f"{WAYS[way](problem)}<end_working_out><SOLUTION>{problem.answer}</SOLUTION>"
        result = audit(trace, problem.question, str(problem.answer))
        assert result.claims and result.flags == (), (problem.question, trace, result)


def test_an_injected_error_changes_one_operand_and_keeps_the_arithmetic():
    problem, trace = (
        "Ann has 48 clips and buys 24 more, then shares them with 4 friends.",
        "48 + 24 = <<48+24=72>>72\n72 / 4 = 18 clips\n#### 18",
    )
    cases = {inject(problem, trace, random.Random(seed)) for seed in range(30)} - {None}
    assert len(cases) > 3
    assert all("H1" not in audit(text, problem).flags and wrong in text for text, wrong in cases)


def test_the_audit_is_quick():
    problems = generate("dev", 1, Difficulty(50))
    texts = [(WAYS["step_by_step"](problem), problem.question) for problem, _ in zip(problems, range(500))]
    start = time.process_time()
    for text, question in texts:
        audit(text, question)
    assert len(texts) / (time.process_time() - start) > 800  # several thousand on an idle core


@pytest.mark.skipif(not (DATA / "bench" / "audit").is_dir(), reason="no labelled traces: set AUDIT_DATA")
def test_false_arithmetic_is_found_where_people_found_it():
    for path in (DATA / "bench" / "audit").glob("multistep*.jsonl"):
        counts = multistep(path)
        assert counts["found"] >= 0.99 * counts["arithmetic"], counts
        assert counts["exact"] >= 0.98 * counts["arithmetic"], counts
        assert counts["unconfirmed"] == 0, counts


@needs_gsm8k
def test_gold_solutions_are_hardly_ever_flagged():
    counts = gold(DATA / "data" / "gsm8k")
    assert counts["with a claim"] >= 0.98 * counts["traces"]
    assert counts["H1"] <= 0.005 * counts["traces"]  # nearly all of them are errors of the data set: bench_audit.py lists them
    assert counts["H2"] <= 0.02 * counts["traces"]


@needs_gsm8k
def test_injected_errors_are_found():
    counts = injected(DATA / "data" / "gsm8k", most=800)
    assert counts["cases"] > 300 and counts["found"] >= 0.8 * counts["cases"], counts


def test_the_committed_figures_meet_the_bars():
    """`results/audit.json`, which `make bench-audit` writes and the report quotes."""
    figures = json.loads((ROOT / "results" / "audit.json").read_text())
    h1, h2 = figures["H1"], figures["H2"]
    assert set(h1) == set(H1_COUNTS) and set(h2) == {"cases", "found", "false_flags"}
    assert set(figures["gold"]) == {"traces", "with a claim", "H1"} and figures["traces_per_second"] > 0
    assert h1["found"] >= 0.99 * h1["arithmetic"] > 0 and h1["exact"] >= 0.98 * h1["arithmetic"]
    assert h1["unconfirmed"] == 0
    assert h2["found"] >= 0.8 * h2["cases"] > 0 and h2["false_flags"] <= 0.02
