"""Completions from the checkpoints of a run: by Transformers on any device, or by vLLM where it serves. One batch at a time.

A generator has a `fingerprint`, which tells two models apart, so that no old sample is taken for a new one, and a `batch_size`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from grpo_lab import models
from grpo_lab.evaluation.plan import short_hash
from grpo_lab.recipes import Recipe

if TYPE_CHECKING:
    from vllm import LLM

VLLM_SHARE = 0.85  # of the card's memory


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


class TransformersGenerator:
    """Generates with `model.generate`; prompts of one call are padded to the longest, so give it prompts of like length."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int):
        self.model, self.tokenizer, self.batch_size = model, tokenizer, batch_size
        self.fingerprint = fingerprint(model)

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[str], decoding: Decoding, seed: int) -> list[Completion]:
        """One completion a prompt (`decoding.samples` is the caller's affair); `seed` makes sampling repeatable.

        The random states of the CPU and of a CUDA card are afterwards as they were: measuring between two updates does not change
        what a training samples next.
        """
        was_training, device = self.model.training, self.model.device
        self.model.eval()
        batch = self.tokenizer(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False).to(device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            output = self.model.generate(
                **batch,
                max_new_tokens=decoding.max_new_tokens,
                eos_token_id=end_tokens(self.tokenizer),
                pad_token_id=self.tokenizer.pad_token_id,
                use_cache=True,
                **({"temperature": decoding.temperature, "top_k": 0, "top_p": 1.0} if decoding.temperature else {}),
                do_sample=decoding.temperature > 0,
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


def load_vllm(recipe: Recipe, root: Path) -> "LLM":
    """The recipe's base model held by vLLM, an optional library, which serves it bare and with any of the run's adapters."""
    from vllm import LLM

    base = models.base_path(recipe, root)
    longest = AutoConfig.from_pretrained(base).max_position_embeddings
    return LLM(
        model=base,
        dtype=str(models.compute_dtype(recipe)).removeprefix("torch."),
        # Room for twice the budget; the model's own limit may be far more, which would take the cache's memory.
        max_model_len=min(longest, recipe.max_length + 2 * recipe.evaluation.max_completion_length),
        enable_lora=True,
        max_lora_rank=max(8, recipe.lora.rank),
        gpu_memory_utilization=VLLM_SHARE,
    )


class VllmGenerator:
    """Generates with vLLM, fast on a card that it serves: by the base (adapter None) or the base with an adapter."""

    batch_size = 1000  # prompts at once; vLLM itself decides how many of them run together

    def __init__(self, llm: "LLM", tokenizer: PreTrainedTokenizerBase, adapter: Path | None):
        from vllm.lora.request import LoRARequest

        self.llm, self.tokenizer = llm, tokenizer
        self.fingerprint = short_hash((adapter / "adapter_model.safetensors").read_bytes() if adapter else b"vllm")
        number = int(self.fingerprint[:7], 16) + 1  # vLLM keeps adapters by number
        self.lora = LoRARequest(adapter.parent.name, number, str(adapter)) if adapter else None

    def __call__(self, prompts: Sequence[str], decoding: Decoding, seed: int) -> list[Completion]:
        from vllm import SamplingParams

        ends = end_tokens(self.tokenizer)
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
        ids = self.tokenizer(list(prompts), add_special_tokens=False).input_ids  # of a text vLLM would begin with a second BOS
        inputs = [{"prompt_token_ids": tokens} for tokens in ids]
        outputs = self.llm.generate(inputs, params, lora_request=self.lora, use_tqdm=False)
        completions = []
        for output in (output.outputs[0] for output in outputs):
            ended = bool(output.token_ids) and output.token_ids[-1] in ends
            completions.append(Completion(output.text, len(output.token_ids) - ended, output.finish_reason == "length"))
        return completions


def checkpoints(
    recipe: Recipe, root: Path, backend: str, adapters: Mapping[str, Path], use_vllm: bool = False
) -> Iterator[tuple[str, PreTrainedModel | VllmGenerator, PreTrainedTokenizerBase]]:
    """The checkpoints of a run, ready to be measured, as (name, model, tokenizer): the base, then the base with each adapter.

    The base is loaded anew for each adapter, because PEFT changes the model that it is given; vLLM holds it once. ValueError
    where an adapter was trained with another template or end mark than the recipe has.
    """
    tokenizer = models.load_tokenizer(recipe, root)
    for adapter in adapters.values():
        models.check_tokenizer(tokenizer, adapter)
    llm = load_vllm(recipe, root) if use_vllm else None
    for name, adapter in {"base": None, **adapters}.items():
        if llm:
            yield name, VllmGenerator(llm, tokenizer, adapter), tokenizer
        else:
            base, tokenizer = models.load_base(recipe, root, backend)
            yield name, models.load_adapter(base, adapter) if adapter else base, tokenizer
