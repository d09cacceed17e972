"""The joint law of model size and data: recovery, robustness, and what a design can't separate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from dashboard.analysis import CurveData, FitSettings, FitStatus, ResponseKind
from dashboard.analysis.joint.fit import fit_joint
from dashboard.analysis.joint.law import JointLaw
from tests.dashboard.analysis.worlds import make_curve

# The order of magnitude of published pre-training laws.
LOSS = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37}
ACCURACY = {"E": -2.5, "A": 30.0, "B": 6.0, "alpha": 0.25, "beta": 0.4}
QUICK = FitSettings(n_replicates=100)


def loss_at(size: Any, n: Any) -> Any:
    return LOSS["E"] + LOSS["A"] * size ** -LOSS["alpha"] + LOSS["B"] * n ** -LOSS["beta"]


def accuracy_at(size: Any, n: Any, floor: float = 0.25) -> Any:
    p = ACCURACY
    return floor + (1 - floor) * expit(
        -(p["E"] + p["A"] * size ** -p["alpha"] + p["B"] * n ** -p["beta"])
    )


def loss_curves(
    sizes: Sequence[float], ratios: Sequence[float], noise: float = 0.0, seed: int = 0
) -> list[CurveData]:
    """One curve a model size, with n = size x ratio."""
    rng = np.random.default_rng(seed)
    curves = []
    for index, size in enumerate(sizes):
        n = size * np.array(ratios)
        loss = loss_at(size, n) * np.exp(noise * rng.standard_t(4, len(n)))
        curves.append(
            make_curve(
                loss, n, n_params=int(size), base_model=f"m{index}", metric="loss",
                higher_is_better=False, chance_level=None,
            )
        )  # fmt: skip
    return curves


SIZES = tuple(np.geomspace(4e7, 1.6e10, 12))
RATIOS = (1.0, 5.0, 20.0, 100.0)


def test_gradients_match_differences() -> None:
    size = np.array([1e6, 1e7, 1e8, 1e9])
    n = np.array([1e3, 1e5, 2e6, 5e7])
    for response, floor in ((ResponseKind.LOSS, 0.0), (ResponseKind.ACCURACY, 0.25)):
        law = JointLaw(size, n, response, floor)
        u = np.array([0.3, -0.5, 0.2, -1.0, -0.7])
        _, gradient = law.evaluate(u[:, None], n)
        for j in range(5):
            step = np.zeros(5)
            step[j] = 1e-6
            high, low = (law.predict((u + s * step)[:, None], n) for s in (1, -1))
            np.testing.assert_allclose(gradient[j], (high - low) / 2e-6, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("size_points", [RATIOS, (20.0,)])
def test_noise_free_losses_give_back_the_law(size_points: Sequence[float]) -> None:
    sizes = SIZES if len(size_points) > 1 else tuple(np.geomspace(4e7, 1.6e10, 60))
    # With one run a model, runs must still differ in both directions.
    shift = np.exp(np.random.default_rng(1).normal(0, 1.5, len(sizes)))
    curves = [
        c
        for size, s in zip(sizes, shift, strict=True)
        for c in loss_curves([size], s * np.array(size_points))
    ]
    curves = [make_like(c, base_model=f"m{i}") for i, c in enumerate(curves)]
    (fit,) = fit_joint(curves, QUICK)
    assert fit.status is FitStatus.OK
    for name, value in LOSS.items():
        assert fit.params[name] == pytest.approx(value, rel=1e-5), name
    assert fit.rmse == pytest.approx(0, abs=1e-8)


def make_like(curve: CurveData, **changes: Any) -> CurveData:
    from dataclasses import replace

    return replace(curve, **changes)


def test_outliers_hardly_move_the_law() -> None:
    curves = loss_curves(SIZES, RATIOS, noise=0.002)
    (clean,) = fit_joint(curves, QUICK)
    score = np.array(curves[3].score)
    score[1] *= 1.5
    (spoilt,) = fit_joint([*curves[:3], make_like(curves[3], score=score), *curves[4:]], QUICK)
    for name in ("E", "alpha", "beta"):
        assert spoilt.params[name] == pytest.approx(clean.params[name], rel=0.04), name


def test_standard_errors_are_those_of_repeated_experiments() -> None:
    settings = FitSettings(n_replicates=60)
    fits = [fit_joint(loss_curves(SIZES, RATIOS, 0.005, seed), settings)[0] for seed in range(24)]
    for name in ("E", "alpha", "beta"):
        estimates = np.array([fit.params[name] for fit in fits], dtype=float)
        stated = np.median([fit.stderr[name] or np.nan for fit in fits])
        assert 0.6 < stated / estimates.std(ddof=1) < 1.6, name
        assert estimates.mean() == pytest.approx(LOSS[name], rel=0.03)


def accuracy_curves(sizes: Sequence[float], m: int | None = 1000) -> list[CurveData]:
    rng = np.random.default_rng(3)
    n = np.array([0.0, 4.0, 16.0, 64.0, 256.0, 1024.0])
    curves = []
    for index, size in enumerate(sizes):
        p = accuracy_at(size, np.maximum(n, 1e-9))
        p[0] = 0.25
        items = np.full(6, np.nan if m is None else m)
        score = p if m is None else rng.binomial(m, p) / m
        curves.append(
            make_curve(score, n, n_params=int(size), base_model=f"m{index}", n_items=items)
        )
    return curves


def test_the_twin_for_accuracies_gives_back_its_law_and_floor() -> None:
    sizes = (1e5, 4e5, 1.6e6, 6.4e6)
    (exact,) = fit_joint(accuracy_curves(sizes, m=None), QUICK)
    assert exact.floor == 0.25
    for name, value in ACCURACY.items():
        assert exact.params[name] == pytest.approx(value, rel=1e-4), name
    (noisy,) = fit_joint(accuracy_curves(sizes), QUICK)
    assert noisy.status is FitStatus.OK
    assert noisy.n_left_out == 4
    for name, value in ACCURACY.items():
        assert noisy.low[name] < value < noisy.high[name], name


def test_two_model_sizes_can_not_separate_the_part_of_size() -> None:
    (fit,) = fit_joint(loss_curves((1e8, 1e9), (*RATIOS, 400.0)), QUICK)
    assert fit.status is FitStatus.NOT_IDENTIFIED
    assert (fit.params["E"], fit.params["A"], fit.params["alpha"]) == (None, None, None)
    assert fit.params["beta"] == pytest.approx(LOSS["beta"], rel=1e-3)
    assert "E, A, alpha" in (fit.reason or "")
    assert "no joint law" in fit.reading


def test_two_noisy_model_sizes_never_have_an_exponent_of_size() -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        curves = [
            make_like(c, score=c.score * np.exp(rng.normal(0, 0.02, len(c.score))))
            for c in loss_curves((7e9, 1.3e10), (1e-8, 4e-8, 1.6e-7, 6.4e-7))
        ]
        (fit,) = fit_joint(curves, QUICK)
        assert (fit.params["E"], fit.params["A"], fit.params["alpha"]) == (None, None, None)


@pytest.mark.parametrize(
    ("curves", "status", "reason"),
    [
        (loss_curves((1e8,), RATIOS), FitStatus.TOO_FEW_POINTS, "1 model size"),
        (loss_curves((1e8, 1e9), (20.0, 40.0)), FitStatus.TOO_FEW_POINTS, "4 runs for five"),
        (
            [make_like(c, invalid_reason="two directions") for c in loss_curves(SIZES, RATIOS)],
            FitStatus.FAILED,
            "two directions",
        ),
        (
            [make_like(c, score=c.score - 2.5) for c in loss_curves(SIZES, RATIOS)],
            FitStatus.FAILED,
            "must be positive",
        ),
        (
            [make_like(c, higher_is_better=True) for c in loss_curves(SIZES, RATIOS)],
            FitStatus.FAILED,
            "accuracies in [0, 1]",
        ),
        (
            [make_like(c, n_params=None) for c in loss_curves(SIZES, RATIOS)],
            FitStatus.TOO_FEW_POINTS,
            "n_params is not known",
        ),
    ],
)
def test_what_can_not_be_fitted_says_why(curves, status, reason) -> None:
    (fit,) = fit_joint(curves, QUICK)
    assert fit.status is status
    assert reason in (fit.reason or "")
    assert set(fit.params.values()) == {None}
    assert reason.split(" (")[0] in fit.reading


def test_scores_that_size_does_not_touch_are_at_a_bound() -> None:
    curves = [
        make_like(c, score=1.8 + LOSS["B"] * c.n_examples ** -LOSS["beta"])
        for c in loss_curves(SIZES, RATIOS)
    ]
    (fit,) = fit_joint(curves, QUICK)
    assert fit.status in (FitStatus.AT_BOUND, FitStatus.NOT_IDENTIFIED)
    assert fit.stderr["alpha"] is None
    assert fit.params["beta"] == pytest.approx(LOSS["beta"], rel=1e-3)


def test_each_source_has_its_own_law_and_missing_runs_are_left_out() -> None:
    human = loss_curves(SIZES, RATIOS, 0.002)
    synthetic = [make_like(c, data_source="synthetic") for c in loss_curves(SIZES, RATIOS, 0.002)]
    human[0] = make_like(human[0], missing_reason=("excluded: a bug", None, None, None))
    fits = fit_joint([*human, *synthetic], QUICK)
    assert [fit.data_source for fit in fits] == ["human", "synthetic"]
    assert [fit.n_left_out for fit in fits] == [1, 0]
    assert [fit.n_points for fit in fits] == [47, 48]
    assert fits[0].resampled == "models"
