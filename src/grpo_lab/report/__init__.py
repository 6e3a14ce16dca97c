"""Tables, sentences and the page of a run, made from its files alone: no model and no GPU is needed. `figures` draws them.

In the order of their work: `summary` turns one checkpoint's samples (see `records`) into numbers, `comparisons` sets two side by
side, `tables` and `sentences` say it in words, `seeds` joins several runs; `card` makes the model card, `marks` the false claims
in a completion. Here stands what the notebooks and scripts call.
"""

from grpo_lab.records import CHECKPOINTS, checkpoints_of, has_part, label_of, samples_of
from grpo_lab.report.card import write_card
from grpo_lab.report.comparisons import changed_samples
from grpo_lab.report.seeds import seeds_tables
from grpo_lab.report.sentences import (
    changes_sentence,
    course_sentences,
    form_sentence,
    group_sentence,
    headline_sentences,
    margin_sentence,
    sampling_sentences,
    transfer_sentence,
)
from grpo_lab.report.strata import contamination_markdown, strata_markdown, strata_table
from grpo_lab.report.summary import summarise_checkpoint, summarise_sampled
from grpo_lab.report.tables import (
    audit_markdown,
    gain_table,
    markdown_table,
    plan_sentence,
    results_markdown,
    results_table,
    save_summary,
    short_results_markdown,
    twins_markdown,
)

__all__ = [
    "CHECKPOINTS",
    "audit_markdown",
    "changed_samples",
    "changes_sentence",
    "checkpoints_of",
    "contamination_markdown",
    "course_sentences",
    "form_sentence",
    "gain_table",
    "group_sentence",
    "has_part",
    "headline_sentences",
    "label_of",
    "margin_sentence",
    "markdown_table",
    "plan_sentence",
    "results_markdown",
    "results_table",
    "samples_of",
    "sampling_sentences",
    "save_summary",
    "seeds_tables",
    "short_results_markdown",
    "strata_markdown",
    "strata_table",
    "summarise_checkpoint",
    "summarise_sampled",
    "transfer_sentence",
    "twins_markdown",
    "write_card",
]
