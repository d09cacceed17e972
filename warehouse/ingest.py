"""Merges landing files into the ingester's database and publishes it.

Landing files are the truth: each is loaded once, in one transaction with all others of the same
ingest, and the database can be built from them anew at any time. A process killed at any moment
leaves the database as it was before, or as it is after, and the next ingest goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from warehouse.build import build_marts, load_content_version, plan_content_version
from warehouse.checks import require_checks
from warehouse.connection import Snapshot, latest_snapshot
from warehouse.errors import BusyError, InputError, WorkError
from warehouse.landing import content_hash
from warehouse.loading import LandingFile, Refusal, load_files
from warehouse.migrations import load_schema_version, migrate
from warehouse.publish import clear_temporary_files, publish, refresh_copy
from warehouse.records import DOCUMENTS, RecordKind
from warehouse.workspace import Workspace

LOCK_TIMEOUT_SECONDS = 120.0

_DATABASE = "work.duckdb"
_LOCK = "ingest.lock"
_HOLDER = "ingest.pid"
_CONFIG: dict[str, str | bool | int | float | list[str]] = {"memory_limit": "2GB", "threads": "2"}
_POLL_SECONDS = 0.2

_LANDING_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$")
_LOCKED_BY = re.compile(r"Conflicting lock is held in .*\(PID (\d+)\)")


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """A landing file that was refused: where it lies now, and why."""

    file: Path
    reason: str


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """What one ingest did.

    `missing` names files that were loaded earlier and are gone from the landing zone: their rows
    stay until the next rebuild. `snapshot` is the latest one, None if there is no content yet.
    """

    n_files: int
    n_rows: int
    quarantined: tuple[Quarantined, ...]
    missing: tuple[str, ...]
    snapshot: Path | None
    published: bool


@dataclass(frozen=True, kw_only=True)
class _Findings:
    """The landing zone against the registry."""

    new: tuple[LandingFile, ...]
    touched: tuple[LandingFile, ...]
    refusals: tuple[Refusal, ...]
    replaced: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Update:
    """A database brought up to date, not yet published; content is None if it holds nothing."""

    report: IngestReport
    content: str | None


def ingest(
    workspace: Workspace,
    *,
    rebuild: bool = False,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
) -> IngestReport:
    """Load what has landed since the last ingest, build the marts, check them and publish.

    Parameters
    ----------
    workspace : Workspace
        Whose landing files to load.
    rebuild : bool
        Build the database from all landing files anew, beside the old one, and publish it.
        Happens by itself when a loaded landing file was replaced by another content.
    lock_timeout_seconds : float
        How long to wait for another ingest to end.

    Returns
    -------
    IngestReport
        With nothing new, nothing is published.

    Raises
    ------
    BusyError
        If another process holds the lock or the database for longer than the time-out.
    WorkError
        If a check fails, the disk is full or the database can't be read; the last snapshot stays.
    """
    deadline = time.monotonic() + lock_timeout_seconds
    try:
        workspace.snapshots.mkdir(parents=True, exist_ok=True)
        with _exclusive(workspace, lock_timeout_seconds):
            clear_temporary_files(workspace)
            if not rebuild:
                report = _ingest_new(workspace, deadline)
                if report is not None:
                    return report
            return _ingest_anew(workspace, deadline)
    except (duckdb.Error, OSError) as error:
        reason = str(error).splitlines()[0]
        raise WorkError(
            f"The ingest into {workspace.warehouse} failed ({reason}); the last snapshot, if "
            "there is one, stays readable. Free disk space if it is full; if the database is "
            "damaged, run ingest --rebuild."
        ) from error


def _ingest_new(workspace: Workspace, deadline: float) -> IngestReport | None:
    """Add the new files to the database; None if a replaced file asks for a rebuild."""
    database = workspace.warehouse / _DATABASE
    update = _update(workspace, database, deadline)
    if update is None:
        return None
    snapshot = _current_snapshot(workspace)
    # LATEST may lag behind the database if an ingest was killed before it published.
    if update.content is None or (snapshot and snapshot.id.endswith(f"-{update.content}")):
        if snapshot:
            refresh_copy(workspace, snapshot.path)
        return replace(update.report, snapshot=snapshot.path if snapshot else None)
    return _publish(workspace, update)


def _ingest_anew(workspace: Workspace, deadline: float) -> IngestReport:
    """Build the database from all landing files beside the old one, swap it in and publish it."""
    database = workspace.warehouse / _DATABASE
    temporary = database.with_name(f".{_DATABASE}.{os.getpid()}.tmp")
    update = _update(workspace, temporary, deadline, check_all=True)
    assert update is not None  # An empty registry finds no file replaced.
    # The old database's log would be replayed onto the new one. What it held is in landing/.
    database.with_name(f"{_DATABASE}.wal").unlink(missing_ok=True)
    temporary.replace(database)
    if update.content is None:
        snapshot = _current_snapshot(workspace)
        return replace(update.report, snapshot=snapshot.path if snapshot else None)
    return _publish(workspace, update)


def _publish(workspace: Workspace, update: _Update) -> IngestReport:
    """Publish the ingester's database."""
    assert update.content is not None
    snapshot = publish(workspace, workspace.warehouse / _DATABASE, update.content)
    return replace(update.report, snapshot=snapshot.path, published=True)


