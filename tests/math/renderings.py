r"""Other ways of writing a gold answer, and answers that only resemble it: what the checker is tested with.

`equivalents(gold)` are strings that a mathematician accepts as the same final answer, `near_misses(gold)` strings that
nobody should. Both rewrite the text of a gold by its kind, with rational arithmetic where a value is needed.
Templates stand between bars; in them @ is the gold (or a part of it) and # another value.
"""

import re
from collections import Counter
from fractions import Fraction
from itertools import permutations

from golds import SIGNS, classify, rational

SPACED = (" @ ", "\n@\n", "$ @ $", r"\ @")  # apart from the other templates, whose outer spaces do not count
PLAIN = r"@. | {@} | \boxed{@} | \boxed{ @ } | \boxed{@}. | \displaystyle @ | \,@\, | @\; | \quad @ | ~@"
DELIMITED = r"$@$ | $$@$$ | \(@\) | \[@\] | $\boxed{@}$ | \[\boxed{@}\] | $@$. | \( \displaystyle @ \)"
TRAPS = (
    r"? | \boxed{} | $$ | nan | 0/0 | \text{I do not know} | @ \text{ or } # | # or @ | @, # | #, @ | \{@, #\} | (@, #) | [#, @]"
    r" | @ \text{ and } # | \text{not } @ | x > @ | \ne @ | (#, @, #) | @ \text{ or more}"
)


def equivalents(gold: str) -> list[str]:
    """Distinct strings, at least twenty, that are the same final answer as the gold."""
    kind, text, parts = classify(gold)
    same = [text, *(_SAME[kind](text, *parts) if kind in _SAME else [])]
    if r"\frac" in text:
        same += [text.replace(r"\frac", style) for style in (r"\dfrac", r"\tfrac")]
    words = kind == "text" or re.fullmatch(r"[A-Za-z ,']*[A-Za-z]{3}[\w ,']*", text)
    whole = rf"\text{{{text}}}" if words else text
    if re.search(r"(?<!\\)\$", text):  # formulas within words: no second pair of dollars around them
        same += [string for pad in ("", " ", "\n") for string in _fill(PLAIN, pad + whole + pad)]
    else:
        same += [form.replace("@", whole) for form in SPACED] + _fill(f"{PLAIN} | {DELIMITED}", whole)
    return [string for string in dict.fromkeys(same) if string != gold]


