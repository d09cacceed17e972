"""Leaks planted between pools and evaluation sets are flagged under the right sign."""

from __future__ import annotations

import random

import pytest

from runners.data.flags import FLAGGED, Sign, find_duplicates, find_matches
from runners.data.similar import SimilarTexts, jaccard, shingles_of
from runners.doit_format import Item
from runners.template import Turn

RNG = random.Random(3)
WORDS = [f"w{index}" for index in range(400)]


def item(question: str, answer: str = "yes", ability: str = "biology") -> Item:
    turns = (Turn(role="user", content=question), Turn(role="assistant", content=answer))
    return Item(turns=turns, ability=ability)


def text(n_words: int) -> str:
    return " ".join(RNG.choices(WORDS, k=n_words))


def signs(training: list[Item], evaluation: list[Item], **options: float) -> list[tuple]:
    found = find_matches({"human": training}, {"test": evaluation}, **options)
    return [(match.item, match.sign) for match in found]


def test_each_evaluation_item_counts_once_under_its_strongest_sign():
    question = text(40)
    exam = [item(question, "a")]
    training = [item(question, "a"), item(question, "b"), item(f"{question} please", "c")]
    (match,) = find_matches({"human": training}, {"test": exam})
    assert (match.sign, match.overlap, match.n_training) == (Sign.CONVERSATION, 1.0, 1)
    assert match.training_item == training[0] and match.data_source == "human"
    assert signs(training[1:], exam) == [(exam[0], Sign.QUESTION)]
    assert signs(training[2:], exam) == [(exam[0], Sign.NGRAMS)]


def test_a_changed_word_of_a_short_question_is_similar():
    words = text(14).split()
    changed = " ".join([*words[:-1], "other"])
    exam = [item(" ".join(words)), item(text(14))]
    assert signs([item(changed)], exam) == [(exam[0], Sign.SIMILAR)]
    assert signs([item(changed)], exam, min_similarity=0.95) == [(exam[0], Sign.SPAN)]


def test_a_copied_passage_in_a_long_question_is_a_span():
    passage = text(15)
    exam = [item(f"{text(60)} {passage} {text(60)}"), item(text(120))]
    (match,) = find_matches({"human": [item(f"{text(40)} {passage}")]}, {"test": exam})
    assert (match.item, match.sign) == (exam[0], Sign.SPAN)
    assert match.overlap == pytest.approx(3 / 123)


def test_what_all_questions_of_an_exam_share_is_wording_and_not_flagged():
    frame = text(20)
    exam = [item(f"{frame} {text(12)}") for _ in range(10)]
    found = find_matches({"human": [item(f"{frame} {text(12)}")]}, {"test": exam})
    assert {match.sign for match in found} == {Sign.WORDING} and len(found) == 10
    assert Sign.WORDING not in FLAGGED
    # Short ones from one template are alike among themselves too.
    short = [item(f"{frame} {word}") for word in ("red", "blue", "green")]
    assert {sign for _, sign in signs([item(f"{frame} grey")], short)} <= {
        Sign.WORDING,
        Sign.NGRAMS,
    }


def test_unrelated_items_show_nothing():
    assert signs([item(text(40)) for _ in range(50)], [item(text(40)) for _ in range(50)]) == []


def test_an_item_of_two_sets_is_reported_in_both():
    exam = item(text(10))
    found = find_matches({"human": [exam]}, {"test": [exam], "valid": [exam]})
    assert [match.evaluation_set for match in found] == ["test", "valid"]


def test_similarity_is_the_exact_jaccard_and_misses_little():
    rng = random.Random(11)
    base = [rng.choices(WORDS, k=40) for _ in range(200)]
    texts = SimilarTexts(0.8)
    for words in base:
        texts.add(words)
    n_expected = n_found = 0
    for words in base:
        changed = list(words)
        changed[rng.randrange(40)] = "other"
        found = dict(texts.find(changed))
        for number, other in enumerate(base):
            similarity = jaccard(shingles_of(changed), shingles_of(other))
            if number in found:
                assert found[number] == similarity >= 0.8
            n_expected += similarity >= 0.8
            n_found += number in found
    assert n_expected >= 200
    assert n_found >= 0.99 * n_expected


@pytest.mark.parametrize("min_similarity", [0.95, 0.99, 1.0])
def test_high_thresholds_find_copies_only(min_similarity: float):
    texts = SimilarTexts(min_similarity)
    first, second = text(30).split(), text(30).split()
    texts.add(first)
    assert texts.find(first) == [(0, 1.0)]
    assert texts.find(second) == []
    assert texts.find([*first[:-1], "other"]) == []


def test_copies_of_one_text_are_all_found():
    texts = SimilarTexts()
    words = text(20).split()
    assert [texts.add(words), texts.add(words)] == [0, 1]
    assert texts.find(words) == [(0, 1.0), (1, 1.0)]


def test_duplicates_of_a_pool_are_counted_by_sign():
    question = text(30)
    pool = [
        item(question, "a"),
        item(question, "a", "history"),
        item(question, "b"),
        item(f"{question} now", "c"),
        item(text(30)),
    ]
    found = find_duplicates(pool)
    assert (found.n_items, found.conversation, found.question, found.similar) == (5, 1, 1, 1)
    assert [(sign, one, earlier) for sign, one, earlier in found.examples] == [
        (Sign.CONVERSATION, pool[1], pool[0]),
        (Sign.QUESTION, pool[2], pool[0]),
        (Sign.SIMILAR, pool[3], pool[0]),
    ]
