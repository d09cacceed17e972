"""Intervals of curves fitted to five seeds against the mean of all seeds (LCDB)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dashboard.analysis import FitSettings
from dashboard.analysis.prepare import prepare_curve
from dashboard.analysis.seed_noise import correlate, estimate_decay, run_correlation
from dashboard.bench.bench_fit import bench_lcdb
from tests.dashboard.analysis.worlds import make_curve

PUBLISHED = Path(__file__).parents[2] / "fixtures" / "published"


def test_intervals_cover_the_mean_of_all_seeds() -> None:
    found = bench_lcdb(PUBLISHED / "lcdb_seed_level_sample.csv", n_replicates=300)
    assert len(found["by_curve"]) == 8
    assert found["coverage"] >= 0.9 - 0.01  # 300 replicates move bounds a little
    assert found["coverage_without_variance"] > 0.9


def runs_with(decay: float, seed: int, n_seeds: int = 5):
    """Runs around a rising curve whose noise fades over log volume with `decay`."""
    rng = np.random.default_rng(seed)
    volumes = 16.0 * 2.0 ** (np.arange(12) / 2)
    n = np.repeat(volumes, n_seeds)
    curve = make_curve(
        np.full(len(n), 0.5), n, seed=tuple(range(n_seeds)) * len(volumes), chance_level=None
    )
    runs = prepare_curve(curve, FitSettings()).runs
    noise = correlate(runs, decay, rng.standard_normal((len(n), 1)))[:, 0]
    score = 0.5 + 0.05 * np.log(n / 16) + 0.02 * noise
    moved = make_curve(score, n, seed=curve.seed, chance_level=None)
    return prepare_curve(moved, FitSettings()).runs


def test_what_seeds_carry_is_found_and_nothing_is_invented() -> None:
    found = [estimate_decay(runs_with(1.0, seed)) for seed in range(20)]
    assert 0.6 < np.median(found) < 1.7
    independent = [estimate_decay(runs_with(np.inf, seed)) for seed in range(40)]
    assert np.isinf(independent).mean() > 0.85


def test_correlation_is_within_seeds_and_falls_with_the_ratio_of_volumes() -> None:
    runs = runs_with(1.0, 0)
    correlation = run_correlation(runs, 0.5)
    first = runs.group == 0
    np.testing.assert_array_equal(correlation[np.ix_(first, first)], np.eye(5))
    far = np.flatnonzero(runs.group == 2)
    assert correlation[0, far[0]] == pytest.approx((16 / 32) ** 0.5)
    assert correlation[0, far[1]] == 0
    assert (run_correlation(runs, np.inf) == np.eye(60)).all()
