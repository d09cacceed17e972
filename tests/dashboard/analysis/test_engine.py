"""The engine against outside implementations and published figures."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import OptimizeWarning, curve_fit

from dashboard.analysis import FitSettings, ResponseKind, fit_study
from dashboard.analysis.engine import FINAL, REPLICATE, fit_batch
from dashboard.analysis.families import FAMILIES, LogLinear
from tests.dashboard.analysis.worlds import VOLUMES, make_curve, simulate

N = np.array(VOLUMES)


def test_binomial_fit_agrees_with_statsmodels_glm() -> None:
    rng = np.random.default_rng(0)
    m = np.array([200, 400, 400, 400, 400])
    right = rng.binomial(m, [0.2, 0.35, 0.5, 0.7, 0.8])
    design = sm.add_constant(np.log1p(N / 4))
    glm = sm.GLM(np.column_stack([right, m - right]), design, family=sm.families.Binomial()).fit()
    family = LogLinear(N, ResponseKind.ACCURACY, None)
    batch = fit_batch(family, ResponseKind.ACCURACY, (right / m)[:, None], m.astype(float), FINAL)
    np.testing.assert_allclose(batch.u[1:, 0], glm.params, rtol=1e-7)
    assert batch.cost[0] == pytest.approx(glm.deviance, rel=1e-8)


@pytest.mark.parametrize("name", ["rectified", "weibull", "exponential"])
def test_loss_fit_is_at_least_as_good_as_curve_fit(name: str) -> None:
    rng = np.random.default_rng(1)
    n = 200.0 * 2 ** np.arange(10)
    loss = (1.2 + 300 / (120 + n**0.5)) * np.exp(rng.normal(0, 0.01, 10))
    family = FAMILIES[name](n, ResponseKind.LOSS)
    batch = fit_batch(family, ResponseKind.LOSS, loss[:, None], np.ones(10), FINAL)

    def log_curve(x, *u):
        value = family.predict(np.array(u)[:, None], x)[:, 0]
        return np.log(np.maximum(value, 1e-12))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        best, _ = curve_fit(log_curve, n, np.log(loss), p0=batch.u[:, 0] + 0.02, maxfev=20000)
    theirs = ((np.log(loss) - log_curve(n, *best)) ** 2).sum()
    assert batch.cost[0] <= theirs * (1 + 1e-6)
    assert batch.cost[0] == pytest.approx(theirs, rel=1e-4)


def test_replicate_fits_are_nearly_as_good_as_final_ones() -> None:
    rng = np.random.default_rng(2)
    truth = 0.3 + 0.5 * (1 - np.exp(-((0.03 * N) ** 0.7)))
    y = np.clip(truth[:, None] + rng.normal(0, 0.03, (5, 300)), 0.001, 0.999)
    weight = np.full(5, 400.0)
    for name in ("log_linear", "power_law", "exponential", "weibull", "logistic"):
        family = FAMILIES[name](N, ResponseKind.ACCURACY, 0.25)
        observed = fit_batch(family, ResponseKind.ACCURACY, truth[:, None], weight, FINAL)
        quick = fit_batch(
            family, ResponseKind.ACCURACY, y, weight, REPLICATE, start=observed.u[:, 0]
        )
        best = fit_batch(family, ResponseKind.ACCURACY, y, weight, FINAL)
        worse = quick.cost - best.cost
        assert quick.converged.mean() > 0.97
        assert np.quantile(worse, 0.95) < 0.02, name


def test_results_are_statsmodels_results_at_the_optimum() -> None:
    from dashboard.analysis.averaging import fit_families
    from dashboard.analysis.likelihood import GrowthModel, build_results
    from dashboard.analysis.prepare import prepare_curve

    curve = simulate(["rise"], rng=np.random.default_rng(3))[0]
    runs = prepare_curve(curve, FitSettings()).runs
    assert runs is not None
    model = fit_families(runs, ("log_linear",))
    (member,) = model.members
    assert member.fit.stderr["b"] is not None
    growth = GrowthModel(
        runs.score, runs.n, family=member.family, weight=runs.weight, weight_known=True
    )
    params = np.array(list(member.fit.params.values()))
    results = build_results(growth, params, member.fit.covariance)
    assert results.llf == pytest.approx(member.fit.log_likelihood)
    assert results.bse[2] == pytest.approx(member.fit.stderr["b"])
    assert results.conf_int().shape == (3, 2)
    assert "log_linear" not in results.model.exog_names
    # No parameter value nearby is likelier: the optimum is one.
    for index in range(1, 3):
        for step in (-0.02, 0.02):
            moved = params.copy()
            moved[index] += step
            assert growth.loglike(moved) < results.llf


def test_standard_errors_match_simulation() -> None:
    m, b = 500, 0.5
    p = 1 / (1 + np.exp(1.0 - b * np.log1p(N / 4)))
    rng = np.random.default_rng(4)
    y = rng.binomial(m, p[:, None], (5, 2000)) / m
    family = LogLinear(N, ResponseKind.ACCURACY, None)
    batch = fit_batch(family, ResponseKind.ACCURACY, y, np.full(5, float(m)), REPLICATE)
    curve = make_curve(p, N, n_items=np.full(5, m), chance_level=None)
    fit = fit_study([curve], FitSettings(families=("log_linear",), n_replicates=50)).curves[0]
    assert fit.families[0].stderr["b"] == pytest.approx(batch.u[2].std(), rel=0.06)
