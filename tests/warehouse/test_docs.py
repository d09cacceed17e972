"""docs/warehouse.md is what the schema says, and the schema says what every column means."""

from __future__ import annotations

import duckdb
import yaml

from warehouse import dictionary, open_latest
from warehouse.build import MARTS, STAGING, build_marts
from warehouse.migrations import migrate
from warehouse.schema_page import PAGE, render_schema, replace_schema
from warehouse.statements import list_statements
from warehouse.workspace import Workspace


def test_the_page_equals_the_live_schema(results: Workspace) -> None:
    page = PAGE.read_text("utf-8")
    with open_latest(results) as conn:
        # If this fails, run: python -m warehouse.schema_page
        assert replace_schema(page, render_schema(conn)) == page
    for name in MARTS:
        assert f"### {name}\n\nOne row per " in page


def test_every_snapshot_says_what_each_column_means(results: Workspace) -> None:
    with open_latest(results) as conn:
        columns = conn.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal "
            "ORDER BY ALL"
        ).fetchall()
        described = conn.execute(
            "SELECT relation, column_name, data_type FROM warehouse_column ORDER BY ALL"
        ).fetchall()
    assert described == columns


def test_no_meaning_is_left_over() -> None:
    with duckdb.connect() as conn:
        migrate(conn)
        build_marts(conn)
        rows = conn.execute("SELECT relation, column_name FROM warehouse_column").fetchall()
    meanings = yaml.safe_load(dictionary.MEANINGS.read_text("utf-8"))
    assert set(meanings["columns"]) == {name for _, name in rows}
    own = {(relation, name) for relation, names in meanings["relations"].items() for name in names}
    assert own <= set(rows)


def test_every_statement_of_a_layer_is_built() -> None:
    assert set(STAGING) == set(list_statements("staging"))
    assert set(MARTS) == set(list_statements("marts"))
