r"""Expected scores of every ability from one growth curve per ability and source.

All values are *goodness*: scores times -1 for losses, so that more is always better. There is no
transfer between abilities here; `transfer_surface` has it.

How sources mix within one ability
----------------------------------
The ladder L of an ability is the curve of the source that reaches highest. n_s examples of
another source s count as the e_s(n_s) ladder examples at which L equals that source's own curve
f_s(n_s) (exchange at matched score), so no source is worth more than it reaches alone. A mix worth
x = sum_s e_s ladder examples scores what its sources would score alone at the same worth, averaged
by their shares w_s = e_s / x:

.. math:: y = \sum_s w_s \, [f_s(m_s) + L(x) - L(\min(x, r_s))]

with m_s the examples of s that are worth min(x, r_s), r_s being the most that s can be worth. What
no amount of s could add comes from the ladder. With one source y is its curve. A source whose curve
does not rise adds its (negative or no) gain as it stands. No run of a single source can test this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.results import IntervalKind

IntArray = NDArray[np.intp]

_NO_GAIN = 1e-6
"""A gain that rounding could cause: such a curve can't tell what an example is worth."""


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """What the linear program needs: score_a = ladder_a(sum_bs weight[a, b, s] e_bs(n_bs)) + extra.

    Attributes
    ----------
    n : ndarray, shape (G,)
        Volumes at which all of it is tabulated.
    ladder : ndarray, shape (A, G)
        Goodness at effective volumes `n`.
    worth, extra : ndarray, shape (A, S, G)
        Effective examples and goodness that n examples of ability b and source s add.
    weight : ndarray, shape (A, A, S)
        Share of ability b's effective examples that counts for ability a.
    """

    n: FloatArray
    ladder: FloatArray
    worth: FloatArray
    extra: FloatArray
    weight: FloatArray


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What examples are worth on the ladder of their ability.

    Attributes
    ----------
    ladder : ndarray of int, shape (A,)
        The source that reaches highest within its supported volumes.
    worth : ndarray, shape (A, S, G)
        Ladder examples that each volume of the grid is worth.
    volume : ndarray, shape (A, S, G)
        Examples that are worth each volume of the grid, the inverse of `worth`.
    most : ndarray, shape (A, S)
        Ladder examples that a source is worth at most, within its supported volumes.
    regular : ndarray of bool, shape (A, S)
        Sources whose curve rises; the others add their gain as it stands.
    """

    ladder: IntArray
    worth: FloatArray
    volume: FloatArray
    most: FloatArray
    regular: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SourceSurface:
    """One growth curve per ability and source, mixed by exchange at matched score.

    Attributes
    ----------
    n_grid : ndarray, shape (G,), count, ascending from 0
    curves : ndarray, shape (A, S, G)
        Goodness; anything finite where `supported` is 0.
    replicates : ndarray, shape (A, S, G, B)
        Replicate b of all curves rests on one draw.
    supported : ndarray, shape (A, S)
        Largest volume that may be used, 0 where an ability has no curve of a source.
    df, kind
        For stretching quantiles, and what the replicates cover.
    limits : tuple of float
        Range of the goodness.
    first : float
        Largest of the curves' smallest volumes; below a curve's smallest the curve is level.
    exchange : Exchange, optional
        What examples are worth; worked out from the curves by default.
    """

    abilities: tuple[str, ...]
    sources: tuple[str, ...]
    base_model: str
    sign: float
    n_grid: FloatArray
    curves: FloatArray
    replicates: FloatArray
    supported: FloatArray
    df: float
    kind: IntervalKind
    limits: tuple[float, float] = (-np.inf, np.inf)
    first: float = 0.0
    exchange: Exchange | None = None

    @property
    def n_replicates(self) -> int:
        """Number of replicates."""
        return int(self.replicates.shape[-1])

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the numbers take for granted."""
        stated = [
            "No transfer between abilities: a score depends on the ability's own examples. The "
            "curves come from runs that train all abilities together, in equal amounts.",
        ]
        if len(self.sources) > 1:
            stated.append(
                "Sources mix by exchange at matched score: examples of the weaker source count as "
                "those of the stronger one that reach the same score alone. Runs of a single "
                "source can't test this."
            )
        if self.first > 0:
            stated.append(
                "Below the smallest volume trained on, which is unknown ground "
                f"(up to {self.first:,.6g}), a score is taken to be that at it."
            )
        return tuple(stated)

    def scores(self, n: FloatArray) -> FloatArray:
        """Return goodness (..., A) of plans n (..., A, S)."""
        return self._mix(self.curves, n)

    def replicate_scores(self, n: FloatArray, rows: IntArray) -> FloatArray:
        """Return goodness (A, len(rows)) of one plan in some replicates."""
        return self._mix(self.replicates[..., rows], n)

    def averaged(self, rows: IntArray) -> SourceSurface:
        """Return the surface of mean curves; exact, since goodness is linear in the curves."""
        mean = self.replicates[..., rows].mean(axis=-1)
        return replace(
            self, curves=mean, replicates=self.replicates[..., :0], exchange=self._known_exchange
        )

    def resampled(self, row: int) -> SourceSurface:
        """Return the surface of one replicate, with the exchange that it implies."""
        return replace(
            self,
            curves=self.replicates[..., row],
            replicates=self.replicates[..., :0],
            exchange=None,
        )

    def pieces(self) -> Pieces:
        """Return the plug-in surface as piecewise-linear parts."""
        exchange = self._known_exchange
        n_abilities, n_sources = self.supported.shape
        weight = np.zeros((n_abilities, n_abilities, n_sources))
        every = np.arange(n_abilities)
        weight[every, every] = exchange.regular
        reach = self.supported[every, exchange.ladder]
        ladder = [
            interpolate(np.log1p(self.n_grid), curve, (), np.log1p(np.minimum(self.n_grid, limit)))
            for curve, limit in zip(self.curves[every, exchange.ladder], reach, strict=True)
        ]
        gain = self.curves - self.curves[:, :, :1]
        return Pieces(
            n=self.n_grid,
            ladder=np.array(ladder),
            worth=exchange.worth,
            extra=np.where(exchange.regular[..., None], 0.0, gain),
            weight=weight,
        )

    @cached_property
    def _known_exchange(self) -> Exchange:
        return self.exchange or match_scores(self.n_grid, self.curves, self.supported)

    def _mix(self, curves: FloatArray, n: FloatArray) -> FloatArray:
        """Apply the mixing rule to curves (A, S, G) or, for a single plan, (A, S, G, R)."""
        exchange = self._known_exchange
        tail = (None,) * (curves.ndim - 3)
        a, s = np.ogrid[: self.supported.shape[0], : self.supported.shape[1]]
        log_grid = np.log1p(self.n_grid)
        n = np.minimum(n, self.supported)
        effective = np.where(
            exchange.regular, interpolate(self.n_grid, exchange.worth, (a, s), n), 0.0
        )
        total = effective.sum(axis=-1, keepdims=True)
        share = effective / np.maximum(total, 1e-300)
        reach = self.supported[a[:, 0], exchange.ladder][:, None]
        matched = np.minimum(total, exchange.most)
        equal = interpolate(self.n_grid, exchange.volume, (a, s), matched)
        equal = np.where(share < 1, np.minimum(np.maximum(equal, n), self.supported), n)
        ladder = curves[a[:, 0], exchange.ladder]
        on_top = interpolate(log_grid, ladder, (a,), np.log1p(np.minimum(total, reach)))
        on_top = on_top - interpolate(log_grid, ladder, (a,), np.log1p(np.minimum(matched, reach)))
        own = interpolate(log_grid, curves, (a, s), np.log1p(equal))
        # Two sources' fits start a little apart, though from the same base model.
        known = (self.supported > 0) / np.maximum((self.supported > 0).sum(axis=1), 1)[:, None]
        start = (known[(..., *tail)] * curves[:, :, 0]).sum(axis=1, keepdims=True)
        mixed = share[(..., *tail)] * (own - start + on_top)
        used = (n > 0) & ~exchange.regular
        extra = used[(..., *tail)] * (own - curves[:, :, 0])
        goodness = start[:, 0] + (mixed + extra).sum(axis=-1 - len(tail))
        return np.asarray(np.clip(goodness, *self.limits))


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


