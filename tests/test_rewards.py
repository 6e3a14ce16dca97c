"""rewards: TRL's contract, what each function pays, and no wrong answer above a right one."""

import doctest
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_math import rewards
from grpo_math.formats import FORMATS, get_format
from grpo_math.rewards import approximate_format, correctness, exact_format, reward_set

TAGS = get_format("tags")
END, OPEN, CLOSE = TAGS.reasoning_end, TAGS.answer_start, TAGS.answer_end


def total(fmt, completion, gold: str) -> float:
    return sum(f(completions=[completion], answer=[gold])[0] or 0 for f in reward_set(fmt))


# case: (completion, correctness, exact format, approximate format), gold 22
PAID = {
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
}


@pytest.mark.parametrize(("completion", "correct", "exact", "approximate"), PAID.values(), ids=PAID)
def test_what_a_completion_is_paid(completion, correct, exact, approximate):
    got = [f(completions=[completion], answer=["22"])[0] for f in reward_set(TAGS)]
    assert got == pytest.approx([correct, exact, approximate]), f"{completion!r} was paid {got}"


def message(content) -> list[dict]:
    return [{"role": "assistant", "content": content}]


SHAPES = {
    "text": f"w{END}{OPEN}22{CLOSE}",
    "messages": message(f"w{END}{OPEN}22{CLOSE}"),
    "last of several messages": message("Hm.") + message(f"w{END}{OPEN}22{CLOSE}"),
    "parts": message([{"type": "text", "text": f"w{END}"}, {"type": "text", "text": f"{OPEN}22{CLOSE}"}]),
}


@pytest.mark.parametrize("completion", SHAPES.values(), ids=SHAPES)
def test_completions_are_texts_or_messages(completion):
    assert total(TAGS, completion, "22") == 4.5


EMPTY = [[], message(None), message([]), message(["text"]), [{"role": "assistant"}]]


@pytest.mark.parametrize("completion", EMPTY, ids=repr)
def test_an_empty_message_earns_the_least(completion):
    assert total(TAGS, completion, "22") == -0.5


def test_a_gold_that_cannot_be_graded_gives_none():
    text = f"w{END}{OPEN}22{CLOSE}"
    assert correctness(TAGS)([text] * 4, answer=["", None, "22", 22]) == [None, None, 3.0, 3.0]


def test_a_data_set_without_golds_is_refused():
    with pytest.raises(ValueError, match="column named 'answer'"):
        correctness(TAGS)(["22"])


def test_flexible_takes_an_answer_outside_the_form():
    assert correctness(TAGS, flexible=True)(["The answer is 22."], answer=["22"]) == [3.0]


def test_trl_keywords_are_accepted_and_extracted_answers_logged():
    logged = {}
    completions = [f"w{END}{OPEN}21{CLOSE}", "22"]
    for f in reward_set(TAGS):
        paid = f(
            prompts=["?", "?"],
            completions=completions,
            completion_ids=[[1], [2]],
            answer=["22", "22"],
            source=["a", "b"],
            trainer_state=None,
            log_extra=logged.__setitem__,
            log_metric=lambda name, value: None,
        )
        assert len(paid) == 2
    assert logged == {"extracted": ["21", ""], "gold": ["22", "22"]}


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_names_and_pickles(fmt):
    names = []
    for f in reward_set(fmt):
        copy = pickle.loads(pickle.dumps(f))
        assert copy == f and copy.__name__ == f.__name__
        target = fmt.render_target("w", "22")
        assert copy([target], answer=["22"]) == f([target], answer=["22"]) == [f.reward]
        names.append(f.__name__)
    assert names == ["correctness", "exact_format", "approximate_format"]


def test_trl_shows_the_names():
    utilities = pytest.importorskip("trl.trainer.utils")
    names = [utilities.get_callable_name(f) for f in reward_set(TAGS)]
    assert names == ["correctness", "exact_format", "approximate_format"]


def test_threads_agree():
    texts = [f"w{END}{OPEN}{n}{CLOSE}" for n in range(50)]
    f = correctness(TAGS)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: f(texts, answer=["22"] * 50), range(16)))
    assert all(result == [3.0 * (n == 22) for n in range(50)] for result in results)


def chunks(fmt):
    tags = [fmt.reasoning_start, fmt.reasoning_end, fmt.answer_start, fmt.answer_end]
    other = ["22", "21", "44/2", "x = 22", "or", " ", "\n", "w", "}", "\\boxed{"]
    return st.lists(st.sampled_from([*tags, *other]), max_size=12).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(list(FORMATS.values())))
def test_wrong_is_never_above_right(data, fmt):
    targets = [fmt.render_target("w", "21"), fmt.render_target("w", "$44/2$")]
    texts = [data.draw(chunks(fmt)), data.draw(chunks(fmt)), *targets]
    verdicts = correctness(fmt)(texts, answer=["22"] * len(texts))
    right = [total(fmt, text, "22") for text, paid in zip(texts, verdicts, strict=True) if paid]
    wrong = [total(fmt, text, "22") for text, paid in zip(texts, verdicts, strict=True) if not paid]
    assert max(wrong) < min(right), (texts, right, wrong)


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(list(FORMATS.values())))
def test_the_same_text_earns_more_with_the_right_answer(data, fmt):
    before, after = data.draw(chunks(fmt)), data.draw(chunks(fmt))
    with_right, with_wrong = (before + fmt.answer_start + n + fmt.answer_end + after for n in ("\\frac{44}{2}", "21"))
    assert total(fmt, with_wrong, "22") <= total(fmt, with_right, "22")


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(list(FORMATS.values())))
def test_no_stuffing_earns_more_than_the_exact_form(data, fmt):
    text = data.draw(chunks(fmt) | st.text(max_size=30))
    exact = fmt.render_target("w", "22")
    for f in (exact_format(fmt), approximate_format(fmt)):
        paid = f([text])[0]
        assert -f.reward <= paid <= f([exact])[0] == f.reward


def test_import_is_light():
    code = (
        "import sys, time; start = time.perf_counter(); import grpo_math.rewards; "
        "print(time.perf_counter() - start, "
        "[m for m in ('torch', 'sympy', 'transformers', 'trl') if m in sys.modules])"
    )
    times = []
    for _ in range(3):  # the best of three: the machine may be busy
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        seconds, loaded = run.stdout.split(maxsplit=1)
        assert loaded.strip() == "[]", f"grpo_math.rewards loads {loaded}"
        times.append(float(seconds))
    assert min(times) < 0.5, times


def test_examples_in_docstrings():
    assert doctest.testmod(rewards).failed == 0
