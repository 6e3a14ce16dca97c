"""Your own problems: the layouts that people have, the files that they come in, and what is said of those that cannot be read."""

import csv
import json
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from grpo_lab import data, models, own_data
from grpo_lab.evaluation import freeze_plan
from grpo_lab.recipes import TINY

ROOT = Path(__file__).parents[2]

WORKED = "She has 12 shells and finds 30 more at the beach, so 12 + 30 = 42."
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Q?"}]
LAYOUTS = {  # name: (a row, its question, its golds, its worked solution)
    "numbers": ({"question": "Q?", "answer": 42.0}, "Q?", ["42"], ""),
    "gsm8k": ({"question": "Q?", "answer": f"{WORKED}\n#### 42"}, "Q?", ["42"], WORKED),
    "math": ({"problem": "Q?", "level": "3", "solution": rf"{WORKED} So \boxed{{\frac{{1}}{{2}}}}."}, "Q?",
             [r"\frac{1}{2}"], rf"{WORKED} So \frac{{1}}{{2}}."),
    "numina": ({"problem": "Q?", "solution": WORKED, "answer": "42", "source": "x"}, "Q?", ["42"], WORKED),
    "dapo": ({"prompt": "Q?", "solution": "34", "reward_model": {"ground_truth": "34", "style": "rule"}}, "Q?", ["34"], ""),
    "dapo, processed": ({"prompt": "Q?", "solution": "34"}, "Q?", ["34"], ""),
    "verl": ({"data_source": "x", "prompt": CHAT, "reward_model": {"ground_truth": "42"}}, "Q?", ["42"], ""),
    "chat": ({"messages": [*CHAT, {"role": "assistant", "content": f"{WORKED} The answer is 42."}]}, "Q?", ["42"],
             f"{WORKED} The answer is 42."),
    "sharegpt": ({"conversations": [{"from": "human", "value": "Q?"}, {"from": "gpt", "value": f"{WORKED}\n#### 42"}]}, "Q?",
                 ["42"], WORKED),
    "alpaca": ({"instruction": "Solve.", "input": "x + 1 = 3", "output": "x = 2"}, "Solve.\nx + 1 = 3", ["x = 2"], ""),
    "metamath": ({"query": "Q?", "response": f"{WORKED} The answer is: 42", "type": "x"}, "Q?", ["42"],
                 f"{WORKED} The answer is: 42"),
    "mmlu": ({"question": "Q?", "choices": ["3", "0", "1", "2"], "answer": 2}, "Q?\nA) 3\nB) 0\nC) 1\nD) 2", ["C"], ""),
    "arc": ({"question": "Q?", "choices": {"text": ["red", "blue"], "label": ["1", "2"]}, "answerKey": "2"},
            "Q?\nA) red\nB) blue", ["B"], ""),
    "options as text, a number as float": ({"question": "Q?", "options": "A) 3 B) 4", "answer": 1.0}, "Q?\nA) 3 B) 4", ["1"], ""),
    "a number beyond the options": ({"question": "Q?", "choices": ["3", "4"], "answer": 7}, "Q?\nA) 3\nB) 4", ["7"], ""),
    "svamp": ({"ID": "1", "Body": "He has 7.", "Question": "Q?", "Answer": 7}, "He has 7.\nQ?", ["7"], ""),
    "aime": ({"ID": "2024-1", "Problem": "Q?", "Answer": "204"}, "Q?", ["204"], ""),
    "bbh": ({"input": "Q?", "target": "(B)"}, "Q?", ["(B)"], ""),
    "alternatives": ({"question": "Q?", "answer": ["1/2", None, "0.5", "1/2"]}, "Q?", ["1/2", "0.5"], ""),
    "triviaqa": ({"question": "Q?", "answer": {"value": "Paris", "aliases": ["Paris", "Paname"]}}, "Q?", ["Paris", "Paname"], ""),
    "missing": ({"question": "Q?", "answer": float("nan")}, "Q?", [], ""),
}  # fmt: skip


