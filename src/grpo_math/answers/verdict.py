r"""The verdict: does an answer equal the gold, and why (not)?

An answer and a gold answer are read alike: raw, in `$...$` and in `\boxed{}`. Both become typed answers, and these are compared.
Nothing that a model writes is executed; work is bounded by lengths and counts, never by clocks, so the verdict is the same on
every machine and in every thread.
"""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from numbers import Number
from typing import NamedTuple

from grpo_math.answers import exact
from grpo_math.answers.compare import same
from grpo_math.answers.extract import MAX_ANSWER, Format, Found, extract_boxed, find
from grpo_math.answers.lexer import OverBudget, Unparsed, normalise, tokenize
from grpo_math.answers.parser import Node, parse
from grpo_math.answers.refusal import UNANSWERABLE, is_refusal, refuses
from grpo_math.answers.statements import Contradiction, settle
from grpo_math.answers.vocabulary import FUNCTIONS

MAX_PROSE = 12  # words; a longer gold text cannot be graded by comparing it
_CACHED = 300  # characters; longer answers are read anew each time, so that the caches stay small

_INTEGER = re.compile(r"-?\d{1,15}", re.ASCII)
_PROSE = re.compile(r"(?!(?:pi|inf|infinity)$)(?=[A-Za-z]{3,}$|.*[a-z]{4})[A-Za-z][A-Za-z ,;.'-]*", re.IGNORECASE)
_MAYBE_LIST = re.compile(r"\d,\d{3}(?!\d)")
_SEPARATOR = re.compile(r"[,;]|\b(?:and|or)\b")
# A choice followed by what it says: (B) 12, B. twelve.
_CHOICE = re.compile(
    r"\s*(?:\\text(?:bf|rm|it)?\s*\{)?\s*(\(?)([A-J])\s*(?(1)\)|[).:])(?!.*(?:[,=]|\b(?:or|and)\b)).*[^\s}].*", re.DOTALL
)
# No difference: a telephone number.
_TELEPHONE = re.compile(r"\d{3}-\d{4}")
_LEAD = re.compile(r"\s*(?:the )?(?:final )?answer(?: is)?\s*:?\s*(?=\S)", re.IGNORECASE)
_DEGENERATE = frozenset({"", "nan", "null", "n/a", "?"})
_DELIMITER = re.compile(r"(?<!\\)\\[()\[\]]")


# A gold answer as data sets have it: a text, a number, or a list of alternatives, any of which is right.
Gold = str | int | float | Sequence[str | int | float] | None
# (answer, gold): whether it is right, None where the gold cannot be graded.
Checker = Callable[[str, Gold], bool | None]


class Verdict(NamedTuple):
    """correct: None where the gold cannot be graded. reason: one of REASONS. answer, gold: as extracted and as given."""

    correct: bool | None
    reason: str
    answer: str | None
    gold: str


class Reading(NamedTuple):
    """A completion, read once: what a measurement records of it.

    answer, correct, reason: of the answer that it clearly gives anywhere, as `explain` has them.
    strict_answer, strict_correct: of the answer in the required form alone, as with `strict=True`.
    exact: whether the whole completion has the required form. Both verdicts are None where the gold cannot be graded.
    """

    answer: str | None
    correct: bool | None
    reason: str
    strict_answer: str | None
    strict_correct: bool | None
    exact: bool


REASONS = {
    "equal": "the answer equals the gold",
    "different": "both were read, and they are not the same",
    "no answer": "the completion gives no clear final answer",
    "unparsed": "the answer is no mathematics that we can read, and not the gold's text",
    "contradictory": "the completion gives several final answers, or sides of an equation, that disagree",
    "over budget": "the answer is too long, too deep or too large to be an answer",
    "ungradable gold": "the gold answer is empty, broken, contradictory, prose or too large",
}


class _Answer(NamedTuple):
    """What an answer says: a typed answer, or the reason why there is none; and its text in one spelling."""

    node: Node | None
    problem: str
    text: str


def gold_texts(gold: Gold) -> list[str]:
    """The texts of a gold answer, any of which is right; an empty one cannot be graded.

    TypeError for what is no text, number or list of them.

    >>> gold_texts(72.0), gold_texts(["1/2", 0.5]), gold_texts(None)
    (['72'], ['1/2', '0.5'], [''])
    """
    if gold is None or isinstance(gold, str):
        return [gold or ""]
    if isinstance(gold, Number):
        return [f"{gold:.0f}" if isinstance(gold, float) and gold.is_integer() else str(gold)]
    if isinstance(gold, Sequence):
        return [text for each in gold for text in gold_texts(each)] or [""]
    raise TypeError(f"A gold answer is a text, a number or a list of alternatives, not {type(gold).__name__}: {str(gold)[:60]}.")


def is_equivalent(answer: str, gold: Gold) -> bool | None:
    r"""Whether an answer equals the gold, or one of its alternatives; None where the gold cannot be graded.

    >>> is_equivalent(r"\frac12", "0.5"), is_equivalent("22 or 23", "22"), is_equivalent("22", "")
    (True, False, None)
    >>> is_equivalent("42", 42), is_equivalent("1/2", ["one half", "0.5"])
    (True, True)
    """
    return judge(answer, gold).correct


