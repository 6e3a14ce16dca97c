"""rewards: TRL's contract, what each family pays, and no wrong answer above a right one under any weights."""

import asyncio
import doctest
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_rewards import reference_set

from grpo_math import rewards
from grpo_math.answers import is_correct, read_completion
from grpo_math.formats import FORMATS, ReasoningFormat, get_format
from grpo_math.rewards import answer, form

TAGS, XML, BOXED = (get_format(name) for name in ("tags", "xml", "boxed"))
END, OPEN, CLOSE = TAGS.reasoning_end, TAGS.answer_start, TAGS.answer_end
KINDS = ("sound", "graded")
SETS = [(fmt, kind) for fmt in FORMATS.values() for kind in KINDS]
SET_IDS = [f"{fmt.name} {kind}" for fmt, kind in SETS]


GOLD_READERS = {"correctness", "proximity", "number", "integer"}
NAMES = "correctness exact_format approximate_format strict_format soft_format xml_structure proximity number integer".split()


def functions_of(fmt: ReasoningFormat) -> list:
    """Every reward function with its default values."""
    return [getattr(rewards, name)(fmt) for name in NAMES]


def pay(function, text, gold: str | None = "22") -> float | None:
    return function(completions=[text], answer=[gold], completion_ids=[[7]])[0]


def total(functions, text, gold: str = "22", weights=None) -> float:
    return sum(w * (pay(f, text, gold) or 0) for f, w in zip(functions, weights or [1] * len(functions), strict=True))


def tags(given: str) -> str:
    return TAGS.render_target("w", given)


def xml(given: str) -> str:
    return XML.render_target("w", given)


# --- what is paid ---

# case: (completion, correctness, exact format, approximate format), gold 22
SOUND = {
    "right": (f"w{END}{OPEN}22{CLOSE}", 3, 1, 0.5),
    "right in another notation": (f"w{END}{OPEN}$44/2${CLOSE}", 3, 1, 0.5),
    "wrong": (f"w{END}{OPEN}21{CLOSE}", 0, 1, 0.5),
    "hedged": (f"w{END}{OPEN}22 or 23{CLOSE}", 0, 1, 0.5),
    "text after the end": (f"w{END}{OPEN}22{CLOSE} ok", 3, 0, 0.5),
    "working not closed": (f"w{OPEN}22{CLOSE}", 3, 0, 0.5 / 3),
    "answer cut off": (f"w{END}{OPEN}22", 0, 0, 0.5 / 3),
    "no form": ("It is 22.", 0, 0, -0.5),
    "nothing": ("", 0, 0, -0.5),
    "opening tag repeated later on": (f"w<start_working_out>{END}{OPEN}22{CLOSE}", 3, 0, 0.25),
    "stuffed with tags": (f"{END}{OPEN}22{CLOSE}" * 5, 0, 0, -0.5),
    "many answers": (f"w{END}" + "".join(f"{OPEN}{n}{CLOSE}" for n in range(30)), 0, 0, 0.5 * -1 / 3),
    "right, all else as bad as can be": (f"{OPEN}22{CLOSE}<start_working_out>", 3, 0, 0),
}


@pytest.mark.parametrize("case", SOUND)
def test_what_the_sound_set_pays(case):
    completion, *expected = SOUND[case]
    got = [pay(f, completion) for f in rewards.reward_set(TAGS)]
    assert got == pytest.approx(expected), f"{case}: {completion!r} was paid {got}, expected {expected}"


STRUCTURE = rewards.xml_structure(XML, reward=0.375)
BOX_STRUCTURE = rewards.xml_structure(BOXED, reward=0.375)
STRICT, SOFT = rewards.strict_format, rewards.soft_format
LINES = "w\n</reasoning>\n<answer>\n22\n</answer>\n"
NEAR, NUMBER, INTEGER = rewards.proximity(XML), rewards.number(XML), rewards.integer(XML)

