r"""One optimiser for all families: batched Levenberg-Marquardt with box bounds.

It minimises, for B curves at once that share their U volumes,

- accuracies: the binomial quasi-deviance
  2 sum_u w_u [y log(y / mu) + (1 - y) log((1 - y) / (1 - mu))], by Fisher scoring (iteratively
  reweighted least squares with variance mu (1 - mu) / w);
- losses: sum_u w_u (log y - log mu)^2, or Huber's function of the residual where a family states
  its threshold delta: r^2 up to delta, 2 delta |r| - delta^2 beyond, by reweighting;
- other scores: sum_u w_u (y - mu)^2.

Runs at the same volume enter as their weighted mean: the score equations are linear in y, so the
optimum is the same. A parameter at a bound whose gradient points outwards is held there.

References
----------
.. [1] Wedderburn, "Quasi-likelihood functions, generalized linear models, and the Gauss-Newton
   method", Biometrika 61 (1974).
.. [2] Kanzow, Yamashita, Fukushima, "Levenberg-Marquardt methods with strong local convergence
   properties for solving nonlinear equations with convex constraints", JCAM 172 (2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.families import Family

MU_EDGE = 1e-6
"""Accuracies are kept this far from 0 and 1, so that a score of 0 or 1 has a finite deviance."""

_LAMBDA_START = 1e-3
_LAMBDA_STOP = 1e10
_IDLE_STOP = 5
"""Accepted steps in a row that change nothing beyond rounding: the optimum is reached."""
_TINY = 1e-300
_SMALL_BATCH = 64
"""Up to so many curves, calls cost more than arithmetic."""


@dataclass(frozen=True, kw_only=True)
class Precision:
    """When to stop: at a predicted reduction below `tolerance` times the noise level.

    The noise level is 1 for the quasi-deviance and the residual variance for least squares.
    """

    tolerance: float
    max_iterations: int
    n_starts: int


FINAL = Precision(tolerance=1e-13, max_iterations=400, n_starts=8)
REPLICATE = Precision(tolerance=1e-3, max_iterations=40, n_starts=1)


@dataclass(frozen=True, kw_only=True)
class BatchFit:
    """Optima of a batch: `u` (k, B), `cost` (B,), `converged` (B,) and iterations used."""

    u: FloatArray
    cost: FloatArray
    converged: NDArray[np.bool_]
    n_iterations: int


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Cost (B,), half its negative gradient (k, B), and Gauss-Newton matrix (k, k, B)."""

    cost: FloatArray
    gradient: FloatArray
    curvature: FloatArray


def deviance_terms(
    family: Family,
    response: ResponseKind,
    y: FloatArray,
    weight: FloatArray,
    u: FloatArray,
    *,
    robust: bool = True,
) -> Terms:
    """Return cost, gradient and curvature of a batch at u.

    Parameters
    ----------
    y : ndarray, shape (U, B)
        Mean scores; logs of them for losses.
    weight : ndarray, shape (U, 1)
        Items (accuracies) or runs; (U, B) where curves of a batch differ in weight.
    u : ndarray, shape (k, B)
        Working parameters.
    robust : bool
        Whether a family's Huber threshold counts.
    """
    value, jacobian = family.evaluate(u, family.n)
    if response is ResponseKind.ACCURACY:
        mu = np.clip(value, MU_EDGE, 1 - MU_EDGE)
        w = weight / (mu * (1 - mu))
        residual = y - mu
        cost = -2 * (weight * (y * np.log(mu) + (1 - y) * np.log1p(-mu))).sum(axis=0)
    else:
        w = weight
        if response is ResponseKind.LOSS:
            value = np.maximum(value, _TINY)
            jacobian = jacobian / value
            residual = y - np.log(value)
        else:
            residual = y - value
        if family.huber is None or not robust:
            cost = (w * residual**2).sum(axis=0)
        else:
            size, delta = np.abs(residual), family.huber
            small = size <= delta
            cost = (w * np.where(small, size**2, 2 * delta * size - delta**2)).sum(axis=0)
            w = w * np.where(small, 1.0, delta / np.maximum(size, delta))
    weighted = jacobian * w
    gradient = (weighted * residual).sum(axis=1)
    k, n_curves = u.shape
    if n_curves <= _SMALL_BATCH:
        product = weighted.transpose(2, 0, 1) @ jacobian.transpose(2, 1, 0)
        curvature = np.ascontiguousarray(product.transpose(1, 2, 0))
        return Terms(cost=cost, gradient=gradient, curvature=curvature)
    curvature = np.empty((k, k, n_curves))
    for i in range(k):
        for j in range(i + 1):
            curvature[i, j] = curvature[j, i] = (weighted[i] * jacobian[j]).sum(axis=0)
    return Terms(cost=cost, gradient=gradient, curvature=curvature)


