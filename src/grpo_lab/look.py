"""What the notebook `examples/05_Look_at_runs` shows of one run or several, and the one HTML file that is exported from it.

The show_ functions display; a run that was cut off is shown as far as it goes, with a sentence for what is missing. Text that a
model or a data set wrote is escaped and stands in <pre>, where neither HTML nor MathJax takes effect.
"""

import json
import os
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Markdown, display
from matplotlib.figure import Figure

import grpo_lab
from grpo_lab import figures
from grpo_lab.health import NO_WARNINGS, diagnose
from grpo_lab.records import CHECKPOINTS, has_part, label_of, read_completions, read_metrics
from grpo_lab.report.comparisons import best_samples, changed_samples, is_right
from grpo_lab.report.marks import marked_html
from grpo_lab.report.tables import (
    audit_markdown,
    counted,
    gain_table,
    markdown_table,
    outcomes_table,
    read_plan,
    results_markdown,
    results_table,
    twins_markdown,
)
from grpo_lab.runs import project_root
from grpo_math.rewards.contract import completion_text

NOTEBOOK = Path("notebooks", "examples", "05_Look_at_runs.ipynb")
TRACES = ("*_metrics.csv", "*_config.json", "stages.csv", "samples/*.jsonl")  # what makes a folder a run
MOST_RUNS = 4  # with more, only the tables and curves that compare them are shown
MOST_ROWS = 400  # of all runs in one kind of interactive table, so that the page stays small enough to be opened
STATIC_ROWS = 3
TEXT_STYLE = (
    "white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere;width:max-content;max-width:32em;"
    "margin:0;background:none;text-align:left"
)

# The page loads nothing: nbconvert's scripts from other hosts (require.js, MathJax, mermaid) are left out of its template. A
# figure has its panels' titles as its description, which nbconvert's own template leaves out.
TEMPLATE = """{% extends 'index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block data_png %}<div class="jp-RenderedImage jp-OutputArea-output">
<img src="data:image/png;base64,{{ output.data['image/png'] }}"
alt="{{ output.metadata.get('image/png', {}).get('alt', '') | escape_html }}"></div>{% endblock %}"""


def find_runs(names: Sequence[str] = ()) -> list[Path]:
    """The folders of these runs under the clone's `results/`, or of all runs there.

    Raises ValueError that lists the runs where a name is none of them, or where there is none yet.
    """
    results = project_root() / "results"
    found = {path.name: path for path in sorted(results.glob("*/")) if any(any(path.glob(trace)) for trace in TRACES)}
    if unknown := [name for name in names if name not in found]:
        raise ValueError(f"{results} holds no run {', '.join(unknown)}; there are: {', '.join(found) or 'none yet'}.")
    if not found:
        raise ValueError(f"{results} holds no run yet: train one with `make run`.")
    return [found[name] for name in dict.fromkeys(names or found)]


def write_report(names: Sequence[str] = ()) -> Path:
    """Execute the notebook over these runs (none: all) and export it without its code; the path of the HTML file.

    It is `results/<run>/report.html` for one run, else `results/report.html`. It opens without a server or a network. Raises as
    `find_runs`, and nbclient's CellExecutionError where a cell fails.
    """
    from nbconvert import HTMLExporter

    runs = find_runs(names)
    notebook = execute_notebook(names, interactive=True)
    notebook.metadata["title"] = f"grpo-math: {', '.join(names) or 'all runs'}"
    exporter = HTMLExporter(raw_template=TEMPLATE, exclude_input=True, exclude_output_prompt=True, exclude_anchor_links=True)
    html, _ = exporter.from_notebook_node(notebook)
    path = (runs[0] if len(names) == 1 else runs[0].parent) / "report.html"
    path.write_text(html, encoding="utf-8", errors="replace")
    return path


def execute_notebook(names: Sequence[str], interactive: bool):
    """The notebook (an nbformat node) with its outputs for these runs, executed in a kernel of its own."""
    import nbformat
    from nbclient import NotebookClient

    path = project_root() / NOTEBOOK
    notebook = nbformat.read(path, as_version=4)
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    cell.source = f"RUNS = {tuple(names)!r}\nINTERACTIVE = {interactive}"
    package = str(Path(grpo_lab.__file__).parents[1])  # also where it is on this kernel's path alone
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))}
    where = {"metadata": {"path": str(path.parent)}}
    quiet = ["--log-level=ERROR"]  # else the kernel warns on stderr of its own connection
    NotebookClient(notebook, kernel_name="python3", resources=where, extra_arguments=quiet).execute(env=environment)
    return notebook


def embed(page: Path) -> HTML:
    """The exported page in a frame, for hosts whose browser cannot open their files (Colab, Kaggle)."""
    frame = f'<iframe srcdoc="{escape(page.read_text(encoding="utf-8"))}" width="100%" height="800" title="Report"></iframe>'
    return HTML(f"<div>{frame}</div>")  # a bare frame makes IPython warn


