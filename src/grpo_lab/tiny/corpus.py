"""The corpus of the tiny base: the same problems solved in several ways, as the web does, and bare arithmetic.

Three ways of working, from short to long. `in_one_go` names every operation and then jumps to the result; `step_by_step` writes
one result after another; `place_by_place` also takes each operation apart (57 + 86: 57 + 80 = 137, 137 + 6 = 143). The longer the
way, the less a small model has to do in one token: what it writes down it need not hold. None is in the target format.
"""

import random
from collections.abc import Callable, Iterator

from grpo_lab.tiny.problems import Difficulty, Problem, Step, generate

Way = Callable[[Problem], str]


def step_by_step(problem: Problem) -> str:
    """Every step and its result: `37 * 6 = 222. 222 + 57 = 279.`"""
    return " ".join(f"{_say(step)} = {step.result}." for step in problem.steps)


def place_by_place(problem: Problem) -> str:
    """Every step taken apart by its digits' places: `37 * 6: 30 * 6 = 180, 7 * 6 = 42, 180 + 42 = 222.`"""
    return " ".join(f"{work_by_places(step)}." for step in problem.steps)


def in_one_go(problem: Problem) -> str:
    """All operations in one expression, then the result: `37 * 6 + 57 = 279.`"""
    expression = {}  # result of a step -> the expression that made it
    for step in problem.steps:
        left = expression.pop(step.left, str(step.left))
        right = expression.pop(step.right, str(step.right))
        if step.operator in "*/" and " " in left:
            left = f"({left})"
        if step.operator == "-" and (" + " in right or " - " in right):
            right = f"({right})"
        expression[step.result] = f"{left} {step.operator} {right}"
    return f"{expression[problem.answer]} = {problem.answer}."


def _say(step: Step) -> str:
    return f"{step.left} {step.operator} {step.right}"


def _places(n: int) -> list[int]:
    """347 -> [300, 40, 7]; places that hold a zero are left out."""
    digits = str(n)
    return [int(d) * 10 ** (len(digits) - 1 - i) for i, d in enumerate(digits) if d != "0"]


def work_by_places(step: Step) -> str:
    """One operation with its parts written out, or in one piece where there is only one part."""
    if step.operator == "*":
        parts = [(p, p * step.right, "*") for p in _places(step.left)]
    elif step.operator == "/":
        parts = [(p * step.right, p, "/") for p in _places(step.result)]
    else:
        return _walk(step)
    if len(parts) == 1:
        return f"{_say(step)} = {step.result}"
    pieces = [f"{part} {sign} {step.right} = {value}" for part, value, sign in parts]
    total = parts[0][1]
    for _, value, _ in parts[1:]:
        pieces.append(f"{total} + {value} = {total + value}")
        total += value
    return f"{_say(step)}: " + ", ".join(pieces)


def _walk(step: Step) -> str:
    """Add or subtract the places of the right number one after another."""
    parts, here, pieces = _places(step.right), step.left, []
    for part in parts:
        there = Step(here, step.operator, part).result
        pieces.append(f"{here} {step.operator} {part} = {there}")
        here = there
    return pieces[0] if len(pieces) == 1 else f"{_say(step)}: " + ", ".join(pieces)


WAYS: dict[str, Way] = {way.__name__: way for way in (in_one_go, step_by_step, place_by_place)}

# How often the corpus solves a problem in each way, whatever the number of its steps. The rest, to 1, are bare answers.
MIXTURE = {"in_one_go": 0.14, "step_by_step": 0.44, "place_by_place": 0.32}

# The share of bare sums that are taken apart: how a sum is done in one piece is left to be picked up from the stories.
APART = 0.9

# The largest quantity of a document is drawn from these, so that small sums are learned first and the recipe can choose.
LEVELS = (30, 100, 300)


def solution_document(problem: Problem, rng: random.Random) -> str:
    """One document of the corpus: the problem and its solution in a way drawn from MIXTURE, or its answer alone."""
    way = rng.choices([*MIXTURE, None], [*MIXTURE.values(), 1 - sum(MIXTURE.values())])[0]
    if way is None:
        return f"Problem: {problem.question}\nAnswer: {problem.answer}"
    ending = rng.choice((f"The answer is {problem.answer}.", f"Answer: {problem.answer}"))
    return f"Problem: {problem.question}\nSolution:\n{WAYS[way](problem)} {ending}"


def arithmetic_document(rng: random.Random, largest: int) -> str:
    """A few bare sums with quantities up to `largest`, each straight or by places."""
    lines = []
    for _ in range(rng.randint(2, 5)):
        step = _random_step(rng, largest)
        lines.append(work_by_places(step) if rng.random() < APART else f"{_say(step)} = {step.result}")
    return "\n".join(lines)


def _random_step(rng: random.Random, largest: int) -> Step:
    """An operation of the size that stories have: totals grow to several times the largest quantity."""
    operator = rng.choice("++---**/")
    quantity, factor = rng.randint(2, largest), rng.randint(2, 9)
    if operator == "*":
        return Step(quantity, "*", factor)
    if operator == "/":
        return Step(quantity * factor, "/", factor)
    total = rng.randint(2, largest * rng.choice((1, 2, 9)))
    change = rng.randint(1, rng.choice((largest, total)))
    return Step(total, "+", change) if operator == "+" else Step(total + change, "-", change)


def documents(seed: int, arithmetic: float = 0.25) -> Iterator[str]:
    """An endless stream of documents; `arithmetic` is the share of bare sums."""
    rng = random.Random(f"corpus-{seed}")
    problems = {largest: generate("corpus", seed, Difficulty(largest)) for largest in LEVELS}
    while True:
        largest = rng.choice(LEVELS)
        bare = rng.random() < arithmetic
        yield arithmetic_document(rng, largest) if bare else solution_document(next(problems[largest]), rng)
