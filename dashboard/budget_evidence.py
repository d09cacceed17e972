"""From warehouse rows to what a budget is planned on: curves, transfer, costs and the grid."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from dashboard.analysis import CurveData, FitSettings
from dashboard.analysis.budget.build import UNSUPPORTED_REACH
from dashboard.analysis.budget.next_run import RunCost, fit_run_cost
from dashboard.analysis.budget.results import Recommendation
from dashboard.analysis.budget.spec import PlanSpec, check_names
from dashboard.analysis.budget.transfer_surface import TransferSurface
from dashboard.analysis.curve_data import FloatArray, ResponseKind
from dashboard.analysis.effective import fit_effective
from dashboard.analysis.effective.model import EffectiveModel
from dashboard.analysis.run_table import RunTable
from dashboard.analysis.summary import value_limits
from dashboard.analysis.table_draws import draw_table
from dashboard.evidence import check_known, load_curves
from dashboard.transfer_evidence import load_run_tables
from warehouse.errors import InputError
from warehouse.queries import load_cells
from warehouse.statements import load_statement

Filters = Mapping[str, Sequence[str] | None]
"""Values asked for, by column of `dashboard.evidence.FILTERS`."""

_VARIED = frozenset({"single_ability", "leave_one_out", "mixture"})
_MIXTURE = "recommended"
_EFFECTIVE_REPLICATES = 400
"""Enough for worths, which refit a curve in every replicate."""


@dataclass(frozen=True, kw_only=True)
class PlanningCurves:
    """All curves that share noise, those to plan with, and those of the wanted that can't be."""

    every: list[CurveData]
    wanted: list[CurveData]
    left_out: list[tuple[CurveData, str]]


def load_planning_curves(conn: duckdb.DuckDBPyConnection, filters: Filters) -> PlanningCurves:
    """Read the curves that filters choose.

    Exams and data that is not sorted by ability are left out: nobody can buy examples of them.

    Raises
    ------
    InputError
        If a filter names what is not in the warehouse, or nothing is left to plan with.
    """
    every = load_curves(conn, studies=filters.get("study"), metrics=filters.get("metric"))
    chosen = list(every)
    for name in ("ability", "base_model", "data_source"):
        values = filters.get(name)
        known = pd.DataFrame({name: [getattr(curve, name) for curve in every]}, dtype=object)
        check_known(name, values, known)
        if values:
            chosen = [curve for curve in chosen if getattr(curve, name) in values]
    wanted = [curve for curve in chosen if curve.x_kind == "own"]
    left_out = [
        (
            curve,
            "an exam has no training data"
            if curve.out_of_domain
            else "its training data is not sorted by ability",
        )
        for curve in chosen
        if curve.x_kind != "own"
    ]
    if not wanted:
        raise InputError(
            "There is no growth curve over an ability's own examples to plan with; choose others "
            "with --study, --ability, --base-model, --data-source or --metric."
        )
    return PlanningCurves(every=every, wanted=wanted, left_out=left_out)


def check_request(
    wanted: Sequence[CurveData], spec: PlanSpec, target_score: float | None = None
) -> None:
    """Refuse names that no wanted curve has and a target that no score can reach, before any fit.

    Raises
    ------
    InputError
        Naming the option.
    """
    abilities, sources, models = (
        sorted({getattr(curve, name) for curve in wanted})
        for name in ("ability", "data_source", "base_model")
    )
    check_names(spec, abilities, sources, models)
    limits = {curve.response: value_limits(curve.response) for curve in wanted}
    if target_score is None or any(low <= target_score <= high for low, high in limits.values()):
        return
    if ResponseKind.ACCURACY in limits:
        raise InputError(
            f"--target-score {target_score:g}: accuracies lie between 0 and 1, so give 0.5 for 50%."
        )
    raise InputError(f"--target-score {target_score:g}: a loss is never below 0.")


def load_transfer_surfaces(
    conn: duckdb.DuckDBPyConnection,
    filters: Filters,
    base_models: Sequence[str],
    study: str,
    settings: FitSettings,
    *,
    allow_unsupported: bool,
) -> dict[str, TransferSurface]:
    """Return a surface with transfer for each base model whose runs identify it.

    Only runs whose composition varies can; a study without such runs gives none.
    """
    tables = load_run_tables(
        conn, studies=[study], base_models=base_models, metrics=filters.get("metric")
    )
    surfaces = {}
    settings = replace(settings, n_replicates=min(settings.n_replicates, _EFFECTIVE_REPLICATES))
    for table in tables:
        if not _VARIED & {run.design for run in table.runs}:
            continue
        fit = fit_effective(table, settings)
        if fit.model is None or not fit.model.tau_identified:
            continue
        surfaces[table.base_model] = _transfer_surface(
            table, fit.model, filters, settings, allow_unsupported=allow_unsupported
        )
    return surfaces


