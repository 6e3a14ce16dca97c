"""formats: what counts as the form, and that templates bring every text out verbatim."""

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from grpo_math import formats
from grpo_math.answers import is_correct
from grpo_math.formats import (
    FEW_SHOT,
    FORMATS,
    NEXT_PROBLEM,
    Parsed,
    chat_template,
    few_shot_prompt,
    get_format,
    plain_prompt,
    question_prompt,
)

TAGS, XML, BOXED, THINK, THINK_ANSWER = (FORMATS[name] for name in ("tags", "xml", "boxed", "think", "think-answer"))
AWKWARD = [*"\\'\"\naé😀", "{{", "}}", "{%", "%}", "{#", "\r\n", "\\boxed{1}", "\\n", "\\u0041", "<|im_end|>"]
texts = st.lists(st.sampled_from(AWKWARD) | st.text(max_size=5), max_size=8).map("".join)
tags = [tag for f in FORMATS.values() for tag in (f.reasoning_start, f.reasoning_end, f.answer_start, f.answer_end)]
marks = st.sampled_from((*tags, "</think>", "\\{", "{", "}", "$", ".", "\n", "7", "x"))


def render(template: str, messages: list[dict], add_generation_prompt: bool = False) -> str:
    """The way transformers renders a chat template."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(messages=messages, add_generation_prompt=add_generation_prompt)


def turn(role: str, content: str) -> dict:
    return {"role": role, "content": content}


START = TAGS.reasoning_start
# case: (format, completion, reasoning, answer, exact)
PARSED = {
    "exact": (TAGS, "6*7=42<end_working_out><SOLUTION>42</SOLUTION>", "6*7=42", "42", True),
    "opening tag repeated": (TAGS, "<start_working_out>w<end_working_out><SOLUTION>42</SOLUTION>", "w", "42", True),
    "white space and lines": (TAGS, "\na\nb\n<end_working_out>\n\n<SOLUTION>\n42\n</SOLUTION>\n", "a\nb", "42", True),
    "text after the end": (TAGS, "w<end_working_out><SOLUTION>42</SOLUTION>\nBye", "w", "42", False),
    "text between": (TAGS, "w<end_working_out>so<SOLUTION>42</SOLUTION>", "w", "42", False),
    "opening tag later on": (TAGS, f"w{START}w<end_working_out><SOLUTION>42</SOLUTION>", f"w{START}w", "42", False),
    "opening tag twice": (TAGS, f"{START}{START}w<end_working_out><SOLUTION>42</SOLUTION>", f"{START}w", "42", False),
    "no working": (TAGS, " <end_working_out><SOLUTION>42</SOLUTION>", None, "42", False),
    "empty answer": (TAGS, "w<end_working_out><SOLUTION> </SOLUTION>", "w", None, False),
    "working not closed": (TAGS, "w<SOLUTION>42</SOLUTION>", None, "42", False),
    "working closed twice": (TAGS, "w<end_working_out>w<end_working_out><SOLUTION>42</SOLUTION>", None, "42", False),
    "working closed after the answer": (TAGS, "w<SOLUTION>42</SOLUTION><end_working_out>", None, None, False),
    "answer tags in the wrong order": (TAGS, "w<end_working_out></SOLUTION>42<SOLUTION>", "w", None, False),
    "two answers": (TAGS, "w<end_working_out><SOLUTION>42</SOLUTION><SOLUTION>43</SOLUTION>", "w", None, False),
    "truncated": (TAGS, "w<end_working_out><SOLUTION>42", "w", None, False),
    "nothing": (TAGS, "", None, None, False),
    "xml": (XML, "w</reasoning>\n<answer>1/2</answer>", "w", "1/2", True),
    "xml with other tags": (XML, "w<end_working_out><SOLUTION>42</SOLUTION>", None, None, False),
    "box": (BOXED, "So it is $\\boxed{42}$.", "So it is $", "42", True),
    "box in display": (BOXED, "So\n\\[ \\boxed{42} \\]\n", "So\n\\[", "42", True),
    "nested braces": (BOXED, "w \\boxed{\\frac{1}{2}}", "w", "\\frac{1}{2}", True),
    "escaped braces": (BOXED, "w \\boxed{\\{1, 2\\}}", "w", "\\{1, 2\\}", True),
    "text after the box": (BOXED, "w \\boxed{42} apples", "w", "42", False),
    "box alone": (BOXED, "\\boxed{42}", None, "42", False),
    "empty box": (BOXED, "w \\boxed{}", "w", None, False),
    "two boxes": (BOXED, "w \\boxed{42} \\boxed{42}", None, None, False),
    "box in a box": (BOXED, "w \\boxed{\\boxed{42}}", None, None, False),
    "open box": (BOXED, "w \\boxed{42", None, None, False),
    "box while thinking": (BOXED, "<think>\\boxed{41}</think> w \\boxed{42}", "<think>\\boxed{41}</think> w", "42", True),
    "only while thinking": (BOXED, "<think>\\boxed{41}</think> done", None, None, False),
    "thought": (THINK, "<think>w \\boxed{41}, no</think>\nSo it is $\\boxed{42}$.", "w \\boxed{41}, no", "42", True),
    "thought, opened by the prompt": (THINK, "w</think>\\boxed{42}", "w", "42", True),
    "thought, text after the box": (THINK, "w</think>\\boxed{42} apples", "w", "42", False),
    "thinking not finished": (THINK, "<think>w \\boxed{42} but wait", None, None, False),
    "thought twice": (THINK, "w</think>\\boxed{41}<think>v</think>\\boxed{42}", None, None, False),
    "thought, two boxes": (THINK, "w</think>\\boxed{41} \\boxed{42}", None, None, False),
    "thought of nothing": (THINK, "</think>\\boxed{42}", None, "42", False),
    "thought, with a section": (THINK_ANSWER, "w \\boxed{41}</think>\n<answer>42</answer>", "w \\boxed{41}", "42", True),
}


@pytest.mark.parametrize(("fmt", "completion", "reasoning", "answer", "exact"), PARSED.values(), ids=PARSED)
def test_parse(fmt, completion, reasoning, answer, exact):
    got, expected = fmt.parse(completion), Parsed(reasoning, answer, exact)
    assert got == expected, f"{fmt.name}: {completion!r} gave {got}, expected {expected}"


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_a_rendered_target_is_exact(fmt):
    target = fmt.render_target("6 * 7 = 42.", "42")
    completion = target.removeprefix(fmt.reasoning_start)
    for text in (target, completion):
        assert fmt.parse(text) == Parsed("6 * 7 = 42.", "42", True), text


def test_rendered_targets_add_no_white_space():
    tagged = "<start_working_out>w<end_working_out><SOLUTION>1</SOLUTION>"
    assert TAGS.render_target("w", "1") == tagged
    assert BOXED.render_target("w", "1") == "w\n\\boxed{1}"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(FORMATS.values())), st.lists(marks | st.text(max_size=4), max_size=12).map("".join))
def test_parse_takes_any_text(fmt, text):
    parsed = fmt.parse(text)
    assert not parsed.exact or (parsed.reasoning and parsed.answer)


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_the_prompt_is_a_prefix_of_the_conversation(fmt):
    template, question = chat_template(fmt), turn("user", "What is 6 * 7?")
    prompt = render(template, [question], add_generation_prompt=True)
    whole = render(template, [question, turn("assistant", fmt.render_target("6 * 7 = 42.", "42"))])
    assert prompt.endswith(f"<|im_start|>assistant\n{fmt.reasoning_start}")
    assert whole.startswith(prompt) and whole.endswith("<|im_end|>\n")


SYSTEM = {
    "the format's own": (None, [], TAGS.system_prompt),
    "another": ("Be brief.", [], "Be brief."),
    "none": ("", [], None),
    "the conversation's own": ("Be brief.", [turn("system", "Be long.")], "Be long."),
    "the conversation's own, no default": ("", [turn("system", "Be long.")], "Be long."),
}


@pytest.mark.parametrize(("given_prompt", "before", "expected"), SYSTEM.values(), ids=SYSTEM)
def test_the_system_turn(given_prompt, before, expected):
    got = render(chat_template(TAGS, given_prompt), [*before, turn("user", "Hi")])
    system = "" if expected is None else f"<|im_start|>system\n{expected}<|im_end|>\n"
    assert got == f"{system}<|im_start|>user\nHi<|im_end|>\n"


@settings(max_examples=200, deadline=None)
@given(texts, texts, texts)
def test_any_text_is_rendered_verbatim(system, question, answer):
    got = render(chat_template(TAGS, system), [turn("user", question), turn("assistant", answer)], add_generation_prompt=True)
    head = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    body = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
    expected = f"{head}{body}<|im_start|>assistant\n<start_working_out>"
    assert got == expected, f"{got!r}, expected {expected!r}"


def test_transformers_renders_the_same():
    utilities = pytest.importorskip("transformers.utils.chat_template_utils")
    messages = [turn("user", "Put \\boxed{'x'} in {{ here }}\n")]
    template = chat_template(BOXED)
    got = utilities.render_jinja_template([messages], chat_template=template, add_generation_prompt=True)
    got = (got[0] if isinstance(got, tuple) else got)[0]
    assert got == render(template, messages, add_generation_prompt=True)
    assert BOXED.system_prompt in got and messages[0]["content"] in got


def test_an_unknown_format_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="no format 'yaml'; choose one of tags, xml, boxed"):
        get_format("yaml")


def test_the_few_shot_prompt_shows_right_answers_and_ends_with_the_question():
    question = 'Find $\\frac{a}{"b"}$ in {braces}.\nNow.'
    prompt = few_shot_prompt(question)
    assert prompt.endswith(plain_prompt(question)) and prompt.count(NEXT_PROBLEM) == len(FEW_SHOT)
    for problem, reasoning, answer in FEW_SHOT:
        assert problem in prompt and is_correct(f"{reasoning} The answer is {answer}.", answer)


def test_prompts_of_the_question_alone():
    assert question_prompt("6 * 7?") == "<|im_start|>user\n6 * 7?<|im_end|>\n<|im_start|>assistant\n"
    assert plain_prompt("6 * 7?") == "Problem: 6 * 7?\nSolution:\n"


def test_examples_in_docstrings():
    assert doctest.testmod(formats).failed == 0
