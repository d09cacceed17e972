"""Looks a machine and a workspace over: what works, what will not, and what to do about it."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from warehouse.connection import latest_snapshot, open_latest
from warehouse.errors import GrowthpaceError, InputError
from warehouse.machine import (
    Check,
    State,
    check_browser,
    check_compiler,
    check_disk,
    check_file_system,
    check_gpu,
    check_packages,
    check_python,
    find_file_system,
)
from warehouse.records import Heartbeat
from warehouse.snapshots import list_snapshots, load_kept_ids
from warehouse.status import load_heartbeats, split_heartbeats
from warehouse.workspace import Workspace

_LEFTOVER_SECONDS = 3600.0
_GPU_SECONDS = 10.0
_N_NAMED = 3
_HELD = re.compile(r"Conflicting lock is held in (.*) \(PID (\d+)\)")


def examine(workspace: Workspace) -> tuple[Check, ...]:
    """Run every check; one that can't be made is a failure with its reason.

    Parameters
    ----------
    workspace : Workspace
        Need not exist yet: then only the machine and the place for it are looked at.
    """
    checks: list[Callable[[], Check | Sequence[Check]]] = [
        _examine_python,
        _examine_packages,
        lambda: check_browser(shutil.which, os.environ.get("BROWSER_PATH")),
        lambda: check_compiler(
            shutil.which,
            has_python_headers=(Path(sysconfig.get_path("include")) / "Python.h").is_file(),
        ),
        lambda: check_gpu(_installed("torch"), list_gpus()),
        lambda: check_writable(workspace.root),
        lambda: check_disk(
            shutil.disk_usage(_existing(workspace.root)).free, _existing(workspace.root)
        ),
        lambda: _examine_file_systems(workspace),
    ]
    if workspace.root.is_dir():
        checks += [
            lambda: check_locks(workspace.warehouse),
            lambda: check_ingest_holder(_read_holder(workspace), process_exists),
            lambda: check_snapshots(workspace),
            lambda: check_database(workspace),
            lambda: check_leftovers(workspace, time.time()),
            lambda: check_quarantine(workspace),
            lambda: check_runs(split_heartbeats(load_heartbeats(workspace))[1]),
        ]
    found: list[Check] = []
    for check in checks:
        try:
            outcome = check()
        except OSError as error:
            outcome = Check(
                name="doctor",
                state=State.FAIL,
                detail=f"a check could not be made ({error})",
                remedy="give this user access to what the message names",
            )
        found += [outcome] if isinstance(outcome, Check) else outcome
    return tuple(found)


# --- Facts of the machine ---------------------------------------------------------------------


def _examine_python() -> Check:
    with contextlib.suppress(PackageNotFoundError):
        return check_python(platform.python_version(), metadata("growthpace")["Requires-Python"])
    return check_python(platform.python_version(), None)


def _examine_packages() -> Sequence[Check]:
    try:
        return check_packages(requires("growthpace") or [], _installed)
    except PackageNotFoundError:
        # The check of Python says that it is not installed.
        return ()


def _installed(name: str) -> str | None:
    """Return the version of an installed distribution."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def list_gpus() -> list[str]:
    """Return the names of NVIDIA GPUs as nvidia-smi gives them; empty without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=_GPU_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


def _examine_file_systems(workspace: Workspace) -> Sequence[Check]:
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        mounts = ""
    return [
        check_file_system(
            f"file system of {folder.name}/",
            find_file_system(mounts, _existing(folder)),
            holds_database=holds_database,
        )
        for folder, holds_database in ((workspace.warehouse, True), (workspace.landing, False))
    ]


def _existing(path: Path) -> Path:
    """Return the path itself or its nearest parent that exists, without symbolic links."""
    path = path.resolve()
    return next(folder for folder in (path, *path.parents) if folder.exists())


# --- Facts of the workspace -------------------------------------------------------------------


def check_writable(root: Path) -> Check:
    """Write a file where the workspace is, or would be made."""
    folder = _existing(root)
    probe = folder / f".doctor-probe-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        return Check(
            name="workspace",
            state=State.FAIL,
            detail=f"{folder} can't be written to ({error.strerror})",
            remedy="change its owner or permissions, or name another folder with --workspace",
        )
    made = "" if root.is_dir() else "; it doesn't exist yet, the first run makes it"
    return Check(name="workspace", state=State.OK, detail=f"{root} can be written to{made}")


def check_locks(folder: Path) -> Check:
    """Take a lock twice: the second taker must be refused."""
    if not folder.is_dir():
        return Check(name="locks", state=State.OK, detail="no warehouse yet, nothing to lock")
    probe = folder / f".doctor-probe-{os.getpid()}.lock"
    try:
        with FileLock(probe, timeout=0):
            try:
                FileLock(probe, timeout=0).acquire()
            except Timeout:
                return Check(name="locks", state=State.OK, detail=f"locks work in {folder}")
        return Check(
            name="locks",
            state=State.FAIL,
            detail=f"{folder} gives one lock to two takers",
            remedy="keep the warehouse on a local disk",
        )
    except (OSError, NotImplementedError, Timeout) as error:
        return Check(
            name="locks",
            state=State.FAIL,
            detail=f"no lock can be taken in {folder} ({error})",
            remedy="keep the warehouse on a local disk",
        )
    finally:
        probe.unlink(missing_ok=True)


def _read_holder(workspace: Workspace) -> str | None:
    """Return what the ingest that runs, or that was killed, wrote of itself."""
    try:
        return (workspace.warehouse / "ingest.pid").read_text("utf-8", "replace")
    except FileNotFoundError:
        return None


def process_exists(pid: int) -> bool:
    """Tell whether a process of this machine lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It lives and belongs to somebody else.
        return True
    return True


