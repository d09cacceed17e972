r"""Do two sources follow one curve? A shared ceiling against one ceiling for each source.

A single exchange rate presumes that both sources lead to the same place: y_s(n) = g(rho_s n). Two
nested fits of one family, g(n) = start + (ceiling - start) shape(n), are compared, both with the
base model's score shared:

- shared: one ceiling and shape, an exchange rate rho for the source;
- own: besides, a ceiling for each.

Fits are generalised least squares of the volumes' mean scores; their covariance holds shared items
and run noise (`paired.means_covariance`). Start and ceilings are linear, so they are solved for
exactly, within the score's range, on a grid of the few other parameters, which is refined around
its best point; own ceilings also start from the shared fit, which they can only improve on. The
difference of the two chi-squares, over the richer fit's chi-square by its degrees of freedom where
that exceeds 1 (no family fits exactly), is compared with F(1, df of the run noise). The family
(exponential, Weibull, Hill or power law for accuracies; rectified, which is Hill's from the
smallest volume on, for losses) is the one whose better fit has the smaller criterion
chi-square + 2 k + 2 k (k + 1) / (n - k - 1), with n means. The p-value is the largest of all
families within 6 of it, since a shape that is slightly wrong looks like two ceilings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product

import numpy as np
from scipy.linalg import solve_triangular
from scipy.stats import f as f_distribution

from dashboard.analysis.compare.paired import Side, means_covariance, side_at
from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.replicated import FittedJob

_RIDGE = 1e-9
_LARGEST_RATIO = 256.0
_ROUNDS = 7
_FINE = 5
_PLAUSIBLE = 6.0
"""Families whose criterion is at most this far from the best one's have a say in the p-value."""


class SharedVerdict(StrEnum):
    """Whether one curve, and so one exchange rate, can serve both sources."""

    NOT_REJECTED = "not_rejected"
    """One curve is compatible with the runs; a difference of ceilings may still be there."""
    REJECTED = "rejected"
    """The sources lead to different ceilings: an exchange rate holds at its volume only."""
    NOT_TESTABLE = "not_testable"


@dataclass(frozen=True, kw_only=True)
class CeilingTest:
    """Shared against own ceilings.

    Attributes
    ----------
    family : str or None
        Family of both fits.
    chi_square_shared, chi_square_own : float or None
        Generalised least squares at the two optima.
    criterion_difference : float or None
        Criterion of own minus shared ceilings: positive favours one shared curve.
    rho : float or None
        Under a shared curve, examples of the reference that one example of the source is worth.
    ceiling_reference, ceiling_source : float or None
        Own ceilings (irreducible losses) in score units; far from the data they are barely known.
    p_value : float or None
        Of a shared ceiling, the largest among plausible families.
    """

    family: str | None = None
    chi_square_shared: float | None = None
    chi_square_own: float | None = None
    criterion_difference: float | None = None
    rho: float | None = None
    ceiling_reference: float | None = None
    ceiling_source: float | None = None
    p_value: float | None = None
    reason: str | None = None


def _saturation(n: FloatArray, scale: FloatArray, d: FloatArray) -> FloatArray:
    """1 - exp(-(n / scale)^d)."""
    return np.asarray(-np.expm1(-((n / scale) ** d)))


def _hill(n: FloatArray, scale: FloatArray, h: FloatArray) -> FloatArray:
    """n^h / (n^h + scale^h)."""
    z = (n / scale) ** h
    return np.asarray(z / (1 + z))


def _power(n: FloatArray, scale: FloatArray, beta: FloatArray) -> FloatArray:
    """1 - (1 + n / scale)^(-beta)."""
    return np.asarray(1 - (1 + n / scale) ** -beta)


@dataclass(frozen=True, kw_only=True)
class _Family:
    """A shape over volume that rises from 0 to 1, with the range of its exponent."""

    name: str
    shape: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    exponents: tuple[float, ...]

    @property
    def n_shape(self) -> int:
        """Scale, and the exponent if it is free."""
        return 1 if len(self.exponents) == 1 else 2


_ACCURACY = (
    _Family(name="exponential", shape=_saturation, exponents=(1.0,)),
    _Family(name="weibull", shape=_saturation, exponents=(0.3, 0.5, 0.8, 1.3, 2.0)),
    _Family(name="logistic", shape=_hill, exponents=(0.4, 0.7, 1.0, 1.6, 2.5)),
    _Family(name="power_law", shape=_power, exponents=(0.1, 0.25, 0.5, 1.0, 2.0)),
)
_LOSS = (_Family(name="rectified", shape=_hill, exponents=(0.1, 0.2, 0.35, 0.6, 1.0)),)


