"""What a recipe trains and is measured on: rows of the tiny world and of public data, with the twins among them."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from datasets import Dataset

from grpo_lab import data
from grpo_lab.recipes import Source, get_recipe, with_unanswerable
from grpo_lab.sources import load_held_out
from grpo_lab.tiny.problems import UNSEEN
from grpo_math.answers import UNANSWERABLE, is_correct
from grpo_math.formats import get_format
from grpo_math.rewards import check_golds
from grpo_math.unanswerable import VAGUE

TINY = get_recipe("tiny")
PUBLIC = get_recipe("qwen2.5-0.5b-gsm8k")


def questions(rows) -> list[str]:
    return [messages[-1]["content"] for messages in rows["prompt"]]


def twins_of(rows) -> list[dict]:
    return [row for row in rows if row["answer"] == UNANSWERABLE]


def test_sft_examples_of_twins_ask_back():
    recipe = replace(TINY, sft=replace(TINY.sft, examples=300, unanswerable=0.1))
    rows, plain = (data.load_sft_examples(r, 0) for r in (recipe, replace(recipe, sft=replace(recipe.sft, unanswerable=0.0))))
    twins, fmt = twins_of(rows), get_format(TINY.format)
    assert len(rows) == 300 and len(twins) == 30 and not twins_of(plain)
    assert {twin["completion"][0]["content"] for twin in twins} == {fmt.render_target(*data.REFUSAL)}
    assert all(is_correct(twin["completion"][0]["content"], UNANSWERABLE, fmt, strict=True) for twin in twins)
    assert all(twin["id"].endswith("-twin") and VAGUE in twin["prompt"][0]["content"].lower() for twin in twins)
    assert len(set(rows["id"])) == len(set(questions(rows))) == 300
    assert [row["id"] for row in plain] == [row["id"].removesuffix("-twin") for row in rows]
    assert "300 worked examples" in rows.info.description and "30 of them without a quantity" in rows.info.description
    assert "without" not in plain.info.description


def test_grpo_prompts_hold_their_share_of_twins():
    rows = data.load_problems(with_unanswerable(TINY, 0.1), "grpo", 200, seed=0)
    places = [i for i, row in enumerate(rows) if row["answer"] == UNANSWERABLE]
    assert len(rows) == len(set(rows["id"])) == 200 and len(places) == 20
    assert max(b - a for a, b in zip(places, places[1:])) <= 20  # spread over the rollouts
    assert "20 of them without a quantity" in rows.info.description
    check_golds(rows["answer"])
    assert not twins_of(data.load_problems(with_unanswerable(TINY, 0.0), "grpo", 200))


def test_strata_of_the_test_set_are_equal_and_those_of_transfer_are_of_other_kinds():
    test, transfer = data.load_problems(TINY, "test", 300), data.load_transfer(TINY)
    assert Counter(test["stratum"]) == {"2 steps": 100, "3 steps": 100, "4 steps": 100}
    each = TINY.evaluation.transfer
    kinds = Counter(transfer["stratum"])
    assert kinds["question first"] == kinds["numbers to 400"] == kinds["5 or 6 steps"] == each
    assert sum(n for kind, n in kinds.items() if kind.startswith("unseen story: ")) == each and len(kinds) == 3 + len(UNSEEN)
    assert len(set(transfer["id"])) == len(transfer) and not set(transfer["id"]) & set(test["id"])
    first = [row for row in transfer if row["stratum"] == "question first"]
    assert [row["answer"] for row in first[:100]] == test["answer"][:100], "the first test problems, told otherwise"
    assert data.load_transfer(PUBLIC) is None


def test_what_the_base_has_read_is_compared_too(tmp_path, monkeypatch):
    folder = tmp_path / TINY.base_model
    folder.mkdir(parents=True)
    (folder / "pretraining.json").write_text(json.dumps({"plan": {"seed": 0, "arithmetic": 0.25, "documents": 400}}))
    monkeypatch.setattr(data, "project_root", lambda: tmp_path)
    found = data.check_base_corpus(TINY)
    assert 200 < found.training < 400 and found.held_out == TINY.evaluation.problems and not found.matches["exact duplicate"]
    assert data.check_base_corpus(PUBLIC) is None


@pytest.mark.parametrize("split", ["dev", "test"])
def test_what_is_measured_holds_no_twins(split):
    assert not twins_of(data.load_problems(with_unanswerable(TINY, 0.5), split, 100))


def test_the_twins_that_are_measured():
    recipe = replace(TINY, evaluation=replace(TINY.evaluation, twins=200))
    twins = data.load_twins(recipe)
    assert twins.column_names == ["prompt", "answer", "id", "source", "stratum"]
    assert len(twins) == len(set(twins["id"])) == len(set(questions(twins))) == 200
    assert set(twins["answer"]) == {UNANSWERABLE}
    tested = set(data.load_problems(TINY, "test", 400)["id"])
    assert {identifier.removesuffix("-twin") for identifier in twins["id"]} <= tested
    assert data.load_twins(replace(recipe, evaluation=replace(recipe.evaluation, twins=0))) is None


def test_the_twins_of_the_splits_come_from_other_problems():
    recipe = with_unanswerable(replace(TINY, sft=replace(TINY.sft, examples=300, unanswerable=0.5)), 0.5)
    parts = [data.load_sft_examples(recipe, 0), data.load_problems(recipe, "grpo", 300), data.load_twins(recipe)]
    sft, grpo, measured = ({row["id"].removesuffix("-twin") for row in part} for part in parts)
    assert not sft & grpo and not sft & measured and not grpo & measured


# 2. Public data, through the real `load_dataset`.

GSM8K = Source("openai/gsm8k", "gsm8k", config="main")


def test_dev_and_test_share_the_held_out_problems(call):
    recipe = replace(PUBLIC, evaluation=replace(PUBLIC.evaluation, source=None))
    test, dev = (call(data.load_problems, recipe, split, 100) for split in ("test", "dev"))
    assert list(test["id"]) + list(dev["id"]) == list(call(load_held_out, GSM8K)[0]["id"]) and len(test) == 2
    assert "| not held out | 9 | 3 |" in dev.info.description  # read from the card of the rows
    few = replace(recipe, evaluation=replace(recipe.evaluation, problems=1))
    assert len(call(data.load_problems, few, "test", 100)) == 1 and len(call(data.load_problems, few, "dev", 100)) == 2
    assert len(call(data.load_problems, PUBLIC, "dev", 100)) == 3  # measured on GSM8K's own test split
    assert len(call(data.load_problems, PUBLIC, "test", 5)) == 5


def test_a_recipe_measures_as_many_public_twins_as_it_asks_for(call):
    twins = call(data.load_twins, replace(PUBLIC, evaluation=replace(PUBLIC.evaluation, twins=5)))
    assert len(twins) == 5 and set(twins["answer"]) == {UNANSWERABLE}
    assert call(data.load_twins, replace(PUBLIC, evaluation=replace(PUBLIC.evaluation, twins=0))) is None


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.1, 0), (0.3, 2), (0.5, 3)])
def test_a_share_of_public_prompts_makes_room_for_twins(call, share, expected):
    rows = call(data.load_problems, with_unanswerable(PUBLIC, share), "grpo", 100)
    assert len(rows) == len(set(rows["id"])) == 7 and len(twins_of(rows)) == expected
    assert [row["answer"] == UNANSWERABLE for row in rows] == [False] * (7 - expected) + [True] * expected
    assert ("are replaced by twins" in rows.info.description) == (expected > 0)
    assert rows.column_names == ["prompt", "answer", "id", "source"]
    check_golds(rows["answer"])
    held_out = set(call(load_held_out, GSM8K)[0]["id"])
    assert not held_out & {identifier.removesuffix("-twin") for identifier in rows["id"]}


# 3. What else a row can be.


@pytest.mark.parametrize("line", ['{"id": "b"}', "{"], ids=["keys missing", "no JSON"])
def test_a_damaged_priming_row_is_named(line, tmp_path, monkeypatch):
    path = tmp_path / "priming.jsonl"
    path.write_text('{"id": "a", "problem": "p", "reasoning": "r", "answer": "1"}\n' + line + "\n")
    monkeypatch.setattr(data, "PRIMING_FILE", path)
    with pytest.raises(ValueError, match="priming.jsonl, line 2 is damaged .*`git checkout -- "):
        data.load_priming_examples(TINY)


def test_an_own_problem_has_no_gold_answer():
    assert data.own_problem(" What is 2 + 3?\n").to_list() == [
        {"prompt": [{"role": "user", "content": "What is 2 + 3?"}], "answer": "", "id": "own", "source": "own"}
    ]


def test_fewer_prompts_than_a_rollout_needs_are_refused_before_a_model_is_loaded(monkeypatch):
    recipe = get_recipe("qwen2.5-3b-gsm8k")
    rows = Dataset.from_list([{"prompt": [], "answer": "1", "id": str(n), "source": "a"} for n in range(3)])
    monkeypatch.setattr(data, "load_prompts", lambda source, tokenizer, room: (rows, None))
    with pytest.raises(ValueError, match="3 prompts are left of openai/gsm8k, and one rollout needs prompts_per_rollout = 4"):
        data.load_problems(recipe, "grpo", 1000)
