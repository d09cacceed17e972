"""Small seeded versions of the calibration checks; the full ones run in `make bench`.

Each bound allows for the simulation's own error at about three standard errors.
"""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.analysis import FitSettings, Label, ResponseKind, fit_study
from dashboard.analysis.noise import pool_run_noise
from dashboard.analysis.prepare import prepare_curve
from dashboard.analysis.trend import growth_p_value
from tests.dashboard.analysis.worlds import TRUTHS, VOLUMES, simulate

KINDS = ("flat", "even", "slow", "rise", "saturate", "power", "sigmoid", "fall")


def test_intervals_of_gains_and_values_cover_the_truth() -> None:
    rng = np.random.default_rng(30)
    gains, values = [], []
    for study in range(12):
        curves = simulate(KINDS, run_stddev=0.3, rng=rng)
        fits = fit_study(curves, FitSettings(n_replicates=300, seed=study)).curves
        for kind, fit in zip(KINDS, fits, strict=True):
            truth = TRUTHS[kind](np.array(VOLUMES))
            assert fit.gain is not None
            assert fit.band is not None
            gains.append(fit.gain.low <= truth[-1] - truth[0] <= fit.gain.high)
            at = np.searchsorted(fit.band.n_examples, VOLUMES)
            values.append((fit.band.low[at] <= truth) & (truth <= fit.band.high[at]))
    assert len(gains) == 96
    assert np.mean(gains) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 96)
    # The five values of one curve are not independent of each other.
    assert 0.90 < np.mean(values) < 0.99


@pytest.mark.parametrize(("seeds", "run_stddev"), [(2, 0.3), (3, 0.1)])
def test_growth_is_found_in_flat_curves_no_more_often_than_stated(seeds, run_stddev) -> None:
    rng = np.random.default_rng(31)
    p_values = []
    for _ in range(20):
        curves = simulate(("flat", "even") * 8, seeds=seeds, run_stddev=run_stddev, rng=rng)
        runs = [prepare_curve(curve, FitSettings()).runs for curve in curves]
        known = [item for item in runs if item is not None]
        _, noises = pool_run_noise("s", ResponseKind.ACCURACY, known)
        p_values += [growth_p_value(item, noise) for item, noise in zip(known, noises, strict=True)]
    rate = np.mean(np.array(p_values) < 0.05)
    assert rate < 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(p_values))
    assert rate > 0.01


def test_p_values_of_real_growth_are_far_below_what_replicates_can_reach() -> None:
    rng = np.random.default_rng(32)
    fits = fit_study(simulate(["rise"] * 12, rng=rng), FitSettings(n_replicates=50)).curves
    assert max(fit.p_value for fit in fits if fit.p_value is not None) < 1e-6


def test_a_gain_of_delta_is_rarely_called_resistant_and_flat_abilities_mostly_are() -> None:
    rng = np.random.default_rng(33)
    delta = float(TRUTHS["slow"](256.0) - 0.5)
    labels: dict[str, list[Label | None]] = {"slow": [], "flat": []}
    for study in range(4):
        curves = simulate(("slow", "flat") * 6, m=1000, run_stddev=0.1, rng=rng)
        settings = FitSettings(n_replicates=200, delta=delta, seed=study)
        for fit in fit_study(curves, settings).curves:
            labels[fit.ability.split("-")[0]].append(fit.label)
    wrong = np.mean([label is Label.RESISTANT for label in labels["slow"]])
    right = np.mean([label is Label.RESISTANT for label in labels["flat"]])
    assert wrong < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 24)
    assert right > 0.6
