"""The checkpoints of a run, one after another, ready to be measured."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from grpo_lab import models
from grpo_lab.evaluation.generation import VllmEngine, VllmGenerator
from grpo_lab.recipes import Recipe


def checkpoints(
    recipe: Recipe, root: Path, backend: str, adapters: Mapping[str, Path], use_vllm: bool = False
) -> Iterator[tuple[str, PreTrainedModel | VllmGenerator, PreTrainedTokenizerBase]]:
    """The base, then the base with each adapter, as (name, model, tokenizer).

    The base is loaded anew for each adapter, because PEFT changes the model that it is given; vLLM holds it once. ValueError
    where an adapter was trained with another template or end mark than the recipe has.
    """
    tokenizer = models.load_tokenizer(recipe, root)
    for adapter in adapters.values():
        models.check_tokenizer(tokenizer, adapter)
    engine = VllmEngine(recipe, root, tokenizer) if use_vllm else None
    for name, adapter in {"base": None, **adapters}.items():
        if engine:
            yield name, engine.generator(adapter), tokenizer
        else:
            base, tokenizer = models.load_base(recipe, root, backend)
            yield name, models.load_adapter(base, adapter, trainable=False) if adapter else base, tokenizer
