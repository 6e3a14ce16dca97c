r"""Find the final answer in a text, and decide whether two answers are the same.

The one definition of correct, for rewards and for evaluation. Numbers are compared as exact
fractions; everything else as text in one notation, without guessing. Work is bounded by lengths and
not by clocks, so the verdict is the same on every machine and in every thread, and nothing that a
model writes is executed.

>>> is_correct(r"So we get \boxed{\frac12}.", "0.5")
True
"""

import re
from fractions import Fraction
from typing import Protocol

MAX_ANSWER = 4000  # characters; a longer answer is wrong, a longer gold cannot be graded
MAX_NUMERAL = 600  # characters of one number; below every limit that Python sets on int()
MAX_EXPONENT = 1000
TAIL = 20_000  # characters at the end of a completion that are searched for an unmarked answer

_BOX_OR_BRACE = re.compile(r"\\f?box(?:ed)?\s*\{|\\\\(?!f?box)|\\[{}]|[{}]")
_TAG = re.compile(r"<[/|]?[A-Za-z_]\w{0,30}\|?>")
_NUMERAL = r"(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)"
_IN_TEXT = re.compile(rf"(?:(?<![\w)}}])-)?(?:\\[dtc]?frac\{{\d{{1,99}}\}}\{{\d{{1,99}}\}}|{_NUMERAL}(?:/\d+)?)", re.ASCII)
_MARKS = (
    re.compile(r"####[ \t]{0,9}((?=[-+.$\\\d])[^\n]{1,300})"),
    re.compile(r"\banswer\**[ \t]{0,3}:[ \t*]{0,9}([^\n]{1,300})", re.IGNORECASE),
    re.compile(r"^[ \t*]{0,9}A:[ \t*]{0,9}([^\n]{1,300})", re.MULTILINE),
    re.compile(r"\banswer is:?[ \t*]{0,9}([^\n]{1,300})", re.IGNORECASE),
)
_SENTENCE_END = re.compile(r"[.!?](?:\s|\*|$)|,? (?:because|since) ")
_BOLD = re.compile(r"\*\*([^*]{1,300})\*\*")
_ANSWER_IS = re.compile(r"\banswer is:? ?", re.IGNORECASE)
_CLOSING = re.compile(r"(?: (?:dollars?|euros?|usd|in total|in all|altogether|left))+$", re.IGNORECASE)

_CHARACTERS = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\uff0d\ufe63", "-"),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
        **dict.fromkeys("$\u20ac\u00a3\u00b0%", " "),
    }
)
# LaTeX that changes the look of an answer and not its meaning, in the order of rewriting.
_REWRITES = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\(?:left|right|displaystyle)(?![A-Za-z])", " "),
        (r"\^ ?(?:\\circ(?![A-Za-z])|\{ ?\\circ ?\})", " "),
        (r"\\!|(?<=\d)\\,(?=\d{3}(?!\d))", ""),
        (r"\{,\}", ","),
        (r"\\(?:[,;: ()\[\]]|q?quad(?![A-Za-z]))|~", " "),
        (r"\s+", " "),
    )
)
_TEXT_MACRO = r"\\(?:text(?:bf|it|rm|normal)?|math(?:rm|bf|it)|mbox|operatorname) ?\{"
_WRAPPER = re.compile(rf"\\f?box(?:ed)? ?\{{|{_TEXT_MACRO}")
_NAME = re.compile(r"(\\?[A-Za-z]{1,20}(?:_(?:\w|\{[\w\\]{1,20}\}))?(?:\([a-z]\))?) ?= ?", re.ASCII)

_PART = rf"(?:\{{ ?(-? ?{_NUMERAL}) ?\}}|(\d))"
_FRAC = re.compile(rf"\\frac ?{_PART} ?{_PART}", re.ASCII)
_RATIO = re.compile(rf"([+-]?) ?(?:(\d+) )?({_NUMERAL}) ?/ ?({_NUMERAL})", re.ASCII)
_DECIMAL = re.compile(
    rf"([+-]?) ?({_NUMERAL})"
    r"(?:(?:[eE]| ?(?:\\times|\\cdot|\u00d7|x|\*) ?10 ?\^ ?\{?)([+-]?\d{1,9})\}?)?",
    re.ASCII,
)

