"""Proof that a stage changed the adapter: its fingerprint before and after, and how far each layer moved."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

# The first factor of an adapted matrix: the number of its layer, and the part of the layer.
_FACTOR = re.compile(r".*?layers\.(?P<layer>\d+)\.(?P<part>\w+)\..*?\.lora_A\b")


@dataclass(frozen=True)
class Learning:
    """What a stage did to its adapter. before, after: fingerprints; applied, skipped: updates of this session.

    change: a dict a layer with `layer` and, by part (self_attn, mlp), the Frobenius norm of the change of its weights.
    """

    before: str
    after: str
    applied: int
    skipped: int
    change: list[dict]

    @property
    def learned(self) -> bool:
        """Whether any adapter weight is another than before."""
        return self.before != self.after

    def __str__(self) -> str:
        updates = f"{self.applied:,} updates applied, {self.skipped:,} skipped"
        if not self.learned:
            return (
                f"NOTHING WAS LEARNED: the adapter has the fingerprint {self.after} as before ({updates}). See that its weights "
                "are trainable, that the learning rate is above 0, and that some group's completions earn different rewards."
            )
        norms = [norm for layer in self.change for part, norm in layer.items() if part != "layer"]
        moved = f", by {min(norms):.2g} to {max(norms):.2g} a layer and part (Frobenius norm)" if norms else ""
        return f"{updates}; the adapter's weights moved{moved}"

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def trainable_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of every trainable weight, by name, on the CPU."""
    return {name: weight.detach().to("cpu", copy=True) for name, weight in model.named_parameters() if weight.requires_grad}


def fingerprint(weights: dict[str, Tensor]) -> str:
    """Twelve hex digits of the SHA-256 of the weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(weight.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


def change_by_layer(before: dict[str, Tensor], after: dict[str, Tensor], scale: float = 1.0) -> list[dict]:
    """How far the adapted matrices moved: a dict a layer, `layer` and the Frobenius norm of the change of each part.

    scale: LoRA's alpha over its rank. A part's norm is the root of the sum over its matrices of |scale (B' A' - B A)|².
    """
    squares: dict[int, dict[str, float]] = {}
    for name in after:
        found = _FACTOR.match(name)
        if not found:
            continue
        other = name.replace(".lora_A", ".lora_B")
        # |B' A' - B A|² without the full matrices: with P = [B', -B] and Q = [A'; A] it is the trace of (P'P)(QQ').
        p, q = torch.cat([after[other], -before[other]], dim=1).double(), torch.cat([after[name], before[name]], dim=0).double()
        moved = max(0.0, torch.sum((p.T @ p) * (q @ q.T)).item()) * scale**2
        parts = squares.setdefault(int(found["layer"]), {})
        parts[found["part"]] = parts.get(found["part"], 0.0) + moved
    return [
        {"layer": layer, **{part: square**0.5 for part, square in sorted(parts.items())}}
        for layer, parts in sorted(squares.items())
    ]


def lora_scale(model: nn.Module) -> float:
    """LoRA's alpha over its rank, 1.0 for a model without an adapter."""
    config = next(iter(getattr(model, "peft_config", {}).values()), None)
    return config.lora_alpha / config.r if config else 1.0
