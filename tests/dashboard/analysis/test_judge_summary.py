"""The whole summary: who is measured against whom, what failed, and intervals that cover."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dashboard.analysis.judge import Votes
from dashboard.analysis.judge.document import read_summary, summary_document
from dashboard.analysis.judge.marks import MeanMark, collect_marks, mean_mark
from dashboard.analysis.judge.pairs import JuryRule
from dashboard.analysis.judge.summary import JudgeSummary, ModelRow, summarise_votes
from dashboard.bench.bench_judge import WORLDS, cover, cover_voters
from tests.dashboard.analysis.judge_votes import baseball, make_votes
from warehouse.errors import InputError


def row_of(summary: JudgeSummary, model: str) -> ModelRow:
    (row,) = [row for row in summary.models if row.model == model]
    return row


def against_reference(n_items: int = 30) -> Votes:
    """Return votes of three models against `ref`: `good` wins 2 of 3, `bad` 1 of 3, one fails."""
    rows = []
    for k in range(n_items):
        rows.append((f"i{k}", "ref", "good", 2.0 if k % 3 else 1.0, "a", "judge"))
        rows.append((f"i{k}", "ref", "bad", 1.0 if k % 3 else 2.0, "a", "judge"))
        rows.append((f"i{k}", "ref", "odd", np.nan if k == 0 else 1.5, "b", "judge"))
    return make_votes(*rows)


def test_the_model_in_every_comparison_is_the_reference() -> None:
    summary = summarise_votes(against_reference(), n_replicates=50)
    assert summary.reference == "ref"
    assert not summary.reference_given
    assert [row.model for row in summary.models] == ["good", "odd", "ref", "bad"]
    good = row_of(summary, "good")
    assert good.win_rate is not None
    assert good.win_rate.estimate == pytest.approx(2 / 3)
    assert good.rating is not None
    assert good.rating.estimate == pytest.approx(np.log(2))
    reference = row_of(summary, "ref")
    assert reference.win_rate is not None
    assert (reference.win_rate.estimate, reference.win_rate.stderr) == (0.5, 0.0)
    assert reference.win_rate_overall is not None
    assert reference.win_rate_overall.estimate == pytest.approx(1 - (20 + 10 + 14.5) / 89)


def test_failed_votes_are_counted_and_shrink_n_and_nothing_else() -> None:
    summary = summarise_votes(against_reference(), n_replicates=50)
    odd = row_of(summary, "odd")
    assert odd.n_failed == 1
    assert odd.win_rate is not None
    assert (odd.win_rate.n_items, odd.win_rate.estimate) == (29, 0.5)
    assert (summary.n_failed, summary.n_votes, row_of(summary, "ref").n_failed) == (1, 90, 1)
    assert "1 of 90 votes failed" in read_summary(summary)


def test_two_models_measure_each_other_without_a_reference() -> None:
    summary = summarise_votes(
        make_votes(*[(f"i{k}", "x", "y", 1 + (k % 4 == 0)) for k in range(12)]), n_replicates=50
    )
    assert summary.reference is None
    rates = {row.model: row.win_rate.estimate for row in summary.models if row.win_rate}
    assert rates == {"x": pytest.approx(0.75), "y": pytest.approx(0.25)}


def test_a_model_that_never_met_the_reference_has_a_reason_in_place_of_a_rate() -> None:
    votes = make_votes(
        ("i", "x", "y", 1), ("j", "x", "y", 2), ("i", "y", "z", 1), ("j", "y", "z", 2)
    )
    row = row_of(summarise_votes(votes, reference="x", n_replicates=50), "z")
    assert row.win_rate is None
    assert row.win_rate_reason == "no verdict compares it with x"
    assert row.win_rate_overall is not None
    assert row.rating is not None


def test_people_are_the_jury_only_where_no_judge_voted() -> None:
    rows = [(f"i{k}", "x", "y", 1.0, "a", "judge") for k in range(6)]
    people = [(f"i{k}", "x", "y", 2.0, "a", None, f"ann{k % 2}") for k in range(6)]
    both = summarise_votes(make_votes(*rows, *people), n_replicates=50)
    assert both.jury == ("judge",)
    assert row_of(both, "x").win_rate.estimate == 1  # type: ignore[union-attr]
    only = summarise_votes(make_votes(*people), n_replicates=50)
    assert only.jury == ("ann0", "ann1")
    chosen = summarise_votes(make_votes(*rows, *people), judges=["ann0"], n_replicates=50)
    assert chosen.jury == ("ann0",)
    assert row_of(chosen, "x").win_rate.estimate == 0  # type: ignore[union-attr]
    (row,) = [row for row in both.agreement_with_people if row.annotator_a == "judge"]
    assert (row.result.n, row.result.agreement.estimate) == (6, 0.0)
    assert {(row.annotator_a, row.annotator_b) for row in both.agreement} == {
        ("judge", "ann0"), ("judge", "ann1"),
    }  # fmt: skip


def test_a_split_jury_is_a_tie_by_majority_and_a_mean_otherwise() -> None:
    votes = make_votes(
        *[("i", "x", "y", p, "a", j) for p, j in ((1, "p"), (1, "q"), (2, "r"), (2, "s"))],
        *[("j", "x", "y", p, "a", j) for p, j in ((1, "p"), (1, "q"), (2, "r"))],
    )
    mean = summarise_votes(votes, n_replicates=50)
    majority = summarise_votes(votes, jury_rule=JuryRule.MAJORITY, n_replicates=50)
    assert row_of(mean, "x").win_rate.estimate == pytest.approx((0.5 + 2 / 3) / 2)  # type: ignore[union-attr]
    assert row_of(majority, "x").win_rate.estimate == pytest.approx(0.75)  # type: ignore[union-attr]
    assert (mean.n_ties, majority.n_ties) == (1, 1)


def test_flips_are_counted_by_model_and_said_in_the_sentence() -> None:
    votes = make_votes(
        ("i", "x", "y", 1, "a"), ("i", "x", "y", 2, "b"),
        ("j", "x", "y", 1, "a"), ("j", "x", "y", 1, "b"),
        ("i", "x", "z", 1, "a"),
    )  # fmt: skip
    summary = summarise_votes(votes, n_replicates=50)
    assert row_of(summary, "x").inconsistent_rate == 0.5
    assert (row_of(summary, "x").n_both_orders, row_of(summary, "x").n_one_order) == (2, 1)
    assert row_of(summary, "z").inconsistent_rate is None
    assert "50.0% of verdicts changed with the order" in read_summary(summary)


def test_rubric_ratings_give_mean_marks_and_weighted_agreement() -> None:
    marks = np.array([7.0, 8.0, 9.0, 6.0])
    rows = [(f"i{k}", "x", None, np.nan, None, "p") for k in range(4)]
    rows += [(f"i{k}", "x", None, np.nan, None, "q") for k in range(4)]
    votes = make_votes(*rows, rating=[*marks, *(marks + np.array([0, 1, 0, 1]))])
    summary = summarise_votes(votes, n_replicates=50)
    mark = row_of(summary, "x").mean_mark
    assert mark is not None
    assert mark.estimate == pytest.approx(7.75)
    per_item = marks + np.array([0, 0.5, 0, 0.5])
    assert mark.stderr == pytest.approx(per_item.std(ddof=1) / 2)
    assert row_of(summary, "x").win_rate is None
    (agreement,) = summary.agreement
    assert agreement.on == "ratings"
    assert agreement.result.agreement.estimate == 0.5
    assert agreement.result.weighting.value == "quadratic"
    assert read_summary(summary).startswith("x has the best mean mark, 7.75")


def mean_mark_of(ratings: np.ndarray) -> MeanMark:
    rows = [(f"i{k}", "x", None, np.nan, None, "p") for k in range(len(ratings))]
    mark = mean_mark(collect_marks(make_votes(*rows, rating=ratings)), 0)
    assert mark is not None
    return mark


@pytest.mark.parametrize("ratings", [[10, 10, 10, 10, 10, 10, 7], [1, 1, 2], [10.0] * 20])
def test_the_interval_of_a_mean_mark_stays_on_the_scale_and_has_a_width(
    ratings: list[float],
) -> None:
    interval = mean_mark_of(np.array(ratings)).interval
    assert interval is not None
    assert interval.estimate == pytest.approx(np.mean(ratings))
    assert 1 <= interval.low <= interval.estimate <= interval.high <= 10
    assert interval.high - interval.low > 0.1


def test_one_item_gives_a_mean_mark_without_an_interval() -> None:
    mark = mean_mark_of(np.array([8.0]))
    assert (mark.estimate, mark.stderr, mark.interval) == (8.0, None, None)


@pytest.mark.parametrize(
    ("marks", "shares"),
    [
        ((10, 7), (0.96, 0.04)),
        ((10, 9, 8, 7), (0.85, 0.08, 0.05, 0.02)),
        ((3, 5, 6, 8), (0.25,) * 4),
    ],
)
def test_intervals_of_mean_marks_cover_at_the_end_of_the_scale_too(
    marks: tuple[int, ...], shares: tuple[float, ...]
) -> None:
    rng = np.random.default_rng(0)
    truth = float(np.dot(marks, shares))
    found = [mean_mark_of(rng.choice(marks, size=20, p=shares)).interval for _ in range(300)]
    covered = np.mean([one is not None and one.low <= truth <= one.high for one in found])
    # Two standard errors of 300 draws below 95%; Student's t covers 54% of the first world.
    assert covered >= 0.925


def test_a_rating_off_the_scale_is_refused() -> None:
    with pytest.raises(InputError, match="rating of vote 1 is 0; give a mark from 1 to 10"):
        mean_mark_of(np.array([0.0]))


def test_votes_that_all_failed_give_a_summary_without_numbers() -> None:
    summary = summarise_votes(make_votes(("i", "x", "y", np.nan, "a", "judge")), n_replicates=50)
    assert [row.win_rate for row in summary.models] == [None, None]
    assert read_summary(summary) == (
        "No vote holds a verdict; 1 of 1 votes failed and counts nowhere."
    )


def test_the_document_is_json_with_a_reason_beside_every_null() -> None:
    document = json.loads(
        json.dumps(summary_document(summarise_votes(baseball(), n_replicates=50)), allow_nan=False)
    )
    for row in document["models"]:
        assert {"model", "n_items", "win_rate", "stderr", "failed_votes"} <= set(row)
        assert {"estimate", "low", "high", "level"} <= set(row["rating"])
        assert row["length_controlled_win_rate"] is None
        assert row["length_controlled_reason"] == "the votes hold no answer lengths"
        assert row["inconsistent_rate"] is None
        assert row["inconsistent_rate_reason"] is not None
    assert document["ratings_status"] == "ok"
    assert document["agreement"] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"reference": "nobody"},
            "--reference 'nobody' is none of the models compared; known: bad",
        ),
        ({"judges": ["nobody"]}, "--judge 'nobody' cast no vote; known: judge"),
        ({"level": 1.0}, "--level is 1"),
        ({"n_replicates": 10}, "--replicates is 10"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        summarise_votes(against_reference(), **settings)


def test_no_votes_are_refused() -> None:
    empty = Votes.from_columns(item=[], model_a=[], model_b=[], preference=[])
    with pytest.raises(InputError, match="No votes to summarise"):
        summarise_votes(empty)


@pytest.mark.slow
@pytest.mark.parametrize("world", ["plain", "length"])
def test_intervals_cover_and_tests_of_bias_hold_their_level(world: str) -> None:
    # 100 worlds of three models: the standard error of a coverage of 95% is at most 2.2 points
    # (models of one world are not independent).
    figures = cover(WORLDS[world], 100, n_replicates=200)
    shares = {name: figure["share"] for name, figure in figures.items()}
    for name in ("win_rate", "length_controlled", "rating"):
        assert shares[name] >= 0.89
    assert shares["position_rejected"] <= 0.12
    if world == "plain":
        assert shares["length_rejected"] <= 0.12
    else:
        assert shares["length_rejected"] >= 0.9


@pytest.mark.slow
def test_agreement_covers_and_equal_judges_show_no_self_preference() -> None:
    shares = {name: figure["share"] for name, figure in cover_voters(100).items()}
    assert shares["agreement"] >= 0.89
    assert shares["kappa"] >= 0.89
    assert shares["self_preference_rejected"] <= 0.12
