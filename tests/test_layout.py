"""The directions of the house: nothing imports upward, the package that others import stays light, scripts are at the top."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
# What each room may import of ours, beside itself. A room that is not here fails.
MATH = {
    "formats": set(),
    "answers": {"formats"},
    "audit": set(),
    "unanswerable": {"answers", "audit"},
    "rewards": {"formats", "answers", "audit", "unanswerable"},
    "integrations": {"formats", "answers", "rewards"},
    "stats": set(),
}
LAB_LAYERS = [
    {"runs", "contamination", "hosts", "health"},
    {"tiny", "recipes", "mirror"},
    {"sources", "report", "figures", "tracking", "dashboard"},
    {"data"},
    {"models", "training", "evaluation", "show"},
    {"export"},
]


def our_imports(path: Path) -> set[tuple[str, str]]:
    """What a file imports of ours, anywhere in it: (package, room)."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("grpo_math", "grpo_lab"):
            package, *rooms = node.module.split(".")
            names |= {(package, rooms[0])} if rooms else {(package, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            parts = [alias.name.split(".") for alias in node.names if alias.name.startswith(("grpo_math", "grpo_lab"))]
            names |= {(package, rooms[0]) for package, *rooms in parts if rooms}
    return {(package, room) for package, room in names if room != "REPOSITORY"}


def modules(package: str) -> list[Path]:
    return sorted(path for path in (SOURCE / package).rglob("*.py") if path != SOURCE / package / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[1].removesuffix(".py")


@pytest.mark.parametrize("path", modules("grpo_math"), ids=lambda path: str(path.relative_to(SOURCE)))
def test_what_others_import_imports_itself_alone_and_downward(path):
    room = room_of(path)
    allowed = {("grpo_math", name) for name in {room} | MATH[room]}
    assert our_imports(path) <= allowed, f"{path.name} imports {sorted(our_imports(path) - allowed)}"


@pytest.mark.parametrize("path", modules("grpo_lab"), ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_in_the_lab_imports_upward(path):
    level = next(i for i, layer in enumerate(LAB_LAYERS) if room_of(path) in layer)
    allowed = set().union(*LAB_LAYERS[: level + 1]) if level else {room_of(path)}
    above = {room for package, room in our_imports(path) if package == "grpo_lab"} - allowed
    assert not above, f"{path.name} imports {sorted(above)} from above"


def test_every_room_has_a_layer():
    assert {room_of(path) for path in modules("grpo_lab")} == set().union(*LAB_LAYERS)
    assert {room_of(path) for path in modules("grpo_math")} == set(MATH)


@pytest.mark.parametrize(
    "module",
    ["grpo_math.rewards", "grpo_math.answers", "grpo_math.formats", "grpo_math.audit", "grpo_math.stats", "grpo_lab.runs",
     "grpo_lab.recipes", "grpo_lab.hosts", "grpo_lab.mirror"],
)  # fmt: skip
def test_the_light_modules_load_no_heavy_library(module):
    code = (
        f"import sys, {module}; "
        "print([m for m in ('torch', 'transformers', 'trl', 'sympy', 'pandas', 'matplotlib', 'datasets') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert loaded == "[]", f"{module} loads {loaded}"


@pytest.mark.parametrize(("module", "seconds"), [("answers", 0.05), ("rewards", 0.5)])
def test_the_light_modules_import_quickly(module, seconds):
    code = f"import time; start = time.perf_counter(); import grpo_math.{module}; print(time.perf_counter() - start)"
    times = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
    assert min(times) < 2 * seconds, f"grpo_math.{module} takes {min(times):.3f} s; twice {seconds} s is the most"
