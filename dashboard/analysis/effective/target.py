"""One target ability: which worths its runs can tell, the best shape, and the replicates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.effective.growth import SHAPES, LogLinear, Shape
from dashboard.analysis.effective.identify import (
    Reasons,
    Statuses,
    by_design,
    by_profile,
    by_rank,
    count_free,
    held_parameters,
    hold_all,
)
from dashboard.analysis.effective.results import WorthStatus
from dashboard.analysis.effective.solver import FAST, Compositions, Solution, TargetRuns, solve

MOST_OVERDISPERSION = 5.0
"""Beyond this the model is called wrong for a target, and no worth of it is reported."""
_SHAPES_APART = 6.0
"""Shapes whose criterion is worse by more than this are not refitted in replicates."""


@dataclass(frozen=True, kw_only=True)
class TargetFit:
    """The optimum for one target and its replicates.

    Attributes
    ----------
    shape : Shape
    u : ndarray, shape (P,)
        Shape parameters, log rho, theta, log omega.
    worths : ndarray, shape (n_worths, B)
        Replicates of all parameters but the shape's.
    pieces : tuple of (Shape, columns, parameters)
        Which shape each replicate chose, and its parameters (P, number of columns).
    status, reason : tuple, length n_worths
        Of each worth; None for those fixed by definition.
    p_values : ndarray, shape (n_worths,)
        Tests of theta = 0; NaN elsewhere.
    n_parameters : int
        Free parameters.
    overdispersion : float
        Weighted squares over residual degrees of freedom, at least 1.
    """

    shape: Shape
    u: FloatArray
    worths: FloatArray
    pieces: tuple[tuple[Shape, NDArray[np.intp], FloatArray], ...]
    status: tuple[WorthStatus | None, ...]
    reason: tuple[str | None, ...]
    p_values: FloatArray
    n_parameters: int
    overdispersion: float

    def curve(self, n: FloatArray) -> FloatArray:
        """Return g at volumes, shape (G,)."""
        k = len(self.shape.lower)
        return np.asarray(self.shape.evaluate(self.u[:k, None], n[:, None])[0][:, 0])

    def curve_replicates(self, n: FloatArray) -> FloatArray:
        """Return replicates of g at volumes, shape (G, B)."""
        values = np.empty((len(n), self.worths.shape[1]))
        for shape, columns, u in self.pieces:
            values[:, columns] = shape.evaluate(u[: len(shape.lower)], n[:, None])[0]
        return values


def fit_target(runs: TargetRuns, level: float) -> TargetFit | None:
    """Fit one target; None where no shape can be fitted.

    Identification goes in three steps, each on what the last one left: by design (the examples of
    a source or ability are no linear combination of the others' over the runs), by the rank of the
    Jacobian, and by the profile likelihood, which refits with one worth held at next to nothing
    and at more than anybody would believe. What is not identified is held at its neutral value:
    rho = 1, tau = 0. So is everything where the model fits much worse than noise allows, since a
    worth under a wrong model means nothing.
    """
    data = runs.data
    status, reason = by_design(data)
    n_fixed = int(data.fixed.sum())
    n_worths = sum(one is None for one in status) - n_fixed
    shapes = [shape for shape in _shapes(runs) if shape.n_free + n_worths < len(runs.y)]
    if not shapes:
        # Too many worths for these runs: plain growth may still be told.
        status, reason = hold_all(data, status, reason, "too few distinct compositions")
        shapes = [shape for shape in _shapes(runs) if shape.n_free < len(runs.y)]
    fits = _observed_all(shapes, runs, status)
    if not fits:
        return None
    ranked, reason = by_rank(*_best(fits, runs, status), runs, status, reason)
    if _lost(ranked) != _lost(status):
        fits = _observed_all(shapes, runs, ranked) or fits
    profiled, reason, p_values = by_profile(*_best(fits, runs, ranked), runs, ranked, reason, level)
    if _lost(profiled) != _lost(ranked):
        fits = _observed_all(shapes, runs, profiled) or fits
    fit = _with_replicates(fits, runs, profiled, reason, p_values)
    if fit.overdispersion <= MOST_OVERDISPERSION or _lost(profiled).count(False) == n_fixed:
        return fit
    why = (
        f"the model does not fit: its errors are {fit.overdispersion**0.5:.0f} times what noise "
        "explains, so a worth would mean nothing"
    )
    held, told = hold_all(data, profiled, reason, why)
    plain = _observed_all(shapes, runs, held) or fits
    return _with_replicates(plain, runs, held, told, np.full(data.n_worths, np.nan))


def _lost(status: Statuses) -> list[bool]:
    """Return which worths are held for want of identification."""
    return [one is WorthStatus.NOT_IDENTIFIED for one in status]


def _with_replicates(
    fits: dict[Shape, Solution],
    runs: TargetRuns,
    status: Statuses,
    reason: Reasons,
    p_values: FloatArray,
) -> TargetFit:
    """Choose the best shape and draw replicates from it and those near it."""
    criterion = {shape: _criterion(shape, fit, runs, status) for shape, fit in fits.items()}
    shape = min(criterion, key=lambda one: criterion[one])
    near = {
        one: fit.u[:, 0]
        for one, fit in fits.items()
        if criterion[one] <= criterion[shape] + _SHAPES_APART
    }
    pieces, worths = _replicate(runs, status, near)
    n_free = count_free(shape, runs.data, status)
    return TargetFit(
        shape=shape,
        u=fits[shape].u[:, 0],
        worths=worths,
        pieces=pieces,
        status=tuple(status),
        reason=tuple(reason),
        p_values=p_values,
        n_parameters=n_free,
        overdispersion=max(1.0, float(fits[shape].cost[0]) / max(len(runs.y) - n_free, 1)),
    )


def _shapes(runs: TargetRuns) -> list[Shape]:
    """Return the shapes that suit the score."""
    totals = runs.data.own.sum(axis=1) + runs.data.pool.sum(axis=1)
    n_max = float(max(totals.max(), runs.data.n_unit))
    return [
        shape(runs.data.n_unit, n_max, runs.limits, runs.chance)
        for shape in SHAPES
        if runs.accuracy or shape is not LogLinear
    ]


def _start_worths(data: Compositions, status: Statuses, tau: float) -> FloatArray:
    """Return worths (n_worths,) to start from: sources alike, other abilities worth `tau`."""
    worths = np.zeros(data.n_worths)
    theta = slice(data.n_sources, data.n_sources + data.n_others)
    worths[theta] = tau
    unknown = np.array([one is WorthStatus.NOT_IDENTIFIED for one in status])
    worths[unknown] = 0.0
    return worths


def _observed(shape: Shape, runs: TargetRuns, status: Statuses) -> Solution:
    """Fit a shape to the observed scores from several starts; a batch of one column."""
    low, high = float(runs.y.min()), float(runs.y.max())
    if runs.data.sign < 0:
        low, high = high, low
    starts = np.stack(
        [
            np.concatenate([start, _start_worths(runs.data, status, tau)])
            for start in shape.starts(low, high)
            for tau in (0.0, 0.05)
        ],
        axis=1,
    )
    held = np.repeat(held_parameters(shape, runs.data, status)[:, None], starts.shape[1], axis=1)
    y = np.repeat(runs.y[:, None], starts.shape[1], axis=1)
    found = solve(shape, runs.data, y, runs.weight, starts, held)
    best = int(np.argmin(np.where(np.isfinite(found.cost), found.cost, np.inf)))
    one = slice(best, best + 1)
    return Solution(u=found.u[:, one], cost=found.cost[one], converged=found.converged[one])


def _criterion(shape: Shape, fit: Solution, runs: TargetRuns, status: Statuses) -> float:
    """Return AICc with known variances; infinite without an optimum."""
    k, n = count_free(shape, runs.data, status), len(runs.y)
    if not np.isfinite(fit.cost[0]) or n - k - 1 < 1:
        return float(fit.cost[0]) + 1e6 * k
    return float(fit.cost[0]) + 2 * k + 2 * k * (k + 1) / (n - k - 1)


def _observed_all(shapes: list[Shape], runs: TargetRuns, status: Statuses) -> dict[Shape, Solution]:
    """Fit every shape; those without a finite optimum are left out."""
    fits = {shape: _observed(shape, runs, status) for shape in shapes}
    return {shape: fit for shape, fit in fits.items() if np.isfinite(fit.cost[0])}


def _best(
    fits: dict[Shape, Solution], runs: TargetRuns, status: Statuses
) -> tuple[Shape, FloatArray]:
    """Return the best shape and its optimum (P,)."""
    shape = min(fits, key=lambda one: _criterion(one, fits[one], runs, status))
    return shape, fits[shape].u[:, 0]


def _replicate(
    runs: TargetRuns, status: Statuses, optima: dict[Shape, FloatArray]
) -> tuple[tuple[tuple[Shape, NDArray[np.intp], FloatArray], ...], FloatArray]:
    """Refit every replicate with the shapes at hand and keep each one's best."""
    n_replicates = runs.replicates.shape[1]
    shapes = list(optima)
    criteria = np.full((len(shapes), n_replicates), np.inf)
    solutions = []
    for row, shape in enumerate(shapes):
        start = np.repeat(optima[shape][:, None], n_replicates, axis=1)
        held = np.repeat(held_parameters(shape, runs.data, status)[:, None], n_replicates, axis=1)
        found = solve(shape, runs.data, runs.replicates, runs.weight, start, held, FAST)
        solutions.append(found)
        criteria[row] = found.cost + 2 * count_free(shape, runs.data, status)
    best = np.argmin(np.where(np.isfinite(criteria), criteria, np.inf), axis=0)
    worths = np.empty((runs.data.n_worths, n_replicates))
    pieces = []
    for row, (shape, found) in enumerate(zip(shapes, solutions, strict=True)):
        columns = np.flatnonzero(best == row)
        worths[:, columns] = found.u[len(shape.lower) :, columns]
        if columns.size:
            pieces.append((shape, columns, found.u[:, columns]))
    return tuple(pieces), worths
