"""Progress bars, all of one kind and on stdout: a bar where it can be redrawn, one line now and then where it cannot."""

import os
import sys
import time
from collections.abc import Iterable
from typing import TextIO

from IPython import get_ipython
from tqdm import tqdm

PAUSE_S = 10.0  # between two lines, where a bar cannot be redrawn
TERMINAL = "GRPO_MATH_TERMINAL"  # set where notebooks are executed from a terminal, so that nobody sees their live view


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this, which can show HTML."""
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def live_view_is_seen() -> bool:
    """Whether somebody looks at the live view of GRPO, which says how far it is: then no bar stands beside it."""
    return in_notebook() and TERMINAL not in os.environ


def bar(iterable: Iterable | None = None, **settings) -> tqdm:
    """A progress bar on stdout, since a notebook shows stderr in red; its estimate is by the mean pace so far."""
    file = sys.stdout if in_notebook() else for_bars(sys.stdout)
    return tqdm(iterable, file=file, ncols=79, position=0, leave=False, smoothing=0, mininterval=0.5, **settings)


def for_bars(stream: TextIO) -> "TextIO | Lines":
    """The stream as it is where it is a terminal, else as one that gets lines."""
    return stream if stream.isatty() else Lines(stream)


class Lines:
    """Takes the states of a bar and gives `stream` one of them as a line, every `pause` seconds at most."""

    def __init__(self, stream: TextIO, pause: float = PAUSE_S):
        self.stream, self.pause, self.written = stream, pause, time.monotonic()

    def write(self, text: str) -> None:
        if text.strip() and time.monotonic() - self.written >= self.pause:
            self.stream.write(text.strip() + "\n")
            self.written = time.monotonic()

    def flush(self) -> None:
        self.stream.flush()
