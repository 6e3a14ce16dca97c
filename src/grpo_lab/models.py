"""Load a base model and its LoRA adapter, by Unsloth where it can be imported, else by Transformers and PEFT.

Both backends give the same two things, a PEFT model and a tokenizer, so nothing above this module needs to know which it got.
Call `runs.choose_backend` before this module is imported: Unsloth patches the libraries that it loads.
"""

import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from grpo_lab import attention
from grpo_lab.chat import prepare_tokenizer
from grpo_lab.recipes import Lora, Recipe

MOST_THREADS = 4  # a model this small only gets slower on more


def check_base(path: Path) -> None:
    """Compare a base made by this repo with the hash in its record. ValueError where one of the two is missing or damaged."""
    weights, record = path / "model.safetensors", path / "pretraining.json"
    whole = weights.is_file() and record.is_file()
    if not whole or hashlib.sha256(weights.read_bytes()).hexdigest() != json.loads(record.read_text())["sha256"]:
        raise ValueError(
            f"The tiny base is damaged: {weights} is missing or does not have the hash that {record.name} beside it names. "
            f"Restore it with `git checkout -- {path.parent.name}/{path.name}`, or make it again with `make tiny-base`."
        )


def compute_dtype(recipe: Recipe) -> torch.dtype:
    """The precision of the forward pass: bf16 from compute capability 8 on, fp16 below it (a T4 has no bf16), else float32."""
    if recipe.precision == "float32" or not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16


