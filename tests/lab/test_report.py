"""report: sums, pairs, verdicts and tables of made-up run folders; test_card computes every number that is printed again."""

import json
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_run import N, sample, samples, write_everything, write_run, write_samples
from pages import read_block, write_block

from grpo_lab import report
from grpo_lab.report import comparisons, summary, tables
from grpo_math.answers import UNANSWERABLE
from grpo_math.stats import paired_difference, wilson_interval


@pytest.fixture
def run(tmp_path):
    """A run folder with the greedy samples of the three checkpoints."""
    return write_run(tmp_path / "my-run")


@pytest.fixture
def full_run(tmp_path):
    """A run folder with everything that notebook 03 can measure."""
    run = write_everything(tmp_path / "my-run")
    cut_off = [row for row in samples("base") if row["truncated"]]
    write_samples(run, "longer-base", [row | {"correct_flexible": True, "truncated": False, "budget": 512} for row in cut_off])
    return run


# --- One checkpoint ----------------------------------------------------------


def test_a_checkpoint_without_claims_or_tokens():
    empty = summary.summarise([sample(0, claims=0, false_claims=0, tokens=0)])
    assert empty["false_per_100_tokens"] == empty["false_per_100_claims"] == empty["checkable"] == 0


WRONG = {"correct_flexible": False, "flags": [], "truncated": False, "extracted_flexible": "9", "reason": "different"}
# name: (what changes in a wrong row, its outcome); where two match, the one that stands first in OUTCOMES counts
OUTCOME_OF = {
    "right": ({"correct_flexible": True}, "right and clean"),
    "right, with a flag": ({"correct_flexible": True, "flags": ["H2"]}, "right with a flag"),
    "right, cut off later": ({"correct_flexible": True, "flags": ["H6"], "truncated": True}, "right with a flag"),
    "no answer": ({"extracted_flexible": None, "reason": "no answer"}, "no answer"),
    "an empty answer": ({"extracted_flexible": "", "reason": "no answer"}, "no answer"),
    "no answer, as it was cut off": ({"extracted_flexible": None, "truncated": True, "flags": ["H6"]}, "no answer"),
    "cut off": ({"truncated": True, "flags": ["H6"]}, "truncated"),
    "cut off, with false arithmetic": ({"truncated": True, "flags": ["H1", "H6"]}, "truncated"),
    "a loop": ({"flags": ["H6"]}, "degenerate"),
    "a loop with false arithmetic": ({"flags": ["H1", "H6"]}, "degenerate"),
    "not read": ({"reason": "unparsed"}, "unparseable"),
    "too long": ({"reason": "over budget", "flags": ["H1"]}, "unparseable"),
    "false arithmetic": ({"flags": ["H1"]}, "wrong, false arithmetic"),
    "false arithmetic and a number from nowhere": ({"flags": ["H1", "H2", "H3"]}, "wrong, false arithmetic"),
    "a number from nowhere": ({"flags": ["H2", "H3"]}, "wrong, ungrounded number"),
    "another answer than the trace": ({"flags": ["H3"]}, "wrong, answer contradicts the trace"),
    "two answers": ({"flags": ["H4"], "reason": "contradictory"}, "wrong, answer contradicts the trace"),
    "a wrong plan": ({}, "wrong otherwise"),
}


@pytest.mark.parametrize(("changes", "outcome"), OUTCOME_OF.values(), ids=OUTCOME_OF)
def test_the_first_outcome_that_matches_counts(changes, outcome):
    counts = summary.outcomes([sample(0, **(WRONG | changes))])
    assert {name for name, count in counts.items() if count} == {outcome}


def test_every_outcome_can_be_reached():
    assert {outcome for _, outcome in OUTCOME_OF.values()} == set(summary.OUTCOMES)


ROWS = st.builds(
    lambda correct, answer, reason, flags, truncated: sample(
        0,
        correct_flexible=correct,
        extracted_flexible=answer,
        reason=reason,
        flags=sorted(flags),
        truncated=truncated,
        false_claims=int("H1" in flags),
        ungrounded=int("H2" in flags),
    ),
    st.booleans(),
    st.sampled_from([None, "", "9"]),
    st.sampled_from(["equal", "different", "no answer", "unparsed", "contradictory", "over budget"]),
    st.sets(st.sampled_from(["H1", "H2", "H3", "H4", "H6"])),
    st.booleans(),
)


