"""Whole studies: labels, corrections, readings, determinism, what the settings change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from dashboard.analysis import (
    CurveFit,
    FitSettings,
    FitStatus,
    Interval,
    IntervalKind,
    Label,
    Plateau,
    PlateauStatus,
    fit_study,
)
from dashboard.analysis.summary import give_label
from tests.dashboard.analysis.worlds import TRUTHS, simulate

SETTINGS = FitSettings(n_replicates=200, delta=0.05)
KINDS = ("flat", "rise", "saturate", "fall", "sigmoid", "slow")


@pytest.fixture(scope="module")
def fits() -> dict[str, CurveFit]:
    """Six abilities with 1,000 items and runs that hardly differ."""
    rng = np.random.default_rng(20)
    curves = simulate(KINDS, m=1000, run_stddev=0.05, rng=rng)
    return {fit.ability.split("-")[0]: fit for fit in fit_study(curves, SETTINGS).curves}


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("flat", {Label.RESISTANT}),
        ("rise", {Label.RESPONSIVE}),
        ("saturate", {Label.SATURATING}),
        ("fall", {Label.DECLINING}),
        ("sigmoid", {Label.RESPONSIVE}),
    ],
)
def test_clear_cases_get_their_label(fits, kind: str, labels: set[Label]) -> None:
    assert fits[kind].label in labels, fits[kind].reading


@pytest.mark.parametrize("kind", KINDS)
def test_gains_are_where_the_truth_is(fits, kind: str) -> None:
    gain = fits[kind].gain
    truth = TRUTHS[kind](256.0) - TRUTHS[kind](0.0)
    assert gain.kind is IntervalKind.ITEMS_AND_RUNS
    assert gain.low - 0.02 < truth < gain.high + 0.02
    assert gain.estimate == pytest.approx(
        fits[kind].score_last.estimate - fits[kind].score_first.estimate
    )


def test_pace_is_the_volume_of_half_the_gain(fits) -> None:
    n = np.linspace(0, 256, 4001)
    for kind in ("rise", "saturate", "sigmoid"):
        curve = TRUTHS[kind](n)
        half = n[np.argmax(curve >= (curve[0] + curve[-1]) / 2)]
        pace = fits[kind].half_gain_examples
        assert pace.low * 0.8 < half < pace.high * 1.25, kind
    assert fits["flat"].half_gain_examples is None
    assert "none to halve" in fits["flat"].half_gain_reason


def test_q_values_are_benjamini_hochberg_over_the_comparison(fits) -> None:
    p = [fits[kind].p_value for kind in KINDS]
    np.testing.assert_allclose([fits[kind].q_value for kind in KINDS], false_discovery_control(p))
    assert {fits[kind].n_tests for kind in KINDS} == {6}


def test_each_source_and_model_is_its_own_comparison() -> None:
    rng = np.random.default_rng(21)
    curves = simulate(("flat", "rise"), rng=rng)
    curves += simulate(("flat", "rise", "slow"), rng=rng, data_source="synthetic")
    fits = fit_study(curves, replace(SETTINGS, n_replicates=50)).curves
    assert [fit.n_tests for fit in fits] == [2, 2, 3, 3, 3]


def test_readings_are_one_plain_sentence_with_the_interval(fits) -> None:
    for fit in fits.values():
        assert fit.reading.startswith(f"{fit.ability} of m on human data ")
        assert "95% interval" in fit.reading
        assert fit.reading.endswith(".")
        assert fit.reading.count(". ") == 0
    assert "a gain of 5 points or more is ruled out" in fits["flat"].reading
    assert "has levelled off" in fits["saturate"].reading
    assert "made it worse" in fits["fall"].reading


def test_plateaus_are_judged_with_a_detectable_effect(fits) -> None:
    assert fits["saturate"].plateau.status is PlateauStatus.PLATEAU
    assert fits["rise"].plateau.status is PlateauStatus.GROWING
    for fit in fits.values():
        assert fit.plateau.minimum_detectable > 0
        assert fit.plateau.delta == 0.01


def test_few_items_are_called_underpowered_for_a_plateau() -> None:
    rng = np.random.default_rng(22)
    fit = fit_study(simulate(["rise"], m=60, rng=rng), SETTINGS).curves[0]
    assert fit.plateau.status in (PlateauStatus.UNDERPOWERED, PlateauStatus.GROWING)
    assert fit.plateau.minimum_detectable > 0.01


def test_the_same_input_gives_the_same_numbers() -> None:
    curves = simulate(("rise", "power"), rng=np.random.default_rng(23))
    first, second = (fit_study(curves, SETTINGS).curves for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.gain == other.gain
        assert one.q_value == other.q_value
        np.testing.assert_array_equal(one.band.low, other.band.low)
    swapped = fit_study(curves[::-1], SETTINGS).curves[::-1]
    assert swapped[0].gain == first[0].gain


def test_items_are_drawn_once_for_all_curves_of_an_ability() -> None:
    from dashboard.analysis.replicates import draw_items

    names = [f"i{index}" for index in range(50)]
    one = draw_items(names, 100, 1, "s/code/acc")
    np.testing.assert_array_equal(one.counts, draw_items(names, 100, 1, "s/code/acc").counts)
    assert (one.counts.sum(axis=0) == 50).all()
    assert (one.counts != draw_items(names, 100, 1, "s/math/acc").counts).any()
    np.testing.assert_array_equal(one.rows(("i3", "i1")), one.counts[[3, 1]])


def test_weights_sum_to_one_and_leave_the_constant_out(fits) -> None:
    for fit in fits.values():
        assert sum(family.weight for family in fit.families) == pytest.approx(1)
        assert fit.families[0].name == "constant"
        assert fit.families[0].weight == 0
        assert fit.overdispersion >= 1


def test_one_requested_family_is_the_curve() -> None:
    curves = simulate(["rise"], rng=np.random.default_rng(24))
    fit = fit_study(curves, replace(SETTINGS, families=("power_law",))).curves[0]
    (family,) = fit.families
    assert family.weight == 1
    params = family.params
    n = fit.band.n_examples
    expected = params["c"] - params["A"] * (n + params["n0"]) ** -params["beta"]
    np.testing.assert_allclose(fit.band.estimate, expected, atol=1e-9)
    constant = fit_study(curves, replace(SETTINGS, families=("constant",))).curves[0]
    assert constant.gain.estimate == 0
    assert constant.status is FitStatus.OK


def test_wider_levels_give_wider_intervals_around_the_same_estimate() -> None:
    curves = simulate(["rise"], rng=np.random.default_rng(25))
    narrow = fit_study(curves, replace(SETTINGS, level=0.8)).curves[0].gain
    wide = fit_study(curves, replace(SETTINGS, level=0.99)).curves[0].gain
    assert narrow.estimate == wide.estimate
    assert wide.low < narrow.low < narrow.high < wide.high


def test_run_noise_widens_intervals() -> None:
    rng = np.random.default_rng(26)
    two = fit_study(simulate(["rise"] * 4, rng=rng), SETTINGS).curves
    rng = np.random.default_rng(26)
    one = fit_study(simulate(["rise"] * 4, seeds=1, rng=rng), SETTINGS).curves
    width = [np.mean([f.gain.high - f.gain.low for f in fits]) for fits in (one, two)]
    assert width[1] > 1.5 * width[0]


def make_interval(estimate: float, half: float) -> Interval:
    return Interval(
        estimate=estimate, low=estimate - half, high=estimate + half, level=0.95,
        kind=IntervalKind.ITEMS_AND_RUNS,
    )  # fmt: skip


def make_plateau(status: PlateauStatus) -> Plateau:
    return Plateau(
        status=status, gain=None, upper_bound=None, minimum_detectable=None, delta=0.01, reason=None
    )


@pytest.mark.parametrize(
    ("estimate", "half", "upper", "q", "plateau", "label"),
    [
        (-0.1, 0.05, -0.06, 0.01, "growing", Label.DECLINING),
        # Significant, but the interval reaches above 0: not declining, and a gain is ruled out.
        (-0.1, 0.15, 0.02, 0.01, "growing", Label.RESISTANT),
        (-0.1, 0.05, -0.06, 0.2, "growing", Label.RESISTANT),
        # A significant gain that is smaller than what matters is resistant.
        (0.01, 0.005, 0.014, 0.001, "growing", Label.RESISTANT),
        (0.1, 0.05, 0.14, 0.01, "growing", Label.RESPONSIVE),
        (0.1, 0.05, 0.14, 0.01, "underpowered", Label.RESPONSIVE),
        (0.1, 0.05, 0.14, 0.01, "plateau", Label.SATURATING),
        (0.1, 0.05, 0.14, 0.06, "plateau", Label.UNDECIDED),
        (-0.01, 0.2, 0.15, 0.01, "plateau", Label.UNDECIDED),
    ],
)
def test_the_label_rule_in_its_order(estimate, half, upper, q, plateau, label) -> None:
    given, reason = give_label(
        make_interval(estimate, half), upper, q, 0.03, make_plateau(PlateauStatus(plateau)), 0.05
    )
    assert given is label
    assert reason is None
