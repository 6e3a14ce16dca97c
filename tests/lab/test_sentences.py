"""Sentences about a run say what its files say: a form for each direction, and for no difference."""

import pytest
from made_up_run import well_formed

from grpo_lab import report, show
from grpo_lab.records import write_jsonl
from grpo_lab.tiny.ways import way_of
from grpo_math import rewards
from grpo_math.formats import get_format

TAGS = get_format("tags")

BEST = "10" * 20
WORST = "0" * 40


def rows(checkpoint: str, verdicts: str, **more) -> list[dict]:
    return [well_formed(n, checkpoint, digit == "1") | {"stratum": "2 steps"} | more for n, digit in enumerate(verdicts)]


def write_run(folder, **verdicts: str):
    """A run whose checkpoints have these verdicts, on the test set and, turned about, on a kind of problem unlike training."""
    for name, digits in verdicts.items():
        write_jsonl(folder / "samples" / f"{name}.jsonl", rows(name, digits))
        write_jsonl(folder / "samples" / f"transfer-{name}.jsonl", rows(name, digits[::-1], stratum="larger numbers"))
        samples = [row | {"sample": k, "temperature": 1.0} for row in rows(name, digits) for k in range(2)]
        write_jsonl(folder / "samples" / f"sampled-{name}.jsonl", samples)
    return folder


DIRECTIONS = {  # name: (verdicts of SFT and of GRPO, what GRPO solves and loses, the difference, what carries over)
    "up": (WORST, BEST, "solves 20 problems that + SFT does not, and loses 0", "+50.0 points", "gains on larger numbers"),
    "down": (BEST, WORST, "solves 0 problems that + SFT does not, and loses 20", "-50.0 points", "loses on larger numbers"),
    "none": (
        BEST,
        BEST,
        "solves 0 problems that + SFT does not, and loses 0",
        "may be chance",
        "shows no clear change on larger numbers",
    ),
}


@pytest.mark.parametrize(("sft", "grpo", "changed", "difference", "carried"), DIRECTIONS.values(), ids=DIRECTIONS)
def test_a_run_is_told_in_the_direction_that_it_took(sft, grpo, changed, difference, carried, tmp_path):
    run = write_run(tmp_path, base=BEST, sft=sft, grpo=grpo)
    headline = [line for line in report.headline_sentences(run).splitlines() if "that + SFT does not" in line][0]
    assert changed in headline and difference in headline and "improved" not in headline
    assert carried in report.transfer_sentence(run)
    sampled = [line for line in report.sampling_sentences(run).splitlines() if "+ SFT → + GRPO" in line][0]
    assert difference in sampled and "worse ways of working" not in sampled, "it is worse greedily too"
    told = report.changes_sentence(rows("sft", sft), rows("grpo", grpo))
    solved, broken = (sum(pair == kind for pair in zip(sft, grpo, strict=True)) for kind in (("0", "1"), ("1", "0")))
    assert told.startswith(f"Of 40 problems: solved {solved}, broken {broken}, ") and difference in told


def test_the_margin_is_said_also_where_it_is_none_or_not_known():
    sound = rewards.reward_set(TAGS)
    assert report.margin_sentence(sound) == "A right answer earns at least 1 more than any wrong one."
    assert "may earn as much as a right one: the margin is -0.9." in report.margin_sentence(
        [*sound, rewards.exact_format(TAGS, 1.9)]
    )
    assert report.margin_sentence([*sound, lambda completions, **columns: []]).startswith("What <lambda> pays is not known")


def test_samples_that_lose_where_greedy_decoding_does_not_are_explained(tmp_path):
    run = write_run(tmp_path, base=BEST, sft=BEST, grpo=BEST)
    write_jsonl(run / "samples" / "sampled-sft.jsonl", [row | {"temperature": 1.0} for row in rows("sft", WORST)])
    write_jsonl(run / "samples" / "base-chat.jsonl", rows("base", f"11{BEST[2:]}", prompt_sha256="chat"))  # the better prompt
    for name in ("base", "grpo"):
        write_jsonl(run / "samples" / f"sampled-{name}.jsonl", [row | {"temperature": 1.0} for row in rows(name, BEST)])
    assert (
        report.sampling_sentences(run).splitlines()[0].endswith("all that + SFT finds possible, its worse ways of working too.")
    )


def group(*paid: tuple[str, float, bool]) -> list[dict]:
    mean = sum(reward for _, reward, _ in paid) / len(paid)
    return [
        well_formed(n, "sft", right)
        | {"completion": text, "rewards": {"correctness": reward, "integer": None}, "reward": reward, "advantage": reward - mean}
        for n, (text, reward, right) in enumerate(paid)
    ]


def test_a_group_is_read_by_its_advantages():
    mixed = group(("2 + 3: 2 + 3 = 5.", 3.0, True), ("2 + 3 = 6.", 0.0, False), ("2 + 3 = 6.", 0.0, False))
    assert report.group_sentence(mixed, way_of) == (
        "The mean reward is 1.00. Pushed **up**: 1 completion, 1 of them right, 0 with a false sum, 10 tokens on average "
        "(1 place by place). Pushed **down**: 2 completions, 0 of them right, 0 with a false sum, 12 tokens on average "
        "(2 step by step)."
    )
    assert "by place" not in report.group_sentence(mixed)
    html = show.group_html(mixed)
    assert html.count("<tr>") == 3 and "×2" in html and html.index("+2.00") < html.index("-1.00") and "–" in html
    for right, what in ((True, "All 2 are right"), (False, "All 2 are wrong")):
        alike = group(("2 + 3 = 5.", 1.5, right), ("2 + 3 = 5.", 1.5, right))
        assert report.group_sentence(alike).startswith(what) and "teaches nothing" in report.group_sentence(alike)
        assert 'color:#888888">+0.00' in show.group_html(alike)


def test_the_course_of_a_training_is_told_without_a_direction():
    metrics = [
        {"step": 0.0, "eval_accuracy": 0.5},
        {"step": 4.0, "reward": 2.0},
        {"step": 8.0, "reward": 1.0, "eval_accuracy": 0.4},
    ]
    assert report.course_sentences(metrics, best=4.5) == (
        "- Accuracy on the dev problems: 50.0% before, 40.0% after.\n"
        "- Mean reward of a rollout: 2.00 at first, 1.00 at last, of 4.5 at most."
    )


def test_the_form_of_completions_is_counted():
    told = report.form_sentence([*rows("sft", "10"), *rows("sft", "0", truncated=True)])
    assert told == "Of 3 completions 2 ended without being cut off, 2 are in the required form, 1 are right."


def test_samples_stand_beside_their_problems_and_keep_what_a_model_wrote():
    bad = well_formed(1, "sft", False) | {"question": "<b>?", "completion": "39 + 47 = 76<SOLUTION>76</SOLUTION>\n<script>"}
    html = show.samples_html([bad, well_formed(2, "sft", True)])
    assert "&lt;b&gt;?" in html and "<script" not in html and html.count("✓ right") == html.count("✗ wrong, it is 2") == 1
    assert '<b>39 + 47 = 76</b> <i>[is 86]</i><small style="color:#888888">&lt;SOLUTION&gt;</small>76' in html
    pairs = show.pairs_html([(bad, well_formed(1, "grpo", True))])
    assert pairs.index("+ SFT") < pairs.index("+ GRPO") and show.pairs_html([]) == show.samples_html([]) == "none"


def test_every_setting_has_its_reason():
    settings = {name: name.upper() for name in show.WHY}
    table = show.settings_markdown(settings)
    assert all(f"| `{name}` | {name.upper()} | {why} |" in table for name, why in show.WHY.items())
