r"""What to run next: candidate runs ranked by what they are expected to teach, per cost.

A further run at volume n of one curve gives y = f(n) + e, e the run's own noise on the same test
items. For a quantity Q of the curve (its gain, a prediction, the gain of the next doubling) and
jointly normal replicates of Q and f(n), observing y leaves

.. math:: \mathrm{Var}(Q \mid y) = \mathrm{Var}\, Q - \frac{\mathrm{Cov}(Q, f(n))^2}
          {\mathrm{Var} f(n) + \mathrm{Var}\, e}

whatever y is, so the reduction is known before the run [1]_. A run scores all abilities: their
reductions add up. Replicates must keep the test items fixed (`plan_curves(..., items_fixed=True)`),
since another run on the same items can't tell how they differ from other items.

For a budget, the quantity is a choice. With plans p and weighted scores U_p, each plan's expected
score given y is linear in y (slope Cov(U_p, f) / Var y), and the expected value of the run is
E max_p E[U_p | y] - max_p E U_p: the regret that it is expected to remove [2]_.

References
----------
.. [1] Chaloner, Verdinelli, "Bayesian experimental design: a review", Stat. Sci. 10 (1995), sec. 2.
.. [2] Strong, Oakley, Brennan, "Estimating multiparameter partial expected value of perfect
   information from a probabilistic sensitivity analysis sample", Med. Decis. Making 34 (2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

import numpy as np

from dashboard.analysis.budget.build import PlannedCurve
from dashboard.analysis.budget.problem import BudgetProblem
from dashboard.analysis.budget.reading import read_next
from dashboard.analysis.budget.results import CandidateCell, NextRuns
from dashboard.analysis.budget.transfer_surface import GrowthSurface
from dashboard.analysis.curve_data import FloatArray
from warehouse.errors import InputError

_N_JUDGED = 400
"""Replicates in which plans are compared."""


class Goal(StrEnum):
    """What is to become better known."""

    GAIN = "gain"
    """Gain of every curve from its first to its largest volume."""
    PREDICTION = "prediction"
    """Score at a stated volume."""
    PLATEAU = "plateau"
    """Gain of the next doubling."""
    BUDGET = "budget"
    """Which plan is best."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A run that could come next, on the curves that it would be scored on."""

    base_model: str
    data_source: str
    n_examples: int
    n_examples_total: int
    seed: int
    n_seeds_now: int


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """What a run costs: `fixed[base_model]` and `per_example[base_model, data_source]`.

    `unit` is "seconds", "price" or "runs"; `reason` says why it is "runs" where nothing is known.
    """

    unit: str
    reason: str | None
    fixed: dict[str, float]
    per_example: dict[tuple[str, str], float]

    def of(self, candidate: Candidate) -> float | None:
        """Return the cost of a run; None for a base model of which none is known."""
        if candidate.base_model not in self.fixed:
            return None
        rate = self.per_example.get((candidate.base_model, candidate.data_source), 0.0)
        return self.fixed[candidate.base_model] + rate * candidate.n_examples_total


def plan_candidates(curves: Sequence[PlannedCurve]) -> list[Candidate]:
    """Return further seeds of observed volumes, midpoints between them, and the next doubling.

    Midpoints are geometric. A candidate trains all abilities together, as the observed runs do.
    """
    groups: dict[tuple[str, str], list[PlannedCurve]] = {}
    for curve in curves:
        groups.setdefault((curve.data.base_model, curve.data.data_source), []).append(curve)
    found = []
    for (model, source), members in groups.items():
        # A run that states no seed is a run too.
        runs: dict[int, set[int | None]] = {}
        for curve in members:
            data = curve.data
            for n, seed in zip(data.n_examples, data.seed, strict=True):
                if n > 0:
                    runs.setdefault(round(n), set()).add(seed)
        volumes = sorted(runs)
        middles = [round(float(np.sqrt(float(low) * high))) for low, high in pairwise(volumes)]
        share = len(members) if members[0].data.x_kind == "own" else 1
        found += [
            Candidate(
                base_model=model,
                data_source=source,
                n_examples=n,
                n_examples_total=n * share,
                seed=min(set(range(len(runs.get(n, set())) + 1)) - runs.get(n, set())),
                n_seeds_now=len(runs.get(n, set())),
            )
            for n in sorted({*volumes, *middles, 2 * volumes[-1]})
        ]
    return found


