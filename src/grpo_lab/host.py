"""Where the notebooks run, and what they need there: the host, the device, the libraries, the checks before a run.

>>> str(Device("cuda", "Tesla T4", 15.0, (7, 5), count=2))
'2 x Tesla T4, 15 GiB, compute capability 7.5'

Nothing here imports torch: the first cell runs before torch is loaded, because which cards torch sees, and which torch it is,
are settled by then. Memory and disk are in GiB.

On Colab and Kaggle a kernel is running on the host's own libraries. What it has loaded (KEPT) stays at its version, by a
constraints file made of what is installed; moving it breaks the session in ways that look like errors of this project. On any
other machine nothing is installed: `make setup` does that.
"""

import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

GIB = 1024**3
ROOT = Path(__file__).parents[2]  # of the clone, where the files with the pins lie
STACK, ALONE = ROOT / "requirements-colab.txt", ROOT / "requirements-unsloth.txt"  # the second without its own requirements
# What only some hosts need beside those files.
CUT_CROSS_ENTROPY = "cut_cross_entropy==25.1.1"  # Unsloth's loss on CUDA cards, which does not hold all logits in memory
# PEFT refuses an older torchao even where it is not used, and does without any; 0.16.0 imports on the most versions of torch.
TORCHAO = "torchao==0.16.0"
VLLM = "vllm==0.31.0"  # the newest that TRL 1.15.0 works with; it brings the torch that it was built for
VLLM_MOVES = ("torch", "torchvision", "torchaudio", "torchcodec", "triton")
# With compiled parts that a running kernel has in memory, or the kernel itself.
KEPT = (
    *VLLM_MOVES,
    *("numpy", "pandas", "scipy", "scikit-learn", "matplotlib", "pillow", "protobuf", "psutil"),
    *("ipykernel", "ipython", "jupyter-client", "pyzmq", "tornado", "traitlets"),
)
# The libraries whose versions Unsloth has broken with before. It also asks for what it never imports, at versions that PyPI
# does not always have, so its other requirements are not looked at.
WATCHED = ("torch", "transformers", "trl", "datasets", "peft", "accelerate", "bitsandbytes", "huggingface-hub", "numpy")

OLDEST_CAPABILITY = (7, 5)  # a T4's; torch's wheels for CUDA 13 hold nothing for older cards
QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits")
GPU_ADVICE = {
    "colab": "choose Runtime > Change runtime type > T4 GPU",
    "kaggle": "choose Session options > Accelerator > GPU T4 x2",
    "local": "run it on a machine that has one",
}


# 1. Where we are.


@dataclass(frozen=True)
class Device:
    """What the models run on.

    kind: "cuda", "mps" or "cpu". memory_gb: GiB of one card; of the machine for "mps" and "cpu". capability: CUDA's compute
    capability. count: how many cards are visible; name, memory_gb and capability are the first one's.
    """

    kind: str
    name: str
    memory_gb: float
    capability: tuple[int, int] | None = None
    count: int = 1

    def __str__(self) -> str:
        parts = [f"{self.count} x {self.name}" if self.count > 1 else self.name, f"{self.memory_gb:.3g} GiB"]
        if self.capability:
            parts.append(f"compute capability {self.capability[0]}.{self.capability[1]}")
        return ", ".join(parts)


def detect_host() -> str:
    """The host: "colab", "kaggle" or "local"."""
    # Kaggle first: its image is built on Colab's. KAGGLE_USERNAME and the like say nothing: Kaggle's command line tool reads
    # them anywhere.
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE"):
        return "kaggle"
    return "colab" if os.environ.get("COLAB_RELEASE_TAG") or "google.colab" in sys.modules else "local"


def detect_device() -> Device:
    """The device that torch will choose: the visible CUDA cards, else Apple's GPU, else the CPU.

    CUDA_VISIBLE_DEVICES counts. An `nvidia-smi` that is there and does not answer counts as no card, which is printed.
    """
    cards = []
    if shutil.which(QUERY[0]):
        try:
            answer = subprocess.run(QUERY, capture_output=True, text=True, errors="replace", timeout=30, check=False)
            if answer.returncode:
                raise ValueError((answer.stdout + answer.stderr).strip().partition("\n")[0])
            for line in answer.stdout.strip().splitlines():
                name, mebibytes, capability = (part.strip() for part in line.rsplit(",", 2))
                major, minor = capability.split(".")
                # A card that shares the machine's memory (DGX Spark, Jetson) says "[N/A]" or "Not Supported".
                memory = int(mebibytes) / 1024 if mebibytes.isdecimal() else memory_gb()
                cards.append(Device("cuda", name, memory, (int(major), int(minor))))
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:
            print(f"nvidia-smi is here but names no card that can be used, so this counts as a machine without a GPU ({error}).")
            cards = []

    # The first visible card is the one that is used: a number, or an identifier, which the query does not show.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(len(cards))))).split(",")
    first = "0" if visible[0].startswith(("GPU-", "MIG-")) else visible[0].strip()
    if first.isdecimal() and int(first) < len(cards):
        return replace(cards[int(first)], count=len(visible))
    if (platform.system(), platform.machine()) == ("Darwin", "arm64"):
        return Device("mps", "Apple Silicon", memory_gb())
    return Device("cpu", f"CPU with {os.cpu_count()} cores", memory_gb())


