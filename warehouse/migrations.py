"""Numbered schema changes of the raw tables, recorded in the transaction that makes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import duckdb

from warehouse.errors import WorkError
from warehouse.statements import list_statements, load_statement

_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+$")

_CREATE_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migration (
    version INTEGER PRIMARY KEY, name VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL
)
"""


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One numbered schema change in `sql/migrations`."""

    version: int
    name: str


def list_migrations() -> tuple[Migration, ...]:
    """Return the migrations in order.

    Raises
    ------
    WorkError
        If a file is not named NNNN_what, or the numbers are not 1, 2, 3 ...
    """
    migrations = []
    for number, name in enumerate(list_statements("migrations"), start=1):
        match = _NAME.match(name)
        if match is None or int(match[1]) != number:
            raise WorkError(f"sql/migrations/{name}.sql should be number {number:04d}_...")
        migrations.append(Migration(version=number, name=name))
    return tuple(migrations)


def load_schema_version(conn: duckdb.DuckDBPyConnection) -> int:
    """Return the number of the last migration that `conn`'s database has had; 0 if none."""
    tables = conn.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'schema_migration'"
    ).fetchone()
    if not tables or not tables[0]:
        return 0
    row = conn.execute("SELECT coalesce(max(version), 0) FROM schema_migration").fetchone()
    return int(row[0]) if row else 0


def plan_migrations(conn: duckdb.DuckDBPyConnection) -> tuple[Migration, ...]:
    """Return the migrations that `conn`'s database still lacks; changes nothing.

    Raises
    ------
    WorkError
        If the database is of a later version than this program.
    """
    migrations = list_migrations()
    version = load_schema_version(conn)
    if version > len(migrations):
        raise WorkError(
            f"The warehouse has schema version {version}, but this growthpace knows only "
            f"{len(migrations)}; upgrade growthpace, or run ingest --rebuild."
        )
    return migrations[version:]


def migrate(conn: duckdb.DuckDBPyConnection, *, up_to: int | None = None) -> int:
    """Apply the migrations that are missing, all or none, in one transaction with their records.

    Parameters
    ----------
    conn : DuckDBPyConnection
        Writable, with no transaction open.
    up_to : int, optional
        Stop after this version (tests make earlier schemas so).

    Returns
    -------
    int
        How many were applied.

    Raises
    ------
    WorkError
        If the database is of a later version than this program.
    """
    missing = [step for step in plan_migrations(conn) if up_to is None or step.version <= up_to]
    if not missing:
        return 0
    conn.begin()
    try:
        conn.execute(_CREATE_RECORD)
        for step in missing:
            conn.execute(load_statement("migrations", step.name))
            conn.execute(
                "INSERT INTO schema_migration VALUES (?, ?, now() AT TIME ZONE 'UTC')",
                [step.version, step.name],
            )
        conn.commit()
    except BaseException:
        conn.rollback()
        raise
    return len(missing)
