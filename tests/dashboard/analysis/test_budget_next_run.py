"""What a further run teaches: against simulation, and in the order that it should have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from dashboard.analysis import FitSettings, IntervalKind, ResponseKind
from dashboard.analysis.budget.build import PlannedCurve, plan_curves, source_surfaces
from dashboard.analysis.budget.next_run import (
    Goal,
    RunCost,
    fit_run_cost,
    plan_candidates,
    rank_by_regret,
    rank_by_variance,
)
from dashboard.analysis.budget.spec import PlanSpec, build_problem
from tests.dashboard.analysis.worlds import make_curve, simulate
from warehouse.errors import InputError

FREE = RunCost(unit="runs", reason="none is known", fixed={"m": 1.0}, per_example={})


def straight_line(noise: float = 0.02, seed: int = 0, **changes) -> PlannedCurve:
    """A curve a + b log2(n) whose a and b were estimated from runs at 1 and 16, for exactness."""
    rng = np.random.default_rng(seed)
    grid = np.array([0.0, 1, 2, 4, 8, 16, 32, 64, 16000])
    at_1, at_16 = 0.2 + noise * rng.normal(size=4000), 0.5 + noise * rng.normal(size=4000)
    slope = (at_16 - at_1) / np.log2(16)
    values = at_1 + np.log2(np.maximum(grid, 1))[:, None] * slope
    fields = {
        "data": make_curve([0.2, 0.2, 0.5], n=(0, 1, 16)),
        "response": ResponseKind.ACCURACY,
        "n_grid": grid,
        "estimate": values.mean(axis=1),
        "replicates": values,
        "df": np.inf,
        "kind": IntervalKind.ITEMS_AND_RUNS,
        "first": 0.0,
        "last": 16.0,
        "run_variance": np.full(len(grid), noise**2),
        "run_noise_known": True,
    }
    return PlannedCurve(**(fields | changes))


def test_a_second_run_halves_the_variance_that_one_run_left() -> None:
    curve = straight_line()
    found = rank_by_variance([curve], plan_candidates([curve]), FREE, goal=Goal.GAIN)
    by_volume = {cell.n_examples: cell for cell in found.cells}
    # Gain = y16 - y1: two independent parts, of which a run at either end halves its own.
    assert found.now == pytest.approx(2 * 0.02**2, rel=0.05)
    assert by_volume[16].share == pytest.approx(0.25, abs=0.01)
    assert by_volume[1].share == pytest.approx(0.25, abs=0.01)
    # The middle of a line says nothing about its slope.
    assert by_volume[4].share == pytest.approx(0.0, abs=0.01)
    assert by_volume[4].n_seeds_now == 0
    assert by_volume[16].seed == 1


def test_the_stated_reduction_is_what_refitting_gives() -> None:
    curve = straight_line()
    (cell,) = (
        c
        for c in rank_by_variance(
            [curve], plan_candidates([curve]), FREE, goal=Goal.PREDICTION, at=32
        ).cells
        if c.n_examples == 32
    )
    # Least squares over runs at 1, 16 and 32: variance of the fitted value at 32.
    x = np.log2([1.0, 16, 32])
    design = np.column_stack([np.ones(3), x])
    after = 0.02**2 * design[2] @ np.linalg.inv(design.T @ design) @ design[2]
    before = 0.02**2 * design[2] @ np.linalg.inv(design[:2].T @ design[:2]) @ design[2]
    assert cell.expected_reduction == pytest.approx(before - after, rel=0.05)


def test_cheap_runs_come_first_where_they_teach_as_much() -> None:
    curve = straight_line()
    cost = RunCost(unit="seconds", reason=None, fixed={"m": 1.0}, per_example={("m", "human"): 1.0})
    found = rank_by_variance([curve], plan_candidates([curve]), cost, goal=Goal.GAIN)
    assert found.cells[0].n_examples == 1
    assert found.cells[0].cost == 2.0
    assert found.cells[0].reduction_per_cost == found.cells[0].expected_reduction / 2
    assert "at 2 seconds" in found.reading


def test_candidates_are_seeds_midpoints_and_the_next_doubling() -> None:
    found = plan_candidates([straight_line(), straight_line()])
    assert [c.n_examples for c in found] == [1, 4, 16, 32]
    assert [c.n_examples_total for c in found] == [2, 8, 32, 64]
    assert [c.seed for c in found] == [1, 0, 1, 0]


def test_a_run_that_states_no_seed_is_a_run_too() -> None:
    data = make_curve([0.2, 0.2, 0.5], n=(0, 1, 16))
    curve = straight_line(data=replace(data, seed=(None, None, None)))
    found = plan_candidates([curve])
    assert [c.n_examples for c in found] == [1, 4, 16, 32]
    assert [c.n_seeds_now for c in found] == [1, 0, 1, 0]
    assert {c.seed for c in found} == {0}


def test_volumes_of_pretraining_have_midpoints() -> None:
    data = make_curve([3.0, 2.5, 2.2], n=(10**8, 10**10, 10**12))
    found = plan_candidates([straight_line(data=data)])
    assert [c.n_examples for c in found] == [10**8, 10**9, 10**10, 10**11, 10**12, 2 * 10**12]


def test_items_held_fixed_leave_only_what_runs_can_teach() -> None:
    curves = simulate(["rise", "saturate"], m=100, rng=np.random.default_rng(4))
    settings = FitSettings(n_replicates=200)
    whole, _ = plan_curves(curves, curves, settings)
    fixed, _ = plan_curves(curves, curves, settings, items_fixed=True)
    for all_noise, run_noise in zip(whole, fixed, strict=True):
        # Other weights of the runs, else the same curve.
        np.testing.assert_allclose(all_noise.estimate, run_noise.estimate, atol=0.01)
        # The base model is one evaluation: on the same items it would come out the same.
        assert run_noise.replicates[0].std() < 0.5 * all_noise.replicates[0].std()
        assert run_noise.run_noise_known


def test_one_seed_everywhere_is_told() -> None:
    curves = simulate(["rise"], seeds=1, m=100, rng=np.random.default_rng(4))
    fixed, _ = plan_curves(curves, curves, FitSettings(n_replicates=60), items_fixed=True)
    found = rank_by_variance(fixed, plan_candidates(fixed), FREE, goal=Goal.PLATEAU)
    assert any("run-to-run noise is assumed" in text for text in found.warnings)


def test_a_run_removes_regret_only_where_plans_differ() -> None:
    curves = simulate(["rise", "saturate", "flat"], m=200, rng=np.random.default_rng(5))
    planned, _ = plan_curves(curves, curves, FitSettings(n_replicates=200), items_fixed=True)
    (surface,), _, _ = source_surfaces(planned)
    problem = build_problem(PlanSpec(budget=100), surface)
    plans = np.array([[[100], [0], [0]], [[0], [100], [0]], [[50], [50], [0]]], dtype=float)
    candidates = plan_candidates(planned)
    found = rank_by_regret(surface, problem, plans, planned, candidates, FREE)
    assert 0 < found.cells[0].share <= 1
    assert found.cells[0].expected_reduction <= found.now
    one = rank_by_regret(surface, problem, plans[:1], planned, candidates, FREE)
    assert one.now == 0
    assert all(cell.expected_reduction == 0 for cell in one.cells)


def test_the_value_of_a_run_is_that_of_two_normal_plans() -> None:
    curves = [
        straight_line(seed=seed, data=make_curve([0.2, 0.2, 0.5], n=(0, 1, 16), ability=ability))
        for seed, ability in ((1, "a"), (2, "b"))
    ]
    (surface,), _, _ = source_surfaces(curves)
    problem = build_problem(PlanSpec(budget=16), surface)
    plans = np.array([[[16.0], [0.0]], [[0.0], [16.0]]])
    found = rank_by_regret(surface, problem, plans, curves, plan_candidates(curves), FREE)
    (cell,) = (cell for cell in found.cells if cell.n_examples == 16)
    rows = slice(0, 400)
    # Delta = U_1 - U_2 = (gain of a - gain of b) / 2; after the run its mean varies by tau.
    at_16 = [curve.replicates[5, rows] for curve in curves]
    gains = [curve.replicates[5, rows] - curve.replicates[0, rows] for curve in curves]
    d = abs(gains[0].mean() - gains[1].mean()) / 2
    tau = np.sqrt(
        sum(
            (np.cov(gain / 2, f)[0, 1]) ** 2 / (f.var() + 0.02**2)
            for gain, f in zip(gains, at_16, strict=True)
        )
    )
    expected = tau * norm.pdf(d / tau) - d * norm.sf(d / tau)
    assert cell.expected_reduction == pytest.approx(expected, rel=0.1)


def test_costs_are_fitted_by_base_model() -> None:
    models = ["s", "s", "s", "l", "l"]
    n = np.array([10.0, 100, 1000, 10, np.nan])
    fixed, rate = fit_run_cost(models, n, np.array([2.2, 4.0, 22.0, 5.0, 6.0]))
    assert fixed["s"] == pytest.approx(2.0, rel=1e-6)
    assert rate["s"] == pytest.approx(0.02, rel=1e-6)
    assert fixed["l"] + 10 * rate["l"] == pytest.approx(5.0)


def test_a_volume_beyond_all_reason_is_refused() -> None:
    curve = straight_line()
    with pytest.raises(InputError, match="--at 1e"):
        rank_by_variance([curve], plan_candidates([curve]), FREE, goal=Goal.PREDICTION, at=1e9)
