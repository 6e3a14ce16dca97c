"""Progress bars, on stdout, because a notebook shows stderr in red: redrawn where that is possible, else a line now and then."""

import re
import sys
import time

from IPython import get_ipython
from tqdm import tqdm

BAR = re.compile(r"\r(?:[^\r\n]*\d%\|[^\r\n]*| *)(?=[\r\n]|$)")  # a state of a bar, or the blanks that take it away
TERMINAL = "GRPO_MATH_TERMINAL"  # set where notebooks run from a terminal, so that nobody sees what they show meanwhile


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this, which can show HTML."""
    return hasattr(get_ipython(), "kernel")


def bar(iterable=None, **settings) -> tqdm:
    """A progress bar; what is left is told by the mean pace so far."""
    file = sys.stdout if in_notebook() else Bars(sys.stdout)
    size = {"ncols": 79, "nrows": 24, "position": 0}  # a terminal may say that it has no rows, and would get no bar
    return tqdm(iterable, file=file, leave=False, smoothing=0, mininterval=0.5, **size, **settings)


class Bars:
    """Passes on the bars in what is written to it: to a terminal as they are, else a line every `pause` seconds at most."""

    def __init__(self, stream, pause: float = 10.0):
        self.stream, self.pause, self.told = stream, pause, time.monotonic()

    def write(self, text: str) -> None:
        for state in BAR.findall(text):
            if self.stream.isatty():
                self.stream.write(state if state.strip() else f"{state}\r")
            elif state.strip() and time.monotonic() - self.told >= self.pause:
                self.stream.write(f"{state.strip()}\n")
                self.told = time.monotonic()

    def flush(self) -> None:
        self.stream.flush()