def is_correct(completion: str, gold: Gold, format: Format | None = None, strict: bool = False) -> bool | None:
    """Whether a completion's final answer equals the gold; None where the gold cannot be graded.

    Where the gold is UNANSWERABLE, a completion is right that says so instead of giving an answer.
    """
    return explain(completion, gold, format, strict).correct


def explain(completion: str, gold: Gold, format: Format | None = None, strict: bool = False) -> Verdict:
    r"""The verdict on a completion, with its reason (see REASONS).

    >>> explain(r"So \boxed{4}. Wait, no: \boxed{3}", "3").reason
    'equal'
    >>> explain(r"\boxed{5 = 7 + 5}", "12").reason
    'contradictory'
    """
    return _explain_found(find(completion, format, strict), "" if strict else completion, gold)


def read_completion(completion: str, gold: Gold, format: Format, checker: Checker | None = None) -> Reading:
    r"""Both verdicts on a completion, flexible and strict, and its form, for the work of one.

    The same as `explain` and `extract_answer` without and with `strict`, and the `exact` of `format.parse`. A `checker` decides
    in place of ours on the answer that was found, "" where there is none.

    >>> from grpo_math.formats import get_format
    >>> read_completion("6 * 7 = 42. So it is 42.", "42", get_format("tags"))
    Reading(answer='42', correct=True, reason='equal', strict_answer=None, strict_correct=False, exact=False)
    """
    parsed = format.parse(completion)
    # An answer in the required form is the answer by either reading; only without one is the rest of the text searched.
    found = Found(parsed.answer) if parsed.answer else find(completion)
    verdict = _checked(checker, found, gold) if checker else _explain_found(found, completion, gold)
    strict = verdict.correct
    if not parsed.answer:
        strict = None if verdict.correct is None else False
    elif gold == UNANSWERABLE and not checker:
        strict = is_refusal(parsed.answer)
    return Reading(verdict.answer, verdict.correct, verdict.reason, parsed.answer, strict, parsed.exact)


def _checked(checker: Checker, found: Found, gold: Gold) -> Verdict:
    correct = checker(found.answer or "", gold)
    correct = None if correct is None else bool(correct)
    reason = "ungradable gold" if correct is None else "equal" if correct else "different" if found.answer else "no answer"
    return Verdict(correct, reason, found.answer, " or ".join(gold_texts(gold)))


def _of_alternatives(verdicts: list[Verdict]) -> Verdict:
    """The first that is right, else the first by a gold that can be graded."""
    best = max(verdicts, key=lambda verdict: (verdict.correct is not None, bool(verdict.correct)))
    return best._replace(gold=" or ".join(verdict.gold for verdict in verdicts))


def _explain_found(found: Found, completion: str, gold: Gold) -> Verdict:
    """The verdict on the answer found in a completion; `completion` is empty where only its required form counts."""
    if not isinstance(gold, str):
        return _of_alternatives([_explain_found(found, completion, text) for text in gold_texts(gold)])
    if gold == UNANSWERABLE:
        refused = refuses(completion, found.answer)
        return Verdict(refused, "equal" if refused else "different" if found.answer else "no answer", found.answer, gold)
    verdict = judge(found.answer or "", gold)
    if verdict.correct is False and len(found.boxes) > 1:  # a gold list may be answered by as many boxes as it has parts
        wanted = _read_gold(gold).node
        if wanted is not None and wanted[0] in ("list", "set") and len(wanted[1]) == len(found.boxes):
            verdict = judge(", ".join(found.boxes), gold)
    if verdict.correct and any(
        is_equivalent(other, found.answer) is False for other in found.others if as_number(other) is not None
    ):
        return Verdict(False, "contradictory", found.answer, gold)
    return verdict


def judge(answer: str, gold: Gold) -> Verdict:
    """As `explain`, for an answer that has already been extracted."""
    if not isinstance(gold, str):
        return _of_alternatives([judge(answer, text) for text in gold_texts(gold)])
    if _INTEGER.fullmatch(gold) and _INTEGER.fullmatch(answer):
        equal = int(answer) == int(gold)
        return Verdict(equal, "equal" if equal else "different", answer, gold)
    if gold == UNANSWERABLE:
        refused = is_refusal(answer)
        return Verdict(refused, "equal" if refused else "different", answer, gold)
    wanted = _read_gold(gold)
    if wanted.problem:
        return Verdict(None, "ungradable gold", answer, gold)
    answer = _shortened(answer)
    if len(answer) > MAX_ANSWER:
        return Verdict(False, "over budget", answer, gold)
    if not answer.strip():
        return Verdict(False, "no answer", None, gold)
    correct, reason = _compare(_read(answer), wanted)
    # Is 1,234 a number or a list of two? A list only beside another list: 1,001 as the list of 1 and 1 is not the number 1.
    # And of as many: 1,000 as 1 and 0 is not 1,000,000 as 1, 0 and 0.
    lists = len(_SEPARATOR.findall(answer)) == len(_SEPARATOR.findall(gold)) > 0
    if not correct and lists and (_MAYBE_LIST.search(answer) or _MAYBE_LIST.search(gold)):
        correct, reason = _compare(_read(answer, False), _read_gold(gold, False))
    if not correct and wanted.node and wanted.node[0] == "v" and (choice := _CHOICE.fullmatch(answer)):
        correct = choice.group(2) == wanted.node[1]
        reason = "equal" if correct else "different"
    return Verdict(correct, reason, answer, gold)


