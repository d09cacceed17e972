"""Runs one SELECT that a person typed, within limits of rows, time and memory.

Run as a program (`python -m warehouse.ad_hoc`, by `warehouse.console`) it answers one request in
a process of its own, since some queries respect neither DuckDB's memory limit nor an interrupt:
`SELECT range(2000000000)` took 22 GB while it was still being planned.

What keeps a query in is the connection (read-only, no external access, locked configuration), then
the process, which may write no file at all. Refusing names on top makes the refusal clear, and
closes what the connection leaves open: settings, paths, logs, and SQL hidden in strings.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

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
_WRITES = "attached in read-only mode"

# Every other table function is refused: most of them read files, the rest show settings, paths and
# logs, change the process, or run SQL hidden in a string (query, json_execute_serialized_sql).
_TABLE_FUNCTIONS = frozenset(
    "duckdb_columns duckdb_constraints duckdb_functions duckdb_keywords duckdb_tables duckdb_types "
    "duckdb_views generate_series histogram histogram_values json_each json_tree "
    "pragma_storage_info pragma_table_info pragma_version range repeat repeat_row summary "
    "test_all_types unnest".split()
)
_REFUSED_FUNCTIONS = frozenset(
    "add_parquet_key current_setting currval getenv getvariable nextval setval write_log".split()
)
# Views that show settings, paths and logs; they need no parentheses.
_REFUSED_VIEWS = frozenset(
    "duckdb_databases duckdb_logs pg_database pg_prepared_statements pg_settings "
    "pragma_database_list".split()
)

# What the process may allocate beyond DuckDB's own limit, which does not cover every vector.
_MEMORY_LIMIT_BYTES = 4 << 30
# An interrupt stops most queries in time; the process ends itself where one doesn't listen.
_GRACE_SECONDS = 3.0
_BATCH_ROWS = 50_000
_MAX_MESSAGE = 500


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
        From `open_latest`, which is what closes it to files, network and settings.
    query : str
        One SELECT (also WITH, FROM, VALUES, DESCRIBE, SHOW TABLES and SUMMARIZE).
    row_limit : int, count >= 1
        Return at most so many rows.
    time_limit_seconds : float, seconds > 0
        Stop the query after this time.

    Raises
    ------
    InputError
        If it isn't exactly one SELECT, names what doesn't exist, or what it may not use.
    WorkError
        If it takes too long or too much memory, or fails on a value.
    """
    statement = _parse_select(conn, query)
    with _limited(conn, time_limit_seconds):
        cursor = conn.execute(statement)
        columns = _distinct_names([column[0] for column in cursor.description or ()])
        rows = cursor.fetchmany(row_limit + 1)
        # A query that streams on and on would keep its connection from closing.
        conn.interrupt()
    return SelectResult(
        columns=columns,
        rows=tuple(tuple(row) for row in rows[:row_limit]),
        truncated=len(rows) > row_limit,
    )


def write_parquet(
    conn: duckdb.DuckDBPyConnection,
    query: str,
    target: BinaryIO,
    *,
    row_limit: int,
    time_limit_seconds: float,
) -> bool:
    """Run one SELECT and write its rows, typed as DuckDB types them, as Parquet.

    Parameters and errors are those of `run_select`; a type that Parquet doesn't know (INTERVAL,
    UNION) is an InputError too.

    Returns
    -------
    bool
        Whether the query had more rows than the limit.
    """
    # Only this format needs Arrow, which takes longer to import than most queries to run.
    import pyarrow as pa
    import pyarrow.parquet as pq

    statement = _parse_select(conn, query)
    n_left = row_limit
    try:
        with _limited(conn, time_limit_seconds):
            reader = conn.sql(statement).to_arrow_reader(_BATCH_ROWS)
            names = list(_distinct_names(reader.schema.names))
            schema = pa.schema(
                [field.with_name(name) for field, name in zip(reader.schema, names, strict=True)]
            )
            with pq.ParquetWriter(target, schema, compression="zstd") as writer:
                for batch in reader:
                    writer.write_batch(batch.slice(0, n_left).rename_columns(names))
                    n_left -= batch.num_rows
                    if n_left < 0:
                        break
            conn.interrupt()
    except pa.ArrowNotImplementedError as error:
        raise InputError(
            f"Parquet has no form for a column of this query ({_first_line(error)}); cast it, for "
            "example to VARCHAR."
        ) from error
    return n_left < 0


