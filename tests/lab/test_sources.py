"""The public data sets through the real `load_dataset`, against a hub on the loopback address."""

import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

import datasets
import public_rows
import pytest
from transformers import AutoTokenizer

from grpo_lab.recipes import Source
from grpo_lab.sources import (
    READERS,
    Rendering,
    assistant_turn,
    is_held_out,
    load_examples,
    load_held_out,
    load_prompts,
    load_twin_problems,
    question_id,
)
from grpo_math.answers import UNANSWERABLE, is_equivalent
from grpo_math.formats import FORMATS, chat_template, get_format, user_turn
from grpo_math.unanswerable import VAGUE

ROOT = Path(__file__).parents[2]

GSM8K = Source("openai/gsm8k", "gsm8k", config="main")
GSM8K_TEST = replace(GSM8K, split="test")
OPENR1 = Source("open-r1/OpenR1-Math-220k", "openr1")
OPENMATH = Source("unsloth/OpenMathReasoning-mini", "openmath", split="cot", filters=("numeric answers",))
DAPO = Source("open-r1/DAPO-Math-17k-Processed", "dapo", config="en")
MATH500 = Source("HuggingFaceH4/MATH-500", "math500", split="test")
TRAINING = (GSM8K, OPENR1, OPENMATH, DAPO)
TAGS = get_format("tags")


class WordTokenizer:
    """A tokenizer whose tokens are the words between spaces, with one token before each turn."""

    def apply_chat_template(self, messages: list[dict], tokenize: bool, add_generation_prompt: bool) -> str:
        turns = [f"{message['role']} {message['content']}" for message in messages]
        return " ".join(turns + ["assistant"] * add_generation_prompt)

    def __call__(self, text: str, add_special_tokens: bool) -> dict:
        return {"input_ids": text.split()}


@pytest.fixture
def add_rows(folder):
    """Write rows as a new data set of one file and give the Source of it."""

    def add(rows: list[dict], reader: str = "gsm8k") -> Source:
        ours = folder / "datasets" / "ours"
        name = f"rows-{len(list(ours.glob('*')))}"
        public_rows.write_table(ours / name / "train.parquet", rows)
        return Source(f"ours/{name}", reader)

    return add


def by_question(rows) -> dict[str, dict]:
    return {row["prompt"][0]["content"]: row for row in rows}


def dropped(report) -> dict[str, int]:
    """How many rows each filter dropped, where any; after the sums are checked."""
    before = report.rows
    for name, count in report.dropped.items():
        assert before == count + report.left[name], report.markdown()
        before = report.left[name]
    return {name: count for name, count in report.dropped.items() if count}


# 1. Every data set, in one schema, with gold answers that can be graded.


@pytest.mark.parametrize("source", [*TRAINING, GSM8K_TEST, MATH500], ids=lambda source: source.name)
def test_every_data_set_comes_in_the_one_schema(call, source):
    rows, report = call(load_held_out if source.split == "test" else load_prompts, source)
    assert rows.column_names == ["prompt", "answer", "id", "source"]
    assert len(rows) == report.kept == [*report.left.values()][-1]
    for row in rows:
        (turn,) = row["prompt"]
        assert turn["role"] == "user" and turn["content"] == turn["content"].strip()
        assert row["id"] == question_id(turn["content"]) and row["source"] == source.path
        assert is_equivalent(row["answer"], row["answer"]), row
    assert list(rows["id"]) == sorted(set(rows["id"]))


@pytest.mark.parametrize("source", [GSM8K, OPENR1, OPENMATH], ids=lambda source: source.name)
@pytest.mark.parametrize("name", FORMATS)
def test_every_worked_example_has_the_exact_form(call, source, name):
    fmt = get_format(name)
    rows, _ = call(load_examples, source, fmt)
    assert rows.column_names == ["prompt", "answer", "id", "source", "completion"]
    for row in rows:
        (turn,) = row["completion"]
        parsed = fmt.parse(turn["content"])
        assert turn["role"] == "assistant" and parsed.exact and parsed.answer == row["answer"], row
        assert turn["content"].count("<think>") == (fmt.reasoning_start == "<think>") and "<<" not in turn["content"], row


def test_gsm8k_steps_lose_their_annotations(call):
    rows, _ = call(load_examples, GSM8K, TAGS)
    row = by_question(rows)[public_rows.gsm8k_row(15)["question"]]
    assert row["completion"][0]["content"] == (
        "<start_working_out>The trays hold 15*6=90 rolls.\n90-40=50 are left.<end_working_out><SOLUTION>50</SOLUTION>"
    )
    assert by_question(rows)["A field has 50 rows of 25 trees. How many trees is that?"]["answer"] == "1,250"


