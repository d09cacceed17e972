"""The plain data's abilities and exams: one writer of questions each, in everyday English.

A writer draws one question with its right answer, worked out by program or read from the lists of
:mod:`runners.plain_words`. Each asks in several phrasings, as people would. Questions are short,
since a model of 100 million parameters reads about a hundred tokens a second on two cores.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from runners.demo_abilities import Question
from runners.plain_words import (
    CATEGORIES,
    COMPARATIVES,
    DAYS,
    GOODS,
    MONTHS,
    NAMES,
    OPPOSITES,
    PAST_TENSES,
    PLURALS,
    SPELLED_WORDS,
    UNITS,
    words_of_split,
)

PlainWriter = Callable[[random.Random, str], Question]

NUMBER_WORDS = ("one", "two", "three", "four", "five")


def _calendar(rng: random.Random, split: str) -> Question:
    """A day or month some steps after or before another; test questions have their own steps."""
    names, unit = rng.choice(((DAYS, "day"), (MONTHS, "month")))
    n = len(names)
    cases = [(start, step) for start in range(n) for step in (-4, -3, -2, -1, 1, 2, 3, 4)]
    # Numbers coprime to the lists' lengths would go round: a shuffle spreads the test cases.
    random.Random(unit).shuffle(cases)
    start, step = rng.choice(words_of_split(cases, split))
    steps = NUMBER_WORDS[abs(step) - 1] + f" {unit}" + ("s" if abs(step) > 1 else "")
    relation, way = ("after", "forward") if step > 0 else ("before", "back")
    known = names[start]
    phrasings = [
        f"Which {unit} comes {steps} {relation} {known}?",
        f"What {unit} is {steps} {relation} {known}?",
        f"Name the {unit} that is {steps} {relation} {known}.",
        f"Start at {known} and go {steps} {way}. Where are you?",
        f"Count {steps} {way} from {known}: which {unit} is that?",
    ]
    if step > 0:
        phrasings.append(f"It is {known} now. What {unit} will it be in {steps}?")
    else:
        phrasings.append(f"It is {known} now. What {unit} was it {steps} ago?")
    answer = names[(start + step) % n]
    return Question((rng.choice(phrasings),), answer, "option_text", options=names)


def _categories(rng: random.Random, split: str) -> Question:
    """What kind of thing a word names, of four kinds."""
    kinds = rng.sample(list(CATEGORIES), 4)
    word = rng.choice(words_of_split(CATEGORIES[kinds[0]].split(), split))
    answer = kinds[0]
    rng.shuffle(kinds)
    listed = ", ".join(kinds[:3]) + f" or {kinds[3]}"
    phrasing = rng.choice(
        (
            f"What kind of thing is {word}: {listed}?",
            f"Is this a word for a {listed}? {word}",
            f"Which group does {word} belong to: {listed}?",
            f"Choose the right label for {word}: {listed}.",
            f"I read the word {word}. Does it mean a {listed}?",
            f"Sort {word} into one of these boxes: {listed}.",
        )
    )
    return Question((phrasing,), answer, "option_text", options=tuple(kinds))


def _spelling(rng: random.Random, split: str) -> Question:
    """A word spelled with dashes or in capitals, or one letter of it."""
    word = rng.choice(words_of_split(SPELLED_WORDS, split))
    task = rng.choice(("dashes", "capitals", "first", "last"))
    phrasings = {
        "dashes": (
            f"Spell {word} with a dash between the letters.",
            f"Write out the letters of {word}, joined by dashes.",
            f"How do you spell {word}? Put dashes between letters.",
        ),
        "capitals": (
            f"Write {word} in capital letters.",
            f"Please shout the word {word}: all capitals.",
            f"Change {word} to upper case.",
        ),
        "first": (
            f"What is the first letter of {word}?",
            f"Which letter does {word} start with?",
        ),
        "last": (
            f"What is the last letter of {word}?",
            f"Which letter does {word} end with?",
        ),
    }
    answers = {
        "dashes": "-".join(word),
        "capitals": word.upper(),
        "first": word[0],
        "last": word[-1],
    }
    return Question((rng.choice(phrasings[task]),), answers[task], "cloze")


def _sums(rng: random.Random, split: str) -> Question:
    """A story of having, getting and giving away, in one step."""
    name, goods = rng.choice(words_of_split(NAMES, split)), rng.choice(words_of_split(GOODS, split))
    have, other = rng.randint(4, 30), rng.randint(2, 12)
    if rng.random() < 0.5 or other >= have:
        answer = have + other
        story = rng.choice(
            (
                f"{name} has {have} {goods} and buys {other} more.",
                f"{name} found {other} {goods} and already had {have}.",
                f"There are {have} {goods} in a box. {name} puts in {other} more.",
            )
        )
    else:
        answer = have - other
        story = rng.choice(
            (
                f"{name} had {have} {goods} and gave away {other}.",
                f"Of {have} {goods}, {name} lost {other}.",
                f"There are {have} {goods} in a box. {name} takes out {other}.",
            )
        )
    ending = rng.choice(
        (f"How many {goods} are there now?", "How many is that now?", "What number is left?")
        if answer < have
        else (f"How many {goods} are there now?", "How many is that now?", "How many in all?")
    )
    return Question((f"{story} {ending}",), str(answer), "math")


def _units(rng: random.Random, split: str) -> Question:
    """An amount in a smaller unit; test questions have their own pairs of unit and amount."""
    cases = [(unit, amount) for unit in UNITS for amount in range(2, 16)]
    random.Random("units").shuffle(cases)
    (small, large, factor), amount = rng.choice(words_of_split(cases, split))
    phrasing = rng.choice(
        (
            f"How many {small} are {amount} {large}?",
            f"Convert {amount} {large} to {small}.",
            f"{amount} {large} make how many {small}?",
            f"I have {amount} {large}. How much is that in {small}?",
            f"What is {amount} {large} in {small}?",
        )
    )
    return Question((phrasing,), str(amount * factor), "math")


def _word_forms(rng: random.Random, split: str) -> Question:
    """A past tense, a plural or a comparative, mostly irregular."""
    task = rng.choice(("past", "plural", "comparative"))
    table = {"past": PAST_TENSES, "plural": PLURALS, "comparative": COMPARATIVES}[task]
    word, answer = rng.choice(words_of_split(table, split))
    phrasings = {
        "past": (
            f"What is the past tense of {word}?",
            f"Put the verb {word} into the past.",
            f"Today they {word}. What did they do yesterday?",
            f"How do you say {word} in the past tense?",
            f"Past tense of {word}, please.",
            f"Give me the past form of {word}.",
        ),
        "plural": (
            f"What is the plural of {word}?",
            f"One {word}, but two what?",
            f"How do you write {word} when there are several?",
            f"Plural of {word}, please.",
            f"There is not only one {word} here. There are several what?",
        ),
        "comparative": (
            f"What is the comparative of {word}?",
            f"This one is {word}, but that one is even what?",
            f"Which single word means more {word}?",
            f"Comparative of {word}, please.",
            f"Give me the comparative form of {word}.",
        ),
    }
    return Question((rng.choice(phrasings[task]),), answer, "cloze")


def _exam_clock(rng: random.Random, split: str) -> Question:
    """The hour some hours later, by a clock of twelve hours that does not begin anew."""
    start = rng.randint(1, 11)
    later = rng.randint(1, 12 - start)
    hours = f"{later} hour" + ("s" if later > 1 else "")
    phrasing = rng.choice(
        (
            f"It is {start} o'clock. What hour is it in {hours}?",
            f"The clock shows {start}. Which number does it show after {hours}?",
            f"A trip begins at {start} and takes {hours}. At what hour does it end?",
        )
    )
    return Question((phrasing,), str(start + later), "math")


def _exam_opposites(rng: random.Random, split: str) -> Question:
    """The opposite of a word; a word of like meaning and an unrelated one are offered too."""
    (word, answer, alike), other = rng.sample(OPPOSITES, 2)
    options = [answer, alike, other[1]]
    rng.shuffle(options)
    listed = f"{options[0]}, {options[1]} or {options[2]}"
    phrasing = rng.choice(
        (
            f"What is the opposite of {word}: {listed}?",
            f"Which word means the reverse of {word}: {listed}?",
        )
    )
    return Question((phrasing,), answer, "option_text", options=tuple(options))


PLAIN_WRITERS: dict[str, PlainWriter] = {
    "calendar": _calendar,
    "categories": _categories,
    "spelling": _spelling,
    "sums": _sums,
    "units": _units,
    "word_forms": _word_forms,
}
"""The abilities, in alphabetical order."""
PLAIN_EXAM_WRITERS: dict[str, PlainWriter] = {
    "exam_clock": _exam_clock,
    "exam_opposites": _exam_opposites,
}
"""The two out-of-domain exams: no training data is like them."""
