"""Take a trained model home: the adapter folded into its base, a private repository on the hub, a GGUF for llama.cpp.

The adapter is never merged into 4-bit weights: each merged weight would be rounded to one of sixteen values again, and the
adapter half lost. The base is loaded unquantised, in the precision that the recipe computes in, the adapter is added there, and
only the result is rounded: to bfloat16 where the device computes in that, else to float16, which rounds eight times finer.

What is made lies in `results/<RUN>-export/`, beside the run and not in it, because a mirror copies all of a run.
Call `runs.choose_backend` before this module is imported.
"""

import json
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import torch
from accelerate.utils.memory import clear_device_cache
from huggingface_hub import CommitOperationAdd, HfApi
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from grpo_lab import models
from grpo_lab.evaluation.generation import end_tokens
from grpo_lab.host import GIB, detect_host, existing_parent, first_line
from grpo_lab.recipes import Recipe
from grpo_lab.runs import require_adapter
from grpo_math.formats import user_turn

PROMPTS, TOKENS = 8, 128  # that are compared
HEADROOM = 1.2  # of memory, for activations, the cache and the logits, which take 0.6 GB with Qwen's vocabulary
GGUF_TYPES = ("f16", "q8_0", "q4_k_m")  # of the many that Unsloth knows: 16, 8 and about 5 bits a weight


# 1. Merge: one 16-bit model.


def merge_adapter(run: Path, recipe: Recipe, root: Path, backend: str, questions: Sequence[str]) -> Path:
    """Save base + GRPO adapter as one 16-bit model in `results/<RUN>-export/merged`, with its tokenizer; returns that folder.

    What was saved is loaded again and compared with base + adapter on the first 8 questions, which is printed, so that a merge
    that went wrong is seen here and not by whoever downloads it. What the folder held is replaced. One model is in memory at a
    time; free the notebook's own first.

    Raises FileNotFoundError where the run has no adapter, RuntimeError where disk or memory do not suffice (before anything is
    loaded), ValueError for an adapter of another recipe.
    """
    adapter, folder = require_adapter(run, "grpo"), run.with_name(f"{run.name}-export") / "merged"
    _require_room(recipe, root, folder)

    # Base and adapter, unquantised, and what they write.
    unquantised = replace(recipe, load_in_4bit=False)
    base, tokenizer = models.load_base(unquantised, root, backend)
    models.check_tokenizer(tokenizer, adapter)
    model = models.load_adapter(base, adapter)
    turns = [user_turn(question) for question in questions[:PROMPTS]]
    prompts = [tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) for turn in turns]
    written, logits = _greedy(model, tokenizer, prompts)

    # Merged, then rounded.
    dtype = torch.bfloat16 if models.compute_dtype(recipe) == torch.bfloat16 else torch.float16
    model = model.merge_and_unload(safe_merge=True).to(dtype)
    # The base's own generation settings sample, and may end at another mark than the one that training taught.
    model.generation_config = GenerationConfig(eos_token_id=end_tokens(tokenizer), pad_token_id=tokenizer.pad_token_id)
    model.config.eos_token_id, model.config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    if folder.exists():
        shutil.rmtree(folder)  # shards of an earlier merge would stay beside these
    model.save_pretrained(folder, max_shard_size="2GB")  # a shard is copied from the card to memory as a whole
    AutoTokenizer.from_pretrained(adapter).save_pretrained(folder)

    # Loaded again, with the tokenizer that lies beside it. The first model is let go of before.
    del model, base
    clear_device_cache(garbage_collection=True)
    model, _ = models.load_base(replace(unquantised, base_model=str(folder)), root, backend)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")  # which a tokenizer's files need not say
    written_again, logits_again = _greedy(model, tokenizer, prompts)
    gap = (logits - logits_again).abs().max().item()
    identical = sum(first == second for first, second in zip(written, written_again, strict=True))
    print(
        f"Merged, in {str(dtype).removeprefix('torch.')}, against adapter + base: {identical} of {len(prompts)} greedy "
        f"completions are identical; the logits of their first tokens differ by at most {gap:.2g}."
    )
    if recipe.load_in_4bit:
        print("What was measured is the adapter over 4-bit weights; over the 16-bit ones it may do a little better or worse.")
    del model
    clear_device_cache(garbage_collection=True)
    return folder


def _require_room(recipe: Recipe, root: Path, folder: Path) -> None:
    """RuntimeError where disk or memory do not suffice for a merge, judged by the base's configuration; nothing is loaded."""
    config = AutoConfig.from_pretrained(models.base_path(recipe, root))
    with torch.device("meta"):
        weights = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
    clear_device_cache(garbage_collection=True)
    if torch.cuda.is_available():
        memory, where = torch.cuda.mem_get_info()[0], "the GPU"
    else:
        memory, where = psutil.virtual_memory().available, "this machine"
    disk = shutil.disk_usage(existing_parent(folder)).free
    for place, wanted, there, advice in (
        (
            f"the disk of {folder}",
            2 * weights,
            disk,
            "delete old exports, checkpoints or downloads there, or push the adapter alone",
        ),
        (
            f"the memory of {where}",
            HEADROOM * weights * models.compute_dtype(recipe).itemsize,
            memory,
            "restart the session and run only the cells that this one needs (not the measurement), or use a larger machine",
        ),
    ):
        if there < wanted:
            raise RuntimeError(f"A merge needs {wanted / GIB:.2g} GiB of {place}, and {there / GIB:.2g} are free: {advice}.")


