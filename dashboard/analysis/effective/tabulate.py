"""The compact model: curves and worths tabulated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.analysis.curve_data import ResponseKind
from dashboard.analysis.effective.gather import FittedTarget
from dashboard.analysis.effective.model import EffectiveModel
from dashboard.analysis.effective.results import WorthStatus

_GRID_POINTS = 60
_BEYOND = 4.0
"""The model's curves reach this multiple of the largest effective volume seen."""


def tabulate(
    found: Sequence[FittedTarget],
    sources: Sequence[str],
    labelled: Sequence[str],
    reference: str,
    n_replicates: int,
) -> EffectiveModel | None:
    """Tabulate the fits over the sources whose examples are sorted by ability.

    None where the reference is not among them: a budget by ability can't buy unlabelled examples.
    """
    if reference not in labelled:
        return None
    kept = [sources.index(source) for source in labelled]
    abilities = tuple(one.draws.target.ability for one in found)
    n_a, n_s, n_kept = len(abilities), len(sources), len(kept)
    supported = np.zeros(n_a)
    rho, tau = np.ones((n_a, n_kept)), np.eye(n_a)
    rho_b = np.ones((n_a, n_kept, n_replicates))
    tau_b = np.repeat(np.eye(n_a)[:, :, None], n_replicates, axis=2)
    identified = False
    for a, one in enumerate(found):
        if one.fit is None or one.runs is None:
            continue
        fit, data = one.fit, one.runs.data
        worths = fit.u[len(fit.shape.lower) :]
        supported[a] = data.effective(worths[:, None]).max()
        rho[a], rho_b[a] = np.exp(worths[kept]), np.exp(fit.worths[kept])
        for k, source in enumerate(one.others):
            if source in abilities:
                s = abilities.index(source)
                tau[s, a] = max(worths[n_s + k], 0.0)
                tau_b[s, a] = np.maximum(fit.worths[n_s + k], 0.0)
                identified |= fit.status[n_s + k] in (WorthStatus.OK, WorthStatus.OPEN_ABOVE)
    units = [one.runs.data.n_unit for one in found if one.runs is not None]
    top = _BEYOND * max(float(supported.max()), 1.0)
    grid = np.concatenate([[0.0], np.geomspace(min(units) / 4, top, _GRID_POINTS)])
    curve, curve_b = np.empty((n_a, len(grid))), np.empty((n_a, len(grid), n_replicates))
    for a, one in enumerate(found):
        if one.fit is None:
            scores = one.draws.score
            curve[a] = np.nanmean(scores) if np.isfinite(scores).any() else np.nan
            curve_b[a] = curve[a][:, None]
            continue
        curve[a], curve_b[a] = one.fit.curve(grid), one.fit.curve_replicates(grid)
        if one.draws.response is ResponseKind.LOSS:
            curve[a], curve_b[a] = np.exp(curve[a]), np.exp(curve_b[a])
    return EffectiveModel(
        abilities=abilities,
        sources=tuple(labelled),
        reference=reference,
        n_grid=grid,
        curve=curve,
        curve_replicates=curve_b,
        rho=rho,
        rho_replicates=rho_b,
        tau=tau,
        tau_replicates=tau_b,
        tau_identified=identified,
        supported_max=supported,
    )
