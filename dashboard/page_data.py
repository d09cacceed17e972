"""What the pages of comparisons and budgets read: cached by snapshot, kept in the workspace.

Comparisons are kept by the same keys as the commands keep theirs, so that a result that either has
computed is there for both. Caches are bounded, and what they hold must not be changed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import data
from dashboard.analysis import ResponseKind
from dashboard.analysis.budget.results import FirstAnswer, NextRuns, Recommendation
from dashboard.analysis.budget.spec import PlanSpec
from dashboard.analysis.compare.results import AbilityComparison
from dashboard.analysis.mixtures import MixtureResult
from dashboard.analysis.serialise import from_plain
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
from warehouse.workspace import Workspace

Metrics = str | None
"""A metric; None stands for each ability's primary one."""


@dataclass(frozen=True, kw_only=True)
class ObservedVolumes:
    """Largest observed volume by (data source, ability), and the kind of score."""

    volumes: dict[tuple[str, str], float]
    response: ResponseKind


@st.cache_resource(
    max_entries=8, show_spinner="Comparing base models at every volume (once per snapshot)…"
)
def load_scales(root: Path, snapshot_id: str, study: str, metric: Metrics = None) -> ScaleResults:
    """Compare base models at the observed volumes and at 2, 4 and 8 times the largest."""
    with closing(data.open_snapshot(root, snapshot_id)) as conn:
        return find_scales(conn, Workspace(root=root), study, _metrics(metric), data.FIT_SETTINGS)


@st.cache_resource(
    max_entries=8, show_spinner="Comparing and averaging abilities (once per snapshot)…"
)
def load_abilities(
    root: Path, snapshot_id: str, study: str, metric: Metrics = None
) -> AbilityComparison:
    """Compare abilities with each other, and average them."""
    with closing(data.open_snapshot(root, snapshot_id)) as conn:
        return find_abilities(
            conn, Workspace(root=root), study, _metrics(metric), data.FIT_SETTINGS
        )


@st.cache_resource(max_entries=8, show_spinner="Comparing mixtures (once per snapshot)…")
def load_mixtures(
    root: Path, snapshot_id: str, study: str, base_model: str, metric: Metrics = None
) -> MixtureResult | None:
    """Compare a base model's named mixtures of training data; None without two of them."""
    with closing(data.open_snapshot(root, snapshot_id)) as conn:
        found = find_mixture_results(conn, study, [base_model], _metrics(metric), data.FIT_SETTINGS)
    return found[0] if found else None


@st.cache_resource(
    max_entries=8, show_spinner="Comparing data sources, paired by item (once per snapshot)…"
)
def load_sources(
    root: Path, snapshot_id: str, study: str, metric: Metrics = None, reference: str | None = None
) -> SourceResults:
    """Compare all data sources with `reference`; None is human, else the first by name."""
    with closing(data.open_snapshot(root, snapshot_id)) as conn:
        return find_sources(
            conn, Workspace(root=root), study, _metrics(metric), data.FIT_SETTINGS, reference
        )


@st.cache_resource(
    max_entries=8, show_spinner="Estimating transfer and effective data (once per snapshot)…"
)
def load_transfer(
    root: Path, snapshot_id: str, study: str, base_model: str, metric: Metrics = None
) -> TransferResults | None:
    """Estimate what each ability's data does to every target; None without a scored run."""
    with closing(data.open_snapshot(root, snapshot_id)) as conn:
        return find_transfer(
            conn, Workspace(root=root), study, base_model, _metrics(metric), data.FIT_SETTINGS
        )


def load_plan(
    root: Path,
    snapshot_id: str,
    filters: dict[str, list[str]],
    spec: PlanSpec,
    *,
    allow_unsupported: bool,
    tell: Callable[[FirstAnswer], None],
) -> Recommendation:
    """Return the best plan of a budget, from the workspace where it is known.

    Parameters
    ----------
    filters : dict
        Values by column of `dashboard.evidence.FILTERS`.
    tell : callable
        Gets the quick answer of a plan that is not known, while the rest is computed.

    Raises
    ------
    InputError
        If there is nothing to plan with, or no plan satisfies the request.
    """
    from dashboard.commands.budget_answers import recommend_from

    kept = fitted_curves(root, snapshot_id, repr(filters))

    def fit(*arguments: Any) -> Any:
        from dashboard.analysis.budget.build import plan_curves

        if not kept:
            kept.append(plan_curves(*arguments))
        return kept[0]

    with closing(data.open_snapshot(root, snapshot_id)) as conn:
        document = recommend_from(
            conn,
            Workspace(root=root),
            snapshot_id,
            filters,
            spec,
            data.FIT_SETTINGS,
            allow_unsupported=allow_unsupported,
            fit=fit,
            tell=tell,
        )
    return from_plain(Recommendation, document)


@st.cache_resource(max_entries=4, show_spinner=False)
def fitted_curves(root: Path, snapshot_id: str, filters: str) -> list[Any]:
    """Return where the fitted curves of a budget are kept: one budget's serve the next."""
    return []


@st.cache_resource(
    max_entries=16, show_spinner="Ranking the runs that could come next, by what they would teach…"
)
def load_next_runs(
    root: Path, snapshot_id: str, study: str, base_model: str, metric: Metrics, goal: str
) -> NextRuns:
    """Rank further runs of a base model."""
    from dashboard.analysis.budget.next_run import Goal
    from dashboard.commands.budget_answers import suggest_next_from

    filters = plan_filters(study, base_model, metric)
    with closing(data.open_snapshot(root, snapshot_id)) as conn:
        _, found = suggest_next_from(
            conn,
            Workspace(root=root),
            snapshot_id,
            filters,
            PlanSpec(),
            data.FIT_SETTINGS,
            goal=Goal(goal),
        )
    return found


@st.cache_data(max_entries=16, show_spinner=False)
def load_observed(
    root: Path, snapshot_id: str, study: str, base_model: str, metric: Metrics
) -> ObservedVolumes:
    """Return what a base model's budget can be planned with.

    Raises
    ------
    InputError
        If there is none.
    """
    from dashboard.budget_evidence import load_planning_curves

    filters = plan_filters(study, base_model, metric)
    with closing(data.open_snapshot(root, snapshot_id)) as conn:
        curves = load_planning_curves(conn, filters).wanted
    return ObservedVolumes(
        volumes={(c.data_source, c.ability): float(c.n_examples.max()) for c in curves},
        response=curves[0].response,
    )


@st.cache_data(max_entries=16, show_spinner=False)
def load_grid(root: Path, snapshot_id: str, study: str, plan: str) -> dict[str, Any]:
    """Return the grid that trains a plan (a `Recommendation` as JSON text).

    Raises
    ------
    InputError
        If no grid file planned the study, or the plan buys nothing.
    """
    import json

    from dashboard.budget_evidence import recommended_grid

    found = from_plain(Recommendation, json.loads(plan))
    with closing(data.open_snapshot(root, snapshot_id)) as conn:
        return recommended_grid(conn, study, found)


def plan_filters(study: str, base_model: str, metric: Metrics) -> dict[str, list[str]]:
    """Return the filters of a budget; an empty name stands for all base models."""
    named = {"study": study, "base_model": base_model, "metric": metric}
    return {name: [value] for name, value in named.items() if value}


def _metrics(metric: Metrics) -> list[str] | None:
    return None if metric is None else [metric]
