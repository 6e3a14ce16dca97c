"""Several training seeds side by side, from the files of `make seeds`: one seed compares checkpoints, a claim needs more.

Intervals are Student's 95 %, over seeds: what another seed, with its data, its order and its sampling, would bring.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from grpo_lab.records import label_of
from grpo_lab.report.tables import markdown_table, p_text, percent, points, with_range
from grpo_math.stats import mean_interval, paired_difference

CONTROLS = {
    "sft": "SFT",
    "longer": "SFT on seven times the examples",
    "told": "SFT on the careful way alone",
    "grpo": "SFT, then GRPO",
    "steps": "SFT, then GRPO that also pays for sound steps",
}


def read_seeds(folder: Path | str) -> tuple[pd.DataFrame, list[dict]]:
    """The items, a row each with `set`, `id`, `stratum` and `source`, and what each seed's file holds, in the order of the seeds.

    Raises FileNotFoundError where there is none, ValueError where seeds are of different recipes or of other items.
    """
    folder = Path(folder)
    paths = sorted(folder.glob("seed-*.json"), key=lambda path: int(path.stem.removeprefix("seed-")))
    if not paths or not (folder / "items.csv").is_file():
        raise FileNotFoundError(f"There are no verdicts of several seeds in {folder}: run `make seeds` first.")
    items, seeds = pd.read_csv(folder / "items.csv", keep_default_na=False), [json.loads(path.read_text()) for path in paths]
    if len({seed["recipe"] for seed in seeds}) > 1:
        raise ValueError(f"The seeds in {folder} were measured with different recipes: delete those that are out of date.")
    counts = items["set"].value_counts()
    for path, seed in zip(paths, seeds, strict=True):
        for kind, n in counts.items():
            if odd := [name for name, verdicts in seed[kind].items() if len(verdicts) != n or set(verdicts) - {"0", "1"}]:
                raise ValueError(f"{path}: {', '.join(odd)} has not one 0 or 1 for each of the {n} items of the set {kind!r}.")
    return items, seeds


def _verdicts(seed: dict, kind: str, name: str, where: Sequence[bool] | None = None) -> list[bool]:
    """The verdicts on a set's items, or on those where `where` is true."""
    verdicts = [digit == "1" for digit in seed[kind][name]]
    return verdicts if where is None else [verdict for verdict, wanted in zip(verdicts, where, strict=True) if wanted]


def _mean(verdicts: Sequence[bool]) -> float:
    return sum(verdicts) / len(verdicts)


def over_seeds(values: Sequence[float], signed: bool = False) -> str:
    """A mean over seeds in percent (or signed points) with Student's interval; of fewer than three seeds the mean alone."""
    mean = sum(values) / len(values)
    if len(values) < 3:  # of two it is wider than the scale
        return points(mean) if signed else percent(mean)
    low, high = mean_interval(values)
    return f"{points(mean)} ({points(low)} to {points(high)})" if signed else with_range(mean, low, high)


def seeds_table(folder: Path | str) -> pd.DataFrame:
    """One row a training seed, as text to be read, and their mean with its interval. Raises as `read_seeds`.

    Behind an accuracy stand its difference in points to the stage before it and the exact McNemar p.
    """
    _, seeds = read_seeds(folder)
    stages = {"sft": ("base", "+ SFT (to base)"), "grpo": ("sft", "+ GRPO (to + SFT)")}
    bases = list(dict.fromkeys(seed["base"] for seed in seeds))
    rows, gains = [], {name: [] for name in stages}
    for seed in seeds:
        row = {"seed": str(seed["seed"]), "base model": str(bases.index(seed["base"]) + 1)}
        row["base"] = percent(_mean(_verdicts(seed, "test", "base")))
        for name, (before, column) in stages.items():
            change = paired_difference(_verdicts(seed, "test", before), _verdicts(seed, "test", name))
            gains[name].append(change.difference)
            share = percent(_mean(_verdicts(seed, "test", name)))
            row[column] = f"{share} ({points(change.difference)}, {p_text(change.p_value)})"
        rows.append(row)
    means = {name: over_seeds([_mean(_verdicts(seed, "test", name)) for seed in seeds]) for name in ("base", "sft", "grpo")}
    last = {"seed": "mean", "base model": "", "base": means["base"]}
    last |= {column: f"{means[name]}; {over_seeds(gains[name], signed=True)}" for name, (_, column) in stages.items()}
    return pd.DataFrame([*rows, last])


