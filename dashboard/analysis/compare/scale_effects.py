"""Do bigger base models score and gain more: slopes over log2 N."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import t

from dashboard.analysis.compare.inversion import GriddedCurve
from dashboard.analysis.compare.paired import weaker
from dashboard.analysis.compare.results import ScaleEffect
from dashboard.analysis.compare.scale_groups import ScaleGroup
from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.likelihood import benjamini_hochberg
from dashboard.analysis.results import Interval
from dashboard.analysis.settings import FitSettings

_SCATTER_MODELS = 4
"""Models from which on their own scatter about the line in log N can be judged."""
_MIN_P = 1e-300


def scale_effects(group: ScaleGroup, settings: FitSettings) -> list[ScaleEffect]:
    """Return slopes over log2 N of the score at every common volume and of the gain."""
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
    log_n = np.log2([model.job.data.n_params or 1 for model in sized])
    curves = [model.gridded for model in sized if model.gridded is not None]
    values = {volume: _on_scale(curves, volume, group) for volume in common}
    effects = [
        _slope(replace(empty, quantity="score", n_examples=volume), log_n, found, curves, settings)
        for volume, found in values.items()
    ]
    gain = values[common[-1]] - values[common[0]]
    effects.append(_slope(replace(empty, n_examples=common[-1]), log_n, gain, curves, settings))
    return effects


def _on_scale(curves: Sequence[GriddedCurve], volume: float, group: ScaleGroup) -> FloatArray:
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
    """Return the slope over log2 N with its interval and p-value.

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


def adjust_effects(effects: Sequence[ScaleEffect]) -> list[ScaleEffect]:
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
