"""answers: verdicts by table, and properties over every notation of a number and over any text."""

import doctest
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_math import answers
from grpo_math.answers import UNANSWERABLE, explain, extract_answer, extract_boxed, is_correct, is_equivalent, read_completion
from grpo_math.formats import FORMATS

WRAPPINGS = {
    "raw": "{}",
    "dollars": "${}$",
    "box": "\\boxed{{{}}}",
    "box in dollars": "$\\boxed{{{}}}$",
    "parentheses": "\\({}\\)",
    "brackets": "\\[{}\\]",
}

TAGS = FORMATS["tags"]

# case: (answer, gold, verdict)
VERDICTS = {
    "same": ("72", "72", True),
    "other number": ("71", "72", False),
    "thousands": ("1,234", "1234", True),
    "thousands in LaTeX": ("1{,}234", "1234", True),
    "thousands by thin space": ("10\\,002", "10002", True),
    "thousands after a negative space": ("10,\\!000", "10000", True),
    "no thousands": ("1,23", "123", False),
    "thousands that repeat a number": ("1,001", "1", False),
    "thousands that repeat a number, in the gold": ("1", "1,001", False),
    "thousands that end in zeros, read as lists": ("1,000", "1,000,000", False),
    "thousands or a list": ("1,234", "1, 234", True),
    "a list or thousands": ("1 and 234", "1,234", True),
    "thin space without a group": ("22\\,23", "2223", False),
    "dollar": ("$20", "20", True),
    "escaped dollar": ("\\$20", "20", True),
    "negative dollar": ("-$20", "-20", True),
    "dollar in the gold": ("20", "\\$20", True),
    "euro": ("€20", "20", True),
    "percent": ("50\\%", "50", True),
    "percent with decimals": ("35.0\\%", "35", True),
    "percent in the gold": ("50", "50\\%", True),
    "degrees": ("30^\\circ", "30", True),
    "degree sign": ("30°", "30", True),
    "no leading zero": (".5", "0.5", True),
    "slash": ("1/2", "0.5", True),
    "frac": ("\\frac{1}{2}", "0.5", True),
    "short dfrac": ("\\dfrac12", "1/2", True),
    "unreduced": ("\\frac{2}{4}", "1/2", True),
    "negative frac": ("-\\frac{1}{2}", "\\frac{-1}{2}", True),
    "frac next to a digit": ("\\frac{1}{2}3", "1/23", False),
    "mixed number": ("1\\frac45", "9/5", True),
    "mixed number, whole part alone": ("1", "1\\frac45", False),
    "mixed number with a slash": ("1 1/2", "1.5", True),
    "division by zero": ("1/0", "1", False),
    "division by zero in the gold": ("1/0", "1/0", None),
    "negative": ("-3", "-3", True),
    "sign lost": ("3", "-3", False),
    "unicode minus": ("\u22123", "-3", True),
    "plus": ("+3", "3", True),
    "trailing zeros": ("1.50", "1.5", True),
    "trailing period": ("7.", "7", True),
    "not rounded": ("0.333", "1/3", False),
    "tiny and tinier": ("0.0000000001", "0.00000000001", False),
    "scientific": ("1.2e3", "1200", True),
    "powers of ten": ("1.2 \\times 10^{3}", "1200", True),
    "exponent over the cap": ("1e999999999", "1", False),
    "exponent over the cap, both": ("1e999999999", "1e999999999", True),
    "name": ("x = 5", "5", True),
    "name in the gold": ("5", "x=5", True),
    "two names": ("y = 5", "x = 5", False),
    "subscript": ("A_{\\min}= \\frac12", "\\frac{1}{2}", True),
    "equation": ("2x+1=5", "5", False),
    "chain of equations": ("5=7+5", "5", False),
    "unit": ("22 apples", "22", True),
    "unit of words": ("60 miles per hour", "60", True),
    "unit in text": ("5\\text{ cm}", "5", True),
    "short unit": ("5cm", "5", True),
    "letter in text": ("5\\text{ m}", "5", True),
    "square unit": ("5\\text{ cm}^2", "5", True),
    "frac with a unit": ("\\frac{1}{2} cups", "0.5", True),
    "units that differ": ("5\\text{ cm}", "5\\text{ m}", False),
    "unit in another script": ("12元", "12", True),
    "unit in another script, in the gold": ("12", "12 元", True),
    "unit in another script, in text": ("12\\text{ 元}", "12", True),
    "unit in another script, of words": ("12 бутылок воды", "12", True),
    "unit in another script, with marks": ("१२ रुपये", "12", True),
    "unit with an accent": ("5 años", "5", True),
    "unit with an accent, decomposed": ("5 an\u0303os", "5 años", True),
    "unit in another script, by a slash": ("12 元/千克", "12", True),
    "unit in another script, other number": ("12元", "13", False),
    "unit in another script, then a number": ("5元5角", "5", False),
    "units in another script that differ": ("5元", "5角", False),
    "units in two scripts": ("5厘米", "5 cm", False),
    "unit in another script, capital": ("12 Яблок", "12 яблок", True),
    "unit of one letter in text": ("50\\,\\text{Ω}", "50", True),
    "variable in another alphabet": ("5х", "5", False),
    "variable in Greek": ("2η", "2", False),
    "variables in Greek": ("2ηξ", "2", False),
    "word in another script behind a letter": ("A错误", "A", False),
    "numeral in another script": ("12万", "12", False),
    "numeral in another script, as a unit's prefix": ("5千米", "5", True),
    "number word in Cyrillic": ("5 тысяч", "5", False),
    "number word with an accent": ("2 millón", "2", False),
    "and a half in another script": ("3个半", "3", False),
    "hedge in another script": ("5以上", "5", False),
    "currency behind": ("12€", "12", True),
    "currency behind, escaped dollar": ("12\\$", "12", True),
    "currency that is no euro": ("₹12", "12", True),
    "currency between": ("5€3", "5", False),
    "date": ("2024-01-05", "2024-05-01", False),
    "date, same": ("2024-1-5", "2024-01-05", True),
    "date without zeros": ("2024-10-12", "2024-12-10", False),
    "date as a sum": ("2024-01-05", "2018", False),
    "dates": ("2024-02-05, 2024-01-05", "2024-01-05, 2024-02-05", True),
    "dates, other": ("2024-01-05, 2024-02-05", "2024-02-05, 2024-05-01", False),
    "date, named": ("x = 2024-01-05", "2024-01-05", True),
    "date, day first": ("01-05-2024", "02-06-2024", False),
    "no date, as it says": ("2000-10-12 = 1978", "1978", True),
    "no date, behind the equals sign": ("1978 = 2000-10-12", "1978", True),
    "no date, as there is no such day": ("2000-50-25", "1925", True),
    "time": ("9:05", "1.8", False),
    "time, other": ("12:05", "24:10", False),
    "time, zeros": ("09:05", "9:05", True),
    "half of a day in one": ("1:05 PM", "1:05", True),
    "half of a day that differs": ("1:05 PM", "1:05 AM", False),
    "number in groups": ("555-0123", "432", False),
    "difference": ("10-4", "6", True),
    "difference of decimals": ("0.5-0.05", "0.45", True),
    "variable": ("16x", "16", False),
    "pi": ("5 pi", "5", False),
    "million": ("2 million", "2", False),
    "and a half": ("2 and a half", "2", False),
    "hedge": ("22 or 23", "22", False),
    "hedge, second": ("22 or 23", "23", False),
    "hedge without a number": ("22 or more", "22", False),
    "two numbers": ("22 23", "22", False),
    "two numbers are not joined": ("22 23", "2223", False),
    "two numbers in the gold are not joined": ("2223", "22 23", False),
    "list": ("1, 2", "1", False),
    "list, second": ("1, 2", "2", False),
    "list, spacing": ("1,2", "1, 2", True),
    "plus or minus": ("\\pm 3", "3", False),
    "power": ("2^3", "2", False),
    "base": ("204_5", "204", False),
    "text": ("\\text{Evelyn}", "Evelyn", True),
    "other text": ("eat", "tea", False),
    "spacing": ("( 1 , 2 )", "(1,2)", True),
    "left and right": ("\\left(1,\\frac12\\right)", "(1, \\dfrac{1}{2})", True),
    "interval ends": ("[1,2)", "[1,2]", False),
    "surd": ("2\\sqrt3", "2\\sqrt{3}", True),
    "surd, coefficient alone": ("2", "2\\sqrt{3}", False),
    "exponent in braces": ("x^{2}", "x^2", True),
    "whole text macro": ("\\text{22 apples}", "22", True),
    "emphasis": ("**22**", "22", True),
    "empty answer": ("", "22", False),
    "digits too many": ("1" * 3999, "1", False),
    "answer too long": ("1" * 5000, "1", False),
    "empty gold": ("22", "", None),
    "white gold": ("22", " $ $ ", None),
    "empty box as gold": ("22", "\\boxed{}", None),
    "gold too long": ("22", "2" * 5000, None),
    "an equation that always holds": ("x=x", "x=3", False),
    "a longer one": ("(x-1)^2=x^2-2x+1", "x=3", False),
    "one in two letters": ("x+y=y+x", "y=2x+3", False),
    "the problem's own equation": ("2x+1=7", "x=3", False),
    "the value on the left": ("3=x", "x=3", True),
    "a line in another form": ("2x-y+3=0", "y=2x+3", True),
    "a value at 0 is no product with 0": ("0", "I(0)e^{-t/RC}", False),
    "two functions at 0": ("P(0)", "Q(0)", False),
    "a factor before a sum": ("x(x+1)", "x^2+x", True),
    "two things": ("5 apples", "5 oranges", False),
    "more words for a thing": ("5 green apples", "5 apples", True),
    "a unit that we know and another": ("42 acres", "42 m", False),
    "a compound unit": ("42 mph", "42 km/h", False),
    "a compound unit in words": ("42 mph", "42 miles per hour", True),
    "two days": ("2024-01-05", "2024-05-01", False),
    "a day, without zeros": ("2024-1-5", "2024-01-05", True),
    "a day is no difference": ("2024-01-05", "2018", False),
    "no month": ("2024-13-5", "2006", True),
    "a telephone number": ("555-1234", "-679", False),
    "a difference": ("10-4", "6", True),
    "unit in Chinese": ("12元", "12", True),
    "unit in Chinese, as text": ("12\\text{元}", "12", True),
    "unit in Russian": ("5 км", "5", True),
    "unit with an accent, in the gold": ("5", "5 años", True),
    "other number in Chinese": ("12元", "13", False),
    "two of them": ("12元和13元", "12", False),
    "words of another script before a number": ("不是12", "12", False),
}


