r"""Find the final answer that a completion clearly gives.

Only the end of a completion is searched (TAIL characters), so the time is bounded whatever comes before; text inside
`<think> ... </think>` is working and gives no answer.
"""

import re
from typing import NamedTuple, Protocol

TAIL = 50_000  # characters at the end of a completion that are searched for a box
MARKED_TAIL = 4_000  # and for any other mark
MAX_ANSWER = 2_000  # characters of an answer; a longer one is wrong
MAX_BOXES = 40  # unclosed boxes that are passed over

_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_BRACES = re.compile(r"\\[\\{}]|[{}]")
# What may stand between two boxes that are parts of one answer.
_CONNECTION = re.compile(
    r"(?:[\s$.,;&]|\\[,;:() \[\]\\]|\\q?quad|\\text\s?\{\s*(?:and|or)\s*\}|\b(?:and|or)\b|[A-Za-z]\w{0,3}\s?=)*", re.ASCII
)
_TAGGED = re.compile(r"<(answer|solution)>(.{0,2000}?)</\1>", re.IGNORECASE | re.DOTALL)
_CUT_OFF = re.compile(r"<(?:answer|solution)>(?!.*</)", re.IGNORECASE | re.DOTALL)  # a section that is never closed
_TAG = re.compile(r"<[/|]?[A-Za-z_]\w{0,30}\|?>")
_MARK = re.compile(
    r"####[ \t]{0,9}(?=[-+.$(\\\d])|^[ \t*#]{0,9}A:"
    r"|\b(?:answer|respuesta|antwort|réponse)\b\**[ \t]{0,3}(?::|is:?(?=[ \t*$\\(\d-]))"
    r"|\b(?:answer|respuesta|réponse)[ \t]{1,3}(?:final[ \t]{1,3})?(?:es|est|is)\b:?|答案(?:是|为|：|:)",
    re.IGNORECASE | re.MULTILINE,
)
_FINAL = re.compile(r"\W*final\W+answer", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?:\s|\*|$)|。|,? (?:because|since|which|so that) ")
_BOLD = re.compile(r"\*\*([^*\n]{1,300})\*\*")
_MATH = re.compile(r"\$\$?([^$]{1,500})\$\$?|\\\((.{1,500}?)\\\)|\\\[(.{1,500}?)\\\]", re.DOTALL)
_NUMERAL = r"(?:(?:\d{1,3}(?:[ ,]\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
_IN_TEXT = re.compile(
    rf"(?:(?<![\w)}}])[-\u2212])?(?:\\[dtc]?frac\{{\d{{1,99}}\}}\{{\d{{1,99}}\}}|(?<![A-Za-z\d.]){_NUMERAL}(?:/\d+)?%?(?![A-Za-z\d]))",
    re.ASCII,
)
# A last line gives an answer where it concludes something; "See page 42" does not.
_CONCLUDES = re.compile(
    r"[=\u2248]|\b(?:so|thus|therefore|hence|total|result|equals?|is|are|was|were|has|have|had|will|would|gives?|left|makes?|needs?|gets?|"
    r"costs?|answer|solution|final|find|donc|il|es|son|ist)\b|[\u3400-\u9fff\u0600-\u06ff]",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"(?: (?:dollars?|euros?|in total|in all|altogether|left))+$", re.IGNORECASE)
_RETRACTION = re.compile(
    r"\b(?:wait|no|not|actually|correction|sorry|mistake|instead|rather|re-?check|again|hmm|wrong)\b", re.IGNORECASE
)
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z\u00c0-\u024f]{4,}|[\u0600-\u06ff\u3040-\u9fff]")
# A word that stands outside of formulas: such a text is more than an answer.
_PROSE = re.compile(
    r"(?<![\\A-Za-z{$])(?!(?:sin|cos|tan|log|ln|exp|sqrt|and|or|pi)\b)[A-Za-z\u00c0-\u024f]{2,}(?![A-Za-z]*[}$])|[\u0600-\u06ff\u3040-\u9fff]"
)
_BARE = re.compile(rf"-?\$?{_NUMERAL}%?(?: [A-Za-z]{{2,}}){{0,3}}\.?", re.ASCII)


class Format(Protocol):
    """Anything whose `parse(text)` returns an object with an `answer`, a string or None, and `exact`, true or false."""

    def parse(self, text: str): ...


class Found(NamedTuple):
    """A final answer.

    others: final answers that the same completion gives beside it; if they differ, it contradicts itself.
    boxes: all boxes of the completion; a gold with as many parts may be answered by all of them.
    """

    answer: str | None
    others: tuple[str, ...] = ()
    boxes: tuple[str, ...] = ()


def extract_boxed(text: str) -> str | None:
    r"""The content of the last complete `\boxed{}` or `\fbox{}` after the last `</think>`, or None.

    Boxes that only a comma, "and" or "or" joins are one answer: `\boxed{2} and \boxed{3}` is `2, 3`.
    """
    box = _last_box(after_thinking(text))
    return box[0] if box else None


def extract_answer(text: str, format: Format | None = None, strict: bool = False) -> str | None:
    """The final answer of a completion, or None.

    Strict takes only the required form: the format's answer section, or a box where no format is given. Otherwise the first of
    these that is found: the answer section, the last box, `<answer>72</answer>`, `#### 72`, `Answer: 72`, `A: 72`, `the answer
    is 72`, and in the last line bold, a formula or a number that the line concludes with.
    """
    return find(text, format, strict).answer


