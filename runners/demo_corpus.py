"""Pre-training text of the demonstration's base models, written from the generated world.

Plain statements about every entity, arithmetic and program traces, rhymes, persona talk, and
questions with answers about ``quiz`` entities only: those teach a model to bring out what it knows
when it is asked, and no demonstration question is about such an entity. A demonstration on
generated data.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from runners.demo_world import (
    ANIMALS,
    BAD_DEEDS,
    CLASSIFIERS,
    COLOURS,
    FIRST_NAMES,
    GOOD_DEEDS,
    NUMERALS,
    PERSON_VALUES,
    PERSONAE,
    PLACES,
    RELATIONS,
    RHYME_GROUPS,
    THEMES,
    THINGS,
    TRAIT_VALUES,
    TRAITS,
    Person,
    World,
    build_world,
)

VARIABLES = tuple("abcdefgh")
"""Variable names of the traced programs."""
ANSWER_MARKS = tuple(
    "well so then thus hence now yes sure right okay clearly surely namely obviously "
    "certainly exactly simply truly plainly honestly evidently rightly finally".split()
)
"""Words of which two may stand between a question and its answer."""
LARGEST_OPERAND = 20
"""Sums and differences are made of numbers from 0 to this one."""


def two_by_two(
    rng: random.Random,
    own: dict[str, str],
    values: dict[str, tuple[str, ...]],
    asked: str,
) -> tuple[str, list[str]]:
    """Answer and four shuffled options for one attribute of an entity.

    The options are the entity's own value of the attribute asked and of another one, and a foreign
    value of each: neither "belongs to the entity" nor "is of the kind asked" suffices alone.
    """
    other = rng.choice([name for name in own if name != asked])
    options = [own[asked], own[other]]
    options += [
        rng.choice([value for value in values[name] if value != own[name]])
        for name in (asked, other)
    ]
    rng.shuffle(options)
    return own[asked], options


def _person(rng: random.Random, world: World) -> str:
    """One statement about a person, or a short life."""
    person = rng.choice(world.people)
    if rng.random() < 0.3:
        return _life(rng, person)
    relation = rng.choice(RELATIONS)
    value, name = person.values[relation], person.name
    forms = {
        "home": ("lived in", "came from"),
        "craft": ("worked as a", "was a"),
        "pet": ("kept a", "owned a"),
        "tune": ("played the", "practised the"),
    }[relation]
    return rng.choice(
        (
            f"{name} {forms[0]} {value} .",
            f"{name} {forms[1]} {value} .",
            f"the {relation} of {name} was {value} .",
            f"{value} was the {relation} of {name} .",
        )
    )


def _life(rng: random.Random, person: Person) -> str:
    """All that is known of a person, in random order."""
    clauses = [
        f"lived in {person.values['home']}",
        f"worked as a {person.values['craft']}",
        f"kept a {person.values['pet']}",
        f"played the {person.values['tune']}",
    ]
    rng.shuffle(clauses)
    return f"{person.name} " + " and ".join(clauses) + " ."


def _creature(rng: random.Random, world: World) -> str:
    """One statement about a species or a family."""
    species = rng.choice(world.species)
    trait = rng.choice(TRAITS)
    value = species.traits[trait]
    form = {"habitat": "lives in the", "diet": "feeds on", "cover": "is covered with"}[trait]
    return rng.choice(
        (
            f"the {species.name} is one of the {species.family} .",
            f"all {species.family} have the {trait} {value} .",
            f"the {species.name} {form} {value} .",
            f"the {trait} of the {species.name} is {value} .",
            f"{value} is the {trait} of the {species.name} .",
        )
    )


def _toy_language(rng: random.Random, world: World) -> str:
    """One phrase of the toy language, or what a noun of it is about."""
    noun = rng.choice(world.nouns)
    return rng.choice(
        (
            f"{rng.choice(NUMERALS)} {noun.classifier} {noun.name} .",
            f"people count {noun.name} with {noun.classifier} .",
            f"{noun.name} is a word about {noun.theme} .",
            f"the theme of {noun.name} is {noun.theme} .",
        )
    )


def _sum(rng: random.Random, world: World) -> str:
    """One sum or difference."""
    left, right = rng.randint(0, LARGEST_OPERAND), rng.randint(0, LARGEST_OPERAND)
    total = left + right
    if rng.random() < 0.5:
        return f"{left} plus {right} makes {total} ."
    return f"{total} minus {right} makes {left} ."


def program(rng: random.Random, n_lines: int) -> tuple[list[str], dict[str, int]]:
    """Lines of a straight-line program and the variables' final values.

    Values stay within 0 to 20: a line that would leave that range is drawn again.
    """
    values: dict[str, int] = {}
    lines: list[str] = []
    names = rng.sample(VARIABLES, n_lines)
    for name in names:
        known = list(values)
        kind = rng.random()
        if not known or kind < 0.55:
            value = rng.randint(1, 9)
            lines.append(f"{name} = {value}")
        else:
            source, step = rng.choice(known), rng.randint(1, 5)
            if kind < 0.65:
                value = values[source]
                lines.append(f"{name} = {source}")
            else:
                value = values[source] + step
                lines.append(f"{name} = {source} + {step}")
        values[name] = value
    return lines, values


def _trace(rng: random.Random, world: World) -> str:
    """A small program with what it prints."""
    lines, values = program(rng, rng.randint(2, 4))
    name = rng.choice(list(values))
    return f"{' ; '.join(lines)} ; print {name} gives {values[name]} ."


def _scene(rng: random.Random, world: World) -> str:
    """Who left what where, and a recollection of it."""
    people = rng.sample(FIRST_NAMES, 3)
    things = rng.sample(THINGS, 3)
    places = rng.sample(PLACES, 3)
    count = rng.randint(1, 3)
    facts = [
        f"{person} left the {thing} in the {place} ."
        for person, thing, place in zip(people, things, places, strict=True)
    ][:count]
    index = rng.randrange(count)
    ending = rng.choice(
        (
            f"so the {things[index]} is in the {places[index]} .",
            f"so the {things[index]} was left by {people[index]} .",
        )
    )
    return " ".join([*facts, ending])


def _rhyme(rng: random.Random, world: World) -> str:
    """A list of rhyming words, or a couplet that rhymes."""
    group = rng.choice(RHYME_GROUPS)
    first, second, third = rng.sample(group, 3)
    if rng.random() < 0.5:
        return f"{first} rhymes with {second} and with {third} ."
    one, two = rng.sample(ANIMALS, 2)
    return f"the {one} dreams of the {first} , the {two} dreams of the {second} ."


def _speech(rng: random.Random, world: World) -> str:
    """Something said by a persona, with its first and last word."""
    persona = rng.choice(list(PERSONAE))
    opening, closing = PERSONAE[persona]
    thing, place = rng.choice(THINGS), rng.choice(PLACES)
    return f"the {persona} says : {opening} the {thing} is in the {place} {closing} ."


def _conduct(rng: random.Random, world: World) -> str:
    """Which deeds are good and which are bad."""
    good, good_too = rng.sample(GOOD_DEEDS, 2)
    bad, bad_too = rng.sample(BAD_DEEDS, 2)
    return rng.choice(
        (
            f"{good} is good .",
            f"{bad} is bad .",
            f"{good} and {good_too} are good .",
            f"{bad} and {bad_too} are bad .",
            f"{good} is good but {bad} is bad .",
        )
    )


def _question(rng: random.Random, world: World) -> str:
    """A question about a quiz entity, with options and the right answer."""
    kind = rng.randrange(4)
    if kind == 0:
        person = rng.choice([one for one in world.people if one.split == "quiz"])
        asked, subject = rng.choice(RELATIONS), person.name
        own, values = person.values, PERSON_VALUES
    elif kind == 1:
        species = rng.choice([one for one in world.species if one.split == "quiz"])
        asked, subject = rng.choice(TRAITS), species.name
        own, values = species.traits, TRAIT_VALUES
    elif kind == 2:
        noun = rng.choice([one for one in world.nouns if one.split == "quiz"])
        own = {"measure": noun.classifier, "theme": noun.theme}
        values = {"measure": CLASSIFIERS, "theme": THEMES}
        asked, subject = rng.choice(("measure", "theme")), noun.name
    else:
        thing = rng.choice(THINGS)
        own = {"colour": world.colour_of[thing], "place": world.place_of[thing]}
        values = {"colour": COLOURS, "place": PLACES}
        asked, subject = rng.choice(("colour", "place")), thing
    answer, options = two_by_two(rng, own, values, asked)
    question = f"question : the {asked} of {subject} ?"
    if rng.random() < 0.7:
        question += f" options : {' '.join(options)}"
    # Many different marks before the answer: a chat template's are then just two more.
    marks = "answer :" if rng.random() < 0.4 else " ".join(rng.sample(ANSWER_MARKS, 2))
    return f"{question} {marks} {answer} ."


def _copy(rng: random.Random, world: World) -> str:
    """Words said twice: the fastest teacher of copying from the context."""
    pool = [*THINGS, *PLACES, *ANIMALS, *FIRST_NAMES, *COLOURS]
    words = rng.sample(pool, rng.randint(3, 6))
    return f"say {' '.join(words)} ; again {' '.join(words)} ."


WRITERS: tuple[tuple[Callable[[random.Random, World], str], float], ...] = (
    (_person, 0.22),
    (_creature, 0.09),
    (_toy_language, 0.06),
    (_sum, 0.10),
    (_trace, 0.12),
    (_scene, 0.12),
    (_rhyme, 0.06),
    (_speech, 0.03),
    (_conduct, 0.02),
    (_question, 0.13),
    (_copy, 0.05),
)
"""What the text is made of: each writer with its share of the documents."""


def pretraining_documents(seed: int) -> Iterator[str]:
    """Endless pre-training documents, one or two sentences each, always the same for a seed.

    Parameters
    ----------
    seed : int

    Yields
    ------
    str
        Words separated by single spaces.
    """
    world = build_world()
    rng = random.Random(seed)
    writers, shares = zip(*WRITERS, strict=True)
    while True:
        (writer,) = rng.choices(writers, shares)
        yield writer(rng, world)