def near_misses(gold: str) -> list[str]:
    """Distinct strings, at least twenty, that are not the gold and must not pass for it."""
    kind, text, parts = classify(gold)
    wrong = ["", " ", *(_WRONG[kind](text, *parts) if kind in _WRONG else [])]
    wrong += _fill(TRAPS, text, "987" if "987" not in text else "654")
    wrong += _fill("@ = # | # = @", text, "987") if kind != "other" else []
    if kind not in ("number", "ratio", "choice", "other") and len(text) > 2:
        wrong.append(text[: len(text) // 2])  # cut off: never a complete answer of these kinds
    return [string for string in dict.fromkeys(wrong) if string.strip() != text]


def _fill(templates: str, this: str, other: object = "") -> list[str]:
    return [template.replace("@", this).replace("#", str(other)) for template in templates.split(" | ")]


# Numbers


def _decimals(value: Fraction) -> list[str]:
    """Decimal notations of a value, plain first; none where the digits do not end."""
    places = next((k for k in range(12) if 10**k % value.denominator == 0), None)
    if places is None:
        return []
    sign, digits = "-" if value < 0 else "", str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
    whole, point = (digits[:-places], "." + digits[-places:]) if places else (digits, "")
    same = [sign + whole + end for end in ((point, point + "0", point + "00") if point else ("", ".0", ".00"))]
    if len(whole) > 3:
        same += [sign + f"{int(whole):,}".replace(",", comma) + point for comma in (",", "{,}", r"\,", r",\!")]
    return same + ([sign + point] if point and whole == "0" else [])


def _fractions(value: Fraction) -> list[str]:
    sign, n, d = "-" if value < 0 else "", abs(value.numerator), value.denominator
    same = [rf"{sign}\frac{{{2 * n}}}{{{2 * d}}}", f"{sign}{3 * n}/{3 * d}", rf"{sign}\dfrac{{{5 * n}}}{{{5 * d}}}"]
    if d == 1:
        return same
    same += [rf"{sign}\{style}{{{n}}}{{{d}}}" for style in ("frac", "dfrac", "tfrac", "cfrac")]
    same += [f"{sign}{n}/{d}", f"{sign}{n} / {d}", rf"\frac{{{sign}{n}}}{{{d}}}"]
    whole, rest = divmod(n, d)
    if whole:
        same += [rf"{sign}{whole}\frac{{{rest}}}{{{d}}}", rf"{sign}{whole} \frac{{{rest}}}{{{d}}}", f"{sign}{whole} {rest}/{d}"]
    if 9 % d == 0:
        same.append(rf"{sign}{whole}.\overline{{{rest * 9 // d}}}")
    return same + ([rf"{sign}\frac{n}{d}", rf"{sign}\frac {n} {d}"] if d < 10 and n < 10 else [])


def _frac(value: Fraction) -> str:
    return rf"{'-' if value < 0 else ''}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def _spell(value: Fraction) -> str:
    return (_decimals(value) or [_frac(value)])[0]


_WITH_UNIT = {
    "money": r"@ | \$@ | \$ @ | $@ | @ \text{ dollars} | @ dollars",
    "percent": r"@ | @\% | @ \% | @% | @\text{ percent} | @ percent",
    "degrees": "@ | @^\\circ | @^{\\circ} | @\u00b0 | @\\text{ degrees}",
}


def _same_number(text, value, unit, power):
    spellings = [*_decimals(value), *_fractions(value)]
    if not unit:
        return [*spellings, *_same_plain_number(_spell(value), value)]
    if unit in ("money", "percent"):
        spellings = _decimals(value)
    elif unit == "degrees":
        spellings = [spelling for spelling in spellings if "/" not in spelling]  # 90/2^\circ could be 90/(2^\circ)
    words = rf"@ | @\text{{ {unit}}}# | @ \text{{{unit}}}# | @\ \mathrm{{{unit}}}# | @ \mbox{{ {unit}}}#"
    words += f" | @ {unit}#" if len(unit) > 1 else ""  # one letter would be a variable
    return [string for spelling in spellings[:6] for string in _fill(_WITH_UNIT.get(unit, words), spelling, power)]


def _same_plain_number(plain, value):
    """What a number without a unit may also be: named, signed, in another notation, with the unit that the gold leaves out."""
    same = _fill(r"x = @ | x=@ | N = @ | A_{\min} = @ | @ + 0 | @+0 | (@) | \left( @ \right) | **@** | \mathbf{@}", plain)
    same += [*_fill(r"@ \text{ apples} | @ apples | @ \text{ cm} | @\text{ cm}^2", plain), plain.replace("-", "\u2212")]
    if value > 0:
        same.append(f"+{plain}")
    if value.denominator > 1:
        return same + _fill(r"\frac{2(@)}{2} | 2(@)/2 | @ \cdot 1", _frac(value))
    digits = str(abs(value.numerator))
    mantissa, power = ("-" if value < 0 else "") + f"{digits[0]}.{digits[1:] or '0'}", len(digits) - 1
    same += _fill(rf"\frac{{{2 * value.numerator}}}{{2}} = @ | @\% | @^\circ | \text{{@}}", plain)
    same += _fill(r"@ \times 10^{#} | @ \cdot 10^{#} | @e#", mantissa, power)
    return [*same, rf"\${plain}"] if value > 0 else same


def _wrong_values(value: Fraction) -> list[Fraction]:
    """Values near in look: off by one, in sign, by a power of ten, turned over, with digits swapped, lost or doubled."""
    n, d, tenth = value.numerator, value.denominator, Fraction(1, 10)
    wrong = [value + step for step in (1, -1, 2, -2, 10, -10, 100, tenth, -tenth)]
    wrong += [-value, 10 * value, value / 10, 2 * value, value / 2, value * value, *([1 / value] if n else [])]
    if d == 1:
        digits, sign = str(abs(n)), -1 if n < 0 else 1
        wrong += [value - Fraction(1, 100), sign * Fraction(digits + digits[-1]), sign * Fraction(digits[::-1])]
        wrong += [sign * Fraction(digits[1] + digits[0] + digits[2:]), sign * Fraction(digits[:-1])] if len(digits) > 1 else []
    elif d <= 100:  # beyond that the difference could vanish in the digits of a decimal gold
        wrong += [Fraction(n + 1, d), Fraction(n - 1, d), Fraction(n, d + 1), Fraction(n), Fraction(d)]
    return [other for other in dict.fromkeys(wrong) if other != value]


_OTHER_UNIT = {"km": "m", "cm": "m", "m": "cm", "inches": "feet", "minutes": "hours", "hours": "minutes", "dollars": "cents"}


def _wrong_number(text, value, unit, power):
    # 28% may pass as 28 or as 0.28, so neither is called wrong here.
    values = [other for other in _wrong_values(value) if unit != "percent" or other not in (100 * value, value / 100)]
    if not unit:
        return [*map(_spell, values), *_traps_for_number(value)]
    form = {"money": r"\$@", "percent": r"@\%", "degrees": r"@^\circ"}.get(unit) or rf"@\text{{ {unit}}}{power}"
    wrong = [string for other in values for string in _fill(f"{form} | @", _spell(other))]
    if unit in _OTHER_UNIT:
        wrong.append(rf"{_spell(value)} \text{{ {_OTHER_UNIT[unit]}}}{power}")
    return [*wrong, f"{_spell(value)} cents"] if unit == "money" else wrong


def _traps_for_number(value: Fraction) -> list[str]:
    forms = r"@ \text{ or } # | # \text{ or } @ | @ or # | # or @ | @, # | #, @ | @ = # | # = @ | @ to # | @ - 1 = @"
    forms += r" | between @ and # | @ \text{ to } # | [@, #] | (@, #) | \{@, #\} | @ + 1 | x \ge @ | x < @ | not @ | \frac{@}{0}"
    if value:
        forms += r" | \pm @ | @\pi | @\sqrt{2} | @x | @i | 2(@) | @ million | @ \text{ million} | @ # | 1, 2, 3, @, #"
    if value > 0 and value != 1:
        forms += r" | \sqrt{@} | (@)^2"
    if value.denominator == 1 and value >= 10:
        forms += " | @_{11}" + (" | @!" if value < 1000 else "")
    whole, rest = divmod(value, 1)
    if whole > 0 and rest and whole * rest != value:  # a product, not a mixed number
        forms += rf" | {whole}({_frac(rest)}) | {whole} \cdot {_frac(rest)}"
    rounded = [] if _decimals(value) else [f"{float(value):.2f}"]  # the gold is exact
    return _fill(forms, _spell(value), _spell(value + 1)) + rounded


# Expressions


def _same_expression(text):
    same = _fill(r"(@) | \left( @ \right) | @ + 0 | @+0 | \frac{2(@)}{2} | -(-(@)) | (@)/1", text)
    name = next((name for name in "SNP" if name not in text), None)
    return same + (_fill("# = @ | #=@", text, name) if name else []) + _restyled(text)


def _restyled(text: str) -> list[str]:
    """An expression in other notation: order of terms, braces, products written out, roots as powers."""
    terms, same = _terms(text), []
    if len(terms) > 1:
        same = [_join(terms[::-1]), _join(terms), *([] if "\\" in text else [_join(terms).replace(" ", "")])]
    same += [
        re.sub(r"\^(\w)", r"^{\1}", text),
        re.sub(r"\\sqrt\s*(\d)(?!\d)", r"\\sqrt{\1}", text),
        text.replace(r"\pi", "\u03c0"),
    ]
    same += [re.sub(r"\\sqrt\{(\d)\}", r"\\sqrt\1", text), re.sub(r"\\sqrt\{(\w+)\}", r"(\1)^{1/2}", text)]
    if not re.search(r"\\(?:sin|cos|tan|log|ln)", text):  # not \sin 3 \cdot x
        same += [re.sub(r"(?<=\d) ?(?=\\(?:sqrt|pi)|[a-z](?![a-z]))", times, text) for times in (r" \\cdot ", r" \\times ", "*")]
    if match := re.fullmatch(r"(-?)(\d+) ?\\sqrt\{?(\d+)\}?", text):
        sign, outside, inside = match.groups()
        same += [rf"{sign}\sqrt{{{int(outside) ** 2 * int(inside)}}}", rf"{sign}\sqrt{{{inside}}} \cdot {outside}"]
    braces = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
    if match := re.fullmatch(rf"\\frac{braces}{braces}", text):
        same += _fill(r"(@)/(#) | \frac{1}{#} (@) | \frac{3(@)}{3(#)}", *match.groups())
    return same


def _terms(text: str) -> list[str]:
    """The terms of a sum, each as a sign, a space and the rest."""
    cuts, depth = [0], 0
    for i, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and character in "+-" and re.search(r"[\w)}\]!]\s*$", text[:i]):
            cuts.append(i)
    terms = [text[a:b].strip() for a, b in zip(cuts, (*cuts[1:], len(text)))]
    return [f"{term[0]} {term[1:].strip()}" if term[:1] in ("+", "-") else f"+ {term}" for term in terms]


def _join(terms: list[str]) -> str:
    return " ".join(terms).removeprefix("+ ")


def _wrong_expression(text):
    forms = r"@ + 1 | @ - 1 | (@) + 2 | -(@) | 2(@) | 10(@) | \frac{@}{2} | \frac{@}{10} | \pm (@) | (@) q | q + @ | @ = @ + 1"
    forms += r" | @ \text{ or } @ + 1 | @, @ + 1 | [@, @ + 1] | @ < q | \{@, -(@)\} | \frac{@}{0}"
    wrong, terms = [*_fill(forms, text), *_digit_changes(text)], _terms(text)
    for i in range(1, len(terms)):
        flipped = {"+": "-", "-": "+"}[terms[i][0]] + terms[i][1:]
        wrong += [_join([*terms[:i], flipped, *terms[i + 1 :]]), _join(terms[:i] + terms[i + 1 :])]
    return wrong


def _digit_changes(text: str) -> list[str]:
    """The text with one digit changed, for the first six digits; a binomial can survive that."""
    digits = [match.start() for match in re.finditer(r"\d", text)][:6] if r"\binom" not in text else []
    return [text[:i] + str(int(text[i]) + (1 if text[i] != "9" else -1)) + text[i + 1 :] for i in digits]


# Answers of several elements


def _respell(part: str, k: int) -> str:
    """The k-th other notation of one element."""
    kind, text, parts = classify(part)
    ways = [part]
    if kind == "number" and not parts[1]:
        ways = [*_decimals(parts[0])[:2], *_fractions(parts[0])[:3]]
    elif kind == "expression":
        ways = [f"{text} + 0", text, *_restyled(text)[:2]]
    elif kind == "tuple":
        ways = [f"({', '.join(_respell(p, k) for p in parts[0])})"]
    return ways[k % len(ways)]


def _wrong_parts(part: str) -> list[str]:
    """Other values for one element."""
    kind, text, parts = classify(part)
    if r"\infty" in part:
        return ["1000", "1001", "1002"]
    if kind == "number" and not parts[1]:
        return [_spell(other) for other in (parts[0] + 1, parts[0] - 1, -parts[0] or Fraction(5))]
    if kind == "tuple":
        return [f"({', '.join(changed)})" for changed in _one_changed(parts[0])[:3]]
    return _fill("@ + 1 | @ - 1 | @ + 2", text) if kind == "expression" else _digit_changes(part)


def _one_changed(parts) -> list[list[str]]:
    return [[*parts[:i], wrong, *parts[i + 1 :]] for i, part in enumerate(parts) for wrong in _wrong_parts(part)]


def _respelled(parts) -> list[list[str]]:
    return [list(parts), *([_respell(part, k) for part in parts] for k in range(6))]


def _keys(parts) -> list:
    """What tells elements apart: a value, or the text without spaces."""
    return [part.replace(" ", "") if rational(part) is None else rational(part) for part in parts]


def _same_tuple(text, parts):
    same = [string for written in _respelled(parts) for string in _fill(r"(@) | \left( @ \right)", ", ".join(written))]
    same += [string for comma in (",", " , ", r",\ ") for string in _fill(r"(@) | \left(@\right) | (\,@\,)", comma.join(parts))]
    names = {2: "x, y", 3: "x, y, z"}.get(len(parts))
    if names and not re.search(r"(?<!\\)\b[a-z]", text):
        same += _fill("(#) = (@) | (#)=(@)", ", ".join(parts), names)
    return same


def _wrong_tuple(text, parts):
    orders = [order for order in permutations(parts) if _keys(order) != _keys(parts)][:4] if len(parts) < 6 else []
    wrong = [*_one_changed(parts), *orders, parts[:-1], parts[1:], (*parts, "1"), ("1", *parts)]
    scaled = r" | \pm(@) | 2 \cdot (@)" if any(_keys(parts)) else ""
    alone = [parts[0], parts[-1], *_fill("(@] | [@) | (@) + 1" + scaled, ", ".join(parts))]
    return [*(f"({', '.join(other)})" for other in wrong), *alone]


def _same_list(text, parts):
    """Order is free: bare lists are sets of solutions."""
    several, first, last = len(set(_keys(parts))) < len(parts), ", ".join(parts[:-1]), parts[-1]
    forms = "@" if several else r"@ | \{@\} | \left\{ @ \right\}"  # a set forgets what stands twice
    same = [string for written in (*_respelled(parts), parts[::-1]) for string in _fill(forms, ", ".join(written))]
    same += [*_fill(r"@ \text{ and } # | @ and # | @, \text{ and } #", first, last), r",\ ".join(parts[::-1])]
    if not any(re.fullmatch(r"\d{3}", part) for part in parts):
        same.append(",".join(parts))  # a comma before three digits would group them
    if not several and not re.search(r"[(x]", text):
        named = [f"x = {part}" for part in parts]
        same += [", ".join(named[::-1]), r" \text{ or } ".join(named), "x = " + ", ".join(parts)]
    return same


def _wrong_list(text, parts):
    keys = Counter(_keys(parts))
    shorter = [parts[:i] + parts[i + 1 :] for i, key in enumerate(_keys(parts)) if keys[key] == 1]
    wrong = [
        other for other in (*_one_changed(parts), *shorter, (*parts, "987"), ("654", *parts)) if Counter(_keys(other)) != keys
    ]
    forms = r"@ | \{@\}" if len(wrong) < 12 else "@"
    spelled = [string for other in wrong for string in _fill(forms, ", ".join(other))]
    return [*spelled, ", ".join(parts) + r" \text{ or } 987", " + ".join((*parts, "1"))]


def _union(pieces, piece: str, union: str = r" \cup ") -> str:
    return union.join(piece.format(*ends) for ends in pieces)


def _same_interval(text, pieces):
    layouts = (r"\left{} {}, {} \right{}", "{}{},{}{}", "{} {} , {} {}")
    orders = (pieces, pieces[::-1])
    same = [_union(order, layout, cup) for order in orders for layout in layouts for cup in (r" \cup ", r"\cup", "\u222a")]
    same += [rf"x \in {_union(pieces, layouts[0])}", rf"x\in{_union(pieces, layouts[1])}"]
    same += [text.replace(r"\infty", "\u221e"), re.sub(r"(?<!-)\\infty", r"+\\infty", text)]
    for k in range(5):
        same.append(_union([(o, _respell(low, k), _respell(high, k), c) for o, low, high, c in pieces], "{}{}, {}{}"))
    plain = len(pieces) == 1 and not re.search(r"(?<!\\)\b[a-z]|\u03c0", text)
    return same + (_as_inequalities(*pieces[0]) if plain else [])


def _as_inequalities(opening, low, high, closing):
    lower, upper = (r"\le" if opening == "[" else "<"), (r"\le" if closing == "]" else "<")
    if high == r"\infty":
        return [f"x {_FLIPPED[lower]} {low}", f"{low} {lower} x"]
    if low == r"-\infty":
        return [f"x {upper} {high}", f"{high} {_FLIPPED[upper]} x"]
    return [f"{low} {lower} x {upper} {high}", f"{high} {_FLIPPED[upper]} x {_FLIPPED[lower]} {low}"]


def _wrong_interval(text, pieces):
    other_bracket, wrong = {"[": "(", "(": "[", "]": ")", ")": "]"}, []
    for i, (opening, low, high, closing) in enumerate(pieces):
        changed = [(opening, *ends, closing) for ends in _one_changed((low, high))]
        changed += [] if r"\infty" in low else [(other_bracket[opening], low, high, closing)]
        changed += [] if r"\infty" in high else [(opening, low, high, other_bracket[closing])]
        wrong += [(*pieces[:i], piece, *pieces[i + 1 :]) for piece in changed]
        wrong += [(*pieces[:i], *pieces[i + 1 :])] if len(pieces) > 1 else []
    wrong += [] if r"\infty" in pieces[-1][2] else [(*pieces, ("[", "5000", "5001", "]"))]
    finite = [end for piece in pieces for end in piece[1:3] if r"\infty" not in end]
    everything = r"(-\infty, \infty) | \mathbb{R}".split(" | ") if finite else []
    single = [string for end in finite for string in _fill(r"@ | \{@\}", end)]
    return [*(_union(other, "{}{}, {}{}") for other in wrong), *single, *everything, r"\emptyset", ", ".join([*finite, "1"])]


def _matrix(rows, name="pmatrix", row_end=r" \\ ", cell_end=" & "):
    return rf"\begin{{{name}}} {row_end.join(cell_end.join(row) for row in rows)} \end{{{name}}}"


def _same_matrix(text, rows):
    same = [_matrix(rows), _matrix(rows, "bmatrix"), _matrix(rows, row_end=r"\\", cell_end="&"), _matrix(rows, row_end="\\\\\n")]
    same += _fill(r"\left( @ \right) | \left[ @ \right]", _matrix(rows, "matrix")) + [f"A = {_matrix(rows)}"]
    written = [[[_respell(cell, k) for cell in row] for row in rows] for k in range(5)]
    return [*same, _matrix([*rows, ("",)]), *(_matrix(other, name) for other in written for name in ("pmatrix", "bmatrix"))]


def _wrong_matrix(text, rows):
    flat, width = [cell for row in rows for cell in row], len(rows[0])
    changed = [[line[i : i + width] for i in range(0, len(line), width)] for line in _one_changed(flat)]
    changed += [rows[::-1], list(zip(*rows)), rows[:-1], [*rows, rows[0]]]
    changed += [[(*row, "1") for row in rows], [row[::-1] for row in rows]]
    matrices = [other for other in changed if other and [*map(_keys, other)] != [*map(_keys, rows)]]
    forms = "2@ | -@ | 1 + @ | @_2 | @ + @" if any(_keys(flat)) else "1 + @"
    return [*map(_matrix, matrices), *_fill(forms, _matrix(rows)), flat[0]]


# Relations

_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", r"\ne": r"\ne", "=": "="}
_NAME = re.compile(r"(?:[A-Za-z]|\\[a-z]+)(?:_(?:\w|\{\w+\}))?(\([a-z]\))?")
_AS_INTERVAL = {
    "<": r"(-\infty, @)",
    ">": r"(@, \infty)",
    r"\le": r"(-\infty, @]",
    r"\ge": r"[@, \infty)",
    r"\ne": r"(-\infty, @) \cup (@, \infty)",
}


def _same_relation(text, left, sign, right):
    same = [f"{left} {spelled} {right}" for spelled in SIGNS[sign]]
    same += [f"({left}) {sign} ({right})", *(f"{left} {sign} {_respell(right, k)}" for k in range(5))]
    number, named = classify(right).kind == "number", _NAME.fullmatch(left)
    if not (named and named.group(1)):  # not 1 = f(x)
        same += [f"{right} {spelled} {left}" for spelled in SIGNS[_FLIPPED[sign]]]
    if named and number and sign in _AS_INTERVAL:
        same += _fill(rf"@ | {left} \in @", _AS_INTERVAL[sign].replace("@", right))
    elif named and sign == "=":
        same += [right, *([] if number or named.group(1) else [f"{left} - ({right}) = 0"])]
    elif sign == "=":
        same += [f"{left} - ({right}) = 0", f"2({left}) = 2({right})", f"{left} + 1 = {right} + 1"]
    return same


def _wrong_relation(text, left, sign, right):
    wrong = [f"{left} {other} {right}" for other in SIGNS if other != sign]
    wrong += [f"{left} {sign} {other}" for other in (*_wrong_parts(right), *_digit_changes(right), f"{right} + 1", "")]
    wrong.append(f"{left} + 1 {sign} {right}")
    if sign != "=":
        return [*wrong, left, right]
    wrong += [f"{left} = {right}, {left} = 987", f"{left} = {right} = 987"]
    if named := _NAME.fullmatch(left):
        wrong += [left, *_wrong_parts(right)]
        wrong += [f"{name} = {right}" for name in "qQw" if classify(right).kind == "number" and not named.group(1)]
    return wrong


# Words, letters, digits in a base, ratios


def _same_text(text):
    forms = r"@ | \text{@} | \textbf{@} | \mbox{@} | \textrm{@} | \textit{@} | \text{ @ } | \text{@.} | @. | **@** | \boxed{@}"
    forms += "" if " " in text else r" | \mathrm{@} | $@$"
    return [string for word in (text, text.lower(), text[0].upper() + text[1:]) for string in _fill(forms, word)]


def _wrong_text(text):
    wrong = [text[::-1], text[1] + text[0] + text[2:], text + text[-1], text[1:], *([] if text.endswith("s") else [text[:-1]])]
    forms = (
        r"x@ | @x | not @ | 2 @ | \text{not @} | banana | \text{banana} | @ or banana | \text{@ or banana} | @ and banana | 42"
    )
    return [other for other in (*wrong, *_fill(forms, text)) if other.lower() != text.lower()]


def _same_choice(text, letter):
    macros = ("text", "textbf", "mathrm", "mathbf", "textrm", "mbox")
    return _fill("@ | (@) | (@). | " + " | ".join(rf"\{m}{{@}} | \{m}{{(@)}} | \{m}{{ (@) }}" for m in macros), letter)


def _wrong_choice(text, letter):
    others = [other for other in "ABCDE" if other != letter]
    wrong = [string for other in others for string in _fill(r"\text{(#)} | # | @, # | \text{(@) or (#)} | @#", letter, other)]
    return [*wrong, *_fill(r"F | 1 | @@ | \text{not } @ | 2@ | -@ | @ + 1 | @^2", letter)]


def _same_base(text, digits, base):
    forms = r"@_# | @_{#} | @_{ #} | (@)_# | (@)_{#} | {@}_{#} | @_{\text{#}} | @_{\mathrm{#}} | \left(@\right)_{#} | @ _ #"
    return _fill(forms, digits, base)


def _wrong_base(text, digits, base):
    changed = [*_digit_changes(digits), digits[::-1], digits[:-1], digits[1:], digits + digits[-1]]
    wrong = [f"{other}_{{{base}}}" for other in changed if int(other or 0) != int(digits)]
    wrong += [f"{digits}_{{{other}}}" for other in range(2, 17) if other != int(base)]
    return [*wrong, digits, f"-{digits}_{base}", f"{digits}^{base}"]


def _same_ratio(text, a, b):
    return _fill(r"@:# | @ : # | @\!:\!# | @ \colon # | @\text{ : }#", str(a), b)


def _wrong_ratio(text, a, b):
    pairs = [(b, a), (a + 1, b), (a, b + 1), (10 * a, b), (a, 10 * b), (2 * a, b), (a + 2, b), (a, b + 2)]
    wrong = [f"{x}:{y}" for x, y in pairs if Fraction(x, y) != Fraction(a, b)]
    return [*wrong, f"{a}:{b}:1", f"1:{a}:{b}", f"{a + b}", f"{a}{b}", *([f"{a}"] if b > 1 else [])]


_SAME = {
    "number": _same_number,
    "expression": _same_expression,
    "tuple": _same_tuple,
    "list": _same_list,
    "interval": _same_interval,
    "matrix": _same_matrix,
    "relation": _same_relation,
    "text": _same_text,
    "choice": _same_choice,
    "base": _same_base,
    "ratio": _same_ratio,
}
_WRONG = {
    "number": _wrong_number,
    "expression": _wrong_expression,
    "tuple": _wrong_tuple,
    "list": _wrong_list,
    "interval": _wrong_interval,
    "matrix": _wrong_matrix,
    "relation": _wrong_relation,
    "text": _wrong_text,
    "choice": _wrong_choice,
    "base": _wrong_base,
    "ratio": _wrong_ratio,
}
