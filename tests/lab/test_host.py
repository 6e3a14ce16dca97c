"""The host: what is detected, installed and refused. Colab, Kaggle, cards, pip and the hub are emulated."""

import importlib.metadata
import os
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from grpo_lab import host
from grpo_lab.host import Device, Needs, RestartNeeded

ROOT = Path(__file__).parents[2]
CPU = Device("cpu", "CPU with 2 cores", 12.7)
T4 = Device("cuda", "Tesla T4", 15.0, (7, 5))
TWO_T4 = Device("cuda", "Tesla T4", 15.0, (7, 5), count=2)
P100 = Device("cuda", "Tesla P100-PCIE-16GB", 16.0, (6, 0))
A100 = Device("cuda", "NVIDIA A100-SXM4-40GB", 40.0, (8, 0))
MAC = Device("mps", "Apple Silicon", 36.0)

# What matters of Colab's own list of libraries in June 2026.
COLAB = {
    **{"torch": "2.11.0+cu128", "torchvision": "0.26.0+cu128", "triton": "3.6.0", "numpy": "2.0.2", "pandas": "2.2.2"},
    **{"pillow": "11.3.0", "protobuf": "5.29.6", "scipy": "1.16.3", "ipykernel": "6.17.1", "pyarrow": "18.1.0"},
    **{"torchao": "0.10.0", "transformers": "5.9.0", "datasets": "4.0.0", "peft": "0.19.1", "accelerate": "1.13.0"},
    **{"wandb": "0.27.0"},
}
PINNED = [Requirement(pin) for path in (host.STACK, host.ALONE) for pin in host.read_pins(path)]
PINS = {pin.name: str(pin.specifier).removeprefix("==") for pin in PINNED}
PINS["pyarrow"] = "26.0.1"
READY = COLAB | PINS | {"torchao": "0.16.0", "cut_cross_entropy": "25.1.1"}


COLAB_SAYS = {"COLAB_RELEASE_TAG": "release-colab-external_20261101"}
KAGGLE_SAYS = {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}