# case: (function, completion, gold, what it pays)
PAID = {
    "tag marks, own penalty: one of three": (rewards.approximate_format(TAGS, 1.5, 3.0), f"w{END}", "22", 0.5 - 2.0),
    "box marks: box not closed": (rewards.approximate_format(BOXED), r"w \boxed{22", "22", 0.0),
    "box marks: two boxes": (rewards.approximate_format(BOXED), r"w \boxed{22} \boxed{22}", "22", -0.5),
    "strict: line by line": (STRICT(XML), LINES, "22", 0.1),
    "strict: working on many lines": (STRICT(XML), "one\ntwo\n" + LINES, "22", 0.1),
    "strict: the prompt's tag repeated at the start": (STRICT(XML), "<reasoning>\n" + LINES, "22", 0.1),
    "strict: white space around tags": (STRICT(XML), LINES.replace("\n", " \r\n\t"), "22", 0.1),
    "strict: answer on the line of its tag": (STRICT(XML), "w\n</reasoning>\n<answer>22</answer>", "22", 0),
    "strict: text after the end": (STRICT(XML), LINES + "Bye!", "22", 0),
    "strict: the form twice": (STRICT(XML), LINES + LINES, "22", 0),
    "strict: box on the last line": (STRICT(BOXED), "w\n \\boxed{22}\n", "22", 0.1),
    "strict: box within a line": (STRICT(BOXED), r"so \boxed{22}", "22", 0),
    "strict: text after the box": (STRICT(BOXED), "w\n\\boxed{22} ok", "22", 0),
    "soft: text around": (SOFT(XML), "w</reasoning> so <answer>22</answer> Bye!", "22", 0.1),
    "soft: on many lines": (SOFT(XML), "one\ntwo\n" + LINES, "22", 0.1),
    "soft: no working": (SOFT(XML), "</reasoning><answer>22</answer>", "22", 0),
    "soft: empty answer": (SOFT(XML), "w</reasoning><answer> </answer>", "22", 0),
    "soft: two answers": (SOFT(XML), xml("21") + xml("22"), "22", 0),
    "soft: text after the box": (SOFT(BOXED), r"so \boxed{22}, ok", "22", 0.1),
    "structure: all": (STRUCTURE, xml("22"), "22", 0.375),
    "structure: two of three tags": (STRUCTURE, "w</reasoning><answer>22", "22", 0.25),
    "structure: out of order": (STRUCTURE, "<answer>22</answer>w</reasoning>", "22", 0),
    "structure: prompt's tag repeated later on": (
        STRUCTURE,
        "w<reasoning>" + xml("22")[len("<reasoning>") :],
        "22",
        0.375 * 3 / 4,
    ),
    "structure: 100 characters after the end": (STRUCTURE, xml("22") + "\n" + "x" * 100, "22", 0.275),
    "structure: a page after the end": (STRUCTURE, xml("22") + "x" * 5000, "22", 0),
    "structure: box": (BOX_STRUCTURE, r"w \boxed{ \frac{44}{2} }", "22", 0.375),
    "structure: text with braces after the box": (BOX_STRUCTURE, r"w \boxed{ 22 } " + "{x}" * 20, "22", 0.315),
    "structure: box without working": (BOX_STRUCTURE, r"\boxed{22} abcde", "22", 0.37),
    "structure: box not closed": (BOX_STRUCTURE, r"w \boxed{22", "22", 0.1875),
    "proximity: right": (NEAR, xml("22"), "22", 1),
    "proximity: right in another notation": (NEAR, xml(r"\frac{44}{2}"), "22", 1),
    "proximity: half": (NEAR, xml("11"), "22", 0.5),
    "proximity: above": (NEAR, xml("33"), "22", 0.5),
    "proximity: twice as large": (NEAR, xml("44"), "22", 0),
    "proximity: other sign": (NEAR, xml("-22"), "22", 0),
    "proximity: gold 0, right": (NEAR, xml("0.0"), "0", 1),
    "proximity: gold 0, a quarter off": (NEAR, xml("-0.25"), "0", 0.75),
    "proximity: gold 0, far": (NEAR, xml("22"), "0", 0),
    "proximity: huge": (NEAR, xml("9" * 500), "22", 0),
    "proximity: tiny difference": (NEAR, xml("22." + "0" * 400 + "1"), "22", 1),
    "proximity: hedged": (NEAR, xml("22 or 23"), "22", 0),
    "proximity: not a number": (NEAR, xml("cat"), "22", 0),
    "proximity: gold not a number, right": (NEAR, xml("x+1"), "x + 1", 1),
    "proximity: gold not a number, wrong": (NEAR, xml("22"), "x + 1", 0),
    "proximity: no form": (NEAR, "22", "22", 0),
    "number: right": (NUMBER, xml("22"), "22", 0.5),
    "number: another notation": (NUMBER, xml("44/2"), "22", 0.5),
    "number: off by one": (NUMBER, xml("21"), "22", 0),
    "number: first of several": (NUMBER, xml("22, answer 1"), "22", 0),
    "number: right, not a number": (NUMBER, xml("x+1"), "x+1", 0),
    "integer: right": (INTEGER, xml("22"), "22", 0.1),
    "integer: wrong": (INTEGER, xml("-1,234"), "22", 0.1),
    "integer: fraction that is whole": (INTEGER, xml("44/2"), "22", 0.1),
    "integer: decimal": (INTEGER, xml("21.5"), "22", 0),
    "integer: words": (INTEGER, xml("many"), "22", 0),
    "integer: not asked for by the gold": (INTEGER, xml("1"), "1/2", 0),
}