def test_openr1_takes_the_first_generation_that_is_complete_and_verified(call):
    rows, _ = call(load_examples, OPENR1, TAGS)
    found = by_question(rows)
    for side in (13, 14):
        question, answer = public_rows.hypotenuse(side)
        assert f"<start_working_out>{side}^2 + 12^2 = {answer}.<end_working_out>" in found[question]["completion"][0]["content"]


def test_dapo_takes_the_gold_answer_from_where_it_stands(call):
    rows, _ = call(load_prompts, DAPO)
    assert by_question(rows)["Let $f(x) = 3x + 18$. Find $f(5)$."]["answer"] == "33"


# 2. What each filter drops.


OPENR1_DROPS = {"held out": 3, "duplicates": 1, "gradable gold": 1, "complete generations": 2, "verified solutions": 2}
OPENMATH_DROPS = {"held out": 2, "duplicates": 1, "gradable gold": 1, "complete generations": 1, "verified solutions": 1}


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [
        (GSM8K, None, {"held out": 3, "duplicates": 1, "gradable gold": 1}),
        (GSM8K, "tags", {"held out": 3, "duplicates": 1, "gradable gold": 1}),
        (OPENR1, None, {"held out": 3, "duplicates": 1, "gradable gold": 1}),
        (OPENR1, "tags", OPENR1_DROPS),
        (OPENR1, "boxed", OPENR1_DROPS | {"exact form": 1}),  # a working with a box of its own
        (OPENMATH, None, {"held out": 2, "duplicates": 1, "gradable gold": 1, "numeric answers": 1}),
        (OPENMATH, "tags", OPENMATH_DROPS | {"numeric answers": 1}),
        (DAPO, None, {"held out": 1, "duplicates": 1, "gradable gold": 1}),
    ],
)
def test_what_is_dropped_of_prompts_and_of_examples(call, source, name, expected):
    report = call(load_examples, source, get_format(name))[1] if name else call(load_prompts, source)[1]
    assert dropped(report) == expected


def test_prompt_and_completion_together_may_fill_the_context(call):
    source = Source(OPENR1.path, "openr1", filters=("fits the context",))
    rows, report = call(load_examples, source, TAGS, WordTokenizer(), 50)
    lengths = [len(f"{row['prompt'][0]['content']} {row['completion'][0]['content']}".split()) + 2 for row in rows]
    assert dropped(report)["fits the context"] == 1 and report.examples["fits the context"].startswith("row 13: ")
    _, report = call(load_examples, source, TAGS, WordTokenizer(), max(lengths))
    assert max(lengths) == 29 and dropped(report)["fits the context"] == 1  # just fits
    assert dropped(call(load_examples, source, TAGS, WordTokenizer(), max(lengths) - 1)[1])["fits the context"] > 1


def test_prompt_length_drops_the_longest_tenth(call):
    rows, report = call(load_prompts, Source(DAPO.path, "dapo", "en", filters=("prompt length",)), WordTokenizer())
    # Nine prompts of 10 tokens, one of 12 and one of 50: nine tenths of eleven are ten, and the tenth has 12.
    name = "prompt length (at most 12 tokens, the 0.9 quantile)"
    assert (report.dropped[name], report.left[name], report.examples[name]) == (1, len(rows), "row 9: 50 tokens")


def test_tokens_are_those_of_the_chat_template():
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "data" / "tiny-base")
    tokenizer.chat_template = chat_template(TAGS)
    prompt, rendering = user_turn("What is 2 + 3?"), Rendering(tokenizer=tokenizer)
    whole = prompt + assistant_turn(TAGS, "2 + 3 = 5.", "5")
    asked = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
    assert rendering.tokens(prompt) == len(asked)
    assert rendering.tokens(whole) == len(tokenizer.apply_chat_template(whole, return_dict=False)) > len(asked)


def test_a_limit_is_a_prefix_and_stops_the_reading(call):
    everything, _ = call(load_prompts, GSM8K)
    rows, report = call(load_prompts, Source(GSM8K.path, "gsm8k", "main", limit=3))
    assert rows.to_list() == everything.to_list()[:3]
    assert report.left["gradable gold"] == report.kept == 3
    assert "12 rows, 3 kept, which is the limit" in report.markdown()


