"""report: every number of a made-up run folder by hand, and a sentence for each damaged file."""

import json
import math
from fractions import Fraction

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_run import RIGHT, N, sample, samples, write_everything, write_run, write_samples
from readme import readme_block, update_readme

from grpo_lab import report
from grpo_lab.report import comparisons, seeds, summary, tables
from grpo_math.answers import UNANSWERABLE
from grpo_math.stats import cluster_interval, wilson_interval


def twin(number: int, part: str, refused: bool, answer: str | None = None) -> dict:
    """A row of a twin: refused in words, or with an answer, or neither."""
    told = ("How many?", "How many?", "equal") if refused else ("", answer, "different" if answer else "no answer")
    row = dict(zip(("completion", "extracted_flexible", "reason"), told, strict=True))
    return sample(number, part, id=f"q{number:03}-twin", gold=UNANSWERABLE, correct_flexible=refused, **row)


@pytest.fixture
def run(tmp_path):
    """A run folder with the greedy samples of the three checkpoints."""
    return write_run(tmp_path / "my-run")


@pytest.fixture
def full_run(tmp_path):
    """The same with everything that notebook 03 can measure."""
    run = write_everything(tmp_path / "my-run")
    longer = [sample(n, "base", truncated=False, correct_flexible=n == 33, budget=512) for n in (17, 25, 33)]
    write_samples(run, "longer-base", longer)
    return run


@pytest.fixture
def verdicts_csv(tmp_path):
    path = tmp_path / "verdicts.csv"
    columns = {
        "base": RIGHT["base"],
        "sft-0": RIGHT["sft"],
        "grpo-0": RIGHT["grpo"],
        "sft-7": range(20),
        "grpo-7": range(20),
        "form-0": range(40),
        "form-7": range(38),
    }
    frame = pd.DataFrame({name: [int(i in right) for i in range(N)] for name, right in columns.items()})
    frame.insert(0, "id", [f"q{i}" for i in range(N)])
    frame.to_csv(path, index=False)
    return path


# --- One checkpoint ----------------------------------------------------------


def test_summarise():
    rows = [
        sample(0, correct_flexible=True, correct_strict=True, claims=3, false_claims=2, flags=["H1", "H2"], tokens=100),
        sample(1, correct_flexible=True, correct_strict=False, claims=1, false_claims=0, flags=[], tokens=60),
        sample(2, correct_flexible=False, claims=0, false_claims=0, flags=["H3", "H6"], tokens=40),
        sample(3, correct_flexible=True, correct_strict=False, claims=1, false_claims=1, flags=["H1", "H4"], tokens=50),
    ]
    intervals = {}
    for name, count in (("flexible", 3), ("strict", 1), ("false_claim_rate", 2)):
        intervals[name] = dict(zip(("low", "high"), wilson_interval(count, 4), strict=True))
    assert summary.summarise(rows) == {
        "n": 4,
        "correct_flexible": 3,
        "accuracy_flexible": 0.75,
        "correct_strict": 1,
        "accuracy_strict": 0.25,
        **{f"{end}_{name}": intervals[name][end] for name in ("flexible", "strict") for end in ("low", "high")},
        "format_rate": 0.5,
        "truncation_rate": 0.25,
        "mean_tokens": 62.5,
        "false_claim_rate": 0.5,  # of four completions two hold one
        **{f"false_claim_rate_{end}": value for end, value in intervals["false_claim_rate"].items()},
        "false_per_100_tokens": 100 * 3 / 250,
        "false_per_100_claims": 100 * 3 / 5,
        "checkable": 0.75,
        "flags": {"H1": 0.5, "H2": 0.25, "H3": 0.25, "H4": 0.25, "H6": 0.25},
        "outcomes": summary.outcomes(rows),
    }
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
    "cut off, with false arithmetic": ({"truncated": True, "flags": ["H1", "H6"]}, "truncated"),
    "a loop with false arithmetic": ({"flags": ["H1", "H6"]}, "degenerate"),
    "not read": ({"reason": "unparsed"}, "unparseable"),
    "too long": ({"reason": "over budget", "flags": ["H1"]}, "unparseable"),
    "false arithmetic and a number from nowhere": ({"flags": ["H1", "H2", "H3"]}, "wrong, false arithmetic"),
    "a number from nowhere": ({"flags": ["H2", "H3"]}, "wrong, ungrounded number"),
    "another answer than the trace": ({"flags": ["H3"]}, "wrong, answer contradicts the trace"),
    "two answers": ({"flags": ["H4"], "reason": "contradictory"}, "wrong, answer contradicts the trace"),
    "a wrong plan": ({}, "wrong otherwise"),
}