@given(st.lists(ROWS, min_size=1, max_size=30))
def test_outcomes_add_up_and_the_right_ones_are_the_accuracy(rows):
    counts = summary.outcomes(rows)
    assert list(counts) == list(summary.OUTCOMES) and sum(counts.values()) == len(rows)
    assert counts["right and clean"] + counts["right with a flag"] == sum(row["correct_flexible"] for row in rows)


# --- Several samples a problem -----------------------------------------------

# The answers of four samples, whether each is right, and how often a vote of all four is; the gold answer is 1/2.
VOTES = {
    "all right, in other words": (["1/2", "0.5", "\\frac12", "50%"], [1, 1, 1, 1], 1),
    "the right ones win together": (["1/2", "0.5", "3", "4"], [1, 1, 0, 0], 1),
    "a tie is drawn by lot": (["1/2", "0.5", "3", "3.0"], [1, 1, 0, 0], Fraction(1, 2)),
    "no answer casts no vote": (["1/2", None, None, ""], [1, 0, 0, 0], 1),
    "nobody votes": ([None, None, None, None], [0, 0, 0, 0], 0),
}


def voted(number: int, answers: list, right: list[int]) -> list[dict]:
    rows = [sample(number, sample=k, gold="1/2", extracted_flexible=answer) for k, answer in enumerate(answers)]
    return [row | {"correct_flexible": bool(correct)} for row, correct in zip(rows, right, strict=True)]


@pytest.mark.parametrize(("answers", "right", "majority"), VOTES.values(), ids=VOTES)
def test_the_metrics_of_four_samples_of_one_problem(answers, right, majority):
    found = summary.summarise_sampled(voted(0, answers, right)[::-1])  # in any order
    assert (found["k"], found["items"], found["avg_at_k"]) == (4, 1, sum(right) / 4)
    assert (found["pass_at_k"], found["maj_at_k"]) == (float(any(right)), float(majority))


def test_the_vote_is_right_where_its_sample_was_whoever_judged_it():
    """A checker of your own, or one of several gold answers: the samples say what was right."""
    rows = [
        sample(0, "grpo", sample=k, extracted_flexible=a, correct_flexible=a == "SHELLS")
        for k, a in enumerate(("SHELLS", "x", "SHELLS"))
    ]
    assert summary.summarise_sampled([row | {"gold": "a shell"} for row in rows])["maj_at_k"] == 1


# name: (rows, words of the message)
UNEVEN = {
    "one missing": (voted(0, ["1"] * 4, [0] * 4) + voted(1, ["1"] * 3, [0] * 3), "'q001' has 3 samples, not the 4 from 0 to 3"),
    "one of the first missing": (voted(0, ["1"] * 4, [0] * 4)[1:] + voted(1, ["1"] * 4, [0] * 4), "'q000' has 3 samples, not"),
    "one twice": (voted(0, ["1"] * 2, [0] * 2) + 2 * voted(1, ["1"], [0]), "'q001' has 2 samples, not the 2 from 0 to 1"),
}


@pytest.mark.parametrize(("rows", "words"), UNEVEN.values(), ids=UNEVEN)
def test_uneven_samples_are_refused(rows, words):
    with pytest.raises(ValueError, match=words):
        summary.summarise_sampled(rows)


# --- Twins, and more tokens --------------------------------------------------


def twin(number: int, answer: str | None) -> dict:
    """A twin that is refused ("How many?"), answered, or neither."""
    refused = answer == "How many?"
    told = {"correct_flexible": refused, "completion": answer or "So.", "extracted_flexible": answer}
    return sample(number, id=f"q{number:03}-twin", gold=UNANSWERABLE, **told)


