"""Reading a growth curve backwards: the volume at which it reaches a score, with its interval.

All volumes of one comparison lie on one grid, `curve_grid`: the observed range in detail and, far
beyond it, steps of two, so that "reached at some volume" and "never reached" can be told apart.
Between grid points curves are straight lines over log(1 + n / unit).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.replicated import FittedJob
from dashboard.analysis.replicates import t_ratio
from dashboard.analysis.results import IntervalKind
from dashboard.analysis.summary import Replicated

_DETAIL = 65
_BEYOND = 2.0**40


class RatioStatus(StrEnum):
    """What stands behind a ratio of volumes."""

    OK = "ok"
    BEYOND_OBSERVED = "beyond_observed"
    """Reached only beyond the observed volumes, as the fitted families continue."""
    NEVER_UNDER_FAMILY = "never_under_family"
    """The fitted families don't reach the score at any volume, in most replicates either."""
    BELOW_OBSERVED = "below_observed"
    """Already reached at the smallest fitted volume, below which the curve says nothing."""
    NOT_IDENTIFIED = "not_identified"
    """The reference shows no gain that could be exchanged."""
    NO_CURVE = "no_curve"
    """One of the two has no fitted curve."""


@dataclass(frozen=True, kw_only=True)
class VolumeRatio:
    """A ratio of volumes.

    `high` None: no upper bound, as too many replicates never reach the score. `low` None: the
    bound lies below the smallest volume, where the curve says nothing. `estimate` None: the fitted
    curve never reaches the score.
    """

    estimate: float | None
    low: float | None
    high: float | None
    level: float
    kind: IntervalKind


@dataclass(frozen=True, kw_only=True)
class GriddedCurve:
    """One fitted curve evaluated on a grid of volumes, shape (G,), with replicates (G, B)."""

    fitted: FittedJob
    n: FloatArray
    curve: Replicated
    sign: float

    @property
    def first(self) -> float:
        """Smallest fitted volume."""
        return float(self.fitted.runs.volumes[0])

    @property
    def last(self) -> float:
        """Largest fitted volume."""
        return float(self.fitted.runs.volumes[-1])

    def at(self, volume: float) -> tuple[float, FloatArray]:
        """Return estimate and replicates (B,) at a volume of the grid."""
        index = int(np.flatnonzero(self.n == volume)[0])
        return float(self.curve.estimate[index]), self.curve.replicates[index]

    def reaches(self, estimate: float, replicates: FloatArray) -> tuple[float, FloatArray]:
        """Return the volumes at which the curve reaches scores: infinite where it never does."""
        scores = self.sign * np.column_stack([self.curve.estimate, self.curve.replicates])
        wanted = self.sign * np.concatenate([[estimate], replicates])
        # Below the smallest fitted volume a curve says nothing.
        use = self.n >= self.first
        found = first_reached(self.n[use], scores[use], wanted)
        return float(found[0]), found[1:]


def curve_grid(volumes: Sequence[float], extra: Sequence[float] = ()) -> FloatArray:
    """Return the volumes at which curves are evaluated: the range of `volumes` and far beyond.

    0 is among them only if it is observed: a loss curve has no value there.
    """
    positive = np.array([volume for volume in volumes if volume > 0])
    smallest, largest = float(positive.min()), float(positive.max())
    lead = np.geomspace(smallest / 64, smallest, 13)
    detail = np.geomspace(smallest, largest, _DETAIL) if largest > smallest else positive
    beyond = largest * np.geomspace(1, _BEYOND, 41)
    parts = [np.asarray(volumes), lead, detail, beyond, np.asarray(extra, dtype=float)]
    return np.unique(np.concatenate(parts))


def evaluate(fitted: FittedJob, n: FloatArray) -> GriddedCurve:
    """Return the averaged curve and its replicates on a grid."""
    with np.errstate(over="ignore"):
        curve = fitted.curve(n)
    sign = 1.0 if fitted.runs.data.higher_is_better else -1.0
    return GriddedCurve(fitted=fitted, n=n, curve=curve, sign=sign)


def ratio_interval(
    estimate: float,
    replicates: FloatArray,
    reference: float,
    level: float,
    df: float,
    kind: IntervalKind,
    floor: float = 0.0,
) -> VolumeRatio:
    """Return volume / reference with its interval, stretched for `df` over log(1 + n / reference).

    Parameters
    ----------
    estimate, replicates : float and ndarray, shape (B,)
        Volumes, count >= 0, infinite where the score is never reached.
    reference : float
        Volume that they are compared with, count > 0.
    floor : float
        Smallest volume of the inverted curve: a lower bound at it is None, unless it is 0.

    Notes
    -----
    Where the estimate itself is infinite, bounds are plain quantiles of the replicates.
    """
    tail = (1 - level) / 2
    centre = np.log1p(estimate / reference)
    position = np.log1p(replicates / reference)
    bounds: list[float | None] = []
    for probability, method in ((tail, "lower"), (1 - tail, "higher")):
        value = float(np.quantile(position, probability, method=method))  # type: ignore[call-overload]
        if np.isfinite(value) and np.isfinite(centre):
            value = float(centre + t_ratio(df, probability) * (value - centre))
        bounds.append(float(np.expm1(max(value, 0.0))) if np.isfinite(value) else None)
    low, high = bounds
    if low is not None and 0 < low * reference <= floor:
        return VolumeRatio(
            estimate=_finite(estimate / reference), low=None, high=high, level=level, kind=kind
        )
    ratio = _finite(estimate / reference)
    if ratio is not None:
        low = ratio if low is None else min(low, ratio)
        high = None if high is None else max(high, ratio)
    return VolumeRatio(estimate=ratio, low=low, high=high, level=level, kind=kind)


def _finite(value: float) -> float | None:
    """Return a number, or None for an infinite one."""
    return float(value) if np.isfinite(value) else None


def judge_ratio(
    reached: float, p_never: float, curve: GriddedCurve, name: str
) -> tuple[RatioStatus, str | None]:
    """Say what stands behind the volume at which a curve reaches a score."""
    if np.isinf(reached) and p_never > 0.5:
        return RatioStatus.NEVER_UNDER_FAMILY, f"the fitted curve of {name} never reaches the score"
    if reached > curve.last:
        return (
            RatioStatus.BEYOND_OBSERVED,
            f"{name} reaches the score only beyond {curve.last:g} examples, where nothing was "
            "observed",
        )
    if 0 < reached <= curve.first:
        return (
            RatioStatus.BELOW_OBSERVED,
            f"{name} has the score at {curve.first:g} examples already, below which nothing was "
            "observed",
        )
    return RatioStatus.OK, None


def first_reached(n: FloatArray, scores: FloatArray, wanted: FloatArray) -> FloatArray:
    """Return for each column of scores (G, C) the volume that first reaches wanted (C,), or inf."""
    unit = float(n[n > 0].min())
    position = np.log1p(n / unit)
    reached = scores >= wanted
    index = reached.argmax(axis=0)
    columns = np.arange(scores.shape[1])
    before = np.maximum(index - 1, 0)
    low, high = scores[before, columns], scores[index, columns]
    step = high - low
    share = np.where(step > 0, (wanted - low) / np.where(step > 0, step, 1.0), 1.0)
    found = position[before] + np.clip(share, 0, 1) * (position[index] - position[before])
    volume = np.where(index == 0, n[0], unit * np.expm1(found))
    return np.where(reached.any(axis=0), volume, np.inf)
