"""Expected scores of every ability from one growth curve per ability and source.

All values are *goodness*: scores times -1 for losses, so that more is always better. There is no
transfer between abilities here; `transfer_surface` has it. `exchange` says how sources mix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dashboard.analysis.budget.exchange import (
    Exchange,
    IntArray,
    interpolate,
    match_scores,
    mix,
)
from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.results import IntervalKind


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


_COUNTS_OWN = (
    "No transfer between abilities: a score depends on the ability's own examples. The curves come "
    "from runs that train all abilities together, in equal amounts."
)
_COUNTS_ALL = (
    "The training data are not sorted by ability, so volumes count all examples of a run: n of an "
    "ability's own are taken to do what n in all did, though fewer would do where only its own "
    "count. Results of data that are sorted by ability can tell."
)


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
    counts_all : bool
        Volumes count all examples of a run, since its data are not sorted by ability.
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
    counts_all: bool = False

    @property
    def n_replicates(self) -> int:
        """Number of replicates."""
        return int(self.replicates.shape[-1])

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the numbers take for granted."""
        stated = [_COUNTS_ALL if self.counts_all else _COUNTS_OWN]
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
        found = mix(self.n_grid, self.curves[..., None], self.supported, self._exchange, n)
        return np.asarray(np.clip(found[..., 0], *self.limits))

    def replicate_scores(self, n: FloatArray, rows: IntArray) -> FloatArray:
        """Return goodness (A, len(rows)) of one plan in some replicates, each with its exchange."""
        exchange = self._replicate_exchange.of(rows)
        found = mix(self.n_grid, self.replicates[..., rows], self.supported, exchange, n)
        return np.asarray(np.clip(found, *self.limits))

    def averaged(self, rows: IntArray) -> SourceSurface:
        """Return the surface of mean curves, which is quick and near the mean over replicates."""
        mean = self.replicates[..., rows].mean(axis=-1)
        return replace(self, curves=mean, replicates=self.replicates[..., :0])

    def resampled(self, row: int) -> SourceSurface:
        """Return the surface of one replicate, with the exchange that it implies."""
        return replace(self, curves=self.replicates[..., row], replicates=self.replicates[..., :0])

    def pieces(self) -> Pieces:
        """Return the plug-in surface as piecewise-linear parts."""
        exchange = self._exchange
        n_abilities, n_sources = self.supported.shape
        weight = np.zeros((n_abilities, n_abilities, n_sources))
        every = np.arange(n_abilities)
        ladder_of, regular = exchange.ladder[:, 0], exchange.regular[..., 0]
        weight[every, every] = regular
        reach = self.supported[every, ladder_of]
        ladder = [
            interpolate(np.log1p(self.n_grid), curve, (), np.log1p(np.minimum(self.n_grid, limit)))
            for curve, limit in zip(self.curves[every, ladder_of], reach, strict=True)
        ]
        gain = self.curves - self.curves[:, :, :1]
        return Pieces(
            n=self.n_grid,
            ladder=np.array(ladder),
            worth=exchange.worth[..., 0],
            extra=np.where(regular[..., None], 0.0, gain),
            weight=weight,
        )

    @cached_property
    def _exchange(self) -> Exchange:
        return match_scores(self.n_grid, self.curves[..., None], self.supported)

    @cached_property
    def _replicate_exchange(self) -> Exchange:
        return match_scores(self.n_grid, self.replicates, self.supported)
