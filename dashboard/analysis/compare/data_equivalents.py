"""What a smaller base model needs in data to match the next larger one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from dashboard.analysis.compare.inversion import (
    GriddedCurve,
    RatioStatus,
    judge_ratio,
    ratio_interval,
)
from dashboard.analysis.compare.paired import weaker
from dashboard.analysis.compare.results import DataEquivalent
from dashboard.analysis.compare.scale_groups import ScaleGroup, gain_to_target
from dashboard.analysis.settings import FitSettings


def data_equivalents(group: ScaleGroup, settings: FitSettings) -> list[DataEquivalent]:
    """Return what each model needs to match the next larger one, at every common volume."""
    sized = [model for model in group.drawn if model.job.data.n_params]
    result = []
    for small, large in pairwise(sized):
        if small.job.data.n_params == large.job.data.n_params:
            continue
        assert small.gridded is not None  # `drawn` models have curves
        assert large.gridded is not None
        gain = gain_to_target(small.gridded, replace(group, target=small.gridded.last), settings)
        for volume in group.common:
            if volume > 0:
                result.append(
                    _data_equivalent(
                        group, small.gridded, large.gridded, volume, gain.low > 0, settings
                    )
                )
    return result


def _data_equivalent(
    group: ScaleGroup,
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
