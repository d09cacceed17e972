"""Every generated answer is worked out again from the question's text, by other code."""

from __future__ import annotations

import filecmp
import gzip
import itertools
import json
import math
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from runners import demo_data
from runners.demo_abilities import RELATION_WORDS, TRAIT_WORDS
from runners.demo_corpus import pretraining_documents
from runners.demo_data import (
    DEMO_ABILITIES,
    DEMO_EXAMS,
    N_EXAM,
    N_POOL,
    N_SYNTHETIC,
    N_VALID,
    StaleTeacherAnswersError,
    curated_questions,
    draw_questions,
    synthetic_questions,
    write_demo_data,
)
from runners.demo_world import GOOD_DEEDS, PERSONAE, RHYME_GROUPS, build_world
from runners.doit_format import ScoringRule, read_doit_folder
from runners.leak_check import find_leaks_in_folders

WORLD = build_world()
PEOPLE = {person.name: person.values for person in WORLD.people}
SPECIES = {species.name: species.traits for species in WORLD.species}
NOUNS = {noun.name: {"counter": noun.classifier, "topic": noun.theme} for noun in WORLD.nouns}
RELATION_OF = {word: relation for relation, words in RELATION_WORDS.items() for word in words}
TRAIT_OF = {word: trait for trait, word in TRAIT_WORDS.items()}
GAINS = {"earns", "finds", "wins", "collects"}
# Bearings in degrees, clockwise from north.
# Written out apart from the generator: where each wind lies and what each turn adds, in degrees.
COMPASS = {"north": 0, "east": 90, "south": 180, "west": 270}
COMPASS |= {"northeast": 45, "southeast": 135, "southwest": 225, "northwest": 315}
COMPASS |= {"northnortheast": 22.5, "eastnortheast": 67.5, "eastsoutheast": 112.5}
COMPASS |= {"southsoutheast": 157.5, "southsouthwest": 202.5, "westsouthwest": 247.5}
COMPASS |= {"westnorthwest": 292.5, "northnorthwest": 337.5}
DEGREES = {"ahead": 0, "easyright": 22.5, "halfright": 45, "hardright": 67.5, "right": 90}
DEGREES |= {"wideright": 112.5, "farright": 135, "backright": 157.5, "back": 180}
DEGREES |= {"easyleft": -22.5, "halfleft": -45, "hardleft": -67.5, "left": -90}
DEGREES |= {"wideleft": -112.5, "farleft": -135, "backleft": -157.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo")
    write_demo_data(root)
    return root


def lines(folder: Path, name: str) -> list[dict]:
    path = folder / f"{name}_demo.json"
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


# --------------------------------------------------------------- answers, from the text alone


def solve_knowledge(question: str) -> str:
    match = re.search(r"(?:name|state) the (\w+) of (the \w+|\w+ \w+) \.", question)
    asked, subject = match.groups()
    if subject.startswith("the "):
        return SPECIES[subject.removeprefix("the ")][TRAIT_OF[asked]]
    return PEOPLE[subject][RELATION_OF[asked]]


def solve_chinese(question: str) -> str:
    if question.startswith("fill the gap"):
        return NOUNS[question.split()[-1]]["counter"]
    asked, noun = re.match(r"choose the (\w+) for (\w+) \.", question).groups()
    return NOUNS[noun][asked]


def solve_code(question: str) -> str:
    program, asked = question.split(" . what does ")
    scope: dict[str, int] = {}
    exec(program.replace(" ; ", "\n"), {}, scope)
    return f"it shows {scope[asked.split()[0]]}"


def solve_ethics(question: str) -> str:
    words = question.split(" . ")[1].split()
    pairs = zip(words[::2], words[1::2], strict=True)
    return " ".join(letter for letter, deed in pairs if deed in GOOD_DEEDS)


def solve_math(question: str) -> str:
    first = int(re.search(r" has (\d+) ", question).group(1))
    steps = re.findall(r"(\w+) (\d+)(?= and| \.)", question.split(" ", 4)[-1])
    return str(first + sum(int(n) if verb in GAINS else -int(n) for verb, n in steps))


def solve_bursar(question: str) -> str:
    first, second = re.search(r": (\d+) \w+ and (\d+) more", question).groups()
    return re.search(rf"([A-D]) {int(first) + int(second)}\b", question).group(1)


def solve_reasoning(question: str) -> str:
    start, turn = re.search(r"faces (\w+) and turns (\w+)", question).groups()
    bearing = (COMPASS[start] + DEGREES[turn]) % 360
    return next(way for way, degrees in COMPASS.items() if degrees == bearing)


def solve_understanding(question: str) -> str:
    facts = re.findall(r"(\w+) left the (\w+) in the (\w+) \.", question)
    owner = {thing: person for person, thing, _ in facts}
    place = {thing: place for _, thing, place in facts}
    claim = re.search(r"true or false : the (\w+) is in the (\w+)$", question)
    if claim:
        return str(place[claim.group(1)] == claim.group(2)).lower()
    asked, thing = re.search(r"(owner|whereabouts) of the (\w+) \?", question).groups()
    return (owner if asked == "owner" else place)[thing]


def role_play_is_right(question: str, reply: str) -> bool:
    persona = re.search(r"pretend to be a (\w+)", question).group(1)
    listener, thing, place = re.search(r"tell (\w+) of the (\w+) in the (\w+)$", question).groups()
    opening, closing = PERSONAE[persona]
    return reply == f"{opening} {listener} the {thing} is in the {place} {closing}"


def verse_is_right(question: str, reply: str) -> bool:
    animal, place, given = re.search(r"the (\w+) in the (\w+) to match (\w+)$", question).groups()
    end = reply.split()[-1]
    rhymes = any(given in group and end in group for group in RHYME_GROUPS) and end != given
    return rhymes and reply.startswith(f"in the {place} the {animal} ")


SOLVERS = {
    "biology": solve_knowledge,
    "chinese": solve_chinese,
    "code": solve_code,
    "ethics": solve_ethics,
    "history": solve_knowledge,
    "math": solve_math,
    "reasoning": solve_reasoning,
    "understanding": solve_understanding,
    "exam_archivist": solve_knowledge,
    "exam_bursar": solve_bursar,
    "exam_naturalist": solve_knowledge,
}
JUDGES = {"role_play": role_play_is_right, "creative_writing": verse_is_right}


def question_text(item: dict) -> str:
    return " ".join(turn["content"] for turn in item["messages"][:-1] if turn["role"] == "user")


def answer_text(item: dict) -> str:
    return item["messages"][-1]["content"]


@pytest.mark.parametrize("part", ["full", "valid", "test"])
@pytest.mark.parametrize("ability", DEMO_ABILITIES)
def test_every_curated_answer_is_right(folder: Path, part: str, ability: str):
    for item in lines(folder / "curated" / part, ability):
        question, gold = question_text(item), item["messages"][-1]["content"]
        if ability in JUDGES:
            assert JUDGES[ability](question, gold), item
            assert not any(JUDGES[ability](question, wrong) for wrong in item["choices"][1:]), item
        else:
            assert SOLVERS[ability](question) == gold, item


@pytest.mark.parametrize("exam", DEMO_EXAMS)
def test_every_exam_answer_is_right_examples_included(folder: Path, exam: str):
    for item in lines(folder / "curated" / "test", exam):
        texts = [turn["content"] for turn in item["messages"]]
        for question, gold in zip(texts[::2], texts[1::2], strict=True):
            assert SOLVERS[exam](question) == gold, item


# ---------------------------------------------------------------------------------- format


def test_sizes(folder: Path):
    counts = {
        part: {ability: len(lines(folder / part, ability)) for ability in DEMO_ABILITIES}
        for part in ("curated/full", "curated/valid", "curated/test", "synthetic/full")
    }
    assert set(counts["curated/full"].values()) == {N_POOL}
    assert set(counts["curated/valid"].values()) == {N_VALID}
    assert set(counts["synthetic/full"].values()) == {N_SYNTHETIC}
    assert min(counts["curated/test"].values()) >= 200
    assert counts["curated/test"]["reasoning"] >= 1000
    assert all(len(lines(folder / "curated/test", exam)) == N_EXAM for exam in DEMO_EXAMS)
    for part in ("curated/full", "curated/valid", "synthetic/full"):
        assert len(list((folder / part).iterdir())) == len(DEMO_ABILITIES)


def test_the_reader_accepts_every_file_and_every_rule_occurs(folder: Path):
    rules = set()
    for part in ("curated/full", "curated/valid", "curated/test", "synthetic/full"):
        for ability, items in read_doit_folder(folder / part).items():
            assert ability in (*DEMO_ABILITIES, *DEMO_EXAMS)
            rules |= {item.scoring_rule for item in items}
    assert rules >= set(ScoringRule)


def test_lines_hold_what_their_rule_needs(folder: Path):
    for part, ability in itertools.product(("curated/test", "synthetic/full"), DEMO_ABILITIES):
        for item in lines(folder / part, ability):
            texts = [turn["content"] for turn in item["messages"]]
            assert all(text and text == " ".join(text.split()) for text in texts), item
            assert [turn["role"] for turn in item["messages"]] == ["user", "assistant"] * (
                len(texts) // 2
            )
            assert item["type"] == ability
            assert (item["question_format"] == 1) == ("choices" in item)
            if "choices" in item:
                assert len(set(item["choices"])) == 3
                assert item["choices"][0] == texts[-1]
            if "options" in item:
                assert texts[-1] in item["options"]
                if ability != "reasoning":
                    assert len(set(item["options"])) == 4
                    assert all(f" {option} " in f"{texts[-2]} " for option in item["options"])
            if item["scoring_rule"] == "math":
                assert item["answer"] == texts[-1]


# ------------------------------------------------------------------- disjoint and balanced


def test_no_question_occurs_twice(folder: Path):
    for ability in DEMO_ABILITIES:
        seen: Counter = Counter()
        for part in ("curated/full", "curated/valid", "curated/test", "synthetic/full"):
            seen.update(
                json.dumps([turn["content"] for turn in item["messages"][:-1]])
                for item in lines(folder / part, ability)
            )
        assert max(seen.values()) == 1, ability


@pytest.mark.parametrize("pool", ["curated/full", "synthetic/full"])
def test_the_overlap_check_finds_nothing(folder: Path, pool: str):
    assert find_leaks_in_folders(folder / pool, folder / "curated/test") == []


@pytest.mark.parametrize(
    ("ability", "pattern"),
    [
        ("biology", r"of the (\w+)"),
        ("history", r"of (\w+ \w+)"),
        ("chinese", r"(?:for|___) (\w+)"),
        ("ethics", r"[A-D] (\w+)"),
    ],
)
def test_test_questions_are_about_other_entities(folder: Path, ability: str, pattern: str):
    entities = {
        part: {
            entity
            for item in lines(folder / part, ability)
            for entity in re.findall(pattern, question_text(item))
        }
        for part in ("curated/full", "curated/test", "synthetic/full")
    }
    assert len(entities["curated/test"]) >= 20
    assert not entities["curated/test"] & entities["curated/full"]
    assert not entities["curated/test"] & entities["synthetic/full"]


def test_pretraining_asks_about_quiz_entities_only():
    everything = (*WORLD.people, *WORLD.species, *WORLD.nouns)
    quiz = {one.name for one in everything if one.split == "quiz"}
    others = {one.name for one in everything} - quiz
    for document in itertools.islice(pretraining_documents(seed=0), 20_000):
        if document.startswith("question"):
            subject = re.search(r" of ([\w ]+) \?", document).group(1)
            assert subject not in others


def test_the_right_option_stands_anywhere_equally_often(folder: Path):
    balanced = []
    for ability in (*DEMO_ABILITIES, *DEMO_EXAMS):
        places, n_places = Counter(), 4
        for item in lines(folder / "curated/test", ability):
            gold = item["messages"][-1]["content"]
            if item["scoring_rule"] == "option_text":
                n_places = len(item["options"])
                places[item["options"].index(gold)] += 1
            elif item["scoring_rule"] == "single_choice":
                places["ABCD".index(gold)] += 1
        if places:
            balanced.append(ability)
            expected = places.total() / n_places
            spread = math.sqrt(expected * (1 - 1 / n_places))
            assert len(places) == n_places, ability
            assert all(abs(count - expected) < 4 * spread for count in places.values()), ability
    assert {"reasoning", "biology", "exam_bursar"} <= set(balanced)


def test_neither_direction_nor_turn_alone_helps(folder: Path):
    items = lines(folder / "curated/full", "reasoning")
    for pattern in (r"faces (\w+)", r"turns (\w+)"):
        pairs = Counter(
            (re.search(pattern, question_text(item)).group(1), answer_text(item)) for item in items
        )
        expected = len(items) / 256
        assert len(pairs) == 256
        assert all(abs(count - expected) < 5 * math.sqrt(expected) for count in pairs.values())


# --------------------------------------------------------------------- seeds and the teacher


def test_same_seed_same_bytes_other_seed_other_questions(folder: Path, tmp_path: Path):
    write_demo_data(tmp_path / "again")
    write_demo_data(tmp_path / "other", seed=1)
    for path in sorted(folder.rglob("*.json")):
        relative = path.relative_to(folder)
        assert filecmp.cmp(path, tmp_path / "again" / relative, shallow=False)
        same = filecmp.cmp(path, tmp_path / "other" / relative, shallow=False)
        assert same == (relative.parts[0] == "synthetic")


def test_the_teacher_errs_but_not_always(folder: Path):
    right = {
        ability: sum(
            given["messages"][-1]["content"] == question.answer
            for given, question in zip(lines(folder / "synthetic/full", ability), some, strict=True)
        )
        / N_SYNTHETIC
        for ability, some in synthetic_questions().items()
    }
    assert any(share > 0.6 for share in right.values()), right
    assert any(share < 0.5 for share in right.values()), right


@pytest.mark.parametrize("missing", [True, False])
def test_stale_teacher_answers_are_refused(
    missing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "answers.json.gz"
    if not missing:
        path.write_bytes(
            gzip.compress(json.dumps({"questions_sha256": "0", "answers": {}}).encode())
        )
    monkeypatch.setattr(demo_data, "TEACHER_ANSWERS", path)
    with pytest.raises(StaleTeacherAnswersError, match=r"python -m runners\.ladder\.teach"):
        write_demo_data(tmp_path / "data")


def test_a_writer_that_repeats_itself_is_refused():
    question = curated_questions(0)["test"]["biology"][0]
    with pytest.raises(ValueError, match="1 different questions of 2"):
        draw_questions(lambda *_: question, "train", 2, random.Random(0), set())
