r"""Gold answers as data sets write them, and a light reader that sorts one into a kind by regular expressions.

Nothing of the package is used, so that a mistake in its parser cannot hide itself in its tests.
"""

import re
from fractions import Fraction
from typing import NamedTuple

_TABLE = r"""
integer: 72 | 0 | 1 | -3 | 7 | 10 | 98 | -41 | 1,234 | 5,\!866,\!608 | 90{,}900{,}909 | 12\,345 | \text{13}
decimal: 22.5 | -0.75 | .185 | 3.14 | 100.25 | 1234.5
fraction: \frac{3}{4} | \frac16 | -\tfrac{5}{2} | \dfrac{49}{54} | \frac{625}4 | 7/8 | \frac{-2}{9} | -\frac{1}{3}
fraction: \cfrac{25}{16} | 1\frac{9}{10} | 11 \frac{2}{3} | -2\frac{1}{4} | \frac{2007}{2008}
money: \$20 | \$ 10 | \$15.48 | \$4,\!000
percent: 28\% | 41.4\% | 120\%
degrees: 45^\circ | 135^{\circ} | -5^\circ | 22.5^\circ
unit: 25 \, \text{km} | 5\text{ digits} | 864 \mbox{ inches}^2 | \frac{270}7\text{ minutes} | 2.6 \ \mathrm{cm}
surd: 2\sqrt{3} | \frac{\sqrt{65}}{2} | 1+\sqrt2 | \sqrt{13} | \frac{6\sqrt{5}}{5} | \sqrt[3]{2} | \sqrt{3} - 4 | -5\sqrt{7}
surd: 2 \sqrt{2} + \sqrt{6} | \frac{1}{\sqrt{3}} | \frac{-1+\sqrt{5}}{2}
pi: 7\pi | \pi | \frac{16 \pi}{3} | -\frac{\pi}{6} | 27000-4500\pi | 4\pi(2 - \sqrt{3})
power: 3^{41} | \frac{1}{2^{99}} | 2^{10}+1 | 5!+1
polynomial: x^2-2x+8 | 6r^2-4r-24 | y^4-2y^3+7y^2+y-5 | 3x - 2 | 4t | (x-1)(x+1) | a+b+c | x^{10}-1 | \sqrt{a^2+b^2}
polynomial: \frac{11+9a}{20} | \frac{3x^2}{2} | \frac{1}{2 - x}
function: \sin 3x | 2\cos(x) | \log 5 | e^{2x}
complex: 6+8i | -2 - 3i | 5i | \frac{1+i\sqrt{3}}{2}
tuple: (7,49) | (3, -5) | \left( \frac{1}{2}, \frac{\sqrt{7}}{2} \right) | (1,-2,2,-3) | (4,\pi) | (2, 1, 0) | (-1, \sqrt{2}-1)
tuple: \left( 3, \frac{\pi}{2} \right)
list: -4, 4 | 1,2,3 | -5,-2,7 | \sqrt{5}, -\sqrt{5} | 4, -2 + 3i, -2 - 3i | \frac{3}{5}, \frac{117}{125} | 16,3,1,1 | 0, 3a
list: \{1, 4, 9\} | (2, 5), (5, 2) | \pm 17 | 3 \pm \sqrt{19}
interval: [6,\infty) | (-\infty, -5) | [1, 9] | (0, 9] | \left[ -\frac{1}{2}, \frac{1}{2} \right) | [5,5 \sqrt{2}]
interval: (-\infty,-8)\cup (8,\infty) | (-\infty, -2) \cup [-1, 2) \cup [3, \infty)
inequality: x \leq 5 | a > 2 | k \ge -3 | x \neq 5 | t < \frac{1}{2}
matrix: \begin{pmatrix} 3 & 2 \\ 0 & -7 \end{pmatrix} | \begin{pmatrix} -1 \\ -8 \\ 2 \end{pmatrix}
matrix: \begin{pmatrix} 2/5 \\ -1/5 \end{pmatrix} | \begin{bmatrix}1 & 0 & 2\\0 & \frac{1}{2} & x\end{bmatrix}
text: \text{even} | hexagon | \mbox{Saturday} | \text{June} | \text{infinitely many} | Evelyn
choice: \text{(C)} | (B) | \textbf{A} | \text{E} | \mathrm{(D)}
base: 4343_6 | 2112_{3} | 1011_2 | 506_7
equation: y = 3x^2 - 34x + 88 | b=4 | x = \frac{1}{2} | y=x+3 | 2x+5y-3=0 | x^2+y^2=25 | \gamma = 120^\circ
ratio: 2:3 | 11:21
"""


