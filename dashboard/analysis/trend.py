r"""Test of growth against a constant: multiple contrasts whose null keeps items and runs.

With y the scores of P runs, S their covariance *under the constant* and g_1 ... g_M monotone
shapes over volume, the statistic is max_m |T_m|, T_m = c_m' y / sqrt(c_m' S c_m), with the
contrast c_m that is best for shape g_m. S holds what runs share (the items, correlated as
observed) and what they do not (run noise; none for the base model). T is compared with the
multivariate t of the contrasts' correlation at the run noise's degrees of freedom, so very small
p-values do not need many replicates.

References
----------
.. [1] Bretz, Pinheiro, Branson, "Combining multiple comparisons and modeling techniques in
   dose-response studies", Biometrics 61 (2005), section 3.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, t

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.noise import CurveNoise
from dashboard.analysis.prepare import FittedRuns
from dashboard.analysis.seed_noise import estimate_decay, run_correlation

_N_DRAWS = 20_000
_ALIKE = 0.995
_SMALLEST = 1e-300


def growth_p_value(
    runs: FittedRuns,
    noise: CurveNoise | None,
    *,
    residual_stddev: float | None = None,
    residual_df: float = np.inf,
) -> float:
    """Return the two-sided p-value of no growth.

    Parameters
    ----------
    runs : FittedRuns
        At least two volumes.
    noise : CurveNoise or None
        Run noise; None tests against item noise alone.
    residual_stddev, residual_df : float
        Scatter around the best curve (log scale for losses), used where there are neither items
        nor standard errors.

    Returns
    -------
    float
        In (0, 1]; 1 where all scores are equal.

    Notes
    -----
    Variances are those at the pooled score, as the null demands, so scores of 0 or 1 at some
    volumes do not make the test exact by accident.
    """
    if np.ptp(runs.score) <= 1e-12:
        return 1.0
    if residual_stddev is not None:
        y = np.log(runs.score) if runs.response is ResponseKind.LOSS else runs.score
        covariance = residual_stddev**2 * run_correlation(runs, estimate_decay(runs))
        df = residual_df
    else:
        y, covariance = _null_covariance(runs, noise)
        df = np.inf if noise is None else noise.df
    if not np.diag(covariance).min() > 0:
        # Scores that differ although nothing is random refute a constant outright.
        return _SMALLEST
    contrasts = _contrasts(runs, covariance)
    spread = contrasts @ covariance @ contrasts.T
    scale = np.sqrt(np.diag(spread))
    statistic = float(np.abs(contrasts @ y / scale).max())
    return _max_t_p_value(statistic, spread / np.outer(scale, scale), df)


def _null_covariance(runs: FittedRuns, noise: CurveNoise | None) -> tuple[FloatArray, FloatArray]:
    """Return scores and their covariance (P, P) if all runs had the pooled score."""
    y = runs.score
    run_variance = np.zeros(len(y))
    if runs.response is ResponseKind.ACCURACY:
        total = runs.denominator.sum()
        pooled = (runs.denominator @ y + 0.5) / (total + 1)
        item_variance = pooled * (1 - pooled) / runs.denominator
        slope = (pooled * (1 - pooled)) ** 2
    elif runs.response is ResponseKind.LOSS:
        y = np.log(y)
        item_variance = _loss_item_variance(runs)
        slope = 1.0
    else:
        item_variance = np.where(np.isfinite(runs.stderr), runs.stderr, 0.0) ** 2
        slope = 1.0
    if noise is not None:
        run_variance = np.where(runs.is_base, 0.0, noise.stddev**2 * slope)
    root = np.sqrt(item_variance)
    covariance = _item_correlation(runs) * np.outer(root, root) + np.diag(run_variance)
    return y, covariance


def _loss_item_variance(runs: FittedRuns) -> FloatArray:
    """Return the variance of log mean loss that items cause, shape (P,)."""
    if runs.items is not None:
        present = np.isfinite(runs.items)
        variance = np.nanvar(runs.items, axis=1, ddof=1) / present.sum(axis=1)
        return np.asarray(variance / runs.score**2)
    return np.where(np.isfinite(runs.stderr), runs.stderr / runs.score, 0.0) ** 2


def _item_correlation(runs: FittedRuns) -> FloatArray:
    """Return correlations (P, P) of runs over shared items; the identity without items."""
    n_runs = len(runs.score)
    if runs.items is None:
        return np.eye(n_runs)
    present = np.isfinite(runs.items)
    count = np.maximum(present.sum(axis=1, keepdims=True), 1)
    mean = np.where(present, runs.items, 0).sum(axis=1, keepdims=True) / count
    centred = np.where(present, runs.items - mean, 0.0)
    norms = np.sqrt((centred**2).sum(axis=1))
    safe = np.where(norms > 0, norms, 1.0)
    correlation = (centred @ centred.T) / np.outer(safe, safe)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation)


def _contrasts(runs: FittedRuns, covariance: FloatArray) -> FloatArray:
    """Return optimal contrasts (M, P) of distinct monotone shapes.

    Weights use a covariance with one shared correlation, which estimates from few items can't
    bend; the variance of the contrast uses the full one.
    """
    n = runs.n
    unit = runs.volumes[runs.volumes > 0].min()
    middle = np.sqrt(unit * runs.volumes.max())
    shapes = [np.log1p(n / unit), n / (n + unit / 2), n / (n + middle), n / runs.volumes.max()]
    kept: list[FloatArray] = []
    for shape in shapes:
        centred = shape - shape.mean()
        size = np.linalg.norm(centred)
        if size <= 1e-9:
            continue
        centred = centred / size
        if all(abs(centred @ other) < _ALIKE for other in kept):
            kept.append(centred)
    variance = np.diag(covariance)
    root = np.sqrt(variance)
    off = ~np.eye(len(n), dtype=bool)
    ratio = (covariance / np.outer(root, root))[off]
    shared = float(np.clip(ratio.mean(), 0.0, 0.95))
    model = shared * np.outer(root, root) + (1 - shared) * np.diag(variance)
    inverse = np.linalg.inv(model)
    ones = inverse.sum(axis=1)
    rows = []
    for shape in kept:
        weighted = inverse @ shape
        rows.append(weighted - ones * (ones @ shape) / ones.sum())
    return np.array(rows)


def _max_t_p_value(statistic: float, correlation: FloatArray, df: float) -> float:
    """Return P(max |T| >= statistic) for a multivariate t with the given correlation."""
    single = 2 * (t.sf(statistic, df) if np.isfinite(df) else norm.sf(statistic))
    bound = min(1.0, len(correlation) * float(single))
    if bound < 1e-3:
        # The Bonferroni bound is nearly exact far in the tail, where simulation has few draws.
        return max(bound, _SMALLEST)
    rng = np.random.default_rng(0)
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0))
    draws = rng.standard_normal((_N_DRAWS, len(correlation))) @ root.T
    if np.isfinite(df):
        draws /= np.sqrt(rng.chisquare(df, size=(_N_DRAWS, 1)) / df)
    exceed = int((np.abs(draws).max(axis=1) >= statistic).sum())
    return min(bound, (1 + exceed) / (1 + _N_DRAWS))
