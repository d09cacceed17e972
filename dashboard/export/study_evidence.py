"""Everything that a paper or report says of one study, computed once; no streamlit.

Each part is read through the same evidence modules and result stores as the commands and the app,
so all of them show one result. A part that the study's runs can't give carries the reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd

from dashboard.analysis import FitSettings, ResponseKind, StudyFit
from dashboard.analysis.budget.results import Recommendation
from dashboard.analysis.compare.results import AbilityComparison
from dashboard.analysis.judge.summary import JudgeSummary, summarise_votes
from dashboard.analysis.mixtures import MixtureResult, compare_mixtures, find_mixtures
from dashboard.analysis.serialise import from_plain
from dashboard.analysis.settings import ANALYSIS_VERSION
from dashboard.budget_form import EXAMPLES, empty_tables, read_request, usual_budget
from dashboard.charts.selection import REFERENCE_SOURCE, models_of, sources_of
from dashboard.evidence import check_known, load_curves, load_items
from dashboard.fit_store import fit_or_load
from dashboard.judge_evidence import load_judge_votes
from dashboard.study_results import (
    ScaleResults,
    SourceResults,
    TransferResults,
    find_abilities,
    find_scales,
    find_sources,
    find_transfer,
)
from dashboard.transfer_evidence import load_run_tables
from warehouse.connection import open_latest
from warehouse.errors import GrowthpaceError, InputError
from warehouse.queries import load_ability_scores, load_cells, load_studies
from warehouse.snapshots import resolve_snapshot
from warehouse.workspace import Workspace, open_workspace

_VARIED = frozenset({"single_ability", "leave_one_out", "mixture"})


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
    def source_note(self) -> str:
        """What figures and tables name as their source, as the app's pages do."""
        notice = f" {self.notice}" if self.notice else ""
        return f"Source: study {self.study}, growthpace snapshot {self.snapshot_id}.{notice}"


