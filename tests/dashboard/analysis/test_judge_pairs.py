"""Two orders become one verdict, several voters a jury, and failed votes nothing at all."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.analysis.judge import Votes
from dashboard.analysis.judge.pairs import JuryRule, combine_orders, form_jury
from tests.dashboard.analysis.judge_votes import make_votes
from warehouse.errors import InputError


def share_of_x(votes: Votes) -> float:
    comparisons = combine_orders(votes)
    assert len(comparisons) == 1
    x_is_left = votes.models[comparisons.left[0]] == "x"
    share = float(comparisons.share[0])
    return share if x_is_left else 1 - share


def test_agreeing_orders_count_as_a_win() -> None:
    votes = make_votes(("i", "x", "y", 1, "a"), ("i", "x", "y", 1, "b"))
    assert share_of_x(votes) == 1
    assert combine_orders(votes).both_orders.all()
    assert not combine_orders(votes).inconsistent.any()


def test_a_verdict_that_follows_the_order_is_a_tie_and_inconsistent() -> None:
    # x wins when shown first, y wins when shown first.
    votes = make_votes(("i", "x", "y", 1, "a"), ("i", "x", "y", 2, "b"))
    assert share_of_x(votes) == 0.5
    assert combine_orders(votes).inconsistent.all()
    assert combine_orders(votes).first_share.tolist() == [1.0]


def test_a_win_in_one_order_and_a_tie_in_the_other_is_a_tie() -> None:
    votes = make_votes(("i", "x", "y", 1, "a"), ("i", "x", "y", 1.5, "b"))
    assert share_of_x(votes) == 0.5
    assert combine_orders(votes).inconsistent.all()


def test_the_same_votes_listed_the_other_way_round_mean_the_same() -> None:
    votes = make_votes(("i", "x", "y", 1.2, "a"), ("i", "y", "x", 1.7, "a"))
    assert share_of_x(votes) == pytest.approx((0.8 + 0.7) / 2)
    comparison = combine_orders(votes)
    assert comparison.both_orders.all()
    # Shown first: x with 0.8, then y with 0.3.
    assert comparison.first_share[0] == pytest.approx((0.8 + 0.3) / 2)
    assert comparison.listed.tolist() == [0]


def test_a_vote_in_one_order_counts_as_it_stands() -> None:
    votes = make_votes(("i", "y", "x", 1.9, "b"))
    assert share_of_x(votes) == pytest.approx(0.9)
    comparison = combine_orders(votes)
    assert not comparison.both_orders.any()
    assert np.isnan(comparison.first_share).all()
    # x is left and was shown first (the answer of model_b).
    assert comparison.order.tolist() == [1.0]


def test_repeated_votes_in_one_order_are_averaged() -> None:
    votes = make_votes(*[("i", "x", "y", p, "a") for p in (1, 1, 2)], ("i", "x", "y", 1, "b"))
    assert share_of_x(votes) == pytest.approx((2 / 3 + 1) / 2)


def test_listing_both_ways_stands_for_the_order_where_none_is_stated() -> None:
    votes = make_votes(("i", "x", "y", 1), ("i", "y", "x", 1))
    assert share_of_x(votes) == 0.5
    assert combine_orders(votes).inconsistent.all()
    # It is no evidence about position: nobody said what was shown first.
    assert np.isnan(combine_orders(votes).first_share).all()


def test_failed_votes_ratings_and_self_comparisons_make_no_comparison() -> None:
    votes = make_votes(
        ("i", "x", "y", np.nan, "a"),
        ("j", "x", None, np.nan),
        ("k", "x", "x", 1.5),
        rating=[np.nan, 7.0, np.nan],
    )
    assert len(combine_orders(votes)) == 0
    assert votes.failed.tolist() == [True, False, False]


def test_one_failed_order_leaves_the_other_standing() -> None:
    votes = make_votes(("i", "x", "y", 2, "a"), ("i", "x", "y", np.nan, "b"))
    assert share_of_x(votes) == 0
    assert not combine_orders(votes).both_orders.any()


@pytest.mark.parametrize(
    ("preferences", "mean", "majority"),
    [
        ((1, 1, 2), 2 / 3, 1.0),
        ((1, 2), 0.5, 0.5),
        ((1.5, 1.5, 1), 2 / 3, 1.0),
        ((1.1, 1.9, 1.4), 0.5333333, 1.0),
    ],
)
def test_a_jury_takes_the_mean_or_the_majority(
    preferences: tuple[float, ...], mean: float, majority: float
) -> None:
    comparisons = combine_orders(
        make_votes(*[("i", "x", "y", p, "a", f"j{k}") for k, p in enumerate(preferences)])
    )
    assert len(comparisons) == len(preferences)
    assert form_jury(comparisons, JuryRule.MEAN).share[0] == pytest.approx(mean)
    assert form_jury(comparisons, JuryRule.MAJORITY).share[0] == pytest.approx(majority)


def test_lengths_are_left_minus_right_however_listed() -> None:
    votes = make_votes(
        ("i", "x", "y", 1, "a"), ("j", "y", "x", 1, "a"), len_a=[100, 30], len_b=[40, 90]
    )
    assert combine_orders(votes).length_difference.tolist() == [60.0, 60.0]


def test_a_judge_and_a_person_of_one_name_are_two_voters() -> None:
    votes = make_votes(
        ("i", "x", "y", 1, "a", "kim"), ("i", "x", "y", 2, "a", None, "kim"), ("i", "x", "y", 1)
    )
    assert votes.voters == ("kim", "unknown", "kim")
    assert votes.is_person.tolist() == [False, False, True]
    assert len(combine_orders(votes)) == 3


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"preference": [0.5, 1]}, "preference of vote 1 is 0.5; give 1 for model_a"),
        ({"preference": [1, 2.1]}, "preference of vote 2"),
        ({"shown_first": ["a", "left"]}, "shown_first of vote 2 is 'left'"),
        ({"len_a": [-1, 2]}, "len_a of vote 1 is -1"),
        ({"rating": [1, np.inf]}, "rating of vote 2 is inf"),
        ({"difficulty": [np.inf, 1]}, "instruction_difficulty of vote 1"),
        ({"judge": ["j"]}, "judge has 1 entries for 2 votes"),
        ({"len_b": [3]}, "len_b has 1 entries for 2 votes"),
    ],
)
def test_values_that_no_vote_can_have_are_refused(columns: dict, message: str) -> None:
    good = {"item": ["i", "j"], "model_a": ["x"] * 2, "model_b": ["y"] * 2, "preference": [1, 2]}
    with pytest.raises(InputError, match=message):
        Votes.from_columns(**(good | columns))