@pytest.fixture(autouse=True)
def say(monkeypatch):
    """`say(name=value)` sets variables of the environment; those that the host reads are unset before, and restored after."""
    for name in (*COLAB_SAYS, *KAGGLE_SAYS, "CUDA_VISIBLE_DEVICES", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return lambda **variables: [monkeypatch.setenv(*variable) for variable in variables.items()]


def test_a_device_reads_well():
    assert str(TWO_T4) == "2 x Tesla T4, 15 GiB, compute capability 7.5"
    assert str(MAC) == "Apple Silicon, 36 GiB"


@pytest.mark.parametrize(
    ("environ", "module", "expected"),
    [
        (COLAB_SAYS, "", "colab"),
        ({}, "google.colab", "colab"),
        (COLAB_SAYS | {"KAGGLE_USERNAME": "ada", "KAGGLE_KEY": "0"}, "google.colab", "colab"),
        (KAGGLE_SAYS | COLAB_SAYS, "google.colab", "kaggle"),
        ({"KAGGLE_USERNAME": "ada"}, "", "local"),
    ],
)
def test_the_host(monkeypatch, say, environ, module, expected):
    say(**environ)
    monkeypatch.setitem(sys.modules, module, None)
    assert host.detect_host() == expected


def fake_smi(tmp_path, monkeypatch, output, code=0):
    """An nvidia-smi that answers so; None: none on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    if output is not None:
        script = tmp_path / "nvidia-smi"
        script.write_text(f"#!/bin/sh\nprintf '%s\\n' '{output}'\nexit {code}\n")
        script.chmod(0o755)


CARDS = "Tesla T4, 15360, 7.5\nTesla T4, 15360, 7.5"


@pytest.mark.parametrize(
    ("output", "visible", "device"),
    [
        ("Tesla T4, 15360, 7.5", None, T4),
        (CARDS, None, TWO_T4),
        (CARDS, "0,1", TWO_T4),
        (CARDS, "1", T4),
        (CARDS, "GPU-8932f937", T4),
        ("Tesla P100-PCIE-16GB, 16384, 6.0", None, P100),
        ("Tesla T4, 15360, 7.5\nNVIDIA A100-SXM4-40GB, 40960, 8.0", "1,0", Device("cuda", A100.name, 40.0, (8, 0), count=2)),
    ],
)
def test_cards(tmp_path, monkeypatch, say, output, visible, device):
    fake_smi(tmp_path, monkeypatch, output)
    if visible:
        say(CUDA_VISIBLE_DEVICES=visible)
    assert host.detect_device() == device


@pytest.mark.parametrize("output", ["NVIDIA GB10, [N/A], 12.1", "Orin (nvgpu), Not Supported, 8.7"])
def test_a_card_that_shares_the_machines_memory(tmp_path, monkeypatch, say, output):
    fake_smi(tmp_path, monkeypatch, output)
    say()
    device = host.detect_device()
    assert device.kind == "cuda" and device.memory_gb == host.memory_gb() and device.name == output.partition(",")[0]


def test_a_card_that_torch_cannot_use_is_refused(tmp_path, monkeypatch):
    host.check_torch(Device("cpu", "CPU", 8.0))
    fake_smi(tmp_path, monkeypatch, "535.104.05")
    with pytest.raises(RuntimeError, match="shows a card .*torch 2.* cannot use it with the driver 535.104.05: install a torch"):
        host.check_torch(T4)


@pytest.mark.parametrize(
    ("output", "code", "environ", "said"),
    [
        (None, 0, {}, ""),
        (CARDS, 0, {"CUDA_VISIBLE_DEVICES": ""}, ""),
        (CARDS, 0, {"CUDA_VISIBLE_DEVICES": "-1"}, ""),
        (CARDS, 0, {"CUDA_VISIBLE_DEVICES": "2"}, ""),
        ("NVIDIA-SMI has failed because it could not communicate", 9, {}, "NVIDIA-SMI has failed because"),
        ("Quadro, [N/A], [N/A]", 0, {}, "counts as a machine without a GPU"),
        ("No devices were found", 0, {}, "counts as a machine without a GPU"),
    ],
)
@pytest.mark.parametrize(("system", "kind"), [(("Linux", "x86_64"), "cpu"), (("Darwin", "arm64"), "mps")])
def test_no_card(tmp_path, monkeypatch, say, capsys, output, code, environ, said, system, kind):
    fake_smi(tmp_path, monkeypatch, output, code)
    say(**environ)
    monkeypatch.setattr(host.platform, "system", lambda: system[0])
    monkeypatch.setattr(host.platform, "machine", lambda: system[1])
    device = host.detect_device()
    assert device.kind == kind and device.count == 1 and device.memory_gb > 0.5
    printed = capsys.readouterr().out
    assert said in printed and bool(printed) == bool(said)


@pytest.mark.parametrize(
    ("device", "environ", "left", "visible"),
    [
        (TWO_T4, {}, T4, "0"),
        (TWO_T4, {"CUDA_VISIBLE_DEVICES": "2,3"}, T4, "2"),
        (TWO_T4, {"LOCAL_RANK": "0", "WORLD_SIZE": "2"}, TWO_T4, None),
        (T4, {}, T4, None),
    ],
)
def test_one_card(say, capsys, device, environ, left, visible):
    say(**environ)
    assert host.use_one_card(device) == left
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
    assert ("The first of 2 cards is used" in capsys.readouterr().out) == (visible is not None)


# --- preflight ---


@pytest.fixture
def roomy(monkeypatch):
    monkeypatch.setattr("grpo_lab.host.memory_gb", lambda: 12.7)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=30 * 1024**3))


BIG = Needs(gpu=True, gpu_memory_gb=14, disk_gb=20, memory_gb=10)
SMALL = Device("cuda", "GTX 1660", 6.0, (7, 5))


@pytest.mark.parametrize(
    ("needs", "device", "environ", "refusal"),
    [
        (BIG, CPU, COLAB_SAYS, r"needs a GPU and there is none: choose Runtime > Change runtime type"),
        (BIG, CPU, KAGGLE_SAYS, r"choose Session options > Accelerator > GPU T4 x2, or set TRIAL = True"),
        (BIG, CPU, {}, r"run it on a machine that has one, or set TRIAL = True or RECIPE = 'tiny'"),
        (Needs(), Device("cuda", "Tesla V100-SXM2-16GB", 16.0, (7, 0)), {}, r"PyTorch no longer runs on this card \(Tesla V100"),
        (Needs(), P100, {}, r"PyTorch no longer runs on this card \(Tesla P100.*capability 6.0\).*GPU T4 x2"),
        (BIG, SMALL, {}, r"needs 14 GiB of GPU memory and the device has less \(GTX 1660, 6 G"),
        (BIG, Device("mps", "Apple Silicon", 8.0), {}, "needs 14 GiB of GPU memory"),
        (Needs(disk_gb=40), T4, {}, r"needs 40 GiB of disk and .* has 30.0 GiB free: delete old runs"),
        (Needs(download_gb=40), T4, {}, r"needs 40 GiB of disk and .* has 30.0 GiB free: delete old runs or downloads"),
        (Needs(memory_gb=16), T4, {}, r"needs 16 GiB of memory and this machine has 12.7 GiB"),
    ],
)
def test_a_machine_that_cannot(tmp_path, say, roomy, needs, device, environ, refusal):
    say(**environ)
    with pytest.raises(RuntimeError, match=refusal) as error:
        host.preflight(needs, device, tmp_path / "results" / "mine")
    assert len(str(error.value)) < 300 and "\n" not in str(error.value)


@pytest.mark.parametrize("device", [T4, A100, MAC])
def test_a_machine_that_can_and_the_installed_libraries(tmp_path, roomy, capsys, device):
    host.preflight(BIG, device, tmp_path)
    assert capsys.readouterr().out == ""


def test_a_library_that_unsloth_does_not_accept(tmp_path, monkeypatch, roomy):
    metadata = tmp_path / "unsloth-2026.10.9.dist-info" / "METADATA"
    metadata.parent.mkdir()
    stated = ["certifi>=9999", 'torch<1; extra == "old"', 'peft<0.1; sys_platform == "none"', "numpy", "trl<=1.0.0,!=0.19.0"]
    lines = ["Metadata-Version: 2.1", "Name: unsloth", "Version: 2026.10.9", *(f"Requires-Dist: {line}" for line in stated)]
    metadata.write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    refusal = f"trl {importlib.metadata.version('trl')} is installed and unsloth 2026.10.9 accepts !=0.19.0,<=1.0.0: run `pip"
    with pytest.raises(RuntimeError, match=re.escape(refusal)):
        host.preflight(Needs(), T4, tmp_path)


@pytest.fixture
def hub(monkeypatch):
    """`hub(status, headers)`: every question to the hub gets this answer; None: it cannot be reached."""

    def start(status, headers):
        def answer(request):
            if status is None:
                raise httpx.ConnectError("no route")
            return httpx.Response(status, headers=headers, request=request)

        client = httpx.Client(transport=httpx.MockTransport(answer))
        monkeypatch.setattr("huggingface_hub.hf_api.get_session", lambda: client)

    return start


@pytest.mark.parametrize(
    ("status", "headers", "refusal"),
    [
        (403, {"X-Error-Code": "GatedRepo"}, "accept them at https://huggingface.co/o/m, then set HF_TOKEN"),
        (404, {"X-Error-Code": "RepoNotFound"}, "no model o/m that you may read: the id is wrong, or it is private"),
        (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, "refuses the token in HF_TOKEN: make a new"),
    ],
)
def test_a_model_that_is_closed(tmp_path, roomy, hub, status, headers, refusal):
    hub(status, headers)
    with pytest.raises(RuntimeError, match=refusal):
        host.preflight(Needs(model="o/m"), T4, tmp_path)


@pytest.mark.parametrize(("status", "notes"), [(200, 0), (500, 1), (None, 1)])
def test_a_model_that_is_open_and_a_hub_that_cannot_be_asked(tmp_path, roomy, hub, capsys, status, notes):
    hub(status, {})
    host.preflight(Needs(model="o/m"), T4, tmp_path)
    assert capsys.readouterr().out.count("could not be asked about o/m") == notes


# --- pins ---


def requirements_of(library: str, extra: str = "") -> list[Requirement]:
    stated = map(Requirement, importlib.metadata.requires(library) or [])
    return [r for r in stated if r.marker is None or r.marker.evaluate({"extra": extra})]


def outside(pins: dict[str, str]) -> set[str]:
    """The pins that an installed library of the stack does not accept, as "who: what"."""
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    return {
        f"{library}: {requirement}"
        for library in ("unsloth", "unsloth_zoo", "trl", "peft", "transformers", "datasets", "accelerate", "bitsandbytes")
        for requirement in requirements_of(library)
        if canonicalize_name(requirement.name) in pins
        and not requirement.specifier.contains(pins[canonicalize_name(requirement.name)], prereleases=True)
    }


ALL_PINS = PINS | {"torchao": host.TORCHAO.partition("==")[2], "torch": "2.13.0"}


def test_every_pin_is_within_the_ceilings_of_the_others():
    assert len(ALL_PINS) == 12 and not outside(ALL_PINS)


@pytest.mark.parametrize(("library", "version"), [("trl", "1.16.0"), ("datasets", "4.4.1"), ("unsloth_zoo", "2026.9.8")])
def test_a_pin_outside_a_ceiling_is_found(library, version):
    assert any(found.startswith(f"unsloth: {library}") for found in outside(ALL_PINS | {library: version}))


def test_a_clone_is_set_up_with_the_pins_of_the_hosts():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert "-r requirements-colab.txt" in lines and f"pyarrow=={PINS['pyarrow']}" in lines
    assert next(pin for pin in PINNED if pin.name == "pyarrow").specifier.contains(PINS["pyarrow"])
    assert "--no-deps -r requirements-unsloth.txt" in (ROOT / "Makefile").read_text()
    named = {re.split("[=<>]", line)[0] for line in lines} & PINS.keys()
    assert named == {"pyarrow"}, "a version that stands in two files"


def test_vllm_is_one_that_trl_works_with():
    stated = {r.name: r.specifier for r in requirements_of("trl", extra="vllm")}
    assert stated["vllm"].contains(host.VLLM.partition("==")[2]) and not stated["vllm"].contains("0.33.0")


# --- installing ---


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Start a machine with these libraries and cards. Returns what pip is called with, each as (arguments, constraints).

    pip is a stub that installs what it is asked for, as this process sees it, or fails as pip does.
    """

    def start(installed: dict[str, str], cards: str | None = CARDS, loaded: Sequence[str] = (), pip_fails: bool = False) -> list:
        fake_smi(tmp_path, monkeypatch, cards)
        there, calls = {canonicalize_name(name): version for name, version in installed.items()}, []
        run = host.subprocess.run

        def pip(command, **kwargs):
            if command[0] == "nvidia-smi":
                return run(command, **kwargs)
            python, *install, option, constraints = command
            assert (python, option) == (sys.executable, "--constraint")
            assert install[:4] == ["-m", "pip", "install", "--quiet"]
            calls.append((install[5:], Path(constraints).read_text().splitlines()))
            if pip_fails:
                return SimpleNamespace(returncode=1, stdout="Collecting trl\n\nERROR: No matching distribution found for trl\n")
            pins = [Requirement(part) for part in install[5:] if not part.startswith("--")]
            there.update({canonicalize_name(pin.name): READY.get(pin.name, str(pin.specifier)[2:]) for pin in pins})
            if host.VLLM in install:
                there["torch"] = "2.13.0"
            return SimpleNamespace(returncode=0, stdout="")

        monkeypatch.setattr(host, "installed_versions", lambda: dict(there))
        monkeypatch.setattr(host, "loaded_libraries", lambda: {*loaded})
        monkeypatch.setattr(host.subprocess, "run", pip)
        return calls

    return start


# installed, cards, what the kernel has loaded; what it must restart for, what is said (nothing where nothing is installed).
INSTALLS = {
    "a fresh Colab": (COLAB, CARDS, (), "", "datasets 4.8.5 (4.0.0 is installed)"),
    "pyarrow is loaded and rises": (COLAB, CARDS, ("pyarrow", "numpy"), "pyarrow", "pyarrow"),
    "what is loaded is not moved": (COLAB, CARDS, ("numpy", "torch"), "", "torchao 0.16.0 (0.10.0 is inst"),
    "no GPU": (COLAB, None, (), "", "unsloth 2026.10.9"),
    "Unsloth's loss on a card": (READY | {"cut_cross_entropy": "1"}, CARDS, (), "", "cut_cross_entropy 25.1.1"),
    "and not without one": (READY | {"cut_cross_entropy": "1"}, None, (), "", ""),
    "all is there": (READY, CARDS, ("pyarrow", "trl"), "", ""),
    "newer pyarrow and torchao stay": (READY | {"pyarrow": "23.0.0", "torchao": "0.17.0"}, CARDS, (), "", ""),
    "no torchao": ({name: v for name, v in READY.items() if name != "torchao"}, CARDS, (), "", ""),
    "another trl is loaded": (READY | {"trl": "1.16.0"}, CARDS, ("trl",), "trl", "trl 1.15.0 (1.16.0 is installed)"),
    "an older Unsloth": (READY | {"unsloth": "2026.9.1"}, CARDS, (), "", "(2026.9.1 is installed)"),
}


@pytest.mark.parametrize(("installed", "cards", "loaded", "restart", "said"), INSTALLS.values(), ids=INSTALLS)
def test_what_is_installed_on_a_host(machine, say, capsys, installed, cards, loaded, restart, said):
    made = machine(installed, cards, loaded)
    say(**COLAB_SAYS, CUDA_VISIBLE_DEVICES="0")
    if restart:
        with pytest.raises(RestartNeeded, match=f"has loaded {restart} in another version.*: restart it once") as stop:
            host.set_up()
        assert stop.value._render_traceback_() == [str(stop.value)], "a notebook shows the sentence alone"
    else:
        assert host.set_up() == (T4 if cards else host.detect_device())
    printed = capsys.readouterr().out
    assert said in printed and bool(printed) == bool(said) and len(made) == (2 if said else 0)
    host.set_up()
    assert len(made) == (2 if said else 0) and capsys.readouterr().out == "", "the second time nothing is lacking"


@pytest.mark.parametrize("cards", [CARDS, None])
def test_what_pip_is_told_on_colab(machine, say, cards):
    made = machine(COLAB, cards)
    say(**COLAB_SAYS)
    host.set_up()
    (stack, held), (alone, held_again) = made
    pinned = {f"{name}=={version}" for name, version in PINS.items() if name not in ("pyarrow", "unsloth", "unsloth_zoo")}
    assert {*stack} == {*pinned, "pyarrow>=21,<27", "torchao==0.16.0"}
    assert alone[:3] == ["--no-deps", "unsloth==2026.10.9", "unsloth_zoo==2026.10.9"]
    assert alone[3:] == (["cut_cross_entropy==25.1.1"] if cards else [])
    kept = ("torch", "torchvision", "triton", "numpy", "pandas", "scipy", "pillow", "protobuf", "ipykernel")
    assert held == held_again == [f"{name}=={COLAB[name]}" for name in kept]
    assert not {Requirement(pin).name for pin in (*stack, *alone[1:])} & {*host.KEPT}


def test_kaggle_leaves_one_card_visible(machine, say, capsys):
    machine(READY)
    say(**KAGGLE_SAYS)
    assert host.set_up() == T4 and os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert capsys.readouterr().out.startswith("The first of 2 cards is used")


def test_an_install_that_fails_stops_there(machine, say, capsys):
    made = machine(COLAB, pip_fails=True)
    say(**COLAB_SAYS)
    refusal = r"`pip install .*trl==1.15.0.*` failed, .*run this cell again; pip ended with:\n(.*\n)*ERROR: No matching distrib"
    with pytest.raises(RuntimeError, match=refusal):
        host.set_up()
    assert len(made) == 1 and "Installed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({"torch": "2.13.0+cpu"}, "Nothing is installed on your own machine; `make setup` brings what this project pins: transf"),
        (READY | {"pyarrow": "18.1.0"}, "this project pins: pyarrow <27,>=21 (18.1.0 is installed).\n"),
        (READY, ""),
    ],
)
def test_on_your_own_machine_nothing_is_installed(machine, capsys, installed, said):
    made = machine(installed, "NVIDIA A100-SXM4-40GB, 40960, 8.0", loaded=("pyarrow",))
    assert host.set_up() == A100
    printed = capsys.readouterr().out
    assert said in printed and bool(printed) == bool(said) and made == []
    host.add_vllm(A100)
    assert capsys.readouterr().out == "Nothing is installed on your own machine; run yourself: pip install vllm==0.31.0\n"
    assert made == []


