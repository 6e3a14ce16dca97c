"""Errors for the trace audit to find: a step of a right solution is made to work with a number from nowhere.

Only the grounding check can see them: the step's result and everything that follows from it are computed again.
"""

import ast
import operator
import random
import re
from fractions import Fraction

NUMBER = r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
NUMBERS = re.compile(rf"(?<![\w.,])(?:{NUMBER})(?![\w%]|[.,][0-9])")
UNIT = r"(?:\s[a-wyzA-Z][a-z]+){0,4}"
SIGN = r"\s?[-+*/x×−–]\s?"
STEP = re.compile(
    rf"(?<![\w.)%$])(?<![-+*/x×−–(]\s)(?P<left>\$?(?:{NUMBER}){UNIT}(?:{SIGN}\$?(?:{NUMBER}){UNIT})+)(?P<sign>\s?=\s?\$?)"
    rf"(?P<result>{NUMBER})(?![\w%]|[.,][0-9]|\s?[-+*/x×−–])"
)
TRIES = 40
SIGNS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def inject(problem: str, trace: str, rng: random.Random) -> tuple[str, str] | None:
    """`trace` with one operand of one step replaced by a wrong value, and that value; None where no step allows it.

    Annotations (<<48/2=24>>) are taken out. The wrong value stands neither in the problem nor earlier in the trace.
    """
    trace = re.sub(r"<<.*?>>", "", trace)
    steps = [step for step in STEP.finditer(trace) if evaluate(step["left"]) == value_of(step["result"])]
    taken = {value_of(n) for n in NUMBERS.findall(problem)}
    for _ in range(TRIES if steps else 0):
        step = rng.choice(steps)
        operand = rng.choice(list(NUMBERS.finditer(step["left"])) or [None])
        if operand is None:
            continue
        wrong = wrong_value(operand[0], rng)
        earlier = taken | {value_of(n) for n in NUMBERS.findall(trace[: step.end()])}
        if value_of(wrong) in earlier:
            continue
        left = step["left"][: operand.start()] + wrong + step["left"][operand.end() :]
        rest = recompute(trace[step.start() :], left, step, taken)
        if rest is not None:
            return trace[: step.start()] + rest, wrong
    return None


def wrong_value(text: str, rng: random.Random) -> str:
    """A slip in a number: a little off, another digit, a digit more or fewer, or any number of the same length."""
    written, _, decimals = text.replace(",", "").partition(".")
    whole = written or "0"
    slips = [
        str(abs(int(whole) + rng.choice((-3, -2, -1, 1, 2, 3)))),
        str(int(whole) + rng.choice((10, 20, 100))),
        whole[:-1] + rng.choice("123456789"),
        whole + rng.choice("0123456789"),
        str(rng.randint(10 ** (len(whole) - 1), 10 ** len(whole) - 1)),
    ]
    return rng.choice([slip for slip in slips if int(slip) > 0] or ["17"]) + (f".{decimals}" if decimals else "")


def recompute(rest: str, left: str, first: re.Match, taken: set[Fraction]) -> str | None:
    """The text from the step `first` on with its new left side, and every result that depends on it computed again."""
    changed, out, at = {}, [], 0
    for step in STEP.finditer(rest):
        new = left if step.start() == 0 else replaced(step["left"], changed)
        if new == step["left"]:
            continue
        old_value, new_value = value_of(step["result"]), evaluate(new)
        written = new_value is not None and decimal(new_value)
        if not written or old_value in taken or old_value == new_value:
            return None
        out += [replaced(rest[at : step.start()], changed), new, step["sign"], written]
        changed[old_value], at = written, step.end()
    return "".join([*out, replaced(rest[at:], changed)])


def replaced(text: str, changed: dict[Fraction, str]) -> str:
    return NUMBERS.sub(lambda match: changed.get(value_of(match[0]), match[0]), text)


def value_of(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def decimal(value: Fraction) -> str | None:
    """A positive number of at most four decimals in digits, or None."""
    scaled = value * 10_000
    if value <= 0 or scaled.denominator != 1:
        return None
    return str(value) if value.denominator == 1 else f"{int(scaled) // 10_000}.{int(scaled) % 10_000:04}".rstrip("0")


def evaluate(expression: str) -> Fraction | None:
    """Exact arithmetic by Python's own parser, apart from the audit's: + - * / ** and brackets; None for anything else."""
    plain = re.sub(r"[A-Za-z]{2,}", " ", expression).translate(str.maketrans("x×−–", "**--"))
    plain = re.sub(r"[,$\s]", "", plain)
    try:
        return _value(ast.parse(re.sub(r"\b0+(?=[0-9])", "", plain), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return None


def _value(node: ast.AST) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp):
        a, b = _value(node.left), _value(node.right)
        if type(node.op) in SIGNS:
            return SIGNS[type(node.op)](a, b)
        if isinstance(node.op, ast.Pow) and b.denominator == 1 and abs(b) <= 64:
            return Fraction(a**b)
    raise ValueError(ast.dump(node))
