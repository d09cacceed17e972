"""Solving a budget problem on a surface: floors, and replicates in the data's place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import norm, t

from dashboard.analysis.budget.allocate import milp_start, polish, round_down
from dashboard.analysis.budget.exchange import IntArray
from dashboard.analysis.budget.problem import BudgetProblem
from dashboard.analysis.budget.transfer_surface import GrowthSurface
from dashboard.analysis.curve_data import FloatArray
from warehouse.errors import InputError

MAX_RESOLVED = 30
_FLOOR_ROUNDS = 10
_FLOOR_MARGIN = 1e-3


def solve(
    surface: GrowthSurface,
    problem: BudgetProblem,
    rows: IntArray | None = None,
    starts: Sequence[FloatArray] = (),
) -> FloatArray:
    """Return the best plan on the mean over some replicates, or on the plug-in curves."""
    target = surface if rows is None else surface.averaged(rows)
    accept, found = None, None
    if np.isfinite(problem.floor).any():
        rows = np.arange(surface.n_replicates) if rows is None else rows
        accept = _floors_kept(surface, problem, rows)
        found = _start_on_floors(surface, problem, rows, accept)
    elif not starts:
        found = milp_start(surface.pieces(), problem)
    begin = list(starts) or [problem.uniform(), round_down(problem, np.zeros(problem.cost.shape))]
    if found is not None:
        begin.append(round_down(problem, found))
    plan = polish(target, problem, begin, accept)
    if plan is None:
        raise InputError(
            "No plan within the budget satisfies all minima, availabilities and floors together; "
            "raise the budget or relax one of them."
        )
    return plan


def _floors_kept(
    surface: GrowthSurface, problem: BudgetProblem, rows: IntArray
) -> Callable[[FloatArray], bool]:
    """Return the condition that every floor is reached with its probability."""

    def accept(plan: FloatArray) -> bool:
        chance = p_floor(surface, problem, plan, rows)
        return bool((chance[np.isfinite(problem.floor)] >= problem.floor_probability).all())

    return accept


def p_floor(
    surface: GrowthSurface, problem: BudgetProblem, plan: FloatArray, rows: IntArray
) -> FloatArray:
    """Return the probability that each ability reaches its floor, shape (A,)."""
    reached = surface.replicate_scores(plan, rows) >= problem.floor[:, None]
    return np.array([share_to_probability(row, surface.df) for row in reached])


def _start_on_floors(
    surface: GrowthSurface,
    problem: BudgetProblem,
    rows: IntArray,
    accept: Callable[[FloatArray], bool],
) -> FloatArray:
    """Return a plan that keeps the floors: raise what the estimates must reach until they do."""
    floored = np.isfinite(problem.floor)
    least = np.where(floored, problem.floor, -np.inf)
    # The probability is that of t-stretched replicates, so the quantile lies further out.
    tail = float(norm.cdf(t.ppf(1 - problem.floor_probability, max(surface.df, 1.0))))
    for _ in range(_FLOOR_ROUNDS):
        found = milp_start(surface.pieces(), problem, least=least)
        if found is None:
            break
        plan = round_down(problem, found)
        if accept(plan):
            return plan
        safe = np.quantile(surface.replicate_scores(plan, rows), tail, axis=1)
        short = floored & (safe < problem.floor + _FLOOR_MARGIN)
        raised = np.maximum(least, surface.scores(plan)) + problem.floor - safe + _FLOOR_MARGIN
        least = np.where(short, raised, least)
    raise InputError(_why_no_floor(surface, problem, rows))


def _why_no_floor(surface: GrowthSurface, problem: BudgetProblem, rows: IntArray) -> str:
    """Say which floor can't be kept, and how likely it is at best."""
    for a in np.flatnonzero(np.isfinite(problem.floor)):
        alone = replace(
            problem,
            weight=1.0 * (np.arange(len(problem.weight)) == a),
            floor=np.full(len(problem.weight), -np.inf),
        )
        chance = float(p_floor(surface, problem, solve(surface, alone, rows), rows)[a])
        if chance < problem.floor_probability:
            return (
                f"No plan within the budget brings {problem.abilities[a]} to "
                f"{surface.sign * problem.floor[a]:g} with probability "
                f"{problem.floor_probability:g}; the best it can do is {chance:.2f}."
            )
    return (
        "Each floor can be kept alone, but no plan within the budget keeps all of them; raise the "
        "budget or relax a floor."
    )


def resolve(
    surface: GrowthSurface,
    problem: BudgetProblem,
    starts: Sequence[FloatArray],
    rows: IntArray,
    n_resolved: int,
) -> FloatArray:
    """Return the plans (R, A, S) of replicates that are solved in the data's place."""
    free = replace(problem, floor=np.full(len(problem.weight), -np.inf))
    plans = [
        solve(surface.resampled(int(row)), free, starts=starts)
        for row in rows[: min(n_resolved, MAX_RESOLVED)]
    ]
    return np.array(plans) if plans else np.empty((0, *problem.cost.shape))


def share_to_probability(holds: np.ndarray, df: float) -> float:
    """Return the share of replicates in which something holds, stretched for `df`.

    A normal quantile z of the replicates is a t quantile of what they stand for. With B replicates
    nothing is surer than (B + 1/2) / (B + 1).
    """
    share = (float(holds.sum()) + 0.5) / (len(holds) + 1)
    if not np.isfinite(df):
        return share
    return float(t.cdf(norm.ppf(share), max(df, 1.0)))
