"""What a trace ends with: its final answers (H3, H4), and whether it ends at all (H6)."""

import re
from fractions import Fraction

from grpo_math.audit.expressions import Reader, Unreadable, Value
from grpo_math.audit.lexer import tokens

_FINALS = re.compile(
    r"\\boxed\s?\{(?P<boxed>[^{}\n]{1,80}(?:\{[^{}\n]{0,40}\}[^{}\n]{0,40}){0,3})\}"
    r"|<(?P<tag>SOLUTION|solution|answer|ANSWER)>(?P<tagged>[^<>]{1,200})</(?P=tag)>"
    r"|####[ \t]{0,8}(?P<hashed>[^\n]{1,80})"
    r"|\b(?:[Ff]inal [Aa]nswer|[Tt]he (?:final )?answer|[Aa]nswer)(?: is|:)[: ]{0,4}(?P<said>[^\n]{1,80})"
)
_NUMBERS = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+")
_AFTER_END = re.compile(r"</(?:SOLUTION|solution|answer|ANSWER)>(?:\s|<\|[a-z_]{1,20}\|>|</s>)*+\S")

LOOP_WORDS = 30  # words that repeat what stood one period before them
LOOP_TURNS = 3


def final_answers(text: str) -> list[tuple[Value, int]]:
    """The numbers given as final answers, each with the place of its statement; one that is no number is passed over."""
    found = []
    for match in _FINALS.finditer(text):
        value = read_value(next(group for name, group in match.groupdict().items() if group and name != "tag"))
        if value is not None:
            found.append((value, match.start()))
    return found


def read_value(text: str) -> Value | None:
    """The number that a short text begins with, unit and all (`$1,200`, `3/4`, `50%`), or None."""
    found = [token for token in tokens(text[:200]) if token.kind != "."]
    reader = Reader(found, 0, len(found))
    try:
        value = reader.side().value
    except Unreadable:
        return None
    return None if reader.at < len(found) and found[reader.at].kind in ("o", "v", "w", "=", "n", "(") else value


def is_stated(answer: Value, derived: set, text: str) -> bool:
    """Whether `answer` is one of the derived values or stands in `text`; cents, percents and rounding to the whole allowed."""
    if any(value in derived for value in (answer, -answer, answer * 100, Fraction(answer) / 100)):
        return True
    if any(abs(value - answer) < 1 for value in derived) and Fraction(answer).denominator in (1, 2, 4, 5, 10, 20, 25, 50, 100):
        return True
    return any(read_value(number) == answer for number in _NUMBERS.findall(text))


def is_degenerate(text: str) -> bool:
    """A loop: LOOP_WORDS or more in a row, over LOOP_TURNS turns or more, each the same as one period before it.

    In a word longer than 200 characters, characters count as words.
    """
    words = text.split()
    return _loops(words) or any(_loops(list(word[:5000])) for word in words if len(word) > 200)


def _loops(words: list[str]) -> bool:
    if len(words) - len(set(words)) < LOOP_WORDS:  # each word of a loop stood before: most texts are settled here
        return False
    last, gap, run = {}, 0, 0
    for i, word in enumerate(words):
        key = (words[i - 1], word) if i else word
        before = last.get(key)
        last[key] = i
        if before is None:
            run = 0
        elif i - before == gap:
            run += 1
            if run >= LOOP_WORDS and run >= LOOP_TURNS * gap:
                return True
        else:
            gap, run = i - before, 1
    return False


def goes_on_after_end(text: str) -> bool:
    """Whether anything but an end-of-sequence mark follows the first closing tag of an answer."""
    return bool(_AFTER_END.search(text))
