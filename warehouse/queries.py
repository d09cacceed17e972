"""The reads that the app, the CLI and notebooks make, as data frames in a stated order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import pandas as pd
import pyarrow as pa

from warehouse.errors import WorkError
from warehouse.statements import load_statement

# None: no filter; a string: that value; a sequence: any of its values (an empty one: no row).
Filter = str | Sequence[str] | None

# DuckDB returns whole numbers that may be missing as floats; seeds and counts stay whole here.
_NULLABLE_INTEGERS = frozenset(
    {
        "attempt",
        "checkpoint_step",
        "n_optimizer_steps",
        "n_params",
        "n_target_tokens",
        "n_tokens",
        "n_truncated",
        "peak_memory_bytes",
        "seed",
        "volume_setting",
    }
)

_WHOLE = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}


def load_studies(conn: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Read `mart_study`: one row per study."""
    return _frame(conn, "studies", {})


def load_ability_scores(
    conn: duckdb.DuckDBPyConnection,
    *,
    study: Filter = None,
    ability: Filter = None,
    base_model: Filter = None,
    data_source: Filter = None,
    metric: Filter = None,
) -> pd.DataFrame:
    """Read `mart_ability_score`: one row per study x cell x ability x metric.

    Parameters
    ----------
    conn : DuckDBPyConnection
        Connection from `open_latest`.
    study, ability, base_model, data_source, metric : str, sequence of str or None
        Keep rows of these values; None keeps all. Base cells have no source and are kept
        whatever `data_source` says, since every source's curve starts from them.
    """
    filters = {
        "study": _values(study),
        "ability": _values(ability),
        "base_model": _values(base_model),
        "data_source": _values(data_source),
        "metric": _values(metric),
    }
    return _frame(conn, "ability_scores", filters)


def load_item_scores(
    conn: duckdb.DuckDBPyConnection,
    *,
    study: Filter = None,
    ability: Filter = None,
    base_model: Filter = None,
    data_source: Filter = None,
    metric: Filter = None,
) -> pd.DataFrame:
    """Read the item scores behind `load_ability_scores` with the same filters.

    Returns
    -------
    DataFrame
        Columns cell_id, ability, metric, item_id, score; one row per cell x ability x metric x
        item, once even where studies share the cell. `score` is NaN where it is missing.
    """
    filters = {
        "study": _values(study),
        "ability": _values(ability),
        "base_model": _values(base_model),
        "data_source": _values(data_source),
        "metric": _values(metric),
    }
    return _frame(conn, "item_scores", filters)


def load_cells(conn: duckdb.DuckDBPyConnection, *, study: Filter = None) -> pd.DataFrame:
    """Read `mart_cell`: one row per study x cell with its status and cost."""
    return _frame(conn, "cells", {"study": _values(study)})


def load_compositions(conn: duckdb.DuckDBPyConnection, *, study: Filter = None) -> pd.DataFrame:
    """Read `mart_composition`: training examples per study x cell x data source x ability."""
    return _frame(conn, "compositions", {"study": _values(study)})


def load_imports(conn: duckdb.DuckDBPyConnection, *, study: Filter = None) -> pd.DataFrame:
    """Read `dim_import`: one row per import, with its files, options and citation as JSON."""
    return _frame(conn, "imports", {"study": _values(study)})


def load_training_log(conn: duckdb.DuckDBPyConnection, *, cell_id: str) -> pd.DataFrame:
    """Read `fact_training_log` of one cell: one row per attempt x step."""
    return _frame(conn, "training_log", {"cell_id": cell_id})


def load_flagged(conn: duckdb.DuckDBPyConnection, *, study: str) -> pd.DataFrame:
    """Count a study's test items that training data may give away: one row per ability."""
    return _frame(conn, "flagged", {"study": study})


def load_flagged_items(conn: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Read study and item_id of all test items that training data may give away."""
    return _frame(conn, "flagged_items", {})


def load_item_texts(conn: duckdb.DuckDBPyConnection, *, ability: str) -> pd.DataFrame:
    """Read prompt (JSON messages), target and choices of an ability's items, by item_id."""
    return _frame(conn, "item_texts", {"ability": ability})


def load_item_answers(
    conn: duckdb.DuckDBPyConnection, *, study: str, ability: str, item_id: str
) -> pd.DataFrame:
    """Read one row per cell x metric of a study that has a score of one item."""
    filters = {"study": study, "ability": ability, "item_id": item_id}
    return _frame(conn, "item_answers", filters)


def load_item_choices(
    conn: duckdb.DuckDBPyConnection, *, cell_id: str, item_id: str
) -> pd.DataFrame:
    """Read `fact_choice_log_likelihood` of one cell and item: one row per choice."""
    return _frame(conn, "item_choices", {"cell_id": cell_id, "item_id": item_id})


def load_item_votes(conn: duckdb.DuckDBPyConnection, *, study: str, item_id: str) -> pd.DataFrame:
    """Read the votes of judges and people on one item."""
    return _frame(conn, "item_votes", {"study": study, "item_id": item_id})


def load_vote_rows(conn: duckdb.DuckDBPyConnection, *, study: str) -> pd.DataFrame:
    """Read the votes of a study with what judges wrote: one row per vote."""
    return _frame(conn, "vote_rows", {"study": study})


def load_disputed_items(conn: duckdb.DuckDBPyConnection, *, study: str) -> pd.DataFrame:
    """Read the ids of items with a pair of answers on which votes differ."""
    return _frame(conn, "disputed_items", {"study": study})


def load_relations(conn: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Read `warehouse_column`: relation, column_name, data_type, meaning; marts come first."""
    return _frame(conn, "relations", {})


def _values(value: Filter) -> list[str] | None:
    """Bring a filter to the list that the statements take."""
    if value is None:
        return None
    return [value] if isinstance(value, str) else list(value)


def _frame(
    conn: duckdb.DuckDBPyConnection, name: str, parameters: Mapping[str, list[str] | str | None]
) -> pd.DataFrame:
    """Run a statement of sql/queries on a cursor of its own, so that threads may share `conn`.

    Raises
    ------
    WorkError
        If the snapshot lacks a table or column.
    """
    statement = load_statement("queries", name)
    with conn.cursor() as cursor:
        # By way of Arrow, which takes half the time of DuckDB's own frames.
        try:
            table = cursor.sql(statement, params=dict(parameters)).to_arrow_table()
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise WorkError(
                "The snapshot was published by another version of growthpace; run "
                "python cli.py ingest to publish it anew."
            ) from error
    frame: pd.DataFrame = table.to_pandas()
    for column in _NULLABLE_INTEGERS & set(frame.columns):
        frame[column] = table.column(column).to_pandas(types_mapper=_WHOLE.get).astype("Int64")
    texts = [field.name for field in table.schema if field.type == pa.string()]
    return frame.astype(dict.fromkeys(texts, "str"))
