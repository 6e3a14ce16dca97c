"""Measure a model: the plan, frozen before training; completions; and one graded, audited JSONL row a sample.

The parts: `plan` writes down what will be measured, `checkpoints` loads one model after another, `generation` draws completions
(Transformers or vLLM), `measuring` grades and audits them and keeps the samples. `report` makes tables of these without a model.
"""

from grpo_lab.evaluation.checkpoints import checkpoints
from grpo_lab.evaluation.generation import Completion, Decoding, TransformersGenerator, VllmEngine, VllmGenerator
from grpo_lab.evaluation.measuring import OWN_PROMPTS, accuracy_probe, evaluate, grade, measure, render_prompts
from grpo_lab.evaluation.plan import freeze_plan, hash_items

__all__ = [
    "OWN_PROMPTS",
    "Completion",
    "Decoding",
    "TransformersGenerator",
    "VllmEngine",
    "VllmGenerator",
    "accuracy_probe",
    "checkpoints",
    "evaluate",
    "freeze_plan",
    "grade",
    "hash_items",
    "measure",
    "render_prompts",
]
