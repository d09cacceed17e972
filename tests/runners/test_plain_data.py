"""Every plain answer is worked out again from the question's text; the sets share no question."""

from __future__ import annotations

import filecmp
import gzip
import json
import math
import re
from calendar import day_name, month_name
from collections import Counter
from pathlib import Path

import pytest

from runners import plain_data
from runners.data.flags import FLAGGED, find_duplicates, find_matches
from runners.demo_data import StaleTeacherAnswersError, questions_digest
from runners.doit_format import Item, ScoringRule, read_doit_folder
from runners.grid_spec import DatasetSpec
from runners.plain_abilities import PLAIN_EXAM_WRITERS, PLAIN_WRITERS
from runners.plain_data import N_POOL, N_SYNTHETIC, N_TEST, synthetic_questions, write_plain_data
from runners.plain_words import CATEGORIES, COMPARATIVES, OPPOSITES, PAST_TENSES, PLURALS
from runners.sft_data import dataset_folder

PARTS = ("curated/full", "curated/test", "questions/full")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plain")
    write_plain_data(root)
    return root


@pytest.fixture(scope="module")
def sets(folder: Path) -> dict[str, dict[str, list[Item]]]:
    return {part: read_doit_folder(folder / part, scored=True) for part in PARTS}


def question_of(item: Item) -> str:
    return item.turns[0].content


# --------------------------------------------------------------- answers, from the text alone

# Written out apart from the generator.
COUNTS = {"one": 1, "two": 2, "three": 3, "four": 4}
SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}
MICROMETERS = {"millimeters": 1e3, "centimeters": 1e4, "meters": 1e6, "kilometers": 1e9}
MICROMETERS |= {"inches": 25400, "feet": 304800, "yards": 914400}
SCALES = (
    SECONDS,
    MICROMETERS,
    {"grams": 1, "kilograms": 1000},
    {"months": 1, "years": 12},
    {"cents": 1, "dollars": 100},
)


def solve_calendar(question: str, options: tuple[str, ...]) -> str:
    step = next(COUNTS[word] for word in re.findall(r"[a-z]+", question) if word in COUNTS)
    back = re.search(r"\b(?:before|back|ago)\b", question)
    assert bool(back) != bool(
        re.search(r"\b(?:after|forward|in (?:one|two|three|four))\b", question)
    )
    names = list(day_name if len(options) == 7 else month_name[1:])
    start = next(place for place, name in enumerate(names) if name in question)
    return names[(start + (-step if back else step)) % len(names)]


def solve_categories(question: str, options: tuple[str, ...]) -> str:
    words = set(re.findall(r"\w+", question)) - set(options)
    kinds = [kind for kind in options if words & set(CATEGORIES[kind].split())]
    assert len(kinds) == 1
    return kinds[0]


def solve_spelling(question: str, options: tuple[str, ...]) -> str:
    asked = {
        r"Spell (\w+) with a dash": "-".join,
        r"letters of (\w+), joined by dashes": "-".join,
        r"do you spell (\w+)\? Put dashes": "-".join,
        r"Write (\w+) in capital": str.upper,
        r"shout the word (\w+): all": str.upper,
        r"Change (\w+) to upper": str.upper,
        r"first letter of (\w+)\?": lambda word: word[0],
        r"does (\w+) start with": lambda word: word[0],
        r"last letter of (\w+)\?": lambda word: word[-1],
        r"does (\w+) end with": lambda word: word[-1],
    }
    (answer,) = [
        make(match.group(1)) for ask, make in asked.items() if (match := re.search(ask, question))
    ]
    return answer


def solve_sums(question: str, options: tuple[str, ...]) -> str:
    first, second = map(int, re.findall(r"\d+", question))
    if re.search(r"gave away|lost|takes out", question):
        return str(first - second)
    assert re.search(r"more|already had", question)
    return str(first + second)


