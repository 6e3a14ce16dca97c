"""Pieces of HTML: a whole page, elements, tables, the prose of `tables`, and images inside the page."""

import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path

import pandas as pd

META = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'


def document_html(title: str, style: str, body: str, script: str) -> str:
    """A whole page that stands alone: nothing may be loaded, and no script may run but `script`, a second wall behind escaping.

    `body` is HTML already; `title` is escaped here.
    """
    digest = b64encode(sha256(script.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    guard = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    head = "".join((META, guard, tag("title", escape(title)), tag("style", style)))
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}<script>{script}</script></body></html>\n'


def tag(name: str, *inner: str, **attributes: str) -> str:
    """An element. `inner` is HTML already; attributes are escaped here (`class_` is class, `data_kind` is data-kind).

    >>> tag("p", "a &lt; b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    told = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{told}>{''.join(inner)}</{name}>"


def table_html(frame: pd.DataFrame) -> str:
    """A table in a box of its own, which scrolls where the screen is narrower."""
    with pd.option_context("display.max_colwidth", None):  # else pandas cuts long cells
        return tag("div", frame.to_html(index=False, escape=True, border=0), class_="scroll", tabindex="0")


def prose_html(markdown: str) -> str:
    """The paragraphs, lists and bold words of a text of `tables`; its tables are left out, for they have data frames."""
    return "".join(_block_html(block) for block in markdown.strip().split("\n\n") if not block.startswith("|"))


def _block_html(block: str) -> str:
    if block.startswith("- "):
        return tag("ul", *(tag("li", _bold_html(line.removeprefix("- "))) for line in block.split("\n")))
    return tag("p", _bold_html(block))


def _bold_html(text: str) -> str:
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text))


def image_html(path: Path, alt: str) -> str:
    """A PNG inside the page; nothing where the file is missing."""
    if not path.is_file():
        return ""
    data = b64encode(path.read_bytes()).decode("ascii")
    return tag("div", f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}">', class_="scroll figure", tabindex="0")
