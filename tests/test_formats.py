"""Formats: prompts are rendered verbatim, targets parse back, and only the exact form counts as exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from grpo_math.formats import FORMATS, chat_template, get_format, plain_prompt

TAGS, XML, BOXED = FORMATS["tags"], FORMATS["xml"], FORMATS["boxed"]


def render(fmt, messages, add_generation_prompt=False, system_prompt=None) -> str:
    template = chat_template(fmt, system_prompt)
    return render_jinja_template([messages], chat_template=template, add_generation_prompt=add_generation_prompt)[0][0]


CASES = {  # name: (format, completion, answer, exact)
    "the form": (TAGS, "6 * 7 = 42.<end_working_out><SOLUTION>42</SOLUTION>", "42", True),
    "the opening tag written again": (TAGS, "<start_working_out>w<end_working_out><SOLUTION>42</SOLUTION>", "42", True),
    "lines between": (TAGS, "a\nb\n<end_working_out>\n<SOLUTION>\n42\n</SOLUTION>\n", "42", True),
    "text after the end": (TAGS, "w<end_working_out><SOLUTION>42</SOLUTION> done", "42", False),
    "text after the end, on a later line": (TAGS, "w<end_working_out><SOLUTION>42</SOLUTION>\n43", "42", False),
    "text between": (TAGS, "w<end_working_out> so <SOLUTION>42</SOLUTION>", "42", False),
    "no working": (TAGS, "<end_working_out><SOLUTION>42</SOLUTION>", "42", False),
    "empty answer": (TAGS, "w<end_working_out><SOLUTION> </SOLUTION>", None, False),
    "not closed": (TAGS, "w<end_working_out><SOLUTION>42", None, False),
    "two answers": (TAGS, "w<end_working_out><SOLUTION>1</SOLUTION><SOLUTION>2</SOLUTION>", None, False),
    "wrong order": (TAGS, "w<SOLUTION>42</SOLUTION><end_working_out>", None, False),
    "opening tag in the middle": (TAGS, "w<start_working_out><end_working_out><SOLUTION>42</SOLUTION>", None, False),
    "nothing": (TAGS, "", None, False),
    "xml, multi-line": (XML, "line\nline\n</reasoning>\n<answer>\n7\n</answer>\n", "7", True),
    "a box": (BOXED, r"So $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}", True),
    "a box, then text": (BOXED, r"So \boxed{4}, or not.", "4", False),
    "two boxes": (BOXED, r"\boxed{4} and \boxed{5}", None, False),
    "a box cut off": (BOXED, r"So \boxed{4", None, False),
    "an empty box": (BOXED, r"So \boxed{}", None, False),
}


@pytest.mark.parametrize("name", CASES)
def test_parse(name):
    fmt, completion, answer, exact = CASES[name]
    parsed = fmt.parse(completion)
    assert (parsed.answer, parsed.exact) == (answer, exact), f"{name}: {completion!r} gave {parsed}"


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_a_target_parses_back_and_continues_the_prompt(fmt):
    target = fmt.render_target("6 * 7 = 42.", "42")
    parsed = fmt.parse(target)
    assert (parsed.reasoning, parsed.answer, parsed.exact) == ("6 * 7 = 42.", "42", True)
    prompt, turn = [{"role": "user", "content": "?"}], {"role": "assistant", "content": target}
    assert render(fmt, [*prompt, turn]).startswith(render(fmt, prompt, add_generation_prompt=True))


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
@given(text=st.text(max_size=300) | st.sampled_from([r"\boxed{\frac12}", "it's \"5\"", "{{ 7*7 }}", "{% raw %}", "a\\n\nb", "</answer>"]))
def test_prompts_are_rendered_verbatim(fmt, text):
    assert text in render(fmt, [{"role": "user", "content": text}], add_generation_prompt=True)
    if text:
        assert f"system\n{text}<|im_end|>" in render(fmt, [{"role": "user", "content": "q"}], system_prompt=text)


def test_system_turns():
    question = [{"role": "user", "content": "q"}]
    assert TAGS.system_prompt in render(TAGS, question)
    assert "system" not in render(TAGS, question, system_prompt="")
    own = render(TAGS, [{"role": "system", "content": "mine"}, *question])
    assert "mine" in own and TAGS.system_prompt not in own


@given(st.text(max_size=300))
def test_parse_never_raises(text):
    for fmt in FORMATS.values():
        parsed = fmt.parse(text)
        assert not parsed.exact or parsed.answer


def test_unknown_format():
    with pytest.raises(ValueError, match="There is no format 'json': choose one of tags, xml, boxed"):
        get_format("json")


def test_plain_prompt():
    assert plain_prompt("2 + 2?") == "Problem: 2 + 2?\nSolution:\n"
