"""The constant and the straight line in log volume."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.families.base import SMALL, Family, best_of


class Constant(Family):
    r"""mu(n) = mu: the null that every other family must beat."""

    name = "constant"
    symbols = ("mu",)

    def _bounds(self) -> list[tuple[float, float]]:
        return [self._value_bounds()]

    def evaluate(self, u: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mu at every volume and a gradient of ones."""
        shape = (len(n), u.shape[1])
        return np.broadcast_to(u[0], shape), np.ones((1, *shape))

    def starts(self, y: FloatArray, weight: FloatArray, n_starts: int) -> FloatArray:
        """Return the weighted mean, repeated."""
        mean = (weight * y).sum(axis=0) / weight.sum(axis=0)
        return np.broadcast_to(mean, (1, n_starts, y.shape[1])).copy()

    def natural(self, u: FloatArray) -> FloatArray:
        """Return mu."""
        return u.copy()

    def working(self, theta: FloatArray) -> FloatArray:
        """Return mu."""
        return theta.copy()


class LogLinear(Family):
    r"""A straight line in log volume: mu(n) = floor + (1 - floor) expit(a + b x) for accuracies.

    x = log(1 + n / n0), n0 the smallest non-zero volume. Working and natural parameters are the
    same: floor in [0, chance], a, b. Without a chance level, or with `fixed_floor`, the floor is
    0, which leaves a logistic curve in log volume. At n = 0 the value is
    floor + (1 - floor) expit(a), which may lie below chance: a model that can't answer in form
    does.

    Losses: exp(a + b x), other scores: a + b x, both with a floor of 0 and, where n = 0 is not
    part of the curve, x = log(n / n0), which makes a loss a power law without a floor.
    """

    name = "log_linear"
    symbols = ("floor", "a", "b")

    def __init__(
        self,
        n: FloatArray,
        response: ResponseKind,
        chance: float | None = None,
        *,
        fixed_floor: bool = False,
    ) -> None:
        """Fix the floor at 0 where `fixed_floor` (too few runs to estimate it)."""
        self._fixed_floor = fixed_floor
        super().__init__(n, response, chance)

    def _bounds(self) -> list[tuple[float, float]]:
        if self.response is not ResponseKind.ACCURACY:
            wide = 20.0 if self.response is ResponseKind.LOSS else np.inf
            return [(0.0, 0.0), (-wide, wide), (-wide, wide)]
        top = 0.0 if self._fixed_floor or self.chance is None else self.chance
        return [(0.0, top), (-20.0, 20.0), (-20.0, 20.0)]

    def _x(self, n: FloatArray) -> FloatArray:
        """Return x, shape (U, 1)."""
        ratio = n / self.n_unit
        if self.response is ResponseKind.ACCURACY or (self.n == 0).any():
            return np.asarray(np.log1p(ratio)[:, None])
        return np.asarray(np.log(np.maximum(ratio, SMALL))[:, None])

    def evaluate(self, u: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return values and gradient."""
        x = self._x(n)
        line = u[1] + u[2] * x
        if self.response is not ResponseKind.ACCURACY:
            loss = self.response is ResponseKind.LOSS
            value = np.exp(np.clip(line, -700, 700)) if loss else line
            slope = value if loss else np.ones_like(line)
            return value, np.stack([np.zeros_like(line), slope, slope * x])
        e = expit(line)
        room = 1 - u[0]
        slope = room * e * (1 - e)
        gradient = np.empty((3, *e.shape))
        gradient[0] = 1 - e
        gradient[1] = slope
        gradient[2] = slope * x
        return u[0] + room * e, gradient

    def starts(self, y: FloatArray, weight: FloatArray, n_starts: int) -> FloatArray:
        """Return regressions on log volume: of the logit above several floors, of log or score."""
        x = self._x(self.n)
        if self.response is not ResponseKind.ACCURACY:
            loss = self.response is ResponseKind.LOSS
            a, b = _line(x, np.log(y) if loss else y, weight)
            single = np.stack([np.zeros_like(a), a, b])[:, None]
            return np.repeat(single, n_starts, axis=1)
        shares = np.array([0.0, 0.5, 0.9]) if self.upper[0] > 0 else np.zeros(1)
        candidates = np.empty((3, len(shares), y.shape[1]))
        error = np.empty((len(shares), y.shape[1]))
        for index, share in enumerate(shares):
            floor = share * self.upper[0]
            above = np.clip((y - floor) / (1 - floor), 0.01, 0.99)
            z = logit(above)
            # Weights of the logit scale, so that clipped points hardly count.
            a, b = _line(x, z, weight * above * (1 - above))
            candidates[:, index] = np.stack([np.full_like(a, floor), a, b])
            value = floor + (1 - floor) * expit(a + b * x)
            error[index] = (weight * (y - value) ** 2).sum(axis=0)
        return best_of(candidates, error, n_starts)

    def natural(self, u: FloatArray) -> FloatArray:
        """Return floor, a, b."""
        return u.copy()

    def working(self, theta: FloatArray) -> FloatArray:
        """Return floor, a, b."""
        return theta.copy()


def _line(x: FloatArray, z: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return intercept and slope, each (B,), of weighted regressions of z (U, B) on x (U, 1)."""
    total = w.sum(axis=0)
    x_mean = (w * x).sum(axis=0) / total
    z_mean = (w * z).sum(axis=0) / total
    spread = (w * (x - x_mean) ** 2).sum(axis=0)
    slope = (w * (x - x_mean) * (z - z_mean)).sum(axis=0) / np.maximum(spread, SMALL)
    return np.asarray(z_mean - slope * x_mean), np.asarray(slope)
