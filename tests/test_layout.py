"""The directions of the package: nothing imports upward, and the ground stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "grpo_math"
GROUND = {"formats", "answers", "stats", "runs", "contamination", "hosts", "audit", "health"}
LAYERS = [
    GROUND,
    {"twins"},
    {"tiny", "rewards", "recipes", "mirror"},
    {"sources", "report", "figures", "tracking", "dashboard", "integrations"},
    {"data"},
    {"models", "training", "evaluation", "show"},
    {"execute", "seeds", "export"},
]


def our_imports(path: Path) -> set[str]:
    """The modules of this package that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "grpo_math":
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("grpo_math.")}
    return names


def modules() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_has_a_layer():
    assert {name_of(path) for path in modules()} == set().union(*LAYERS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_imports_upward(path):
    level = next(i for i, layer in enumerate(LAYERS) if name_of(path) in layer)
    allowed = set().union(*LAYERS[: level + 1]) if level else {name_of(path)}  # a package may import its own parts
    above = our_imports(path) - allowed
    assert not above, f"{path.name} imports {sorted(above)} from above"


@pytest.mark.parametrize("module", ["rewards", "answers", "formats", "stats", "runs", "recipes", "hosts", "mirror"])
def test_the_light_modules_load_no_heavy_library(module):
    code = (
        f"import sys, grpo_math.{module}; "
        "print([m for m in ('torch', 'transformers', 'trl', 'sympy', 'pandas', 'matplotlib', 'datasets') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert loaded == "[]", f"grpo_math.{module} loads {loaded}"


@pytest.mark.parametrize(("module", "seconds"), [("answers", 0.05), ("rewards", 0.5)])
def test_the_light_modules_import_quickly(module, seconds):
    code = f"import time; start = time.perf_counter(); import grpo_math.{module}; print(time.perf_counter() - start)"
    times = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
    assert min(times) < 2 * seconds, f"grpo_math.{module} takes {min(times):.3f} s; twice {seconds} s is the most"
