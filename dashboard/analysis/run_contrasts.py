"""Differences between runs with studentised tests, and their correction for many tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.replicates import stretched_interval
from dashboard.analysis.results import Interval, IntervalKind
from dashboard.analysis.table_draws import TargetDraws, df_of

ONE_SEED = "one seed everywhere: run noise is unknown, so nothing is tested"
_ONLY_ITEMS = frozenset({IntervalKind.ITEMS_ONLY, IntervalKind.STDERR_ONLY})


def difference(
    draws: TargetDraws, weights: FloatArray, level: float
) -> tuple[Interval | None, float | None, str | None]:
    """Return a weighted sum of runs' scores, its p-value against 0, and why one is missing.

    Parameters
    ----------
    draws : TargetDraws
        Scores and replicates.
    weights : ndarray, shape (n_runs,)
        They sum to 0 over fine-tuned runs and base models together. Positive sums are
        improvements whatever the metric's direction.
    level : float
        Level of the interval.

    Returns
    -------
    interval : Interval or None
        None if a run with weight was not scored.
    p_value : float or None
        Two-sided, studentised; None with one seed everywhere.
    reason : str or None
    """
    # Runs that stand on both sides cancel but for rounding.
    used = np.flatnonzero(np.abs(weights) > 1e-9)
    scores = draws.score[used]
    if draws.reason is not None or not np.isfinite(scores).all():
        return None, None, draws.reason or "some of the runs compared were not scored on the target"
    estimate = float(draws.sign * (weights[used] @ scores))
    replicates = draws.sign * (weights[used] @ draws.replicates[used])
    bound = 1.0 if draws.response is ResponseKind.ACCURACY else np.inf
    df = df_of(draws, np.where(np.abs(weights) > 1e-9, weights, 0.0))
    interval = stretched_interval(
        estimate, replicates, level, df, draws.kind, limits=(-bound, bound)
    )
    if draws.kind in _ONLY_ITEMS:
        return interval, None, ONE_SEED
    return interval, studentised_p_value(estimate, replicates, df), None


def studentised_p_value(estimate: float, replicates: FloatArray, df: float) -> float:
    """Return the two-sided p-value of estimate / sd(replicates) against t at `df`."""
    from scipy.stats import norm, t

    stddev = float(np.std(replicates))
    if stddev <= 0:
        return 1.0 if estimate == 0 else 0.0
    ratio = abs(estimate) / stddev
    return float(2 * (t.sf(ratio, max(df, 1.0)) if np.isfinite(df) else norm.sf(ratio)))


def adjust(p_values: Sequence[float | None]) -> tuple[list[float | None], int]:
    """Return Benjamini-Hochberg q-values in the places of the known p-values, and their number."""
    from dashboard.analysis.likelihood import benjamini_hochberg

    known = [index for index, value in enumerate(p_values) if value is not None]
    q_values: list[float | None] = [None] * len(p_values)
    adjusted = benjamini_hochberg(np.array([p_values[index] for index in known], dtype=float))
    for index, value in zip(known, adjusted, strict=True):
        q_values[index] = float(value)
    return q_values, len(known)