@pytest.mark.parametrize(("answer", "gold", "expected"), VERDICTS.values(), ids=VERDICTS)
@pytest.mark.parametrize("wrapping", WRAPPINGS.values(), ids=WRAPPINGS)
def test_is_equivalent_however_the_gold_is_wrapped(answer, gold, expected, wrapping):
    wrapped = wrapping.format(gold)
    got = is_equivalent(answer, wrapped)
    shown = f"{answer[:60]!r} against {wrapped[:60]!r}"
    assert got is expected, f"{shown} gave {got}, expected {expected}"


GOLDS = {  # what data sets have as a gold answer: (gold, an answer, its verdict, the gold as text)
    "alternatives": (["1/3", "0.5"], "\\frac12", True, "1/3 or 0.5"),
    "none of them": (["1/3", "0.5"], "2", False, "1/3 or 0.5"),
    "one of them cannot be graded": (["", "7"], "7", True, " or 7"),
    "none of them can": (["", None], "7", None, " or "),
    "no alternative": ([], "7", None, ""),
    "a number": (72, "72.0", True, "72"),
    "a float": (72.0, "72", True, "72"),
    "missing": (None, "7", None, ""),
    "refused or answered": ([UNANSWERABLE, "7"], "cannot be determined", True, f"{UNANSWERABLE} or 7"),
}


