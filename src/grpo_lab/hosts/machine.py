"""Which host this is, which device it has, and the choice of one card. The device is read from `nvidia-smi` and the platform."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Container, Mapping, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path

GIB = 1024**3
QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits")


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


def detect_host(
    environ: Mapping[str, str] = os.environ,
    modules: Container[str] = sys.modules,
    kaggle_folder: Path = Path("/kaggle/working"),
) -> str:
    """The host, "colab", "kaggle" or "local"; by default as the environment and the loaded modules of this process say."""
    # Kaggle first: its image is built on Colab's. KAGGLE_USERNAME and the like say nothing: Kaggle's command line tool reads
    # them anywhere. The folder comes last, because notebooks that were brought to Colab from Kaggle make one.
    if environ.get("KAGGLE_KERNEL_RUN_TYPE"):
        return "kaggle"
    if environ.get("COLAB_RELEASE_TAG") or "google.colab" in modules:
        return "colab"
    return "kaggle" if kaggle_folder.is_dir() else "local"


def detect_device(environ: Mapping[str, str] = os.environ) -> Device:
    """The device that torch will choose: the visible CUDA cards, else Apple's GPU, else the CPU.

    CUDA_VISIBLE_DEVICES counts. An `nvidia-smi` that is there and does not answer counts as no card, which is printed.
    """
    cards = _visible(_cards(), environ.get("CUDA_VISIBLE_DEVICES"))
    if cards:
        return replace(cards[0], count=len(cards))
    if (platform.system(), platform.machine()) == ("Darwin", "arm64"):
        return Device("mps", "Apple Silicon", memory_gb())
    return Device("cpu", f"CPU with {os.cpu_count()} cores", memory_gb())


def _cards() -> list[Device]:
    if shutil.which(QUERY[0]) is None:
        return []
    try:
        answer = subprocess.run(QUERY, capture_output=True, text=True, errors="replace", timeout=30, check=False)
        if answer.returncode:
            raise ValueError((answer.stdout + answer.stderr).strip().partition("\n")[0])
        return [_card(line) for line in answer.stdout.splitlines() if line.strip()]
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        print(f"nvidia-smi is here but names no card that can be used, so this counts as a machine without a GPU ({error}).")
        return []


def _card(line: str) -> Device:
    """One line of the query: name, MiB, compute capability. ValueError for any other text."""
    name, memory, capability = (part.strip() for part in line.rsplit(",", 2))
    major, minor = capability.split(".")
    return Device("cuda", name, int(memory) / 1024, (int(major), int(minor)))


def _visible(cards: list[Device], setting: str | None) -> list[Device]:
    """The cards that CUDA_VISIBLE_DEVICES leaves: as in CUDA, the list ends at the first number that is no card's."""
    if setting is None:
        return cards
    chosen = []
    for entry in (part.strip() for part in setting.split(",")):
        if entry.startswith(("GPU-", "MIG-")):  # an identifier, which the query does not show: in order
            chosen += cards[len(chosen) : len(chosen) + 1]
        elif entry.isdecimal() and int(entry) < len(cards):
            chosen.append(cards[int(entry)])
        else:
            break
    return chosen


def memory_gb() -> float:
    """GiB of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB


def use_one_card(device: Device, environ: MutableMapping[str, str] = os.environ) -> Device:
    """The device with one card, the others hidden from torch and a sentence about it printed. Call it before torch is imported.

    Processes that a launcher started (LOCAL_RANK or WORLD_SIZE is set) share the cards out among themselves: nothing is done.
    """
    if device.count < 2 or "LOCAL_RANK" in environ or "WORLD_SIZE" in environ:
        return device
    environ["CUDA_VISIBLE_DEVICES"] = environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    print(
        f"The first of {device.count} cards is used and the rest are left alone: without `accelerate launch` the trainer would "
        "split each batch over them by DataParallel, which is slow and keeps them half idle."
    )
    return replace(device, count=1)
