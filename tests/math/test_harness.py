"""The two GSM8K metrics of lm-evaluation-harness: cases by hand, properties, and the harness itself where it is installed.

Real outputs are compared where GRPO_MATH_BENCH, or `../shared` beside the repo, holds `bench/verify/dev/*.jsonl` (response, gold)
and `data/gsm8k/*.jsonl` (answer). To install the harness's part: `pip install --no-deps lm_eval==0.4.13 sacrebleu portalocker
tabulate colorama lxml regex pytablewriter DataProperty mbstrdecoder pathvalidate tabledata tcolorpy typepy`.
"""

import doctest
import importlib
import json
import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_math.answers import HARNESS, harness, harness_extract, harness_match

BENCH = Path(__file__).parents[2] / os.environ.get("GRPO_MATH_BENCH", "../shared")
STRICT, FLEXIBLE = HARNESS
INVALID = "[invalid]"

# A completion, and what the harness compares of it: strictly, flexibly.
CASES = {
    "the form asked for": ("9 * 2 = 18\n#### 18", "18", "18"),
    "no mark": ("She makes 18 dollars.", INVALID, "18"),
    "no number": ("I do not know.", INVALID, INVALID),
    "empty": ("", INVALID, INVALID),
    "strict takes the first, flexible the last": ("#### 18\n#### 20", "18", "20"),
    "thousands": ("#### 1,234,567", "1234567", "1234567"),
    "commas anywhere": ("#### 1,2,3,", "123", "123"),
    "a dollar stops strict": ("#### $18", INVALID, "18"),
    "a dollar behind the number": ("#### 18$", "18", "18"),
    "negative": ("#### -18", "-18", "-18"),
    "a dollar between sign and number": ("It is -$18.", INVALID, "-18"),
    "a sign behind the dollar": ("It is $-18", INVALID, "-18"),
    "negative digit": ("It is -5", INVALID, "-5"),
    "a difference": ("20-18", INVALID, "-18"),
    "two signs": ("#### --18", INVALID, "-18"),
    "Unicode minus": ("#### \u221218", INVALID, "18"),
    "decimal": ("#### 18.50", "18.50", "18.50"),
    "a closing period": ("#### 18.", "18", "18"),
    "two closing periods": ("#### 18..", "18.", "18."),
    "a decimal without digits behind the point": ("The sum is 18.0.", INVALID, "18.0"),
    "an ellipsis passes for a number": ("It is 18 ...", INVALID, ".."),
    "one period does not": ("It is 18 .", INVALID, "18"),
    "nor does one dollar": ("18 $ or , so", INVALID, "18"),
    "two dollars do": ("x = 18\n$$", INVALID, ""),
    "dollars around a formula": ("$$x = 18$$", INVALID, "18"),
    "a box in dollars": (r"$\boxed{18}$", INVALID, "18"),
    "a fraction": ("#### 1/2", "1", "2"),
    "per cent": ("#### 18%", "18", "18"),
    "a unit behind": ("#### 18 eggs in 7 days", "18", "7"),
    "no space behind the mark": ("####18", INVALID, "18"),
    "two spaces": ("####  18", INVALID, "18"),
    "a tab": ("####\t18", INVALID, "18"),
    "a newline": ("####\n18", INVALID, "18"),
    "a no-break space": ("####\u00a018", INVALID, "18"),
    "five signs": ("##### 18", "18", "18"),
    "three signs": ("### 18", INVALID, "18"),
    "a mark without a number before one with": ("#### eggs\n#### 18", "18", "18"),
    "only a comma": ("#### ,", "", INVALID),
    "Arabic digits are none": ("#### \u0661\u0668", INVALID, INVALID),
    "fullwidth digits are none": ("#### \uff11\uff18", INVALID, INVALID),
    "a digit, then another script's": ("#### 1\u0668", "1", "1"),
    "exponent": ("#### 1e3", "1", "3"),
    "cut at the next question": ("#### 18\n\nQuestion: 3 eggs?\nAnswer: #### 3", "18", "18"),
    "cut before the mark": ("It is 7. Question: #### 18", INVALID, "7"),
    "cut at the first of several": ("It is 7<|im_end|> 8</s> 9 Question: 10", INVALID, "7"),
    "cut at the start": ("</s>#### 18", INVALID, INVALID),
    "case of the stop string": ("question: #### 18", "18", "18"),
    "cut within a number": ("#### 1</s>8", "1", "1"),
    "a stop string is no pattern": ("im_end #### 18", "18", "18"),
}


@pytest.mark.parametrize("case", CASES)
def test_extraction(case):
    completion, *expected = CASES[case]
    got = [harness_extract(completion, name) for name in HARNESS]
    assert got == expected, f"{case}: {completion!r} gives {got}, expected {expected}"


