"""What is shown of a stage while it trains and what proves that it learned, without a trainer."""

from io import StringIO
from types import SimpleNamespace

import pytest
import torch
from made_up_log import ILL, made_up_log

from grpo_lab import figures, progress, show, training
from grpo_lab.training import watching
from grpo_lab.training.learning import change_by_layer, fingerprint, lora_scale, trainable_weights


def adapter(seed: int, layers: int = 3) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    names = [f"base_model.model.model.layers.{n}.{m}" for n in range(layers) for m in ("self_attn.q_proj", "mlp.up_proj")]
    shapes = {"lora_A": (2, 6), "lora_B": (5, 2)}
    return {
        f"{name}.{factor}.default.weight": torch.randn(shape, generator=draw)
        for name in names
        for factor, shape in shapes.items()
    }


def test_the_norm_of_the_change_is_that_of_the_full_matrices():
    before, after = adapter(0), adapter(1)
    change = change_by_layer(before, after, scale=2.0)
    assert [row["layer"] for row in change] == [0, 1, 2]
    stem = "base_model.model.model.layers.1.mlp.up_proj.lora_"
    full = [2.0 * w[f"{stem}B.default.weight"] @ w[f"{stem}A.default.weight"] for w in (before, after)]
    assert change[1]["mlp"] == pytest.approx((full[1] - full[0]).norm().item(), rel=1e-5)
    assert all(row["mlp"] == row["self_attn"] == 0 for row in change_by_layer(before, before))


def test_a_fingerprint_changes_with_any_weight_and_with_nothing_else():
    weights = adapter(0)
    assert fingerprint(weights) == fingerprint(dict(reversed(weights.items()))) != fingerprint(adapter(1))
    moved = {name: weight.clone() for name, weight in weights.items()}
    next(iter(moved.values()))[0, 0] += 1e-6
    assert fingerprint(moved) != fingerprint(weights)
    assert fingerprint({"a": torch.ones(2, dtype=torch.bfloat16)}) != fingerprint({"a": torch.ones(2, dtype=torch.float16)})


def test_only_what_is_trained_counts():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model[0].requires_grad_(False)
    kept = trainable_weights(model)
    assert list(kept) == ["1.weight", "1.bias"] and lora_scale(model) == 1.0
    with torch.no_grad():
        model[1].weight += 1
    assert not torch.equal(kept["1.weight"], model[1].weight), "a copy"


def test_a_stage_that_trained_nothing_says_so_in_red(tmp_path, monkeypatch, capsys):
    nothing = training.Learning("abc", "abc", 4, 0, [])
    assert not nothing.learned and str(nothing).startswith("NOTHING WAS LEARNED: the adapter has the fingerprint abc as before")
    shown = []
    monkeypatch.setattr(watching, "in_notebook", lambda: True)
    monkeypatch.setattr(watching, "display", lambda html: shown.append(html.data))
    watching.say(str(nothing), bad=True)
    assert "color:#c00000" in shown[0] and "NOTHING WAS LEARNED" in shown[0] and capsys.readouterr().out == ""
    some = training.Learning("abc", "def", 96, 1, [{"layer": 0, "mlp": 0.5, "self_attn": 0.25}])
    assert str(some) == (
        "96 updates applied, 1 skipped; the adapter's weights moved, by 0.25 to 0.5 a layer and part (Frobenius norm)"
    )
    some.save(tmp_path / "grpo_learning.json")
    assert figures.plot_learning(tmp_path, "grpo").axes[0].get_xlabel() == "layer"
    assert (tmp_path / "figures" / "grpo_change.png").is_file()
    with pytest.raises(FileNotFoundError, match="train the stage 'sft' of this run first"):
        figures.plot_learning(tmp_path, "sft")


def completion(group: int, reward: float, text: str) -> dict:
    return {"group": group, "reward": reward, "gold": "12", "question": "What are 5 and 7 <b>?", "completion": text}


