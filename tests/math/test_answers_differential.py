r"""The checker against other ways to know: arithmetic done here, and Math-Verify where it is installed.

Each property builds a LaTeX text together with its value, so the value never passes through the package.
"""

from fractions import Fraction

import pytest
from bench_verify import completion, math_verify
from golds import GOLDS
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from renderings import equivalents, near_misses

from grpo_math.answers import is_correct, is_equivalent

NUMERIC = ("integer", "decimal", "fraction", "money", "percent", "degrees", "unit", "surd", "pi", "power", "complex")

# A term is (LaTeX, value, rank); what ranks lower than its place allows stands in brackets.
SUM, PRODUCT, FRACTION, ATOM = range(4)


def bracket(term, rank):
    latex, _, own = term
    return latex if own >= rank else rf"\left({latex}\right)" if len(latex) % 2 else f"({latex})"


def combine(left, right, operation):
    """Two terms joined by an operation, or None where that has no value or grows too long."""
    (a, x, _), (b, y, _) = left, right
    if len(a) + len(b) > 150:
        return None
    if operation in "+-":
        return f"{a} {operation} {bracket(right, PRODUCT)}", x + y if operation == "+" else x - y, SUM
    if operation == "frac":
        return (rf"\frac{{{a}}}{{{b}}}", x / y, FRACTION) if y else None
    if operation == "beside":  # the right factor in brackets: 2(3/4) is a product
        return f"{bracket(left, FRACTION)}({b})", x * y, PRODUCT
    if operation == "square":
        return f"{bracket(left, ATOM)}^{{2}}" if a.isdigit() else f"({a})^2", x * x, PRODUCT
    return f"{bracket(left, PRODUCT)} {operation} {bracket(right, FRACTION)}", x * y, PRODUCT


OPERATIONS = st.sampled_from(["+", "-", "frac", "beside", "square", r"\cdot", r"\times", "*"])
naturals = st.integers(0, 12)
leaves = naturals.map(lambda n: (str(n), Fraction(n), ATOM)) | naturals.map(lambda n: (f"-{n}", Fraction(-n), SUM))
leaves |= st.tuples(naturals, st.integers(1, 12)).map(lambda p: (rf"\frac{{{p[0]}}}{{{p[1]}}}", Fraction(*p), FRACTION))
leaves |= naturals.map(lambda n: (f"{n}.5", n + Fraction(1, 2), ATOM))
terms = st.recursive(
    leaves,
    lambda children: st.tuples(children, children, OPERATIONS).map(lambda parts: combine(*parts)).filter(bool),
    max_leaves=6,
)


@settings(max_examples=500, deadline=None)
@given(terms)
def test_arithmetic_has_the_value_that_fractions_give(term):
    latex, value, _ = term
    for gold, expected in ((value, True), (value + 1, False), (-value, value == 0), (value * Fraction(11, 10), value == 0)):
        spelled = rf"\frac{{{gold.numerator}}}{{{gold.denominator}}}"
        assert is_equivalent(latex, spelled) is expected, (latex, spelled)
        assert is_equivalent(spelled, f"{latex} + 0") is expected or "." in latex, (spelled, latex)


def polynomial(coefficients: list[int]) -> str:
    """LaTeX of a polynomial in x, highest power first."""
    powers = ["", "x"] + [f"x^{{{k}}}" for k in range(2, len(coefficients))]
    texts = [f"{c:+d}{power}" for c, power in zip(coefficients, powers[::-1]) if c]
    return " ".join(texts).removeprefix("+") or "0"


def times(a: list[int], b: list[int]) -> list[int]:
    product = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] += x * y
    return product


factors = st.lists(st.tuples(st.integers(1, 9), st.integers(-9, 9)), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(factors, st.integers(0, 4), st.sampled_from([-1, 1, 2]))
def test_factored_and_expanded_polynomials_are_equal_and_no_others(pairs, place, change):
    expanded = [1]
    for pair in pairs:
        expanded = times(expanded, list(pair))
    factored = "".join(f"({polynomial(list(pair))})" for pair in pairs)
    other = list(expanded)
    other[place % len(other)] += change
    assert is_equivalent(factored, polynomial(expanded)) is True, (factored, polynomial(expanded))
    assert is_equivalent(polynomial(expanded), factored) is True, (factored, polynomial(expanded))
    assert is_equivalent(factored, polynomial(other)) is False, (factored, polynomial(other))


small = st.integers(-9, 9)


@settings(max_examples=200, deadline=None)
@given(small, small, small, small, st.sampled_from([2, 3, 5, 6, 7, 10]), st.sampled_from([(1, 0), (0, 1), (-1, 1)]))
def test_products_of_surds_are_equal_and_no_others(a, b, c, d, n, change):
    assume(b and d)
    p, q = a * c + b * d * n, a * d + b * c
    product = rf"({a} {b:+d}\sqrt{{{n}}})({c} {d:+d}\sqrt{{{n}}})"
    gold = rf"{p} {q:+d}\sqrt{{{n}}}"
    other = rf"{p + change[0]} {q + change[1]:+d}\sqrt{{{n}}}"
    assert is_equivalent(product, gold) is True, (product, gold)
    assert is_equivalent(product, other) is False, (product, other)


@pytest.mark.slow
def test_beside_math_verify(capsys):
    pytest.importorskip("math_verify", reason="needs math-verify")
    check, ours, agreed, disagreements = math_verify(), [], {}, []
    for kind, golds in GOLDS.items():
        for gold in golds:
            cases = [(answer, True) for answer in equivalents(gold)] + [(answer, False) for answer in near_misses(gold)]
            for answer, label in cases:
                text = completion(answer)
                if is_correct(text, gold) is not label:
                    ours.append((gold, answer, label))
                peer = check(text, gold)
                agreed.setdefault(kind, []).append(peer == label)
                if peer != label:
                    disagreements.append(f"{kind}: gold {gold!r}, answer {answer!r}: Math-Verify {peer}, label {label}")
    with capsys.disabled():
        print(f"\nMath-Verify differs on {len(disagreements)} of {sum(map(len, agreed.values()))}:", *disagreements, sep="\n  ")
    assert not ours, f"{len(ours)} of ours are wrong: {ours[:20]}"
    shares = {kind: sum(agreed[kind]) / len(agreed[kind]) for kind in NUMERIC}
    assert min(shares.values()) > 0.5, f"the generator's labels look wrong: {shares}"