@pytest.mark.parametrize(
    ("completion", "gold", "strict", "flexible"),
    [
        ("#### 18", "18", True, True),
        ("#### 18", "She sells 9 eggs.\n#### 18", True, True),
        ("#### 18", "#### 19", False, False),
        ("#### 1,234", "#### 1234", True, True),
        ("#### 1234", "#### 1,234", True, True),
        ("It is $1,234.", "1234", False, True),
        ("#### 18", "$18.", True, True),
        ("#### 18.0", "18", False, False),  # texts are compared, not values
        ("#### 18.00", "18.00", True, True),
        ("#### 018", "18", False, False),
        ("#### 18", "18 ", False, False),  # nothing is stripped
        ("#### 18", "18.\n", False, False),
        ("#### 18", "#### 7\n#### 18", True, True),
        ("#### 18", "##,## 18", True, True),  # commas go before the mark is looked for
        ("I do not know.", "[Invalid]", True, True),  # the harness does not know its own sign for nothing
        ("#### ,", "", True, False),
    ],
)
def test_match(completion, gold, strict, flexible):
    got = [harness_match(completion, gold, name) for name in HARNESS]
    assert got == [strict, flexible], f"{completion!r} for {gold!r} gives {got}"


@pytest.mark.parametrize("ask", [lambda: harness_extract("18", "exact_match"), lambda: harness_match("18", "18", "strict")])
def test_another_name_is_refused(ask):
    with pytest.raises(ValueError, match="choose one of strict-match, flexible-extract"):
        ask()


def test_doctests():
    assert doctest.testmod(harness).failed == 0


UNITS = [*"1,$.-#\n\u0661", "18", "#### ", "####  18", "18 ", "$1,", "-.", "Question", "</s", "<|im_", ".\n"]


@pytest.mark.parametrize("unit", UNITS)
def test_a_megabyte_takes_linear_time(unit):
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    for name in HARNESS:
        harness_match(text, "18", name)
        harness_match("#### " + text, text, name)  # a long answer and a long gold
    taken = time.process_time() - start
    assert taken < 10, f"a megabyte of {unit!r} took {taken:.1f} s; quadratic time would be hours"


NUMBERS = st.integers(-(10**9), 10**9)
# Texts near what the patterns look at; some signs twice, so that they come often.
SIGNS = "0123456789--..,,$$##\n\n \t:x</s>\u00a0\u0668\u2212\U0001d7d8%"
PIECES = st.sampled_from([*SIGNS, "#### ", "#### -", "Question:", "</s>", "<|im_end|>", "18"])
TEXTS = st.lists(PIECES, max_size=25).map("".join)
GOLDS = NUMBERS.map(str) | NUMBERS.map("{:,}".format) | st.builds("{}#### {}".format, TEXTS, NUMBERS) | TEXTS


@given(NUMBERS, TEXTS)
def test_a_number_in_its_spellings_is_right_and_its_neighbour_wrong(number, before):
    for spelling in (f"{number}", f"{number:,}", f"{number}.", f"{number:,}."):
        completion = f"So it is\n#### {spelling}"
        for gold in (str(number), f"{number:,}", f"{before}\n#### {number}"):
            assert all(harness_match(completion, gold, name) for name in HARNESS)
        assert not any(harness_match(completion, str(number + 1), name) for name in HARNESS)


@given(TEXTS, TEXTS, st.sampled_from(["Question:", "</s>", "<|im_end|>"]))
def test_nothing_behind_a_stop_string_counts(text, rest, stop):
    for name in HARNESS:
        assert harness_extract(text + stop + rest, name) == harness_extract(text + stop, name)


@given(TEXTS)
def test_a_strict_answer_is_no_more_than_digits_and_points(text):
    for name in HARNESS:
        extracted = harness_extract(text, name)
        assert extracted == INVALID or set(extracted) <= set("-.0123456789")


# The harness itself.


@pytest.fixture(scope="module")
def compare():
    """A function that gives the differences from the installed harness, for a list of (completion, gold)."""
    parts = {}
    for module in ("lm_eval", "yaml", "lm_eval.filters", "lm_eval.api.instance", "lm_eval.api.metrics", "lm_eval.models.utils"):
        try:
            parts[module] = importlib.import_module(module)
        except ImportError as missing:
            pytest.skip(f"lm_eval is not installed as a whole: {missing}")
    task = Path(parts["lm_eval"].__file__).parent / "tasks" / "gsm8k" / "gsm8k.yaml"
    config = parts["yaml"].safe_load(task.read_text(encoding="utf-8"))
    return lambda pairs: [line for stage in config["filter_list"] for line in differences(parts, config, stage, pairs)]


