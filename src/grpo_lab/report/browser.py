"""The samples of a run to be read: every checkpoint's completion of the same problem, side by side, with filters."""

from collections.abc import Iterator
from html import escape
from itertools import chain, zip_longest
from pathlib import Path

from grpo_lab.records import checkpoints_of, label_of, samples_of
from grpo_lab.report.comparisons import best_base_part, changed_samples, is_right
from grpo_lab.report.html_parts import tag
from grpo_lab.report.marks import marked_html

MOST_PROBLEMS = 200
MOST_BYTES = 1_400_000  # of the problems' HTML; with the figures the page stays below 2 MB
KINDS = {"solved": "solved", "broken": "broken", "still_wrong": "still wrong", "still_right": "still right"}
FLAG_NAMES = {
    "H1": "false arithmetic",
    "H2": "ungrounded number",
    "H3": "answer not in the trace",
    "H4": "several answers",
    "H6": "loop, cut off, or text after the end",
}


def best_samples(run_dir: Path | str) -> dict[str, list[dict]]:
    """The rows of each checkpoint by the name of their part, in the order of training; the base in its better prompt.

    So the first key is "base" or "base-chat". Raises as `read_samples`.
    """
    return {name: samples_of(run_dir, name) for name in (best_base_part(run_dir), *checkpoints_of(run_dir)[1:])}


def browser_html(run_dir: Path | str) -> str:
    """What the last stage changed, a form to filter by, and the problems. Raises as `changed_samples`."""
    samples = best_samples(run_dir)
    before, after = list(samples)[-2:]
    changed = changed_samples(samples[before], samples[after])
    articles = list(_chosen(changed, samples))
    counts = ", ".join(f"{len(pairs):,} {KINDS[kind]}" for kind, pairs in changed.items())
    told = (
        f"From {label_of(before)} to {label_of(after)}, of {sum(map(len, changed.values())):,} problems: {counts}. "
        f"This page holds {len(articles):,} of them ({MOST_PROBLEMS} at most, fewer where they are long): the first of each of "
        "these kinds, then the second of each, and so on in the order of the files. False claims and numbers from nowhere are "
        "marked; point at a mark, or touch it, to read why."
    )
    return "".join((tag("p", escape(told)), _form_html(), tag("p", id="count", aria_live="polite"), *articles, _MORE))


_MORE = tag("button", "Show more", id="more", type="button", hidden="")


def _form_html() -> str:
    """The filters, hidden until the script that they need runs."""
    kinds = "".join(
        tag("label", f'<input type="radio" name="kind" value="{kind}"{"" if kind else " checked"}> {name}')
        for kind, name in {"": "all", **KINDS}.items()
    )
    flag = tag("label", '<input type="checkbox" name="flag"> with a flag')
    search = '<input type="search" name="words" placeholder="Search in the text" aria-label="Search in the text">'
    return tag("form", tag("fieldset", kinds), tag("fieldset", flag, search), id="filters", hidden="")


def _chosen(changed: dict[str, list[tuple[dict, dict]]], samples: dict[str, list[dict]]) -> Iterator[str]:
    """The problems of the page as HTML, the kinds in turn, as many as fit."""
    by_id = {name: {row["id"]: row for row in rows} for name, rows in samples.items()}
    turns = zip_longest(*([(kind, was["id"]) for was, _ in pairs] for kind, pairs in changed.items()))
    room = MOST_BYTES
    for kind, key in list(filter(None, chain.from_iterable(turns)))[:MOST_PROBLEMS]:
        article = _problem_html(kind, {name: rows[key] for name, rows in by_id.items()})
        room -= len(article.encode())
        if room < 0:
            return
        yield article


def _problem_html(kind: str, rows: dict[str, dict]) -> str:
    first = next(iter(rows.values()))
    flagged = "yes" if any(row["flags"] for row in rows.values()) else "no"
    head = tag("span", KINDS[kind], class_=f"kind {kind}") + " " + tag("span", f"gold answer {escape(first['gold'])}")
    sides = "".join(_side_html(label_of(name), row) for name, row in rows.items())
    return tag(
        "article",
        tag("p", head, class_="head"),
        tag("p", escape(first["question"]), class_="question"),
        tag("div", sides, class_="sides"),
        data_kind=kind,
        data_flagged=flagged,
    )


def _side_html(label: str, row: dict) -> str:
    """One checkpoint's completion with its verdict above it and its flags below."""
    verdict = "right" if is_right(row) else "wrong"
    answer = "no answer found" if row["extracted_flexible"] is None else f"answer {row['extracted_flexible']}"
    flags = "".join(tag("span", escape(f"{flag} {FLAG_NAMES.get(flag, '')}".strip()), class_="flag") for flag in row["flags"])
    cut = tag("span", "cut off", class_="flag") if row["truncated"] else ""
    return tag(
        "section",
        tag("h3", escape(label), " ", tag("span", verdict, class_=verdict)),
        tag("pre", marked_html(row["completion"], row["question"])),
        tag("p", escape(f"{answer}, {row['tokens']:,} tokens "), cut, flags, class_="facts"),
        class_="side",
    )
