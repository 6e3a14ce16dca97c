"""report.card and .marks: the same numbers as the files, computed again by hand; nothing that a model wrote takes effect."""

import json
import re
from dataclasses import fields
from html import unescape

import pandas as pd
import pytest
import yaml
from made_up_run import RIGHT, N, sampled, samples, twins, write_config, write_everything, write_run

from grpo_lab.recipes import RECIPES
from grpo_lab.report.card import GENERAL, STAGES, write_card
from grpo_lab.report.marks import marked_html, marked_text
from grpo_math import stats

CHECKPOINTS = ("base", "sft", "grpo")


@pytest.fixture
def run(tmp_path):
    return write_everything(tmp_path / "my-run")


def tags(html: str) -> set[str]:
    return set(re.findall(r"</?(\w+)", html))


# --- Marks -------------------------------------------------------------------

# name: (text, problem, marked)
MARKS = {
    "false": ("So 39 + 47 = 76.", "", 'So <mark title="false: it is 86">39 + 47 = 76</mark>.'),
    "true": ("39 + 47 = 86.", "", "39 + 47 = 86."),
    "empty": ("", "", ""),
    "chain": ("3 + 4 = 8 = 9", "", '<mark title="3 + 4 = 8 false: it is 7; 8 = 9 false: it is 8">3 + 4 = 8 = 9</mark>'),
    "annotation": ("48/2 = <<48/2=25>>25", "", '<mark title="false: it is 24">48/2 = &lt;&lt;48/2=25&gt;&gt;25</mark>'),
    "from nowhere": (
        "4 * 17 = 68",
        "There are 4 boxes.",
        '4 * <mark title="neither in the problem nor an earlier result">17</mark> = 68',
    ),
    "false and from nowhere": (
        "4 * 17 = 69",
        "There are 4 boxes.",
        '<mark title="4 * 17 = 69 false: it is 68; 17 neither in the problem nor an earlier result">4 * 17 = 69</mark>',
    ),
    "tags": ("<script>1 + 1 = 3</script> & \"'", "", None),
}


@pytest.mark.parametrize(("text", "problem", "marked"), MARKS.values(), ids=MARKS)
def test_marked_html(text, problem, marked):
    html = marked_html(text, problem)
    assert marked in (None, html)
    assert unescape(re.sub(r"</?mark[^>]*>", "", html)) == text
    assert tags(html) <= {"mark"}


# name: (text, marked for GitHub)
TEXT_MARKS = {
    "false": ("39 + 47 = 76.", "<b>39 + 47 = 76</b> <i>[is 86]</i>."),
    "chain": ("3 + 4 = 8 = 9", "<b>3 + 4 = 8 = 9</b> <i>[is 7; is 8]</i>"),
    "tags": ("<script> & \"'", "&lt;script&gt; &amp; &quot;&#x27;"),
    "tags in a claim": ("48/2 = <<48/2=25>>25", "<b>48/2 = &lt;&lt;48/2=25&gt;&gt;25</b> <i>[is 24]</i>"),
}


@pytest.mark.parametrize(("text", "marked"), TEXT_MARKS.values(), ids=TEXT_MARKS)
def test_marked_text_uses_only_what_github_keeps(text, marked):
    assert marked_text(text) == marked


# --- Card --------------------------------------------------------------------


def test_the_card_of_a_run_without_sft_twins_or_plan(tmp_path):
    run = write_run(tmp_path / "bare", ("base", "grpo"))
    write_config(run)
    card = write_card(run, RECIPES["qwen2.5-0.5b-gsm8k"]).read_text()
    assert "This run has no eval_plan.json, so nothing shows that its measurement was planned before training." in card
    assert "No unanswerable problems were measured." in card and "base (own prompt) → + GRPO" in card


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_plan_is_named(run, text):
    (run / "eval_plan.json").write_text(text)
    with pytest.raises(ValueError, match=r"eval_plan\.json is damaged"):
        write_card(run, RECIPES["tiny"])


def test_without_samples_it_says_what_to_run(tmp_path):
    write_config(tmp_path)
    with pytest.raises(FileNotFoundError, match="run notebooks/03_Inference"):
        write_card(tmp_path, RECIPES["tiny"])


# --- Card: every number is computed again, from the rows and not by `report` -------


def numbers(text: str) -> list[str]:
    return re.findall(r"[+-]?\d+(?:,\d{3})*(?:\.\d+)*", text)


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def with_interval(verdicts) -> list[str]:
    verdicts = list(verdicts)
    low, high = stats.wilson_interval(sum(verdicts), len(verdicts))
    return [percent(sum(verdicts) / len(verdicts)), percent(low), percent(high)]


