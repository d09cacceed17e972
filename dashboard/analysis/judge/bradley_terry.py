r"""Bradley-Terry ratings from pairwise verdicts, ties as half wins.

    P(left preferred to right) = expit(theta_left - theta_right + order x eta)

with order = 1 where left was shown first (played at home), -1 where right was, 0 where that is
balanced or unknown; eta is fitted on demand. Fitted by maximum likelihood on shares, so graded
preferences keep their grade. Intervals are percentiles over resampled items, refitted all at once
by a batched Newton method.

References
----------
Bradley and Terry (1952), Biometrika 39; Agresti (2002), Categorical Data Analysis, section 10.6
(ties and home advantage); Ford (1957), American Mathematical Monthly 64: a maximum exists if and
only if no group of models wins all its comparisons with the others (strong connectivity).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.judge.pairs import Comparisons
from dashboard.analysis.judge.votes import IntArray
from dashboard.analysis.replicates import stretched_interval
from dashboard.analysis.results import Interval, IntervalKind

RIDGE = 0.01
"""Precision of the normal prior (standard deviation 10 logits) where a maximum may not exist."""

_MAX_ITERATIONS = 60
_MAX_STEP = 2.0
_TOLERANCE = 1e-10
_CHUNK_CELLS = 20_000_000  # models x models x replicates held at once: 160 MB of doubles


class RatingStatus(StrEnum):
    """What stands behind the ratings."""

    OK = "ok"
    REGULARISED = "regularised"
    """Some models win or lose all their comparisons with the others: a weak prior decides."""
    NOT_CONNECTED = "not_connected"
    """Groups of models were never compared with each other: no common scale."""
    NO_COMPARISONS = "no_comparisons"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """Bradley-Terry ratings of the models compared.

    Attributes
    ----------
    status : RatingStatus
        Outcome; `reason` says more where it is not ok.
    models : tuple of int
        Codes of the models rated, in order; empty without ratings.
    theta : ndarray, shape (n_rated,)
        Log-odds: 0 for the reference, or mean 0 without one.
    stderr : ndarray, shape (n_rated,)
        Standard deviation over replicates; NaN with a single item.
    intervals : tuple of Interval
        None with a single item. That of the reference is 0 to 0, by definition.
    order_effect : Interval or None
        eta, log-odds for being shown first; None unless asked for and identified.
    order_effect_reason : str or None
        Why an order effect that was asked for is missing.
    n_items : int
        Items behind the comparisons.
    """

    status: RatingStatus
    reason: str | None
    models: tuple[int, ...]
    theta: FloatArray
    stderr: FloatArray
    intervals: tuple[Interval | None, ...]
    order_effect: Interval | None
    order_effect_reason: str | None
    n_items: int

    def of(self, model: int) -> tuple[Interval | None, float | None, str | None]:
        """Return rating and standard error of a model, or why it has none."""
        if model not in self.models:
            return None, None, self.reason or "it was compared with no other model"
        index = self.models.index(model)
        interval = self.intervals[index]
        if interval is None:
            return None, None, "a single item gives no interval"
        return interval, float(self.stderr[index]), None


def fit_ratings(
    comparisons: Comparisons,
    names: Sequence[str],
    *,
    reference: int | None = None,
    order_effect: bool = False,
    level: float = 0.95,
    n_replicates: int = 1000,
    seed: int = 20231030,
) -> Ratings:
    """Fit Bradley-Terry ratings with bootstrap intervals over items.

    Parameters
    ----------
    comparisons : Comparisons
        Verdicts of one voter or of a jury.
    names : sequence of str
        Names behind the model codes, for messages.
    reference : int, optional
        Model whose rating is 0; without one (or if it was never compared) the mean is 0.
    order_effect : bool
        Fit eta as well. It is left out, with the reason, where all comparisons are balanced.
    level, n_replicates, seed : float, int, int
        Of the intervals.

    Notes
    -----
    Where a maximum exists the estimate is the plain maximum; replicates carry the weak prior
    RIDGE, since a resampled set may lack the one loss that kept a rating finite.
    """
    if not len(comparisons):
        return _no_ratings(RatingStatus.NO_COMPARISONS, "no pair of models was compared")
    models = np.unique(np.concatenate([comparisons.left, comparisons.right]))
    left = np.searchsorted(models, comparisons.left)
    right = np.searchsorted(models, comparisons.right)
    table = _Table.build(comparisons, left, right, len(models))
    status, reason = _connectedness(table, [names[code] for code in models])
    if status is RatingStatus.NOT_CONNECTED:
        return _no_ratings(status, reason)
    order_reason = None
    if order_effect and not (table.order != 0).any():
        order_effect, order_reason = False, "both orders are balanced, or the order is unknown"
    n, wins = table.totals(np.ones((1, table.n_items)))
    ridge = RIDGE if status is RatingStatus.REGULARISED else 0.0
    best, converged = _newton(table, n, wins, np.zeros(table.size(order_effect)), ridge)
    if not converged.all():
        return _no_ratings(RatingStatus.FAILED, "the fit of the ratings did not converge")
    draws = _replicates(table, best[0], n_replicates, seed)
    anchor = None
    if reference is not None and reference in models:
        anchor = int(np.searchsorted(models, reference))
    theta = _anchored(best[:, : len(models)], anchor)[0]
    spread = _anchored(draws[:, : len(models)], anchor)
    kind = IntervalKind.ITEMS_ONLY
    df = table.n_items - 1
    single = df < 1
    return Ratings(
        status=status,
        reason=reason,
        models=tuple(int(code) for code in models),
        theta=theta,
        stderr=np.full(len(models), np.nan) if single else spread.std(axis=0, ddof=1),
        intervals=tuple(
            None
            if single
            else stretched_interval(float(theta[index]), spread[:, index], level, df, kind)
            for index in range(len(models))
        ),
        order_effect=(
            stretched_interval(float(best[0, -1]), draws[:, -1], level, df, kind)
            if order_effect and not single
            else None
        ),
        order_effect_reason="one item gives no interval"
        if order_effect and single
        else order_reason,
        n_items=table.n_items,
    )


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Comparisons by pair and order (rows, R) and by item (I), as sparse sums of shape (I, R)."""

    left: IntArray
    right: IntArray
    order: FloatArray
    n_models: int
    n_items: int
    count: csr_array
    wins: csr_array

    @classmethod
    def build(cls, c: Comparisons, left: IntArray, right: IntArray, n_models: int) -> _Table:
        """Sum comparisons over equal pair, order and item."""
        orders, order_code = np.unique(c.order, return_inverse=True)
        key = (left * n_models + right) * len(orders) + order_code
        _, first, row = np.unique(key, return_index=True, return_inverse=True)
        items, item = np.unique(c.item, return_inverse=True)
        shape = (len(items), len(first))
        return cls(
            left=left[first],
            right=right[first],
            order=c.order[first],
            n_models=n_models,
            n_items=len(items),
            count=csr_array((np.ones(len(item)), (item, row)), shape=shape),
            wins=csr_array((c.share, (item, row)), shape=shape),
        )

    def size(self, order_effect: bool) -> int:
        """Return the number of parameters."""
        return self.n_models + order_effect

    def totals(self, item_counts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return comparisons and wins of left per row, shape (B, R), for item counts (B, I)."""
        return (self.count.T @ item_counts.T).T, (self.wins.T @ item_counts.T).T


def _connectedness(table: _Table, names: list[str]) -> tuple[RatingStatus, str | None]:
    """Say whether the ratings have one scale, and whether their maximum is finite."""
    n, wins = (total[0] for total in table.totals(np.ones((1, table.n_items))))
    shape = (table.n_models, table.n_models)
    beats = csr_array(
        (
            np.concatenate([wins > 0, wins < n]).astype(float),
            (np.concatenate([table.left, table.right]), np.concatenate([table.right, table.left])),
        ),
        shape=shape,
    )
    beats.eliminate_zeros()
    n_weak, weak = connected_components(beats, directed=True, connection="weak")
    if n_weak > 1:
        groups = [[name for name, g in zip(names, weak, strict=True) if g == k] for k in (0, 1)]
        return RatingStatus.NOT_CONNECTED, (
            f"{n_weak} groups of models were never compared with each other "
            f"({_some(groups[0])} with {_some(groups[1])}, for one)"
        )
    n_strong, strong = connected_components(beats, directed=True, connection="strong")
    if n_strong == 1:
        return RatingStatus.OK, None
    smallest = int(np.argmin(np.bincount(strong)))
    odd = [name for name, g in zip(names, strong, strict=True) if g == smallest]
    return RatingStatus.REGULARISED, (
        f"{_some(odd)} won or lost all comparisons with some of the others, so a weak prior keeps "
        "the ratings finite"
    )


def _newton(
    table: _Table, n: FloatArray, wins: FloatArray, start: FloatArray, ridge: float
) -> tuple[FloatArray, np.ndarray]:
    """Maximise B likelihoods at once; n and wins of shape (B, R), start (K,), result (B, K).

    Ratings keep a mean of 0 all along: the likelihood does not see it, and the constant added to
    the Hessian's null direction only makes that step 0.
    """
    n_models, size = table.n_models, len(start)
    rows = np.arange(len(table.left))
    incidence = np.zeros((len(rows), size))
    incidence[rows, table.left] = 1
    incidence[rows, table.right] = -1
    if size > n_models:
        incidence[:, -1] = table.order
    # Several rows may share a pair, one per order.
    to_pair = csr_array(
        (np.ones(len(rows)), (table.left * n_models + table.right, rows)),
        shape=(n_models**2, len(rows)),
    )
    params = np.tile(start, (len(n), 1))
    active = np.arange(len(n))
    for _ in range(_MAX_ITERATIONS):
        mu = expit(params[active] @ incidence.T)
        gradient = (wins[active] - n[active] * mu) @ incidence - ridge * params[active]
        weight = n[active] * mu * (1 - mu)
        hessian = np.zeros((len(active), size, size))
        between = np.asarray((to_pair @ weight.T).T).reshape(-1, n_models, n_models)
        hessian[:, :n_models, :n_models] = -between - between.transpose(0, 2, 1)
        diagonal = np.arange(n_models)
        hessian[:, diagonal, diagonal] = weight @ np.abs(incidence[:, :n_models])
        hessian[:, :n_models, :n_models] += 1 / n_models
        if size > n_models:
            hessian[:, :n_models, -1] = (weight * table.order) @ incidence[:, :n_models]
            hessian[:, -1, :n_models] = hessian[:, :n_models, -1]
            hessian[:, -1, -1] = weight @ table.order**2
        hessian[:, np.arange(size), np.arange(size)] += ridge
        try:
            step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        except np.linalg.LinAlgError:
            break
        largest = np.abs(step).max(axis=1)
        params[active] += step * np.minimum(1, _MAX_STEP / np.maximum(largest, _MAX_STEP))[:, None]
        active = active[largest > _TOLERANCE]
        if not len(active):
            break
    converged = np.ones(len(n), dtype=bool)
    converged[active] = False
    return params, converged


def _replicates(table: _Table, start: FloatArray, n_replicates: int, seed: int) -> FloatArray:
    """Return parameters refitted to resampled items, shape (B, K)."""
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_CELLS // max(len(start) ** 2, table.n_items))
    done = []
    for begin in range(0, n_replicates, chunk):
        size = min(chunk, n_replicates - begin)
        drawn = rng.integers(table.n_items, size=(size, table.n_items))
        drawn += np.arange(size)[:, None] * table.n_items
        counts = np.bincount(drawn.ravel(), minlength=size * table.n_items)
        n, wins = table.totals(counts.reshape(size, -1).astype(float))
        done.append(_newton(table, n, wins, start, RIDGE)[0])
    return np.concatenate(done)


def _anchored(theta: FloatArray, anchor: int | None) -> FloatArray:
    """Return ratings, shape (B, M), relative to the reference or to their mean."""
    if anchor is None:
        return np.asarray(theta - theta.mean(axis=1, keepdims=True))
    return theta - theta[:, [anchor]]


def _no_ratings(status: RatingStatus, reason: str | None) -> Ratings:
    """Return a result without ratings."""
    return Ratings(
        status=status, reason=reason, models=(), theta=np.empty(0), stderr=np.empty(0),
        intervals=(), order_effect=None, order_effect_reason=None, n_items=0,
    )  # fmt: skip


def _some(names: list[str]) -> str:
    """Return up to three names."""
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
