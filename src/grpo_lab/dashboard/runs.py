"""A run folder as the page shows it, whole or cut off: what was trained, what it reached, and in sentences what is missing."""

import csv
import json
from pathlib import Path

from grpo_lab.dashboard.completions import Samples, read_rows, read_training, side_by_side
from grpo_lab.dashboard.curves import STAGES, read_curves
from grpo_lab.health import diagnose, read_metrics
from grpo_lab.records import CHECKPOINTS
from grpo_lab.report.summary import share
from grpo_lab.runs import read_stages

PARTS = ("base", "base-chat", *CHECKPOINTS[1:])
TRACES = ("*_metrics.csv", "*_config.json", "stages.csv", "samples/*.jsonl", "completions/*.jsonl")  # what makes a folder a run


def find_runs(results: Path, names: list[str] | None = None) -> list[Path]:
    """The run folders under `results` by name, or those that are named.

    Raises ValueError that lists the runs where a name is none of them, FileNotFoundError where there is no such folder.
    """
    if not results.is_dir():
        raise FileNotFoundError(f"There is no folder {results}: train a run with `make run`, or name another folder.")
    found = {path.name: path for path in sorted(results.iterdir()) if any(any(path.glob(trace)) for trace in TRACES)}
    if unknown := [name for name in names or () if name not in found]:
        raise ValueError(f"{results} holds no run {', '.join(unknown)}; there are: {', '.join(found) or 'none yet'}.")
    return [found[name] for name in dict.fromkeys(names or found)]


def read_run(run: Path) -> dict:
    """Everything that the page shows of a run, from what its folder holds; never raises for a file that is missing or damaged.

    Keys: name, recipe, seed, seconds (by finished stage), accuracies (by samples file), curves (by stage, then metric), training
    (see `read_training`), problems (see `side_by_side`), said (sentences on what is missing or damaged), advice (see `health`).
    """
    said: list[str] = []
    settings = _settings(run, said)
    recipe = settings.get("recipe") if isinstance(settings.get("recipe"), dict) else {}
    curves = {stage: read_curves(run / f"{stage}_metrics.csv", said) for stage in STAGES}
    samples = {name: rows for name in PARTS if (rows := _samples(run, name, said))}
    training = read_training(run / "completions", said)
    seconds = _seconds(run, said)
    planned = [stage for stage in reversed(STAGES) if recipe.get(stage) or (not recipe and stage != "priming")]
    return {
        "name": run.name,
        "recipe": str(recipe.get("name", "unknown")),
        "seed": str(settings.get("seed", "unknown")),
        "seconds": seconds,
        "accuracies": {name: _accuracy(rows) for name, rows in samples.items()},
        "curves": {stage: found for stage, found in curves.items() if found},
        "training": training,
        "problems": side_by_side(_best_base(samples)),
        "said": [*_missing(run, planned, seconds, curves, bool(training)), *said],
        "advice": [str(illness) for illness in _diagnose(run)],
    }


def _settings(run: Path, said: list[str]) -> dict:
    """The settings of the last stage that was begun; empty where no configuration can be read."""
    for stage in STAGES:
        path = run / f"{stage}_config.json"
        try:
            return dict(json.loads(path.read_text(encoding="utf-8"))["settings"])
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            said.append(f"{path.name} cannot be read ({error!r}).")
    return {}


def _samples(run: Path, name: str, said: list[str]) -> list[dict]:
    path = run / "samples" / f"{name}.jsonl"
    return read_rows(path, said) if path.is_file() else []


def _best_base(samples: Samples) -> Samples:
    """The samples with one base only, in the prompt that serves it better."""
    right = {name: sum(row.get("correct_flexible") is True for row in samples.get(name, ())) for name in PARTS[:2]}
    other = "base" if right["base-chat"] > right["base"] or "base" not in samples else "base-chat"
    return {name: rows for name, rows in samples.items() if name != other}


def _accuracy(rows: list[dict]) -> dict:
    """`n`, and the shares answered correctly (flexible) and with a verified false claim, each with its Wilson 95 % interval."""
    right = sum(row.get("correct_flexible") is True for row in rows)
    false = sum("H1" in row["flags"] for row in rows if isinstance(row.get("flags"), list))
    return {"n": len(rows), **share(right, len(rows), "right"), **share(false, len(rows), "false_claims")}


def _seconds(run: Path, said: list[str]) -> dict[str, float]:
    try:
        return {row["stage"]: float(row["wall_s"]) for row in read_stages(run)}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        said.append(f"stages.csv cannot be read ({error!r}).")
        return {}


def _missing(run: Path, planned: list[str], seconds: dict, curves: dict, completions: bool) -> list[str]:
    """A sentence for each stage that has not been finished, and for each part of the measurement that is not there."""
    sentences = []
    for stage in planned:
        if stage not in seconds:
            last = max((points[-1][0] for points in curves[stage].values()), default=None)
            sentences.append(
                f"{stage}: not trained yet." if last is None else f"{stage}: begun but not finished; step {last} is the last."
            )
        elif not curves[stage]:
            sentences.append(f"{stage}: its metrics are missing.")
    if "grpo" in planned and curves["grpo"] and not completions:
        sentences.append("The completions of GRPO were not kept (no completions/).")
    measured = ["base", *(stage for stage in CHECKPOINTS[1:] if stage in planned)]
    absent = [name for name in measured if not (run / "samples" / f"{name}.jsonl").is_file()]
    return sentences + ([f"Not evaluated yet: {', '.join(absent)}."] if absent else [])


def _diagnose(run: Path) -> list:
    try:
        return diagnose(read_metrics(run / "grpo_metrics.csv"))
    except (OSError, ValueError, csv.Error):  # said where the curves are read
        return []
