"""What effective data knows, in the compact form that a budget needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dashboard.analysis.curve_data import FloatArray
from warehouse.errors import InputError


@dataclass(frozen=True, kw_only=True)
class EffectiveModel:
    r"""Scores as functions of a composition: score_a = g_a(n_eff(a)).

    .. math:: n_\mathrm{eff}(a) = \sum_{c, s} \rho_{a,c} \, \tau_{s \to a} \, n_{c,s}

    with c a data source and s the ability that the examples are of.

    Attributes
    ----------
    abilities : tuple of str, length A
        Target abilities, which are also the abilities of the training data.
    sources : tuple of str, length S
        Data sources.
    reference : str
        The source whose examples count as one each.
    n_grid : ndarray, shape (G,), count, ascending from 0
        Effective volumes at which the curves are tabulated.
    curve : ndarray, shape (A, G)
        Score at each effective volume.
    curve_replicates : ndarray, shape (A, G, B)
    rho : ndarray, shape (A, S), >= 0
        Effective examples that one example of a source is worth; 1 for the reference.
    rho_replicates : ndarray, shape (A, S, B)
    tau : ndarray, shape (A, A), >= 0
        tau[s, a]: effective examples of target a that one example of s is worth. The diagonal is
        1; the identity where transfer is not identified.
    tau_replicates : ndarray, shape (A, A, B)
    tau_identified : bool
        Whether `tau` was estimated.
    supported_max : ndarray, shape (A,), count
        Largest effective volume of any observed run; beyond it the curves are extrapolated.

    Raises
    ------
    InputError
        If shapes disagree, the grid does not ascend from 0, or the reference is no source.

    Notes
    -----
    Curves are interpolated linearly in log(1 + n); beyond the grid they keep its last value.
    Replicate b of curves, rho and tau belong together: they come from one draw of items and runs.
    """

    abilities: tuple[str, ...]
    sources: tuple[str, ...]
    reference: str
    n_grid: FloatArray
    curve: FloatArray
    curve_replicates: FloatArray
    rho: FloatArray
    rho_replicates: FloatArray
    tau: FloatArray
    tau_replicates: FloatArray
    tau_identified: bool
    supported_max: FloatArray

    def __post_init__(self) -> None:
        """Refuse shapes that disagree."""
        n_abilities, n_sources = len(self.abilities), len(self.sources)
        n_grid, n_replicates = len(self.n_grid), np.shape(self.curve_replicates)[-1]
        expected = {
            "curve": (n_abilities, n_grid),
            "curve_replicates": (n_abilities, n_grid, n_replicates),
            "rho": (n_abilities, n_sources),
            "rho_replicates": (n_abilities, n_sources, n_replicates),
            "tau": (n_abilities, n_abilities),
            "tau_replicates": (n_abilities, n_abilities, n_replicates),
            "supported_max": (n_abilities,),
        }
        for name, shape in expected.items():
            if np.shape(getattr(self, name)) != shape:
                raise InputError(
                    f"effective model: {name} has shape {np.shape(getattr(self, name))}, "
                    f"not {shape}."
                )
        if n_grid < 2 or self.n_grid[0] != 0 or (np.diff(self.n_grid) <= 0).any():
            raise InputError("effective model: n_grid must ascend from 0 and hold two volumes.")
        if self.reference not in self.sources:
            raise InputError(
                f"effective model: reference {self.reference!r} is none of the sources "
                f"{', '.join(self.sources)}."
            )

    def effective_examples(self, n: FloatArray) -> FloatArray:
        """Return n_eff, shape (A,), of a composition `n`, shape (S, A) examples."""
        return np.asarray(((self.rho @ n) * self.tau.T).sum(axis=1))

    def scores(self, n: FloatArray) -> FloatArray:
        """Return expected scores, shape (A,), of a composition.

        Parameters
        ----------
        n : ndarray, shape (S, A), count >= 0
            Examples of each source and ability, in the order of `sources` and `abilities`.
        """
        x = np.log1p(self.effective_examples(n))
        grid = np.log1p(self.n_grid)
        return np.array(
            [np.interp(value, grid, curve) for value, curve in zip(x, self.curve, strict=True)]
        )

    def replicate_scores(self, n: FloatArray) -> FloatArray:
        """Return replicate scores, shape (A, B), of a composition `n`, shape (S, A) examples."""
        # worth[a, s, b]: examples of ability s, in reference examples for target a.
        worth = np.einsum("acb,cs->asb", self.rho_replicates, n)
        x = np.log1p((worth * self.tau_replicates.transpose(1, 0, 2)).sum(axis=1))
        grid = np.log1p(self.n_grid)
        last = len(grid) - 2
        left = np.clip(np.searchsorted(grid, x, side="right") - 1, 0, last)
        share = np.clip((x - grid[left]) / (grid[left + 1] - grid[left]), 0, 1)
        row, column = np.ogrid[: x.shape[0], : x.shape[1]]
        low = self.curve_replicates[row, left, column]
        high = self.curve_replicates[row, left + 1, column]
        return np.asarray(low + share * (high - low))
