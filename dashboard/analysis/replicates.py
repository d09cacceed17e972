r"""Bootstrap replicates of a curve's scores: resampled items plus run-level noise.

Items are drawn once for all runs of an ability (errors of shared items are shared), so a replicate
score is y* = sum_j c_j x_j / sum_j c_j with multinomial counts c. Run noise is added on the link
scale: logit y** = logit y* + sigma z for accuracies, log for losses. The base model is one
evaluation of a fixed model: items, but no run noise.

From eight seeds on, seeds are resampled as clusters instead: a replicate draws whole seeds with
replacement, the same ones for every volume and ability of a base model and source, so what one
training draw does to several volumes stays together. Deviations from the volume's mean are
stretched by sqrt(S / (S - 1)), which a bootstrap of S clusters lacks.

At 0 and 1 the bootstrap knows no variance, so such scores are drawn from the Jeffreys posterior
Beta(right + 1/2, wrong + 1/2) instead; 0 of m items right then has an upper 97.5% bound of about
2.5 / m.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm, t

from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.noise import CurveNoise
from dashboard.analysis.prepare import FittedRuns
from dashboard.analysis.results import Interval, IntervalKind
from dashboard.analysis.settings import FitSettings

CLUSTER_SEEDS = 8
"""Seeds from which on they are resampled as clusters; a bootstrap of fewer is too narrow."""


@dataclass(frozen=True, kw_only=True)
class ItemDraws:
    """One draw of items for all curves of an ability: counts of shape (m, B) by item name."""

    counts: np.ndarray
    position: dict[str, int]

    def rows(self, names: tuple[str, ...]) -> np.ndarray:
        """Return counts, shape (len(names), B), of the named items."""
        return self.counts[[self.position[name] for name in names]]


def item_names(runs: FittedRuns) -> tuple[str, ...]:
    """Return the names of a curve's items; positions where the data gives none."""
    assert runs.items is not None  # only called for curves with items
    if runs.data.item_ids is not None:
        return runs.data.item_ids
    return tuple(str(index) for index in range(runs.items.shape[1]))


def draw_items(names: list[str], n_replicates: int, seed: int, comparison: str) -> ItemDraws:
    """Draw items with replacement, the same for every curve of `comparison`.

    The draw depends on the settings' seed and the comparison's name only, so that fitting a
    subset of a study gives the same numbers.
    """
    rng = np.random.default_rng([seed, zlib.crc32(comparison.encode())])
    m = len(names)
    drawn = rng.integers(m, size=(n_replicates, m))
    drawn += np.arange(n_replicates)[:, None] * m
    counts = np.bincount(drawn.ravel(), minlength=n_replicates * m).reshape(n_replicates, m)
    return ItemDraws(
        counts=counts.T.astype(np.float32),
        position={name: index for index, name in enumerate(names)},
    )


def noise_kind(runs: FittedRuns, noise: CurveNoise | None) -> IntervalKind:
    """Say which noise a curve's replicates will hold."""
    if runs.items is not None:
        return IntervalKind.ITEMS_ONLY if noise is None else IntervalKind.ITEMS_AND_RUNS
    if runs.weight_known or _has_stderr(runs):
        return IntervalKind.STDERR_ONLY if noise is None else IntervalKind.STDERR_AND_RUNS
    return IntervalKind.RESIDUAL


@dataclass(frozen=True, kw_only=True)
class SeedDraws:
    """Which run stands in for which: indices of shape (P, B), and the number of seeds.

    `df` counts the curve's own repeated runs: clusters lean on no pool.
    """

    rows: NDArray[np.intp]
    n_seeds: int
    df: float


