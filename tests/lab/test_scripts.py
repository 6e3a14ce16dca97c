"""The command lines of scripts/ and bench/ start from any folder, as the Makefile and their docstrings call them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = [
    path for folder in ("scripts", "bench") for path in sorted((ROOT / folder).glob("*.py")) if "argparse" in path.read_text()
]


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_a_command_line_explains_itself(path, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(path), "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {path.name}"), done.stderr[-2000:]
