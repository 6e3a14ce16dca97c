"""Small copies of the five public data sets and MATH-500: their files and schemas, with rows of our own.

`write_hub(folder)` writes them as `hub.py` serves them. Each holds problems of the held-out part (by the hash of their
questions) and the rows that each filter must drop; `test_sources.py` counts them.
"""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_TEXT, _TEXTS, _FLAGS = pa.string(), pa.list_(pa.string()), pa.list_(pa.bool_())
_MESSAGES = pa.list_(pa.struct([("content", _TEXT), ("role", _TEXT)]))

GSM8K = pa.schema([("question", _TEXT), ("answer", _TEXT)])
OPENR1 = pa.schema(
    [(name, _TEXT) for name in ("problem", "solution", "answer", "problem_type", "question_type", "source", "uuid")]
    + [("is_reasoning_complete", _FLAGS), ("generations", _TEXTS), ("correctness_math_verify", _FLAGS)]
    + [("correctness_llama", _FLAGS), ("finish_reasons", _TEXTS), ("correctness_count", pa.int64()), ("messages", _MESSAGES)]
)
OPENMATH = pa.schema(
    [(name, _TEXT) for name in ("expected_answer", "problem_type", "problem_source", "generation_model")]
    + [(name, _TEXT) for name in ("pass_rate_72b_tir", "problem", "generated_solution", "inference_mode")]
)
DAPO = pa.schema(
    [("prompt", _TEXT), ("solution", _TEXT), ("data_source", _TEXT), ("source_prompt", _MESSAGES), ("ability", _TEXT)]
    + [("reward_model", pa.struct([("ground_truth", _TEXT), ("style", _TEXT)])), ("extra_info", pa.struct([("index", _TEXT)]))]
)


def gsm8k_row(trays: int) -> dict:
    """A problem with annotated steps. 42, 72 and 82 trays are held out."""
    rolls, left = 6 * trays, 6 * trays - 40
    steps = f"The trays hold {trays}*6=<<{trays}*6={rolls}>>{rolls} rolls.\n{rolls}-40=<<{rolls}-40={left}>>{left} are left."
    question = f"A baker fills {trays} trays with 6 rolls each and sells 40 rolls. How many rolls are left?"
    return {"question": question, "answer": f"{steps}\n#### {left}"}


def gsm8k_train() -> list[dict]:
    return [
        *(gsm8k_row(trays) for trays in (13, 42, 14, 15, 72, 16, 17)),  # 0 to 6: rows 1 and 4 are held out
        {
            "question": "A field has 50 rows of 25 trees. How many trees is that?",
            "answer": "50*25=<<50*25=1250>>1250\n#### 1,250",
        },
        gsm8k_row(13) | {"question": "A baker fills 13 trays with 6 rolls each  and sells 40 rolls; how many rolls are left"},
        {"question": "How many rolls does nobody count?", "answer": "Nobody knows.\n#### ?"},  # 9: cannot be graded
        gsm8k_row(82),  # 10: held out
        gsm8k_row(18),
    ]


def openr1_row(problem: str, answer: str | None, *generations: tuple[str, bool, bool, str]) -> dict:
    """A problem with its generations: each a text, is it complete, is it verified, why did it stop?"""
    texts, complete, verified, reasons = map(list, zip(*generations))
    row = {"problem": problem, "answer": answer, "solution": "See the generations.", "source": "ours"}
    row |= {"generations": texts, "is_reasoning_complete": complete, "correctness_math_verify": verified}
    return row | {"finish_reasons": reasons, "correctness_count": sum(verified)}


def hypotenuse(side: int) -> tuple[str, str]:
    """A question and its answer. The sides 31, 65 and 103 are held out."""
    question = f"The sides of a right triangle are ${side}$ and $12$ with the right angle between them. "
    return question + "Find the square of the hypotenuse.", str(side**2 + 144)


def thoughts(side: int, working: str = "") -> str:
    square = side**2 + 144
    return f"<think>\n{working or f'{side}^2 + 12^2 = {square}.'}\n</think>\n\nThe answer is $\\boxed{{{square}}}$."


