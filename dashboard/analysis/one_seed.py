r"""What one seed everywhere still says about other training runs: the scatter around the curves.

Without repeated seeds nothing tells how much training runs differ, and tests against item noise
alone call flat curves growing. But runs at different volumes are different runs: where they scatter
around the fitted curves by more than items explain, runs differ (or the curves do not fit, which
counts against certainty too). Pooled over the curves i of a study and kind of score,

    sigma^2 = sum_i (RSS_i - (n_i - k_i) v_i) / sum_i (n_i - k_i) s_i, at least 0,

with v_i the mean variance that items or given standard errors cause and s_i the mean squared slope
of the inverse link, 0 for the base model, which is no training run. The test of growth and the
bounds behind labels are widened by sqrt(1 + sigma^2 s_i / v_i), s_i over trained runs, and by the
t quantile at sum_i (n_i - k_i) degrees of freedom. Intervals that are printed stay what they are
called: items only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm, t

from dashboard.analysis.curve_data import ResponseKind
from dashboard.analysis.replicates import t_ratio
from dashboard.analysis.results import (
    DRAWABLE,
    CurveFit,
    Interval,
    IntervalKind,
    Plateau,
    PlateauStatus,
)

ONE_SEED = frozenset({IntervalKind.ITEMS_ONLY, IntervalKind.STDERR_ONLY})
_ONE_SIDED = 0.95
_PLATEAU = 0.90


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """How much wider than item noise a curve's scatter should be, and the df behind it."""

    factor: float
    df: float

    def p_value(self, p_value: float) -> float:
        """Return a two-sided p-value that rests on the scatter instead of item noise alone."""
        return float(min(1.0, 2 * t.sf(norm.isf(p_value / 2) / self.factor, self.df)))

    def widened(self, estimate: float, bound: float, probability: float) -> float:
        """Return a bound as far from its estimate as the scatter demands."""
        return estimate + (bound - estimate) * self.factor * t_ratio(self.df, probability)


def pool_scatter(fits: Sequence[CurveFit]) -> list[Scatter | None]:
    """Return the scatter behind each curve; None where seeds are repeated or none is known."""
    groups: dict[tuple[str, ResponseKind], list[int]] = {}
    for index, fit in enumerate(fits):
        if fit.noise in ONE_SEED:
            groups.setdefault((fit.study, fit.response), []).append(index)
    found: list[Scatter | None] = [None] * len(fits)
    for members in groups.values():
        parts = [_squares(fits[index]) for index in members]
        df = sum(part.df for part in parts)
        slope = sum(part.df * part.slope * part.trained for part in parts)
        if slope <= 0:
            continue
        excess = sum(part.squares - part.df * part.items for part in parts)
        variance = max(0.0, excess / slope)
        for index, part in zip(members, parts, strict=True):
            if part.items > 0:
                factor = float(np.sqrt(1 + variance * part.slope / part.items))
                found[index] = Scatter(factor=factor, df=df)
    return found


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One curve's residual squares with df, item variance, squared slope and trained share."""

    squares: float = 0.0
    df: float = 0.0
    items: float = 0.0
    slope: float = 0.0
    trained: float = 1.0


def widen_for_label(fit: CurveFit, scatter: Scatter) -> tuple[Interval, float, Plateau]:
    """Return gain, its one-sided upper bound and plateau as the label rule should see them."""
    assert fit.gain is not None  # only labelled curves come here
    assert fit.gain_upper_bound is not None
    gain = fit.gain
    tail = (1 + gain.level) / 2
    seen = replace(
        gain,
        low=scatter.widened(gain.estimate, gain.low, tail),
        high=scatter.widened(gain.estimate, gain.high, tail),
    )
    upper = scatter.widened(gain.estimate, fit.gain_upper_bound, _ONE_SIDED)
    plateau = fit.plateau
    flat = plateau.status is PlateauStatus.PLATEAU
    if flat and plateau.gain is not None and plateau.upper_bound is not None:
        bound = scatter.widened(plateau.gain.estimate, plateau.upper_bound, _PLATEAU)
        if plateau.delta is None or bound >= plateau.delta:
            plateau = replace(plateau, status=PlateauStatus.UNDECIDED)
    return seen, upper, plateau


def _squares(fit: CurveFit) -> _Part:
    """Return what one curve says about scatter; nothing where it has no fit or no errors."""
    used = np.array([reason is None for reason in fit.points.excluded], dtype=bool)
    best = max(fit.families, key=lambda family: family.weight, default=None)
    if fit.status not in DRAWABLE or best is None or best.rmse is None:
        return _Part()
    score, stderr = fit.points.score[used], fit.points.stderr[used]
    slope = np.ones(len(score))
    if fit.response is ResponseKind.ACCURACY:
        # Half an item from 0 and 1, where a score has a slope and an error.
        edge = 0.5 / (np.nan_to_num(fit.points.n_items[used], nan=100.0) + 1)
        p = np.clip(score, edge, 1 - edge)
        slope = (p * (1 - p)) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            binomial = np.sqrt(p * (1 - p) / fit.points.n_items[used])
        stderr = np.where(np.isfinite(stderr) & (stderr > 0), stderr, binomial)
    elif fit.response is ResponseKind.LOSS:
        stderr = stderr / score
    df = float(fit.n_points - best.n_free)
    if df <= 0 or not np.isfinite(stderr).all():
        return _Part()
    return _Part(
        squares=fit.n_points * best.rmse**2,
        df=df,
        items=float((stderr**2).mean()),
        slope=float(slope.mean()),
        trained=float((fit.points.n_examples[used] > 0).mean()),
    )
