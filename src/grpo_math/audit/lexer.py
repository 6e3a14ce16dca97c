"""One line of a trace cut into tokens: numbers, operators, brackets, relations and words, each with its place in the text."""

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

LONGEST_NUMBER = 40  # characters; a longer run of digits is not read as a number


class Token(NamedTuple):
    """`kind` is one of: n number, o operator, ( and ) brackets, = and ~ and i (equal, about equal, the word "is"), % percent,
    f a LaTeX fraction, w word, v something that cannot be read, . a boundary. `value` depends on the kind.
    """

    kind: str
    value: object
    start: int
    end: int


class Number(NamedTuple):
    """A literal: its exact value, how many decimals it was written with, and whether it goes on ("3.33...")."""

    value: int | Fraction
    decimals: int
    open_ended: bool = False


# Every alternative begins with a different character or ends after bounded lookahead, so that the whole scan is linear:
# what follows the blanks always matches, since the line ends with none.
_PATTERN = re.compile(
    r"""
    \s*+(?:
    (?P<word>[^\W\d_²³¼-¾⅐-⅞]+(?:['’-][^\W\d_²³¼-¾⅐-⅞]+)*)
  | (?P<n>(?:[0-9]{1,3}(?:(?:,|\{,\})[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?(?:\.\.\.|…)?|\.[0-9]+|[½¼¾⅓⅔⅕⅖⅗⅘⅙⅛⅜⅝⅞])
  | (?P<relation>!=|<=|>=|={1,2}>|->|[≠≤≥→⇒]|\\(?:neq?|leq?|geq?|to|implies|Rightarrow|rightarrow)(?![A-Za-z]))
  | (?P<about>≈|≃|≅|≒|~=?|\\(?:approx|simeq|sim)(?![A-Za-z]))
  | (?P<equal>={1,3}(?!=))
  | (?P<power>\*\*|\^)
  | (?P<operator>[-+*/×÷·⋅∗∕⁄−–✕]|\\(?:times|cdot|div|ast)(?![A-Za-z]))
  | (?P<raised>[²³])
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<percent>\\?%)
  | (?P<space>\\?\$|[€£°`&]|\\(?:left|right|big|Big|bigg|Bigg|displaystyle|quad|qquad|boxed)(?![A-Za-z])|\\[,;:!\ ])
  | (?P<fraction>\\[dtc]?frac(?![A-Za-z]))
  | (?P<label>\\(?:text|mathrm|textbf|mathbf|mbox|operatorname)\s?\{[^{}\n]{0,80}\})
  | (?P<unreadable>\\[A-Za-z]+|[√∑∏∫^_!])
  | (?P<other>\S)
    )
    """,
    re.VERBOSE | re.DOTALL,
)

_OPERATORS = {"−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "∗": "*", "✕": "*", "÷": "/", "∕": "/", "⁄": "/"}
_OPERATORS |= {"\\times": "*", "\\cdot": "*", "\\ast": "*", "\\div": "/"}
_KINDS = {"operator": "o", "power": "o", "relation": ".", "other": ".", "about": "~", "equal": "=", "open": "(", "close": ")"}
_KINDS |= {"percent": "%", "fraction": "f", "unreadable": "v"}
_WORD_OPERATORS = {"times": "*", "plus": "+", "minus": "-"}
_VULGAR = {c: Fraction(f) for c, f in zip("½¼¾⅓⅔⅕⅖⅗⅘⅙⅛⅜⅝⅞", "1/2 1/4 3/4 1/3 2/3 1/5 2/5 3/5 4/5 1/6 1/8 3/8 5/8 7/8".split())}


@lru_cache(maxsize=4096)
def read_number(text: str) -> Number | None:
    """The literal `text`, or None where it is too long to read."""
    if text in _VULGAR:
        return Number(_VULGAR[text], 0)
    digits = text.rstrip(".…")
    digits, open_ended = digits.replace("{,}", "").replace(",", ""), digits != text
    if len(digits) > LONGEST_NUMBER or re.match(r"0[0-9]", digits):  # 0730 is a time, a code, or half of "16,0000"
        return None
    whole, _, decimals = digits.partition(".")
    if not decimals:
        return Number(int(whole), 0, open_ended)
    value = Fraction(int(whole + decimals), 10 ** len(decimals))
    return Number(int(value) if value.denominator == 1 else value, len(decimals), open_ended)


def tokens(line: str, offset: int = 0) -> list[Token]:
    """The tokens of one line; `offset` is where the line begins in the whole text."""
    found, make = [], tuple.__new__  # twice as quick as Token(...), and this is the audit's inner loop
    for match in _PATTERN.finditer(line.rstrip()):
        group = match.lastgroup
        if group != "space":
            start, end = match.span(group)
            found.append(make(Token, (*_read(group, match[group]), start + offset, end + offset)))
    return found


@lru_cache(maxsize=16384)
def _read(group: str, text: str) -> tuple[str, object]:
    """The kind and the value of a token from the group of the pattern that it matched."""
    if group == "n":
        number = read_number(text) if len(text) <= 2 * LONGEST_NUMBER else None
        return ("n", number) if number else ("v", None)
    if group == "word":
        word = text[:LONGEST_NUMBER].lower()
        if word in ("is", "equals"):
            return "i", word
        if word in _WORD_OPERATORS:
            return "o", _WORD_OPERATORS[word]
        return ("%", None) if word in ("percent", "pct") else ("w", word)
    if group == "raised":
        return "^", 2 if text == "²" else 3
    if group == "label":
        return "w", text[text.index("{") + 1 : -1].strip().lower()
    return _KINDS[group], None if group in ("relation", "about", "equal", "percent", "fraction") else _OPERATORS.get(text, text)
