"""Notebooks 01 to 03 made from runs with other results: every direction is told as it was, and the text around it claims nothing.

The notebooks' own cells are executed. What needs a model is replaced by samples of the made-up run; all that shows them is real.
"""

import ast
import json
import re
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import IPython.display
import made_up_run
import matplotlib
import pytest
import trl
from made_up_log import made_up_log
from test_notebooks import NOTEBOOKS, load

from grpo_lab import data, evaluation, lab, models, records, training
from grpo_lab.recipes import TINY

ROOT = Path(__file__).parents[2]
N = 40
FEW, MANY = "10" * 5 + "0" * 30, "1" * 30 + "0" * 10  # verdicts: 5 and 30 of 40 right
DIRECTIONS = {"up": (FEW, MANY), "down": (MANY, FEW), "none": (MANY, MANY)}  # of SFT and of GRPO
CLAIMS = re.compile(
    r"\b(improve[sd]?|improvement|better|worse|gained|rose|rises|fell|raised|doubled|outperforms?)\b", re.IGNORECASE
)
PLACEHOLDERS = re.compile(r"\b(nan|None|inf|NaN)\b")


def rows(checkpoint: str, verdicts: str, **more) -> list[dict]:
    made = [made_up_run.well_formed(n, checkpoint, digit == "1") for n, digit in enumerate(verdicts)]
    return [row | {"stratum": f"{2 + n % 3} steps", "source": "tiny/trip"} | more for n, row in enumerate(made)]


def write_run(run: Path, verdicts: dict[str, str], everything: bool) -> None:
    """The files that the run's stages leave; with `everything` also samples, twins and problems for transfer."""
    run.mkdir()
    for name, digits in verdicts.items():
        made_up_run.write_samples(run, name, rows(name, digits))
        if everything:
            made_up_run.write_samples(run, f"transfer-{name}", rows(name, digits[::-1], stratum="larger numbers"))
            made_up_run.write_samples(run, f"sampled-{name}", [r | {"sample": k} for r in rows(name, digits) for k in range(2)])
            refused = [digit == "0" for digit in digits]
            twins = [
                r | {"extracted_flexible": "cannot" if no else "7"} for r, no in zip(rows(name, digits), refused, strict=True)
            ]
            made_up_run.write_samples(run, f"twins-{name}", twins)
    made_up_run.write_samples(run, "base-chat", rows("base-chat", "1" + verdicts["base"][1:]))  # may be the better prompt
    log = made_up_log()
    for entry in log:  # the curve of the dev problems
        if "eval_accuracy" in entry:
            entry["eval_accuracy"] = verdicts[list(verdicts)[-2] if entry is log[0] else "grpo"].count("1") / N
    records.write_csv(run / "grpo_metrics.csv", log)
    records.write_csv(run / "sft_metrics.csv", [{"step": step, "loss": 1 / step, "learning_rate": 1e-3} for step in (1, 2)])
    records.write_csv(run / "stages.csv", [{"stage": name, "wall_s": 1, "cpu_s": 1, "peak_memory_mb": 1} for name in verdicts])
    (run / "grpo_learning.json").write_text(
        json.dumps({"change": [{"layer": n, "self_attn": 0.1, "mlp": 0.2} for n in range(4)]})
    )
    made_up_run.write_config(run)
    for stage in ("sft", "grpo"):
        (run / stage / "adapter").mkdir(parents=True)
        (run / stage / "adapter" / "adapter_model.safetensors").write_bytes(b"")
        (run / f"{stage}_config.json").write_text(json.dumps({"settings": {"seed": 0, "backend": "peft", "recipe": asdict(TINY)},
                                                              "environment": {"trl": "1"}}))  # fmt: skip


def groups(right: int) -> list[list[dict]]:
    """Two groups of four: in the first so many are right, in the second all."""
    made = []
    for solved in (right, 4):
        group = rows("grpo", "1" * solved + "0" * (4 - solved))
        made.append([row | {"rewards": {"correctness": 3.0 * row["correct_flexible"]}, "reward": 3.0 * row["correct_flexible"]}
                     for row in group])  # fmt: skip
    return made


