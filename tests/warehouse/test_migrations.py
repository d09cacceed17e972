"""Each earlier schema version migrates to the one that a new database gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from warehouse import migrations
from warehouse.errors import WorkError
from warehouse.ingest import ingest
from warehouse.migrations import list_migrations, load_schema_version, migrate, plan_migrations
from warehouse.workspace import Workspace

LATEST = len(list_migrations())


def schema_of(conn: duckdb.DuckDBPyConnection) -> list[Any]:
    return conn.execute(
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE NOT internal ORDER BY ALL"
    ).fetchall()


@pytest.mark.parametrize("version", range(LATEST + 1))
def test_each_earlier_version_migrates(version: int) -> None:
    with duckdb.connect() as new, duckdb.connect() as old:
        assert migrate(new) == LATEST
        assert migrate(old, up_to=version) == version
        assert load_schema_version(old) == version
        assert [step.version for step in plan_migrations(old)] == list(
            range(version + 1, LATEST + 1)
        )
        assert migrate(old) == LATEST - version
        assert schema_of(old) == schema_of(new)
        names = old.execute("SELECT name FROM schema_migration ORDER BY version").fetchall()
        assert [name for (name,) in names] == [step.name for step in list_migrations()]
        assert migrate(old) == 0


def test_a_failing_migration_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = migrations.load_statement

    def spoiled(folder: str, name: str) -> str:
        return "CREATE TABEL oops" if name.startswith("0003") else real(folder, name)

    monkeypatch.setattr(migrations, "load_statement", spoiled)
    with duckdb.connect() as conn:
        with pytest.raises(duckdb.ParserException):
            migrate(conn)
        assert schema_of(conn) == []
        monkeypatch.undo()
        assert migrate(conn) == LATEST


def test_a_later_version_is_refused_until_rebuilt(demo: Workspace) -> None:
    ingest(demo)
    with duckdb.connect(str(demo.warehouse / "work.duckdb")) as conn:
        conn.execute("INSERT INTO schema_migration VALUES (999, 'future', now()::TIMESTAMP)")
    with pytest.raises(WorkError, match=r"schema version 999.*--rebuild"):
        ingest(demo)
    assert ingest(demo, rebuild=True).published


def test_migration_files_are_numbered_without_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "list_statements", lambda _: ("0001_one", "0003_three"))
    with pytest.raises(WorkError, match="0002"):
        list_migrations()


def test_each_sql_file_holds_one_statement() -> None:
    with duckdb.connect() as conn:
        for path in (Path(__file__).parents[2] / "sql").rglob("*.sql"):
            assert len(conn.extract_statements(path.read_text())) == 1, path


def test_marts_state_their_grain() -> None:
    for path in (Path(__file__).parents[2] / "sql" / "marts").glob("*.sql"):
        assert path.read_text().startswith("-- Grain: one row per "), path
