r"""Text or LaTeX to a flat list of tokens, in one notation: `\dfrac`, `\tfrac` and `\frac` are one, `\le`, `<=` and `≤` are one.

A token is a pair (kind, value):

    num     a numeral as it is written, without group separators: "1234", "0.5", ".25", "0.1(3)" (a repeating decimal)
    sym     one variable or constant: "x", "pi", "alpha", "inf"
    fn      a function: "sin", "ln", "min"
    date    a date, a time or a number of groups, where a sum or ratio cannot be meant: "2024-1-5" (written 2024-01-05), "9:5"
    word    a word of prose, a unit, the content of \text{...}
    letters a word with letters beyond ASCII, which only behind a number says something: its unit
    cmd     a LaTeX command with arguments: "frac", "sqrt", "binom", "begin"
    op      everything else: "+", "<=", "{" (a group), "{s" (a set's brace), ",", "and", "or"

Nothing here has a meaning yet; the parser gives it one. Work is bounded by MAX_TOKENS.
"""

import re
import unicodedata

from grpo_math.answers.vocabulary import (
    ACCENTS,
    CHARACTERS,
    COMMANDS,
    FUNCTIONS,
    IGNORED,
    NUMBER_SYSTEMS,
    OPERATORS,
    PLAIN_WORDS,
    PROSE_TEXTS,
    SHORT_WORDS,
    STYLES,
    SYMBOLS,
    TEXTS,
    UNIT_LETTERS,
)

MAX_TOKENS = 800
MAX_DEPTH = 6  # of commands such as \text inside each other

Token = tuple[str, str]


class OverBudget(Exception):
    """The text asks for more work than an answer may cost."""


class Unparsed(Exception):
    """The text is not an answer that we can read."""


