"""Unanswerable twins: what is taken from a problem, what counts as a refusal, and where the two meet in rewards."""

import re
import time
from fractions import Fraction
from itertools import islice

import pytest

from grpo_lab.tiny.corpus import WAYS
from grpo_lab.tiny.problems import ASIDES, generate
from grpo_math.answers import UNANSWERABLE, explain, is_correct, is_equivalent, is_refusal
from grpo_math.answers.refusal import refuses
from grpo_math.audit.grounding import CONSTANTS
from grpo_math.formats import FORMATS, get_format
from grpo_math.rewards import check_golds, correctness, number, reward_set
from grpo_math.unanswerable import VAGUE, make_twin, needed_numbers

NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


def taken(question: str, twin: str) -> tuple[int, str]:
    """Where the twin departs from its question, and the number that stands there in the question."""
    place = next(i for i, (was, now) in enumerate(zip(question, twin)) if was != now)
    return place, NUMBER.search(question, place)[0]


# 1. What is taken from a problem.

# name: (question, solution, twin)
TWINS = {
    "a number": ("Ben has 12 pens. How many more than 5?", "12 - 2 = 10", "Ben has many pens. How many more than 5?"),
    "money": ("A pen costs $12. What do two cost?", "12 * 2 = 24", "A pen costs many dollars. What do two cost?"),
    "money with cents": ("A pen costs $1.25 here. Buy 2.", "1.25 * 2 = 2.5", "A pen costs many dollars here. Buy 2."),
    "money with a space": ("It costs $ 12 now.", "12 * 2 = 24", "It costs many dollars now."),
    "percent": ("He sells 20% of them.", "20 / 100 * 60 = 12", "He sells many percent of them."),
    "percent with a space": ("He sells 20 % of them.", "20 / 100 * 60 = 12", "He sells many percent of them."),
    "percent in a word": ("He sells 20 percent.", "20 / 100 * 60 = 12", "He sells many percent."),
    "the first word": ("12 children play. How many eyes?", "12 * 2 = 24", "Many children play. How many eyes?"),
    "a sentence's first word": ("They play. 12 children watch.", "12 * 2 = 24", "They play. Many children watch."),
    "a line's first word": ("They play.\n12 children watch.", "12 * 2 = 24", "They play.\nMany children watch."),
    "money first": ("$12 is the price. Buy 2.", "12 * 2 = 24", "Many dollars is the price. Buy 2."),
    "thousands": ("Ben has 1,200 pens.", "1,200 * 2 = 2,400", "Ben has many pens."),
    "before a comma": ("Ben has 12, Ida 2.", "12 + 2 = 14", "Ben has many, Ida 2."),
    "before a period": ("Ida has 2, Ben 12.", "12 + 2 = 14", "Ida has 2, Ben many."),
    "a step between": ("Ben has 12 pens.", "12 * 2 = 24. 24 + 3 = 27.", "Ben has many pens."),
    "annotated": ("Ben has 12 pens.", "12*2=<<12*2=24>>24 eyes", "Ben has many pens."),
}


@pytest.mark.parametrize(("question", "solution", "twin"), TWINS.values(), ids=TWINS)
def test_a_twin_lacks_one_quantity(question, solution, twin):
    assert make_twin(question, solution) == twin


