"""OpenRLHF's custom reward function: `reward_func`, found in the file that `--reward.remote_url` names.

This file itself serves the boxed form. For another form, give OpenRLHF a file of two lines:

    from grpo_math.integrations.openrlhf_rewards import make_reward_func
    reward_func = make_reward_func("tags", "graded")

The gold answer is the column of `--data.label_key`. OpenRLHF hides what a reward function raises, so a name that does not exist
raises here at import.
"""

import re
from collections.abc import Callable, Sequence

from grpo_math.integrations.scoring import scorer
from grpo_math.rewards.contract import RewardFunction

TAIL = 200  # characters of a prompt by which its end is known, where its beginning was cut off
# The token that ended the generation, which OpenRLHF decodes with the rest: text after the end, to a reward for the form.
_END = re.compile(r"(?:<[|｜][^<>|｜]{1,40}[|｜]>|</s>|<eos>|<end_of_turn>)\s*\Z")


def make_reward_func(format: str = "boxed", rewards: str | Sequence[RewardFunction] = "sound") -> Callable[..., dict]:
    """A `reward_func(queries, prompts, labels)` for a format and a set; ValueError for a name that does not exist.

    It returns tensors of shape (len(queries),): `rewards` to train on, `scores` for dynamic filtering (1.0 for a right answer,
    else 0.0), and each reward by name in `extra_logs`. 0.0 for a gold answer that cannot be graded (see `scoring.Scorer`).
    """
    score = scorer(format, rewards)

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


reward_func = make_reward_func()
