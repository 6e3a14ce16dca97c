"""Attention for generating on a CPU: as Transformers' own, in half the time where several query heads share a key head.

Transformers copies the cached keys and values once for each query head, at every token. A single new token needs no such copy:
the query heads of one key head are laid out as if they were positions, and the cache is read where it lies.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "sdpa_grouped"


def grouped_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs,
) -> tuple[Tensor, None]:
    """Transformers' SDPA attention; query (batch, heads, length, size), key and value (batch, key heads, cached, size)."""
    batch, heads, length, size = query.shape
    groups = heads // key.shape[1]
    if length > 1 or groups == 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)
    query = query.reshape(batch, heads // groups, groups, size)
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scaling)
    return output.reshape(batch, heads, 1, size).transpose(1, 2).contiguous(), None


def use_on_cpu(model: PreTrainedModel) -> None:
    """Switch a model that lies on the CPU and uses SDPA to `grouped_attention`; any other stays as it is."""
    if model.device == torch.device("cpu") and model.config._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, grouped_attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)