# name: (question, solution): the number is needed, but no word can stand for it, or something else gives it
NO_TWIN = {
    "part of a word": ("Ben runs a 6-mile loop twice.", "6 * 2 = 12"),
    "a unit without a space": ("Ben has 300g of rice, Ida twice that.", "300 * 2 = 600"),
    "a number with a name": ("Ben takes the A12 twice.", "12 * 2 = 24"),
    "the time": ("It begins at 7:11, twice.", "11 * 2 = 22"),
    "the hour": ("It begins at 7 pm.", "7 + 2 = 9"),
    "the hour on the clock": ("It begins at 7 o'clock.", "7 + 2 = 9"),
    "a fraction": ("Ben eats 3/8 twice.", "8 * 2 = 16"),
    "part of a larger number": ("Ben has 1,250 pens.", "250 * 2 = 500"),
    "a decimal's places": ("Ben has 1.25 liters.", "25 * 2 = 50"),
    "after a": ("Ben has a 12 foot board.", "12 * 2 = 24"),
    "after another": ("Ben buys another 12.", "12 * 2 = 24"),
    "a date in digits": ("It began on 05/14/2020.", "14 * 2 = 28"),
    "a date by ISO": ("It began on 2020-05-14.", "14 * 2 = 28"),
    "the day of a month": ("It began on May 14.", "14 * 2 = 28"),
    "the day before a month": ("It began on 14 May.", "14 * 2 = 28"),
    "a year": ("It began in 1994.", "1994 + 2 = 1996"),
    "millions": ("It costs $14 million.", "14 * 2 = 28"),
    "other money": ("It costs €14.", "14 * 2 = 28"),
    "a constant": ("Ben has 100 pens and loses 3.", "100 - 3 = 97"),
    "said twice": ("Ben has 12 pens, 12 in all.", "12 * 2 = 24"),
    "said in words too": ("Ben has 12 pens, so twelve in all.", "12 * 2 = 24"),
    "said as a dozen too": ("Ben has 12 pens, a dozen.", "12 * 2 = 24"),
    "not needed": ("Ben is 12. He has 5 pens, Ida twice as many.", "2 * 3 = 6"),
    "needed for another step alone": ("Ben is 12. He has 3 pens.", "12 * 4 = 48. 3 * 2 = 6."),
    "the number of a result": ("It is 24 degrees. Ben has 3 pens.", "3 * 2 = 6. 6 * 4 = 24."),
    "the number of a step's result": ("It is 24 degrees. Ben has 3 pens.", "3 * 8 = 24. 24 + 2 = 26."),
    "a formula in dollars": ("The sides are $12$ and $5$ long.", "12 * 5 = 60"),
    "a longer formula": ("The sides are $12 + x$ and 5 long.", "12 * 5 = 60"),
    "a formula in LaTeX": (r"The sides are \(x\) and 12 long.", "12 * 5 = 60"),
    "no numbers": ("Ben has pens.", "12 * 2 = 24"),
    "no solution": ("Ben has 12 pens.", ""),
    "no equation": ("Ben has 12 pens.", "Twelve pens are 12."),
    "no question": ("", "12 * 2 = 24"),
}


@pytest.mark.parametrize(("question", "solution"), NO_TWIN.values(), ids=NO_TWIN)
def test_where_nothing_can_be_taken_there_is_no_twin(question, solution):
    assert make_twin(question, solution) is None


@pytest.mark.parametrize(
    ("solution", "needed"),
    [
        ("12 + 30 = 42", {12, 30}),
        ("12 * 4 = 48. 48 + 7 = 55.", {12, 4, 7}),
        ("(12 + 30) / 7 = 6", {12, 30, 7}),
        ("12 + 30 = 42 = 42", {12, 30}),
        ("5 * 5 = 25. 12 + 30 = 42.", {12, 30}),  # the first step leads nowhere
        ("12 + 30 = 42. 42 - 30 = 12.", {30}),  # 12 is the result too
        ("20% of 60 = 12", {20, 60}),
        ("1.5 * 4 = 6", {Fraction(3, 2), 4}),
        ("no equation", set()),
        ("", set()),
    ],
)
def test_needed_numbers(solution, needed):
    assert needed_numbers(solution) == needed


def test_every_twin_of_the_tiny_world_lacks_a_number_that_is_needed():
    made, problems = 0, list(islice(generate("test", 0), 1000))
    asides = re.compile("|".join(re.escape(aside).replace(r"\{n\}", r"\d+") for aside in ASIDES))
    for problem in problems:
        twin = make_twin(problem.question, WAYS["step_by_step"](problem))
        if twin is None:
            continue
        made += 1
        place, lost = taken(problem.question, twin)
        assert lost not in NUMBER.findall(twin), (problem.question, twin)
        assert int(lost) in problem.operands and int(lost) not in CONSTANTS, (problem.question, twin)
        assert not any(aside.start() <= place < aside.end() for aside in asides.finditer(problem.question)), (problem, twin)
        assert twin.lower() == problem.question[:place].lower() + VAGUE + problem.question[place + len(lost) :].lower()
        assert twin == make_twin(problem.question, WAYS["step_by_step"](problem))
    assert made > 0.97 * len(problems)


