"""Ratings: published tables reproduced, statsmodels agreed with, missing links said."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from dashboard.analysis.judge import Votes
from dashboard.analysis.judge.bradley_terry import Ratings, RatingStatus, fit_ratings
from dashboard.analysis.judge.pairs import combine_orders
from tests.dashboard.analysis.judge_votes import baseball, citations, make_votes


def rate(votes: Votes, reference: str | None = None, **settings: object) -> Ratings:
    code = None if reference is None else votes.models.index(reference)
    return fit_ratings(combine_orders(votes), votes.models, reference=code, **settings)


def abilities(ratings: Ratings) -> np.ndarray:
    return np.sort(np.exp(ratings.theta) / np.exp(ratings.theta).sum())


def test_baseball_ratings_are_the_published_ones() -> None:
    ratings = rate(baseball(), "Baltimore", n_replicates=500)
    assert ratings.status is RatingStatus.OK
    published = [0, 0.68, 1.11, 1.25, 1.29, 1.44, 1.58]
    assert np.sort(ratings.theta) == pytest.approx(published, abs=0.0051)
    others = ratings.stderr[ratings.theta != 0]
    assert (others > 0.27).all()
    assert (others < 0.42).all()


def test_baseball_with_home_effect_gives_the_published_effect_and_abilities() -> None:
    ratings = rate(baseball(), order_effect=True, n_replicates=500)
    assert ratings.order_effect is not None
    assert ratings.order_effect.estimate == pytest.approx(0.302, abs=0.0005)
    assert 0 < ratings.order_effect.low < 0.302 < ratings.order_effect.high
    published = [0.044, 0.088, 0.137, 0.157, 0.164, 0.190, 0.220]
    assert abilities(ratings) == pytest.approx(published, abs=0.0005)


def test_citation_ratings_are_the_published_ones() -> None:
    votes = citations()
    ratings = rate(votes, "Biometrika", n_replicates=100)
    by_name = dict(zip(votes.models, ratings.theta, strict=True))
    assert by_name["Comm Statist"] == pytest.approx(-2.949, abs=0.0005)
    assert by_name["JASA"] == pytest.approx(-0.480, abs=0.0005)
    assert by_name["JRSS-B"] == pytest.approx(0.269, abs=0.0005)


def test_graded_preferences_and_ties_agree_with_a_binomial_glm_of_statsmodels() -> None:
    rng = np.random.default_rng(8)
    names = list("wxyz")
    rows = [
        (f"i{k}", *rng.permutation(names)[:2].tolist(), rng.choice([1, 1.25, 1.5, 1.9, 2]), "a")
        for k in range(300)
    ]
    votes = make_votes(*rows)
    c = combine_orders(votes)
    design = np.zeros((len(c), 5))
    design[np.arange(len(c)), c.left] += 1
    design[np.arange(len(c)), c.right] -= 1
    design[:, 4] = c.order
    oracle = sm.GLM(c.share, np.delete(design, 0, axis=1), family=sm.families.Binomial()).fit()
    ratings = rate(votes, "w", order_effect=True, n_replicates=50)
    assert ratings.theta[1:] == pytest.approx(oracle.params[:3], abs=1e-6)
    assert ratings.order_effect is not None
    assert ratings.order_effect.estimate == pytest.approx(oracle.params[3], abs=1e-6)


def test_without_a_reference_the_mean_is_zero_and_intervals_hold_the_estimate() -> None:
    ratings = rate(citations(), n_replicates=100)
    assert ratings.theta.mean() == pytest.approx(0, abs=1e-12)
    for estimate, interval in zip(ratings.theta, ratings.intervals, strict=True):
        assert interval is not None
        assert interval.low < estimate < interval.high


def test_groups_never_compared_get_no_common_scale() -> None:
    ratings = rate(make_votes(("i", "w", "x", 1), ("j", "x", "w", 1), ("i", "y", "z", 1)))
    assert ratings.status is RatingStatus.NOT_CONNECTED
    assert ratings.theta.size == 0
    assert ratings.reason is not None
    assert "2 groups of models were never compared" in ratings.reason
    assert ratings.of(0) == (None, None, ratings.reason)


def test_a_model_that_wins_everything_is_regularised_and_finite() -> None:
    rows = [(f"i{k}", "x", "y", 1 + k % 2) for k in range(40)]
    rows += [(f"i{k}", "top", "x", 1) for k in range(40)]
    votes = make_votes(*rows)
    ratings = rate(votes, "x", n_replicates=100)
    assert ratings.status is RatingStatus.REGULARISED
    assert ratings.reason is not None
    assert "top won or lost all comparisons" in ratings.reason
    assert np.isfinite(ratings.theta).all()
    assert 4 < ratings.theta[votes.models.index("top")] < 12
    # The others are hardly touched by the prior.
    assert ratings.theta[votes.models.index("y")] == pytest.approx(0, abs=0.05)


def test_an_order_effect_of_balanced_pairs_is_refused_with_the_reason() -> None:
    rows = [(f"i{k}", "x", "y", p, f) for k in range(9) for p, f in ((1, "a"), (1 + k % 2, "b"))]
    ratings = rate(make_votes(*rows), order_effect=True, n_replicates=50)
    assert ratings.order_effect is None
    assert ratings.order_effect_reason is not None
    assert "balanced" in ratings.order_effect_reason


def test_one_item_gives_ratings_without_intervals() -> None:
    ratings = rate(make_votes(("i", "x", "y", 1.3)), n_replicates=50)
    assert ratings.theta[0] == pytest.approx(np.log(0.7 / 0.3) / 2)
    assert ratings.intervals == (None, None)
    assert ratings.of(0)[2] == "a single item gives no interval"


def test_no_comparison_gives_a_status() -> None:
    votes = make_votes(("i", "x", "y", np.nan))
    assert rate(votes).status is RatingStatus.NO_COMPARISONS


def test_equal_seeds_give_equal_intervals() -> None:
    votes = baseball()
    first, second = (rate(votes, n_replicates=60, seed=5) for _ in range(2))
    assert first.intervals == second.intervals
    assert rate(votes, n_replicates=60, seed=6).intervals != first.intervals