@dataclass(frozen=True, kw_only=True)
class _Optimum:
    """Best fit: (scale, exponent, rho), linear parameters (start, ceilings), chi-square."""

    shape: FloatArray
    linear: FloatArray
    chi_square: float


def compare_ceilings(reference: FittedJob, source: FittedJob) -> CeilingTest:
    """Compare a shared with own ceilings for two curves of one ability and base model.

    Returns
    -------
    CeilingTest
        Without figures, and with the reason, where the means are too few for any family.
    """
    problem = _Problem.of(reference, source)
    n_means = len(problem.y)
    df = max(min(reference.df, source.df, 1e9), 1.0)
    found: list[tuple[float, CeilingTest]] = []
    for family in _LOSS if reference.runs.response is ResponseKind.LOSS else _ACCURACY:
        # Start, ceiling and rho besides the shape; own ceilings add one more.
        k = 3 + family.n_shape
        if n_means - (k + 1) - 1 < 1:
            continue
        shared = problem.fit(family)
        own = problem.fit(family, at_least=shared)
        criteria = _criterion(shared, k, n_means), _criterion(own, k + 1, n_means)
        lack_of_fit = max(own.chi_square / (n_means - k - 1), 1.0)
        gap = max(shared.chi_square - own.chi_square, 0.0) / lack_of_fit
        test = CeilingTest(
            family=family.name,
            chi_square_shared=shared.chi_square,
            chi_square_own=own.chi_square,
            criterion_difference=criteria[1] - criteria[0],
            rho=float(shared.shape[2]),
            ceiling_reference=float(own.linear[1]),
            ceiling_source=float(own.linear[2]),
            p_value=max(float(f_distribution.sf(gap, 1, df)), 1e-300),
        )
        found.append((min(criteria), test))
    if not found:
        return CeilingTest(reason=f"{n_means} mean scores are too few to tell ceilings apart")
    least, best = min(found, key=lambda item: item[0])
    plausible = [test.p_value for value, test in found if value <= least + _PLAUSIBLE]
    return replace(best, p_value=max(p for p in plausible if p is not None))


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """Stacked means of two curves; `whiten` is the inverse root of their covariance."""

    y: FloatArray
    n: FloatArray
    is_source: np.ndarray
    whiten: FloatArray
    limits: tuple[float, float]

    @classmethod
    def of(cls, reference: FittedJob, source: FittedJob) -> _Problem:
        """Stack two curves; the base model's shared evaluation stands once."""
        sides: list[tuple[float, bool, Side]] = []
        for fitted, is_source in ((reference, False), (source, True)):
            for volume in fitted.runs.volumes.tolist():
                side = side_at(fitted, volume)
                if side is not None and (volume > 0 or not is_source):
                    sides.append((volume, is_source, side))
        y = np.array([side.mean for _, _, side in sides])
        covariance = means_covariance([side for _, _, side in sides])
        # Volumes that nothing varies at would be infinitely sure.
        covariance += _RIDGE * max(float(np.trace(covariance)) / len(y), 1e-12) * np.eye(len(y))
        if reference.runs.response is ResponseKind.ACCURACY:
            limits = (0.0, 1.0)
        else:
            limits = (0.0 if reference.runs.response is ResponseKind.LOSS else -np.inf, np.inf)
        return cls(
            y=y,
            n=np.array([volume for volume, _, _ in sides]),
            is_source=np.array([is_source for _, is_source, _ in sides]),
            whiten=solve_triangular(np.linalg.cholesky(covariance), np.eye(len(y)), lower=True),
            limits=limits,
        )

    def fit(self, family: _Family, *, at_least: _Optimum | None = None) -> _Optimum:
        """Search the grid of scale, exponent and rho, refining it around its best point.

        `at_least` is the fit with a shared ceiling; given it, each source has its own.
        """
        own = at_least is not None
        positive = self.n[self.n > 0]
        low, high = np.log(positive.min() / 8), np.log(positive.max() * 8)
        axes = [
            np.linspace(low, high, 11),
            np.log(np.array(family.exponents)),
            np.linspace(-np.log(_LARGEST_RATIO), np.log(_LARGEST_RATIO), 15),
        ]
        widths = [float(np.ptp(axis)) / max(len(axis) - 1, 1) for axis in axes]
        best = self._best_of(family, np.array(list(product(*axes))), own=own)
        if at_least is not None:
            # One ceiling twice is a fit of own ceilings too.
            nested = self._best_of(family, np.log(at_least.shape)[None], own=True)
            best = min(best, nested, key=lambda optimum: optimum.chi_square)
        for _ in range(_ROUNDS - 1):
            axes = [
                centre + np.linspace(-width, width, _FINE) if width > 0 else np.array([centre])
                for centre, width in zip(np.log(best.shape), widths, strict=True)
            ]
            widths = [width / 2 for width in widths]
            found = self._best_of(family, np.array(list(product(*axes))), own=own)
            best = min(best, found, key=lambda optimum: optimum.chi_square)
        return best

    def _best_of(self, family: _Family, points: FloatArray, *, own: bool) -> _Optimum:
        """Return the best of some grid points (C, 3) of log scale, exponent and rho."""
        scale, exponent, rho = np.exp(points.T)[:, :, None]
        with np.errstate(over="ignore", invalid="ignore"):
            share = family.shape(self.n * np.where(self.is_source, rho, 1.0), scale, exponent)
        share = np.nan_to_num(share, nan=1.0)
        if own:
            columns = [1 - share, share * ~self.is_source, share * self.is_source]
        else:
            columns = [1 - share, share]
        basis = np.stack([column @ self.whiten.T for column in columns], axis=1)
        target = self.whiten @ self.y
        normal = basis @ basis.transpose(0, 2, 1)
        # A shape that is flat over the volumes leaves ceilings open; the ridge keeps it solvable.
        normal += 1e-10 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(len(columns))
        moment = basis @ target
        linear = np.linalg.solve(normal, moment[:, :, None])[:, :, 0]
        chi_square = self._chi_square(basis, linear)
        low, high = self.limits
        outside = ((linear < low) | (linear > high)).any(axis=1)
        # Limits only raise chi-square: points that are no better without them needn't be solved.
        outside &= chi_square < np.where(outside, np.inf, chi_square).min()
        if outside.any():
            linear[outside] = _solve_within(normal[outside], moment[outside], self.limits)
            chi_square[outside] = self._chi_square(basis[outside], linear[outside])
        possible = ((linear >= low) & (linear <= high)).all(axis=1)
        index = int(np.where(possible, chi_square, np.inf).argmin())
        return _Optimum(
            shape=np.exp(points[index]),
            linear=linear[index],
            chi_square=float(chi_square[index]),
        )

    def _chi_square(self, basis: FloatArray, linear: FloatArray) -> FloatArray:
        """Return chi-squares (C,) for bases (C, k, S) and linear parameters (C, k)."""
        residual = self.whiten @ self.y - (linear[:, None, :] @ basis)[:, 0, :]
        return np.asarray((residual**2).sum(axis=1))