def test_the_same_problem_loses_the_same_quantity_everywhere():
    # Written down once: another machine or Python must make the same twins.
    twins = []
    for name in ("Ben", "Ida", "Olga", "Sam"):
        question = f"{name} has 12 pens, buys 30, loses 5 and gives 8 away."
        twins.append(taken(question, make_twin(question, "12 + 30 = 42. 42 - 5 = 37. 37 - 8 = 29."))[1])
    assert twins == ["12", "12", "30", "30"]


def test_every_quantity_is_taken_from_some_problem():
    places = set()
    for n in range(40):
        question = f"Ben has 12 pens, buys 30, loses 5 and gives {n} away."
        places.add(taken(question, make_twin(question, "12 + 30 = 42. 42 - 5 = 37."))[1])
    assert places == {"12", "30", "5"}


HOSTILE = {
    "digits": "9" * 10**6,
    "numbers": " ".join(str(n) for n in range(10, 200_000)),
    "a short list of numbers": " ".join(str(n) for n in range(10, 510)),
    "dollars": "$" * 10**6,
    "commas": "1" + ",000" * 250_000,
    "blanks": "12." + " " * 10**6 + "13",
    "sums": "12 + 30 = 42. " * 70_000,
    "one sum": "+".join("1" * 500_000) + " = 3",
    "surrogates": "\ud800" * 10**6,
    "other digits": "١٢ + ٣٠ = ٤٢ " * 50_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_takes_bounded_time(text):
    needs_all = ". ".join(f"{n} + {n + 1} = {2 * n + 1}" for n in range(10, 2000))
    start = time.process_time()
    make_twin(text, text), make_twin(text, needs_all), make_twin("Ben has 12 pens.", text)
    is_refusal(text), refuses(text, None), refuses(text, text[:2000]), refuses(text, "12")
    assert time.process_time() - start < 5  # under two seconds on an idle core


# 2. What is a refusal.

REFUSALS = [
    "It cannot be determined from the given information.",
    "There is not enough information.",
    "There is not enough information to determine how many of the 12 apples are left.",
    "The problem doesn't say how many pens he bought, so the answer can't be determined.",
    "The problem doesn’t say how many pens he bought, so we can’t tell.",
    "We are not told how many of the 30 pens are red.",
    "Ben has 12 pens, but the number that he buys is not given, so the total is unknown.",
    "Without knowing how many pens he buys, it is impossible to say how many of his 12 pens are left.",
    "It isn't possible to calculate the total, since the price is missing.",
    "I'm sorry, but the question is missing the number of pens.",
    "The question is unanswerable as it stands.",
    "The answer depends on how many pens he buys.",
    "To answer this, we need to know how many pens he buys.",
    "The price of a pen isn't given.\n\nPlease provide it.",
    "Step 1: Ben has 12 pens.\nStep 2: The number he buys is not specified.\nSo the total cannot be calculated.",
    r"The number of pens is not specified. \boxed{\text{Cannot be determined}}",
    r"\boxed{\text{Not enough information}}",
    r"Ben has 12 pens. We don't know how many he buys. \boxed{12 + \text{unknown}}",
    "The answer is: cannot be determined.",
    "Final answer: insufficient information",
    "#### unknown",
    "<answer>\nNot enough information\n</answer>",
    "<think>Is the answer 12? No.</think>It cannot be determined.",
    "How many?",
    "How many pens does Ben buy?",
    UNANSWERABLE,
]
ANSWERS = [
    "The answer is 12.",
    "12",
    r"\boxed{12}",
    "#### 12",
    "<answer>12</answer>",
    "I do not know the exact number, but it is 12.",
    "I don't know, but 12.",
    "I cannot tell for sure, so I guess 12.",
    "The number of pens is not given, so let us assume he buys 5. 12 + 5 = 17. The answer is 17.",
    r"It is not stated how many, so we take 5. \boxed{17}",
    r"Not enough information is given, \boxed{17}",
    "The missing number is 5.",
    "The unknown is 5.",
    r"Let x be the unknown number. Then x + 2 = 7, so x = 5. \boxed{5}",
    "The price isn't given directly. Since 3 pens cost $6, one costs $2.",
    "There is not enough money, so she needs 5 dollars more.",
    "He cannot find 3 of his 12 pens, so 9 are left.",
    "It is impossible to have 2.5 pens, so 3.",
    "The question does not say it in so many words, but the total is 12 + 30 = 42.",
    "Ben had 12 pens. How many are left? 12 - 5 = 7. So 7 are left.",
    "apples",
    "yes",
    "12?",
    "?",
    " ",
    "",
]


@pytest.mark.parametrize("completion", REFUSALS)
def test_a_refusal_answers_an_unanswerable_problem(completion):
    verdict = explain(completion, UNANSWERABLE)
    assert (verdict.correct, verdict.reason) == (True, "equal"), verdict
    assert not is_correct(completion, "42")


@pytest.mark.parametrize("completion", ANSWERS)
def test_an_answer_does_not(completion):
    verdict = explain(completion, UNANSWERABLE)
    assert verdict.correct is False, verdict
    assert verdict.reason == ("different" if verdict.answer else "no answer")


def test_the_right_solutions_of_the_tiny_world_are_no_refusals():
    for problem in islice(generate("dev", 0), 300):
        for way in WAYS.values():
            assert not is_correct(f"{way(problem)} The answer is {problem.answer}.", UNANSWERABLE)
            assert not is_correct(way(problem), UNANSWERABLE)


# name: (completion in the format "tags", strict, flexible)
FORMS = {
    "in the form": ("Hm.<end_working_out><SOLUTION>How many?</SOLUTION>", True, True),
    "in the form, in a sentence": ("Hm.<end_working_out><SOLUTION>It cannot be determined.</SOLUTION>", True, True),
    "outside the form": ("It cannot be determined.", False, True),
    "in the working, then a number": ("It is not given.<end_working_out><SOLUTION>12</SOLUTION>", False, False),
    "a number": ("Hm.<end_working_out><SOLUTION>12</SOLUTION>", False, False),
    "an empty answer": ("It is not given.<end_working_out><SOLUTION></SOLUTION>", False, True),
    "nothing": ("", False, False),
}


@pytest.mark.parametrize(("completion", "strict", "flexible"), FORMS.values(), ids=FORMS)
def test_strict_and_flexible_refusals(completion, strict, flexible):
    tags = get_format("tags")
    assert is_correct(completion, UNANSWERABLE, tags, strict=True) is strict
    assert is_correct(completion, UNANSWERABLE, tags) is flexible


def test_a_bare_answer_is_compared_with_the_gold_unanswerable():
    assert is_equivalent("How many?", UNANSWERABLE) is True
    assert is_equivalent("12", UNANSWERABLE) is is_equivalent("", UNANSWERABLE) is False
    assert is_equivalent("How many?", "12") is is_equivalent(UNANSWERABLE, "12") is False


# 3. Rewards.


@pytest.mark.parametrize("name", FORMATS)
def test_a_refusal_is_rewarded_on_a_twin_and_nowhere_else(name):
    fmt = get_format(name)
    refusal, answer = (fmt.render_target("Hm.", text) for text in ("How many?", "12"))
    pays = correctness(fmt)
    assert pays([refusal, answer], answer=[UNANSWERABLE] * 2) == [3.0, 0.0]
    assert pays([refusal, answer], answer=["12"] * 2) == [0.0, 3.0]
    assert number(fmt)([refusal, answer], answer=[UNANSWERABLE] * 2) == [0.0, 0.0]


@pytest.mark.parametrize("kind", ["sound", "graded"])
def test_a_sound_set_pays_the_refusal_of_a_twin_more_than_a_number(kind):
    fmt = get_format("tags")
    completions = [fmt.render_target("Hm.", text) for text in ("How many?", "12")]
    refused, answered = (
        sum(f([completion], answer=[UNANSWERABLE])[0] for f in reward_set(fmt, kind)) for completion in completions
    )
    assert refused > answered


def test_the_gold_unanswerable_can_be_graded():
    check_golds([UNANSWERABLE, "12"])
