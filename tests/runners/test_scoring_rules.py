"""Scoring of hand-made items under every rule, chance levels and hostile replies."""

from __future__ import annotations

import math
import threading
import time

import pytest

from runners.doit_format import Item, ScoringRule
from runners.math_answers import extract_answer, is_equivalent, parse_number
from runners.scoring_rules import (
    candidates,
    chance_level,
    chance_level_uniform,
    letters_offered,
    parse_cloze,
    parse_letters,
    parse_truth,
    preferred_candidate,
    right_candidate,
    score_candidates,
    score_reply,
    target,
)
from runners.template import Turn

FOUR = "\nA. a\nB. b\nC. c\nD. d"


def item(question: str, gold: str, rule: ScoringRule, **fields: object) -> Item:
    turns = (Turn(role="user", content=question), Turn(role="assistant", content=gold))
    return Item(turns=turns, ability="x", scoring_rule=rule, **fields)


# ---------------------------------------------------------------------------- letters


@pytest.mark.parametrize(
    ("question", "letters"),
    [
        ("Which?" + FOUR, "ABCD"),
        ("Which?\nA. a\nB. b\nC. c", "ABC"),
        ("Which?\n(A) a\n(B) b\n(C) c", "ABC"),
        ("哪个？\nA．甲\nB．乙\nC．丙", "ABC"),
        ("Which? A. a B. b C. c", "ABC"),
        ("Which? A. a B. b C. c D. d", "ABCD"),
        ("Which vitamin?\nA. vitamin E.\nB. b\nC. c\nD. d\nE. e", "ABCD"),
        ("A: hello\nB: hi\nWho spoke first?", "ABCD"),
        ("A: x\nB: y\nC: z\nD: w\nWho?\nA. a\nB. b\nC. c", "ABC"),
        ("No options here.", "ABCD"),
    ],
)
def test_letters_come_from_the_question(question: str, letters: str):
    assert letters_offered(item(question, "A", ScoringRule.SINGLE_CHOICE)) == letters


def test_letters_come_from_the_last_turn_of_a_few_shot_prompt():
    turns = (
        Turn(role="user", content="Example" + FOUR),
        Turn(role="assistant", content="D"),
        Turn(role="user", content="Which?\nA. a\nB. b\nC. c"),
        Turn(role="assistant", content="C"),
    )
    few_shot = Item(turns=turns, ability="x", scoring_rule=ScoringRule.SINGLE_CHOICE)
    assert candidates(few_shot) == ("A", "B", "C")
    assert right_candidate(few_shot) == 2
    assert chance_level(few_shot) == pytest.approx(1 / 3)


def test_the_right_letter_is_always_on_offer():
    question = "Which?\nA. a\nB. b\nC. c"
    assert letters_offered(item(question, "D", ScoringRule.SINGLE_CHOICE)) == "ABCD"
    six = "\n".join(f"{letter}. x" for letter in "ABCDEF")
    assert letters_offered(item(six, "AF", ScoringRule.MULTI_CHOICE)) == "ABCDEF"


# ---------------------------------------------------------------------------- candidates


def test_single_choice_takes_the_likeliest_letter():
    rule = ScoringRule.SINGLE_CHOICE
    outcome = score_candidates(
        rule, 1, [-3.0, -1.0, -2.0, -4.0], [False, True, False, False], [1] * 4
    )
    assert (outcome.score, outcome.parsed) == (1.0, True)
    outcome = score_candidates(rule, 0, [-3.0, -1.0, -2.0, -4.0], [False] * 4, [1] * 4)
    assert (outcome.score, outcome.parsed) == (0.0, False)


def test_options_of_unequal_length_are_compared_per_token():
    log_likelihoods, n_tokens = [-3.0, -2.0], [3, 1]
    assert preferred_candidate(ScoringRule.OPTION_TEXT, log_likelihoods, n_tokens) == 0
    assert preferred_candidate(ScoringRule.SINGLE_CHOICE, log_likelihoods, n_tokens) == 1


def test_open_ended_takes_the_lowest_mean_loss():
    # Sums prefer the second, means the first.
    outcome = score_candidates(
        ScoringRule.OPEN_ENDED, 0, [-8.0, -6.0, -30.0], [False] * 3, [8, 4, 8]
    )
    assert (outcome.score, outcome.parsed) == (1.0, None)


