r"""Growth families: score as a function of training volume.

One small class a family. Each is written in *working* parameters u, in which the fit is well
behaved (values at n = 0 and at the ceiling, logs of scales and exponents), and reports the
*natural* parameters of docs/statistics.md. Arrays put the batch last: u has shape (k, B), values
(U, B) and gradients (k, U, B) for U volumes and B curves.

References
----------
.. [1] Lin et al., "Selecting Large Language Models to Fine-tune via Rectified Scaling Law",
   ICML 2024, arXiv 2402.02314, equation 4 (rectified).
.. [2] Mohr et al., "LCDB 1.0", ECML-PKDD 2022, table 1 (power law, exponential, Weibull,
   Morgan-Mercer-Flodin).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from scipy.special import expit, logit

from dashboard.analysis.curve_data import FloatArray, ResponseKind

_SMALL = 1e-9


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
        return (_SMALL, np.inf) if self.response is ResponseKind.LOSS else (-np.inf, np.inf)

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
        return np.asarray(np.log(np.maximum(ratio, _SMALL))[:, None])

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
        return _best(candidates, error, n_starts)

    def natural(self, u: FloatArray) -> FloatArray:
        """Return floor, a, b."""
        return u.copy()

    def working(self, theta: FloatArray) -> FloatArray:
        """Return floor, a, b."""
        return theta.copy()


class _TwoLinear(Family):
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
        p1 = np.where(solvable, (a22 * b1 - a12 * b2) / safe, b1 / np.maximum(a11, _SMALL))
        p2 = np.where(solvable, (a11 * b2 - a12 * b1) / safe, 0.0)
        (low1, high1), (low2, high2) = self._linear_bounds()
        # A coefficient beyond its bound is put there and the other solved for again.
        out = (p1 < low1) | (p1 > high1)
        p1 = np.clip(p1, low1, high1)
        p2 = np.where(out, (b2 - a12 * p1) / np.maximum(a22, _SMALL), p2)
        out = (p2 < low2) | (p2 > high2)
        p2 = np.clip(p2, low2, high2)
        p1 = np.clip(np.where(out, (b1 - a12 * p2) / np.maximum(a11, _SMALL), p1), low1, high1)
        error = p1 * (a11 * p1 + 2 * a12 * p2 - 2 * b1) + p2 * (a22 * p2 - 2 * b2)
        n_best = min(n_starts, shape.shape[1])
        order = _lowest(error, n_best)
        columns = np.arange(y.shape[1])
        chosen = self._assemble(p1[order, columns], p2[order, columns], shape[:, order])
        if n_best < n_starts:
            chosen = np.concatenate([chosen] * (-(-n_starts // n_best)), axis=1)[:, :n_starts]
        return np.clip(chosen, self.lower[:, None, None], self.upper[:, None, None])


class _Ceiling(_TwoLinear):
    """mu(n) = c - (c - lo) s(n): from lo at n = 0 to the ceiling c; u = (lo, c, shape...)."""

    def _linear_bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        return self._value_bounds(), self._value_bounds()

    def _bounds(self) -> list[tuple[float, float]]:
        return [self._value_bounds(), self._value_bounds(), *self._shape_bounds()]

    @abstractmethod
    def _shape_bounds(self) -> list[tuple[float, float]]:
        """Return bounds of the shape parameters."""

    @abstractmethod
    def _remaining(self, shape: FloatArray, n: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        """Return s(n), shape (U, B), falling from 1 to 0, and its derivatives by shape."""

    def _basis(self, shape: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        s, _ = self._remaining(shape, n)
        return s, 1 - s

    def _assemble(self, first: FloatArray, second: FloatArray, shape: FloatArray) -> FloatArray:
        return np.concatenate([first[None], second[None], shape])

    def evaluate(self, u: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return values and gradient."""
        s, derivatives = self._remaining(u[2:], n)
        span = u[0] - u[1]
        gradient = np.empty((len(u), *s.shape))
        gradient[0] = s
        gradient[1] = 1 - s
        for index, derivative in enumerate(derivatives):
            gradient[2 + index] = span * derivative
        return u[1] + span * s, gradient


