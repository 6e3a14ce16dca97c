"""The form of a completion: working, then the final answer, marked so that a program finds both.

A departure from the textbook: the prompt already opens the working, so a completion begins inside
it and no reward has to ask for the opening tag.

>>> get_format("tags").parse("6 * 7 = 42<end_working_out><SOLUTION>42</SOLUTION>").answer
'42'
"""

import json
import re
from dataclasses import dataclass

_BOX = re.compile(r"\\boxed\s*\{")
_BRACE = re.compile(r"\\[{}]|[{}]")
_AFTER_BOX = re.compile(r"(?:[\s$.]++|\\[\])])*+")
_MAX_BOX = 10_000  # characters of a box's content


@dataclass(frozen=True)
class Parsed:
    """The working and the final answer of a completion (None where missing); is its form exact?"""

    reasoning: str | None
    answer: str | None
    exact: bool


@dataclass(frozen=True)
class ReasoningFormat:
    r"""Marks around the working and the answer, and the system prompt that asks for them.

    Where the answer is marked by `\boxed{` and `}` the marks of the working may be empty: then all before the box is working.
    """

    name: str
    reasoning_start: str
    reasoning_end: str
    answer_start: str
    answer_end: str
    system_prompt: str

    @property
    def boxed(self) -> bool:
        r"""Whether the answer stands in `\boxed{...}`."""
        return self.answer_start == r"\boxed{"

    def parse(self, text: str) -> Parsed:
        """Take a completion apart; it may repeat the tag by which the prompt opens the working.

        `answer` is given where exactly one complete answer section exists and the working is not
        closed after it. `exact` asks for the whole form: every tag once and in order, working and
        answer not empty, only white space between the two and after the end. Never raises.
        """
        return self._parse_boxed(text) if self.boxed else self._parse_tags(text)

    def render_target(self, reasoning: str, answer: str) -> str:
        """The assistant's message of a worked example in this form, without added white space."""
        line = "\n" if self.boxed else ""
        return "".join((self.reasoning_start, reasoning, self.reasoning_end, line, self.answer_start, answer, self.answer_end))

    def _parse_tags(self, text: str) -> Parsed:
        body = text.removeprefix(self.reasoning_start)
        closes = body.count(self.reasoning_end)
        one_section = body.count(self.answer_start) == 1 and body.count(self.answer_end) == 1
        before, _, section = body.partition(self.answer_start)
        answer, end, after = section.partition(self.answer_end)
        found = one_section and end != "" and self.reasoning_end not in section
        answer = answer.strip() if found else ""
        reasoning, _, between = before.partition(self.reasoning_end)
        reasoning = reasoning.strip() if closes == 1 and self.reasoning_end in before else ""
        exact = bool(reasoning and answer and self.reasoning_start not in body and not between.strip() and not after.strip())
        return Parsed(reasoning or None, answer or None, exact)

    def after_working(self, text: str) -> str:
        """Where a box is the answer, not working: behind the one end of the working; in a free form behind a thinking block."""
        if not self.reasoning_end:
            return text[text.rfind("</think>") + 1 :]
        working, end, behind = text.removeprefix(self.reasoning_start).partition(self.reasoning_end)
        return "" if self.reasoning_start in working + behind or self.reasoning_end in behind else behind

    def _parse_boxed(self, text: str) -> Parsed:
        behind = self.after_working(text)
        boxes = _BOX.finditer(behind)
        box = next(boxes, None)
        if box is None or next(boxes, None) is not None:
            return Parsed(None, None, False)
        depth = 1
        for brace in _BRACE.finditer(behind, box.end(), box.end() + _MAX_BOX):
            depth += {"{": 1, "}": -1}.get(brace.group(), 0)
            if depth == 0:
                before = text[: len(text) - len(behind) + box.start()]
                if self.reasoning_end:
                    before = before.removeprefix(self.reasoning_start).partition(self.reasoning_end)[0]
                reasoning, answer = before.strip(), behind[box.end() : brace.start()].strip()
                exact = bool(reasoning and answer and _AFTER_BOX.fullmatch(behind, brace.end()))
                return Parsed(reasoning or None, answer or None, exact)
        return Parsed(None, None, False)


