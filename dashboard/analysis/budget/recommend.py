"""Which budget: the best allocation, how sure it is, and what other budgets would bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dashboard.analysis.budget.allocate import objective
from dashboard.analysis.budget.problem import BudgetProblem
from dashboard.analysis.budget.reading import read_recommendation
from dashboard.analysis.budget.results import (
    AllocatedCell,
    CellStability,
    Comparison,
    ExpectedScore,
    FirstAnswer,
    FrontierPoint,
    ModelChoice,
    Recommendation,
)
from dashboard.analysis.budget.solve import (
    p_floor,
    resolve,
    share_to_probability,
    solve,
)
from dashboard.analysis.budget.surface import IntArray
from dashboard.analysis.budget.transfer_surface import GrowthSurface
from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.replicates import stretched_interval
from dashboard.analysis.results import Interval
from warehouse.errors import InputError

_N_RESOLVED = 20
_FRONTIER = (0.25, 0.5, 1.0, 2.0, 4.0)


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
    solved, _ = _solve_each(options)
    option, plan = max(
        solved, key=lambda item: float(objective(item[0].surface, item[0].problem, item[1]))
    )
    surface, problem = option.surface, option.problem
    return FirstAnswer(
        base_model=surface.base_model,
        allocation=_cells(option, plan),
        score=surface.sign * float(objective(surface, _normalised(problem), plan)),
        uniform=surface.sign * float(objective(surface, _normalised(problem), problem.uniform())),
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
    The plan is chosen on the even replicates and judged on the odd ones. Both halves scatter about
    the same data, so this removes only part of the winner's curse: `optimism` estimates the rest.
    Choosing on a replicate and judging by the data shows by how much a chosen plan's lead over the
    uniform plan overstates itself, on average over `n_resolved` replicates; it is taken off the
    lead, and off the probability of being better. Intervals cover what the curves' replicates
    cover, for the expected score of the training procedure; a single run varies more.
    """
    options = [replace(o, problem=_normalised(o.problem)) for o in options]
    n_replicates = options[0].surface.n_replicates
    choose, judge = np.arange(0, n_replicates, 2), np.arange(1, n_replicates, 2)
    solved, refused = _solve_each(options, choose)
    options, plans = [option for option, _ in solved], [plan for _, plan in solved]
    values = np.array(
        [
            float(objective(o.surface.averaged(choose), o.problem, plan))
            for o, plan in zip(options, plans, strict=True)
        ]
    )
    best = int(values.argmax())
    option, plan = options[best], plans[best]
    surface, problem = option.surface, option.problem
    uniform = problem.uniform()
    resolved, optimism = resolve(surface, problem, plan, uniform, judge, n_resolved)
    lead = float(objective(surface, problem, plan) - objective(surface, problem, uniform))
    apparent = min(optimism / lead, 1.0) if lead > 0 else 0.0
    versus = [_compare("uniform", surface, problem, plan, uniform, judge, level, optimism)]
    if own_plan is not None:
        versus.append(
            _compare("own plan", surface, problem, plan, own_plan, judge, level, optimism)
        )
    result = Recommendation(
        base_model=surface.base_model,
        higher_is_better=surface.sign > 0,
        budget=problem.budget + option.training_cost,
        spent=problem.spend(plan) + option.training_cost,
        training_cost=option.training_cost,
        allocation=_cells(option, plan),
        expected=_expected(surface, problem, plan, uniform, judge, level),
        score=_weighted(surface, problem, plan, judge, level, optimism),
        versus=tuple(versus),
        optimism=optimism,
        frontier=_frontier(option, choose, judge, level, frontier, apparent),
        stability=_stability(problem, plan, resolved),
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
            solved.append((option, solve(option.surface, option.problem, rows)))
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


def _lead(
    surface: GrowthSurface,
    problem: BudgetProblem,
    plan: FloatArray,
    other: FloatArray,
    rows: IntArray,
) -> FloatArray:
    """Return the plan's lead in weighted goodness in each replicate, shape (R,)."""
    difference = surface.replicate_scores(plan, rows) - surface.replicate_scores(other, rows)
    return np.asarray(problem.weight @ difference)


def _compare(
    against: str,
    surface: GrowthSurface,
    problem: BudgetProblem,
    plan: FloatArray,
    other: FloatArray,
    rows: IntArray,
    level: float,
    optimism: float,
) -> Comparison:
    """Compare the plan with another one."""
    if (plan == other).all():
        nothing = Interval(estimate=0.0, low=0.0, high=0.0, level=level, kind=surface.kind)
        return Comparison(against=against, p_better=0.5, difference=nothing)
    lead = _lead(surface, problem, plan, other, rows) - optimism
    now = objective(surface, problem, np.stack([plan, other]))
    estimate = float(now[0] - now[1]) - optimism
    return Comparison(
        against=against,
        p_better=share_to_probability(lead > 0, surface.df),
        difference=stretched_interval(estimate, lead, level, surface.df, surface.kind),
    )


def _in_score_units(surface: GrowthSurface, goodness: Interval) -> Interval:
    """Turn goodness into the metric's own unit."""
    if surface.sign > 0:
        return goodness
    return replace(goodness, estimate=-goodness.estimate, low=-goodness.high, high=-goodness.low)


def _weighted(
    surface: GrowthSurface,
    problem: BudgetProblem,
    plan: FloatArray,
    rows: IntArray,
    level: float,
    optimism: float,
) -> Interval:
    """Return the weighted mean score of a plan."""
    # Taking optimism off must not leave the metric's range.
    estimate = float(np.clip(objective(surface, problem, plan) - optimism, *surface.limits))
    replicates = problem.weight @ surface.replicate_scores(plan, rows) - optimism
    return _in_score_units(
        surface,
        stretched_interval(estimate, replicates, level, surface.df, surface.kind, surface.limits),
    )


def _expected(
    surface: GrowthSurface,
    problem: BudgetProblem,
    plan: FloatArray,
    uniform: FloatArray,
    rows: IntArray,
    level: float,
) -> tuple[ExpectedScore, ...]:
    """Return each ability's score under the plan."""
    now, without, even = surface.scores(np.stack([plan, np.zeros_like(plan), uniform]))
    replicates = surface.replicate_scores(plan, rows)
    chance = p_floor(surface, problem, plan, rows)
    return tuple(
        ExpectedScore(
            ability=ability,
            score=_in_score_units(
                surface,
                stretched_interval(
                    now[a], replicates[a], level, surface.df, surface.kind, surface.limits
                ),
            ),
            without_data=surface.sign * float(without[a]),
            uniform=surface.sign * float(even[a]),
            p_floor=float(chance[a]) if np.isfinite(problem.floor[a]) else None,
        )
        for a, ability in enumerate(surface.abilities)
    )


def _frontier(
    option: Option,
    choose: IntArray,
    judge: IntArray,
    level: float,
    multiples: Sequence[float],
    apparent: float,
) -> tuple[FrontierPoint, ...]:
    """Solve other budgets; those too small for the minima or the floors are left out.

    Of each plan's lead over the uniform one, the share `apparent` is taken off as optimism.
    """
    surface = option.surface
    points = []
    for multiple in multiples:
        try:
            problem = replace(option.problem, budget=option.problem.budget * multiple)
            plan = solve(surface, problem, choose)
        except InputError:
            continue
        even = float(objective(surface, problem, problem.uniform()))
        optimism = apparent * (float(objective(surface, problem, plan)) - even)
        points.append(
            FrontierPoint(
                budget=problem.budget + option.training_cost,
                spent=problem.spend(plan) + option.training_cost,
                score=_weighted(surface, problem, plan, judge, level, optimism),
                uniform=surface.sign * even,
            )
        )
    return tuple(points)


def _stability(
    problem: BudgetProblem, plan: FloatArray, resolved: FloatArray
) -> tuple[CellStability, ...]:
    """Say how each cell moves over the re-solved plans."""
    if not len(resolved):
        return ()
    near = (resolved >= plan / 2) & (resolved <= plan * 2)
    low, high = np.quantile(resolved, (0.1, 0.9), axis=0)
    return tuple(
        CellStability(
            ability=problem.abilities[a],
            data_source=problem.sources[s],
            n_examples=int(plan[a, s]),
            share_within_factor_2=float(near[:, a, s].mean()),
            low=round(low[a, s]),
            high=round(high[a, s]),
        )
        for a, s in np.argwhere(problem.limit > 0)
    )


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
            score=o.surface.sign * float(objective(o.surface, o.problem, plan)),
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
        found.append(
            f"{left:,.6g} of the budget stays unspent: more data of what is available and "
            "supported is not expected to help."
        )
    return tuple(found)


def _doubts(versus: Sequence[Comparison], plan: FloatArray, uniform: FloatArray) -> tuple[str, ...]:
    """Say where the data do not tell the plan from others."""
    if (plan == uniform).all():
        return ("The best plan is the uniform one.",)
    return tuple(
        f"The data do not tell this plan from the {item.against}"
        f"{' plan' if item.against == 'uniform' else ''}: after taking off what choosing "
        "overstates, its lead is 0 or less."
        for item in versus
        if item.difference.estimate <= 0
    )


def _normalised(problem: BudgetProblem) -> BudgetProblem:
    """Return the problem with weights that sum to 1."""
    return replace(problem, weight=problem.weight / problem.weight.sum())