@pytest.mark.parametrize("case", PAID)
def test_what_a_function_pays(case):
    function, completion, gold, expected = PAID[case]
    got = pay(function, completion, gold)
    assert got == pytest.approx(expected), f"{case}: {completion[:90]!r} for {gold!r} was paid {got}, expected {expected}"


def test_the_reference_pays_off_by_one_more_than_another_notation_and_ours_does_not():
    off_by_one, other_notation = tags("21"), tags("$22$")
    reference, sound = reference_set(TAGS), rewards.reward_set(TAGS)
    assert total(reference, off_by_one) == 6.5 > total(reference, other_notation) == 0.0
    assert total(sound, off_by_one) == 1.5 < total(sound, other_notation) == 4.5
    assert rewards.margin(reference) == -14.0 and rewards.margin(sound) == 1.0


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("best", "There is no reward 'best'; choose among sound, graded, correctness"),
        (["sound", "correctness"], "each once and with a name of its own, not: correctness, exact_format"),
        ([], "not: none"),
    ],
)
def test_what_is_no_set_is_refused(wanted, sentence):
    with pytest.raises(ValueError, match=sentence):
        rewards.reward_set(TAGS, wanted)


# --- Your own functions: whatever TRL takes ---


def plain(completions, **columns):
    return [len(completion[0]["content"]) for completion in completions]


async def waiting(prompts, completions, **columns):
    await asyncio.sleep(0)
    return [0.5 for _ in completions]


def weighed(completions, weight, topic, **columns):
    return [weight * (name == "sums") for name in topic]


class Arrays:
    def __call__(self, completions, log_extra, log_metric, **columns):
        log_extra("seen", [1] * len(completions))
        return numpy.array([1.0, numpy.nan])


def tensors(completions, completion_ids, **columns):
    return [torch.tensor(1.0), torch.tensor(len(completion_ids[1]))]


def named_columns_only(completions, topic):
    return [float(name == "sets") for name in topic]


OWN = {  # a function, the name under which TRL logs it, what it pays
    plain: ("plain", [3.0, 0.0]),
    waiting: ("waiting", [0.5, 0.5]),
    partial(weighed, weight=2): ("weighed", [2.0, 0.0]),
    Arrays(): ("Arrays", [1.0, None]),
    tensors: ("tensors", [1.0, 2.0]),
    named_columns_only: ("named_columns_only", [0.0, 1.0]),
}
GIVEN = {"prompts": ["a", "b"], "completion_ids": [[1], [1, 2]], "topic": ["sums", "sets"]}


@pytest.mark.parametrize(("function", "name", "paid"), [(f, *told) for f, told in OWN.items()], ids=[n for n, _ in OWN.values()])
def test_any_function_that_trl_takes_is_paid_by(function, name, paid):
    completions = [message("one"), message("")]
    assert rewards.reward_name(function) == name and rewards.pay(function, completions, **GIVEN) == paid

    async def in_a_notebook():
        return rewards.pay(function, completions, **GIVEN)

    assert asyncio.run(in_a_notebook()) == paid
    assert [rewards.reward_name(f) for f in rewards.reward_set(TAGS, ["correctness", function])] == ["correctness", name]