FORMATS: dict[str, ReasoningFormat] = {
    "tags": ReasoningFormat(
        "tags",
        "<start_working_out>",
        "<end_working_out>",
        "<SOLUTION>",
        "</SOLUTION>",
        "Solve the maths problem. Work step by step, starting at <start_working_out> and closing "
        "with <end_working_out>. Then write only the answer between <SOLUTION> and </SOLUTION>.",
    ),
    "xml": ReasoningFormat(
        "xml",
        "<reasoning>",
        "</reasoning>",
        "<answer>",
        "</answer>",
        "Solve the maths problem. Reason step by step inside <reasoning> and </reasoning>, "
        "then put the final answer alone inside <answer> and </answer>.",
    ),
    "boxed": ReasoningFormat(
        "boxed", "", "", r"\boxed{", "}", r"Solve the maths problem step by step, and end with the final answer in one \boxed{}."
    ),
    "think": ReasoningFormat(
        "think",
        "<think>",
        "</think>",
        r"\boxed{",
        "}",
        r"Solve the maths problem. Think step by step inside <think> and </think>, then give the final answer in one \boxed{}.",
    ),
    "think-answer": ReasoningFormat(
        "think-answer",
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "Solve the maths problem. Think step by step inside <think> and </think>, "
        "then put the final answer alone inside <answer> and </answer>.",
    ),
}


def get_format(name: str) -> ReasoningFormat:
    """The format of this name. Raises ValueError where there is none."""
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise ValueError(f"There is no format {name!r}; choose one of {known}.")
    return FORMATS[name]


def user_turn(question: str) -> list[dict[str, str]]:
    """A conversation that asks the question."""
    return [{"role": "user", "content": question}]


_UNLESS_SYSTEM = "{% if not messages | selectattr('role', 'equalto', 'system') | list %}"


def chat_template(fmt: ReasoningFormat, system_prompt: str | None = None, begin: str = "") -> str:
    """A ChatML template in Jinja whose generation prompt opens the working.

    `system_prompt`: None is the format's own, "" is no system turn; a conversation's own system
    turn takes its place. `begin`: as in `plain_template`. Texts enter as escaped literals or as
    data, so all come out verbatim.
    """
    system = fmt.system_prompt if system_prompt is None else system_prompt
    turn = "{{ '<|im_start|>' + %s + '\\n' + %s + '<|im_end|>\\n' }}"
    default = turn % ("'system'", _literal(system))
    return "".join(
        (
            _output(begin),
            f"{_UNLESS_SYSTEM}{default}{{% endif %}}" if system else "",
            "{% for message in messages %}",
            turn % ("message['role']", "message['content']"),
            "{% endfor %}",
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' + ",
            _literal(fmt.reasoning_start),
            " }}{% endif %}",
        )
    )


OWN_TEMPLATE = "{# the model's own chat template #}"  # stands before and behind it


