"""One seed everywhere: tests and labels rest on the scatter around the curves."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.analysis import FitSettings, IntervalKind, Label, fit_study
from dashboard.analysis.one_seed import Scatter, pool_scatter
from tests.dashboard.analysis.worlds import make_curve, simulate

GROWING = (Label.RESPONSIVE, Label.SATURATING, Label.DECLINING)


def test_flat_curves_are_not_called_growing_because_runs_differ() -> None:
    rng = np.random.default_rng(60)
    p_values, labels = [], []
    for study in range(5):
        curves = simulate(("flat", "even") * 8, seeds=1, run_stddev=0.3, rng=rng)
        for fit in fit_study(curves, FitSettings(n_replicates=50, seed=study)).curves:
            assert fit.noise is IntervalKind.ITEMS_ONLY
            p_values.append(fit.p_value)
            labels.append(fit.label)
    # Against item noise alone the rate was 41%.
    assert np.mean(np.array(p_values) < 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 80)
    assert np.mean([label in GROWING for label in labels]) < 0.08


def test_clear_growth_is_still_found_with_one_seed() -> None:
    rng = np.random.default_rng(61)
    kinds = ("rise", "saturate", "power", "sigmoid", "flat", "even")
    curves = simulate(kinds, seeds=1, run_stddev=0.1, rng=rng)
    fits = fit_study(curves, FitSettings(n_replicates=50)).curves
    assert {fit.label for fit in fits[:4]} <= {Label.RESPONSIVE, Label.SATURATING}
    assert all(fit.label_basis == "items and scatter around the curves" for fit in fits)
    assert all("one seed" in (fit.label_reason or "") for fit in fits)


def test_scatter_that_items_explain_widens_by_the_t_quantile_alone() -> None:
    scatter = Scatter(factor=1.0, df=3.0)
    assert scatter.p_value(0.05) == pytest.approx(0.145, abs=0.001)
    assert scatter.p_value(1.0) == 1.0
    assert scatter.widened(0.1, 0.2, 0.975) == pytest.approx(0.1 + 0.1 * 3.182 / 1.960, rel=1e-3)
    wide = Scatter(factor=2.0, df=1e6)
    assert wide.widened(0.1, 0.2, 0.975) == pytest.approx(0.3, rel=1e-4)
    assert wide.p_value(1e-4) > 0.05


def test_repeated_seeds_and_unknown_errors_have_their_own_noise() -> None:
    rng = np.random.default_rng(62)
    pooled = fit_study(simulate(["rise"], seeds=2, rng=rng), FitSettings(n_replicates=50)).curves
    bare = fit_study(
        [make_curve((0.2, 0.3, 0.4, 0.5, 0.55), ability="bare")], FitSettings(n_replicates=50)
    ).curves
    assert bare[0].noise is IntervalKind.RESIDUAL
    assert pool_scatter([*pooled, *bare]) == [None, None]


def test_losses_with_errors_are_judged_on_the_log() -> None:
    n = np.array([100, 200, 400, 800, 1600, 3200, 6400], dtype=float)
    rng = np.random.default_rng(63)
    loss = 2.0 * np.exp(rng.normal(0, 0.05, 7))
    curve = make_curve(
        loss, n, stderr=np.full(7, 0.002), metric="loss", higher_is_better=False,
        chance_level=None, delta=0.01,
    )  # fmt: skip
    (fit,) = fit_study([curve], FitSettings(n_replicates=50)).curves
    assert fit.noise is IntervalKind.STDERR_ONLY
    # Runs differ 50 times as much as their errors say: nothing is established.
    assert fit.p_value is not None
    assert fit.p_value > 0.05
    assert fit.label is Label.UNDECIDED
