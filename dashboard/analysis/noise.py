r"""Run-to-run noise of a study, pooled over volumes, abilities and models.

Two runs of one volume that answer the same m items differ because training differs. On the score
scale their variance is s^2 with expectation e + sigma^2 v, where

- e is what items alone cause: the mean square of the item x run interaction over m (a two-way
  layout without replication), the mean squared standard error, or 0 if neither is known;
- sigma is the run standard deviation on the link scale (logit for accuracies, log for losses) and
  v the squared derivative of the inverse link: (p (1 - p))^2, loss^2, or 1.

sigma^2 is estimated by weighted least squares over all volumes with repeated seeds, once for the
study and once for every curve, and the curve's estimate is shrunk towards the study's in
proportion to their degrees of freedom (as limma does for variances [1]_).

The abilities of one run share its training, so their run noise is correlated. Items differ between
abilities, so products of two abilities' deviations d = (score - volume mean) / (sigma sqrt(v)) in
the same run have expectation r (S - 1) / S with S seeds; `run_correlation` averages them.

References
----------
.. [1] Smyth, "Linear models and empirical Bayes methods for assessing differential expression in
   microarray experiments", Stat. Appl. Genet. Mol. Biol. 3 (2004), section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.prepare import FittedRuns
from dashboard.analysis.results import RunNoise

_PASSES = 25
_LEAST_STDDEV = 0.02
"""Run noise below this says nothing about its correlation."""
_LOWER_90 = 1.2816


@dataclass(frozen=True, kw_only=True)
class CurveNoise:
    """Run noise that one curve uses: standard deviation on the link scale and its df."""

    stddev: float
    df: float


@dataclass(frozen=True, kw_only=True)
class _Groups:
    """Repeated runs: variance s2, item part e, slope v and df of each (curve, volume)."""

    curve: np.ndarray
    s2: FloatArray
    e: FloatArray
    v: FloatArray
    df: FloatArray


def pool_run_noise(
    study: str, response: ResponseKind, curves: Sequence[FittedRuns]
) -> tuple[RunNoise | None, list[CurveNoise | None]]:
    """Estimate run noise for all curves of one study and kind of score.

    Parameters
    ----------
    curves : sequence of FittedRuns
        Curves of one study and one `response`.

    Returns
    -------
    RunNoise or None
        The pool; None where no volume has two seeds.
    list of (CurveNoise or None)
        For each curve the shrunken noise; all None without a pool.

    Notes
    -----
    Groups in which every run is all right or all wrong carry no information on the logit scale
    and are left out. A variance estimated below 0 is set to 0.
    """
    groups = _collect(curves)
    if groups.df.size == 0:
        return None, [None] * len(curves)
    pooled = _weighted_variance(groups, np.ones(len(groups.df), dtype=bool))
    share = pooled * groups.v / np.maximum(groups.e + pooled * groups.v, 1e-300)
    raw = np.zeros(len(curves))
    effective = np.zeros(len(curves))
    own = np.full(len(curves), pooled)
    for index in range(len(curves)):
        mask = groups.curve == index
        if mask.any():
            raw[index] = groups.df[mask].sum()
            effective[index] = (groups.df[mask] * share[mask] ** 2).sum()
            own[index] = _weighted_variance(groups, mask, pooled=pooled)
    total = float(raw.sum())
    prior = _prior_df(own, pooled, effective)
    noises: list[CurveNoise | None] = []
    for index in range(len(curves)):
        if np.isinf(prior):
            variance = pooled
        else:
            variance = (prior * pooled + effective[index] * own[index]) / (prior + effective[index])
        df = min(prior + raw[index], total)
        noises.append(CurveNoise(stddev=float(np.sqrt(max(variance, 0.0))), df=float(df)))
    pool = RunNoise(
        study=study,
        response=response,
        stddev=float(np.sqrt(pooled)),
        df=total,
        prior_df=float(prior),
    )
    return pool, noises


def run_correlation(
    curves: Sequence[FittedRuns],
    noises: Sequence[CurveNoise | None],
    cells: Sequence[Sequence[str]],
) -> float:
    """Estimate the correlation of run noise between abilities scored on the same runs.

    Parameters
    ----------
    curves : sequence of FittedRuns
        Curves of one study and one `response`.
    noises : sequence of (CurveNoise or None)
        Their run noise.
    cells : sequence of sequence of str
        Which run each fitted run is, length P for each curve: runs with equal names share training.

    Returns
    -------
    float
        In [0, 0.95]: the estimate's lower 90% bound, since one that is too large by chance makes
        differences between abilities look surer than they are. 0 where no run with a sibling seed
        is scored on two abilities.
    """
    deviations: dict[str, list[float]] = {}
    share: dict[str, float] = {}
    for runs, noise, names in zip(curves, noises, cells, strict=True):
        if noise is None or noise.stddev < _LEAST_STDDEV:
            continue
        for volume in range(len(runs.volumes)):
            members = np.flatnonzero((runs.group == volume) & ~runs.is_base)
            slope = _squared_slope(runs.response, runs.score[members]) if len(members) else 0.0
            if len(members) < 2 or slope <= 0:
                continue
            scaled = (runs.score[members] - runs.score[members].mean()) / (
                noise.stddev * np.sqrt(slope)
            )
            for index, value in zip(members.tolist(), scaled.tolist(), strict=True):
                deviations.setdefault(names[index], []).append(value)
                share[names[index]] = 1 - 1 / len(members)
    sums = np.array([sum(values) for values in deviations.values()])
    squares = np.array([sum(value**2 for value in values) for values in deviations.values()])
    sizes = np.array([len(values) for values in deviations.values()])
    products = (sums**2 - squares) / 2
    pairs = np.array([share[cell] for cell in deviations]) * sizes * (sizes - 1) / 2
    if not pairs.any():
        return 0.0
    estimate = float(products.sum() / pairs.sum())
    stderr = float(np.sqrt(((products - estimate * pairs) ** 2).sum()) / pairs.sum())
    return float(np.clip(estimate - _LOWER_90 * stderr, 0.0, 0.95))


def _collect(curves: Sequence[FittedRuns]) -> _Groups:
    """Return the repeated runs of all curves."""
    rows: list[tuple[int, float, float, float, float]] = []
    for index, runs in enumerate(curves):
        for volume in range(len(runs.volumes)):
            members = np.flatnonzero((runs.group == volume) & ~runs.is_base)
            if len(members) < 2:
                continue
            score = runs.score[members]
            mean = float(score.mean())
            slope = _squared_slope(runs.response, score)
            if slope <= 0:
                continue
            rows.append(
                (
                    index,
                    float(score.var(ddof=1)),
                    _item_part(runs, members, mean),
                    slope,
                    len(members) - 1.0,
                )
            )
    table = np.array(rows, dtype=float).reshape(-1, 5)
    return _Groups(
        curve=table[:, 0].astype(int), s2=table[:, 1], e=table[:, 2], v=table[:, 3], df=table[:, 4]
    )


def _squared_slope(response: ResponseKind, score: FloatArray) -> float:
    """Return the squared derivative of the inverse link at the mean of the runs."""
    mean = float(score.mean())
    if response is ResponseKind.ACCURACY:
        return (mean * (1 - mean)) ** 2
    return mean**2 if response is ResponseKind.LOSS else 1.0


def _item_part(runs: FittedRuns, members: np.ndarray, mean: float) -> float:
    """Return the variance between runs that items alone cause."""
    if runs.items is not None:
        scores = runs.items[members]
        scores = scores[:, np.isfinite(scores).all(axis=0)]
        n_items = scores.shape[1]
        if n_items > 1:
            rest = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
            mean_square = (rest**2).sum() / ((len(members) - 1) * (n_items - 1))
            return float(mean_square / n_items)
    stderr = runs.stderr[members]
    if np.isfinite(stderr).all():
        return float((stderr**2).mean())
    if runs.response is ResponseKind.ACCURACY and runs.weight_known:
        return float(mean * (1 - mean) / runs.denominator[members].mean())
    return 0.0


def _weighted_variance(groups: _Groups, mask: np.ndarray, pooled: float | None = None) -> float:
    """Return sigma^2 by least squares of s^2 - e on v, weighted by 1 / Var(s^2).

    With `pooled`, weights use that variance and the result may be negative (it is shrunk later);
    without, weights are iterated and the result is floored at 0.
    """
    s2, e, v, df = groups.s2[mask], groups.e[mask], groups.v[mask], groups.df[mask]

    def estimate(sigma2: float) -> float:
        expected = np.maximum(e + sigma2 * v, 1e-12 * v)
        weight = df / expected**2
        return float((weight * v * (s2 - e)).sum() / (weight * v**2).sum())

    if pooled is not None:
        return estimate(max(pooled, 1e-8))
    sigma2 = max(float((df * (s2 - e)).sum() / (df * v).sum()), 1e-4)
    for _ in range(_PASSES):
        new = max(estimate(sigma2), 0.0)
        if abs(new - sigma2) <= 1e-6 * (sigma2 + 1e-8):
            break
        # Halving keeps the iteration from jumping between two weightings.
        sigma2 = 0.5 * (sigma2 + new)
    return max(estimate(sigma2), 0.0)


def _prior_df(own: FloatArray, pooled: float, effective: FloatArray) -> float:
    """Return the df that make the pool's weight match how much curves differ.

    If curves' true variances follow a scaled inverse chi-square with d0 degrees of freedom, the
    squared relative deviations of their estimates exceed their sampling variance 2 / d by about
    2 / d0.
    """
    use = effective > 0.1
    if pooled <= 0 or use.sum() < 3:
        return float("inf")
    d = effective[use]
    weight = d**2
    excess = float((weight * ((own[use] / pooled - 1) ** 2 - 2 / d)).sum() / weight.sum())
    # Few curves often look unlike by chance, and a wrongly small prior only widens intervals at
    # random, so one standard error (from the fourth moment of chi-square) is taken off.
    stderr = float(np.sqrt((weight**2 * (4 / d**2) * (2 + 12 / d)).sum()) / weight.sum())
    excess -= stderr
    return 2 / excess if excess > 1e-3 else float("inf")
