"""One completion, one score: what trainers need that take a number where TRL takes a list of functions."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from grpo_math.formats import ReasoningFormat, get_format
from grpo_math.rewards import correctness, reward_set
from grpo_math.rewards.contract import Completion, RewardFunction

log = logging.getLogger(__name__)
_said: set[str] = set()  # so that a process says it once


@dataclass(frozen=True)
class Scorer:
    """A set of reward functions over one format. Call it with one completion and its gold answer."""

    fmt: ReasoningFormat
    functions: tuple[RewardFunction, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of every result, in order."""
        return "score", "acc", *(function.__name__ for function in self.functions)

    def __call__(self, completion: Completion, gold: str | None) -> dict[str, float]:
        """The rewards by name; `score`, their sum; `acc`, 1.0 for a right answer in the required form and 0.0 for any other.

        Where the gold cannot be graded TRL takes None; here all values are 0.0 then, whatever the completion, so that a group
        has no advantages and teaches nothing. A warning says so once. TypeError for a gold that is a list or a table.
        """
        if hasattr(gold, "__len__") and not isinstance(gold, str):
            raise TypeError(
                f"A gold answer must be one text or number, not {type(gold).__name__}: {str(gold)[:60]}. Change the column."
            )
        [right] = correctness(self.fmt, 1.0)([completion], answer=[gold])
        if right is None:
            _say_once(gold)
            return dict.fromkeys(self.names, 0.0)
        paid = [function([completion], answer=[gold])[0] or 0.0 for function in self.functions]
        return dict(zip(self.names, (sum(paid), right, *paid), strict=True))


def scorer(format: str = "boxed", rewards: str | Sequence[RewardFunction] = "sound") -> Scorer:
    """A `Scorer` for a format's name and a set's name, or functions of your own choice from `grpo_math.rewards`.

    Raises ValueError for a name that does not exist.
    """
    fmt = get_format(format)
    return Scorer(fmt, tuple(reward_set(fmt, rewards) if isinstance(rewards, str) else rewards))


def _say_once(gold: str | None) -> None:
    if "ungradable" not in _said:
        _said.add("ungradable")
        log.warning(
            "The gold answer %r cannot be graded: every completion for it scores 0, so it teaches nothing. Run "
            "grpo_math.rewards.check_golds on the answers before training; further ones are not reported.",
            gold,
        )
