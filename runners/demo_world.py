"""The generated world behind the demonstration: people, species, a toy language, deeds, rhymes.

The world is fixed (one seed, no parameters), because the committed base models were pre-trained on
text about it. Pre-training text (:mod:`runners.demo_corpus`) tells its facts; the demonstration's
questions (:mod:`runners.demo_data`) ask for them. Everything here is a demonstration on generated
data: no entry means anything outside it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

WORLD_SEED = 20231019
"""Seed of the world; changing it makes the committed base models ignorant of the new one."""

FIRST_NAMES = tuple(
    "ada bram cora dirk elin finn gwen hugo ines joss kira lars mona nils orla piet rhea sven "
    "tess ulf vera wim yara zeno".split()
)
RELATIONS = ("home", "craft", "pet", "tune")
"""What is known of a person; each relation has its own closed list of values."""
PERSON_VALUES = {
    "home": tuple("arden borlo calder dunmore elgin farrow gorse harwick islay jarrow".split()),
    "craft": tuple(
        "weaver potter mason carver tanner cooper miller glazier saddler brewer".split()
    ),
    "pet": tuple("otter ferret parrot rabbit falcon beagle tortoise donkey gecko pony".split()),
    "tune": tuple("flute drum lute harp organ fiddle cornet zither bagpipe banjo".split()),
}

TRAITS = ("habitat", "diet", "cover")
"""What a species' family fixes."""
TRAIT_VALUES = {
    "habitat": tuple("marsh desert forest reef tundra cave".split()),
    "diet": tuple("seeds insects roots algae nectar carrion".split()),
    "cover": tuple("scales feathers fur spines slime plates".split()),
}
FAMILIES = tuple(
    "orvids tellins mursids galpods nerrids quilpods sarvids drolids huxids lompods cyrrids "
    "wexids".split()
)

CLASSIFIERS = tuple("ta ko mi zu re bo".split())
"""Measure words of the toy language: every noun takes one."""
THEMES = tuple("food tools clothes weather music kinship".split())
"""Meaning fields of the toy language's nouns."""
NUMERALS = tuple("unu dua tria kvara".split())

GOOD_DEEDS = tuple(
    "sharing helping healing thanking forgiving teaching feeding rescuing comforting guiding "
    "donating listening repairing welcoming defending praising planting mentoring cheering "
    "visiting nursing rewarding trusting sheltering encouraging greeting advising consoling "
    "lending restoring".split()
)
BAD_DEEDS = tuple(
    "stealing lying cheating bullying mocking wrecking poisoning betraying robbing insulting "
    "threatening slandering kidnapping forging smuggling bribing beating burning taunting "
    "spying looting hoarding scolding shoving tricking boasting littering vandalising abusing "
    "swindling".split()
)

THINGS = tuple(
    "lamp rope kettle ladder basket mirror candle hammer blanket bottle needle saddle trumpet "
    "shovel teapot wallet umbrella compass".split()
)
PLACES = tuple(
    "cellar attic barn kitchen garden tower stable chapel library harbour bakery school mill inn "
    "yard porch".split()
)
COLOURS = tuple("red blue green white black yellow purple orange".split())

RHYME_GROUPS = tuple(
    tuple(group.split())
    for group in (
        "light night bright kite",
        "stone bone throne phone",
        "rain train plain chain",
        "sea tree bee key",
        "moon spoon dune june",
        "star car jar scar",
        "bell shell well smell",
        "ring king wing spring",
        "snow bow crow row",
        "day hay clay tray",
        "sand hand band land",
        "hill quill pill grill",
        "door floor oar shore",
        "cake lake snake rake",
        "dust crust rust gust",
        "nest chest vest crest",
    )
)
"""Words that rhyme with each other; the line's end decides, as in a verse."""
ANIMALS = tuple("fox owl wolf hare swan goat crab toad lynx moth".split())

PERSONAE = {
    "pirate": ("arr", "matey"),
    "robot": ("beep", "over"),
    "knight": ("hark", "sire"),
    "witch": ("heehee", "dearie"),
    "monk": ("peace", "child"),
    "judge": ("order", "silence"),
    "cowboy": ("howdy", "pardner"),
    "butler": ("indeed", "madam"),
}
"""Each persona's first and last word in everything it says."""


@dataclass(frozen=True)
class Person:
    """One person: a two-word name and one value for each relation.

    Every surname is borne by two people, so a surname alone does not tell who is meant.
    """

    name: str
    values: dict[str, str]
    split: str


