r"""Least squares of one target's scores on the composition of runs, for many replicates at once.

For target a, with n[u, c, s] examples of source c and ability s in composition u,

.. math::
    n_\mathrm{eff} = \sum_c \rho_c \Big( n_{c,a} + \sum_{s \ne a} \max(\theta_s, 0)\, n_{c,s} \Big)
        + \sum_c \omega_c\, n_{c,\mathrm{unlabelled}}, \qquad
    \mu = g(n_\mathrm{eff}) + \sum_{s \ne a} \min(\theta_s, 0)\, h_s

One signed parameter a pair: positive, it is tau[s -> a]; negative, it is an additive shift of the
score, reached in full at the most examples of s (h_s grows from 0 to 1 with log volume). So
helping and hurting are never both fitted to the same runs.

The engine is a projected Levenberg-Marquardt over the batch, in the working parameters
u = (shape parameters of g, log rho, theta, log omega).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.effective.growth import Shape

TAU_MAX = 64.0
MOST_WORTH = 256.0
"""No example of a source is worth more than this many of the reference, or less than 1 in it."""
LOG_WORTH_MAX = float(np.log(MOST_WORTH))
_LEAST_VARIANCE = 0.1
"""No composition counts for more than if its variance were this share of the median one."""
FINAL = (60, 1e-7)
"""Iterations and tolerance of fits to the observed scores."""
FAST = (25, 1e-4)
"""The same for replicates, which start at the observed optimum."""


@dataclass(frozen=True, kw_only=True)
class Compositions:
    """What the runs of one target were trained on, by distinct composition.

    Attributes
    ----------
    own : ndarray, shape (U, S), count
        Examples of the target ability by source.
    other : ndarray, shape (U, S, K), count
        Examples of the other abilities by source.
    pool : ndarray, shape (U, S), count
        Unlabelled examples by source.
    reference : int
        Index of the reference source, whose rho is 1.
    pool_reference : bool
        Whether the reference source has unlabelled examples only, so that they count as one each.
    sign : float
        1 where higher scores are better, else -1.
    n_unit : float
        Smallest number of examples of one ability in any run.
    """

    own: FloatArray
    other: FloatArray
    pool: FloatArray
    reference: int
    pool_reference: bool
    sign: float
    n_unit: float

    @property
    def n_sources(self) -> int:
        """Data sources, S."""
        return int(self.own.shape[1])

    @property
    def n_others(self) -> int:
        """Other abilities, K."""
        return int(self.other.shape[2])

    @property
    def n_worths(self) -> int:
        """Parameters besides the shape's: log rho (S), theta (K), log omega (S)."""
        return 2 * self.n_sources + self.n_others

    @property
    def fixed(self) -> NDArray[np.bool_]:
        """Worths (n_worths,) that are 1 by definition: those of the reference source."""
        reference = np.arange(self.n_sources) == self.reference
        others = np.zeros(self.n_others, dtype=bool)
        return np.concatenate([reference, others, reference & self.pool_reference])

    @property
    def shift_basis(self) -> FloatArray:
        """h, shape (U, K): how much of an additive shift each composition gets."""
        total = np.log1p(self.other.sum(axis=1) / self.n_unit)
        return np.asarray(total / np.maximum(total.max(axis=0), 1e-12))

    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper bounds of the worths, each (n_worths,)."""
        worth = np.full(self.n_sources, LOG_WORTH_MAX)
        # A shift of the whole range of scores is more than any; losses are fitted as logs.
        theta_low, theta_high = np.full(self.n_others, -5.0), np.full(self.n_others, TAU_MAX)
        return (
            np.concatenate([-worth, theta_low, -worth]),
            np.concatenate([worth, theta_high, worth]),
        )

    def effective(self, worths: FloatArray) -> FloatArray:
        """Return n_eff, shape (U, B), for worths of shape (n_worths, B)."""
        s, k = self.n_sources, self.n_others
        rho, omega = np.exp(worths[:s]), np.exp(worths[s + k :])
        tau = np.maximum(worths[s : s + k], 0.0)
        n = self.own @ rho + self.pool @ omega
        for source in range(s):
            n = n + rho[source] * (self.other[:, source] @ tau)
        return np.asarray(n)


@dataclass(frozen=True, kw_only=True)
class TargetRuns:
    """Scores of one target by distinct composition, on the scale that is fitted.

    Attributes
    ----------
    y : ndarray, shape (U,)
    replicates : ndarray, shape (U, B)
    data : Compositions
    limits : tuple of float
        Range of values of g.
    chance : float or None
    accuracy : bool
        Whether log-linear growth applies.
    """

    y: FloatArray
    replicates: FloatArray
    data: Compositions
    limits: tuple[float, float]
    chance: float | None
    accuracy: bool

    @property
    def weight(self) -> FloatArray:
        """Inverse variances, shape (U,)."""
        variance = self.replicates.var(axis=1)
        floor = _LEAST_VARIANCE * float(np.median(variance))
        return np.asarray(1 / np.maximum(variance, max(floor, 1e-12)))


def evaluate(shape: Shape, data: Compositions, u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return values (U, B) and gradient (P, U, B) at working parameters (P, B)."""
    k_shape = len(shape.lower)
    worths = u[k_shape:]
    s, k = data.n_sources, data.n_others
    rho, omega = np.exp(worths[:s]), np.exp(worths[s + k :])
    theta = worths[s : s + k]
    tau = np.maximum(theta, 0.0)
    by_source = [rho[c] * (data.own[:, c, None] + data.other[:, c] @ tau) for c in range(s)]
    pooled = [omega[c] * data.pool[:, c, None] for c in range(s)]
    n = sum(by_source) + sum(pooled)
    value, by_shape, slope = shape.evaluate(u[:k_shape], np.asarray(n))
    basis = data.shift_basis * data.sign
    value = value + basis @ np.minimum(theta, 0.0)
    gradient = np.empty((len(u), *value.shape))
    gradient[:k_shape] = by_shape
    for c in range(s):
        gradient[k_shape + c] = slope * by_source[c]
        gradient[k_shape + s + k + c] = slope * pooled[c]
    for j in range(k):
        worth = slope * (data.other[:, :, j] @ rho)
        gradient[k_shape + s + j] = np.where(theta[j] >= 0, worth, basis[:, j, None])
    return value, gradient


