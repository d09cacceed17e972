"""Replicate scores of a run table: shared items, pooled run noise, and means over targets."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dashboard.analysis.curve_data import CurveData, FloatArray, ResponseKind
from dashboard.analysis.noise import CurveNoise, pool_run_noise
from dashboard.analysis.prepare import FittedRuns, Prepared, prepare_curve
from dashboard.analysis.replicates import draw_items, draw_scores, item_names, noise_kind
from dashboard.analysis.results import IntervalKind
from dashboard.analysis.run_table import RunTable, Target
from dashboard.analysis.settings import FitSettings

_MOST_STRAIGHTENING = 1.2
"""Run noise is widened to what was estimated by at most this factor."""


@dataclass(frozen=True, kw_only=True)
class TargetDraws:
    """Replicates of one target's scores.

    Attributes
    ----------
    target : Target
    response : ResponseKind
    is_base : ndarray of bool, shape (n_runs,)
    score : ndarray, shape (n_runs,)
        As observed; NaN for runs that can't be used.
    replicates : ndarray, shape (n_runs, B)
        Items resampled, the same draw for all runs, and run noise added; NaN likewise.
    items_only : ndarray, shape (n_runs, B)
        The same without run noise.
    run_stddev : float or None
        Run noise on the link scale (of a macro mean: on the score scale); None with one seed
        everywhere.
    df : float
        Degrees of freedom of the run variance, which loses some to the items' part that is taken
        off (`df_of` gives those of a difference); infinite where unknown.
    n_items : float
        Test items behind a score (the median over runs); infinite where unknown.
    kind : IntervalKind
        What intervals made of the replicates cover.
    reason : str or None
        Why there are no replicates.
    """

    target: Target
    response: ResponseKind
    is_base: NDArray[np.bool_]
    score: FloatArray
    replicates: FloatArray
    items_only: FloatArray
    run_stddev: float | None
    df: float
    n_items: float
    kind: IntervalKind
    reason: str | None = None

    @property
    def sign(self) -> float:
        """1 where higher is better, else -1: effects are positive when they improve."""
        return 1.0 if self.target.higher_is_better else -1.0


def draw_table(table: RunTable, settings: FitSettings) -> tuple[TargetDraws, ...]:
    """Draw replicate scores of every target: items shared by all runs, run noise pooled.

    Run noise is pooled over all recipes with several seeds and over all targets of the table
    (`dashboard.analysis.noise`). Without items, standard errors take their place, for accuracies
    binomial ones; with none of these, all that is known of noise is how seeds differ.

    Returns
    -------
    tuple of TargetDraws
        One a target, in order.
    """
    # A recipe plays the part of a volume, so that runs of one recipe pool their noise. Losses of
    # the base model are needed here, whatever the settings say of growth curves.
    settings = replace(settings, include_base=True, max_examples=None)
    volume = _pseudo_volumes(table)
    prepared = [prepare_curve(_as_curve(table, t, volume), settings) for t in table.targets]
    noises: list[CurveNoise | None] = [None] * len(prepared)
    for response in ResponseKind:
        members = [
            (index, ready.runs)
            for index, ready in enumerate(prepared)
            if ready.runs is not None and ready.response is response
        ]
        _, shrunken = pool_run_noise(table.study, response, [runs for _, runs in members])
        for (index, _), noise in zip(members, shrunken, strict=True):
            noises[index] = noise
    return tuple(
        _draw_target(table, target, ready, noise, volume, settings)
        for target, ready, noise in zip(table.targets, prepared, noises, strict=True)
    )


def macro_mean(
    draws: Sequence[TargetDraws], recipes: Sequence[Sequence[int]]
) -> TargetDraws | None:
    """Average targets of one kind of score, each counting the same.

    A run's luck is shared by its abilities, so the mean's run noise is taken from the mean itself:
    the variance between seeds beyond what items explain, pooled over recipes, on the score scale.

    Parameters
    ----------
    draws : sequence of TargetDraws
        Targets to average.
    recipes : sequence of sequence of int
        Indices of runs that differ by their seed alone.

    Returns
    -------
    TargetDraws or None
        Runs that lack any target are NaN. None without targets, or where kinds of score or
        directions differ.
    """
    if not draws or len({(d.response, d.sign) for d in draws}) > 1:
        return None
    first = draws[0]
    if len(draws) == 1:
        return first
    score = np.mean([d.score for d in draws], axis=0)
    items_only = np.mean([d.items_only for d in draws], axis=0)
    slope = np.mean([_slope(d) for d in draws], axis=0)
    spread = _Spread.between_seeds(score, items_only, slope, recipes)
    variance = spread.run_variance()
    replicates = items_only.copy()
    if variance > 0:
        names = "\x1f".join(d.target.ability for d in draws)
        rng = np.random.default_rng(zlib.crc32(names.encode()))
        noise = np.sqrt(variance) * slope[:, None] * rng.standard_normal(replicates.shape)
        replicates += np.where(first.is_base[:, None], 0.0, noise)
    known = spread.df.size > 0
    lone = {
        IntervalKind.ITEMS_AND_RUNS: IntervalKind.ITEMS_ONLY,
        IntervalKind.STDERR_AND_RUNS: IntervalKind.STDERR_ONLY,
    }
    return replace(
        first,
        score=score,
        replicates=replicates,
        items_only=items_only,
        run_stddev=float(np.sqrt(variance)) if known else None,
        df=spread.effective_df(variance, float(spread.df.sum())) if known else np.inf,
        n_items=float(sum(d.n_items for d in draws)),
        kind=first.kind if known else lone.get(first.kind, first.kind),
        reason=next((d.reason for d in draws if d.reason is not None), None),
    )


@dataclass(frozen=True, kw_only=True)
class _Spread:
    """Variance between the seeds of each recipe; arrays of shape (recipes with several seeds,).

    `seen` is the variance of scores, `items` what items alone explain of it, `slope` the squared
    slope of the score in the run noise, `df` the seeds less one.
    """

    seen: FloatArray
    items: FloatArray
    slope: FloatArray
    df: FloatArray

    @classmethod
    def between_seeds(
        cls,
        score: FloatArray,
        items_only: FloatArray,
        slope: FloatArray,
        recipes: Sequence[Sequence[int]],
    ) -> _Spread:
        """Collect the recipes that were run with several seeds."""
        rows = []
        for members in recipes:
            used = [index for index in members if np.isfinite(score[index])]
            if len(used) > 1:
                df = len(used) - 1
                # Items are shared, so their part is how the draws move seeds apart.
                apart = items_only[used] - items_only[used].mean(axis=0)
                items = apart.var(axis=1).sum() / df
                rows.append((score[used].var(ddof=1), items, (slope[used] ** 2).mean(), df))
        table = np.array(rows, dtype=float).reshape(-1, 4)
        return cls(seen=table[:, 0], items=table[:, 1], slope=table[:, 2], df=table[:, 3])

    def run_variance(self) -> float:
        """Return the run variance on the link scale, by moments; 0 without repeated seeds."""
        total = float((self.df * self.slope).sum())
        return max(float((self.df * (self.seen - self.items)).sum()) / total, 0.0) if total else 0.0

    def effective_df(self, variance: float, df: float) -> float:
        """Return the degrees of freedom of a run variance estimated beside the items' part."""
        run = variance * self.slope
        share = run / np.maximum(run + self.items, 1e-300)
        return df * float((self.df * share**2).sum() / self.df.sum()) if self.df.size else df


