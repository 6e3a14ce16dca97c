"""Look at runs: execute `notebooks/examples/05_Look_at_runs` and export it, without its code, to one HTML file.

`--run NAME` writes `results/NAME/report.html`; several names, or none for all runs, write `results/report.html`. The file opens
without a server or a network.
"""

import argparse

import nbformat
from run_notebooks import clean_outputs

from grpo_lab import look
from grpo_lab.runs import project_root


def keep_static(run: str) -> None:
    """Write the notebook back with the outputs of one run, as it is committed: static tables, because GitHub runs no script."""
    notebook = look.execute_notebook([run], interactive=False)
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    cell.source = "RUNS = ()\nINTERACTIVE = True"
    nbformat.write(clean_outputs(notebook, project_root()), project_root() / look.NOTEBOOK)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write one HTML file that shows a run, or compares several.")
    parser.add_argument("--run", nargs="*", default=[], metavar="NAME", help="folders under results/ (default: every run there)")
    parser.add_argument("--keep", action="store_true", help="instead, write the static outputs of one run back to the notebook")
    arguments = parser.parse_args()
    try:
        if arguments.keep:
            keep_static(*arguments.run)
            return
        page = look.write_report(arguments.run)
    except (ValueError, OSError) as error:
        raise SystemExit(f"grpo-math: {error}") from error
    print(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
