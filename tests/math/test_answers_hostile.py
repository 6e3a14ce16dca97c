"""Hostile input: the verdict is right, nothing raises, and time and memory are bounded on the main thread and off it."""

import threading
import time
import tracemalloc
from functools import partial

import pytest

from grpo_math.answers import explain, extract_answer, is_correct, is_equivalent
from grpo_math.formats import FORMATS

# A call has 20 ms on a quiet machine. The best of three runs may take five times that, for the noise of a busy one.
SECONDS = 5 * 0.020
MEGABYTES = 32
EITHER = (True, False)  # right and refused as too much work are both fine


def nested(before: str, middle: str, after: str, times: int) -> str:
    return before * times + middle + after * times


def pairs(levels: int, first: int) -> str:
    """Sets of two sets of two ..., with numbers of their own innermost."""
    return rf"\{{{pairs(levels - 1, 2 * first)}, {pairs(levels - 1, 2 * first + 1)}\}}" if levels else str(first + 7)


# case: (answer, gold, verdict); the answer alone, and in a box
ANSWERS = {
    "tower": ("9^{9^{9^9}}", "3", False),
    "tower of thousands": ("3000^{3000^{3000}}", "3", False),
    "tower in a fraction": (r"\dfrac{7^{7^{7^{7^7}}-3}-7}{48}", "3", False),
    "tower that is subtracted from itself": ("9^{9^{9^9}} - 9^{9^{9^9}} + 3", "4", False),
    "tower without braces": ("2^2^2^2^2^2^2^2", "3", False),
    "long tower": ("2" + "^2" * 1000, "3", False),
    "power of a power": (r"10^{10^{10}}", "3", False),
    "huge exponent": ("2^{10^9}", "3", False),
    "huge negative exponent": ("2^{-10^9}", "0", False),
    "small base, huge exponent": ("0.1^{1000000000}", "0", False),
    "one to a huge exponent": ("1^{10^9}", "2", False),
    "scientific": ("1e999999999", "3", False),
    "scientific, tiny": ("1e-999999999", "0", False),
    "a root of a large prime, below a bar": (r"\frac{1}{1+\sqrt{999999937}}", "3", False),
    "sets in sets": (nested(r"\{", "1", r"\}", 25), nested(r"\{", "2", r"\}", 25), False),
    "sets of two in sets of two": (pairs(6, 0), pairs(6, 1), False),
    "a list of expressions": (
        ",".join(rf"\sin(x+{k})" for k in range(60)),
        ",".join(rf"\sin(x+{k})" for k in range(60, 0, -1)),
        False,
    ),
    "huge root": (r"\sqrt[1000000000]{2}", "1", False),
    "factorial": ("1000000!", "3", False),
    "factorial of a power": ("(10^6)!", "3", False),
    "factorials in a row": ("((9!)!)!", "3", False),
    "double factorial": ("53!!", "3", False),
    "exclamation marks": ("3" + "!" * 1000, "3", False),
    "binomial": (r"\binom{1000000000}{500000000}", "3", False),
    "binomial of powers": (r"\binom{10^7}{10^6}", "3", False),
    "sum": (r"\sum_{k=1}^{10^9} k^k", "3", False),
    "product": (r"\prod_{k=1}^{10^9} k", "3", False),
    "integral": (r"\int_0^{10^9} x^x \, dx", "3", False),
    "limit": (r"\lim_{x \to 0} \frac{\sin x}{x}", "3", False),
    "power of a sum": ("(1+x)^{1000000}", "x", False),
    "many factors": ("".join(f"(x+{k})" for k in range(1, 150)), "x", False),
    "many different roots": ("+".join(rf"\sqrt{{{k}}}" for k in range(2, 150)), "3", False),
    "many signs": (r"\pm 1 " * 40, "40", False),
    "many terms": ("+".join(["1"] * 900), "900", EITHER),
    "many minus signs": ("-" * 1000 + "3", "3", EITHER),
    "chain of equals": ("=".join(["3"] * 500), "3", EITHER),
    "chain of equals with a flaw": ("=".join(["3"] * 500) + "=4", "3", False),
    "parentheses": (nested("(", "3", ")", 2000), "3", EITHER),
    "parentheses around another": (nested("(", "4", ")", 2000), "3", False),
    "braces": (nested("{", "4", "}", 10_000), "3", False),
    "left and right": (nested(r"\left(", "4", r"\right)", 2000), "3", False),
    "bars": (nested("|", "4", "|", 500), "3", False),
    "sines": (nested(r"\sin(", "x", ")", 60), "x", False),
    "roots": (nested(r"\sqrt{", "2", "}", 60), "2", False),
    "fractions": (nested(r"\frac{1}{1+", "1", "}", 60), "1", False),
    "many fractions": (nested(r"\frac{1}{1+", "1", "}", 5000), "1", False),
    "subscripts": (nested("x_{", "x", "}", 1000), "x", False),
    "texts": (nested(r"\text{", "4", "}", 5000), "3", False),
    "absolute values and brackets": ("|[(" * 300, "3", False),
    "matrix": (r"\begin{pmatrix} " + r" \\ ".join(" & ".join("1" * 100) for _ in range(100)) + r" \end{pmatrix}", "1", False),
    "matrices": (nested(r"\begin{pmatrix}", "3", r"\end{pmatrix}", 200), "3", False),
    "set of symbols": (r"\{" + ", ".join(f"x_{{{k}}}" for k in range(300)) + r"\}", "x", False),
    "list": ("1," * 50_000 + "1", "1", False),
    "union": (r"\cup".join(["(0,1)"] * 2000), "(0,2)", False),
    "digits": ("7" * 100_000, "7", False),
    "zeros": ("0" * 100_000 + "3", "4", False),
    "threes": ("0." + "3" * 100_000, "1/3", EITHER),
    "period": (rf"0.\overline{{{'142857' * 1000}}}", "1/8", False),
    "groups": ("1" + ",000" * 5000, "1", False),
    "huge fraction": (rf"\frac{{{'1' * 3000}}}{{{'3' * 3000}}}", "3", False),
    "not a number": ("nan", "3", False),
    "not a number, as gold": ("3", "nan", (False, None)),
    "infinity": (r"\infty", "3", False),
    "infinity and minus infinity": (r"-\infty", r"\infty", False),
    "infinity twice": (r"\infty", r"\infty", True),
    "infinite difference": (r"\infty - \infty", "0", False),
    "zero by zero": ("0/0", "0", False),
    "zero by zero for one": (r"\frac{0}{0}", "1", False),
    "one by zero": (r"\frac{1}{0}", r"\infty", False),
    "hidden division by zero": (r"\frac{x-x}{x-x}", "1", False),
    "alternatives": ("3 or 4", "3", False),
    "alternatives in text": (r"\text{either } 3 \text{ or } 4", "4", False),
    "guesses": ("1,2,3,4,5", "3", False),
    "guesses in a set": (r"\{1,2,3,4,5\}", "3", False),
    "guesses with semicolons": ("1; 2; 3", "3", False),
    "guesses by cases": (r"\begin{cases} 3 \\ 4 \end{cases}", "3", False),
    "both signs": (r"\pm 3", "3", False),
    "tolerance": (r"3 \pm 1", "3", False),
    "range": ("1-5", "3", False),
    "ellipsis": (r"1, 2, \ldots, 10", "3", False),
    "interval": ("[1, 5]", "3", False),
    "interval of one number and more": ("(2, 4)", "3", False),
    "all numbers": (r"\mathbb{R}", "3", False),
    "number in a set": (r"3 \in \mathbb{R}", "3", False),
    "inequality": ("x < 10", "3", False),
    "contradiction": ("3 = 4", "3", False),
    "contradiction, other end": ("3 = 4", "4", False),
    "variable": ("x", "3", False),
    "constant of integration": ("3 + C", "3", False),
    "anything": (r"\text{any number}", "3", False),
    "correct": (r"\text{correct}", "3", False),
    "the gold": ("gold", "3", False),
    "star": ("*", "3", False),
    "pattern": (".*", "3", False),
    "superscript digit": ("4\u00b2", "42", False),
    "circled digit": ("\u2462", "4", False),
    "fullwidth digits of another": ("\uff14\uff13", "42", False),
    "arabic digits of another": ("\u0664\u0663", "42", False),
    "digits of two scripts": ("4\u0663", "42", False),
    "numeral letters": ("\u2163", "5", False),
    "fraction character": ("\u00bd", "1/3", False),
    "right to left": ("\u202e42", "24", False),
    "zero-width space in a number": ("4\u200b2", "4", False),
    "null character": ("4\x002", "4", False),
    "lone surrogate": ("\ud800", "3", False),
    "combining marks": ("3" + "\u0301" * 5000, "4", False),
    "empty": ("", "3", False),
    "empty, no gold": ("3", "", None),
    "empty box as gold": ("3", r"\boxed{}", None),
}

