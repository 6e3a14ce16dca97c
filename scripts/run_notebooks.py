"""Run the three notebooks in order, as `make run` does: `python scripts/run_notebooks.py --run my-run`.

Executed copies go to `results/<run>/notebooks/`. With `--keep` their outputs are also cleaned and written back to `notebooks/`
(what a reader on GitHub sees), and the tables of the README and of docs/results.md are made anew.
"""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
import papermill
from nbformat import NotebookNode
from pages import run_blocks, write_blocks
from traitlets.config import Config

from grpo_lab import report, runs
from grpo_lab.progress import BAR, TERMINAL, Bars
from grpo_lab.recipes import get_recipe
from grpo_lab.records import read_metrics

KEPT = ("tags", "jupyter", "cellView")  # of a cell: that it holds the parameters, or is folded in JupyterLab and in Colab
NAMES = ("01_SFT_pre-tuning", "02_GRPO_reasoning_tuning", "03_Inference_and_Evaluation")


def clean_outputs(notebook: NotebookNode, root: Path) -> NotebookNode:
    """The notebook as it is committed: no injected cell, stderr, progress bars, widget state, timings or machine paths."""
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    count = 0
    for cell in notebook.cells:
        cell.metadata = NotebookNode({key: cell.metadata[key] for key in KEPT if cell.metadata.get(key)})
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.outputs = [_clean(output, count, root) for output in cell.outputs if not _is_noise(output)]
    notebook.metadata = NotebookNode({key: notebook.metadata[key] for key in ("kernelspec", "language_info")})
    return notebook


def _is_noise(output: NotebookNode) -> bool:
    """Warnings and progress bars: stderr, bars on stdout, and widgets, whose state a committed notebook does not keep."""
    only_bars = output.get("name") == "stdout" and not BAR.sub("", output.text).strip("\r")
    return only_bars or output.get("name") == "stderr" or "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def _clean(output: NotebookNode, count: int, root: Path) -> NotebookNode:
    if "execution_count" in output:
        output.execution_count = count
    if "text" in output:
        text = BAR.sub("", output.text).replace(f"{root}/", "").replace(str(root), ".")
        output.text = re.sub(r"[^\n]*\r(?!\n)", "", text)  # what a progress bar overwrote
    return output


def run_notebooks(run_name: str, recipe: str, seed: int, keep: bool) -> None:
    """Execute 01, 02 and 03; each stops at its first error, with everything made so far kept in the run folder."""
    get_recipe(recipe)
    started = time.time()
    run = runs.open_run(run_name)
    execute(NAMES, run, {"RECIPE": recipe, "RUN": run_name, "SEED": seed}, keep)
    print(f"{compare_with_readme(run, run.with_name('tiny'))}\nAll in {(time.time() - started) / 60:.1f} minutes.")
    print(f"notebooks  results/{run_name}/notebooks/\nfigures    results/{run_name}/figures/")
    print(f"report     make report RUN={run_name}")
    if keep:
        write_blocks(runs.project_root(), run_blocks(run))


def execute(names: Sequence[str], run: Path, parameters: dict, keep: bool = False) -> None:
    """Execute these notebooks with the parameters; copies with their outputs go to the run folder's `notebooks/`."""
    root = runs.project_root()
    os.environ[TERMINAL] = "1"  # for the kernels
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
            stdout_file=Bars(sys.stdout),
            stderr_file=sys.stderr,
            config=Config({"KernelManager": {"transport_encryption": "auto"}}),  # else a kernel warns of eavesdropping
        )
        print(came_out(name, run), flush=True)
        if keep:
            nbformat.write(clean_outputs(nbformat.read(executed, as_version=4), root), source)


def came_out(name: str, run: Path) -> str:
    """The numbers that a notebook came to, in a few lines of at most 80 columns, from the files of the run."""
    if name == NAMES[2]:
        head, _, *rows = (line.strip("| ").split(" | ") for line in report.short_results_markdown(run).splitlines())
        return "\n".join("{:16}{:>21}{:>21}{:>10}".format(*cells) for cells in (head, *rows))
    lines = []
    for row in runs.read_stages(run):
        stage, logged = row["stage"], read_metrics(run / f"{row['stage']}_metrics.csv")
        if logged and (stage == "grpo") is (name == NAMES[1]):
            first, last = ({key: value for line in order for key, value in line.items()} for order in (logged[::-1], logged))
            plan = json.loads((run / f"{stage}_config.json").read_text())["settings"]["recipe"][stage]
            if stage == "grpo":
                before, after = first["eval_accuracy"], last["eval_accuracy"]
                lines.append(f"grpo: {before:.1%} → {after:.1%} of {plan['eval_problems']:,} dev problems solved")
                told = f"mean reward {first['reward']:.2f} → {last['reward']:.2f}, first and last rollout"
            else:
                told = f"{plan['examples']:,} examples, loss {first['loss']:.2f} → {last['loss']:.2f}"
            lines.append(f"{stage}: {told}, {float(row['wall_s']):,.0f} s")
    return "\n".join(lines)


def compare_with_readme(run: Path, kept: Path) -> str:
    """Whether a run has the numbers of the committed one; empty for that run itself, and for another recipe or seed than its."""
    paths = [folder / name for name in ("grpo_config.json", "evaluation.json") for folder in (run, kept)]
    if run == kept or not all(path.is_file() for path in paths):
        return ""
    config, kept_config, mine, theirs = (json.loads(path.read_text()) for path in paths)
    if any(config["settings"][key] != kept_config["settings"][key] for key in ("recipe", "seed")):
        return ""
    shown = ("accuracy_flexible", "false_claim_rate", "mean_tokens")
    if all(mine[name][key] == theirs[name][key] for name in theirs for key in shown):
        return "These numbers are those of the README to the digit."
    return "These numbers differ from those of the README: another processor rounds otherwise."


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the three notebooks in order.")
    parser.add_argument("--run", default="my-run", help="the folder under results/ (default: my-run)")
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="write the outputs to notebooks/ and the tables to README and docs/")
    arguments = parser.parse_args()
    try:
        run_notebooks(arguments.run, arguments.recipe, arguments.seed, arguments.keep)
    except KeyboardInterrupt:
        raise SystemExit("\ngrpo-math: stopped; the same command goes on from the newest checkpoint.") from None
    except papermill.PapermillExecutionError as error:
        raise SystemExit(f"\ngrpo-math: {error.ename} in cell {error.exec_count}: {error.evalue}") from error
    except (ValueError, OSError) as error:
        raise SystemExit(f"grpo-math: {error}") from error


if __name__ == "__main__":
    main()