def solve_units(question: str, options: tuple[str, ...]) -> str:
    amount = int(re.search(r"\d+", question).group())
    asked_after = re.search(r"How many (\w+) are|(?:to|many|in) (\w+)[.?]$", question)
    small = next(filter(None, asked_after.groups()))
    (scale,) = [
        scale for scale in SCALES if small in scale and set(question_units(question)) <= set(scale)
    ]
    (large,) = set(question_units(question)) - {small}
    return str(round(amount * scale[large] / scale[small]))


def question_units(question: str) -> list[str]:
    known = {unit for scale in SCALES for unit in scale}
    return [word for word in re.findall(r"[a-z]+", question) if word in known]


def solve_word_forms(question: str, options: tuple[str, ...]) -> str:
    words = re.findall(r"\w+", question)
    for table, sign in (
        (PAST_TENSES, r"[Pp]ast|yesterday"),
        (PLURALS, r"[Pp]lural|several|two what"),
        (COMPARATIVES, r"[Cc]omparative|even what|means more"),
    ):
        if re.search(sign, question):
            return next(form for word, form in table if word in words)
    raise AssertionError(question)


def solve_clock(question: str, options: tuple[str, ...]) -> str:
    start, later = map(int, re.findall(r"\d+", question))
    assert start + later <= 12
    return str(start + later)


def solve_opposites(question: str, options: tuple[str, ...]) -> str:
    word = re.search(r"of (\w+):", question).group(1)
    (answer,) = {entry[1] for entry in OPPOSITES if entry[0] == word}
    return answer


SOLVERS = {
    "calendar": solve_calendar,
    "categories": solve_categories,
    "spelling": solve_spelling,
    "sums": solve_sums,
    "units": solve_units,
    "word_forms": solve_word_forms,
    "exam_clock": solve_clock,
    "exam_opposites": solve_opposites,
}


@pytest.mark.parametrize("ability", [*PLAIN_WRITERS, *PLAIN_EXAM_WRITERS])
def test_every_answer_is_right(sets: dict, ability: str):
    for part in PARTS:
        for item in sets[part].get(ability, ()):
            assert SOLVERS[ability](question_of(item), item.options) == item.gold, item
            assert item.answer == (item.gold if item.scoring_rule is ScoringRule.MATH else None)


# ------------------------------------------------------------------------ disjoint, balanced


def test_sizes(sets: dict):
    counts = {part: {a: len(items) for a, items in some.items()} for part, some in sets.items()}
    assert counts["curated/full"] == dict.fromkeys(PLAIN_WRITERS, N_POOL)
    assert counts["questions/full"] == dict.fromkeys(PLAIN_WRITERS, N_SYNTHETIC)
    assert counts["curated/test"] == dict.fromkeys([*PLAIN_EXAM_WRITERS, *PLAIN_WRITERS], N_TEST)


def test_no_question_occurs_twice(sets: dict):
    seen = Counter(
        question_of(i) for some in sets.values() for items in some.values() for i in items
    )
    assert max(seen.values()) == 1


def test_the_data_check_finds_nothing(sets: dict):
    pools = {
        part: [item for items in sets[part].values() for item in items]
        for part in ("curated/full", "questions/full")
    }
    test = {"test": [item for items in sets["curated/test"].values() for item in items]}
    assert [m for m in find_matches(pools, test) if m.sign in FLAGGED] == []
    for items in pools.values():
        found = find_duplicates(items)
        assert (found.conversation, found.question) == (0, 0)


@pytest.mark.parametrize(
    ("ability", "words"),
    [
        ("categories", " ".join(CATEGORIES.values()).split()),
        ("word_forms", [e[0] for t in (PAST_TENSES, PLURALS, COMPARATIVES) for e in t]),
    ],
)
def test_test_questions_are_about_other_words(sets: dict, ability: str, words: list[str]):
    def asked(part: str) -> set[str]:
        texts = " ".join(question_of(item) for item in sets[part][ability])
        return set(re.findall(r"\w+", texts)) & set(words) - {"like", "write", "give", "come"}

    assert len(asked("curated/test")) >= 20
    assert not asked("curated/test") & (asked("curated/full") | asked("questions/full"))