def load_study_evidence(
    workspace: Workspace | Path,
    study: str | None = None,
    *,
    snapshot: str = "latest",
    metric: str | None = None,
    settings: FitSettings | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> StudyEvidence:
    """Read a study and compute what is not known of it yet.

    Parameters
    ----------
    workspace : Workspace or Path
        Where results lie and are kept.
    study : str, optional
        Which study; the one planned last by default.
    snapshot : str
        Id, start of an id, or `latest`.
    metric : str, optional
        Metric of all parts; each ability's primary one by default.
    settings : FitSettings, optional
        By default those of the commands and the app, so that what they computed is found.
    tell : callable
        Gets a few words before each part that may take long.

    Raises
    ------
    InputError
        If there is no such workspace, snapshot, study or metric.
    """
    place = workspace if isinstance(workspace, Workspace) else open_workspace(workspace)
    settings = settings or FitSettings()
    opened = resolve_snapshot(place, snapshot)
    with contextlib.closing(open_latest(opened.path)) as conn:
        studies = load_studies(conn)
        name = _choose(studies, study)
        notice = studies.set_index("study")["notice"].to_dict()[name]
        reader = _Reader(
            conn=conn,
            place=place,
            snapshot_id=opened.id,
            study=name,
            metrics=None if metric is None else (metric,),
            settings=settings,
            tell=tell,
        )
        return reader.read(notice if isinstance(notice, str) else None)


def _choose(studies: pd.DataFrame, study: str | None) -> str:
    """Return the study asked for, else the one planned last."""
    if studies.empty:
        raise InputError("The snapshot holds no study; run a grid or import results first.")
    if study is not None:
        check_known("study", [study], studies)
        return study
    return str(studies.sort_values("last_planned_at", na_position="first")["study"].iloc[-1])


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """What every part is read with."""

    conn: duckdb.DuckDBPyConnection
    place: Workspace
    snapshot_id: str
    study: str
    metrics: tuple[str, ...] | None
    settings: FitSettings
    tell: Callable[[str], None]

    def read(self, notice: str | None) -> StudyEvidence:
        """Return all parts."""
        self.tell("growth curves")
        cells = load_cells(self.conn, study=self.study)
        fit = self._fit()
        models = models_of(fit.curves)
        none = Unavailable(reason="no trained run of this study is scored yet")
        return StudyEvidence(
            snapshot_id=self.snapshot_id,
            study=self.study,
            notice=notice,
            metrics=self.metrics,
            settings=self.settings,
            cells=cells,
            fit=fit,
            abilities=self._abilities() if models else none,
            sources=self._sources(fit) if models else none,
            scales=self._scales(models) if models else none,
            transfer=self._transfer(cells, len({curve.ability for curve in fit.curves})),
            mixtures=self._mixtures(cells),
            plan=self._plan(models[0]) if models else none,
            judge=self._judge(),
        )

    def _fit(self) -> StudyFit:
        """Fit all curves of the study; one without scores has none."""
        if load_ability_scores(self.conn, study=self.study).empty:
            return StudyFit(curves=(), run_noise=(), analysis_version=ANALYSIS_VERSION)
        curves = load_curves(
            self.conn, studies=[self.study], metrics=self.metrics, with_items=False
        )
        return fit_or_load(
            self.place,
            curves,
            self.settings,
            load_items=lambda needed: load_items(self.conn, needed),
        )

    def _abilities(self) -> AbilityComparison | Unavailable:
        """Compare and average abilities."""
        self.tell("abilities")
        try:
            return find_abilities(self.conn, self.place, self.study, self.metrics, self.settings)
        except GrowthpaceError as error:
            return _why(error)

    def _sources(self, fit: StudyFit) -> SourceResults | Unavailable:
        """Compare data sources."""
        names = sources_of(fit.curves)
        if len(names) < 2:
            return Unavailable(
                reason=f"all runs of this study train on {names[0]} data; add another source to "
                "data_sources of its grid"
            )
        self.tell("data sources")
        try:
            return find_sources(self.conn, self.place, self.study, self.metrics, self.settings)
        except GrowthpaceError as error:
            return _why(error)

    def _scales(self, models: Sequence[str]) -> ScaleResults | Unavailable:
        """Compare base models."""
        if len(models) < 2:
            return Unavailable(
                reason=f"all runs of this study start from {models[0]}; add another model to "
                "base_models of its grid"
            )
        self.tell("base models")
        try:
            return find_scales(self.conn, self.place, self.study, self.metrics, self.settings)
        except GrowthpaceError as error:
            return _why(error)

    def _transfer(
        self, cells: pd.DataFrame, n_abilities: int
    ) -> tuple[TransferResults, ...] | Unavailable:
        """Estimate transfer for every base model with runs that vary what is trained on."""
        if n_abilities == 1:
            return Unavailable(reason="this study has one ability, and transfer takes two")
        varied = cells[cells["design"].isin(_VARIED) & (cells["status"] == "done")]
        models = _by_size(varied)
        found = []
        for model in models:
            self.tell(f"transfer of {model}")
            try:
                one = find_transfer(
                    self.conn, self.place, self.study, model, self.metrics, self.settings
                )
            except GrowthpaceError as error:
                return _why(error)
            found += [] if one is None else [one]
        if not found:
            return Unavailable(
                reason="all runs train the abilities together, so what one gives another does not "
                "show; add the designs single_ability or leave_one_out, as the grid transfer has"
            )
        return tuple(found)

    def _mixtures(self, cells: pd.DataFrame) -> tuple[MixtureResult, ...] | Unavailable:
        """Compare named mixtures of every base model with the even mix of the same size."""
        none = Unavailable(
            reason="this study has no two named mixtures of training data; add the design mixture "
            "to its grid"
        )
        models = _by_size(cells[(cells["design"] == "mixture") & (cells["status"] == "done")])
        if not models:
            return none
        self.tell("mixtures")
        tables = load_run_tables(
            self.conn, studies=[self.study], base_models=models, metrics=self.metrics
        )
        found = []
        for table in sorted(tables, key=lambda one: models.index(one.base_model)):
            names = [one.name for one in find_mixtures(table)]
            even = [name for name in names if name.startswith(f"even {REFERENCE_SOURCE}")]
            reference = next(iter(even or names), None)
            one = compare_mixtures(table, self.settings, reference)
            found += [one] if one.pairs else []
        return tuple(found) or none

    def _plan(self, base_model: str) -> BudgetPlan | Unavailable:
        """Plan the budget that the app's page begins with."""
        from dashboard.budget_evidence import load_planning_curves
        from dashboard.commands.budget_answers import recommend_from, solver_chatter_to_stderr

        self.tell("budget")
        filters = {"study": [self.study], "base_model": [base_model]}
        if self.metrics is not None:
            filters["metric"] = list(self.metrics)
        try:
            curves = load_planning_curves(self.conn, filters).wanted
            observed = {(c.data_source, c.ability): float(c.n_examples.max()) for c in curves}
            spec = read_request(usual_budget(observed), EXAMPLES, empty_tables(observed))
            with solver_chatter_to_stderr():
                document = recommend_from(
                    self.conn,
                    self.place,
                    self.snapshot_id,
                    filters,
                    spec,
                    self.settings,
                    tell=lambda first: None,
                )
        except GrowthpaceError as error:
            return _why(error)
        return BudgetPlan(
            found=from_plain(Recommendation, document),
            response=curves[0].response,
            unit=EXAMPLES,
        )

    def _judge(self) -> JudgeSummary | Unavailable:
        """Summarise judges' votes."""
        try:
            votes = load_judge_votes(self.conn, studies=[self.study])[self.study]
        except (GrowthpaceError, KeyError):
            return Unavailable(
                reason="no judge has voted on this study; run judge run, or import judgments"
            )
        self.tell("judges' votes")
        return summarise_votes(
            votes,
            level=self.settings.level,
            n_replicates=self.settings.n_replicates,
            seed=self.settings.seed,
        )


def _by_size(cells: pd.DataFrame) -> list[str]:
    """Return the base models of some cells, the largest first."""
    sizes = cells.groupby("base_model")["n_params"].max().fillna(0)
    return sorted(map(str, sizes.index), key=lambda name: (-int(sizes[name]), name))


def _why(error: Exception) -> Unavailable:
    """Return an expected error as a reason."""
    return Unavailable(reason=str(error).rstrip("."))
