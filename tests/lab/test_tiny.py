"""The tiny world: exact problems, disjoint splits, true solutions in every way of working."""

import itertools
import re
from collections import Counter

import pytest

from grpo_lab.tiny import corpus
from grpo_lab.tiny.problems import FAMILIES, OPERATIONS, SPLITS, UNSEEN, Difficulty, Problem, Step, generate, split_of
from grpo_lab.tiny.ways import way_of, ways_markdown


def first(split: str, count: int, seed: int = 0, **difficulty) -> list[Problem]:
    return list(itertools.islice(generate(split, seed, Difficulty(**difficulty)), count))


def check_equations(text: str) -> None:
    """Every `a op b = c` of a worked solution is true; `in_one_go` is checked elsewhere."""
    equations = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", text)
    assert equations, f"no equation in {text!r}"
    for left, sign, right, result in equations:
        assert OPERATIONS[sign](int(left), int(right)) == int(result), f"{left} {sign} {right} = {result} in {text!r}"


def test_same_seed_same_problems_everywhere():
    # A hash written down once: another machine, Python or year must give the same problems.
    assert [p.question for p in first("test", 50)] == [p.question for p in first("test", 50)]
    assert first("test", 1)[0].id == "dd7e2669c1bcd24e"


def chains(problem: Problem) -> set[tuple]:
    """The chains of sums that a problem's solution begins with, terms and factors in either order: two steps, three, ..."""
    sums = [(s.operator, *(sorted((s.left, s.right)) if s.operator in "+*" else (s.left, s.right))) for s in problem.steps]
    return {tuple(sums[:n]) for n in range(2, len(sums) + 1)}


def test_no_question_no_chain_of_sums_and_no_beginning_of_one_is_shared_between_splits():
    drawn = {split: first(split, 3000, max_number=30) for split in SPLITS}
    for a, b in itertools.combinations(SPLITS, 2):
        assert not {p.question for p in drawn[a]} & {p.question for p in drawn[b]}, f"{a} and {b} share a question"
        here, there = ({chain for p in drawn[split] for chain in chains(p)} for split in (a, b))
        assert not here & there, f"{a} and {b} share sums, commuted ones or the beginning of a solution among them"
    assert len({chain for p in drawn["test"] for chain in chains(p)}) < 2 * 3000, "small numbers make chains that occur twice"


def test_every_number_of_steps_is_equally_frequent():
    assert Counter(len(p.steps) for p in first("test", 300)) == {2: 100, 3: 100, 4: 100}


def test_what_nothing_trains_on_is_told_apart():
    seen, unseen = first("test", 200), first("test", 200, unseen=True)
    assert {p.family for p in unseen} == set(UNSEEN) and not {p.family for p in seen} & set(UNSEEN)
    asked_first = first("test", 200, question_first=True)
    assert [p.answer for p in asked_first] == [p.answer for p in seen], "the same problems, told otherwise"
    assert all(p.question.index("?") < len(p.question) - 1 for p in asked_first)
    corpus_words = set(" ".join(itertools.islice(corpus.documents(0), 3000)).split())
    assert not corpus_words & {"bakes", "trays", "muffins", "teams.", "teams"}, "the base has read of an unseen family"


def test_the_splits_that_are_drawn_are_the_splits_that_are_named():
    for split in SPLITS:
        assert {split_of(p) for p in first(split, 200)} == {split}


def test_problems_are_exact_and_in_bounds():
    problems = first("corpus", 4000, max_number=80)
    assert {p.family for p in problems} == set(FAMILIES) and len(FAMILIES) >= 8 and len(UNSEEN) >= 2
    assert {len(p.steps) for p in problems} == {2, 3, 4}
    for p in problems:
        for step in p.steps:
            assert step.result >= 1, p
            if step.operator == "/":
                assert step.left % step.right == 0, p
        assert all(str(n) in re.findall(r"\d+", p.question) for n in p.operands), p
        given = [*p.operands, *(s.result for s in p.steps)]
        assert all(n in given for s in p.steps for n in (s.left, s.right)), p


