"""Expected scores of every ability where transfer between abilities is identified."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dashboard.analysis.budget.exchange import IntArray, interpolate
from dashboard.analysis.budget.surface import Pieces, SourceSurface
from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.effective.model import EffectiveModel
from dashboard.analysis.results import IntervalKind

_N_AVERAGED = 32
"""Replicates over which plans are compared while one is chosen."""


@dataclass(frozen=True, kw_only=True)
class TransferSurface:
    """Scores of an `EffectiveModel`: one growth curve per ability over effective examples.

    Attributes
    ----------
    limits : tuple of float
        Range of the goodness.
    rows : ndarray of int, or None
        Replicates over which `scores` averages; None for the estimates.
    supported : ndarray, shape (A, S)
        Largest volume of each ability and source that a run trained on.
    """

    model: EffectiveModel
    base_model: str
    sign: float
    supported: FloatArray
    df: float
    kind: IntervalKind
    limits: tuple[float, float] = (-np.inf, np.inf)
    rows: IntArray | None = None

    @property
    def abilities(self) -> tuple[str, ...]:
        """Abilities, trained and scored."""
        return self.model.abilities

    @property
    def sources(self) -> tuple[str, ...]:
        """Data sources."""
        return self.model.sources

    @property
    def n_replicates(self) -> int:
        """Number of replicates."""
        return int(self.model.curve_replicates.shape[-1])

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the numbers take for granted."""
        return (
            "Effective examples add up over sources and abilities, at rates that do not depend on "
            "the volume; transfer is estimated from the runs whose composition varies.",
        )

    def scores(self, n: FloatArray) -> FloatArray:
        """Return goodness (..., A) of plans n (..., A, S)."""
        model = self.model
        if self.rows is None:
            return self._curves(
                model.curve[..., None], model.rho[..., None], model.tau[..., None], n
            )[..., 0]
        found = self._curves(
            model.curve_replicates[..., self.rows],
            model.rho_replicates[..., self.rows],
            model.tau_replicates[..., self.rows],
            n,
        )
        return np.asarray(found.mean(axis=-1))

    def replicate_scores(self, n: FloatArray, rows: IntArray) -> FloatArray:
        """Return goodness (A, len(rows)) of one plan in some replicates."""
        model = self.model
        return self._curves(
            model.curve_replicates[..., rows],
            model.rho_replicates[..., rows],
            model.tau_replicates[..., rows],
            n,
        )

    def averaged(self, rows: IntArray) -> TransferSurface:
        """Return the surface whose scores are means over some replicates.

        Scores are not linear in the worths, so every replicate costs; evenly spaced ones do.
        """
        return replace(self, rows=rows[:: max(1, len(rows) // _N_AVERAGED)])

    def resampled(self, row: int) -> TransferSurface:
        """Return the surface of one replicate."""
        model = self.model
        return replace(
            self,
            model=replace(
                model,
                curve=model.curve_replicates[..., row],
                rho=model.rho_replicates[..., row],
                tau=model.tau_replicates[..., row],
            ),
            rows=None,
        )

    def pieces(self) -> Pieces:
        """Return the plug-in surface as piecewise-linear parts."""
        model, n_abilities = self.model, len(self.abilities)
        limit = np.minimum(model.n_grid[None], model.supported_max[:, None])
        ladder = [
            interpolate(np.log1p(model.n_grid), curve, (), np.log1p(at))
            for curve, at in zip(self.sign * model.curve, limit, strict=True)
        ]
        shape = (n_abilities, len(self.sources), len(model.n_grid))
        return Pieces(
            n=model.n_grid,
            ladder=np.array(ladder),
            worth=np.broadcast_to(model.n_grid, shape),
            extra=np.zeros(shape),
            weight=np.einsum("ba,as->abs", model.tau, model.rho),
        )

    def _curves(
        self, curve: FloatArray, rho: FloatArray, tau: FloatArray, n: FloatArray
    ) -> FloatArray:
        """Return goodness (..., A, R) from curves (A, G, R), rho (A, S, R), tau (A, A, R)."""
        n_abilities, n_rows = len(self.abilities), rho.shape[2]
        # One matrix product for all plans: examples (plans, b s) times worths (b s, a r).
        worth = np.einsum("bar,asr->bsar", tau, rho).reshape(-1, n_abilities * n_rows)
        x = (n.reshape(-1, worth.shape[0]) @ worth).reshape(*n.shape[:-2], n_abilities, n_rows)
        x = np.minimum(x, self.model.supported_max[:, None])
        a, r = np.ogrid[: curve.shape[0], : curve.shape[2]]
        by_replicate = np.moveaxis(curve, 1, 2)
        found = interpolate(np.log1p(self.model.n_grid), by_replicate, (a, r), np.log1p(x))
        return np.asarray(np.clip(self.sign * found, *self.limits))


GrowthSurface = SourceSurface | TransferSurface
"""What a budget is planned on."""
