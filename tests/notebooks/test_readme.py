"""The README says only what the committed files say."""

import json
import re
from pathlib import Path

import pytest
from readme import readme_block

from grpo_lab import report
from grpo_lab.tiny.ways import ways_markdown
from grpo_math import REPOSITORY

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TEXT = README.read_text()


TINY, SEEDS = ROOT / "results" / "tiny", ROOT / "results" / "tiny-seeds"
BLOCKS = {  # marker: what makes the block
    "results": lambda: report.results_markdown(TINY),
    "audit": lambda: report.audit_markdown(TINY),
    "ways": lambda: ways_markdown({name: report.samples_of(TINY, name) for name in report.CHECKPOINTS}),
    "seeds": lambda: report.seeds_markdown(SEEDS / "verdicts.csv"),
    "refusals": lambda: report.refusals_markdown(SEEDS),
}


@pytest.mark.parametrize("marker", BLOCKS)
def test_every_table_is_what_the_files_give(marker):
    assert readme_block(README, marker) == BLOCKS[marker]().strip()


def rounded(summary: object) -> object:
    """The numbers to 9 digits: the last ones are another library's version or another processor."""
    if isinstance(summary, dict):
        return {name: rounded(value) for name, value in summary.items()}
    return float(f"{summary:.9g}") if isinstance(summary, float) else summary


def test_the_summary_is_what_the_samples_give():
    saved = json.loads((TINY / "evaluation.json").read_text())
    for checkpoint, summary in saved.items():
        assert rounded(summary) == rounded(report.summarise_checkpoint(TINY, checkpoint)), checkpoint


def test_the_two_commands_come_first():
    assert TEXT.index("make run") < TEXT.index("make test") < TEXT.index("## ")


def test_every_link_and_picture_exists():
    links = re.findall(r"\]\(((?!https?://|#)[^)]+)\)", TEXT)
    assert links and not [link for link in links if not (ROOT / link).exists()]


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", TEXT)) <= targets


def test_one_public_address():
    assert set(re.findall(r"https://github\.com/[\w-]+/[\w-]+", TEXT)) == {REPOSITORY}
