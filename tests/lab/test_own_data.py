"""Your own problems: the layouts that people have, the files that they come in, and what is said of those that cannot be read."""

import pytest

from grpo_lab import own_data

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
