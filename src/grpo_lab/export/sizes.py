"""What an export takes, known before anything is loaded: bytes on disk, bytes to download, bytes of memory."""

import gc
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import AutoConfig, AutoModelForCausalLM

from grpo_lab.host import GIB, existing_parent
from grpo_lab.models import base_path, compute_dtype
from grpo_lab.recipes import Recipe

BYTES = {"merged": 2, "gguf": 2, "gguf-q8_0": 34 / 32}  # a weight; Q8_0 has a 16-bit scale for every 32 weights
HEADROOM = 1.2  # of memory, for activations, the cache and the logits that are compared


def parameters(recipe: Recipe, root: Path) -> int:
    """How many weights the base has, from its configuration alone; nothing is loaded. OSError where that cannot be had."""
    config = AutoConfig.from_pretrained(base_path(recipe, root))
    with torch.device("meta"):
        return sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())


def to_download(recipe: Recipe, weights: int) -> int:
    """Bytes of the 16-bit base that the hub's cache lacks: 4-bit training has fetched another copy of it, or none."""
    if recipe.base_model.startswith("data/"):
        return 0
    names = {recipe.base_model, f"unsloth/{recipe.base_model.partition('/')[2]}"}  # Unsloth takes its own copy of a model
    return max(0, weights * BYTES["merged"] - max(map(_cached, names)))


def _cached(name: str) -> int:
    try:
        folder = snapshot_download(name, local_files_only=True)
    except LocalEntryNotFoundError:
        return 0
    return sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))


def hub_cache() -> Path:
    """Where downloads go."""
    return Path(constants.HF_HUB_CACHE)


def size_of(folder: Path) -> int:
    """Bytes of all files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def replacing(folder: Path, size: float) -> float:
    """Bytes that are lacking where `size` bytes are to replace what a folder holds."""
    return max(0, size - (size_of(folder) if folder.exists() else 0))


def tell(size: float) -> str:
    """A number of bytes for people: GiB, below 0.1 GiB in MiB."""
    return f"{size / GIB:.1f} GiB" if size >= 0.1 * GIB else f"{size / 1024**2:.1f} MiB"


def free(place: Path) -> int:
    """Free bytes on the disk of a file or folder, which need not exist yet."""
    return shutil.disk_usage(existing_parent(place)).free


def require_room(needs: Mapping[Path, float]) -> None:
    """RuntimeError where a disk lacks the bytes that are needed under these folders; what lies on one disk is added up."""
    disks: dict[int, list[Path]] = {}
    for place in needs:
        disks.setdefault(existing_parent(place).stat().st_dev, []).append(place)
    for places in disks.values():
        wanted, there = sum(needs[place] for place in places), free(places[0])
        if there < wanted:
            raise RuntimeError(
                f"This export needs {tell(wanted)} on the disk of {' and '.join(map(str, places))}, and {tell(there)} are free: "
                "delete old exports, checkpoints or downloads there, or ask for a smaller export (the adapter is the smallest)."
            )


def release_memory() -> None:
    """Give back what models that nobody holds any more still take."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def require_memory(recipe: Recipe, weights: int) -> None:
    """RuntimeError where the unquantised model does not fit in the memory that is free, on the card or in the machine."""
    release_memory()
    if torch.cuda.is_available():
        there, where = torch.cuda.mem_get_info()[0], "the GPU"
    else:
        import psutil

        there, where = psutil.virtual_memory().available, "this machine"
    wanted = HEADROOM * weights * compute_dtype(recipe).itemsize
    if there < wanted:
        raise RuntimeError(
            f"Merging needs {tell(wanted)} of memory, and {where} has {tell(there)} free: restart the session and run only the "
            "cells that this one needs (not the measurement), or use a larger machine."
        )