def test_the_completions_that_are_shown_are_of_the_group_in_the_middle():
    rows = [
        completion(0, 1.0, "a"),
        completion(0, 1.5, "b"),
        completion(1, 3.5, "5 + 7 = 12."),
        completion(1, 0.0, "5 + 7 = 13.<b>"),
        completion(2, 4.5, "c"),
        completion(2, 4.5, "d"),
    ]
    metrics, axes = made_up_log(steps=3), {"steps": 48, "rewards": (-0.5, 4.5)}
    page = show.live_html(metrics, rows, **axes)
    assert page.index("best paid of 2: reward 3.50 of 4.50") < page.index("worst paid of 2: reward 0.00")
    assert "data:image/png;base64," in page and not any(f">{other}</td>" in page for other in "acd")
    assert '<b>5 + 7 = 13</b> <i>[is 12]</i>.<small style="color:#888888">&lt;b&gt;</small></td>' in page
    assert "5 and 7 &lt;b&gt;?" in page
    assert "<td" not in show.live_html(metrics, [], **axes) and show.live_html(metrics, rows[:1], **axes).count("<td") == 1


class Output:
    """What `display(..., display_id=True)` gives back."""

    def __init__(self, html):
        self.pages = [html.data]

    def update(self, html):
        self.pages.append(html.data)


def train(log, live) -> None:
    """Log the rows one after another, as a trainer does."""
    state = SimpleNamespace(global_step=0, max_steps=int(log[-1]["step"]))
    live.on_train_begin(SimpleNamespace(logging_steps=4), state, None)
    for n, row in enumerate(log, start=1):
        live.metrics.rows = log[:n]
        state.global_step = int(row["step"])
        live.on_log(None, state, None)
    live.on_train_end(None, state, None)


def make_live() -> training.Live:
    recorder = SimpleNamespace(latest=[{"completion": "12"}])
    return training.Live(SimpleNamespace(rows=[]), recorder, lambda rows, latest, steps: f"{len(rows)} rows, {latest[0]}", 0.0)


@pytest.mark.parametrize("name", [None, "cut off"])
def test_a_notebook_is_redrawn_and_left_clean(name, monkeypatch):
    shown = []
    monkeypatch.setattr(watching, "in_notebook", lambda: True)
    monkeypatch.setattr(watching, "display", lambda html, display_id: shown.append(Output(html)) or shown[0])
    train(made_up_log(steps=12, **ILL.get(name, {})), make_live())
    pages = shown[0].pages
    assert len(shown) == 1 and len(pages) == 13 and "Rollout 1 of 12" in pages[1] and "minute left" in pages[1]
    assert "1 rows, {'completion': '12'}" in pages[1] and "11 rows" in pages[11]
    last = "Cut off." if name else "No warnings: "
    assert last in pages[-1] and "12 rollouts done" in pages[-1] and "12 rows" in pages[-1], "the last drawing stays"


def test_outside_a_notebook_a_finding_is_said_once(capsys):
    train(made_up_log(**ILL["cut off"]), make_live())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and lines[0].startswith("step ") and "were cut off at the token limit" in lines[0]


def test_a_terminal_gets_the_bars_and_a_file_lines_now_and_then():
    states = ["\rsft:  50%|##  | 1/2", "a printed line\n", "\rsft: 100%|####| 2/2\r    \rprinted\n"]
    screen, often, seldom = StringIO(), StringIO(), StringIO()
    screen.isatty = lambda: True
    for bars in (progress.Bars(screen), progress.Bars(often, pause=0), progress.Bars(seldom)):
        for text in states:
            bars.write(text)
    assert screen.getvalue() == "\rsft:  50%|##  | 1/2\rsft: 100%|####| 2/2\r    \r"
    assert often.getvalue() == "sft:  50%|##  | 1/2\nsft: 100%|####| 2/2\n" and seldom.getvalue() == ""