class PowerLaw(_Ceiling):
    r"""mu(n) = c - A (n + n0)^(-beta): ceiling c, n0 examples' worth known beforehand.

    Working parameters: mu(0), c, log n0, log beta; A = (c - mu(0)) n0^beta, negative for a
    falling curve such as a loss.
    """

    name = "power_law"
    symbols = ("c", "A", "n0", "beta")

    def _shape_bounds(self) -> list[tuple[float, float]]:
        return [
            (np.log(self.n_unit / 1e3), np.log(self.n_max * 1e2)),
            (np.log(0.02), np.log(5.0)),
        ]

    def _shape_grid(self) -> FloatArray:
        n0 = np.log(self.n_unit) + np.linspace(-1.5, np.log(self.n_max / self.n_unit) + 1, 6)
        beta = np.log(np.array([0.1, 0.4, 1.0, 3.0]))
        return _grid(n0, beta)

    def _remaining(self, shape: FloatArray, n: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        beta = np.exp(shape[1])
        ratio = n[:, None] * np.exp(-shape[0])
        logs = np.log1p(ratio)
        s = np.exp(-beta * logs)
        by_beta = s * beta
        return s, [by_beta * (ratio / (1 + ratio)), -by_beta * logs]

    def natural(self, u: FloatArray) -> FloatArray:
        """Return c, A, n0, beta."""
        n0, beta = np.exp(u[2]), np.exp(u[3])
        return np.array([u[1], (u[1] - u[0]) * n0**beta, n0, beta])

    def working(self, theta: FloatArray) -> FloatArray:
        """Return mu(0), c, log n0, log beta."""
        c, a, n0, beta = theta
        return np.array([c - a * n0**-beta, c, np.log(n0), np.log(beta)])


class Exponential(_Ceiling):
    r"""mu(n) = c - (c - lo) exp(-k n); working parameters lo, c, log k."""

    name = "exponential"
    symbols = ("c", "lo", "k")

    def _shape_bounds(self) -> list[tuple[float, float]]:
        return [(np.log(0.02 / self.n_max), np.log(20.0 / self.n_unit))]

    def _shape_grid(self) -> FloatArray:
        return np.linspace(np.log(0.3 / self.n_max), np.log(4.0 / self.n_unit), 12)[None]

    def _remaining(self, shape: FloatArray, n: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        kn = n[:, None] * np.exp(shape[0])
        s = np.exp(-kn)
        return s, [-s * kn]

    def natural(self, u: FloatArray) -> FloatArray:
        """Return c, lo, k."""
        return np.array([u[1], u[0], np.exp(u[2])])

    def working(self, theta: FloatArray) -> FloatArray:
        """Return lo, c, log k."""
        return np.array([theta[1], theta[0], np.log(theta[2])])


class Weibull(_Ceiling):
    r"""mu(n) = c - (c - lo) exp(-(k n)^d); working parameters lo, c, log k, log d."""

    name = "weibull"
    symbols = ("c", "lo", "k", "d")

    def _shape_bounds(self) -> list[tuple[float, float]]:
        return [
            (np.log(0.002 / self.n_max), np.log(50.0 / self.n_unit)),
            (np.log(0.1), np.log(6.0)),
        ]

    def _shape_grid(self) -> FloatArray:
        k = np.linspace(np.log(0.3 / self.n_max), np.log(3.0 / self.n_unit), 8)
        return _grid(k, np.log(np.array([0.4, 1.0, 2.5])))

    def _remaining(self, shape: FloatArray, n: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        w, log_w, d = _power(n, shape[0], shape[1])
        s = np.exp(-w)
        sw = s * w
        return s, [-sw * d, -sw * log_w]

    def natural(self, u: FloatArray) -> FloatArray:
        """Return c, lo, k, d."""
        return np.array([u[1], u[0], np.exp(u[2]), np.exp(u[3])])

    def working(self, theta: FloatArray) -> FloatArray:
        """Return lo, c, log k, log d."""
        return np.array([theta[1], theta[0], np.log(theta[2]), np.log(theta[3])])


class Logistic(_Ceiling):
    r"""mu(n) = lo + (hi - lo) / (1 + (n / n50)^(-h)): Hill curve; lo, hi, log n50, log h."""

    name = "logistic"
    symbols = ("lo", "hi", "n50", "h")
    # For losses this is the rectified law in other letters, which would count twice.
    responses = frozenset({ResponseKind.ACCURACY, ResponseKind.SCORE})

    def _shape_bounds(self) -> list[tuple[float, float]]:
        return [
            (np.log(self.n_unit / 50), np.log(self.n_max * 50)),
            (np.log(0.1), np.log(8.0)),
        ]

    def _shape_grid(self) -> FloatArray:
        n50 = np.linspace(np.log(self.n_unit / 2), np.log(self.n_max * 2), 8)
        return _grid(n50, np.log(np.array([0.6, 1.4, 3.5])))

    def _remaining(self, shape: FloatArray, n: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        w, log_w, h = _power(n, -shape[0], shape[1])
        s = 1 / (1 + w)
        ssw = s * (1 - s)
        return s, [ssw * h, -ssw * log_w]

    def natural(self, u: FloatArray) -> FloatArray:
        """Return lo, hi, n50, h."""
        return np.array([u[0], u[1], np.exp(u[2]), np.exp(u[3])])

    def working(self, theta: FloatArray) -> FloatArray:
        """Return lo, hi, log n50, log h."""
        return np.array([theta[0], theta[1], np.log(theta[2]), np.log(theta[3])])


class Rectified(_TwoLinear):
    r"""mu(n) = E + B / (D + n^beta) for losses (Lin et al. 2024, equation 4).

    Working parameters: E >= 0, log(B / n_unit^beta), D / n_unit^beta >= 0, log beta, where n_unit
    is the smallest non-zero volume. At n = 0 the value is E + B / D.
    """

    name = "rectified"
    symbols = ("E", "B", "D", "beta")
    responses = frozenset({ResponseKind.LOSS})

    def _bounds(self) -> list[tuple[float, float]]:
        return [
            (0.0, np.inf),
            (-40.0, 40.0),
            (_SMALL if (self.n == 0).any() else 0.0, 1e9),
            (np.log(0.01), np.log(20.0)),
        ]

    def _linear_bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        return (0.0, np.inf), (1e-12, np.inf)

    def _shape_grid(self) -> FloatArray:
        top = np.log10(self.n_max / self.n_unit)
        d = np.concatenate([[1e-3], 10 ** np.linspace(-0.5, max(top, 1.0), 5)])
        return _grid(d, np.log(np.array([0.05, 0.15, 0.3, 0.5, 0.75, 1.1, 2.0])))

    def _term(self, d: FloatArray, log_beta: FloatArray, n: FloatArray) -> tuple[FloatArray, ...]:
        w, log_w, beta = _power(n, -np.log(self.n_unit) * np.ones_like(log_beta), log_beta)
        return 1 / (d + w), w, log_w, beta

    def _basis(self, shape: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        inverse = self._term(shape[0], shape[1], n)[0]
        return np.ones_like(inverse), inverse

    def _assemble(self, first: FloatArray, second: FloatArray, shape: FloatArray) -> FloatArray:
        return np.concatenate([first[None], np.log(second)[None], shape])

    def evaluate(self, u: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return values and gradient."""
        inverse, w, log_w, _ = self._term(u[2], u[3], n)
        term = np.exp(u[1]) * inverse
        gradient = np.empty((4, *term.shape))
        gradient[0] = 1
        gradient[1] = term
        gradient[2] = -term * inverse
        gradient[3] = -term * inverse * w * log_w
        return u[0] + term, gradient

    def natural(self, u: FloatArray) -> FloatArray:
        """Return E, B, D, beta."""
        beta = np.exp(u[3])
        unit = self.n_unit**beta
        return np.array([u[0], np.exp(u[1]) * unit, u[2] * unit, beta])

    def working(self, theta: FloatArray) -> FloatArray:
        """Return E, log(B / n_unit^beta), D / n_unit^beta, log beta."""
        unit = self.n_unit ** theta[3]
        return np.array([theta[0], np.log(theta[1] / unit), theta[2] / unit, np.log(theta[3])])


FAMILIES: dict[str, type[Family]] = {
    family.name: family
    for family in (Constant, LogLinear, PowerLaw, Exponential, Weibull, Logistic, Rectified)
}
"""Every family that is fitted inside the observed range, by name."""


def _power(
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


def _line(x: FloatArray, z: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return intercept and slope, each (B,), of weighted regressions of z (U, B) on x (U, 1)."""
    total = w.sum(axis=0)
    x_mean = (w * x).sum(axis=0) / total
    z_mean = (w * z).sum(axis=0) / total
    spread = (w * (x - x_mean) ** 2).sum(axis=0)
    slope = (w * (x - x_mean) * (z - z_mean)).sum(axis=0) / np.maximum(spread, _SMALL)
    return np.asarray(z_mean - slope * x_mean), np.asarray(slope)


def _grid(*axes: FloatArray) -> FloatArray:
    """Return all combinations, shape (len(axes), product of lengths)."""
    return np.stack([mesh.ravel() for mesh in np.meshgrid(*axes, indexing="ij")])


def _lowest(error: FloatArray, n_best: int) -> np.ndarray:
    """Return indices, shape (n_best, B), of the lowest rows of each column."""
    if n_best == 1:
        return np.asarray(error.argmin(axis=0)[None])
    return np.asarray(np.argsort(error, axis=0)[:n_best])


def _best(candidates: FloatArray, error: FloatArray, n_starts: int) -> FloatArray:
    """Return the `n_starts` candidates of least error, repeated if there are fewer."""
    n_best = min(n_starts, error.shape[0])
    chosen = np.take_along_axis(candidates, _lowest(error, n_best)[None], axis=1)
    if n_best < n_starts:
        chosen = np.concatenate([chosen] * (-(-n_starts // n_best)), axis=1)[:, :n_starts]
    return chosen