@pytest.mark.parametrize(("row", "question", "answer", "solution"), LAYOUTS.values(), ids=LAYOUTS)
def test_the_usual_layouts_are_read(row, question, answer, solution):
    read = own_data.read_row(row, own_data.find_columns(list(row)))
    assert read == {"question": question, "answer": answer, "solution": solution}


# Files, folders, the hub.

PROBLEMS = [{"question": f"What is {n} + {n}?", "answer": str(2 * n), "solution": f"{n} + {n} = {2 * n}."} for n in range(400)]


def write(path, rows: list[dict]):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".csv", ".tsv"):
        with open(path, "w", newline="", encoding="utf-8-sig") as file:
            delimiter = {"semi": ";", "train": ",", "test": ","}.get(path.stem, "\t")
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        Dataset.from_list(rows).to_parquet(str(path))
    else:
        lines = json.dumps(rows) if path.suffix == ".json" else "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text(lines)
    return path


@pytest.mark.parametrize("name", ["train.csv", "semi.csv", "mine.tsv", "mine.jsonl", "mine.json", "mine.parquet"])
def test_each_kind_of_file_is_read_as_it_was_written(name, tmp_path):
    rows = [
        {"question": 'He said: "2,5 m;\n3 m"\u2028 and 007?', "answer": "007", "solution": ""},
        {"question": "What is left of 1/2?", "answer": "1/2", "solution": "NA"},
    ]
    read = own_data.read_splits(str(write(tmp_path / name, rows)))
    assert read == {"train": [row | {"answer": [row["answer"]]} for row in rows]}


def test_a_folder_has_a_part_to_train_on_and_one_to_measure_on(tmp_path, capsys):
    write(tmp_path / "train.csv", PROBLEMS[:30])
    write(tmp_path / "test.jsonl", [{"Problem": row["question"], "gold": [row["answer"], "x"]} for row in PROBLEMS[30:80]])
    assert {split: len(rows) for split, rows in own_data.read_splits(str(tmp_path)).items()} == {"train": 30, "test": 50}
    recipe = data.with_data(TINY, str(tmp_path))
    said = capsys.readouterr().out
    assert recipe.grpo.prompts_per_rollout == 21 and "prompts_per_rollout 24 → 21, because" in said
    assert "21 of them have a worked solution, and a batch of SFT takes 32: that stage is left out." in said
    assert recipe.sft is None, "a batch takes 32"
    test = data.load_problems(recipe, "test", 200)
    assert len(test) == 50 and test[0]["answer"][1] == "x" and not recipe.tiny_world
    trained = data.load_problems(recipe, "grpo", 200, 0, models.load_tokenizer(recipe, ROOT))
    dev = data.load_problems(recipe, "dev", 200)
    assert len(trained) + len(dev) == 30 and not {*trained["id"], *dev["id"]} & {*test["id"]}
    assert data.load_twins(recipe) is None is data.load_transfer(recipe)


def test_a_saved_data_set_and_a_folder_within_a_folder(tmp_path):
    saved = DatasetDict({"train": Dataset.from_list(PROBLEMS[:30]), "validation": Dataset.from_list(PROBLEMS[30:40])})
    saved.save_to_disk(tmp_path / "saved")
    write(tmp_path / "cloned" / "data" / "train-00000-of-00001.parquet", PROBLEMS[:30])
    (tmp_path / "cloned" / "README.md").write_text("a card")
    for folder, parts in (("saved", {"train": 30, "test": 10}), ("cloned", {"train": 30}), ("saved/train", {"train": 30})):
        splits = own_data.read_splits(str(tmp_path / folder))
        assert {name: len(rows) for name, rows in splits.items()} == parts and own_data.digest(str(tmp_path / folder))


