r"""The rewards in other trainers, each in its own call form. TRL and Unsloth need none of this: theirs is our own.

| read from | what to write | gold answer |
| --- | --- | --- |
| verl 0.9.1 | `reward.custom_reward_function.path=pkg://grpo_math.adapters` | `reward_model.ground_truth` |
| OpenRLHF 0.11.2 | `--reward.remote_url FILE --data.label_key answer` | column of `--data.label_key` |
| verifiers 0.4.0 | `grpo_math = { fn = "grpo_math.adapters:reward" }` in `[env.taskset.task.rewards]` | the task's `answer` |
| verifiers 0.1.14 | `vf.Rubric(funcs=rubric_functions())` | column `answer` |
| ms-swift 4.6.0 | `--external_plugins FILE --reward_funcs grpo_math_correctness grpo_math_exact_format ...` | column `solution` |

FILE is this file. It imports no trainer and no torch by itself. As they stand, all take the form "boxed" and the set "sound" (see
`rewards.reward_set`). For another form, verl takes `+reward.custom_reward_function.reward_kwargs.format=tags` (and
`...rewards=graded`); for the others write a file of your own with two lines and name that:

    from grpo_math.adapters import make_reward_func      # verifiers: make_reward; ms-swift: register("tags", "graded")
    reward_func = make_reward_func("tags", "graded")     # verifiers: reward = make_reward("tags", "graded")

Instead of a set's name, `rewards` may be a list of functions of `grpo_math.rewards` (not for verl). A name of a format or set
that does not exist raises ValueError when the function is made.
"""

import logging
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

from grpo_math.answers import Gold, gold_texts
from grpo_math.formats import get_format
from grpo_math.rewards import correctness, reward_set
from grpo_math.rewards.contract import Completion, RewardFunction

Rewards = str | Sequence[RewardFunction]  # the name of a set, or functions

log = logging.getLogger("grpo_math.adapters")  # by this name also where the file is loaded by its path
TAIL = 200  # characters of a prompt by which its end is known, where its beginning was cut off
# The token that ended the generation, which OpenRLHF decodes with the rest: text after the end, to a reward for the form.
_END = re.compile(r"(?:<[|｜][^<>|｜]{1,40}[|｜]>|</s>|<eos>|<end_of_turn>)\s*\Z")


class Scorer:
    """A set of reward functions over one format, for trainers that take a number where TRL takes a list of functions.

    Call it with one completion and its gold answer. `names` are the keys of every result, in order.
    """

    def __init__(self, format: str = "boxed", rewards: Rewards = "sound"):
        self.fmt = get_format(format)
        self.functions = tuple(reward_set(self.fmt, rewards) if isinstance(rewards, str) else rewards)
        self.names = ("score", "acc", *(function.__name__ for function in self.functions))
        self.warned = False

    def __call__(self, completion: Completion, gold: Gold) -> dict[str, float]:
        """The rewards by name; `score`, their sum; `acc`, 1.0 for a right answer in the required form and 0.0 for any other.

        Where the gold cannot be graded TRL takes None; here all values are 0.0 then, whatever the completion, so that a group
        has no advantages and teaches nothing. A warning says so once. TypeError for a gold that is a table.
        """
        gold_texts(gold)
        [right] = correctness(self.fmt, 1.0)([completion], answer=[gold])
        if right is None:
            if not self.warned:
                log.warning(
                    "The gold answer %r cannot be graded: every completion for it scores 0, so it teaches nothing. Run "
                    "grpo_math.rewards.check_golds on the answers before training; further ones are not reported.",
                    gold,
                )
            self.warned = True
            return dict.fromkeys(self.names, 0.0)
        paid = [function([completion], answer=[gold])[0] or 0.0 for function in self.functions]
        return dict(zip(self.names, (sum(paid), right, *paid), strict=True))


# --- verl ---

_scorer = lru_cache(Scorer)


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | None,
    extra_info: dict | None = None,
    format: str = "boxed",
    rewards: str = "sound",
    **kwargs,
) -> dict[str, float]:
    """verl's reward for one completion: `score`, which it trains on; `acc`, its validation metric; and each reward by name.

    All values are floats under the same keys in every row, because verl makes one array of each. 0.0 for a gold answer that
    cannot be graded (see `Scorer`). verl has already taken special tokens out of `solution_str`.
    """
    return _scorer(format, rewards)(solution_str, ground_truth)


