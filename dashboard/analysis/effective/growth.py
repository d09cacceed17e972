r"""Growth shapes g(n) with their slope in n, for volumes that differ between replicates.

The shapes are those of `dashboard.analysis.families` whose slope at n = 0 is finite, since an
example of another ability is worth something to a target that has none of its own: log-linear,
exponential, power law, and Weibull with d >= 1. Arrays put the batch last: parameters (k, B),
volumes and values (U, B).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from scipy.special import expit, logit

from dashboard.analysis.curve_data import FloatArray

_TINY = 1e-12


class Shape(ABC):
    """One growth shape.

    Parameters
    ----------
    n_unit, n_max : float
        Smallest non-zero and largest volume; they set scales and bounds.
    limits : tuple of float
        Range of values that are scores.
    chance : float or None
        Chance level.
    """

    name: ClassVar[str]
    lower: FloatArray
    upper: FloatArray

    def __init__(
        self, n_unit: float, n_max: float, limits: tuple[float, float], chance: float | None
    ) -> None:
        """Set scales and bounds."""
        self.n_unit, self.n_max, self.limits, self.chance = n_unit, n_max, limits, chance
        bounds = np.array(self._bounds(), dtype=float)
        self.lower, self.upper = bounds[:, 0], bounds[:, 1]

    @property
    def n_free(self) -> int:
        """Parameters that a fit may move."""
        return int((self.upper > self.lower).sum())

    @abstractmethod
    def _bounds(self) -> list[tuple[float, float]]:
        """Return (lower, upper) of each parameter."""

    @abstractmethod
    def evaluate(self, u: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return values (U, B), gradient in u (k, U, B) and slope in n (U, B)."""

    @abstractmethod
    def starts(self, low: float, high: float) -> list[FloatArray]:
        """Return start points, each (k,), for scores that run from `low` to `high`."""


class LogLinear(Shape):
    """floor + (1 - floor) expit(a + b log(1 + n / n0)); accuracies only."""

    name = "log_linear"

    def _bounds(self) -> list[tuple[float, float]]:
        return [(0.0, self.chance or 0.0), (-20.0, 20.0), (-20.0, 20.0)]

    def evaluate(self, u: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return values, gradient and slope."""
        x = np.log1p(n / self.n_unit)
        e = expit(u[1] + u[2] * x)
        rise = (1 - u[0]) * e * (1 - e)
        gradient = np.stack([1 - e, rise, rise * x])
        return u[0] + (1 - u[0]) * e, gradient, rise * u[2] / (self.n_unit + n)

    def starts(self, low: float, high: float) -> list[FloatArray]:
        """Return lines through the ends, with and without a floor."""
        reach = np.log1p(self.n_max / self.n_unit)
        found = []
        for share in (0.0, 0.9) if self.upper[0] > 0 else (0.0,):
            floor = min(share * self.upper[0], max(low - 0.01, 0.0))
            a, top = (logit(np.clip((y - floor) / (1 - floor), 0.02, 0.98)) for y in (low, high))
            found.append(np.array([floor, a, (top - a) / reach]))
        return found


class _Ceiling(Shape):
    """c - (c - lo) s(n) with s falling from 1 to 0; parameters lo, c, shape."""

    def _bounds(self) -> list[tuple[float, float]]:
        return [self.limits, self.limits, *self._shape_bounds()]

    @abstractmethod
    def _shape_bounds(self) -> list[tuple[float, float]]:
        """Return bounds of the shape parameters."""

    @abstractmethod
    def _remaining(
        self, shape: FloatArray, n: FloatArray
    ) -> tuple[FloatArray, list[FloatArray], FloatArray]:
        """Return s(n), its derivatives by shape parameter and by n."""

    @abstractmethod
    def _shape_starts(self) -> list[list[float]]:
        """Return promising shapes."""

    def evaluate(self, u: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return values, gradient and slope."""
        s, by_shape, by_n = self._remaining(u[2:], n)
        span = u[0] - u[1]
        gradient = np.stack([s, 1 - s, *(span * one for one in by_shape)])
        return u[1] + span * s, gradient, span * by_n

    def starts(self, low: float, high: float) -> list[FloatArray]:
        """Return curves between the ends, slow and fast."""
        return [np.array([low, high, *shape]) for shape in self._shape_starts()]


class Exponential(_Ceiling):
    """c - (c - lo) exp(-k n)."""

    name = "exponential"

    def _shape_bounds(self) -> list[tuple[float, float]]:
        return [(np.log(0.02 / self.n_max), np.log(20.0 / self.n_unit))]

    def _shape_starts(self) -> list[list[float]]:
        ends = np.log(0.7 / self.n_max), np.log(1.0 / self.n_unit)
        return [[k] for k in np.linspace(*ends, 3)]

    def _remaining(
        self, shape: FloatArray, n: FloatArray
    ) -> tuple[FloatArray, list[FloatArray], FloatArray]:
        k = np.exp(shape[0])
        s = np.exp(-k * n)
        return s, [-s * k * n], -k * s


class Weibull(_Ceiling):
    """c - (c - lo) exp(-(k n)^d) with d >= 1: slow, then fast, then slow."""

    name = "weibull"

    def _shape_bounds(self) -> list[tuple[float, float]]:
        return [(np.log(0.02 / self.n_max), np.log(20.0 / self.n_unit)), (0.0, np.log(6.0))]

    def _shape_starts(self) -> list[list[float]]:
        ends = np.log(1.0 / self.n_max), np.log(0.5 / self.n_unit)
        return [[k, np.log(2.0)] for k in np.linspace(*ends, 3)]

    def _remaining(
        self, shape: FloatArray, n: FloatArray
    ) -> tuple[FloatArray, list[FloatArray], FloatArray]:
        k, d = np.exp(shape[0]), np.exp(shape[1])
        logs = np.log(np.maximum(k * n, _TINY))
        power = np.exp(d * logs)
        s = np.exp(-power)
        step = -s * power * d
        return s, [step, step * logs], -s * d * k * np.exp((d - 1) * logs)


class PowerLaw(_Ceiling):
    """c - (c - lo) (1 + n / n0)^(-beta)."""

    name = "power_law"

    def _shape_bounds(self) -> list[tuple[float, float]]:
        return [
            (np.log(self.n_unit / 1e3), np.log(self.n_max * 1e2)),
            (np.log(0.02), np.log(5.0)),
        ]

    def _shape_starts(self) -> list[list[float]]:
        middle = np.log(np.sqrt(self.n_unit * self.n_max))
        return [[np.log(self.n_unit), np.log(0.5)], [middle, 0.0], [np.log(self.n_max), 0.0]]

    def _remaining(
        self, shape: FloatArray, n: FloatArray
    ) -> tuple[FloatArray, list[FloatArray], FloatArray]:
        scale, beta = np.exp(-shape[0]), np.exp(shape[1])
        ratio = n * scale
        logs = np.log1p(ratio)
        s = np.exp(-beta * logs)
        by_n0 = s * beta * ratio / (1 + ratio)
        return s, [by_n0, -s * beta * logs], -s * beta * scale / (1 + ratio)


SHAPES: tuple[type[Shape], ...] = (LogLinear, Exponential, Weibull, PowerLaw)
