"""From warehouse rows to run tables: every run of a study and base model, whatever its mix."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from dashboard.analysis.run_table import BASE_DESIGN, Run, RunTable, Target, TrainedOn
from dashboard.evidence import PRIMARY_METRIC, check_known
from warehouse.item_matrix import ItemMatrix, load_item_matrix
from warehouse.queries import load_ability_scores, load_cells, load_compositions
from warehouse.statements import load_statement


def load_run_tables(
    conn: duckdb.DuckDBPyConnection,
    *,
    studies: Sequence[str] | None = None,
    base_models: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
) -> list[RunTable]:
    """Read all runs of some studies, one table a study and base model.

    Parameters
    ----------
    conn : DuckDBPyConnection
        Connection from `warehouse.connection.open_latest`.
    studies, base_models : sequence of str, optional
        What to read; all by default.
    metrics : sequence of str, optional
        Metrics to read; by default each ability's primary one, `accuracy` where it is scored and
        else the first by name.

    Returns
    -------
    list of RunTable
        By study and size of the base model; runs and targets in a stated order. Runs of every
        data source are in one table, since the base model and the test items are theirs in common.

    Raises
    ------
    InputError
        If a study, base model or metric is not in the warehouse.
    """
    scores = load_ability_scores(conn)
    check_known("study", studies, scores)
    check_known("base_model", base_models, scores)
    check_known("metric", metrics, scores)
    for column, wanted in (("study", studies), ("base_model", base_models), ("metric", metrics)):
        if wanted is not None:
            scores = scores[scores[column].isin(list(wanted))]
    # Users exclude whole cells; their results stay in the warehouse and out of every estimate.
    scores = scores[scores["excluded_reason"].isna()]
    if scores.empty:
        return []
    if metrics is None:
        scores = _primary_metrics(scores)
    cells = {(row["study"], row["cell_id"]): row for row in load_cells(conn).to_dict("records")}
    compositions = _compositions(load_compositions(conn))
    matrices = _items(conn, scores)
    parsed = _parsed_scores(conn, sorted(set(scores["study"])))
    tables = []
    for (study, base_model), rows in scores.groupby(["study", "base_model"], sort=True):
        tables.append(
            _table(str(study), str(base_model), rows, cells, compositions, matrices, parsed)
        )
    return sorted(tables, key=lambda table: (table.study, table.n_params or 0, table.base_model))


def _primary_metrics(scores: pd.DataFrame) -> pd.DataFrame:
    """Keep each ability's primary metric."""
    rank = scores.assign(later=scores["metric"] != PRIMARY_METRIC)
    first = rank.sort_values(["later", "metric"]).groupby(["study", "ability"])["metric"].first()
    names = pd.MultiIndex.from_frame(scores[["study", "ability"]])
    kept: pd.DataFrame = scores[scores["metric"].to_numpy() == first.reindex(names).to_numpy()]
    return kept


def _compositions(frame: pd.DataFrame) -> dict[str, tuple[TrainedOn, ...]]:
    """Return what each cell was trained on."""
    parts: dict[str, dict[tuple[str, str], float]] = {}
    columns = ("cell_id", "data_source", "ability", "n_examples")
    for cell, source, ability, count in zip(*(frame[name] for name in columns), strict=True):
        parts.setdefault(str(cell), {})[str(source), str(ability)] = float(count)
    return {
        cell: tuple(
            TrainedOn(data_source=source, ability=ability, n_examples=count)
            for (source, ability), count in sorted(counts.items())
        )
        for cell, counts in parts.items()
    }


def _items(
    conn: duckdb.DuckDBPyConnection, scores: pd.DataFrame
) -> dict[tuple[str, str], ItemMatrix]:
    """Return item scores by ability and metric."""
    return {
        (str(ability), str(metric)): load_item_matrix(
            conn,
            ability=str(ability),
            metric=str(metric),
            study=sorted(set(rows["study"])),
            base_model=sorted(set(rows["base_model"])),
        )
        for (ability, metric), rows in scores.groupby(["ability", "metric"], sort=True)
    }