# --- OpenRLHF ---


def make_reward_func(format: str = "boxed", rewards: Rewards = "sound") -> Callable[..., dict]:
    """OpenRLHF's `reward_func(queries, prompts, labels)` for a format and a set.

    It returns tensors of shape (len(queries),): `rewards` to train on, `scores` for dynamic filtering (1.0 for a right answer,
    else 0.0), and each reward by name in `extra_logs`. 0.0 for a gold answer that cannot be graded (see `Scorer`).
    """
    score = Scorer(format, rewards)

    def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str | None], **kwargs) -> dict:
        import torch  # OpenRLHF has it; the file that it loads need not wait for it

        triples = zip(queries, prompts, labels, strict=True)
        rows = [score(completion_of(query, prompt), label) for query, prompt, label in triples]
        columns = {name: torch.tensor([row[name] for row in rows]) for name in score.names}
        return {"rewards": columns.pop("score"), "scores": columns["acc"], "extra_logs": columns}

    return reward_func


def completion_of(query: str, prompt: str) -> str:
    """What follows the prompt in a query, without the token that ended it.

    The prompt may stand after a token such as `<s>`, or without its beginning where it was too long. ValueError where not even
    its last TAIL characters are in the query: what follows them would be graded with the prompt's own words.
    """
    if prompt:
        known = prompt if prompt in query else prompt[-TAIL:]
        _, found, query = query.partition(known)
        if not found:
            raise ValueError(f"The query does not hold the end of its prompt, {prompt[-40:]!r}, so its completion is not known.")
    end = _END.search(query, max(0, len(query) - 60))
    return query[: end.start()] if end else query


reward_func = make_reward_func()  # OpenRLHF hides what a reward function raises, so what can fail fails here, at import


# --- verifiers ---


def make_reward(format: str = "boxed", rewards: Rewards = "sound") -> Callable[[Any, Any], Awaitable[dict[str, float]]]:
    """verifiers 0.4: an async `reward(task, trace)` that gives each reward by its name, for verifiers to add up with its weight.

    It reads `task.answer` and `trace.last_reply`. ValueError where a task has no answer.
    """
    score = Scorer(format, rewards)

    async def reward(task: Any, trace: Any) -> dict[str, float]:
        if not hasattr(task, "answer"):
            raise ValueError(f"{type(task).__name__} has no field 'answer': give the task's data one, with the gold answer.")
        paid = score(trace.last_reply, task.answer)
        return {function.__name__: paid[function.__name__] for function in score.functions}

    return reward


reward = make_reward()


def rubric_functions(format: str = "boxed", rewards: Rewards = "sound") -> list[Callable[..., float]]:
    """verifiers before 0.2: one `f(completion, answer, **kwargs) -> float` for each reward, named as it is, for a `vf.Rubric`."""
    score = Scorer(format, rewards)

    def rubric_function(name: str) -> Callable[..., float]:
        def function(completion: Completion, answer: str | None, **kwargs) -> float:
            return score(completion, answer)[name]

        function.__name__ = name
        return function

    return [rubric_function(function.__name__) for function in score.functions]


# --- ms-swift ---


class Orm:
    """One reward function in the form of ms-swift's ORM; a subclass holds the function, because ms-swift makes the instance."""

    function: RewardFunction

    def __init__(self, args: Any = None, **kwargs):
        self.args = args

    def __call__(self, completions: Sequence[Completion], solution: Sequence[str | None], **kwargs) -> list[float | None]:
        """What the function pays; None for a gold that cannot be graded, which ms-swift leaves out of the sum, as TRL does."""
        return self.function(completions, answer=solution)


def make_orms(format: str = "boxed", rewards: Rewards = "sound") -> dict[str, type[Orm]]:
    """A class for each reward function of a set, by the name for `--reward_funcs`."""
    names = {f"grpo_math_{function.__name__}": function for function in Scorer(format, rewards).functions}
    return {name: type(name, (Orm,), {"function": function}) for name, function in names.items()}


def register(format: str = "boxed", rewards: Rewards = "sound") -> list[str]:
    """Put them into the table of ms-swift 4, in place of any under the same names, and return the names.

    ms-swift takes a column `answer` for a response, so the gold answer is the column `solution`.
    """
    from swift.rewards import orms

    made = make_orms(format, rewards)
    orms.update(made)
    return list(made)


if "swift" in sys.modules:  # ms-swift is loading this file as a plugin
    register()
