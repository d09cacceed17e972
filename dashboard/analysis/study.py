"""Fit all growth curves of a study together: shared noise, shared item draws, one correction."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dashboard.analysis.averaging import CurveModel, fit_families, replicate_curves
from dashboard.analysis.curve_data import CurveData, FloatArray, ResponseKind
from dashboard.analysis.extrapolation import Extrapolator
from dashboard.analysis.families import FAMILIES
from dashboard.analysis.noise import CurveNoise, pool_run_noise
from dashboard.analysis.prepare import FittedRuns, Prepared, prepare_curve, weigh_by_noise
from dashboard.analysis.replicates import (
    ItemDraws,
    draw_items,
    draw_residual_scores,
    draw_scores,
    item_names,
    noise_kind,
    stretched_interval,
)
from dashboard.analysis.results import (
    CurveFit,
    FitStatus,
    IntervalKind,
    Plateau,
    PlateauStatus,
    Prediction,
    PredictionStatus,
    RunNoise,
    StudyFit,
)
from dashboard.analysis.screen import adjust_and_label
from dashboard.analysis.settings import ANALYSIS_VERSION, FitSettings
from dashboard.analysis.summary import (
    EvaluationGrid,
    Replicated,
    delta_of,
    difference,
    draw_band,
    evaluation_grid,
    gain_upper_bound,
    half_gain,
    judge_plateau,
    value_limits,
)
from dashboard.analysis.trend_test import growth_p_value
from warehouse.errors import InputError


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One curve with all that it shares with the others of its study."""

    data: CurveData
    prepared: Prepared
    noise: CurveNoise | None
    draws: ItemDraws | None


def fit_study(curves: Sequence[CurveData], settings: FitSettings | None = None) -> StudyFit:
    """Fit every curve, with run noise pooled by study and p-values adjusted by comparison.

    Parameters
    ----------
    curves : sequence of CurveData
        Curves of one or several studies; each study's noise is pooled within it, by kind of score.
    settings : FitSettings, optional
        Defaults where omitted.

    Returns
    -------
    StudyFit
        Curves in the order given. Every curve has a status; none is dropped.

    Raises
    ------
    InputError
        If a family is unknown or a curve is given twice.

    Notes
    -----
    Run noise depends on all curves given, so fit a study whole and select afterwards.
    """
    settings = settings or FitSettings()
    _check(curves, settings)
    prepared = [prepare_curve(curve, settings) for curve in curves]
    noises, pools = _share_noise(curves, prepared)
    draws = _share_items(curves, prepared, settings)
    jobs = [
        _Job(data=curve, prepared=ready, noise=noise, draws=draws.get(_comparison(curve)))
        for curve, ready, noise in zip(curves, prepared, noises, strict=True)
    ]
    extrapolator = Extrapolator([job.prepared.runs for job in jobs], settings)
    fits = [_fit_curve(job, index, settings, extrapolator) for index, job in enumerate(jobs)]
    return StudyFit(
        curves=adjust_and_label(fits, settings),
        run_noise=pools,
        analysis_version=ANALYSIS_VERSION,
    )


def _check(curves: Sequence[CurveData], settings: FitSettings) -> None:
    """Refuse unknown families and curves given twice."""
    known = ", ".join(FAMILIES)
    for name in settings.families or ():
        if name not in FAMILIES:
            raise InputError(f"unknown family {name!r}; known ones are {known}.")
    seen: set[tuple[str, ...]] = set()
    for curve in curves:
        if curve.key in seen:
            raise InputError(f"{curve.title} is given twice; a curve holds all its runs.")
        seen.add(curve.key)


def _share_noise(
    curves: Sequence[CurveData], prepared: Sequence[Prepared]
) -> tuple[list[CurveNoise | None], tuple[RunNoise, ...]]:
    """Pool run noise within each study and kind of score."""
    noises: list[CurveNoise | None] = [None] * len(curves)
    groups: dict[tuple[str, ResponseKind], list[int]] = {}
    for index, (curve, ready) in enumerate(zip(curves, prepared, strict=True)):
        if ready.runs is not None:
            groups.setdefault((curve.study, ready.response), []).append(index)
    pools: list[RunNoise] = []
    for (study, response), members in groups.items():
        runs = [found for i in members if (found := prepared[i].runs) is not None]
        pool, shrunken = pool_run_noise(study, response, runs)
        for index, noise in zip(members, shrunken, strict=True):
            noises[index] = noise
        if pool is not None:
            pools.append(pool)
    return noises, tuple(pools)


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


