"""Atomic writes to, and validated reads from, the landing zone.

A file appears under its final name only when it is complete: it is written beside it under a
temporary name, flushed to disk and renamed. A process killed at any moment leaves at most a
`.tmp` file, which nobody reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from warehouse.errors import LandingError
from warehouse.records import DOCUMENTS, SCHEMA_VERSION, TABLES, Record, RecordKind
from warehouse.workspace import Workspace

_FILE_STEM = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$")
_VERSION_KEY = b"growthpace_schema_version"


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Have `write` fill a temporary file, then move it to `path` in one step.

    Parameters
    ----------
    path : Path
        Final name; its folder is made if needed. A file of that name is replaced.
    write : callable
        Called with the temporary path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path


def _path(workspace: Workspace, kind: RecordKind, stem: str, suffix: str) -> Path:
    if not _FILE_STEM.match(stem):
        raise LandingError(
            f"{stem!r} can't name a landing file; use letters, digits, '.', '_', '-'."
        )
    return workspace.landing / kind.value / f"{stem}{suffix}"


def write_document(workspace: Workspace, kind: RecordKind, stem: str, record: Record) -> Path:
    """Land one JSON record as `landing/<kind>/<stem>.json`."""
    path = _path(workspace, kind, stem, ".json")
    text = record.model_dump_json(indent=1)
    return write_atomically(path, lambda target: target.write_text(text + "\n", "utf-8"))


def write_table(workspace: Workspace, kind: RecordKind, stem: str, table: pa.Table) -> Path:
    """Land one record table as `landing/<kind>/<stem>.parquet`.

    Raises
    ------
    LandingError
        If the table can't be cast to the kind's schema.
    """
    path = _path(workspace, kind, stem, ".parquet")
    schema = TABLES[kind]
    try:
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, KeyError) as error:
        raise LandingError(f"{path.name}: rows do not fit the {kind} schema ({error}).") from error
    metadata = {**(schema.metadata or {}), _VERSION_KEY: str(SCHEMA_VERSION).encode()}
    table = table.replace_schema_metadata(metadata)
    return write_atomically(path, lambda target: pq.write_table(table, target, compression="zstd"))


def list_landing(workspace: Workspace, kind: RecordKind) -> Iterator[Path]:
    """Yield the complete files of a kind in name order; temporary files are left out."""
    folder = workspace.landing / kind.value
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def read_document(path: Path, kind: RecordKind) -> Record:
    """Read and validate one JSON record.

    Raises
    ------
    LandingError
        If the file is not JSON, breaks the record's schema, or is of another schema version.
    """
    try:
        record = DOCUMENTS[kind].model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise LandingError(f"{path.name}: {where}: {first['msg']}.") from error
    version = getattr(record, "schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise LandingError(
            f"{path.name}: schema version {version} is not {SCHEMA_VERSION}; "
            "upgrade growthpace or rewrite the file."
        )
    return record


def check_table(path: Path, kind: RecordKind) -> int:
    """Check a record table's schema and version without reading its rows; return its row count.

    Raises
    ------
    LandingError
        If the file is not Parquet, lacks a column, has one of another type, or another version.
    """
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise LandingError(f"{path.name}: not a readable Parquet file ({error}).") from error
    with file:
        found = file.schema_arrow
        version = (found.metadata or {}).get(_VERSION_KEY, b"none").decode("ascii", "replace")
        if version != str(SCHEMA_VERSION):
            raise LandingError(f"{path.name}: schema version {version} is not {SCHEMA_VERSION}.")
        for field in TABLES[kind]:
            index = found.get_field_index(field.name)
            if index < 0:
                raise LandingError(f"{path.name}: column {field.name} is missing.")
            if found.field(index).type != field.type:
                raise LandingError(
                    f"{path.name}: column {field.name} is {found.field(index).type}, "
                    f"not {field.type}."
                )
        return int(file.metadata.num_rows)
