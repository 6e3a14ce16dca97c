"""Public data sets in the schema of `data`: rows have `prompt` (messages), `answer`, `id`, `source`; SFT rows a `completion`.

A `Source` names a data set on the hub, who reads its rows and what is left out of them. Every loader returns the rows with a
report of what each filter dropped. Rows come in the order of their ids, a hash of the question: a fixed shuffle, so that the
first n of them are a fair sample, the same on every machine.

The held-out part of a source without a test split is decided by that hash alone. So a question held out of one data set is
held out of all of them, in any layout that `contamination.normalise` sees through, and whatever the filters are.

>>> Source("openai/gsm8k", "gsm8k", config="main").name
'openai/gsm8k (config main, split train)'

The parts, in the order of their work: `readers` take a row of each data set apart, `filters` drop rows and say why, `loading`
joins them.
"""

from grpo_lab.recipes import Source
from grpo_lab.sources.filters import FILTERS, FilterReport, FilterStep
from grpo_lab.sources.loading import is_held_out, load_examples, load_held_out, load_prompts, load_twin_problems
from grpo_lab.sources.readers import READERS, Problem, Solution, question_id

__all__ = [
    "FILTERS",
    "READERS",
    "FilterReport",
    "FilterStep",
    "Problem",
    "Solution",
    "Source",
    "is_held_out",
    "load_examples",
    "load_held_out",
    "load_prompts",
    "load_twin_problems",
    "question_id",
]