def _fit_curve(
    job: _Job, index: int, settings: FitSettings, extrapolator: Extrapolator
) -> CurveFit:
    """Fit one curve; its q-value and label are filled in once all p-values are known."""
    empty = _without_fit(job.data, job.prepared, settings)
    runs = job.prepared.runs
    if runs is None:
        return empty
    noise_df = 0.0
    if job.noise is not None and runs.weight_known:
        runs = weigh_by_noise(runs, job.noise.stddev)
        noise_df = job.noise.df
    model = fit_families(runs, settings.families, noise_df)
    kind = noise_kind(runs, job.noise)
    residual = kind is IntervalKind.RESIDUAL
    df = model.residual_df if residual else np.inf if job.noise is None else job.noise.df
    scores = _replicate_scores(job, runs, model, settings)
    asked = settings.families is not None
    fitted = bool(model.averaged) and (model.grows or asked)
    inside = tuple(v for v in settings.predict if v <= runs.volumes[-1])
    grid = evaluation_grid(runs, inside)
    failures = 0.0
    if fitted:
        values, failures = replicate_curves(runs, model, scores, grid.n, noise_df)
        curve = Replicated(estimate=model.curve(grid.n), replicates=values, df=df, kind=kind)
        last = int(np.flatnonzero(grid.n[: grid.drawn] == runs.volumes[-1])[0])
    else:
        curve, last = _means_only(runs, scores, df, kind)
    sign = 1.0 if job.data.higher_is_better else -1.0
    gain = difference(curve, 0, last, sign, settings.level, runs.response)
    limits = value_limits(runs.response)
    ends = [
        stretched_interval(curve.estimate[i], curve.replicates[i], settings.level, df, kind, limits)
        for i in (0, last)
    ]
    fit = replace(
        empty,
        status=FitStatus.OK if fitted else FitStatus.TOO_FEW_POINTS,
        reason=None if fitted else _why_no_fit(runs, model),
        drawable=fitted,
        noise=kind,
        run_stddev=None if job.noise is None or residual else job.noise.stddev,
        run_df=None if job.noise is None or residual else job.noise.df,
        overdispersion=model.overdispersion,
        families=tuple(member.fit for member in model.members),
        score_first=ends[0],
        score_last=ends[1],
        gain=gain,
        gain_upper_bound=gain_upper_bound(curve, 0, last, sign),
        p_value=growth_p_value(
            runs,
            job.noise,
            residual_stddev=model.residual_stddev if residual else None,
            residual_df=model.residual_df,
        ),
        replicate_failures=failures,
    )
    if not fitted:
        return fit
    low, high = grid.fourfold
    return replace(
        fit,
        gain_per_fourfold=difference(curve, low, high, sign, settings.level, runs.response),
        half_gain_examples=half_gain(curve, grid, sign, settings.level),
        plateau=judge_plateau(curve, last, grid.doubling, sign, settings, runs.response),
        band=draw_band(runs, grid, curve, settings.level),
        backtest=extrapolator.backtest(index),
        predictions=_predict(runs, curve, grid, inside, settings, extrapolator, index),
    )


def _replicate_scores(
    job: _Job, runs: FittedRuns, model: CurveModel, settings: FitSettings
) -> FloatArray:
    """Draw replicate scores (P, B) with the noise that the data allow."""
    name = zlib.crc32("\x1f".join(job.data.key).encode())
    rng = np.random.default_rng([settings.seed, name])
    if noise_kind(runs, job.noise) is not IntervalKind.RESIDUAL:
        return draw_scores(runs, job.noise, job.draws, rng, settings.n_replicates)
    fitted = runs.score
    if model.averaged:
        fitted = model.curve(runs.volumes)[runs.group]
    return draw_residual_scores(runs, fitted, model.residual_stddev, rng, settings.n_replicates)


