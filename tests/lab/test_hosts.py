"""Hosts: what is detected, planned, installed and refused. Colab, Kaggle, cards, pip and the hub are emulated."""

import http.server
import importlib.metadata
import re
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from grpo_lab import hosts
from grpo_lab.hosts import Device, Needs, Plan, installing, machine, setup

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
READY = COLAB | hosts.PINS | {"pyarrow": "26.0.1", "torchao": "0.16.0", "cut_cross_entropy": "25.1.1"}


def test_a_device_reads_well():
    assert str(TWO_T4) == "2 x Tesla T4, 15 GiB, compute capability 7.5"
    assert str(MAC) == "Apple Silicon, 36 GiB"


@pytest.mark.parametrize(
    ("environ", "modules", "kaggle_folder", "host"),
    [
        ({"COLAB_RELEASE_TAG": "release-colab-external_20261101"}, (), False, "colab"),
        ({}, ("google.colab",), False, "colab"),
        ({"COLAB_RELEASE_TAG": "x", "KAGGLE_USERNAME": "ada", "KAGGLE_KEY": "0"}, ("google.colab",), True, "colab"),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, (), True, "kaggle"),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Batch", "COLAB_RELEASE_TAG": "x"}, ("google.colab",), True, "kaggle"),
        ({}, (), True, "kaggle"),
        ({"KAGGLE_USERNAME": "ada"}, ("google",), False, "local"),
        ({}, (), False, "local"),
    ],
)
def test_the_host(tmp_path, environ, modules, kaggle_folder, host):
    folder = tmp_path if kaggle_folder else tmp_path / "none"
    assert hosts.detect_host(environ, modules, folder) == host


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
        (CARDS, "0,7,1", T4),
        ("Tesla P100-PCIE-16GB, 16384, 6.0", None, P100),
        ("NVIDIA A100-SXM4-40GB, 40960, 8.0", None, A100),
        ("Tesla T4, 15360, 7.5\nNVIDIA A100-SXM4-40GB, 40960, 8.0", "1,0", Device("cuda", A100.name, 40.0, (8, 0), count=2)),
    ],
)
def test_cards(tmp_path, monkeypatch, output, visible, device):
    fake_smi(tmp_path, monkeypatch, output)
    assert hosts.detect_device({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) == device


@pytest.mark.parametrize(
    ("output", "code", "visible", "said"),
    [
        (None, 0, None, ""),
        (CARDS, 0, "", ""),
        (CARDS, 0, "-1", ""),
        ("NVIDIA-SMI has failed because it could not communicate", 9, None, "NVIDIA-SMI has failed because"),
        ("Quadro, [N/A], [N/A]", 0, None, "counts as a machine without a GPU"),
        ("No devices were found", 0, None, "counts as a machine without a GPU"),
    ],
)
@pytest.mark.parametrize(
    ("system", "kind"), [(("Linux", "x86_64"), "cpu"), (("Darwin", "arm64"), "mps"), (("Darwin", "x86_64"), "cpu")]
)
def test_no_card(tmp_path, monkeypatch, capsys, output, code, visible, said, system, kind):
    fake_smi(tmp_path, monkeypatch, output, code)
    monkeypatch.setattr(machine.platform, "system", lambda: system[0])
    monkeypatch.setattr(machine.platform, "machine", lambda: system[1])
    device = hosts.detect_device({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
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
        (CPU, {}, CPU, None),
    ],
)
def test_one_card(capsys, device, environ, left, visible):
    before = dict(environ)
    assert hosts.use_one_card(device, environ) == left
    changed = visible is not None
    assert environ == (before | {"CUDA_VISIBLE_DEVICES": visible} if changed else before)
    assert ("The first of 2 cards is used" in capsys.readouterr().out) == changed


# --- preflight ---


@pytest.fixture
def roomy(monkeypatch):
    monkeypatch.setattr("grpo_lab.hosts.checks.memory_gb", lambda: 12.7)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=30 * 1024**3))


BIG = Needs(gpu=True, gpu_memory_gb=14, disk_gb=20, memory_gb=10)


