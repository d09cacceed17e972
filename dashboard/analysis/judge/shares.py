"""Shares between 0 and 1 with clustered standard errors, intervals and tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, norm, t

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.judge.votes import IntArray
from dashboard.analysis.results import Interval, IntervalKind

_ROUNDING = 1e-9
# A standard error below this comes from rounding equal values.


@dataclass(frozen=True, kw_only=True)
class Share:
    """A mean of values in [0, 1] with its cluster-robust standard error.

    Attributes
    ----------
    estimate : float
        The mean.
    stderr : float or None
        None with a single item.
    interval : Interval
        Covers the draw of items, not another judge.
    n, n_items : int
        Values and the items (clusters) that they lie on.
    """

    estimate: float
    stderr: float | None
    interval: Interval
    n: int
    n_items: int


def clustered_share(values: FloatArray, item: IntArray, level: float) -> Share:
    r"""Return the mean of values in [0, 1] that share items.

    p = sum_i s_i / sum_i n_i and var(p) = G / (G - 1) sum_i (s_i - p n_i)^2 / (sum_i n_i)^2, with
    s_i the sum and n_i the count of item i, G items. With one value an item that is the usual
    standard error of a mean, with n - 1 in the denominator.

    Parameters
    ----------
    values : ndarray, shape (n,), in [0, 1]
        At least one.
    item : ndarray, shape (n,), int
        Item of each value.
    level : float
        Level of the interval.
    """
    estimate = float(values.mean())
    stderr, n_items = clustered_stderr((values - estimate) / len(values), item)
    return Share(
        estimate=estimate,
        stderr=stderr,
        interval=share_interval(estimate, stderr, n_items, level),
        n=len(values),
        n_items=n_items,
    )


def clustered_stderr(influence: FloatArray, item: IntArray) -> tuple[float | None, int]:
    """Return the standard error of an estimate and the number of items.

    Parameters
    ----------
    influence : ndarray, shape (n,)
        What each value adds to the estimate's error; sums to about 0.
    item : ndarray, shape (n,), int
        Item of each value.

    Returns
    -------
    stderr : float or None
        sqrt(G / (G - 1) sum_i u_i^2) with u_i the sum over item i; None with a single item.
    n_items : int
        G.
    """
    _, inverse = np.unique(item, return_inverse=True)
    per_item = np.bincount(inverse, weights=influence)
    n_items = len(per_item)
    if n_items < 2:
        return None, n_items
    return float(np.sqrt(n_items / (n_items - 1) * np.sum(per_item**2))), n_items


def share_interval(estimate: float, stderr: float | None, n_items: int, level: float) -> Interval:
    r"""Return an interval for a share that stays inside [0, 1] and has a width at 0 and 1.

    The Jeffreys interval, quantiles of Beta(n p + 1/2, n (1 - p) + 1/2), at the effective number
    of items n = p (1 - p) / stderr^2 x (z / t_{G-1})^2. Where all items agree, the standard error
    is 0 and says nothing; n is then the number of items, as if each were a coin flip. The
    estimate always lies inside.

    References
    ----------
    Korn and Graubard (1998), Survey Methodology 24: effective sample sizes for clustered shares;
    Brown, Cai and DasGupta (2001), Statistical Science 16: the Jeffreys interval.
    """
    tail = (1 - level) / 2
    spread = estimate * (1 - estimate)
    n = float(n_items)
    if stderr is not None and stderr > _ROUNDING and spread > 0:
        n = spread / stderr**2 * (norm.ppf(tail) / t.ppf(tail, n_items - 1)) ** 2
    a, b = n * estimate + 0.5, n * (1 - estimate) + 0.5
    low, high = float(beta.ppf(tail, a, b)), float(beta.ppf(1 - tail, a, b))
    return Interval(
        estimate=estimate,
        low=min(low, estimate),
        high=max(high, estimate),
        level=level,
        kind=IntervalKind.ITEMS_ONLY,
    )


def t_interval(estimate: float, stderr: float, df: int, level: float) -> Interval:
    """Return estimate -+ t stderr."""
    half = float(t.ppf((1 + level) / 2, df)) * stderr
    return Interval(
        estimate=estimate,
        low=estimate - half,
        high=estimate + half,
        level=level,
        kind=IntervalKind.ITEMS_ONLY,
    )


def t_test(estimate: float, stderr: float, n_items: int) -> float:
    """Return the two-sided p-value of an estimate against 0.

    Where all items agree there is no standard error; then 1 if the estimate is 0, and else that of
    the sign test, 2^(1 - n_items).
    """
    if stderr > _ROUNDING:
        return float(2 * t.sf(abs(estimate) / stderr, n_items - 1))
    return 1.0 if abs(estimate) <= _ROUNDING else float(2.0 ** (1 - n_items))