@dataclass(frozen=True)
class Species:
    """One species: its traits are those of its family."""

    name: str
    family: str
    traits: dict[str, str]
    split: str


@dataclass(frozen=True)
class Noun:
    """One noun of the toy language, with its measure word and meaning field."""

    name: str
    classifier: str
    theme: str
    split: str


@dataclass(frozen=True)
class World:
    """Every fact of the demonstration.

    Entities carry a `split`: ``quiz`` entities are asked about in pre-training text and nowhere
    else, ``train`` and ``test`` entities appear in pre-training as statements only and are asked
    about in training and test questions respectively.
    """

    people: tuple[Person, ...]
    species: tuple[Species, ...]
    nouns: tuple[Noun, ...]
    colour_of: dict[str, str]
    place_of: dict[str, str]


SPLIT_SHARES = {"quiz": 0.25, "test": 0.35}
"""Shares of every kind of entity; the rest is ``train``."""


def _splits(rng: random.Random, count: int) -> list[str]:
    """`count` split labels in random order, in the shares of SPLIT_SHARES."""
    n_quiz, n_test = (round(SPLIT_SHARES[name] * count) for name in ("quiz", "test"))
    labels = ["quiz"] * n_quiz + ["test"] * n_test + ["train"] * (count - n_quiz - n_test)
    rng.shuffle(labels)
    return labels


def _pseudo_words(rng: random.Random, count: int, endings: tuple[str, ...]) -> list[str]:
    """`count` distinct invented words, pronounceable, that end as given."""
    onsets = "b br d dr f g gl h k l m n p pr r s st t tr v z".split()
    vowels = "a e i o u".split()
    codas = "l m n r s v lk nd rt st".split()
    words: dict[str, None] = {}
    while len(words) < count:
        stem = rng.choice(onsets) + rng.choice(vowels) + rng.choice(codas)
        words[stem + rng.choice(endings)] = None
    return list(words)


def _balanced(rng: random.Random, values: tuple[str, ...], count: int) -> list[str]:
    """`count` values in random order, each value as often as any other (within one)."""
    drawn = [values[index % len(values)] for index in range(count)]
    rng.shuffle(drawn)
    return drawn


@cache
def build_world(n_people: int = 160, n_species: int = 144, n_nouns: int = 132) -> World:
    """Build the world; the same call gives the same world on every machine.

    Parameters
    ----------
    n_people, n_species, n_nouns : int, even count >= 20
        How many of each; the defaults are those that the committed base models know.

    Returns
    -------
    World
    """
    rng = random.Random(WORLD_SEED)
    surnames = _pseudo_words(rng, n_people // 2, ("son", "ley", "ham"))
    pairs = [f"{first} {last}" for last in surnames for first in rng.sample(FIRST_NAMES, 2)]
    rng.shuffle(pairs)
    columns = {name: _balanced(rng, PERSON_VALUES[name], n_people) for name in RELATIONS}
    people = tuple(
        Person(pair, {name: columns[name][index] for name in RELATIONS}, split)
        for index, (pair, split) in enumerate(zip(pairs, _splits(rng, n_people), strict=True))
    )
    family_traits = _family_traits(rng)
    families = _balanced(rng, FAMILIES, n_species)
    species_names = _pseudo_words(rng, n_species, ("ix", "or", "us"))
    species = tuple(
        Species(name, family, family_traits[family], split)
        for name, family, split in zip(
            species_names, families, _splits(rng, n_species), strict=True
        )
    )
    nouns = tuple(
        Noun(*row)
        for row in zip(
            _pseudo_words(rng, n_nouns, ("ela", "imo", "aru")),
            _balanced(rng, CLASSIFIERS, n_nouns),
            _balanced(rng, THEMES, n_nouns),
            _splits(rng, n_nouns),
            strict=True,
        )
    )
    colours = dict(zip(THINGS, _balanced(rng, COLOURS, len(THINGS)), strict=True))
    places = dict(zip(THINGS, _balanced(rng, PLACES, len(THINGS)), strict=True))
    return World(people, species, nouns, colours, places)


def _family_traits(rng: random.Random) -> dict[str, dict[str, str]]:
    """Traits per family, each value of a trait used by equally many families."""
    columns = {trait: _balanced(rng, TRAIT_VALUES[trait], len(FAMILIES)) for trait in TRAITS}
    return {
        family: {trait: columns[trait][index] for trait in TRAITS}
        for index, family in enumerate(FAMILIES)
    }
