"""Run noise: recovered from repeated seeds, shrunk towards the pool, none for the base model."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.analysis import CurveData, FitSettings, IntervalKind, ResponseKind, fit_study
from dashboard.analysis.noise import pool_run_noise
from dashboard.analysis.prepare import FittedRuns, prepare_curve, weigh_by_noise
from tests.dashboard.analysis.worlds import make_curve, simulate


def prepare(curves: list[CurveData]) -> list[FittedRuns]:
    runs = [prepare_curve(curve, FitSettings()).runs for curve in curves]
    return [item for item in runs if item is not None]


@pytest.mark.parametrize("run_stddev", [0.0, 0.1, 0.3, 0.6])
def test_the_pool_recovers_the_run_standard_deviation(run_stddev: float) -> None:
    rng = np.random.default_rng(10)
    kinds = ["rise", "even", "power", "slow"] * 15
    runs = prepare(simulate(kinds, run_stddev=run_stddev, rng=rng))
    pool, noises = pool_run_noise("s", ResponseKind.ACCURACY, runs)
    assert pool is not None
    assert pool.df == 240
    # Item noise is larger than run noise here, so a true 0 may show as up to 0.1.
    assert pool.stddev == pytest.approx(run_stddev, abs=0.1 if run_stddev == 0 else 0.05)
    assert len(noises) == 60


def test_curves_that_differ_in_noise_keep_their_own() -> None:
    rng = np.random.default_rng(11)
    quiet = simulate(["rise"] * 10, seeds=6, m=1000, run_stddev=0.05, rng=rng)
    loud = simulate(["rise"] * 10, seeds=6, m=1000, run_stddev=0.6, rng=rng)
    pool, noises = pool_run_noise("s", ResponseKind.ACCURACY, prepare(quiet + loud))
    assert pool is not None
    assert pool.prior_df < 20
    stddevs = [noise.stddev for noise in noises if noise is not None]
    assert max(stddevs[:10]) < min(stddevs[10:])


def test_alike_curves_share_the_pool() -> None:
    rng = np.random.default_rng(12)
    _, noises = pool_run_noise(
        "s", ResponseKind.ACCURACY, prepare(simulate(["rise"] * 20, rng=rng))
    )
    stddevs = np.array([noise.stddev for noise in noises if noise is not None])
    assert stddevs.std() < 0.06


def test_one_seed_everywhere_leaves_the_noise_unknown() -> None:
    rng = np.random.default_rng(13)
    runs = prepare(simulate(["rise", "flat"], seeds=1, rng=rng))
    assert pool_run_noise("s", ResponseKind.ACCURACY, runs) == (None, [None, None])


def test_a_curve_with_one_seed_borrows_the_pool_of_its_study() -> None:
    rng = np.random.default_rng(14)
    curves = simulate(["rise"] * 5, rng=rng)
    curves += simulate(["power"], seeds=1, rng=rng, data_source="synthetic")
    fits = fit_study(curves, FitSettings(n_replicates=100)).curves
    assert fits[-1].n_seeds == 1
    assert fits[-1].noise is IntervalKind.ITEMS_AND_RUNS
    assert fits[-1].run_stddev == pytest.approx(0.3, abs=0.15)


def test_runs_weigh_less_than_the_base_model_that_has_no_run_noise() -> None:
    rng = np.random.default_rng(15)
    (runs,) = prepare(simulate(["even"], m=300, rng=rng))
    weighed = weigh_by_noise(runs, 0.3)
    assert weighed.weight[0] == 300
    expected = 300 / (1 + 300 * 0.09 * 0.25)
    assert weighed.weight[1:] == pytest.approx(np.full(8, expected), rel=0.05)
    assert weigh_by_noise(runs, 0.0) is runs


def test_losses_are_pooled_on_the_log_scale() -> None:
    rng = np.random.default_rng(16)
    n = np.repeat([100.0, 200, 400, 800, 1600, 3200], 3)
    curves = []
    for index in range(20):
        loss = (1 + 20 / (10 + n**0.5)) * np.exp(rng.normal(0, 0.02, len(n)))
        curves.append(
            make_curve(
                loss, n, ability=f"a{index}", higher_is_better=False, chance_level=None,
                seed=(0, 1, 2) * 6, stderr=np.full(len(n), 1e-4),
            )
        )  # fmt: skip
    pool, _ = pool_run_noise("s", ResponseKind.LOSS, prepare(curves))
    assert pool is not None
    assert pool.stddev == pytest.approx(0.02, rel=0.1)
