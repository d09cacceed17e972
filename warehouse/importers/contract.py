"""What an importer finds in its files, and the rows that it must refuse."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from warehouse.errors import WorkError
from warehouse.records import CellRecord, IgnoredPart, ImportedFile, RunRecord

N_REJECTED_SHOWN = 20

_ID_LENGTH = 20
_VALUE_LENGTH = 120

# (file, line) of a row; the line is None where the format has none.
Origin = tuple[str, int | None]


@dataclass(frozen=True, kw_only=True)
class RejectedRow:
    """A row that breaks the format: `line` counts from 1 as an editor does, None for a file."""

    file: str
    line: int | None
    value: str
    reason: str


class RejectedImportError(WorkError):
    """A file was rejected whole; nothing of it landed."""

    def __init__(self, rejected: Sequence[RejectedRow], n_rejected: int) -> None:
        self.rejected = tuple(rejected[:N_REJECTED_SHOWN])
        self.n_rejected = n_rejected
        more = f" ({n_rejected} rows are bad)" if n_rejected > 1 else ""
        super().__init__(f"{describe_rejected(self.rejected[0])}{more}")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Everything that one import found in its files.

    Attributes
    ----------
    cells : sequence of CellRecord
        Design `imported`, or `base` for untouched base models.
    runs : sequence of RunRecord
        Of the cells whose files tell more about them than that they are done.
    scores, item_scores, items, votes : Table or None
        Rows of the landing schemas SCORE, ITEM_SCORE, ITEM and JUDGE_VOTE; `import_id` is filled
        in by `land`.
    score_origins, vote_origins : sequence of (file, line)
        Where each row of `scores` and `votes` stands, for messages; may be empty.
    arguments : mapping
        Options that change what the files mean; part of the import's identity.
    """

    importer: str
    study: str
    files: Sequence[ImportedFile]
    n_rows: int
    cells: Sequence[CellRecord] = ()
    runs: Sequence[RunRecord] = ()
    scores: pa.Table | None = None
    item_scores: pa.Table | None = None
    items: pa.Table | None = None
    votes: pa.Table | None = None
    score_origins: Sequence[Origin] = ()
    vote_origins: Sequence[Origin] = ()
    ignored: Sequence[IgnoredPart] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    citation: str | None = None
    notice: str | None = None


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import did; `n_new_rows` is 0 where everything was imported before."""

    study: str
    import_id: str
    n_files: int
    n_rows: int
    n_new_rows: int
    ignored: tuple[IgnoredPart, ...]


def hash_text(text: str) -> str:
    """Return a short content hash, usable in ids and file names."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_ID_LENGTH]


def safe_stem(study: str) -> str:
    """Return a study's name as part of a file name; a changed one ends in its hash."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", study)
    return stem if stem == study else f"{stem}.{hash_text(study)[:8]}"


def printable(text: object) -> str:
    """Return a value shortened, on one line, and harmless on a terminal."""
    shown = str(text)
    if len(shown) > _VALUE_LENGTH:
        shown = shown[: _VALUE_LENGTH - 1] + "…"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in shown
    )


def describe_rejected(row: RejectedRow) -> str:
    """Return a rejected row as one line for people."""
    where = printable(row.file) if row.line is None else f"{printable(row.file)} line {row.line}"
    return f"{where}: {printable(row.value)!r}: {row.reason}"