def _each(runs: Sequence[Path], *parts: Callable[[Path], object]) -> None:
    """Display the parts of each run; in place of one that cannot be made, the sentence that says why."""
    if len(runs) > MOST_RUNS:
        display(Markdown(f"*These are {len(runs)} runs: name at most {MOST_RUNS} in RUNS to see this of each.*"))
        return
    for run in runs:
        display(Markdown(f"### {run.name}"))
        for part in parts:
            _display(_made(run, part))


def _display(shown: object) -> None:
    """Display, if there is something; a figure with the titles of its panels as its description."""
    titles = [axes.get_title(loc="left") for axes in shown.axes] if isinstance(shown, Figure) else []
    if shown is not None:
        display(shown, metadata={"image/png": {"alt": "; ".join(filter(None, titles))}} if titles else None)


def _made(run: Path, make: Callable[[Path], object]) -> object:
    """What `make` makes of the run; where it cannot, the sentence that says why is displayed, and None comes back."""
    try:
        return make(run)
    except (OSError, ValueError) as error:
        display(Markdown(f"*{escape(str(error).replace(f'{run.parent}/', ''))}*"))
        return None


# --- Numbers and figures -----------------------------------------------------


def show_results(runs: Sequence[Path], interactive: bool) -> None:
    """Every checkpoint's results with their intervals, all runs in one table; then each run's plan and comparisons in words."""
    measured = [run for run in runs if all(has_part(run, name) for name in ("base", "grpo"))]
    tables = {run.name: table for run in measured if (table := _made(run, results_table)) is not None}
    if len(tables) > 1:
        frame = pd.concat(tables, names=["run", None]).fillna("–").reset_index("run")
        display(table_html(frame, interactive))
    _each(runs, lambda run: Markdown(f"{read_plan(run)}\n\n{results_markdown(run)}"))


def show_settings(runs: Sequence[Path], interactive: bool) -> None:
    """The settings of which the runs have different values, a row a setting."""
    frame = settings_that_differ(runs)
    same = Markdown("*One run, or runs with the same settings: nothing differs.*")
    display(same if frame.empty else table_html(frame, interactive))


def settings_that_differ(runs: Sequence[Path]) -> pd.DataFrame:
    """The columns "setting" and one a run: what the `<stage>_config.json` of the runs do not share; "–" where it is not set."""
    columns = []
    for run in runs:
        settings = {}
        for path in (run / f"{stage}_config.json" for stage in ("priming", *CHECKPOINTS)):  # the last stage that was begun counts
            try:
                read = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
                settings |= pd.json_normalize(read).astype(object).iloc[0].to_dict()  # "settings.recipe.grpo.rollouts"
            except ValueError as error:
                settings[path.name] = f"damaged: {error}"
        columns.append(pd.Series(settings, name=run.name, dtype=object).map(str))
    frame = pd.concat(columns, axis=1).fillna("–")
    return frame[frame.nunique(axis=1) > 1].map(escape).rename_axis("setting").reset_index()


def show_curves(runs: Sequence[Path]) -> None:
    """GRPO's curves of all runs in the same panels, where there are several; then those of each, with warnings."""
    metrics = {run.name: rows for run in runs if (rows := _made(run, lambda run: read_metrics(run / "grpo_metrics.csv")))}
    if len(metrics) > 1:
        _display(figures.compare_curves(metrics))

    def advice(run: Path) -> Markdown:
        found = diagnose(metrics.get(run.name, ()))
        return Markdown("\n".join(f"- **{finding}**" for finding in found) or NO_WARNINGS)

    _each(runs, advice, figures.plot_sft, figures.plot_grpo)


def show_outcomes(runs: Sequence[Path]) -> None:
    """What became of the completions, where the gain comes from, false claims and unanswerable problems."""
    _each(
        runs,
        figures.plot_outcomes,
        lambda run: Markdown(markdown_table(outcomes_table(run))),
        figures.plot_gain,
        lambda run: Markdown(markdown_table(gain_table(run))),
        lambda run: Markdown(audit_markdown(run)),
        lambda run: Markdown(twins_markdown(run)),
    )


# --- What the models wrote ---------------------------------------------------


def table_html(frame: pd.DataFrame, interactive: bool, most_static: int | None = None) -> HTML:
    """A data frame whose cells are HTML already: with itables to sort, filter by column and search, or static (GitHub).

    most_static: rows of the static table (None: all). Column names are escaped here.
    """
    frame = frame.rename(columns=lambda name: escape(str(name)))
    if interactive:
        from itables import to_html_datatable

        return HTML(
            to_html_datatable(
                frame,
                connected=False,
                allow_html=True,
                maxBytes=0,
                showIndex=False,
                column_filters="footer",
                columnDefs=[{"targets": "_all", "className": "dt-left"}],
                pageLength=5,
                lengthMenu=[5, 10, 25, 100],
                scrollX=True,
                text_in_header_can_be_selected=False,  # else only the small arrows sort
                classes="display compact",
                display_logo_when_loading=False,
            )
        )
    shown = frame.head(most_static or len(frame))
    with pd.option_context("display.max_colwidth", None):  # else pandas cuts long cells
        table = shown.to_html(index=False, escape=False, border=0)
    left = len(frame) - len(shown)
    return HTML(table + (f"<p>{left:,} more rows are in the table that `make report` exports.</p>" if left else ""))