@pytest.mark.parametrize(
    ("needs", "device", "environ", "refusal"),
    [
        (BIG, CPU, {"COLAB_RELEASE_TAG": "x"}, r"needs a GPU and there is none: choose Runtime > Change runtime type"),
        (BIG, CPU, {"KAGGLE_KERNEL_RUN_TYPE": "x"}, r"choose Session options > Accelerator > GPU T4 x2, or set TRIAL = True"),
        (BIG, CPU, {}, r"run it on a machine that has one, or set TRIAL = True or RECIPE = 'tiny'"),
        (BIG, P100, {}, r"PyTorch no longer runs on this card \(Tesla P100.*capability 6.0\).*GPU T4 x2"),
        (Needs(), P100, {}, "PyTorch no longer runs on this card"),
        (
            BIG,
            Device("cuda", "GTX 1660", 6.0, (7, 5)),
            {},
            r"needs 14 GiB of GPU memory and the device has less \(GTX 1660, 6 G",
        ),
        (BIG, Device("mps", "Apple Silicon", 8.0), {}, "needs 14 GiB of GPU memory"),
        (Needs(disk_gb=40), T4, {}, r"needs 40 GiB of disk and .* has 30.0 GiB free: delete old runs"),
        (Needs(download_gb=40), T4, {}, r"needs 40 GiB of disk and .* has 30.0 GiB free: delete old runs or downloads"),
        (Needs(memory_gb=16), T4, {}, r"needs 16 GiB of memory and this machine has 12.7 GiB"),
    ],
)
def test_a_machine_that_cannot(tmp_path, monkeypatch, roomy, needs, device, environ, refusal):
    for name in ("COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=refusal) as error:
        hosts.preflight(needs, device, tmp_path / "results" / "mine")
    assert len(str(error.value)) < 300 and "\n" not in str(error.value)


@pytest.mark.parametrize("device", [T4, A100, MAC, Device("cuda", "Tesla V100-SXM2-16GB", 16.0, (7, 0))])
def test_a_machine_that_can_and_the_installed_libraries(tmp_path, roomy, device):
    assert hosts.preflight(BIG, device, tmp_path) == []


def test_a_library_that_unsloth_does_not_accept(tmp_path, monkeypatch, roomy):
    metadata = tmp_path / "unsloth-2026.10.9.dist-info" / "METADATA"
    metadata.parent.mkdir()
    stated = ["certifi>=9999", 'torch<1; extra == "old"', 'peft<0.1; sys_platform == "none"', "numpy", "trl<=1.0.0,!=0.19.0"]
    lines = ["Metadata-Version: 2.1", "Name: unsloth", "Version: 2026.10.9", *(f"Requires-Dist: {line}" for line in stated)]
    metadata.write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    refusal = f"trl {importlib.metadata.version('trl')} is installed and unsloth 2026.10.9 accepts !=0.19.0,<=1.0.0: run `pip"
    with pytest.raises(RuntimeError, match=re.escape(refusal)):
        hosts.preflight(Needs(), T4, tmp_path)


@pytest.fixture
def hub(monkeypatch):
    """Start a hub that answers every request with a status and headers; None: one that cannot be reached."""
    servers = []

    def start(status=200, **headers):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        if status is None:
            server.server_close()
        else:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            servers.append(server)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        ({"status": 403, "X_Error_Code": "GatedRepo"}, "accept them at https://huggingface.co/o/m, then set HF_TOKEN"),
        ({"status": 401, "X_Error_Code": "GatedRepo"}, "accept them at https://huggingface.co/o/m, then set HF_TOKEN"),
        ({"status": 404, "X_Error_Code": "RepoNotFound"}, "no model o/m that you may read: the id is wrong, or it is private"),
        (
            {"status": 401, "X_Error_Message": "Invalid credentials in Authorization header"},
            "refuses the token in HF_TOKEN: make a new one",
        ),
    ],
)
def test_a_model_that_is_closed(tmp_path, roomy, hub, answer, refusal):
    hub(**answer)
    with pytest.raises(RuntimeError, match=refusal):
        hosts.preflight(Needs(model="o/m"), T4, tmp_path)


@pytest.mark.parametrize(("status", "notes"), [(200, 0), (500, 1), (None, 1)])
def test_a_model_that_is_open_and_a_hub_that_cannot_be_asked(tmp_path, roomy, hub, status, notes):
    hub(status)
    found = hosts.preflight(Needs(model="o/m"), T4, tmp_path)
    assert len(found) == notes and all("could not be asked about o/m" in note for note in found)


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


ALL_PINS = hosts.PINS | {name: version for name, (_, version) in installing.AT_LEAST.items()} | {"torch": "2.13.0"}


def test_every_pin_is_within_the_ceilings_of_the_others():
    assert not outside(ALL_PINS)


