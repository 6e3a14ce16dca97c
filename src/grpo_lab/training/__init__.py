"""Train: a recipe's settings for TRL, what a trainer is watched by, and the loop. The notebooks construct the trainers.

The parts: `settings` (from a recipe to SFTConfig and GRPOConfig), `loop` (train from the newest checkpoint), `metrics` (what is
logged, in one CSV), `rollouts` (every sampled completion, kept), `live` (what a notebook shows meanwhile), `learning` (proof that
the weights changed). Call `runs.choose_backend` before this package is imported: Unsloth patches TRL.
"""

from grpo_lab.training.learning import Learning, change_by_layer, fingerprint, trainable_weights
from grpo_lab.training.live import Live
from grpo_lab.training.log_probs import TorchLogProbs, use_torch_where_triton_is_missing
from grpo_lab.training.loop import MirrorCheckpoints, Updates, train
from grpo_lab.training.metrics import MetricsFile, Progress
from grpo_lab.training.rollouts import Rollouts
from grpo_lab.training.settings import VLLM_SHARE, device_args, grpo_config, sft_config

__all__ = [
    "VLLM_SHARE",
    "Learning",
    "Live",
    "MetricsFile",
    "MirrorCheckpoints",
    "Progress",
    "Rollouts",
    "TorchLogProbs",
    "Updates",
    "change_by_layer",
    "device_args",
    "fingerprint",
    "grpo_config",
    "sft_config",
    "train",
    "trainable_weights",
    "use_torch_where_triton_is_missing",
]
