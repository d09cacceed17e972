"""What every importer hands over, and how it lands.

An importer reads and validates files and describes what it found as an `Imported`; `land` writes
it as landing files. The `import` document is written last, so that an import that was cut short
is simply done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from warehouse.errors import WorkError
from warehouse.records import CellRecord, IgnoredPart, ImportedFile, RunRecord
from warehouse.workspace import Workspace

N_REJECTED_SHOWN = 20


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
        first = self.rejected[0]
        where = first.file if first.line is None else f"{first.file} line {first.line}"
        more = f" ({n_rejected} rows are bad)" if n_rejected > 1 else ""
        super().__init__(f"{where}: {first.value!r:.120}: {first.reason}{more}")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Everything that one import found in its files.

    Attributes
    ----------
    cells : sequence of CellRecord
        Design `imported`, or `base` for untouched base models.
    scores, item_scores, items, votes : Table or None
        Rows of the landing schemas SCORE, ITEM_SCORE, ITEM and JUDGE_VOTE; `import_id` is filled
        in by `land`.
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


def land(workspace: Workspace, imported: Imported, *, replace: bool = False) -> ImportReport:
    """Write what an importer found as landing files; the same import again writes nothing.

    Parameters
    ----------
    replace : bool
        Let scores replace different ones of the same cell, task and metric.

    Raises
    ------
    RejectedImportError
        If another import gave a cell, task and metric another score, and `replace` is not given.
    """
    raise NotImplementedError
