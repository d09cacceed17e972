"""Reads landing files into the raw tables; tells which ones break the landing contract and why."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from warehouse.documents import Rows, document_rows
from warehouse.errors import LandingError
from warehouse.landing import check_table, read_document
from warehouse.records import DOCUMENTS, RecordKind
from warehouse.statements import list_statements, load_statement

# Statements that load the files of a kind, where it takes more than one, in order of dependence.
_LOADS = {
    RecordKind.ITEM_SCORE: (
        "load_unit",
        "load_scoring",
        "load_prompt",
        "load_reply",
        "load_choice_tokens",
        "load_item_score",
        "load_unit_score",
    ),
}
# Rows that are loaded together: enough to keep every core busy, few enough for 2 GB of memory.
_BATCH_ROWS = 5_000_000
_MAX_REASON = 500
# Memory, disk or access, or a fault of this program: no file may be refused for these.
_NOT_THE_FILES_FAULT = (
    duckdb.OperationalError,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.SyntaxException,
)


@dataclass(frozen=True, kw_only=True)
class LandingFile:
    """One complete file of the landing zone."""

    kind: RecordKind
    path: Path
    size_bytes: int
    modified_ns: int
    content_hash: str


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A landing file that breaks the contract."""

    kind: RecordKind
    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What one load did: files taken with their row counts, and files refused."""

    n_rows: dict[LandingFile, int]
    refusals: tuple[Refusal, ...]


def load_files(
    conn: duckdb.DuckDBPyConnection,
    files: Sequence[LandingFile],
    *,
    load_number: int,
) -> Loaded:
    """Load new files into the raw tables and the registry, inside the open transaction.

    Parameters
    ----------
    conn : DuckDBPyConnection
        Writable, at the latest schema version.
    files : sequence of LandingFile
        Files that the registry doesn't hold; the bad ones among them are returned as refusals.
    load_number : int, >= 1
        Number of this load, kept with each file.
    """
    n_rows: dict[LandingFile, int] = {}
    refusals: list[Refusal] = []
    for kind in RecordKind:
        batch = [file for file in files if file.kind is kind]
        load = _load_documents if kind in DOCUMENTS else _load_tables
        loaded = load(conn, kind, batch)
        n_rows |= loaded.n_rows
        refusals += loaded.refusals
    registry = [
        {
            "kind": file.kind.value,
            "file_name": file.path.name,
            "size_bytes": file.size_bytes,
            "modified_ns": file.modified_ns,
            "content_hash": file.content_hash,
            "n_rows": count,
            "loaded_at": datetime.now(UTC).replace(tzinfo=None),
            "load_number": load_number,
        }
        for file, count in n_rows.items()
    ]
    _insert(conn, "file", registry)
    return Loaded(n_rows=n_rows, refusals=tuple(refusals))


# --- Documents --------------------------------------------------------------------------------


def _load_documents(
    conn: duckdb.DuckDBPyConnection, kind: RecordKind, files: Sequence[LandingFile]
) -> Loaded:
    """Load JSON records of one kind."""
    rows: Rows = {}
    n_rows: dict[LandingFile, int] = {}
    refusals = []
    for file in files:
        try:
            found = document_rows(file.path.name, read_document(file.path, kind))
        except LandingError as error:
            refusals.append(Refusal(kind=kind, path=file.path, reason=str(error)))
            continue
        except OverflowError as error:
            reason = f"{file.path.name}: a date or number is out of range ({error})."
            refusals.append(Refusal(kind=kind, path=file.path, reason=reason))
            continue
        for table, lines in found.items():
            rows.setdefault(table, []).extend(lines)
        n_rows[file] = 1
    for table, lines in rows.items():
        _insert(conn, table, lines)
    return Loaded(n_rows=n_rows, refusals=tuple(refusals))


def _insert(conn: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows by column name; the table itself says which columns and types there are."""
    if not rows:
        return
    empty = conn.table(f"raw_{table}").limit(0).to_arrow_table()
    schema = pa.schema([pa.field(field.name, _storage(field.type)) for field in empty.schema])
    conn.register("landed", pa.Table.from_pylist(rows, schema=schema))
    try:
        conn.execute(load_statement("landing", f"load_{table}"))
    finally:
        conn.unregister("landed")


def _storage(kind: pa.DataType) -> pa.DataType:
    """Return what an Arrow extension type (JSON) is stored as."""
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


# --- Record tables ----------------------------------------------------------------------------