def test_a_function_that_does_not_pay_each_completion_is_an_error():
    def forgetful(completions, **columns):
        return plain(completions[1:])

    for function, paid in ((forgetful, 1), (lambda completions, **columns: 0.5, 1), (lambda completions, **columns: [], 0)):
        with pytest.raises(ValueError, match=f"pays {paid} of 2 completions: it must return a list"):
            rewards.pay(function, [message("one"), message("two")])


def test_golds_that_are_alternatives_are_paid_and_checked():
    near, one, whole = (getattr(rewards, name)(TAGS) for name in ("proximity", "number", "integer"))
    texts, golds = [tags("22"), tags("21"), tags("7")], [["x", "22"], [20, 42], {"value": 7}]
    assert rewards.correctness(TAGS)(texts, answer=golds) == [3.0, 0.0, None]
    assert near(texts, answer=golds) == [1.0, 0.95, None] and one(texts, answer=golds) == [0.5, 0.0, None]
    assert whole(texts, answer=golds) == [0.1, 0.1, None]
    rewards.check_golds([["72"], 72, 0.5, ["", "1/2"]])
    with pytest.raises(ValueError, match=r"2 of 3 gold answers cannot be graded.*row 0: \"{'value': 7}\", row 2: '\[\]'"):
        rewards.check_golds([{"value": 7}, "7", []])


def test_a_checker_of_your_own_decides_what_is_right():
    def same_letters(answer: str, gold: str) -> bool | None:
        return sorted(answer) == sorted(gold) if gold else None

    correct, near = rewards.reward_set(TAGS, ["correctness", "proximity"], same_letters)
    texts, golds = [tags("listen"), tags("silent?"), "silent", tags("x")], ["silent", "silent", "silent", ""]
    assert correct(texts, answer=golds) == [3.0, 0.0, 0.0, None] and near(texts, answer=golds) == [1.0, 0.0, 0.0, None]
    read = [read_completion(text, gold, TAGS, same_letters) for text, gold in zip(texts, golds, strict=True)]
    assert [(r.correct, r.strict_correct, r.reason) for r in read[:2]] == [(True, True, "equal"), (False, False, "different")]
    assert (read[2].correct, read[2].strict_correct) == (False, False) and read[3].correct is None


# --- TRL's contract ---


def message(content) -> list[dict]:
    return [{"role": "assistant", "content": content}]


SHAPES = {
    "text": tags("22"),
    "messages": message(tags("22")),
    "last of several messages": message("Hm.") + message(tags("22")),
    "parts": message([{"type": "text", "text": f"w{END}"}, {"type": "text", "text": f"{OPEN}22{CLOSE}"}]),
}


@pytest.mark.parametrize("completion", SHAPES.values(), ids=SHAPES)
def test_completions_are_texts_or_messages(completion):
    got = [pay(f, completion) for f in functions_of(TAGS)]
    assert got == [pay(f, tags("22")) for f in functions_of(TAGS)]


EMPTY = [[], message(None), message([]), message(["text"]), [{"role": "assistant"}]]


@pytest.mark.parametrize("completion", EMPTY, ids=repr)
def test_an_empty_message_is_paid_as_nothing(completion):
    assert [pay(f, completion) for f in functions_of(TAGS)] == [pay(f, "") for f in functions_of(TAGS)]
    assert total(rewards.reward_set(TAGS), completion) == -0.5


@pytest.mark.parametrize(("fmt", "kind"), SETS, ids=SET_IDS)
def test_trl_keywords_are_accepted_and_each_column_is_logged_once(fmt, kind):
    logged = {}
    for f in rewards.reward_set(fmt, kind):
        paid = f(
            prompts=["?", "?"],
            completions=[fmt.render_target("w", "21"), "22"],
            completion_ids=[[1], [2]],
            answer=["22", "22"],
            source=["a", "b"],
            trainer_state=None,
            log_extra=lambda column, values: logged.setdefault(column, []).extend(values),
            log_metric=lambda name, value: None,
        )
        assert len(paid) == 2 and all(isinstance(value, float) for value in paid), f"{f.__name__} paid {paid}"
    assert logged == {"extracted": ["21", ""], "gold": ["22", "22"]}


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_functions_pickle_and_have_names(fmt):
    text = fmt.render_target("w", "21")
    for f in functions_of(fmt):
        copy = pickle.loads(pickle.dumps(f))
        assert copy == f and copy.__name__ == f.__name__ and pay(copy, text) == pay(f, text)
    assert [f.__name__ for f in rewards.reward_set(fmt)] == ["correctness", "exact_format", "approximate_format"]
    assert [f.__name__ for f in functions_of(fmt)] == NAMES