def test_refusals_and_answers_of_twins(tmp_path):
    answers = ["How many?"] * 5 + ["7"] * 3 + [None, ""]  # an empty answer section is no answer either
    answerable = [
        sample(0, correct_flexible=True),
        sample(1, correct_flexible=False, completion="How many?", extracted_flexible="How many?"),
        sample(2, correct_flexible=False, completion="It cannot be determined.", extracted_flexible=None),
        sample(3, correct_flexible=False, completion="It cannot be said how many of the 12 are left.", extracted_flexible="12"),
        sample(4, correct_flexible=False, completion="So 12.", extracted_flexible="12"),
        sample(5, correct_flexible=True, completion="The price is not given. So 6.", extracted_flexible="6"),
    ]
    write_samples(tmp_path, "sft", answerable)
    write_samples(tmp_path, "twins-sft", [twin(n, answer) for n, answer in enumerate(answers)])
    found = report.summarise_checkpoint(tmp_path, "sft")["h5"]
    assert (found["twins"], found["refused"], found["false_answer"], found["over_refused"]) == (10, 0.5, 0.3, 0.5)
    for name, count, n in (("refused", 5, 10), ("false_answer", 3, 10), ("over_refused", 3, 6)):
        assert (found[f"{name}_low"], found[f"{name}_high"]) == wilson_interval(count, n)


def test_longer_samples_stand_for_those_that_were_cut_off(tmp_path):
    write_samples(tmp_path, "sft", [sample(n, truncated=n < 4, correct_flexible=n >= 8) for n in range(10)])
    longer = [sample(n, truncated=n == 0, correct_flexible=n in (1, 2), budget=512) for n in range(4)]
    write_samples(tmp_path, "longer-sft", longer)
    low, high = wilson_interval(4, 10)
    assert report.summarise_checkpoint(tmp_path, "sft")["longer"] == {
        "budget": 512,
        "correct_flexible": 4,  # 8 and 9 as before, 1 and 2 now
        "accuracy_flexible": 0.4,
        "low_flexible": low,
        "high_flexible": high,
        "truncation_rate": 0.1,
    }


def test_save_summary_holds_what_was_measured(full_run):
    saved = report.save_summary(full_run)
    assert saved == {name: report.summarise_checkpoint(full_run, name) for name in report.CHECKPOINTS}
    assert saved == json.loads((full_run / "evaluation.json").read_text())
    assert {"sampled", "h5", "longer"} <= saved["base"].keys() and "longer" not in saved["sft"]


# --- Two checkpoints ---------------------------------------------------------


def test_sides_are_paired_by_id_not_by_place(run):
    found = comparisons.compare_checkpoints(run)
    write_samples(run, "sft", samples("sft")[::-1])
    assert comparisons.compare_checkpoints(run) == found
    assert (found[0].difference.gained, found[0].difference.lost) == (16, 4)
    assert all(was["id"] == now["id"] for was, now in comparisons.pair_samples(samples("base"), samples("sft")[::-1]))


def test_changed_samples_are_all_samples_once():
    changed = report.changed_samples(samples("base"), samples("sft"))
    sizes = {name: len(pairs) for name, pairs in changed.items()}
    assert sizes == {"solved": 16, "broken": 4, "still_wrong": 12, "still_right": 8}
    assert all(was["id"] == now["id"] for pairs in changed.values() for was, now in pairs)
    assert [was["id"] for was, _ in changed["broken"]] == ["q000", "q001", "q002", "q003"]


# name: (after, words of the message)
UNPAIRED = {
    "one missing": (samples("sft")[1:], "1 ids are on one side only, such as 'q000'"),
    "one twice": ([*samples("sft"), sample(0)], "an id twice"),
    "another gold": ([sample(0, gold="77"), *samples("sft")[1:]], "two gold answers, '1' and '77'"),
}


@pytest.mark.parametrize(("after", "words"), UNPAIRED.values(), ids=UNPAIRED)
def test_other_problems_are_refused(after, words):
    with pytest.raises(ValueError, match=words):
        comparisons.pair_samples(samples("base"), after)


