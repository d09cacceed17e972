"""What comparisons of sources read besides curves: one axis for all sources, and their balance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from dashboard.analysis import CurveData
from dashboard.evidence import load_curves
from warehouse.queries import load_cells, load_compositions

_DESIGNS = ("all_abilities", "imported")
_UNLABELLED = "unlabelled"


def load_comparable_curves(
    conn: duckdb.DuckDBPyConnection,
    *,
    studies: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    x: str | None = None,
) -> tuple[list[CurveData], list[str]]:
    """Read curves without items so that the sources of an ability share their axis.

    Parameters
    ----------
    x : str, optional
        What volumes count (`dashboard.evidence.X_KINDS`). By default own examples, but all
        examples throughout a study in which a source is not sorted by ability.

    Returns
    -------
    curves : list of CurveData
    switched : list of str
        Studies whose volumes count all examples for that reason.
    """
    curves = load_curves(conn, studies=studies, metrics=metrics, x=x or "own", with_items=False)
    if x is not None:
        return curves, []
    kinds: dict[tuple[str, ...], set[str]] = {}
    for curve in curves:
        key = (curve.study, curve.ability, curve.base_model, curve.metric)
        kinds.setdefault(key, set()).add(curve.x_kind)
    switched = sorted({key[0] for key, found in kinds.items() if len(found) > 1})
    if not switched:
        return curves, []
    total = load_curves(conn, studies=switched, metrics=metrics, x="total", with_items=False)
    by_key = {curve.key: curve for curve in total}
    return [by_key.get(curve.key, curve) for curve in curves], switched


def load_balance(conn: duckdb.DuckDBPyConnection, studies: Sequence[str]) -> list[dict[str, Any]]:
    """Return what each source's runs were trained on, by ability.

    Returns
    -------
    list of dict
        study, data_source, ability ("unlabelled" where data is not sorted by ability), n_runs
        trained on it, smallest and largest n_examples in a run, and share: its part of all
        examples of the source's runs.
    """
    if not studies:
        return []
    cells = load_cells(conn, study=list(studies))
    cells = cells[cells["design"].isin(_DESIGNS) & cells["data_source"].notna()]
    parts = load_compositions(conn, study=list(studies)).drop(columns="data_source")
    rows = cells[["study", "cell_id", "data_source"]].merge(parts, on=["study", "cell_id"])
    rows["ability"] = rows["ability"].fillna(_UNLABELLED)
    result: list[dict[str, Any]] = []
    for (study, source), members in rows.groupby(["study", "data_source"], sort=True):
        whole = float(members["n_examples"].sum())
        for ability, chosen in members.groupby("ability", sort=True):
            counts = chosen["n_examples"]
            result.append(
                {
                    "study": str(study),
                    "data_source": str(source),
                    "ability": str(ability),
                    "n_runs": int(chosen["cell_id"].nunique()),
                    "n_examples_smallest": int(counts.min()),
                    "n_examples_largest": int(counts.max()),
                    "share": float(counts.sum()) / whole if whole > 0 else None,
                }
            )
    return result
