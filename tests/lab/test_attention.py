"""Generating on a CPU: the grouped attention writes what Transformers' own writes, and is the one that is used."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from grpo_lab import attention, models
from grpo_lab.recipes import TINY

ROOT = Path(__file__).parents[2]
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 32, "vocab_size": 50, "num_attention_heads": 4}


@pytest.mark.parametrize(("config", "kind"), [(Qwen3Config, Qwen3ForCausalLM), (LlamaConfig, LlamaForCausalLM)])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_it_writes_what_transformers_own_attention_writes(config, kind, key_heads, monkeypatch):
    torch.manual_seed(0)
    model = kind(config(**SHAPE, num_key_value_heads=key_heads, initializer_range=0.5, pad_token_id=0, eos_token_id=1)).eval()
    ids, mask = torch.randint(2, 50, (5, 9)), torch.ones(5, 9, dtype=torch.long)
    for row in range(5):
        mask[row, :row] = 0  # padded on the left, each by another length
    prompts = {"input_ids": ids, "attention_mask": mask, "max_new_tokens": 20}
    prompts |= {"output_scores": True, "return_dict_in_generate": True}
    expected = model.generate(**prompts, do_sample=False)
    calls = []
    product = torch.nn.functional.scaled_dot_product_attention
    attention.use_on_cpu(model)
    monkeypatch.setattr(attention.F, "scaled_dot_product_attention", lambda *a, **k: calls.append(a[1].shape) or product(*a, **k))
    found = model.generate(**prompts, do_sample=False)
    assert torch.equal(found.sequences, expected.sequences)
    torch.testing.assert_close(torch.stack(found.scores), torch.stack(expected.scores), rtol=1e-4, atol=1e-4)
    assert all(shape[1] == key_heads for shape in calls[-4:]), "the cache is not copied for each query head"


def test_a_base_is_loaded_with_it():
    model, _ = models.load_base(TINY, ROOT, "peft")
    assert model.config._attn_implementation == attention.NAME
    eager = models.AutoModelForCausalLM.from_pretrained(ROOT / TINY.base_model, attn_implementation="eager")
    attention.use_on_cpu(eager)
    assert eager.config._attn_implementation == "eager", "what does not use SDPA stays as it is"
