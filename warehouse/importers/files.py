"""Reads CSV and Parquet files that people made into columns of text, with the line of each row.

Read with care: a byte-order mark, `;` and tabs between fields, quoted fields, blank lines and
every kind of line end are fine. Text stays text here; `warehouse.importers.rows` validates it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from warehouse.errors import InputError
from warehouse.importers.contract import RejectedImportError, RejectedRow, printable
from warehouse.records import ImportedFile

_PARQUET_MAGIC = b"PAR1"
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The rows of one file.

    Attributes
    ----------
    name : str
        The file as messages name it.
    columns : dict
        Text by column name, each of shape (n_rows,); null where a field is empty.
    lines : ndarray, shape (n_rows,)
        Line on which each row begins, from 1; in Parquet the number of the row.
    unknown : tuple of str
        Columns that were not asked for.
    """

    name: str
    file: ImportedFile
    columns: dict[str, pa.StringArray]
    lines: NDArray[np.int64]
    unknown: tuple[str, ...]


def read_sheets(paths: Sequence[Path], known: Collection[str]) -> list[Sheet]:
    """Read the files of one import.

    Parameters
    ----------
    paths : sequence of Path
        CSV or Parquet, told apart by their first bytes. A file named twice is read once.
    known : collection of str
        Columns that are read; names in files may differ in case, blanks and hyphens.

    Raises
    ------
    InputError
        If there is no such file or it can't be opened.
    RejectedImportError
        If a file is not CSV or Parquet, has no rows or a column twice, or a row has more or
        fewer fields than the header.
    """
    sheets = []
    rejected: list[RejectedRow] = []
    n_rejected = 0
    names = [path.name for path in paths]
    for path in dict.fromkeys(paths):
        name = path.name if names.count(path.name) == 1 else str(path)
        try:
            sheets.append(_read_sheet(path, name, known))
        except RejectedImportError as error:
            rejected += error.rejected
            n_rejected += error.n_rejected
    if rejected:
        raise RejectedImportError(rejected, n_rejected)
    return sheets


def _read_sheet(path: Path, name: str, known: Collection[str]) -> Sheet:
    """Read one file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{printable(path)} can't be read ({error.strerror}); name an existing file."
        ) from error
    if content.startswith(_PARQUET_MAGIC):
        columns, lines, unknown = _read_parquet(content, name, known)
    else:
        columns, lines, unknown = _read_csv(content, name, known)
    if not len(lines):
        raise _rejected(name, None, "no rows", "the file has no rows below its header.")
    digest = hashlib.sha256(content).hexdigest()
    return Sheet(
        name=name,
        file=ImportedFile(name=path.name, sha256=digest, n_rows=len(lines)),
        columns=columns,
        lines=lines,
        unknown=unknown,
    )


_Columns = tuple[dict[str, pa.StringArray], NDArray[np.int64], tuple[str, ...]]


def _rejected(name: str, line: int | None, value: str, reason: str) -> RejectedImportError:
    """Reject a file for one reason."""
    row = RejectedRow(file=name, line=line, value=printable(value), reason=reason)
    return RejectedImportError([row], 1)


def _column_name(name: str) -> str:
    """Bring a header to the spelling of column names: `Base Model` is `base_model`."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _header(
    names: Sequence[str], file: str, line: int | None, known: Collection[str]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the places of the known columns, and the others' names."""
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        column = _column_name(name)
        if column in places:
            raise _rejected(file, line, name, f"the column {column} appears twice; keep one.")
        if column in known:
            places[column] = place
    unknown = [name for name in names if name.strip() and _column_name(name) not in known]
    return places, tuple(dict.fromkeys(unknown))


def _as_text(values: pa.Array) -> pa.StringArray:
    """Strip blanks; an empty field is null."""
    text = pc.utf8_trim_whitespace(values)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


# --- CSV --------------------------------------------------------------------------------------


def _read_csv(content: bytes, name: str, known: Collection[str]) -> _Columns:
    """Read comma, semicolon or tab separated text."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _rejected(
            name, line, repr(content[error.start : error.start + 8]), "not UTF-8; save as UTF-8."
        ) from error
    records, lines = _split(text, name, known)
    if not records:
        raise _rejected(name, None, "", "the file is empty; its first line must name the columns.")
    places, unknown = _header(records[0], name, int(lines[0]), known)
    body = _even(records, lines, name)
    columns = {
        column: _as_text(pa.array([fields[place] for fields in body], pa.string()))
        for column, place in places.items()
    }
    return columns, lines[1:], unknown


def _split(
    text: str, name: str, known: Collection[str]
) -> tuple[list[list[str]], NDArray[np.int64]]:
    """Split text into records without the blank ones, and the line where each begins."""
    records: list[list[str]] = []
    lines: list[int] = []
    # Lines are what an editor counts: "\n", "\r\n" or "\r", also inside quotes.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_sniff(text, known), strict=True)
    begin = 1
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                records.append(fields)
                lines.append(begin)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise _rejected(
            name,
            begin,
            "a row",
            f"the row that begins here is not CSV ({error}); check its quotes.",
        ) from error
    return records, np.asarray(lines, dtype=np.int64)


def _sniff(text: str, known: Collection[str]) -> str:
    """Return the delimiter that makes most known columns of the header; a comma if none does."""
    header = next((line for line in io.StringIO(text, newline="") if line.strip()), "")

    def count(delimiter: str) -> int:
        names = next(csv.reader([header], delimiter=delimiter), [])
        return sum(_column_name(name) in known for name in names)

    return max(_DELIMITERS, key=count)


def _even(records: list[list[str]], lines: NDArray[np.int64], name: str) -> list[list[str]]:
    """Return the rows below the header, each as long as it; empty fields at the end may be more."""
    width = len(records[0])
    body = records[1:]
    rejected = []
    for place, fields in enumerate(body):
        if len(fields) == width:
            continue
        if len(fields) > width and not any(field.strip() for field in fields[width:]):
            continue
        rejected.append(
            RejectedRow(
                file=name,
                line=int(lines[place + 1]),
                value=printable(" | ".join(fields)),
                reason=f"{len(fields)} fields where the header has {width}; quote fields that "
                "hold the delimiter.",
            )
        )
    if rejected:
        raise RejectedImportError(rejected, len(rejected))
    return body


# --- Parquet ----------------------------------------------------------------------------------


def _read_parquet(content: bytes, name: str, known: Collection[str]) -> _Columns:
    """Read the known columns of a Parquet file as text."""
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            places, unknown = _header(file.schema_arrow.names, name, None, known)
            wanted = [file.schema_arrow.names[place] for place in places.values()]
            table = file.read(columns=wanted)
            n_rows = int(file.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise _rejected(name, None, str(error), "not a readable Parquet file.") from error
    columns = {}
    for column, original in zip(places, wanted, strict=True):
        kind = table.schema.field(original).type
        try:
            text = table[original].cast(pa.string()).combine_chunks()
        except pa.ArrowException as error:
            raise _rejected(
                name, None, str(kind), f"the column {column} holds neither text nor numbers."
            ) from error
        columns[column] = _as_text(text)
    return columns, np.arange(1, n_rows + 1), unknown
