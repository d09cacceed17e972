"""Everything that a paper or report says of one study, as values.

A part that the study's runs can't give carries the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dashboard.analysis import FitSettings, ResponseKind, StudyFit
from dashboard.analysis.budget.results import Recommendation
from dashboard.analysis.compare.results import AbilityComparison
from dashboard.analysis.judge.summary import JudgeSummary
from dashboard.analysis.mixtures import MixtureResult
from dashboard.study_results import ScaleResults, SourceResults, TransferResults


@dataclass(frozen=True, kw_only=True)
class Unavailable:
    """A result that the study's runs can't give; the reason ends without a full stop."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class BudgetPlan:
    """The plan for the budget that the app begins with: a quarter of the largest volumes."""

    found: Recommendation
    response: ResponseKind
    unit: str


@dataclass(frozen=True, kw_only=True)
class StudyEvidence:
    """What is known of one study of one snapshot.

    Attributes
    ----------
    snapshot_id, study : str
    notice : str or None
        What the study's grid says about its data.
    metrics : tuple of str or None
        Metric asked for; None is each ability's primary one.
    settings : FitSettings
        Of every part.
    cells : DataFrame
        One row a cell (`warehouse.queries.load_cells`).
    fit : StudyFit
        All growth curves; empty without a trained and scored run.
    abilities, sources, scales, transfer, mixtures, plan, judge
        A result, or `Unavailable`. `transfer` and `mixtures` hold one result a base model, the
        largest model first.
    """

    snapshot_id: str
    study: str
    notice: str | None
    metrics: tuple[str, ...] | None
    settings: FitSettings
    cells: pd.DataFrame
    fit: StudyFit
    abilities: AbilityComparison | Unavailable
    sources: SourceResults | Unavailable
    scales: ScaleResults | Unavailable
    transfer: tuple[TransferResults, ...] | Unavailable
    mixtures: tuple[MixtureResult, ...] | Unavailable
    plan: BudgetPlan | Unavailable
    judge: JudgeSummary | Unavailable

    @property
    def is_imported(self) -> bool:
        """Whether no grid planned the trained runs."""
        return is_imported(self.cells)

    @property
    def source_note(self) -> str:
        """What figures and tables name as their source, as the app's pages do."""
        notice = f" {self.notice}" if self.notice else ""
        return f"Source: study {self.study}, growthpace snapshot {self.snapshot_id}.{notice}"


def is_imported(cells: pd.DataFrame) -> bool:
    """Tell whether all trained runs were imported: no grid, which one could add to, has them."""
    return set(cells["design"]) - {"base"} == {"imported"}
