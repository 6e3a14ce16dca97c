"""What a stage logs, kept in one CSV and handed to a tracker."""

import csv
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm
from transformers import TrainerCallback

from grpo_lab.tracking import Tracker


class Progress(TrainerCallback):
    """One progress bar with the loss and, in GRPO, the mean reward."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", desc=Path(args.output_dir).name)

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.bar.set_postfix({key: f"{logs[key]:.3f}" for key in ("loss", "reward") if key in (logs or {})}, refresh=False)

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update()

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


class MetricsFile(TrainerCallback):
    """Keeps every value that the trainer logs in one CSV, a row a step, written anew at each step, so a cut run loses nothing.

    measure: an optional function that returns more values (held-out accuracy, say), called every `every` steps and at the last.
    tracker: gets the same values after they are written (see `tracking`).
    """

    def __init__(
        self,
        path: Path,
        measure: Callable[[], dict[str, float]] | None = None,
        every: int = 10,
        tracker: Tracker | None = None,
    ):
        self.path, self.measure, self.every, self.tracker = path, measure, every, tracker
        self.rows: dict[int, dict[str, float]] = {}

    def on_train_begin(self, args, state, control, **kwargs):
        if self.path.is_file() and state.global_step > 0:
            with open(self.path, newline="") as file:
                old = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
            self.rows = {int(row["step"]): row | {"step": int(row["step"])} for row in old if row["step"] <= state.global_step}
        elif self.measure:
            self._keep(0, self.measure())

    def on_log(self, args, state, control, logs=None, **kwargs):
        self._keep(state.global_step, {k: v for k, v in (logs or {}).items() if isinstance(v, int | float)})

    def on_step_end(self, args, state, control, **kwargs):
        if self.measure and (state.global_step % self.every == 0 or state.global_step == state.max_steps):
            self._keep(state.global_step, self.measure())

    def _keep(self, step: int, values: dict[str, float]) -> None:
        self.rows.setdefault(step, {"step": step}).update(values)
        columns = list(dict.fromkeys(key for row in self.rows.values() for key in row))
        with open(self.path, "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(row for _, row in sorted(self.rows.items()))
        if self.tracker:
            self.tracker.log(values, step)
