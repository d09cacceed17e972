"""Snapshots: readers never meet a lock, an old file under a new name, or half a file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from warehouse import open_latest, publish
from warehouse.connection import find_snapshot, latest_snapshot
from warehouse.errors import InputError, WorkError
from warehouse.ingest import ingest
from warehouse.workspace import Workspace

if TYPE_CHECKING:
    from tests.warehouse.conftest import Landing

COUNT = "SELECT count(*) FROM mart_cell WHERE n_attempts > 0"


def count_tried(source: Workspace | Path) -> int:
    with open_latest(source) as conn:
        row = conn.execute(COUNT).fetchone()
    assert row is not None
    return int(row[0])


def snapshots_of(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in workspace.snapshots.glob("results-*.duckdb"))


def publish_again(landing: Landing, number: int) -> Path:
    landing.failure("broken", attempt=number)
    report = ingest(landing.workspace)
    assert report.published and report.snapshot is not None
    return report.snapshot


def test_no_results_yet_is_said(workspace: Workspace) -> None:
    with pytest.raises(InputError, match=r"No results yet.*ingest"):
        open_latest(workspace)
    with pytest.raises(InputError, match="no workspace"):
        open_latest(workspace.root / "nowhere")


def test_a_reader_keeps_its_snapshot_and_a_new_one_sees_the_next(
    demo: Workspace, landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "N_SNAPSHOTS_KEPT", 1)
    ingest(demo)
    with open_latest(demo) as old:
        assert old.execute(COUNT).fetchone() == (3,)
        landing.finished_cell("waiting", {"math": [1.0]})
        latest = publish_again(landing, 2)
        assert snapshots_of(demo) == [latest.name]
        assert old.execute(COUNT).fetchone() == (3,)
        assert old.cursor().execute(COUNT).fetchone() == (3,)
        assert count_tried(demo) == 4
    assert count_tried(demo.root) == 4


def test_snapshots_are_read_only_and_named_by_time_and_content(demo: Workspace) -> None:
    path = ingest(demo).snapshot
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o444
    snapshot = latest_snapshot(demo)
    assert snapshot.path == path and path.name == f"results-{snapshot.id}.duckdb"
    assert find_snapshot(demo, snapshot.id) == snapshot
    assert find_snapshot(demo, "../../etc") is None
    assert find_snapshot(demo, snapshot.id.replace("2", "3")) is None
    assert count_tried(path) == 3
    with open_latest(demo) as conn, pytest.raises(duckdb.Error, match="read-only"):
        conn.execute("DELETE FROM mart_cell")


def test_old_snapshots_are_cleared_but_for_the_pinned(
    demo: Workspace, landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ingest(demo).snapshot
    second = publish_again(landing, 2)
    assert first is not None and snapshots_of(demo) == [first.name, second.name]
    (demo.snapshots / "PINNED").write_text(f"{first.name}\n{latest_snapshot(demo).id}\n")
    monkeypatch.setattr(publish, "N_SNAPSHOTS_KEPT", 1)
    publish_again(landing, 3)
    last = publish_again(landing, 4)
    assert snapshots_of(demo) == [first.name, second.name, last.name]


def test_the_copy_for_people_is_their_own(demo: Workspace, landing: Landing, holding: Any) -> None:
    ingest(demo)
    copy = demo.warehouse / "results.duckdb"
    with holding(copy):
        # Open read-write elsewhere: neither readers nor the ingest notice.
        assert count_tried(demo) == 3
        publish_again(landing, 2)
        assert count_tried(demo) == 3
    # What the shell wrote is whole, and the next ingest brings the copy up to date.
    with duckdb.connect(str(copy)) as conn:
        assert conn.execute("SELECT x FROM mine").fetchall() == [(1,), (2,)]
    assert not ingest(demo).published
    assert not (demo.warehouse / "results.duckdb.wal").exists()
    with duckdb.connect(str(copy)) as conn:
        assert conn.execute("SELECT max(n_attempts) FROM mart_cell").fetchone() == (2,)
        conn.execute("DROP TABLE mart_cell")
    assert count_tried(demo) == 3


def test_a_lost_snapshot_is_published_again(demo: Workspace) -> None:
    first = ingest(demo).snapshot
    assert first is not None
    first.unlink()
    with pytest.raises(WorkError, match="LATEST names it"):
        open_latest(demo)
    report = ingest(demo)
    assert report.published and report.n_files == 0
    assert count_tried(demo) == 3


def test_a_pointer_to_elsewhere_is_refused(demo: Workspace) -> None:
    ingest(demo)
    (demo.snapshots / "LATEST").write_text("../../../etc/passwd\n")
    with pytest.raises(WorkError, match="names no snapshot"):
        open_latest(demo)
    assert ingest(demo).published
    assert count_tried(demo) == 3


def test_a_damaged_snapshot_is_named(demo: Workspace) -> None:
    path = ingest(demo).snapshot
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(b"garbage" * 5000)
    with pytest.raises(WorkError, match=path.name):
        open_latest(demo)


def test_a_moved_workspace_stays_readable(demo: Workspace, tmp_path: Path) -> None:
    ingest(demo)
    moved = tmp_path / "moved"
    shutil.copytree(demo.root, moved)
    assert count_tried(moved) == 3
    assert ingest(Workspace(root=moved)).published is False


def test_an_ingest_does_not_disturb_a_polling_reader(
    demo: Workspace, landing: Landing, polling: Any
) -> None:
    ingest(demo)
    with polling(demo) as seen:
        for number in range(3, 7):
            publish_again(landing, number)
    assert len(seen) > 4
    # No error, no step back, and the last read sees the last publish.
    assert seen == sorted(seen) and (seen[0], seen[-1]) == (2, 5)
