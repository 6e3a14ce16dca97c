"""ms-swift: a plugin that adds the rewards to its table of ORMs, one for each function.

    swift rlhf --rlhf_type grpo --external_plugins swift_rewards.py \
        --reward_funcs grpo_math_correctness grpo_math_exact_format grpo_math_approximate_format ...

Loaded so, this file registers the boxed form. For another form, name a file of your own of two lines:

    from grpo_math.integrations.swift_rewards import register
    register("tags", "graded")

The gold answer is the column `solution`; ms-swift takes a column `answer` for a response.
"""

import sys
from collections.abc import Sequence
from typing import Any

from grpo_math.integrations.scoring import scorer
from grpo_math.rewards.contract import Completion, RewardFunction


class Orm:
    """One reward function in the form of ms-swift's ORM; a subclass holds the function, because ms-swift makes the instance."""

    function: RewardFunction

    def __init__(self, args: Any = None, **kwargs):
        self.args = args

    def __call__(self, completions: Sequence[Completion], solution: Sequence[str | None], **kwargs) -> list[float | None]:
        """What the function pays; None for a gold that cannot be graded, which ms-swift leaves out of the sum, as TRL does."""
        return self.function(completions, answer=solution)


def make_orms(format: str = "boxed", rewards: str | Sequence[RewardFunction] = "sound") -> dict[str, type[Orm]]:
    """A class for each reward function of a set, by the name for `--reward_funcs`. ValueError for an unknown name."""
    names = {f"grpo_math_{function.__name__}": function for function in scorer(format, rewards).functions}
    return {name: type(name, (Orm,), {"function": function}) for name, function in names.items()}


def register(format: str = "boxed", rewards: str | Sequence[RewardFunction] = "sound") -> list[str]:
    """Put them into the table of ms-swift 4, in place of any under the same names, and return the names."""
    from swift.rewards import orms

    made = make_orms(format, rewards)
    orms.update(made)
    return list(made)


if "swift" in sys.modules:  # ms-swift is loading this file as a plugin
    register()
