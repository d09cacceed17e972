"""Fit all growth curves of a study together: shared noise, shared item draws, one correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dashboard.analysis.curve_data import CurveData
from dashboard.analysis.extrapolation import Extrapolator
from dashboard.analysis.prepare import FittedRuns, Prepared
from dashboard.analysis.replicated import CurveJob, FittedJob, why_no_fit
from dashboard.analysis.replicates import stretched_interval
from dashboard.analysis.results import (
    CurveFit,
    FitStatus,
    IntervalKind,
    Plateau,
    PlateauStatus,
    Prediction,
    PredictionStatus,
    StudyFit,
)
from dashboard.analysis.screen import adjust_and_label
from dashboard.analysis.settings import ANALYSIS_VERSION, FitSettings
from dashboard.analysis.shared_fits import share_fits
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
from dashboard.analysis.trend import growth_p_value


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
        If a curve is given twice.

    Notes
    -----
    Run noise depends on all curves given, so fit a study whole and select afterwards.
    """
    settings = settings or FitSettings()
    shared = share_fits(curves, settings)
    extrapolator = Extrapolator([job.prepared.runs for job in shared.jobs], settings)
    fits = [
        _fit_curve(job, shared.fit(job), index, settings, extrapolator)
        for index, job in enumerate(shared.jobs)
    ]
    return StudyFit(
        curves=adjust_and_label(fits, settings),
        run_noise=shared.pools,
        analysis_version=ANALYSIS_VERSION,
    )


def _fit_curve(
    job: CurveJob,
    found: FittedJob | None,
    index: int,
    settings: FitSettings,
    extrapolator: Extrapolator,
) -> CurveFit:
    """Sum up one curve; its q-value and label are filled in once all p-values are known."""
    empty = _without_fit(job.data, job.prepared, settings)
    if found is None:
        return empty
    runs, model, kind = found.runs, found.model, found.kind
    residual = kind is IntervalKind.RESIDUAL
    if residual and not found.fitted:
        # No curve to scatter around: an interval would have no width, and a test be sure.
        reason = why_no_fit(found)
        return replace(
            empty,
            status=FitStatus.TOO_FEW_POINTS,
            reason=reason,
            label_reason=reason,
            families=tuple(member.fit for member in model.members),
        )
    inside = tuple(v for v in settings.predict if v <= runs.volumes[-1])
    grid = evaluation_grid(runs, inside)
    failures = 0.0
    if found.fitted:
        curve, failures = found.curve(grid.n), found.refits.failures
        last = int(np.flatnonzero(grid.n[: grid.drawn] == runs.volumes[-1])[0])
    else:
        curve = found.means()
        last = len(runs.volumes) - 1
    sign = 1.0 if job.data.higher_is_better else -1.0
    gain = difference(curve, 0, last, sign, settings.level, runs.response)
    limits = value_limits(runs.response)
    ends = [
        stretched_interval(
            curve.estimate[i], curve.replicates[i], settings.level, curve.df, kind, limits
        )
        for i in (0, last)
    ]
    fit = replace(
        empty,
        status=FitStatus.OK if found.fitted else FitStatus.TOO_FEW_POINTS,
        reason=None if found.fitted else why_no_fit(found),
        drawable=found.fitted,
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
    if not found.fitted:
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