@pytest.mark.parametrize(("gold", "answer", "expected", "text"), GOLDS.values(), ids=GOLDS)
def test_a_gold_may_be_a_number_or_a_list_of_alternatives(gold, answer, expected, text):
    assert is_equivalent(answer, gold) is expected
    read = read_completion(f"w<end_working_out><SOLUTION>{answer}</SOLUTION>", gold, TAGS)
    assert read.correct is read.strict_correct is expected
    told = explain(f"The answer is {answer}.", gold)
    assert told.correct is expected and told.gold == text


def test_a_gold_that_is_a_table_is_a_type_error():
    with pytest.raises(TypeError, match="not dict: {'value': 7}"):
        is_equivalent("7", {"value": 7})


BOXES = {
    "one": ("so \\boxed{5}", "5"),
    "last": ("\\boxed{4}. Wait, no: \\boxed{3}", "3"),
    "nested braces": ("\\boxed{\\frac{1}{2}} done", "\\frac{1}{2}"),
    "escaped braces": ("\\boxed{\\{1\\}}", "\\{1\\}"),
    "fbox": ("\\fbox{5}", "5"),
    "white space": ("\\boxed {5}", "5"),
    "after a line break": ("a \\\\\\boxed{5}", "5"),
    "stray braces": ("} { \\boxed{5}", "5"),
    "complete before open": ("\\boxed{5} \\boxed{6", "5"),
    "open around complete": ("\\boxed{ a \\boxed{6}", "6"),
    "none": ("5", None),
    "open": ("\\boxed{5", None),
    "while thinking": ("<think>\\boxed{3}</think> I do not know.", None),
    "after thinking": ("<think>\\boxed{3}</think> \\boxed{4}", "4"),
}


