"""From an averaged curve and its replicates to gain, plateau, pace, band and label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.prepare import FittedRuns
from dashboard.analysis.replicates import stretched_interval, stretched_quantiles
from dashboard.analysis.results import (
    Band,
    Interval,
    IntervalKind,
    Label,
    Plateau,
    PlateauStatus,
)
from dashboard.analysis.settings import DEFAULT_DELTA, DEFAULT_PLATEAU_DELTA, FitSettings

_N_GRID = 41
_ONE_SIDED_GAIN = 0.95
_ONE_SIDED_PLATEAU = 0.90
_POWER = 0.80


@dataclass(frozen=True, kw_only=True)
class EvaluationGrid:
    """Volumes at which the averaged curve is evaluated, with where to find each.

    `n` holds the drawing grid (`drawn` first entries), then the next doubling, the two ends of the
    mid-range x4 step, then the volumes to predict inside the range.
    """

    n: FloatArray
    drawn: int

    @property
    def doubling(self) -> int:
        """Index of twice the largest volume."""
        return self.drawn

    @property
    def fourfold(self) -> tuple[int, int]:
        """Indices of half and twice the middle of the range."""
        return self.drawn + 1, self.drawn + 2

    @property
    def predicted(self) -> int:
        """Index of the first volume to predict."""
        return self.drawn + 3


@dataclass(frozen=True, kw_only=True)
class Replicated:
    """Estimate (E,) and replicates (E, B) of the averaged curve, with what they cover."""

    estimate: FloatArray
    replicates: FloatArray
    df: float
    kind: IntervalKind


def evaluation_grid(runs: FittedRuns, predict: tuple[float, ...]) -> EvaluationGrid:
    """Return the volumes to evaluate: 0 (if observed) and log-spaced ones, observed ones included.

    The middle of the range is the geometric mean of the smallest non-zero and largest volume.
    """
    positive = runs.volumes[runs.volumes > 0]
    smallest, largest = float(positive.min()), float(positive.max())
    # Below the smallest volume the axis is nearly linear (log(1 + n)), so a few points do.
    lead = smallest * np.array([0.25, 0.5, 0.75]) if runs.volumes[0] == 0 else np.empty(0)
    spaced = np.geomspace(smallest, largest, _N_GRID) if largest > smallest else positive
    drawn = np.unique(np.concatenate([runs.volumes, lead, spaced]))
    middle = np.sqrt(smallest * largest)
    extra = np.array([2 * largest, middle / 2, middle * 2, *predict])
    return EvaluationGrid(n=np.concatenate([drawn, extra]), drawn=len(drawn))


def value_limits(response: ResponseKind) -> tuple[float, float]:
    """Return the range of scores."""
    if response is ResponseKind.ACCURACY:
        return (0.0, 1.0)
    return (0.0, np.inf) if response is ResponseKind.LOSS else (-np.inf, np.inf)


def draw_band(runs: FittedRuns, grid: EvaluationGrid, curve: Replicated, level: float) -> Band:
    """Return the averaged curve with its pointwise band over the drawing grid."""
    low, high = value_limits(runs.response)
    bounds = [
        stretched_interval(
            curve.estimate[i], curve.replicates[i], level, curve.df, curve.kind, (low, high)
        )
        for i in range(grid.drawn)
    ]
    return Band(
        n_examples=grid.n[: grid.drawn],
        estimate=curve.estimate[: grid.drawn],
        low=np.array([bound.low for bound in bounds]),
        high=np.array([bound.high for bound in bounds]),
        level=level,
        kind=curve.kind,
    )


def difference(
    curve: Replicated, start: int, end: int, sign: float, level: float, response: ResponseKind
) -> Interval:
    """Return sign * (curve[end] - curve[start]) with its interval."""
    limit = 1.0 if response is ResponseKind.ACCURACY else np.inf
    return stretched_interval(
        sign * float(curve.estimate[end] - curve.estimate[start]),
        sign * (curve.replicates[end] - curve.replicates[start]),
        level,
        curve.df,
        curve.kind,
        (-limit, limit),
    )


def gain_upper_bound(curve: Replicated, start: int, end: int, sign: float) -> float:
    """Return the one-sided 95% upper bound of the gain."""
    estimate = sign * float(curve.estimate[end] - curve.estimate[start])
    replicates = sign * (curve.replicates[end] - curve.replicates[start])
    return stretched_quantiles(estimate, replicates, (_ONE_SIDED_GAIN,), curve.df)[0]


def judge_plateau(
    curve: Replicated,
    last: int,
    doubling: int,
    sign: float,
    settings: FitSettings,
    response: ResponseKind,
) -> Plateau:
    """Judge the gain of the next doubling against the plateau's delta.

    Notes
    -----
    `underpowered`: even an estimate of 0 would have its 90% bound at or above delta. The minimum
    detectable delta is (t_0.9 + z_0.8) times the standard error of the doubling's gain.
    """
    gain = difference(curve, last, doubling, sign, settings.level, response)
    replicates = sign * (curve.replicates[doubling] - curve.replicates[last])
    low, upper = stretched_quantiles(
        gain.estimate, replicates, (1 - _ONE_SIDED_PLATEAU, _ONE_SIDED_PLATEAU), curve.df
    )
    stderr = float(replicates.std())
    quantile = float(t.ppf(_ONE_SIDED_PLATEAU, max(curve.df, 1.0)))
    detectable = (quantile + float(norm.ppf(_POWER))) * stderr
    delta = settings.plateau_delta
    if delta is None and response is ResponseKind.ACCURACY:
        delta = DEFAULT_PLATEAU_DELTA
    reason = None
    if delta is None:
        status, reason = PlateauStatus.UNDECIDED, "no plateau threshold is stated for this metric"
    elif upper < delta:
        status = PlateauStatus.PLATEAU
    elif low > delta:
        status = PlateauStatus.GROWING
    elif quantile * stderr >= delta:
        status = PlateauStatus.UNDERPOWERED
        reason = f"items and seeds can't show a plateau below {detectable:.3g}"
    else:
        status = PlateauStatus.UNDECIDED
    return Plateau(
        status=status,
        gain=gain,
        upper_bound=upper,
        minimum_detectable=detectable,
        delta=delta,
        reason=reason,
    )


def half_gain(
    curve: Replicated, grid: EvaluationGrid, sign: float, level: float
) -> Interval | None:
    """Return the volume at which half of the averaged curve's total gain is reached.

    Replicates without a gain count as reaching half of it only at the largest volume. None if the
    estimate itself has no gain.
    """
    n = grid.n[: grid.drawn]
    positions = np.log1p(n / n[n > 0].min())
    estimate = sign * (curve.estimate[: grid.drawn] - curve.estimate[0])
    if estimate[-1] <= 0:
        return None
    replicates = sign * (curve.replicates[: grid.drawn] - curve.replicates[0])
    found = _half_position(positions, estimate[:, None])[0]
    interval = stretched_interval(
        found,
        _half_position(positions, replicates),
        level,
        curve.df,
        curve.kind,
        (float(positions[0]), float(positions[-1])),
    )
    scale = float(n[n > 0].min())
    return Interval(
        estimate=float(np.expm1(interval.estimate) * scale),
        low=float(np.expm1(interval.low) * scale),
        high=float(np.expm1(interval.high) * scale),
        level=level,
        kind=curve.kind,
    )


def _half_position(positions: FloatArray, gains: FloatArray) -> FloatArray:
    """Return where each column of gains, shape (G, B), first reaches half of its last value."""
    total = gains[-1]
    reached = gains >= 0.5 * total
    reached[-1] = True
    index = np.maximum(reached.argmax(axis=0), 1)
    columns = np.arange(gains.shape[1])
    below, above = gains[index - 1, columns], gains[index, columns]
    step = above - below
    share = np.where(step > 0, (0.5 * total - below) / np.where(step > 0, step, 1.0), 1.0)
    position = positions[index - 1] + np.clip(share, 0, 1) * (
        positions[index] - positions[index - 1]
    )
    return np.asarray(np.where(total > 0, position, positions[-1]))


def delta_of(stated: float | None, settings: FitSettings, response: ResponseKind) -> float | None:
    """Return the smallest gain that matters: the user's, else the study's, else the default."""
    if settings.delta is not None:
        return settings.delta
    if stated is not None:
        return stated
    return DEFAULT_DELTA if response is ResponseKind.ACCURACY else None


def give_label(
    gain: Interval,
    upper_bound: float,
    q_value: float,
    delta: float | None,
    plateau: Plateau,
    fdr: float,
) -> tuple[Label | None, str | None]:
    """Apply the label rule, in order: declining, resistant, responsive or saturating, undecided.

    Returns
    -------
    label : Label or None
        None where no delta is stated (losses).
    reason : str or None
        Why there is no label.
    """
    significant = q_value < fdr
    if delta is None:
        return None, "the study states no smallest gain that matters for this metric (delta)"
    if significant and gain.high < 0:
        return Label.DECLINING, None
    if upper_bound < delta:
        return Label.RESISTANT, None
    if significant and gain.estimate > 0:
        flat = plateau.status is PlateauStatus.PLATEAU
        return (Label.SATURATING if flat else Label.RESPONSIVE), None
    return Label.UNDECIDED, None
