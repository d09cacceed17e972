r"""The joint law of model size and data: loss = E + A / N^alpha + B / n^beta.

The accuracy-like twin has the same three parts on the logit scale,

    accuracy = floor + (1 - floor) expit(-(E + A / N^alpha + B / n^beta)),

so that more parameters and more data can only help, the ceiling of an endless model on endless
data is expit(-E), and the floor is 0 or chance, whichever fits better.

References
----------
.. [1] Hoffmann et al., "Training Compute-Optimal Large Language Models", NeurIPS 2022,
   arXiv 2203.15556, equation 2 and section D.2 (Huber loss on log loss, delta 1e-3, many starts).
.. [2] Besiroglu et al., "Chinchilla Scaling: A Replication Attempt", arXiv 2404.10102 (sums, not
   means, of Huber losses; converged optima; bootstrap errors).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls
from scipy.special import expit, logit

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.families import Family

HUBER_DELTA = 1e-3
"""Threshold on log loss: beyond a thousandth, points count by size, so outliers can't decide."""

_EXPONENTS = (0.1, 0.25, 0.5, 0.9, 1.5)


class JointLaw(Family):
    """The joint law on fixed points (N, n).

    Working parameters: E, the logs of A / N0^alpha and B / n0^beta, log alpha and log beta, with
    N0 and n0 the geometric means of the points, where the parts are well determined.

    Parameters
    ----------
    n_params : ndarray, shape (P,), count > 0
        Model size of each point.
    n_examples : ndarray, shape (P,), > 0
        Training volume of each point.
    response : ResponseKind
        A loss or an accuracy.
    floor : float
        Accuracy of the worst model, in [0, 1).
    """

    name = "joint_scale"
    symbols = ("E", "A", "B", "alpha", "beta")
    responses = frozenset({ResponseKind.LOSS, ResponseKind.ACCURACY})
    huber = HUBER_DELTA

    def __init__(
        self,
        n_params: FloatArray,
        n_examples: FloatArray,
        response: ResponseKind,
        floor: float = 0.0,
    ) -> None:
        """Set scales from the points."""
        self.floor = floor
        self._log_size = np.log(n_params)
        self._log_volume = np.log(n_examples)
        self.centre = (float(self._log_size.mean()), float(self._log_volume.mean()))
        super().__init__(n_examples, response)

    def _bounds(self) -> list[tuple[float, float]]:
        lowest = 0.0 if self.response is ResponseKind.LOSS else -20.0
        part, exponent = (-30.0, 30.0), (np.log(0.01), np.log(5.0))
        return [(lowest, np.inf), part, part, exponent, exponent]

    def evaluate(self, u: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return values, shape (P, B), and gradient at the law's own points; `n` is not used."""
        return self._at(u, self._log_size, self._log_volume)

    def values(self, u: FloatArray, n_params: FloatArray, n_examples: FloatArray) -> FloatArray:
        """Return values, shape (Q,), of one working vector, shape (5,), at other points."""
        return self._at(u[:, None], np.log(n_params), np.log(n_examples))[0][:, 0]

    def _at(
        self, u: FloatArray, log_size: FloatArray, log_volume: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        x = (log_size - self.centre[0])[:, None]
        z = (log_volume - self.centre[1])[:, None]
        alpha, beta = np.exp(u[3]), np.exp(u[4])
        by_size = np.exp(np.clip(u[1] - alpha * x, -700, 300))
        by_volume = np.exp(np.clip(u[2] - beta * z, -700, 300))
        total = u[0] + by_size + by_volume
        gradient = np.stack(
            [
                np.ones_like(total),
                by_size,
                by_volume,
                -by_size * alpha * x,
                -by_volume * beta * z,
            ]
        )
        if self.response is ResponseKind.LOSS:
            return total, gradient
        e = expit(-total)
        room = 1 - self.floor
        return self.floor + room * e, -room * e * (1 - e) * gradient

    def starts(self, y: FloatArray, weight: FloatArray, n_starts: int) -> FloatArray:
        """Solve for E, A and B by non-negative least squares on a grid of exponents.

        The grid is screened on the first column of y; a batch shares its points.
        """
        target, w = y[:, 0], np.ones(len(y))
        if self.response is ResponseKind.LOSS:
            w = 1 / target
        else:
            above = np.clip((target - self.floor) / (1 - self.floor), 0.01, 0.99)
            # The parts can't be negative, E can: it is moved above 0 for the solver.
            target, w = -logit(above) + 20.0, np.sqrt(above * (1 - above))
        found = []
        for alpha in _EXPONENTS:
            for beta in _EXPONENTS:
                by_size = np.exp(-alpha * (self._log_size - self.centre[0]))
                by_volume = np.exp(-beta * (self._log_volume - self.centre[1]))
                design = np.stack([np.ones_like(target), by_size, by_volume], axis=1)
                parts, error = nnls(design * w[:, None], target * w)
                found.append((error, parts, alpha, beta))
        found.sort(key=lambda item: item[0])
        rows = []
        for _, parts, alpha, beta in found[:n_starts]:
            e, a, b = parts
            offset = 0.0 if self.response is ResponseKind.LOSS else 20.0
            logs = np.log(np.maximum([a, b], 1e-6 * target.mean()))
            rows.append([e - offset, *logs, np.log(alpha), np.log(beta)])
        chosen = np.clip(np.array(rows).T, self.lower[:, None], self.upper[:, None])
        return np.repeat(chosen[:, :, None], y.shape[1], axis=2)

    def natural(self, u: FloatArray) -> FloatArray:
        """Return E, A, B, alpha, beta."""
        alpha, beta = np.exp(u[3]), np.exp(u[4])
        a, b = u[1] + alpha * self.centre[0], u[2] + beta * self.centre[1]
        return np.array([u[0], np.exp(np.minimum(a, 700)), np.exp(np.minimum(b, 700)), alpha, beta])

    def working(self, theta: FloatArray) -> FloatArray:
        """Return the working parameters of E, A, B, alpha, beta."""
        e, a, b, alpha, beta = theta
        return np.array(
            [
                e,
                np.log(a) - alpha * self.centre[0],
                np.log(b) - beta * self.centre[1],
                np.log(alpha),
                np.log(beta),
            ]
        )