def rank_by_variance(
    curves: Sequence[PlannedCurve],
    candidates: Sequence[Candidate],
    cost: RunCost,
    *,
    goal: Goal,
    at: float | None = None,
) -> NextRuns:
    """Rank runs by how much of the goal's variance over all curves they remove, per cost.

    Parameters
    ----------
    curves : sequence of PlannedCurve
        With items fixed.
    at : float, optional
        Volume of `Goal.PREDICTION`; twice each curve's largest by default.

    Raises
    ------
    InputError
        If a volume to predict lies beyond the curves' grid.
    """
    quantities = [_quantity(curve, goal, at) for curve in curves]
    now = float(sum(quantity.var() for quantity in quantities))
    reductions = []
    for candidate in candidates:
        total = 0.0
        for curve, quantity in zip(curves, quantities, strict=True):
            if (curve.data.base_model, curve.data.data_source) == (
                candidate.base_model,
                candidate.data_source,
            ):
                value, noise = _observed(curve, candidate.n_examples)
                total += _reduction(quantity, value, noise)
        reductions.append(total)
    return _ranked(
        goal.value,
        now,
        float(np.sqrt(now / len(curves))) if curves else None,
        candidates,
        reductions,
        cost,
        curves,
    )


def rank_by_regret(
    surface: GrowthSurface,
    problem: BudgetProblem,
    plans: FloatArray,
    curves: Sequence[PlannedCurve],
    candidates: Sequence[Candidate],
    cost: RunCost,
) -> NextRuns:
    """Rank runs by the expected regret of the budget that they remove, per cost.

    Parameters
    ----------
    surface : GrowthSurface
        Of one base model, from `curves`, so that their replicates belong together.
    plans : ndarray, shape (P, A, S)
        Plans that might be best: the recommended one, the re-solved ones and the uniform one.
    curves : sequence of PlannedCurve
        With items fixed.
    """
    rows = np.arange(min(surface.n_replicates, _N_JUDGED))
    weight = problem.weight / problem.weight.sum()
    plans = np.unique(plans, axis=0)
    # Goodness by ability, plan and replicate, (A, P, B). Its mean over replicates is what each plan
    # is worth now; the plug-in curves would flatter the plan that was chosen on them.
    replicates = np.stack([surface.replicate_scores(plan, rows) for plan in plans], axis=1)
    mean = replicates.mean(axis=2, keepdims=True)
    deviation = weight[:, None, None] * (replicates - mean)
    value = weight @ mean[:, :, 0]
    now = _expected_lead(value, deviation.sum(axis=0))
    rng = np.random.default_rng(0)
    reductions = []
    for candidate in candidates:
        told = np.zeros((len(plans), len(rows)))
        for curve in curves:
            if (curve.data.base_model, curve.data.data_source) != (
                candidate.base_model,
                candidate.data_source,
            ) or curve.data.ability not in surface.abilities:
                continue
            a = surface.abilities.index(curve.data.ability)
            f, noise = _observed(curve, candidate.n_examples)
            f = surface.sign * (f[rows] - f[rows].mean())
            variance = f.var() + noise
            if variance > 0:
                slope = deviation[a] @ f / len(rows) / variance
                told += slope[:, None] * (f + np.sqrt(noise) * rng.standard_normal(len(rows)))
        # Their mean is 0; what the sample's mean departs from it would pass for value.
        told -= told.mean(axis=1, keepdims=True)
        reductions.append(min(_expected_lead(value, told), now))
    return _ranked(Goal.BUDGET.value, now, None, candidates, reductions, cost, curves)


def fit_run_cost(
    base_model: Sequence[str], n_examples_total: FloatArray, seconds: FloatArray
) -> tuple[dict[str, float], dict[str, float]]:
    """Return seconds per run and seconds per example of each base model, neither below 0.

    Parameters
    ----------
    n_examples_total, seconds : ndarray, shape (n_runs,)
        Training examples and duration of finished runs; rows that are not finite are left out.
    """
    from scipy.optimize import nnls

    fixed, rate = {}, {}
    names = np.array(base_model)
    known = np.isfinite(n_examples_total) & np.isfinite(seconds)
    for model in dict.fromkeys(base_model):
        mine = known & (names == model)
        if mine.any():
            design = np.column_stack([np.ones(mine.sum()), n_examples_total[mine]])
            # Runs differ in length by orders of magnitude; relative errors treat them alike.
            scale = 1 / np.maximum(seconds[mine], 1e-9)
            (a, b), _ = nnls(design * scale[:, None], np.ones(int(mine.sum())))
            fixed[model], rate[model] = float(a), float(b)
    return fixed, rate