def memory_gb() -> float:
    """GiB of this machine's memory."""
    import psutil  # which accelerate brings, and Colab and Kaggle have

    return psutil.virtual_memory().total / GIB


def use_one_card(device: Device) -> Device:
    """The device with one card, the others hidden from torch and a sentence about it printed. Call it before torch is imported.

    Processes that a launcher started (LOCAL_RANK or WORLD_SIZE is set) share the cards out among themselves: nothing is done.
    """
    if device.count < 2 or "LOCAL_RANK" in os.environ or "WORLD_SIZE" in os.environ:
        return device
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    print(
        f"The first of {device.count} cards is used and the rest are left alone: without `accelerate launch` the trainer would "
        "split each batch over them by DataParallel, which is slow and keeps them half idle."
    )
    return replace(device, count=1)


# 2. What is installed.


class RestartNeeded(RuntimeError):
    """Stops "run all" where the kernel still holds libraries that were moved. A notebook shows its sentence, no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def set_up() -> Device:
    """Install what a host lacks, leave one card visible, and return the device. Call it before torch is imported.

    Prints what is installed; on your own machine, where nothing is, what is missing. Raises RestartNeeded where a library that
    the kernel has imported was moved, and RuntimeError where pip fails.
    """
    host, device, installed = detect_host(), detect_device(), installed_versions()
    stack, alone = read_pins(STACK), read_pins(ALONE)
    if host != "local":
        if device.kind == "cuda":
            alone.append(CUT_CROSS_ENTROPY)
        if "torchao" in installed and _lacking(["torchao>=0.16"], installed):
            stack.append(TORCHAO)
    lacking = ", ".join(_lacking(stack + alone, installed))
    if lacking and host == "local":
        print(f"Nothing is installed on your own machine; `make setup` brings what this project pins: {lacking}.")
    elif lacking:
        # All of it where one is lacking, so that pip moves none off its pin for another's sake.
        print(f"Installing {lacking}.")
        _install([stack, ["--no-deps", *alone]], KEPT)
    return use_one_card(device)


def add_vllm(device: Device) -> None:
    """Install vLLM on a host, with its own torch; on your own machine print the command.

    RuntimeError for a card below compute capability 8 or none, RestartNeeded where the kernel has loaded what was moved.
    """
    if device.kind != "cuda" or (device.capability or (0, 0)) < (8, 0):
        raise RuntimeError(
            f"vLLM needs a CUDA card of compute capability 8 or more and this is {device}: its wheels are built for CUDA 13, "
            "and its standby mode is unstable on a T4. Set USE_VLLM = False; Transformers generates then."
        )
    if not _lacking([VLLM], installed_versions()):
        return
    if detect_host() == "local":
        print(f"Nothing is installed on your own machine; run yourself: pip install {VLLM}")
        return
    print(f"Installing {VLLM} and the torch it needs, built for CUDA 13 (NVIDIA driver 580 or newer): some 4 GB are downloaded.")
    pinned = (Requirement(pin).name for pin in read_pins(STACK))
    _install([[VLLM]], [name for name in (*KEPT, *pinned) if name not in VLLM_MOVES])


def installed_versions() -> dict[str, str]:
    """Version of each installed library, by its name in lower case with hyphens."""
    found = {}
    for library in importlib.metadata.distributions():
        if name := library.metadata["Name"]:  # a folder that a broken removal left behind has none
            found.setdefault(canonicalize_name(name), library.version)  # the first one on the path is the one imported
    return found


def loaded_libraries() -> set[str]:
    """The names, as in `installed_versions`, of the libraries that this process has imported."""
    libraries = importlib.metadata.packages_distributions()
    return {canonicalize_name(name) for module in libraries.keys() & sys.modules for name in libraries[module]}


def read_pins(path: Path) -> list[str]:
    """The requirements in a file, without its comments."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def _lacking(pins: Iterable[str], installed: Mapping[str, str]) -> list[str]:
    """What is not installed as pinned, in words. A build's label (+cpu) does not count."""
    lacking = []
    for pin in map(Requirement, pins):
        there = installed.get(canonicalize_name(pin.name))
        if there is None or not pin.specifier.contains(there, prereleases=True):
            lacking.append(f"{pin.name} {str(pin.specifier).removeprefix('==')}" + (f" ({there} is installed)" if there else ""))
    return lacking


