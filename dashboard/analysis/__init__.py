"""Growth-curve statistics: arrays in, frozen results out (see docs/statistics.md).

Pure: no streamlit, plotly, duckdb, torch or pydantic is loaded from here.
"""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.analysis.curve_data import CurveData, ResponseKind
from dashboard.analysis.results import (
    DRAWABLE,
    BacktestError,
    Band,
    CurveFit,
    FamilyFit,
    FitStatus,
    Interval,
    IntervalKind,
    Label,
    ObservedPoints,
    Plateau,
    PlateauStatus,
    Prediction,
    PredictionStatus,
    RunNoise,
    StudyFit,
)
from dashboard.analysis.settings import ANALYSIS_VERSION, DEFAULT_DELTA, FitSettings

__all__ = [
    "ANALYSIS_VERSION",
    "DEFAULT_DELTA",
    "DRAWABLE",
    "BacktestError",
    "Band",
    "CurveData",
    "CurveFit",
    "FamilyFit",
    "FitSettings",
    "FitStatus",
    "Interval",
    "IntervalKind",
    "Label",
    "ObservedPoints",
    "Plateau",
    "PlateauStatus",
    "Prediction",
    "PredictionStatus",
    "ResponseKind",
    "RunNoise",
    "StudyFit",
    "fit_study",
]


def fit_study(curves: Sequence[CurveData], settings: FitSettings | None = None) -> StudyFit:
    """Fit all growth curves of a study together; see `dashboard.analysis.study.fit_study`.

    scipy and statsmodels are loaded by the first call, not with the package.
    """
    from dashboard.analysis.study import fit_study as fit

    return fit(curves, settings)
