r"""The forms in which a completion can hold its working and its answer: tags, XML, or a final `\boxed{}`.

A format says how a prompt is rendered, how a training target is written, and how a completion is read. The prompt opens the
working (`reasoning_start` stands at the end of the generation prompt), so a completion begins inside it. Standard library only.
"""

import json
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Parsed:
    """A completion, read strictly. `answer` is given where exactly one well-placed answer section is; `exact` where that is all."""

    reasoning: str | None
    answer: str | None
    exact: bool


@dataclass(frozen=True)
class ReasoningFormat:
    """The tags of a format and its default system prompt. The reasoning tags are empty where the reasoning is free."""

    name: str
    reasoning_start: str
    reasoning_end: str
    answer_start: str
    answer_end: str
    system_prompt: str

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that a completion has to write itself, in their order."""
        return tuple(tag for tag in (self.reasoning_end, self.answer_start, self.answer_end) if tag)

    def parse(self, completion: str) -> Parsed:
        """Read a completion strictly: each tag once, in order, around a reasoning and an answer that are not empty."""
        text = completion.removeprefix(self.reasoning_start)
        if not self.reasoning_end:
            return self._parse_boxed(text)
        if any(text.count(tag) != 1 for tag in self.tags) or self.reasoning_start in text:
            return Parsed(None, None, False)
        reasoning, _, rest = text.partition(self.reasoning_end)
        between, _, rest = rest.partition(self.answer_start)
        answer, end, after = rest.partition(self.answer_end)
        if not end or not answer.strip():
            return Parsed(None, None, False)
        exact = bool(reasoning.strip()) and not between.strip() and not after.strip()
        return Parsed(reasoning.strip() or None, answer.strip(), exact)

    def _parse_boxed(self, text: str) -> Parsed:
        """One complete box, and after it nothing but what closes the formula or the sentence."""
        reasoning, _, rest = text.partition(self.answer_start)
        end = _closing_brace(rest)
        if text.count(self.answer_start) != 1 or end is None or not rest[:end].strip():
            return Parsed(None, None, False)
        reasoning = reasoning.strip(" \t\n$")
        return Parsed(reasoning or None, rest[:end].strip(), bool(reasoning) and not rest[end + 1 :].strip(" \t\n$.\\]"))

    def render_target(self, reasoning: str, answer: str) -> str:
        """The assistant's message that a training example wants: working and answer in this form, no whitespace added."""
        if not self.reasoning_end:
            return f"{reasoning}\n{self.answer_start}{answer}{self.answer_end}"
        return f"{self.reasoning_start}{reasoning}{self.reasoning_end}{self.answer_start}{answer}{self.answer_end}"


FORMATS = {
    fmt.name: fmt
    for fmt in (
        ReasoningFormat(
            "tags", "<start_working_out>", "<end_working_out>", "<SOLUTION>", "</SOLUTION>",
            "Solve the problem. Work it out between <start_working_out> and <end_working_out>, "
            "then give only the final answer between <SOLUTION> and </SOLUTION>."),
        ReasoningFormat(
            "xml", "<reasoning>", "</reasoning>", "<answer>", "</answer>",
            "Solve the problem. Write your working inside <reasoning> and </reasoning>, "
            "then only the final answer inside <answer> and </answer>."),
        ReasoningFormat("boxed", "", "", "\\boxed{", "}", "Solve the problem step by step and end with the final answer in \\boxed{}."),
    )
}


def get_format(name: str) -> ReasoningFormat:
    """The format of that name; ValueError with the known names for any other."""
    if name not in FORMATS:
        raise ValueError(f"There is no format {name!r}: choose one of {', '.join(FORMATS)}.")
    return FORMATS[name]


def _closing_brace(text: str) -> int | None:
    """Where the brace that was open before `text` closes, or None."""
    depth = 1
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return match.start()
    return None


def chat_template(fmt: ReasoningFormat, system_prompt: str | None = None) -> str:
    """A ChatML template in Jinja. `system_prompt`: None is the format's own, "" is no system turn at all.

    The texts are put in as JSON string literals, which Jinja reads as they are; messages only ever enter as data. A system turn
    in the messages takes the place of the default one.
    """
    system = fmt.system_prompt if system_prompt is None else system_prompt
    default = ""
    if system:
        turn = json.dumps(f"<|im_start|>system\n{system}<|im_end|>\n", ensure_ascii=False)
        default = "{%- if messages[0]['role'] != 'system' %}{{ " + turn + " }}{% endif %}"
    opening = json.dumps("<|im_start|>assistant\n" + fmt.reasoning_start, ensure_ascii=False)
    return (default + "{%- for message in messages %}"
            "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
            "{%- endfor %}{%- if add_generation_prompt %}{{ " + opening + " }}{% endif %}")


def plain_prompt(question: str) -> str:
    """The plainest prompt for a base model, as its own texts pose a problem."""
    return f"Problem: {question}\nSolution:\n"