_WORDS = r"([A-Za-z]+(?:[ /-][A-Za-z]+){0,4})\.?"
_POWER = r"(?: ?\^ ?\{?[23]\}?|[\u00b2\u00b3])?"
_PLAIN_UNIT = re.compile(rf"( ?){_WORDS}{_POWER}")
_TEXT_UNIT = re.compile(rf" ?{_TEXT_MACRO} ?{_WORDS} ?\}}{_POWER}")
_SHORT_UNITS = frozenset({"cm", "mm", "km", "kg", "mg", "ml", "mL", "ft", "in", "mi", "oz", "lb", "lbs", "hr", "hrs", "of"})
# Words that change the number, hedge it or take it back.
_NOT_UNITS = frozenset(
    {
        "or",
        "and",
        "not",
        "but",
        "plus",
        "minus",
        "times",
        "over",
        "mod",
        "sqrt",
        "sin",
        "cos",
        "tan",
        "log",
        "exp",
        "inf",
        "infinity",
        "nan",
        "squared",
        "cubed",
        "factorial",
        "half",
        "halves",
        "third",
        "thirds",
        "quarter",
        "quarters",
        "tenths",
        "dozen",
        "dozens",
        "score",
        "hundred",
        "hundreds",
        "thousand",
        "thousands",
        "million",
        "millions",
        "billion",
        "billions",
        "trillion",
        "trillions",
        "more",
        "less",
        "fewer",
        "most",
        "least",
        "none",
        "maybe",
        "wrong",
    }
)


class Format(Protocol):
    """Anything whose `parse(text)` returns an object with an `answer`: a string, or None."""

    def parse(self, text: str): ...


def extract_boxed(text: str) -> str | None:
    r"""The content of the last complete `\boxed{}` or `\fbox{}` after the last `</think>`."""
    text = text[text.rfind("</think>") + 1 :]
    starts: list[int | None] = []  # open braces; a box's brace remembers where its content starts
    last = None
    for match in _BOX_OR_BRACE.finditer(text):
        token = match.group()
        if token == "}":
            start = starts.pop() if starts else None
            last = last if start is None else (start, match.start())
        elif token == "{":
            starts.append(None)
        elif token.endswith("{") and "box" in token:
            starts.append(match.end())
    return None if last is None else text[slice(*last)].strip()


def extract_answer(text: str, format: Format | None = None, strict: bool = False) -> str | None:
    """The final answer of a completion, or None.

    Strict takes only the required form: the format's answer section, or a box where no format is
    given. Otherwise the first of these that is found: the answer section, the last box, `#### 72`,
    `Answer: 72` or `A: 72`, `the answer is 72`, and in the last line bold or the last number.
    """
    answer = format.parse(text).answer if format is not None else extract_boxed(text)
    if answer or strict:
        return answer
    text = text.rpartition("</think>")[2]
    return extract_boxed(text) or _marked_answer(_TAG.sub(" ", text[-TAIL:]))


def _marked_answer(text: str) -> str | None:
    for mark in _MARKS:
        found = mark.findall(text)
        sentence = _SENTENCE_END.split(found[-1])[0] if found else ""
        if answer := _trim(_ANSWER_IS.split(sentence)[-1]):
            return answer
    line = next((line for line in reversed(text.splitlines()) if line.strip()), "")[-2000:]
    candidates = _BOLD.findall(line) or _IN_TEXT.findall(line)
    return (_trim(candidates[-1]) or None) if candidates else None


def _trim(answer: str) -> str:
    """Without a sentence's period, emphasis, currency and closing words."""
    answer = answer.replace("\\$", "").strip(" \t*$\u20ac\u00a3").rstrip(" .,;:!*$")
    return _CLOSING.sub("", answer)


def is_equivalent(answer: str, gold: str) -> bool | None:
    r"""Whether an answer equals the gold; None where the gold cannot be graded (empty, too long).

    Gold raw, in `$...$` and in `\boxed{}` give one verdict. Never raises.

    >>> is_equivalent("22 apples", "22"), is_equivalent("22 or 23", "22"), is_equivalent("22", "")
    (True, False, None)
    """
    wanted = _clean(gold) if len(gold) <= MAX_ANSWER else ""
    if not wanted:
        return None
    if len(answer) > MAX_ANSWER:
        return False
    gold_name, wanted = _split_name(wanted)
    name, given = _split_name(_clean(answer))
    if name and gold_name and name != gold_name:
        return False
    number = _number(wanted)
    if number is not None:
        return _number(given, with_unit=True) == number
    return _canonical(given) == _canonical(wanted)


