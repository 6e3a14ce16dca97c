"""What GRPO samples, read once: TRL writes it to `completions/` and to the tracker, the live view takes it from memory."""

import time
from collections.abc import Callable, Sequence

from transformers import PreTrainedTokenizerBase, TrainerCallback

from grpo_lab.evaluation import grade
from grpo_lab.recipes import Recipe
from grpo_lab.records import ADDED_COLUMNS
from grpo_math.formats import get_format
from grpo_math.rewards.contract import RewardFunction, completion_text, gold_text, pay, reward_name, total_reward


class Recorder(TrainerCallback):
    """Sees every rollout: give the trainer `functions` as its reward functions, and the recorder itself as a callback.

    The functions are the given ones, whatever TRL takes (see `rewards.pay`), under their own names. Around them the recorder
    reads each completion once (see `evaluation.grade`) and hands TRL the columns that its table of completions lacks, by
    `log_extra`: `id`, `gold`, `extracted`, `correct`, `group` (the prompt's number within the rollout), `tokens`, `truncated`,
    `flags`, `false_claims` and `reward` (the sum, without weights). By `log_metric` it logs `time/generate` and `time/reward`
    (seconds a rollout), `tokens/generated`, `audit/false_claims` and `audit/flagged` (shares of completions).

    latest: the rows of the newest rollout, with `question`, `completion` and `rewards` (by name; None where the gold answer could
    not be graded) besides.
    """

    def __init__(self, functions: Sequence[RewardFunction], recipe: Recipe, tokenizer: PreTrainedTokenizerBase):
        self.fmt, self.checker = get_format(recipe.format), recipe.checker
        self.ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
        self.latest: list[dict] = []
        self.functions = [
            self._recorded(function, first=function is functions[0], last=function is functions[-1]) for function in functions
        ]

    def on_step_begin(self, args, state, control, **kwargs):
        self.began = time.perf_counter()

    def _recorded(self, function: RewardFunction, first: bool, last: bool) -> RewardFunction:
        """The function under its own name; the recorder is told what it was given and what it paid."""

        def recorded(prompts, completions, completion_ids, log_extra, log_metric, **columns) -> list[float | None]:
            def log_other(name: str, values: list) -> None:
                if name not in ADDED_COLUMNS:  # TRL would add a second list to the column
                    log_extra(name, values)

            if first:
                self._begin(prompts, completions, completion_ids, columns)
            given = {"prompts": prompts, "completions": completions, "completion_ids": completion_ids, **columns}
            paid = pay(function, **given, log_extra=log_other, log_metric=log_metric)
            for row, value in zip(self.latest, paid, strict=True):
                row["rewards"][recorded.__name__] = value
            if last:
                self._end(log_extra, log_metric)
            return paid

        recorded.__name__ = reward_name(function)
        return recorded

    def _begin(self, prompts: Sequence, completions: Sequence, completion_ids: Sequence[Sequence[int]], columns: dict) -> None:
        """A rollout has been generated: called before the first reward function, with what TRL gives it."""
        self.generated = time.perf_counter()
        golds, keys = columns.get("answer", [""] * len(prompts)), columns.get("id", prompts)
        groups: dict[str, int] = {}
        self.latest = [
            {
                "id": str(key),
                "group": groups.setdefault(str(prompt), len(groups)),
                "question": completion_text(prompt),
                "gold": gold,
                "completion": completion_text(completion),
                "truncated": bool(len(ids)) and ids[-1] not in self.ends,
                "tokens": len(ids),
                "rewards": {},
            }
            for prompt, completion, ids, gold, key in zip(prompts, completions, completion_ids, golds, keys, strict=True)
        ]

    def _end(self, log_extra: Callable[[str, list], None], log_metric: Callable[[str, float], None]) -> None:
        """All functions have paid: called after the last one."""
        paid = time.perf_counter()
        for row in self.latest:
            row |= grade(row["completion"], row["question"], row["gold"], self.fmt, row["truncated"], self.checker)
            row["reward"] = total_reward(row["rewards"].values())
            row |= {"extracted": row["extracted_strict"], "correct": row["correct_strict"], "gold": gold_text(row["gold"])}
        rows = self.latest
        for name in ADDED_COLUMNS:
            log_extra(name, [" ".join(row[name]) if name == "flags" else row[name] for row in rows])
        metrics = {
            "time/generate": self.generated - self.began,
            "time/reward": paid - self.generated,
            "tokens/generated": sum(row["tokens"] for row in rows),
            "audit/false_claims": sum(row["false_claims"] > 0 for row in rows) / len(rows),
            "audit/flagged": sum(bool(row["flags"]) for row in rows) / len(rows),
        }
        for name, value in metrics.items():
            log_metric(name, value)
