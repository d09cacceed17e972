"""Leaks planted between training and evaluation items are found, and nothing else is."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from runners.doit_format import Item
from runners.leak_check import LeakKind, find_leaks, find_leaks_in_folders
from runners.template import Turn

DOIT = Path(__file__).parents[1] / "fixtures" / "doit"
LONG = " ".join(f"word{index}" for index in range(30))


def item(question: str, answer: str = "yes", ability: str = "biology") -> Item:
    turns = (Turn(role="user", content=question), Turn(role="assistant", content=answer))
    return Item(turns=turns, ability=ability)


def kinds(training: list[Item], evaluation: list[Item], **options: float) -> list[tuple]:
    return [(leak.kind, leak.overlap) for leak in find_leaks(training, evaluation, **options)]


def test_same_conversation_whatever_its_spelling():
    leaks = find_leaks([item("Is  WATER wet?!", "Yes.")], [item("is water, wet", "yes")])
    assert [leak.kind for leak in leaks] == [LeakKind.CONVERSATION]
    assert leaks[0].training_item_id == item("Is  WATER wet?!", "Yes.").item_id
    assert leaks[0].evaluation_item_id == item("is water, wet", "yes").item_id


def test_same_question_with_another_answer_and_ability():
    training = [item("水会流动吗？", "会", "chinese")]
    assert kinds(training, [item("水会流动吗", "不会")]) == [(LeakKind.QUESTION, 1.0)]


def test_different_short_questions_share_nothing():
    assert (
        kinds(
            [item("What is the colour of grass in the old park ?")],
            [item("What is the colour of snow in the old park ?")],
        )
        == []
    )


def test_long_question_inside_a_longer_one():
    assert kinds([item(f"Please answer. {LONG}. Thanks.")], [item(LONG)]) == [
        (LeakKind.NGRAMS, 1.0)
    ]
    # Four of the 23 n-grams hold the changed word next to last.
    changed = LONG.replace("word26", "other")
    assert kinds([item(changed)], [item(LONG)]) == [(LeakKind.NGRAMS, pytest.approx(19 / 23))]
    assert kinds([item(changed)], [item(LONG)], min_overlap=0.9) == []


def test_ngrams_count_characters_of_chinese():
    text = "春天的早晨小河边开满了黄色和白色的花朵孩子们在草地上奔跑"
    assert kinds([item(f"请朗读：{text}，谢谢")], [item(text)]) == [(LeakKind.NGRAMS, 1.0)]


def test_examples_of_few_shot_exams_are_no_question():
    def exam(example: str, question: str) -> Item:
        texts = [("user", example), ("assistant", "A"), ("user", question), ("assistant", "B")]
        turns = tuple(Turn(role=role, content=text) for role, text in texts)
        return Item(turns=turns, ability="ceval_physician_fshot")

    evaluation = [exam("shared example", "first question")]
    assert kinds([exam("shared example", "second question")], evaluation) == []
    assert kinds([item("first question", "C")], evaluation) == [(LeakKind.QUESTION, 1.0)]


@pytest.mark.parametrize("min_overlap", [0.3, 0.5, 0.8, 1.0])
def test_indexing_rare_ngrams_misses_no_pair(min_overlap: float):
    rng = random.Random(7)

    def text() -> str:
        start = rng.randrange(40)
        words = [f"w{index}" for index in range(start, start + 25)]
        words[rng.randrange(25)] = "x"
        return " ".join(words)

    training, evaluation = [item(text()) for _ in range(60)], [item(text()) for _ in range(60)]
    found = {
        (leak.training_item_id, leak.evaluation_item_id)
        for leak in find_leaks(training, evaluation, min_overlap=min_overlap)
    }

    def ngrams(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[start : start + 8]) for start in range(len(words) - 7)}

    expected = set()
    for one in training:
        have = ngrams([*one.turns[0].content.split(), "yes"])
        for other in evaluation:
            wanted = ngrams(other.turns[0].content.split())
            if len(have & wanted) / len(wanted) >= min_overlap:
                expected.add((one.item_id, other.item_id))
    assert found == expected
    assert expected


def test_order_is_that_of_the_items_and_copies_count_once():
    training = [item("b"), item("a"), item("b")]
    evaluation = [item("a", "no"), item("b", "no")]
    leaks = find_leaks(training, evaluation)
    assert [leak.training_item_id for leak in leaks] == [item("b").item_id, item("a").item_id]


def test_folders_in_the_doit_format():
    leaks = find_leaks_in_folders(DOIT / "curated/full", DOIT / "curated/test")
    assert [(leak.kind, leak.overlap) for leak in leaks] == [(LeakKind.CONVERSATION, 1.0)]
    assert find_leaks_in_folders(DOIT / "synthetic/40960", DOIT / "curated/test") == []


def test_templated_questions_stay_fast():
    rng = random.Random(1)
    fixed = "Read the story with care and answer the question that stands at its very end ."

    def story() -> Item:
        return item(f"{fixed} {' '.join(str(rng.randrange(800)) for _ in range(20))} {fixed}")

    training, evaluation = [story() for _ in range(5000)], [story() for _ in range(1000)]
    began = time.process_time()
    assert find_leaks(training, evaluation, min_overlap=0.9) == []
    assert time.process_time() - began < 5