def test_trl_shows_the_names():
    utilities = pytest.importorskip("trl.trainer.utils")
    names = [utilities.get_callable_name(f) for f in functions_of(TAGS)]
    assert names == NAMES


def test_a_worker_process_agrees():
    functions, texts = functions_of(TAGS), [tags("22"), tags("21"), "22"]
    code = (
        "import pickle, sys; functions, given = pickle.load(sys.stdin.buffer); "
        "sys.stdout.buffer.write(pickle.dumps([f(**given) for f in functions]))"
    )
    given = {"completions": texts, "answer": ["22"] * 3}
    run = subprocess.run([sys.executable, "-c", code], input=pickle.dumps((functions, given)), capture_output=True, check=True)
    assert pickle.loads(run.stdout) == [f(**given) for f in functions]


def test_threads_agree():
    texts = [tags(str(n)) for n in range(50)]
    functions = [rewards.correctness(TAGS), rewards.proximity(TAGS), rewards.exact_format(TAGS)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: [f(texts, answer=["22"] * 50) for f in functions], range(16)))
    assert results[0][0] == [3.0 * (n == 22) for n in range(50)]
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("f", [f for f in functions_of(TAGS) if f.__name__ in GOLD_READERS], ids=lambda f: f.__name__)
def test_a_data_set_without_golds_is_refused(f):
    with pytest.raises(ValueError, match=f"{f.__name__} reward needs gold answers: .* column named 'answer'"):
        f(["22"])


# --- gold answers ---


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("gold", ["", None, " $ $ ", "2" * 100_000], ids=["empty", "missing", "blank", "too long"])
def test_a_gold_that_cannot_be_graded_is_reported_and_never_rewarded(fmt, gold):
    assert rewards.ungradable(["22", gold]) == [(1, gold)]
    for f in functions_of(fmt):
        paid = [pay(f, fmt.render_target("w", text), gold) for text in ("22", "", str(gold))]
        assert (paid == [None] * 3) == (f.__name__ in GOLD_READERS), f"{f.__name__} paid {paid} for {str(gold)[:20]!r}"


def test_golds_are_checked_before_training():
    assert rewards.check_golds(["22", r"\frac{1}{2}", 22, "x + 1", "(1, 2)"]) is None
    with pytest.raises(ValueError, match=r"2 of 3 gold answers cannot be graded.*\(row 1: '', row 2: 'None'\)\. Leave"):
        rewards.check_golds(["22", "", None])
    with pytest.raises(ValueError, match=r"7 of 7 .*row 4: '', \.\.\.\)"):
        rewards.check_golds([""] * 7)
    with pytest.raises(
        ValueError, match=r"1 of 2 .*row 1: '5 \+ 5 = 10\\n#### 10'\)\. .* correct their answers: only what follows ####"
    ):
        rewards.check_golds(["10", "5 + 5 = 10\n#### 10"])


def test_golds_may_be_numbers():
    assert rewards.correctness(TAGS)([tags("22")] * 2, answer=[22, "22"]) == [3.0, 3.0]


# --- soundness ---

# gold: (the same in other notations, other answers)
NOTATIONS = {
    "22": (
        ["22", "$44/2$", r"\frac{44}{2}", "22.0", "x = 22", "22 apples", r"\$22"],
        ["21", "22.001", "-22", "22 or 23", "cat", "220"],
    ),
    "0": (["0", "0.0", "-0", r"\frac{0}{5}"], ["1", "-1", "0.1", "none", "0, 1"]),
    "1/2": (["1/2", "0.5", r"\frac12", r"\dfrac{2}{4}"], ["1", "0", "-0.5", "0.49", "1 / 2 or 1", "2"]),
    "1,234": (["1234", "1,234", "1234.00", "$1,234"], ["1,235", "1235", "1.234", "12,34 or", "0"]),
    "x+1": (["x + 1", "$x+1$"], ["x", "1", "x + 2", "22"]),
}
SPACE = ["w", " ", "\n", "a b a b a b a b", "so it goes", "}", "{", r"\boxed{", "</think>", "<reasoning>", CLOSE, END]