def test_twins_are_compared_where_they_were_measured(full_run):
    found = comparisons.compare_checkpoints(full_run, prefix="twins-")
    assert [(c.before, c.after, c.difference.gained, c.difference.lost) for c in found] == [
        ("base", "sft", 6, 0),
        ("sft", "grpo", 0, 3),
        ("base", "grpo", 3, 0),
    ]
    (full_run / "samples" / "twins-base.jsonl").unlink()
    assert [(c.before, c.after) for c in comparisons.compare_checkpoints(full_run, prefix="twins-")] == [("sft", "grpo")]
    (full_run / "samples" / "twins-grpo.jsonl").unlink()
    assert comparisons.compare_checkpoints(full_run, prefix="twins-") == []


# name: (right in the others' prompt, the part that stands for the base)
BASES = {
    "worse in the others' prompt": (range(0, 11), "base"),
    "equal": (range(1, 13), "base"),
    "better in the others' prompt": (range(0, 13), "base-chat"),
}


@pytest.mark.parametrize(("right", "part"), BASES.values(), ids=BASES)
def test_the_base_stands_for_its_better_prompt(run, right, part):
    rows = [sample(n, "base-chat", correct_flexible=n in right) for n in range(N)]
    write_samples(run, "base-chat", rows)
    best = comparisons.best_samples(run)
    assert list(best) == [part, "sft", "grpo"] and best[part] == (rows if part == "base-chat" else samples("base"))
    found = {c.before: c for c in comparisons.compare_checkpoints(run)}
    assert found[part].differs == (("prompt_sha256",) if part == "base" else ())
    label = report.label_of(part)
    assert f"- **{label} → + SFT**: " in report.results_markdown(run)
    assert list(report.gain_table(run))[1] == f"{label} → + SFT"


# name: (what changes in the samples of the first side, what is said of a clear gain)
SAID = {
    "all the same": ({}, "improved"),
    "another prompt": ({"prompt_sha256": "x"}, "higher, each in its own prompt"),
    "another budget": ({"budget": 512}, "higher, with different token budgets"),
    "another temperature": ({"temperature": 1.0}, "higher, at different temperatures"),
    "another prompt and budget": (
        {"prompt_sha256": "x", "budget": 512},
        "higher, each in its own prompt and with different token budgets",
    ),
    "another seed": ({"seed": 1}, "improved"),
}


@pytest.mark.parametrize(("changes", "said"), SAID.values(), ids=SAID)
def test_what_differs_is_said(run, changes, said):
    first = [sample(0, "sft", correct_flexible=False, **changes), *(sample(n, correct_flexible=False) for n in range(1, N))]
    write_samples(run, "sft", first)
    line = next(line for line in report.results_markdown(run).splitlines() if line.startswith("- **+ SFT"))
    assert line.startswith(f"- **+ SFT → + GRPO**: {said}, **+65.0 points** "), line


@pytest.mark.parametrize(("before", "after", "verdict", "false"), [(5, 30, "improved", "reduced"), (30, 5, "worse", "raised")])
def test_a_clear_gain_or_loss(run, before, after, verdict, false):
    for part, right in (("sft", before), ("grpo", after)):
        write_samples(run, part, [sample(n, correct_flexible=n < right, false_claims=int(n >= right)) for n in range(N)])
    by_accuracy, by_false_claims = (line for line in report.results_markdown(run).splitlines() if line.startswith("- **+ SFT"))
    assert f"+ GRPO**: {verdict}, **" in by_accuracy and f"+ GRPO**: {false}, **" in by_false_claims


@settings(deadline=None)  # the first call imports statsmodels, and a busy machine is slow
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=8), st.sets(st.sampled_from(list(comparisons.SAME))))
def test_improved_is_earned(verdicts, differs):
    d = paired_difference(*zip(*verdicts, strict=True))
    spoken = comparisons.Comparison("sft", "grpo", d, d.p_value, d.p_value, tuple(differs)).verdict("improved", "worse")
    clear = d.low > 0 or d.high < 0
    assert (spoken == "no clear difference") == (not clear)
    assert (spoken in ("improved", "worse")) == (clear and not differs)
    if clear:
        assert spoken.startswith(("improved", "higher") if d.difference > 0 else ("worse", "lower"))


