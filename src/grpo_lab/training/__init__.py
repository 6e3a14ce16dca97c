"""Train: a recipe's settings for TRL, what a trainer is watched by, and the loop. The notebooks construct the trainers.

The parts: `settings` (from a recipe to SFTConfig and GRPOConfig), `recorder` (every sampled completion, read once), `watching`
(progress, metrics file, live view), `loop` (train from the newest checkpoint),
`learning` (proof that the weights changed). Call `runs.choose_backend` before this package is imported: Unsloth patches TRL.
"""

from grpo_lab.training.learning import Learning
from grpo_lab.training.log_probs import use_torch_where_triton_is_missing
from grpo_lab.training.loop import Updates, train
from grpo_lab.training.recorder import Recorder
from grpo_lab.training.settings import device_args, grpo_config, sft_config
from grpo_lab.training.watching import Live, Metrics, Progress

__all__ = [
    "Learning",
    "Live",
    "Metrics",
    "Progress",
    "Recorder",
    "Updates",
    "device_args",
    "grpo_config",
    "sft_config",
    "train",
    "use_torch_where_triton_is_missing",
]
