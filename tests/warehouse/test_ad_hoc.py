"""One SELECT that a person typed: what runs, what is refused, and its limits."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from warehouse import ad_hoc, open_latest
from warehouse.ad_hoc import SelectResult, run_select, write_parquet
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
        "SUMMARIZE mart_study",
        "PIVOT mart_study ON study IN ('demo') USING count(*)",
        "SELECT unnest(range(3)), repeat('a', 2), histogram(score) FROM mart_ability_score",
        "SELECT setseed(0.5), random(), now()",
        "SELECT 1; -- with a comment",
    ],
)
def test_whatever_only_reads_runs(conn: duckdb.DuckDBPyConnection, query: str) -> None:
    assert ask(conn, query).rows


HOSTILE = {
    # Other statements than one SELECT.
    "COPY mart_study TO '{here}/out.csv'": "COPY is refused",
    "COPY (SELECT 1) TO '{here}/out.parquet'": "COPY is refused",
    "COPY mart_study FROM '/etc/passwd'": "COPY is refused",
    "ATTACH '{here}/other.duckdb'": "ATTACH is refused",
    "DETACH memory": "DETACH is refused",
    "USE memory": "SET is refused",
    "SELECT 1; SELECT 2": "holds 2 statements",
    "SELECT 1; COPY mart_study TO '{here}/out.csv'": "holds 2 statements",
    "": "holds 0 statements",
    "-- nothing": "holds 0 statements",
    "PRAGMA database_list": "PRAGMA is refused",
    "CALL pragma_version()": "CALL is refused",
    "CHECKPOINT": "CALL is refused",
    "SET threads = 1": "SET is refused",
    "SET VARIABLE x = 1": "SET is refused",
    "SET enable_external_access = true": "SET is refused",
    "RESET lock_configuration": "SET is refused",
    "INSTALL httpfs": "LOAD is refused",
    "LOAD '{here}/x.so'": "LOAD is refused",
    "UPDATE EXTENSIONS": "is refused",
    "CREATE SECRET s (TYPE s3)": "is refused",
    "CREATE TEMP TABLE mart_study AS SELECT 1": "CREATE is refused",
    "CREATE MACRO f() AS 1": "CREATE is refused",
    "EXPORT DATABASE '{here}/export'": "EXPORT is refused",
    "IMPORT DATABASE '{here}/export'": "PRAGMA is refused",
    "DROP TABLE mart_study": "DROP is refused",
    "DELETE FROM mart_study": "DELETE is refused",
    "TRUNCATE mart_study": "DELETE is refused",
    "UPDATE mart_study SET study = 'x'": "UPDATE is refused",
    "INSERT INTO mart_study FROM mart_study": "INSERT is refused",
    "ALTER TABLE mart_study ADD COLUMN x INTEGER": "ALTER is refused",
    "MERGE INTO mart_study USING mart_study b ON true WHEN MATCHED THEN DELETE": "is refused",
    "PREPARE p AS SELECT 1": "PREPARE is refused",
    "EXECUTE p": "EXECUTE is refused",
    "BEGIN": "TRANSACTION is refused",
    "VACUUM": "VACUUM is refused",
    "EXPLAIN ANALYZE SELECT 1": "EXPLAIN is refused",
    "WITH x AS (DELETE FROM mart_study RETURNING *) FROM x": "Writing is refused",
    # Files, network and environment.
    "SELECT * FROM read_text('/etc/hostname')": "read_text is refused",
    "SELECT * FROM \"Read_Text\" /* so? */ ('/etc/hostname')": "read_text is refused",
    "SELECT * FROM main.read_blob('/etc/hostname')": "read_blob is refused",
    "SELECT * FROM read_csv('{here}/*')": "read_csv is refused",
    "SELECT * FROM read_parquet('https://example.org/x.parquet')": "read_parquet is refused",
    "SELECT * FROM parquet_metadata('{here}/x')": "parquet_metadata is refused",
    "SELECT * FROM sniff_csv('/etc/passwd')": "sniff_csv is refused",
    "SELECT * FROM glob('/etc/*')": "glob is refused",
    "FROM '/etc/passwd.csv'": "disabled by configuration",
    "FROM 'https://example.org/x.parquet'": "can't be run",
    "SELECT getenv('HOME')": "getenv is refused",
    "SELECT * FROM pandas_scan(1)": "pandas_scan is refused",
    # Variables of this program, which DuckDB finds by name unless it is told not to.
    "FROM known": "known does not exist",
    "FROM row_limit": "row_limit does not exist",
    # Settings, paths, secrets and logs.
    "SELECT * FROM duckdb_secrets()": "duckdb_secrets is refused",
    "SELECT * FROM which_secret('s3://a', 's3')": "which_secret is refused",
    "SELECT * FROM duckdb_settings()": "duckdb_settings is refused",
    "SELECT current_setting('secret_directory')": "current_setting is refused",
    "SHOW secret_directory": "SHOW secret_directory",
    "SELECT * FROM (SHOW memory_limit)": "SHOW memory_limit",
    "FROM pg_settings": "pg_settings is refused",
    "FROM 'pg_settings'": "pg_settings is refused",
    "FROM duckdb_databases": "duckdb_databases is refused",
    'FROM system.main."PRAGMA_database_list"': "pragma_database_list is refused",
    "FROM duckdb_logs": "duckdb_logs is refused",
    "SELECT write_log('x')": "write_log is refused",
    "SELECT getvariable('x')": "getvariable is refused",
    "SELECT nextval('x')": "nextval is refused",
    "SELECT * FROM enable_profiling()": "enable_profiling is refused",
    "SELECT * FROM checkpoint()": "checkpoint is refused",
    # SQL in strings.
    "FROM query('FROM read_text(''/etc/hostname'')')": "query is refused",
    "FROM query_table('mart_study')": "query_table is refused",
    "FROM json_execute_serialized_sql('{{}}')": "json_execute_serialized_sql is refused",
    # Mistakes.
    "SELECT $1": "holds a parameter",
    "PIVOT mart_study ON study": "PIVOT needs its values",
    "SELEC 1": "can't be parsed",
    "SELECT * FROM nothing": "nothing does not exist",
    "SELECT nothing FROM mart_study": "nothing",
}


@pytest.mark.parametrize(("query", "message"), HOSTILE.items())
def test_the_rest_is_refused(
    conn: duckdb.DuckDBPyConnection, tmp_path: Path, query: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        ask(conn, query.format(here=tmp_path))
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_words_of_refused_names_may_stand_where_they_call_nothing(
    conn: duckdb.DuckDBPyConnection,
) -> None:
    query = "SELECT 'read_text(' AS \"glob\", 1 AS checkpoint -- read_text('/etc/hostname')"
    assert ask(conn, query).rows == (("read_text(", 1),)


def test_every_table_function_that_is_not_known_harmless_is_refused(
    conn: duckdb.DuckDBPyConnection,
) -> None:
    rows = conn.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() "
        "WHERE function_type IN ('table', 'table_macro')"
    ).fetchall()
    allowed = set()
    for (name,) in rows:
        try:
            ask(conn, f"FROM {name}('x')")
        except InputError as error:
            if f"{name} is refused" in str(error):
                continue
        except WorkError:
            pass
        allowed.add(name)
    assert allowed <= ad_hoc._TABLE_FUNCTIONS and len(rows) - len(allowed) > 50


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


def test_a_table_holds_nothing_that_a_terminal_obeys() -> None:
    text = format_rows(["na\x1bme"], [("\x1b[31mred\u202e",)], "table")
    assert text.replace("\n", "").isprintable()
    assert "\\x1b[31mred\\u202e" in text
    assert "\x1b[31m" in format_rows(["name"], [("\x1b[31mred",)], "csv")


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


# --- Parquet ----------------------------------------------------------------------------------


def read_parquet(
    conn: duckdb.DuckDBPyConnection, query: str, *, row_limit: int = 1000
) -> tuple[pa.Table, bool]:
    target = io.BytesIO()
    truncated = write_parquet(conn, query, target, row_limit=row_limit, time_limit_seconds=10.0)
    return pq.read_table(io.BytesIO(target.getvalue())), truncated


def test_parquet_keeps_types(conn: duckdb.DuckDBPyConnection) -> None:
    query = (
        "SELECT 1.5::DECIMAL(4, 2) AS a, DATE '2026-01-02' AS b, [1, 2] AS c, {'x': 'é'} AS d, "
        "NULL::BIGINT AS e, 1 AS f, 2::TINYINT AS f, TIMESTAMP '2026-01-02 03:04:05' AS g, "
        "sum(2::BIGINT) AS h"
    )
    table, truncated = read_parquet(conn, query)
    assert {field.name: str(field.type) for field in table.schema} == {
        "a": "decimal128(4, 2)",
        "b": "date32[day]",
        "c": "list<element: int32>",
        "d": "struct<x: string>",
        "e": "int64",
        "f": "int32",
        "f_2": "int8",
        "g": "timestamp[us]",
        "h": "decimal128(38, 0)",
    }
    (row,) = table.to_pylist()
    assert (row["d"], row["e"], row["f_2"], row["h"]) == ({"x": "é"}, None, 2, 2)
    assert not truncated


def test_parquet_is_limited_like_the_rest(conn: duckdb.DuckDBPyConnection) -> None:
    for n_rows in (7, 50_000, 60_000):
        table, truncated = read_parquet(conn, "FROM range(120_000)", row_limit=n_rows)
        assert (table.num_rows, truncated) == (n_rows, True)
        assert table["range"][-1].as_py() == n_rows - 1
    table, truncated = read_parquet(conn, "FROM range(50_000)", row_limit=50_000)
    assert (table.num_rows, truncated) == (50_000, False)
    empty, _ = read_parquet(conn, "SELECT 1 AS x WHERE false")
    assert (empty.num_rows, empty.schema.names) == (0, ["x"])
    endless = "WITH RECURSIVE a(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM a) SELECT i FROM a"
    assert read_parquet(conn, endless, row_limit=2)[0]["i"].to_pylist() == [1, 2]
    slow = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b"
    with pytest.raises(WorkError, match=r"longer than 0\.1 s"):
        write_parquet(conn, slow, io.BytesIO(), row_limit=1, time_limit_seconds=0.1)


def test_parquet_names_its_faults(conn: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(InputError, match="cast it"):
        read_parquet(conn, "SELECT INTERVAL 1 DAY")
    with pytest.raises(InputError, match="nothing"):
        read_parquet(conn, "SELECT nothing FROM mart_study")
    # Found when rows that were asked for first are already out.
    late = "SELECT (CASE range WHEN 300000 THEN 'a' ELSE '1' END)::INTEGER FROM range(400000)"
    with pytest.raises(WorkError, match="Could not convert"):
        read_parquet(conn, late, row_limit=1_000_000)


# --- The process ------------------------------------------------------------------------------


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
