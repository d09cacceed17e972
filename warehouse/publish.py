"""Publishes the ingester's database as a read-only snapshot under a name of its own."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from datetime import UTC, datetime
from pathlib import Path

from warehouse.connection import LATEST, SNAPSHOT_NAME, Snapshot
from warehouse.landing import write_atomically
from warehouse.snapshots import load_kept_ids, pins_lock
from warehouse.workspace import Workspace

N_SNAPSHOTS_KEPT = 3
_RESULTS = "results.duckdb"
_COPIED = "results.snapshot"

# The ioctl that makes a copy share its blocks (btrfs, XFS); see ioctl_ficlone(2).
_FICLONE = 0x40049409


def publish(workspace: Workspace, database: Path, content_version: str) -> Snapshot:
    """Copy `database` to a new snapshot, move LATEST to it, and clear old snapshots away.

    Parameters
    ----------
    workspace : Workspace
        Where to publish.
    database : Path
        Checkpointed and closed, so that the file alone is the whole content.
    content_version : str, 12 hex digits
        What the marts were built from; part of the name.

    Notes
    -----
    Killed at any moment, this leaves the old snapshot or the new one under LATEST, and at most
    temporary files, which the next publish removes.
    """
    clear_temporary_files(workspace)
    name = f"results-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{content_version}.duckdb"
    match = SNAPSHOT_NAME.match(name)
    if match is None:
        raise ValueError(f"{content_version!r} is not a content version.")

    def copy_read_only(target: Path) -> None:
        _copy(database, target)
        target.chmod(0o444)

    path = write_atomically(workspace.snapshots / name, copy_read_only)
    # A LATEST that lags behind is what makes the next ingest publish again.
    write_atomically(
        workspace.snapshots / LATEST, lambda target: target.write_text(f"{name}\n", "utf-8")
    )
    refresh_copy(workspace, path)
    _clear_old_snapshots(workspace, name)
    return Snapshot(id=match[1], path=path)


def refresh_copy(workspace: Workspace, snapshot: Path) -> None:
    """Bring `results.duckdb` up to the snapshot: a copy, which a shell may lock or change.

    While a shell has it open it is left alone, since what the shell writes next would land beside
    the new file and spoil it; the next ingest then catches up.
    """
    target = workspace.warehouse / _RESULTS
    copied = workspace.warehouse / _COPIED
    with contextlib.suppress(FileNotFoundError):
        if copied.read_text("utf-8").strip() == snapshot.name and target.is_file():
            return
        if _is_locked(target):
            return

    def copy_writable(temporary: Path) -> None:
        _copy(snapshot, temporary)
        temporary.chmod(0o644)

    # A log that a shell left beside the old file doesn't belong to the new one.
    target.with_name(f"{_RESULTS}.wal").unlink(missing_ok=True)
    write_atomically(target, copy_writable)
    write_atomically(copied, lambda path: path.write_text(f"{snapshot.name}\n", "utf-8"))


def _is_locked(path: Path) -> bool:
    """Tell whether another process has a database open for writing."""
    with path.open("rb") as handle:
        try:
            fcntl.lockf(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _copy(source: Path, target: Path) -> None:
    """Copy a file, sharing its blocks where the file system can."""
    with source.open("rb") as reader, target.open("wb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except OSError:
            shutil.copyfileobj(reader, writer, 1 << 20)


def clear_temporary_files(workspace: Workspace) -> None:
    """Remove what a killed publish left; the caller holds the ingest lock, so nobody writes it."""
    for folder in (workspace.snapshots, workspace.warehouse):
        for path in folder.glob(".*.tmp*"):
            path.unlink(missing_ok=True)


def _clear_old_snapshots(workspace: Workspace, latest: str) -> None:
    """Remove all but the newest snapshots, the latest and the pinned ones.

    A reader that has one open keeps reading it: its file lives until it is closed.
    """
    # Under the lock that a pin takes, so that none is set on a snapshot that goes at that moment.
    with pins_lock(workspace):
        kept = load_kept_ids(workspace)
        found = sorted(
            (match[1], path)
            for path in workspace.snapshots.iterdir()
            if (match := SNAPSHOT_NAME.match(path.name))
        )
        for snapshot_id, path in found[:-N_SNAPSHOTS_KEPT]:
            if path.name != latest and snapshot_id not in kept:
                path.unlink(missing_ok=True)