@pytest.mark.parametrize(("changes", "outcome"), OUTCOME_OF.values(), ids=OUTCOME_OF)
def test_the_first_outcome_that_matches_counts(changes, outcome):
    assert summary.outcomes([sample(0, **WRONG | changes)]) == dict.fromkeys(summary.OUTCOMES, 0) | {outcome: 1}


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
    "the wrong ones win": (["1/2", "3", "3.0", "4"], [1, 0, 0, 0], 0),
    "a tie is drawn by lot": (["1/2", "0.5", "3", "3.0"], [1, 1, 0, 0], Fraction(1, 2)),
    "three tie": (["1/2", "3", "4", None], [1, 0, 0, 0], Fraction(1, 3)),
    "no answer casts no vote": (["1/2", None, None, ""], [1, 0, 0, 0], 1),
    "nobody votes": ([None, None, None, None], [0, 0, 0, 0], 0),
    "none right": (["3", "4", "5", "6"], [0, 0, 0, 0], 0),
}


def voted(number: int, answers: list, right: list[int]) -> list[dict]:
    rows = [sample(number, sample=k, gold="1/2", extracted_flexible=answer) for k, answer in enumerate(answers)]
    return [row | {"correct_flexible": bool(correct)} for row, correct in zip(rows, right, strict=True)]


@pytest.mark.parametrize(("answers", "right", "majority"), VOTES.values(), ids=VOTES)
def test_the_metrics_of_four_samples_of_one_problem(answers, right, majority):
    found = summary.summarise_sampled(voted(0, answers, right))
    assert (found["k"], found["items"], found["avg_at_k"]) == (4, 1, sum(right) / 4)
    assert (found["pass_at_k"], found["maj_at_k"]) == (float(any(right)), float(majority))


def test_summarise_sampled_is_the_mean_over_problems_in_any_order():
    rows = [row for n, (answers, right, _) in enumerate(VOTES.values()) for row in voted(n, answers, right)]
    found = summary.summarise_sampled(rows[::-1])
    low, high = cluster_interval([right for _, right, _ in VOTES.values()])
    assert found == summary.summarise_sampled(rows)
    assert found == {
        "k": 4,
        "items": 8,
        "avg_at_k": sum(sum(right) for _, right, _ in VOTES.values()) / 32,
        "avg_at_k_low": low,
        "avg_at_k_high": high,
        "pass_at_k": 6 / 8,
        "maj_at_k": pytest.approx(float(sum(majority for _, _, majority in VOTES.values())) / 8),
    }


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


def test_refusals_of_twins_and_of_answerable_problems(run):
    rows = [twin(n, "sft", refused=n < 5, answer="7" if n < 8 else None) for n in range(10)]  # 5 refused, 3 answered, 2 neither
    rows[9]["extracted_flexible"] = ""  # an empty answer section is no answer either
    write_samples(run, "twins-sft", rows)
    answerable = [
        sample(0, correct_flexible=True),
        sample(1, correct_flexible=False, completion="How many?", extracted_flexible="How many?"),
        sample(2, correct_flexible=False, completion="It cannot be determined.", extracted_flexible=None),
        sample(3, correct_flexible=False, completion="It cannot be said how many of the 12 are left.", extracted_flexible="12"),
        sample(4, correct_flexible=False, completion="So 12.", extracted_flexible="12"),
        sample(5, correct_flexible=True, completion="The price is not given. So 6.", extracted_flexible="6"),
    ]
    write_samples(run, "sft", answerable)
    found = report.summarise_checkpoint(run, "sft")["h5"]
    assert found.pop("twins") == 10
    expected = {}
    for name, count, n in (("refused", 5, 10), ("false_answer", 3, 10), ("over_refused", 3, 6)):
        expected |= {name: count / n, **dict(zip((f"{name}_low", f"{name}_high"), wilson_interval(count, n), strict=True))}
    assert found == expected


