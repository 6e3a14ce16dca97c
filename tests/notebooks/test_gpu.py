"""The reference recipes fit a T4: `pytest -m gpu` on a machine with a CUDA card; a larger card is capped at a T4's memory.

Each test runs `gpu_fit.py` in a process of its own, because a cap and Unsloth's patches hold for a whole process.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gpu_fit import SFT_STEPS

from grpo_lab.recipes import RECIPES

ROOT = Path(__file__).parents[2]
CAP = 14.5  # GiB that PyTorch may have: a T4 shows 14.7, and CUDA itself takes some
MOST = 13.5  # GiB of tensors at the peak: what is left is for the gaps between them and for real texts
FITS = [(name, "auto") for name in RECIPES if name != "tiny"] + [("qwen3-4b-dapo", "peft")]


def measure(name: str, backend: str, out: Path, *options: str) -> dict:
    """The row that `gpu_fit.py` writes to `out`; fails with the end of what it printed."""
    command = [sys.executable, str(ROOT / "bench" / "gpu_fit.py")]
    command += ["--recipe", name, "--backend", backend, "--out", str(out), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{name} with {backend}: {done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    return json.loads(out.read_text())


def check_stages(row: dict, grpo_steps: int) -> None:
    """Each stage took all its steps, its losses are numbers, few steps overflowed, and the adapter learned something."""
    assert (row["sft"] is not None) == RECIPES[row["recipe"]].supervised
    for stage, steps in {"sft": SFT_STEPS, "grpo": grpo_steps}.items():
        if measured := row[stage]:
            assert measured["steps"] == len(measured["losses"]) == steps
            assert all(math.isfinite(loss) for loss in measured["losses"]), measured["losses"]
            assert measured["skipped_steps"] <= steps // 2, f"{stage}: {measured['skipped_steps']} of {steps} steps overflowed"
            assert measured["adapter_change"] > 0, f"{stage} left the adapter as it was"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card on this machine: whether a recipe fits was not measured")
@pytest.mark.parametrize(("name", "backend"), FITS)
def test_a_recipe_fits_a_t4(name, backend):
    kept = ROOT / "results" / "gpu" / f"{name}{'' if backend == 'auto' else f'-{backend}'}.json"  # a measurement worth keeping
    row = measure(name, backend, kept, "--cap-gib", str(CAP), "--steps", "10")
    assert row["hardware"] == "T4, 16 GB" and row["precision"] in ("torch.float16", "torch.float32")
    check_stages(row, grpo_steps=10)
    peaks = {stage: row[stage]["allocated_gib"] for stage in ("loading", "sft", "grpo", "evaluation") if row[stage]}
    assert max(peaks.values()) <= MOST, peaks


def test_a_cap_of_a_t4_reaches_whoever_asks_for_the_precision():
    code = """
import sys, torch, gpu_fit
gpu_fit.force_precision(14.5)
from grpo_lab import evaluation, models, recipes, training
torch.cuda.is_available, torch.cuda.get_device_capability = lambda: True, lambda: (9, 0)
asked = [m.compute_dtype for name, m in sys.modules.items() if name.startswith("grpo_lab") and hasattr(m, "compute_dtype")]
recipe = recipes.get_recipe("qwen3-4b-dapo")
print(training.device_args(recipe)["fp16"], {str(ask(recipe)) for ask in asked})
"""
    path = {"PYTHONPATH": f"{ROOT / 'bench'}:{ROOT / 'src'}"}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["True {'torch.float16'}"], done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backend"), [("qwen3-4b-dapo", "peft"), ("qwen2.5-3b-gsm8k", "auto")])
def test_the_measurement_itself_runs_on_any_machine(name, backend, tmp_path):
    row = measure(name, backend, tmp_path / "row.json", "--smoke", "--steps", "2")
    check_stages(row, grpo_steps=2)
    completions = 2 * RECIPES[name].grpo.prompts_per_rollout * RECIPES[name].grpo.num_generations
    assert completions * 20 < row["grpo"]["generated_tokens"] <= completions * 24, "nearly all reach the greatest length"