def differences(parts, config, stage, pairs):
    """One line for each pair on which we differ from a stage of the harness: its stop strings, its filters, its metric."""
    cut, until = parts["lm_eval.models.utils"].postprocess_generated_text, config["generation_kwargs"]["until"]
    instance, lines = parts["lm_eval.api.instance"].Instance, []
    instances = [instance("generate_until", {}, (), 0, resps=[cut(completion, until, None)]) for completion, _ in pairs]
    steps = [(step["function"], {k: v for k, v in step.items() if k != "function"}) for step in stage["filter"]]
    name = stage["name"]
    parts["lm_eval.filters"].build_filter_ensemble(name, steps).apply(instances)
    for (completion, gold), found in zip(pairs, instances, strict=True):
        theirs = judged(parts["lm_eval.api.metrics"].exact_match_fn, config["metric_list"][0], found.filtered_resps[name], gold)
        ours = (harness_match(completion, gold, name), harness_match(completion, found.filtered_resps[name], name))
        if ours != (theirs, True):
            lines.append(f"{name}: {completion!r} for {gold!r}: {ours}, the harness: {theirs} of {found.filtered_resps[name]!r}")
    return lines


def judged(metric, entry, prediction, gold):
    """The harness's verdict, from its metric as its task sets it."""
    options = {k: v for k, v in entry.items() if k not in ("metric", "aggregation", "higher_is_better")}
    return metric(predictions=[prediction], references=[gold], **options)["exact_match"] == 1.0


SHOWN = "{} {} {} {:,} {:,} {:,} ${:,} {:.1f} {:,.2f} {}. {}.. {}... {}% **{}** {}$".split() + ["$ {}", "{} eggs"]
LINES = ["####{}", "####  {}", "### {}", "The answer is {}", r"$\boxed{{{}}}$", "####\n{}", "A: {}"]
ENDS = ["", "", "", ".", "\n", " ...", "</s>7", "<|im_end|>\n", "\n#### 5", " \u0665", "\u00a0$", "\n\nQuestion: #### 3"]


def made_up(seed: int) -> tuple[str, str]:
    """A GSM8K-like completion, right or wrong, in one of many spellings, and its gold."""
    rng = random.Random(seed)
    gold = rng.choice([rng.randint(0, 99), rng.randint(100, 10**7), -rng.randint(1, 5000)])
    number = gold if rng.random() < 0.75 else gold + rng.choice([1, -1, 10, 0.5])
    shown = rng.choice(SHOWN)
    line = "#### {}" if rng.random() < 0.5 else rng.choice(LINES)
    signs = [(rng.choice("+-*/"), rng.choice(".,$! ")) for _ in range(rng.randint(0, 4))]
    steps = [f"{rng.randint(1, 99)} {sign} {rng.random():.3f} eggs{end}" for sign, end in signs]
    completion = "\n".join([*steps, line.format(shown.format(number))]) + rng.choice(ENDS)
    return completion, rng.choice([f"{gold}", f"{gold:,}", f"So 3 * 4 = <<3*4=12>>12.\n#### {gold:,}", f"#### {gold}"])


def test_made_up_outputs_are_judged_as_by_the_harness(compare):
    pairs = [made_up(seed) for seed in range(10_000)]
    pairs += [(completion, gold) for completion, *_ in CASES.values() for gold in ("18", "#### 18")]
    right = {name: sum(harness_match(*pair, name) for pair in pairs) for name in HARNESS}
    assert all(2000 < count < 8000 for count in right.values()), f"too one-sided to tell: {right}"
    found = compare(pairs)
    assert not found, "\n".join([f"{len(found)} differences", *found[:20]])


def test_any_text_is_judged_as_by_the_harness(compare):
    @settings(max_examples=500, deadline=None)
    @given(st.lists(st.tuples(TEXTS, GOLDS), min_size=1, max_size=10))
    def check(pairs):
        found = compare(pairs)
        assert not found, "\n".join(found)

    check()


def rows(pattern: str) -> list[dict]:
    files = sorted(BENCH.glob(pattern))
    if not files:
        pytest.skip(f"no {pattern} in {BENCH.name}/ beside the repo")
    return [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]


def test_real_outputs_are_judged_as_by_the_harness(compare):
    found = compare([(row["response"], row["gold"]) for row in rows("bench/verify/dev/*.jsonl")])
    assert not found, "\n".join([f"{len(found)} differences", *found[:20]])


def test_gsm8k_solutions_are_right_for_themselves():
    answers = [row["answer"] for row in rows("data/gsm8k/*.jsonl")]
    wrong = [answer for answer in answers if not harness_match(answer, answer, STRICT)]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(answers)}", *wrong[:5]])
