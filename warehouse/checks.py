"""Checks of the built marts: each statement in `sql/checks` returns the rows that break it."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from warehouse.errors import WorkError
from warehouse.statements import list_statements, load_statement

_N_ROWS_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class CheckFailure:
    """A check that found rows: how many, and the first of them."""

    check: str
    n_rows: int
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def run_checks(conn: duckdb.DuckDBPyConnection, *, since_load: int = 0) -> tuple[CheckFailure, ...]:
    """Run every check and return those that found rows, in name order.

    Parameters
    ----------
    since_load : int
        Look at rows of large tables only if they came with this load or a later one; 0 looks at
        all, also for repeats that are refused when a file lands.
    """
    conn.execute("SET VARIABLE since_load = $since_load", {"since_load": since_load})
    failures = []
    for name in list_statements("checks"):
        relation = conn.execute(load_statement("checks", name))
        columns = tuple(column[0] for column in relation.description or ())
        rows = relation.fetchall()
        if rows:
            failures.append(
                CheckFailure(
                    check=name,
                    n_rows=len(rows),
                    columns=columns,
                    rows=tuple(rows[:_N_ROWS_SHOWN]),
                )
            )
    return tuple(failures)


def require_checks(conn: duckdb.DuckDBPyConnection, *, since_load: int = 0) -> None:
    """Run every check, on large tables only for rows of `since_load` or later.

    Raises
    ------
    WorkError
        If one finds rows; the message names the check and the first rows.
    """
    failures = run_checks(conn, since_load=since_load)
    if not failures:
        return
    first = failures[0]
    shown = "; ".join(
        ", ".join(f"{column}={value}" for column, value in zip(first.columns, row, strict=True))
        for row in first.rows
    )
    others = "".join(f", {failure.check} ({failure.n_rows})" for failure in failures[1:])
    raise WorkError(
        f"Nothing was published: check {first.check} found {first.n_rows} bad rows, first: {shown}"
        + (f"; also failing: {others[2:]}" if others else "")
        + ". The last snapshot stays; move the landing files named by these rows out of landing/ "
        "and run ingest --rebuild."
    )