def _parsed_scores(conn: duckdb.DuckDBPyConnection, studies: list[str]) -> pd.Series:
    """Return scores over replies of a valid form, by cell, ability and metric."""
    statement = load_statement("queries", "parsed_scores")
    with conn.cursor() as cursor:
        frame = cursor.execute(statement, {"study": studies}).df()
    series: pd.Series = frame.set_index(["cell_id", "ability", "metric"])["score_given_parsed"]
    return series


def _table(
    study: str,
    base_model: str,
    rows: pd.DataFrame,
    cells: Mapping[tuple[str, str], Mapping[Any, Any]],
    compositions: dict[str, tuple[TrainedOn, ...]],
    matrices: dict[tuple[str, str], ItemMatrix],
    parsed: pd.Series,
) -> RunTable:
    """Build one table from the score rows of a study and base model."""
    order = rows.drop_duplicates("cell_id").sort_values(
        ["n_examples_total", "design", "design_target", "data_source", "seed", "cell_id"],
        na_position="first",
    )
    runs = tuple(
        _run(row, cells[study, str(row["cell_id"])], compositions)
        for row in order.to_dict("records")
    )
    ids = [run.cell_id for run in runs]
    sizes = rows["n_params"].dropna()
    targets = [
        _target(ability, metric, group, ids, matrices[str(ability), str(metric)], parsed)
        for (ability, metric), group in rows.groupby(["ability", "metric"], sort=True)
    ]
    return RunTable(
        study=study,
        base_model=base_model,
        n_params=int(sizes.iloc[0]) if len(sizes) else None,
        runs=runs,
        targets=tuple(targets),
    )


def _run(
    row: Mapping[Any, Any],
    cell: Mapping[Any, Any],
    compositions: Mapping[str, tuple[TrainedOn, ...]],
) -> Run:
    """Describe one run from its rows of `mart_ability_score` and `mart_cell`."""
    training = json.loads(cell["training"]) if isinstance(cell["training"], str) else {}
    rule = next((name for name in ("steps", "epochs") if training.get(name) is not None), "")
    base = row["design"] == BASE_DESIGN
    steps = cell["n_optimizer_steps"]
    return Run(
        cell_id=str(row["cell_id"]),
        design=str(row["design"]),
        design_target=_text(row["design_target"]),
        data_source=_text(row["data_source"]),
        composition=() if base else compositions.get(str(row["cell_id"]), ()),
        volume=None if pd.isna(row["volume_setting"]) else float(row["volume_setting"]),
        volume_per=_text(row["volume_per"]),
        n_steps=0 if base else None if pd.isna(steps) else int(steps),
        length_rule=rule,
        seed=None if pd.isna(row["seed"]) else int(row["seed"]),
    )


def _target(
    ability: object,
    metric: object,
    rows: pd.DataFrame,
    cells: Sequence[str],
    matrix: ItemMatrix,
    parsed: pd.Series,
) -> Target:
    """Line one target's rows up with the runs."""
    by_cell = rows.set_index("cell_id").reindex(list(cells))
    chance = rows["chance_level"].dropna()
    better = rows["higher_is_better"].dropna()
    keys = pd.MultiIndex.from_product([list(cells), [ability], [metric]])
    items = matrix.select(cells)
    return Target(
        ability=str(ability),
        metric=str(metric),
        higher_is_better=bool(better.iloc[0]) if len(better) else True,
        chance_level=float(np.median(chance)) if len(chance) else None,
        out_of_domain=bool(rows["out_of_domain"].fillna(False).any()),
        score=by_cell["score"].to_numpy(float),
        stderr=by_cell["stderr"].to_numpy(float),
        n_items=by_cell["n_scored"].to_numpy(float),
        parse_rate=by_cell["parse_rate"].to_numpy(float),
        score_given_parsed=parsed.reindex(keys).to_numpy(float),
        item_scores=None if items is None else items[0],
        item_ids=None if items is None else items[1],
    )


def _text(value: Any) -> str | None:
    return None if pd.isna(value) else str(value)
