"""Base models of different size: score against N, data equivalents, and which will be best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import t

from dashboard.analysis.compare.data_equivalents import data_equivalents
from dashboard.analysis.compare.ranking import Ranked, judge_rankings, rank_at
from dashboard.analysis.compare.results import (
    DataEquivalent,
    ModelScore,
    RankingBacktest,
    ScaleComparison,
    ScaleEffect,
    VolumeRanking,
)
from dashboard.analysis.compare.scale_effects import adjust_effects, scale_effects
from dashboard.analysis.compare.scale_groups import ScaleGroup, fit_group, gain_to_target
from dashboard.analysis.compare.scale_readings import read_scales
from dashboard.analysis.curve_data import CurveData, FloatArray, ResponseKind
from dashboard.analysis.extrapolation import Extrapolator
from dashboard.analysis.replicated import prepare_study, why_no_fit
from dashboard.analysis.replicates import stretched_interval
from dashboard.analysis.results import FitStatus, Interval, IntervalKind, PredictionStatus
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.summary import value_limits


def compare_scales(
    curves: Sequence[CurveData],
    settings: FitSettings | None = None,
    at: Sequence[float] = (),
    base_models: Sequence[str] | None = None,
) -> ScaleComparison:
    """Compare base models, for every study, ability, source and metric that has two or more.

    Parameters
    ----------
    curves : sequence of CurveData
        All curves of one or several studies.
    at : sequence of float
        Target volumes, count > 0, for which the best model is wanted; by default the largest
        volume that all models of a group were trained at.
    base_models : sequence of str, optional
        Compare only these; noise is pooled over all the same.

    Returns
    -------
    ScaleComparison
        Beyond a model's observed volumes (or beyond `settings.max_examples`) scores are
        predictions weighted by backtest, with its intervals.
    """
    settings = settings or FitSettings()
    jobs, _ = prepare_study(curves, settings)
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, job in enumerate(jobs):
        data = job.data
        if base_models and data.base_model not in base_models:
            continue
        key = (data.study, data.ability, data.data_source, data.metric)
        groups.setdefault(key, []).append(index)
    extrapolator = Extrapolator([job.prepared.runs for job in jobs], settings)
    models: list[ModelScore] = []
    rankings: list[VolumeRanking] = []
    backtests: list[RankingBacktest] = []
    effects: list[ScaleEffect] = []
    equivalents: list[DataEquivalent] = []
    for members in groups.values():
        if len(members) < 2:
            continue
        whole = fit_group([jobs[i] for i in members], members, settings, at)
        tested, correlation = judge_rankings(
            [model.job for model in whole.drawn], whole.keys, settings
        )
        backtests += tested
        effects += scale_effects(whole, settings)
        equivalents += data_equivalents(whole, settings)
        for target in at or (whole.target,):
            group = replace(whole, target=target)
            found, ranked = _score_models(group, settings, extrapolator, correlation)
            models += found
            rankings += _rankings(group, ranked)
    effects = adjust_effects(effects)
    return ScaleComparison(
        models=tuple(models),
        ranking_at=tuple(rankings),
        ranking_backtest=tuple(backtests),
        scale_effects=tuple(effects),
        data_equivalents=tuple(equivalents),
        readings=read_scales(models, rankings, effects),
    )


def _score_models(
    group: ScaleGroup, settings: FitSettings, extrapolator: Extrapolator, correlation: float
) -> tuple[list[ModelScore], Ranked]:
    """Return every model's score at the target, and the ranking that follows."""
    scores: list[tuple[Interval, PredictionStatus]] = []
    estimates: list[float] = []
    draws: list[FloatArray] = []
    rng = np.random.default_rng([settings.seed, len(group.models)])
    common_luck = rng.standard_normal(settings.n_replicates)
    for model in group.drawn:
        assert model.gridded is not None  # `drawn` models have curves
        curve = model.gridded
        if group.target <= curve.last:
            estimate, replicates = curve.at(group.target)
            interval = stretched_interval(
                estimate, replicates, settings.level, curve.curve.df, curve.curve.kind,
                value_limits(group.response),
            )  # fmt: skip
            scores.append((interval, PredictionStatus.INSIDE_RANGE))
        else:
            interval, how = _predicted(extrapolator, model.index, group.target, settings)
            own = rng.standard_normal(settings.n_replicates)
            luck = np.sqrt(correlation) * common_luck + np.sqrt(1 - correlation) * own
            estimate = interval.estimate
            replicates = _around(interval, luck, group.response)
            scores.append((interval, how))
        estimates.append(estimate)
        draws.append(replicates)
    names = tuple(model.name for model in group.drawn)
    inside = [m.gridded for m in group.drawn if m.gridded and group.target <= m.gridded.last]
    df = min((gridded.curve.df for gridded in inside), default=np.inf)
    ranked = rank_at(names, np.array(estimates), draws, group.sign, df)
    result: list[ModelScore] = []
    by_name = dict(zip(names, scores, strict=True))
    for model in group.models:
        data, curve_of = model.job.data, model.gridded
        found = by_name.get(model.name)
        if model.fitted is None:
            status, reason = model.job.prepared.status, model.job.prepared.reason
        elif curve_of is None:
            status, reason = FitStatus.TOO_FEW_POINTS, why_no_fit(model.fitted)
        else:
            status, reason = FitStatus.OK, None
        result.append(
            ModelScore(
                **group.keys,
                base_model=model.name,
                n_params=data.n_params,
                higher_is_better=data.higher_is_better,
                n_examples=group.target,
                score=None if found is None else found[0],
                prediction_status=None if found is None else found[1],
                rank=ranked.rank.get(model.name),
                p_best=ranked.p_best.get(model.name),
                gain=None if curve_of is None else gain_to_target(curve_of, group, settings),
                status=status,
                reason=reason,
            )
        )
    return result, ranked