def openr1_train() -> list[dict]:
    def good(side: int) -> tuple[str, bool, bool, str]:
        return thoughts(side), True, True, "stop"

    wrong = ("<think>\nI guess.\n</think>\n\n$\\boxed{0}$", True, False, "stop")
    cut = ("<think>\nLet me see, 13", False, False, "length")
    return [
        openr1_row(*hypotenuse(13), wrong, good(13)),  # 0: the second is taken
        openr1_row(*hypotenuse(14), (thoughts(14, "Cut off later."), True, True, "length"), good(14)),  # 1: and here
        openr1_row(*hypotenuse(15), cut, cut),  # 2: none complete
        openr1_row(*hypotenuse(16), wrong, wrong),  # 3: none verified
        openr1_row(*hypotenuse(17), wrong, (thoughts(17), False, True, "stop")),  # 4: none both
        openr1_row("Prove that $13$ is a prime.", "proof", wrong),  # 5: no gold answer
        openr1_row(*hypotenuse(18), good(18)) | {"finish_reasons": None},  # 6: taken
        openr1_row(*hypotenuse(19), (thoughts(19, r"So \boxed{505}."), True, True, "stop")),  # 7: a box in the working
        openr1_row(*hypotenuse(20), ("<think>\nNever closed.", True, True, "stop")),  # 8: none complete
        openr1_row(hypotenuse(13)[0].replace("$", " "), "313", good(13)),  # 9: row 0 in another layout
        openr1_row(*hypotenuse(31), good(31)),  # 10 to 12: held out
        openr1_row(*hypotenuse(65), good(65)),
        openr1_row(*hypotenuse(103), good(103)),
        openr1_row(*hypotenuse(21), (thoughts(21, "Now add. " * 60), True, True, "stop")),  # 13: long
    ]


def openmath_row(terms: int, answer: str | None = "", solution: str | None = "") -> dict:
    """A problem with one generated solution. 20, 21 and 31 terms are held out."""
    square = str(terms**2)
    working = f"<think>They make a square, {terms} * {terms} = {square}.</think>The sum is \\boxed{{{square}}}."
    row = {"problem": f"What is the sum of the first {terms} odd numbers?", "inference_mode": "cot"}
    return row | {
        "expected_answer": square if answer == "" else answer,
        "generated_solution": working if solution == "" else solution,
    }


def openmath_cot() -> list[dict]:
    return [
        *(openmath_row(terms) for terms in (13, 14, 20, 15, 16, 21)),  # 0 to 5: rows 2 and 5 are held out
        openmath_row(17, "n^2", "<think>n terms give n^2.</think>It is \\boxed{n^2}."),  # 6: not a number
        openmath_row(18, solution="<think>18 * 18 = 342?</think>It is \\boxed{342}."),  # 7: wrong
        openmath_row(19, solution="<think>Let me add them one by one: 1 + 3"),  # 8: cut off
        openmath_row(22, None),  # 9: no gold answer
        openmath_row(23, solution=f"<think>{'1 + 3 + 5 ... ' * 40}= 529.</think>It is \\boxed{{529}}."),  # 10: long
        openmath_row(13),  # 11: row 0 again
    ]


def dapo_row(constant: int, words: str = "", solution: str | None = "", gold: str | None = "") -> dict:
    """A problem. The constants 26, 40 and 79 are held out."""
    prompt, value = f"Let $f(x) = 3x + {constant}$. {words}Find $f(5)$.", str(15 + constant)
    row = {"prompt": prompt, "data_source": "ours", "ability": "MATH", "source_prompt": [{"role": "user", "content": prompt}]}
    row |= {"solution": value if solution == "" else solution, "extra_info": {"index": str(constant)}}
    return row | {"reward_model": {"ground_truth": value if gold == "" else gold, "style": "rule"}}


def dapo_english() -> list[dict]:
    return [
        *(dapo_row(constant) for constant in (13, 14, 26, 15, 16, 17)),  # 0 to 5: row 2 is held out
        dapo_row(18, solution=None),  # 6: the gold answer stands in reward_model
        dapo_row(19, solution=None, gold=None),  # 7: no gold answer
        dapo_row(20, "Think twice. "),  # 8: long, but inside the quantile
        dapo_row(21, "Here is much that nobody needs to know. " * 5),  # 9: the longest
        dapo_row(22),
        dapo_row(13),  # 11: row 0 again
        dapo_row(23),
        dapo_row(24),
    ]


