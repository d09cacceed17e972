"""Examples for a target score, from curves with known crossings."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.analysis import IntervalKind, ResponseKind
from dashboard.analysis.budget.build import LeftOut, PlannedCurve
from dashboard.analysis.budget.results import TargetStatus
from dashboard.analysis.budget.target import target_volume, without_curve
from tests.dashboard.analysis.worlds import make_curve

GRID = np.unique(np.concatenate([[0.0], np.geomspace(1, 256, 200), 256 * np.array([2, 16, 1000])]))


def make_planned(estimate, spread: float = 0.0, **changes) -> PlannedCurve:
    z = np.random.default_rng(3).normal(size=400)
    fields = {
        "data": make_curve([0.2, 0.3], n=(0, 256)),
        "response": ResponseKind.ACCURACY,
        "n_grid": GRID,
        "estimate": estimate(GRID),
        "replicates": estimate(GRID)[:, None] + spread * z,
        "df": np.inf,
        "kind": IntervalKind.ITEMS_AND_RUNS,
        "first": 0.0,
        "last": 256.0,
        "run_variance": np.zeros(len(GRID)),
        "run_noise_known": True,
    }
    return PlannedCurve(**(fields | changes))


def grows(n):
    return 0.2 + 0.6 * n / (n + 64)


def test_the_curve_is_inverted_and_so_are_its_replicates() -> None:
    found = target_volume(make_planned(grows, 0.02), 0.5, 0.95)
    assert found.status is TargetStatus.REACHED
    assert found.n_examples == pytest.approx(64, rel=0.01)
    # The curve is at 0.5 -/+ 1.96 x 0.02 where the true one is at 0.5.
    for bound, score in ((found.low, 0.4608), (found.high, 0.5392)):
        share = (score - 0.2) / 0.6
        assert bound == pytest.approx(64 * share / (1 - share), rel=0.08)
    assert found.p_reachable is not None
    assert found.p_reachable > 0.99
    assert "64 examples" in found.reading


def test_few_degrees_of_freedom_widen_the_interval() -> None:
    wide = target_volume(make_planned(grows, 0.02, df=4.0), 0.5, 0.95)
    narrow = target_volume(make_planned(grows, 0.02), 0.5, 0.95)
    assert wide.low < narrow.low
    assert wide.high > narrow.high


def test_a_start_above_the_target_needs_nothing() -> None:
    found = target_volume(make_planned(grows, 0.01), 0.15, 0.95)
    assert found.status is TargetStatus.ALREADY_REACHED
    assert found.n_examples == 0
    assert found.low == 0


def test_beyond_the_observed_range_there_is_no_number() -> None:
    found = target_volume(make_planned(grows, 0.02), 0.75, 0.95)
    assert found.status is TargetStatus.NOT_WITHIN_SUPPORTED
    assert found.n_examples is None
    assert found.high is None
    assert "replicates do not reach it" in found.high_reason
    # The curve is at 0.68 at 256; 0.07 is 3.5 spreads away.
    assert found.p_reachable < 0.01


def test_a_ceiling_below_the_target_is_never_under_the_families() -> None:
    found = target_volume(make_planned(grows, 0.02), 0.9, 0.95)
    assert found.status is TargetStatus.NEVER_UNDER_FAMILIES
    assert found.n_examples is None
    assert found.p_reachable < 0.01


def test_half_of_the_replicates_make_a_half_chance_and_no_upper_bound() -> None:
    found = target_volume(make_planned(grows, 0.02), float(grows(256.0)), 0.95)
    assert found.p_reachable == pytest.approx(0.5, abs=0.06)
    assert found.high is None
    assert found.low < 200


def test_losses_fall_to_their_target() -> None:
    curve = make_planned(
        lambda n: 2 - n / (n + 64),
        0.01,
        data=make_curve([2.0, 1.2], n=(0, 256), higher_is_better=False, metric="loss"),
        response=ResponseKind.LOSS,
    )
    found = target_volume(curve, 1.5, 0.95)
    assert found.n_examples == pytest.approx(64, rel=0.01)


def test_a_curve_that_could_not_be_fitted_says_why() -> None:
    left = LeftOut(data=make_curve([0.2], n=(0,)), reason="one point is no curve.")
    found = without_curve(left, 0.5, 0.95)
    assert found.status is TargetStatus.NOT_FITTED
    assert found.reading.endswith("unknown, since one point is no curve.")
