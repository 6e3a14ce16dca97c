"""What a host lacks and how it is installed: a plan that is a pure function of what is there, and pip to carry it out.

On Colab and Kaggle a kernel is running on the host's own libraries. What it has loaded (KEPT) stays at its version, by a
constraints file made from what is installed; moving it breaks the session in ways that look like errors of this project. On
any other machine nothing is installed: `make setup` does that.
"""

import importlib
import importlib.metadata
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from grpo_lab.hosts.machine import Device

# As in requirements.txt and the Makefile.
PINS = {
    "trl": "1.15.0",
    "transformers": "5.17.0",
    "datasets": "4.8.5",
    "peft": "0.21.2",
    "bitsandbytes": "0.50.2",
    "accelerate": "1.15.0",
    "wandb": "0.31.0",
    "unsloth": "2026.10.9",
    "unsloth_zoo": "2026.10.9",
}
# Installed without their own requirements: unsloth's do not resolve (it asks for a certifi that PyPI does not have), and they
# bring in much that training never imports. It runs without xformers: torch's own attention is used.
ALONE = ("unsloth", "unsloth_zoo", "cut_cross_entropy")
CUT_CROSS_ENTROPY = "25.1.1"  # Unsloth's loss on CUDA cards, which does not hold all logits in memory
# Moved only where older: the least version, and the one to install. datasets needs pyarrow; PEFT raises an error for an older
# torchao, even if it is not used, and does without any. torchao 0.16.0 imports on the widest range of torch versions.
AT_LEAST = {"pyarrow": ((21,), "26.0.1"), "torchao": ((0, 16), "0.16.0")}

# With compiled parts that a running kernel has in memory, or the kernel itself.
KEPT = (
    *("torch", "torchvision", "torchaudio", "torchcodec", "triton"),
    *("numpy", "pandas", "scipy", "scikit-learn", "matplotlib", "pillow", "protobuf", "psutil"),
    *("ipykernel", "ipython", "jupyter-client", "pyzmq", "tornado", "traitlets"),
)
# vLLM forces its torch. 0.31.0 is the newest that TRL 1.15.0 works with.
VLLM_PINS = {"vllm": "0.31.0", "torch": "2.13.0", "torchvision": "0.28.0", "torchaudio": "2.11.0"}
VLLM_MOVES = ("torch", "torchvision", "torchaudio", "torchcodec", "triton")

PIP = ("pip", "install", "--quiet", "--disable-pip-version-check")
RESTART = "Restart the session once (Runtime > Restart session; on Kaggle Run > Restart session), then run all cells again."