def saturated_cost(response: ResponseKind, y: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the cost of a perfect fit, shape (B,), so that cost - this is the deviance."""
    if response is ResponseKind.ACCURACY:
        result: FloatArray = -2 * (weight * (xlogy(y, y) + xlogy(1 - y, 1 - y))).sum(axis=0)
        return result
    return np.zeros(y.shape[1])


def fit_batch(
    family: Family,
    response: ResponseKind,
    y: FloatArray,
    weight: FloatArray,
    precision: Precision,
    *,
    start: FloatArray | None = None,
) -> BatchFit:
    """Fit one family to B curves.

    Parameters
    ----------
    y : ndarray, shape (U, B)
        Mean score of each volume of `family.n`, in score units (losses: not yet logged).
    weight : ndarray, shape (U,) or (U, B)
        Items (accuracies) or runs behind each mean.
    start : ndarray, shape (k,), optional
        A further start, for example the optimum of the observed curve.

    Returns
    -------
    BatchFit
        `cost` is the deviance (accuracies) or the residual sum of squares.
    """
    w = np.asarray(weight, dtype=float)
    w = w[:, None] if w.ndim == 1 else w
    target = np.log(y) if response is ResponseKind.LOSS else y
    screening = w / y.mean(axis=1, keepdims=True) ** 2 if response is ResponseKind.LOSS else w
    candidates = family.starts(y, screening, precision.n_starts)
    k, n_starts, n_curves = candidates.shape
    if start is not None:
        extra = np.broadcast_to(start[:, None, None], (k, 1, n_curves))
        candidates = np.concatenate([candidates, extra], axis=1)
        if n_starts == 1:
            candidates = _cheaper(family, response, target, w, candidates)
        n_starts = candidates.shape[1]
    u0 = candidates.reshape(k, n_starts * n_curves)
    tiled = np.tile(target, (1, n_starts))
    weights = w if w.shape[1] == 1 else np.tile(w, (1, n_starts))
    u, cost, converged, n_iterations = _minimise(family, response, tiled, weights, u0, precision)
    best = cost.reshape(n_starts, n_curves).argmin(axis=0)
    pick = best * n_curves + np.arange(n_curves)
    floor = saturated_cost(response, target, w)
    return BatchFit(
        u=u[:, pick],
        cost=np.maximum(cost[pick] - floor, 0.0),
        converged=converged[pick],
        n_iterations=n_iterations,
    )


def _cheaper(
    family: Family, response: ResponseKind, target: FloatArray, w: FloatArray, starts: FloatArray
) -> FloatArray:
    """Keep the better of two starts, (k, 2, B) -> (k, 1, B)."""
    costs = [deviance_terms(family, response, target, w, starts[:, i]).cost for i in (0, 1)]
    return np.where(costs[1] < costs[0], starts[:, 1], starts[:, 0])[:, None]


def _minimise(
    family: Family,
    response: ResponseKind,
    y: FloatArray,
    w: FloatArray,
    u0: FloatArray,
    precision: Precision,
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_], int]:
    """Run Levenberg-Marquardt on every column of u0, dropping columns as they converge."""
    lower, upper = family.lower[:, None], family.upper[:, None]
    result = np.clip(u0, lower, upper)
    n_curves = u0.shape[1]
    final_cost = np.empty(n_curves)
    converged = np.zeros(n_curves, dtype=bool)
    active = np.arange(n_curves)
    u = result
    terms = deviance_terms(family, response, y, w, u)
    cost, gradient, curvature = terms.cost, terms.gradient, terms.curvature
    damping = np.full(n_curves, _LAMBDA_START)
    idle = np.zeros(n_curves, dtype=int)
    n_observed = max(len(y), 1)
    iteration = 0
    while active.size and iteration < precision.max_iterations:
        iteration += 1
        held = ((u <= lower) & (gradient <= 0)) | ((u >= upper) & (gradient >= 0))
        step = _solve(curvature, gradient, damping, held)
        trial = np.clip(u + step, lower, upper)
        move = trial - u
        predicted = 2 * (gradient * move).sum(axis=0)
        terms = deviance_terms(family, response, y, w, trial)
        # Rounding may hide the last reductions: a cost equal within rounding is an improvement.
        slack = 4e-16 * np.abs(cost)
        better = terms.cost <= cost + slack
        noise = 1.0 if response is ResponseKind.ACCURACY else cost / n_observed + 1e-30
        small = np.abs(predicted) <= precision.tolerance * noise
        gained = better & (cost - terms.cost > 1e-12 * (noise + np.abs(cost)))
        idle = np.where(gained, 0, idle + better)
        stuck = (~better & (damping > _LAMBDA_STOP)) | (idle >= _IDLE_STOP)
        u = np.where(better, trial, u)
        cost = np.where(better, terms.cost, cost)
        gradient = np.where(better, terms.gradient, gradient)
        curvature = np.where(better, terms.curvature, curvature)
        damping = np.where(better, np.maximum(damping * 0.1, 1e-12), damping * 8)
        finished = small | stuck | ~np.isfinite(cost)
        if finished.any():
            leaving = active[finished]
            result[:, leaving] = u[:, finished]
            final_cost[leaving] = cost[finished]
            converged[leaving] = small[finished] | stuck[finished]
            keep = ~finished
            active, u, cost, damping = active[keep], u[:, keep], cost[keep], damping[keep]
            idle = idle[keep]
            gradient, curvature, y = gradient[:, keep], curvature[:, :, keep], y[:, keep]
            w = w if w.shape[1] == 1 else w[:, keep]
    result[:, active] = u
    final_cost[active] = cost
    return result, final_cost, converged, iteration


def _solve(
    curvature: FloatArray, gradient: FloatArray, damping: FloatArray, held: NDArray[np.bool_]
) -> FloatArray:
    """Solve (H + damping diag H) step = g by Cholesky over the batch; held parameters stay."""
    k, n_curves = gradient.shape
    free = ~held
    if n_curves <= _SMALL_BATCH:
        step = _solve_few(curvature, gradient, damping, free)
        if step is not None:
            return step
    factor: list[list[FloatArray]] = []
    forward: list[FloatArray] = []
    for i in range(k):
        row: list[FloatArray] = []
        for j in range(i):
            value = curvature[i, j] * (free[i] & free[j])
            for m in range(j):
                value = value - row[m] * factor[j][m]
            row.append(value / factor[j][j])
        diagonal = curvature[i, i]
        pivot = diagonal * (1 + damping) + _TINY
        for m in range(i):
            pivot = pivot - row[m] ** 2
        pivot = np.where(free[i], np.maximum(pivot, 1e-14 * diagonal + _TINY), 1.0)
        row.append(np.sqrt(pivot))
        factor.append(row)
        value = np.where(free[i], gradient[i], 0.0)
        for m in range(i):
            value = value - row[m] * forward[m]
        forward.append(value / row[i])
    backward: list[FloatArray] = [np.empty(0)] * k
    for i in reversed(range(k)):
        value = forward[i]
        for m in range(i + 1, k):
            value = value - factor[m][i] * backward[m]
        backward[i] = value / factor[i][i]
    return np.stack(backward)


def _solve_few(
    curvature: FloatArray, gradient: FloatArray, damping: FloatArray, free: NDArray[np.bool_]
) -> FloatArray | None:
    """Solve by LAPACK, which is quicker for few curves; None if a system is singular."""
    diagonal = np.einsum("iib->ib", curvature)
    scale = np.where(free & (diagonal > _TINY), np.sqrt(np.maximum(diagonal, _TINY)), np.inf)
    # Held and flat parameters get a row of the identity and no step.
    system = (curvature / scale[:, None] / scale).transpose(2, 0, 1).copy()
    index = np.arange(len(gradient))
    system[:, index, index] = 1 + damping[:, None]
    try:
        step = np.linalg.solve(system, (gradient / scale).T[:, :, None])[:, :, 0].T
    except np.linalg.LinAlgError:
        return None
    return np.asarray(step / scale) if np.isfinite(step).all() else None
