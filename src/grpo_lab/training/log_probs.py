"""TRL's loss on machines without Triton."""

import torch
import torch.nn.functional as F
import trl.trainer.utils as trl_utils


class TorchLogProbs:
    """Plain PyTorch in the place of TRL's Triton kernel, with the kernel's call form, for machines without Triton."""

    @staticmethod
    def apply(hidden, weight, bias, targets, temperature, chunk_size, softcap, logit_scale, outputs):
        """Log-probability of each target (N,) and, where asked for, the entropy (N,) in nats, from hidden states (N, D)."""
        logits = F.linear(hidden, weight, bias).float() * logit_scale
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        log_probs = (logits / temperature).log_softmax(-1)
        chosen = log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        asked = set(outputs) - {"log_probs", "entropy", "mean_logits", "is_top1"}
        if asked:
            raise NotImplementedError(
                f"TRL asked for {sorted(asked)}, which needs its Triton kernel: train with BACKEND = 'unsloth'."
            )
        return (
            chosen,
            -(log_probs.exp() * log_probs).sum(-1) if "entropy" in outputs else None,
            None,
            logits.mean(-1) if "mean_logits" in outputs else None,
            (log_probs.argmax(-1) == targets) if "is_top1" in outputs else None,
        )


def use_torch_where_triton_is_missing() -> None:
    """TRL 1.15 has its loss only as a Triton kernel; put plain PyTorch there if it is missing, and say so."""
    if trl_utils._ChunkedLogProbFunction is None:
        trl_utils._ChunkedLogProbFunction = TorchLogProbs
        print("Triton is not installed: TRL's loss is computed by plain PyTorch, which takes more memory.")
