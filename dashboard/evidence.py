"""From warehouse rows to the curves that are fitted; no streamlit here.

A curve is one study x ability x base model x data source x metric over the runs of one design (all
abilities trained together, or imported). The base model is evaluated once and opens the curve of
every source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd

from dashboard.analysis import CurveData
from dashboard.analysis.curve_data import FloatArray
from warehouse.errors import InputError
from warehouse.item_matrix import ItemMatrix, load_item_matrix
from warehouse.queries import (
    load_ability_scores,
    load_cells,
    load_flagged_items,
    load_studies,
)

PRIMARY_METRIC = "accuracy"
_CURVE_DESIGNS = ("all_abilities", "imported")
_BASE_DESIGN = "base"
_CHANCE_TOLERANCE = 0.02
_KEYS = ["study", "ability", "base_model", "data_source", "metric"]

X_KINDS = ("own", "total", "tokens", "steps", "cost")
"""What a curve's volumes may count."""

_RUN_FIGURES = {"tokens": "n_tokens", "steps": "n_optimizer_steps", "cost": "cost"}

FILTERS = ("study", "ability", "base_model", "data_source", "metric")
"""Columns that a user may filter by."""


def load_curves(
    conn: duckdb.DuckDBPyConnection,
    *,
    studies: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    x: str = "own",
    with_items: bool = True,
) -> list[CurveData]:
    """Read all growth curves of some studies.

    Noise is pooled and p-values are adjusted over whole studies, so there is no filter by ability,
    model or source here: fit everything, then select.

    Parameters
    ----------
    conn : DuckDBPyConnection
        Connection from `warehouse.connection.open_latest`.
    studies : sequence of str, optional
        Studies to read; all by default.
    metrics : sequence of str, optional
        Metrics to read; by default each ability's primary one, `accuracy` where it is scored and
        else the first by name.
    x : str
        What volumes count, one of `X_KINDS`. A run of which the figure is not known keeps its
        place as a point with that reason; the base model counts 0 of everything.
    with_items : bool
        Whether to read item scores too. Without, `load_items` adds them later, for the curves
        that turn out to need a fit.

    Returns
    -------
    list of CurveData
        In order of study, ability, base model size and data source. With `x` "own", volumes are
        all examples (`x_kind` "total") where an ability has none of its own: out-of-domain
        abilities, and training data that is not sorted by ability.

    Raises
    ------
    InputError
        If a study or metric is not in the warehouse, or `x` is unknown.
    """
    if x not in X_KINDS:
        raise InputError(f"--x {x!r} is unknown; known: {', '.join(X_KINDS)}.")
    scores = load_ability_scores(conn)
    check_known("study", studies, scores)
    check_known("metric", metrics, scores)
    if studies is not None:
        scores = scores[scores["study"].isin(list(studies))]
    scores = _with_metrics(scores, metrics)
    if scores.empty:
        return []
    if x in _RUN_FIGURES:
        figures = load_cells(conn, study=sorted(set(scores["study"])))
        scores = scores.merge(
            figures[["study", "cell_id", _RUN_FIGURES[x]]], on=["study", "cell_id"], how="left"
        )
    deltas = _stated_deltas(load_studies(conn))
    is_base = scores["design"] == _BASE_DESIGN
    base = scores[is_base]
    trained = scores[scores["design"].isin(_CURVE_DESIGNS) & scores["data_source"].notna()]
    curves: list[CurveData] = []
    for key, rows in trained.groupby(_KEYS, sort=True):
        study, ability, base_model, data_source, metric = (str(part) for part in key)
        shared = base[
            (base["study"] == study)
            & (base["ability"] == ability)
            & (base["base_model"] == base_model)
            & (base["metric"] == metric)
        ]
        curves.append(
            _curve(
                pd.concat([shared, rows], ignore_index=True),
                study=study,
                ability=ability,
                base_model=base_model,
                data_source=data_source,
                metric=metric,
                delta=deltas.get(study),
                x=x,
            )
        )
    curves.sort(key=_order)
    return load_items(conn, curves) if with_items else curves