@pytest.mark.parametrize(("text", "expected"), BOXES.values(), ids=BOXES)
def test_extract_boxed(text, expected):
    got = extract_boxed(text)
    assert got == expected, f"{text!r} gave {got!r}, expected {expected!r}"


# case: (text, format, strict answer, flexible answer)
EXTRACTED = {
    "section": ("w<end_working_out><SOLUTION>72</SOLUTION>", TAGS, "72", "72"),
    "section before box": ("\\boxed{1}<end_working_out><SOLUTION>72</SOLUTION>", TAGS, "72", "72"),
    "box in place of the section": ("w \\boxed{72}", TAGS, None, "72"),
    "section cut off": ("w<end_working_out><SOLUTION>72", TAGS, None, None),
    "section cut off, its answer announced": ("<SOLUTION>6 * 12 = 72. The answer is 72.", TAGS, None, "72"),
    "answer announced before a section that is cut off": ("The answer is 72.<end_working_out><SOLUTION>", TAGS, None, "72"),
    "two sections": ("<SOLUTION>71</SOLUTION><SOLUTION>72</SOLUTION>", TAGS, None, "72"),
    "box, no format": ("w \\boxed{72}", None, "72", "72"),
    "box before a mark": ("\\boxed{72}\n#### 71", None, "72", "72"),
    "hashes": ("8 * 9 = 72\n#### 72", None, None, "72"),
    "heading is no mark": ("#### Step 1\nIt is 72", None, None, "72"),
    "answer": ("Answer: 72", None, None, "72"),
    "bold answer": ("**Answer:** 72 apples.", None, None, "72 apples"),
    "answer with a tag": ("Answer: 72</SOLUTION>", None, None, "72"),
    "A": ("Q: 8 * 9?\nA: 72", None, None, "72"),
    "the answer is": ("So the answer is 72. I checked it 2 times.", None, None, "72"),
    "final answer is": ("Final Answer: The final answer is $72$. I hope it is correct.", None, None, "72"),
    "currency": ("The answer is $72 dollars in total.", None, None, "72"),
    "reason after it": ("The answer is 72, because 8 * 9 is 72.", None, None, "72"),
    "hedge is kept": ("The answer is 72 or 73.", None, None, "72 or 73"),
    "bold": ("8 * 9 makes **72** by 1 step", None, None, "72"),
    "last number": ("1 step\n8 * 9 = 72.\n\n", None, None, "72"),
    "last number, negative": ("It is -72", None, None, "-72"),
    "nothing but an answer": ("100-28", None, None, "100-28"),
    "last frac": ("It is $\\frac{1}{2}$.", None, None, "\\frac{1}{2}"),
    "no number in the last line": ("72\nDone!", None, None, None),
    "nothing": ("", None, None, None),
}


@pytest.mark.parametrize(("text", "fmt", "strict", "flexible"), EXTRACTED.values(), ids=EXTRACTED)
def test_extract_answer(text, fmt, strict, flexible):
    got = extract_answer(text, fmt, strict=True), extract_answer(text, fmt)
    assert got == (strict, flexible), f"{text!r} gave {got}, expected {(strict, flexible)}"


CORRECT = {
    "right": ("w<end_working_out><SOLUTION>72</SOLUTION>", "72", True, True),
    "wrong": ("w<end_working_out><SOLUTION>71</SOLUTION>", "72", False, False),
    "right without the form": ("It is 72.", "72", False, True),
    "no answer": ("I do not know", "72", False, False),
    "no gold": ("It is 72.", "", None, None),
}