def find(text: str, format: Format | None = None, strict: bool = False) -> Found:
    """As `extract_answer`, with the other final answers beside the one that is taken."""
    answer = format.parse(text).answer if format is not None else None
    if answer or (strict and format is not None):
        return Found(answer)
    text = after_thinking(text)
    if box := _last_box(text):
        later = _marked(text[box[1] : box[1] + MARKED_TAIL])
        final = [answer for at, answer in later if _FINAL.match(text, max(0, box[1] + at - 6))]
        return Found(final[-1]) if final and not strict else Found(box[0], tuple(answer for _, answer in later), _all_boxes(text))
    if strict:
        return Found(None)
    text = text[-MARKED_TAIL:]
    if tagged := _TAGGED.findall(text):
        return Found(tagged[-1][1].strip())
    if "\\boxed" in text:
        return Found(None)
    unfinished = _CUT_OFF.search(text)
    text = _TAG.sub(" ", text) if "<" in text else text
    if marked := _last_marked(text):
        return marked
    return Found(None if unfinished else _unmarked(text))  # of a section that is cut off its number may be cut off too


def after_thinking(text: str) -> str:
    """The end of a completion, after the last `</think>`."""
    text = text[-TAIL:]
    return text[text.rfind("</think>") + 8 :] if "</think>" in text else text


def _last_box(text: str) -> tuple[str, int] | None:
    """The content of the last complete box, joined with those before it, and where it ends."""
    contents, left, right, start = [], 0, 0, len(text)
    for _ in range(MAX_BOXES):
        start = max(text.rfind("\\boxed", 0, start), text.rfind("\\fbox", 0, start))
        if start < 0:
            break
        opening = _BOX.match(text, start)
        end = _closing_brace(text, opening.end()) if opening else None
        if end is None:
            continue
        if contents and not (end < left <= end + 61 and _CONNECTION.fullmatch(text, end + 1, left)):
            break
        contents.insert(0, text[opening.end() : end].strip())
        right, left = right or end + 1, start
    return (", ".join(contents), right) if contents else None


def _all_boxes(text: str) -> tuple[str, ...]:
    """The contents of all boxes, where they are two to eight."""
    openings = [opening.end() for opening in _BOX.finditer(text)] if 2 <= text.count("\\boxed") <= 8 else []
    ends = [_closing_brace(text, start) for start in openings]
    return () if None in ends else tuple(text[start:end] for start, end in zip(openings, ends))


def _closing_brace(text: str, start: int) -> int | None:
    """Where the brace closes whose content begins at `start`."""
    depth = 1
    for brace in _BRACES.finditer(text, start, start + MAX_ANSWER + 1):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return brace.start()
    return None


def _marked(text: str) -> list[tuple[int, str]]:
    """The answers behind marks such as "####" and "the answer is", with the places of the marks."""
    if "nswer" not in text and "####" not in text and "A:" not in text and text.isascii():
        return []
    answers = []
    for mark in _MARK.finditer(text):
        line = text[mark.end() : mark.end() + 300].split("\n", 1)[0]
        if (inner := _MARK.search(line)) and inner.end() < len(line):
            line = line[inner.end() :]
        if math := _MATH.match(line.lstrip(" *")):
            answers.append((mark.start(), next(filter(None, math.groups()))))
        elif answer := _trim(_SENTENCE_END.split(line.strip(" \t*"))[0]):
            # Of a sentence that is no answer by itself, its only number: "The largest n is 34".
            prose = answer[0].isalpha() and "=" not in answer and _WORD.search(answer)
            numbers = _IN_TEXT.findall(answer) if prose else ()
            answers.append((mark.start(), numbers[0] if len(numbers) == 1 else answer))
    return answers


def _last_marked(text: str) -> Found | None:
    """The last answer behind a mark, with those that it does not take back."""
    marked = _marked(text)
    if not marked:
        return None
    place, answer = marked[-1]
    others = tuple(other for at, other in marked[:-1] if place - at < 400 and not _RETRACTION.search(text, at, place))
    return Found(answer, others)


def _unmarked(text: str) -> str | None:
    """The answer of a text without any mark: the whole of a short one that is nothing else, or what the last line concludes."""
    text = text.strip()
    if len(text) <= 200 and "\n" not in text and (not _PROSE.search(text) or _BARE.fullmatch(text)):
        return text or None
    return _last_line(text)


def _last_line(text: str) -> str | None:
    """What the last line concludes with: bold, a formula, a number. A question concludes nothing."""
    line = text[text.rfind("\n") + 1 :][-2000:]
    if line.endswith("?"):
        return None
    if bold := _BOLD.findall(line):
        numbers = _IN_TEXT.findall(bold[-1])
        return _trim(bold[-1] if len(numbers) != 1 else numbers[0]) or None
    formulas = [next(filter(None, groups)) for groups in _MATH.findall(line)]
    if formulas and (_CONCLUDES.search(line) or len(line) < 100):
        return formulas[-1].strip()
    numbers = list(_IN_TEXT.finditer(line))
    return numbers[-1].group() if numbers and _CONCLUDES.search(line, 0, numbers[-1].start()) else None


def _trim(answer: str) -> str:
    """Without a sentence's period, emphasis and closing words."""
    return _CLOSING.sub("", answer.strip(" \t*$").rstrip(" .,;:!*")).strip(" \t*")