@torch.inference_mode()
def _greedy(model: PreTrainedModel, tokenizer: Tokenizer, prompts: Sequence[str]) -> tuple[list[list[int]], torch.Tensor]:
    """The first TOKENS tokens of each greedy completion, without its end marks, and the logits of their first tokens."""
    model.eval()
    batch = tokenizer(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
    ends = end_tokens(tokenizer)
    output = model.generate(
        **batch,
        max_new_tokens=TOKENS,
        do_sample=False,
        eos_token_id=ends,
        pad_token_id=tokenizer.pad_token_id,
        return_dict_in_generate=True,
        output_logits=True,
    )
    completions = output.sequences[:, batch["input_ids"].shape[1] :].tolist()
    return [[token for token in ids if token not in ends] for ids in completions], output.logits[0].float().cpu()


# 2. The hub: a private repository, with the model card as its README.


def push(run: Path, recipe: Recipe, repo: str, merged: Path | None = None) -> str:
    """Upload the run's GRPO adapter to the hub, or the model that `merge_adapter` made of it; returns the address.

    `repo` ("name/repository") is made private; the token is HF_TOKEN or the login's. Raises FileNotFoundError for a run without
    adapter or card, OSError for no token, no right to write, a repository that is public already, or an upload that fails.
    """
    card = run / "MODEL_CARD.md"
    if not card.is_file():
        raise FileNotFoundError(f"There is no {card.name} in {run.name}: run the cell that writes the card first.")
    if merged:
        folder, library = merged, "transformers"
        note = (
            "This repository holds the adapter folded into its base at 16 bits: "
            f'`AutoModelForCausalLM.from_pretrained("{repo}")` loads it whole, without PEFT. '
            "The measurements below are the adapter's."
        )
    else:
        folder, library = require_adapter(run, "grpo"), "peft"
        note = f"This repository holds the LoRA adapter: wherever the card names a path of it, put `{repo}`."
    files: dict[str, Path | bytes] = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if not merged:  # PEFT wrote down where the base lies on this machine
        config = json.loads((folder / "adapter_config.json").read_text()) | {"base_model_name_or_path": recipe.base_model}
        files["adapter_config.json"] = (json.dumps(config, indent=2) + "\n").encode()
    # The card is written for the adapter: its first lines name the library that reads the repository, then stands the note.
    text = re.sub(r"^library_name: .*$", f'library_name: "{library}"', card.read_text(encoding="utf-8"), count=1, flags=re.M)
    _, front, body = text.split("---\n", 2)
    files["README.md"] = f"---\n{front}---\n\n> {note}\n{body}".encode()

    hub = HfApi()
    try:
        hub.create_repo(repo, private=True, exist_ok=True)
        if not hub.model_info(repo).private:
            raise PermissionError("it is public, and must be private")
        adds = [CommitOperationAdd(name, content) for name, content in files.items()]
        done = hub.create_commit(repo, adds, commit_message=f"The {folder.name} of {run.name}")
    except (OSError, RuntimeError, httpx.HTTPError) as error:  # RuntimeError: an upload by hf_xet
        raise OSError(
            f"{folder} could not be pushed to {repo} ({first_line(error)}): set HF_TOKEN to a token that may write there (a "
            "secret on Colab and Kaggle, an environment variable elsewhere), check the repository's name, privacy and quota on "
            "the hub, and run the cell again."
        ) from error
    return done.commit_url.partition("/commit/")[0]


# 3. GGUF: the file that llama.cpp and Ollama read.


def write_gguf(merged: Path, recipe: Recipe, backend: str, kind: str) -> list[Path]:
    """Convert the model that `merge_adapter` made, by Unsloth; returns the files. kind: one of GGUF_TYPES.

    Unsloth installs llama.cpp with system packages, as root: on Colab and Kaggle it may; elsewhere RuntimeError says what to type
    instead. Raises ValueError for an unknown kind and for the tiny base.
    """
    if kind not in GGUF_TYPES:
        raise ValueError(f"There is no GGUF type {kind!r}: choose one of {', '.join(GGUF_TYPES)}.")
    if recipe.base_model.startswith("data/"):
        raise ValueError(
            "llama.cpp does not know the tiny base's tokenizer and would cut text otherwise than the model was trained to: "
            "a GGUF is made of a recipe with a base from the hub."
        )
    if backend != "unsloth" or detect_host() not in ("colab", "kaggle"):
        outtype, smaller = ("f16", ", of which llama-quantize makes q4_k_m") if kind == "q4_k_m" else (kind, "")
        target = merged.with_name(f"model-{outtype}.gguf")
        raise RuntimeError(
            "A GGUF is made by Unsloth, on Colab and Kaggle alone, because it installs system packages: type "
            "`git clone --depth 1 https://github.com/ggml-org/llama.cpp; pip install sentencepiece; "
            f"python llama.cpp/convert_hf_to_gguf.py {shlex.quote(str(merged))} --outtype {outtype} "
            f"--outfile {shlex.quote(str(target))}`{smaller}."
        )
    model, _ = models.load_base(replace(recipe, base_model=str(merged), load_in_4bit=False), merged, backend)
    made = model.save_pretrained_gguf(str(merged), AutoTokenizer.from_pretrained(merged), quantization_method=kind)
    return [Path(path) for path in made["gguf_files"]]
