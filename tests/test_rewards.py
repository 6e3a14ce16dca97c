"""Rewards: TRL's call form, what pays and what must not, pickling, and lightness."""

import itertools
import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_math.formats import FORMATS, get_format
from grpo_math.rewards import reward_set

TAGS = get_format("tags")
FORM = "w<end_working_out><SOLUTION>{}</SOLUTION>"


def total(completion: str, answer: str, fmt=TAGS) -> float:
    return sum(f([completion], answer=[answer])[0] or 0.0 for f in reward_set(fmt))


def test_names_and_call_form():
    functions = reward_set(TAGS)
    assert [f.__name__ for f in functions] == ["correctness", "exact_format", "approximate_format"]
    conversation = [[{"role": "assistant", "content": FORM.format(42)}]]
    for f in functions:
        extra = {"prompts": ["q"], "completion_ids": [[1]], "trainer_state": None}
        assert f(conversation, answer=["42"], **extra) == f([FORM.format(42)], answer=["42"], **extra)


def test_gold_that_cannot_be_graded_is_none_and_never_rewarded():
    assert reward_set(TAGS)[0]([FORM.format(42)], answer=[""]) == [None]


def test_extracted_and_gold_are_logged():
    logged = {}
    reward_set(TAGS)[0]([FORM.format(41), "?"], answer=["42", "1"], log_extra=logged.__setitem__)
    assert logged == {"gold": ["42", "1"], "extracted": ["41", ""]}


NEVER_BETTER = {
    "text after the end": FORM.format(42) + " or 43",
    "tag stuffing": FORM.format(42) + "<SOLUTION>" * 5,
    "two answers": FORM.format(42) + "<SOLUTION>43</SOLUTION>",
    "no working": "<end_working_out><SOLUTION>42</SOLUTION>",
    "tags only": "<end_working_out><SOLUTION></SOLUTION>",
    "no form": "The answer is 42.",
    "nothing": "",
}


@pytest.mark.parametrize("name", NEVER_BETTER)
def test_only_the_form_with_the_right_answer_earns_all(name):
    assert total(NEVER_BETTER[name], "42") < total(FORM.format(42), "42") == 4.5


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_a_wrong_answer_in_any_notation_never_earns_more_than_a_right_one(fmt):
    right = ["42", "42.0", "$42", "84/2", r"\frac{84}{2}", "4200\\%"]
    wrong = ["41", "42.1", "-42", "421", "42 or 43", ""]
    pay = {a: total(fmt.render_target("6 * 7.", a), "42", fmt) for a in right + wrong}
    for a, b in itertools.product(right, wrong):
        assert pay[a] > pay[b], f"{b!r} earns {pay[b]}, {a!r} earns {pay[a]}"


@given(st.text(max_size=200) | st.lists(st.sampled_from([*TAGS.tags, "42", " ", "w"]), max_size=12).map("".join))
def test_nothing_a_model_writes_raises_or_earns_more_than_the_form(text):
    assert total(text, "42") <= 4.5
    if not TAGS.parse(text).exact:
        assert total(text, "42") < 4.5


def test_pickling():
    for f in reward_set(TAGS):
        again = pickle.loads(pickle.dumps(f))
        assert again([FORM.format(42)], answer=["42"]) == f([FORM.format(42)], answer=["42"]) and again.__name__ == f.__name__


def test_the_import_is_light():
    code = "import time; t = time.perf_counter(); import grpo_math.rewards; print(time.perf_counter() - t)"
    seconds = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert seconds < 0.5
