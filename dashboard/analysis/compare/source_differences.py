"""Differences of two sources at the volumes that both were trained on, paired by item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dashboard.analysis.compare.paired import paired_difference, side_at
from dashboard.analysis.compare.results import PairStatus, SourceDifference
from dashboard.analysis.compare.rivals import Rivals
from dashboard.analysis.curve_data import ResponseKind
from dashboard.analysis.likelihood import benjamini_hochberg
from dashboard.analysis.replicated import FittedJob
from dashboard.analysis.results import IntervalKind
from dashboard.analysis.settings import FitSettings


def source_differences(rivals: Rivals, settings: FitSettings) -> list[SourceDifference]:
    """Return observed differences at every common volume but 0, where both are the base model."""
    first, second = rivals.reference.job.data, rivals.source.job.data
    if first.x_kind != second.x_kind:
        return [
            _without_volume(
                rivals,
                PairStatus.DIFFERENT_AXES,
                f"volumes of {first.data_source} are {first.x_kind} examples, those of "
                f"{second.data_source} {second.x_kind} ones; compare them with --x total",
            )
        ]
    a, b = rivals.reference.fitted, rivals.source.fitted
    if a is None or b is None:
        reason = rivals.reference.reason if a is None else rivals.source.reason
        return [_without_volume(rivals, PairStatus.NO_COMMON_VOLUME, reason)]
    common = [float(v) for v in a.runs.volumes if v > 0 and v in b.runs.volumes]
    if not common:
        return [
            _without_volume(
                rivals, PairStatus.NO_COMMON_VOLUME, "the two sources share no training volume"
            )
        ]
    return [_difference(rivals, a, b, volume, settings) for volume in common]


def _without_volume(rivals: Rivals, status: PairStatus, reason: str) -> SourceDifference:
    """Return a pair that has no observed difference."""
    data = rivals.source.job.data
    return SourceDifference(
        **rivals.keys,
        n_params=data.n_params,
        higher_is_better=data.higher_is_better,
        x_kind=data.x_kind,
        out_of_domain=data.out_of_domain,
        n_examples=np.nan,
        n_runs_reference=0,
        n_runs=0,
        score_reference=np.nan,
        score=np.nan,
        difference=None,
        stderr=None,
        p_value=None,
        q_value=None,
        n_tests=0,
        better=None,
        significant=False,
        status=status,
        reason=reason,
    )


def _difference(
    rivals: Rivals, a: FittedJob, b: FittedJob, volume: float, settings: FitSettings
) -> SourceDifference:
    """Compare the observed means at one common volume."""
    left, right = side_at(a, volume), side_at(b, volume)
    assert left is not None  # `volume` is one of the runs' own
    assert right is not None
    better = rivals.sign * (left.mean - right.mean)
    names = rivals.keys
    result = replace(
        _without_volume(rivals, PairStatus.OK, ""),
        n_examples=volume,
        n_runs_reference=left.n_runs,
        n_runs=right.n_runs,
        score_reference=left.mean,
        score=right.mean,
        better=None if better == 0 else names["reference" if better > 0 else "data_source"],
        reason=None,
    )
    if any(item.kind is IntervalKind.RESIDUAL and not item.fitted for item in (a, b)):
        return replace(
            result,
            status=PairStatus.NO_NOISE,
            reason="neither items, standard errors, repeated seeds nor a fitted curve tell how "
            "much such scores vary",
        )
    limit = 1.0 if a.runs.response is ResponseKind.ACCURACY else np.inf
    found = paired_difference(left, right, settings.level, limit)
    return replace(result, difference=found.interval, stderr=found.stderr, p_value=found.p_value)


def adjust_differences(
    pairs: Sequence[SourceDifference], settings: FitSettings
) -> list[SourceDifference]:
    """Adjust p-values over all differences of a study and metric."""
    result = list(pairs)
    groups: dict[tuple[str, str], list[int]] = {}
    for index, pair in enumerate(pairs):
        if pair.p_value is not None:
            groups.setdefault((pair.study, pair.metric), []).append(index)
    for members in groups.values():
        p_values = np.array([pairs[i].p_value for i in members], dtype=float)
        for i, q_value in zip(members, benjamini_hochberg(p_values), strict=True):
            result[i] = replace(
                pairs[i],
                q_value=float(q_value),
                n_tests=len(members),
                significant=bool(q_value < settings.fdr),
            )
    return result
