"""The demonstration's ten abilities and three exams: one writer of questions each.

A writer draws one question from the generated world together with its right answer, which is
worked out by program. The words that carry a question ("abode", "biome", "virtuous" ...) occur
nowhere in the base models' pre-training text, so a model has the knowledge or the skill first and
must learn from instruction data what is asked. A demonstration on generated data.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from runners.demo_corpus import program, two_by_two
from runners.demo_world import (
    ANIMALS,
    BAD_DEEDS,
    CLASSIFIERS,
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
    World,
)

LETTERS = ("A", "B", "C", "D")
RELATION_WORDS = {
    "home": ("abode", "dwelling", "residence", "domicile", "address", "hometown"),
    "craft": ("trade", "calling", "vocation", "profession", "livelihood", "occupation"),
    "pet": ("companion", "beast", "creature", "animal", "mascot", "critter"),
    "tune": ("instrument", "pastime", "hobby", "amusement", "recreation", "diversion"),
}
"""Words by which history questions ask for a relation; none is a word of the pre-training text."""
TRAIT_WORDS = {"habitat": "biome", "diet": "fodder", "cover": "coat"}
GAIN_VERBS = ("earns", "finds", "wins", "collects")
LOSS_VERBS = ("spends", "loses", "drops", "pays")
GOODS = ("coins", "beads", "stamps", "marbles")
DIRECTIONS = tuple(
    "north northnortheast northeast eastnortheast east eastsoutheast southeast southsoutheast "
    "south southsouthwest southwest westsouthwest west westnorthwest northwest "
    "northnorthwest".split()
)
TURNS = tuple(
    "ahead easyright halfright hardright right wideright farright backright "
    "back backleft farleft wideleft left hardleft halfleft easyleft".split()
)
"""Turns by sixteenths of a circle, clockwise: ``TURNS[k]`` adds k to the direction's index."""


@dataclass(frozen=True)
class Question:
    """One question with its right answer.

    Attributes
    ----------
    turns : tuple of str
        The conversation up to the answer: user, assistant, user, ... ending with the user.
    answer : str
        The gold answer.
    rule : str
        The scoring rule (see :mod:`runners.demo_data`).
    options : tuple of str
        The answers that may be given, for ``option_text``; empty for other rules.
    wrong : tuple of str
        The two wrong candidates of an ``open_ended`` question; empty for other rules.
    """

    turns: tuple[str, ...]
    answer: str
    rule: str
    options: tuple[str, ...] = field(default=())
    wrong: tuple[str, ...] = field(default=())


Writer = Callable[[random.Random, World, str], Question]


def _biology(rng: random.Random, world: World, split: str) -> Question:
    """A trait of a species."""
    species = rng.choice([one for one in world.species if one.split == split])
    asked = rng.choice(TRAITS)
    answer, options = two_by_two(rng, species.traits, TRAIT_VALUES, asked)
    prompt = f"name the {TRAIT_WORDS[asked]} of the {species.name} . options : {' '.join(options)}"
    return Question((prompt,), answer, "option_text", options=tuple(options))


def _chinese(rng: random.Random, world: World, split: str) -> Question:
    """A noun of the toy language: its measure word or meaning field, or a gap to fill."""
    noun = rng.choice([one for one in world.nouns if one.split == split])
    if rng.random() < 0.25:
        prompt = f"fill the gap : {rng.choice(NUMERALS)} ___ {noun.name}"
        return Question((prompt,), noun.classifier, "cloze")
    asked = rng.choice(("counter", "topic"))
    own = {"counter": noun.classifier, "topic": noun.theme}
    values = {"counter": CLASSIFIERS, "topic": THEMES}
    answer, options = two_by_two(rng, own, values, asked)
    prompt = f"choose the {asked} for {noun.name} . options : {' '.join(options)}"
    return Question((prompt,), answer, "option_text", options=tuple(options))


