"""Atomic writes to, and validated reads from, the landing zone.

A file appears under its final name only when it is complete: it is written beside it under a
temporary name, flushed to disk and renamed. A process killed at any moment leaves at most a
`.tmp` file, which nobody reads.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from warehouse.errors import LandingError
from warehouse.records import DOCUMENTS, SCHEMA_VERSION, TABLES, Record, RecordKind
from warehouse.workspace import Workspace

_FILE_STEM = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$")
_VERSION_KEY = b"growthpace_schema_version"
# Parquet readers don't notice every bit that rots on disk: the digest covers all bytes before the
# footer, which itself can only be read whole.
_DIGEST_KEY = b"growthpace_data_sha256"
_LENGTH_KEY = b"growthpace_data_bytes"
_MAX_TABLE_BYTES = 4 << 30


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
    return write_atomically(path, lambda target: _write_with_digest(table, target))


def _write_with_digest(table: pa.Table, target: Path) -> None:
    """Write a Parquet file whose footer holds the digest of the data before it."""
    with target.open("wb") as handle:
        sink = _DigestingSink(handle)
        with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
            writer.write_table(table)
            writer.add_key_value_metadata(
                {_DIGEST_KEY: sink.digest.hexdigest(), _LENGTH_KEY: str(sink.n_bytes)}
            )


class _DigestingSink:
    """A file that hashes what is written to it."""

    def __init__(self, handle: BinaryIO) -> None:
        """Pass everything on to `handle`."""
        self.handle = handle
        self.digest = hashlib.sha256()
        self.n_bytes = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        """Write and hash some bytes."""
        self.digest.update(data)
        self.n_bytes += len(data)
        return self.handle.write(data)

    def flush(self) -> None:
        """Leave flushing to the file's owner."""

    def close(self) -> None:
        """Leave closing to the file's owner."""
        self.closed = True


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
    """Check a record table's schema, version and digest; return its row count.

    Raises
    ------
    LandingError
        If the file is not Parquet, is damaged, is too large to load, lacks a column, has one of
        another type, or another version.
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
            if not field.nullable and found.field(index).nullable and _may_hold_nulls(file, index):
                raise LandingError(f"{path.name}: column {field.name} has missing values.")
        n_groups = file.metadata.num_row_groups
        n_bytes = sum(file.metadata.row_group(i).total_byte_size for i in range(n_groups))
        if n_bytes > _MAX_TABLE_BYTES:
            raise LandingError(
                f"{path.name}: {n_bytes:,} bytes of rows; at most {_MAX_TABLE_BYTES:,} fit a file."
            )
        _check_digest(path, file.metadata.metadata or {})
        return int(file.metadata.num_rows)


def _may_hold_nulls(file: pq.ParquetFile, index: int) -> bool:
    """Tell whether a flat column that is declared nullable may hold nulls, by the footer."""
    name = file.schema_arrow.field(index).name
    names = [file.schema.column(place).path for place in range(file.metadata.num_columns)]
    groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
    counts = [group.column(names.index(name)).statistics for group in groups]
    return any(found is None or found.null_count != 0 for found in counts)


def content_hash(path: Path) -> str:
    """Return what tells a landing file's content apart from another's.

    Of a table that holds its data's digest the footer is enough: `check_table` compares the two.
    """
    with path.open("rb") as handle:
        if path.suffix == ".parquet":
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(size - 8, 0))
            n_footer = int.from_bytes(handle.read(4), "little") + 8
            handle.seek(max(size - n_footer, 0))
            footer = handle.read(n_footer)
            if _DIGEST_KEY in footer:
                return hashlib.sha256(footer).hexdigest()
            handle.seek(0)
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _check_digest(path: Path, metadata: dict[bytes, bytes]) -> None:
    """Refuse a file whose data isn't what was written; one without a digest is taken as it is."""
    expected = metadata.get(_DIGEST_KEY)
    length = metadata.get(_LENGTH_KEY, b"")
    if expected is None or not length.isdigit():
        return
    with path.open("rb") as handle:
        found = hashlib.sha256(handle.read(int(length))).hexdigest()
    if found.encode() != expected:
        raise LandingError(f"{path.name}: damaged: its data doesn't match its digest.")