def match_scores(n_grid: FloatArray, curves: FloatArray, supported: FloatArray) -> Exchange:
    """Work out what examples of each source are worth on the ladder of their ability.

    Parameters
    ----------
    curves : ndarray, shape (A, S, G)
        Goodness.
    supported : ndarray, shape (A, S)

    Notes
    -----
    Where even the ladder has no gain there is nothing to match, and examples count as one each.
    """
    n_abilities, n_sources, _ = curves.shape
    # A curve counts as far as it is supported; running maxima make it invertible.
    inside = n_grid <= supported[..., None]
    gain = np.where(inside, curves - curves[:, :, :1], -np.inf)
    rising = np.maximum.accumulate(gain, axis=2)
    reached = np.where(supported > 0, rising[:, :, -1], -np.inf)
    ladder = reached.argmax(axis=1)
    worth = np.broadcast_to(n_grid, curves.shape).copy()
    volume = worth.copy()
    most = np.array(supported)
    regular = supported > 0
    for a in range(n_abilities):
        r = int(ladder[a])
        if reached[a, r] <= _NO_GAIN:
            continue
        heights, first = np.unique(rising[a, r], return_index=True)
        for s in range(n_sources):
            if s == r or not regular[a, s]:
                continue
            regular[a, s] = reached[a, s] > _NO_GAIN
            if regular[a, s]:
                worth[a, s] = np.interp(rising[a, s], heights, n_grid[first])
                most[a, s] = worth[a, s, -1]
                steps, at = np.unique(worth[a, s], return_index=True)
                volume[a, s] = np.interp(n_grid, steps, n_grid[at])
    return Exchange(ladder=ladder, worth=worth, volume=volume, most=most, regular=regular)
