"""Word problems in plain English, each with its operands, its steps and its exact answer.

A problem is a story of arithmetic steps from one of twelve families. Two of them, and the telling that asks first, are for
measuring only: nothing that trains ever sees them, the base's corpus included. The same seed gives the same problems on every
machine. Which split a problem belongs to is read off a hash of its first two sums (see `split_of`), so that no question, no chain
of sums, nor one that begins another, is ever shared between the corpus, the SFT examples, the GRPO pool and the held-out sets.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

OPERATIONS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}

# Shares of all problems, in parts of 100, in the order in which the hash bucket is read. A test split after which a recipe was
# changed is `spent`: the next table of results is of the split that was `fresh`, and a new one takes that name.
SPLITS = {"corpus": 55, "sft": 10, "fresh": 5, "grpo": 10, "dev": 5, "spent": 10, "test": 5}


@dataclass(frozen=True)
class Difficulty:
    """How hard the problems are, and how they are told.

    max_number: the largest quantity a story starts from (results may be larger). Default 100.
    steps: how many arithmetic steps a problem takes; each in turn, so that all are equally frequent. Default 2 to 4.
    distractors: the share of problems that also state a number nobody needs. Default 0.3.
    unseen: whether the stories are of the families that nothing trains on, instead of the others.
    question_first: whether the question comes before the story, which nothing trains on either.
    """

    max_number: int = 100
    steps: tuple[int, ...] = (2, 3, 4)
    distractors: float = 0.3
    unseen: bool = False
    question_first: bool = False


@dataclass(frozen=True)
class Step:
    """One exact operation: `left operator right = result`; a division leaves no remainder."""

    left: int
    operator: str
    right: int

    @property
    def result(self) -> int:
        return OPERATIONS[self.operator](self.left, self.right)

    def __str__(self) -> str:
        """The sum, the same for `2 + 3` and `3 + 2`."""
        terms = sorted((self.left, self.right)) if self.operator in "+*" else (self.left, self.right)
        return f"{terms[0]} {self.operator} {terms[1]}"


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
    def beginning(self) -> str:
        """The first two sums without their wording, terms and factors by size; problems that begin alike share a split."""
        return "; ".join(str(step) for step in self.steps[:2])

    @property
    def id(self) -> str:
        """A short hash of the question, the same on every machine."""
        return hashlib.sha256(self.question.encode()).hexdigest()[:16]


def split_of(problem: Problem) -> str:
    """The split that a problem belongs to, one of SPLITS, by a hash of how its sums begin."""
    bucket = int(hashlib.sha256(problem.beginning.encode()).hexdigest(), 16) % sum(SPLITS.values())
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
        problem = make_problem(rng, difficulty, difficulty.steps[len(seen) % len(difficulty.steps)])
        if split_of(problem) == split and problem.question not in seen:
            seen.add(problem.question)
            yield problem


def make_problem(rng: random.Random, difficulty: Difficulty, steps: int) -> Problem:
    """One problem of a random family with so many steps; a story that went below one is drawn again."""
    families = UNSEEN if difficulty.unseen else FAMILIES
    while True:
        family = rng.choice(list(families))
        story = Story(rng, difficulty)
        families[family](story, steps)
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
        sentence = self.rng.choice(wordings)
        self.sentences.append(sentence[0].upper() + sentence[1:])  # it may begin with "the hall"

    def problem(self, family: str) -> Problem:
        if self.rng.random() < self.difficulty.distractors:
            aside = self.rng.choice(ASIDES).format(n=self.rng.randint(2, self.difficulty.max_number))
            self.sentences.insert(self.rng.randint(1, len(self.sentences)), aside)
        first, last = ([self.ask], []) if self.difficulty.question_first else ([], [self.ask])
        question = " ".join([*first, *self.sentences, *last])
        return Problem(family, question, tuple(self.operands), tuple(self.steps))


# What the stories are made of. Many words for few plans, so that a model learns to look past them.
NAMES = tuple(
    """Anna Ben Clara David Emma Felix Grace Henry Ida Jonas Kate Leo Maria Noah Olga Paul Rosa Sam Tina Victor
    Alice Bruno Carla Dora Eric Fiona Greta Hugo Iris Jack Karl Lena Mark Nina Oscar Petra Ralf Sonja Tom Vera
    Amir Bea Chen Dina Elif Farid Gina Hana Ivan Jana Kofi Luis Mila Nuri Omar Pia Rania Sven Tariq Yuki""".split()
)
THINGS = tuple(
    """marbles stickers coins shells stamps cards beads buttons stones pearls dice ribbons nuts keys feathers badges crayons balls
    magnets tickets pens books cups plates toys lamps hats bags shirts bowls clocks socks brushes candles knives forks spoons
    glasses bottles cans jars pencils erasers rulers notebooks folders letters photos posters paintings flags maps kites
    whistles drums bells rings chains gloves scarves belts shoes boots coats pillows blankets towels sponges soaps screws nails
    hammers bolts wires bulbs batteries cables phones radios tiles bricks planks ropes nets hooks pebbles acorns leaves flowers
    seeds masks wigs puzzles dolls robots""".split()
)
CROPS = tuple(
    """apples pears plums lemons peaches melons carrots onions potatoes tomatoes beets pumpkins cherries grapes oranges limes figs
    beans peppers cabbages""".split()
)
CONTAINERS = tuple(
    """boxes bags shelves baskets crates jars drawers cases chests sacks vans bins tins cartons buckets pots packs
    bundles stacks carts trunks lockers""".split()
)
ANIMALS = tuple("hens ducks sheep goats cows pigs geese horses rabbits turkeys donkeys".split())
ASIDES = (
    "The street has {n} houses.",
    "The clock on the wall is {n} years old.",
    "It is {n} degrees outside.",
    "The bus ride takes {n} minutes.",
    "The room has {n} windows.",
)
# What happens to a number of things, told of any of them.
GAINS = (
    "{name} finds {n} more.",
    "A friend gives {name} {n} {things}.",
    "Then {name} buys {n} {things}.",
    "Later {name} gets {n} more {things}.",
    "{n} more {things} arrive.",
    "A neighbor brings {n} {things}.",
    "{n} {things} are added.",
)
LOSSES = (
    "{name} loses {n} of them.",
    "{name} gives {n} {things} to a friend.",
    "Then {name} sells {n}.",
    "Later {name} gives away {n} {things}.",
    "{n} of the {things} are broken.",
    "A neighbor takes {n} {things}.",
    "{n} of them are taken away.",
)
HOW_MANY = (
    "How many {things} does {name} have now?",
    "How many {things} are left in the end?",
    "How many {things} are there now?",
    "How many {things} does {name} have then?",
)


def _events(story: Story, total: int, count: int, gains: tuple[str, ...], losses: tuple[str, ...], **words: str) -> int:
    """Tell `count` events that each add to a total or take from it; `{n}` in a wording is the amount, the rest are `words`."""
    for _ in range(count):
        if story.rng.random() < 0.5 or total < 4:
            n, wordings, operator = story.number(), gains, "+"
        else:
            n, wordings, operator = story.number(2, min(total - 1, story.difficulty.max_number)), losses, "-"
        story.say(*(wording.format(n=n, **words) for wording in wordings))
        total = story.do(total, operator, n)
    return total


def _ask(story: Story, *wordings: str, **words: str) -> None:
    story.ask = story.pick(*wordings).format(**words)


def _groups_of_things(story: Story, steps: int, each: int, groups: int, **words: str) -> None:
    """After an opening that gives `groups` times `each` things: what happens to them."""
    _events(story, story.do(each, "*", groups), steps - 1, GAINS, LOSSES, **words)
    _ask(story, *HOW_MANY, **words)


def collection(story: Story, steps: int) -> None:
    name, things, start = story.pick(*NAMES), story.pick(*THINGS, *CROPS), story.number()
    story.say(
        f"{name} has {start} {things}.",
        f"{name} starts the day with {start} {things}.",
        f"There are {start} {things} in the box of {name}.",
        f"At first {name} has {start} {things}.",
    )
    _events(story, start, steps, GAINS, LOSSES, name=name, things=things)
    _ask(story, *HOW_MANY, name=name, things=things)


def packing(story: Story, steps: int) -> None:
    name, things, container = story.pick(*NAMES), story.pick(*THINGS, *CROPS), story.pick(*CONTAINERS)
    each, groups = story.number(), story.number(2, 9)
    story.say(
        f"{name} has {groups} {container} with {each} {things} each.",
        f"{name} fills {groups} {container} with {each} {things} each.",
        f"{name} packs {groups} {container} of {each} {things}.",
        f"{name} loads {each} {things} into each of {groups} {container}.",
        f"There are {groups} {container} of {each} {things}.",
        f"In each of {groups} {container} there are {each} {things} of {name}.",
    )
    _groups_of_things(story, steps, each, groups, name=name, things=things)


def harvest(story: Story, steps: int) -> None:
    name, crops, places = story.pick(*NAMES), story.pick(*CROPS), story.pick("rows", "fields", "gardens", "beds")
    each, groups = story.number(), story.number(2, 9)
    story.say(
        f"{name} picks {each} {crops} from each of {groups} {places}.",
        f"{groups} {places} give {name} {each} {crops} each.",
        f"{name} has {groups} {places} with {each} {crops} in each.",
    )
    _groups_of_things(story, steps, each, groups, name=name, things=crops)


def seats(story: Story, steps: int) -> None:
    place, name = story.pick("hall", "theater", "school", "tent", "church", "stadium"), story.pick(*NAMES)
    things, each, rows = story.pick("chairs", "seats", "benches"), story.number(), story.number(2, 9)
    story.say(
        f"A {place} has {rows} rows of {each} {things}.",
        f"In a {place} there are {rows} rows with {each} {things} each.",
        f"{name} counts {rows} rows of {each} {things} in a {place}.",
    )
    _groups_of_things(story, steps, each, rows, name=f"the {place}", things=things)


def shopping(story: Story, steps: int) -> None:
    name, first, second = story.pick(*NAMES), *story.rng.sample(THINGS, 2)
    price, count = story.number(), story.number(2, 9)
    story.say(
        f"{name} buys {count} {first} for {price} dollars each.",
        f"In a shop, {name} pays {price} dollars for each of {count} {first}.",
        f"{count} {first} cost {name} {price} dollars each.",
    )
    total = story.do(price, "*", count)
    if steps >= 3:
        price, count = story.number(), story.number(2, 9)
        story.say(
            f"{name} also buys {count} {second} at {price} dollars each.",
            f"Then {name} takes {count} {second} for {price} dollars each.",
            f"{count} {second} cost {price} dollars each.",
        )
        total = story.do(total, "+", story.do(price, "*", count))
    _events(
        story,
        total,
        steps - len(story.steps),
        gains=("The delivery costs {n} dollars.", "{name} adds a gift for {n} dollars."),
        losses=("A coupon takes {n} dollars off.", "The shop takes {n} dollars off the price."),
        name=name,
    )
    _ask(story, f"How many dollars does {name} pay?", "What is the whole price in dollars?")


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
    for weekday in ("Saturday", "Sunday")[: steps - len(story.steps)]:
        distance = story.number()
        story.say(f"On {weekday}, {name} goes {distance} {unit}.", f"On {weekday} it is {distance} {unit}.")
        total = story.do(total, "+", distance)
    _ask(story, f"How many {unit} is that in all?", f"How many {unit} does {name} go in all?")


def savings(story: Story, steps: int) -> None:
    name, weekly, weeks = story.pick(*NAMES), story.number(), story.number(2, 9)
    story.say(
        f"{name} saves {weekly} dollars a week for {weeks} weeks.",
        f"For {weeks} weeks, {name} earns {weekly} dollars a week.",
        f"{name} gets {weekly} dollars in each of {weeks} weeks.",
    )
    _events(
        story,
        story.do(weekly, "*", weeks),
        steps - 1,
        gains=("{name} gets {n} dollars from an uncle.", "{name} already had {n} dollars.", "{name} finds {n} dollars."),
        losses=("{name} spends {n} dollars.", "{name} pays {n} dollars for a game.", "{name} loses {n} dollars."),
        name=name,
    )
    _ask(story, f"How many dollars does {name} have?", f"How much money does {name} have now?")


def farm(story: Story, steps: int) -> None:
    first, second = story.rng.sample(ANIMALS, 2)
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
    _ask(story, "How many animals are on the farm?", "How many animals does the farm have?")


def sharing(story: Story, steps: int) -> None:
    name, things, friends = story.pick(*NAMES), story.pick(*THINGS), story.number(2, 9)
    each = story.rng.randint(2, max(2, 2 * story.difficulty.max_number // friends))
    first = story.number(2, friends * each - 2)
    second = friends * each - first
    story.operands.append(second)
    story.say(f"{name} has {first} red and {second} blue {things}.", f"{name} finds {first} {things} and then {second} more.")
    story.say(f"{name} shares them equally among {friends} friends.", f"They are shared equally by {friends} friends.")
    share = story.do(story.do(first, "+", second), "/", friends)
    _events(
        story,
        share,
        steps - 2,
        gains=("Then each friend gets {n} more.", "{n} more come to each friend."),
        losses=("Then each friend loses {n}.", "{n} of them are taken from each friend."),
    )
    _ask(story, f"How many {things} does each friend have?")


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
        gains=("Then {n} pages are added.", "{name} wants to read {n} pages again."),
        losses=("Then {name} reads {n} pages more.", "{name} skips {n} pages."),
        name=name,
    )
    _ask(story, "How many pages are left?", f"How many pages must {name} still read?")


# The families that nothing trains on: one with a plan that others have, in words that none has; one with a plan of its own.


def bakery(story: Story, steps: int) -> None:
    name, food = story.pick(*NAMES), story.pick("rolls", "cookies", "muffins", "pies")
    each, trays = story.number(), story.number(2, 9)
    story.say(f"{name} bakes {trays} trays of {each} {food}.", f"{name} fills {trays} trays with {each} {food} each.")
    _groups_of_things(story, steps, each, trays, name=name, things=food)


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
    _ask(story, "How many children are in each team?", "How big is each team?")


FAMILIES = {
    family.__name__: family for family in (collection, packing, harvest, seats, shopping, trip, savings, farm, sharing, reading)
}
UNSEEN = {family.__name__: family for family in (bakery, teams)}