def result_numbers(name: str) -> list[str]:
    """A row of the results table, cell by cell."""
    rows = pd.DataFrame(samples(name))
    found = [str(N), *with_interval(rows["correct_flexible"]), *with_interval(rows["false_claims"] > 0)]
    found += [*with_interval(rows["correct_strict"]), percent(rows["formatted"].mean()), percent(rows["truncated"].mean())]
    found += [f"{rows['tokens'].mean():.0f}"]
    if name != "base-chat":
        right = pairs_of(name, "correct_flexible")
        low, high = stats.cluster_interval(right)
        answers, golds = pairs_of(name, "extracted_flexible"), pairs_of(name, "gold")
        votes = [stats.maj_at_k(pair, gold, str.__eq__) for pair, (gold, _) in zip(answers, golds, strict=True)]
        found += [percent(sum(map(sum, right)) / 20), percent(low), percent(high), percent(sum(map(any, right)) / 10)]
        found += [percent(sum(votes) / 10)]
    return found


def pairs_of(name: str, field: str) -> list[list]:
    """The values of the two samples of each problem."""
    values = [row[field] for row in sampled(name)]
    return [values[i : i + 2] for i in range(0, len(values), 2)]


def signed(share: float) -> str:
    return f"{100 * share:+.1f}"


def comparison_numbers(measure, order: str) -> list[tuple[str, list[str]]]:
    """The three lines of a list: how each begins, and its numbers. measure: of a checkpoint, to a verdict or scores a problem."""
    pairs = [("base", "sft"), ("sft", "grpo"), ("base", "grpo")]
    lines, p_values = [], []
    for before, after in pairs:
        sides = [list(measure(name)) for name in (before, after)]
        if order == "sampled":
            d, changed = stats.paired_bootstrap(*sides), []
            p_values.append(stats.sign_flip(*sides))
        else:
            d = stats.paired_difference(*sides)
            changed = [d.gained, d.lost] if order == "gained first" else [d.lost, d.gained]
            p_values.append(d.p_value)
        told = [signed(d.difference), "95", signed(d.low), signed(d.high), *map(str, changed)]
        lines.append((f"- **{LABELS[before]} → {LABELS[after]}**", told))
    for (_, line), *both in zip(lines, p_values, stats.holm(p_values), strict=True):
        line += ["0.001" if p < 0.001 else f"{p:.3f}" for p in both]
    return lines


def gain_numbers(cause: str) -> list[str]:
    """A row of the gain table: points, gained, lost for each of the two steps; for "all" the points alone."""
    found = []
    for before, after in (("base", "sft"), ("sft", "grpo")):
        gained, lost = (
            sum(b["correct_flexible"] and not a["correct_flexible"] and cause in ("all", cause_of(a)) for a, b in pairs)
            for pairs in (list(zip(samples(before), samples(after))), list(zip(samples(after), samples(before))))
        )
        found += [f"{100 * (gained - lost) / N:+.1f}"] + ([] if cause == "all" else [str(gained), str(lost)])
    return found


def cause_of(row: dict) -> str:
    if row["truncated"]:
        return "truncation"
    if row["extracted_flexible"] is None:
        return "format/extraction"
    return "arithmetic" if row["false_claims"] else "grounding" if row["ungrounded"] else "other"


def audit_numbers(name: str) -> list[str]:
    rows = pd.DataFrame(samples(name))
    false, claims, tokens = rows["false_claims"], rows["claims"], rows["tokens"]
    found = [percent((claims > 0).mean()), *with_interval(false > 0)]
    found += [f"{100 * false.sum() / claims.sum():.2f}", f"{100 * false.sum() / tokens.sum():.2f}"]
    return found + [percent(sum(flag in flags for flags in rows["flags"]) / N) for flag in ("H2", "H3", "H4", "H6")]


def twin_numbers(name: str) -> list[str]:
    rows = pd.DataFrame(twins(name))
    return [str(len(rows)), *with_interval(rows["correct_flexible"]), *with_interval(rows["extracted_flexible"] == "7"), "0.0"]


LABELS = {"base": "base (own prompt)", "base-chat": "base (same prompt)", "sft": "+ SFT", "grpo": "+ GRPO"}