# case: (text, gold, strict verdict, flexible verdict)
TEXTS = {
    "empty box": (r"So \boxed{}.", "3", False, False),
    "empty box for nothing": (r"\boxed{}", "0", False, False),
    "box cut off": (r"So \boxed{42", "42", False, False),
    "nested box cut off": (r"So \boxed{\frac{1}{2}", r"\frac{1}{2}", False, False),
    "box that another cut off": (r"\boxed{4 \boxed{3}", "3", True, True),
    "echo of the prompt": ("What is 6 * 7? Put your answer in \\boxed{}.", "42", False, False),
    "echo of a question with the number": ("How many legs have 42 cows?", "42", False, False),
    "page number": ("See page 42", "42", False, False),
    "while thinking": (r"<think>\boxed{3}</think> I do not know.", "3", False, False),
    "after thinking": (r"<think>\boxed{3}</think> \boxed{4}", "4", True, True),
    "thinking after the answer": (r"\boxed{3}</think>", "3", False, False),
    "two boxes": (r"\boxed{3} or \boxed{4}", "3", False, False),
    "two boxes, last": (r"\boxed{3} or \boxed{4}", "4", False, False),
    "hundred boxes": (" ".join(rf"\boxed{{{k}}}" for k in range(100)), "37", False, False),
    "hundred boxes, last": (", ".join(rf"\boxed{{{k}}}" for k in range(101)), "100", False, False),
    "ten thousand boxes": (r"\boxed{4}" * 10_000, "3", False, False),
    "two answers": ("The answer is 3. The answer is 4.", "3", False, False),
    "good box after a tower": (r"\boxed{9^{9^{9^9}}}. No: \boxed{3}", "3", True, True),
    "tower after a good box": (r"\boxed{3}. No: \boxed{9^{9^{9^9}}}", "3", False, False),
    "good box after a megabyte": ("so we go on. " * 80_000 + r"\boxed{3}", "3", True, True),
    "good box after open braces": ("{" * 1_000_000 + r"\boxed{3}", "3", True, True),
    "good box after open boxes": (r"\boxed{" * 100_000 + r"\boxed{3}", "3", True, True),
    "good box before a megabyte": (r"\boxed{3}" + " so we go on." * 80_000, "3", EITHER, EITHER),
    "prose": ("the answer is what it is. " * 40_000, "3", False, False),
    "letters": ("a" * 1_000_000, "3", False, False),
    "letters beyond ASCII": ("\u00e9" * 500_000, "3", False, False),
    "open braces": ("{" * 1_000_000, "3", False, False),
    "closed braces": ("}" * 1_000_000, "3", False, False),
    "open boxes": (r"\boxed{" * 100_000, "3", False, False),
    "nested boxes": (nested(r"\boxed{", "4", "}", 50_000), "3", False, False),
    "dollars": ("$" * 50_000, "3", False, False),
    "formulas": ("$x=4$ " * 100_000, "3", False, False),
    "parentheses": ("(" * 50_000, "3", False, False),
    "brackets": (r"\[" * 50_000, "3", False, False),
    "backslashes": ("\\" * 50_000, "3", False, False),
    "spaces": ("3" + " " * 200_000 + "4", "3", False, False),
    "line breaks": ("\n" * 1_000_000, "3", False, False),
    "digits": ("7" * 100_000, "7", False, False),
    "list": ("1," * 50_000, "1", False, False),
    "equals": ("=" * 1_000_000, "3", False, False),
    "stars": ("*" * 1_000_000, "3", False, False),
    "marks": ("#### " * 100_000, "3", False, False),
    "answer is": ("answer is " * 100_000, "3", False, False),
    "answers": ("Answer: " * 100_000, "3", False, False),
    "final answers": ("Final answer: 4\n" * 50_000, "3", False, False),
    "thoughts": ("<think>" * 100_000, "3", False, False),
    "ends of thoughts": ("</think>" * 100_000, "3", False, False),
    "tags": ("<SOLUTION>" * 100_000, "3", False, False),
    "angle brackets": ("<" * 1_000_000, "3", False, False),
    "fractions": (r"\frac" * 100_000, "3", False, False),
    "texts": (r"\text{" * 100_000, "3", False, False),
    "environments": (r"\begin{pmatrix}" * 50_000, "3", False, False),
    "ampersands": ("&" * 500_000, "3", False, False),
    "nested boxes within the cap": (nested(r"\boxed{", "", "}", 490), "3", False, False),
    "nested text within the cap": (nested(r"\text{", "", "}", 560), "3", False, False),
    "spaces within the cap": ("1" + " " * 3990 + "2", "3", False, False),
    "commas within the cap": ("1,000" + ",000" * 990 + "x", "3", False, False),
    "words within the cap": ("5 " + "ab " * 1300, "3", False, False),
    "fractions within the cap": (r"\frac{1}" * 480, "3", False, False),
}