def is_correct(completion: str, gold: str, format: Format | None = None, strict: bool = False) -> bool | None:
    """Whether a completion's final answer equals the gold; None where the gold cannot be graded."""
    return is_equivalent(extract_answer(completion, format, strict) or "", gold)


def _clean(text: str) -> str:
    """The answer without delimiters, currency, spacing commands, wrappers and a closing period."""
    text = text.translate(_CHARACTERS)
    for pattern, new in _REWRITES:
        text = pattern.sub(new, text)
    text = text.lstrip(" *").rstrip(" *.,;")
    for _ in range(20):
        wrapper = _WRAPPER.match(text)
        if not wrapper or _closing_brace(text, wrapper.end()) != len(text) - 1:
            break
        text = text[wrapper.end() : -1].lstrip(" *").rstrip(" *.,;")
    return text


def _closing_brace(text: str, start: int) -> int:
    """Where the brace closes whose content begins at `start`; -1 where it does not."""
    depth = 1
    for match in re.finditer(r"\\.|[{}]", text[start:]):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return start + match.start()
    return -1


def _split_name(text: str) -> tuple[str, str]:
    """`x = 5` as ("x", "5"), and any other text with an empty name."""
    match = _NAME.match(text)
    if not match or match.end() == len(text):
        return "", text
    return match.group(1), text[match.end() :]


def _number(text: str, with_unit: bool = False) -> Fraction | None:
    """The value of a cleaned text that is one number, alone or followed by the words of a unit."""
    text = " ".join(_FRAC.sub(_as_ratio, text).split())
    match = _RATIO.match(text) or _DECIMAL.match(text)
    if not match or match.end() > MAX_NUMERAL:
        return None
    rest = text[match.end() :]
    if rest.strip() and not (with_unit and _is_unit(rest)):
        return None
    return _ratio(*match.groups()) if match.re is _RATIO else _decimal(*match.groups())


def _as_ratio(frac: re.Match) -> str:
    r"""`\frac{a}{b}` as ` a/b `, with the sign in front."""
    over, under = frac.group(1) or frac.group(2), frac.group(3) or frac.group(4)
    sign = "-" if over.startswith("-") != under.startswith("-") else ""
    return f" {sign}{over.lstrip('- ')}/{under.lstrip('- ')} "


def _plain(numeral: str) -> Fraction:
    return Fraction("0" + numeral.replace(",", "").rstrip("."))


def _ratio(sign: str, whole: str | None, over: str, under: str) -> Fraction | None:
    if _plain(under) == 0:
        return None
    value = _plain(whole or "0") + _plain(over) / _plain(under)
    return -value if sign == "-" else value


def _decimal(sign: str, numeral: str, exponent: str | None) -> Fraction | None:
    power = int(exponent or 0)
    if abs(power) > MAX_EXPONENT:
        return None
    value = _plain(numeral) * Fraction(10) ** power
    return -value if sign == "-" else value


def _is_unit(rest: str) -> bool:
    """Whether what follows a number only names what is counted."""
    marked = _TEXT_UNIT.fullmatch(rest)
    plain = None if marked else _PLAIN_UNIT.fullmatch(rest)
    if not marked and not plain:
        return False
    words = re.split(r"[ /-]", marked.group(1) if marked else plain.group(2))
    least = 1 if marked else 3 if plain.group(1) else 4  # outside \text{}, 5x and 5abc are products
    return all(word.lower() not in _NOT_UNITS and (len(word) >= least or word in _SHORT_UNITS) for word in words)


def _canonical(text: str) -> str:
    """One spelling of a text that is not a number; a space stays only between two digits."""
    text = re.sub(rf"{_TEXT_MACRO}([^{{}}]*)\}}", r"\1", text)
    text = re.sub(r"\\frac ?(\d) ?(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\sqrt ?(\w)", r"\\sqrt{\1}", text)
    text = re.sub(r"([\^_]) ?\{ ?(\w) ?\}", r"\1\2", text)
    return re.sub(r"(?<!\d) | (?!\d)", "", text)