def test_samples_of_other_problems_are_not_compared(full_run):
    write_samples(full_run, "sampled-sft", [sample(n, sample=k) for n in range(1, 11) for k in range(2)])
    with pytest.raises(ValueError, match="did not answer the same problems"):
        comparisons.compare_checkpoints(full_run, prefix="sampled-")


@given(st.lists(st.tuples(ROWS, ROWS), min_size=1, max_size=40))
def test_the_parts_of_a_gain_sum_exactly_to_it(pairs):
    before, after = ([row | {"id": str(n)} for n, row in enumerate(side)] for side in zip(*pairs))
    parts = comparisons.decompose(before, after[::-1])
    gained, lost = (sum(part.gained for part in parts), sum(part.lost for part in parts))
    moved = sum(row["correct_flexible"] for row in after) - sum(row["correct_flexible"] for row in before)
    assert sum(part.points for part in parts) == Fraction(100 * moved, len(pairs)) and gained - lost == moved
    changed = report.changed_samples(before, after)
    assert (len(changed["solved"]), len(changed["broken"])) == (gained, lost)


def test_an_empty_answer_section_is_no_answer():
    right, bad = [sample(7, correct_flexible=True)], [sample(7, "base", correct_flexible=False, extracted_flexible="")]
    assert [(p.cause, p.gained, p.lost) for p in comparisons.decompose(bad, right) if p.net] == [("format/extraction", 1, 0)]
    assert [(p.cause, p.gained, p.lost) for p in comparisons.decompose(right, bad) if p.net] == [("format/extraction", 0, 1)]


# --- Tables: see also test_card, which computes every number again -----------


def test_the_short_table_fits_80_columns(full_run):
    head, _, *rows = report.short_results_markdown(full_run).splitlines()
    assert head == "| 40 problems | solved | false sums | tokens |"
    low, high = (f"{100 * end:.1f}" for end in wilson_interval(24, N))
    assert rows[1].startswith(f"| + SFT | 60.0% ({low}–{high}) | 5.0% (") and rows[1].endswith(" | 30 |")
    assert [row.split(" | ")[0] for row in rows] == ["| base", "| + SFT", "| + GRPO"]
    assert max(map(len, rows)) <= 80


def test_a_checkpoint_without_several_samples_has_dashes(full_run):
    table = report.results_table(full_run)
    assert list(table["checkpoint"]) == ["base (own prompt)", "base (same prompt)", "+ SFT", "+ GRPO"]
    assert list(table["pass@2"]) == ["100.0%", "–", "60.0%", "60.0%"]


def test_a_run_without_sft_compares_base_and_grpo(run):
    (run / "samples" / "sft.jsonl").unlink()
    assert list(report.results_table(run)["checkpoint"]) == ["base (own prompt)", "base (same prompt)", "+ GRPO"]
    assert report.results_markdown(run).count("\n- **") == 2  # by accuracy and by false claims
    assert list(report.gain_table(run)) == ["cause", "base (own prompt) → + GRPO"]
    assert list(tables.outcomes_table(run)) == ["outcome", "base (own prompt)", "+ GRPO"]
    assert list(report.save_summary(run)) == ["base", "grpo"]


def test_what_a_larger_budget_gives_is_said(full_run):
    told = "base (own prompt) was often cut off; with 512 tokens its flexible accuracy is 37.5%, and 0.0% are cut off."
    assert told in report.results_markdown(full_run)


def test_outcomes_table(run):
    table = tables.outcomes_table(run).set_index("outcome")
    assert list(table.index) == list(summary.OUTCOMES)
    assert list(table) == ["base (own prompt)", "+ SFT", "+ GRPO"]
    assert table.loc["right and clean", "+ SFT"] == "55.0%"
    assert table.loc["truncated", "+ SFT"] == "5.0%"
    assert math.isclose(sum(float(cell.rstrip("%")) for cell in table["+ SFT"]), 100)


