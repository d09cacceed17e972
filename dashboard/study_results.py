"""Comparisons of one study on an open snapshot, for pages, reports and figures; no streamlit.

They are kept in the workspace by the same keys as the commands keep theirs, so that a result that
any of them has computed is there for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from dashboard.analysis import CurveData, FitSettings
from dashboard.analysis.compare.results import (
    AbilityComparison,
    ScaleComparison,
    SourceComparison,
)
from dashboard.analysis.effective.results import EffectiveFit
from dashboard.analysis.joint.results import JointFit
from dashboard.analysis.mixtures import MixtureResult, compare_mixtures, find_mixtures
from dashboard.analysis.run_table import RunTable
from dashboard.analysis.serialise import from_plain, to_plain
from dashboard.analysis.transfer.results import TransferResult
from dashboard.charts.selection import REFERENCE_SOURCE
from dashboard.comparison_evidence import load_balance, load_comparable_curves
from dashboard.evidence import load_items
from dashboard.fit_store import fit_joint_or_load
from dashboard.result_store import load_or_compute, result_key
from warehouse.workspace import Workspace

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


def find_scales(
    conn: duckdb.DuckDBPyConnection,
    place: Workspace,
    study: str,
    metrics: Sequence[str] | None,
    settings: FitSettings,
) -> ScaleResults:
    """Compare base models at the observed volumes and at 2, 4 and 8 times the largest."""
    curves, _ = load_comparable_curves(conn, studies=[study], metrics=metrics)
    volumes, factor = target_volumes(curves)
    at = sorted({*volumes, *(factor * volume for volume in volumes)})

    def compute() -> dict[str, Any]:
        from dashboard.analysis.compare.scales import compare_scales

        return dict(to_plain(compare_scales(load_items(conn, curves), settings, at)))

    key = result_key("compare-scales", curves, settings, {"at": at, "base_models": None})
    document = load_or_compute(place, "compare-scales", key, compute)
    several = len({curve.base_model for curve in curves}) > 1
    return ScaleResults(
        comparison=from_plain(ScaleComparison, document),
        laws=fit_joint_or_load(place, curves, settings) if several else (),
        volumes=volumes,
        exam_factor=factor,
        largest_common=_largest_common(curves),
    )


def find_sources(
    conn: duckdb.DuckDBPyConnection,
    place: Workspace,
    study: str,
    metrics: Sequence[str] | None,
    settings: FitSettings,
    reference: str | None = None,
) -> SourceResults:
    """Compare all data sources with `reference`; None is human, else the first by name."""
    curves, switched = load_comparable_curves(conn, studies=[study], metrics=metrics)

    def compute() -> dict[str, Any]:
        from dashboard.analysis.compare.sources import compare_sources

        return dict(to_plain(compare_sources(load_items(conn, curves), settings, reference)))

    key = result_key("compare-sources", curves, settings, {"reference": reference})
    document = load_or_compute(place, "compare-sources", key, compute)
    return SourceResults(
        comparison=from_plain(SourceComparison, document),
        balance=tuple(load_balance(conn, [study])),
        counts_total=bool(switched),
    )


def find_abilities(
    conn: duckdb.DuckDBPyConnection,
    place: Workspace,
    study: str,
    metrics: Sequence[str] | None,
    settings: FitSettings,
) -> AbilityComparison:
    """Compare abilities with each other, and average them."""
    curves, _ = load_comparable_curves(conn, studies=[study], metrics=metrics)

    def compute() -> dict[str, Any]:
        from dashboard.analysis.compare.abilities import compare_abilities

        return dict(to_plain(compare_abilities(load_items(conn, curves), settings)))

    key = result_key("compare-abilities", curves, settings, {})
    return from_plain(AbilityComparison, load_or_compute(place, "compare-abilities", key, compute))


def find_mixture_results(
    conn: duckdb.DuckDBPyConnection,
    study: str,
    base_models: Sequence[str],
    metrics: Sequence[str] | None,
    settings: FitSettings,
) -> tuple[MixtureResult, ...]:
    """Compare named mixtures with the even mix of the same size, if there is one, else a mixture.

    One result a base model, in the order given; models without two mixtures are left out.
    """
    from dashboard.transfer_evidence import load_run_tables

    tables = load_run_tables(conn, studies=[study], base_models=base_models, metrics=metrics)
    found = []
    for table in sorted(tables, key=lambda one: base_models.index(one.base_model)):
        names = [one.name for one in find_mixtures(table)]
        even = [name for name in names if name.startswith(f"even {REFERENCE_SOURCE}")]
        one = compare_mixtures(table, settings, next(iter(even or names), None))
        found += [one] if one.pairs else []
    return tuple(found)


def find_transfer(
    conn: duckdb.DuckDBPyConnection,
    place: Workspace,
    study: str,
    base_model: str,
    metrics: Sequence[str] | None,
    settings: FitSettings,
) -> TransferResults | None:
    """Estimate what each ability's data does to every target; None without a scored run."""
    from dashboard.transfer_evidence import load_run_tables
    from dashboard.transfer_store import fit_transfer_or_load

    tables = load_run_tables(conn, studies=[study], base_models=[base_model], metrics=metrics)
    if not tables:
        return None
    (table,) = tables
    transfer, effective = fit_transfer_or_load(place, table, settings)
    return TransferResults(table=table, transfer=transfer, effective=effective)


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
