"""What a stage is watched by while it trains: a progress bar, the metrics file with dev accuracy, and the live view of GRPO."""

import html
import time
from collections.abc import Callable
from pathlib import Path

from IPython.display import HTML, display
from transformers import TrainerCallback

from grpo_lab.health import NO_WARNINGS, Finding, diagnose
from grpo_lab.progress import bar, in_notebook
from grpo_lab.records import write_csv
from grpo_lab.runs import StageClock
from grpo_lab.tracking import Tracker
from grpo_lab.training.recorder import Recorder


def say(sentence: str, bad: bool = False) -> None:
    """Print a sentence; a bad one in red, where a notebook can show that."""
    if bad and in_notebook():
        display(HTML(f'<p style="color:#c00000"><b>{html.escape(sentence)}</b></p>'))
    else:
        print(sentence)


class Progress(TrainerCallback):
    """One progress bar with the loss and, in GRPO, where its unit is the rollout, the mean reward."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.size = args.logging_steps  # a row is logged a step or, in GRPO, a rollout
        total, done = state.max_steps // self.size, state.global_step // self.size
        unit = "rollout" if hasattr(args, "num_generations") else "step"
        self.bar = bar(total=total, initial=done, unit=unit, desc=Path(args.output_dir).name)

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.bar.set_postfix({key: f"{logs[key]:.3f}" for key in ("loss", "reward") if key in (logs or {})}, refresh=False)
        self.bar.update(state.global_step // self.size - self.bar.n)

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


class Metrics(TrainerCallback):
    """Keeps `<stage>_metrics.csv`: the trainer's own log by step, under TRL's names, and dev accuracy where `probe` measures it.

    The trainer saves its log with each checkpoint, so a stage that goes on from one goes on in the file as well. What callbacks
    add to a logged step comes too late for the tracker, whose callback is the first; so dev accuracy goes there by `tracker.log`.

    probe: returns `eval_accuracy`, `eval_low` and `eval_high` (shares); called before the first step, every `every` steps, and
    after the last. clock: saved with each checkpoint. rows: the file's rows so far, a dict a step.
    """

    def __init__(
        self,
        path: Path,
        tracker: Tracker,
        clock: StageClock,
        probe: Callable[[], dict[str, float]] | None = None,
        every: int = 0,
    ):
        self.path, self.tracker, self.clock, self.probe, self.every = path, tracker, clock, probe, every
        self.rows: list[dict[str, float]] = []

    def on_train_begin(self, args, state, control, **kwargs):
        if self.probe and state.global_step == 0:
            problems = getattr(self.probe, "problems", None)
            print("Measuring accuracy before training" + (f" ({problems:,} problems)" if problems else ""), flush=True)
            self._measure(state)

    def on_step_end(self, args, state, control, **kwargs):
        if self.probe and (state.global_step % self.every == 0 or state.global_step == state.max_steps):
            self._measure(state)

    def on_log(self, args, state, control, logs=None, **kwargs):
        self._write(state)

    def on_save(self, args, state, control, **kwargs):
        self.clock.save()

    def _measure(self, state) -> None:
        values = self.probe()
        state.log_history.append({**values, "step": state.global_step})
        told = {"eval/accuracy": "eval_accuracy", "eval/accuracy_low": "eval_low", "eval/accuracy_high": "eval_high"}
        self.tracker.log({name: values[ours] for name, ours in told.items()}, state.global_step)
        self._write(state)

    def _write(self, state) -> None:
        """The numbers of the trainer's log, one row a step."""
        steps: dict[int, dict[str, float]] = {}
        for entry in state.log_history:
            numbers = {name: value for name, value in entry.items() if isinstance(value, int | float)}
            steps.setdefault(entry["step"], {"step": entry["step"]}).update(numbers)
        self.rows = [row for _, row in sorted(steps.items())]
        if state.is_world_process_zero:
            write_csv(self.path, self.rows)


class Live(TrainerCallback):
    """Redraws one output at each logged rollout: time left, what is wrong, and what `draw` makes of metrics and newest rollout.

    Give it to the trainer after `recorder` and `metrics`. The last drawing stays: no widget, nothing that changes, is left in the
    notebook. Outside a notebook a warning is printed when it first shows.

    draw: from the metrics' rows, the rollout's rows and the last step to HTML. pause: seconds between two drawings, at the least.
    """

    def __init__(
        self, metrics: Metrics, recorder: Recorder, draw: Callable[[list[dict], list[dict], int], str], pause: float = 5.0
    ):
        self.metrics, self.recorder, self.draw, self.pause = metrics, recorder, draw, pause
        self.output, self.drawn, self.said = None, 0.0, set()

    def on_train_begin(self, args, state, control, **kwargs):
        self.started, self.first, self.size = time.monotonic(), state.global_step, args.logging_steps
        if in_notebook():
            self.output = display(HTML("<p>The first completions are being sampled.</p>"), display_id=True)

    def on_log(self, args, state, control, logs=None, **kwargs):
        findings = diagnose(self.metrics.rows)
        if self.output is None:
            for finding in findings:
                if finding.name not in self.said:
                    say(f"step {state.global_step}: {finding}")
                    self.said.add(finding.name)
        elif time.monotonic() - self.drawn > self.pause and state.global_step < state.max_steps:
            done = state.global_step - self.first
            left = (time.monotonic() - self.started) / max(done, 1) * (state.max_steps - state.global_step)
            wait = f"about {left / 60:.0f} min left" if left >= 60 else "less than a minute left"
            self._show(state, f"Rollout {state.global_step // self.size:,} of {state.max_steps // self.size:,}, {wait}", findings)

    def on_train_end(self, args, state, control, **kwargs):
        if self.output is not None:
            self._show(state, f"{state.global_step // self.size:,} rollouts done", diagnose(self.metrics.rows), NO_WARNINGS)

    def _show(self, state, head: str, findings: list[Finding], if_none: str = "") -> None:
        warnings = "".join(map(_finding_html, findings)) or if_none
        page = self.draw(self.metrics.rows, self.recorder.latest, state.max_steps) if self.draw else ""
        self.output.update(HTML(f"<p><b>{head}.</b> {warnings}</p>{page}"))
        self.drawn = time.monotonic()


def _finding_html(finding: Finding) -> str:
    return f'<br><span style="color:#c00000"><b>{html.escape(finding.name.capitalize())}.</b> {html.escape(str(finding))}</span>'