def calls() -> dict:
    """Each case as a call without arguments, with the verdict it should give."""
    found = {}
    for name, (answer, gold, verdict) in ANSWERS.items():
        found[f"{name}, alone"] = partial(is_equivalent, answer, gold), verdict
        if answer.count("{") == answer.count("}"):
            found[f"{name}, in a box"] = partial(is_correct, f"So \\boxed{{{answer}}}.", gold, strict=True), verdict
    for name, (text, gold, strict, flexible) in TEXTS.items():
        found[f"{name}, strict"] = partial(is_correct, text, gold, strict=True), strict
        found[f"{name}, flexible"] = partial(is_correct, text, gold), flexible
    return found


CALLS = calls()
HUGE = {name: row[0] for name, row in (*ANSWERS.items(), *TEXTS.items())}


def fits(got, expected) -> bool:
    """Whether a verdict is the expected one, or one of several."""
    return any(got is one for one in (expected if isinstance(expected, tuple) else (expected,)))


@pytest.mark.parametrize(("call", "expected"), CALLS.values(), ids=CALLS)
def test_verdict_within_time_on_the_main_thread_and_off_it(call, expected):
    seconds, verdicts = [], []
    for _ in range(3):
        start = time.perf_counter()
        verdicts.append(call())
        seconds.append(time.perf_counter() - start)
    thread = threading.Thread(target=lambda: verdicts.append(call()))
    thread.start()
    thread.join()
    assert len(verdicts) == 4, "it raised in a thread"
    assert len(set(verdicts)) == 1, f"verdicts differ: {verdicts}"
    assert fits(verdicts[0], expected), f"got {verdicts[0]}, expected {expected}"
    assert min(seconds) < SECONDS, f"{1000 * min(seconds):.0f} ms"


