r"""Noise that one seed carries from volume to volume, for scores without items or errors.

Runs of one seed share what they were drawn from: subsets are nested, and a held-out split may go
with the seed. Their luck is then alike at neighbouring volumes, and a curve through many volumes
does not average it away. With d the deviations of runs from their volume's mean on the link scale,
correlation is taken to fall with the ratio of volumes,

    corr(d_1, d_2) = exp(-decay |log n_1 - log n_2|) = min(n_1 / n_2, n_2 / n_1)^decay,

and the decay is estimated by least squares over all pairs of volumes that share two seeds or more.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.prepare import FittedRuns

_DECAYS = np.geomspace(0.05, 20.0, 60)
_CRITICAL = 1.645


def estimate_decay(runs: FittedRuns) -> float:
    """Return the decay of run noise over log volume; infinite where runs look independent.

    Notes
    -----
    Neighbouring volumes must correlate by more than 1.64 standard errors, so that few seeds do not
    invent a correlation.
    """
    pairs = _pairs(runs)
    if not pairs:
        return np.inf
    lag, product, square, df, neighbours = np.array(pairs).T
    near = neighbours > 0
    correlation = product[near].sum() / max(square[near].sum(), 1e-300)
    if correlation <= _CRITICAL / np.sqrt(df[near].sum()):
        return np.inf
    errors = [((product - square * np.exp(-decay * lag)) ** 2).sum() for decay in _DECAYS]
    return float(_DECAYS[int(np.argmin(errors))])


def run_correlation(runs: FittedRuns, decay: float) -> FloatArray:
    """Return correlations (P, P) of the runs' noise: the identity for an infinite decay."""
    if not np.isfinite(decay):
        return np.eye(len(runs.n))
    position = np.log(np.maximum(runs.n, 1.0))
    seed = np.array([-1 if value is None else value for value in runs.seed])
    alike = (seed[:, None] == seed) & (seed >= 0) & (runs.n[:, None] > 0) & (runs.n > 0)
    correlation = np.where(alike, np.exp(-decay * np.abs(position[:, None] - position)), 0.0)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation)


def correlate(runs: FittedRuns, decay: float, noise: FloatArray) -> FloatArray:
    """Return independent noise, shape (P, B), with the correlation that seeds carry."""
    values, vectors = np.linalg.eigh(run_correlation(runs, decay))
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ noise)


def _pairs(runs: FittedRuns) -> list[tuple[float, float, float, float, float]]:
    """Return lag, product, mean square, df and neighbourhood of volumes that share seeds."""
    link = _link(runs)
    volumes: list[tuple[float, dict[int, float]]] = []
    for index, n in enumerate(runs.volumes):
        members = np.flatnonzero(runs.group == index)
        by_seed = {
            seed: float(link[i]) for i in members if (seed := runs.seed[i]) is not None and n > 0
        }
        # A seed with two runs at one volume does not name a run.
        if len(by_seed) == len(members) > 1:
            volumes.append((float(n), by_seed))
    found: list[tuple[float, float, float, float, float]] = []
    for first, (n_low, low) in enumerate(volumes):
        for second in range(first + 1, len(volumes)):
            n_high, high = volumes[second]
            shared = sorted(set(low) & set(high))
            if len(shared) < 2:
                continue
            d_low = np.array([low[seed] for seed in shared])
            d_high = np.array([high[seed] for seed in shared])
            d_low, d_high = d_low - d_low.mean(), d_high - d_high.mean()
            square = 0.5 * float((d_low**2).sum() + (d_high**2).sum())
            found.append(
                (
                    float(np.log(n_high / n_low)),
                    float(d_low @ d_high),
                    square,
                    len(shared) - 1.0,
                    float(second == first + 1),
                )
            )
    return found


def _link(runs: FittedRuns) -> FloatArray:
    """Return scores on the link scale, shape (P,)."""
    if runs.response is ResponseKind.ACCURACY:
        return np.asarray(logit(np.clip(runs.score, 0.005, 0.995)))
    return np.log(runs.score) if runs.response is ResponseKind.LOSS else runs.score
