"""Run the three notebooks in order, as `make run` does: `python scripts/run_notebooks.py --run my-run`.

Executed copies go to `results/<run>/notebooks/`. With `--keep` their outputs are also cleaned and written back to `notebooks/`
(what a reader on GitHub sees), and the tables of the README and of docs/results.md are made anew.
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
import papermill
from nbformat import NotebookNode
from pages import run_blocks, write_blocks

from grpo_lab import report, runs
from grpo_lab.recipes import get_recipe

NAMES = ("01_SFT_pre-tuning", "02_GRPO_reasoning_tuning", "03_Inference_and_Evaluation")


def clean_outputs(notebook: NotebookNode, root: Path) -> NotebookNode:
    """The notebook as it is committed: no injected cell, stderr, progress bars, widget state, timings or machine paths."""
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    count = 0
    for cell in notebook.cells:
        cell.metadata = NotebookNode({"tags": cell.metadata.tags} if "parameters" in cell.metadata.get("tags", []) else {})
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.outputs = [_clean(output, count, root) for output in cell.outputs if not _is_noise(output)]
    notebook.metadata = NotebookNode({key: notebook.metadata[key] for key in ("kernelspec", "language_info")})
    return notebook


def _is_noise(output: NotebookNode) -> bool:
    """Warnings and progress bars: stderr, and widgets, whose state a committed notebook does not keep."""
    return output.get("name") == "stderr" or "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def _clean(output: NotebookNode, count: int, root: Path) -> NotebookNode:
    if "execution_count" in output:
        output.execution_count = count
    if "text" in output:
        text = output.text.replace(f"{root}/", "").replace(str(root), ".")
        output.text = re.sub(r"[^\n]*\r(?!\n)", "", text)  # what a progress bar overwrote
    return output


def run_notebooks(run_name: str, recipe: str, seed: int, keep: bool) -> None:
    """Execute 01, 02 and 03; each stops at its first error, with everything made so far kept in the run folder."""
    get_recipe(recipe)
    started = time.time()
    run = runs.open_run(run_name)
    execute(NAMES, run, {"RECIPE": recipe, "RUN": run_name, "SEED": seed}, keep)
    _print_summary(run, time.time() - started)
    if keep:
        write_blocks(runs.project_root(), run_blocks(run))


def execute(names: Sequence[str], run: Path, parameters: dict, keep: bool = False) -> None:
    """Execute these notebooks with the parameters; copies with their outputs go to the run folder's `notebooks/`."""
    root = runs.project_root()
    (run / "notebooks").mkdir(exist_ok=True)
    for name in names:
        print(f"\n{name}", flush=True)
        source, executed = root / "notebooks" / f"{name}.ipynb", run / "notebooks" / f"{name}.ipynb"
        papermill.execute_notebook(
            source,
            executed,
            parameters,
            cwd=source.parent,
            kernel_name="python3",
            progress_bar=False,
            stderr_file=sys.stderr,
        )
        if keep:
            nbformat.write(clean_outputs(nbformat.read(executed, as_version=4), root), source)


def _print_summary(run: Path, seconds: float) -> None:
    print("\n" + report.results_markdown(run))
    print("\nstage        wall s    CPU s  peak MB")
    for row in runs.read_stages(run):
        print(f"{row['stage']:10} {row['wall_s']:>8} {row['cpu_s']:>8} {row['peak_memory_mb']:>8}")
    print(
        f"\nAll in {seconds / 60:.1f} minutes. Read the executed notebooks in results/{run.name}/notebooks/, "
        f"the figures in results/{run.name}/figures/."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the three notebooks in order.")
    parser.add_argument("--run", default="my-run", help="the folder under results/ (default: my-run)")
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="write the outputs to notebooks/ and the tables to README and docs/")
    arguments = parser.parse_args()
    try:
        run_notebooks(arguments.run, arguments.recipe, arguments.seed, arguments.keep)
    except papermill.PapermillExecutionError as error:
        raise SystemExit(f"\ngrpo-math: {error.ename} in cell {error.exec_count}: {error.evalue}") from error
    except (ValueError, OSError) as error:
        raise SystemExit(f"grpo-math: {error}") from error


if __name__ == "__main__":
    main()