def _table() -> dict[str, list[str]]:
    golds: dict[str, list[str]] = {}
    for line in _TABLE.strip().splitlines():
        kind, _, row = line.partition(": ")
        golds.setdefault(kind, []).extend(row.split(" | "))
    return golds


GOLDS = _table()  # kind: golds


class Gold(NamedTuple):
    """A gold answer: its kind, its text without delimiters and wrappers, and what it is made of."""

    kind: str
    text: str
    parts: tuple = ()


def classify(gold: str) -> Gold:
    """The kind of a gold and its parts; `other` where no rule fits."""
    text = bare(gold)
    for kind, read in _READERS.items():
        parts = read(text)
        if parts is not None:
            return Gold(kind, text, tuple(parts))
    return Gold("other", text)


def bare(gold: str) -> str:
    r"""A gold without box, delimiters, closing period, `\left`, `\right` and one `\text{}` around all of it."""
    match = re.fullmatch(r"\s*\\boxed\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}\s*", gold)
    text = match.group(1) if match else gold.strip()
    if match := re.fullmatch(r"\$\$?([^$]+)\$\$?|\\\((.+)\\\)|\\\[(.+)\\\]", text, re.DOTALL):
        text = next(filter(None, match.groups()))
    text = text.strip().rstrip(".").strip()
    text = re.sub(r"(?<!\\)\\(?:left|right)(?![a-zA-Z.])\s*", "", text)
    match = re.fullmatch(r"\\(?:text|textbf|textrm|mbox|mathrm|mathbf)\s*\{([^{}]*)\}", text)
    return match.group(1).strip() if match else text


def split(text: str) -> list[str]:
    """The parts between commas that stand outside all brackets."""
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [part.strip() for part in (*parts, text[start:])]


_GROUPED = r"\d{1,3}(?:(?:,\\!|\{,\}|\\,|,)\d{3})+(?!\d)"
_DECIMAL = re.compile(rf"([-+]?)\s*({_GROUPED}|\d*)(\.\d*)?")
_FRACTION = re.compile(r"([-+]?)\s*(\d*)\s*\\[dtc]?frac\s*(?:\{(-?\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))")
_RATIO = re.compile(r"([-+]?)\s*(\d+)\s*/\s*(\d+)")


def rational(text: str) -> Fraction | None:
    """The value of one written number: integer, decimal, fraction or mixed."""
    if match := _FRACTION.fullmatch(text):
        sign, whole, *digits = match.groups()
        over, under = (int(number) for number in digits if number)
        value = int(whole or 0) + Fraction(over, under) if under else None
    elif match := _RATIO.fullmatch(text):
        sign, over, under = match.groups()
        value = Fraction(int(over), int(under)) if int(under) else None
    elif (match := _DECIMAL.fullmatch(text)) and re.search(r"\d", text):
        sign, whole, point = match.groups()
        value = Fraction((re.sub(r"\D", "", whole) or "0") + (point or ""))
    else:
        return None
    return -value if value is not None and sign == "-" else value


_UNITS = {
    "money": re.compile(r"\\\$\s*(.+)()()"),
    "percent": re.compile(r"(.+?)\s*\\%()()"),
    "degrees": re.compile(r"(.+?)\s*\^\s*(?:\\circ|\{\s*\\circ\s*\})()()"),
    "word": re.compile(r"(.+?)(?:\s|\\,|\\ |~)*\\(?:text|textrm|mbox|mathrm)\s*\{\s*([A-Za-z]+)\s*\}(\^2|\^3)?"),
    "": re.compile(r"(.+)()()"),
}


def _read_number(text):
    """Its value, its unit (a kind of unit, or the word) and the power of the unit."""
    for unit, pattern in _UNITS.items():
        match = pattern.fullmatch(text)
        if match and (value := rational(match.group(1))) is not None:
            return value, match.group(2) or unit, match.group(3) or ""
    return None


def _read_base(text):
    match = re.fullmatch(r"(\d+)_(?:\{(\d+)\}|(\d+))", text)
    return match and (match.group(1), match.group(2) or match.group(3))


def _read_choice(text):
    match = re.fullmatch(r"\(?([A-Z])\)?", text)
    return match and match.groups()