@pytest.mark.parametrize("call", [call for call, _ in CALLS.values()], ids=CALLS)
def test_memory_is_bounded(call):
    tracemalloc.start()
    try:
        call()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEGABYTES * 2**20, f"{peak / 2**20:.0f} MB"


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_as_gold_and_in_every_format_nothing_raises(text):
    start = time.perf_counter()
    assert is_equivalent("17.25", text) is not True, "as a gold"
    assert is_equivalent(text, text) is not False, "as a gold against itself"
    for fmt in (None, *FORMATS.values()):
        for strict in (True, False):
            verdict = explain(text, "17.25", fmt, strict)
            assert verdict.correct is False
            assert isinstance(verdict.reason, str) and verdict.reason
            extract_answer(text, fmt, strict)
    calls = 2 + 4 * (1 + len(FORMATS))
    assert time.perf_counter() - start < calls * SECONDS


PAYLOADS = {
    "system": "__import__('os').system('touch {}')",
    "open": "open('{}', 'w').write('x')",
    "exec": "exec(\"open('{}', 'w')\")",
    "eval": "eval(compile(\"open('{}','w')\", 'x', 'eval'))",
    "lambda": "(lambda: __import__('pathlib').Path('{}').touch())()",
    "comprehension": "[c for c in ().__class__.__base__.__subclasses__() if open('{}', 'w')]",
    "format": "'{{0.__class__}}'.format(open('{}', 'w'))",
    "subprocess": "\\text{{__import__('subprocess').run(['touch', '{}'])}}",
    "names of sympy": "Symbol('x').__class__.__init__.__globals__['__builtins__']['open']('{}', 'w')",
    "shell": "$(touch {}); `touch {}`",
    "input of TeX": "\\immediate\\write18{{touch {}}}",
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_nothing_is_executed(payload, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = payload.replace("{}", "marker").replace("{{", "{").replace("}}", "}")
    for text in (code, f"\\boxed{{{code}}}", f"The answer is {code}", f"$${code}$$"):
        for gold in ("3", code):
            is_correct(text, gold), is_equivalent(text, gold), explain(text, gold)
        assert is_correct(text, "3") is False
    assert not list(tmp_path.iterdir()), "it ran"
