"""Averaged growth curves of a whole study with replicates that are paired between curves.

`prepare_study` settles what the curves of a study share: run noise pooled over the study, one draw
of items for every study x ability x metric. `fit_job` then fits one curve and draws its replicate
scores. `dashboard.analysis.study` reads gains and labels off these fits; comparisons of sources,
scales and abilities, and budgets, read differences and inversions off `replicate_study`, so all
pages rest on the same numbers.

Between two curves of an ability the replicates share the items and, where both begin at the same
base model, the base model's one evaluation. Two abilities of one run share its run noise as far as
the study's runs show (`noise.run_correlation`). Different runs are independent.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dashboard.analysis.averaging import CurveModel, Refits, fit_families, refit_families
from dashboard.analysis.curve_data import CurveData, FloatArray, ResponseKind
from dashboard.analysis.noise import CurveNoise, pool_run_noise, run_correlation
from dashboard.analysis.prepare import FittedRuns, Prepared, prepare_curve, weigh_by_noise
from dashboard.analysis.replicates import (
    ItemDraws,
    SeedDraws,
    draw_items,
    draw_residual_scores,
    draw_scores,
    draw_seeds,
    item_names,
    noise_kind,
)
from dashboard.analysis.results import FitStatus, IntervalKind, RunNoise
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.summary import Replicated
from warehouse.errors import InputError


@dataclass(frozen=True, kw_only=True)
class CurveJob:
    """One curve with all that it shares with the others of its study.

    `run_correlation` is that of its run noise with another ability's in the same run.
    """

    data: CurveData
    prepared: Prepared
    noise: CurveNoise | None
    draws: ItemDraws | None
    run_correlation: float


@dataclass(frozen=True, kw_only=True)
class FittedJob:
    """One curve fitted, with replicate scores of its runs.

    Attributes
    ----------
    runs : FittedRuns
        Weighted by item and run noise together.
    noise : CurveNoise or None
        Run noise; None with one seed everywhere.
    model : CurveModel
        Families and their weights.
    scores : ndarray, shape (P, B)
        Replicate scores of the runs.
    kind, df
        What the replicates cover, and the degrees of freedom that stretch their quantiles.
    fitted : bool
        Whether there is an averaged curve; without one only the runs' means are known.
    """

    runs: FittedRuns
    noise: CurveNoise | None
    model: CurveModel
    scores: FloatArray
    kind: IntervalKind
    df: float
    fitted: bool

    @cached_property
    def refits(self) -> Refits:
        """Families refitted in every replicate, where there is an averaged curve."""
        noise_df = _noise_df(self.runs, self.noise)
        return refit_families(self.runs, self.model, self.scores, noise_df)

    def curve(self, n: FloatArray) -> Replicated:
        """Return the averaged curve at volumes n, refitted in every replicate."""
        return Replicated(
            estimate=self.model.curve(n),
            replicates=self.refits.curve(n),
            df=self.df,
            kind=self.kind,
        )

    def means(self) -> Replicated:
        """Return mean scores at the observed volumes `runs.volumes`, no curve in between."""
        return Replicated(
            estimate=self.runs.volume_means(self.runs.score[:, None])[:, 0],
            replicates=self.runs.volume_means(self.scores),
            df=self.df,
            kind=self.kind,
        )


@dataclass(frozen=True, kw_only=True)
class ReplicatedCurve:
    """The averaged growth curve of one CurveData at chosen volumes, with paired replicates.

    Attributes
    ----------
    n_examples : ndarray, shape (V,)
        Volumes asked for, the same for all curves of one call.
    supported : ndarray of bool, shape (V,)
        Whether a volume lies within the observed range. Beyond it the averaged families are a
        guess that no backtest stands behind (docs/statistics.md, "Beyond the largest volume").
    estimate : ndarray, shape (V,), or None
        Score in its own unit; None where no curve could be fitted, with `status` and `reason`.
    replicates : ndarray, shape (V, B), or None
        Replicate b of two curves of one ability rests on the same draw of items.
    df : float
        Degrees of freedom for stretching quantiles (`replicates.stretched_interval`).
    kind : IntervalKind or None
        What the replicates cover.
    first, last : float
        Smallest and largest fitted volume; NaN without fitted runs.
    p_gain_positive : float or None
        Share of replicates in which the score at `last` is better than at `first`.
    """

    data: CurveData
    response: ResponseKind
    n_examples: FloatArray
    supported: NDArray[np.bool_]
    estimate: FloatArray | None
    replicates: FloatArray | None
    df: float
    kind: IntervalKind | None
    status: FitStatus
    reason: str | None
    first: float
    last: float
    p_gain_positive: float | None


def replicate_study(
    curves: Sequence[CurveData], settings: FitSettings, volumes: Sequence[float]
) -> tuple[ReplicatedCurve, ...]:
    """Return every curve at `volumes` with replicates paired by item.

    Parameters
    ----------
    curves : sequence of CurveData
        All curves of one or several studies: run noise is pooled over what is given.
    volumes : sequence of float
        Volumes, count >= 0.

    Returns
    -------
    tuple of ReplicatedCurve
        In the order given; the curves that `fit_study` reports, from the same draws.

    Raises
    ------
    InputError
        If a curve is given twice or a volume is negative or not finite.
    """
    n = np.asarray(volumes, dtype=float)
    if not (np.isfinite(n) & (n >= 0)).all():
        raise InputError("a volume to evaluate is negative or not finite; give counts of 0 or more")
    jobs, _ = prepare_study(curves, settings)
    return tuple(_replicate(job, settings, n) for job in jobs)


def prepare_study(
    curves: Sequence[CurveData], settings: FitSettings
) -> tuple[list[CurveJob], tuple[RunNoise, ...]]:
    """Prepare every curve; pool run noise and draw items over all of them.

    Returns
    -------
    jobs : list of CurveJob
        In the order given.
    pools : tuple of RunNoise
        One for each study and kind of score that has repeated seeds.

    Raises
    ------
    InputError
        If a curve is given twice.
    """
    _check(curves)
    prepared = [prepare_curve(curve, settings) for curve in curves]
    noises, correlations, pools = _share_noise(curves, prepared)
    draws = _share_items(curves, prepared, settings)
    jobs = [
        CurveJob(
            data=curve,
            prepared=ready,
            noise=noise,
            draws=draws.get(_comparison(curve)),
            run_correlation=correlation,
        )
        for curve, ready, noise, correlation in zip(
            curves, prepared, noises, correlations, strict=True
        )
    ]
    return jobs, pools


def fit_job(job: CurveJob, settings: FitSettings) -> FittedJob | None:
    """Fit one curve and draw its replicate scores; None where it has no runs to fit."""
    runs = job.prepared.runs
    if runs is None:
        return None
    if job.noise is not None and runs.weight_known:
        runs = weigh_by_noise(runs, job.noise.stddev)
    model = fit_families(runs, settings.families, _noise_df(runs, job.noise))
    kind = noise_kind(runs, job.noise)
    seeds = draw_seeds(runs, run_seeds(job.prepared), settings)
    if kind is IntervalKind.RESIDUAL:
        df = model.residual_df
    elif seeds is not None:
        df = seeds.df
    else:
        df = np.inf if job.noise is None else job.noise.df
    return FittedJob(
        runs=runs,
        noise=job.noise,
        model=model,
        scores=_replicate_scores(job, runs, model, kind, seeds, settings),
        kind=kind,
        df=df,
        fitted=bool(model.averaged) and (model.grows or settings.families is not None),
    )


def run_seeds(prepared: Prepared) -> list[int | None]:
    """Return the seeds of the fitted runs, in their order."""
    return [prepared.points.seed[index] for index in _fitted_points(prepared)]


def run_names(prepared: Prepared) -> list[str]:
    """Return the cells of the fitted runs, in their order."""
    return [prepared.points.cell_id[index] for index in _fitted_points(prepared)]


def _fitted_points(prepared: Prepared) -> list[int]:
    """Return which points are fitted, ordered by volume as `prepare_curve` orders them."""
    points = prepared.points
    used = np.flatnonzero([reason is None for reason in points.excluded])
    return [int(i) for i in used[np.argsort(points.n_examples[used], kind="stable")]]


def why_no_fit(fitted: FittedJob) -> str:
    """Say why no curve is fitted."""
    failed = [m.fit for m in fitted.model.members if m.fit.status is FitStatus.FAILED]
    if failed and len(failed) == len(fitted.model.members):
        return f"every family failed: {failed[0].reason}"
    gain = "the gain is the difference of the last and first volume"
    if fitted.kind is IntervalKind.RESIDUAL:
        gain = "nothing tells how sure a gain would be, as neither items nor errors are known"
    if not fitted.model.members:
        return f"none of the families asked for suits this kind of score; {gain}"
    return (
        f"{len(fitted.runs.score)} runs at {len(fitted.runs.volumes)} volumes can't support a "
        f"growth curve; {gain}"
    )


def _replicate(job: CurveJob, settings: FitSettings, n: FloatArray) -> ReplicatedCurve:
    """Evaluate one curve and its replicates at n."""
    fitted = fit_job(job, settings)
    runs = None if fitted is None else fitted.runs
    first = np.nan if runs is None else float(runs.volumes[0])
    last = np.nan if runs is None else float(runs.volumes[-1])
    estimate = replicates = p_positive = None
    status, reason = job.prepared.status, job.prepared.reason
    if fitted is not None and fitted.fitted:
        curve = fitted.curve(np.concatenate([n, [first, last]]))
        sign = 1.0 if job.data.higher_is_better else -1.0
        p_positive = float((sign * (curve.replicates[-1] - curve.replicates[-2]) > 0).mean())
        estimate, replicates = curve.estimate[:-2], curve.replicates[:-2]
    elif fitted is not None:
        status, reason = FitStatus.TOO_FEW_POINTS, why_no_fit(fitted)
    return ReplicatedCurve(
        data=job.data,
        response=job.prepared.response,
        n_examples=n,
        supported=np.asarray((n >= first) & (n <= last)),
        estimate=estimate,
        replicates=replicates,
        df=np.inf if fitted is None else fitted.df,
        kind=None if fitted is None else fitted.kind,
        status=status,
        reason=reason,
        first=first,
        last=last,
        p_gain_positive=p_positive,
    )


def _check(curves: Sequence[CurveData]) -> None:
    """Refuse curves given twice."""
    seen: set[tuple[str, ...]] = set()
    for curve in curves:
        if curve.key in seen:
            raise InputError(f"{curve.title} is given twice; a curve holds all its runs.")
        seen.add(curve.key)


def _share_noise(
    curves: Sequence[CurveData], prepared: Sequence[Prepared]
) -> tuple[list[CurveNoise | None], list[float], tuple[RunNoise, ...]]:
    """Pool run noise and its correlation within each study and kind of score."""
    noises: list[CurveNoise | None] = [None] * len(curves)
    correlations = [0.0] * len(curves)
    groups: dict[tuple[str, ResponseKind], list[int]] = {}
    for index, (curve, ready) in enumerate(zip(curves, prepared, strict=True)):
        if ready.runs is not None:
            groups.setdefault((curve.study, ready.response), []).append(index)
    pools: list[RunNoise] = []
    for (study, response), members in groups.items():
        runs = [found for i in members if (found := prepared[i].runs) is not None]
        pool, shrunken = pool_run_noise(study, response, runs)
        correlation = run_correlation(runs, shrunken, [run_names(prepared[i]) for i in members])
        for index, noise in zip(members, shrunken, strict=True):
            noises[index] = noise
            correlations[index] = correlation
        if pool is not None:
            pools.append(pool)
    return noises, correlations, tuple(pools)


def _comparison(curve: CurveData) -> str:
    """Name the group of curves that share one draw of items."""
    return "\x1f".join((curve.study, curve.ability, curve.metric))


def _share_items(
    curves: Sequence[CurveData], prepared: Sequence[Prepared], settings: FitSettings
) -> dict[str, ItemDraws]:
    """Draw items once for all curves of an ability."""
    names: dict[str, dict[str, None]] = {}
    for curve, ready in zip(curves, prepared, strict=True):
        if ready.runs is not None and ready.runs.items is not None:
            known = names.setdefault(_comparison(curve), {})
            known.update(dict.fromkeys(item_names(ready.runs)))
    return {
        comparison: draw_items(list(items), settings.n_replicates, settings.seed, comparison)
        for comparison, items in names.items()
    }


def _noise_df(runs: FittedRuns, noise: CurveNoise | None) -> float:
    """Return the degrees of freedom of the run noise behind the weights, 0 without."""
    return noise.df if noise is not None and runs.weight_known else 0.0


def _replicate_scores(
    job: CurveJob,
    runs: FittedRuns,
    model: CurveModel,
    kind: IntervalKind,
    seeds: SeedDraws | None,
    settings: FitSettings,
) -> FloatArray:
    """Draw replicate scores (P, B) with the noise that the data allow."""
    rng = _named_rng(settings.seed, *job.data.key)
    if kind is not IntervalKind.RESIDUAL:
        # The base model's evaluation is one for all sources, and so is its luck.
        base_rng = _named_rng(settings.seed, _comparison(job.data), job.data.base_model, "base")
        return draw_scores(
            runs,
            job.noise,
            job.draws,
            rng,
            settings.n_replicates,
            base_rng=base_rng,
            seeds=seeds,
            run_luck=_run_luck(job, rng, settings),
        )
    fitted = runs.score
    if model.averaged:
        fitted = model.curve(runs.volumes)[runs.group]
    return draw_residual_scores(runs, fitted, model.residual_stddev, rng, settings.n_replicates)


def _run_luck(job: CurveJob, rng: np.random.Generator, settings: FitSettings) -> FloatArray | None:
    """Return standard normal run noise (P, B) that the abilities of one run share in part."""
    if job.noise is None or job.run_correlation == 0:
        return None
    shared = np.array(
        [
            _named_rng(settings.seed, job.data.study, name).standard_normal(settings.n_replicates)
            for name in run_names(job.prepared)
        ]
    )
    own = rng.standard_normal(shared.shape)
    mixed = np.sqrt(job.run_correlation) * shared + np.sqrt(1 - job.run_correlation) * own
    return np.asarray(mixed)


def _named_rng(seed: int, *names: str) -> np.random.Generator:
    """Return a generator that depends on the seed and some names only."""
    return np.random.default_rng([seed, zlib.crc32("\x1f".join(names).encode())])
