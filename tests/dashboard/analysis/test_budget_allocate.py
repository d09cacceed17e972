"""The best allocation, against all allocations there are on small problems."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.analysis.budget.allocate import milp_start, objective, polish, round_down
from dashboard.analysis.budget.solve import solve
from tests.dashboard.analysis.budget_worlds import (
    best_by_force,
    hill,
    make_problem,
    make_surface,
    make_transfer,
)
from warehouse.errors import InputError

CONCAVE = [[hill(0.2, 0.5, 20), hill(0.2, 0.3, 10)], [hill(0.5, 0.2, 5), hill(0.5, 0.2, 30)]]
SIGMOID = [[hill(0.2, 0.6, 25, 4.0)], [hill(0.3, 0.5, 20, 3.0)], [hill(0.4, 0.2, 4)]]


@pytest.mark.parametrize(
    ("curves", "budget", "changes"),
    [
        (CONCAVE, 12, {}),
        (CONCAVE, 12, {"weight": np.array([1.0, 4.0])}),
        (CONCAVE, 12, {"minimum": np.array([[0.0, 2.0], [0.0, 0.0]])}),
        (CONCAVE, 12, {"ability_minimum": np.array([0.0, 6.0])}),
        (CONCAVE, 12, {"source_limit": np.array([3.0, np.inf])}),
        (CONCAVE, 10, {"cost": np.array([[2.0, 1.0], [1.5, 0.7]])}),
        (SIGMOID, 30, {}),
        (SIGMOID, 45, {"weight": np.array([1.0, 1.0, 2.0])}),
        (SIGMOID, 40, {"limit": np.array([[20.0], [18.0], [40.0]])}),
    ],
)
def test_no_allocation_beats_the_one_found(curves, budget, changes) -> None:
    surface = make_surface(curves)
    problem = make_problem(surface, budget, **changes)
    best, _ = best_by_force(surface, problem)
    plan = solve(surface, problem)
    assert problem.allows(plan)
    assert (plan == np.round(plan)).all()
    gain = best - float(objective(surface, problem, np.zeros_like(plan)))
    # Small purchases are dropped where that costs less than 0.2% of the gain.
    assert float(objective(surface, problem, plan)) >= best - 0.0021 * gain


def test_the_program_alone_finds_the_right_hill_of_a_curve_that_is_not_concave() -> None:
    # Enough for one of two steep hills: half for each would bring next to nothing.
    surface = make_surface([[hill(0.2, 0.6, 30, 6.0)], [hill(0.2, 0.5, 30, 6.0)]])
    problem = make_problem(surface, 45)
    start = milp_start(surface.pieces(), problem)
    assert start is not None
    assert start[0, 0] > 40
    assert float(objective(surface, problem, round_down(problem, start))) == pytest.approx(
        best_by_force(surface, problem)[0], abs=0.01
    )


def test_transfer_sends_the_data_to_the_ability_that_shares() -> None:
    surface = make_transfer(np.array([[1.0, 0.9], [0.0, 1.0]]))
    problem = make_problem(surface, 40)
    best, _ = best_by_force(surface, problem)
    plan = solve(surface, problem)
    assert plan[0, 0] > 30
    assert float(objective(surface, problem, plan)) == pytest.approx(best, abs=1e-3)


def test_data_that_harms_is_not_bought_and_the_rest_of_the_budget_stays() -> None:
    surface = make_surface([[hill(0.5, -0.2, 20)], [hill(0.3, 0.4, 3)]])
    problem = make_problem(surface, 300)
    plan = solve(surface, problem)
    assert plan[0, 0] == 0
    assert plan[1, 0] == 200


def test_polishing_never_makes_a_plan_worse_and_keeps_further_conditions() -> None:
    surface = make_surface(CONCAVE)
    problem = make_problem(surface, 40)
    start = problem.uniform()
    before = float(objective(surface, problem, start))
    plan = polish(surface, problem, [start], accept=lambda n: n[1].sum() >= 15)
    assert plan is not None
    assert plan[1].sum() >= 15
    assert float(objective(surface, problem, plan)) >= before


def test_uniform_spends_the_budget_on_equal_counts_within_limits() -> None:
    surface = make_surface(CONCAVE)
    assert (make_problem(surface, 41).uniform() == 10).all()
    limit = np.array([[5.0, 200.0], [200.0, 0.0]])
    even = make_problem(surface, 41, limit=limit).uniform()
    np.testing.assert_array_equal(even, [[5, 18], [18, 0]])
    scarce = make_problem(surface, 40, source_limit=np.array([6.0, np.inf])).uniform()
    assert scarce[:, 0].sum() <= 6
    assert scarce[:, 1].min() >= 14


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"minimum": np.array([[0.0, 300.0], [0.0, 0.0]])}, "minimum of 300 examples of synth"),
        ({"ability_minimum": np.array([500.0, 0.0])}, "minimum of 500 examples of a0"),
        ({"ability_minimum": np.array([30.0, 30.0])}, "minima alone cost 60, more than .* 40"),
        (
            {"minimum": np.full((2, 2), 5.0), "source_limit": np.array([8.0, np.inf])},
            "minima of human data sum to 10",
        ),
        ({"cost": np.zeros((2, 2))}, "costs 0"),
        ({"weight": np.zeros(2)}, "at least one ability"),
        ({"limit": np.zeros((2, 2))}, "Nothing can be bought"),
        ({"budget": -1.0}, "budget is -1"),
        ({"floor_probability": 1.0}, "probability is 1"),
    ],
)
def test_what_can_not_be_is_refused_in_one_sentence(changes, said) -> None:
    with pytest.raises(InputError, match=said):
        make_problem(make_surface(CONCAVE), **({"budget": 40.0} | changes))
