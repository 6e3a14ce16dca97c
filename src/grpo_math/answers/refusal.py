"""Saying that a question cannot be answered: the right answer to a problem that leaves out what it needs.

Read by phrases, not by a model: a refusal in other words is not seen, and a completion that names the gap and then goes on to
give a number is an answer.
"""

import re

from grpo_math.answers.extract import after_thinking

UNANSWERABLE = "unanswerable"  # the gold answer of such a problem
TAIL = 400  # characters at the end of a completion in which it may refuse in a sentence

_FACTS = r"(?:information|info|data|details?|context)"
_SOLVE = (
    r"(?:be )?(?:accurately |exactly |really |simply )?"
    r"(?:(?:determin|answer|know|solv|calculat|comput|deduc|infer|tell|say)\w*|told|said|found|find (?:out|the|how)"
    r"|(?:work|figur)\w* out)"
)
_REFUSAL = re.compile(
    r"\b(?:unanswerable|undetermined|indeterminate|unclear)\b|(?<!\bthe )\bunknown\b"
    rf"|\b(?:not enough|not sufficient|insufficient|no|more|additional|further|missing) {_FACTS}"
    r"|(?:\b(?:not|never|nowhere)|n't)(?: been| explicitly| directly| clearly)?"
    r" (?:given|stated?|specif(?:y|ied)|provided?|known|told|say|tell|mention(?:ed)?|clear)\b"
    r"|(?:\b(?:can ?not|could not|do not|does not|unable to|impossible to|not possible to|no way to)"
    rf"|(?:ca|could|do|does)n't|n't possible to) {_SOLVE}"
    rf"|\b(?:problem|question|price|amount|number|quantity|value|{_FACTS}) (?:is|are) missing\b"
    r"|\bmissing (?:quantity|value|number)"
    r"|\bwithout knowing\b|\bneeds? to know\b|\bplease (?:provide|specify|clarify|tell|give)\b|\bdepends on (?:how|what|which)\b",
    re.IGNORECASE,
)
# A number that is given all the same, after the last such phrase: "I don't know, but 12".
_ANSWERS = re.compile(
    r"^\W{0,3}is\W{0,3}\d|=\W{0,3}\d|\b(?:answer|total|result|number) (?:is|are|would be)\b\W{0,4}\d"
    r"|\b(?:but|so|thus|hence|then|therefore|maybe|perhaps|probably|guess|assum\w{1,3}|suppose|take)\b[^.?!\n\d]{0,30}\d",
    re.IGNORECASE,
)
_ASKS_BACK = re.compile(r"[^\d?]*[^\W\d][^\d?]*\?")
_MARKED = re.compile(r"\\f?box|####|<(?:answer|solution)>|\banswer\b\W{0,4}(?:is\b|:)", re.IGNORECASE)


def is_refusal(text: str) -> bool:
    """Whether a short text says that the question cannot be answered, or asks back for what is missing.

    >>> is_refusal("It cannot be determined."), is_refusal("How many?"), is_refusal("I don't know, but 12")
    (True, True, False)
    """
    text = text[:TAIL].replace("’", "'").strip()
    phrases = list(_REFUSAL.finditer(text))
    if phrases:
        return not _ANSWERS.search(text[phrases[-1].end() :])
    return bool(_ASKS_BACK.fullmatch(text))


def refuses(completion: str, answer: str | None) -> bool:
    """Whether a completion refuses: in its final answer or, where it marks none as such, in its last sentences.

    answer: as extracted from the completion. Where no box, tag or "the answer is" marks it, it may be a number that the refusal
    itself names ("... how many of the 12 are left"), so what counts is the text from the answer's sentence on.
    """
    if not answer:
        return is_refusal(completion[-TAIL:])
    text = after_thinking(completion)
    at = text.rfind(answer)
    if is_refusal(answer) or at < 0 or _MARKED.search(text):
        return is_refusal(answer)
    sentence = max(text.rfind(end, 0, at) for end in (". ", "! ", "? ", "\n")) + 1
    return is_refusal(text[sentence:])