@pytest.mark.parametrize("loaded", [(), ("torch", "numpy")])
def test_vllm_moves_torch_alone(machine, say, capsys, loaded):
    made = machine(READY, loaded=loaded)
    say(**COLAB_SAYS)
    with pytest.raises(RestartNeeded, match="has loaded torch in another version") if loaded else nullcontext():
        host.add_vllm(A100)
    assert "some 4 GB are downloaded" in capsys.readouterr().out
    [(arguments, held)] = made
    assert arguments == ["vllm==0.31.0"]
    assert {"numpy==2.0.2", "transformers==5.17.0", "trl==1.15.0", "pyarrow==26.0.1"} <= {*held}
    assert not {line.partition("==")[0] for line in held} & {*host.VLLM_MOVES}
    host.add_vllm(A100)
    assert len(made) == 1 and capsys.readouterr().out == ""


@pytest.mark.parametrize("device", [T4, P100, CPU, MAC])
def test_a_device_that_vllm_does_not_serve(device):
    with pytest.raises(RuntimeError, match="vLLM needs a CUDA card of compute capability 8 or more.*Transformers generates"):
        host.add_vllm(device)


def test_what_is_installed_and_loaded_here():
    found = host.installed_versions()
    assert found["huggingface-hub"] == importlib.metadata.version("huggingface_hub") and found["trl"] == PINS["trl"]
    assert {"pytest", "packaging"} <= host.loaded_libraries() <= found.keys()


@pytest.mark.parametrize(("error", "line"), [(ValueError("one\ntwo"), "one"), (ValueError(), "ValueError")])
def test_the_first_line_of_an_error(error, line):
    assert host.first_line(error) == line
