"""Finding and comparing answers: named cases, then properties."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_math.answers import extract_answer, extract_boxed, is_correct, is_equivalent, normalise
from grpo_math.formats import FORMATS

TAGS = FORMATS["tags"]

EQUIVALENT = {  # name: (answer, gold, verdict)
    "same": ("22", "22", True),
    "thousands": ("1,234", "1234", True),
    "dollars": ("$20", "20", True),
    "decimal and fraction": ("0.5", "1/2", True),
    "latex fraction": (r"\frac{1}{2}", "0.5", True),
    "short latex fraction": (r"\dfrac12", "1/2", True),
    "percent": (r"50\%", "0.5", True),
    "trailing point": ("7.", "7", True),
    "leading point": (".5", "0.5", True),
    "unicode minus": ("−3", "-3", True),
    "an equation's right side": ("x = 5", "5", True),
    "a unit": ("22 apples", "22", True),
    "a text unit": (r"10\text{ cm}", "10", True),
    "boxed gold": ("22", r"\boxed{22}", True),
    "dollar gold": (r"\frac{1}{2}", r"$\frac{1}{2}$", True),
    "text": ("blue", "blue", True),
    "another number": ("21", "22", False),
    "close is not equal": ("0.333", "1/3", False),
    "sign": ("-3", "3", False),
    "two guesses": ("22 or 23", "22", False),
    "two numbers": ("22 23", "22", False),
    "a list": ("1, 2", "2", False),
    "empty answer": ("", "22", False),
    "zero denominator": ("1/0", "0", False),
    "letters in another order": ("tea", "eat", False),
    "empty gold": ("22", "", None),
}

EXTRACT = {  # name: (text, answer)
    "form": ("w<end_working_out><SOLUTION>42</SOLUTION>", "42"),
    "box": (r"so \boxed{42}", "42"),
    "the last box": (r"So \boxed{4}. Wait, no: \boxed{3}", "3"),
    "after the last think": (r"<think>\boxed{3}</think> \boxed{5}", "5"),
    "hashes": ("48/2 = 24\n#### 72", "72"),
    "answer colon": ("Answer: 42", "42"),
    "the answer is": ("57 + 86 = 143. The answer is 143.", "143"),
    "letter": ("Q: ?\nA: 42", "42"),
    "bold": ("It costs **42** dollars", "42"),
    "last line": ("first 1\nso it is 42", "42"),
    "decimals": ("The answer is 3.5.", "3.5"),
    "no answer": ("I do not know.", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize("name", EQUIVALENT)
def test_is_equivalent(name):
    answer, gold, expected = EQUIVALENT[name]
    got = is_equivalent(answer, gold)
    assert got is expected, f"{name}: {answer!r} against {gold!r} gave {got}, expected {expected}"


@pytest.mark.parametrize("name", EXTRACT)
def test_extract_answer(name):
    text, expected = EXTRACT[name]
    got = extract_answer(text, TAGS)
    assert got == expected, f"{name}: {text!r} gave {got!r}, expected {expected!r}"


def test_strict_wants_the_form():
    assert extract_answer("The answer is 42.", TAGS, strict=True) is None
    assert is_correct("The answer is 42.", "42", TAGS) and not is_correct("The answer is 42.", "42", TAGS, strict=True)
    assert extract_answer(r"so \boxed{42}", strict=True) == "42"


@pytest.mark.parametrize(("text", "expected"), [
    (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"), (r"\boxed{\{1, 2\}}", r"\{1, 2\}"), (r"\boxed{4", None), (r"\boxed{}", None),
    (r"\boxed{1} and \boxed{2", "1"), (r"\fbox{9}", "9"), ("no box", None)])
def test_extract_boxed(text, expected):
    assert extract_boxed(text) == expected


@given(st.fractions(max_denominator=10**6))
def test_every_number_equals_its_notations(value: Fraction):
    gold = str(value)
    latex = f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
    for answer in (gold, f"${gold}$", f"\\boxed{{{gold}}}", latex, f"  {gold}. "):
        assert is_equivalent(answer, gold) is True and is_equivalent(gold, answer) is True, answer
    assert is_equivalent(str(value + 1), gold) is False


@given(st.text(max_size=200), st.text(max_size=50))
def test_nothing_raises(text, gold):
    normalise(text)
    assert is_correct(text, gold, TAGS) in (True, False, None)


@pytest.mark.parametrize("text", ["9" * 10**6, "\\boxed{" * 20_000, "{" * 200_000, "1e999999999", "9^9^9^9", "$" * 10**5, "1," * 10**5,
                                  "1/" * 10**5, " " * 10**6, "a" * 10**6, "answer: " * 10**5, "**" * 10**5])
def test_hostile_input_takes_bounded_time(text):
    started = time.perf_counter()
    is_correct(text, "42", TAGS)
    is_equivalent(text, "42")
    is_equivalent("42", text)
    assert time.perf_counter() - started < 5, text[:20]