def check_ingest_holder(holder: str | None, pid_exists: Callable[[int], bool]) -> Check:
    """Tell whether an ingest runs, or one was killed.

    Parameters
    ----------
    holder : str or None
        Content of ingest.pid; None if there is none.
    pid_exists : callable
        PID -> whether such a process lives.
    """
    if holder is None:
        return Check(name="ingest", state=State.OK, detail="none runs")
    pid = re.search(r"[1-9]\d{0,8}", holder)
    if pid and pid_exists(int(pid[0])):
        return Check(name="ingest", state=State.OK, detail=f"one runs (PID {pid[0]})")
    return Check(
        name="ingest",
        state=State.WARN,
        detail=f"the last one was killed (PID {pid[0] if pid else 'unknown'}); its lock is free",
        remedy="run python cli.py ingest: it goes on from there",
    )


def check_snapshots(workspace: Workspace) -> Check:
    """Open the latest snapshot as a reader does, and look for pins without a file."""
    try:
        snapshot = latest_snapshot(workspace)
        with contextlib.closing(open_latest(workspace)) as conn:
            row = conn.execute("SELECT count(*) FROM mart_study").fetchone()
    except InputError:
        landed = workspace.landing.is_dir() and any(workspace.landing.glob("*/[!.]*"))
        return Check(
            name="snapshot",
            state=State.WARN if landed else State.OK,
            detail="results have landed, none is published" if landed else "nothing published yet",
            remedy="run python cli.py ingest" if landed else None,
        )
    except (GrowthpaceError, duckdb.Error) as error:
        return Check(
            name="snapshot",
            state=State.FAIL,
            detail=str(error).partition("\n")[0],
            remedy="run python cli.py ingest --rebuild",
        )
    lost = sorted(load_kept_ids(workspace) - {info.id for info in list_snapshots(workspace)})
    if lost:
        return Check(
            name="snapshot",
            state=State.WARN,
            detail=f"pinned, but its file is gone: {', '.join(lost[:_N_NAMED])}",
            remedy="put the file back, or snapshot unpin it",
        )
    n_studies = row[0] if row else 0
    return Check(
        name="snapshot", state=State.OK, detail=f"{snapshot.id} opens; studies: {n_studies}"
    )


def check_database(workspace: Workspace) -> Check:
    """Tell whether somebody else has the ingester's database open."""
    database = workspace.warehouse / "work.duckdb"
    if not database.exists():
        return Check(name="database", state=State.OK, detail="none yet")
    try:
        duckdb.connect(str(database), read_only=True).close()
    except duckdb.Error as error:
        held = _HELD.search(str(error))
        if held is None:
            return Check(
                name="database",
                state=State.FAIL,
                detail=f"{database} can't be opened ({str(error).partition(chr(10))[0]})",
                remedy="run python cli.py ingest --rebuild: it is built anew from landing/",
            )
        if held[2] in (_read_holder(workspace) or ""):
            return Check(name="database", state=State.OK, detail="held by the ingest that runs")
        return Check(
            name="database",
            state=State.WARN,
            detail=f"{database} is open in {held[1]} (PID {held[2]}), so ingests wait",
            remedy="close it there; for your own queries open results.duckdb, which is a copy",
        )
    return Check(name="database", state=State.OK, detail="free")


def check_leftovers(workspace: Workspace, now: float) -> Check:
    """Look for temporary files that nobody can be writing any more.

    Parameters
    ----------
    workspace : Workspace
        Where to look.
    now : float, seconds since the epoch
        Moment that their age is counted to.
    """
    folders = [
        workspace.root,
        workspace.warehouse,
        workspace.snapshots,
        workspace.heartbeats,
        *workspace.landing.glob("*"),
    ]
    old = []
    for path in (path for folder in folders for path in folder.glob(".*.tmp*")):
        with contextlib.suppress(FileNotFoundError):
            if now - path.stat().st_mtime > _LEFTOVER_SECONDS:
                old.append(path)
    if not old:
        return Check(name="leftovers", state=State.OK, detail="no old temporary files")
    return Check(
        name="leftovers",
        state=State.WARN,
        detail=f"{len(old)} temporary files or folders older than an hour, first {min(old)}",
        remedy="delete them: what wrote them was killed",
    )


def check_quarantine(workspace: Workspace) -> Check:
    """Count refused landing files, and give the newest reason."""
    reasons = list(workspace.quarantine.glob("*/*.reason.txt"))
    if not reasons:
        return Check(name="quarantine", state=State.OK, detail="empty")
    newest = max(reasons, key=lambda path: path.stat().st_mtime)
    reason = " ".join(newest.read_text("utf-8", "replace").split())
    return Check(
        name="quarantine",
        state=State.WARN,
        detail=f"{len(reasons)} landing files were refused, the last: {reason:.200}",
        remedy=f"read the reasons in {workspace.quarantine}; mend and move back, or delete",
    )


def check_runs(lost: Sequence[Heartbeat]) -> Check:
    """Tell of grids that stopped beating without an end."""
    if not lost:
        return Check(name="runs", state=State.OK, detail="none was lost")
    names = ", ".join(f"{beat.study} on {beat.host} (PID {beat.pid})" for beat in lost[:_N_NAMED])
    return Check(
        name="runs",
        state=State.WARN,
        detail=f"{len(lost)} stopped without an end: {names}",
        remedy="run the same grid again: it skips what is done",
    )
