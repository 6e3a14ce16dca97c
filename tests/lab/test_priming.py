"""The curated priming examples: well formed, arithmetically true, and apart from the held-out problems."""

import json
import re
from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest

from grpo_lab.recipes import TINY
from grpo_lab.tiny.problems import Difficulty, generate

DIFFICULTY = Difficulty(TINY.max_number, TINY.problem_steps)
PRIMING = Path(__file__).parents[2] / "data" / "priming.jsonl"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return [json.loads(line) for line in PRIMING.read_text(encoding="utf-8").splitlines()]


def value_of(expression: str) -> Fraction:
    """The exact value of integers joined by + - * / and parentheses."""
    assert re.fullmatch(r"[\d +*/()-]+", expression) and "**" not in expression and "//" not in expression, expression
    return eval(re.sub(r"\d+", r"Fraction(\g<0>)", expression.strip()))


def equations(reasoning: str) -> list[tuple[str, str]]:
    """Both sides of every equation, in order; the heading of a worked step ("37 * 6:") is not one."""
    pieces = [piece.split(":")[-1] for piece in re.split(r"\. |, ", reasoning.removesuffix("."))]
    assert all(piece.count("=") == 1 for piece in pieces), f"not a list of equations: {reasoning}"
    return [tuple(piece.split("=")) for piece in pieces]


def headings(reasoning: str) -> list[tuple[str, str]]:
    """Every worked step's heading with the last value that its parts arrive at."""
    sentences = [sentence for sentence in reasoning.removesuffix(".").split(". ") if ":" in sentence]
    return [(sentence.split(":")[0], sentence.split("=")[-1]) for sentence in sentences]


def test_sixty_rows_with_the_same_keys_and_problems_of_their_own(rows):
    assert [row["id"] for row in rows] == [f"priming-{n:03}" for n in range(1, 61)]
    for row in rows:
        assert list(row) == ["id", "problem", "reasoning", "answer"], row["id"]
        assert all(isinstance(value, str) and value for value in row.values()), row["id"]
    assert len({row["problem"] for row in rows}) == 60


def test_every_equation_is_true(rows):
    for row in rows:
        for left, right in equations(row["reasoning"]) + headings(row["reasoning"]):
            assert value_of(left) == value_of(right), f"{row['id']}: {left.strip()} is not {right.strip()}"


def test_the_last_value_is_the_answer(rows):
    for row in rows:
        assert equations(row["reasoning"])[-1][1].strip() == row["answer"], row["id"]


def test_no_problem_is_held_out(rows):
    held_out = set()
    for split, count in (("test", 2000), ("dev", 500)):
        held_out |= {problem.question for problem in islice(generate(split, 0, DIFFICULTY), count)}
    for row in rows:
        assert row["problem"] not in held_out, f"{row['id']} is a held-out problem"


def test_a_false_equation_is_noticed():
    ((left, right),) = equations("7 / 2 = 3.")
    assert value_of(left) != value_of(right)