def _means_only(
    runs: FittedRuns, scores: FloatArray, df: float, kind: IntervalKind
) -> tuple[Replicated, int]:
    """Return means at the first and last volume, for curves with too few runs to fit."""
    ends = [0, -1]
    return (
        Replicated(
            estimate=runs.volume_means(runs.score[:, None])[ends, 0],
            replicates=runs.volume_means(scores)[ends],
            df=df,
            kind=kind,
        ),
        1,
    )


def _why_no_fit(runs: FittedRuns, model: CurveModel) -> str:
    """Say why no curve is fitted."""
    failed = [m.fit for m in model.members if m.fit.status is FitStatus.FAILED]
    if failed and len(failed) == len(model.members):
        return f"every family failed: {failed[0].reason}"
    return (
        f"{len(runs.score)} runs at {len(runs.volumes)} volumes can't support a growth curve; "
        "the gain is the difference of the last and first volume"
    )


def _predict(
    runs: FittedRuns,
    curve: Replicated,
    grid: EvaluationGrid,
    inside: tuple[float, ...],
    settings: FitSettings,
    extrapolator: Extrapolator,
    index: int,
) -> tuple[Prediction, ...]:
    """Predict the volumes asked for: by the averaged curve inside the range, else by backtest."""
    predictions: list[Prediction] = []
    first = runs.volumes[0]
    for volume in settings.predict:
        if volume > runs.volumes[-1]:
            predictions.append(extrapolator.predict(index, volume))
            continue
        if volume < first:
            predictions.append(
                Prediction(
                    n_examples=volume,
                    estimate=None,
                    low=None,
                    high=None,
                    level=settings.level,
                    status=PredictionStatus.UNSUPPORTED_HORIZON,
                    kind=None,
                    reason=f"below the smallest fitted volume, {first:g}",
                )
            )
            continue
        at = grid.predicted + inside.index(volume)
        interval = stretched_interval(
            curve.estimate[at],
            curve.replicates[at],
            settings.level,
            curve.df,
            curve.kind,
            value_limits(runs.response),
        )
        predictions.append(
            Prediction(
                n_examples=volume,
                estimate=interval.estimate,
                low=interval.low,
                high=interval.high,
                level=settings.level,
                status=PredictionStatus.INSIDE_RANGE,
                kind=interval.kind,
                reason=None,
            )
        )
    return tuple(predictions)


def _without_fit(data: CurveData, prepared: Prepared, settings: FitSettings) -> CurveFit:
    """Return the result of a curve before anything is fitted."""
    runs = prepared.runs
    why = prepared.reason or "no curve was fitted"
    return CurveFit(
        study=data.study,
        ability=data.ability,
        base_model=data.base_model,
        n_params=data.n_params,
        data_source=data.data_source,
        metric=data.metric,
        higher_is_better=data.higher_is_better,
        chance_level=data.chance_level,
        x_kind=data.x_kind,
        out_of_domain=data.out_of_domain,
        response=prepared.response,
        status=prepared.status,
        reason=prepared.reason,
        drawable=False,
        n_points=0 if runs is None else len(runs.score),
        n_volumes=0 if runs is None else len(runs.volumes),
        n_seeds=0 if runs is None else runs.n_seeds,
        noise=None,
        run_stddev=None,
        run_df=None,
        overdispersion=None,
        families=(),
        score_first=None,
        score_last=None,
        gain=None,
        gain_upper_bound=None,
        gain_per_fourfold=None,
        half_gain_examples=None,
        half_gain_reason=why,
        p_value=None,
        q_value=None,
        n_tests=0,
        plateau=Plateau(
            status=PlateauStatus.UNDECIDED,
            gain=None,
            upper_bound=None,
            minimum_detectable=None,
            delta=settings.plateau_delta,
            reason=why,
        ),
        label=None,
        label_reason=why,
        delta=delta_of(data.delta, settings, prepared.response),
        band=None,
        points=prepared.points,
        backtest=(),
        predictions=(),
        replicate_failures=0.0,
        reading="",
    )
