"""What a reader of the notebook sees while GRPO trains."""

import time
from base64 import b64encode
from html import escape
from pathlib import Path

from IPython.display import HTML, display
from transformers import TrainerCallback

from grpo_lab import figures
from grpo_lab.health import Illness, diagnose, read_metrics
from grpo_lab.report.marks import marked_html
from grpo_lab.show import in_notebook, say
from grpo_lab.training.rollouts import Rollouts


class Live(TrainerCallback):
    """Redraws one output at each logged step: time left, curves from `grpo_metrics.csv`, two completions, and what looks ill.

    Give it to the trainer after `rollouts` and the `MetricsFile`. When training ends, what is ill is said and the rest is taken
    away (`figures.plot_grpo` draws it better): no widget, nothing that changes, is left in the notebook. Outside a notebook an
    illness is printed when it first shows.

    pause: seconds between two drawings, at the least.
    """

    def __init__(self, run: Path, rollouts: Rollouts, pause: float = 5.0):
        self.run, self.rollouts, self.pause = run, rollouts, pause
        self.output, self.drawn, self.said = None, 0.0, set()

    def on_train_begin(self, args, state, control, **kwargs):
        self.started, self.first = time.monotonic(), state.global_step
        if in_notebook():
            self.output = display(HTML("<p>The first completions are being sampled.</p>"), display_id=True)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.output is None:
            for illness in self._ill():
                if illness.name not in self.said:
                    say(f"step {state.global_step}: {illness}")
                    self.said.add(illness.name)
        elif time.monotonic() - self.drawn > self.pause and state.global_step < state.max_steps:
            self.output.update(HTML(self._page(state)))
            self.drawn = time.monotonic()

    def on_train_end(self, args, state, control, **kwargs):
        if self.output is not None:
            found = "".join(map(_illness_html, self._ill()))
            self.output.update(HTML(found or "<p>Nothing in the metrics looks ill.</p>"))

    def _ill(self) -> list[Illness]:
        return diagnose(read_metrics(self.run / "grpo_metrics.csv"))

    def _page(self, state) -> str:
        done = state.global_step - self.first
        left = (time.monotonic() - self.started) / max(done, 1) * (state.max_steps - state.global_step)
        head = f"<p><b>Step {state.global_step:,} of {state.max_steps:,}</b>, about {left / 60:.0f} min left</p>"
        curves = b64encode(figures.live_curves(self.run)).decode("ascii")
        picture = f'<img alt="Reward and held-out accuracy so far" src="data:image/png;base64,{curves}">'
        return head + "".join(map(_illness_html, self._ill())) + picture + samples_html(self.rollouts.latest)


def samples_html(rows: list[dict]) -> str:
    """The best and the worst paid completion of the group whose rewards differ most; of the first where none do."""
    groups: dict[int, list[dict]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    if not groups:
        return ""
    ranked = [sorted(group, key=lambda row: row["reward"]) for group in groups.values()]
    group = max(ranked, key=lambda rows: rows[-1]["reward"] - rows[0]["reward"])
    shown = "".join(
        f"<p>reward {row['reward']:g}, gold answer {escape(str(row['gold']))}</p>"
        f'<pre style="white-space:pre-wrap">{marked_html(row["completion"], row["question"])}</pre>'
        for row in (group[-1], group[0])[: len(group)]
    )
    return f"<p><b>{escape(group[0]['question'])}</b></p>{shown}"


def _illness_html(illness: Illness) -> str:
    return f'<p style="color:#c00000"><b>{escape(illness.name.capitalize())}.</b> {escape(str(illness))}</p>'
