"""The README and docs/ say only what the committed files say, and lead nowhere that is not there."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest
import seeds
from pages import PAGES, page_of, read_block, run_blocks, turn_wide_table

from grpo_lab import report
from grpo_lab.recipes import TINY
from grpo_lab.report.seeds import read_seeds
from grpo_lab.tiny.problems import FAMILIES, UNSEEN
from grpo_math import REPOSITORY

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
OF_ONE_RUN = ("results", "results-full", "shared", "audit", "ways", "twins")
OF_SEEDS = ("seeds", "strata", "controls", "steps")
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "results" / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
    )
}
pages = pytest.mark.parametrize("page", TEXTS)


def code_blocks(text: str, language: str = "") -> list[str]:
    """What stands in the fenced blocks, of one language or of any."""
    return re.findall(rf"^```{language or '[a-z]*'}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def prose(text: str) -> list[str]:
    """The words of a page, without code blocks, generated blocks, comments, HTML tags and addresses."""
    text = re.sub(r"<!-- ([a-z-]+):start -->.*?<!-- \1:end -->", "", without_code(text), flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->|<[^>]*>", "", text, flags=re.DOTALL)
    return [word for word in re.sub(r"\]\([^)]*\)", "]", text).split() if re.search(r"\w", word)]


# --- Numbers ----------------------------------------------------------------


def test_every_block_has_its_page():
    assert sorted(marker for markers in PAGES.values() for marker in markers) == sorted(OF_ONE_RUN + OF_SEEDS)


@pytest.mark.parametrize("marker", OF_ONE_RUN)
def test_a_table_is_what_the_samples_give(marker):
    assert read_block(page_of(ROOT, marker), marker) == run_blocks(ROOT / "results" / "tiny")[marker].strip()


@pytest.mark.parametrize("marker", OF_SEEDS)
def test_a_table_of_seeds_is_what_the_verdicts_give(marker):
    tables = report.seeds_tables(ROOT / "results" / "tiny-seeds")
    assert read_block(page_of(ROOT, marker), marker) == tables[marker].strip()


def test_the_committed_seeds_are_of_the_recipe_as_it_is():
    _, found = read_seeds(ROOT / "results" / "tiny-seeds")
    assert {seed["recipe"] for seed in found} == {seeds.recipe_hash(TINY)}
    base = json.loads((ROOT / TINY.base_model / "pretraining.json").read_text())
    assert {seed["base"] for seed in found if seed["seed"] % 2 == 0} == {base["sha256"][:16]}


def rounded(summary: object) -> object:
    """The numbers to 9 digits: the last ones are another library's version or another processor."""
    if isinstance(summary, dict):
        return {name: rounded(value) for name, value in summary.items()}
    return float(f"{summary:.9g}") if isinstance(summary, float) else summary


def test_the_summary_is_what_the_samples_give():
    saved = json.loads((ROOT / "results" / "tiny" / "evaluation.json").read_text())
    for checkpoint, summary in saved.items():
        assert rounded(summary) == rounded(report.summarise_checkpoint(ROOT / "results" / "tiny", checkpoint)), checkpoint


def test_a_wide_table_is_turned_and_a_narrow_one_left():
    wide = "| a | b | c |\n| :-- | --: | --: |\n| x | 1 | 2 |\n| y | 3 | 4 |\n\nend\n"
    turned = "| a | x | y |\n| :-- | --: | --: |\n| b | 1 | 3 |\n| c | 2 | 4 |\n\nend\n"
    assert turn_wide_table(wide, columns=2) == turned
    assert turn_wide_table(wide) == wide and turn_wide_table("no table\n") == "no table\n"


def test_the_families_of_stories_are_all_named():
    words = {"collection", "packing", "harvest", "seats", "shopping", "trip", "savings", "farm", "sharing", "reading"}
    assert words == set(FAMILIES) and all(word in TEXTS["docs/tiny.md"] for word in (*words, *UNSEEN))


# --- What a reader sees first -------------------------------------------------


def test_the_readme_is_a_screen_and_a_half():
    assert len(prose(README)) <= 700, len(prose(README))


def test_the_order_of_the_readme():
    order = [
        "**Teach",
        "<picture>",
        "colab.research",
        "git clone",
        "make run",
        "make report",
        "make test",
        "## ",
        "results:start",
    ]
    order += ["pip install", "reward_set", "`qwen3-4b-openr1`", "Not tried", "(docs/results.md), and", "MIT licence"]
    places = [README.index(text) for text in order]
    assert places == sorted(places), list(zip(order, places, strict=True))


@pages
def test_nothing_is_wider_than_a_column_on_github(page):
    lines = [line for block in code_blocks(TEXTS[page]) for line in block.splitlines()]
    assert not [line for line in lines if len(line) > 75]
    rows = [line for line in without_code(TEXTS[page]).splitlines() if line.startswith("|")]
    assert not [row for row in rows if row.count("|") > 8]


# --- Links, commands, code ------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)", without_code(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages
def test_every_link_and_picture_exists(page):
    text, here = TEXTS[page], (ROOT / page).parent
    links = re.findall(r"\]\(((?!https?://)[^)]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    for link in links:
        path, _, anchor = link.partition("#")
        target = here / path if path else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_badge_opens_a_notebook():
    opened = re.findall(r"(?:github|src=https://github.com)/grpo-math/grpo-math/blob/main/(\S+?\.ipynb)\)", README)
    assert len(opened) == 6 and all((ROOT / path).is_file() for path in opened)


@pages
def test_every_make_target_that_is_named_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"`make ([a-z-]+)", TEXTS[page]) + re.findall(r"^make ([a-z-]+)", "".join(code_blocks(TEXTS[page])), re.M)
    assert set(named) <= targets


def test_make_help_fits_80_columns_and_names_every_target():
    listed = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory", "help"], capture_output=True, text=True, check=True
    ).stdout
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^  ([a-z-]+)", listed, re.MULTILINE)) == targets
    assert max(map(len, listed.splitlines())) <= 80


def test_one_public_address():
    texts = "".join(TEXTS.values()) + (ROOT / "CITATION.cff").read_text()
    assert set(re.findall(r"https://github\.com/[\w-]+/[\w-]+", texts)) == {REPOSITORY}


@pytest.mark.parametrize("page", ["README.md", "docs/rewards.md"])
def test_the_examples_give_what_stands_behind_them(page):
    """Each `expression  # value` of the examples; what needs a data set or a trainer is left out."""
    checked = 0
    for block in code_blocks(TEXTS[page], "python"):
        names: dict = {}
        for line in block.splitlines():
            code, _, comment = line.partition("  # ")
            if any(word in code for word in ("dataset", "tokenizer", "GRPOTrainer")):
                continue
            exec(code, names)
            try:
                value = ast.literal_eval(re.split(r"[:;] ", comment)[0])
            except (SyntaxError, ValueError):
                continue
            assert eval(code, names) == value, line
            checked += 1
    assert checked >= 3
