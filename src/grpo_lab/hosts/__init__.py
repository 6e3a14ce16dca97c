"""Where the notebooks run, and what they need there: the host, the device, the libraries, the checks before a run.

>>> str(Device("cuda", "Tesla T4", 15.0, (7, 5), count=2))
'2 x Tesla T4, 15 GiB, compute capability 7.5'

Standard library only, and nothing here imports torch: the Setup cell runs before torch is loaded, because which cards torch
sees, and which torch it is, are settled by then. Memory and disk are in GiB.

The parts: `machine` says where we are, `installing` plans and installs, `checks` refuses what cannot run, `setup` is the cell.
"""

from grpo_lab.hosts.checks import Needs, preflight
from grpo_lab.hosts.installing import (
    KEPT,
    PINS,
    VLLM_PINS,
    Plan,
    RestartNeeded,
    install,
    install_plan,
    installed_versions,
    vllm_plan,
)
from grpo_lab.hosts.machine import Device, detect_device, detect_host, use_one_card
from grpo_lab.hosts.setup import add_vllm, set_up

__all__ = [
    "Device",
    "KEPT",
    "Needs",
    "PINS",
    "Plan",
    "RestartNeeded",
    "VLLM_PINS",
    "add_vllm",
    "detect_device",
    "detect_host",
    "install",
    "install_plan",
    "installed_versions",
    "preflight",
    "set_up",
    "use_one_card",
    "vllm_plan",
]
