r"""Find the final answer in a text, and decide whether two answers are the same.

The one definition of correct, for rewards and for evaluation.

>>> is_correct(r"So we get \boxed{\frac12}.", "0.5")
True
>>> is_equivalent(r"k < -5", r"(-\infty, -5)")
True

The parts, in the order of their work: `extract` finds the answer in a completion, `lexer` and `parser` read it, `exact` and
`sampling` evaluate it, `compare` decides, `verdict` says it. The rules and their reasons stand in `RULES.md` beside this file.
Beside them, `harness` gives the two GSM8K scores of lm-evaluation-harness, to compare with published ones.
"""

from grpo_math.answers.extract import extract_answer, extract_boxed
from grpo_math.answers.harness import HARNESS, harness_extract, harness_match
from grpo_math.answers.refusal import UNANSWERABLE, is_refusal
from grpo_math.answers.verdict import (
    REASONS,
    Checker,
    Gold,
    Reading,
    Verdict,
    as_number,
    explain,
    gold_texts,
    is_correct,
    is_equivalent,
    read_completion,
)

__all__ = [
    "Checker",
    "Gold",
    "HARNESS",
    "REASONS",
    "Reading",
    "UNANSWERABLE",
    "Verdict",
    "as_number",
    "explain",
    "extract_answer",
    "extract_boxed",
    "gold_texts",
    "harness_extract",
    "harness_match",
    "is_correct",
    "is_equivalent",
    "is_refusal",
    "read_completion",
]
