"""How much data a target score takes, and how likely it can be reached at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dashboard.analysis.budget.build import LeftOut, PlannedCurve
from dashboard.analysis.budget.reading import read_target
from dashboard.analysis.budget.results import TargetStatus, TargetVolume
from dashboard.analysis.budget.solve import share_to_probability
from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.replicates import t_ratio

_UNKNOWN = "the curve could not be fitted"


def target_volume(curve: PlannedCurve, target: float, level: float) -> TargetVolume:
    """Return the examples at which a curve reaches `target`.

    Parameters
    ----------
    target : float
        Score in the metric's unit; for losses the curve has to fall to it.
    level : float
        Of the interval.

    Notes
    -----
    The curve is inverted in log(1 + n) between grid points, and so is every replicate, within the
    observed range only. A replicate that does not get there counts as infinite, so the upper bound
    is unknown as soon as that share of replicates exceeds its tail. `p_reachable` is the
    probability that the curve reaches the target within the observed range. Whether it would
    beyond is a guess of the fitted families: it changes the status, never the numbers.
    """
    sign = curve.sign
    positions = np.log1p(curve.n_grid)
    inside = curve.n_grid <= curve.last
    goal = sign * target
    estimate = _first_reach(positions, sign * curve.estimate[:, None], goal)[0]
    replicates = _first_reach(positions[inside], sign * curve.replicates[inside], goal)
    reaches = (sign * curve.replicates[inside]).max(axis=0) >= goal
    centre = estimate if estimate <= np.log1p(curve.last) else np.inf
    tail = (1 - level) / 2
    low = _bound(centre, replicates, tail, curve.df, "lower")
    high = _bound(centre, replicates, 1 - tail, curve.df, "higher")
    high_reason = None
    if np.isinf(high):
        missing = 100 * float((~reaches).mean())
        high_reason = f"{missing:.0f}% of replicates do not reach it in range"
    elif high > np.log1p(curve.last):
        high, high_reason = np.inf, "the bound lies beyond the observed range"
    status, reason = TargetStatus.REACHED, None
    if estimate == 0:
        status = TargetStatus.ALREADY_REACHED
    elif np.isinf(estimate):
        status = TargetStatus.NEVER_UNDER_FAMILIES
        reason = "not even at 1,000 times the largest observed volume, as the families go"
    elif np.isinf(centre):
        status = TargetStatus.NOT_WITHIN_SUPPORTED
        reason = f"not within the {curve.last:,.0f} examples that runs stand behind"
    found = TargetVolume(
        **_names(curve),
        target=target,
        status=status,
        n_examples=_examples(centre),
        low=_examples(low),
        high=_examples(high),
        level=level,
        high_reason=high_reason,
        p_reachable=share_to_probability(reaches, curve.df),
        supported_max=curve.last,
        reason=reason,
        reading="",
    )
    return replace(found, reading=read_target(found))


def without_curve(left_out: LeftOut, target: float, level: float) -> TargetVolume:
    """Return the answer for a curve that could not be fitted."""
    found = TargetVolume(
        **_names(left_out),
        target=target,
        status=TargetStatus.NOT_FITTED,
        n_examples=None,
        low=None,
        high=None,
        level=level,
        high_reason=_UNKNOWN,
        p_reachable=None,
        supported_max=None,
        reason=left_out.reason.rstrip("."),
        reading="",
    )
    return replace(found, reading=read_target(found))


def _names(item: PlannedCurve | LeftOut) -> dict[str, str]:
    names = ("study", "ability", "base_model", "data_source", "metric", "x_kind")
    return {name: getattr(item.data, name) for name in names}


def _first_reach(positions: FloatArray, values: FloatArray, goal: float) -> FloatArray:
    """Return where each column of values (G, B) first reaches the goal; infinite if never."""
    reached = values >= goal
    index = reached.argmax(axis=0)
    columns = np.arange(values.shape[1])
    before = np.maximum(index - 1, 0)
    low, high = values[before, columns], values[index, columns]
    step = np.where(high > low, high - low, 1.0)
    share = np.clip((goal - low) / step, 0, 1)
    found = positions[before] + share * (positions[index] - positions[before])
    found = np.where(index == 0, positions[0], found)
    return np.where(reached.any(axis=0), found, np.inf)


def _bound(
    centre: float, replicates: FloatArray, probability: float, df: float, method: str
) -> float:
    """Return a quantile of the replicates, stretched about the estimate for `df`."""
    quantile = float(np.quantile(replicates, probability, method=method))  # type: ignore[call-overload]
    if not (np.isfinite(centre) and np.isfinite(quantile)):
        return quantile
    return float(max(centre + t_ratio(df, probability) * (quantile - centre), 0.0))


def _examples(position: float) -> float | None:
    return float(np.expm1(position)) if np.isfinite(position) else None
