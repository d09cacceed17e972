"""Which budget: the best allocation, how sure it is, and what other budgets would bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dashboard.analysis.budget.allocate import objective
from dashboard.analysis.budget.evaluate import (
    compare_plans,
    expected_scores,
    plan_stability,
    weighted_score,
)
from dashboard.analysis.budget.exchange import IntArray
from dashboard.analysis.budget.pooling import pool_abilities
from dashboard.analysis.budget.problem import BudgetProblem
from dashboard.analysis.budget.reading import read_recommendation
from dashboard.analysis.budget.results import (
    AllocatedCell,
    Comparison,
    FirstAnswer,
    FrontierPoint,
    ModelChoice,
    Recommendation,
)
from dashboard.analysis.budget.solve import resolve, solve
from dashboard.analysis.budget.transfer_surface import GrowthSurface
from dashboard.analysis.curve_data import FloatArray
from warehouse.errors import InputError

_N_RESOLVED = 20
_FRONTIER = (0.25, 0.5, 1.0, 2.0, 4.0)
_TELLS_APART = 0.6
"""Probability of being better below which a plan and another are not told apart."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One base model that could be trained: its surface, its problem and what training costs."""

    surface: GrowthSurface
    problem: BudgetProblem
    training_cost: float = 0.0
    supported: FloatArray | None = None
    """Largest observed volumes (A, S), where the surface itself goes further."""


def first_answer(options: Sequence[Option]) -> FirstAnswer:
    """Return the best plan on the plug-in curves, over all options.

    Raises
    ------
    InputError
        If no plan satisfies the constraints.
    """
    solved, _ = _solve_each([replace(o, problem=_normalised(o.problem)) for o in options])
    option, plan = max(
        solved, key=lambda item: float(objective(item[0].surface, item[0].problem, item[1]))
    )
    surface, problem = option.surface, option.problem
    return FirstAnswer(
        base_model=surface.base_model,
        allocation=_cells(option, plan),
        score=surface.sign * float(objective(surface, problem, plan)),
        uniform=surface.sign * float(objective(surface, problem, problem.uniform())),
    )


def recommend(
    options: Sequence[Option],
    *,
    own_plan: FloatArray | None = None,
    level: float = 0.95,
    frontier: Sequence[float] = _FRONTIER,
    n_resolved: int = _N_RESOLVED,
) -> Recommendation:
    """Return the best allocation with its uncertainty.

    Parameters
    ----------
    options : sequence of Option
        One per base model to choose from. All share abilities, sources and the draws behind
        their replicates.
    own_plan : ndarray, shape (A, S), optional
        The user's own plan, to compare with; it may exceed the budget.
    level : float
        Of the intervals.
    frontier : sequence of float
        Budgets to solve as well, as multiples of the budget.
    n_resolved : int
        Replicates solved anew, at most 30.

    Raises
    ------
    InputError
        If no plan satisfies the constraints; the sentence names the one that fails.

    Notes
    -----
    Curves are pooled over abilities first (`pooling`), so that replicates are draws from their
    posterior and a plan needs no correction for having been chosen on them. The plan is chosen on
    the even replicates and judged on the odd ones, which keeps out what is left of chance: the
    drawing. Where its expected score is below the uniform plan's, the uniform plan is returned.
    Intervals cover what the curves' replicates cover, for the expected score of the training
    procedure; a single run varies more.
    """
    options = [replace(o, problem=_normalised(o.problem)) for o in options]
    fitted = {o.surface.base_model: o.surface for o in options}
    options = [replace(o, surface=pool_abilities(o.surface)) for o in options]
    n_replicates = options[0].surface.n_replicates
    choose, judge = np.arange(0, n_replicates, 2), np.arange(1, n_replicates, 2)
    solved, refused = _solve_each(options, choose)
    options, plans = [option for option, _ in solved], [plan for _, plan in solved]
    values = [
        float(_expected_merit(o, plan, choose)) for o, plan in zip(options, plans, strict=True)
    ]
    option, plan = solved[int(np.argmax(values))]
    surface, problem = option.surface, option.problem
    face = fitted[surface.base_model]
    uniform = problem.uniform()
    resolved = resolve(surface, problem, [plan, uniform], judge, n_resolved)
    versus = [compare_plans("uniform", surface, problem, plan, uniform, judge, level)]
    if own_plan is not None:
        versus.append(compare_plans("own plan", surface, problem, plan, own_plan, judge, level))
    now, even = objective(face, problem, np.stack([plan, uniform]))
    spent = problem.spend(plan) + option.training_cost
    budget = problem.budget + option.training_cost
    result = Recommendation(
        base_model=surface.base_model,
        higher_is_better=surface.sign > 0,
        budget=budget,
        spent=spent,
        unspent=max(budget - spent, 0.0),
        training_cost=option.training_cost,
        allocation=_cells(option, plan),
        expected=expected_scores(surface, face, problem, plan, uniform, judge, level),
        score=weighted_score(surface, problem, plan, judge, level),
        versus=tuple(versus),
        optimism=float(now - even) - versus[0].difference.estimate,
        frontier=_frontier(option, choose, judge, level, frontier),
        stability=plan_stability(problem, plan, resolved),
        n_resolved=len(resolved),
        base_models=_model_choices(options, plans, judge, refused),
        assumptions=surface.assumptions,
        warnings=(*_warnings(option, plan), *_doubts(versus, plan, uniform)),
        reading="",
    )
    return replace(result, reading=read_recommendation(result))


