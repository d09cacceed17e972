"""Lists published snapshots, pins them, and says what changed between two.

`PINNED` lies beside the snapshots: a line is a snapshot's id, or its id, `cited` and what cites it.
The clean-up after a publish keeps whatever is named there. Both sides hold `pins_lock`, for
milliseconds, so a snapshot that was pinned is never deleted, and one being deleted can't be pinned.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock, Timeout

from warehouse.connection import SNAPSHOT_NAME, Snapshot, latest_snapshot
from warehouse.errors import BusyError, InputError, WorkError
from warehouse.landing import write_atomically
from warehouse.statements import load_statement
from warehouse.workspace import Workspace

PINNED = "PINNED"

_LOCK = "pins.lock"
_LOCK_TIMEOUT_SECONDS = 30.0
_CITED = "cited"
_LATEST = "latest"
_N_NAMED = 3
_MIN_PREFIX = 4
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "2GB",
    "temp_directory": "",
    "threads": "2",
}


@dataclass(frozen=True, kw_only=True)
class SnapshotInfo:
    """One published snapshot; `cited_by` names the exports that link to it."""

    id: str
    path: Path
    published_at: datetime
    size_bytes: int
    is_latest: bool
    is_pinned: bool
    cited_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SnapshotDiff:
    """What changed from one snapshot to another.

    Each part is a tuple of rows as `sql/diff/<part>.sql` gives them, keyed by column.
    """

    before: str
    after: str
    columns: tuple[dict[str, Any], ...]
    studies: tuple[dict[str, Any], ...]
    abilities: tuple[dict[str, Any], ...]
    cells: tuple[dict[str, Any], ...]
    scores: tuple[dict[str, Any], ...]


# --- Finding ----------------------------------------------------------------------------------


def list_snapshots(workspace: Workspace) -> tuple[SnapshotInfo, ...]:
    """Return all published snapshots, the newest first."""
    try:
        latest = latest_snapshot(workspace).id
    except (InputError, WorkError):
        latest = None
    pinned, cited = _read_pins(workspace)
    found = []
    for path in workspace.snapshots.glob("results-*.duckdb"):
        match = SNAPSHOT_NAME.match(path.name)
        if match is None:
            continue
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            # An ingest cleared it away meanwhile.
            continue
        published = datetime.strptime(match[1].partition("-")[0], "%Y%m%dT%H%M%S%f%z")
        found.append(
            SnapshotInfo(
                id=match[1],
                path=path,
                published_at=published,
                size_bytes=size,
                is_latest=match[1] == latest,
                is_pinned=match[1] in pinned,
                cited_by=tuple(cited.get(match[1], ())),
            )
        )
    return tuple(sorted(found, key=lambda info: info.id, reverse=True))


def resolve_snapshot(workspace: Workspace, name: str) -> Snapshot:
    """Return the snapshot that a person means by an id, the start of one id, or `latest`.

    Raises
    ------
    InputError
        If no snapshot of the workspace, or more than one, is meant.
    """
    if name == _LATEST:
        return latest_snapshot(workspace)
    wanted = name.removeprefix("results-").removesuffix(".duckdb")
    found = list_snapshots(workspace)
    # Compared with names on disk and never made into one, so it can't name another file.
    matches = [info for info in found if info.id == wanted] or [
        info for info in found if len(wanted) >= _MIN_PREFIX and info.id.startswith(wanted)
    ]
    if len(matches) == 1:
        return Snapshot(id=matches[0].id, path=matches[0].path)
    if matches:
        ids = ", ".join(info.id for info in matches[:_N_NAMED])
        more = ", ..." if len(matches) > _N_NAMED else ""
        raise InputError(
            f"{name!r:.80} is the start of {len(matches)} snapshots ({ids}{more}); give more of it."
        )
    raise InputError(
        f"There is no snapshot {name!r:.80} in {workspace.snapshots}; it may have been cleared "
        "away. See snapshot list, or use latest."
    )


# --- Pins -------------------------------------------------------------------------------------


@contextlib.contextmanager
def pins_lock(workspace: Workspace) -> Iterator[None]:
    """Hold what both pinning and the clean-up of old snapshots hold.

    Raises
    ------
    BusyError
        If another process holds it for half a minute.
    WorkError
        If the folder of snapshots can't be written to.
    """
    path = workspace.snapshots / _LOCK
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_LOCK_TIMEOUT_SECONDS, poll_interval=0.02)
    except Timeout as error:
        raise BusyError(
            f"Another process holds {path} for more than {_LOCK_TIMEOUT_SECONDS:g} s; try again."
        ) from error
    except OSError as error:
        raise WorkError(f"{path} can't be locked ({error.strerror}).") from error
    try:
        yield
    finally:
        lock.release()


def load_kept_ids(workspace: Workspace) -> frozenset[str]:
    """Return the ids that a clean-up must keep; hold `pins_lock` until the clean-up is over."""
    pinned, cited = _read_pins(workspace)
    return frozenset(pinned) | cited.keys()


def pin_snapshot(workspace: Workspace, name: str, *, cited_by: str | None = None) -> Snapshot:
    """Keep a snapshot for good.

    Parameters
    ----------
    workspace : Workspace
        Whose snapshot.
    name : str
        Id, start of an id, or `latest`.
    cited_by : str, optional
        What links to it, such as an export's folder; default: a person pins it.

    Raises
    ------
    InputError
        If there is no such snapshot, or it was deleted while this waited.
    BusyError
        If another process holds the lock.
    """
    snapshot = resolve_snapshot(workspace, name)
    with pins_lock(workspace):
        if not snapshot.path.is_file():
            raise InputError(
                f"Snapshot {snapshot.id} was cleared away a moment ago; pin another one "
                "(snapshot list)."
            )
        pinned, cited = _read_pins(workspace)
        if cited_by is None:
            pinned.add(snapshot.id)
        else:
            cited.setdefault(snapshot.id, set()).add(" ".join(cited_by.split()))
        _write_pins(workspace, pinned, cited)
    return snapshot


def unpin_snapshot(workspace: Workspace, name: str) -> tuple[str, tuple[str, ...]]:
    """Let a snapshot be cleared away by a later publish, also if exports cite it.

    Returns
    -------
    (str, tuple of str)
        Its id and what cites it.

    Raises
    ------
    InputError
        If it is not pinned.
    """
    with pins_lock(workspace):
        pinned, cited = _read_pins(workspace)
        # A pinned file that somebody deleted by hand can still be unpinned by its id.
        kept = pinned | cited.keys()
        snapshot_id = name if name in kept else resolve_snapshot(workspace, name).id
        if snapshot_id not in kept:
            raise InputError(f"Snapshot {snapshot_id} is not pinned; see snapshot list.")
        pinned.discard(snapshot_id)
        citing = cited.pop(snapshot_id, set())
        _write_pins(workspace, pinned, cited)
    return snapshot_id, tuple(sorted(citing))


def _read_pins(workspace: Workspace) -> tuple[set[str], dict[str, set[str]]]:
    """Return the pinned ids, and the cited ones with what cites them."""
    pinned: set[str] = set()
    cited: dict[str, set[str]] = {}
    with contextlib.suppress(FileNotFoundError):
        for line in (workspace.snapshots / PINNED).read_text("utf-8").splitlines():
            name, _, rest = line.strip().partition(" ")
            match = SNAPSHOT_NAME.match(name)
            snapshot_id = match[1] if match else name
            kind, _, citing = rest.partition(" ")
            if kind == _CITED:
                cited.setdefault(snapshot_id, set()).add(citing)
            elif snapshot_id:
                pinned.add(snapshot_id)
    return pinned, cited


def _write_pins(workspace: Workspace, pinned: set[str], cited: dict[str, set[str]]) -> None:
    """Replace PINNED in one step."""
    lines = sorted(pinned)
    lines += sorted(f"{name} {_CITED} {by}" for name, citing in cited.items() for by in citing)
    write_atomically(
        workspace.snapshots / PINNED,
        lambda target: target.write_text("".join(f"{line}\n" for line in lines), "utf-8"),
    )


# --- What changed -----------------------------------------------------------------------------


def diff_snapshots(workspace: Workspace, before: str, after: str) -> SnapshotDiff:
    """Say what changed from one snapshot to another.

    Parameters
    ----------
    workspace : Workspace
        Whose snapshots.
    before, after : str
        Id, start of an id, or `latest`.

    Raises
    ------
    InputError
        If one of them doesn't exist.
    WorkError
        If one of them can't be read.
    """
    old, new = resolve_snapshot(workspace, before), resolve_snapshot(workspace, after)
    with contextlib.closing(duckdb.connect(":memory:", config=_CONFIG)) as conn:
        try:
            conn.execute("ATTACH ? AS before (READ_ONLY)", [str(old.path)])
            conn.execute("ATTACH ? AS after (READ_ONLY)", [str(new.path)])
            conn.execute("SET enable_external_access = false")
            conn.execute("SET lock_configuration = true")
            parts = {
                part: _fetch(conn, part)
                for part in ("columns", "studies", "abilities", "cells", "scores")
            }
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise WorkError(f"{old.id} and {new.id} can't be compared ({reason}).") from error
    return SnapshotDiff(before=old.id, after=new.id, **parts)


def _fetch(conn: duckdb.DuckDBPyConnection, part: str) -> tuple[dict[str, Any], ...]:
    """Return the rows of one part of a diff."""
    cursor = conn.execute(load_statement("diff", part))
    names = [column[0] for column in cursor.description or ()]
    return tuple(dict(zip(names, row, strict=True)) for row in cursor.fetchall())
