"""Macro mean over abilities as a growth curve, with the run noise that abilities share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.analysis.compare.paired import weaker
from dashboard.analysis.compare.results import Overall, OverallPoint
from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.replicated import CurveJob, FittedJob
from dashboard.analysis.replicates import stretched_interval
from dashboard.analysis.results import IntervalKind
from dashboard.analysis.settings import FitSettings
from dashboard.analysis.summary import Replicated, value_limits


def overall_of(
    curves: Sequence[tuple[CurveJob, FittedJob | None]], settings: FitSettings
) -> Overall:
    """Average the abilities of one base model, source, metric and domain, each weighing alike.

    The mean is that of the observed scores at the volumes at which every ability has runs,
    replicate by replicate: abilities have items of their own and share run noise as far as the
    study shows. Fitted curves would be smoother, but their small biases do not average out. Only
    curves whose noise is the scatter around them are averaged as fitted.
    """
    data = curves[0][0].data
    fitted = [
        (job, item)
        for job, item in curves
        if item is not None and (item.fitted or item.kind is not IntervalKind.RESIDUAL)
    ]
    # Own and total examples can't share an axis: the kind that most abilities have decides.
    kinds = [job.data.x_kind for job, _ in fitted]
    x_kind = max(dict.fromkeys(kinds), key=kinds.count, default=data.x_kind)
    used = [
        (job, item)
        for job, item in fitted
        if job.data.x_kind == x_kind and item.runs.response is fitted[0][1].runs.response
    ]
    names = {job.data.ability for job, _ in used}
    common: list[float] = []
    if used:
        sets = [set(item.runs.volumes.tolist()) for _, item in used]
        common = sorted(set.intersection(*sets))
    left_out = tuple(job.data.ability for job, _ in curves if job.data.ability not in names)
    result = {
        "study": data.study,
        "base_model": data.base_model,
        "data_source": data.data_source,
        "metric": data.metric,
        "domain": "out_of_domain" if data.out_of_domain else "in_domain",
    }
    if len(common) < 2:
        reason = "no ability has runs to average" if not used else "too few common volumes"
        return Overall(
            **result,
            higher_is_better=data.higher_is_better,
            x_kind=x_kind,
            abilities=tuple(job.data.ability for job, _ in used),
            left_out=left_out,
            curve=(),
            gain=None,
            run_correlation=0.0,
            reason=reason,
        )
    n = np.array(common)
    evaluated = [_at(item, n) for _, item in used]
    estimate = np.mean([curve.estimate for curve in evaluated], axis=0)
    replicates = np.mean([curve.replicates for curve in evaluated], axis=0)
    df = min(curve.df for curve in evaluated)
    kind = weaker([curve.kind for curve in evaluated])
    limits = value_limits(used[0][1].runs.response)
    sign = 1.0 if data.higher_is_better else -1.0
    points = tuple(
        OverallPoint(
            n_examples=volume,
            score=stretched_interval(value, draws, settings.level, df, kind, limits),
        )
        for volume, value, draws in zip(common, estimate.tolist(), replicates, strict=True)
    )
    return Overall(
        **result,
        higher_is_better=data.higher_is_better,
        x_kind=x_kind,
        abilities=tuple(job.data.ability for job, _ in used),
        left_out=left_out,
        curve=points,
        gain=stretched_interval(
            sign * float(estimate[-1] - estimate[0]),
            sign * (replicates[-1] - replicates[0]),
            settings.level,
            df,
            kind,
        ),
        run_correlation=used[0][0].run_correlation,
        reason=None,
    )


def _at(fitted: FittedJob, n: FloatArray) -> Replicated:
    """Return mean scores at some of the observed volumes."""
    if fitted.kind is IntervalKind.RESIDUAL:
        return fitted.curve(n)
    means = fitted.means()
    rows = np.searchsorted(fitted.runs.volumes, n)
    return Replicated(
        estimate=means.estimate[rows],
        replicates=means.replicates[rows],
        df=means.df,
        kind=means.kind,
    )