def _solve_within(
    normal: FloatArray, moment: FloatArray, limits: tuple[float, float]
) -> FloatArray:
    """Return the least-squares parameters (C, k) within limits: the best of the box's faces.

    Normal matrices are (C, k, k), moments (C, k). On a face some parameters sit at a limit and the
    others are free; the optimum of a convex problem is the free optimum of one face.
    """
    k = moment.shape[1]
    best = np.full(len(moment), np.inf)
    chosen = np.zeros_like(moment)
    edges = [limit for limit in limits if np.isfinite(limit)]
    for face in product((None, *edges), repeat=k):
        free = [i for i, edge in enumerate(face) if edge is None]
        linear = np.tile([0.0 if edge is None else edge for edge in face], (len(moment), 1))
        if free:
            rest = moment - (normal @ linear[:, :, None])[:, :, 0]
            block = normal[:, free][:, :, free]
            linear[:, free] = np.linalg.solve(block, rest[:, free, None])[:, :, 0]
        possible = ((linear >= limits[0]) & (linear <= limits[1])).all(axis=1)
        # Chi-square but for the data's own part, which no parameter changes.
        value = ((normal @ linear[:, :, None])[:, :, 0] * linear - 2 * moment * linear).sum(axis=1)
        better = possible & (value < best)
        best[better], chosen[better] = value[better], linear[better]
    return chosen


def _criterion(optimum: _Optimum, k: int, n_means: int) -> float:
    """Return chi-square + 2 k + 2 k (k + 1) / (n - k - 1)."""
    return optimum.chi_square + 2 * k + 2 * k * (k + 1) / max(n_means - k - 1, 1)
