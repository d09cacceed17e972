"""What every column of the warehouse means, kept as a table in each snapshot."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import yaml

from warehouse.statements import load_statement

MEANINGS = Path(__file__).parent.parent / "sql" / "columns.yaml"


@cache
def _meanings() -> dict[str, Any]:
    """Read sql/columns.yaml."""
    loaded: dict[str, Any] = yaml.safe_load(MEANINGS.read_text("utf-8"))
    return loaded


def describe_columns(conn: duckdb.DuckDBPyConnection) -> list[dict[str, str]]:
    """Return relation, column_name, data_type and meaning of every column, in order.

    Raises
    ------
    KeyError
        If sql/columns.yaml lacks a column.
    """
    common, own = _meanings()["columns"], _meanings()["relations"]
    rows = conn.execute(load_statement("dictionary", "relations")).fetchall()
    return [
        {
            "relation": relation,
            "column_name": name,
            "data_type": data_type,
            "meaning": own.get(relation, {}).get(name) or common[name],
        }
        for relation, name, data_type in rows
    ]


def fill_dictionary(conn: duckdb.DuckDBPyConnection) -> None:
    """Fill `warehouse_column` inside the open transaction."""
    conn.execute("DELETE FROM warehouse_column")
    conn.register("described", pa.Table.from_pylist(describe_columns(conn)))
    try:
        conn.execute(load_statement("dictionary", "fill"))
    finally:
        conn.unregister("described")