@contextlib.contextmanager
def _limited(conn: duckdb.DuckDBPyConnection, time_limit_seconds: float) -> Iterator[None]:
    """Interrupt what runs inside after a time, and turn its errors into ours."""
    expired = threading.Event()

    def stop() -> None:
        expired.set()
        conn.interrupt()

    timer = threading.Timer(time_limit_seconds, stop)
    timer.start()
    try:
        yield
    except _INPUT_ERRORS as error:
        raise InputError(f"The query can't be run: {_first_line(error)}") from error
    # Arrow's readers turn DuckDB's errors into OSError.
    except (duckdb.Error, OSError) as error:
        if expired.is_set():
            raise WorkError(
                f"The query took longer than {time_limit_seconds:g} s and was stopped; narrow it, "
                "or allow more with --time-limit."
            ) from error
        if _WRITES in str(error):
            raise InputError(
                "Writing is refused: only one SELECT is run, on a read-only snapshot."
            ) from error
        raise WorkError(f"The query failed: {_first_line(error)}") from error
    finally:
        timer.cancel()


# --- What may run -----------------------------------------------------------------------------


def _parse_select(conn: duckdb.DuckDBPyConnection, query: str) -> duckdb.Statement:
    """Return the query's one statement if it only reads tables."""
    try:
        statements = conn.extract_statements(query)
    except duckdb.Error as error:
        raise InputError(f"The query can't be parsed: {_first_line(error)}") from error
    if len(statements) != 1:
        raise InputError(f"The query holds {len(statements)} statements; give one SELECT a call.")
    statement = statements[0]
    kind = _kind(statement)
    if kind == "MULTI":
        raise InputError("PIVOT needs its values here: PIVOT t ON x IN ('a', 'b') USING avg(y).")
    if kind != "SELECT":
        raise InputError(
            f"{kind} is refused: only one SELECT is run, on a read-only snapshot. "
            "To change or export data open warehouse/results.duckdb, which is a copy, in a DuckDB "
            "shell."
        )
    if statement.named_parameters:
        raise InputError("The query holds a parameter ($ or ?); write the value itself.")
    reason = _find_refused(conn, query)
    if reason is not None:
        raise InputError(
            f"{reason} is refused: a query reads the snapshot's tables, no files, settings, "
            "paths, logs or SQL in strings."
        )
    return statement


def _kind(statement: duckdb.Statement) -> str:
    """Name a statement's kind; this version of the Python module has no names for the newest."""
    try:
        return statement.type.name
    except ValueError:
        return "This statement"


def _find_refused(conn: duckdb.DuckDBPyConnection, query: str) -> str | None:
    """Name the first thing in a query that it may not use; None if there is nothing.

    It looks at words, not at meaning, so that no way of writing a call gets past it.
    """
    known = conn.execute(
        "SELECT lower(function_name) FROM duckdb_functions() "
        "WHERE function_type IN ('table', 'table_macro')"
    ).fetchall()
    refused = ({name for (name,) in known} - _TABLE_FUNCTIONS) | _REFUSED_FUNCTIONS
    words = _words(query)
    for (kind, word), (_, following) in zip(words, [*words[1:], ("", "")], strict=True):
        if word == "show" and kind == "keyword" and following not in {"", ";", "tables", "all"}:
            return f"SHOW {following} (DESCRIBE is for tables)"
        if word in _REFUSED_VIEWS or (word in refused and following == "("):
            return word
    return None


def _words(query: str) -> list[tuple[str, str]]:
    """Split a query into (kind, lower-case word without quotes), comments left out."""
    # The tokenizer counts in bytes.
    text = query.encode()
    tokens = duckdb.tokenize(query)
    ends = [start for start, _ in tokens[1:]] + [len(text)]
    words = []
    for (start, kind), end in zip(tokens, ends, strict=True):
        word = text[start:end].decode("utf-8", "replace").strip().lower()
        if kind.name != "comment":
            words.append((kind.name, word.strip("\"'") or word))
    return words


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


def _first_line(error: Exception) -> str:
    """Return DuckDB's message without the excerpt of the query that follows it."""
    return str(error).partition("\n")[0][:_MAX_MESSAGE]


# --- The process ------------------------------------------------------------------------------


def main() -> None:
    """Answer the request on stdin: rows on stdout, what became of it as JSON on stderr."""
    request = json.load(sys.stdin)
    limits = {name: request[name] for name in ("row_limit", "time_limit_seconds")}
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_LIMIT_BYTES, _MEMORY_LIMIT_BYTES))
    # It answers through a pipe, so it needs to write no file, whatever a query may find.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, request["time_limit_seconds"] + _GRACE_SECONDS)
    outcome: dict[str, object]
    try:
        conn = open_latest(request["workspace"])
        if request["table_format"] == "parquet":
            truncated = write_parquet(conn, request["query"], sys.stdout.buffer, **limits)
        else:
            result = run_select(conn, request["query"], **limits)
            sys.stdout.write(format_rows(result.columns, result.rows, request["table_format"]))
            truncated = result.truncated
        outcome = {"truncated": truncated}
    except GrowthpaceError as error:
        outcome = {"error": str(error), "exit_code": error.exit_code}
    sys.stdout.flush()
    sys.stderr.write(json.dumps(outcome))
    sys.stderr.flush()
    # At once, as a query that goes on in DuckDB's threads would hold up an orderly end.
    os._exit(0)


if __name__ == "__main__":
    main()
