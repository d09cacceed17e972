"""Growth-like regressions with certified results: NIST StRD, fitted by the engine.

Every problem's formula becomes a family in the engine's own manner: parameters that do not change
sign are logs, and further starts are scattered around the given one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.engine import Precision, fit_batch
from dashboard.analysis.families import Family

Formula = Callable[[Any, Any], Any]


def _cubic_ratio(b: Any, x: Any) -> Any:
    top = b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3
    return top / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


FORMULAS: dict[str, Formula] = {
    "Misra1a": lambda b, x: b[0] * (1 - np.exp(-b[1] * x)),
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x / (1 + b[1] * x),
    "BoxBOD": lambda b, x: b[0] * (1 - np.exp(-b[1] * x)),
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "Chwirut1": lambda b, x: np.exp(-b[0] * x) / (b[1] + b[2] * x),
    "Chwirut2": lambda b, x: np.exp(-b[0] * x) / (b[1] + b[2] * x),
    "Rat42": lambda b, x: b[0] / (1 + np.exp(b[1] - b[2] * x)),
    "Rat43": lambda b, x: b[0] / (1 + np.exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "MGH10": lambda b, x: b[0] * np.exp(b[1] / (x + b[2])),
    "MGH17": lambda b, x: b[0] + b[1] * np.exp(-x * b[3]) + b[2] * np.exp(-x * b[4]),
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
    "Kirby2": lambda b, x: (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2),
    "Hahn1": _cubic_ratio,
    "Thurber": _cubic_ratio,
    "Roszman1": lambda b, x: b[0] - b[1] * x - np.arctan(b[2] / (x - b[3])) / np.pi,
    "Eckerle4": lambda b, x: (b[0] / b[1]) * np.exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
}
"""Functions of parameters b and predictor x, from the data sets' own descriptions."""

_STEP = 1e-30
_SCATTER = 2.0


class NistFamily(Family):
    """A NIST function with its start point; signs of parameters are those of the start.

    Parameters
    ----------
    formula : callable
        Function of b, shape (k, B), and x, shape (U, 1); analytic, for complex steps.
    start : ndarray, shape (k,)
        Given start point.
    x : ndarray, shape (U,)
        Predictor.
    """

    name = "nist"

    def __init__(self, formula: Formula, start: FloatArray, x: FloatArray) -> None:
        """Keep the function and its start."""
        self.formula = formula
        self.sign = np.sign(start)
        self.start = np.log(np.abs(start))
        super().__init__(x, ResponseKind.SCORE)

    def _bounds(self) -> list[tuple[float, float]]:
        return [(-200.0, 200.0)] * len(self.start)

    def evaluate(self, u: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return values and gradient, exact by complex steps; far-off values stay finite."""
        b = self.sign[:, None] * np.exp(u)
        x = n[:, None]
        gradient = np.empty((len(u), len(n), u.shape[1]))
        with np.errstate(all="ignore"):
            value = self.formula(b, x)
            for j in range(len(u)):
                moved = b.astype(complex)
                moved[j] += 1j * _STEP
                gradient[j] = self.formula(moved, x.astype(complex)).imag / _STEP * b[j]
        return (
            np.nan_to_num(value, nan=1e150, posinf=1e150, neginf=-1e150),
            np.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0),
        )

    def starts(self, y: FloatArray, weight: FloatArray, n_starts: int) -> FloatArray:
        """Return the given start and others scattered around it by factors of about 7."""
        noise = np.random.default_rng(0).normal(0, _SCATTER, (len(self.start), n_starts))
        noise[:, 0] = 0
        return np.asarray((self.start[:, None] + noise)[:, :, None])

    def natural(self, u: FloatArray) -> FloatArray:
        """Return the parameters b."""
        return np.asarray(self.sign * np.exp(u))

    def working(self, theta: FloatArray) -> FloatArray:
        """Return the logs of b."""
        return np.log(np.abs(theta))


def fit_nist(
    problem: dict[str, Any], formula: Formula, start: str, precision: Precision
) -> tuple[float, float]:
    """Fit one problem; return the largest relative errors of its parameters and its RSS."""
    x, y = np.array(problem["x"]), np.array(problem["y"])
    family = NistFamily(formula, np.array(problem[start]), x)
    with np.errstate(all="ignore"):
        batch = fit_batch(family, ResponseKind.SCORE, y[:, None], np.ones(len(x)), precision)
    error = np.abs(family.natural(batch.u[:, 0]) / np.array(problem["certified"]) - 1).max()
    return float(error), float(abs(batch.cost[0] / problem["rss"] - 1))


def bench_nist(path: Path, *, n_starts: int = 32, max_iterations: int = 2000) -> dict[str, Any]:
    """Fit all problems from both start points.

    Returns
    -------
    dict
        For each problem the largest relative error of a parameter from either start; then how
        many reach 1e-5 from both, and the worst.
    """
    problems = json.loads(path.read_text())
    precision = Precision(tolerance=1e-15, max_iterations=max_iterations, n_starts=n_starts)
    errors = {
        name: [
            fit_nist(problems[name], formula, start, precision)[0] for start in ("start1", "start2")
        ]
        for name, formula in FORMULAS.items()
    }
    reached = [name for name, both in errors.items() if max(both) <= 1e-5]
    return {
        "relative_error": errors,
        "reached": len(reached),
        "problems": len(errors),
        "worst": max(max(both) for both in errors.values()),
    }
