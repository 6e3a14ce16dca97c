"""A hub with small copies of the public data sets, and a process that loads from it."""

from pathlib import Path

import public_rows
import pytest
from hub import hub_process


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """What the hub serves; a test may add data sets to it."""
    folder = tmp_path_factory.mktemp("hub")
    public_rows.write_hub(folder)
    return folder


@pytest.fixture(scope="session")
def call(folder, tmp_path_factory):
    """`call(function, ...)` in a process whose hub is `folder`: returns what it returns, raises what it raises."""
    with hub_process(folder, tmp_path_factory.mktemp("home")) as pool:
        yield lambda *work, **named: pool.submit(*work, **named).result()