def expected_lines() -> list[tuple[str, list[str]]]:
    """(how a line begins, its numbers) for each line of results with a number, in the order of the card."""
    causes = ("format/extraction", "truncation", "arithmetic", "grounding", "other", "all")
    return [
        ("| checkpoint |", ["2", "2", "2"]),  # avg@2, pass@2, maj@2
        *((f"| {LABELS[name]} |", result_numbers(name)) for name in LABELS),
        *comparison_numbers(lambda name: (row["correct_flexible"] for row in samples(name)), "gained first"),
        *comparison_numbers(lambda name: (row["false_claims"] > 0 for row in samples(name)), "lost first"),
        ("By avg@k", ["0.5"]),
        *comparison_numbers(lambda name: pairs_of(name, "correct_flexible"), "sampled"),
        *((f"| {cause} |", gain_numbers(cause)) for cause in causes),
        ("| checkpoint |", ["1", "100", "100", "2", "3", "4", "6"]),  # H1, per 100, H2, ...
        *((f"| {LABELS[name]} |", audit_numbers(name)) for name in CHECKPOINTS),
        *((f"| {LABELS[name]} |", twin_numbers(name)) for name in CHECKPOINTS),
        *comparison_numbers(lambda name: (row["correct_flexible"] for row in twins(name)), "gained first"),
    ]


def test_every_number_of_the_results_is_computed_again(run):
    card = write_card(run, RECIPES["tiny"]).read_text()
    results = card.split("## Results\n")[1].split("\n## Limits")[0]
    found = [line for line in results.splitlines() if numbers(line)]
    expected = expected_lines()
    for line, (beginning, wanted) in zip(found, expected, strict=False):
        assert line.startswith(beginning), f"{line!r} stands where {beginning!r} was expected"
        got = numbers(line.removeprefix(beginning))
        assert got == wanted, f"{line}\ngot      {got}\nexpected {wanted}"
    assert len(found) == len(expected)


def test_every_other_number_comes_from_the_recipe_or_a_file(run):
    recipe = RECIPES["tiny"]
    card = write_card(run, recipe).read_text()
    before, rest = card.split("## Results\n")
    table = [line.strip("| ").split(" | ") for line in before.splitlines() if line.startswith("| ")][2:]
    cells = {(part, name): value for part, name, value in table}
    for part, name in cells:
        value = getattr(recipe if part == "general" else getattr(recipe, part), name)
        assert cells[part, name] == (", ".join(value) if isinstance(value, tuple) else str(value)), (part, name)
    stages = {(part, field.name) for part in STAGES for field in fields(getattr(recipe, part))}
    stages |= {("general", name) for name in GENERAL}
    assert {key for key in stages - cells.keys() if getattr(getattr(recipe, key[0]), key[1]) is not None} == set()
    words = "\n".join(line for line in before.split("---\n")[2].splitlines() if not line.startswith("|"))
    assert numbers(words) == ["3", "3.11.7", "1.15.0", str(N), "64", "19.8", "80", "20"]  # configuration, then plan
    limits = rest.split("\n## Limits")[1]
    budget = str(recipe.evaluation.max_completion_length)
    assert numbers(limits) == ["3", budget, "0", "1"]  # the seed; in the snippet the token budget and two indices


def front_matter(path) -> dict:
    return yaml.safe_load(path.read_text().split("---\n")[1])


def test_the_front_matter_of_our_own_base(run):
    data = front_matter(write_card(run, RECIPES["tiny"]))
    assert "base_model" not in data  # its path would name a stranger's model on the hub
    assert data["license"] == "mit"
    assert data["tags"] == ["grpo", "math", "lora"]
    metrics = data["model-index"][0]["results"][0]["metrics"]
    strict = sum(row["correct_strict"] for row in samples("grpo"))
    assert [metric["value"] for metric in metrics] == [100 * len(RIGHT["grpo"]) / N, round(100 * strict / N, 1)]


# name: (data sets trained on, data set measured on)
HUB = {
    "qwen3-4b-openr1": (["open-r1/OpenR1-Math-220k"], "open-r1/OpenR1-Math-220k"),
    "qwen3-4b-dapo": (["unsloth/OpenMathReasoning-mini", "open-r1/DAPO-Math-17k-Processed"], "HuggingFaceH4/MATH-500"),
    "qwen3-4b-engine": (["open-r1/OpenR1-Math-220k"], "open-r1/OpenR1-Math-220k"),
    "qwen2.5-0.5b-gsm8k": (["openai/gsm8k"], "openai/gsm8k"),
    "qwen2.5-3b-gsm8k": (["openai/gsm8k"], "openai/gsm8k"),
}


@pytest.mark.parametrize("name", RECIPES.keys() - {"tiny"})
def test_the_card_of_a_hub_model(run, name):
    from huggingface_hub import ModelCard

    recipe, (trained, measured) = RECIPES[name], HUB[name]
    path = write_card(run, recipe)
    data = ModelCard.load(path).data
    assert (data.base_model, data.library_name, data.license) == (recipe.base_model, "peft", "other")
    assert data.datasets == trained
    assert [result.dataset_type for result in data.eval_results] == [measured] * 2
    code = path.read_text().split("```python\n")[1].split("```")[0]
    compile(code, "snippet", "exec")
    assert json.dumps(recipe.base_model) in code and f"max_new_tokens={recipe.evaluation.max_completion_length}" in code