@pytest.mark.parametrize(
    ("moved", "who"),
    [
        ({"trl": "1.16.0"}, "unsloth: trl"),
        ({"transformers": "5.23.0"}, "unsloth_zoo: transformers"),
        ({"datasets": "5.2.0"}, "unsloth: datasets"),
        ({"datasets": "4.4.1"}, "unsloth: datasets"),
        ({"peft": "0.17.0"}, "unsloth: peft"),
        ({"pyarrow": "18.1.0"}, "datasets: pyarrow"),
        ({"torch": "2.15.0"}, "unsloth: torch"),
        ({"unsloth_zoo": "2026.9.8"}, "unsloth: unsloth_zoo"),
    ],
)
def test_a_pin_outside_a_ceiling_is_found(moved, who):
    assert any(found.startswith(who) for found in outside(ALL_PINS | moved))


def test_the_pins_are_those_of_the_clone():
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.M))
    pinned |= dict(re.findall(r"(\w+)==(\S+)", re.search(r"^UNSLOTH := (.*)$", (ROOT / "Makefile").read_text(), re.M)[1]))
    pins = hosts.PINS | {"pyarrow": installing.AT_LEAST["pyarrow"][1]}
    assert {name: pinned.get(name) for name in pins} == pins


def test_vllm_is_one_that_trl_works_with():
    stated = {r.name: r.specifier for r in requirements_of("trl", extra="vllm")}
    assert stated["vllm"].contains(hosts.VLLM_PINS["vllm"]) and not stated["vllm"].contains("0.33.0")
    assert hosts.VLLM_PINS["torch"] == re.search(r"^torch==(.*)$", (ROOT / "requirements.txt").read_text(), re.M)[1]


# --- plans ---


@pytest.mark.parametrize(
    ("host", "installed", "device", "loaded", "commands", "restart", "said"),
    [
        ("colab", COLAB, T4, (), ["stack", "alone"], False, "datasets 4.8.5 (4.0.0 is installed)"),
        ("colab", COLAB, T4, ("pyarrow", "numpy", "torch"), ["stack", "alone"], True, "has loaded pyarrow, so the session"),
        ("colab", COLAB, CPU, ("numpy",), ["stack", "alone"], False, "unsloth 2026.10.9"),
        ("kaggle", COLAB | {"wandb": "0.31.0"}, TWO_T4, ("wandb",), ["stack", "alone"], False, "cut_cross_entropy 25.1.1"),
        ("colab", READY, T4, ("pyarrow", "torch"), [], False, "All libraries are there."),
        ("colab", READY | {"trl": "1.16.0"}, T4, ("trl",), ["stack"], True, "trl 1.15.0 (1.16.0 is installed)"),
        ("colab", READY | {"unsloth": "2026.9.1"}, T4, (), ["alone"], False, "unsloth 2026.10.9 (2026.9.1 is installed)"),
        ("colab", READY | {"Unsloth-Zoo": "2026.10.9"}, T4, (), [], False, "All libraries are there."),
        ("kaggle", {**READY, "pyarrow": "23.0.0", "torchao": "0.17.0"}, T4, (), [], False, "All libraries are there."),
        ("local", {"torch": "2.13.0+cpu"}, CPU, (), [], False, "`make setup` brings what this project pins: trl 1.15.0"),
        ("local", hosts.PINS | {"pyarrow": "18.1.0"}, T4, (), [], False, "All libraries are there."),
    ],
)
def test_plans(host, installed, device, loaded, commands, restart, said):
    plan = hosts.install_plan(host, installed, device, loaded)
    assert ["alone" if "--no-deps" in command else "stack" for command in plan.commands] == commands
    assert plan.restart == restart
    assert said in " ".join(plan.reasons)


def test_what_is_installed_on_colab():
    stack, alone = hosts.install_plan("colab", COLAB, T4).commands
    pinned = {
        *(f"{name}=={hosts.PINS[name]}" for name in hosts.PINS if "unsloth" not in name),
        "pyarrow==26.0.1",
        "torchao==0.16.0",
    }
    assert {part for part in stack if "==" in part} == pinned
    assert alone[-3:] == ("unsloth==2026.10.9", "unsloth_zoo==2026.10.9", "cut_cross_entropy==25.1.1")


@pytest.mark.parametrize("device", [CPU, T4])
def test_what_the_kernel_has_loaded_stays(device):
    plan = hosts.install_plan("colab", COLAB, device)
    kept = {name: COLAB[name] for name in ("torch", "torchvision", "triton", "numpy", "pandas", "pillow", "protobuf", "scipy")}
    assert kept.items() <= dict(line.split("==") for line in plan.constraints).items()
    moved = {part.split("==")[0] for command in plan.commands for part in command if "==" in part}
    assert not moved & {*hosts.KEPT}
    assert all(COLAB[line.split("==")[0]] == line.split("==")[1] for line in plan.constraints)