def math500_test() -> list[dict]:
    answers = [r"\frac{13}{2}", "7", r"\left( 3, \frac{\pi}{2} \right)", r"2\sqrt{3}", "[6,\\infty)", r"\text{even}"]
    return [
        {
            "problem": f"Problem {number}: what is on card {number}?",
            "solution": rf"It is $\boxed{{{answer}}}$.",
            "answer": answer,
            "subject": "Algebra",
            "level": 1 + number % 5,
            "unique_id": f"test/algebra/{number}.json",
        }
        for number, answer in enumerate(2 * answers)
    ]


def write_table(path: Path, rows: list[dict], schema: pa.Schema | None = None) -> None:
    """A parquet file; columns that a row does not name are null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def write_card(repo: Path, configs: dict[str, dict[str, str]]) -> None:
    """The README's head: for each configuration the files of each split. JSON is YAML too."""
    entries = [
        {"config_name": name, "data_files": [{"split": split, "path": path} for split, path in splits.items()]}
        for name, splits in configs.items()
    ]
    repo.mkdir(parents=True, exist_ok=True)
    (repo / "README.md").write_text(f"---\nconfigs: {json.dumps(entries)}\n---\n")


def write_hub(folder: Path) -> None:
    """The data sets under `folder/datasets`."""
    repo = folder / "datasets" / "openai" / "gsm8k"
    write_card(repo, {"main": {"train": "main/train-*", "test": "main/test-*"}, "socratic": {"train": "socratic/train-*"}})
    write_table(repo / "main" / "train-00000-of-00001.parquet", gsm8k_train(), GSM8K)
    write_table(repo / "main" / "test-00000-of-00001.parquet", [gsm8k_row(trays) for trays in range(22, 34)], GSM8K)
    write_table(repo / "socratic" / "train-00000-of-00001.parquet", gsm8k_train(), GSM8K)

    repo = folder / "datasets" / "open-r1" / "OpenR1-Math-220k"
    write_card(repo, {"default": {"train": "data/train-*"}, "extended": {"train": "extended/train-*"}})
    rows = openr1_train()
    write_table(repo / "data" / "train-00000-of-00002.parquet", rows[:8], OPENR1)
    write_table(repo / "data" / "train-00001-of-00002.parquet", rows[8:], OPENR1)
    write_table(repo / "extended" / "train-00000-of-00001.parquet", rows[:2], OPENR1)

    repo = folder / "datasets" / "unsloth" / "OpenMathReasoning-mini"
    write_card(repo, {"default": {"cot": "data/cot-*"}})
    write_table(repo / "data" / "cot-00000-of-00001.parquet", openmath_cot(), OPENMATH)

    repo = folder / "datasets" / "open-r1" / "DAPO-Math-17k-Processed"
    write_card(repo, {"all": {"train": "all/train-*"}, "en": {"train": "en/train-*"}})
    write_table(repo / "all" / "train-00000-of-00001.parquet", [*dapo_english(), dapo_row(99)], DAPO)
    write_table(repo / "en" / "train-00000-of-00001.parquet", dapo_english(), DAPO)

    repo = folder / "datasets" / "HuggingFaceH4" / "MATH-500"
    write_card(repo, {"default": {"test": "test.jsonl"}})
    (repo / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in math500_test()))


def write_real_lengths(folder: Path) -> None:
    """More rows for `write_hub`'s OpenR1-Math and OpenMathReasoning: traces of 300 to 4,000 words, as the real ones have them."""
    lengths = (300, 420, 560, 700, 850, 1000, 1500, 2600, 4000)
    sums, sides = [], []
    for n, words in enumerate(lengths * 20):
        working = "and we go on with this. " * (words // 6)
        square = (40 + n) ** 2
        solution = f"<think>{working}{40 + n} * {40 + n} = {square}.</think>It is \\boxed{{{square}}}."
        sums.append(openmath_row(40 + n, solution=solution))
        sides.append(openr1_row(*hypotenuse(200 + n), (thoughts(200 + n, working), True, True, "stop")))
    datasets = folder / "datasets"
    more = datasets / "unsloth" / "OpenMathReasoning-mini" / "data" / "cot-00000-of-00001.parquet"
    write_table(more, openmath_cot() + sums, OPENMATH)
    more = datasets / "open-r1" / "OpenR1-Math-220k" / "data" / "train-00001-of-00002.parquet"
    write_table(more, openr1_train()[8:] + sides, OPENR1)