_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
# Between groups of three digits. A space before "205/256" is that of a mixed number.
_SEPARATOR = r"(?:,(?:\\!\s?)?|[ ]?\{,[ ]?\}|\\[,! ]|~|[ ](?!\d{3}\s*/))"
# Digits in groups of which one has a leading zero, as in 2024-01-05, 555-0123 and 9:05, or a year, month and day without any.
_DATE = re.compile(
    r"(?<![\w.^_])(?:(?=0\d|[\d:-]{0,40}[:-]0\d)\d+(?:[:-]\d+){1,9}"
    r"|(?<!=)(?<!=\s)[12]\d{3}-(?:\d|1[0-2])-(?:[12]?\d|3[01])(?!\s*[=+*/^-]))(?![.:-]?\w)"
)
# A letter beyond ASCII, or a mark on one; Greek letters and those like ℵ are signs of mathematics.
_LETTER = r"(?:[^\W\d_\x00-\x7f\u0370-\u03ff\u2100-\u214f]|[\u0300-\u036f\u0591-\u065f\u0900-\u0fff])"
_TOKEN = re.compile(
    rf"""(?P<space>\s+|~|\\[,;:!> ]|\\\((?!\w)|\\[()\[\]])
    |(?P<repeat>\d*\.\d*\\(?:overline|bar|dot)\s?\{{?\d+\}}?)
    |(?P<num>\d{{1,3}}(?:{_SEPARATOR}\d{{3}})+(?!\d)(?:\.\d+)?|\d+\.\d{{3}}(?:\\,\d{{3}})+|\d+(?:\.\d+)?|\.\d+)
    |\\(?P<cmd>[A-Za-z]+)\*?
    |\\(?P<esc>[^A-Za-z])
    |(?P<rate>(?:[kc]?m|ft|mi)/(?:s|hr?|min|sec)(?![A-Za-z]))
    |(?P<word>[A-Za-z]++(?!{_LETTER}))
    |(?P<letters>[A-Za-z]*{_LETTER}(?:[A-Za-z]|{_LETTER})*|[\u0370-\u03ff])
    |(?P<op><=|>=|!=|==|\*\*|=>|->|\.\.\.|.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = {"{": "{s", "}": "}s", "\\": "newline", "&": "and"}  # behind a backslash
_RUNS = {"**": "^", "==": "=", "...": "dots"}
_LISTED = re.compile(r"(?<=\d),(?=\d{3})")
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_TIMES_TEN = re.compile(r"(?<=\d)\s?[xX]\s?(?=10\s?\^)|(?<=\d)\s[xX]\s(?=\d)")
# A backslash that was escaped once too often, before a command that never starts a row.
_DOUBLED = re.compile(r"\\(?=\\(?:[dtc]?frac|sqrt|left|right|begin|end|text|pi|cdot|times|infty)(?![A-Za-z]))(?<!\\\\)")
_HALF_OF_DAY = re.compile(r"(?<=:\d\d)(?:\s|~|\\[ ,])*(?:\\(?:text|mathrm)\{\s*)?([ap])\.?\s?m\b\.?\s*\}?", re.IGNORECASE)
_SCIENTIFIC = re.compile(r"(?<![A-Za-z\d.])(\d+\.?\d*|\.\d+)[eE]([+-]?\d{1,9})(?![\w.])", re.ASCII)


def normalise(text: str) -> str:
    """The text with Unicode's mathematics in LaTeX, and without the dollar signs around formulas."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+", lambda run: "^{" + run.group().translate(_SUPERSCRIPTS) + "}", text)
        text = re.sub(r"[₀₁₂₃₄₅₆₇₈₉]+", lambda run: "_{" + run.group().translate(_SUBSCRIPTS) + "}", text)
        text = "".join(character if character <= "\x7f" else _from_unicode(character) for character in text)
    text = re.sub(r"\\\$|\\(?:usd|euro|pounds)(?![A-Za-z])", r" \\usd ", text).replace("$", " ")
    if ":" in text:
        text = _HALF_OF_DAY.sub(lambda half: f" \\text{{{half[1].lower()}m}}", text)
    text = _DOUBLED.sub("", text)
    text = _SCIENTIFIC.sub(r"\1*10^{\2}", text) if "e" in text or "E" in text else text
    return _TIMES_TEN.sub(r"\\times ", text) if "x" in text or "X" in text else text


def _from_unicode(character: str) -> str:
    if character in CHARACTERS:
        return CHARACTERS[character]
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    kind = unicodedata.normalize("NFKC", character)
    if "\u2044" in kind:  # a vulgar fraction
        over, under = kind.split("\u2044")
        return f"\\frac{{{over}}}{{{under or 1}}}"
    if kind.isdigit() and kind.isascii():  # a circled digit stands for an item of a list
        return f"{kind},"
    if unicodedata.category(character) == "Sc":  # any currency
        return r" \usd "
    return kind if kind.isascii() else character


def tokenize(text: str, grouped: bool = True, prose: bool = False, depth: int = 0) -> list[Token]:
    """The tokens of a normalised text. `grouped` reads "1,234" as one number, else as two. Prose keeps single letters as words.

    Raises OverBudget above MAX_TOKENS, Unparsed for braces that do not close.
    """
    tokens: list[Token] = []
    if depth > MAX_DEPTH:
        raise OverBudget("nested too deeply")
    if not grouped:
        text = _LISTED.sub(", ", text)
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        kind, value, position = match.lastgroup, match.group(match.lastgroup), match.end()
        if kind == "cmd":
            position = _command(value, text, position, tokens, prose, depth)
        elif kind == "rate" and tokens and tokens[-1][0] == "num":
            tokens.append(("word", value))
        elif kind == "word":
            _word(value, tokens, prose)
        elif kind == "rate":
            over, under = value.split("/")
            _word(over, tokens, prose)
            tokens.append(("op", "/"))
            _word(under, tokens, prose)
        elif kind == "num" and text[position : position + 1] in "-:" and (date := _DATE.match(text, match.start())):
            position = date.end()
            tokens.append(("date", re.sub(r"\d+", lambda digits: digits.group().lstrip("0") or "0", date.group())))
        elif kind == "num":
            tokens.append(("num", re.sub(r"[^\d.]", "", value)))
        elif kind == "letters" and (prose or len(value) > 1 or value.upper() == value.lower()):  # else an unknown variable
            tokens.append(("letters", value))
        elif kind == "repeat":
            start, _, repeating = value.partition("\\")
            tokens.append(("num", f"{start}({re.sub(r'[^0-9]', '', repeating)})"))
        elif kind != "space":
            tokens.append(("op", (_ESCAPED if kind == "esc" else _RUNS).get(value, value)))
        if len(tokens) > MAX_TOKENS:
            raise OverBudget("too many symbols")
    return tokens


def _word(word: str, tokens: list[Token], prose: bool) -> None:
    """A run of letters: a function, a constant, a word, or a product of variables."""
    if word in FUNCTIONS and not prose:
        tokens.append(("fn", word))
    elif word in PLAIN_WORDS:
        tokens.append(PLAIN_WORDS[word])
    elif prose or len(word) > 3 or word.lower() in SHORT_WORDS:
        tokens.append(("word", word))
    else:
        tokens.extend(("sym", letter) for letter in word)


def _command(name: str, text: str, position: int, tokens: list[Token], prose: bool, depth: int) -> int:
    """Append the tokens of a LaTeX command and return where the text goes on."""
    if name in IGNORED:
        dot = name in ("left", "right") and text[position : position + 1] == "."
        return position + dot
    if name in TEXTS or name == "mathbb":
        content, position = _argument(text, position)
        unit = bool(tokens) and (
            tokens[-1][0] == "num"
            and content.strip() not in ("e", "i")
            or tokens[-1][1] == "}"
            and content.strip() in UNIT_LETTERS
        )
        tokens.extend(_text_tokens("text" if unit else name, content, depth + 1))
    elif name in OPERATORS:
        tokens.append(("op", OPERATORS[name]))
    elif name in SYMBOLS:
        tokens.append(("sym", SYMBOLS[name]))
    elif name in COMMANDS:
        tokens.append(("cmd", COMMANDS[name]))
    elif name in FUNCTIONS or name.removeprefix("arc") in FUNCTIONS:
        tokens.append(("fn", name))
    elif name in STYLES:
        content, position = _argument(text, position)
        inner = tokenize(content, prose=prose, depth=depth + 1)
        tokens.extend(inner if len(inner) < 2 else [("op", "{"), *inner, ("op", "}")])
    elif name in ACCENTS:
        content, position = _argument(text, position)
        inner = tokenize(content, prose=prose, depth=depth + 1)
        tokens.extend(inner if len(inner) < 2 else [("sym", "".join(value for _, value in inner))])
    elif name == "usd":
        tokens.append(("op", "usd"))
    elif name in ("pmod", "tag", "hspace", "label"):
        position = _argument(text, position)[1]
    else:
        tokens.append(("sym", "\\" + name))
    return position


def _text_tokens(macro: str, content: str, depth: int) -> list[Token]:
    stripped = content.strip()
    if macro == "mathbb":
        return [("sym", NUMBER_SYSTEMS.get(stripped, stripped))]
    if stripped in FUNCTIONS:
        return [("fn", stripped)]
    if len(stripped) == 1 and stripped.isalpha() and macro not in PROSE_TEXTS:
        return [("sym", stripped)]
    return tokenize(content, prose=True, depth=depth)


def _argument(text: str, position: int) -> tuple[str, int]:
    """The argument at a position: the content of a brace group, or one character."""
    while text[position : position + 1].isspace():
        position += 1
    if text[position : position + 1] != "{":
        return text[position : position + 1], position + 1
    depth = 0
    for brace in _BRACES.finditer(text, position):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return text[position + 1 : brace.start()], brace.end()
    raise Unparsed("a brace is not closed")
