"""Base models of one study, ability, source and metric, fitted on one grid of volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dashboard.analysis.compare.inversion import GriddedCurve, curve_grid, evaluate
from dashboard.analysis.curve_data import ResponseKind
from dashboard.analysis.replicated import CurveJob, FittedJob, fit_job
from dashboard.analysis.replicates import stretched_interval
from dashboard.analysis.results import Interval
from dashboard.analysis.settings import FitSettings


@dataclass(frozen=True, kw_only=True)
class ScaleModel:
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
class ScaleGroup:
    """Base models of one study, ability, source and metric, smallest first, and the target."""

    models: tuple[ScaleModel, ...]
    target: float

    @property
    def drawn(self) -> list[ScaleModel]:
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


def fit_group(
    jobs: Sequence[CurveJob], members: Sequence[int], settings: FitSettings, at: Sequence[float]
) -> ScaleGroup:
    """Fit the models of one group, smallest first, on one grid that holds all targets."""
    fitted = [fit_job(job, settings) for job in jobs]
    volumes = [float(v) for item in fitted if item is not None for v in item.runs.volumes]
    grid = curve_grid(volumes, at) if volumes else np.empty(0)
    models = [
        ScaleModel(
            job=job,
            index=index,
            fitted=item,
            gridded=evaluate(item, grid) if item is not None and item.fitted else None,
        )
        for job, index, item in zip(jobs, members, fitted, strict=True)
    ]
    models.sort(key=lambda m: (m.job.data.n_params or np.inf, m.name))
    group = ScaleGroup(models=tuple(models), target=np.nan)
    lasts = [m.gridded.last for m in models if m.gridded is not None]
    target = max(group.common, default=min(lasts, default=np.nan))
    return replace(group, target=target)


def gain_to_target(curve: GriddedCurve, group: ScaleGroup, settings: FitSettings) -> Interval:
    """Return the gain from the first volume to the target, within what was observed."""
    (begin, begins), (end, ends) = curve.at(curve.first), curve.at(min(group.target, curve.last))
    return stretched_interval(
        group.sign * (end - begin), group.sign * (ends - begins), settings.level, curve.curve.df,
        curve.curve.kind,
    )  # fmt: skip