def df_of(draws: TargetDraws, weights: FloatArray) -> float:
    """Return the degrees of freedom of a weighted sum of runs (Satterthwaite).

    Its variance is that of the items, on m - 1 degrees of freedom, plus that of the runs.
    """
    used = np.flatnonzero(weights)
    items = float((weights[used] @ draws.items_only[used]).var())
    total = float((weights[used] @ draws.replicates[used]).var())
    return _satterthwaite(draws, items, total)


def usual_df(draws: TargetDraws) -> float:
    """Return the degrees of freedom of a usual run's distance from the others."""
    used = np.isfinite(draws.score)
    items, total = (
        float((values[used] - values[used].mean(axis=0)).var(axis=1).mean())
        for values in (draws.items_only, draws.replicates)
    )
    return _satterthwaite(draws, items, total)


def _satterthwaite(draws: TargetDraws, items: float, total: float) -> float:
    """Return the degrees of freedom of a variance `total` of which `items` is the items' part."""
    runs = max(total - items, 0.0)
    scatter = items**2 / max(draws.n_items - 1, 1)
    if np.isfinite(draws.df):
        scatter += runs**2 / max(draws.df, 1e-3)
    return max((items + runs) ** 2 / scatter, 1.0) if scatter > 0 else np.inf


def _slope(draws: TargetDraws) -> FloatArray:
    """Return the derivative of the score in the run noise, shape (n_runs,)."""
    if draws.response is ResponseKind.ACCURACY:
        edge = 0.5 / (draws.n_items + 1)
        p = np.clip(draws.score, edge, 1 - edge)
        return np.asarray(p * (1 - p))
    return draws.score if draws.response is ResponseKind.LOSS else np.ones(len(draws.score))


def _pseudo_volumes(table: RunTable) -> FloatArray:
    """Return a number for each recipe, 0 for base models; shape (n_runs,)."""
    volume = np.zeros(len(table.runs))
    for number, members in enumerate(table.recipes(), start=1):
        for index in members:
            volume[index] = 0 if table.runs[index].is_base else number
    return volume


def _as_curve(table: RunTable, target: Target, volume: FloatArray) -> CurveData:
    """Dress a target as a curve over recipes, for the parts that need no growth."""
    return CurveData(
        study=table.study,
        ability=target.ability,
        base_model=table.base_model,
        n_params=table.n_params,
        data_source="",
        metric=target.metric,
        higher_is_better=target.higher_is_better,
        chance_level=target.chance_level,
        n_examples=volume,
        score=target.score,
        stderr=target.stderr,
        n_items=target.n_items,
        seed=tuple(None if run.is_base else run.seed for run in table.runs),
        cell_id=tuple(run.cell_id for run in table.runs),
        item_scores=target.item_scores,
        item_ids=target.item_ids,
        out_of_domain=target.out_of_domain,
    )