@pytest.fixture
def render(tmp_path, monkeypatch):
    """`render(verdicts, everything=True)`: all that the three notebooks display."""
    matplotlib.use("Agg")
    shown: list[str] = []

    def display(*objects, **_):
        shown.extend(getattr(each, "data", None) or getattr(each, "to_string", lambda: "figure")() for each in objects)

    def render_run(verdicts: dict[str, str], everything: bool = True) -> str:
        run = tmp_path / "run"
        write_run(run, verdicts, everything)
        few = replace(TINY.evaluation, problems=N, sampled=0, transfer=4 * everything, twins=4 * everything)
        recipe = replace(TINY, evaluation=few, grpo=replace(TINY.grpo, eval_problems=N, rollouts=1))
        if "sft" not in verdicts:
            recipe = replace(recipe, priming=None, sft=None)

        @contextmanager
        def stage(name):
            yield MagicMock(trainer_args={})

        here = SimpleNamespace(recipe=recipe, run=run, root=ROOT, backend="peft", stage=stage, mirror=MagicMock())
        here.adapter = lambda name: run / name / "adapter"

        def samples_for(model, tokenizer, problems, recipe, checkpoint, **_):
            name = checkpoint if checkpoint in verdicts else list(verdicts)[-1]
            return rows("base" if checkpoint == "base" else checkpoint, verdicts[name], formatted=checkpoint != "base")

        monkeypatch.setattr(lab, "start", lambda *_, **__: here)
        monkeypatch.setattr(IPython.display, "display", display)
        monkeypatch.setattr(evaluation, "evaluate", samples_for)
        right = {FEW: 1, MANY: 3}[verdicts["grpo"]]
        monkeypatch.setattr(evaluation, "sample_groups", lambda m, t, problems, *_: groups(right)[: len(problems)])
        monkeypatch.setattr(evaluation, "checkpoints", lambda *_: [(name, MagicMock(), MagicMock()) for name in verdicts])
        monkeypatch.setattr(evaluation, "measure", lambda *_: None)
        monkeypatch.setattr(data, "check_base_corpus", lambda _: None)
        for module, names in (
            (models, ("add_adapter", "fill_adapter", "check_tokenizer")),
            (training, ("Recorder", "sft_config", "grpo_config")),
            (trl, ("SFTTrainer", "GRPOTrainer")),
        ):
            for name in names:
                monkeypatch.setattr(module, name, MagicMock())
        monkeypatch.setattr(models, "load_base", lambda *_: (MagicMock(), MagicMock()))
        for notebook in NOTEBOOKS if "sft" in verdicts else NOTEBOOKS[1:]:
            space = {"print": lambda *words, sep=" ": shown.append(sep.join(map(str, words)))}
            for cell in load(notebook)["cells"]:
                source = "".join(cell["source"])
                if cell["cell_type"] == "markdown":
                    continue
                tree = ast.parse(re.sub(r"(?m)^%.*", "", source))
                ends = isinstance(tree.body[-1], ast.Expr)  # a notebook shows the value that a cell ends in
                exec(compile(ast.Module(tree.body[:-1] if ends else tree.body, []), notebook.name, "exec"), space)
                if (
                    ends
                    and (value := eval(compile(ast.Expression(tree.body[-1].value), notebook.name, "eval"), space)) is not None
                ):
                    display(value)
        return "\n".join(map(str, shown))

    return render_run


DEV = "Accuracy on the dev problems: {:.1%} before, {:.1%} after."
# What is said of a run, by its direction: solved and lost by GRPO, the difference, the word of the paired test, pushed up.
SAID = {
    "up": (25, 0, "+62.5 points", "improved", 3),
    "down": (0, 25, "-62.5 points", "worse", 1),
    "none": (0, 0, "+0.0 points", "no clear difference", 3),
}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_run_is_told_as_it_went(direction, render):
    sft, grpo = DIRECTIONS[direction]
    solved, lost, difference, word, up = SAID[direction]
    shown = render({"base": grpo, "sft": sft, "grpo": grpo})
    headline = f"**+ GRPO** solves {solved} problems that + SFT does not, and loses {lost}. That is {difference}"
    assert headline in shown and DEV.format(sft.count("1") / N, grpo.count("1") / N) in shown
    assert shown.count(f"Of 40 problems: solved {solved}, broken {lost}, ") >= 2, "in 02 and in 03"
    tested = [line for line in shown.splitlines() if line.startswith("- **+ SFT → + GRPO**")]
    assert word in tested[0] and sum(difference in line for line in tested) >= 3
    assert ("improved" in shown) == (direction == "up"), "SFT has another prompt, and its test says higher or lower"
    kind = {"up": "gains on", "down": "loses on", "none": "shows no clear change on"}[direction]
    assert f"On problems unlike those of training, + GRPO {kind} larger numbers ({difference}" in shown
    assert f"Pushed **up**: {up} completion" in shown and "the group teaches nothing" in shown
    assert not PLACEHOLDERS.search(shown), PLACEHOLDERS.search(shown)


def test_what_a_run_lacks_is_left_out(render):
    shown = render({"base": FEW, "grpo": MANY}, everything=False)
    assert "**+ GRPO** solves 25 problems that base (own prompt) does not" in shown and "+ SFT" not in shown
    assert not PLACEHOLDERS.search(shown) and "unlike those of training" not in shown and "avg@" not in shown


def test_the_text_around_states_no_result():
    for notebook in NOTEBOOKS:
        for cell in load(notebook)["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                text = re.sub(r"95 %( Wilson)? intervals|<details>.*|\*\w+\*", "", text)
                found = CLAIMS.search(re.sub(r"(?m)^\d\. .*\?$", "", text)) or re.search(r"\d\s?(%|points?\b)", text)
                assert not found, f"{notebook.name}: {found}"
            else:
                told = [
                    node.value for node in ast.walk(ast.parse(re.sub(r"(?m)^%.*", "", text))) if isinstance(node, ast.Constant)
                ]
                assert not any(CLAIMS.search(value) for value in told if isinstance(value, str)), text