def test_vllm_plans():
    plan = hosts.vllm_plan(A100, COLAB)
    assert plan.restart and plan.commands[0][-4:] == (
        "vllm==0.31.0",
        "torch==2.13.0",
        "torchvision==0.28.0",
        "torchaudio==2.11.0",
    )
    held = dict(line.split("==") for line in plan.constraints)
    assert held["numpy"] == "2.0.2" and held["transformers"] == "5.17.0" and "torch" not in held and "triton" not in held
    assert hosts.vllm_plan(A100, COLAB | hosts.VLLM_PINS).commands == ()
    for device in (T4, P100, CPU, MAC):
        with pytest.raises(RuntimeError, match="vLLM needs a CUDA card of compute capability 8 or more.*Transformers generates"):
            hosts.vllm_plan(device, COLAB)


# --- carrying out ---


def fake_python(tmp_path, code=0):
    """A `python` that notes its arguments and its constraints file, and ends with `code` after printing as pip does."""
    script = tmp_path / "python"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nfor last; do :; done\ncat "$last" > {tmp_path}/constraints\n'
        f"echo Collecting trl\necho ERROR: No matching distribution found for trl >&2\nexit {code}\n"
    )
    script.chmod(0o755)
    return str(script)


PLAN = Plan(
    (("pip", "install", "trl==1.15.0"), ("pip", "install", "--no-deps", "unsloth==1")), ("numpy==2.0.2",), ("Two.",), True
)


def test_install(tmp_path, capsys):
    with pytest.raises(hosts.RestartNeeded, match="Restart the session once") as stop:
        hosts.install(PLAN, fake_python(tmp_path))
    assert stop.value._render_traceback_() == [str(stop.value)], "a notebook shows the sentence alone"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split(" --constraint ")[0] for call in calls] == [f"-m {' '.join(command)}" for command in PLAN.commands]
    assert (tmp_path / "constraints").read_text() == "numpy==2.0.2\n"
    printed = capsys.readouterr().out
    assert "Two." in printed and "$ pip install trl==1.15.0\n" in printed


def test_an_install_that_fails_stops_there(tmp_path, capsys):
    refusal = r"`pip install trl==1.15.0` failed, .*run this cell again; pip ended with:\n(.*\n)*ERROR: No matching distribution"
    with pytest.raises(RuntimeError, match=refusal):
        hosts.install(PLAN, fake_python(tmp_path, code=1))
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
    assert "Restart" not in capsys.readouterr().out


def test_nothing_to_install(tmp_path, capsys):
    hosts.install(hosts.install_plan("colab", READY, T4), fake_python(tmp_path))
    assert not (tmp_path / "calls").exists() and capsys.readouterr().out == "All libraries are there.\n"


def test_set_up_on_kaggle_installs_once(tmp_path, monkeypatch, capsys):
    fake_smi(tmp_path, monkeypatch, CARDS)
    there, carried_out = dict(COLAB), []
    monkeypatch.setattr(setup, "installed_versions", lambda: there)
    monkeypatch.setattr(setup, "install", carried_out.append)
    environ = {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}
    assert hosts.set_up(environ, loaded=("pyarrow",)) == T4 and environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert "Host: kaggle.\nDevice: 2 x Tesla T4, 15 GiB, compute capability 7.5.\n" in capsys.readouterr().out
    there.update(READY)
    hosts.set_up(environ, loaded=("pyarrow",))
    first, second = carried_out
    assert first.commands and first.restart and not second.commands and not second.restart


def test_set_up_on_your_own_machine_installs_nothing(tmp_path, monkeypatch, capsys):
    fake_smi(tmp_path, monkeypatch, "NVIDIA A100-SXM4-40GB, 40960, 8.0")
    monkeypatch.setattr(setup, "installed_versions", dict)
    monkeypatch.setattr(setup, "install", lambda plan: pytest.fail("installs on a local machine"))
    hosts.add_vllm(hosts.set_up({}, loaded=()), {})
    printed = capsys.readouterr().out
    assert "Host: local." in printed and "`make setup` brings what this project pins: trl 1.15.0" in printed
    assert "run yourself: pip install --quiet --disable-pip-version-check vllm==0.31.0" in printed


def test_the_versions_here():
    found = hosts.installed_versions()
    assert found["huggingface-hub"] == importlib.metadata.version("huggingface_hub") and found["trl"] == hosts.PINS["trl"]
