"""Runs one SELECT that a person typed, within limits of rows, time and memory.

Run as a program (`python -m warehouse.ad_hoc`, by `warehouse.console`) it answers one request in
a process of its own, since some queries respect neither DuckDB's memory limit nor an interrupt:
`SELECT range(2000000000)` took 22 GB while it was still being planned.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Any

import duckdb

from warehouse.connection import open_latest
from warehouse.errors import GrowthpaceError, InputError, WorkError
from warehouse.tabular import format_rows

# Faults of the query itself, found before any row is read.
_INPUT_ERRORS = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.PermissionException,
    duckdb.SyntaxException,
)


# What the process may allocate beyond DuckDB's own limit, which does not cover every vector.
_MEMORY_LIMIT_BYTES = 4 << 30
# An interrupt stops most queries in time; the process ends itself where one doesn't listen.
_GRACE_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class SelectResult:
    """Rows of a query; `truncated` if it had more than the limit."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool


def run_select(
    conn: duckdb.DuckDBPyConnection,
    query: str,
    *,
    row_limit: int,
    time_limit_seconds: float,
) -> SelectResult:
    """Run one SELECT.

    Parameters
    ----------
    conn : DuckDBPyConnection
        From `open_latest`, which is what closes it to files, network and settings; checking the
        kind of statement only makes the refusal clear.
    query : str
        One SELECT (also WITH, FROM, VALUES, DESCRIBE, SHOW and SUMMARIZE).
    row_limit : int, count >= 1
        Return at most so many rows.
    time_limit_seconds : float, seconds > 0
        Stop the query after this time.

    Raises
    ------
    InputError
        If it isn't exactly one SELECT, or names what doesn't exist.
    WorkError
        If it takes too long or too much memory, or fails on a value.
    """
    statement = _parse_select(conn, query)
    expired = threading.Event()

    def stop() -> None:
        expired.set()
        conn.interrupt()

    timer = threading.Timer(time_limit_seconds, stop)
    timer.start()
    try:
        cursor = conn.execute(statement)
        columns = _distinct_names([column[0] for column in cursor.description or ()])
        rows = cursor.fetchmany(row_limit + 1)
        # A query that streams on and on would keep its connection from closing.
        conn.interrupt()
    except _INPUT_ERRORS as error:
        raise InputError(f"The query can't be run: {_first_line(error)}") from error
    except duckdb.Error as error:
        if expired.is_set():
            raise WorkError(
                f"The query took longer than {time_limit_seconds:g} s and was stopped; narrow it, "
                "or allow more with --time-limit."
            ) from error
        raise WorkError(f"The query failed: {_first_line(error)}") from error
    finally:
        timer.cancel()
    return SelectResult(
        columns=columns,
        rows=tuple(tuple(row) for row in rows[:row_limit]),
        truncated=len(rows) > row_limit,
    )


def _parse_select(conn: duckdb.DuckDBPyConnection, query: str) -> duckdb.Statement:
    """Return the query's one statement if it only reads."""
    try:
        statements = conn.extract_statements(query)
    except duckdb.Error as error:
        raise InputError(f"The query can't be parsed: {_first_line(error)}") from error
    if len(statements) != 1:
        raise InputError(f"The query holds {len(statements)} statements; give one SELECT a call.")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = statements[0].type.name
        raise InputError(
            f"{kind} is refused: only one SELECT is run, on a read-only snapshot. To change or "
            "export data open warehouse/results.duckdb, which is a copy, in a DuckDB shell."
        )
    return statements[0]


def _distinct_names(names: list[str]) -> tuple[str, ...]:
    """Give numbers to columns that share a name, so that none is lost in JSON."""
    distinct: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in distinct:
            number += 1
            candidate = f"{name}_{number}"
        distinct.append(candidate)
    return tuple(distinct)


def _first_line(error: duckdb.Error) -> str:
    """Return DuckDB's message without the excerpt of the query that follows it."""
    return str(error).splitlines()[0]


def main() -> None:
    """Answer the request on stdin: rows as text on stdout, what became of it as JSON on stderr."""
    request = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_LIMIT_BYTES, _MEMORY_LIMIT_BYTES))
    signal.setitimer(signal.ITIMER_REAL, request["time_limit_seconds"] + _GRACE_SECONDS)
    outcome: dict[str, object]
    try:
        result = run_select(
            open_latest(request["workspace"]),
            request["query"],
            row_limit=request["row_limit"],
            time_limit_seconds=request["time_limit_seconds"],
        )
        sys.stdout.write(format_rows(result.columns, result.rows, request["table_format"]))
        outcome = {"truncated": result.truncated}
    except GrowthpaceError as error:
        outcome = {"error": str(error), "exit_code": error.exit_code}
    sys.stdout.flush()
    sys.stderr.write(json.dumps(outcome))
    sys.stderr.flush()
    # At once, as a query that goes on in DuckDB's threads would hold up an orderly end.
    os._exit(0)


if __name__ == "__main__":
    main()
