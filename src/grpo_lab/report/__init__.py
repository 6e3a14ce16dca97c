"""Tables, sentences and pages of a run, made from its files alone: no model and no GPU is needed. `figures` draws them.

The parts, in the order of their work: `records` reads the JSONL of notebook 03, `summary` turns one checkpoint's into numbers,
`comparisons` sets two side by side, `tables` says it in words; `page` makes the HTML report (`browser` its samples, `marks` the
false claims), `card` the model card; `seeds` and `refusals` join several runs.
"""

from grpo_lab.records import CHECKPOINTS, LABELS, checkpoints_of, has_part, label_of, read_samples, samples_of
from grpo_lab.report.card import write_card
from grpo_lab.report.comparisons import (
    Comparison,
    best_base,
    changed_samples,
    compare,
    compare_checkpoints,
    decompose,
    has_false_claim,
    is_right,
)
from grpo_lab.report.marks import marked_html, marked_text
from grpo_lab.report.page import write_page
from grpo_lab.report.refusals import refusals_markdown, refusals_table
from grpo_lab.report.seeds import seeds_markdown, seeds_table
from grpo_lab.report.summary import EXTRACTIONS, OUTCOMES, outcome_of, outcomes, summarise, summarise_checkpoint
from grpo_lab.report.tables import (
    audit_markdown,
    audit_table,
    gain_table,
    markdown_table,
    outcomes_table,
    plan_sentence,
    results_markdown,
    results_table,
    save_summary,
    twins_markdown,
)

__all__ = [
    "CHECKPOINTS",
    "EXTRACTIONS",
    "LABELS",
    "OUTCOMES",
    "Comparison",
    "audit_markdown",
    "audit_table",
    "best_base",
    "changed_samples",
    "checkpoints_of",
    "compare",
    "compare_checkpoints",
    "decompose",
    "gain_table",
    "has_false_claim",
    "has_part",
    "is_right",
    "label_of",
    "markdown_table",
    "marked_html",
    "marked_text",
    "outcome_of",
    "outcomes",
    "outcomes_table",
    "plan_sentence",
    "read_samples",
    "refusals_markdown",
    "refusals_table",
    "results_markdown",
    "results_table",
    "samples_of",
    "save_summary",
    "seeds_markdown",
    "seeds_table",
    "summarise",
    "summarise_checkpoint",
    "twins_markdown",
    "write_card",
    "write_page",
]