def load_items(conn: duckdb.DuckDBPyConnection, curves: Sequence[CurveData]) -> list[CurveData]:
    """Return the curves with the item scores behind them, where there are any.

    Only items of these curves' studies, abilities, models, sources and metrics are read.
    """
    groups: dict[tuple[str, str], list[CurveData]] = {}
    for curve in curves:
        groups.setdefault((curve.ability, curve.metric), []).append(curve)
    found: dict[tuple[str, ...], CurveData] = {}
    # One ability at a time, so that no more than its rows are in memory besides the matrices.
    for (ability, metric), members in groups.items():
        matrix = load_item_matrix(
            conn,
            ability=ability,
            metric=metric,
            study=sorted({curve.study for curve in members}),
            base_model=sorted({curve.base_model for curve in members}),
            data_source=sorted({curve.data_source for curve in members}),
        )
        found |= {curve.key: _with_items(curve, matrix) for curve in members}
    return [found[curve.key] for curve in curves]


def _with_items(curve: CurveData, matrix: ItemMatrix) -> CurveData:
    """Return the curve with its items; unchanged where a run has none."""
    if not set(curve.cell_id) <= set(matrix.cells):
        return curve
    selected = matrix.select(curve.cell_id)
    if selected is None:
        return curve
    return replace(curve, item_scores=selected[0], item_ids=selected[1])


def leave_out_flagged(
    conn: duckdb.DuckDBPyConnection, curves: Sequence[CurveData]
) -> list[CurveData]:
    """Return curves, read with their items, as if flagged items had never been asked.

    Flagged are those that the study's latest `data check` found in its training data. The chance
    level stays that of all items. Curves of a study that has flagged items but without item scores
    of their own become invalid.
    """
    flagged = load_flagged_items(conn).groupby("study")["item_id"].agg(set)
    return [_leave_out(curve, flagged.get(curve.study, set())) for curve in curves]


def _leave_out(curve: CurveData, flagged: set[str]) -> CurveData:
    """Return the curve over its other items, with their means and standard errors."""
    if flagged and (curve.item_scores is None or curve.item_ids is None):
        return replace(curve, invalid_reason="flagged items can't be left out: no item scores")
    if curve.item_scores is None or curve.item_ids is None or not flagged & set(curve.item_ids):
        return curve
    kept = [index for index, item in enumerate(curve.item_ids) if item not in flagged]
    items = pd.DataFrame(curve.item_scores[:, kept])
    return replace(
        curve,
        item_scores=items.to_numpy(float),
        item_ids=tuple(curve.item_ids[index] for index in kept),
        score=items.mean(axis=1).to_numpy(float),
        stderr=items.sem(axis=1).to_numpy(float),
        n_items=np.isfinite(items.to_numpy(float)).sum(axis=1).astype(float),
        # The warehouse's hash is that of all items.
        item_hash=None,
    )


def check_known(name: str, values: Sequence[str] | None, known: pd.DataFrame) -> None:
    """Refuse filter values that the warehouse does not hold.

    Parameters
    ----------
    name : str
        Column, one of `FILTERS`.
    values : sequence of str or None
        What the user asked for.
    known : DataFrame
        Rows with that column.

    Raises
    ------
    InputError
        Naming the first unknown value and the known ones.
    """
    if not values:
        return
    existing = sorted({str(value) for value in known[name].dropna()})
    for value in values:
        if value not in existing:
            option = "--" + name.replace("_", "-")
            listed = ", ".join(existing) if existing else "none yet"
            raise InputError(f"{option} {value!r} is not in the warehouse; known: {listed}.")


def _order(curve: CurveData) -> tuple[str, str, float, str, str, str]:
    """Return the sort key of curves: model size in numbers, not by name."""
    size = float("inf") if curve.n_params is None else float(curve.n_params)
    return (curve.study, curve.ability, size, curve.base_model, curve.data_source, curve.metric)


def _with_metrics(scores: pd.DataFrame, metrics: Sequence[str] | None) -> pd.DataFrame:
    """Keep the metrics asked for, else each ability's primary one."""
    if metrics is not None and len(metrics):
        wanted: pd.DataFrame = scores[scores["metric"].isin(list(metrics))]
        return wanted
    if scores.empty:
        return scores
    primary = scores.groupby(["study", "ability"])["metric"].agg(_primary)
    names = pd.MultiIndex.from_frame(scores[["study", "ability"]])
    main: pd.DataFrame = scores[scores["metric"].to_numpy() == primary.reindex(names).to_numpy()]
    return main