@pytest.mark.parametrize("rule", ["open_ended", "single_choice", "option_text"])
@pytest.mark.parametrize("right", [0, 1])
def test_ties_are_wrong(rule: str, right: int):
    outcome = score_candidates(ScoringRule(rule), right, [-2.0, -2.0, -3.0], [False] * 3, [1] * 3)
    assert outcome.score == 0.0
    assert preferred_candidate(ScoringRule(rule), [-2.0, -2.0, -3.0], [1] * 3) is None


def test_scores_that_are_not_numbers_are_missing_not_zero():
    outcome = score_candidates(ScoringRule.SINGLE_CHOICE, 0, [math.nan] * 4, [True] * 4, [1] * 4)
    assert (outcome.score, outcome.parsed) == (None, None)
    assert preferred_candidate(ScoringRule.SINGLE_CHOICE, [-1.0, math.nan], [1, 1]) is None


# ---------------------------------------------------------------------------- replies


@pytest.mark.parametrize(
    ("rule", "reply", "right", "score", "parsed"),
    [
        ("multi_choice", "A、C", "AC", 1, True),
        ("multi_choice", "First B.\n(A) and (C)\n \n", "AC", 1, True),
        ("multi_choice", "C A", "先想想。\nA、C", 1, True),
        ("multi_choice", "A", "AC", 0, True),
        ("multi_choice", "ABC", "AC", 0, True),
        ("multi_choice", "AC\nDon't know", "AC", 0, False),
        ("multi_choice", "", "AC", 0, False),
        ("true_false", "正确。", "对", 1, True),
        ("true_false", "这句话是错误的", "×", 1, True),
        ("true_false", "不对", "错", 1, True),
        ("true_false", "不正确", "对", 0, True),
        ("true_false", "True", "yes", 1, True),
        ("true_false", "no .", "no", 1, True),
        ("true_false", "对，也错", "对", 0, False),
        ("true_false", "Therefore nothing", "T", 0, False),
        ("true_false", "", "F", 0, False),
        ("cloze", "杯。", "杯", 1, True),
        ("cloze", "答：杯", "杯", 0, True),
        ("cloze", "山高水长，人远", "山高水长，人远", 1, True),
        ("cloze", "山高水长，人远", "山高水长", 1, True),
        ("cloze", " the  old man. ", "the old man", 1, True),
        ("cloze", "The old man", "the old man", 0, True),
        ("cloze", " 。", "杯", 0, False),
        ("math", "所以 $12$。", "12", 1, True),
        ("math", "I think 3/4", "0.75", 1, True),
        ("math", "I think", "0.75", 0, False),
    ],
)
def test_replies(rule: str, reply: str, right: str, score: int, parsed: bool):
    outcome = score_reply(ScoringRule(rule), reply, right)
    assert (outcome.score, outcome.parsed) == (score, parsed)


def test_a_rule_for_candidates_reads_no_reply():
    with pytest.raises(ValueError, match="open_ended"):
        score_reply(ScoringRule.OPEN_ENDED, "x", "x")


def test_parsers():
    assert parse_letters("D, A") == {"A", "D"}
    assert parse_letters("Apple Daisy") == frozenset()
    assert parse_truth("X") is False
    assert parse_cloze("abc 春天 def") == "春天"


# ---------------------------------------------------------------------------- chance