def _update(
    workspace: Workspace, database: Path, deadline: float, *, check_all: bool = False
) -> _Update | None:
    """Bring a database up to date in one transaction; None if a loaded file was replaced."""
    with contextlib.closing(_connect(database, deadline)) as conn:
        holds_older = load_schema_version(conn) > 0 and migrate(conn) > 0
        migrate(conn)
        findings = _find_files(conn, workspace)
        if findings.replaced:
            return None
        load_number = _next_load_number(conn)
        conn.begin()
        loaded = load_files(conn, findings.new, load_number=load_number)
        for file in findings.touched:
            conn.execute(
                "UPDATE raw_file SET modified_ns = ? WHERE kind = ? AND file_name = ?",
                [file.modified_ns, file.kind.value, file.path.name],
            )
        quarantined = _quarantine(workspace, (*findings.refusals, *loaded.refusals))
        if _holds_files(conn) and load_content_version(conn) != plan_content_version(conn):
            build_marts(conn)
            require_checks(conn, since_load=0 if check_all or holds_older else load_number)
        conn.commit()
        content = load_content_version(conn)
        # Without a log beside it the file alone is the whole content, and can be copied.
        conn.execute("CHECKPOINT")
    report = IngestReport(
        n_files=len(loaded.n_rows),
        n_rows=sum(loaded.n_rows.values()),
        quarantined=quarantined,
        missing=findings.missing,
        snapshot=None,
        published=False,
    )
    return _Update(report=report, content=content)


# --- The landing zone -------------------------------------------------------------------------


def _find_files(conn: duckdb.DuckDBPyConnection, workspace: Workspace) -> _Findings:
    """Compare the landing zone with the registry."""
    registry = {
        (str(kind), str(name)): (int(size), int(modified), str(digest))
        for kind, name, size, modified, digest in conn.execute(
            "SELECT kind, file_name, size_bytes, modified_ns, content_hash FROM raw_file"
        ).fetchall()
    }
    changed: list[tuple[RecordKind, Path, os.stat_result]] = []
    refusals: list[Refusal] = []
    seen: set[tuple[str, str]] = set()
    for kind in RecordKind:
        for entry in _scan(workspace.landing / kind.value):
            path = Path(entry.path)
            reason = _refuse_name(entry, kind)
            if reason is not None:
                refusals.append(Refusal(kind=kind, path=path, reason=reason))
                continue
            key = (kind.value, entry.name)
            seen.add(key)
            status = entry.stat(follow_symlinks=False)
            known = registry.get(key)
            # Landing files never change: size and time tell that one didn't, without reading it.
            if known is None or known[:2] != (status.st_size, status.st_mtime_ns):
                changed.append((kind, path, status))
    new: list[LandingFile] = []
    touched: list[LandingFile] = []
    replaced: list[str] = []
    # Hashing lets other threads run, and 50 million item scores are 3 GB of files.
    with ThreadPoolExecutor() as pool:
        for file in pool.map(_describe, changed):
            known = registry.get((file.kind.value, file.path.name))
            if known is None:
                new.append(file)
            elif known[2] == file.content_hash:
                touched.append(file)
            else:
                replaced.append(file.path.name)
    return _Findings(
        new=tuple(new),
        touched=tuple(touched),
        refusals=tuple(refusals),
        replaced=tuple(replaced),
        missing=tuple("/".join(key) for key in sorted(registry.keys() - seen)),
    )


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    """Return the complete files of a landing folder in name order; temporary ones are left out."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(found, key=lambda entry: entry.name)


def _refuse_name(entry: os.DirEntry[str], kind: RecordKind) -> str | None:
    """Say why an entry of the landing zone can't be a landing file; None if it can."""
    suffix = ".json" if kind in DOCUMENTS else ".parquet"
    if not entry.is_file(follow_symlinks=False):
        return f"{entry.name!r} is not a plain file."
    # Also keeps glob characters away from read_parquet.
    if not _LANDING_NAME.match(entry.name) or not entry.name.endswith(suffix):
        return (
            f"{entry.name!r:.220} is not a name of a {kind} file; use letters, digits, '.', '_', "
            f"'-', ending in {suffix}."
        )
    return None


