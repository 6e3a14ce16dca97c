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
    "adapters": {"formats", "answers", "rewards"},
    "stats": set(),
}
LAB = {  # beside grpo_math; `report` and `figures` read files, and training does not know them
    "runs": {"records"},
    "host": set(),
    "health": set(),
    "records": set(),
    "contamination": set(),
    "progress": set(),
    "tiny": set(),
    "mirror": {"host", "runs"},
    "recipes": {"host"},
    "tracking": {"host", "runs"},
    "figures": {"records", "report"},
    "report": {"records", "recipes"},
    "look": {"report", "figures", "records", "runs", "health"},
    "show": {"report", "figures"},
    "own_data": {"runs"},
    "sources": {"recipes", "contamination", "own_data"},
    "data": {"sources", "own_data", "recipes", "records", "tiny", "contamination", "runs"},
    "attention": set(),
    "chat": {"recipes"},
    "models": {"attention", "chat", "recipes"},
    "evaluation": {"recipes", "chat", "models", "records", "runs", "progress"},
    "training": {"recipes", "models", "evaluation", "records", "runs", "mirror", "tracking", "health", "progress"},
    "lab": {"host", "recipes", "records", "runs", "data", "mirror", "tracking", "models", "training", "progress"},
    "export": {"recipes", "models", "evaluation", "runs", "host", "mirror"},
}


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


@pytest.mark.parametrize("path", [*modules("grpo_math"), *modules("grpo_lab")], ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_what_stands_below_it(path):
    package, room = path.relative_to(SOURCE).parts[0], room_of(path)
    allowed = {("grpo_math", name) for name in (MATH[room] if package == "grpo_math" else MATH)}
    allowed |= {("grpo_lab", name) for name in (LAB[room] if package == "grpo_lab" else ())}
    above = our_imports(path) - allowed - {(package, room)}
    assert not above, f"{path.name} imports {sorted(above)}"


def test_nothing_stands_below_itself():
    for rooms in (MATH, LAB):
        below = {room: set(names) for room, names in rooms.items()}
        while below:
            ground = {room for room, names in below.items() if not names & set(below)}
            assert ground, f"these import each other: {sorted(below)}"
            below = {room: names for room, names in below.items() if room not in ground}


def test_every_room_has_a_place():
    assert {room_of(path) for path in modules("grpo_math")} == set(MATH)
    assert {room_of(path) for path in modules("grpo_lab")} == set(LAB)


@pytest.mark.parametrize(
    "module",
    ["grpo_math.rewards", "grpo_math.answers", "grpo_math.formats", "grpo_math.audit", "grpo_math.stats", "grpo_lab.runs",
     "grpo_lab.recipes", "grpo_lab.host", "grpo_lab.mirror", "grpo_lab.lab"],
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
