"""Effective data: what examples of another source or ability are worth."""

from dashboard.analysis.effective.model import EffectiveModel
from dashboard.analysis.effective.results import (
    AbilityFit,
    AbilityWorth,
    EffectiveFit,
    SourceWorth,
    WorthStatus,
)
from dashboard.analysis.effective.study import fit_effective

__all__ = [
    "AbilityFit",
    "AbilityWorth",
    "EffectiveFit",
    "EffectiveModel",
    "SourceWorth",
    "WorthStatus",
    "fit_effective",
]
