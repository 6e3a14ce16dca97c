"""verl's custom reward function: `compute_score`, called once for each completion.

    reward.custom_reward_function.path=pkg://grpo_math.integrations.verl_rewards
    +reward.custom_reward_function.reward_kwargs.format=tags
    +reward.custom_reward_function.reward_kwargs.rewards=graded

The gold answer is `reward_model.ground_truth` of the data set's row.
"""

from functools import lru_cache

from grpo_math.integrations.scoring import scorer

_scorer = lru_cache(scorer)


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | None,
    extra_info: dict | None = None,
    format: str = "boxed",
    rewards: str = "sound",
    **kwargs,
) -> dict[str, float]:
    """`score`, which verl trains on; `acc`, its validation metric; and each reward by name, for logs and GDPO.

    All values are floats under the same keys in every row, because verl makes one array of each. 0.0 for a gold answer that
    cannot be graded (see `scoring.Scorer`). verl has already taken special tokens out of `solution_str`.
    """
    return _scorer(format, rewards)(solution_str, ground_truth)