def test_the_right_option_stands_anywhere_equally_often(sets: dict):
    for ability in ("categories", "exam_opposites"):
        items = sets["curated/full"].get(ability) or sets["curated/test"][ability]
        places = Counter(item.options.index(item.gold) for item in items)
        share = 1 / len(items[0].options)
        spread = math.sqrt(len(items) * share * (1 - share))
        assert len(places) == len(items[0].options), ability
        assert all(abs(n - len(items) * share) < 4 * spread for n in places.values()), ability


def test_words_have_one_answer():
    for table in (PAST_TENSES, PLURALS, COMPARATIVES, OPPOSITES):
        words = [entry[0] for entry in table]
        assert len(set(words)) == len(words)
    listed = " ".join(CATEGORIES.values()).split()
    assert len(set(listed)) == len(listed)


# --------------------------------------------------------------------- seeds and the teacher


def test_same_seed_same_bytes_other_seed_other_questions(folder: Path, tmp_path: Path):
    write_plain_data(tmp_path / "again")
    write_plain_data(tmp_path / "other", seed=1)
    for path in sorted(folder.rglob("*.json")):
        relative = path.relative_to(folder)
        assert filecmp.cmp(path, tmp_path / "again" / relative, shallow=False)
        same = filecmp.cmp(path, tmp_path / "other" / relative, shallow=False)
        # The exams hold a seed's own questions too.
        assert same == (relative.parts[0] != "curated")


def test_a_grid_generates_the_folder_once(tmp_path: Path):
    spec = DatasetSpec(generator="plain", seed=2)
    folder = dataset_folder(spec, tmp_path, tmp_path)
    assert folder.name.startswith("plain-") and folder.name.endswith("-seed2")
    (folder / "kept").touch()
    assert dataset_folder(spec, tmp_path, tmp_path) == folder
    assert (folder / "kept").exists()


def store(path: Path, answers: dict[str, list[str | None]], digest: str | None = None) -> None:
    document = {
        "questions_sha256": digest or questions_digest(synthetic_questions()),
        "provenance": {"teacher": "told"},
        "answers": answers,
    }
    path.write_bytes(gzip.compress(json.dumps(document).encode()))


def test_the_teachers_answers_become_the_synthetic_pool(tmp_path: Path, monkeypatch):
    answers: dict[str, list[str | None]] = {
        ability: [None] + ["wrong"] * (N_SYNTHETIC - 1) for ability in PLAIN_WRITERS
    }
    monkeypatch.setattr(plain_data, "ANSWERS_FILE", tmp_path / "answers.json.gz")
    store(tmp_path / "answers.json.gz", answers)
    write_plain_data(tmp_path / "data")
    pool = read_doit_folder(tmp_path / "data" / "synthetic" / "full", scored=False)
    asked = read_doit_folder(tmp_path / "data" / "questions" / "full", scored=False)
    for ability in PLAIN_WRITERS:
        assert [question_of(i) for i in pool[ability]] == [
            question_of(i) for i in asked[ability][1:]
        ]
        assert {item.gold for item in pool[ability]} == {"wrong"}
    manifest = json.loads((tmp_path / "data/synthetic/full/manifest.json").read_text())
    assert manifest == {"provenance": {"teacher": "told"}}


def test_answers_to_other_questions_are_refused(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(plain_data, "ANSWERS_FILE", tmp_path / "answers.json.gz")
    store(tmp_path / "answers.json.gz", {}, digest="0")
    with pytest.raises(StaleTeacherAnswersError, match="docs/studies/smollm2"):
        write_plain_data(tmp_path / "data")
