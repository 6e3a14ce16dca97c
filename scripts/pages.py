"""Blocks of the README and of docs/ that are made from files, between two marks. PAGES says which stands where."""

from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from grpo_lab import report
from grpo_lab.tiny.ways import ways_markdown

PAGES = {
    "README.md": ("results",),
    "docs/results.md": ("results-full", "shared", "audit", "ways", "twins", "seeds", "strata", "controls", "steps"),
}


def run_blocks(run: Path | str) -> dict[str, str]:
    """The blocks that one run fills, by name, as Markdown. Those of several seeds are `report.seeds_tables`."""
    samples = {name: report.samples_of(run, name) for name in report.CHECKPOINTS}
    return {
        "results": report.short_results_markdown(run),
        "results-full": turn_wide_table(report.results_markdown(run)),
        "shared": report.contamination_markdown(run),
        "audit": turn_wide_table(report.audit_markdown(run)),
        "ways": ways_markdown(samples),
        "twins": report.twins_markdown(run),
    }


def turn_wide_table(markdown: str, columns: int = 6) -> str:
    """The Markdown with its first table turned on its side, where it has more columns than a page on GitHub has room for."""
    lines = markdown.splitlines()
    table = [line.strip("| ").split(" | ") for line in takewhile(lambda line: line.startswith("|"), lines)]
    if not table or len(table[0]) <= columns:
        return markdown
    head, _, *rows = table
    turned = [[name, *cells] for name, *cells in zip(head, *rows, strict=True)]
    turned.insert(1, [":--"] + ["--:"] * len(rows))
    return "\n".join(["| " + " | ".join(cells) + " |" for cells in turned] + lines[len(table) :]) + "\n"


def page_of(root: Path, marker: str) -> Path:
    """The page that holds a block."""
    return next(root / page for page, markers in PAGES.items() if marker in markers)


def write_blocks(root: Path, blocks: Mapping[str, str]) -> None:
    """Write each block to its page under `root`. Raises as `read_block`."""
    for marker, markdown in blocks.items():
        write_block(page_of(root, marker), marker, markdown)


def read_block(page: Path | str, marker: str) -> str:
    """The text between `<!-- marker:start -->` and `<!-- marker:end -->`, stripped.

    Raises ValueError that names a mark which is missing, doubled or out of order.
    """
    text = Path(page).read_text(encoding="utf-8")
    first, last = _block_span(text, Path(page), marker)
    return text[first:last].strip()


def write_block(page: Path | str, marker: str, markdown: str) -> None:
    """Put `markdown` in place of what stands between the two marks. Raises as `read_block`."""
    path = Path(page)
    text = path.read_text(encoding="utf-8")
    first, last = _block_span(text, path, marker)
    path.write_text(f"{text[:first]}\n{markdown.strip()}\n{text[last:]}", encoding="utf-8")


def _block_span(text: str, page: Path, marker: str) -> tuple[int, int]:
    """Where the text between the two marks begins and ends."""
    start, end = f"<!-- {marker}:start -->", f"<!-- {marker}:end -->"
    for mark in (start, end):
        if text.count(mark) != 1:
            found = "is missing" if mark not in text else "stands more than once"
            raise ValueError(f"The mark {mark} {found} in {page}: it must stand there once.")
    first, last = text.index(start) + len(start), text.index(end)
    if last < first:
        raise ValueError(f"The mark {end} stands before {start} in {page}.")
    return first, last
