"""Replicated curves: the numbers of `fit_study`, paired between sources, correlated in a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from dashboard.analysis import CurveData, FitSettings, FitStatus, fit_study
from dashboard.analysis.noise import run_correlation
from dashboard.analysis.replicated import (
    fit_job,
    prepare_study,
    replicate_study,
    run_names,
    run_seeds,
)
from dashboard.analysis.replicates import draw_seeds, stretched_interval
from dashboard.bench.worlds import WorldShape, simulate_study
from tests.dashboard.analysis.worlds import TRUTHS, VOLUMES, make_curve, simulate
from warehouse.errors import InputError

SETTINGS = FitSettings(n_replicates=150)


def two_sources(seeds: int = 2, **shape: object) -> list[CurveData]:
    """One ability whose two sources follow the same curve."""
    truths = {("code", "m", source): TRUTHS["rise"] for source in ("human", "synthetic")}
    return simulate_study(
        truths,
        WorldShape(seeds=seeds, **shape),
        np.random.default_rng(40),  # type: ignore[arg-type]
    )


def test_replicated_curves_are_the_curves_that_fit_reports() -> None:
    curves = simulate(("rise", "flat", "power"), rng=np.random.default_rng(41))
    fits = fit_study(curves, SETTINGS).curves
    for curve, fit in zip(replicate_study(curves, SETTINGS, VOLUMES), fits, strict=True):
        assert curve.estimate is not None
        assert curve.replicates is not None
        at = np.searchsorted(fit.band.n_examples, VOLUMES)
        np.testing.assert_array_equal(curve.estimate, fit.band.estimate[at])
        for index, place in enumerate(at):
            interval = stretched_interval(
                curve.estimate[index], curve.replicates[index], 0.95, curve.df, curve.kind, (0, 1)
            )
            assert interval.low == fit.band.low[place]
            assert interval.high == fit.band.high[place]


def test_volumes_outside_the_observed_range_are_flagged() -> None:
    (curve,) = replicate_study(
        simulate(["rise"], rng=np.random.default_rng(42)), SETTINGS, (0, 256, 1000)
    )
    assert curve.supported.tolist() == [True, True, False]
    assert (curve.first, curve.last) == (0, 256)
    assert curve.p_gain_positive == 1
    assert np.isfinite(curve.estimate).all()


def test_a_curve_that_can_not_be_fitted_says_why() -> None:
    (curve,) = replicate_study([make_curve([0.2, 0.3], (0, 4))], SETTINGS, (0, 4))
    assert curve.estimate is None
    assert curve.status is FitStatus.TOO_FEW_POINTS
    assert "can't support a growth curve" in curve.reason
    (curve,) = replicate_study([make_curve([0.2], (0,))], SETTINGS, (0,))
    assert curve.status is FitStatus.TOO_FEW_POINTS
    assert np.isnan(curve.last)


def test_a_negative_volume_is_refused() -> None:
    with pytest.raises(InputError, match="negative or not finite"):
        replicate_study(two_sources(), SETTINGS, (-1.0,))


def test_differences_of_sources_are_paired_by_item() -> None:
    curves = two_sources(run_stddev=0.0)
    human, synthetic = replicate_study(curves, SETTINGS, (64.0,))
    paired = (human.replicates - synthetic.replicates).std()
    apart = np.hypot(human.replicates.std(), synthetic.replicates.std())
    assert paired < 0.9 * apart


def test_the_base_model_is_one_run_for_all_sources_with_and_without_items() -> None:
    with_items = two_sources()
    without = [replace(curve, item_scores=None) for curve in with_items]
    for curves in (with_items, without):
        jobs, _ = prepare_study(curves, SETTINGS)
        first, second = (fit_job(job, SETTINGS) for job in jobs)
        np.testing.assert_array_equal(first.scores[0], second.scores[0])
        assert (first.scores[1] != second.scores[1]).all()


# ------------------------------------------------------------------------- eight seeds or more


def seeds_of(curves: list[CurveData]) -> list[object]:
    jobs, _ = prepare_study(curves, SETTINGS)
    return [
        draw_seeds(job.prepared.runs, run_seeds(job.prepared), SETTINGS)
        for job in jobs
        if job.prepared.runs is not None
    ]


def test_eight_seeds_are_resampled_as_clusters_and_seven_are_not() -> None:
    assert seeds_of(two_sources(seeds=7)) == [None, None]
    human, synthetic = seeds_of(two_sources(seeds=8))
    assert (human.rows != synthetic.rows).any()
    jobs, _ = prepare_study(two_sources(seeds=8), SETTINGS)
    seeds = np.array(run_seeds(jobs[0].prepared)[1:], dtype=int).reshape(4, 8)
    drawn = seeds.ravel()[human.rows[1:] - 1].reshape(4, 8, -1)
    # The same seeds at every volume, and each run's stand-in has its volume.
    assert (drawn == drawn[0]).all()
    assert (human.rows[0] == 0).all()


def test_abilities_of_one_run_draw_the_same_seeds() -> None:
    curves = simulate(("rise", "flat"), seeds=8, rng=np.random.default_rng(43))
    first, second = seeds_of(curves)
    np.testing.assert_array_equal(first.rows, second.rows)


def test_a_missing_seed_falls_back_to_pooled_run_noise() -> None:
    (curve,) = simulate(["rise"], seeds=8, rng=np.random.default_rng(44))
    score = np.array(curve.score)
    score[-1] = np.nan
    assert seeds_of([replace(curve, score=score)]) == [None]


def test_clusters_spread_means_as_run_noise_does() -> None:
    curves = simulate(["even"] * 3, seeds=8, m=4000, run_stddev=0.5, rng=np.random.default_rng(45))
    jobs, _ = prepare_study(curves, FitSettings(n_replicates=2000))
    spreads = []
    for job in jobs:
        fitted = fit_job(job, FitSettings(n_replicates=2000))
        spreads.append(fitted.means().replicates[1:].std(axis=1))
    # Nearly all noise is run noise: 0.5 x 0.25 / sqrt(8).
    assert np.mean(spreads) == pytest.approx(0.5 * 0.25 / np.sqrt(8), rel=0.15)


# ------------------------------------------------------------------- run noise shared by abilities


def correlated(correlation: float, seed: int) -> list[CurveData]:
    """Ten abilities scored on the same runs, whose run noise is correlated."""
    rng = np.random.default_rng(seed)
    n = np.array([0.0, *np.repeat(VOLUMES[1:], 4)])
    common = rng.normal(0, 0.5, len(n))
    curves = []
    for index in range(10):
        own = rng.normal(0, 0.5, len(n))
        noise = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
        noise[0] = 0
        items = (rng.random((len(n), 600)) < expit(logit(TRUTHS["rise"](n)) + noise)[:, None]) * 1.0
        curves.append(
            make_curve(
                items.mean(axis=1),
                n,
                ability=f"a{index}",
                item_scores=items,
                n_items=np.full(len(n), 600.0),
                seed=(None, *(k for _ in VOLUMES[1:] for k in range(4))),
            )
        )
    return curves


@pytest.mark.parametrize(("true", "low", "high"), [(0.0, 0.0, 0.1), (0.6, 0.25, 0.75)])
def test_the_correlation_of_run_noise_is_found(true: float, low: float, high: float) -> None:
    jobs, _ = prepare_study(correlated(true, 46), SETTINGS)
    assert len({job.run_correlation for job in jobs}) == 1
    assert low <= jobs[0].run_correlation <= high


def test_replicates_of_two_abilities_share_the_run_noise_of_their_runs() -> None:
    jobs, _ = prepare_study(correlated(0.6, 47), SETTINGS)
    first, second = (fit_job(job, SETTINGS).scores for job in jobs[:2])
    found = [np.corrcoef(a, b)[0, 1] for a, b in zip(first[1:], second[1:], strict=True)]
    assert 0.2 < np.mean(found) < 0.8


def test_no_repeated_run_means_no_correlation() -> None:
    jobs, _ = prepare_study(simulate(("rise", "flat"), seeds=1, rng=np.random.default_rng(48)),
                            SETTINGS)  # fmt: skip
    runs = [job.prepared.runs for job in jobs]
    assert run_correlation(runs, [None, None], [run_names(job.prepared) for job in jobs]) == 0
