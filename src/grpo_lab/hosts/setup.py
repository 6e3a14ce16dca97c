"""The Setup cell's work in one call, and the same for vLLM."""

import os
import sys
from collections.abc import Collection, MutableMapping

from grpo_lab.hosts.installing import Plan, install, install_plan, installed_versions, vllm_plan
from grpo_lab.hosts.machine import Device, detect_device, detect_host, use_one_card


def set_up(environ: MutableMapping[str, str] = os.environ, loaded: Collection[str] = sys.modules) -> Device:
    """Print host and device, install what a host lacks, leave one card visible, and return the device.

    On your own machine nothing is installed; what is missing is named. Call it before torch is imported. Raises RestartNeeded
    where a library that the kernel has loaded was moved, and RuntimeError where pip fails.
    """
    host, device = detect_host(environ, loaded), detect_device(environ)
    print(f"Host: {host}.")
    print(f"Device: {device}.")
    _carry_out(install_plan(host, installed_versions(), device, loaded), host)
    return use_one_card(device, environ)


def add_vllm(device: Device, environ: MutableMapping[str, str] = os.environ) -> None:
    """Install vLLM on a host; on your own machine print the command. RuntimeError for a device that it does not serve."""
    _carry_out(vllm_plan(device, installed_versions()), detect_host(environ))


def _carry_out(plan: Plan, host: str) -> None:
    if host != "local":
        install(plan)
        return
    for reason in plan.reasons:
        print(reason)
    for command in plan.commands:
        print(f"Nothing is installed on your own machine; run yourself: {' '.join(command)}")