class RestartNeeded(RuntimeError):
    """Stops "run all" where the kernel still holds libraries that were moved. A notebook shows its sentence, no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@dataclass(frozen=True)
class Plan:
    """What to run. commands: arguments of `python -m`; constraints: lines of pip's constraints file for all of them.

    reasons: sentences to print. restart: whether a library that the kernel has loaded is moved.
    """

    commands: tuple[tuple[str, ...], ...] = ()
    constraints: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    restart: bool = False


def install_plan(host: str, installed: Mapping[str, str], device: Device, loaded: Collection[str] = ()) -> Plan:
    """What `host` needs beside what is installed, for training on `device`.

    installed: versions by library name. loaded: names of the modules that the running kernel has imported (`sys.modules`).
    """
    installed = {_canonical(name): version for name, version in installed.items()}
    wanted = PINS if host == "local" else PINS | _extras(installed, device)
    lacking = {name: version for name, version in wanted.items() if _public(installed.get(_canonical(name))) != version}
    if not lacking:
        return Plan(reasons=("All libraries are there.",))
    listed = ", ".join(_with_installed(name, version, installed) for name, version in lacking.items())
    if host == "local":
        return Plan(reasons=(f"Nothing is installed on your own machine; `make setup` brings what this project pins: {listed}.",))
    moved = [name for name in lacking if _canonical(name) in installed and name in loaded]
    reasons = [f"To install: {listed}."]
    if moved:
        reasons.append(f"The running kernel has loaded {', '.join(moved)}, so the session must be restarted afterwards.")
    commands = []
    if any(name not in ALONE for name in lacking):  # all of them, so that pip moves none off its pin for another's sake
        commands.append((*PIP, *_pinned({name: version for name, version in wanted.items() if name not in ALONE})))
    if any(name in ALONE for name in lacking):
        commands.append((*PIP, "--no-deps", *_pinned({name: lacking[name] for name in ALONE if name in lacking})))
    return Plan(tuple(commands), _constraints(KEPT, installed), tuple(reasons), restart=bool(moved))


def vllm_plan(device: Device, installed: Mapping[str, str]) -> Plan:
    """What vLLM needs: its own torch, some 4 GB to download. RuntimeError for a card below compute capability 8."""
    if device.kind != "cuda" or (device.capability or (0, 0)) < (8, 0):
        raise RuntimeError(
            f"vLLM needs a CUDA card of compute capability 8 or more and this is {device}: its wheels are built for CUDA 13, "
            "and its standby mode is unstable on a T4. Set USE_VLLM = False; Transformers generates then."
        )
    installed = {_canonical(name): version for name, version in installed.items()}
    if all(_public(installed.get(name)) == version for name, version in VLLM_PINS.items()):
        return Plan(reasons=("vLLM is there.",))
    kept = _constraints([name for name in KEPT if name not in VLLM_MOVES], installed)
    return Plan(
        commands=((*PIP, *_pinned(VLLM_PINS)),),
        constraints=(*kept, *_pinned({name: version for name, version in PINS.items() if name not in ALONE})),
        reasons=(
            f"vLLM {VLLM_PINS['vllm']} moves torch to {VLLM_PINS['torch']}, built for CUDA 13 (NVIDIA driver 580 or newer): "
            "some 4 GB are downloaded and the session must be restarted afterwards.",
        ),
        restart=True,
    )


def _extras(installed: Mapping[str, str], device: Device) -> dict[str, str]:
    """The versions beside PINS that a host needs."""
    extras = {"cut_cross_entropy": CUT_CROSS_ENTROPY} if device.kind == "cuda" else {}
    for name, (least, version) in AT_LEAST.items():
        if name in installed and _numbers(installed[name]) < least:
            extras[name] = version
    return extras


def _constraints(names: Collection[str], installed: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}=={installed[name]}" for name in names if name in installed)


def _pinned(versions: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}=={version}" for name, version in versions.items())


def _with_installed(name: str, version: str, installed: Mapping[str, str]) -> str:
    there = installed.get(_canonical(name))
    return f"{name} {version} ({there} is installed)" if there else f"{name} {version}"


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _public(version: str | None) -> str | None:
    """Without the build's label: 2.13.0 of 2.13.0+cpu."""
    return version and version.split("+")[0]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])


def installed_versions() -> dict[str, str]:
    """Version of each installed library, by its name in lower case with hyphens."""
    found = {}
    for library in importlib.metadata.distributions():
        if name := library.metadata["Name"]:  # a folder that a broken removal left behind has none
            found.setdefault(_canonical(name), library.version)  # the first one on the path is the one imported
    return found


def install(plan: Plan, python: str = sys.executable) -> None:
    """Carry a plan out with `python -m pip`, printing what is run.

    Raises RuntimeError with pip's last lines where it fails, and RestartNeeded at the end where the plan asks for a restart.
    """
    for reason in plan.reasons:
        print(reason)
    if not plan.commands:
        return
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(plan.constraints) + "\n")
        for command in plan.commands:
            _run((python, "-m", *command, "--constraint", str(constraints)), shown=" ".join(command))
    importlib.invalidate_caches()  # what was just installed is to be found by this process
    print(f"Installed in {time.perf_counter() - started:.0f} s; {len(plan.constraints)} libraries were held at their versions.")
    if plan.restart:
        raise RestartNeeded(RESTART)


def _run(command: tuple[str, ...], shown: str) -> None:
    print(f"$ {shown}")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if done.returncode:
        last = "\n".join(line for line in done.stdout.splitlines() if line.strip())[-1000:]
        raise RuntimeError(
            f"`{shown}` failed, so the libraries are not complete: see that the session may use the internet (on Kaggle "
            f"Session options > Internet) and run this cell again; pip ended with:\n{last}"
        )