def test_one_file_is_split_and_what_it_can_show_is_said(tmp_path, capsys):
    path = write(tmp_path / "mine.csv", PROBLEMS)
    recipe = data.with_data(TINY, str(path), {"answer": "answer"})
    parts = [data.load_problems(recipe, split, 400, 0) for split in ("grpo", "dev", "test")]
    said = capsys.readouterr().out
    train, dev, test = map(len, parts)
    assert train + dev + test == 400 and f"{train} problems to train on, {dev} for dev, {test} held out to measure on" in said
    assert recipe.sft.source.filters == ("fits the context",) and recipe.sft.unanswerable == 0 and "left out" not in said
    shown = freeze_plan(tmp_path, recipe, parts[2])["smallest_difference"]
    assert f"a difference of {100 * shown:.0f} points or more" in said and 0.1 < shown < 0.3
    examples = data.load_sft_examples(recipe, 0, models.load_tokenizer(recipe, ROOT))
    assert len(examples) == train and examples[0]["completion"][0]["content"].startswith("<start_working_out>")
    without = data.with_data(TINY, str(write(tmp_path / "bare.csv", [{"q": r["question"], "a": r["answer"]} for r in PROBLEMS])),
                             {"question": "q", "answer": "a"})  # fmt: skip
    assert without.sft is None and without.priming and data.with_data(TINY, "") == TINY
    before = path.read_bytes()
    path.write_bytes(before.replace(b"What is 3 ", b"What is three "))
    assert data.with_data(TINY, str(path)).grpo.source.digest != recipe.grpo.source.digest


BAD = {
    "none.csv": (None, "DATA = '.*none.csv' is not there"),
    "mine.txt": ("x", "is no file of problems: it ends in none of .csv"),
    "few.csv": ("question,answer\n" + "\n".join(f"What is {n} + 1?,{n + 1}" for n in range(30)), "few.csv has 30 different"),
    "cells.csv": ("question,answer\nOne, two or three?,3\n", "line 2: the row has not as many cells as the header"),
    "latin.csv": ("question,answer\nWie groß?,3\n".encode("latin-1"), "is not in UTF-8"),
    "names.csv": (
        "frage,antwort\nWie viel?,3\n",
        "No column has a usual name for the question. The columns are: frage, antwort.",
    ),
    "half.csv": ("question,antwort\nWie viel?,3\n", r'usual name for the answer.*COLUMNS = {"answer": "question"}'),
    "empty.csv": ("question,answer\n", "has no rows in its train part"),
    "cut.jsonl": ('{"question": "One?", "answ', "is damaged"),
    "record.json": ('{"question": ["One?"]}', "is no list of records"),
}


@pytest.mark.parametrize(("name", "content", "sentence"), [(n, *told) for n, told in BAD.items()], ids=BAD)
def test_what_cannot_be_read_is_said_in_a_sentence(name, content, sentence, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=sentence):
        data.with_data(TINY, str(tmp_path / name))


def test_a_column_that_is_not_there_is_refused():
    for chosen, wrong in (({"question": "q"}, "'question': 'q'"), ({"frage": "question"}, "'frage': 'question'")):
        with pytest.raises(ValueError, match=rf"COLUMNS = {{{wrong}}} fits no column. The columns are: question, answer."):
            own_data.find_columns(["question", "answer"], chosen)


def test_the_hub_gives_its_splits_and_asks_for_a_configuration(call):
    splits = call(own_data.read_splits, "openai/gsm8k:main")
    assert splits.keys() == {"train", "test"} and splits["train"][0]["solution"] and "<<" not in str(splits)
    with pytest.raises(ValueError, match=r'several configurations, name one: DATA = "openai/gsm8k:...".*socratic'):
        call(own_data.read_splits, "openai/gsm8k")
    with pytest.raises(ValueError, match="HuggingFaceH4/MATH-500 has nothing to train on, only test"):
        call(own_data.read_splits, "HuggingFaceH4/MATH-500")
    with pytest.raises(ValueError, match="gave no data set 'ours/nothing'"):
        call(own_data.read_splits, "ours/nothing")
