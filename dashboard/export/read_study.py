"""Reads a study and computes what is not known of it yet; no streamlit.

Each part is read through the same evidence modules and result stores as the commands and the app,
so all of them show one result.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pandas as pd

from dashboard.analysis import FitSettings, StudyFit
from dashboard.analysis.budget.results import Recommendation
from dashboard.analysis.compare.results import AbilityComparison
from dashboard.analysis.judge.summary import JudgeSummary, summarise_votes
from dashboard.analysis.mixtures import MixtureResult
from dashboard.analysis.serialise import from_plain
from dashboard.analysis.settings import ANALYSIS_VERSION
from dashboard.budget_form import EXAMPLES, empty_tables, read_request, usual_budget
from dashboard.charts.selection import models_of, most_trained, sources_of
from dashboard.evidence import check_known, load_curves, load_items
from dashboard.export.study_evidence import BudgetPlan, StudyEvidence, Unavailable, is_imported
from dashboard.fit_store import fit_or_load
from dashboard.judge_evidence import load_judge_votes
from dashboard.study_results import (
    ScaleResults,
    SourceResults,
    TransferResults,
    find_abilities,
    find_mixture_results,
    find_scales,
    find_sources,
    find_transfer,
)
from warehouse.connection import open_latest
from warehouse.errors import GrowthpaceError, InputError
from warehouse.queries import load_ability_scores, load_cells, load_studies
from warehouse.snapshots import resolve_snapshot
from warehouse.workspace import Workspace, open_workspace

_VARIED = frozenset({"single_ability", "leave_one_out", "mixture"})


def load_study_evidence(
    workspace: Workspace | Path,
    study: str | None = None,
    *,
    snapshot: str = "latest",
    metric: str | None = None,
    base_model: str | None = None,
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
    base_model : str, optional
        Keep the cells and curves of this one alone, with the numbers that they have in the whole
        study. What compares base models is unavailable then.
    settings : FitSettings, optional
        By default those of the commands and the app, so that what they computed is found.
    tell : callable
        Gets a few words before each part that may take long.

    Raises
    ------
    InputError
        If there is no such workspace, snapshot, study, metric or base model.
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
            base_model=base_model,
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
    base_model: str | None
    settings: FitSettings
    tell: Callable[[str], None]

    def read(self, notice: str | None) -> StudyEvidence:
        """Return all parts."""
        self.tell("growth curves")
        cells = load_cells(self.conn, study=self.study)
        if self.base_model is not None:
            check_known("base_model", [self.base_model], cells)
            cells = cells[cells["base_model"] == self.base_model]
        fit = self._fit()
        if self.base_model is not None:
            curves = tuple(one for one in fit.curves if one.base_model == self.base_model)
            fit = replace(fit, curves=curves)
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
            sources=self._sources(cells, fit) if models else none,
            scales=self._scales(cells, models) if models else none,
            transfer=self._transfer(cells, len({curve.ability for curve in fit.curves})),
            mixtures=self._mixtures(cells),
            plan=self._plan(most_trained(fit.curves)) if models else none,
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

    def _sources(self, cells: pd.DataFrame, fit: StudyFit) -> SourceResults | Unavailable:
        """Compare data sources."""
        names = sources_of(fit.curves)
        if len(names) < 2:
            more = (
                "import runs on another source as well"
                if is_imported(cells)
                else "add another source to data_sources of its grid"
            )
            whose = self.base_model or "this study"
            return Unavailable(reason=f"all runs of {whose} train on {names[0]} data; {more}")
        self.tell("data sources")
        try:
            return find_sources(self.conn, self.place, self.study, self.metrics, self.settings)
        except GrowthpaceError as error:
            return _why(error)

    def _scales(self, cells: pd.DataFrame, models: Sequence[str]) -> ScaleResults | Unavailable:
        """Compare base models."""
        if self.base_model is not None:
            return _compares_models(self.base_model)
        if len(models) < 2:
            more = (
                "import runs of another model as well"
                if is_imported(cells)
                else "add another model to base_models of its grid"
            )
            return Unavailable(reason=f"all runs of this study start from {models[0]}; {more}")
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
        if not found and is_imported(cells):
            return Unavailable(
                reason="imported runs do not say how much of each ability they trained on; runs of "
                "a grid do, such as those of the grid transfer"
            )
        if not found:
            return Unavailable(
                reason="all runs train the abilities together, so what one gives another does not "
                "show; add the designs single_ability or leave_one_out, as the grid transfer has"
            )
        return tuple(found)

    def _mixtures(self, cells: pd.DataFrame) -> tuple[MixtureResult, ...] | Unavailable:
        """Compare named mixtures of every base model with the even mix of the same size."""
        more = (
            "imported runs have no names of mixtures"
            if is_imported(cells)
            else "add the design mixture to its grid"
        )
        none = Unavailable(reason=f"this study has no two named mixtures of training data; {more}")
        models = _by_size(cells[(cells["design"] == "mixture") & (cells["status"] == "done")])
        if not models:
            return none
        self.tell("mixtures")
        found = find_mixture_results(self.conn, self.study, models, self.metrics, self.settings)
        return found or none

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
        if self.base_model is not None:
            return _compares_models(self.base_model)
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


def _compares_models(base_model: str) -> Unavailable:
    """Return why a comparison of models is left out of one model's results."""
    return Unavailable(
        reason=f"it compares models and {base_model} alone was asked for; leave out --base-model"
    )


def _why(error: Exception) -> Unavailable:
    """Return an expected error as a reason."""
    return Unavailable(reason=str(error).rstrip("."))
