"""Tells how far the grids of a workspace are, from landing files and heartbeats alone.

It opens no database, so it works before the first snapshot and while an ingest runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from warehouse.errors import LandingError
from warehouse.landing import list_landing, read_document
from warehouse.records import (
    STALE_HEARTBEAT_SECONDS,
    Heartbeat,
    ImportRecord,
    PlanRecord,
    Record,
    RecordKind,
    RunRecord,
    RunStatus,
)
from warehouse.workspace import Workspace

_R = TypeVar("_R", bound=Record)


@dataclass(frozen=True, kw_only=True)
class CellCounts:
    """How many cells are in which state; the four add up to `total`."""

    total: int
    done: int
    failed: int
    running: int
    pending: int


@dataclass(frozen=True, kw_only=True)
class StudyStatus:
    """Cells of one study."""

    study: str
    cells: CellCounts


@dataclass(frozen=True, kw_only=True)
class CellFailure:
    """A cell that was tried and is neither done nor running."""

    cell_id: str
    label: str
    studies: tuple[str, ...]
    attempt: int
    stage: str | None
    reason: str | None
    finished_at: datetime


@dataclass(frozen=True, kw_only=True)
class WorkspaceStatus:
    """Progress of a workspace.

    A cell that several studies share counts once in `cells` and once in each study. `lost_runs`
    stopped beating without an end, and nobody has started their study again since.
    """

    cells: CellCounts
    studies: tuple[StudyStatus, ...]
    failures: tuple[CellFailure, ...]
    active_runs: tuple[Heartbeat, ...]
    lost_runs: tuple[Heartbeat, ...]


def load_status(workspace: Workspace, *, now: datetime | None = None) -> WorkspaceStatus:
    """Read the state of every planned cell and of the grids that run.

    Parameters
    ----------
    workspace : Workspace
        Whose landing files and heartbeats to read; damaged ones are left out.
    now : datetime, optional
        Moment that heartbeats are compared with; default: the present.
    """
    labels: dict[str, str] = {}
    members: dict[str, dict[str, None]] = {}
    for plan in _read(workspace, RecordKind.PLAN, PlanRecord):
        cells = members.setdefault(plan.study, {})
        for cell in plan.cells:
            labels[cell.cell_id] = cell.label
            cells[cell.cell_id] = None
    done: set[str] = set()
    failed: dict[str, RunRecord] = {}
    for run in _read_runs(workspace):
        if run.status is RunStatus.DONE:
            done.add(run.cell_id)
        elif run.cell_id not in failed or failed[run.cell_id].attempt <= run.attempt:
            failed[run.cell_id] = run
    active, lost = split_heartbeats(load_heartbeats(workspace), now)
    running = {worker.cell_id for beat in active for worker in beat.workers} - done
    failures = tuple(
        CellFailure(
            cell_id=cell_id,
            label=labels[cell_id],
            studies=tuple(study for study, cells in members.items() if cell_id in cells),
            attempt=run.attempt,
            stage=run.failure_stage,
            reason=run.failure_reason,
            finished_at=run.finished_at,
        )
        for cell_id, run in sorted(failed.items())
        if cell_id in labels and cell_id not in done and cell_id not in running
    )
    broken = {failure.cell_id for failure in failures}

    def count(cell_ids: Iterable[str]) -> CellCounts:
        ids = set(cell_ids)
        n_done, n_failed, n_running = len(ids & done), len(ids & broken), len(ids & running)
        return CellCounts(
            total=len(ids),
            done=n_done,
            failed=n_failed,
            running=n_running,
            pending=len(ids) - n_done - n_failed - n_running,
        )

    return WorkspaceStatus(
        cells=count(labels),
        studies=tuple(
            StudyStatus(study=study, cells=count(cells)) for study, cells in sorted(members.items())
        ),
        failures=failures,
        active_runs=active,
        lost_runs=lost,
    )


def load_heartbeats(workspace: Workspace) -> tuple[Heartbeat, ...]:
    """Read all heartbeats, oldest run first; one that can't be read is left out."""
    beats = []
    for path in workspace.heartbeats.glob("*.json"):
        try:
            beats.append(Heartbeat.model_validate_json(path.read_bytes()))
        except (ValidationError, OSError):
            # Half a file, or gone meanwhile: the next beat comes in seconds.
            continue
    return tuple(sorted(beats, key=lambda beat: (_utc(beat.started_at), beat.run_id)))


def split_heartbeats(
    beats: tuple[Heartbeat, ...], now: datetime | None = None
) -> tuple[tuple[Heartbeat, ...], tuple[Heartbeat, ...]]:
    """Return the runs that beat now, and those that died without being started again."""
    now = now or datetime.now(UTC)
    limit = timedelta(seconds=STALE_HEARTBEAT_SECONDS)
    latest = {beat.study: beat.run_id for beat in beats}
    active, lost = [], []
    for beat in beats:
        if beat.finished:
            continue
        if _utc(now) - _utc(beat.updated_at) <= limit:
            active.append(beat)
        elif latest[beat.study] == beat.run_id:
            lost.append(beat)
    return tuple(active), tuple(lost)


def _read_runs(workspace: Workspace) -> Iterator[RunRecord]:
    """Yield the attempts of grids, and those that imports tell of."""
    yield from _read(workspace, RecordKind.RUN, RunRecord)
    for record in _read(workspace, RecordKind.IMPORT, ImportRecord):
        yield from record.runs


def _read(workspace: Workspace, kind: RecordKind, model: type[_R]) -> Iterator[_R]:
    """Yield the readable records of a kind; damaged ones are the ingester's to quarantine."""
    for path in list_landing(workspace, kind):
        try:
            record = read_document(path, kind)
        except (LandingError, OSError):
            continue
        if isinstance(record, model):
            yield record


def _utc(moment: datetime) -> datetime:
    """Give a moment without a zone the one that records are written in."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
