"""Two sources of one ability, base model and metric, fitted and side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.analysis.compare.inversion import GriddedCurve, curve_grid, evaluate
from dashboard.analysis.replicated import CurveJob, FittedJob, why_no_fit
from dashboard.analysis.shared_fits import StudyFits


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One source's curve: how it was prepared, fitted and, where possible, evaluated."""

    job: CurveJob
    fitted: FittedJob | None
    gridded: GriddedCurve | None

    @property
    def reason(self) -> str:
        """Why there is no curve."""
        if self.fitted is None:
            return self.job.prepared.reason or "nothing could be fitted"
        return why_no_fit(self.fitted)


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """Reference and source of one ability, base model and metric."""

    reference: Contender
    source: Contender

    @property
    def keys(self) -> dict[str, str]:
        """Fields that name the comparison in every result."""
        data = self.source.job.data
        return {
            "study": data.study,
            "ability": data.ability,
            "base_model": data.base_model,
            "data_source": data.data_source,
            "reference": self.reference.job.data.data_source,
            "metric": data.metric,
        }

    @property
    def sign(self) -> float:
        """1 where higher is better, else -1."""
        return 1.0 if self.source.job.data.higher_is_better else -1.0


def pair_rivals(members: Sequence[CurveJob], reference: str, shared: StudyFits) -> list[Rivals]:
    """Fit the sources of one ability, base model and metric and pair them with the reference."""
    by_source = {job.data.data_source: job for job in members}
    if reference not in by_source or len(by_source) < 2:
        return []
    fitted = {source: shared.fit(job) for source, job in by_source.items()}
    volumes = [v for item in fitted.values() if item is not None for v in item.runs.volumes]
    fourths = [item.runs.volumes[-1] / 4 for item in fitted.values() if item is not None]
    grid = curve_grid(volumes, fourths) if volumes else np.empty(0)
    contenders = {
        source: Contender(
            job=job,
            fitted=(item := fitted[source]),
            gridded=evaluate(item, grid) if item is not None and item.fitted else None,
        )
        for source, job in by_source.items()
    }
    return [
        Rivals(reference=contenders[reference], source=contenders[source])
        for source in sorted(by_source)
        if source != reference
    ]