def test_longer_samples_stand_for_those_that_were_cut_off(run):
    write_samples(run, "sft", [sample(n, truncated=n < 4, correct_flexible=n >= 8) for n in range(10)])
    longer = [sample(n, truncated=n == 0, correct_flexible=n in (1, 2), budget=512) for n in range(4)]
    write_samples(run, "longer-sft", longer)
    low, high = wilson_interval(4, 10)
    assert report.summarise_checkpoint(run, "sft")["longer"] == {
        "budget": 512,
        "correct_flexible": 4,  # 8 and 9 as before, 1 and 2 now
        "accuracy_flexible": 0.4,
        "low_flexible": low,
        "high_flexible": high,
        "truncation_rate": 0.1,
    }


def test_a_summary_holds_what_was_measured(full_run):
    summaries = report.save_summary(full_run)
    assert json.loads((full_run / "evaluation.json").read_text()) == summaries
    assert {name: found.keys() & {"sampled", "h5", "longer"} for name, found in summaries.items()} == {
        "base": {"sampled", "h5", "longer"},
        "sft": {"sampled", "h5"},
        "grpo": {"sampled", "h5"},
    }
    assert summaries["sft"].items() >= summary.summarise(samples("sft")).items()


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


@pytest.mark.parametrize("function", [comparisons.pair_samples, report.changed_samples, comparisons.decompose])
@pytest.mark.parametrize(("after", "words"), UNPAIRED.values(), ids=UNPAIRED)
def test_paired_functions_refuse_other_problems(function, after, words):
    with pytest.raises(ValueError, match=words):
        function(samples("base"), after)


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
    assert found[part].differs == (() if part == "base-chat" else ("prompt_sha256",))
    label = report.label_of(part)
    assert f"- **{label} → + SFT**: " in report.results_markdown(run)
    assert list(report.gain_table(run))[1] == f"{label} → + SFT"


# name: (right before, right after, what changes in one sample before, verdict)
SPOKEN = {
    "clear gain": (range(5), range(30), {}, "improved"),
    "clear loss": (range(30), range(5), {}, "worse"),
    "small gain": (range(10), range(12), {}, "no clear difference"),
    "small loss, another prompt": (range(12), range(10), {"prompt_sha256": "x"}, "no clear difference"),
    "nothing changed": (range(12), range(12), {}, "no clear difference"),
    "another prompt": (range(5), range(30), {"prompt_sha256": "x"}, "higher, each in its own prompt"),
    "clear loss, another prompt": (range(30), range(5), {"prompt_sha256": "x"}, "lower, each in its own prompt"),
    "another budget": (range(5), range(30), {"budget": 512}, "higher, with different token budgets"),
    "another temperature": (range(5), range(30), {"temperature": 1.0}, "higher, at different temperatures"),
    "another prompt and budget": (
        range(5),
        range(30),
        {"prompt_sha256": "x", "budget": 512},
        "higher, each in its own prompt and with different token budgets",
    ),
    "another seed": (range(5), range(30), {"seed": 1}, "improved"),
}


@pytest.mark.parametrize(("before", "after", "changes", "verdict"), SPOKEN.values(), ids=SPOKEN)
def test_improved_is_printed_only_where_it_is_shown_and_else_what_differs(run, before, after, changes, verdict):
    first, *rest = (sample(n, correct_flexible=n in before) for n in range(N))
    write_samples(run, "sft", [first | changes, *rest])
    write_samples(run, "grpo", [sample(n, correct_flexible=n in after) for n in range(N)])
    line = next(line for line in report.results_markdown(run).splitlines() if line.startswith("- **+ SFT"))
    assert line.startswith(f"- **+ SFT → + GRPO**: {verdict}, **"), line


VERDICTS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=8, max_size=60)
WORDS = {"improved", "worse", "raised", "reduced"}


@given(VERDICTS, st.sampled_from([{}, {"prompt_sha256": "x"}, {"budget": 9}, {"temperature": 0.5}]), st.booleans())
def test_improved_and_reduced_are_earned(tmp_path_factory, verdicts, changes, false_claims):
    folder = tmp_path_factory.mktemp("run")
    sides = ([side for side, _ in verdicts], [side for _, side in verdicts])
    for part, side, more in zip(("base", "grpo"), sides, (changes, {}), strict=True):
        given_rows = [sample(n, "sft", correct_flexible=r, false_claims=int(not r)) for n, r in enumerate(side)]
        write_samples(folder, part, [*given_rows[:-1], given_rows[-1] | more])
    measure = comparisons.has_false_claim if false_claims else comparisons.is_right
    (comparison,) = comparisons.compare_checkpoints(folder, measure)
    d = comparison.difference
    spoken = comparison.verdict(*(("raised", "reduced") if false_claims else ("improved", "worse")))
    clear = d.low > 0 or d.high < 0
    assert (spoken == "no clear difference") == (not clear)
    assert (spoken in WORDS) == (clear and not changes)
    if spoken in WORDS:
        assert (spoken in ("improved", "raised")) == (d.difference > 0)
    assert any(spoken + ", **" in line for line in report.results_markdown(folder).splitlines())