@st.composite
def graded(draw, fmt: ReasoningFormat) -> tuple[str, list[str]]:
    """A gold answer, and completions with right answers, with wrong ones, and of scraps."""
    gold = draw(st.sampled_from(list(NOTATIONS)))
    right, wrong = NOTATIONS[gold]
    marks = [fmt.reasoning_start, fmt.reasoning_end, fmt.answer_start, fmt.answer_end]
    scraps = st.lists(st.sampled_from([*marks, *SPACE, *right, *wrong]), max_size=8).map("".join)
    around = st.just("") | st.sampled_from(SPACE) | scraps
    targets = [fmt.render_target("w", draw(st.sampled_from(answers))) for answers in (right, wrong)]
    noisy = [
        draw(around) + fmt.render_target(draw(around), draw(st.sampled_from(answers))) + draw(around)
        for answers in (right, wrong)
    ]
    return gold, [*targets, *noisy, draw(scraps), draw(scraps)]


def formats():
    return st.sampled_from(list(FORMATS.values()))


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_every_choice_of_functions_with_their_defaults_is_sound(fmt):
    assert rewards.margin(rewards.reward_set(fmt)) == 1.0
    assert rewards.margin(functions_of(fmt)) == pytest.approx(0.5)
    assert all(rewards.margin([f]) <= 0 for f in functions_of(fmt)[1:]), "leaving out a function would lessen the margin"


def test_the_margin_counts_the_penalties_of_trl():
    trl = pytest.importorskip("trl.rewards")
    penalties = [trl.get_soft_overlong_punishment(100, 20), trl.get_repetition_penalty_reward(4, max_penalty=-0.5)]
    assert rewards.margin([*rewards.reward_set(TAGS), *penalties]) == 1.0 - 1.0 - 0.5
    assert rewards.margin([*rewards.reward_set(TAGS), *penalties], [1, 1, 1, 0.25, 0.5]) == 1.0 - 0.25 - 0.25
    ids = [[7] * 5, [7] * 100, [7] * 500, list(range(120))]
    for penalty in penalties:
        least, most = getattr(penalty, "max_penalty", -1.0), 0.0
        assert all(least <= paid <= most for paid in penalty(completion_ids=ids))


def test_a_function_that_states_no_bounds_has_no_margin():
    def own(completions, **kwargs):
        return [0.0] * len(completions)

    with pytest.raises(ValueError, match=r"What own pays is not known, so neither is the margin: give it a method bounds\(\)"):
        rewards.margin([*rewards.reward_set(TAGS), own])


def test_weights_of_a_margin():
    functions = rewards.reward_set(TAGS)
    assert rewards.margin(functions, [1, 3, 1]) == -1.0
    for weights in ([1, 1], [1, 1, -1], [1, 1, 1, 1]):
        with pytest.raises(ValueError, match="3 reward functions need as many weights of 0 or more"):
            rewards.margin(functions, weights)


@settings(max_examples=300, deadline=None)
@given(st.data(), formats())
def test_every_function_keeps_its_bounds(data, fmt):
    gold, texts = data.draw(graded(fmt))
    for f in functions_of(fmt) + reference_set(TAGS) * (fmt == TAGS):
        least_right, most_wrong = f.bounds()
        for text in texts:
            right, paid = is_correct(text, gold, fmt, strict=True), pay(f, text, gold)
            assert paid >= least_right if right else paid <= most_wrong, (f.__name__, text, gold, right, paid)


@settings(max_examples=300, deadline=None)
@given(st.data(), formats())
def test_a_right_answer_earns_more_than_any_wrong_one_by_the_margin(data, fmt):
    functions = data.draw(st.sampled_from([functions_of(fmt), rewards.reward_set(fmt), *[reference_set(TAGS)] * (fmt == TAGS)]))
    weights = data.draw(st.lists(st.sampled_from([0, 0.1, 0.5, 1, 2]), min_size=len(functions), max_size=len(functions)))
    gold, texts = data.draw(graded(fmt))
    paid = {text: total(functions, text, gold, weights) for text in texts}
    right = {text: sum_ for text, sum_ in paid.items() if is_correct(text, gold, fmt, strict=True)}
    wrong = {text: sum_ for text, sum_ in paid.items() if text not in right}
    assert right and wrong, texts
    assert min(right.values()) - max(wrong.values()) >= rewards.margin(functions, weights) - 1e-9, (gold, weights, right, wrong)