def _load_tables(
    conn: duckdb.DuckDBPyConnection, kind: RecordKind, files: Sequence[LandingFile]
) -> Loaded:
    """Load Parquet files of one kind in batches: first what is in each file, then the rows."""
    n_rows: dict[LandingFile, int] = {}
    reasons: dict[Path, str] = {}
    batch: list[LandingFile] = []
    n_batch_rows = 0
    with ThreadPoolExecutor() as pool:
        checked = list(pool.map(partial(_check_table, kind=kind), files))
    for number, (file, found) in enumerate(zip(files, checked, strict=True), start=1):
        if isinstance(found, str):
            reasons[file.path] = found
        else:
            n_rows[file] = found
            batch.append(file)
            n_batch_rows += found
        if n_batch_rows >= _BATCH_ROWS or number == len(files):
            reasons |= _load_batch(conn, kind, [part.path for part in batch])
            batch, n_batch_rows = [], 0
    return Loaded(
        n_rows={file: count for file, count in n_rows.items() if file.path not in reasons},
        refusals=tuple(
            Refusal(kind=kind, path=path, reason=reason) for path, reason in sorted(reasons.items())
        ),
    )


def _check_table(file: LandingFile, kind: RecordKind) -> int | str:
    """Return a file's number of rows, or why it can't be loaded."""
    try:
        return check_table(file.path, kind) or f"{file.path.name}: no rows."
    except LandingError as error:
        return str(error)


def _load_batch(
    conn: duckdb.DuckDBPyConnection, kind: RecordKind, paths: Sequence[Path]
) -> dict[Path, str]:
    """Load some files together; return those that break the contract, with the reason."""
    known = list_statements("landing")
    reasons: dict[Path, str] = {}

    def find(statement: str, among: Sequence[Path], where: duckdb.DuckDBPyConnection) -> None:
        if statement in known:
            reasons.update(_find_reasons(where, statement, among))

    def good() -> list[Path]:
        return [path for path in paths if path not in reasons]

    items: dict[Path, frozenset[object]] = {}
    # A cursor of its own, since an error would abort the transaction open on `conn`.
    with conn.cursor() as cursor:
        find(f"reject_{kind.value}", paths, cursor)
        if kind is RecordKind.ITEM_SCORE:
            items = _survey_items(cursor, good(), reasons)
            # Cells share their items, so one file of each kind is looked at for all that are alike.
            found = _find_reasons(cursor, "repeat_item_score", _one_of_each(items, good()))
            alike = [path for path in good() if any(items[path] & items[bad] for bad in found)]
            find("repeat_item_score", alike, cursor)
    # In the transaction, to see what its earlier batches loaded; all can be read by now.
    find(f"overlap_{kind.value}", good(), conn)
    files = [str(path) for path in good()]
    samples = [str(path) for path in _one_of_each(items, good())]
    for name in _LOADS.get(kind, (f"load_{kind.value}",)) if files else ():
        read = samples if name == "load_prompt" else files
        conn.execute(load_statement("landing", name), {"files": read})
    return reasons


def _survey_items(
    conn: duckdb.DuckDBPyConnection, paths: Sequence[Path], reasons: dict[Path, str]
) -> dict[Path, frozenset[object]]:
    """Return what tells apart the items of each file's units; add files that can't be read."""
    items: dict[Path, set[object]] = {}
    for name, *signature in _read_rows(conn, "survey_item_score", paths, reasons):
        items.setdefault(Path(name), set()).add(tuple(signature))
    return {path: frozenset(found) for path, found in items.items()}


def _one_of_each(items: dict[Path, frozenset[object]], paths: Sequence[Path]) -> list[Path]:
    """Return files whose units have all items that the units of `paths` have."""
    seen: set[object] = set()
    chosen = []
    for path in paths:
        if not items.get(path, frozenset()) <= seen:
            chosen.append(path)
            seen |= items[path]
    return chosen


def _find_reasons(
    conn: duckdb.DuckDBPyConnection, statement: str, paths: Sequence[Path]
) -> dict[Path, str]:
    """Run a statement that returns the bad files; a file it can't even read is bad too."""
    reasons: dict[Path, str] = {}
    for name, reason, n in _read_rows(conn, statement, paths, reasons):
        rows = f" ({n} such rows)." if n > 1 else "."
        reasons[Path(name)] = f"{Path(name).name}: {reason:.{_MAX_REASON}}{rows}"
    return reasons


def _read_rows(
    conn: duckdb.DuckDBPyConnection,
    statement: str,
    paths: Sequence[Path],
    reasons: dict[Path, str],
) -> list[Any]:
    """Run a statement over some files; those it can't read are left out and added to `reasons`."""
    if not paths:
        return []
    try:
        return conn.execute(
            load_statement("landing", statement), {"files": [str(path) for path in paths]}
        ).fetchall()
    except _NOT_THE_FILES_FAULT:
        raise
    except duckdb.Error as error:
        if len(paths) > 1:
            # One damaged page fails the whole scan: halve until the file is found.
            half = len(paths) // 2
            return [
                *_read_rows(conn, statement, paths[:half], reasons),
                *_read_rows(conn, statement, paths[half:], reasons),
            ]
        first_line = str(error).splitlines()[0]
        reasons[paths[0]] = f"{paths[0].name}: its rows can't be read ({first_line})."
        return []
