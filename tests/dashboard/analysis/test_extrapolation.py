"""Predictions: inside the range by the curve, beyond it by backtest, else called unsupported."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.analysis import FitSettings, IntervalKind, PredictionStatus, fit_study
from dashboard.analysis.extrapolation import _Case, _method_weights
from dashboard.bench.bench_fit import bench_flan, flan_curves
from tests.dashboard.analysis.worlds import simulate


def test_inside_the_range_the_curve_predicts() -> None:
    rng = np.random.default_rng(40)
    settings = FitSettings(n_replicates=100, predict=(0.0, 64.0, 100.0))
    fit = fit_study(simulate(["rise"], rng=rng), settings).curves[0]
    assert fit.band is not None
    assert [item.status for item in fit.predictions] == [PredictionStatus.INSIDE_RANGE] * 3
    at = int(np.flatnonzero(fit.band.n_examples == 64)[0])
    prediction = fit.predictions[1]
    assert prediction.estimate == pytest.approx(fit.band.estimate[at])
    assert prediction.low == pytest.approx(fit.band.low[at])
    assert fit.predictions[0].estimate < prediction.estimate < fit.predictions[2].estimate


def test_beyond_the_range_methods_are_weighted_by_backtest() -> None:
    rng = np.random.default_rng(41)
    settings = FitSettings(n_replicates=50, predict=(1024.0, 65536.0))
    fits = fit_study(simulate(["rise"] * 12, rng=rng, run_stddev=0.1), settings).curves
    near, far = fits[0].predictions
    assert near.status is PredictionStatus.BACKTESTED
    assert near.kind is IntervalKind.BACKTEST
    assert near.low < near.estimate < near.high
    assert far.status is PredictionStatus.UNSUPPORTED_HORIZON
    assert "no held-back volume" in far.reason
    assert far.high - far.low > near.high - near.low
    errors = {item.family: item for item in fits[0].backtest if item.horizon == 4}
    assert {"log_linear", "tail_line", "last_value"} <= set(errors)
    assert sum(item.weight for item in errors.values()) == pytest.approx(1)
    # These curves go on rising, so "it stays as it is" errs most.
    assert errors["last_value"].error == max(item.error for item in errors.values())


def test_without_any_backtest_the_guess_is_as_wide_as_the_score() -> None:
    rng = np.random.default_rng(42)
    settings = FitSettings(n_replicates=50, predict=(256.0,))
    fit = fit_study(simulate(["rise"], rng=rng, volumes=(0.0, 4.0, 64.0)), settings).curves[0]
    (prediction,) = fit.predictions
    assert prediction.status is PredictionStatus.UNSUPPORTED_HORIZON
    assert (prediction.low, prediction.high) == (0.0, 1.0)
    assert fit.backtest == ()


def test_volumes_below_a_loss_curve_are_not_predicted() -> None:
    settings = FitSettings(n_replicates=50, families=("rectified",), predict=(50.0,))
    (prediction,) = fit_study(flan_curves()[:1], settings).curves[0].predictions
    assert prediction.estimate is None
    assert "below the smallest fitted volume" in prediction.reason


def test_flan_losses_are_extrapolated_as_well_as_the_best_method() -> None:
    found = bench_flan()
    assert found["at_or_below_published"] == found["curves"] == 30
    # 1.05 times the mean error of the best single method at each cut.
    limits = {"1/8": 1.05 * 0.027, "1/16": 1.05 * 0.055, "1/32": 1.05 * 0.096}
    for cut, limit in limits.items():
        assert found["cuts"][cut]["mean_error"] <= limit, cut
        assert 0.7 <= found["cuts"][cut]["coverage"] <= 0.97, cut
    assert 0.7 <= found["coverage"] <= 0.95


def make_cases(errors: list[list[float]], origin: float = 8.0, horizon: float = 4.0) -> list[_Case]:
    return [
        _Case(curve=index, origin=origin, horizon=horizon, errors=np.array(row))
        for index, row in enumerate(errors)
    ]


def test_much_backtest_picks_the_better_method_and_little_leaves_a_mean() -> None:
    usable = np.array([True, True])
    better = [[0.01, 0.05]] * 3
    one = _method_weights(make_cases(better), 4.0, usable)
    many = _method_weights(
        [c for origin in range(1, 9) for c in make_cases(better, float(origin))], 4.0, usable
    )
    assert 0.5 < one[0] < many[0] < 1
    assert many[0] > 0.97
    assert one.sum() == pytest.approx(1)


def test_near_horizons_count_more_than_far_ones() -> None:
    usable = np.array([True, True])
    near = make_cases([[0.01, 0.05]] * 4, 8.0, 2.0) + make_cases([[0.05, 0.01]] * 4, 16.0, 32.0)
    assert _method_weights(near, 2.0, usable)[0] > 0.6
    assert _method_weights(near, 32.0, usable)[0] < 0.4


def test_methods_without_a_volume_to_spare_are_not_judged() -> None:
    usable = np.array([True, True, True])
    cases = make_cases([[np.nan, 0.01, 0.05]] * 4)
    weights = _method_weights(cases, 4.0, usable)
    # Not judged counts as average: behind the good method and before the bad one.
    assert weights[1] > weights[0] > weights[2]
    assert _method_weights(cases, 4.0, np.array([False, True, True]))[0] == 0
