"""What a growth family is, and the screening of starts that several share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from dashboard.analysis.curve_data import FloatArray, ResponseKind

SMALL = 1e-9


class Family(ABC):
    """A growth family on fixed volumes.

    Parameters
    ----------
    n : ndarray, shape (U,), count >= 0
        Distinct volumes of the curve; they set scales and bounds.
    response : ResponseKind
        Fixes the range of values.
    chance : float or None
        Chance level, for families that use it.

    Attributes
    ----------
    name : str
        Name in settings, results and JSON.
    symbols : tuple of str
        Natural parameters.
    huber : float or None
        Residuals beyond it count in proportion to their size, not its square.
    lower, upper : ndarray, shape (k,)
        Bounds of the working parameters; equal bounds fix a parameter.
    """

    name: ClassVar[str]
    symbols: ClassVar[tuple[str, ...]]
    responses: ClassVar[frozenset[ResponseKind]] = frozenset(ResponseKind)
    huber: ClassVar[float | None] = None
    lower: FloatArray
    upper: FloatArray

    def __init__(self, n: FloatArray, response: ResponseKind, chance: float | None = None) -> None:
        """Set scales and bounds from the volumes."""
        positive = n[n > 0]
        self.n = n
        self.response = response
        self.chance = chance
        self.n_unit = float(positive.min()) if positive.size else 1.0
        self.n_max = float(n.max()) if n.size else 1.0
        bounds = np.array(self._bounds(), dtype=float)
        self.lower, self.upper = bounds[:, 0], bounds[:, 1]

    @property
    def n_free(self) -> int:
        """Parameters that a fit may move."""
        return int((self.upper > self.lower).sum())

    def _value_bounds(self) -> tuple[float, float]:
        """Range of a parameter that is itself a score."""
        if self.response is ResponseKind.ACCURACY:
            return (0.0, 1.0)
        return (SMALL, np.inf) if self.response is ResponseKind.LOSS else (-np.inf, np.inf)

    @abstractmethod
    def _bounds(self) -> list[tuple[float, float]]:
        """Return (lower, upper) of each working parameter."""

    @abstractmethod
    def evaluate(self, u: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return values, shape (U, B), and gradient in u, shape (k, U, B), at volumes `n`."""

    @abstractmethod
    def starts(self, y: FloatArray, weight: FloatArray, n_starts: int) -> FloatArray:
        """Return promising working parameters.

        Parameters
        ----------
        y : ndarray, shape (U, B)
            Mean score at each volume of `n`.
        weight : ndarray, shape (U, 1)
            Weights of a least-squares screening.
        n_starts : int
            Starts per curve.

        Returns
        -------
        ndarray, shape (k, n_starts, B)
        """

    @abstractmethod
    def natural(self, u: FloatArray) -> FloatArray:
        """Return the natural parameters, shape (k,), of one working vector, shape (k,)."""

    @abstractmethod
    def working(self, theta: FloatArray) -> FloatArray:
        """Return the working parameters, shape (k,), of natural ones: the inverse of `natural`."""

    def natural_jacobian(self, u: FloatArray) -> FloatArray:
        """Return d natural / d working, shape (k, k), by central differences."""
        k = len(u)
        jacobian = np.empty((k, k))
        for j in range(k):
            step = 1e-6 * max(1.0, abs(u[j]))
            high, low = u.copy(), u.copy()
            high[j] += step
            low[j] -= step
            jacobian[:, j] = (self.natural(high) - self.natural(low)) / (2 * step)
        return jacobian

    def predict(self, u: FloatArray, n: FloatArray) -> FloatArray:
        """Return values at `n`, shape (len(n), B), for u of shape (k, B)."""
        return self.evaluate(u, n)[0]


