"""report.page, .marks and .card: the same numbers as the files, nothing that a model wrote takes effect, no network needed."""

import json
import re
from base64 import b64encode
from dataclasses import fields
from fractions import Fraction
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml
from made_up_run import RIGHT, N, sample, sampled, samples, twins, write_everything, write_run, write_samples

from grpo_lab import report
from grpo_lab.recipes import RECIPES
from grpo_lab.report import browser
from grpo_lab.report.card import GENERAL, STAGES, write_card
from grpo_lab.report.html_parts import prose_html, table_html, tag
from grpo_lab.report.marks import marked_html, marked_text, number_text
from grpo_lab.report.page import write_page
from grpo_lab.report.page_style import SCRIPT
from grpo_math import stats

CHECKPOINTS = ("base", "sft", "grpo")
VOID = {"meta", "img", "input", "br"}


@pytest.fixture
def run(tmp_path):
    """A run that measured everything, with two figures."""
    run = write_everything(tmp_path / "my-run")
    (run / "figures").mkdir()
    for name in ("accuracy", "grpo"):
        (run / "figures" / f"{name}.png").write_bytes(f"PNG of {name}".encode())
    return run


class Page(HTMLParser):
    """The elements and texts of a page; an element that is not closed, or in the wrong order, is an error."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(html)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name, f"</{name}> closes another element"

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, name: str) -> list[dict]:
        return [attributes for found, attributes in self.elements if found == name]


def read(path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


# --- Marks -------------------------------------------------------------------

# name: (text, problem, marked)
MARKS = {
    "false": ("So 39 + 47 = 76.", "", 'So <mark title="false: it is 86">39 + 47 = 76</mark>.'),
    "true": ("39 + 47 = 86.", "", "39 + 47 = 86."),
    "none": ("no claim", "", "no claim"),
    "empty": ("", "", ""),
    "chain": (
        "3 + 4 = 8 = 9",
        "",
        '<mark title="3 + 4 = 8 false: it is 7; 8 = 9 false: it is 8">3 + 4 = 8 = 9</mark>',
    ),
    "fraction": ("10 / 3 = 4", "", '<mark title="false: it is 10/3">10 / 3 = 4</mark>'),
    "annotation": ("48/2 = <<48/2=25>>25", "", '<mark title="false: it is 24">48/2 = &lt;&lt;48/2=25&gt;&gt;25</mark>'),
    "from nowhere": (
        "4 * 17 = 68",
        "There are 4 boxes.",
        '4 * <mark class="loose" title="neither in the problem nor an earlier result">17</mark> = 68',
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
    assert {name for name, _ in Page(html).elements} <= {"mark"}


@pytest.mark.parametrize("text", [text for text, _, _ in MARKS.values()], ids=MARKS)
def test_marked_text_keeps_the_text_and_uses_only_what_github_keeps(text):
    html = marked_text(text)
    assert unescape(re.sub(r"</?(?:pre|b)>| <i>\[.*?\]</i>", "", html)) == text
    assert {name for name, _ in Page(html).elements} <= {"pre", "b", "i"}


def test_marked_text_says_what_a_claim_comes_to():
    assert marked_text("39 + 47 = 76.") == "<pre><b>39 + 47 = 76</b> <i>[is 86]</i>.</pre>"
    assert marked_text("3 + 4 = 8 = 9") == "<pre><b>3 + 4 = 8 = 9</b> <i>[is 7; is 8]</i></pre>"


# value: text
NUMBERS = {
    Fraction(86): "86",
    Fraction(-5, 2): "-2.5",
    Fraction(1, 3): "1/3",
    Fraction(0): "0",
    Fraction(100001, 100000): "1.00001",
    Fraction(22, 70001): "about 0.000314281",
    Fraction(10**12): "about 1e12",
    Fraction(-3 * 10**5000): "about -3e5000",
    Fraction(1, 10**5000): "about 0",
}


@pytest.mark.parametrize(("value", "text"), NUMBERS.items(), ids=NUMBERS.values())
def test_number_text(value, text):
    assert number_text(value) == text


# --- Pieces ------------------------------------------------------------------


def test_tag_escapes_attributes_and_keeps_inner_html():
    assert tag("a", "<b>x</b>", class_="y", data_kind='"<') == '<a class="y" data-kind="&quot;&lt;"><b>x</b></a>'


def test_prose_html_makes_lists_and_bold_words_and_leaves_tables_out():
    html = prose_html("| a |\n| :-- |\n| 1 |\n\nBy <p>:\n\n- **x → y**: **+1**\n- z\n")
    assert html == ("<p>By &lt;p&gt;:</p><ul><li><strong>x → y</strong>: <strong>+1</strong></li><li>z</li></ul>")


def test_table_html_neither_cuts_nor_trusts_a_cell():
    html = table_html(pd.DataFrame({"a": ["x" * 300, "<script>"]}))
    assert "x" * 300 in html
    assert "&lt;script&gt;" in html


# --- Page --------------------------------------------------------------------


def test_the_page_holds_every_cell_of_the_tables(run):
    page = read(write_page(run))
    texts = set(page.texts)
    for table in (report.results_table, report.outcomes_table, report.gain_table, report.audit_table):
        missing = {str(cell) for cell in table(run).to_numpy().ravel()} - texts
        assert not missing, f"{table.__name__}: {missing}"
    twin_rows = [line for line in report.twins_markdown(run).splitlines() if line.startswith("|") and "--" not in line]
    for line in twin_rows:
        assert set(line.strip("| ").split(" | ")) <= texts, line


def test_the_page_holds_every_comparison_and_what_the_audit_cannot_see(run):
    text = re.sub(r"<[^>]+>", "", write_page(run).read_text())
    for markdown in (report.results_markdown(run), report.twins_markdown(run)):
        lines = [line.removeprefix("- ").replace("**", "") for line in markdown.splitlines() if line.startswith("- ")]
        assert len(lines) >= 3
        for line in lines:
            assert line in unescape(text), line
    assert "What this cannot see: a wrong plan" in text
    assert "Planned before anything was trained: 40 problems" in text


def test_the_page_needs_no_network_and_runs_no_script_but_its_own(run):
    page = read(write_page(run))
    links = [value for _, attributes in page.elements for key, value in attributes.items() if key in ("src", "href")]
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links), links
    anchors = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    policy = page.all("meta")[2]["content"]
    assert b64encode(sha256(SCRIPT.encode()).digest()).decode() in policy
    assert "url(" not in write_page(run).read_text()


def test_the_page_embeds_the_figures_that_exist(run):
    images = read(write_page(run)).all("img")
    assert [image["src"].split(",")[1] for image in images] == [
        b64encode(f"PNG of {name}".encode()).decode() for name in ("accuracy", "grpo")
    ]
    assert all(image["alt"] for image in images)


EVIL = '</pre></article><script>alert(1)</script><img src=x onerror="alert(1)"> "\' 39 + 47 = 76 &amp; <b>'


def test_nothing_that_a_model_wrote_takes_effect(run):
    evil = dict.fromkeys(("question", "gold", "completion", "extracted_flexible", "extracted_strict"), EVIL)
    for name in ("base", "base-chat", "sft", "grpo"):
        write_samples(run, name, [row | evil for row in samples(name)])
    page = read(write_page(run))
    assert len(page.all("script")) == 1
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]
    assert len(page.all("article")) == N and len(page.all("pre")) == 3 * N
    assert "".join(page.texts).count("<script>alert(1)</script>") == (2 + 2 * 3) * N


def test_the_page_shows_the_checkpoints_side_by_side(run):
    html = write_page(run).read_text()
    article = next(part for part in html.split("<article")[1:] if "What is 4 + 1?" in part)  # right in all three
    assert re.findall(r"<h3>(.*?) <span", article) == ["base (own prompt)", "+ SFT", "+ GRPO"]
    assert re.findall(r'<span class="(right|wrong)">', article) == ["right"] * 3
    article = next(part for part in html.split("<article")[1:] if "What is 36 + 1?" in part)
    assert len(re.findall(r'<mark title="[^"]*false: it is 86[^"]*">39 \+ 47 = 76</mark>', article)) == 3
    assert article.count("H1 false arithmetic") == 3
    assert "gold answer 37" in article and "answer 36, 46 tokens" in article


def test_the_kinds_and_flags_of_the_filters(run):
    articles = read(write_page(run)).all("article")
    changed = report.changed_samples(samples("sft"), samples("grpo"))
    assert [a["data-kind"] for a in articles].count("solved") == len(changed["solved"]) == 2
    assert {kind: [a["data-kind"] for a in articles].count(kind) for kind in changed} == {k: len(v) for k, v in changed.items()}
    flagged = [any(sample(i, name)["flags"] for name in CHECKPOINTS) for i in range(N)]
    assert [a["data-flagged"] for a in articles].count("yes") == sum(flagged)


def test_the_problems_are_the_first_of_each_kind_in_turn_and_no_more_than_fit(run, monkeypatch):
    monkeypatch.setattr(browser, "MOST_PROBLEMS", 7)
    html = write_page(run).read_text()
    assert re.findall(r"What is (\d+) \+ 1", "".join(re.findall(r'class="question">(.*?)<', html))) == [
        *("28", "0", "4"),  # the first solved, still wrong and still right; SFT to GRPO breaks none
        *("29", "1", "5"),
        "2",
    ]
    assert "This page holds 7 of them (7 at most, fewer where they are long)" in html
    size = len(html.split("<article")[1].split("</article>")[0].encode()) + len("<article</article>")
    monkeypatch.setattr(browser, "MOST_BYTES", size)
    assert len(read(write_page(run)).all("article")) == 1


def test_a_page_of_long_completions_stays_below_2_mb(run):
    for name in ("base", "base-chat", "sft", "grpo"):
        write_samples(run, name, [row | {"completion": "<é & 12 * 12 = 145> " * 600} for row in samples(name)])
    assert write_page(run).stat().st_size < 2_000_000


def test_the_base_is_shown_in_its_better_prompt(run):
    write_samples(run, "base-chat", [sample(i, "base-chat", correct_flexible=i < 20) for i in range(N)])
    assert "<h3>base (same prompt) <span" in write_page(run).read_text()


def test_a_run_without_sft_twins_plan_or_figures(tmp_path):
    run = write_run(tmp_path / "bare", ("base", "grpo"))
    html = write_page(run).read_text()
    assert "From base (own prompt) to + GRPO, of 40 problems: 18 solved, 4 broken, 10 still wrong, 8 still right." in html
    assert "This run has no eval_plan.json" in html
    assert f"<p>{report.twins_markdown(run).strip()}</p>" in html
    assert "This run holds no figures of its training" in html
    assert "<img" not in html
    assert write_card(run, RECIPES["qwen2.5-0.5b-gsm8k"]).is_file()


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_plan_is_named(run, text):
    (run / "eval_plan.json").write_text(text)
    with pytest.raises(ValueError, match=r"eval_plan\.json is damaged"):
        write_page(run)


@pytest.mark.parametrize("write", [write_page, lambda run: write_card(run, RECIPES["tiny"])], ids=["page", "card"])
def test_without_samples_it_says_what_to_run(tmp_path, write):
    with pytest.raises(FileNotFoundError, match="run notebooks/03_Inference"):
        write(tmp_path)


def test_page_and_card_do_not_change_from_one_writing_to_the_next(run):
    once = (write_page(run).read_bytes(), write_card(run, RECIPES["tiny"]).read_bytes())
    assert (write_page(run).read_bytes(), write_card(run, RECIPES["tiny"]).read_bytes()) == once


# --- Card: every number is computed again, from the rows and not by `report` -------


def numbers(text: str) -> list[str]:
    return re.findall(r"[+-]?\d+(?:,\d{3})*(?:\.\d+)*", text)


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def with_interval(count: int, n: int) -> list[str]:
    low, high = stats.wilson_interval(count, n)
    return [percent(count / n), percent(low), percent(high)]


def result_numbers(name: str) -> list[str]:
    """A row of the results table, cell by cell."""
    rows = samples(name)
    count = {key: sum(map(bool, (row[key] for row in rows))) for key in rows[0]}
    found = [str(N), *with_interval(count["correct_flexible"], N), *with_interval(count["false_claims"], N)]
    found += [*with_interval(count["correct_strict"], N), percent(count["formatted"] / N), percent(count["truncated"] / N)]
    found += [f"{sum(row['tokens'] for row in rows) / N:.0f}"]
    if name != "base-chat":
        scores = scores_of(name)
        low, high = stats.cluster_interval(scores)
        right = [sum(pair) for pair in scores]
        votes = [stats.maj_at_k([r["extracted_flexible"] for r in pair], pair[0]["gold"], str.__eq__) for pair in pairs_of(name)]
        found += [percent(sum(right) / 20), percent(low), percent(high), percent(sum(map(bool, right)) / 10)]
        found += [percent(sum(votes) / 10)]
    return found


def pairs_of(name: str) -> list[list[dict]]:
    rows = sampled(name)
    return [rows[i : i + 2] for i in range(0, len(rows), 2)]


def scores_of(name: str) -> list[list[bool]]:
    return [[row["correct_flexible"] for row in pair] for pair in pairs_of(name)]


def signed(share: float) -> str:
    return f"{100 * share:+.1f}"


def p_number(p_value: float) -> str:
    return "0.001" if p_value < 0.001 else f"{p_value:.3f}"


def pair_numbers(sides: dict, measure, counts: str) -> dict[tuple, list[str]]:
    """The numbers of the three comparison lines of a list, in the order of the lines."""
    pairs = [("base", "sft"), ("sft", "grpo"), ("base", "grpo")]
    found = [stats.paired_difference([*map(measure, sides[a])], [*map(measure, sides[b])]) for a, b in pairs]
    lines = {}
    for pair, d, adjusted in zip(pairs, found, stats.holm([d.p_value for d in found]), strict=True):
        middle = {"gained first": [d.gained, d.lost], "lost first": [d.lost, d.gained]}[counts]
        lines[pair] = [signed(d.difference), "95", signed(d.low), signed(d.high), *map(str, middle)]
        lines[pair] += [p_number(d.p_value), p_number(adjusted)]
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
    rows = samples(name)
    false = sum(row["false_claims"] for row in rows)
    shares = [percent(sum(flag in row["flags"] for row in rows) / N) for flag in ("H2", "H3", "H4", "H6")]
    per_claim, per_token = (100 * false / sum(row[key] for row in rows) for key in ("claims", "tokens"))
    return ["100.0", *with_interval(false, N), f"{per_claim:.2f}", f"{per_token:.2f}", *shares]


def twin_numbers(name: str) -> list[str]:
    rows = twins(name)
    refused = sum(row["correct_flexible"] for row in rows)
    answered = sum(row["extracted_flexible"] == "7" for row in rows)
    return [str(len(rows)), *with_interval(refused, len(rows)), *with_interval(answered, len(rows)), "0.0"]


LABELS = {"base": "base (own prompt)", "base-chat": "base (same prompt)", "sft": "+ SFT", "grpo": "+ GRPO"}


def expected_lines() -> list[tuple[str, list[str]]]:
    """(how a line begins, its numbers) for each line of results with a number, in the order of the card."""

    def listed(found: dict) -> list[tuple[str, list[str]]]:
        return [(f"- **{LABELS[a]} → {LABELS[b]}**", line) for (a, b), line in found.items()]

    greedy = {name: samples(name) for name in CHECKPOINTS}
    drawn = {}
    for a, b in (("base", "sft"), ("sft", "grpo"), ("base", "grpo")):
        d = stats.paired_bootstrap(scores_of(a), scores_of(b))
        p = stats.sign_flip(scores_of(a), scores_of(b))
        drawn[a, b] = [signed(d.difference), "95", signed(d.low), signed(d.high), p]
    for line, adjusted in zip(drawn.values(), stats.holm([line[-1] for line in drawn.values()]), strict=True):
        line[-1:] = [p_number(line[-1]), p_number(adjusted)]
    causes = ("format/extraction", "truncation", "arithmetic", "grounding", "other", "all")
    return [
        ("| checkpoint |", ["2", "2", "2"]),  # avg@2, pass@2, maj@2
        *((f"| {LABELS[name]} |", result_numbers(name)) for name in LABELS),
        *listed(pair_numbers(greedy, lambda row: row["correct_flexible"], "gained first")),
        *listed(pair_numbers(greedy, lambda row: row["false_claims"] > 0, "lost first")),
        ("By avg@k", ["0.5"]),
        *listed(drawn),
        *((f"| {cause} |", gain_numbers(cause)) for cause in causes),
        ("| checkpoint |", ["1", "100", "100", "2", "3", "4", "6"]),  # H1, per 100, H2, ...
        *((f"| {LABELS[name]} |", audit_numbers(name)) for name in CHECKPOINTS),
        *((f"| {LABELS[name]} |", twin_numbers(name)) for name in CHECKPOINTS),
        *listed(pair_numbers({name: twins(name) for name in CHECKPOINTS}, lambda row: row["correct_flexible"], "gained first")),
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