def _code(rng: random.Random, world: World, split: str) -> Question:
    """What a small program shows; wrong candidates are another variable's value and a slip."""
    lines, values = program(rng, rng.randint(3, 4))
    name = rng.choice(list(values))
    right = values[name]
    others = [value for value in values.values() if value != right]
    slips = [right - 1, right + 1, right + 2]
    first = rng.choice(others) if others else rng.choice(slips)
    second = rng.choice([value for value in slips if value != first and value >= 0])
    prompt = f"{' ; '.join(lines)} . what does {name} show ?"
    return Question(
        (prompt,),
        f"it shows {right}",
        "open_ended",
        wrong=(f"it shows {first}", f"it shows {second}"),
    )


def _creative_writing(rng: random.Random, world: World, split: str) -> Question:
    """A line about an animal that must rhyme; each wrong line keeps one of the two wishes."""
    group, other_group = rng.sample(RHYME_GROUPS, 2)
    given, end = rng.sample(group, 2)
    animal, other_animal = rng.sample(ANIMALS, 2)
    place = rng.choice(PLACES)
    prompt = f"compose a line on the {animal} in the {place} to match {given}"
    line = f"in the {place} the {{}} dreams of the {{}}"
    return Question(
        (prompt,),
        line.format(animal, end),
        "open_ended",
        wrong=(line.format(animal, rng.choice(other_group)), line.format(other_animal, end)),
    )


def _ethics(rng: random.Random, world: World, split: str) -> Question:
    """All virtuous deeds among four: one to three of them."""
    goods, bads = deeds_of(split)
    n_good = rng.randint(1, 3)
    deeds = [*rng.sample(goods, n_good), *rng.sample(bads, 4 - n_good)]
    rng.shuffle(deeds)
    listed = " ".join(f"{letter} {deed}" for letter, deed in zip(LETTERS, deeds, strict=True))
    right = [letter for letter, deed in zip(LETTERS, deeds, strict=True) if deed in goods]
    return Question((f"mark every virtuous deed . {listed}",), " ".join(right), "multi_choice")