def draw_seeds(
    runs: FittedRuns, seeds: Sequence[int | None], settings: FitSettings
) -> SeedDraws | None:
    """Draw seeds with replacement, or return None where they are few or differ between volumes.

    `seeds` are those of the runs, length P. The draw depends on the study, base model and data
    source only, so that the abilities of one run stay together.
    """
    trained = np.flatnonzero(~runs.is_base)
    seed = np.array([-1 if value is None else value for value in seeds])
    order = trained[np.lexsort((seed[trained], runs.group[trained]))]
    volumes, counts = np.unique(runs.group[order], return_counts=True)
    n_seeds = int(counts[0]) if counts.size else 0
    if n_seeds < CLUSTER_SEEDS or (counts != n_seeds).any():
        return None
    table = order.reshape(len(volumes), n_seeds)
    if (seed[table] != seed[table[0]]).any() or len(set(seed[table[0]])) < n_seeds:
        return None
    data = runs.data
    name = "\x1f".join((data.study, data.base_model, data.data_source, "seeds"))
    rng = np.random.default_rng([settings.seed, zlib.crc32(name.encode())])
    drawn = rng.integers(n_seeds, size=(n_seeds, settings.n_replicates))
    rows = np.repeat(np.arange(len(runs.score))[:, None], settings.n_replicates, axis=1)
    for members in table:
        rows[members] = members[drawn]
    return SeedDraws(rows=rows, n_seeds=n_seeds, df=float(len(table) * (n_seeds - 1)))


def draw_scores(
    runs: FittedRuns,
    noise: CurveNoise | None,
    draws: ItemDraws | None,
    rng: np.random.Generator,
    n_replicates: int,
    *,
    base_rng: np.random.Generator | None = None,
    seeds: SeedDraws | None = None,
    run_luck: FloatArray | None = None,
) -> FloatArray:
    """Return replicate scores, shape (P, B), for curves with items or standard errors.

    Parameters
    ----------
    base_rng : Generator, optional
        Draws what the base model's evaluation needs beyond items, the same for every source.
    seeds : SeedDraws, optional
        Resamples whole seeds in the place of added run noise.
    run_luck : ndarray, shape (P, B), optional
        Standard normal draws of run noise, correlated with those of other abilities; independent
        ones if omitted.

    Raises
    ------
    ValueError
        If the curve has neither: its noise comes from residuals (`draw_residual_scores`).
    """
    shape = (len(runs.score), n_replicates)
    base_rng = base_rng or rng
    if runs.items is not None and draws is not None:
        scores = _resample_items(runs, draws, rng, base_rng)
    elif runs.weight_known or _has_stderr(runs):
        luck = rng.standard_normal(shape)
        luck[runs.is_base] = base_rng.standard_normal((int(runs.is_base.sum()), n_replicates))
        link = _to_link(runs, runs.score)[:, None] + link_stderr(runs)[:, None] * luck
        scores = _to_score(runs, link)
    else:
        raise ValueError("a curve without items and standard errors has residual noise only")
    if seeds is not None:
        return _resample_seeds(runs, scores, seeds)
    if noise is None or noise.stddev == 0:
        return scores
    luck = rng.standard_normal(shape) if run_luck is None else run_luck
    run_noise = noise.stddev * luck
    run_noise[runs.is_base] = 0
    noisy = _to_score(runs, _to_link(runs, scores) + run_noise)
    return np.where(runs.is_base[:, None], scores, noisy)


def draw_residual_scores(
    runs: FittedRuns, fitted: FloatArray, stddev: float, rng: np.random.Generator, n_replicates: int
) -> FloatArray:
    """Return fitted values, shape (P,), plus residual noise: on the log for losses."""
    noise = stddev * rng.standard_normal((len(fitted), n_replicates))
    if runs.response is ResponseKind.LOSS:
        return fitted[:, None] * np.exp(noise)
    scores = fitted[:, None] + noise
    return np.clip(scores, 0, 1) if runs.response is ResponseKind.ACCURACY else scores


def link_stderr(runs: FittedRuns) -> FloatArray:
    """Return standard errors on the link scale, shape (P,), from stderr or binomial counts."""
    stderr = np.array(runs.stderr)
    if runs.response is ResponseKind.ACCURACY:
        p = np.clip(runs.score, 0.5 / runs.denominator, 1 - 0.5 / runs.denominator)
        binomial = np.sqrt(p * (1 - p) / runs.denominator)
        stderr = np.where(np.isfinite(stderr) & (stderr > 0), stderr, binomial)
        return stderr / (p * (1 - p))
    stderr = np.where(np.isfinite(stderr), stderr, 0.0)
    return stderr / runs.score if runs.response is ResponseKind.LOSS else stderr


