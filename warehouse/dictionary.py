"""What every column of the warehouse means: a table in each snapshot, and docs/warehouse.md.

`python -m warehouse.dictionary` writes the page's tables anew from the live schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import yaml

from warehouse.statements import list_statements, load_statement

PAGE = Path(__file__).parent.parent / "docs" / "warehouse.md"

_MEANINGS = Path(__file__).parent.parent / "sql" / "columns.yaml"
_OPENING, _CLOSING = "<!-- schema -->", "<!-- /schema -->"
# The layers that people read; raw and staging are listed by name alone.
_PAGE_PREFIXES = ("mart_", "fact_", "dim_")


@cache
def _meanings() -> dict[str, Any]:
    """Read sql/columns.yaml."""
    loaded: dict[str, Any] = yaml.safe_load(_MEANINGS.read_text("utf-8"))
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


def render_schema(conn: duckdb.DuckDBPyConnection) -> str:
    """Return the tables of docs/warehouse.md for the schema that `conn` has."""
    columns: dict[str, list[dict[str, str]]] = {}
    for row in describe_columns(conn):
        columns.setdefault(row["relation"], []).append(row)
    parts = [
        _render_relation(name, columns[name])
        for prefix in _PAGE_PREFIXES
        for name in sorted(columns)
        if name.startswith(prefix)
    ]
    inner = sorted(name for name in columns if not name.startswith(_PAGE_PREFIXES))
    listed = ", ".join(f"`{name}`" for name in inner)
    parts.append(
        "### Raw and staging\n\n"
        "What the others are made of, and free to change with the schema version; `FROM "
        f"warehouse_column` says what each column means.\n\n{listed}\n"
    )
    return "\n".join(parts)


def write_page(conn: duckdb.DuckDBPyConnection) -> None:
    """Replace the tables of docs/warehouse.md."""
    PAGE.write_text(replace_schema(PAGE.read_text("utf-8"), render_schema(conn)), "utf-8")


def replace_schema(page: str, schema: str) -> str:
    """Return the page with `schema` between its markers."""
    before, rest = page.split(_OPENING)
    _, after = rest.split(_CLOSING)
    return f"{before}{_OPENING}\n{schema}\n{_CLOSING}{after}"


def _render_relation(name: str, columns: Sequence[dict[str, str]]) -> str:
    """Return one relation's heading, grain and columns."""
    known = list_statements("marts")
    grain = load_statement("marts", name).splitlines()[0] if name in known else ""
    lines = [
        f"### {name}",
        "",
        grain.removeprefix("-- Grain: ").capitalize(),
        "",
        "| column | type | meaning |",
        "|-|-|-|",
        *(f"| {row['column_name']} | {row['data_type']} | {row['meaning']} |" for row in columns),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Write docs/warehouse.md's tables from the schema that this program builds."""
    from warehouse.build import build_marts
    from warehouse.migrations import migrate

    with duckdb.connect() as conn:
        migrate(conn)
        build_marts(conn)
        write_page(conn)


if __name__ == "__main__":
    main()
