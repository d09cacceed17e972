"""Power before any run, against simulated studies of the same design."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from dashboard.analysis.budget.measured import measure_noise
from dashboard.analysis.budget.power import (
    PowerDesign,
    PowerQuestion,
    detectable_effect,
    effect_variance,
    plan_power,
    power_of,
)
from dashboard.bench.bench_budget import bench_power
from tests.dashboard.analysis.worlds import make_curve, simulate
from warehouse.errors import InputError


@pytest.mark.parametrize(
    ("design", "n_items", "n_seeds"),
    [
        (PowerDesign(score=0.45, effect=0.1), 150, 3),
        (PowerDesign(score=0.45, effect=0.1, run_stddev=0.1, n_abilities=1), 100, 2),
        (PowerDesign(question=PowerQuestion.DIFFERENCE, score=0.42, effect=0.16), 200, 4),
        (
            PowerDesign(question=PowerQuestion.DIFFERENCE, score=0.45, effect=0.1, run_stddev=0.0),
            200,
            2,
        ),
    ],
)
def test_stated_variance_and_power_are_those_of_simulated_studies(design, n_items, n_seeds) -> None:
    found = bench_power(design, n_items=n_items, n_seeds=n_seeds, n_worlds=1500)
    assert found["mean_estimate"] == pytest.approx(design.effect, abs=0.01)
    # A simulated variance is known to 2 x sqrt(2 / 1500) = 7%; the logit scale bends a little too.
    assert found["simulated_variance"] == pytest.approx(found["stated_variance"], rel=0.14)
    assert found["simulated_power"] == pytest.approx(found["stated_power"], abs=0.06)


def test_with_known_noise_and_many_degrees_of_freedom_it_is_the_normal_formula() -> None:
    design = PowerDesign(
        question=PowerQuestion.DIFFERENCE, n_abilities=1, n_settings=10_000, effect=0.1, score=0.4
    )
    stderr = np.sqrt(effect_variance(design, 500, 3))
    expected = norm.sf(norm.ppf(0.975) - 0.1 / stderr)
    assert power_of(design, 500, 3) == pytest.approx(expected, abs=1e-3)


def test_items_needed_reach_the_power_and_one_less_does_not() -> None:
    plan = plan_power(PowerDesign(effect=0.1), n_seeds=(8,))
    (needed,) = plan.needed
    assert needed.n_items is not None
    assert power_of(plan.design, needed.n_items, 8) >= 0.8
    assert power_of(plan.design, needed.n_items - 1, 8) < 0.8
    assert f"{needed.n_items:,} items x 8 seeds" in plan.reading


def test_items_can_not_make_up_for_seeds() -> None:
    plan = plan_power(PowerDesign(question=PowerQuestion.DIFFERENCE), n_seeds=(2, 3))
    assert all(item.n_items is None for item in plan.needed)
    assert all("run-to-run noise" in (item.reason or "") for item in plan.needed)
    assert "more than 3 seeds are needed" in plan.reading


@pytest.mark.parametrize(
    "easier",
    [
        {"run_stddev": 0.1},
        {"n_abilities": 1},
        {"alpha": 0.1},
        {"volumes": (4.0, 16.0, 64.0, 128.0, 256.0)},
        {"score": 0.85},
        {"setting_correlation": 0.4},
    ],
)
def test_what_makes_a_study_easier_raises_its_power(easier) -> None:
    design = PowerDesign(effect=0.1)
    assert power_of(replace(design, **easier), 300, 3) > power_of(design, 300, 3)


def test_the_smallest_detectable_effect_has_the_wanted_power() -> None:
    design = PowerDesign(effect=-0.05)
    smallest = detectable_effect(design, 500, 3)
    assert smallest is not None
    assert power_of(replace(design, effect=-smallest), 500, 3) == pytest.approx(0.8, abs=0.005)
    low = PowerDesign(effect=-0.01, score=0.02)
    assert detectable_effect(low, 50, 2) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"effect": 0.6}, "must both stay inside"),
        ({"effect": 0.0}, "can't be 0"),
        ({"volumes": (0.0,)}, "counts above 0"),
        ({"volumes": (4.0, 4.0)}, "twice"),
        ({"run_stddev": -1.0}, "give 0 or more"),
        ({"seed_correlation": 0.1}, "Item correlations"),
        ({"alpha": 1.0}, "alpha is 1"),
        ({"n_abilities": 0}, "at least one ability"),
    ],
)
def test_designs_out_of_range_are_refused(changes, said) -> None:
    with pytest.raises(InputError, match=said):
        PowerDesign(**changes)


@pytest.mark.parametrize("tried", [{"n_seeds": (1,)}, {"n_items": (1,)}])
def test_one_seed_or_item_tests_nothing(tried) -> None:
    with pytest.raises(InputError, match="at least 2"):
        plan_power(PowerDesign(), **tried)


def test_noise_is_measured_on_runs_at_hand() -> None:
    curves = simulate(
        ["even", "rise", "saturate"] * 4, m=400, run_stddev=0.3, seeds=3,
        rng=np.random.default_rng(2),
    )  # fmt: skip
    found = measure_noise(curves)
    assert found.run_stddev == pytest.approx(0.3, abs=0.06)
    # Thresholds with a latent correlation of 0.4 agree with 2 / pi arcsin(0.4) = 0.26 at p = 1/2.
    assert found.seed_correlation == pytest.approx(0.26, abs=0.03)
    assert found.setting_correlation <= found.seed_correlation


def test_runs_that_can_not_tell_noise_are_refused() -> None:
    with pytest.raises(InputError, match="no volume has two seeds"):
        measure_noise([make_curve([0.2, 0.3, 0.4, 0.5, 0.6])])
