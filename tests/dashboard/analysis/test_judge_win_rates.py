"""Win rates and their errors, exact where a formula is published, sane at 0 and 100 percent."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from dashboard.analysis.judge.pairs import combine_orders
from dashboard.analysis.judge.shares import clustered_share, share_interval
from dashboard.analysis.judge.win_rates import win_rate
from tests.dashboard.analysis.judge_votes import make_votes


def test_graded_votes_on_single_items_give_mean_and_standard_error_of_the_mean() -> None:
    rng = np.random.default_rng(3)
    preference = rng.uniform(1, 2, 60)
    votes = make_votes(*[(f"i{k}", "ref", "model", p) for k, p in enumerate(preference)])
    rate = win_rate(combine_orders(votes), votes.models.index("model"))
    assert rate is not None
    assert rate.estimate == pytest.approx(np.mean(preference - 1), abs=1e-14)
    assert rate.stderr == pytest.approx(np.std(preference, ddof=1) / np.sqrt(60), rel=1e-12)
    assert (rate.n, rate.n_items) == (60, 60)


def test_items_shared_by_several_opponents_are_clusters() -> None:
    rng = np.random.default_rng(4)
    item = np.repeat(np.arange(40), 3)
    value = (rng.random(120) < np.repeat(rng.random(40), 3)).astype(float)
    share = clustered_share(value, item, 0.95)
    robust = sm.OLS(value, np.ones(120)).fit(
        cov_type="cluster", cov_kwds={"groups": item, "use_correction": False}
    )
    assert share.stderr == pytest.approx(float(robust.bse[0]) * np.sqrt(40 / 39), rel=1e-10)
    assert share.stderr > value.std(ddof=1) / np.sqrt(120)


def test_the_reference_decides_which_comparisons_count() -> None:
    votes = make_votes(("i", "x", "y", 1), ("i", "x", "z", 2), ("j", "z", "x", 1))
    comparisons = combine_orders(votes)
    x, y, z = (votes.models.index(name) for name in "xyz")
    overall, against_y = win_rate(comparisons, x), win_rate(comparisons, x, reference=y)
    assert overall is not None
    assert overall.estimate == pytest.approx(1 / 3)
    assert against_y is not None
    assert (against_y.estimate, against_y.stderr, against_y.n_items) == (1.0, None, 1)
    assert win_rate(comparisons, y, reference=z) is None
    assert win_rate(comparisons, z, reference=z) is None


@pytest.mark.parametrize("wins", [0, 100])
def test_all_won_or_all_lost_has_a_width(wins: int) -> None:
    share = clustered_share(np.full(100, wins / 100), np.arange(100), 0.95)
    assert share.stderr == 0
    width = share.interval.high - share.interval.low
    assert 0.015 < width < 0.04
    assert share.interval.low <= share.estimate <= share.interval.high


def test_equal_graded_votes_are_not_taken_for_certainty() -> None:
    interval = clustered_share(np.full(50, 0.7), np.arange(50), 0.95).interval
    assert interval.low < 0.58
    assert interval.high > 0.80


def test_the_interval_is_jeffreys_for_plain_wins_and_wider_with_few_items() -> None:
    stderr = np.sqrt(0.3 * 0.7 / 1000)
    interval = share_interval(0.3, stderr, 1000, 0.95)
    assert interval.low == pytest.approx(0.2722, abs=2e-4)
    assert interval.high == pytest.approx(0.3289, abs=2e-4)
    few = share_interval(0.3, stderr, 5, 0.95)
    assert few.high - few.low > 1.3 * (interval.high - interval.low)