def _describe(found: tuple[RecordKind, Path, os.stat_result]) -> LandingFile:
    """Read what identifies a landing file's content."""
    kind, path, status = found
    return LandingFile(
        kind=kind,
        path=path,
        size_bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        content_hash=content_hash(path),
    )


def _quarantine(workspace: Workspace, refusals: Sequence[Refusal]) -> tuple[Quarantined, ...]:
    """Move refused files out of the landing zone, each with its reason beside it."""
    moved = []
    for refusal in refusals:
        folder = workspace.quarantine / refusal.kind.value
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / refusal.path.name
        if os.path.lexists(target):
            # The same name was refused before; keep both.
            target = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{refusal.path.name}"
        # First the reason: killed in between, the file is still there and is refused again.
        reason_file = folder / f"{target.name[:200]}.reason.txt"
        reason_file.write_text(f"{refusal.reason}\n", "utf-8")
        shutil.move(refusal.path, target)
        moved.append(Quarantined(file=target, reason=refusal.reason))
    return tuple(moved)


# --- Locks and states -------------------------------------------------------------------------


@contextlib.contextmanager
def _exclusive(workspace: Workspace, timeout_seconds: float) -> Iterator[None]:
    """Hold the ingest lock, which the system releases when its holder dies."""
    holder = workspace.warehouse / _HOLDER
    lock = FileLock(workspace.warehouse / _LOCK)
    try:
        lock.acquire(timeout=timeout_seconds, poll_interval=_POLL_SECONDS)
    except Timeout as error:
        pid = holder.read_text("utf-8").strip() if holder.is_file() else "unknown"
        raise BusyError(
            f"Another ingest (PID {pid}) holds {workspace.warehouse / _LOCK} for more than "
            f"{timeout_seconds:g} s; wait for it to end, then run ingest again."
        ) from error
    try:
        holder.write_text(f"{os.getpid()}\n", "utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _connect(database: Path, deadline: float) -> duckdb.DuckDBPyConnection:
    """Open a database for writing; wait while somebody else's shell has it open."""
    while True:
        try:
            return duckdb.connect(str(database), config=_CONFIG)
        except duckdb.IOException as error:
            holder = _LOCKED_BY.search(str(error))
            if holder is None:
                raise
            if time.monotonic() > deadline:
                raise BusyError(
                    f"{database} is open in another program (PID {holder[1]}); close it there and "
                    "run ingest again. For your own queries open results.duckdb, which is a copy."
                ) from error
        time.sleep(_POLL_SECONDS)


def _next_load_number(conn: duckdb.DuckDBPyConnection) -> int:
    """Return the number that the next load gets, from 1."""
    row = conn.execute("SELECT coalesce(max(load_number), 0) + 1 FROM raw_file").fetchone()
    assert row is not None
    return int(row[0])


def _holds_files(conn: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether anything was ever loaded."""
    row = conn.execute("SELECT count(*) FROM raw_file").fetchone()
    return bool(row and row[0])


def _current_snapshot(workspace: Workspace) -> Snapshot | None:
    """Return the latest snapshot if it can still be read, else None."""
    try:
        snapshot = latest_snapshot(workspace)
    except (InputError, WorkError):
        return None
    return snapshot if snapshot.path.is_file() else None