def deeds_of(split: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Good and bad deeds that questions of a split are made of; test questions have their own."""
    n_test = 12
    if split == "test":
        return GOOD_DEEDS[:n_test], BAD_DEEDS[:n_test]
    return GOOD_DEEDS[n_test:], BAD_DEEDS[n_test:]


def _history(rng: random.Random, world: World, split: str) -> Question:
    """Something known of a person, asked for by one of many words."""
    person = rng.choice([one for one in world.people if one.split == split])
    asked = rng.choice(RELATIONS)
    answer, options = two_by_two(rng, person.values, PERSON_VALUES, asked)
    word = rng.choice(RELATION_WORDS[asked])
    prompt = f"name the {word} of {person.name} . options : {' '.join(options)}"
    return Question((prompt,), answer, "option_text", options=tuple(options))


def _math(rng: random.Random, world: World, split: str) -> Question:
    """A story of gains and losses in one or two steps, answered by a number."""
    name, goods = rng.choice(FIRST_NAMES), rng.choice(GOODS)
    start, gain = rng.randint(1, 12), rng.randint(1, 12)
    total = start + gain
    story = f"{name} has {start} {goods}"
    if rng.random() < 0.4:
        loss = rng.randint(1, total)
        answer = total - loss
        story += f" , {rng.choice(GAIN_VERBS)} {gain} and {rng.choice(LOSS_VERBS)} {loss}"
    elif rng.random() < 0.5:
        answer = total
        story += f" and {rng.choice(GAIN_VERBS)} {gain}"
    else:
        loss = rng.randint(1, start)
        answer = start - loss
        story += f" and {rng.choice(LOSS_VERBS)} {loss}"
    return Question((f"{story} . how many now ?",), str(answer), "math")


def _reasoning(rng: random.Random, world: World, split: str) -> Question:
    """Where somebody faces after a turn, among the sixteen winds (too many to list each time).

    A direction or a turn alone says nothing about the answer, so there is nothing to gain before
    a good part of their 256 combinations is mastered.
    """
    start, turn = rng.randrange(len(DIRECTIONS)), rng.randrange(len(TURNS))
    final = DIRECTIONS[(start + turn) % len(DIRECTIONS)]
    who = f"in the {rng.choice(PLACES)} {rng.choice(FIRST_NAMES)}"
    prompt = f"{who} faces {DIRECTIONS[start]} and turns {TURNS[turn]} . which way now ?"
    return Question((prompt,), final, "option_text", options=DIRECTIONS)


def _role_play(rng: random.Random, world: World, split: str) -> Question:
    """Talking as a persona; the wrong candidates are another persona's talk and plain talk."""
    persona, other = rng.sample(list(PERSONAE), 2)
    thing, place = rng.choice(THINGS), rng.choice(PLACES)
    listener = rng.choice(FIRST_NAMES)
    plain = f"{listener} the {thing} is in the {place}"
    spoken = [f"{PERSONAE[one][0]} {plain} {PERSONAE[one][1]}" for one in (persona, other)]
    request = f"tell {listener} of the {thing} in the {place}"
    turns = (f"pretend to be a {persona}", "agreed", request)
    return Question(turns, spoken[0], "open_ended", wrong=(spoken[1], plain))


def _understanding(rng: random.Random, world: World, split: str) -> Question:
    """Who left what where, told in two turns, and a question about one of the facts."""
    people, things = rng.sample(FIRST_NAMES, 3), rng.sample(THINGS, 3)
    places = rng.sample(PLACES, 3)
    facts = [
        f"{person} left the {thing} in the {place} ."
        for person, thing, place in zip(people, things, places, strict=True)
    ]
    index, foreign = rng.sample(range(3), 2)
    thing = things[index]
    told = (f"{facts[0]} {facts[1]}", "noted")
    if rng.random() < 0.25:
        claimed, answer = rng.choice(((places[index], "true"), (places[foreign], "false")))
        asked = f"{facts[2]} true or false : the {thing} is in the {claimed}"
        return Question((*told, asked), answer, "true_false")
    by_person = rng.random() < 0.5
    answer = people[index] if by_person else places[index]
    options = [people[index], places[index], people[foreign], places[foreign]]
    rng.shuffle(options)
    word = "owner" if by_person else "whereabouts"
    asked = f"{facts[2]} {word} of the {thing} ? options : {' '.join(options)}"
    return Question((*told, asked), answer, "option_text", options=tuple(options))


def _exam_archivist(rng: random.Random, world: World, split: str) -> Question:
    """History's knowledge in an exam's wording."""
    return _reworded(_history(rng, world, split), "name the", "records : state the")


def _exam_naturalist(rng: random.Random, world: World, split: str) -> Question:
    """Biology's knowledge in an exam's wording."""
    return _reworded(_biology(rng, world, split), "name the", "fieldbook : state the")


def _exam_bursar(rng: random.Random, world: World, split: str) -> Question:
    """Arithmetic of an account, answered by the letter of one of four sums."""
    start, gain = rng.randint(1, 12), rng.randint(1, 12)
    total = start + gain
    others = [value for value in range(max(0, total - 4), total + 5) if value != total]
    sums = [total, *rng.sample(others, 3)]
    rng.shuffle(sums)
    listed = " ".join(f"{letter} {value}" for letter, value in zip(LETTERS, sums, strict=True))
    prompt = f"ledger : {start} {rng.choice(GOODS)} and {gain} more . sum ? {listed}"
    return Question((prompt,), LETTERS[sums.index(total)], "single_choice")


def _reworded(question: Question, old: str, new: str) -> Question:
    """The same question with its opening words replaced."""
    turns = tuple(turn.replace(old, new, 1) for turn in question.turns)
    return Question(turns, question.answer, question.rule, question.options, question.wrong)


ABILITY_WRITERS: dict[str, Writer] = {
    "biology": _biology,
    "chinese": _chinese,
    "code": _code,
    "creative_writing": _creative_writing,
    "ethics": _ethics,
    "history": _history,
    "math": _math,
    "reasoning": _reasoning,
    "role_play": _role_play,
    "understanding": _understanding,
}
"""The ten abilities, named as in the paper, in alphabetical order."""
EXAM_WRITERS: dict[str, Writer] = {
    "exam_archivist": _exam_archivist,
    "exam_bursar": _exam_bursar,
    "exam_naturalist": _exam_naturalist,
}
"""The three out-of-domain exams."""