@pytest.mark.parametrize(
    ("question", "gold", "rule", "fields", "paper", "uniform"),
    [
        (FOUR, "A", "single_choice", {}, 1 / 4, 1 / 4),
        ("\nA. a\nB. b\nC. c", "A", "single_choice", {}, 1 / 3, 1 / 3),
        (FOUR, "A", "multi_choice", {}, 1 / 4, 1 / 15),
        (FOUR, "AC", "multi_choice", {}, 1 / 6, 1 / 15),
        (FOUR, "ABCD", "multi_choice", {}, 1.0, 1 / 15),
        ("\nA. a\nB. b\nC. c", "AB", "multi_choice", {}, 1 / 3, 1 / 7),
        ("q", "T", "true_false", {}, 1 / 2, 1 / 2),
        ("q", "word", "cloze", {}, 0, 0),
        ("q", "2", "math", {"answer": "2"}, 0, 0),
        ("q", "a", "open_ended", {"choices": ("a", "b", "c")}, 1 / 3, 1 / 3),
        ("q", "a", "option_text", {"options": ("a", "b", "c", "d", "e")}, 1 / 5, 1 / 5),
    ],
)
def test_chance_levels(
    question: str, gold: str, rule: str, fields: dict, paper: float, uniform: float
):
    example = item(question, gold, ScoringRule(rule), **fields)
    assert chance_level(example) == pytest.approx(paper)
    assert chance_level_uniform(example) == pytest.approx(uniform)


def test_targets():
    assert target(item("q", "It is 2.", ScoringRule.MATH, answer="2")) == "2"
    assert target(item("q", "gold", ScoringRule.OPEN_ENDED, choices=("a ", "b", "c"))) == "a"
    assert target(item("q", " B ", ScoringRule.SINGLE_CHOICE)) == "B"


# ---------------------------------------------------------------------------- maths


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (r"so \boxed{3} and \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{x = 5}", "5"),
        (r"\fbox{7}", "7"),
        ("we get $a+b=9$", "9"),
        ("10 - 4 = 6", "6"),
        ("1 = 1\n2 = 2.\nbecause", "2"),
        ("between 5-4", "4"),
        ("it is -4", "-4"),
        ("it is 1,234.5 m", "1,234.5"),
        ("答案：3，不是4。答案是 7", "7"),
        ("The answer is 8.", "8"),
        (r"\boxed{2", "2"),
        ("x+y", "x+y"),
        ("no idea 。", None),
        ("", None),
        ("1" * 300, None),
    ],
)
def test_extracted_answers(reply: str, answer: str | None):
    assert extract_answer(reply) == answer


@pytest.mark.parametrize(
    ("answer", "right", "equal"),
    [
        ("1,234", "1234", True),
        ("50%", "0.5", True),
        (r"50\%", "1/2", True),
        ("0.750", r"\frac{3}{4}", True),
        (r"\dfrac34", "0.75", True),
        ("−4", "-4", True),
        (r"5\text{ cm}", "5", True),
        (r"30^\circ", "30", True),
        ("1/0", "1/0", True),
        ("1/0", "2/0", False),
        ("0.333", "1/3", False),
        (r"2\sqrt{2}", r"\sqrt{8}", True),
        ("(x+1)^2", "x^2+2x+1", True),
        ("(x+1)^2", "x^2+2x+2", False),
        ("", "", False),
    ],
)
def test_equivalence(answer: str, right: str, equal: bool):
    assert is_equivalent(answer, right) is equal


def test_numbers_are_read_exactly():
    assert parse_number("0.1") * 3 == parse_number("0.3")
    assert parse_number(".") is None
    assert parse_number("9" * 100) is None


@pytest.mark.parametrize(
    "reply",
    [
        r"\boxed{9^{9^{9^{9}}}}",
        "9**9**9**9**9",
        r"$10^{100000000}$",
        r"$99999!$",
        r"$\sum_{n=1}^{\infty} n$",
        "{" * 2_000_000,
        "$" * 1_000_001,
        r"\boxed{" * 200_000,
        r"\frac{" * 30,
        "(" * 200,
        "=" * 1_000_000,
        "9" * 1_000_000,
        "1,111" * 200_000,
        "__import__('os').abort()",
    ],
)
def test_hostile_replies_end_soon_and_are_wrong(reply: str):
    began = time.perf_counter()
    for rule in ("math", "cloze", "multi_choice", "true_false"):
        assert score_reply(ScoringRule(rule), reply, "2x+1").score == 0.0
    assert time.perf_counter() - began < 10


def test_symbolic_comparison_needs_the_main_thread():
    verdicts: list[bool] = []
    thread = threading.Thread(
        target=lambda: verdicts.extend(
            [is_equivalent("1/2", "0.5"), is_equivalent(r"\sqrt{8}", r"2\sqrt{2}")]
        )
    )
    thread.start()
    thread.join()
    assert verdicts == [True, False]
