"""Your own problems, from a file, a folder or the hub, in any of the usual layouts of columns, as rows of one layout.

A row becomes a question, its gold answers (any one of them is right) and, where there is one, a worked solution. Columns are
found by their usual names, whatever their case, or named by COLUMNS. The answer may have a column, or end the worked solution
(behind "####", in a box, after words such as "The answer is"); with options in a column it becomes a letter.

>>> columns = find_columns(["id", "Problem", "Answer"])
>>> columns, read_row({"id": 1, "Problem": "6 * 7?", "Answer": 42}, columns)
({'question': 'Problem', 'answer': 'Answer'}, {'question': '6 * 7?', 'answer': ['42'], 'solution': ''})
"""

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from datasets import Dataset, DatasetDict, config, load_dataset, load_from_disk
from datasets.exceptions import DatasetGenerationError
from pyarrow import ArrowInvalid

from grpo_lab.runs import project_root
from grpo_math.answers import extract_answer, extract_boxed

# Which names each part of a row goes by; a column is taken once, in this order. The parts of a question are joined.
NAMES = {
    "question": "question problem prompt query instruction input messages conversations",
    "context": "context body passage input",
    "choices": "choices options",
    "answer": "answer final_answer expected_answer ground_truth gold target label correct_answer answerkey reward_model",
    "solution": "solution generated_solution reasoning rationale explanation output response completion",
}
CHATS = ("messages", "conversations")  # in one column the question and its solution
TEST_SPLITS = ("test", "validation", "dev")  # the first of them that there is, is measured on
KINDS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
LONGEST_ANSWER = 60  # characters; in a longer text the answer is looked for
ANNOTATION = re.compile(r"<<[^<>]*>>")  # GSM8K's calculator calls, such as <<48/2=24>>
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def find_columns(names: Sequence[str], chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """The column of each part: the `chosen` ones, for the others the first of the usual NAMES that there is.

    ValueError, which lists the columns, where a chosen one is not there, or where nothing asks or nothing answers.
    """
    found, by_name = dict(chosen or {}), {name.lower(): name for name in reversed(names)}
    there = f"The columns are: {', '.join(names)}."
    if wrong := [f"{part!r}: {name!r}" for part, name in found.items() if part not in NAMES or name not in names]:
        raise ValueError(f"COLUMNS = {{{', '.join(wrong)}}} fits no column. {there} What can be named: {', '.join(NAMES)}.")
    for part, usual in NAMES.items():
        free = [name for name in usual.split() if name in by_name and by_name[name] not in found.values()]
        if part not in found and free:
            found[part] = by_name[free[0]]
    if found.get("question", "").lower() in CHATS:
        found.setdefault("solution", found["question"])
    for part, there_is in (("question", "question" in found), ("answer", bool({"answer", "solution"} & found.keys()))):
        if not there_is:
            example = f'COLUMNS = {{"{part}": "{names[0]}"}}'
            raise ValueError(f"No column has a usual name for the {part}. {there} Name it in the parameters: {example}.")
    return found


def read_row(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict:
    """A row as `question` and `solution`, texts, and `answer`, a list of texts. The last two are empty where there is none."""
    # 1. What is asked, with the options as letters.
    asks = {columns["question"], columns.get("context")}
    question = "\n".join(_text(row[name], "user") for name in row if name in asks)
    options = row.get(columns.get("choices")) or []
    if isinstance(options, str):  # written out already
        question, options = f"{question}\n{options}", []
    labels, options = (options["label"], options["text"]) if isinstance(options, Mapping) else ([], options)
    question += "".join(f"\n{letter}) {option}" for letter, option in zip(LETTERS, options, strict=False))

    # 2. What was worked, and the answers: of a long text, what it gives as its answer.
    solution = _text(row.get(columns.get("solution")), "assistant")
    golds = _alternatives(row.get(columns["answer"])) if "answer" in columns else [solution]
    if len(golds) == 1 and not solution and _is_long(golds[0]):
        solution = golds[0]
    if options:
        golds = [_letter(gold, labels, options) for gold in golds]
    golds = [_final(gold) for gold in golds]
    if solution in golds:
        solution = ""
    if box := extract_boxed(solution):  # the form of the recipe says where the answer stands
        solution = solution.replace(f"\\boxed{{{box}}}", box)
    worked = ANNOTATION.sub("", solution.partition("####")[0]).strip()
    return {"question": question.strip(), "answer": list(dict.fromkeys(filter(None, golds))), "solution": worked}


def _text(value: Any, role: str) -> str:
    """A text, or in a chat the last one of this role."""
    if isinstance(value, list):
        roles = ("user", "human") if role == "user" else ("assistant", "gpt")
        value = next((m.get("content", m.get("value")) for m in reversed(value) if m.get("role", m.get("from")) in roles), "")
    return "" if value is None else str(value)


def _alternatives(value: Any) -> list:
    """The answers in a column: one, a list of them, or either in a record, as verl, TriviaQA and SQuAD have it."""
    if isinstance(value, Mapping):
        return [each for key in ("ground_truth", "value", "aliases", "text") for each in _alternatives(value.get(key))]
    values = value if isinstance(value, list) else [value]
    return [each for each in values if each is not None and each == each]  # NaN is missing


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and (len(value) > LONGEST_ANSWER or "\n" in value or "####" in value)


def _final(value: Any) -> str:
    """One answer as text."""
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    text = str(value).strip()
    if "####" in text:
        return text.rpartition("####")[2].strip()
    return extract_answer(text) or text if _is_long(text) or "\\boxed" in text else text


def _letter(value: Any, labels: Sequence[str], options: Sequence) -> Any:
    """The letter of the option that an answer names: by its label, by what it says, or by its number from 0."""
    if isinstance(value, str):
        names, value = [str(name).strip() for name in labels or options], value.strip()
        if value not in names:
            return LETTERS[int(value)] if value.isdigit() and int(value) < len(options) else value
        return LETTERS[names.index(value)]
    return LETTERS[int(value)] if 0 <= value < len(options) else value


# From a path or an id to the rows of each split.


@lru_cache(8)
def read_splits(path: str, columns: tuple[tuple[str, str], ...] = ()) -> dict[str, list[dict]]:
    """The rows of `read_row` in the splits "train" and, where the data has a part to measure on, "test".

    path: a file of KINDS; a folder of them, whose names begin with the split (`train.csv`, `test.csv`); or an id on the hub with,
    behind a colon, the configuration where it has several: "openai/gsm8k:main". Raises ValueError and ConnectionError, in a
    sentence.
    """
    place = find_local(path)
    tables = _read_local(place) if place else _read_hub(path)
    trains = [name for name in tables if name not in TEST_SPLITS]
    if not trains:
        raise ValueError(f"{path} has nothing to train on, only {', '.join(tables)}: name a file or split train.")
    measured = next((name for name in TEST_SPLITS if name in tables), None)
    splits = {"train": tables["train" if "train" in tables else trains[0]], **({"test": tables[measured]} if measured else {})}
    rows = {}
    for name, table in splits.items():
        names = getattr(table, "column_names", None) or list(dict.fromkeys(column for row in table for column in row))
        if not len(table):
            raise ValueError(f"{path} has no rows in its {name} part.")
        try:
            found = find_columns(names, dict(columns))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        rows[name] = [read_row(row, found) for row in table]
    return rows


def find_local(path: str) -> Path | None:
    """The file or folder of that path, from the working directory or from the clone; None where it is an id of the hub."""
    for place in (Path(path).expanduser(), project_root() / path):
        if place.exists():
            return place
    if path.lower().endswith(KINDS) or path.startswith((".", "/", "~")) or path.count("/") != 1:
        raise ValueError(f"DATA = {path!r} is not there: looked in {Path.cwd()} and in {project_root()}.")
    return None


def digest(path: str) -> str:
    """16 hexadecimal digits for the files of the data, so that a run does not go on with others; empty for the hub."""
    place = find_local(path)
    files = [] if place is None else [place] if place.is_file() else [file for file in sorted(place.rglob("*")) if file.is_file()]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16] if files else ""


def _files(folder: Path) -> list[Path]:
    """Of the folder itself, or of the folders in it where it has none."""
    for found in (folder.iterdir(), folder.rglob("*")):
        if files := sorted(file for file in found if file.suffix.lower() in KINDS):
            return files
    return []


def _read_local(place: Path) -> dict[str, list[dict]]:
    if place.is_file():
        return {"train": _read_file(place)}
    if (place / "dataset_dict.json").is_file() or (place / "state.json").is_file():  # of `save_to_disk`
        saved = load_from_disk(str(place))
        return dict(saved) if isinstance(saved, DatasetDict) else {"train": saved}
    tables: dict[str, list[dict]] = {}
    for file in _files(place):
        split = next((name for name in ("train", *TEST_SPLITS) if file.stem.lower().startswith(name)), "train")
        tables.setdefault(split, []).extend(_read_file(file))
    if not tables:
        raise ValueError(f"{place} holds no file of problems: {', '.join(KINDS)}.")
    return tables


def _read_file(file: Path) -> list[dict]:
    """The rows of one file; in tables of text every answer stays the text that it is."""
    kind = file.suffix.lower()
    if kind == ".parquet":
        return Dataset.from_parquet(str(file)).to_list()
    if kind not in KINDS:
        raise ValueError(f"{file} is no file of problems: it ends in none of {', '.join(KINDS)}.")
    try:
        text = file.read_text(encoding="utf-8-sig")  # as spreadsheets write it
        if kind == ".jsonl":
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        if kind == ".json":
            rows = json.loads(text)
            if isinstance(rows, list):
                return rows
            raise ValueError(f"{file} is no list of records: write [{{...}}, {{...}}], or a record a line as .jsonl.")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not in UTF-8 ({error.reason} at byte {error.start:,}): save it in that encoding.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is damaged: {error}.") from None
    delimiter = max("\t;,", key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise ValueError(
                f"{file}, line {reader.line_num}: the row has not as many cells as the header. Put what holds a {delimiter!r} "
                "or a line break in double quotes."
            )
        rows.append(row)
    return rows


def download(path: str, configuration: str | None, split: str | None = None, name: str = "") -> Dataset | DatasetDict:
    """A data set from the hub, or from the cache of an earlier download; without a split all of them. name: for messages."""
    name = name or path
    try:
        return load_dataset(path, configuration, split=split)
    except (ConnectionError, httpx.HTTPError) as error:
        raise ConnectionError(
            f"{name} is not in the cache, and the hub at {config.HF_ENDPOINT} cannot be reached ({error}). "
            "Check the network, HF_ENDPOINT and HF_HUB_OFFLINE and run again; the recipe `tiny` needs no network."
        ) from error
    except FileNotFoundError as error:
        raise ValueError(
            f"The hub at {config.HF_ENDPOINT} gave no data set {path!r} ({error}). Check its id; where it is "
            "private or gated, log in with `hf auth login`."
        ) from error
    except (DatasetGenerationError, ArrowInvalid) as error:
        raise ValueError(
            f"A file of {name} is damaged or has no rows ({error.__cause__ or error}). Delete it with "
            f"`hf cache rm dataset/{path}` and run again."
        ) from error


def _read_hub(path: str) -> dict:
    name, _, configuration = path.partition(":")
    try:
        return dict(download(name, configuration or None))
    except ValueError as error:
        if "Config name is missing" in str(error):
            raise ValueError(
                f'{path} has several configurations, name one: DATA = "{path}:...". {" ".join(str(error).split())}'
            ) from None
        raise
