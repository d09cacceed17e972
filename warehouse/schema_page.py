"""Writes the tables of docs/warehouse.md from the live schema (run as a program)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from warehouse.build import build_marts
from warehouse.dictionary import describe_columns
from warehouse.migrations import migrate
from warehouse.statements import list_statements, load_statement

PAGE = Path(__file__).parent.parent / "docs" / "warehouse.md"

_OPENING, _CLOSING = "<!-- schema -->", "<!-- /schema -->"
# The layers that people read; raw and staging are listed by name alone.
_PAGE_PREFIXES = ("mart_", "fact_", "dim_")


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
    with duckdb.connect() as conn:
        migrate(conn)
        build_marts(conn)
        write_page(conn)


if __name__ == "__main__":
    main()
