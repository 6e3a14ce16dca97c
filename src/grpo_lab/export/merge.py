"""The adapter on its own, and folded into the base at 16 bits.

Never into 4-bit weights: each merged weight would be rounded to one of sixteen values again, and the adapter half lost. The base
is loaded unquantised, in the precision that the recipe computes in, the adapter is added there, and only the result is rounded:
to bfloat16 where the device computes in that, else to float16, which rounds eight times finer. What was saved is loaded again and
compared with adapter + base, so that a merge that went wrong is seen here and not by whoever downloads it.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoTokenizer, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from grpo_lab import models
from grpo_lab.evaluation.generation import end_tokens
from grpo_lab.export.compare import Comparison, chat_prompts, compare, trace
from grpo_lab.export.sizes import (
    BYTES,
    hub_cache,
    parameters,
    release_memory,
    replacing,
    require_memory,
    require_room,
    to_download,
)
from grpo_lab.recipes import Recipe

SHARD = "2GB"  # a shard is copied from the card to memory as a whole
PEFT_CARD = "README.md"  # empty but for a path of this machine


def export_adapter(adapter: Path, recipe: Recipe, folder: Path) -> Path:
    """Copy the adapter to `folder`, with the base named as the recipe names it instead of by a path of this machine."""
    shutil.copytree(adapter, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(PEFT_CARD))
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text()) | {"base_model_name_or_path": recipe.base_model}
    path.write_text(json.dumps(config, indent=2) + "\n")
    return folder


def half_precision(recipe: Recipe) -> torch.dtype:
    """The 16-bit type that merged weights are saved in."""
    return torch.bfloat16 if models.compute_dtype(recipe) == torch.bfloat16 else torch.float16


def export_merged(
    adapter: Path, recipe: Recipe, root: Path, backend: str, folder: Path, questions: Sequence[str]
) -> Comparison | None:
    """Save base + adapter as one 16-bit model in `folder`, load it again, and compare the two on the questions.

    What `folder` held is replaced. One model is in memory at a time; free the notebook's own first. No questions: no comparison,
    and None. Raises RuntimeError where disk or memory do not suffice, ValueError for an adapter of another recipe or weights that
    float16 cannot hold.
    """
    weights = parameters(recipe, root)
    require_room({folder: replacing(folder, weights * BYTES["merged"]), hub_cache(): to_download(recipe, weights)})
    require_memory(recipe, weights)
    recipe = replace(recipe, load_in_4bit=False)
    base, tokenizer = models.load_base(recipe, root, backend)
    models.check_tokenizer(tokenizer, adapter)
    model = models.load_adapter(base, adapter, trainable=False)
    prompts = chat_prompts(tokenizer, questions)
    before = trace(model, tokenizer, prompts) if prompts else None
    model = model.merge_and_unload(safe_merge=True)
    _save(model, AutoTokenizer.from_pretrained(adapter), half_precision(recipe), folder)
    del model, base  # both hold the weights: without this the next load needs twice the memory
    release_memory()
    if before is None:
        return None
    again, tokenizer = load_merged(folder, recipe, backend)
    result = compare(before, trace(again, tokenizer, prompts), tokenizer.pad_token_id)
    del again
    release_memory()
    return result


def load_merged(folder: Path, recipe: Recipe, backend: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model that `export_merged` saved, computing in the recipe's precision, with the tokenizer that lies beside it."""
    model, _ = models.load_base(replace(recipe, base_model=str(folder), load_in_4bit=False), folder, backend)
    return model, AutoTokenizer.from_pretrained(folder)


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype, folder: Path) -> None:
    model = model.to(dtype)
    broken = [name for name, weight in model.named_parameters() if not weight.isfinite().all()]
    if broken:
        raise ValueError(
            f"The merged weights do not fit in {str(dtype).removeprefix('torch.')} ({broken[0]} has infinite values): "
            "merge on a card of compute capability 8 or higher, which saves bfloat16."
        )
    # The base's own generation settings sample, and may end at another mark than the one that training taught.
    model.generation_config = GenerationConfig(eos_token_id=end_tokens(tokenizer), pad_token_id=tokenizer.pad_token_id)
    model.config.eos_token_id, model.config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    if folder.exists():
        shutil.rmtree(folder)  # shards of an earlier merge would stay beside these
    model.save_pretrained(folder, max_shard_size=SHARD)
    tokenizer.save_pretrained(folder)