class TwoLinear(Family):
    """Families linear in two parameters once the shape is given; screened on a grid of shapes."""

    @abstractmethod
    def _shape_grid(self) -> FloatArray:
        """Return shapes to screen, (n_shape, G), as working parameters."""

    @abstractmethod
    def _basis(self, shape: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the two columns, each (U, G), whose combination is the curve."""

    @abstractmethod
    def _assemble(self, first: FloatArray, second: FloatArray, shape: FloatArray) -> FloatArray:
        """Return working parameters (k, ...) of linear coefficients and shape."""

    @abstractmethod
    def _linear_bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return bounds of the two linear coefficients."""

    def starts(self, y: FloatArray, weight: FloatArray, n_starts: int) -> FloatArray:
        """Solve for the linear parameters at every shape of the grid and keep the best shapes."""
        shape = self._shape_grid()
        first, second = self._basis(shape, self.n)
        w = weight
        a11 = (w * first * first).sum(axis=0)[:, None]
        a12 = (w * first * second).sum(axis=0)[:, None]
        a22 = (w * second * second).sum(axis=0)[:, None]
        b1 = (w * first).T @ y
        b2 = (w * second).T @ y
        det = a11 * a22 - a12**2
        solvable = det > 1e-12 * a11 * a22
        safe = np.where(solvable, det, 1.0)
        p1 = np.where(solvable, (a22 * b1 - a12 * b2) / safe, b1 / np.maximum(a11, SMALL))
        p2 = np.where(solvable, (a11 * b2 - a12 * b1) / safe, 0.0)
        (low1, high1), (low2, high2) = self._linear_bounds()
        # A coefficient beyond its bound is put there and the other solved for again.
        out = (p1 < low1) | (p1 > high1)
        p1 = np.clip(p1, low1, high1)
        p2 = np.where(out, (b2 - a12 * p1) / np.maximum(a22, SMALL), p2)
        out = (p2 < low2) | (p2 > high2)
        p2 = np.clip(p2, low2, high2)
        p1 = np.clip(np.where(out, (b1 - a12 * p2) / np.maximum(a11, SMALL), p1), low1, high1)
        error = p1 * (a11 * p1 + 2 * a12 * p2 - 2 * b1) + p2 * (a22 * p2 - 2 * b2)
        n_best = min(n_starts, shape.shape[1])
        order = lowest(error, n_best)
        columns = np.arange(y.shape[1])
        chosen = self._assemble(p1[order, columns], p2[order, columns], shape[:, order])
        if n_best < n_starts:
            chosen = np.concatenate([chosen] * (-(-n_starts // n_best)), axis=1)[:, :n_starts]
        return np.clip(chosen, self.lower[:, None, None], self.upper[:, None, None])


def powers(
    n: FloatArray, log_rate: FloatArray, log_exponent: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return w = (rate n)^exponent, log w (0 where n = 0, as w log w is) and the exponent."""
    exponent = np.exp(log_exponent)
    positive = n > 0
    log_n = np.log(np.where(positive, n, 1.0))[:, None]
    log_w = np.clip(exponent * (log_rate + log_n), -700, 700)
    w = np.exp(log_w)
    if not positive.all():
        zero = ~positive
        w[zero] = 0
        log_w[zero] = 0
    return w, log_w, exponent


def all_pairs(*axes: FloatArray) -> FloatArray:
    """Return all combinations, shape (len(axes), product of lengths)."""
    return np.stack([mesh.ravel() for mesh in np.meshgrid(*axes, indexing="ij")])


def lowest(error: FloatArray, n_best: int) -> np.ndarray:
    """Return indices, shape (n_best, B), of the lowest rows of each column."""
    if n_best == 1:
        return np.asarray(error.argmin(axis=0)[None])
    return np.asarray(np.argsort(error, axis=0)[:n_best])


def best_of(candidates: FloatArray, error: FloatArray, n_starts: int) -> FloatArray:
    """Return the `n_starts` candidates of least error, repeated if there are fewer."""
    n_best = min(n_starts, error.shape[0])
    chosen = np.take_along_axis(candidates, lowest(error, n_best)[None], axis=1)
    if n_best < n_starts:
        chosen = np.concatenate([chosen] * (-(-n_starts // n_best)), axis=1)[:, :n_starts]
    return chosen
