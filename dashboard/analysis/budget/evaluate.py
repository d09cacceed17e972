"""What a plan is expected to bring: scores, leads over other plans, and how firm its cells are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dashboard.analysis.budget.exchange import IntArray
from dashboard.analysis.budget.problem import BudgetProblem
from dashboard.analysis.budget.results import CellStability, Comparison, ExpectedScore
from dashboard.analysis.budget.solve import p_floor, share_to_probability
from dashboard.analysis.budget.transfer_surface import GrowthSurface
from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.replicates import stretched_interval
from dashboard.analysis.results import Interval


def compare_plans(
    against: str,
    surface: GrowthSurface,
    problem: BudgetProblem,
    plan: FloatArray,
    other: FloatArray,
    rows: IntArray,
    level: float,
) -> Comparison:
    """Compare a plan with another one in some replicates."""
    if (plan == other).all():
        nothing = Interval(estimate=0.0, low=0.0, high=0.0, level=level, kind=surface.kind)
        return Comparison(against=against, p_better=0.5, difference=nothing)
    difference = surface.replicate_scores(plan, rows) - surface.replicate_scores(other, rows)
    lead = problem.weight @ difference
    return Comparison(
        against=against,
        p_better=share_to_probability(lead > 0, surface.df),
        difference=stretched_interval(float(lead.mean()), lead, level, surface.df, surface.kind),
    )


def weighted_score(
    surface: GrowthSurface, problem: BudgetProblem, plan: FloatArray, rows: IntArray, level: float
) -> Interval:
    """Return the weighted mean score of a plan."""
    draws = problem.weight @ surface.replicate_scores(plan, rows)
    return _in_score_units(
        surface,
        stretched_interval(
            float(draws.mean()), draws, level, surface.df, surface.kind, surface.limits
        ),
    )


def expected_scores(
    surface: GrowthSurface,
    fitted: GrowthSurface,
    problem: BudgetProblem,
    plan: FloatArray,
    uniform: FloatArray,
    rows: IntArray,
    level: float,
) -> tuple[ExpectedScore, ...]:
    """Return each ability's score under the plan.

    Estimates are those of the pooled `surface`, spreads those of the `fitted` one: pooling makes
    their sum more certain, but an ability unlike the others may be pulled too far [1]_.

    References
    ----------
    .. [1] Morris, "Parametric empirical Bayes inference: theory and applications", J. Am. Stat.
       Assoc. 78 (1983), section 4.
    """
    draws = surface.replicate_scores(plan, rows)
    now = draws.mean(axis=1)
    even = surface.replicate_scores(uniform, rows).mean(axis=1)
    without = surface.replicate_scores(np.zeros_like(plan), rows).mean(axis=1)
    spread = fitted.replicate_scores(plan, rows)
    spread = spread - spread.mean(axis=1, keepdims=True) + now[:, None]
    chance = p_floor(surface, problem, plan, rows)
    return tuple(
        ExpectedScore(
            ability=ability,
            score=_in_score_units(
                surface,
                stretched_interval(
                    float(now[a]), spread[a], level, surface.df, surface.kind, surface.limits
                ),
            ),
            without_data=surface.sign * float(without[a]),
            uniform=surface.sign * float(even[a]),
            p_floor=float(chance[a]) if np.isfinite(problem.floor[a]) else None,
        )
        for a, ability in enumerate(surface.abilities)
    )


def plan_stability(
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


def _in_score_units(surface: GrowthSurface, goodness: Interval) -> Interval:
    """Turn goodness into the metric's own unit."""
    if surface.sign > 0:
        return goodness
    return replace(goodness, estimate=-goodness.estimate, low=-goodness.high, high=-goodness.low)