def as_number(answer: str) -> Fraction | None:
    """The exact value of an answer that is one rational number, with or without name and unit; None for anything else."""
    if _INTEGER.fullmatch(answer):
        return Fraction(answer)
    node = _read(answer).node
    while node is not None and node[0] in ("named", "unit"):
        node = node[2] if node[0] == "named" else node[1]
    try:
        return exact.rational(exact.evaluate(node)) if node is not None else None
    except (exact.NotExact, exact.Undefined, OverBudget):
        return None


def _compare(answer: _Answer, gold: _Answer) -> tuple[bool, str]:
    if answer.text == gold.text and answer.problem != "contradictory":
        return True, "equal"
    if answer.problem or gold.node is None:
        return False, answer.problem or "different"
    try:
        equal = same(answer.node, gold.node)
    except (OverBudget, RecursionError):
        return False, "over budget"
    except Contradiction:
        return False, "contradictory"
    return equal, "equal" if equal else "different"


def _read_gold(gold: str, grouped: bool = True) -> _Answer:
    """The reading of a gold answer; its problem is empty where it can be graded, by its type or by its text."""
    gold = _shortened(gold)
    reading = _read(gold, grouped)
    prose = len(reading.text.split("\0")) > MAX_PROSE and (reading.node is None or reading.node[0] == "text")
    balanced = gold.count("{") - gold.count("\\{") == gold.count("}") - gold.count("\\}")
    if reading.problem == "unparsed" and not prose and reading.text and balanced:
        return reading._replace(problem="")
    return reading._replace(problem=reading.problem or "prose" * prose)


def _shortened(text: str) -> str:
    """The text, or the box in it where it is longer than an answer may be."""
    return text if len(text) <= MAX_ANSWER else extract_boxed(text) or text


def _read(text: str, grouped: bool = True) -> _Answer:
    if len(text) > MAX_ANSWER:
        return _Answer(None, "over budget", "")
    return _typed(text, grouped) if len(text) <= _CACHED else _typed.__wrapped__(text, grouped)


@lru_cache(4096)
def _typed(text: str, grouped: bool) -> _Answer:
    """What a text of bounded length says. Never raises."""
    # 1. The answer without its box, emphasis, a lead ("Answer:") and a closing period.
    if "box" in text and (content := extract_boxed(text)) is not None:
        text = content
    text = normalise(text).replace("**", " ") if text.lstrip().startswith("**") else normalise(text)
    text = _LEAD.sub("", text, count=1) if text.lstrip()[:6].lower() in ("answer", "final ", "the fi", "the an") else text
    text = _DELIMITER.sub(" ", text).strip()
    while text and text[-1] in ".,;:" and not text.endswith(("\\,", "\\;", "\\:", "...")):
        text = text[:-1].rstrip()
    # 2. Words, or nothing.
    words = text.strip("{} ")
    if words.lower() in _DEGENERATE:
        return _Answer(None, "unparsed", "")
    if _PROSE.fullmatch(words) and (" " not in words or not FUNCTIONS.intersection(words.split())):
        text = f"\\text{{{words}}}"
    if _TELEPHONE.fullmatch(words):
        return _Answer(("text", words), "", words)
    # 3. Its type, and its text in one spelling.
    spelling = ""
    try:
        tokens = tokenize(text, grouped)
        spelling = "\0".join(_spelled(*token) if token[0] in ("word", "letters") else token[1] for token in tokens)
        if not tokens:
            return _Answer(None, "unparsed", "")
        node = settle(parse(tokens))
        return _Answer(node, "", spelling) if _has_value(node) else _Answer(None, "unparsed", "")
    except Unparsed:
        return _Answer(None, "unparsed", spelling)
    except Contradiction:
        return _Answer(None, "contradictory", "")
    except (OverBudget, RecursionError):
        return _Answer(None, "over budget", spelling)


def _spelled(kind: str, value: str) -> str:
    """A word without case. A script that has none may have no spaces either: letter by letter, however they are set."""
    return "\0".join(value) if kind == "letters" and value.lower() == value.upper() else value.casefold()


def _has_value(node: Node) -> bool:
    """False where the answer is a number that does not exist, such as 1/0."""
    try:
        exact.evaluate(node)
    except exact.Undefined:
        return False
    except (exact.NotExact, OverBudget):
        pass
    return True