def _draw_target(
    table: RunTable,
    target: Target,
    prepared: Prepared,
    noise: CurveNoise | None,
    volume: FloatArray,
    settings: FitSettings,
) -> TargetDraws:
    """Draw one target's replicates and put them back into the order of the runs."""
    shape = (len(table.runs), settings.n_replicates)
    runs = prepared.runs
    missing = TargetDraws(
        target=target,
        response=prepared.response,
        is_base=np.array([run.is_base for run in table.runs]),
        score=np.full(shape[0], np.nan),
        replicates=np.full(shape, np.nan),
        items_only=np.full(shape, np.nan),
        run_stddev=None,
        df=np.inf,
        n_items=_median_items(target),
        kind=IntervalKind.RESIDUAL,
        reason=prepared.reason,
    )
    if runs is None:
        return missing
    kind = noise_kind(runs, noise)
    if kind is IntervalKind.RESIDUAL and noise is None:
        return replace(
            missing,
            reason=f"{target.ability} has neither items, standard errors nor repeated seeds, so "
            "nothing tells the noise of its scores",
        )
    name = "\x1f".join((table.study, target.ability, target.metric))
    items = None
    if runs.items is not None:
        items = draw_items(list(item_names(runs)), settings.n_replicates, settings.seed, name)

    def draw(run_noise: CurveNoise | None) -> FloatArray:
        if kind is IntervalKind.RESIDUAL:
            # Seeds differ by everything that is not known apart, and so does a replicate.
            stddev = 0.0 if run_noise is None else run_noise.stddev
            return _shake(runs, stddev, settings)
        rng = np.random.default_rng(
            [settings.seed, zlib.crc32(f"{name}\x1f{table.base_model}".encode())]
        )
        return draw_scores(runs, run_noise, items, rng, settings.n_replicates)

    # `prepare_curve` orders the scored runs by volume, keeping the order of equal ones.
    scored = np.flatnonzero(np.isfinite(target.score))
    order = scored[np.argsort(volume[scored], kind="stable")]
    filled = replace(missing, score=np.where(np.isfinite(target.score), target.score, np.nan))
    filled.replicates[order] = draw(noise)
    filled.items_only[order] = draw(None)
    df = np.inf
    if noise is not None:
        _straighten(filled, noise.stddev, table.recipes())
        spread = _Spread.between_seeds(
            filled.score, filled.items_only, _slope(filled), table.recipes()
        )
        df = spread.effective_df(noise.stddev**2, noise.df)
    return replace(
        filled,
        run_stddev=None if noise is None else noise.stddev,
        df=df,
        kind=kind,
        reason=None,
    )


def _straighten(draws: TargetDraws, stddev: float, recipes: Sequence[Sequence[int]]) -> None:
    """Give the run noise of accuracies the variance that it was estimated with, in place.

    `pool_run_noise` takes variances between seeds as sigma^2 (p (1 - p))^2, a straight line through
    the logistic curve. Noise drawn on the logit scale then loses to the curve's bend once more, up
    to a tenth of its variance at p = 1/2, and p is better known from all seeds of a recipe.
    """
    if draws.response is not ResponseKind.ACCURACY or stddev == 0:
        return
    for members in recipes:
        used = [i for i in members if np.isfinite(draws.score[i]) and not draws.is_base[i]]
        if not used:
            continue
        p = float(draws.score[used].mean())
        noise = draws.replicates[used] - draws.items_only[used]
        drawn = noise.std(axis=1, keepdims=True)
        wanted = stddev * p * (1 - p)
        factor = np.clip(wanted / np.maximum(drawn, 1e-12), 1.0, _MOST_STRAIGHTENING)
        draws.replicates[used] = np.clip(draws.items_only[used] + factor * noise, 0.0, 1.0)


def _shake(runs: FittedRuns, stddev: float, settings: FitSettings) -> FloatArray:
    """Return scores with noise on the link scale alone, shape (P, B)."""
    from scipy.special import expit, logit

    rng = np.random.default_rng([settings.seed, zlib.crc32(runs.data.ability.encode())])
    noise = stddev * rng.standard_normal((len(runs.score), settings.n_replicates))
    score = runs.score[:, None]
    if runs.response is ResponseKind.LOSS:
        return np.asarray(score * np.exp(noise))
    if runs.response is ResponseKind.SCORE:
        return np.asarray(score + noise)
    return np.asarray(expit(logit(np.clip(score, 1e-3, 1 - 1e-3)) + noise))


def _median_items(target: Target) -> float:
    """Return the number of items of a usual run."""
    known = target.n_items[np.isfinite(target.n_items)]
    return float(np.median(known)) if known.size else float("inf")
