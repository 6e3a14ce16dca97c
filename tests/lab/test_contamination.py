"""The three measures of contamination, on cases made by hand and against their definitions."""

import random

import pytest

from grpo_lab.contamination import EXACT, MASKED, OVERLAP, contamination_report, mask_words, normalise, split_words

ANNA = (
    "Anna bakes 12 apple pies on Monday and sells each of them for $3 at the village market. She spends 7 dollars on flour. "
    "How many dollars does she have left in the evening?"
)
BEN = (
    "Ben bakes 150 apple pies on Friday and sells each of them for $2.50 at the village market. He spends forty dollars on "
    "flour. How many dollars does he have left in the evening?"
)


def measures(training: list[str], held_out: str) -> list[str]:
    """The measures that flag the one held-out question."""
    report = contamination_report(training, [held_out])
    return [measure for measure, pairs in report.matches.items() if pairs]


@pytest.mark.parametrize(
    ("case", "training", "held_out", "expected"),
    [
        ("the same question", ANNA, ANNA, [EXACT, OVERLAP, MASKED]),
        ("in another layout", ANNA, ANNA.upper().replace("$", " ").replace(". ", " "), [EXACT, OVERLAP]),
        ("a copy with other names and numbers", ANNA, BEN, [MASKED]),
        ("and the other way round", BEN, ANNA, [MASKED]),
        ("a shared passage", ANNA, "At dawn " + ANNA[:90] + " Is this a good week for the whole family?", [OVERLAP]),
        ("a short question, word for word", r"Find \(x\) if $3x = 12$.", "find x if 3x=12", [EXACT]),
        (
            "the phrases of an opening and a closing alone",
            "How many ways are there to draw a red and a blue ball from the urn? Express your answer as a common fraction.",
            "How many ways are there to seat seven guests around one table in a row? Express your answer as a common fraction.",
            [],
        ),
        ("a short template that everybody uses", "What is the value of $3 + 4 * 2$?", "What is the value of $5 + 9 * 7$?", []),
        ("another question about the same", ANNA, "Anna sells pies at the market for $3 each. How many did she bake?", []),
    ],
)
def test_what_is_flagged(case, training, held_out, expected):
    found = measures(["A first question of no interest.", training], held_out)
    assert found == expected, f"{case}: {found}, expected {expected}"


def test_normalising_keeps_what_makes_a_question_another():
    assert normalise(r"Is $\left( x^{2} \right)$ even ?") == normalise("is (x^2) even")
    for one, other in [("x + 1", "x - 1"), ("1.5", "15"), ("x^{12}", "x^{1} 2"), ("a < b", "a > b"), ("10%", "10")]:
        assert normalise(one) != normalise(other), (one, other)


def test_numbers_and_names_are_masked():
    words = mask_words(split_words("Then Mary Ann gave twelve of her 1,250 coins, 3 or 4 a day, to him."))
    assert " ".join(words) == "Name gave 0 of Name 0 coins 0 or 0 a day to Name"


@pytest.mark.parametrize(("words", "flagged"), [(54, True), (53, False)])
def test_ninety_percent_of_the_masked_grams_are_enough(words, flagged):
    # One word in the middle stands in five grams: of 50 (54 words) that leaves 90 %, of 49 less.
    held_out = [f"w{'abcdefghij'[i // 10]}{'abcdefghij'[i % 10]}" for i in range(words)]
    training = held_out[:25] + ["other"] + held_out[26:]
    assert (MASKED in measures([" ".join(training)], " ".join(held_out))) is flagged


def test_the_masked_measure_is_its_definition():
    def grams(text: str) -> set:
        words = mask_words(split_words(text))
        return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}

    draw = random.Random(0)
    held_out = [" ".join(draw.choices("abcde", k=draw.randint(5, 40))) for _ in range(60)]
    training = [" ".join(w for w in draw.choice(held_out).split() * 2 if draw.random() > 0.01) for _ in range(300)]
    expected = {
        index: first
        for index, question in enumerate(held_out)
        if (known := grams(question))
        and len(known) >= 10
        and (first := next((i for i, t in enumerate(training) if len(known & grams(t)) >= 0.9 * len(known)), None)) is not None
    }
    assert 10 < len(expected) < 60
    assert contamination_report(training, held_out).matches[MASKED] == expected


def test_the_report_names_the_first_pairs_and_reads_the_training_questions_once():
    report = contamination_report((text for text in ("Another one.", ANNA, ANNA)), ["Nothing like it.", ANNA, BEN])
    assert report.matches == {EXACT: {1: 1}, OVERLAP: {1: 1}, MASKED: {1: 1, 2: 1}}
    assert report.flagged == [1, 2]
    assert report.markdown() == (
        "3 held-out questions against 3 in training.\n\n"
        "| measure | flagged | share | first pair: held out, training |\n"
        "|---|---|---|---|\n"
        "| exact duplicate | 1 | 33.3% | row 1, row 1 |\n"
        "| 13-gram overlap | 1 | 33.3% | row 1, row 1 |\n"
        "| masked 5-gram containment | 2 | 66.7% | row 1, row 1 |\n"
        "| any of them | 2 | 66.7% | |"
    )


def test_nothing_to_compare():
    assert contamination_report([], [ANNA]).flagged == contamination_report([ANNA], []).flagged == []
    assert "0 held-out questions" in contamination_report([ANNA], []).markdown()
