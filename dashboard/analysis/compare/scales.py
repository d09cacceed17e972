"""Base models of different size: score against N, data equivalents, and which will be best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.stats import t

from dashboard.analysis.compare.inversion import (
    GriddedCurve,
    RatioStatus,
    curve_grid,
    evaluate,
    judge_ratio,
    ratio_interval,
)
from dashboard.analysis.compare.paired import weaker
from dashboard.analysis.compare.ranking import Ranked, judge_rankings, rank_at
from dashboard.analysis.compare.results import (
    DataEquivalent,
    ModelScore,
    RankingBacktest,
    ScaleComparison,
    ScaleEffect,
    VolumeRanking,
)
from dashboard.analysis.compare.scale_readings import read_scales
from dashboard.analysis.curve_data import CurveData, FloatArray, ResponseKind
from dashboard.analysis.extrapolation import Extrapolator
from dashboard.analysis.likelihood import benjamini_hochberg
from dashboard.analysis.replicated import CurveJob, FittedJob, fit_job, prepare_study, why_no_fit
from dashboard.analysis.replicates import stretched_interval
from dashboard.analysis.results import FitStatus, Interval, IntervalKind, PredictionStatus
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.summary import value_limits

_SCATTER_MODELS = 4
"""Models from which on their own scatter about the line in log N can be judged."""
_MIN_P = 1e-300


@dataclass(frozen=True, kw_only=True)
class _Model:
    """One base model of a group."""

    job: CurveJob
    index: int
    fitted: FittedJob | None
    gridded: GriddedCurve | None

    @property
    def name(self) -> str:
        """Base model."""
        return self.job.data.base_model


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Base models of one study, ability, source and metric, smallest first, and the target."""

    models: tuple[_Model, ...]
    target: float

    @property
    def drawn(self) -> list[_Model]:
        """Models with a fitted curve."""
        return [model for model in self.models if model.gridded is not None]

    @property
    def keys(self) -> dict[str, str]:
        """Fields that name the group in every result."""
        data = self.models[0].job.data
        return {
            "study": data.study,
            "ability": data.ability,
            "data_source": data.data_source,
            "metric": data.metric,
        }

    @property
    def sign(self) -> float:
        """1 where higher is better, else -1."""
        return 1.0 if self.models[0].job.data.higher_is_better else -1.0

    @property
    def response(self) -> ResponseKind:
        """Kind of score."""
        return self.models[0].job.prepared.response

    @property
    def common(self) -> list[float]:
        """Volumes at which every model with a curve has runs."""
        sets = [set(m.fitted.runs.volumes.tolist()) for m in self.drawn if m.fitted is not None]
        return sorted(set.intersection(*sets)) if sets else []


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
        whole = _fit_group([jobs[i] for i in members], members, settings, at)
        tested, correlation = judge_rankings(
            [model.job for model in whole.drawn], whole.keys, settings
        )
        backtests += tested
        effects += _scale_effects(whole, settings)
        equivalents += _data_equivalents(whole, settings)
        for target in at or (whole.target,):
            group = replace(whole, target=target)
            found, ranked = _score_models(group, settings, extrapolator, correlation)
            models += found
            rankings += _rankings(group, ranked)
    effects = _adjust(effects)
    return ScaleComparison(
        models=tuple(models),
        ranking_at=tuple(rankings),
        ranking_backtest=tuple(backtests),
        scale_effects=tuple(effects),
        data_equivalents=tuple(equivalents),
        readings=read_scales(models, rankings, effects),
    )


def _fit_group(
    jobs: Sequence[CurveJob], members: Sequence[int], settings: FitSettings, at: Sequence[float]
) -> _Group:
    """Fit the models of one group, smallest first, on one grid that holds all targets."""
    fitted = [fit_job(job, settings) for job in jobs]
    volumes = [float(v) for item in fitted if item is not None for v in item.runs.volumes]
    grid = curve_grid(volumes, at) if volumes else np.empty(0)
    models = [
        _Model(
            job=job,
            index=index,
            fitted=item,
            gridded=evaluate(item, grid) if item is not None and item.fitted else None,
        )
        for job, index, item in zip(jobs, members, fitted, strict=True)
    ]
    models.sort(key=lambda m: (m.job.data.n_params or np.inf, m.name))
    group = _Group(models=tuple(models), target=np.nan)
    lasts = [m.gridded.last for m in models if m.gridded is not None]
    target = max(group.common, default=min(lasts, default=np.nan))
    return replace(group, target=target)


# ----------------------------------------------------------------------------- scores and rankings


