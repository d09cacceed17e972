"""Real kills at random moments of a real ingest, and a disk that really takes no more."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from warehouse import ingest as ingest_module
from warehouse import open_latest
from warehouse.bench.landing import Size, cell_record, land_study
from warehouse.checks import run_checks
from warehouse.connection import LATEST
from warehouse.errors import WorkError
from warehouse.ingest import ingest
from warehouse.workspace import Workspace, open_workspace

pytestmark = pytest.mark.slow

_CLI = Path(__file__).parents[2] / "cli.py"
_N_KILLS = 20
# 100,000 item scores: half of an ingest's time goes into its work, the rest into its start.
_SIZE = Size(n_cells=40, n_abilities=5, n_items=500)
# A publish of that much takes about so long.
_PUBLISH_SECONDS = 0.05
# Columns that say when a row was written, not what it says.
_CLOCKS = {"loaded_at", "built_at", "applied_at", "load_number", "modified_ns"}
_LIMITED = """
import os, resource, sys
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), hard))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Make a workspace into which the whole study landed, and ingest it at once."""
    workspace = open_workspace(tmp_path_factory.mktemp("crash") / "undisturbed", create=True)
    land_study(workspace, _SIZE)
    ingest(workspace)
    return workspace


def command_of(workspace: Workspace, *options: str) -> list[str]:
    return [str(_CLI), "ingest", "--workspace", str(workspace.root), *options]


def land_cells(source: Workspace, target: Workspace) -> Iterator[int]:
    """Land plan and items, then one more cell at each step; yields how many cells have landed."""
    for kind in ("plan", "item"):
        shutil.copytree(source.landing / kind, target.landing / kind)
    for number in range(_SIZE.n_cells):
        cell_id = cell_record(number, _SIZE).cell_id
        # The run record comes last, as it does from a grid.
        for kind in ("training_log", "item_score", "run"):
            for path in (source.landing / kind).glob(f"{cell_id}*"):
                folder = target.landing / kind
                folder.mkdir(exist_ok=True)
                shutil.copyfile(path, folder / path.name)
        yield number + 1


def kill_ingest(
    workspace: Workspace, *options: str, seconds: float, of_publish: bool = False
) -> str:
    """Kill an ingest so long after its start, or after it begins to publish.

    Returns where that struck: `start` (of the process), `work` (it holds the lock), `publish`
    (the new snapshot or its pointer is being written) or `nothing` (it had ended).
    """
    pointer = latest_of(workspace)
    left = set(workspace.snapshots.glob(".*"))

    def publishes() -> bool:
        return bool(set(workspace.snapshots.glob(".*")) - left) or latest_of(workspace) != pointer

    with subprocess.Popen(
        [sys.executable, *command_of(workspace, *options)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        while of_publish and process.poll() is None and not publishes():
            time.sleep(0.001)
        time.sleep(seconds)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        _, messages = process.communicate()
    if process.returncode == 0:
        return "nothing"
    assert process.returncode == -signal.SIGKILL, messages
    if publishes():
        return "publish"
    holder = workspace.warehouse / "ingest.pid"
    holds = holder.exists() and holder.read_text("utf-8").strip() == str(process.pid)
    return "work" if holds else "start"


def assert_whole(workspace: Workspace, *, n_landed: int) -> int:
    """Check the latest snapshot from end to end; returns its finished cells, 0 without any."""
    if not (workspace.snapshots / LATEST).exists():
        return 0
    with open_latest(workspace) as conn:
        assert run_checks(conn) == ()
        counts = conn.execute(
            """
            SELECT
                (SELECT count(*) FROM mart_cell WHERE status = 'done'),
                (SELECT count(*) FROM mart_ability_score),
                (SELECT count(*) FROM fact_item_score),
                (SELECT count(*) FROM raw_file WHERE kind = 'run'),
                (SELECT sum(n_item_scores) FROM mart_cell)
            """
        ).fetchone()
    assert counts is not None
    n_done = int(counts[0])
    n_items = n_done * _SIZE.n_abilities * _SIZE.n_items
    assert counts == (n_done, n_done * _SIZE.n_abilities, n_items, n_done, n_items)
    assert n_done <= n_landed
    return n_done


def digests_of(database: Path) -> dict[str, object]:
    """Return row count and sum of row hashes of every table and view, clocks left out.

    Keys are numbered in the order of loading, so the tables that hold them are read through the
    views that put the texts in their place.
    """
    digests = {}
    with duckdb.connect(str(database), read_only=True) as conn:
        for (table,) in conn.execute("SHOW TABLES").fetchall():
            columns = [name for name in conn.table(table).columns if name not in _CLOCKS]
            if not any(name.endswith("_key") for name in columns):
                rows = f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608
                query = f"SELECT count(*), sum(hash(kept)) FROM ({rows}) AS kept"  # noqa: S608
                digests[table] = conn.execute(query).fetchone()
    return digests


def latest_of(workspace: Workspace) -> str:
    pointer = workspace.snapshots / LATEST
    return pointer.read_text("utf-8").strip() if pointer.exists() else ""


def test_twenty_kills_lose_and_double_nothing(workspace: Workspace, undisturbed: Workspace) -> None:
    rng = random.Random(20)
    struck: Counter[str] = Counter()
    n_done, duration = 0, 0.0
    steps = land_cells(undisturbed, workspace)
    for n_landed in steps:
        of_publish = n_landed % 4 == 1
        began = time.monotonic()
        where = kill_ingest(
            workspace,
            *(["--rebuild"] if n_landed % 5 == 0 else []),
            seconds=rng.uniform(0, _PUBLISH_SECONDS if of_publish else duration),
            of_publish=of_publish,
        )
        struck[where] += 1
        if of_publish:
            # How long an ingest takes here and now; the next kills fall anywhere in such a time.
            duration = time.monotonic() - began
        # What readers see is whole and never steps back.
        n_before, n_done = n_done, assert_whole(workspace, n_landed=n_landed)
        assert n_done >= n_before
        if struck.total() - struck["nothing"] == _N_KILLS:
            break
    assert struck.total() - struck["nothing"] == _N_KILLS
    assert struck["start"] >= 1 and struck["work"] >= 3 and struck["publish"] >= 3, struck
    assert list(steps)[-1] == _SIZE.n_cells
    assert ingest(workspace).published
    assert assert_whole(workspace, n_landed=_SIZE.n_cells) == _SIZE.n_cells
    expected = digests_of(undisturbed.warehouse / "work.duckdb")
    assert {"raw_file", "fact_item_score", "mart_ability_score"} <= expected.keys()
    for name in ("work.duckdb", "results.duckdb"):
        assert digests_of(workspace.warehouse / name) == expected
    assert not workspace.quarantine.exists()
    assert [path.name for path in workspace.warehouse.rglob("*") if ".tmp" in path.name] == []


def ingest_limited(workspace: Workspace, n_bytes: int) -> subprocess.CompletedProcess[str]:
    """Run an ingest that can write no file beyond so many bytes, as on a disk that is full."""
    command = [sys.executable, "-c", _LIMITED, str(n_bytes), *command_of(workspace)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def assert_reported(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: The ingest into ")
    assert "the last snapshot, if there is one, stays readable. Free disk space" in line


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_disk_that_fills_while_loading_keeps_the_last_snapshot(
    workspace: Workspace, undisturbed: Workspace, share: float
) -> None:
    steps = land_cells(undisturbed, workspace)
    next(steps)
    first = ingest(workspace)
    for _ in steps:
        pass
    before = (workspace.warehouse / "work.duckdb").stat().st_size
    after = (undisturbed.warehouse / "work.duckdb").stat().st_size
    assert_reported(ingest_limited(workspace, int(before + share * (after - before))))
    assert latest_of(workspace) == first.snapshot.name
    assert assert_whole(workspace, n_landed=1) == 1
    assert ingest(workspace).published
    assert assert_whole(workspace, n_landed=_SIZE.n_cells) == _SIZE.n_cells


def test_a_disk_that_fills_while_publishing_keeps_the_last_snapshot(
    workspace: Workspace, undisturbed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = land_cells(undisturbed, workspace)
    next(steps)
    first = ingest(workspace)
    next(steps)

    def refuse(*_: object) -> None:
        raise OSError("stopped before it publishes")

    with monkeypatch.context() as patch, pytest.raises(WorkError):
        patch.setattr(ingest_module, "publish", refuse)
        ingest(workspace)
    # All is loaded; the copies alone are to be written.
    assert_reported(ingest_limited(workspace, 1 << 20))
    assert latest_of(workspace) == first.snapshot.name
    assert assert_whole(workspace, n_landed=1) == 1
    assert [path.name for path in workspace.warehouse.rglob("*.tmp")] == []
    report = ingest(workspace)
    assert (report.published, report.n_files) == (True, 0)
    assert assert_whole(workspace, n_landed=2) == 2
