"""Excludes a cell from every curve, and takes it back; nothing is deleted either way."""

from __future__ import annotations

import contextlib
import difflib
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from warehouse.connection import open_latest
from warehouse.errors import GrowthpaceError, InputError, LandingError
from warehouse.landing import list_landing, read_document, write_document
from warehouse.records import ExclusionRecord, PlanRecord, RecordKind
from warehouse.workspace import Workspace

MAX_REASON = 500

_MIN_PREFIX = 4
_N_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """How a cell stands now; `is_new` if a record was written for it."""

    cell_id: str
    label: str
    excluded: bool
    reason: str
    is_new: bool


def exclude_cell(
    workspace: Workspace, cell: str, reason: str | None, *, undo: bool = False
) -> Exclusion:
    """Land a tombstone for a cell; its results stay, flagged, and no curve uses them.

    Parameters
    ----------
    workspace : Workspace
        Whose landing zone gets the record; the next ingest publishes it.
    cell : str
        Cell id, the start of one, or a label, of a plan or of the latest snapshot.
    reason : str or None
        Why, 1 to 500 characters without control characters; may be None to undo.
    undo : bool
        Take an exclusion back.

    Raises
    ------
    InputError
        If the cell is not known or not the only one, the reason is not fit to be shown, or there
        is no exclusion to undo.
    """
    if reason is None and not undo:
        raise InputError("An exclusion needs its reason: --reason TEXT.")
    reason = _check_reason("taken back" if reason is None else reason)
    cell_id, label = find_cell(workspace, cell)
    current = _load_latest(workspace, cell_id)
    is_excluded = current is not None and current.excluded
    if undo and not is_excluded:
        raise InputError(f"{label} ({cell_id}) is not excluded, so there is nothing to undo.")
    is_new = undo or not is_excluded or (current is not None and current.reason != reason)
    if is_new:
        moment = datetime.now(UTC)
        record = ExclusionRecord(
            cell_id=cell_id, excluded=not undo, reason=reason, created_at=moment
        )
        stem = f"{cell_id}-{moment:%Y%m%dT%H%M%S%fZ}"
        write_document(workspace, RecordKind.EXCLUSION, stem, record)
    return Exclusion(cell_id=cell_id, label=label, excluded=not undo, reason=reason, is_new=is_new)


def find_cell(workspace: Workspace, cell: str) -> tuple[str, str]:
    """Return (cell_id, label) of the one cell that a person means.

    Raises
    ------
    InputError
        If none is meant, with the nearest names, or more than one.
    """
    labels = _load_labels(workspace)
    if not labels:
        raise InputError(f"{workspace.root} holds no cell yet; run a grid or import first.")
    if cell in labels:
        return cell, labels[cell]
    matches = [cell_id for cell_id, label in labels.items() if label == cell]
    if not matches and len(cell) >= _MIN_PREFIX:
        matches = [cell_id for cell_id in labels if cell_id.startswith(cell)]
    if len(matches) == 1:
        return matches[0], labels[matches[0]]
    if matches:
        names = ", ".join(sorted(matches)[:_N_NAMED]) + ", ..." * (len(matches) > _N_NAMED)
        raise InputError(
            f"{cell!r:.120} means {len(matches)} cells ({names}); give the whole cell id."
        )
    near = difflib.get_close_matches(cell, [*labels, *labels.values()], n=_N_NAMED, cutoff=0.5)
    hint = f" The nearest: {', '.join(dict.fromkeys(near))}." if near else ""
    raise InputError(f"There is no cell {cell!r:.120} in {workspace.root}.{hint}")


def _load_labels(workspace: Workspace) -> dict[str, str]:
    """Return cell id -> label of the landed plans and of the latest snapshot."""
    labels: dict[str, str] = {}
    # No snapshot, or one that can't be read, leaves the plans.
    with contextlib.suppress(GrowthpaceError, duckdb.Error), open_latest(workspace) as conn:
        labels.update(conn.execute("SELECT cell_id, label FROM mart_cell").fetchall())
    for path in list_landing(workspace, RecordKind.PLAN):
        with contextlib.suppress(LandingError, OSError):
            plan = read_document(path, RecordKind.PLAN)
            if isinstance(plan, PlanRecord):
                labels.update((cell.cell_id, cell.label) for cell in plan.cells)
    return labels


def _load_latest(workspace: Workspace, cell_id: str) -> ExclusionRecord | None:
    """Return the record that counts for a cell; None if it was never excluded."""
    found = []
    for path in list_landing(workspace, RecordKind.EXCLUSION):
        if path.name.startswith(f"{cell_id}-"):
            with contextlib.suppress(LandingError, OSError):
                record = read_document(path, RecordKind.EXCLUSION)
                # Another cell's id may begin with this one's.
                if isinstance(record, ExclusionRecord) and record.cell_id == cell_id:
                    found.append(record)
    return max(found, key=lambda record: record.created_at, default=None)


def _check_reason(reason: str) -> str:
    """Return a reason without outer blanks, if it can be shown."""
    reason = reason.strip()
    if not reason:
        raise InputError("--reason is empty; say why the cell is excluded.")
    if len(reason) > MAX_REASON:
        raise InputError(f"--reason has {len(reason)} characters; at most {MAX_REASON} are kept.")
    # Unicode's class C: control characters, halves of pairs, marks that turn the writing around.
    if any(unicodedata.category(character).startswith("C") for character in reason):
        raise InputError("--reason holds a control character; write it in one plain line.")
    return reason
