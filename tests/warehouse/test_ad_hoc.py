"""One SELECT that a person typed: what runs, what is refused, and its limits."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from warehouse import ad_hoc, open_latest
from warehouse.ad_hoc import SelectResult, run_select
from warehouse.errors import InputError, WorkError
from warehouse.tabular import format_rows
from warehouse.workspace import Workspace


@pytest.fixture(scope="module")
def conn(results: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_latest(results) as opened:
        yield opened


def ask(
    conn: duckdb.DuckDBPyConnection,
    query: str,
    *,
    row_limit: int = 100,
    time_limit_seconds: float = 10.0,
) -> SelectResult:
    return run_select(conn, query, row_limit=row_limit, time_limit_seconds=time_limit_seconds)


def test_values_in_json(conn: duckdb.DuckDBPyConnection) -> None:
    query = (
        "SELECT 'nan'::DOUBLE AS a, 1.5::DECIMAL(4,2) AS b, DATE '2026-01-02' AS c, "
        "INTERVAL 90 SECOND AS d, {'x': 'infinity'::DOUBLE} AS e, 'é' AS f, 1 AS f, "
        "'ab'::BLOB AS g, TIMESTAMP '2026-01-02 03:04:05' AS h"
    )
    result = ask(conn, query)
    text = format_rows(result.columns, result.rows, "json")
    assert json.loads(text) == [
        {
            "a": None,
            "b": 1.5,
            "c": "2026-01-02",
            "d": 90.0,
            "e": {"x": None},
            "f": "é",
            "f_2": 1,
            "g": "b'ab'",
            "h": "2026-01-02T03:04:05",
        }
    ]


@pytest.mark.parametrize(
    "query",
    [
        "WITH a AS (SELECT 1 AS x) SELECT * FROM a",
        "FROM mart_study",
        "VALUES (1)",
        "DESCRIBE mart_study",
        "SHOW TABLES",
        "SELECT 1; -- with a comment",
    ],
)
def test_whatever_only_reads_runs(conn: duckdb.DuckDBPyConnection, query: str) -> None:
    assert ask(conn, query).rows


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("COPY mart_study TO '{here}/out.csv'", "COPY is refused"),
        ("ATTACH '{here}/other.duckdb'", "ATTACH is refused"),
        ("SELECT * FROM read_text('/etc/hostname')", "disabled by configuration"),
        ("SELECT * FROM read_csv('{here}/*')", "disabled by configuration"),
        ("SELECT * FROM glob('/etc/*')", "disabled by configuration"),
        ("FROM 'https://example.org/x.parquet'", "can't be run"),
        ("SELECT * FROM duckdb_secrets()", "disabled by configuration"),
        ("SELECT getenv('HOME')", "can't be run"),
        ("SELECT 1; SELECT 2", "holds 2 statements"),
        ("", "holds 0 statements"),
        ("PRAGMA database_list", "PRAGMA is refused"),
        ("CALL pragma_version()", "CALL is refused"),
        ("SET threads = 1", "SET is refused"),
        ("SET enable_external_access = true", "SET is refused"),
        ("RESET lock_configuration", "SET is refused"),
        ("INSTALL httpfs", "LOAD is refused"),
        ("LOAD httpfs", "LOAD is refused"),
        ("CREATE SECRET s (TYPE s3)", "is refused"),
        ("CREATE TEMP TABLE mart_study AS SELECT 1", "CREATE is refused"),
        ("EXPORT DATABASE '{here}/export'", "EXPORT is refused"),
        ("DROP TABLE mart_study", "DROP is refused"),
        ("DELETE FROM mart_study", "DELETE is refused"),
        ("INSERT INTO mart_study FROM mart_study", "INSERT is refused"),
        ("SELEC 1", "can't be parsed"),
        ("SELECT * FROM nothing", "nothing does not exist"),
        ("SELECT nothing FROM mart_study", "nothing"),
    ],
)
def test_the_rest_is_refused(
    conn: duckdb.DuckDBPyConnection, tmp_path: Path, query: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        ask(conn, query.format(here=tmp_path))
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_rows_are_limited(conn: duckdb.DuckDBPyConnection) -> None:
    result = ask(conn, "FROM range(50)", row_limit=3)
    assert (result.rows, result.truncated) == (((0,), (1,), (2,)), True)
    assert ask(conn, "FROM range(3)", row_limit=3).truncated is False


def test_time_is_limited(conn: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b"
    with pytest.raises(WorkError, match=r"longer than 0\.1 s"):
        ask(conn, query, time_limit_seconds=0.1)
    # The connection serves the next query.
    assert ask(conn, "SELECT 1").rows == ((1,),)


def test_a_value_that_fails_is_work_that_failed(conn: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(WorkError, match="Could not convert"):
        ask(conn, "SELECT 'a'::INTEGER")


def test_a_table_for_people_stays_narrow(conn: duckdb.DuckDBPyConnection) -> None:
    result = ask(conn, "SELECT repeat('word ', 40) AS text, 12.5 AS number, NULL AS nothing")
    lines = format_rows(result.columns, result.rows, "table").splitlines()
    assert lines[0].split() == ["text", "number", "nothing"]
    assert len(lines[2]) < 90 and lines[2].endswith("NULL") and "…" in lines[2]
    assert lines[3] == "(1 row)"
    empty = ask(conn, "SELECT 1 AS x WHERE false")
    assert format_rows(empty.columns, empty.rows, "table") == "x\n-\n(0 rows)\n"
    assert format_rows(empty.columns, empty.rows, "csv") == "x\n"
    assert format_rows(empty.columns, empty.rows, "json") == "[]\n"


def answer(
    results: Workspace, monkeypatch: pytest.MonkeyPatch, query: str
) -> tuple[str, dict[str, Any]]:
    """Answer a request as the process of its own would; return stdout and the outcome."""
    request = {"workspace": str(results.root), "query": query, "table_format": "csv"}
    request |= {"row_limit": 1, "time_limit_seconds": 5}
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(request)))
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    for name in ("os._exit", "signal.setitimer", "resource.setrlimit"):
        monkeypatch.setattr(name, lambda *_: None)
    ad_hoc.main()
    monkeypatch.undo()
    return out.getvalue(), json.loads(err.getvalue())


def test_a_request_is_answered(results: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    text, outcome = answer(results, monkeypatch, "FROM range(2)")
    assert (text, outcome) == ("range\n0\n", {"truncated": True})
    text, outcome = answer(results, monkeypatch, "DROP TABLE x")
    assert text == "" and outcome["exit_code"] == 2 and "DROP is refused" in outcome["error"]