@dataclass(frozen=True, kw_only=True)
class Solution:
    """Optima of a batch: parameters (P, B), weighted squares (B,), and which converged (B,)."""

    u: FloatArray
    cost: FloatArray
    converged: NDArray[np.bool_]


def solve(
    shape: Shape,
    data: Compositions,
    y: FloatArray,
    weight: FloatArray,
    start: FloatArray,
    held: NDArray[np.bool_],
    precision: tuple[int, float] = FINAL,
) -> Solution:
    """Minimise sum_u weight (y - mu)^2 for every column.

    Parameters
    ----------
    y : ndarray, shape (U, B)
    weight : ndarray, shape (U,)
    start : ndarray, shape (P, B)
        Held parameters keep their start value.
    held : ndarray of bool, shape (P, B)
    precision : tuple of (int, float)
        Most iterations, and the relative gain below which a column is done.
    """
    max_iterations, tolerance = precision
    low, high = data.bounds()
    lower = np.concatenate([shape.lower, low])[:, None]
    upper = np.concatenate([shape.upper, high])[:, None]
    held = held | (lower == upper)
    u = np.clip(start, lower, upper)
    n_columns = u.shape[1]
    damping = np.full(n_columns, 1e-2)
    value, gradient = evaluate(shape, data, u)
    cost = (weight[:, None] * (y - value) ** 2).sum(axis=0)
    done = np.zeros(n_columns, dtype=bool)
    for _ in range(max_iterations):
        active = np.flatnonzero(~done)
        if not active.size:
            break
        step = _step(
            gradient[:, :, active], (y - value)[:, active], weight, damping[active],
            u[:, active], lower, upper, held[:, active],
        )  # fmt: skip
        trial = np.clip(u[:, active] + step, lower, upper)
        new_value, new_gradient = evaluate(shape, data, trial)
        new_cost = (weight[:, None] * (y[:, active] - new_value) ** 2).sum(axis=0)
        better = np.isfinite(new_cost) & (new_cost < cost[active])
        gain = np.where(better, cost[active] - new_cost, 0.0)
        won = active[better]
        u[:, won] = trial[:, better]
        value[:, won], gradient[:, :, won] = new_value[:, better], new_gradient[:, :, better]
        small = better & (gain <= tolerance * (1e-3 + cost[active]))
        cost[won] = new_cost[better]
        damping[active] = np.where(better, damping[active] / 5, damping[active] * 4)
        done[active] = small | (damping[active] > 1e10)
    return Solution(u=u, cost=cost, converged=done)


def _step(
    gradient: FloatArray,
    residual: FloatArray,
    weight: FloatArray,
    damping: FloatArray,
    u: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    held: NDArray[np.bool_],
) -> FloatArray:
    """Return damped Gauss-Newton steps (P, B); parameters held or pushed out of bounds stay."""
    weighted = (gradient * np.sqrt(weight)[None, :, None]).transpose(2, 0, 1)
    target = (residual * np.sqrt(weight)[:, None]).T[:, :, None]
    slope = (weighted @ target)[:, :, 0].T
    fixed = held | ((u <= lower) & (slope < 0)) | ((u >= upper) & (slope > 0))
    weighted = np.where(fixed.T[:, :, None], 0.0, weighted)
    normal = weighted @ weighted.transpose(0, 2, 1)
    diagonal = np.einsum("bii->bi", normal)
    scale = np.maximum(diagonal, 1e-10 * diagonal.max(axis=1, keepdims=True) + 1e-300)
    n_parameters = u.shape[0]
    normal = (
        normal
        + np.eye(n_parameters)
        * (damping[:, None] * scale + np.where(fixed.T, 1.0, 0.0))[:, None, :]
    )
    free_slope = np.where(fixed, 0.0, slope).T[:, :, None]
    return np.asarray(np.linalg.solve(normal, free_slope)[:, :, 0].T)
