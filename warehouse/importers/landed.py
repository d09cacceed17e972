"""Lands what an importer found.

An importer reads and validates files and describes what it found as an `Imported`; `land` writes
it as landing files. The `import` document is written last, so that an import that was cut short
is simply done again: without its document nothing of it counts.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
from filelock import FileLock, Timeout

from warehouse.errors import BusyError
from warehouse.importers.agreement import require_agreement
from warehouse.importers.contract import (
    N_REJECTED_SHOWN,
    Imported,
    ImportReport,
    RejectedImportError,
    RejectedRow,
    hash_text,
    safe_stem,
)
from warehouse.importers.overlap import find_new_rows, find_new_units, import_document
from warehouse.landing import write_document, write_table
from warehouse.records import ImportRecord, PlanRecord, RecordKind, RunRecord, RunStatus
from warehouse.workspace import Workspace

__all__ = [
    "N_REJECTED_SHOWN",
    "ImportReport",
    "Imported",
    "RejectedImportError",
    "RejectedRow",
    "land",
    "land_all",
]

LOCK_TIMEOUT_SECONDS = 120.0

_LOCK = "import.lock"


@dataclass(frozen=True, kw_only=True)
class _Pending:
    """What of an import is still to be written; nothing of it overlaps what is known."""

    imported: Imported
    import_id: str
    complete: bool
    scores: pa.Table | None = None
    item_scores: Mapping[str, pa.Table] = field(default_factory=dict)
    votes: pa.Table | None = None

    @property
    def n_new_rows(self) -> int:
        """Scores, item scores and votes to be written."""
        tables = [self.scores, self.votes, *self.item_scores.values()]
        return sum(table.num_rows for table in tables if table is not None)


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
    return land_all(workspace, [imported], replace=replace)[0]


def land_all(
    workspace: Workspace, imports: Sequence[Imported], *, replace: bool = False
) -> list[ImportReport]:
    """Land several imports of one call: if one of them is rejected, nothing of any lands.

    Raises
    ------
    RejectedImportError
        As `land` does.
    BusyError
        If another import into this workspace goes on for minutes.
    LandingError
        If an earlier landing file of the same study can't be read.
    """
    with _exclusive(workspace):
        pending = [_plan(workspace, imported, replace=replace) for imported in imports]
        for work in pending:
            _write(workspace, work)
    return [
        ImportReport(
            study=work.imported.study,
            import_id=work.import_id,
            n_files=len(work.imported.files),
            n_rows=work.imported.n_rows,
            n_new_rows=work.n_new_rows,
            ignored=tuple(work.imported.ignored),
        )
        for work in pending
    ]


def _plan(workspace: Workspace, imported: Imported, *, replace: bool) -> _Pending:
    """Compare an import with what landed before."""
    import_id = _import_id(imported)
    complete = import_document(workspace, import_id).is_file()
    if complete and not replace:
        return _Pending(imported=imported, import_id=import_id, complete=True)
    require_agreement(workspace, imported, replace=replace)
    scores = find_new_rows(workspace, imported, RecordKind.SCORE, import_id, replace=replace)
    votes = find_new_rows(workspace, imported, RecordKind.JUDGE_VOTE, import_id, replace=replace)
    units = find_new_units(workspace, imported, replace=replace)
    is_new = scores is not None or votes is not None or bool(units)
    return _Pending(
        imported=imported,
        import_id=import_id,
        # An import that comes back to replace what replaced it counts anew.
        complete=complete and not is_new,
        scores=scores,
        item_scores=units,
        votes=votes,
    )


def _import_id(imported: Imported) -> str:
    """Return what identifies an import: the same files read in the same way."""
    identity = {
        "importer": imported.importer,
        "study": imported.study,
        "arguments": dict(imported.arguments),
        "files": sorted(file.sha256 for file in imported.files),
    }
    return hash_text(json.dumps(identity, sort_keys=True, default=str))


# --- Writing ----------------------------------------------------------------------------------


def _write(workspace: Workspace, work: _Pending) -> None:
    """Write the landing files, the import document last."""
    if work.complete:
        return
    imported, import_id = work.imported, work.import_id
    imported_at = datetime.now(UTC)
    stem = f"{safe_stem(imported.study)}-{import_id}"
    if imported.items is not None and imported.items.num_rows:
        write_table(workspace, RecordKind.ITEM, import_id, imported.items)
    for unit, table in work.item_scores.items():
        write_table(workspace, RecordKind.ITEM_SCORE, unit, table)
    if work.scores is not None:
        write_table(workspace, RecordKind.SCORE, stem, work.scores)
    if work.votes is not None:
        write_table(workspace, RecordKind.JUDGE_VOTE, stem, work.votes)
    if imported.cells:
        plan = PlanRecord(
            study=imported.study,
            grid=f"import {imported.importer}",
            created_at=imported_at,
            notice=imported.notice,
            grid_settings=dict(imported.arguments),
            cells=tuple(imported.cells),
        )
        plan_stem = f"{safe_stem(imported.study)}-import-{import_id}"
        write_document(workspace, RecordKind.PLAN, plan_stem, plan)
    told = {run.cell_id for run in imported.runs}
    untold = [cell.cell_id for cell in imported.cells if cell.cell_id not in told]
    record = ImportRecord(
        import_id=import_id,
        importer=imported.importer,
        study=imported.study,
        imported_at=imported_at,
        files=tuple(imported.files),
        arguments=dict(imported.arguments),
        ignored=tuple(imported.ignored),
        citation=imported.citation,
        n_rows=imported.n_rows,
        runs=(*imported.runs, *(_done(cell_id, imported_at) for cell_id in untold)),
    )
    write_document(workspace, RecordKind.IMPORT, import_id, record)


def _done(cell_id: str, moment: datetime) -> RunRecord:
    """Record of a run of which only the result is known."""
    return RunRecord(
        cell_id=cell_id, attempt=1, status=RunStatus.DONE, started_at=moment, finished_at=moment
    )


@contextlib.contextmanager
def _exclusive(workspace: Workspace) -> Iterator[None]:
    """Let one import at a time compare and write; the system frees the lock of a dead process."""
    workspace.warehouse.mkdir(parents=True, exist_ok=True)
    lock = FileLock(workspace.warehouse / _LOCK)
    try:
        lock.acquire(timeout=LOCK_TIMEOUT_SECONDS)
    except Timeout as error:
        raise BusyError(
            f"Another import into {workspace.root} has gone on for {LOCK_TIMEOUT_SECONDS:g} s; "
            "wait for it to end, then import again."
        ) from error
    try:
        yield
    finally:
        lock.release()
