"""Whether a recipe can run here at all, asked before anything is downloaded: each refusal is a sentence on what to do."""

import importlib.metadata
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from grpo_lab.hosts.installing import installed_versions
from grpo_lab.hosts.machine import GIB, Device, detect_host, memory_gb

OLDEST_CAPABILITY = (7, 0)
# The libraries whose versions Unsloth has broken with before. It also asks for what it never imports, at versions that PyPI
# does not always have, so its other requirements are not looked at.
WATCHED = ("torch", "transformers", "trl", "datasets", "peft", "accelerate", "bitsandbytes", "huggingface-hub", "numpy")
GPU_ADVICE = {
    "colab": "choose Runtime > Change runtime type > T4 GPU",
    "kaggle": "choose Session options > Accelerator > GPU T4 x2",
    "local": "run it on a machine that has one",
}


@dataclass(frozen=True)
class Needs:
    """What a recipe needs of a machine, memory and disk in GiB.

    disk_gb: for what the run writes. download_gb: for the hub's cache. model: the hub id that must be open to the user.
    """

    gpu: bool = False
    gpu_memory_gb: float = 0
    disk_gb: float = 1
    download_gb: float = 0
    memory_gb: float = 2
    model: str | None = None


def preflight(needs: Needs, device: Device, folder: Path) -> list[str]:
    """Check that a recipe can run here before anything is downloaded; `folder` is where the run is kept.

    Prints and returns notes on what could not be checked. Raises RuntimeError at the first thing that would fail later: the
    GPU, disk, memory, the versions that Unsloth accepts, access to the model.
    """
    _check_gpu(needs, device)
    _check_room(needs, folder)
    _check_libraries()
    notes = _check_model(needs.model) if needs.model else []
    for note in notes:
        print(note)
    return notes


def _check_gpu(needs: Needs, device: Device) -> None:
    if device.kind == "cuda" and device.capability and device.capability < OLDEST_CAPABILITY:
        raise RuntimeError(
            f"PyTorch no longer runs on this card ({device}), although it reports it: "
            "choose another, on Kaggle Session options > Accelerator > GPU T4 x2."
        )
    if not needs.gpu:
        return
    if device.kind == "cpu":
        raise RuntimeError(
            f"This recipe needs a GPU and there is none: {GPU_ADVICE[detect_host()]}, "
            "or set TRIAL = True or RECIPE = 'tiny' to go on without one."
        )
    if device.memory_gb < needs.gpu_memory_gb:
        raise RuntimeError(
            f"This recipe needs {needs.gpu_memory_gb:g} GiB of GPU memory and the device has less ({device}): "
            "choose a smaller RECIPE, a larger card, or TRIAL = True."
        )


def _check_room(needs: Needs, folder: Path) -> None:
    cache = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    for place, wanted in ((folder, needs.disk_gb), (cache, needs.download_gb)):
        place = existing_parent(place)
        free = shutil.disk_usage(place).free / GIB
        if free < wanted:
            raise RuntimeError(
                f"This recipe needs {wanted:g} GiB of disk and {place} has {free:.1f} GiB free: "
                "delete old runs or downloads there, or choose a smaller RECIPE."
            )
    if memory_gb() < needs.memory_gb:
        raise RuntimeError(
            f"This recipe needs {needs.memory_gb:g} GiB of memory and this machine has {memory_gb():.1f} GiB: "
            "choose a smaller RECIPE or a larger machine."
        )


def existing_parent(place: Path) -> Path:
    """The path itself, or the nearest folder above it that exists already."""
    return next(parent for parent in (place, *place.absolute().parents) if parent.exists())


def _check_libraries() -> None:
    """RuntimeError for an installed library outside what the installed Unsloth states; nothing to check without Unsloth."""
    for unsloth in ("unsloth", "unsloth_zoo"):
        try:
            stated = importlib.metadata.requires(unsloth) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for name, installed, accepted in conflicts(stated):
            raise RuntimeError(
                f"{name} {installed} is installed and {unsloth} {importlib.metadata.version(unsloth)} accepts {accepted}: "
                f'run `pip install "{name}{accepted}"` and restart the session.'
            )


def conflicts(requirements: list[str], installed: Mapping[str, str] | None = None) -> list[tuple[str, str, str]]:
    """The WATCHED libraries outside what `requirements` (as in a package's metadata) accept: name, version, accepted.

    installed: versions by name in lower case with hyphens; default: this environment's. Extras, and markers that do not hold
    here, are passed over, and so is a library that is not installed.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    installed = installed_versions() if installed is None else installed
    found = []
    for requirement in map(Requirement, requirements):
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if name not in WATCHED or name not in installed or not applies:
            continue
        if not requirement.specifier.contains(installed[name], prereleases=True):
            found.append((name, installed[name], str(requirement.specifier)))
    return found


def _check_model(model: str) -> list[str]:
    """Ask the hub whether the model may be read: notes, or RuntimeError where it says no."""
    from httpx import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        HfApi().auth_check(model)
    except GatedRepoError as error:
        raise RuntimeError(
            f"The model {model} is open only to those who accept its terms: accept them at https://huggingface.co/{model}, "
            "then set HF_TOKEN to your token (a secret on Colab and Kaggle, an environment variable elsewhere)."
        ) from error
    except RepositoryNotFoundError as error:
        raise RuntimeError(
            f"The hub has no model {model} that you may read: the id is wrong, or it is private and HF_TOKEN is not "
            "set to a token that may read it."
        ) from error
    except (HTTPError, OSError) as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
            raise RuntimeError(
                "The hub refuses the token in HF_TOKEN: make a new one at https://huggingface.co/settings/tokens, or unset it."
            ) from error
        return [f"The hub could not be asked about {model} ({type(error).__name__}); loading it will say whether it can be had."]
    return []