def wrapped_template(
    own: str, fmt: ReasoningFormat, system_prompt: str | None, *, system_turn: bool, begin: str = "", gap: str = ""
) -> str:
    """A chat model's own template in Jinja, between a system prompt and the tag that opens the working.

    `system_prompt`, `begin`: as in `chat_template`; where the model knows no system turn (`system_turn`
    False) it stands before the first message. `gap`: what the template writes between its
    generation prompt and an answer. With the variable `bare` the template does what it did.
    """
    system = fmt.system_prompt if system_prompt is None else system_prompt
    as_turn = "[{'role': 'system', 'content': %s}] + messages"
    as_text = "[{'role': messages[0]['role'], 'content': %s + messages[0]['content']}] + messages[1:]"
    first = as_turn % _literal(system) if system_turn else as_text % _literal(f"{system}\n\n")
    opening = f"{gap}{fmt.reasoning_start}".rstrip(" ")  # a space at the end is part of the first word's token
    return "".join(
        (
            _output(begin),
            # A prompt that holds today's date would be another one tomorrow.
            "{% macro strftime_now(form) %}1 January 2025{% endmacro %}" if "strftime_now" in own else "",
            f"{{% if not bare %}}{_UNLESS_SYSTEM}{{% set messages = {first} %}}{{% endif %}}{{% endif %}}" if system else "",
            OWN_TEMPLATE + own.removesuffix("\n") + OWN_TEMPLATE,  # as Jinja reads it alone
            f"{{% if add_generation_prompt and not bare %}}{{{{ {_literal(opening)} }}}}{{% endif %}}" if opening else "",
        )
    )


def _output(text: str) -> str:
    """What writes the text in Jinja, nothing for none."""
    return f"{{{{ {_literal(text)} }}}}" if text else ""


def _literal(text: str) -> str:
    """The text as a string literal of JSON, whose escapes mean the same to Jinja (pairs apart)."""
    return json.dumps(text, ensure_ascii=False)


def plain_prompt(question: str) -> str:
    """The question as a base model without a chat template reads it."""
    return f"Problem: {question}\nSolution:\n"


# Worked examples for a base model's few-shot prompt. Our own, and of the kinds that school mathematics is asked in.
FEW_SHOT = (
    ("A shop sells pens at 3 euros each. Tom buys 4 pens and pays with 20 euros. How much money does he get back?",
     "4 pens cost 4 * 3 = 12 euros. He gets back 20 - 12 = 8 euros.", "8"),
    ("What is the sum of the solutions of $x^2 - 7x + 10 = 0$?",
     "$x^2 - 7x + 10 = (x - 2)(x - 5)$, so the solutions are 2 and 5. Their sum is 2 + 5 = 7.", "7"),
    ("A die is thrown twice. What is the probability that both numbers are even?",
     "Three of six numbers are even, so each throw is even with probability 1/2. Both are with 1/2 * 1/2 = 1/4.", "1/4"),
    ("A right triangle has legs of 6 cm and 8 cm. How long is the hypotenuse, in cm?",
     "By Pythagoras its square is 36 + 64 = 100, and the root of 100 is 10.", "10"),
)  # fmt: skip
NEXT_PROBLEM = "\nProblem:"  # where a base model has answered and goes on to make up the next problem


def few_shot_prompt(question: str) -> str:
    """`plain_prompt` after four worked examples, each ending in "The answer is ...": what a base model understands best."""
    worked = (f"{plain_prompt(problem)}{reasoning} The answer is {answer}.\n\n" for problem, reasoning, answer in FEW_SHOT)
    return "".join(worked) + plain_prompt(question)


def question_prompt(question: str) -> str:
    """The question alone in ChatML: a chat model's plainest prompt, without a system turn or a word about the form."""
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


def plain_template(fmt: ReasoningFormat, end: str = "<|im_end|>", begin: str = "") -> str:
    """A template in Jinja for a base model that has never seen a chat: `plain_prompt`, then the tag that opens the working.

    It takes one question and, in training, its answer; there are no role names and no system turn that the model would have to
    learn to look past. The answer ends with the token `end`, by default the same as in ChatML; `begin` is the token that every
    text begins with, where the model has one.
    """
    before, after = plain_prompt("\0").split("\0")
    return "".join(
        (
            _output(begin),
            "{% for message in messages %}{% if message['role'] == 'user' %}{{ ",
            _literal(before),
            " + message['content'] + ",
            _literal(after),
            f" }}}}{{% else %}}{{{{ message['content'] + '{end}\\n' }}}}",
            "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ ",
            _literal(fmt.reasoning_start),
            " }}{% endif %}",
        )
    )
