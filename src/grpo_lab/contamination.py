"""Which held-out questions may a model have met in training: word for word, in part, or as a copy with other numbers?

Three measures, none of which needs a model:

- exact duplicate: the same question after `normalise`;
- 13-gram overlap: a run of 13 words of it stands in a training question (the length that the GPT-3 report uses);
- masked 5-gram containment: of its 5-grams, with all numbers and names masked, at least 90 % stand in one training question.

The last finds the copy in which Anna's 12 apples became Ben's 15, which the first two miss. It takes a question of 14 words
or more: a shorter one is made of phrases that everybody uses ("What is the value of ..."), so nothing follows from them.

A departure from the textbook: a name is any word with a capital letter, and pronouns count as names, because she becomes he
in a copy. The openings of sentences are masked along with them, in both questions alike.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

OVERLAP_WORDS = 13
MASKED_WORDS = 5
LEAST_GRAMS = 10  # masked 5-grams that a question must have to be compared by them
LEAST_PERCENT = 90  # of them that a copy shares

EXACT, OVERLAP, MASKED = MEASURES = ("exact duplicate", "13-gram overlap", "masked 5-gram containment")

_LATEX_LAYOUT = re.compile(r"\\[()\[\],;:!]|\\(?:left|right|displaystyle)(?![a-zA-Z])|\$")
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[^\w\s.,;:!?\"'`’‘“”\\{}\[\]]")
_NUMBER, _NAME = "0", "Name"
_NUMBER_WORDS = frozenset(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million half twice".split()
)
_PRONOUNS = frozenset("he she him her his hers himself herself".split())


def split_words(text: str) -> list[str]:
    r"""The words, numbers and operators of a text; punctuation, LaTeX layout and braces are left out.

    >>> split_words(r"Is \(x^{2} = 1,234.5\)?")
    ['Is', 'x', '^', '2', '=', '1,234.5']
    """
    return _WORD.findall(_LATEX_LAYOUT.sub(" ", unicodedata.normalize("NFKC", text)))


def normalise(text: str) -> str:
    r"""A text by which the same question in another layout is recognised: `split_words` in lower case.

    >>> normalise("What is $2 + 2$ ?") == normalise(r"what is \( 2+2 \)")
    True
    """
    return " ".join(split_words(text)).casefold()


def mask_words(words: Iterable[str]) -> list[str]:
    """The words with each run of numbers as "0" and each run of names (capitals, and pronouns) as "Name".

    >>> " ".join(mask_words(split_words("Then Mary Ann gave 3/4 of her five pies to Tom.")))
    'Name gave 0 / 0 of Name 0 pies to Name'
    """
    masked = [_mask(word) for word in words]
    return [word for before, word in pairwise(["", *masked]) if word != before or word not in (_NUMBER, _NAME)]


@lru_cache(maxsize=100_000)
def _mask(word: str) -> str:
    low = word.casefold()
    if word[0].isdigit() or low in _NUMBER_WORDS:
        return _NUMBER
    return _NAME if word[0].isupper() or low in _PRONOUNS else low


def _grams(words: Sequence[str], n: int) -> set[tuple[str, ...]]:
    """The runs of n words."""
    return set(zip(*(words[i:] for i in range(n))))


@dataclass(frozen=True)
class Contamination:
    """For each of MEASURES: the index of each flagged held-out question, and of the first training question that flagged it."""

    training: int
    held_out: int
    matches: dict[str, dict[int, int]]

    @property
    def flagged(self) -> list[int]:
        """The indices of the held-out questions that any measure flags, in order."""
        return sorted(set().union(*self.matches.values()))

    def markdown(self) -> str:
        """A table: each measure, how many held-out questions it flags, and its first pair of row numbers."""
        lines = ["| measure | flagged | share | first pair: held out, training |", "|---|---|---|---|"]
        for measure, pairs in self.matches.items():
            first = min(pairs.items(), default=None)
            pair = "none" if first is None else f"row {first[0]:,}, row {first[1]:,}"
            lines.append(f"| {measure} | {len(pairs):,} | {self._share(len(pairs))} | {pair} |")
        lines.append(f"| any of them | {len(self.flagged):,} | {self._share(len(self.flagged))} | |")
        return f"{self.held_out:,} held-out questions against {self.training:,} in training.\n\n" + "\n".join(lines)

    def _share(self, flagged: int) -> str:
        return f"{flagged / self.held_out:.1%}" if self.held_out else "0.0%"


def contamination_report(training: Iterable[str], held_out: Sequence[str]) -> Contamination:
    """Compare every held-out question with every training question by the three measures.

    `training` is read once, so it may be a generator, or wrapped in a progress bar; only the held-out questions are kept in
    memory. 200,000 questions against 2,000 take about a minute on one core.
    """
    # In which held-out questions each gram stands, and how many masked grams there are in each that has enough to be compared.
    places = {measure: defaultdict(list) for measure in MEASURES}
    masked = {}
    for index, question in enumerate(held_out):
        grams_by_measure = _grams_by_measure(question)
        for measure, grams in grams_by_measure.items():
            for gram in grams:
                places[measure][gram].append(index)
        if len(grams_by_measure[MASKED]) >= LEAST_GRAMS:
            masked[index] = len(grams_by_measure[MASKED])

    # One shared gram is enough, of the masked ones LEAST_PERCENT of the question's.
    matches: dict[str, dict[int, int]] = {measure: {} for measure in MEASURES}
    number = -1
    for number, question in enumerate(training):
        for measure, grams in _grams_by_measure(question).items():
            shared = Counter(index for gram in places[measure].keys() & grams for index in places[measure][gram])
            for index, count in shared.items():
                if measure != MASKED or 100 * count >= LEAST_PERCENT * masked.get(index, math.inf):
                    matches[measure].setdefault(index, number)
    return Contamination(number + 1, len(held_out), matches)


def _grams_by_measure(question: str) -> dict[str, set]:
    """What two questions must share, for each of MEASURES; the whole question is the one gram of the first."""
    words = split_words(question)
    lower = " ".join(words).casefold()
    return {EXACT: {lower}, OVERLAP: _grams(lower.split(" "), OVERLAP_WORDS), MASKED: _grams(mask_words(words), MASKED_WORDS)}
