"""Reward functions for TRL's GRPOTrainer: light to import, picklable, safe in threads and workers.

Each is a small class in lower case, because what you make of it is used as a function, and TRL logs it under its name:
`f = correctness(fmt)`, then `f(completions, answer=golds) -> list[float | None]`. Completions are strings or message lists;
`answer` is the data set's column of gold answers. Correct means what `answers` says, as in the evaluation, of the answer that
stands in the required form. Functions that read the gold answer pay None where it cannot be graded.

A departure from the textbook: which functions may be used together is not a matter of taste. Each function states the least
that it pays for a right answer and the most for any other, and `margin` adds them up. A set is sound where that sum is
positive: then no wrong answer earns what a right one does, in any notation and any form. All functions together, with their
defaults, are sound, and so is every choice of them that holds `correctness`. For the length of completions and for repetition
TRL has penalties of its own (`get_soft_overlong_punishment`, `get_repetition_penalty_reward`), which `margin` counts too.

>>> from grpo_math.formats import get_format
>>> completions = ["6 * 7 = 42<end_working_out><SOLUTION>42</SOLUTION>", "It is 42."]
>>> [[f.__name__, *f(completions, answer=["42", "42"])] for f in reward_set(get_format("tags"))]
[['correctness', 3.0, 0.0], ['exact_format', 1.0, 0.0], ['approximate_format', 0.5, -0.5]]
"""

from collections.abc import Sequence

from grpo_math.answers import Checker, Gold, is_equivalent
from grpo_math.formats import ReasoningFormat
from grpo_math.rewards.answer import correctness, integer, number, proximity, sound_steps
from grpo_math.rewards.contract import RewardFunction, gold_text, pay, reward_name
from grpo_math.rewards.form import approximate_format, exact_format, soft_format, strict_format, xml_structure

__all__ = [
    "approximate_format",
    "check_golds",
    "correctness",
    "exact_format",
    "integer",
    "margin",
    "number",
    "pay",
    "proximity",
    "reward_name",
    "reward_set",
    "soft_format",
    "sound_steps",
    "strict_format",
    "ungradable",
    "xml_structure",
]

SOLUTION_MARK = "####"  # of GSM8K: the worked solution before it, the answer behind it
TRL_PENALTIES = ("soft_overlong_punishment_reward", "repetition_penalty_reward")  # they pay from -1, or their max_penalty, to 0


def reward_set(
    fmt: ReasoningFormat, rewards: str | Sequence[str | RewardFunction] = "sound", checker: Checker | None = None
) -> list[RewardFunction]:
    """The reward functions of a run: of a set, or of a list that may name sets and functions of this module and hold your own.

    sound: a right answer earns 3 and loses at most 0.5; a wrong one in perfect form earns 1.5. graded: these and `proximity`,
    by which a number that is close earns more than one that is far. Your own: any function that TRL takes.
    checker: `checker(answer, gold) -> bool | None` says what is right in place of `answers.is_equivalent`.
    ValueError for an unknown name, or where two have the same name, because TRL logs them under it.

    >>> from grpo_math.formats import get_format
    >>> def brief(completions, **columns):
    ...     return [float(len(text) < 40) for text in completions]
    >>> [reward_name(f) for f in reward_set(get_format("boxed"), ["correctness", brief])]
    ['correctness', 'brief']
    """
    single = {f.__name__: f for f in (correctness, proximity, number, integer)}
    form = {f.__name__: f for f in (exact_format, approximate_format, strict_format, soft_format, xml_structure, sound_steps)}
    sets = {"sound": ["correctness", "exact_format", "approximate_format"]}
    sets["graded"] = [*sets["sound"], "proximity"]
    functions = []
    for each in [rewards] if isinstance(rewards, str) else rewards:
        for name in sets.get(each, [each]) if isinstance(each, str) else [each]:
            if callable(name):
                functions.append(name)
            elif name in single:
                functions.append(single[name](fmt, checker=checker or is_equivalent))
            elif name in form:
                functions.append(form[name](fmt))
            else:
                raise ValueError(
                    f"There is no reward {name!r}; choose among {', '.join([*sets, *single, *form])}, or give a function."
                )
    names = [reward_name(f) for f in functions]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"REWARDS needs functions, each once and with a name of its own, not: {', '.join(names) or 'none'}.")
    return functions


def margin(functions: Sequence[RewardFunction], weights: Sequence[float] | None = None) -> float:
    """By how much a right answer earns more than any wrong one, at the least; a set is sound where this is positive.

    The sum of weight * (least paid for a right answer - most paid for a wrong one) over functions of one format. The true
    difference may be larger, because no two completions meet all these cases at once. `weights` are TRL's `reward_weights`
    (None: 1 each). TRL's two penalties may be among the functions. Raises ValueError for a negative weight, where the number of
    weights is not that of the functions, or for a function that does not state its bounds.

    >>> from grpo_math.formats import get_format
    >>> functions = reward_set(get_format("tags"))
    >>> margin(functions), margin(functions, weights=[1, 3, 1])
    (1.0, -1.0)
    """
    weights = [1.0] * len(functions) if weights is None else list(weights)
    if len(weights) != len(functions) or any(weight < 0 for weight in weights):
        raise ValueError(f"{len(functions)} reward functions need as many weights of 0 or more, not {weights}.")
    total = 0.0
    for weight, f in zip(weights, functions, strict=True):
        name = reward_name(f)
        if name in TRL_PENALTIES:
            least_right, most_wrong = getattr(f, "max_penalty", -1.0), 0.0
        elif hasattr(f, "bounds"):
            least_right, most_wrong = f.bounds()
        else:
            raise ValueError(
                f"What {name} pays is not known, so neither is the margin: give it a method bounds() that returns the least it "
                "pays for a right answer and the most for any other."
            )
        total += weight * (least_right - most_wrong)
    return total


def ungradable(golds: Sequence[Gold]) -> list[tuple[int, Gold]]:
    """Index and value of each gold answer for which no completion would ever be rewarded.

    It cannot be graded, nor can any of its alternatives, or, as in GSM8K's own column, it still holds the mark "####" that the
    answer stands behind.

    >>> ungradable(["22", 22, ["", "1/2"], "", None, [], "5 + 5 = 10 #### 10"])
    [(3, ''), (4, None), (5, []), (6, '5 + 5 = 10 #### 10')]
    """

    def never_met(gold: Gold) -> bool:
        text = gold_text(gold)
        return SOLUTION_MARK in text or not text or is_equivalent("", gold) is None

    return [(index, gold) for index, gold in enumerate(golds) if never_met(gold)]


def check_golds(golds: Sequence[Gold]) -> None:
    """Raises ValueError, naming the first rows, where gold answers cannot be graded: to be called before training."""
    bad = ungradable(golds)
    if bad:
        rows = ", ".join(f"row {index}: {str(gold)[:60]!r}" for index, gold in bad[:5])
        hint = f": only what follows {SOLUTION_MARK}" if any(SOLUTION_MARK in gold_text(gold) for _, gold in bad) else ""
        raise ValueError(
            f"{len(bad)} of {len(golds)} gold answers cannot be graded, so no completion could earn a reward for them "
            f"({rows}{', ...' if len(bad) > 5 else ''}). Leave these rows out, or correct their answers{hint}."
        )