def _primary(metrics: pd.Series) -> str:
    """Return the metric that stands for an ability."""
    names = sorted({str(name) for name in metrics})
    return PRIMARY_METRIC if PRIMARY_METRIC in names else names[0]


def _stated_deltas(studies: pd.DataFrame) -> dict[str, float]:
    """Return the smallest gain that matters, by study that states one."""
    stated = studies[studies["resistant_delta"].notna()]
    return {
        str(study): float(delta)
        for study, delta in zip(stated["study"], stated["resistant_delta"], strict=True)
    }


def _curve(
    rows: pd.DataFrame,
    *,
    study: str,
    ability: str,
    base_model: str,
    data_source: str,
    metric: str,
    delta: float | None,
    x: str = "own",
) -> CurveData:
    """Build one curve without items from its rows, base model first."""
    out_of_domain = bool(rows["out_of_domain"].fillna(False).any())
    if x == "own" and (out_of_domain or not (rows["n_examples_own"] > 0).any()):
        x = "total"
    volume, missing_reason = _volumes(rows, x)
    chance, invalid_reason = _chance_level(rows)
    sizes = rows["n_params"].dropna()
    better = rows["higher_is_better"].dropna().astype(bool)
    if better.nunique() > 1:
        invalid_reason = f"{metric} is called both higher-is-better and lower-is-better"
    return CurveData(
        study=study,
        ability=ability,
        base_model=base_model,
        n_params=int(sizes.iloc[0]) if len(sizes) else None,
        data_source=data_source,
        metric=metric,
        higher_is_better=bool(better.iloc[0]) if len(better) else True,
        chance_level=chance,
        n_examples=volume,
        score=rows["score"].to_numpy(float),
        stderr=rows["stderr"].to_numpy(float),
        n_items=rows["n_scored"].to_numpy(float),
        seed=tuple(None if pd.isna(seed) else int(seed) for seed in rows["seed"]),
        cell_id=tuple(str(cell) for cell in rows["cell_id"]),
        x_kind=x,
        out_of_domain=out_of_domain,
        delta=delta,
        invalid_reason=invalid_reason,
        missing_reason=missing_reason,
        item_hash=_texts(rows, "item_hash") if "item_hash" in rows else None,
    )


def _volumes(rows: pd.DataFrame, x: str) -> tuple[FloatArray, tuple[str | None, ...]]:
    """Return each run's volume, and why a point is to be left out."""
    column = _RUN_FIGURES.get(x, f"n_examples_{x}")
    volume: FloatArray = rows[column].to_numpy(dtype=float, na_value=np.nan).copy()
    if x in _RUN_FIGURES:
        volume[(rows["n_examples_total"] == 0).to_numpy()] = 0
    unknown = f"the run's {column} is not known"
    reasons = [
        f"excluded: {excluded}" if excluded else missing or (unknown if np.isnan(n) else None)
        for n, excluded, missing in zip(
            volume, _texts(rows, "excluded_reason"), _texts(rows, "missing_reason"), strict=True
        )
    ]
    return volume, tuple(reasons)


def _texts(rows: pd.DataFrame, column: str) -> tuple[str | None, ...]:
    """Return a text column, None where it has no value or does not exist."""
    if column not in rows:
        return (None,) * len(rows)
    return tuple(None if pd.isna(text) else str(text) for text in rows[column])


def _chance_level(rows: pd.DataFrame) -> tuple[float | None, str | None]:
    """Return the chance level, or why the runs contradict each other about it."""
    levels = rows["chance_level"].dropna().to_numpy(float)
    if not levels.size:
        return None, None
    if np.ptp(levels) > _CHANCE_TOLERANCE:
        return None, (
            f"the runs state chance levels from {levels.min():.3g} to {levels.max():.3g}; "
            "score them on the same items"
        )
    level = float(np.median(levels))
    if not 0 <= level < 1:
        return None, f"the chance level {level:.3g} lies outside [0, 1)"
    return level, None
