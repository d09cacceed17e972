"""Predictions: inside the range by the curve, beyond it by backtest, else called unsupported."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.analysis import FitSettings, IntervalKind, PredictionStatus, fit_study
from tests.dashboard.analysis.test_engine import flan_curves
from tests.dashboard.analysis.worlds import simulate

LARGEST = 1_638_400.0


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


@pytest.mark.parametrize(("cut", "limit"), [(8, 0.0284), (16, 0.0578), (32, 0.109)])
def test_flan_losses_are_extrapolated_about_as_well_as_the_best_method(cut, limit) -> None:
    curves = flan_curves()
    settings = FitSettings(
        n_replicates=50, families=("rectified",), max_examples=LARGEST / cut,
        predict=(LARGEST,), level=0.8,
    )  # fmt: skip
    fits = fit_study(curves, settings).curves
    errors, covered = [], []
    for curve, fit in zip(curves, fits, strict=True):
        truth = float(curve.score[curve.n_examples == LARGEST][0])
        (prediction,) = fit.predictions
        errors.append(abs(np.log(prediction.estimate / truth)))
        covered.append(prediction.low <= truth <= prediction.high)
    # 1.05 times the best single method of the data's README (.027, .055), and near it at 1/32.
    assert np.mean(errors) < limit
    assert 0.65 < np.mean(covered) < 0.97