def test_the_report_is_a_markdown_table(call, add_rows):
    source = add_rows([public_rows.gsm8k_row(13), {"question": "How many?", "answer": "x\n#### \\frac{|"}])
    _, report = call(load_prompts, source)
    assert report.markdown() == (
        f"{source.name}: 2 rows, 1 kept.\n\n"
        "| filter | rows dropped | rows left | example |\n"
        "|---|---:|---:|---|\n"
        "| held out | 0 | 2 |  |\n"
        "| duplicates | 0 | 2 |  |\n"
        r"| gradable gold | 1 | 1 | row 1: the gold answer '\\frac{\|' |"
    )


# 3. What is held out.


@pytest.mark.parametrize("source", TRAINING, ids=lambda source: source.name)
def test_training_and_held_out_rows_share_no_question(call, source):
    training, held_out = (call(load, source)[0] for load in (load_prompts, load_held_out))
    assert len(training) and len(held_out)
    assert not set(training["id"]) & set(held_out["id"])
    assert all(is_held_out(question_id(question), 5) for question in by_question(held_out))
    assert not any(is_held_out(question_id(question), 5) for question in by_question(training))


def test_the_stages_of_one_source_share_no_question(call):
    sft, grpo = (
        {row["id"] for row in call(load_prompts, replace(OPENR1, filters=(half,)))[0]} for half in ("SFT's half", "GRPO's half")
    )
    both = {row["id"] for row in call(load_prompts, OPENR1)[0]}
    assert sft and grpo and not sft & grpo and sft | grpo == both


def test_the_held_out_part_is_the_same_everywhere(call):
    # Hashes written down once: another machine, Python or year must hold out the same questions.
    rows, _ = call(load_held_out, OPENR1)
    assert list(rows["id"]) == ["06893ffb6bf1d12f", "06f22afae32a6a87", "0aef03d933386abf"]
    assert question_id("What is $2 + 2$ ?") == question_id(r"what is \( 2+2 \)") == "ebf0495f5d0ae85b"


def test_about_one_question_in_twenty_is_held_out():
    share = sum(is_held_out(question_id(f"What is {n} + {n + 1}?"), 5) for n in range(10_000)) / 10_000
    assert 0.04 < share < 0.06


def test_a_test_split_is_held_out_as_a_whole(call):
    assert len(call(load_held_out, GSM8K_TEST)[0]) == len(call(load_held_out, MATH500)[0]) == 12
    with pytest.raises(ValueError, match="is a test split: measure on it with load_held_out"):
        call(load_prompts, GSM8K_TEST)


# 4. Unanswerable twins.


def test_twins_of_a_public_test_set(call):
    twins, report = call(load_twin_problems, GSM8K_TEST)
    problems, _ = call(load_held_out, GSM8K_TEST)
    questions = {row["id"]: row["prompt"][0]["content"] for row in problems}
    assert twins.column_names == ["prompt", "answer", "id", "source"] and set(twins["answer"]) == {UNANSWERABLE}
    assert len(twins) == report.kept == len(set(twins["id"])) == 12 and set(twins["source"]) == {"openai/gsm8k"}
    for row in twins:
        before, lacking, after = row["prompt"][0]["content"].partition(VAGUE)
        question = questions[row["id"].removesuffix("-twin")]
        assert lacking and question.startswith(before) and question.endswith(after), (question, row)
        assert question[len(before) : len(question) - len(after)].isdigit()
    assert "| has a twin | 0 | 12 |" in report.markdown()


def test_twins_of_a_training_set_are_held_out_or_not(call):
    held_out, training = (call(load_twin_problems, GSM8K, part)[0] for part in (True, False))
    allowed = [set(call(load, GSM8K)[0]["id"]) for load in (load_held_out, load_prompts)]
    for twins, ids in zip((held_out, training), allowed):
        assert {identifier.removesuffix("-twin") for identifier in twins["id"]} <= ids
    assert len(held_out) == 3 and len(training) == 7
    assert len(call(load_twin_problems, replace(GSM8K, limit=2))[0]) == 2
    assert len(call(load_twin_problems, replace(GSM8K, filters=("prompt length",)))[0]) == 3  # needs no tokenizer


def test_a_set_without_worked_solutions_has_no_twins(call):
    for source in (DAPO, OPENR1):  # of the second the trace has nothing to take
        with pytest.raises(ValueError, match=rf"No row of {source.path} .* is left: loosen .*(\n.*)*no quantity can be taken"):
            call(load_twin_problems, source)


# 5. What can go wrong, each in one sentence that says what, where, and what to do.