def test_several_samples_of_other_problems_are_not_compared(full_run):
    rows = report.samples_of(full_run, "sampled-sft")
    write_samples(full_run, "sampled-sft", rows[2:])  # without the first problem
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


# name: (what was wrong with the wrong sample, the cause)
CAUSE_OF = {
    "cut off": ({"truncated": True, "extracted_flexible": None}, "truncation"),
    "no answer": ({"extracted_flexible": None}, "format/extraction"),
    "an empty answer": ({"extracted_flexible": ""}, "format/extraction"),
    "false arithmetic": ({"false_claims": 2, "ungrounded": 1}, "arithmetic"),
    "a number from nowhere": ({"ungrounded": 1}, "grounding"),
    "a wrong plan": ({}, "other"),
}


@pytest.mark.parametrize(("wrong", "cause"), CAUSE_OF.values(), ids=CAUSE_OF)
def test_the_cause_is_what_was_wrong_with_the_wrong_sample(wrong, cause):
    right, bad = [sample(7, correct_flexible=True)], [sample(7, **{"correct_flexible": False} | wrong)]
    assert [(p.cause, p.gained, p.lost) for p in comparisons.decompose(bad, right) if p.net] == [(cause, 1, 0)]
    assert [(p.cause, p.gained, p.lost) for p in comparisons.decompose(right, bad) if p.net] == [(cause, 0, 1)]


# --- Tables ------------------------------------------------------------------


def test_a_run_without_sft_compares_base_and_grpo(run):
    (run / "samples" / "sft.jsonl").unlink()
    assert list(report.results_table(run)["checkpoint"]) == ["base (own prompt)", "base (same prompt)", "+ GRPO"]
    assert report.results_markdown(run).count("\n- **") == 2  # by accuracy and by false claims
    assert list(report.gain_table(run)) == ["cause", "base (own prompt) → + GRPO"]
    assert list(tables.outcomes_table(run)) == ["outcome", "base (own prompt)", "+ GRPO"]
    assert list(report.save_summary(run)) == ["base", "grpo"]


def test_what_stands_between_the_table_and_the_comparisons(full_run):
    (full_run / "contamination_sft.json").write_text('{"flagged": ["q000", "q030"]}')
    (full_run / "contamination_grpo.json").write_text('{"flagged": ["q030", "q031"]}')
    _, longer, clean, *_ = report.results_markdown(full_run).split("\n\n")
    assert longer == "base (own prompt) was often cut off; with 512 tokens its flexible accuracy is 32.5%, and 0.0% are cut off."
    assert clean == (
        "Without 3 problems that training may have met (flagged by the contamination check): "
        "base (own prompt) 29.7%, + SFT 64.9%, + GRPO 70.3%."
    )


def test_outcomes_table(run):
    table = tables.outcomes_table(run).set_index("outcome")
    assert list(table.index) == list(summary.OUTCOMES)
    assert list(table) == ["base (own prompt)", "+ SFT", "+ GRPO"]
    assert table.loc["right and clean", "+ SFT"] == "55.0%"
    assert table.loc["truncated", "+ SFT"] == "5.0%"
    assert math.isclose(sum(float(cell.rstrip("%")) for cell in table["+ SFT"]), 100)


def test_audit_markdown_quotes_what_the_audit_was_measured_to_find(run):
    bare = report.audit_markdown(run)
    assert bare.startswith(
        "| checkpoint | with a claim to check | H1 false arithmetic | false per 100 claims | false per 100 tokens | "
        "H2 ungrounded number | H3 answer not in trace | H4 several answers | H6 loop or cut off |\n"
    )
    assert bare.endswith("skips what it cannot read.*\n")
    measured = {
        "H1": {"arithmetic": 115, "found": 114, "flags": 185, "unconfirmed": 1},
        "H2": {"cases": 2000, "found": 1700, "false_flags": 0.0193},
    }
    (run.parent / "audit.json").write_text(json.dumps(measured))
    assert report.audit_markdown(run) == bare.removesuffix("*\n") + (
        " On labelled traces of other models H1 found 114 of 115 with false arithmetic, and 184 of its 185 flags hold by an "
        "independent evaluation. H2 found 85.0% of 2,000 planted numbers, and flagged 1.9% of GSM8K's own solutions.*\n"
    )


