"""The README's picture: the rule that picks the problem, words that are marked and wrapped without loss, and that it is drawn."""

import csv

import hero
import pytest
from made_up_run import well_formed, write_samples

FALSE = {"completion": "39 + 47 = 76. Answer: 76", "false_claims": 1}
RIGHT = {"completion": "39 + 47 = 86.<end_working_out><SOLUTION>86</SOLUTION>"}


def rows(checkpoint: str, *kinds: dict | None) -> list[dict]:
    """A row a kind: what is wrong with it, or None for a right one."""
    return [well_formed(n, checkpoint, kind is None) | (kind or RIGHT) for n, kind in enumerate(kinds)]


WRONG_PLAN = {"completion": "39 - 47 = -8."}
TOO_LONG = {**FALSE, "completion": "39 + 47 = 76. " * 20}


def test_the_first_problem_that_only_grpo_solves_is_chosen():
    base = rows("base", None, WRONG_PLAN, TOO_LONG, FALSE, FALSE)
    sft = rows("sft", FALSE, FALSE, FALSE, FALSE, FALSE)
    grpo = rows("grpo", None, None, None, None, None)
    assert [row["id"] for row in hero.choose_problem(base, sft, grpo)] == ["q003"] * 3
    grpo[3] = grpo[3] | {"false_claims": 1}
    assert hero.choose_problem(base, sft, grpo)[0]["id"] == "q004", "GRPO's own false sum is no example"
    with pytest.raises(ValueError, match="No problem"):
        hero.choose_problem(base[:3], sft[:3], grpo[:3])


def test_words_keep_the_text_and_false_sums_are_marked():
    text = "39 + 47 = 76. 76 - 6 = 70.<end_working_out><SOLUTION>70</SOLUTION>"
    words = hero.split_words(text)
    assert "".join(word.text for word in words) == text
    assert "".join(word.text for word in words if word.kind == "false") == "39 + 47 = 76"
    chain = "2 + 3 = 6 = 7."
    assert "".join(word.text for word in hero.split_words(chain)) == chain
    lines = ["".join(word.text for word in line).rstrip() for line in hero.wrap(words, 20)]
    assert lines == ["39 + 47 = 76.", "76 - 6 = 70.", "<end_working_out>", "<SOLUTION>70", "</SOLUTION>"]


@pytest.mark.parametrize("narrow", [False, True])
def test_it_is_drawn(narrow, tmp_path):
    for name, kind in (("base", FALSE), ("sft", FALSE), ("grpo", None)):
        write_samples(tmp_path, name, rows(name, kind))
    with open(tmp_path / "grpo_metrics.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerows(
            [["step", "eval_accuracy", "eval_low", "eval_high"], [0, 0.4, 0.3, 0.5], [1, "", "", ""], [2, 0.6, 0.5, 0.7]]
        )
    for look in hero.LOOKS.values():
        hero.draw(tmp_path, look, narrow).savefig(tmp_path / "hero.png")
        assert (tmp_path / "hero.png").stat().st_size > 10_000