def test_audit_markdown_quotes_what_the_audit_was_measured_to_find(run):
    bare = report.audit_markdown(run)
    assert bare.startswith("| checkpoint | ") and bare.endswith("skips what it cannot read.*\n")
    figures = {
        "H1": {"arithmetic": 115, "found": 114, "flags": 185, "unconfirmed": 1},
        "H2": {"cases": 2000, "found": 1700, "false_flags": 0.0193},
    }
    (run.parent / "audit.json").write_text(json.dumps(figures))
    assert report.audit_markdown(run) == bare.removesuffix("*\n") + (
        " On labelled traces of other models H1 found 114 of 115 with false arithmetic, and 184 of its 185 flags hold by an "
        "independent evaluation. H2 found 85.0% of 2,000 planted numbers, and flagged 1.9% of GSM8K's own solutions.*\n"
    )


def test_twins_markdown(full_run):
    lines = report.twins_markdown(full_run).splitlines()
    assert lines[0] == "| checkpoint | unanswerable problems | refused | answered all the same | answerable ones refused |"
    assert lines[6].startswith("- **base (own prompt) → + SFT**: refusals higher, each in its own prompt, **+31.6 points** (95% ")
    assert lines[7].startswith("- **+ SFT → + GRPO**: refusals no clear difference, **-15.8 points** (95% interval ")
    assert "; 0 newly refused, 3 no longer; exact McNemar p = 0.250, after Holm p = " in lines[7]
    assert len(lines) == 9


def test_twins_markdown_without_twins(run):
    assert report.twins_markdown(run) == "No unanswerable problems were measured.\n"
    write_samples(run, "twins-grpo", [twin(0, None)])
    assert report.twins_markdown(run).count("\n") == 3  # a table of one row, and nothing to compare


PLAN = {
    "items": 2000,
    "decoding": "greedy",
    "max_completion_length": 1024,
    "smallest_difference": 0.0281,
    "frozen_before_training": True,
}
# name: (what changes in the plan, the sentences)
PLANNED = {
    "before training": (
        {},
        "Planned before anything was trained: 2,000 problems, greedy, 1,024 tokens. So many problems can show a difference of "
        "2.8 points or more (80% power, if the verdict on 20% changes).",
    ),
    "too few problems": (
        {"items": 8, "smallest_difference": 0.5},
        "Planned before anything was trained: 8 problems, greedy, 1,024 tokens. So few problems cannot show any difference (80% "
        "power, if the verdict on 20% changes).",
    ),
    "one problem": (
        {"items": 1, "smallest_difference": None},
        "Planned before anything was trained: 1 problem, greedy, 1,024 tokens.",
    ),
}


@pytest.mark.parametrize(("changes", "sentences"), PLANNED.values(), ids=PLANNED)
def test_plan_sentence(changes, sentences):
    assert report.plan_sentence(PLAN | changes) == sentences


# --- Pages ------------------------------------------------------------------


def test_writing_a_block_changes_its_block_alone_and_settles(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# é\n<!-- other:start -->\nkeep\n<!-- other:end -->\n<!-- results:start --><!-- results:end -->\nend\n")
    write_block(path, "results", "| a |\n| \\1 |\n")
    once = path.read_text()
    assert once == (
        "# é\n<!-- other:start -->\nkeep\n<!-- other:end -->\n<!-- results:start -->\n| a |\n| \\1 |\n<!-- results:end -->\nend\n"
    )
    assert read_block(path, "results") == "| a |\n| \\1 |"
    write_block(path, "results", read_block(path, "results"))
    assert path.read_text() == once


# name: (text, words of the message)
BAD_PAGES = {
    "no start": ("<!-- results:end -->", "results:start --> is missing"),
    "twice": ("<!-- results:start --><!-- results:start --><!-- results:end -->", "more than once"),
    "wrong order": ("<!-- results:end --><!-- results:start -->", "stands before"),
}


@pytest.mark.parametrize(("text", "words"), BAD_PAGES.values(), ids=BAD_PAGES)
def test_a_page_without_its_marks_is_left_alone(tmp_path, text, words):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        write_block(path, "results", "new")
    with pytest.raises(ValueError, match=words):
        read_block(path, "results")
    assert path.read_text() == text
