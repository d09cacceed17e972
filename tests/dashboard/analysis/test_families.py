"""Growth families: formulas, gradients, natural parameters, recovery of known curves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from dashboard.analysis import ResponseKind
from dashboard.analysis.engine import FINAL, fit_batch
from dashboard.analysis.families import FAMILIES, LogLinear

N = np.array([0.0, 4.0, 16.0, 64.0, 256.0, 1024.0])
POSITIVE = np.array([200.0, 400, 800, 1600, 3200, 6400, 12800, 25600])

# Natural parameters well inside every bound.
ACCURACY = {
    "constant": {"mu": 0.4},
    "log_linear": {"floor": 0.1, "a": -1.5, "b": 0.5},
    "power_law": {"c": 0.85, "A": 1.6, "n0": 9.0, "beta": 0.6},
    "exponential": {"c": 0.8, "lo": 0.3, "k": 0.02},
    "weibull": {"c": 0.8, "lo": 0.3, "k": 0.02, "d": 0.7},
    "logistic": {"lo": 0.3, "hi": 0.8, "n50": 40.0, "h": 1.3},
}
LOSS = {
    "constant": {"mu": 2.0},
    "power_law": {"c": 1.2, "A": -40.0, "n0": 300.0, "beta": 0.5},
    "exponential": {"c": 1.2, "lo": 2.9, "k": 0.0004},
    "weibull": {"c": 1.2, "lo": 2.9, "k": 0.0004, "d": 0.6},
    "rectified": {"E": 1.1, "B": 300.0, "D": 120.0, "beta": 0.55},
}
FORMULAS = {
    "constant": lambda n, mu: mu + 0 * n,
    "log_linear": lambda n, floor, a, b: floor + (1 - floor) * expit(a + b * np.log(1 + n / 4)),
    "power_law": lambda n, c, A, n0, beta: c - A * (n + n0) ** -beta,
    "exponential": lambda n, c, lo, k: c - (c - lo) * np.exp(-k * n),
    "weibull": lambda n, c, lo, k, d: c - (c - lo) * np.exp(-((k * n) ** d)),
    "logistic": lambda n, lo, hi, n50, h: lo + (hi - lo) * n**h / (n**h + n50**h),
    "rectified": lambda n, E, B, D, beta: E + B / (D + n**beta),
}
CASES = [(ResponseKind.ACCURACY, name, params, N) for name, params in ACCURACY.items()]
CASES += [(ResponseKind.LOSS, name, params, POSITIVE) for name, params in LOSS.items()]
IDS = [f"{case[0].value}-{case[1]}" for case in CASES]


def make(response: ResponseKind, name: str, n: np.ndarray):
    return FAMILIES[name](n, response, 0.25 if response is ResponseKind.ACCURACY else None)


@pytest.mark.parametrize(("response", "name", "params", "n"), CASES, ids=IDS)
def test_values_follow_the_formula(response, name, params, n) -> None:
    family = make(response, name, n)
    assert family.symbols == tuple(params)
    u = family.working(np.array(list(params.values())))
    np.testing.assert_allclose(family.natural(u), list(params.values()), rtol=1e-10)
    expected = FORMULAS[name](n, **params)
    np.testing.assert_allclose(family.predict(u[:, None], n)[:, 0], expected, rtol=1e-10)


@pytest.mark.parametrize(("response", "name", "params", "n"), CASES, ids=IDS)
def test_gradients_match_differences_away_from_the_optimum(response, name, params, n) -> None:
    family = make(response, name, n)
    u = family.working(np.array(list(params.values()))) * 1.07 + 0.02
    _, gradient = family.evaluate(u[:, None], n)
    for j in range(len(u)):
        step = np.zeros_like(u)
        step[j] = 1e-6 * max(1, abs(u[j]))
        high = family.predict((u + step)[:, None], n)
        low = family.predict((u - step)[:, None], n)
        np.testing.assert_allclose(
            gradient[j], (high - low) / (2 * step[j]), rtol=1e-5, atol=1e-8, err_msg=str(j)
        )


@pytest.mark.parametrize(("response", "name", "params", "n"), CASES, ids=IDS)
def test_noise_free_parameters_are_recovered(response, name, params, n) -> None:
    family = make(response, name, n)
    y = FORMULAS[name](n, **params)[:, None]
    weight = np.full(len(n), 400.0 if response is ResponseKind.ACCURACY else 1.0)
    batch = fit_batch(family, response, y, weight, FINAL)
    assert batch.converged.all()
    np.testing.assert_allclose(family.natural(batch.u[:, 0]), list(params.values()), rtol=1e-6)


@pytest.mark.parametrize("response", [ResponseKind.LOSS, ResponseKind.SCORE])
@pytest.mark.parametrize("n", [N, POSITIVE])
def test_log_linear_is_a_straight_line_for_losses_and_scores(response, n) -> None:
    family = FAMILIES["log_linear"](n, response)
    assert family.n_free == 2
    x = np.log1p(n / 4) if n[0] == 0 else np.log(n / 200)
    line = 0.9 - 0.08 * x
    y = np.exp(line) if response is ResponseKind.LOSS else line
    batch = fit_batch(family, response, y[:, None], np.ones(len(n)), FINAL)
    np.testing.assert_allclose(batch.u[:, 0], [0, 0.9, -0.08], atol=1e-8)
    u = np.array([[0.0], [0.7], [-0.2]])
    _, gradient = family.evaluate(u, n)
    for j in (1, 2):
        step = np.zeros((3, 1))
        step[j] = 1e-6
        high, low = family.predict(u + step, n), family.predict(u - step, n)
        np.testing.assert_allclose(gradient[j], (high - low) / 2e-6, rtol=1e-6, atol=1e-9)


def test_a_batch_gives_what_its_columns_give() -> None:
    family = make(ResponseKind.ACCURACY, "log_linear", N)
    rng = np.random.default_rng(0)
    y = np.clip(FORMULAS["log_linear"](N, **ACCURACY["log_linear"])[:, None]
                + rng.normal(0, 0.05, (len(N), 7)), 0.01, 0.99)  # fmt: skip
    weight = np.full(len(N), 300.0)
    whole = fit_batch(family, ResponseKind.ACCURACY, y, weight, FINAL)
    for column in range(7):
        single = fit_batch(family, ResponseKind.ACCURACY, y[:, [column]], weight, FINAL)
        assert single.cost[0] == pytest.approx(whole.cost[column], abs=1e-8)


def test_the_floor_of_log_linear_stays_between_zero_and_chance() -> None:
    family = make(ResponseKind.ACCURACY, "log_linear", N)
    y = np.array([0.5, 0.5, 0.5, 0.6, 0.7, 0.9])[:, None]
    batch = fit_batch(family, ResponseKind.ACCURACY, y, np.full(6, 1000.0), FINAL)
    assert batch.u[0, 0] == pytest.approx(0.25)
    fixed = LogLinear(N, ResponseKind.ACCURACY, 0.25, fixed_floor=True)
    assert fixed.n_free == 2
    batch = fit_batch(fixed, ResponseKind.ACCURACY, y, np.full(6, 1000.0), FINAL)
    assert batch.u[0, 0] == 0


def test_scores_of_zero_and_one_have_a_finite_fit() -> None:
    for name in ACCURACY:
        family = make(ResponseKind.ACCURACY, name, N)
        y = np.array([0, 0, 0.1, 0.5, 1, 1.0])[:, None]
        batch = fit_batch(family, ResponseKind.ACCURACY, y, np.full(6, 200.0), FINAL)
        assert np.isfinite(batch.cost).all()
        value = family.predict(batch.u, N)
        assert ((value >= 0) & (value <= 1)).all()