def _solve_each(
    options: Sequence[Option], rows: IntArray | None = None
) -> tuple[list[tuple[Option, FloatArray]], list[ModelChoice]]:
    """Solve every option; return those with a plan, and the others with the reason."""
    solved, refused = [], []
    problem: InputError | None = None
    for option in options:
        try:
            plan = solve(option.surface, option.problem, rows)
            solved.append((option, plan if rows is None else _or_uniform(option, plan, rows)))
        except InputError as error:
            problem = error
            refused.append(
                ModelChoice(
                    base_model=option.surface.base_model,
                    training_cost=option.training_cost,
                    score=None,
                    p_best=None,
                    reason=str(error),
                )
            )
    if problem is not None and not solved:
        raise problem
    return solved, refused


def _or_uniform(option: Option, plan: FloatArray, rows: IntArray) -> FloatArray:
    """Return the plan, or the uniform one where that is allowed and expected to bring more."""
    problem = option.problem
    uniform = problem.uniform()
    if not problem.allows(uniform) or np.isfinite(problem.floor).any():
        return plan
    better = _expected_merit(option, plan, rows) >= _expected_merit(option, uniform, rows)
    return plan if better else uniform


def _expected_merit(option: Option, plan: FloatArray, rows: IntArray) -> float:
    """Return the mean over replicates of a plan's goodness, less what spending has to bring."""
    problem = option.problem
    draws = problem.weight @ option.surface.replicate_scores(plan, rows)
    return float(draws.mean()) - problem.price_of_spending * problem.spend(plan)


def _frontier(
    option: Option, choose: IntArray, judge: IntArray, level: float, multiples: Sequence[float]
) -> tuple[FrontierPoint, ...]:
    """Solve other budgets; those too small for the minima or the floors are left out."""
    surface = option.surface
    points = []
    for multiple in multiples:
        try:
            problem = replace(option.problem, budget=option.problem.budget * multiple)
            plan = solve(surface, problem, choose)
        except InputError:
            continue
        plan = _or_uniform(replace(option, problem=problem), plan, choose)
        even = problem.weight @ surface.replicate_scores(problem.uniform(), judge)
        points.append(
            FrontierPoint(
                budget=problem.budget + option.training_cost,
                spent=problem.spend(plan) + option.training_cost,
                score=weighted_score(surface, problem, plan, judge, level),
                uniform=surface.sign * float(even.mean()),
            )
        )
    return tuple(points)


def _model_choices(
    options: Sequence[Option],
    plans: Sequence[FloatArray],
    rows: IntArray,
    refused: Sequence[ModelChoice],
) -> tuple[ModelChoice, ...]:
    """Compare the base models, each with its own best plan; empty where there was no choice."""
    if len(options) + len(refused) == 1:
        return ()
    replicates = np.array(
        [
            o.problem.weight @ o.surface.replicate_scores(plan, rows)
            for o, plan in zip(options, plans, strict=True)
        ]
    )
    best = replicates == replicates.max(axis=0)
    return tuple(
        ModelChoice(
            base_model=o.surface.base_model,
            training_cost=o.training_cost,
            score=o.surface.sign * float(replicates[index].mean()),
            p_best=float(best[index].mean()),
            reason=None,
        )
        for index, (o, plan) in enumerate(zip(options, plans, strict=True))
    ) + tuple(refused)


def _cells(option: Option, plan: FloatArray) -> tuple[AllocatedCell, ...]:
    """Return the plan as rows."""
    problem, surface = option.problem, option.surface
    supported = surface.supported if option.supported is None else option.supported
    rows = []
    for a, s in np.argwhere(problem.limit > 0):
        n, limit = plan[a, s], problem.limit[a, s]
        stopped = None
        if n >= limit or plan[:, s].sum() >= problem.source_limit[s]:
            by_support = n >= limit and limit >= np.floor(surface.supported[a, s])
            stopped = "supported" if by_support else "available"
        rows.append(
            AllocatedCell(
                ability=problem.abilities[a],
                data_source=problem.sources[s],
                n_examples=int(n),
                cost=float(n * problem.cost[a, s]),
                stopped_by=stopped,
                unsupported=bool(n > supported[a, s]),
            )
        )
    return tuple(rows)


def _warnings(option: Option, plan: FloatArray) -> tuple[str, ...]:
    """Say what limits the answer."""
    problem = option.problem
    found = []
    cells = _cells(option, plan)
    if any(cell.unsupported for cell in cells):
        found.append(
            "Some volumes lie beyond every observed run: their scores are extrapolated by the "
            "fitted families, and the intervals do not cover that."
        )
    capped = [f"{c.data_source} {c.ability}" for c in cells if c.stopped_by == "supported"]
    if capped:
        found.append(
            f"The plan takes as much {', '.join(capped)} data as the largest observed run; more "
            "may help, but no run shows it."
        )
    left = problem.budget - problem.spend(plan)
    if left > 0.01 * problem.budget:
        least = f"{problem.least_gain:g} per tenth of the budget"
        why = (
            "all that is available and supported is bought"
            if (plan >= problem.limit).all() or problem.least_gain < 0
            else "more of what is available and supported is not expected to raise the weighted "
            f"mean score (by at least {least}); --spend-all spends it all the same"
        )
        found.append(f"{left:,.6g} of the budget stays unspent: {why}.")
    return tuple(found)


def _doubts(versus: Sequence[Comparison], plan: FloatArray, uniform: FloatArray) -> tuple[str, ...]:
    """Say where the data do not tell the plan from others."""
    if (plan == uniform).all():
        return ("The best plan is the uniform one.",)
    return tuple(
        f"The data do not tell this plan from the {item.against}"
        f"{' plan' if item.against == 'uniform' else ''}: it is better with probability "
        f"{item.p_better:.2f} only."
        for item in versus
        if item.p_better < _TELLS_APART
    )


def _normalised(problem: BudgetProblem) -> BudgetProblem:
    """Return the problem with weights that sum to 1."""
    return replace(problem, weight=problem.weight / problem.weight.sum())
