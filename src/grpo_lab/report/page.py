"""The report of a run as one HTML file, which opens without a server or a network: numbers, figures, and samples to be read."""

import json
from html import escape
from pathlib import Path

from grpo_lab.report.browser import browser_html
from grpo_lab.report.html_parts import document_html, image_html, prose_html, table_html, tag
from grpo_lab.report.page_style import SCRIPT, STYLE
from grpo_lab.report.tables import (
    audit_note,
    audit_table,
    gain_table,
    outcomes_table,
    plan_sentence,
    results_markdown,
    results_table,
    twins_markdown,
    twins_table,
)

PLAN = "eval_plan.json"


def write_page(run_dir: Path | str) -> Path:
    """Write `report.html` in the run folder and return its path.

    It holds the figures that are there already and at most 200 problems, below 2 MB in all. Raises as `read_samples` and
    `compare`; ValueError where the plan is damaged.
    """
    run = Path(run_dir).resolve()
    path = run / "report.html"
    title = f"Report of the run {run.name}"
    body = "".join((_intro_html(run, title), *_sections(run), _FOOTER))
    path.write_text(document_html(title, STYLE, body, SCRIPT), encoding="utf-8")
    return path


_FOOTER = tag(
    "p", "Every number here is computed from the run's samples/*.jsonl, and can be computed from them again.", class_="note"
)
SECTIONS = {
    "results": "Results",
    "errors": "What became of the completions",
    "gain": "Where the gain comes from",
    "audit": "False claims, without a judge",
    "twins": "Problems that cannot be answered",
    "training": "How training went",
    "samples": "Samples",
}


def _intro_html(run: Path, title: str) -> str:
    links = "".join(tag("a", escape(name), href=f"#{anchor}") for anchor, name in SECTIONS.items())
    return tag("h1", escape(title)) + prose_html(read_plan(run)) + tag("nav", links)


def read_plan(run_dir: Path | str) -> str:
    """What the run's frozen plan says in one sentence, or that there is none. ValueError where its file is damaged."""
    path = Path(run_dir) / PLAN
    if not path.is_file():
        return f"This run has no {PLAN}, so nothing shows that its measurement was planned before training."
    try:
        return plan_sentence(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged or of an older kind ({error!r}): restore it, or measure the run again.") from error


def _sections(run: Path) -> list[str]:
    parts = {
        "results": _figure(run, "accuracy", "Accuracy of each checkpoint with its 95% interval")
        + table_html(results_table(run))
        + prose_html(results_markdown(run)),
        "errors": _figure(run, "outcomes", "What became of the completions, one bar a checkpoint")
        + tag("p", "The first description that fits counts, from the top down.")
        + table_html(outcomes_table(run)),
        "gain": _figure(run, "gain", "A waterfall from the accuracy of the base to that of the last checkpoint")
        + tag("p", _GAIN)
        + table_html(gain_table(run)),
        "audit": table_html(audit_table(run)) + tag("p", escape(audit_note(run.parent)), class_="note"),
        "twins": _twins_html(run),
        "training": _training_html(run),
        "samples": browser_html(run),
    }
    return [tag("h2", escape(SECTIONS[anchor]), id=anchor) + html for anchor, html in parts.items()]


_GAIN = (
    "Every problem whose verdict changed is put down to one cause: what was wrong with the wrong one of the two completions. The "
    "parts add up to the whole difference, in points of flexible accuracy."
)


def _figure(run: Path, name: str, alt: str) -> str:
    return image_html(run / "figures" / f"{name}.png", alt)


def _training_html(run: Path) -> str:
    curves = _figure(run, "sft", "Loss of supervised training") + _figure(run, "grpo", "Curves of the GRPO stage")
    return curves or tag("p", "This run holds no figures of its training: run notebooks 01 and 02 to draw them.")


def _twins_html(run: Path) -> str:
    table = twins_table(run)
    return ("" if table.empty else table_html(table)) + prose_html(twins_markdown(run))