def test_a_distractor_is_a_number_that_no_step_needs():
    plain, distracted = first("corpus", 300, distractors=0.0), first("corpus", 300, distractors=1.0)
    assert all(len(re.findall(r"\d+", p.question)) == len(p.operands) for p in plain)
    assert all(len(re.findall(r"\d+", p.question)) == len(p.operands) + 1 for p in distracted)


def test_the_dial_makes_numbers_larger():
    small, large = ([max(p.operands) for p in first("dev", 500, max_number=n)] for n in (20, 150))
    assert sum(small) < sum(large) / 3


@pytest.mark.parametrize("way", [corpus.step_by_step, corpus.place_by_place])
def test_every_worked_solution_is_true_and_ends_in_the_answer(way):
    for problem in first("corpus", 1500, max_number=150):
        text = way(problem)
        check_equations(text)
        assert text.endswith(f"= {problem.answer}."), f"{text!r} does not end in {problem.answer}"


def test_in_one_go_keeps_the_value():
    for problem in first("corpus", 1500):
        expression, result = corpus.in_one_go(problem).rstrip(".").split(" = ")
        assert re.fullmatch(r"[\d +*/()-]+", expression)
        assert eval(expression) == int(result) == problem.answer  # only digits and signs, as just checked


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step(57, "+", 86), "57 + 86: 57 + 80 = 137, 137 + 6 = 143"),
        (Step(143, "-", 86), "143 - 86: 143 - 80 = 63, 63 - 6 = 57"),
        (Step(37, "*", 6), "37 * 6: 30 * 6 = 180, 7 * 6 = 42, 180 + 42 = 222"),
        (Step(96, "/", 4), "96 / 4: 80 / 4 = 20, 16 / 4 = 4, 20 + 4 = 24"),
        (Step(5, "+", 7), "5 + 7 = 12"),  # one place only: nothing to take apart
        (Step(105, "*", 3), "105 * 3: 100 * 3 = 300, 5 * 3 = 15, 300 + 15 = 315"),  # a zero has no place of its own
    ],
)
def test_work_by_places(step, expected):
    assert corpus.work_by_places(step) == expected


def test_unknown_split_is_one_clear_sentence():
    with pytest.raises(ValueError, match="Unknown split 'train': choose one of corpus, sft, fresh, grpo, dev, spent, test"):
        next(generate("train", 0))


def test_the_corpus_is_plain_text_without_the_target_format():
    texts = list(itertools.islice(corpus.documents(0), 2000))
    assert not any("<" in text for text in texts)
    assert sum("Solution:" in text for text in texts) > 800
    assert sum(not text.startswith("Problem:") for text in texts) > 300


@pytest.mark.parametrize("way", corpus.WAYS)
def test_the_way_of_a_solution_is_read_off_its_text(way):
    problems = [p for p in first("corpus", 500) if corpus.place_by_place(p) != corpus.step_by_step(p)]
    wrong = [text for text in map(corpus.WAYS[way], problems) if way_of(text + "<end_working_out><SOLUTION>1</SOLUTION>") != way]
    assert not wrong, wrong[:3]


def test_no_sum_is_no_way():
    assert way_of("I do not know. The answer is 5.") == way_of("") == "other"


def test_the_table_of_ways_adds_up():
    rows = [
        {"completion": text, "correct_flexible": right}
        for text, right in [
            ("5 + 7 = 12.", True),
            ("5 + 7 = 13.", False),
            ("5 + 7 * 2 = 19.", True),
            ("57 + 86: 57 + 80 = 137.", True),
        ]
    ]
    assert ways_markdown({"x": rows}).splitlines()[-1] == (
        "| x | 25.0% (100.0% correct) | 50.0% (50.0% correct) | 25.0% (100.0% correct) | none |"
    )
