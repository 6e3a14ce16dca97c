r"""Find the final answer in a text, and decide whether two answers are the same. Standard library only, exact, bounded.

One definition of correct serves the rewards and the evaluation. Numbers are compared as fractions (`1/2`, `0.5`, `50\%` and
`\frac{1}{2}` are one number), anything else as normalised text. Gold and answer go through the same normaliser, so a gold answer
that is raw, in dollars or boxed gives one verdict. What cannot be read is not guessed: it is not equal.
"""

import re
from fractions import Fraction

LONGEST_ANSWER = 400  # characters; a longer one is no final answer
MOST_DIGITS = 60  # of a number, so that exact arithmetic stays cheap

NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"
LATEX_FRACTION = re.compile(rf"([-+]?)\\frac\{{({NUMBER})\}}\{{({NUMBER})\}}")
PLAIN_FRACTION = re.compile(rf"({NUMBER})/({NUMBER})")
DIGIT_GROUPS = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d,])")
STATED = re.compile(r"####\s*(?P<hash>[^\n]+)|\b(?:the )?(?:final )?answer(?: is|:)\s*(?P<said>[^\n]+)|^A:\s*(?P<letter>[^\n]+)",
                    re.IGNORECASE | re.MULTILINE)
BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
LAST_NUMBER = re.compile(rf"{NUMBER}(?:,\d{{3}})*(?:/\d+)?%?")


def extract_boxed(text: str) -> str | None:
    r"""The content of the last complete `\boxed{...}` (or `\fbox`) after the last `</think>`, or None.

    >>> extract_boxed(r"so \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    """
    text = text.rpartition("</think>")[2]
    stack: list[int | None] = []
    found = None
    for match in re.finditer(r"\\(?:boxed|fbox)\s{0,3}\{|\\.|[{}]", text, re.DOTALL):
        token = match.group()
        if token == "}" and stack:
            start = stack.pop()
            found = text[start : match.start()].strip() if start is not None else found
        elif token.endswith("{") and token != "\\{":
            stack.append(match.end() if len(token) > 1 else None)
    return found or None


def extract_answer(text: str, format=None, strict: bool = False) -> str | None:
    """The final answer of a completion, or None.

    format: a `ReasoningFormat`, or anything whose `parse(text)` has an `answer`. strict: only what stands in the required form (a box
    where no format is given). Otherwise a clearly given answer anywhere, the first of: the form, a box, the last of `#### 72`,
    "Answer: 72", "A: 72" and "the answer is 72", the last bold text, the last number of the last line.
    """
    formed = format.parse(text).answer if format is not None else extract_boxed(text)
    if formed is not None or strict:
        return formed
    return extract_boxed(text) or _stated_answer(text.rpartition("</think>")[2])


def _stated_answer(text: str) -> str | None:
    if stated := list(STATED.finditer(text)):
        return _trim(next(group for group in stated[-1].groups() if group))
    if bold := BOLD.findall(text):
        return _trim(bold[-1])
    lines = text.strip().splitlines()
    numbers = LAST_NUMBER.findall(lines[-1][-LONGEST_ANSWER:]) if lines else []
    return numbers[-1] if numbers else None


def _trim(answer: str) -> str | None:
    """Without what closes a sentence, a formula or a tag around an answer."""
    answer = re.split(r"\.(?:\s|$)|<", answer.strip(), maxsplit=1)[0]
    return answer.strip(" *`:") or None


def is_equivalent(answer: str, gold: str) -> bool | None:
    r"""Whether two answers are the same; None where the gold answer is empty or too long to be graded.

    >>> is_equivalent("0.5", r"$\frac{1}{2}$"), is_equivalent("22 apples", "22"), is_equivalent("21", "22")
    (True, True, False)
    """
    wanted = normalise(gold)
    if not wanted or len(wanted) > LONGEST_ANSWER:
        return None
    given = normalise(answer)
    if not given or len(given) > LONGEST_ANSWER:
        return False
    number = to_number(wanted)
    if number is None:
        return given == wanted
    return to_number(_without_unit(given)) == number


def is_correct(completion: str, gold: str, format=None, strict: bool = False) -> bool | None:
    """Whether a completion's final answer (see `extract_answer`) equals the gold answer; None where gold cannot be graded."""
    answer = extract_answer(completion, format, strict)
    return is_equivalent(answer if answer is not None else "", gold)


def normalise(answer: str) -> str:
    """One spelling for an answer: no box, dollars, spaces or sizes, `x =` dropped, plain fractions and signs."""
    if len(answer) > 10 * LONGEST_ANSWER:
        return answer.strip()  # too long to be an answer, and not worth the work
    text = (extract_boxed(answer) or answer).strip().strip("$").strip()
    for old, new in (("−", "-"), ("–", "-"), ("\\dfrac", "\\frac"), ("\\tfrac", "\\frac"), ("\\left", ""), ("\\right", ""),
                     ("\\$", ""), ("$", ""), ("\\%", "%"), ("\\!", ""), ("\\,", ""), ("\\;", ""), ("\\ ", " "), ("€", ""), ("£", "")):
        text = text.replace(old, new)
    text = re.sub(r"\\(?:text|mathrm|textbf)\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"^\s*[a-zA-Z]\s*=\s*", "", text)
    text = DIGIT_GROUPS.sub(lambda match: match.group().replace(",", ""), text)
    return re.sub(r"\s+", " ", text).strip().rstrip(".").strip()


def _without_unit(text: str) -> str:
    """A number followed by words is that number: "22 apples"; two numbers never are one."""
    match = re.fullmatch(rf"({NUMBER}(?:/\d+)?|[-+]?\\frac\{{\d+\}}\{{\d+\}})\s?(?!or\b|and\b)[a-zA-Z][a-zA-Z ]*", text)
    return match[1] if match else text


def to_number(text: str) -> Fraction | None:
    """The exact value of an integer, decimal, fraction or percentage; None for anything else, or past MOST_DIGITS digits."""
    text = text.replace(" ", "") if re.search(r"[\\/]", text) else text
    if sum(character.isdigit() for character in text) > MOST_DIGITS or not text.isascii():
        return None
    if text.endswith("%"):
        value = to_number(text[:-1].strip())
        return None if value is None else value / 100
    if match := LATEX_FRACTION.fullmatch(text):
        return _divide(match[1] + "1", match[2], match[3])
    if match := PLAIN_FRACTION.fullmatch(text):
        return _divide("1", match[1], match[2])
    return Fraction(text) if re.fullmatch(NUMBER, text) else None


def _divide(sign: str, above: str, below: str) -> Fraction | None:
    bottom = Fraction(below)
    return Fraction(sign) * Fraction(above) / bottom if bottom else None
