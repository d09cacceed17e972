"""Requests by name, and curves to surfaces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dashboard.analysis import FitSettings
from dashboard.analysis.budget.build import plan_curves, source_surfaces
from dashboard.analysis.budget.spec import (
    PlanSpec,
    build_problem,
    own_plan,
    parse_pairs,
    parse_plan,
)
from tests.dashboard.analysis.budget_worlds import hill, make_surface
from tests.dashboard.analysis.worlds import make_curve, simulate
from warehouse.errors import InputError

SURFACE = make_surface([[hill(0.2, 0.5, 20)] * 2] * 2, abilities=("code", "math"))


def test_names_become_prices_limits_minima_weights_and_floors() -> None:
    spec = parse_plan(
        {
            "budget_cost": 100,
            "cost": {"human": 2, "synthetic": 0.1, "human:math": 3},
            "available": {"human:code": 50, "synthetic": 70},
            "minimum": {"math": 5, "synthetic:code": 4},
            "weight": {"code": 2},
            "floor": {"math": 0.4},
            "floor_probability": 0.9,
        },
        "plan.yaml",
    )
    problem = build_problem(spec, SURFACE, training_cost=10)
    assert problem.budget == 90
    np.testing.assert_array_equal(problem.cost, [[2, 0.1], [3, 0.1]])
    np.testing.assert_array_equal(problem.limit, [[50, 200], [200, 200]])
    np.testing.assert_array_equal(problem.source_limit, [np.inf, 70])
    np.testing.assert_array_equal(problem.minimum, [[0, 4], [0, 0]])
    np.testing.assert_array_equal(problem.ability_minimum, [0, 5])
    np.testing.assert_array_equal(problem.weight, [2, 1])
    np.testing.assert_array_equal(problem.floor, [-np.inf, 0.4])
    assert problem.floor_probability == 0.9


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"bugdet": 5}, "unknown field 'bugdet'; known: budget"),
        ({"budget": "lots"}, "budget is 'lots'; give a number"),
        ({"cost": 3}, "cost is a mapping"),
        ({"cost": {"human": -1}}, "cost: human is -1"),
        ([1], "a plan is a mapping"),
    ],
)
def test_a_plan_file_is_refused_by_its_wrong_field(document, said) -> None:
    with pytest.raises(InputError, match=said):
        parse_plan(document, "plan.yaml")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"budget": 5, "budget_cost": 5}, "Give one budget"),
        ({}, "Give one budget"),
        ({"budget": 5, "cost": {"human": 1}}, "--cost needs --budget-cost"),
        ({"budget_cost": 5, "cost": {"human": 1}}, "no price for synthetic code"),
        ({"budget": 5, "weight": {"cooking": 1}}, "--weight names 'cooking'; known: code, math"),
        ({"budget": 5, "available": {"web": 1}}, "--available names 'web'; known: human"),
        ({"budget": 5, "minimum": {"human:web": 1}}, "--min names 'web'"),
    ],
)
def test_requests_that_make_no_problem_are_refused(fields, said) -> None:
    with pytest.raises(InputError, match=said):
        build_problem(PlanSpec(**fields), SURFACE)


def test_training_that_eats_the_budget_is_refused() -> None:
    spec = PlanSpec(budget_cost=5, cost={"human": 1, "synthetic": 1})
    with pytest.raises(InputError, match="Training m alone costs 9"):
        build_problem(spec, SURFACE, training_cost=9)


def test_an_own_plan_names_cells_within_what_runs_stand_behind() -> None:
    plan = own_plan(PlanSpec(budget=5, own_plan={"human:code": 7}), SURFACE)
    np.testing.assert_array_equal(plan, [[7, 0], [0, 0]])
    assert own_plan(PlanSpec(budget=5), SURFACE) is None
    with pytest.raises(InputError, match="stand behind 200"):
        own_plan(PlanSpec(budget=5, own_plan={"human:code": 700}), SURFACE)
    with pytest.raises(InputError, match="name cells"):
        own_plan(PlanSpec(budget=5, own_plan={"human": 7}), SURFACE)


def test_pairs_are_names_and_numbers() -> None:
    assert parse_pairs(["human=1.5", "human:code=3"], "--cost") == {"human": 1.5, "human:code": 3}
    with pytest.raises(InputError, match=r"--cost 'human' is not of the form"):
        parse_pairs(["human"], "--cost")
    with pytest.raises(InputError, match=r"--cost human is 'x'"):
        parse_pairs(["human=x"], "--cost")


def test_curves_become_one_surface_a_model_within_what_was_observed() -> None:
    rng = np.random.default_rng(1)
    curves = [
        curve
        for model, size in (("s", 10), ("l", 20))
        for curve in simulate(["rise", "flat"], rng=rng, base_model=model, n_params=size, m=100)
    ]
    curves.append(make_curve([0.2, 0.3], n=(0, 4), ability="lonely", base_model="s"))
    planned, left_out = plan_curves(curves, curves, FitSettings(n_replicates=60))
    assert [item.data.ability for item in left_out] == ["lonely"]
    surfaces, observed, dropped = source_surfaces(planned)
    assert [surface.base_model for surface in surfaces] == ["s", "l"]
    assert not dropped
    for surface, last in zip(surfaces, observed, strict=True):
        assert "No transfer" in surface.assumptions[0]
        assert surface.limits == (0.0, 1.0)
        np.testing.assert_array_equal(surface.supported, 256)
        np.testing.assert_array_equal(last, 256)
    further, last, _ = source_surfaces(planned, allow_unsupported=True)
    np.testing.assert_array_equal(further[0].supported, 1024)
    np.testing.assert_array_equal(last[0], 256)
    only = [
        curve
        for curve in planned
        if (curve.data.base_model, curve.data.ability[:4]) != ("l", "flat")
    ]
    smaller, _, dropped = source_surfaces(only)
    assert smaller[0].abilities == ("rise-0",)
    assert [item.data.base_model for item in dropped] == ["s"]


def test_volumes_that_count_all_abilities_say_so() -> None:
    curves = [
        replace(curve, x_kind="total")
        for curve in simulate(["rise", "flat"], rng=np.random.default_rng(1), m=100)
    ]
    for some, start in ((curves, "The training data are not sorted"), (curves[:1], "No transfer")):
        planned, _ = plan_curves(some, some, FitSettings(n_replicates=60))
        ((surface,), _, _) = source_surfaces(planned)
        assert surface.assumptions[0].startswith(start)


def test_scores_of_different_kinds_are_not_added_up() -> None:
    rng = np.random.default_rng(1)
    accuracy = simulate(["rise"], rng=rng)
    loss = make_curve(
        [2.0, 1.8, 1.5, 1.3, 1.2, 1.1], n=(4, 8, 16, 32, 64, 128), ability="other",
        metric="loss", higher_is_better=False, chance_level=None, seed=(0,) * 6,
    )  # fmt: skip
    planned, _ = plan_curves([*accuracy, loss], [*accuracy, loss], FitSettings(n_replicates=60))
    with pytest.raises(InputError, match="accuracy, loss are of different kinds"):
        source_surfaces(planned)
    (falling,) = [curve for curve in planned if curve.data.metric == "loss"]
    (surface,), _, _ = source_surfaces([falling])
    assert surface.sign == -1
    # Below the smallest observed volume nothing is known, so nothing is gained there.
    assert surface.scores(np.array([[4.0]])) == surface.scores(np.array([[0.0]]))
    assert surface.scores(np.array([[128.0]])) > surface.scores(np.array([[4.0]]))


def test_two_studies_are_two_plans() -> None:
    rng = np.random.default_rng(1)
    both = [*simulate(["rise"], rng=rng), *simulate(["rise"], rng=rng, study="t")]
    planned, _ = plan_curves(both, both, FitSettings(n_replicates=60))
    with pytest.raises(InputError, match="planned for one study, and there are s, t"):
        source_surfaces(planned)