def _quantity(curve: PlannedCurve, goal: Goal, at: float | None) -> FloatArray:
    """Return replicates of what is to be known, shape (B,)."""
    if goal is Goal.GAIN:
        return _value(curve, curve.last) - _value(curve, curve.first)
    if goal is Goal.PLATEAU:
        return _value(curve, 2 * curve.last) - _value(curve, curve.last)
    return _value(curve, 2 * curve.last if at is None else at)


def _value(curve: PlannedCurve, n: float) -> FloatArray:
    """Return replicates of the curve at n, shape (B,)."""
    if n > curve.n_grid[-1]:
        raise InputError(
            f"--at {n:g} lies more than 1,000 times beyond the largest observed volume; give a "
            "smaller one."
        )
    positions, at = np.log1p(curve.n_grid), np.log1p(n)
    right = int(np.clip(np.searchsorted(positions, at), 1, len(positions) - 1))
    share = (at - positions[right - 1]) / (positions[right] - positions[right - 1])
    low, high = curve.replicates[right - 1], curve.replicates[right]
    return np.asarray(low + share * (high - low))


def _observed(curve: PlannedCurve, n: float) -> tuple[FloatArray, float]:
    """Return replicates of the curve at n and the variance of a run about it."""
    noise = float(np.interp(np.log1p(n), np.log1p(curve.n_grid), curve.run_variance))
    return _value(curve, n), noise


def _reduction(quantity: FloatArray, value: FloatArray, noise: float) -> float:
    """Return Cov(Q, f)^2 / (Var f + Var e)."""
    variance = float(value.var()) + noise
    if variance <= 0:
        return 0.0
    covariance = float(((quantity - quantity.mean()) * (value - value.mean())).mean())
    return covariance**2 / variance


def _expected_lead(value: FloatArray, deviation: FloatArray) -> float:
    """Return E max_p (value_p + deviation_p) - max_p value_p, deviation (P, B); at least 0."""
    best = (value[:, None] + deviation).max(axis=0).mean()
    return max(float(best - value.max()), 0.0)


def _ranked(
    goal: str,
    now: float,
    standard_deviation: float | None,
    candidates: Sequence[Candidate],
    reductions: Sequence[float],
    cost: RunCost,
    curves: Sequence[PlannedCurve],
) -> NextRuns:
    """Put the candidates in order: most reduction per cost first."""
    cells = []
    for candidate, reduction in zip(candidates, reductions, strict=True):
        price = cost.of(candidate)
        cells.append(
            CandidateCell(
                design="all_abilities",
                base_model=candidate.base_model,
                data_source=candidate.data_source,
                n_examples=candidate.n_examples,
                n_examples_total=candidate.n_examples_total,
                seed=candidate.seed,
                n_seeds_now=candidate.n_seeds_now,
                expected_reduction=reduction,
                share=reduction / now if now > 0 else 0.0,
                cost=price,
                reduction_per_cost=reduction / price if price else None,
            )
        )
    cells.sort(key=lambda cell: (cell.reduction_per_cost or 0.0, cell.share), reverse=True)
    warnings = [
        "Reductions hold under the fitted families: a volume where none was observed can also show "
        "that the families are wrong, which is worth more than is counted here."
    ]
    if not all(curve.run_noise_known for curve in curves):
        warnings.append(
            "No volume has two seeds, so run-to-run noise is assumed (0.3 on the logit scale); a "
            "second seed of any volume would measure it."
        )
    found = NextRuns(
        goal=goal,
        now=now,
        standard_deviation=standard_deviation,
        cost_unit=cost.unit,
        cost_reason=cost.reason,
        cells=tuple(cells),
        warnings=tuple(warnings),
        reading="",
    )
    return replace(found, reading=read_next(found))
