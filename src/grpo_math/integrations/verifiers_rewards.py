"""verifiers: `reward` for the tasks of version 0.4, `rubric_functions` for the rubrics of versions before.

    [env.taskset.task.rewards]
    grpo_math = { fn = "grpo_math.integrations.verifiers_rewards:reward" }

    rubric = vf.Rubric(funcs=rubric_functions("tags"))

For another form than the boxed one, `fn` may also be a name in a file of your own: `fn = "my_rewards.py:reward"`, with
`reward = make_reward("tags")` in it. The gold answer is the task's field, or the data set's column, `answer`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from grpo_math.integrations.scoring import Scorer, scorer
from grpo_math.rewards.contract import Completion, RewardFunction


def make_reward(
    format: str = "boxed", rewards: str | Sequence[RewardFunction] = "sound"
) -> Callable[[Any, Any], Awaitable[dict[str, float]]]:
    """An async `reward(task, trace)` that gives each reward by its name; verifiers adds them up, with its weight.

    It reads `task.answer` and `trace.last_reply`. ValueError for a name that does not exist, and where a task has no answer.
    """
    score = scorer(format, rewards)

    async def reward(task: Any, trace: Any) -> dict[str, float]:
        if not hasattr(task, "answer"):
            raise ValueError(f"{type(task).__name__} has no field 'answer': give the task's data one, with the gold answer.")
        paid = score(trace.last_reply, task.answer)
        return {function.__name__: paid[function.__name__] for function in score.functions}

    return reward


reward = make_reward()


def rubric_functions(format: str = "boxed", rewards: str | Sequence[RewardFunction] = "sound") -> list[Callable[..., float]]:
    """One `f(completion, answer, **kwargs) -> float` for each reward, named as it is. ValueError for an unknown name."""
    score = scorer(format, rewards)
    return [_rubric_function(score, function.__name__) for function in score.functions]


def _rubric_function(score: Scorer, name: str) -> Callable[..., float]:
    def function(completion: Completion, answer: str | None, **kwargs) -> float:
        return score(completion, answer)[name]

    function.__name__ = name
    return function
