"""Completions from a model: by Transformers on any device, or by vLLM where it serves. One batch at a time."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from grpo_lab.evaluation.plan import short_hash
from grpo_lab.models import base_path, compute_dtype
from grpo_lab.recipes import Recipe

VLLM_BATCH = 1000  # prompts at once; vLLM itself decides how many of them run together


@dataclass(frozen=True)
class Decoding:
    """How completions are drawn: greedily at temperature 0, else from the whole distribution.

    samples: completions a prompt. stop: a text before which a completion ends, None for the model's own end alone.
    """

    max_new_tokens: int
    temperature: float = 0.0
    samples: int = 1
    seed: int = 0
    stop: str | None = None


class Completion(NamedTuple):
    """A completion's text, its length in tokens without the end mark, and whether it was cut off at the token budget."""

    text: str
    tokens: int
    truncated: bool


class Generator(Protocol):
    """What an evaluation needs of a model. `fingerprint` tells two models apart, so that no old sample is taken for a new one."""

    batch_size: int
    fingerprint: str

    def __call__(self, prompts: Sequence[str], decoding: Decoding, seed: int) -> list[Completion]: ...


class TransformersGenerator:
    """Generates with `model.generate`; prompts of one call are padded to the longest, so give it prompts of like length."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int):
        self.model, self.tokenizer, self.batch_size = model, tokenizer, batch_size
        self.fingerprint = fingerprint(model)

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[str], decoding: Decoding, seed: int) -> list[Completion]:
        """One completion a prompt (`decoding.samples` is the caller's affair); `seed` makes sampling repeatable."""
        was_training = self.model.training
        self.model.eval()
        torch.manual_seed(seed)
        batch = self.tokenizer(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False).to(self.model.device)
        output = self.model.generate(
            **batch,
            max_new_tokens=decoding.max_new_tokens,
            eos_token_id=end_tokens(self.tokenizer),
            pad_token_id=self.tokenizer.pad_token_id,
            use_cache=True,
            **_sampling(decoding),
            **({"stop_strings": [decoding.stop], "tokenizer": self.tokenizer} if decoding.stop else {}),
        )
        self.model.train(was_training)
        return [self._read(ids, decoding.stop) for ids in output[:, batch["input_ids"].shape[1] :].tolist()]

    def _read(self, ids: list[int], stop: str | None) -> Completion:
        ends = end_tokens(self.tokenizer)
        end = next((n for n, token in enumerate(ids) if token in ends), None)
        text = self.tokenizer.decode(ids[:end], skip_special_tokens=True)
        stopped = bool(stop) and stop in text
        text = text.split(stop)[0] if stopped else text
        return Completion(text, len(ids) if end is None else end, end is None and not stopped)


def _sampling(decoding: Decoding) -> dict:
    if not decoding.temperature:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": decoding.temperature, "top_k": 0, "top_p": 1.0}


def end_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end a completion: the end of the turn, and the end of the text."""
    return [tokenizer.eos_token_id, tokenizer.pad_token_id]


def fingerprint(model: PreTrainedModel) -> str:
    """16 hexadecimal digits that change with the adapter (all of it) and with the base (a few numbers of each weight)."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.named_parameters(), key=lambda item: item[0]):
        part = weight.detach().flatten()
        part = part if "lora_" in name else part[:16]
        digest.update(part.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


class VllmEngine:
    """A base model held by vLLM, which serves it bare and with any of the run's adapters. Imports vLLM, an optional library."""

    def __init__(self, recipe: Recipe, root: Path, tokenizer: PreTrainedTokenizerBase, memory_share: float = 0.85):
        from vllm import LLM

        self.tokenizer = tokenizer
        base = base_path(recipe, root)
        longest = AutoConfig.from_pretrained(base).max_position_embeddings
        self.llm = LLM(
            model=base,
            dtype=str(compute_dtype(recipe)).removeprefix("torch."),
            # Room for twice the budget; the model's own limit may be far more, which would take the cache's memory.
            max_model_len=min(longest, recipe.max_length + 2 * recipe.evaluation.max_completion_length),
            enable_lora=True,
            max_lora_rank=max(8, recipe.lora.rank),
            gpu_memory_utilization=memory_share,
        )

    def generator(self, adapter: Path | None = None) -> "VllmGenerator":
        """The base (None) or the base with an adapter."""
        return VllmGenerator(self, adapter)


class VllmGenerator:
    """Generates with vLLM: fast on a card that it serves."""

    batch_size = VLLM_BATCH

    def __init__(self, engine: VllmEngine, adapter: Path | None):
        from vllm.lora.request import LoRARequest

        self.engine = engine
        weights = adapter / "adapter_model.safetensors" if adapter else None
        content = weights.read_bytes() if weights else b"vllm"
        self.fingerprint = short_hash(content)
        number = int(self.fingerprint[:7], 16) + 1  # vLLM keeps adapters by number
        self.lora = LoRARequest(adapter.parent.name, number, str(adapter)) if adapter else None

    def __call__(self, prompts: Sequence[str], decoding: Decoding, seed: int) -> list[Completion]:
        from vllm import SamplingParams

        ends = end_tokens(self.engine.tokenizer)
        params = [
            SamplingParams(
                temperature=decoding.temperature,
                max_tokens=decoding.max_new_tokens,
                stop_token_ids=ends,
                stop=[decoding.stop] if decoding.stop else None,
                seed=seed + i if decoding.temperature else None,  # vLLM gives equal prompts with equal seeds equal samples
            )
            for i in range(len(prompts))
        ]
        outputs = self.engine.llm.generate(list(prompts), params, lora_request=self.lora, use_tqdm=False)
        return [self._read(output.outputs[0], ends) for output in outputs]

    @staticmethod
    def _read(output, ends: list[int]) -> Completion:
        ended = bool(output.token_ids) and output.token_ids[-1] in ends
        return Completion(output.text, len(output.token_ids) - ended, output.finish_reason == "length")