def load_base(recipe: Recipe, root: Path, backend: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The recipe's base model and its tokenizer with the recipe's chat template; left-padded for generation.

    4-bit weights, where the recipe has them, need a GPU; a trial on a CPU loads in float32.
    """
    name, dtype, on_gpu = base_path(recipe, root), compute_dtype(recipe), torch.cuda.is_available()
    in_4bit = recipe.load_in_4bit and on_gpu
    if backend == "unsloth":
        from unsloth import FastLanguageModel

        with redirect_stdout(sys.stdout if on_gpu else io.StringIO()):  # on a CPU it says at each load that it is one
            model, _ = FastLanguageModel.from_pretrained(
                name,
                max_seq_length=recipe.max_length,
                dtype=dtype,
                load_in_4bit=in_4bit,
                use_gradient_checkpointing="unsloth" if on_gpu else False,
            )
    else:
        settings = {}
        if in_4bit:
            settings["quantization_config"] = BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype, bnb_4bit_use_double_quant=True
            )
        if on_gpu:
            settings["device_map"] = {"": 0}
        elif torch.backends.mps.is_available():
            settings["device_map"] = {"": "mps"}
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, **settings)
    attention.use_on_cpu(model)
    torch.set_num_threads(min(MOST_THREADS, torch.get_num_threads()))
    return model, load_tokenizer(recipe, root)  # Unsloth's own would pad otherwise, or be a processor of images too


def base_path(recipe: Recipe, root: Path) -> str:
    """The base model's hub id, or the path of its folder; one that this repo made is checked first."""
    folder = root / recipe.base_model
    if recipe.base_model.startswith("data/") or (folder / "pretraining.json").is_file():
        check_base(folder)
    return str(folder) if folder.is_dir() else recipe.base_model


def load_tokenizer(recipe: Recipe, root: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of `load_base` alone: enough to count tokens before a model is loaded."""
    return prepare_tokenizer(AutoTokenizer.from_pretrained(base_path(recipe, root)), recipe)


def add_adapter(model: PreTrainedModel, lora: Lora, backend: str, seed: int) -> PreTrainedModel:
    """A fresh trainable LoRA adapter on the model; the weights of its blocks that it leaves out are named.

    ValueError where the model has an adapter already, or none of the layers that one would be put on.
    """
    _require_bare(model)
    if not any(name.rpartition(".")[2] in lora.target_modules for name, _ in model.named_modules()):
        raise ValueError(
            f"The {type(model).__name__} has none of the layers that LoRA is put on ({', '.join(lora.target_modules)}): set "
            "MODEL to another base, or name its linear layers in the recipe's lora.target_modules."
        )
    lora_settings = {
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": list(lora.target_modules),
        "bias": "none",
    }
    if backend == "unsloth":
        from unsloth import FastLanguageModel

        checkpointing = "unsloth" if torch.cuda.is_available() else False
        model = FastLanguageModel.get_peft_model(
            model, random_state=seed, use_gradient_checkpointing=checkpointing, **lora_settings
        )
    else:
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(seed)
        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **lora_settings))
    _name_left_out(model)
    return model


def _name_left_out(model: PreTrainedModel) -> None:
    """Print which matrices of the model's blocks (their names hold a number) have no adapter; nothing where all have."""
    names = [name for name, weight in model.named_parameters() if weight.dim() > 1 and re.search(r"\.\d+\.", name)]
    left = [name.removesuffix(".weight") for name in names if "lora_" not in name and ".base_layer." not in name]
    if left:
        kinds = sorted({name.rpartition(".")[2] for name in left})
        print(f"{len(left)} weights of the model's blocks have no adapter and stay as they are: {', '.join(kinds)}.")


def _require_bare(model: PreTrainedModel) -> None:
    """ValueError where the model has an adapter already: a second one would be saved, and never loaded."""
    if hasattr(model, "peft_config"):
        raise ValueError("The model has an adapter already: load the base again (run the cell that loads it) before another.")


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, adapter: Path) -> None:
    """ValueError where the adapter was trained with another chat template, end of turn or padding than it is now asked with."""
    if not (adapter / "tokenizer_config.json").is_file():
        print(f"{adapter.parent.name}/{adapter.name} has no tokenizer files, so it is asked with the recipe's tokenizer.")
        return
    trained = AutoTokenizer.from_pretrained(str(adapter))
    names = ("chat_template", "eos_token", "pad_token")
    different = [name for name in names if getattr(trained, name) != getattr(tokenizer, name)]
    if different:
        raise ValueError(
            f"The adapter in {adapter.parent.name}/{adapter.name} was trained with another {' and '.join(different)} than the "
            "recipe has now: set RECIPE to the one that it was trained with, or choose another RUN and train again."
        )


def fetch_adapter(name: str, root: Path) -> Path:
    """The folder of an adapter: its path, from the working directory or the clone, or an id of the hub, from where it is loaded.

    ValueError where it is neither.
    """
    for folder in (Path(name).expanduser(), root / name):
        if (folder / "adapter_model.safetensors").is_file():
            return folder
    try:
        folder = Path(snapshot_download(name, ignore_patterns=["checkpoint-*", "*.bin", "*.gguf"]))
    except (HFValidationError, RepositoryNotFoundError, LocalEntryNotFoundError) as error:
        raise ValueError(
            f"ADAPTER = {name!r} is no folder with an adapter, and the hub gives none of that id ({error})."
        ) from None
    if not (folder / "adapter_model.safetensors").is_file():
        raise ValueError(f"ADAPTER = {name!r} holds no adapter_model.safetensors: name the folder that PEFT saved.")
    return folder


def load_adapter(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """The base model with a saved adapter, to measure it. ValueError where the adapter does not fit (see `fill_adapter`)."""
    from peft import PeftModel

    _require_bare(model)
    with _fitting(adapter):
        loaded = PeftModel.from_pretrained(model, str(adapter))
    _require_whole(loaded, adapter)
    return loaded


def fill_adapter(model: PreTrainedModel, adapter: Path) -> None:
    """Give the fresh adapter of `add_adapter` the weights that an earlier stage saved, to train on.

    So every stage trains an adapter that its backend put on, with what comes with that: Unsloth's fused LoRA and checkpointing.
    ValueError where the adapter is of another shape, lacks weights, or holds some that fit nothing, which PEFT would leave out.
    """
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    _require_whole(model, adapter)
    with _fitting(adapter):
        set_peft_model_state_dict(model, load_file(adapter / "adapter_model.safetensors"))


def generate_in_parts(model: PreTrainedModel, most: int) -> None:
    """Let `model.generate`, which TRL asks for a whole rollout at once, take so many sequences at a time.

    The cache of keys and values is what fills a small card: 64 completions of 1,024 tokens take 9.7 GB in Qwen3-4B.
    """
    whole = model.generate

    def generate(input_ids: torch.Tensor, generation_config: GenerationConfig | None = None, **inputs) -> torch.Tensor:
        if generation_config is None:  # measuring, which brings batches of its own
            return whole(input_ids=input_ids, **inputs)
        parts = []
        for start in range(0, len(input_ids), most):
            of_part = {
                name: value[start : start + most] if isinstance(value, torch.Tensor) and len(value) == len(input_ids) else value
                for name, value in inputs.items()
            }
            parts.append(whole(input_ids=input_ids[start : start + most], generation_config=generation_config, **of_part))
        longest, padding = max(part.shape[1] for part in parts), generation_config.pad_token_id
        return torch.cat([torch.nn.functional.pad(part, (0, longest - part.shape[1]), value=padding) for part in parts])

    model.generate = generate


@contextmanager
def _fitting(adapter: Path) -> Iterator[None]:
    """A sentence for weights of other shapes."""
    try:
        yield
    except RuntimeError as error:
        if "size mismatch" not in str(error):
            raise
        of = json.loads((adapter / "adapter_config.json").read_text()).get("base_model_name_or_path")
        raise ValueError(
            f"{adapter} does not fit the model: its weights have other shapes, as it was trained on {of}. Set MODEL to that "
            "base, or choose another RUN and train again."
        ) from None


def _require_whole(model: PreTrainedModel, adapter: Path) -> None:
    """ValueError where the adapter's file lacks weights of the model's, or has others."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    expected = get_peft_model_state_dict(model)
    with safe_open(adapter / "adapter_model.safetensors", "pt") as saved:
        wrong = sorted(expected.keys() ^ saved.keys())
    if wrong:
        raise ValueError(
            f"{adapter} does not fit the model: {len(wrong)} of {len(expected)} weights are missing or fit nothing, such as "
            f"{wrong[0]}. It is of another base, or only half of it was written: train the stage again, or set MODEL to its base."
        )


def save_adapter(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, adapter: Path) -> None:
    """Save the adapter with the tokenizer that it was trained with."""
    model.save_pretrained(str(adapter))
    tokenizer.save_pretrained(str(adapter))