@settings(max_examples=300, deadline=None)
@given(st.data(), formats())
def test_the_same_text_earns_more_with_the_right_answer(data, fmt):
    _, (_, _, before, _, after, _) = data.draw(graded(fmt))
    with_right, with_wrong = (before + fmt.answer_start + n + fmt.answer_end + after for n in (r"\frac{44}{2}", r"\frac{42}{2}"))
    for functions in (rewards.reward_set(fmt), functions_of(fmt)):
        assert total(functions, with_wrong) <= total(functions, with_right), (with_right, with_wrong)


@settings(max_examples=300, deadline=None)
@given(st.data(), formats())
def test_neither_stuffing_nor_text_after_the_end_pays(data, fmt):
    _, texts = data.draw(graded(fmt))
    tail = data.draw(st.sampled_from(texts) | st.text(max_size=30))
    exact = fmt.render_target("w\n", "22")
    for f in functions_of(fmt):
        most = pay(f, exact)
        assert pay(f, exact + tail) <= most, (f.__name__, tail)
        assert pay(f, exact * 5) <= most, (f.__name__, "the form five times")
    for f in functions_of(fmt)[1:6]:
        assert pay(f, tail) <= f.reward, (f.__name__, tail)
    assert total(rewards.reward_set(fmt), exact * 5) < total(rewards.reward_set(fmt), exact)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(FORMATS.values())), st.text() | st.lists(st.sampled_from(SPACE)).map("".join))
def test_a_strict_form_is_exact_and_an_exact_form_is_soft(fmt, text):
    for completion in (text, fmt.render_target(text, "22"), fmt.render_target(f"{text}\n", "22") + text):
        strict, exact, soft = (bool(pay(family(fmt), completion)) for family in (STRICT, rewards.exact_format, SOFT))
        assert strict <= exact <= soft, completion


RATIONALS = st.fractions(min_value=-1000, max_value=1000, max_denominator=50)


@settings(max_examples=300, deadline=None)
@given(RATIONALS, RATIONALS, RATIONALS)
def test_proximity_falls_with_the_distance_and_is_the_same_with_both_signs_changed(gold, one, other):
    def near(value: Fraction, wanted: Fraction) -> float:
        return pay(NEAR, xml(str(value)), str(wanted))

    closer, farther = sorted((one, other), key=lambda value: abs(value - gold))
    assert 0 <= near(farther, gold) <= near(closer, gold) <= near(gold, gold) == 1.0
    assert near(one, gold) == near(-one, -gold) == near(2 * gold - one, gold)


# --- cost ---

MEGABYTE = {
    "one word": "x" * 1_000_000,
    "white space": " " * 1_000_000,
    "lines": "\n" * 1_000_000,
    "words": "ab " * 333_333,
    "unlike words": " ".join(map(str, range(150_000))),
    "sentences": "one two three four five. " * 40_000,
    "half a tag": "<SOLUTION" * 111_111,
    "tags": "</reasoning><answer>1</answer>" * 33_333,
    "boxes": r"\boxed{" * 142_857,
    "a long answer": f"w{END}{OPEN}" + "2" * 1_000_000 + CLOSE,
    "a long tail": "w</reasoning><answer>22</answer>" + " x" * 500_000,
    "a tail after a box": r"w \boxed{22}" + " x" * 500_000,
    "backslashes": "\\" * 1_000_000,
    "braces": r"w \boxed{" + "{" * 1_000_000,
    "white space after a box": r"w \boxed{1}" + " " * 1_000_000,
    "dollars after a box": r"w\boxed{1}" + "$." * 500_000,
}


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("case", MEGABYTE)
def test_a_megabyte_takes_at_most_20_ms(fmt, case):
    for f in functions_of(fmt):
        times = []
        while len(times) < 5 and min(times, default=1) > 0.02:  # the best of five: the machine may be busy
            start = time.thread_time()
            pay(f, MEGABYTE[case])
            times.append(time.thread_time() - start)
        assert min(times) <= 0.02, f"{f.__name__} took {min(times):.3f} s for {case}"


@pytest.mark.parametrize("module", [rewards, answer, form], ids=lambda module: module.__name__)
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0