def _predicted(
    extrapolator: Extrapolator, index: int, volume: float, settings: FitSettings
) -> tuple[Interval, PredictionStatus]:
    """Return the backtested prediction beyond the observed range."""
    found = extrapolator.predict(index, volume)
    assert found.estimate is not None  # a fitted curve is always predicted
    assert found.low is not None
    assert found.high is not None
    interval = Interval(
        estimate=found.estimate,
        low=min(found.low, found.estimate),
        high=max(found.high, found.estimate),
        level=settings.level,
        kind=IntervalKind.BACKTEST,
    )
    return interval, found.status


def _around(interval: Interval, luck: FloatArray, response: ResponseKind) -> FloatArray:
    """Return draws whose central `level` share fills the interval, on the log for losses."""
    link: Callable[[float], float] = np.log if response is ResponseKind.LOSS else float
    low, centre, high = (link(value) for value in (interval.low, interval.estimate, interval.high))
    quantile = float(t.ppf(0.5 + interval.level / 2, np.inf))
    spread = np.where(luck < 0, centre - low, high - centre) / quantile
    values = centre + spread * luck
    return np.asarray(np.exp(values) if response is ResponseKind.LOSS else values)


def _rankings(group: ScaleGroup, ranked: Ranked) -> list[VolumeRanking]:
    """Return the ranking at every common volume up to the target, and at the target."""
    rankings = []
    for volume in group.common:
        if not group.target > volume > 0:
            continue
        means = {
            model.name: float(model.fitted.runs.score[model.fitted.runs.n == volume].mean())
            for model in group.drawn
            if model.fitted is not None
        }
        order = tuple(sorted(means, key=lambda name: (-group.sign * means[name], name)))
        rankings.append((volume, order))
    rankings.append((group.target, ranked.order))
    return [
        VolumeRanking(
            **group.keys,
            n_examples=volume,
            target=group.target,
            order=order,
            p_best=ranked.p_best[order[0]] if order else None,
            expected_regret=ranked.expected_regret[order[0]] if order else None,
            rank_correlation=ranked.correlation_with(order),
            reason=None if order else "no base model has a fitted curve",
        )
        for volume, order in rankings
    ]