@pytest.mark.parametrize(("text", "gold", "strict", "flexible"), CORRECT.values(), ids=CORRECT)
def test_is_correct(text, gold, strict, flexible):
    got = is_correct(text, gold, TAGS, strict=True), is_correct(text, gold, TAGS)
    assert got == (strict, flexible), f"{text!r} against {gold!r} gave {got}, expected {(strict, flexible)}"


numbers = st.builds(Fraction, st.integers(-(10**6), 10**6), st.integers(1, 1000))


def notations(value: Fraction) -> list[str]:
    """Ways of writing a number, all exact."""
    n, d = value.numerator, value.denominator
    ways = [
        f"{n}/{d}",
        f"\\frac{{{n}}}{{{d}}}",
        f"\\dfrac{{{3 * n}}}{{{3 * d}}}",
        f"x = {n}/{d}",
        f"${n}/{d}$",
        f"{n} / {d} apples",
    ]
    if d == 1:
        ways += [str(n), f"{n:,}", f"{n}.0", f"{n}.", f"{n} apples", f"${n}", f"\\text{{{n}}}", f"{n}e0"]
        ways.append(str(n).replace("-", "\u2212"))
    return ways


@settings(max_examples=200, deadline=None)
@given(numbers | st.integers(-(10**6), 10**6).map(Fraction), numbers)
def test_every_notation_of_a_number_is_equal_and_of_no_other(value, other):
    golds = [way for way in notations(value) if "apples" not in way]
    for gold in golds:
        for way in notations(value):
            assert is_equivalent(way, gold), (way, gold)
        for way in notations(other):
            assert is_equivalent(way, gold) is (value == other), (way, gold)


MARKS = ["\\boxed{", "\\frac", "\\text{", "e9", "<SOLUTION>", "</think>", "answer is", "####", "**", "A:", "or", "23"]
pieces = st.sampled_from([*"{}$1,./-=x \n\\^\u0661½", *MARKS])
texts = st.lists(pieces | st.text(max_size=4), max_size=14).map("".join)


@settings(max_examples=500, deadline=None)
@given(texts, texts)
def test_any_text_gets_a_verdict_and_a_gold_equals_itself(text, gold):
    assert is_equivalent(gold, gold) is not False
    verdicts = {fmt: (is_correct(text, gold, fmt, strict=True), is_correct(text, gold, fmt)) for fmt in (None, *FORMATS.values())}
    for strict, flexible in verdicts.values():
        assert (strict is None) == (flexible is None)
        assert not strict or flexible, "what counts in the required form counts anywhere"


def read_separately(text: str, gold: str, fmt) -> tuple:
    """What `read_completion` gives, by the calls that each give a part of it."""
    verdict = explain(text, gold, fmt)
    strict = extract_answer(text, fmt, strict=True), is_correct(text, gold, fmt, strict=True)
    return verdict.answer, verdict.correct, verdict.reason, *strict, fmt.parse(text).exact


READ = {name: (text, "72") for name, (text, *_) in EXTRACTED.items()} | {name: case[:2] for name, case in CORRECT.items()}
READ |= {f"{name}, unanswerable": (text, UNANSWERABLE) for name, (text, _) in READ.items()}
READ |= {
    "boxes that are the parts of the gold": ("\\boxed{2}, then \\boxed{3}", "2, 3"),
    "answers that disagree": ("\\boxed{72}\nThe answer is 71.", "72"),
    "refusal in the form": ("w<end_working_out><SOLUTION>How many?</SOLUTION>", UNANSWERABLE),
    "refusal outside the form": ("It cannot be determined.", UNANSWERABLE),
    "refusal before a number in the form": ("It is not given.<end_working_out><SOLUTION>12</SOLUTION>", UNANSWERABLE),
}


@pytest.mark.parametrize(("text", "gold"), READ.values(), ids=READ)
def test_a_completion_read_once_is_read_as_by_the_separate_calls(text, gold):
    for fmt in FORMATS.values():
        assert read_completion(text, gold, fmt) == read_separately(text, gold, fmt), fmt.name


@settings(max_examples=300, deadline=None)
@given(texts, texts | st.just(UNANSWERABLE))
def test_any_text_is_read_once_as_by_the_separate_calls(text, gold):
    for fmt in FORMATS.values():
        assert read_completion(text, gold, fmt) == read_separately(text, gold, fmt), fmt.name


def test_examples_in_docstrings():
    for module in (answers, answers.extract, answers.verdict):
        assert doctest.testmod(module).failed == 0
