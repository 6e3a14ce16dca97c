"""Measure a model: the plan, frozen before training; completions; and one graded, audited JSONL row a sample.

The parts: `plan` writes down what will be measured, `generation` loads one model after another and draws completions
(Transformers or vLLM), `measuring` grades and audits them and keeps the samples. `report` makes tables of these without a model.
"""

from grpo_lab.evaluation.generation import Decoding, TransformersGenerator, checkpoints
from grpo_lab.evaluation.measuring import accuracy_probe, evaluate, grade, measure, render_prompts, sample_groups
from grpo_lab.evaluation.plan import freeze_plan

__all__ = [
    "Decoding",
    "TransformersGenerator",
    "accuracy_probe",
    "checkpoints",
    "evaluate",
    "freeze_plan",
    "grade",
    "measure",
    "render_prompts",
    "sample_groups",
]
