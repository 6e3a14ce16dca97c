"""The page itself: `results/dashboard.html`, one file that opens without a server or a network."""

import json
import os
from html import escape
from pathlib import Path
from urllib.parse import quote

from grpo_lab.dashboard.curves import catalogue
from grpo_lab.dashboard.runs import PARTS, find_runs, read_run
from grpo_lab.dashboard.views import SECTIONS, section_html, views_html
from grpo_lab.records import label_of
from grpo_lab.report.browser import FLAG_NAMES, KINDS
from grpo_lab.report.html_parts import document_html, table_html, tag
from grpo_lab.report.page_style import STYLE
from grpo_lab.report.seeds import seeds_table
from grpo_lab.report.tables import percent, with_interval
from grpo_lab.runs import project_root

HERE = Path(__file__).parent
SCRIPTS = ("view.js", "curves.js", "browse.js")


def write_dashboard(results: Path | str | None = None, runs: list[str] | None = None) -> Path:
    """Write `dashboard.html` over the run folders and return its path.

    results: the folder that holds them, or the clone above it (default: the clone around the working directory). runs: names of
    those to show, in this order (default: all). Runs that are cut off or damaged are shown as far as they can be read. Raises
    FileNotFoundError where there is no such folder, ValueError for a name that is no run.
    """
    folder = Path(results).resolve() if results else project_root()
    folder = folder / "results" if (folder / "results").is_dir() else folder
    found = [read_run(run) for run in find_runs(folder, runs)]
    metrics = {name for run in found for stage in run["curves"].values() for name in stage}
    data = {"runs": found, "groups": catalogue(metrics), "flags": FLAG_NAMES, "kinds": KINDS}
    parts = [_intro_html(found), _runs_html(folder, found, with_seeds=runs is None)]
    parts += [views_html(found), _data_html(data)] if found else []
    script = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS) if found else ""
    path = folder / "dashboard.html"
    style = STYLE + (HERE / "page.css").read_text(encoding="utf-8")
    html = document_html("grpo-math: all runs", style, "".join(parts), script)
    path.write_text(html, encoding="utf-8", errors="replace")
    return path


def show(results: Path | str | None = None, runs: list[str] | None = None, embed: bool = False, height: int = 800):
    """Write the page and give back what a notebook displays: a link to it or, with `embed`, the page in a frame.

    Embed where the browser cannot open files of the machine (Colab, Kaggle); the notebook then holds the whole page, some MB.
    height: of the frame, in pixels. Raises as `write_dashboard`.
    """
    from IPython.display import HTML

    path = write_dashboard(results, runs)
    if embed:
        page = path.read_text(encoding="utf-8")
        return HTML(tag("div", tag("iframe", srcdoc=page, width="100%", height=str(height), title="All runs")))
    link = tag("a", "results/dashboard.html", href=quote(os.path.relpath(path)), target="_blank")
    return HTML(f"{link} ({path.stat().st_size / 1e6:.1f} MB): one page, to be opened in a browser.")


def _data_html(data: dict) -> str:
    """The data as JSON that cannot end its element, whatever a model wrote: no "<" stands in it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return tag("script", text, type="application/json", id="data")


def _intro_html(runs: list[dict]) -> str:
    links = "".join(tag("a", name, href=f"#{anchor}") for anchor, name in SECTIONS.items() if runs or anchor == "runs")
    script = tag(
        "noscript", tag("p", "The curves and the completions below need JavaScript; the page loads nothing from elsewhere.")
    )
    return tag("h1", "All runs") + tag("nav", links) + script


# --- Runs --------------------------------------------------------------------


def _runs_html(folder: Path, runs: list[dict], with_seeds: bool) -> str:
    if not runs:
        return section_html("runs", tag("p", "There are no runs here yet. Train one: <code>make run</code>."))
    checkpoints = [name for name in PARTS if any(name in run["accuracies"] for run in runs)]
    columns = ("run", "recipe", "seed", *map(label_of, checkpoints), "finished stages", "report")
    head = tag("tr", *(tag("th", escape(name), scope="col") for name in columns))
    rows = "".join(_run_row(folder, run, checkpoints) for run in runs)
    table = tag("table", tag("thead", head), tag("tbody", rows))
    told = (
        "Accuracy on held-out problems (flexible extraction) with its Wilson 95% interval; below it, of how many problems, and "
        "the share of completions with a verified false claim."
    )
    notes = "".join(_notes_html(run) for run in runs)
    seeds = _seeds_html(folder) if with_seeds else ""
    return section_html("runs", tag("p", told), tag("div", table, class_="scroll", tabindex="0"), notes, seeds)


def _run_row(folder: Path, run: dict, checkpoints: list[str]) -> str:
    seconds = run["seconds"]
    report = f"{run['name']}/report.html"
    link = tag("a", "report", href=quote(report)) if (folder / report).is_file() else "–"
    cells = (
        escape(run["recipe"]),
        escape(run["seed"]),
        *(_accuracy_html(run["accuracies"].get(name)) for name in checkpoints),
        _lines_html(escape(", ".join(seconds)), f"{sum(seconds.values()) / 60:.1f} min in all") if seconds else "none",
        link,
    )
    return tag("tr", tag("th", escape(run["name"]), scope="row"), *(tag("td", cell) for cell in cells))


def _accuracy_html(accuracy: dict | None) -> str:
    if accuracy is None:
        return "–"
    told = (f"of {accuracy['n']:,}", f"false claims {percent(accuracy['false_claims'])}")
    return _lines_html(with_interval(accuracy, "right"), *told)


def _lines_html(first: str, *more: str) -> str:
    """A cell of several lines, the later ones in small type."""
    return "<br>".join((first, *(tag("small", line) for line in more)))


def _notes_html(run: dict) -> str:
    """What is missing or damaged, and what its metrics show to be wrong; nothing for a whole and healthy run."""
    if not run["said"] and not run["advice"]:
        return ""
    notes = "".join(tag("li", escape(sentence)) for sentence in (*run["advice"], *run["said"]))
    return tag("p", tag("strong", escape(run["name"]))) + tag("ul", notes, class_="note")


def _seeds_html(folder: Path) -> str:
    """The comparison of several seeds, where `make seeds` left one."""
    parts = []
    for path in sorted(folder.glob("*/verdicts.csv")):
        try:
            table = table_html(seeds_table(path))
        except ValueError as error:
            table = tag("p", escape(str(error)), class_="note")
        parts.append(tag("h3", f"Seeds of {escape(path.parent.name)}") + table)
    return "".join(parts)
