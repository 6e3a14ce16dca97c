"""Every completion that GRPO samples, kept with its rewards and the audit's verdict, and what each phase of a rollout takes."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase, TrainerCallback

from grpo_lab.evaluation import grade, write_samples
from grpo_lab.tracking import Tracker
from grpo_math.formats import ReasoningFormat
from grpo_math.rewards.contract import RewardFunction, completion_text

FOLDER = "completions"  # of the run, a file a logged step


class Rollouts(TrainerCallback):
    """Writes `completions/step-00004.jsonl`, a row a completion, and adds to what the trainer logs at that step.

    Give the trainer `record(reward_functions)` as its reward functions, and this callback before any other that reads the log. A
    row has the keys of an evaluation's sample (see `evaluation.grade`), and `step`, `group` (the prompt's number within the
    rollout), `rewards` (by name; None where the gold answer could not be graded) and `reward`, their sum. `latest` holds the rows
    of the newest rollout.

    Logged besides: seconds by phase (`time/generate` up to the first reward function, `time/reward`, `time/update` for the rest
    of the steps), `tokens/generated` and `tokens/per_second` of generation, and the shares of completions with a verified false
    claim, an ungrounded number, or any flag (`audit/...`). Where several processes train, rows and rates are of the first one's.
    """

    def __init__(self, run: Path, fmt: ReasoningFormat, tokenizer: PreTrainedTokenizerBase, tracker: Tracker | None = None):
        self.folder, self.fmt, self.tracker = run / FOLDER, fmt, tracker
        self.ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
        self.latest: list[dict] = []
        self._pending: list[dict] = []  # completions that are not logged yet
        self._restart_clock()

    def _restart_clock(self) -> None:
        self._first: float | None = None  # when the first step since the last log began
        self._step = time.perf_counter()  # when the newest one did
        self._seconds = dict.fromkeys(("generate", "reward", "update"), 0.0)

    def record(self, functions: Sequence[RewardFunction]) -> list[Callable]:
        """The same reward functions under their own names; what they are given and what they pay is kept."""
        return [_Recorded(function, first=i == 0, rollouts=self) for i, function in enumerate(functions)]

    def begin(self, prompts: Sequence, completions: Sequence, completion_ids: Sequence, columns: dict) -> None:
        """A rollout has been generated: called by the first reward function, with what TRL gives it."""
        self._seconds["generate"] += time.perf_counter() - self._step
        groups: dict[str, int] = {}
        for prompt, completion, ids, answer, key in zip(
            prompts, completions, completion_ids, columns["answer"], columns.get("id", prompts), strict=True
        ):
            self._pending.append(
                {
                    "id": str(key),
                    "group": groups.setdefault(str(prompt), len(groups)),
                    "question": completion_text(prompt),
                    "gold": answer,
                    "completion": completion_text(completion),
                    "truncated": bool(len(ids)) and ids[-1] not in self.ends,
                    "tokens": len(ids),
                    "rewards": {},
                }
            )

    def paid(self, name: str, values: Sequence[float | None], seconds: float) -> None:
        """A reward function has paid for the newest completions."""
        self._seconds["reward"] += seconds
        for row, value in zip(self._pending[-len(values) :], values, strict=True):
            row["rewards"][name] = value

    def on_step_begin(self, args, state, control, **kwargs):
        self._step = time.perf_counter()
        self._first = self._first or self._step

    def on_step_end(self, args, state, control, **kwargs):
        spent = self._seconds["generate"] + self._seconds["reward"]
        self._seconds["update"] = time.perf_counter() - (self._first or self._step) - spent

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not self._pending or logs is None:
            return
        rows = [self._graded(row, state.global_step) for row in self._pending]
        self.latest, self._pending = rows, []
        logs.update(self._measures(rows))
        self._restart_clock()
        if state.is_world_process_zero:
            write_samples(self.folder / f"step-{state.global_step:05}.jsonl", rows)
            if self.tracker:
                self.tracker.log_table("completions", rows, state.global_step)

    def _graded(self, row: dict, step: int) -> dict:
        graded = grade(row["completion"], row["question"], str(row["gold"] or ""), self.fmt, row["truncated"])
        paid = [value for value in row["rewards"].values() if value is not None]
        return {"step": step, **row, **graded, "reward": sum(paid)}

    def _measures(self, rows: list[dict]) -> dict[str, float]:
        tokens, seconds = sum(row["tokens"] for row in rows), self._seconds
        shares = {
            "audit/false_claims": [row["false_claims"] > 0 for row in rows],
            "audit/ungrounded": ["H2" in row["flags"] for row in rows],
            "audit/flagged": [bool(row["flags"]) for row in rows],
        }
        return (
            {f"time/{phase}": round(value, 3) for phase, value in seconds.items()}
            | {"tokens/generated": tokens, "tokens/per_second": tokens / max(seconds["generate"], 1e-9)}
            | {name: sum(marked) / len(rows) for name, marked in shares.items()}
        )


class _Recorded:
    """A reward function that tells `Rollouts` what it was given and what it paid."""

    def __init__(self, function: RewardFunction, first: bool, rollouts: Rollouts):
        self.function, self.first, self.rollouts, self.__name__ = function, first, rollouts, function.__name__

    def __call__(self, prompts, completions, completion_ids, **columns) -> list[float | None]:
        if self.first:
            self.rollouts.begin(prompts, completions, completion_ids, columns)
        started = time.perf_counter()
        values = self.function(prompts=prompts, completions=completions, completion_ids=completion_ids, **columns)
        self.rollouts.paid(self.__name__, values, time.perf_counter() - started)
        return values