def _score_models(
    group: _Group, settings: FitSettings, extrapolator: Extrapolator, correlation: float
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
    ranked = rank_at(names, np.array(estimates), draws, group.sign)
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
                gain=None if curve_of is None else _gain(curve_of, group, settings),
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


def _gain(curve: GriddedCurve, group: _Group, settings: FitSettings) -> Interval:
    """Return the gain from the first volume to the target, within what was observed."""
    (begin, begins), (end, ends) = curve.at(curve.first), curve.at(min(group.target, curve.last))
    return stretched_interval(
        group.sign * (end - begin), group.sign * (ends - begins), settings.level, curve.curve.df,
        curve.curve.kind,
    )  # fmt: skip


def _rankings(group: _Group, ranked: Ranked) -> list[VolumeRanking]:
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


# ------------------------------------------------------------------------------------ scale effects


def _scale_effects(group: _Group, settings: FitSettings) -> list[ScaleEffect]:
    """Return slopes over log10 N of the score at every common volume and of the gain."""
    common = group.common
    empty = ScaleEffect(
        **group.keys,
        quantity="gain",
        n_examples=group.target,
        n_models=len(group.drawn),
        slope=None,
        p_value=None,
        q_value=None,
        n_tests=0,
        reason=None,
    )
    sized = [model for model in group.drawn if model.job.data.n_params]
    if len({model.job.data.n_params for model in sized}) < 2:
        return [replace(empty, reason="fewer than two sizes of model have a fitted curve")]
    if len(common) < 2:
        return [replace(empty, reason="the models share fewer than two volumes")]
    log_n = np.log10([model.job.data.n_params or 1 for model in sized])
    curves = [model.gridded for model in sized if model.gridded is not None]
    values = {volume: _on_scale(curves, volume, group) for volume in common}
    effects = [
        _slope(replace(empty, quantity="score", n_examples=volume), log_n, found, curves, settings)
        for volume, found in values.items()
    ]
    gain = values[common[-1]] - values[common[0]]
    effects.append(_slope(replace(empty, n_examples=common[-1]), log_n, gain, curves, settings))
    return effects


def _on_scale(curves: Sequence[GriddedCurve], volume: float, group: _Group) -> FloatArray:
    """Return estimate and replicates (M, 1 + B) at a volume, positive = better, log for losses."""
    rows = []
    for curve in curves:
        estimate, replicates = curve.at(volume)
        rows.append(np.concatenate([[estimate], replicates]))
    values = np.array(rows)
    if group.response is ResponseKind.LOSS:
        values = np.log(np.maximum(values, 1e-300))
    return np.asarray(group.sign * values)


def _slope(
    empty: ScaleEffect,
    log_n: FloatArray,
    values: FloatArray,
    curves: Sequence[GriddedCurve],
    settings: FitSettings,
) -> ScaleEffect:
    """Return the slope over log10 N with its interval and p-value.

    The standard error is the replicates'; with four models or more, the scatter of models about
    the line counts too and the larger of the two is taken.
    """
    centred = log_n - log_n.mean()
    weights = centred / (centred**2).sum()
    slopes = weights @ values
    estimate, stderr = float(slopes[0]), float(slopes[1:].std())
    df = min(curve.curve.df for curve in curves)
    reason: str | None = "holds for these models: with fewer than four, others may differ"
    if len(log_n) >= _SCATTER_MODELS:
        reason = None
        residual = values[:, 0] - values[:, 0].mean() - estimate * centred
        n_free = len(log_n) - 2
        scatter = float(np.sqrt((residual**2).sum() / n_free / (centred**2).sum()))
        if scatter > stderr:
            stderr, df = scatter, float(n_free)
    half = float(t.ppf(0.5 + settings.level / 2, df)) * stderr
    p_value = 1.0 if estimate == 0 else _MIN_P
    if stderr > 0:
        p_value = max(2 * float(t.sf(abs(estimate) / stderr, df)), _MIN_P)
    return replace(
        empty,
        slope=Interval(
            estimate=estimate,
            low=estimate - half,
            high=estimate + half,
            level=settings.level,
            kind=weaker([curve.curve.kind for curve in curves]),
        ),
        p_value=p_value,
        reason=reason,
    )


def _adjust(effects: Sequence[ScaleEffect]) -> list[ScaleEffect]:
    """Adjust p-values over a study, metric and quantity."""
    result = list(effects)
    groups: dict[tuple[str, str, str], list[int]] = {}
    for index, effect in enumerate(effects):
        if effect.p_value is not None:
            key = (effect.study, effect.metric, effect.quantity)
            groups.setdefault(key, []).append(index)
    for members in groups.values():
        p_values = np.array([effects[i].p_value for i in members], dtype=float)
        for i, q_value in zip(members, benjamini_hochberg(p_values), strict=True):
            result[i] = replace(effects[i], q_value=float(q_value), n_tests=len(members))
    return result


# --------------------------------------------------------------------------------- data equivalents


def _data_equivalents(group: _Group, settings: FitSettings) -> list[DataEquivalent]:
    """Return what each model needs to match the next larger one, at every common volume."""
    sized = [model for model in group.drawn if model.job.data.n_params]
    result = []
    for small, large in pairwise(sized):
        if small.job.data.n_params == large.job.data.n_params:
            continue
        assert small.gridded is not None  # `drawn` models have curves
        assert large.gridded is not None
        gain = _gain(small.gridded, replace(group, target=small.gridded.last), settings)
        for volume in group.common:
            if volume > 0:
                result.append(
                    _data_equivalent(
                        group, small.gridded, large.gridded, volume, gain.low > 0, settings
                    )
                )
    return result


def _data_equivalent(
    group: _Group,
    small: GriddedCurve,
    large: GriddedCurve,
    volume: float,
    grows: bool,
    settings: FitSettings,
) -> DataEquivalent:
    """Return the smaller model's volume that reaches the larger one's score at `volume`."""
    names = (small.fitted.runs.data.base_model, large.fitted.runs.data.base_model)
    empty = DataEquivalent(
        **group.keys,
        base_model=names[0],
        larger=names[1],
        n_examples=volume,
        ratio=None,
        p_beyond_observed=None,
        p_never_under_family=None,
        status=RatioStatus.NOT_IDENTIFIED,
        reason=f"no gain of {names[0]} is established",
    )
    if not grows:
        return empty
    reached, draws = small.reaches(*large.at(volume))
    df = min(small.curve.df, large.curve.df)
    kind = weaker((small.curve.kind, large.curve.kind))
    p_never = float(np.isinf(draws).mean())
    status, reason = judge_ratio(reached, p_never, small, names[0])
    return replace(
        empty,
        ratio=ratio_interval(reached, draws, volume, settings.level, df, kind, floor=small.first),
        p_beyond_observed=float((draws > small.last).mean()),
        p_never_under_family=p_never,
        status=status,
        reason=reason,
    )