def _read_matrix(text):
    match = re.fullmatch(r"\\begin\{([pb]matrix)\}(.*)\\end\{\1\}", text, re.DOTALL)
    rows = match and [row for row in match.group(2).split(r"\\") if row.strip()]
    return match and [tuple(tuple(cell.strip() for cell in row.split("&")) for row in rows)]


def _read_interval(text):
    """The pieces of a union: opening bracket, lower end, upper end, closing bracket."""
    pieces = []
    for piece in re.split(r"\\cup(?![a-z])", text):
        match = re.fullmatch(r"\s*([\[(])(.*)([\])])\s*", piece, re.DOTALL)
        ends = split(match.group(2)) if match else []
        if len(ends) != 2 or not all(map(_is_value, ends)):
            return None
        pieces.append((match.group(1), *ends, match.group(3)))
    if re.fullmatch(r"\([^\[\]]*\)", text) and r"\infty" not in text and len(pieces) == 1:
        return None  # two open finite ends are also a point: read as a tuple
    return [tuple(pieces)]


def _read_tuple(text):
    match = re.fullmatch(r"\((.*)\)", text, re.DOTALL)
    parts = split(match.group(1)) if match and len(split(text)) == 1 else []
    return [tuple(parts)] if len(parts) > 1 and all(map(_is_value, parts)) else None


def _read_list(text):
    braces = re.fullmatch(r"\\\{(.*)\\\}", text)
    parts = split(braces.group(1) if braces else text)
    if not braces and text.count(r"\pm") == 1:
        parts = [text.replace(r"\pm", "+").removeprefix("+").strip(), re.sub(r"\\pm\s*", "-", text)]
    letters = all(map(_read_choice, parts))
    fits = len(parts) > 1 and not letters and all(_is_value(part) or _read_tuple(part) for part in parts)
    return [tuple(parts)] if fits else None


SIGNS = {
    "<": ("<", r"\lt"),
    ">": (">", r"\gt"),
    r"\le": (r"\le", r"\leq", r"\leqslant", "<=", "\u2264"),
    r"\ge": (r"\ge", r"\geq", r"\geqslant", ">=", "\u2265"),
    r"\ne": (r"\ne", r"\neq", "\u2260", "!="),
    "=": ("=",),
}
_SIGN = re.compile(r"\\(?:leqslant|geqslant|leq|geq|neq|le|ge|ne|lt|gt)(?![a-z])|<=|>=|!=|[<>=\u2264\u2265\u2260]")


def _read_relation(text):
    """Left side, sign in its first spelling, right side."""
    signs = _SIGN.findall(text)
    if len(signs) != 1 or re.search(r",|[A-Z]{2}", text):
        return None  # segments such as AB are names, not products
    if not re.search(r"(?<![\\a-zA-Z])[a-zA-Z]|\\(?:alpha|beta|gamma|theta)", text):
        return None  # without a variable it states a fact
    left, right = (side.strip() for side in text.split(signs[0]))
    sign = next(sign for sign, spellings in SIGNS.items() if signs[0] in spellings)
    return (left, sign, right) if _is_value(left) and _is_value(right) else None


def _read_ratio(text):
    match = re.fullmatch(r"([1-9]\d*)\s*:\s*([1-9]\d*)", text)
    return match and map(int, match.groups())


def _read_text(text):
    return () if re.fullmatch(r"[A-Za-z]{3,}(?: [A-Za-z]+){0,2}|[Nn]o", text) else None


_MATHS = re.compile(
    r"(?:[\s0-9.a-zA-Z+*/^(){}!\[\]\u03c0_-]"
    r"|\\(?:[dtc]?frac|sqrt|pi|cdot|times|sin|cos|tan|log|ln|theta|alpha|beta|gamma|[,;!]|\s)(?![a-zA-Z]))+"
)


def _read_expression(text):
    words = re.search(r"[A-Za-z]{3,}", re.sub(r"\\[a-zA-Z]+", " ", text))
    return () if _MATHS.fullmatch(text) and not words else None


def _is_value(text: str) -> bool:
    infinite = re.fullmatch(r"[-+]?\\infty", text)
    return bool(infinite) or _read_number(text) is not None or _read_expression(text) is not None


_READERS = {
    "number": _read_number,
    "base": _read_base,
    "choice": _read_choice,
    "matrix": _read_matrix,
    "interval": _read_interval,
    "tuple": _read_tuple,
    "list": _read_list,
    "relation": _read_relation,
    "ratio": _read_ratio,
    "text": _read_text,
    "expression": _read_expression,
}
