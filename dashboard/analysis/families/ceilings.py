"""Families that approach a ceiling, c - (c - lo) s(n), and the rectified law for losses."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.families.base import SMALL, TwoLinear, all_pairs, powers


class _Ceiling(TwoLinear):
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
        return all_pairs(n0, beta)

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
        return all_pairs(k, np.log(np.array([0.4, 1.0, 2.5])))

    def _remaining(self, shape: FloatArray, n: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        w, log_w, d = powers(n, shape[0], shape[1])
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
        return all_pairs(n50, np.log(np.array([0.6, 1.4, 3.5])))

    def _remaining(self, shape: FloatArray, n: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        w, log_w, h = powers(n, -shape[0], shape[1])
        s = 1 / (1 + w)
        ssw = s * (1 - s)
        return s, [ssw * h, -ssw * log_w]

    def natural(self, u: FloatArray) -> FloatArray:
        """Return lo, hi, n50, h."""
        return np.array([u[0], u[1], np.exp(u[2]), np.exp(u[3])])

    def working(self, theta: FloatArray) -> FloatArray:
        """Return lo, hi, log n50, log h."""
        return np.array([theta[0], theta[1], np.log(theta[2]), np.log(theta[3])])


class Rectified(TwoLinear):
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
            (SMALL if (self.n == 0).any() else 0.0, 1e9),
            (np.log(0.01), np.log(20.0)),
        ]

    def _linear_bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        return (0.0, np.inf), (1e-12, np.inf)

    def _shape_grid(self) -> FloatArray:
        top = np.log10(self.n_max / self.n_unit)
        d = np.concatenate([[1e-3], 10 ** np.linspace(-0.5, max(top, 1.0), 5)])
        return all_pairs(d, np.log(np.array([0.05, 0.15, 0.3, 0.5, 0.75, 1.1, 2.0])))

    def _term(self, d: FloatArray, log_beta: FloatArray, n: FloatArray) -> tuple[FloatArray, ...]:
        w, log_w, beta = powers(n, -np.log(self.n_unit) * np.ones_like(log_beta), log_beta)
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