def load_without_network(source: Source) -> None:
    """In the process that loads: a hub that nobody serves, and no waiting between the attempts."""
    with mock.patch.object(datasets.config, "HF_ENDPOINT", "http://127.0.0.1:9"), mock.patch.object(time, "sleep"):
        load_prompts(source)


def test_no_network(call):
    with pytest.raises(ConnectionError, match=r"ours/never \(split train\) is not in the cache, .*127.0.0.1:9 cannot be reached"):
        call(load_without_network, Source("ours/never", "gsm8k"))


def test_without_a_network_the_cache_serves(call):
    call(load_prompts, GSM8K)
    call(load_without_network, GSM8K)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Source("openai/gsm9k", "gsm8k"), "gave no data set 'openai/gsm9k' .* Check its id"),
        (replace(GSM8K, config="maine"), "maine.*'main', 'socratic'"),
        (replace(GSM8K, config=None), "Config name is missing(.|\n)*'main', 'socratic'"),
        (replace(GSM8K, split="tests"), "tests.*'train', 'test'"),
        (replace(GSM8K, rows="openr1"), "'problem'.*'question', 'answer'"),
        (replace(GSM8K, rows="gsm9k"), "main.* asks for 'gsm9k', which is none of: openr1, openmath, dapo"),
        (replace(GSM8K, filters=("numeric",)), "asks for 'numeric', which is none of: gradable"),
        (replace(GSM8K, filters=("prompt length",)), "filter 'prompt length' of openai/gsm8k .* needs tokenizer: pass"),
        (replace(GSM8K, filters=("fits the context",)), "needs fmt, tokenizer, max_length: pass them to load_examples"),
        (replace(GSM8K, limit=0), "No row of openai/gsm8k .* is left"),
    ],
)
def test_a_wrong_source(call, source, message):
    with pytest.raises(ValueError, match=message):
        call(load_prompts, source)


@pytest.mark.parametrize("answer", ["No mark, 5", "5\n####", None])
def test_a_row_without_a_gold_answer_is_dropped_and_counted(call, add_rows, answer):
    rows, report = call(load_prompts, add_rows([public_rows.gsm8k_row(13), {"question": "How many?", "answer": answer}]))
    assert len(rows) == 1 and dropped(report) == {"gradable gold": 1}


@pytest.mark.parametrize(
    ("reader", "row"),
    [
        ("gsm8k", {"question": "How many?", "answer": "#### 5"}),
        ("openr1", public_rows.openr1_row("How many?", "5", (public_rows.thoughts(5), True, True, "stop"))
         | {"is_reasoning_complete": [True, False]}),
        ("openmath", public_rows.openmath_row(13) | {"generated_solution": ""}),
        ("dapo", public_rows.dapo_row(13)),
    ],
)  # fmt: skip
def test_a_row_without_a_worked_solution_is_no_example(call, add_rows, reader, row):
    with pytest.raises(ValueError, match=r"No row of ours/.* is left: (.|\n)*complete generations \| 1 \| 0 \|.* is finished"):
        call(load_examples, add_rows([row], reader), TAGS)


@pytest.mark.parametrize("question", [" ", None])
def test_a_row_without_a_question(call, add_rows, question):
    source = add_rows([public_rows.gsm8k_row(13), {"question": question, "answer": "5\n#### 5"}])
    with pytest.raises(ValueError, match=rf"Row 1 of {source.path} \(split train\) has no question: is 'gsm8k' the reader"):
        call(load_prompts, source)


def test_a_repository_without_data_an_empty_split_and_a_damaged_file(call, folder):
    public_rows.write_card(folder / "datasets" / "ours" / "bare", {})
    with pytest.raises(ValueError, match="gave no data set 'ours/bare' "):
        call(load_prompts, Source("ours/bare", "gsm8k"))
    public_rows.write_table(folder / "datasets" / "ours" / "empty" / "train.parquet", [], public_rows.GSM8K)
    with pytest.raises(
        ValueError, match=r"ours/empty \(split train\) is damaged or has no rows .*`hf cache rm dataset/ours/empty`"
    ):
        call(load_prompts, Source("ours/empty", "gsm8k"))
    garbage = folder / "datasets" / "ours" / "garbage" / "train.parquet"
    garbage.parent.mkdir()
    garbage.write_bytes(b"not a table")
    with pytest.raises(ValueError, match=r"ours/garbage .* is damaged or has no rows \(Parquet magic bytes not found"):
        call(load_prompts, Source("ours/garbage", "gsm8k"))


def test_every_reader_is_tested():
    assert {source.rows for source in (*TRAINING, MATH500)} | {"own"} == set(READERS)  # that one in test_own_data