def test_twins_are_compared_where_they_were_measured(run):
    assert report.twins_markdown(run) == "No unanswerable problems were measured.\n"
    write_samples(run, "twins-grpo", [twin(n, "grpo", n < 8, "5") for n in range(20)])
    assert report.twins_markdown(run).count("\n") == 3  # a table of one row, and nothing to compare
    for part, refused in {"base": 0, "sft": 15}.items():
        write_samples(run, f"twins-{part}", [twin(n, part, n < refused, "5") for n in range(20)])
    lines = report.twins_markdown(run).splitlines()
    assert lines[0] == "| checkpoint | unanswerable problems | refused | answered all the same | answerable ones refused |"
    assert lines[3] == "| + SFT | 20 | 75.0% (53.1–88.8) | 25.0% (11.2–46.9) | 0.0% |"
    assert lines[6].startswith("- **base (own prompt) → + SFT**: refusals higher, each in its own prompt, **+75.0 points** (95% ")
    assert lines[7].startswith("- **+ SFT → + GRPO**: refusals reduced, **-35.0 points** (95% interval ")
    assert lines[7].endswith("; 0 newly refused, 7 no longer; exact McNemar p = 0.016, after Holm p = 0.016.")
    assert lines[8].startswith("- **base (own prompt) → + GRPO**: ") and len(lines) == 9


PLAN = {
    "items": 2000,
    "decoding": "greedy",
    "max_completion_length": 1024,
    "smallest_difference": 0.0281,
    "frozen_before_training": True,
}
POWER = "(80% power, if the verdict on 20% changes)"
# name: (what changes in the plan, the sentences)
PLANNED = {
    "before training": (
        {},
        "Planned before anything was trained: 2,000 problems, greedy, 1,024 tokens. "
        f"So many problems can show a difference of 2.8 points or more {POWER}.",
    ),
    "after training, and too few problems": (
        {"frozen_before_training": False, "items": 8, "smallest_difference": 0.5},
        "Planned **only after training had begun**: 8 problems, greedy, 1,024 tokens. "
        f"So few problems cannot show any difference {POWER}.",
    ),
    "one problem": (
        {"items": 1, "smallest_difference": None},
        "Planned before anything was trained: 1 problem, greedy, 1,024 tokens.",
    ),
}


@pytest.mark.parametrize(("changes", "sentences"), PLANNED.values(), ids=PLANNED)
def test_plan_sentence(changes, sentences):
    assert report.plan_sentence(PLAN | changes) == sentences


# --- Several seeds -----------------------------------------------------------


def test_seeds_table(verdicts_csv):
    table = seeds.seeds_table(verdicts_csv)
    assert list(table.columns) == ["seed", "base", "+ SFT (to base)", "+ GRPO (to + SFT)", "in the format after GRPO"]
    assert list(table.iloc[0]) == [
        "0",
        "30.0%",
        "60.0% (+30.0, p = 0.012)",
        "65.0% (+5.0, p = 0.500)",
        "100.0%",
    ]
    assert list(table.iloc[1]) == [
        "7",
        "30.0%",
        "50.0% (+20.0, p = 0.008)",
        "50.0% (+0.0, p = 1.000)",
        "95.0%",
    ]
    assert list(table.iloc[2]) == [
        "mean (min–max)",
        "30.0%",
        "55.0% (50.0–60.0); +25.0 (+20.0 to +30.0)",
        "57.5% (50.0–65.0); +2.5 (+0.0 to +5.0)",
        "97.5% (95.0–100.0)",
    ]


def test_seeds_markdown(verdicts_csv):
    lines = report.seeds_markdown(verdicts_csv).splitlines()
    assert len(lines) == 5
    assert lines[0] == "| seed | base | + SFT (to base) | + GRPO (to + SFT) | in the format after GRPO |"
    assert lines[2].startswith("| 0 | 30.0% | 60.0% ")


