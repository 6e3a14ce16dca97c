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

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
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

Grams = set[tuple[str, ...]]


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


def _grams(words: Sequence[str], n: int) -> Grams:
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
    memory. 200,000 questions against 2,000 take less than a minute on one core.
    """
    words = [split_words(question) for question in held_out]
    finders = {EXACT: _find_exact(words), OVERLAP: _find_overlap(words), MASKED: _find_masked(words)}
    matches: dict[str, dict[int, int]] = {measure: {} for measure in MEASURES}
    count = 0
    for question in training:
        question_words = split_words(question)
        for measure, find in finders.items():
            for index in find(question_words):
                matches[measure].setdefault(index, count)
        count += 1
    return Contamination(count, len(held_out), matches)


Finder = Callable[[list[str]], Iterable[int]]


def _find_exact(held_out: list[list[str]]) -> Finder:
    known = defaultdict(list)
    for index, words in enumerate(held_out):
        known[_lower(words)].append(index)
    return lambda words: known.get(_lower(words), ())


def _find_overlap(held_out: list[list[str]]) -> Finder:
    known = defaultdict(list)
    for index, words in enumerate(held_out):
        for gram in _grams(_lower(words).split(" "), OVERLAP_WORDS):
            known[gram].append(index)

    def find(words: list[str]) -> set[int]:
        shared = known.keys() & _grams(_lower(words).split(" "), OVERLAP_WORDS)
        return {index for gram in shared for index in known[gram]}

    return find


def _find_masked(held_out: list[list[str]]) -> Finder:
    """By prefix filtering (Chaudhuri, Ganti and Kaushik, 2006): a copy lacks so few of a question's grams that it must hold
    one of its rarest, so only these are looked up, and the share is counted for the few questions that they point to."""
    grams = [_grams(mask_words(words), MASKED_WORDS) for words in held_out]
    frequency = Counter(gram for known in grams for gram in known)
    rare = defaultdict(list)
    for index, known in enumerate(grams):
        if len(known) >= LEAST_GRAMS:
            may_lack = len(known) * (100 - LEAST_PERCENT) // 100
            for gram in sorted(known, key=lambda gram: (frequency[gram], gram))[: may_lack + 1]:
                rare[gram].append(index)

    def find(words: list[str]) -> list[int]:
        found = _grams(mask_words(words), MASKED_WORDS)
        candidates = {index for gram in rare.keys() & found for index in rare[gram]}
        return [index for index in candidates if 100 * len(grams[index] & found) >= LEAST_PERCENT * len(grams[index])]

    return find


def _lower(words: list[str]) -> str:
    return " ".join(words).casefold()