def _install(commands: Iterable[list[str]], kept: Iterable[str]) -> None:
    """Run `pip install` with each of these lists of arguments; the libraries that are to be kept stay at their versions."""
    started, before, loaded = time.perf_counter(), installed_versions(), loaded_libraries()
    held = [f"{name}=={before[name]}" for name in kept if name in before]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(held))
        for arguments in commands:
            pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)
            done = subprocess.run(
                (*pip, "--constraint", str(constraints)),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(
                    f"`pip install {' '.join(arguments)}` failed, so the libraries are not complete: see that the session may "
                    "use the internet (on Kaggle Session options > Internet) and run this cell again; pip ended with:\n"
                    + done.stdout.strip()[-1000:]
                )
    importlib.invalidate_caches()  # what was just installed is to be found by this process
    print(f"Installed in {time.perf_counter() - started:.0f} s; {len(held)} libraries were held at their versions.")
    after = installed_versions()
    if moved := sorted(name for name in loaded if after.get(name) != before.get(name)):
        raise RestartNeeded(
            f"This session has loaded {', '.join(moved)} in another version than is installed now: restart it once "
            "(Runtime > Restart session; on Kaggle Run > Restart session), then run all cells again."
        )


# 3. Whether a recipe can run here, asked before anything is downloaded.


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


def preflight(needs: Needs, device: Device, folder: Path) -> None:
    """Check that a recipe can run here before anything is downloaded; `folder` is where the run is kept.

    Prints what could not be checked. Raises RuntimeError, with what to do, at the first thing that would fail later: the GPU,
    disk, memory, the versions that Unsloth accepts, access to the model.
    """
    if device.kind == "cuda" and device.capability and device.capability < OLDEST_CAPABILITY:
        raise RuntimeError(
            f"PyTorch no longer runs on this card ({device}), although it reports it: "
            "choose another, on Kaggle Session options > Accelerator > GPU T4 x2."
        )
    if needs.gpu and device.kind == "cpu":
        raise RuntimeError(
            f"This recipe needs a GPU and there is none: {GPU_ADVICE[detect_host()]}, "
            "or set TRIAL = True or RECIPE = 'tiny' to go on without one."
        )
    if needs.gpu and device.memory_gb < needs.gpu_memory_gb:
        raise RuntimeError(
            f"This recipe needs {needs.gpu_memory_gb:g} GiB of GPU memory and the device has less ({device}): "
            "choose a smaller RECIPE, a larger card, or TRIAL = True."
        )
    cache = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    for place, wanted in ((existing_parent(folder), needs.disk_gb), (existing_parent(cache), needs.download_gb)):
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
    _check_unsloth()
    if needs.model:
        _check_model(needs.model)


def check_torch(device: Device) -> None:
    """RuntimeError where there is a card and torch, which is imported here, cannot use it."""
    import torch

    if device.kind != "cuda" or torch.cuda.is_available():
        return
    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a build for the CPU alone"
    driver = subprocess.run(
        (QUERY[0], "--query-gpu=driver_version", "--format=csv,noheader"), capture_output=True, text=True, check=False
    )
    version = driver.stdout.partition("\n")[0] or "that is there"
    raise RuntimeError(
        f"nvidia-smi shows a card ({device}) and torch {torch.__version__}, {build}, cannot use it with the driver "
        f"{version}: install a torch that fits the driver (https://pytorch.org/get-started/locally), "
        "or set CUDA_VISIBLE_DEVICES to -1 to go on without the card."
    )


def existing_parent(place: Path) -> Path:
    """The path itself, or the nearest folder above it that exists already."""
    return next(parent for parent in (place, *place.absolute().parents) if parent.exists())


def _check_unsloth() -> None:
    """RuntimeError for a WATCHED library outside what the installed Unsloth states; nothing to check without Unsloth."""
    installed = installed_versions()
    for unsloth in filter(installed.get, ("unsloth", "unsloth-zoo")):
        for stated in map(Requirement, importlib.metadata.requires(unsloth) or []):
            name = canonicalize_name(stated.name)
            applies = name in WATCHED and name in installed and (stated.marker is None or stated.marker.evaluate({"extra": ""}))
            if applies and not stated.specifier.contains(installed[name], prereleases=True):
                raise RuntimeError(
                    f"{name} {installed[name]} is installed and {unsloth} {installed[unsloth]} accepts "
                    f'{stated.specifier}: run `pip install "{name}{stated.specifier}"` and restart the session.'
                )


def _check_model(model: str) -> None:
    """Ask the hub whether the model may be read: RuntimeError where it says no, a printed note where it cannot be asked."""
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
        print(f"The hub could not be asked about {model} ({type(error).__name__}); loading it will say whether it can be had.")


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
