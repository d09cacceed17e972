r"""What examples of one source are worth in those of another, and what a mix of them scores.

The ladder L of an ability is the curve of the source that reaches highest. n_s examples of
another source s count as the e_s(n_s) ladder examples at which L equals that source's own curve
f_s(n_s) (exchange at matched score), so no source is worth more than it reaches alone. A mix worth
x = sum_s e_s ladder examples scores what its sources would score alone at the same worth, averaged
by their shares w_s = e_s / x:

.. math:: y = \sum_s w_s \, [f_s(m_s) + L(x) - L(\min(x, r_s))]

with m_s the examples of s that are worth min(x, r_s), r_s being the most that s can be worth. What
no amount of s could add comes from the ladder. With one source y is its curve. Examples that are
worth nothing add their (negative or no) gain as it stands. No run of a single source can test this.

Every draw of the curves has its own exchange: worths are read off curves that are not known, and
are as uncertain as these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dashboard.analysis.curve_data import FloatArray

IntArray = NDArray[np.intp]

_NO_GAIN = 1e-6
"""A gain that rounding could cause: such a curve can't tell what an example is worth."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What examples are worth on the ladder of their ability, in R draws of the curves.

    Attributes
    ----------
    ladder : ndarray of int, shape (A, R)
        The source that reaches highest within its supported volumes.
    worth : ndarray, shape (A, S, G, R)
        Ladder examples that each volume of the grid is worth.
    volume : ndarray, shape (A, S, G, R)
        Examples that are worth each volume of the grid, the inverse of `worth`.
    most : ndarray, shape (A, S, R)
        Ladder examples that a source is worth at most, within its supported volumes.
    regular : ndarray of bool, shape (A, S, R)
        Sources whose curve rises; the others add their gain as it stands.
    """

    ladder: IntArray
    worth: FloatArray
    volume: FloatArray
    most: FloatArray
    regular: NDArray[np.bool_]

    def of(self, rows: IntArray) -> Exchange:
        """Return the exchange of some draws."""
        return Exchange(
            ladder=self.ladder[..., rows],
            worth=self.worth[..., rows],
            volume=self.volume[..., rows],
            most=self.most[..., rows],
            regular=self.regular[..., rows],
        )


def match_scores(n_grid: FloatArray, curves: FloatArray, supported: FloatArray) -> Exchange:
    """Work out what examples of each source are worth on the ladder of their ability.

    Parameters
    ----------
    n_grid : ndarray, shape (G,), count, ascending from 0
    curves : ndarray, shape (A, S, G, R)
        Goodness.
    supported : ndarray, shape (A, S)
        A curve counts up to this volume.

    Notes
    -----
    Where even the ladder has no gain there is nothing to match, and examples count as one each.
    """
    inside = (n_grid <= supported[..., None])[..., None]
    gain = np.where(inside, curves - curves[:, :, :1], -np.inf)
    # Running maxima make curves invertible.
    rising = np.maximum.accumulate(gain, axis=2)
    reached = np.where(supported[..., None] > 0, rising[:, :, -1], -np.inf)
    ladder = reached.argmax(axis=1)
    worth = np.broadcast_to(n_grid[:, None], curves.shape).copy()
    volume = worth.copy()
    most = np.repeat(supported[..., None], curves.shape[-1], axis=2)
    flat = reached.max(axis=1) <= _NO_GAIN
    regular = (supported[..., None] > 0) & ((reached > _NO_GAIN) | flat[:, None])
    every = np.arange(curves.shape[-1])
    for a in range(len(supported)):
        rung = rising[a, ladder[a], :, every].T
        for s in np.flatnonzero(supported[a] > 0):
            matched = np.flatnonzero(regular[a, s] & ~flat[a] & (ladder[a] != s))
            if not len(matched):
                continue
            worth[a, s][:, matched] = _invert(n_grid, rung[:, matched], rising[a, s][:, matched])
            most[a, s, matched] = worth[a, s, -1, matched]
            steps = worth[a, s][:, matched]
            at = np.broadcast_to(n_grid[:, None], steps.shape)
            volume[a, s][:, matched] = _invert(n_grid, steps, at)
    return Exchange(ladder=ladder, worth=worth, volume=volume, most=most, regular=regular)


def mix(
    n_grid: FloatArray,
    curves: FloatArray,
    supported: FloatArray,
    exchange: Exchange,
    n: FloatArray,
) -> FloatArray:
    """Return goodness (..., A, R) of plans n (..., A, S) in R draws of the curves (A, S, G, R)."""
    n_abilities, n_sources, _, n_draws = curves.shape
    a, s, r = np.ogrid[:n_abilities, :n_sources, :n_draws]
    by_draw = np.moveaxis(curves, 2, 3)
    log_grid = np.log1p(n_grid)
    n = np.minimum(n, supported)
    effective = np.where(
        exchange.regular, interpolate(n_grid, exchange.worth, (a[..., 0], s[..., 0]), n), 0.0
    )
    total = effective.sum(axis=-2, keepdims=True)
    share = effective / np.maximum(total, 1e-300)
    reach = np.take_along_axis(supported, exchange.ladder, axis=1)[:, None]
    matched = np.minimum(total, exchange.most)
    volume = np.moveaxis(exchange.volume, 2, 3)
    equal = interpolate(n_grid, volume, (a, s, r), matched)
    limit, n = supported[..., None], n[..., None]
    counted = effective > 0
    equal = np.where(counted & (share < 1), np.minimum(np.maximum(equal, n), limit), n)
    ladder = by_draw[a[:, 0], exchange.ladder, r[0]]
    on_top = interpolate(log_grid, ladder, (a[:, 0, None], r), np.log1p(np.minimum(total, reach)))
    below = np.log1p(np.minimum(matched, reach))
    on_top = on_top - interpolate(log_grid, ladder, (a[:, 0, None], r), below)
    own = interpolate(log_grid, by_draw, (a, s, r), np.log1p(equal))
    # Two sources' fits start a little apart, though from the same base model.
    known = (supported > 0) / np.maximum((supported > 0).sum(axis=1, keepdims=True), 1)
    start = (known[..., None] * curves[:, :, 0]).sum(axis=1, keepdims=True)
    mixed = share * (own - start + on_top)
    extra = ~counted * (own - curves[:, :, 0])
    return np.asarray(start[:, 0] + (mixed + extra).sum(axis=-2))


def interpolate(
    grid: FloatArray, values: FloatArray, index: tuple[IntArray, ...], at: FloatArray
) -> FloatArray:
    """Interpolate linearly on a grid; beyond it the last value holds.

    Parameters
    ----------
    grid : ndarray, shape (G,)
    values : ndarray, shape (*leading, G, *trailing)
    index : tuple of int arrays
        Which leading entries to read; broadcasts with `at`.
    at : ndarray
        Where, in the grid's unit.
    """
    left = np.clip(np.searchsorted(grid, at, side="right") - 1, 0, len(grid) - 2)
    share = np.clip((at - grid[left]) / (grid[left + 1] - grid[left]), 0, 1)
    share = share[(..., *(None,) * (values.ndim - len(index) - 1))]
    low, high = values[(*index, left)], values[(*index, left + 1)]
    return np.asarray(low + share * (high - low))


def _invert(n_grid: FloatArray, rising: FloatArray, heights: FloatArray) -> FloatArray:
    """Return where columns of a rising curve (G, R) first reach heights (H, R); at most its end."""
    columns = np.arange(rising.shape[1])
    index = (rising[None] < heights[:, None]).sum(axis=1)
    right = np.clip(index, 1, len(n_grid) - 1)
    low, high = rising[right - 1, columns], rising[right, columns]
    step = np.where((high > low) & np.isfinite(high - low), high - low, 1.0)
    share = np.clip((heights - low) / step, 0, 1)
    found = n_grid[right - 1] + share * (n_grid[right] - n_grid[right - 1])
    # Above the top, where the curve first reaches it.
    top = (rising < rising[-1]).sum(axis=0)
    return np.asarray(np.where(index == 0, 0.0, np.minimum(found, n_grid[top])))
