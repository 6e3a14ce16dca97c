"""Blocks of the README that are made from files, between two marks."""

from pathlib import Path


def _block_span(text: str, readme_path: Path, marker: str) -> tuple[int, int]:
    """Where the text between the two marks begins and ends."""
    start, end = f"<!-- {marker}:start -->", f"<!-- {marker}:end -->"
    for mark in (start, end):
        if text.count(mark) != 1:
            found = "is missing" if mark not in text else "stands more than once"
            raise ValueError(f"The mark {mark} {found} in {readme_path}: it must stand there once.")
    first, last = text.index(start) + len(start), text.index(end)
    if last < first:
        raise ValueError(f"The mark {end} stands before {start} in {readme_path}.")
    return first, last


def readme_block(readme_path: Path | str, marker: str) -> str:
    """The text between `<!-- marker:start -->` and `<!-- marker:end -->`, stripped.

    Raises ValueError that names a mark which is missing, doubled or out of order.
    """
    text = Path(readme_path).read_text(encoding="utf-8")
    first, last = _block_span(text, Path(readme_path), marker)
    return text[first:last].strip()


def update_readme(readme_path: Path | str, marker: str, markdown: str) -> None:
    """Put `markdown` in place of what stands between the two marks. Raises as `readme_block`."""
    path = Path(readme_path)
    text = path.read_text(encoding="utf-8")
    first, last = _block_span(text, path, marker)
    path.write_text(f"{text[:first]}\n{markdown.strip()}\n{text[last:]}", encoding="utf-8")
