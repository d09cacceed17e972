"""Opens published snapshots read-only and closed to files, network and settings.

Snapshots have unique names and a pointer file, since a process that still holds a replaced file
goes on reading the old content under the same name. DuckDB keeps a snapshot's own `.wal` names open
to COPY on such a connection, so SQL that others typed runs in a process that can write no file
(`warehouse.console`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from warehouse.errors import InputError, WorkError
from warehouse.workspace import Workspace, open_workspace

LATEST = "LATEST"
SNAPSHOT_NAME = re.compile(r"^results-([0-9]{8}T[0-9]{12}Z-[0-9a-f]{12})\.duckdb$")

# One configuration for every reader: DuckDB refuses to open a file twice in one process with
# different ones. No spilling to disk, as a reader must write nothing.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "lock_configuration": "true",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "2GB",
    "temp_directory": "",
    "threads": "2",
}
# A reader that was overtaken by this many publishes between two system calls has other problems.
_N_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A published snapshot; `id` is what links and exports cite."""

    id: str
    path: Path


def latest_snapshot(workspace: Workspace) -> Snapshot:
    """Return the snapshot that LATEST names.

    Raises
    ------
    InputError
        If nothing was published yet.
    WorkError
        If LATEST names no snapshot.
    """
    pointer = workspace.snapshots / LATEST
    try:
        name = pointer.read_text("utf-8").strip()
    except FileNotFoundError as error:
        raise InputError(
            f"No results yet: {workspace.root} has no published snapshot; run a grid, or "
            f"python cli.py ingest --workspace {workspace.root}."
        ) from error
    match = SNAPSHOT_NAME.match(name)
    if match is None:
        raise WorkError(f"{pointer} names no snapshot ({name!r:.80}); delete it and run ingest.")
    return Snapshot(id=match[1], path=workspace.snapshots / name)


def find_snapshot(workspace: Workspace, snapshot_id: str) -> Snapshot | None:
    """Return the snapshot of this id; None if it was never published or is deleted."""
    path = workspace.snapshots / f"results-{snapshot_id}.duckdb"
    if SNAPSHOT_NAME.match(path.name) and path.is_file():
        return Snapshot(id=snapshot_id, path=path)
    return None


def open_latest(workspace: Workspace | Path | str) -> duckdb.DuckDBPyConnection:
    """Open the latest snapshot read-only, closed to files, network and settings.

    Parameters
    ----------
    workspace : Workspace, Path or str
        A workspace, its folder, or one snapshot file.

    Returns
    -------
    DuckDBPyConnection
        Stays on its snapshot whatever is published later; use `cursor()` in each thread.

    Raises
    ------
    InputError
        If there is no such workspace, or nothing was published yet.
    WorkError
        If the snapshot can't be read.
    """
    if isinstance(workspace, Path | str):
        path = Path(workspace)
        if path.suffix == ".duckdb" and path.is_file():
            return _open(path)
        workspace = open_workspace(path)
    for _ in range(_N_TRIES):
        snapshot = latest_snapshot(workspace)
        if snapshot.path.is_file():
            try:
                return _open(snapshot.path)
            except WorkError:
                # Deleted between the look and the opening: LATEST names a newer one by now.
                if snapshot.path.is_file():
                    raise
    raise WorkError(
        f"{snapshot.path} is missing although LATEST names it; run "
        f"python cli.py ingest --workspace {workspace.root} to publish it again."
    )


def _open(path: Path) -> duckdb.DuckDBPyConnection:
    """Open one snapshot file, with a clear error."""
    try:
        return duckdb.connect(str(path), read_only=True, config=_CONFIG)
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise WorkError(f"{path} can't be opened as a warehouse ({reason}).") from error