def stretched_interval(
    estimate: float,
    replicates: FloatArray,
    level: float,
    df: float,
    kind: IntervalKind,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """Return the percentile interval, stretched about the estimate for `df`, within `limits`.

    Each bound is estimate + r (quantile - estimate) with r the ratio of the t quantile at `df` to
    the normal one. The estimate always lies inside.
    """
    tail = (1 - level) / 2
    low, high = stretched_quantiles(estimate, replicates, (tail, 1 - tail), df)
    return Interval(
        estimate=float(estimate),
        low=float(min(max(low, limits[0]), estimate)),
        high=float(max(min(high, limits[1]), estimate)),
        level=level,
        kind=kind,
    )


def stretched_quantiles(
    estimate: float, replicates: FloatArray, probabilities: tuple[float, ...], df: float
) -> list[float]:
    """Return quantiles of the replicates, stretched about the estimate for `df`."""
    quantiles = np.quantile(replicates, probabilities)
    return [
        float(estimate + t_ratio(df, probability) * (quantile - estimate))
        for probability, quantile in zip(probabilities, quantiles, strict=True)
    ]


@lru_cache(maxsize=4096)
def t_ratio(df: float, probability: float) -> float:
    """Return the t quantile at `df` over the normal one (1 for infinite df)."""
    if not np.isfinite(df):
        return 1.0
    df = max(df, 1.0)
    return float(t.ppf(probability, df) / norm.ppf(probability))


def _has_stderr(runs: FittedRuns) -> bool:
    return bool(np.isfinite(runs.stderr).all() and (runs.stderr > 0).any())


def _to_link(runs: FittedRuns, scores: FloatArray) -> FloatArray:
    """Return logit, log or identity of scores, shape (P,) or (P, B)."""
    if runs.response is ResponseKind.ACCURACY:
        edge = 0.5 / (runs.denominator + 1)
        edge = edge if scores.ndim == 1 else edge[:, None]
        return np.asarray(logit(np.clip(scores, edge, 1 - edge)))
    return np.log(scores) if runs.response is ResponseKind.LOSS else np.asarray(scores)


def _to_score(runs: FittedRuns, link: FloatArray) -> FloatArray:
    """Invert `_to_link`."""
    if runs.response is ResponseKind.ACCURACY:
        return np.asarray(expit(link))
    return np.exp(link) if runs.response is ResponseKind.LOSS else link


def _resample_seeds(runs: FittedRuns, scores: FloatArray, seeds: SeedDraws) -> FloatArray:
    """Return scores (P, B) of drawn seeds, stretched about each volume's mean on the link scale."""
    link = _to_link(runs, scores)
    size = np.bincount(runs.group)[:, None]
    mean = np.zeros((len(runs.volumes), scores.shape[1]))
    np.add.at(mean, runs.group, link)
    mean = (mean / size)[runs.group]
    stretch = np.sqrt(seeds.n_seeds / (seeds.n_seeds - 1))
    drawn = mean + stretch * (np.take_along_axis(link, seeds.rows, axis=0) - mean)
    return np.where(runs.is_base[:, None], scores, _to_score(runs, drawn))


def _resample_items(
    runs: FittedRuns, draws: ItemDraws, rng: np.random.Generator, base_rng: np.random.Generator
) -> FloatArray:
    """Return item-bootstrap means, shape (P, B)."""
    assert runs.items is not None
    counts = draws.rows(item_names(runs))
    present = np.isfinite(runs.items)
    filled = np.where(present, runs.items, 0).astype(np.float32)
    total = filled @ counts
    if present.all():
        # Counts over a curve that lacks some of the ability's items do not sum to their number.
        size = np.broadcast_to(counts.sum(axis=0), total.shape)
    else:
        size = present.astype(np.float32) @ counts
    scores = np.asarray(total / np.maximum(size, 1), dtype=np.float64)
    scores = np.where(size > 0, scores, runs.score[:, None])
    if runs.response is ResponseKind.ACCURACY:
        for index in np.flatnonzero((runs.score <= 0) | (runs.score >= 1)):
            right = runs.score[index] * runs.denominator[index]
            source = base_rng if runs.is_base[index] else rng
            scores[index] = source.beta(
                right + 0.5, runs.denominator[index] - right + 0.5, size=scores.shape[1]
            )
        return np.clip(scores, 0, 1)
    return scores
