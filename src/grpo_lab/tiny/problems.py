"""Word problems in plain English, each with its operands, its steps and its exact answer.

A problem is a story of two to four arithmetic steps from one of ten families. The same seed gives the same problems on every
machine. Which split a problem belongs to is read off a hash of its sums (see `split_of`), so that no question, nor the same
sums under other names, is ever shared between the corpus, the SFT examples, the GRPO pool and the held-out sets.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

OPERATIONS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}

# Shares of all problems, in parts of 100, in the order in which the hash bucket is read.
SPLITS = {"corpus": 60, "sft": 10, "grpo": 15, "dev": 5, "test": 10}


@dataclass(frozen=True)
class Difficulty:
    """How hard the problems are.

    max_number: the largest quantity a story starts from (results may be larger). Default 100.
    steps: how many arithmetic steps a problem takes, drawn evenly from these (name one twice for more of it). Default 2 to 4.
    distractors: the share of problems that also state a number nobody needs. Default 0.3.
    """

    max_number: int = 100
    steps: tuple[int, ...] = (2, 3, 4)
    distractors: float = 0.3


@dataclass(frozen=True)
class Step:
    """One exact operation: `left operator right = result`; a division leaves no remainder."""

    left: int
    operator: str
    right: int

    @property
    def result(self) -> int:
        return OPERATIONS[self.operator](self.left, self.right)


@dataclass(frozen=True)
class Problem:
    """A story, the numbers needed from it, the steps that solve it in order, and its exact answer."""

    family: str
    question: str
    operands: tuple[int, ...]
    steps: tuple[Step, ...]

    @property
    def answer(self) -> int:
        return self.steps[-1].result

    @property
    def sums(self) -> str:
        """The arithmetic of the problem without its wording; two problems with equal sums share a split."""
        return "; ".join(f"{s.left} {s.operator} {s.right}" for s in self.steps)

    @property
    def id(self) -> str:
        """A short hash of the question, the same on every machine."""
        return hashlib.sha256(self.question.encode()).hexdigest()[:16]


def split_of(problem: Problem) -> str:
    """The split that a problem belongs to ("corpus", "sft", "grpo", "dev" or "test"), by a hash of its sums."""
    bucket = int(hashlib.sha256(problem.sums.encode()).hexdigest(), 16) % sum(SPLITS.values())
    for name, share in SPLITS.items():
        if bucket < share:
            return name
        bucket -= share
    raise AssertionError("the shares of SPLITS cover every bucket")


def generate(split: str, seed: int, difficulty: Difficulty = Difficulty()) -> Iterator[Problem]:
    """An endless stream of problems of one split, no question twice. Raises ValueError for an unknown split."""
    if split not in SPLITS:
        raise ValueError(f"Unknown split {split!r}: choose one of {', '.join(SPLITS)}.")
    rng = random.Random(f"{split}-{seed}")  # a string seed is hashed by SHA-512: equal everywhere
    seen = set()
    while True:
        problem = make_problem(rng, difficulty)
        if split_of(problem) == split and problem.question not in seen:
            seen.add(problem.question)
            yield problem


def make_problem(rng: random.Random, difficulty: Difficulty) -> Problem:
    """One problem of a random family at the given difficulty; a story that went below one is drawn again."""
    while True:
        family = rng.choice(list(FAMILIES))
        story = Story(rng, difficulty)
        FAMILIES[family](story, rng.choice(difficulty.steps))
        if all(step.result >= 1 for step in story.steps):
            return story.problem(family)


@dataclass
class Story:
    """A problem while it is being told: its sentences, its operands so far and its steps so far."""

    rng: random.Random
    difficulty: Difficulty
    sentences: list[str] = field(default_factory=list)
    operands: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    ask: str = ""

    def number(self, low: int = 2, high: int | None = None) -> int:
        """A new quantity of the story, from `low` to `high` (default: the difficulty's largest)."""
        self.operands.append(self.rng.randint(low, max(low, high or self.difficulty.max_number)))
        return self.operands[-1]

    def do(self, left: int, operator: str, right: int) -> int:
        self.steps.append(Step(left, operator, right))
        return self.steps[-1].result

    def pick(self, *choices: str) -> str:
        return self.rng.choice(choices)

    def say(self, *wordings: str) -> None:
        self.sentences.append(self.rng.choice(wordings))

    def problem(self, family: str) -> Problem:
        if self.rng.random() < self.difficulty.distractors:
            aside = self.rng.choice(ASIDES).format(n=self.rng.randint(2, self.difficulty.max_number))
            self.sentences.insert(self.rng.randint(1, len(self.sentences)), aside)
        question = " ".join([*self.sentences, self.ask])
        return Problem(family, question, tuple(self.operands), tuple(self.steps))


NAMES = tuple("Anna Ben Clara David Emma Felix Grace Henry Ida Jonas Kate Leo Maria Noah Olga Paul Rosa Sam Tina Victor".split())
THINGS = ("marbles", "stickers", "coins", "shells", "stamps", "cards", "beads", "buttons")
GOODS = ("pens", "books", "cups", "plates", "toys", "lamps", "hats", "bags")
ASIDES = (
    "The street has {n} houses.",
    "The clock on the wall is {n} years old.",
    "It is {n} degrees outside.",
    "The bus ride takes {n} minutes.",
    "The room has {n} windows.",
)


def _events(story: Story, total: int, count: int, gains: tuple[str, ...], losses: tuple[str, ...]) -> int:
    """Tell `count` events that each add to a total or take from it (`{n}` in a wording is the amount)."""
    for _ in range(count):
        if story.rng.random() < 0.5 or total < 4:
            n = story.number()
            story.say(*(wording.format(n=n) for wording in gains))
            total = story.do(total, "+", n)
        else:
            n = story.number(2, min(total - 1, story.difficulty.max_number))
            story.say(*(wording.format(n=n) for wording in losses))
            total = story.do(total, "-", n)
    return total


def collection(story: Story, steps: int) -> None:
    name, things, start = story.pick(*NAMES), story.pick(*THINGS), story.number()
    story.say(
        f"{name} has {start} {things}.",
        f"{name} starts the day with {start} {things}.",
        f"There are {start} {things} in the box of {name}.",
    )
    _events(
        story,
        start,
        steps,
        gains=(f"{name} finds {{n}} more.", f"A friend gives {name} {{n}} {things}.", f"Then {name} buys {{n}} {things}."),
        losses=(f"{name} loses {{n}} of them.", f"{name} gives {{n}} {things} to a friend.", f"Then {name} sells {{n}}."),
    )
    story.ask = story.pick(f"How many {things} does {name} have now?", f"How many {things} are left in the end?")


def shopping(story: Story, steps: int) -> None:
    name, first, second = story.pick(*NAMES), *story.rng.sample(GOODS, 2)
    price, count = story.number(), story.number(2, 9)
    story.say(
        f"{name} buys {count} {first} for {price} dollars each.",
        f"In a shop, {name} pays {price} dollars for each of {count} {first}.",
    )
    total = story.do(price, "*", count)
    if steps >= 3:
        price, count = story.number(), story.number(2, 9)
        story.say(
            f"{name} also buys {count} {second} at {price} dollars each.",
            f"Then {name} takes {count} {second} for {price} dollars each.",
        )
        total = story.do(total, "+", story.do(price, "*", count))
    _events(
        story,
        total,
        steps - len(story.steps),
        gains=("The delivery costs {n} dollars.", f"{name} adds a gift for {{n}} dollars."),
        losses=("A coupon takes {n} dollars off.", "The shop takes {n} dollars off the price."),
    )
    story.ask = story.pick(f"How many dollars does {name} pay?", "What is the whole price in dollars?")


def seats(story: Story, steps: int) -> None:
    place, each, rows = story.pick("hall", "theater", "school", "tent"), story.number(), story.number(2, 9)
    story.say(f"A {place} has {rows} rows of {each} chairs.", f"In a {place} there are {rows} rows with {each} chairs each.")
    _events(
        story,
        story.do(each, "*", rows),
        steps - 1,
        gains=("Workers bring {n} more chairs.", "{n} new chairs are added."),
        losses=("{n} chairs are broken and thrown away.", "{n} of the chairs are taken away."),
    )
    story.ask = story.pick(f"How many chairs does the {place} have now?", f"How many chairs are in the {place} in the end?")


def bakery(story: Story, steps: int) -> None:
    name, food = story.pick(*NAMES), story.pick("rolls", "cookies", "muffins", "pies")
    each, trays = story.number(), story.number(2, 9)
    story.say(f"{name} bakes {trays} trays of {each} {food}.", f"{name} fills {trays} trays with {each} {food} each.")
    total = story.do(each, "*", trays)
    _events(
        story,
        total,
        steps - 1,
        gains=(f"{name} buys {{n}} {food} from a neighbor.", f"Then {name} makes {{n}} more."),
        losses=(f"The children eat {{n}} {food}.", f"{name} sells {{n}} {food}.", "{n} of them get burned."),
    )
    story.ask = story.pick(f"How many {food} are left?", f"How many {food} does {name} have then?")


def trip(story: Story, steps: int) -> None:
    name, unit, day = story.pick(*NAMES), story.pick("miles", "km"), story.number()
    story.say(f"{name} rides {day} {unit} on Monday.", f"On Monday, {name} drives {day} {unit}.")
    total = day
    if steps != 3:
        more = story.number()
        story.say(f"On Tuesday, {name} goes {more} {unit} more than on Monday.", f"Tuesday is {more} {unit} longer than Monday.")
        total = story.do(total, "+", story.do(day, "+", more))
    if steps != 2:
        times = story.number(2, 9)
        story.say(f"On Friday, {name} goes {times} times as far as on Monday.", f"Friday is {times} times as long as Monday.")
        total = story.do(total, "+", story.do(day, "*", times))
    if steps == 3:
        sunday = story.number()
        story.say(f"On Sunday, {name} goes {sunday} {unit}.", f"On Sunday it is {sunday} {unit}.")
        story.do(total, "+", sunday)
    story.ask = story.pick(f"How many {unit} is that in all?", f"How many {unit} does {name} go in all?")


def savings(story: Story, steps: int) -> None:
    name, weekly, weeks = story.pick(*NAMES), story.number(), story.number(2, 9)
    story.say(
        f"{name} saves {weekly} dollars a week for {weeks} weeks.", f"For {weeks} weeks, {name} earns {weekly} dollars a week."
    )
    _events(
        story,
        story.do(weekly, "*", weeks),
        steps - 1,
        gains=(f"{name} gets {{n}} dollars from an uncle.", f"{name} already had {{n}} dollars."),
        losses=(f"{name} spends {{n}} dollars.", f"{name} pays {{n}} dollars for a game."),
    )
    story.ask = story.pick(f"How many dollars does {name} have?", f"How much money does {name} have now?")


def farm(story: Story, steps: int) -> None:
    first, second = story.rng.sample(("hens", "ducks", "sheep", "goats", "cows", "pigs"), 2)
    count, times = story.number(), story.number(2, 9)
    story.say(
        f"A farm has {count} {first} and {times} times as many {second}.",
        f"There are {count} {first} on a farm. There are {times} times as many {second}.",
    )
    total = story.do(count, "+", story.do(count, "*", times))
    _events(
        story,
        total,
        steps - 2,
        gains=("The farmer buys {n} more animals.", "{n} animals are born."),
        losses=("The farmer sells {n} animals.", "{n} animals run away."),
    )
    story.ask = story.pick("How many animals are on the farm?", "How many animals does the farm have?")


def sharing(story: Story, steps: int) -> None:
    name, things, friends = story.pick(*NAMES), story.pick(*THINGS), story.number(2, 9)
    each = story.rng.randint(2, max(2, 2 * story.difficulty.max_number // friends))
    first = story.number(1, friends * each - 1)
    second = friends * each - first
    story.operands.append(second)
    story.say(f"{name} has {first} red and {second} blue {things}.", f"{name} finds {first} {things} and then {second} more.")
    story.say(f"{name} shares them equally among {friends} friends.", f"They are shared equally by {friends} friends.")
    share = story.do(story.do(first, "+", second), "/", friends)
    _events(story, share, steps - 2, gains=("Then each friend gets {n} more.",), losses=("Then each friend loses {n}.",))
    story.ask = f"How many {things} does each friend have?"


def reading(story: Story, steps: int) -> None:
    name, pages, days = story.pick(*NAMES), story.number(), story.number(2, 9)
    left = story.rng.randint(2, story.difficulty.max_number)
    whole = pages * days + left
    story.operands.append(whole)
    story.say(
        f"A book has {whole} pages. {name} reads {pages} pages a day for {days} days.",
        f"{name} has a book of {whole} pages and reads {pages} pages on each of {days} days.",
    )
    rest = story.do(whole, "-", story.do(pages, "*", days))
    _events(
        story,
        rest,
        steps - 2,
        gains=("Then {n} pages are added.", f"{name} wants to read {{n}} pages again."),
        losses=(f"Then {name} reads {{n}} pages more.", f"{name} skips {{n}} pages."),
    )
    story.ask = story.pick("How many pages are left?", f"How many pages must {name} still read?")


def teams(story: Story, steps: int) -> None:
    place, each = story.pick("park", "gym", "camp", "club"), story.rng.randint(2, story.difficulty.max_number)
    groups, gone = story.number(2, 9), story.number()
    come = each * groups + gone
    story.operands.append(come)
    story.say(
        f"{come} children come to the {place}. {gone} of them go home.",
        f"There are {come} children in the {place}, but {gone} leave.",
    )
    story.say(f"The others form {groups} equal teams.", f"The rest are put into {groups} equal teams.")
    size = story.do(story.do(come, "-", gone), "/", groups)
    _events(
        story, size, steps - 2, gains=("Then {n} more children join each team.",), losses=("Then {n} children leave each team.",)
    )
    story.ask = story.pick("How many children are in each team?", "How big is each team?")


FAMILIES = {
    family.__name__: family for family in (collection, shopping, seats, bakery, trip, savings, farm, sharing, reading, teams)
}