# name: (text of the file, words of the message)
BAD_VERDICTS = {
    "no seed": ("id,base\na,1\n", "sft-<seed>"),
    "GRPO missing": ("id,base,sft-0,form-0\na,1,1,1\n", "unpaired: grpo-0"),
    "form missing": ("id,base,sft-0,grpo-0\na,1,1,1\n", "unpaired: form-0"),
    "SFT missing": ("id,base,sft-0,grpo-0,form-0,grpo-1\na,1,1,1,1,1\n", "unpaired: grpo-1"),
    "base missing": ("id,sft-0,grpo-0,form-0\na,1,1,1\n", "unpaired: base"),
    "no rows": ("id,base,sft-0,grpo-0,form-0\n", "one row a problem"),
    "id twice": ("id,base,sft-0,grpo-0,form-0\na,1,1,1,1\na,1,1,1,1\n", "each id once"),
    "not 0 or 1": ("id,base,sft-0,grpo-0,form-0\na,1,0.5,1,1\n", "'sft-0': a verdict is 0 or 1"),
    "cell empty": ("id,base,sft-0,grpo-0,form-0\na,1,1,,1\n", "'grpo-0': a verdict is 0 or 1"),
}


@pytest.mark.parametrize(("text", "words"), BAD_VERDICTS.values(), ids=BAD_VERDICTS)
def test_seeds_table_says_what_is_wrong(tmp_path, text, words):
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        seeds.seeds_table(tmp_path / "v.csv")


def test_seeds_table_without_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no verdicts"):
        seeds.seeds_table(tmp_path / "none.csv")


# --- README ------------------------------------------------------------------


def test_update_readme_changes_its_block_alone_and_settles(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# é\n<!-- other:start -->\nkeep\n<!-- other:end -->\n<!-- results:start --><!-- results:end -->\nend\n")
    update_readme(path, "results", "| a |\n| \\1 |\n")
    once = path.read_text()
    assert once == (
        "# é\n<!-- other:start -->\nkeep\n<!-- other:end -->\n<!-- results:start -->\n| a |\n| \\1 |\n<!-- results:end -->\nend\n"
    )
    assert readme_block(path, "results") == "| a |\n| \\1 |"
    update_readme(path, "results", readme_block(path, "results"))
    assert path.read_text() == once


# name: (text, words of the message)
BAD_READMES = {
    "no start": ("<!-- results:end -->", "results:start --> is missing"),
    "no end": ("<!-- results:start -->", "results:end --> is missing"),
    "twice": ("<!-- results:start --><!-- results:start --><!-- results:end -->", "more than once"),
    "wrong order": ("<!-- results:end --><!-- results:start -->", "stands before"),
}


@pytest.mark.parametrize(("text", "words"), BAD_READMES.values(), ids=BAD_READMES)
def test_readme_without_its_marks_is_left_alone(tmp_path, text, words):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        update_readme(path, "results", "new")
    with pytest.raises(ValueError, match=words):
        readme_block(path, "results")
    assert path.read_text() == text


def test_refusals_of_several_seeds(tmp_path):
    pd.DataFrame(
        {"id": "abcd", "base": 0, "sft-0": [1, 1, 0, 0], "grpo-0": 0, "mix-0": [1, 1, 1, 0]}
        | {"sft-1": [1, 0, 0, 0], "grpo-1": 0, "mix-1": 1},
        index=range(4),
    ).to_csv(tmp_path / "refusals.csv")
    pd.DataFrame({"id": list("abcd"), "grpo-0": [1, 1, 1, 0], "mix-0": [1, 1, 0, 0], "grpo-1": 1, "mix-1": 1}).to_csv(
        tmp_path / "verdicts-mix.csv"
    )
    lines = report.refusals_markdown(tmp_path).splitlines()
    assert lines[2] == "| 0 | 50.0% | 0.0% | 75.0% | 75.0% | 50.0% (-25.0, p = 1.000) |"
    assert lines[3] == "| 1 | 25.0% | 0.0% | 100.0% | 100.0% | 100.0% (+0.0, p = 1.000) |"
    assert lines[4] == "| mean | 37.5% | 0.0% | 87.5% | 87.5% | 75.0% (-12.5) |"
    with pytest.raises(FileNotFoundError, match="run `make seeds` first"):
        seeds.refusals_table(tmp_path / "none")
