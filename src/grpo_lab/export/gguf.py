"""GGUF, the file that llama.cpp and Ollama read, by llama.cpp's own converter; checked with llama.cpp where its bindings are.

The converter is a script of llama.cpp's repository, not of a package on PyPI. Unsloth fetches llama.cpp where it is the backend.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from grpo_lab.export.compare import chat_prompts
from grpo_lab.export.merge import load_merged
from grpo_lab.export.sizes import BYTES, replacing, require_room, size_of
from grpo_lab.recipes import Recipe

SCRIPT = "convert_hf_to_gguf.py"
CONTEXT = 512  # tokens of a prompt that are compared; the bindings keep the logits of all
TYPES = {
    "f16": BYTES["gguf"],
    "q8_0": BYTES["gguf-q8_0"],
}  # llama-quantize and `ollama create --quantize q4_K_M` make smaller ones of f16
# The converter knows tokenizers by a fingerprint and refuses any other, so also the tiny base's. "qwen2" is the nearest that
# llama.cpp has (single digits), but it cuts other signs otherwise: such a file answers to token ids as it should, not to text.
AS_QWEN2 = f"""
import importlib, sys
sys.path.insert(0, sys.argv.pop(1))
script = importlib.import_module({SCRIPT.removesuffix(".py")!r})
text_model = getattr(script, "TextModel", None) or importlib.import_module("conversion.base").TextModel
text_model.get_vocab_base_pre = lambda self, tokenizer: "qwen2"
script.main()
"""


@dataclass(frozen=True)
class Reading:
    """llama.cpp's reading of a GGUF against Transformers' of the model that it was made of.

    same_tokens: how many of the prompts llama.cpp cuts into the same tokens. same_choice: at how many of the `positions` the
    likeliest next token is the same. logit_difference: the largest of all, given the same tokens.
    """

    prompts: int
    same_tokens: int
    positions: int
    same_choice: int
    logit_difference: float

    def __str__(self) -> str:
        text = (
            f"given the same tokens, llama.cpp makes the same choice at {self.same_choice} of {self.positions} positions (the "
            f"logits differ by at most {self.logit_difference:.2g}); it cuts {self.same_tokens} of {self.prompts} prompts into "
            "the same tokens"
        )
        lost = ", so it reads text otherwise than the model was trained to, and its answers are not the measured model's"
        return text + lost * (self.same_tokens < self.prompts)


def find_converter(backend: str = "peft") -> Path:
    """llama.cpp's converter: in the folder LLAMA_CPP, on the PATH, or where Unsloth keeps it, which may fetch it first.

    FileNotFoundError or ModuleNotFoundError says what to install.
    """
    if find_spec("sentencepiece") is None:  # the converter imports it whatever the tokenizer
        raise ModuleNotFoundError("llama.cpp's converter needs the package sentencepiece: run `pip install sentencepiece`.")
    folders = [os.environ.get("LLAMA_CPP"), "llama.cpp", Path.home() / ".unsloth" / "llama.cpp"]
    for script in (Path(folder).expanduser() / SCRIPT for folder in folders if folder):
        if script.is_file():
            return script.resolve()
    if found := shutil.which(SCRIPT):
        return Path(found).resolve()
    if backend == "unsloth" and torch.cuda.is_available():
        from unsloth_zoo.llama_cpp import install_llama_cpp

        return Path(install_llama_cpp()[1]).resolve()
    raise FileNotFoundError(
        f"GGUF needs llama.cpp's {SCRIPT}, and there is none here: run `git clone --depth 1 "
        "https://github.com/ggml-org/llama.cpp` and set the environment variable LLAMA_CPP to that folder."
    )


def export_gguf(merged: Path, recipe: Recipe, converter: Path, folder: Path, kind: str = "f16") -> Path:
    """Convert the merged model to `folder`/model-<kind>.gguf and return that path. kind: one of TYPES.

    Raises RuntimeError where the disk does not suffice, or with the converter's last line where it fails.
    """
    path = folder / f"model-{kind}.gguf"
    require_room({folder: replacing(path, size_of(merged) * TYPES[kind] / BYTES["merged"])})
    folder.mkdir(parents=True, exist_ok=True)
    start = [str(converter)]
    if recipe.base_model.startswith("data/"):
        start = ["-c", AS_QWEN2, str(converter.parent)]
        print("llama.cpp does not know the tiny base's tokenizer: give this GGUF token ids, it cuts text otherwise than trained.")
    half = path.with_name(f"{path.name}.tmp")
    command = [sys.executable, *start, str(merged), "--outtype", kind, "--outfile", str(half)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode or not half.is_file():
        half.unlink(missing_ok=True)
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it said nothing")
        raise RuntimeError(
            f"llama.cpp's converter could not make a GGUF of {merged.name} ({last.strip()}): "
            f"it may be older than the model's kind, so update llama.cpp in {converter.parent}."
        )
    return half.replace(path)


def read_gguf(path: Path, merged: Path, recipe: Recipe, backend: str, questions: Sequence[str]) -> Reading | None:
    """Compare llama.cpp's logits and tokens with the merged model's; None, which is said, where its bindings are not installed.

    It takes the memory of both models; llama.cpp runs on the CPU.
    """
    if find_spec("llama_cpp") is None:
        print("The GGUF's logits were not compared: that takes llama.cpp's bindings (`pip install llama-cpp-python`).")
        return None
    from llama_cpp import Llama

    model, tokenizer = load_merged(merged, recipe, backend)
    model.eval()
    llama = Llama(str(path), n_ctx=CONTEXT, logits_all=True, verbose=False)
    prompts = chat_prompts(tokenizer, questions)
    same_tokens, positions, same_choice, worst = 0, 0, 0, 0.0
    for prompt in prompts:
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        same_tokens += llama.tokenize(prompt.encode(), add_bos=False, special=True) == ids
        ids = ids[:CONTEXT]
        llama.reset()
        llama.eval(ids)
        theirs = torch.tensor(llama.scores[: len(ids)])
        with torch.inference_mode():
            ours = model(torch.tensor([ids], device=model.device)).logits[0].float().cpu()
        positions += len(ids)
        same_choice += int((ours.argmax(1) == theirs.argmax(1)).sum())
        worst = max(worst, (ours - theirs).abs().max().item())
    return Reading(len(prompts), same_tokens, positions, same_choice, worst)
