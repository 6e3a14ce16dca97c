"""For the notebook: what each export would take, and the exports that are wanted, one after another.

They lie in `results/<RUN>-export/`, beside the run and not in it, because a mirror copies all of a run.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grpo_lab import host, mirror, runs
from grpo_lab.export import sizes
from grpo_lab.export.gguf import TYPES, export_gguf, find_converter, read_gguf
from grpo_lab.export.hub import open_repository, push, require_card
from grpo_lab.export.merge import export_adapter, export_merged, half_precision
from grpo_lab.export.ollama import export_modelfile
from grpo_lab.export.sizes import BYTES, parameters, size_of, tell
from grpo_lab.recipes import Recipe

KINDS = {  # what can be made, and what of it
    "adapter": "the LoRA adapter alone; needs the base beside it",
    "merged": "adapter and base as one 16-bit model, for Transformers and vLLM",
    "gguf": "the merged model for llama.cpp, at 16 bits",
    "gguf-q8_0": "the same at 8 bits",
    "ollama": "a Modelfile beside the GGUF, with our template and stop marks",
}
PLACES = {
    "drive": "copies what is asked for beside it to Drive; 'drive:/a/folder' to a folder",
    "hub:owner/name": "uploads the adapter with the model card; 'hub-merged:...' and 'hub-gguf:...' upload these",
}
NEEDED_FOR = {"gguf": ("merged",), "ollama": ("merged", "gguf")}
IMPLIED = {"hub": "adapter", "hub-merged": "merged", "hub-gguf": "ollama"}  # what an upload takes
UPLOADED = {"adapter": "adapter", "merged": "merged", "ollama": "gguf"}  # the folder that it lies in


@dataclass(frozen=True)
class Order:
    """What is wanted. kinds: what is to be made, in the order of making; gguf_type: one of `gguf.TYPES`.

    folder: where a copy goes; "" is Drive, None no copy. copied: the folders that are copied. pushes: (folder, repository).
    """

    kinds: tuple[str, ...]
    gguf_type: str
    folder: str | None
    copied: frozenset[str]
    pushes: tuple[tuple[str, str], ...]


def read_order(wanted: Sequence[str] | str) -> Order:
    """Understand EXPORT. ValueError with the known names for any other."""
    wanted = (wanted,) if isinstance(wanted, str) else wanted
    asked, folder, pushes = set(), None, {}
    for name in wanted:
        found = re.fullmatch(r"(hub|hub-merged|hub-gguf):([\w.-]+/[\w.-]+)", name)
        if found and found[2] not in pushes:
            pushes[found[2]] = IMPLIED[found[1]]
        elif found:
            raise ValueError(f"EXPORT names the repository {found[2]} twice: give each export one of its own.")
        elif name == "drive" or name.startswith("drive:/"):
            folder = name.partition(":")[2]
        elif name in KINDS:
            asked.add("gguf" if name == "gguf-q8_0" else name)
        else:
            known = ", ".join(map(repr, (*KINDS, *PLACES)))
            raise ValueError(f"There is no export {name!r}: EXPORT holds any of {known}, or is () for none.")
    if {"gguf", "gguf-q8_0"} <= set(wanted):
        raise ValueError("EXPORT names two GGUFs, 'gguf' and 'gguf-q8_0': ask for one of them.")
    if folder is not None and not asked:
        asked.add("adapter")
    named = asked | set(pushes.values())
    needed = named | {part for kind in named for part in NEEDED_FOR.get(kind, ())}
    return Order(
        kinds=tuple(kind for kind in KINDS if kind in needed),
        gguf_type="q8_0" if "gguf-q8_0" in wanted else "f16",
        folder=folder,
        copied=frozenset(UPLOADED.get(kind, kind) for kind in asked),
        pushes=tuple((UPLOADED[kind], repo) for repo, kind in pushes.items()),
    )


def offers_markdown(run: Path, recipe: Recipe, root: Path) -> str:
    """A table of the exports and their sizes, with what is free. Loads nothing."""
    adapter, folder = runs.require_adapter(run, "grpo"), _folder(run)
    try:
        weights = parameters(recipe, root)
        takes, download = _takes(adapter, weights), sizes.to_download(recipe, weights)
    except OSError as error:
        takes, download = {"adapter": size_of(adapter)}, 0
        print(f"The base's size is not known, because its configuration cannot be read ({type(error).__name__}).")
    rows = [f"| `{name}` | {what} | {tell(takes[name]) if name in takes else '–'} |" for name, what in (KINDS | PLACES).items()]
    text = f"`results/{folder.name}` has {tell(sizes.free(folder))} free. A GGUF is made of a merged model, which stays."
    if download:
        text += f" Merging loads the base in 16 bits, of which {tell(download)} have to be downloaded."
    return "\n".join(("| `EXPORT` | what it makes | size |", "| :-- | :-- | --: |", *rows, "", text))


def take_home(
    run: Path,
    recipe: Recipe,
    root: Path,
    backend: str,
    wanted: Sequence[str] | str,
    questions: Sequence[str] = (),
    private: bool = True,
) -> dict[str, Path | str]:
    """Make the exports that are wanted (see `offers_markdown`) and say how each went; returns their paths and addresses.

    questions: what the merged model and the GGUF are compared on; the first 8 are taken. private: whether a hub repository must
    be. Names, tools, repositories, disk and memory are looked at before anything is made. Raises ValueError, ImportError,
    FileNotFoundError, RuntimeError or OSError, each with a sentence.
    """
    order, adapter, folder = read_order(wanted), runs.require_adapter(run, "grpo"), _folder(run)
    converter = find_converter(backend) if "gguf" in order.kinds else None
    copy = _copy_folder(run, order.folder)
    _check(order, adapter, recipe, root, folder, copy)
    for _, repo in order.pushes:
        require_card(run)
        open_repository(repo, private)
    made: dict[str, Path | str] = {}
    make = {
        "adapter": lambda: export_adapter(adapter, recipe, folder / "adapter"),
        "merged": lambda: _merge(adapter, recipe, root, backend, folder / "merged", questions),
        "gguf": lambda: _convert(made["merged"], recipe, backend, converter, folder / "gguf", order.gguf_type, questions),
        "ollama": lambda: export_modelfile(made["gguf"], made["merged"], recipe),
    }
    for kind in order.kinds:
        made[kind] = make[kind]()
        print(f"{kind}: {made[kind]}")
    if copy:
        for name in sorted(order.copied):
            shutil.copytree(folder / name, copy / name, dirs_exist_ok=True)
        made["drive"] = copy
        print(f"drive: {copy}")
    for name, repo in order.pushes:
        made[f"hub:{repo}"] = push(folder / name, name, require_card(run), repo)
        print(f"hub: {made[f'hub:{repo}']}")
    return made


def _folder(run: Path) -> Path:
    return run.with_name(f"{run.name}-export")


def _takes(adapter: Path, weights: int) -> dict[str, float]:
    """Bytes of each kind."""
    return {"adapter": size_of(adapter)} | {kind: weights * size for kind, size in BYTES.items()}


def _check(order: Order, adapter: Path, recipe: Recipe, root: Path, folder: Path, copy: Path | None) -> None:
    """Disk and memory for everything together."""
    weights, needs = 0, {}
    if "merged" in order.kinds:
        weights = parameters(recipe, root)
        needs[sizes.hub_cache()] = sizes.to_download(recipe, weights)
        sizes.require_memory(recipe, weights)
    takes = _takes(adapter, weights) | {"gguf": weights * TYPES[order.gguf_type]}
    needs[folder] = sizes.replacing(folder, sum(takes.get(kind, 0) for kind in order.kinds))
    if copy:
        needs[copy] = sizes.replacing(copy, sum(takes[name] for name in order.copied))
    sizes.require_room(needs)


def _merge(adapter: Path, recipe: Recipe, root: Path, backend: str, folder: Path, questions: Sequence[str]) -> Path:
    result = export_merged(adapter, recipe, root, backend, folder, questions)
    if result:
        print(f"merged, in {str(half_precision(recipe)).removeprefix('torch.')}, against adapter + base: {result}.")
    if recipe.load_in_4bit:
        print("What was measured is the adapter over 4-bit weights; over the 16-bit ones it may do a little better or worse.")
    return folder


def _convert(
    merged: Path, recipe: Recipe, backend: str, converter: Path, folder: Path, kind: str, questions: Sequence[str]
) -> Path:
    path = export_gguf(merged, recipe, converter, folder, kind)
    if questions and (reading := read_gguf(path, merged, recipe, backend, questions)):
        print(f"gguf, against merged: {reading}.")
    return path


def _copy_folder(run: Path, folder: str | None) -> Path | None:
    """Where a copy goes; Drive is mounted, which asks once."""
    if folder is None:
        return None
    if folder:
        return Path(folder) / _folder(run).name
    if host.detect_host() != "colab":
        raise ValueError("The export 'drive' is Colab's Google Drive: elsewhere name a folder, as in 'drive:/a/folder'.")
    try:
        mirror.mount_drive()
    except OSError as error:
        raise OSError(f"Drive could not be used ({error}): run this cell again and allow it, or leave 'drive' out.") from error
    return mirror.DRIVE / "MyDrive" / mirror.FOLDER / _folder(run).name
