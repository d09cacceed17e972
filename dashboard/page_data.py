"""What the pages of comparisons and budgets read: cached by snapshot, kept in the workspace.

Comparisons are kept by the same keys as the commands keep theirs, so that a result that either has
computed is there for both. Caches are bounded, and what they hold must not be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import data
from dashboard.analysis import CurveData, ResponseKind
from dashboard.analysis.budget.results import FirstAnswer, NextRuns, Recommendation
from dashboard.analysis.budget.spec import PlanSpec
from dashboard.analysis.compare.results import ScaleComparison, SourceComparison
from dashboard.analysis.effective.results import EffectiveFit
from dashboard.analysis.joint.results import JointFit
from dashboard.analysis.run_table import RunTable
from dashboard.analysis.serialise import from_plain, to_plain
from dashboard.analysis.transfer.results import TransferResult
from warehouse.workspace import Workspace

Metrics = str | None
"""A metric; None stands for each ability's primary one."""

_MOST_OBSERVED = 12
_DOUBLINGS = (2, 4, 8)


@dataclass(frozen=True, kw_only=True)
class ScaleResults:
    """Base models compared at `volumes`, and the joint laws.

    Exams are compared at `exam_factor` times the volumes, since theirs count all examples.
    """

    comparison: ScaleComparison
    laws: tuple[JointFit, ...]
    volumes: tuple[float, ...]
    exam_factor: float
    largest_common: float | None


@dataclass(frozen=True, kw_only=True)
class SourceResults:
    """Data sources compared with one of them, and what each one's runs were trained on.

    `counts_total` says that volumes count all examples, since a source is not sorted by ability.
    """

    comparison: SourceComparison
    balance: tuple[dict[str, Any], ...]
    counts_total: bool


@dataclass(frozen=True, kw_only=True)
class TransferResults:
    """Transfer and effective data of one base model, and the runs behind them."""

    table: RunTable
    transfer: TransferResult
    effective: EffectiveFit


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
    from dashboard.comparison_evidence import load_comparable_curves
    from dashboard.evidence import load_items
    from dashboard.fit_store import fit_joint_or_load
    from dashboard.result_store import load_or_compute, result_key

    place, settings = Workspace(root=root), data.FIT_SETTINGS
    with closing(data.open_snapshot(root, snapshot_id)) as conn:
        curves, _ = load_comparable_curves(conn, studies=[study], metrics=_metrics(metric))
        volumes, factor = target_volumes(curves)
        at = sorted({*volumes, *(factor * volume for volume in volumes)})

        def compute() -> dict[str, Any]:
            from dashboard.analysis.compare.scales import compare_scales

            found = compare_scales(load_items(conn, curves), settings, at)
            return dict(to_plain(found))

        options = {"at": at, "base_models": None}
        key = result_key("compare-scales", curves, settings, options)
        document = load_or_compute(place, "compare-scales", key, compute)
    several = len({curve.base_model for curve in curves}) > 1
    return ScaleResults(
        comparison=from_plain(ScaleComparison, document),
        laws=fit_joint_or_load(place, curves, settings) if several else (),
        volumes=volumes,
        exam_factor=factor,
        largest_common=_largest_common(curves),
    )


@st.cache_resource(
    max_entries=8, show_spinner="Comparing data sources, paired by item (once per snapshot)…"
)
def load_sources(
    root: Path, snapshot_id: str, study: str, metric: Metrics = None, reference: str | None = None
) -> SourceResults:
    """Compare all data sources with `reference`; None is human, else the first by name."""
    from dashboard.comparison_evidence import load_balance, load_comparable_curves
    from dashboard.evidence import load_items
    from dashboard.result_store import load_or_compute, result_key

    settings = data.FIT_SETTINGS
    with closing(data.open_snapshot(root, snapshot_id)) as conn:
        curves, switched = load_comparable_curves(conn, studies=[study], metrics=_metrics(metric))

        def compute() -> dict[str, Any]:
            from dashboard.analysis.compare.sources import compare_sources

            return dict(to_plain(compare_sources(load_items(conn, curves), settings, reference)))

        key = result_key("compare-sources", curves, settings, {"reference": reference})
        document = load_or_compute(Workspace(root=root), "compare-sources", key, compute)
        return SourceResults(
            comparison=from_plain(SourceComparison, document),
            balance=tuple(load_balance(conn, [study])),
            counts_total=bool(switched),
        )


@st.cache_resource(
    max_entries=8, show_spinner="Estimating transfer and effective data (once per snapshot)…"
)
def load_transfer(
    root: Path, snapshot_id: str, study: str, base_model: str, metric: Metrics = None
) -> TransferResults | None:
    """Estimate what each ability's data does to every target; None without a scored run."""
    from dashboard.transfer_evidence import load_run_tables
    from dashboard.transfer_store import fit_transfer_or_load

    with closing(data.open_snapshot(root, snapshot_id)) as conn:
        tables = load_run_tables(
            conn, studies=[study], base_models=[base_model], metrics=_metrics(metric)
        )
    if not tables:
        return None
    (table,) = tables
    transfer, effective = fit_transfer_or_load(Workspace(root=root), table, data.FIT_SETTINGS)
    return TransferResults(table=table, transfer=transfer, effective=effective)


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


def target_volumes(curves: Sequence[CurveData]) -> tuple[tuple[float, ...], float]:
    """Return the volumes at which base models are compared, and what exams' are times those."""
    inside, exams = (
        sorted({float(n) for c in curves for n in c.n_examples if n > 0 and c.out_of_domain is out})
        for out in (False, True)
    )
    observed = inside or exams
    if not observed:
        return (), 1.0
    beyond = [factor * observed[-1] for factor in _DOUBLINGS]
    factor = exams[-1] / inside[-1] if inside and exams else 1.0
    return (*observed[-_MOST_OBSERVED:], *beyond), factor


def _largest_common(curves: Sequence[CurveData]) -> float | None:
    """Return the largest volume at which every curve of an ability was run."""
    volumes = [{float(n) for n in c.n_examples if n > 0} for c in curves if not c.out_of_domain]
    common = set.intersection(*volumes) if volumes else set()
    return max(common, default=None)


def _metrics(metric: Metrics) -> list[str] | None:
    return None if metric is None else [metric]
