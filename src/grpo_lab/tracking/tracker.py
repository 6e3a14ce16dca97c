"""What a stage tells its dashboard, whichever it is. What fails there is said once, and never ends a run."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from grpo_lab.mirror import first_line
from grpo_lab.tracking.metrics import flatten, metric_of

FIRST_COLUMNS = ("step", "question", "completion", "extracted_strict", "gold")


class Tracker:
    """One stage's dashboard; this one, of `TRACKER = "none"`, does nothing. Use it in `with`, or call `finish`.

    The others fill in the methods that begin with an underscore. Values may come under TRL's names: `metrics` has the
    dashboard's. No method raises for what fails in the dashboard, its disk or its network: that is printed, once.
    """

    def __init__(self, run: Path | None = None):
        self._folder = run
        self._told = self._closed = False

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Values measured at an optimiser step, under TRL's names."""
        self._log_named(_named(values), step)

    def log_table(self, name: str, rows: Sequence[Mapping], step: int | None = None) -> None:
        """Rows of one table, each with the keys of the first one; with a step, they are added to those of earlier steps."""
        if rows:
            self._try("log a table", self._log_table, f"samples/{name}", [_flat_row(row) for row in rows], step)

    def summarise(self, values: Mapping) -> None:
        """Final values, under their own names; nested mappings become `a/b/c`."""
        self._try("write the summary", self._summarise, flatten(values))

    def save_files(self, name: str, kind: str, paths: Iterable[Path]) -> None:
        """Files and folders of the run as one artifact, `<run>-<name>`, which records what this stage has used."""
        self._try(f"save {name}", self._save_files, name, kind, [Path(path).resolve() for path in paths])

    def use_files(self, name: str) -> None:
        """This stage works on an artifact that an earlier stage of the run has saved."""
        self._try(f"record the use of {name}", self._use_files, name)

    def artifact_name(self, name: str) -> str:
        """The name of an artifact in the dashboard's project, where those of all runs are together."""
        return re.sub(r"[^\w.-]", "_", f"{self._folder.name}-{name}", flags=re.ASCII)

    def part(self, name: str) -> "Tracker":
        """A tracker for a part of the stage that counts its own steps (priming): its values get a section of this name."""
        return _Part(self, name)

    def finish(self, failed: bool = False) -> None:
        """Close the dashboard's run, which may upload what is left; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._try("finish", self._finish, failed)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.finish(failed=error is not None)

    def _log_named(self, values: dict[str, float], step: int, axis: str = "step") -> None:
        self._try("log values", self._log, values, step, axis)

    def _try(self, what: str, call: Callable, *arguments) -> None:
        try:
            call(*arguments)
        except Exception as error:  # whatever a dashboard raises is worth less than the training that it would end
            if not self._told:
                print(
                    f"The dashboard could not {what} ({first_line(error)}): the run goes on, "
                    "and its files in results/ hold everything."
                )
            self._told = True

    def _log(self, values: dict[str, float], step: int, axis: str) -> None: ...

    def _log_table(self, name: str, rows: list[dict], step: int | None) -> None: ...

    def _summarise(self, values: dict) -> None: ...

    def _save_files(self, name: str, kind: str, paths: list[Path]) -> None: ...

    def _use_files(self, name: str) -> None: ...

    def _finish(self, failed: bool) -> None: ...


class _Part(Tracker):
    """Hands values on under `<part>/...`, over the part's own steps."""

    def __init__(self, whole: Tracker, name: str):
        super().__init__()
        self._whole, self._name = whole, name

    def log(self, values: Mapping[str, float], step: int) -> None:
        under = {f"{self._name}/{name.split('/', 1)[1]}": value for name, value in _named(values).items()}
        self._whole._log_named(under, step, f"{self._name}/step")


def _named(values: Mapping[str, float]) -> dict[str, float]:
    """Values under the dashboard's names."""
    return {metric_of(key).name: value for key, value in values.items() if key != "step"}


def _flat_row(row: Mapping) -> dict:
    """A row without mappings and lists in it, what is read first to the left."""
    flat = {}
    for key in (*(key for key in FIRST_COLUMNS if key in row), *(key for key in row if key not in FIRST_COLUMNS)):
        value = row[key]
        if isinstance(value, Mapping):
            flat |= {f"{key}/{inner}": each for inner, each in value.items()}
        else:
            flat[key] = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return flat