def strata_table(folder: Path | str) -> pd.DataFrame:
    """Accuracy by stratum, means over seeds: the test set, then the problems unlike those that SFT and GRPO train on."""
    items, seeds = read_seeds(folder)
    rows = []
    for kind in ("test", "transfer"):
        strata = items.loc[items["set"] == kind, "stratum"].tolist()
        for stratum in dict.fromkeys(strata):
            where = [name == stratum for name in strata]
            shares = {name: [_mean(_verdicts(seed, kind, name, where)) for seed in seeds] for name in ("base", "sft", "grpo")}
            row = {"problems": stratum, "number": f"{sum(where):,}"}
            row |= {label_of(name): percent(sum(values) / len(values)) for name, values in shares.items()}
            for before, after in (("base", "sft"), ("sft", "grpo")):
                gains = [new - old for old, new in zip(shares[before], shares[after], strict=True)]
                row[f"gain of {after.upper()}"] = over_seeds(gains, signed=True)
            rows.append(row)
    return pd.DataFrame(rows)


def controls_table(folder: Path | str) -> pd.DataFrame:
    """What else could have been done from the same base: a row each, over the seeds that have it."""
    _, seeds = read_seeds(folder)
    rows = []
    sampled = [seed["sampled"]["base"] for seed in seeds if "base" in seed.get("sampled", {})]
    if sampled:
        first = {"trained by": f"nothing: the base, the most frequent of {sampled[0]['k']} samples", "seeds": str(len(sampled))}
        rows.append(first | {"accuracy": over_seeds([values["maj_at_k"] for values in sampled])})
    for name, label in CONTROLS.items():
        having = [seed for seed in seeds if name in seed["test"]]
        if not having:
            continue
        seconds = [sum(seed["cpu_s"].get(part, 0) for part in _parts(name)) for seed in having]
        rows.append(
            {
                "trained by": label,
                "seeds": str(len(having)),
                "accuracy": over_seeds([_mean(_verdicts(seed, "test", name)) for seed in having]),
                "with a false claim": over_seeds([_mean(_verdicts(seed, "false claims", name)) for seed in having]),
                "twins refused": over_seeds([_mean(_verdicts(seed, "twins", name)) for seed in having]),
                "CPU seconds": f"{sum(seconds) / len(seconds):,.0f}",
            }
        )
    return pd.DataFrame(rows).fillna("–")


def _parts(name: str) -> tuple[str, ...]:
    """The stages, as the clock names them, whose time a control took."""
    return {"sft": ("priming", "sft"), "grpo": ("priming", "sft", "grpo"), "steps": ("priming", "sft", "steps")}.get(
        name, (name,)
    )


def steps_sentence(folder: Path | str) -> str:
    """What paying for sound steps changes, over the seeds that were trained with it and without; empty where there is none."""
    having = [seed for seed in read_seeds(folder)[1] if "steps" in seed["test"]]
    if not having:
        return ""
    accuracy, false = (
        over_seeds([_mean(_verdicts(seed, kind, "steps")) - _mean(_verdicts(seed, kind, "grpo")) for seed in having], signed=True)
        for kind in ("test", "false claims")
    )
    return (
        f"Over {len(having)} seeds, paying for sound steps as well changes accuracy by {accuracy} points, and the share of "
        f"completions with a false claim by {false}."
    )


def seeds_tables(folder: Path | str) -> dict[str, str]:
    """The three tables and a sentence as GitHub Markdown, by the names of their blocks in docs/results.md."""
    tables = {"seeds": seeds_table, "strata": strata_table, "controls": controls_table}
    return {name: markdown_table(table(folder)) + "\n" for name, table in tables.items()} | {
        "steps": f"{steps_sentence(folder)}\n"
    }
