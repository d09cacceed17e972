r"""Difference of two curves' observed means at one volume, paired by item.

With m items, S_a and S_b runs of a and b at the volume, and d_j the influence of item j on the
difference of the two mean scores (x_j - mean over the items of a run, divided by their number,
averaged over the runs of a, minus the same for b),

    Var = m / (m - 1) sum_j d_j^2 + sigma_a^2 v_a / S_a + sigma_b^2 v_b / S_b,

where sigma is the curve's run standard deviation on the link scale and v the squared slope of the
inverse link, as in `noise`. Items that only one side was scored on stand in one sum only. The
statistic is compared with t at the Satterthwaite degrees of freedom of the two parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.replicated import FittedJob
from dashboard.analysis.replicates import item_names, link_stderr
from dashboard.analysis.results import Interval, IntervalKind

_STRENGTH = (
    IntervalKind.ITEMS_AND_RUNS,
    IntervalKind.STDERR_AND_RUNS,
    IntervalKind.ITEMS_ONLY,
    IntervalKind.STDERR_ONLY,
    IntervalKind.RESIDUAL,
)
_SMALLEST = 1e-300


@dataclass(frozen=True, kw_only=True)
class Side:
    """Mean of one curve's runs at one volume with the parts of its variance.

    `items` gives the influence of every item; `given` is the variance from standard errors or
    residuals where there are no items.
    """

    mean: float
    n_runs: int
    items: dict[str, float]
    given: float
    run: float
    kind: IntervalKind
    run_df: float
    given_df: float


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """Difference a - b with its interval, standard error, degrees of freedom and p-value."""

    interval: Interval
    stderr: float
    df: float
    p_value: float


def weaker(kinds: Sequence[IntervalKind]) -> IntervalKind:
    """Return the kind that covers least."""
    return max(kinds, key=_STRENGTH.index)


def side_at(fitted: FittedJob, volume: float) -> Side | None:
    """Return the mean of a curve's runs at a volume; None without runs there."""
    runs = fitted.runs
    rows = np.flatnonzero(runs.n == volume)
    if not rows.size:
        return None
    n_runs = len(rows)
    mean = float(runs.score[rows].mean())
    slope = _slope(fitted, rows, mean)
    items: dict[str, float] = {}
    given, given_df = 0.0, np.inf
    if fitted.kind is IntervalKind.RESIDUAL:
        # The residual scale is that of log losses, else of scores.
        unit = mean if runs.response is ResponseKind.LOSS else 1.0
        given = (fitted.model.residual_stddev * unit) ** 2 / n_runs
        given_df = fitted.model.residual_df
    elif runs.items is not None:
        scores = runs.items[rows]
        present = np.isfinite(scores)
        centred = np.where(present, scores - runs.score[rows, None], 0.0)
        influence = (centred / present.sum(axis=1, keepdims=True)).mean(axis=0)
        items = dict(zip(item_names(runs), influence.tolist(), strict=True))
        if runs.response is ResponseKind.ACCURACY and mean in (0.0, 1.0):
            # All right or all wrong: the Jeffreys posterior's variance, for items show none.
            m = float(present.sum(axis=1).mean())
            given = 0.5 * (m + 0.5) / ((m + 1) ** 2 * (m + 2))
    else:
        given = float((link_stderr(runs)[rows] ** 2 * slope).mean() / n_runs)
    run, run_df = 0.0, np.inf
    if fitted.noise is not None and fitted.kind is not IntervalKind.RESIDUAL:
        run_df = fitted.noise.df
        if not runs.is_base[rows].all():
            run = fitted.noise.stddev**2 * slope / n_runs
    return Side(
        mean=mean,
        n_runs=n_runs,
        items=items,
        given=given,
        run=run,
        kind=fitted.kind,
        run_df=run_df,
        given_df=given_df,
    )


def paired_difference(a: Side, b: Side, level: float, limit: float = np.inf) -> PairedDifference:
    """Return mean a - mean b with interval, within +- limit, and two-sided p-value."""
    estimate = a.mean - b.mean
    names = dict.fromkeys((*a.items, *b.items))
    influence = np.array([a.items.get(name, 0.0) - b.items.get(name, 0.0) for name in names])
    m = len(names)
    item = m / (m - 1) * float((influence**2).sum()) if m > 1 else 0.0
    run = a.run + b.run
    given = a.given + b.given
    variance = item + given + run
    parts = (
        (item, max(m - 1.0, 1.0)),
        (given, min(a.given_df, b.given_df)),
        (run, min(a.run_df, b.run_df)),
    )
    doubt = sum(part**2 / df for part, df in parts)
    df = variance**2 / doubt if doubt > 0 else np.inf
    stderr = float(np.sqrt(variance))
    half = float(t.ppf(0.5 + level / 2, df)) * stderr
    if stderr > 0:
        p_value = max(2 * float(t.sf(abs(estimate) / stderr, df)), _SMALLEST)
    else:
        p_value = 1.0 if estimate == 0 else _SMALLEST
    return PairedDifference(
        interval=Interval(
            estimate=estimate,
            low=max(estimate - half, -limit),
            high=min(estimate + half, limit),
            level=level,
            kind=weaker((a.kind, b.kind)),
        ),
        stderr=stderr,
        df=float(df),
        p_value=p_value,
    )


def means_covariance(sides: Sequence[Side]) -> FloatArray:
    """Return the covariance (S, S) of several means of one ability, which share its items."""
    names = list(dict.fromkeys(name for side in sides for name in side.items))
    influence = np.array([[side.items.get(name, 0.0) for name in names] for side in sides])
    own = np.diag([side.given + side.run for side in sides])
    if len(names) < 2:
        return own
    return np.asarray(len(names) / (len(names) - 1) * (influence @ influence.T) + own)


def _slope(fitted: FittedJob, rows: np.ndarray, mean: float) -> float:
    """Return the squared derivative of the inverse link at the mean."""
    runs = fitted.runs
    if runs.response is ResponseKind.ACCURACY:
        edge = 0.5 / (float(runs.denominator[rows].mean()) + 1)
        p = min(max(mean, edge), 1 - edge)
        return (p * (1 - p)) ** 2
    return mean**2 if runs.response is ResponseKind.LOSS else 1.0