def show_samples(runs: Sequence[Path], interactive: bool) -> None:
    """The checkpoints' completions of the same problem, side by side, false claims and numbers from nowhere marked."""
    _each(runs, lambda run: _told_table(*samples_table(run, MOST_ROWS // len(runs)), interactive))


def show_completions(runs: Sequence[Path], interactive: bool) -> None:
    """What GRPO sampled, by step, with what each reward function paid and the advantage."""
    _each(runs, lambda run: _told_table(*completions_table(run, MOST_ROWS // len(runs)), interactive))


def _told_table(told: str, frame: pd.DataFrame, interactive: bool) -> HTML:
    return HTML(f"<p>{escape(told)}</p>" + (table_html(frame, interactive, STATIC_ROWS).data if len(frame) else ""))


def samples_table(run: Path, most: int = MOST_ROWS) -> tuple[str, pd.DataFrame]:
    """A sentence on what is shown, and a row a problem: what the last stage made of it, flags, problem, gold and completions.

    The first problem of each kind (solved, broken ...), then the second of each, and so on, up to `most`. Raises as
    `read_samples` and `changed_samples`.
    """
    samples = best_samples(run)
    before, after = list(samples)[-2:]
    by_id = {name: {row["id"]: row for row in rows} for name, rows in samples.items()}
    changed = {kind.replace("_", " "): pairs for kind, pairs in changed_samples(samples[before], samples[after]).items()}
    turns = [(turn, kind, now) for kind, pairs in changed.items() for turn, (_, now) in enumerate(pairs)]
    rows = []
    for _, kind, last in sorted(turns, key=lambda turn: turn[0])[:most]:
        sides = {label_of(name): side[last["id"]] for name, side in by_id.items()}
        flags = sorted({flag for side in sides.values() for flag in side["flags"]})
        cells = {"change": kind, "flags": escape(" ".join(flags))}
        cells |= {"problem": _text_html(last["question"]), "gold": _text_html(last["gold"])}
        rows.append(cells | {label: _sample_html(side) for label, side in sides.items()})
    counts = ", ".join(f"{len(pairs):,} {kind}" for kind, pairs in changed.items())
    total = counted(len(turns), "problem")
    told = f"From {label_of(before)} to {label_of(after)}, of {total}: {counts}. Here are {len(rows):,}, the kinds in turn."
    return told, pd.DataFrame(rows)


def _sample_html(row: dict) -> str:
    """One checkpoint's completion under its verdict."""
    answer = "no answer found" if row["extracted_flexible"] is None else f"answer {row['extracted_flexible']}"
    facts = [answer, f"{row['tokens']:,} tokens", *row["flags"], *["cut off"] * row["truncated"]]
    verdict = "right" if is_right(row) else "wrong"
    return f"<b>{verdict}</b>{_text_html(', '.join(facts))}{_text_html(row['completion'], row['question'])}"


def completions_table(run: Path, most: int = MOST_ROWS) -> tuple[str, pd.DataFrame]:
    """A sentence on what is shown, and a row a completion: step, group, problem, text, and all else that was logged of it.

    The first group (the completions of one prompt) of every step, then the second, and so on, up to `most`.
    """
    logged = read_completions(run)
    if not logged:
        return "No training completions were kept (grpo/completions/).", pd.DataFrame()
    rows = []
    for row in sorted(logged, key=lambda row: row.get("group", 0))[:most]:
        problem, completion = completion_text(row["prompt"]), completion_text(row["completion"])
        cells = {"step": row["step"], "group": row.get("group")}
        cells |= {"problem": _text_html(problem), "completion": _text_html(completion, problem)}
        for name, value in row.items():
            if name != "prompt" and name not in cells:
                cells[name] = _text_html(value) if isinstance(value, str) else value
        rows.append(cells)
    frame = pd.DataFrame(rows).sort_values("step", kind="stable").round(4)
    steps = counted(len({row["step"] for row in logged}), "logged step")
    return f"{len(rows):,} of {counted(len(logged), 'completion')} of {steps}: the first prompts of each.", frame


def _text_html(text: str, problem: str | None = None) -> str:
    """Text in a <pre>, where MathJax typesets nothing; with its problem, a completion, marked."""
    inner = escape(text) if problem is None else marked_html(text, problem)
    return f'<pre class="tex2jax_ignore mathjax_ignore" style="{TEXT_STYLE}">{inner}</pre>'