def load_run_cost(
    conn: duckdb.DuckDBPyConnection,
    studies: Sequence[str],
    price_per_hour: float | None,
    prices: Mapping[str, float],
) -> RunCost:
    """Return what a run costs, from the seconds that runs took and the prices given.

    Parameters
    ----------
    price_per_hour : float or None
        Of the machine. None: the unit is seconds.
    prices : mapping
        Price of one example by data source; only with `price_per_hour`.

    Raises
    ------
    InputError
        If prices are given without a price per hour, which would add money to seconds.
    """
    if prices and price_per_hour is None:
        raise InputError(
            "--cost adds the price of examples to that of machine time; give --price-per-hour too "
            "(0 if time is free)."
        )
    cells = load_cells(conn, study=list(studies))
    cells = cells[(cells["status"] == "done") & (cells["n_examples_total"] > 0)]
    seconds = cells["train_seconds"].fillna(np.nan) + cells["score_seconds"].fillna(0.0)
    models = [str(name) for name in cells["base_model"]]
    fixed, rate = fit_run_cost(
        models, cells["n_examples_total"].to_numpy(float), seconds.to_numpy(float)
    )
    if not fixed:
        return RunCost(
            unit="runs",
            reason="no run of this study says how long it took, so every run counts as one",
            fixed=dict.fromkeys(models, 1.0),
            per_example={},
        )
    sources = sorted({str(name) for name in cells["data_source"].dropna()})
    for name in prices:
        check_known("data_source", [name], cells)
    if price_per_hour is None:
        return RunCost(
            unit="seconds",
            reason=None,
            fixed=fixed,
            per_example={(m, s): rate[m] for m in rate for s in sources},
        )
    return RunCost(
        unit="price",
        reason=None,
        fixed={m: seconds * price_per_hour / 3600 for m, seconds in fixed.items()},
        per_example={
            (m, s): rate[m] * price_per_hour / 3600 + prices.get(s, 0.0)
            for m in rate
            for s in sources
        },
    )


def recommended_grid(
    conn: duckdb.DuckDBPyConnection, study: str, found: Recommendation
) -> dict[str, Any]:
    """Return a grid that trains the plan as a named mixture, with the study's own settings.

    Its study is `<study>-plan`: a plan of another grid would replace what the study says of itself.

    Raises
    ------
    InputError
        If the study was not planned by a grid file (say, it was imported), or the plan is empty.
    """
    row = conn.execute(load_statement("queries", "grid_settings"), {"study": study}).fetchone()
    settings = {} if row is None else json.loads(row[0])
    needed = ("base_models", "dataset", "data_sources", "training")
    if not all(settings.get(name) for name in needed):
        raise InputError(
            f"--grid-out needs a study that a grid file planned; {study} has no such settings."
        )
    parts = [
        {
            "data_source": cell.data_source,
            "ability": cell.ability,
            "n_examples": cell.n_examples,
        }
        for cell in found.allocation
        if cell.n_examples
    ]
    if not parts:
        raise InputError("--grid-out: the plan buys nothing, so there is no run to write.")
    kept = ("dataset", "data_sources", "evaluation", "seeds", "template", "training", "scoring")
    grid = {
        "study": f"{study}-plan",
        "notice": settings.get("notice"),
        "base_models": [m for m in settings["base_models"] if m["name"] == found.base_model],
        **{name: settings.get(name) for name in kept},
        "volumes": {"values": [0], "per": "ability"},
        "designs": [{"kind": "mixture", "name": _MIXTURE, "parts": parts}],
    }
    document: dict[str, Any] = _without_empty(grid)
    return document


def _transfer_surface(
    table: RunTable,
    model: EffectiveModel,
    filters: Filters,
    settings: FitSettings,
    *,
    allow_unsupported: bool,
) -> TransferSurface:
    """Arrange one effective model, restricted to the abilities and sources asked for."""
    abilities = filters.get("ability") or model.abilities
    sources = filters.get("data_source") or model.sources
    rows = [i for i, name in enumerate(model.abilities) if name in abilities]
    columns = [i for i, name in enumerate(model.sources) if name in sources]
    reach = UNSUPPORTED_REACH if allow_unsupported else 1.0
    used = [model.sources[i] for i in columns]
    smaller = replace(
        model,
        abilities=tuple(model.abilities[i] for i in rows),
        sources=tuple(used),
        reference=model.reference if model.reference in used else used[0],
        curve=model.curve[rows],
        curve_replicates=model.curve_replicates[rows],
        rho=model.rho[np.ix_(rows, columns)],
        rho_replicates=model.rho_replicates[np.ix_(rows, columns)],
        tau=model.tau[np.ix_(rows, rows)],
        tau_replicates=model.tau_replicates[np.ix_(rows, rows)],
        supported_max=reach * model.supported_max[rows],
    )
    draws = [d for d in draw_table(table, settings) if d.target.ability in smaller.abilities]
    low, high = value_limits(draws[0].response)
    return TransferSurface(
        model=smaller,
        base_model=table.base_model,
        sign=1.0 if draws[0].target.higher_is_better else -1.0,
        supported=reach * observed_volumes(table, smaller.abilities, smaller.sources),
        df=min(d.df for d in draws),
        kind=draws[0].kind,
        limits=(low, high) if draws[0].target.higher_is_better else (-high, -low),
    )


def observed_volumes(
    table: RunTable, abilities: Sequence[str], sources: Sequence[str]
) -> FloatArray:
    """Return the most examples of each ability and source that any run trained on, (A, S)."""
    largest = np.zeros((len(abilities), len(sources)))
    for run in table.runs:
        for part in run.composition:
            if part.ability in abilities and part.data_source in sources:
                index = (abilities.index(part.ability), sources.index(part.data_source))
                largest[index] = max(largest[index], part.n_examples)
    return largest


def _without_empty(value: Any) -> Any:
    """Leave out fields that are null or empty, which a grid file does not need."""
    if isinstance(value, dict):
        cleaned = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in (None, [], {})}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value
