"""A recommendation's numbers: against the truth, under constraints, over several models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dashboard.analysis.budget.recommend import Option, first_answer, recommend
from dashboard.analysis.budget.solve import share_to_probability
from dashboard.analysis.budget.spec import LEAST_GAIN
from dashboard.bench.bench_budget import bench_budget
from tests.dashboard.analysis.budget_worlds import hill, make_problem, make_surface, make_transfer
from warehouse.errors import InputError

CURVES = [
    [hill(0.2, 0.5, 20), hill(0.2, 0.3, 10)],
    [hill(0.5, 0.2, 5), hill(0.5, 0.2, 30)],
    [hill(0.4, 0.0, 5), hill(0.4, 0.0, 30)],
]


def make_option(noise: float = 0.01, budget: float = 60, **changes) -> Option:
    surface = make_surface(CURVES, noise=noise, abilities=("code", "math", "flat"))
    return Option(surface=surface, problem=make_problem(surface, budget, **changes))


def test_the_plan_is_whole_affordable_and_better_than_uniform() -> None:
    found = recommend([make_option()])
    assert sum(cell.n_examples for cell in found.allocation) <= 60
    assert found.spent == sum(cell.cost for cell in found.allocation)
    flat = sum(cell.n_examples for cell in found.allocation if cell.ability == "flat")
    assert flat <= 5
    lead = found.versus[0]
    assert lead.against == "uniform"
    assert lead.p_better > 0.9
    assert lead.difference.low < lead.difference.estimate < lead.difference.high
    code = found.expected[0]
    assert code.score.low <= code.score.estimate <= code.score.high
    assert code.without_data == pytest.approx(0.2)
    assert "better than the uniform plan" in found.reading


def test_the_first_answer_is_the_plan_of_the_curves_alone() -> None:
    option = make_option(noise=0.0)
    first, whole = first_answer([option]), recommend([option])
    assert [c.n_examples for c in first.allocation] == [c.n_examples for c in whole.allocation]
    assert first.score == pytest.approx(whole.score.estimate, abs=1e-3)
    assert first.score > first.uniform


def test_without_noise_nothing_is_uncertain_and_nothing_too_optimistic() -> None:
    found = recommend([make_option(noise=0.0)])
    assert found.optimism == pytest.approx(0.0, abs=1e-3)
    assert found.versus[0].p_better > 0.99
    assert min(item.share_within_factor_2 for item in found.stability) == 1.0


def test_noise_that_could_make_any_plan_look_best_is_taken_off() -> None:
    alike = make_surface([[hill(0.3, 0.3, 30)]] * 6, noise=0.1)
    tilted = alike.resampled(0)
    # The data are one noisy draw around equal curves; the replicates scatter about it.
    data = replace(
        alike,
        curves=tilted.curves,
        replicates=alike.replicates + (tilted.curves - alike.curves)[..., None],
    )
    problem = make_problem(data, 120)
    raw = first_answer([Option(surface=data, problem=problem)])
    assert raw.score - raw.uniform > 0.008
    found = recommend([Option(surface=data, problem=problem)])
    assert found.versus[0].difference.estimate < 0.3 * (raw.score - raw.uniform)
    assert found.score.low < 0.3 + 0.3 * 20 / 50 < found.score.high


def test_the_own_plan_is_compared_with() -> None:
    option = make_option()
    plan = np.zeros((3, 2))
    plan[2, 0] = 60
    found = recommend([option], own_plan=plan)
    own = found.versus[1]
    assert own.against == "own plan"
    assert own.difference.estimate > found.versus[0].difference.estimate
    assert own.p_better > 0.95


def test_more_budget_never_scores_less() -> None:
    points = recommend([make_option()]).frontier
    assert [point.budget for point in points] == [15, 30, 60, 120, 240]
    scores = [point.score.estimate for point in points]
    assert scores == sorted(scores)
    assert all(point.spent <= point.budget for point in points)


def test_a_floor_is_reached_with_its_probability() -> None:
    free = recommend([make_option(noise=0.05)])
    floor = np.array([-np.inf, 0.64, -np.inf])
    found = recommend([make_option(noise=0.05, floor=floor, floor_probability=0.7)])
    math = found.expected[1]
    # Chosen on one half of 200 replicates, judged on the other.
    assert math.p_floor is not None
    assert math.p_floor > 0.5
    assert math.score.estimate > free.expected[1].score.estimate
    assert found.score.estimate < free.score.estimate


def test_a_floor_out_of_reach_is_refused_with_the_best_that_can_be_done() -> None:
    floor = np.array([-np.inf, 0.72, -np.inf])
    with pytest.raises(InputError, match=r"brings math to 0.72 .*; the best it can do is 0\.[0-4]"):
        recommend([make_option(noise=0.02, floor=floor)])


def test_floors_that_only_clash_together_are_refused_as_such() -> None:
    floor = np.array([0.46, 0.66, -np.inf])
    option = make_option(noise=0.001, budget=30, floor=floor)
    with pytest.raises(InputError, match="keeps all of them"):
        recommend([option])


def test_losses_are_told_in_their_own_unit() -> None:
    surface = make_surface([[-hill(1.0, -0.5, 20)], [-hill(2.0, -0.2, 20)]], noise=0.01, sign=-1.0)
    found = recommend([Option(surface=surface, problem=make_problem(surface, 100))])
    assert found.higher_is_better is False
    assert found.expected[0].without_data == pytest.approx(1.0)
    assert 0.5 < found.expected[0].score.estimate < 0.75
    assert found.expected[0].score.low <= found.expected[0].score.estimate
    assert found.score.estimate < found.frontier[0].score.estimate
    assert found.versus[0].difference.estimate >= 0


def test_the_model_is_chosen_with_its_training_paid() -> None:
    small, large = make_surface(CURVES, noise=0.01), make_surface(CURVES, noise=0.01)
    large = replace(
        large, base_model="large", curves=large.curves + 0.1, replicates=large.replicates + 0.1
    )
    options = [
        Option(surface=small, problem=make_problem(small, 60)),
        Option(surface=large, problem=make_problem(large, 20), training_cost=40.0),
    ]
    found = recommend(options)
    assert found.base_model == "large"
    assert found.budget == 60
    assert found.spent <= 60
    assert [choice.base_model for choice in found.base_models] == ["m", "large"]
    assert sum(choice.p_best or 0 for choice in found.base_models) == pytest.approx(1.0)
    dear = replace(options[1], problem=make_problem(large, 1), training_cost=59.0)
    cheap = replace(
        dear, surface=replace(large, curves=CURVES_ARRAY - 0.1, replicates=large.replicates - 0.2)
    )
    assert recommend([options[0], cheap]).base_model == "m"


CURVES_ARRAY = np.array(CURVES)


def test_a_model_that_keeps_no_floor_is_left_out_with_the_reason() -> None:
    weak, strong = make_surface(CURVES, noise=0.01), make_surface(CURVES, noise=0.01)
    strong = replace(
        strong, base_model="strong", curves=strong.curves + 0.2, replicates=strong.replicates + 0.2
    )
    floor = np.array([0.7, -np.inf, -np.inf])
    options = [
        Option(surface=surface, problem=make_problem(surface, 60, floor=floor))
        for surface in (weak, strong)
    ]
    found = recommend(options)
    assert found.base_model == "strong"
    (refused,) = [choice for choice in found.base_models if choice.score is None]
    assert "brings a0 to 0.7" in (refused.reason or "")


def test_unsupported_and_exhausted_cells_are_flagged() -> None:
    surface = make_surface([[hill(0.2, 0.5, 100)]])
    found = recommend(
        [
            Option(
                surface=surface,
                problem=make_problem(surface, 150, limit=np.array([[120.0]])),
                supported=np.array([[64.0]]),
            )
        ]
    )
    (cell,) = found.allocation
    assert cell.n_examples == 120
    assert cell.stopped_by == "available"
    assert cell.unsupported
    assert any("extrapolated" in text for text in found.warnings)
    assert any("30 of the budget stays unspent" in text for text in found.warnings)
    assert found.unspent == 30


def test_money_stays_unspent_where_no_gain_is_expected_unless_all_is_to_be_spent() -> None:
    surface = make_surface([[hill(0.4, 0.0, 5)], [np.minimum(hill(0.2, 0.4, 10), 0.4)]], noise=1e-4)
    problem = make_problem(surface, 100, least_gain=LEAST_GAIN)
    found = recommend([Option(surface=surface, problem=problem)])
    # The second ability has all it can have at 10 examples; the first never gains.
    assert found.spent < 20
    assert found.unspent == 100 - found.spent
    assert f"{found.unspent:g} stays unspent" in found.reading
    assert any("--spend-all" in text for text in found.warnings)
    whole = recommend(
        [Option(surface=surface, problem=make_problem(surface, 100, least_gain=-1.0))]
    )
    assert whole.unspent == 0
    assert whole.score.estimate == pytest.approx(found.score.estimate, abs=1e-3)


def test_nothing_is_bought_of_data_that_only_harms() -> None:
    surface = make_surface([[hill(0.5, -0.2, 10)]] * 2, noise=1e-4)
    problem = make_problem(surface, 100, least_gain=LEAST_GAIN)
    found = recommend([Option(surface=surface, problem=problem)])
    assert found.spent == 0
    assert "Buy nothing" in found.reading
    assert found.versus[0].p_better > 0.9


def test_transfer_is_planned_with_where_it_is_known() -> None:
    surface = make_transfer(np.array([[1.0, 0.9], [0.0, 1.0]]))
    found = recommend([Option(surface=surface, problem=make_problem(surface, 40))])
    assert found.allocation[0].n_examples > 30
    assert "Effective examples add up" in found.assumptions[0]


@pytest.mark.parametrize(("df", "expected"), [(np.inf, 0.9), (3.0, 0.855)])
def test_probabilities_are_those_of_t(df, expected) -> None:
    holds = np.arange(1000) < 900
    assert share_to_probability(holds, df) == pytest.approx(expected, abs=0.002)
    assert share_to_probability(np.ones(100, dtype=bool), np.inf) < 1


@pytest.mark.slow
@pytest.mark.parametrize("alike", [False, True])
def test_plans_keep_what_they_promise_in_simulated_worlds(alike: bool) -> None:
    """Ten worlds: far from a calibration, near enough to see it break; `make bench` has more."""
    n = 10
    found = bench_budget(n, n_abilities=4, n_replicates=100, first_world=9000, alike=alike)
    stated, better = found["uniform"]["stated"], found["uniform"]["better"]
    # Three binomial standard errors of the number of plans that are truly better.
    tolerance = 3 * np.sqrt(stated * (1 - stated) / n) + 0.5 / n
    assert abs(better - stated) <= tolerance
    assert found["regret"]["mean"] < found["regret_of_uniform"]["mean"] + 0.002
    assert found["covered"]["lead"] >= 0.7
    assert found["covered"]["ability"] >= 0.8
    assert abs(found["score_bias"]["mean"]) < 0.03
