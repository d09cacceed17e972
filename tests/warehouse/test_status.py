"""Progress from landing files and heartbeats, with no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from warehouse.landing import write_document
from warehouse.records import Heartbeat, ImportRecord, RecordKind, WorkerState
from warehouse.status import CellCounts, load_status
from warehouse.workspace import Workspace

if TYPE_CHECKING:
    from tests.warehouse.conftest import Landing

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def beat(workspace: Workspace, run_id: str, cell_id: str | None, **changes: Any) -> None:
    worker = WorkerState(worker=0, cell_id=cell_id, label="l", stage="train", updated_at=NOW)
    fields: dict[str, Any] = {
        "run_id": run_id,
        "study": "demo",
        "host": "here",
        "pid": 77,
        "started_at": NOW - timedelta(minutes=5),
        "updated_at": NOW - timedelta(seconds=3),
        "n_total": 4,
        "n_done": 2,
        "n_failed": 1,
        "eta_seconds": 90.0,
        "workers": (worker,),
    }
    workspace.heartbeats.mkdir(exist_ok=True)
    text = Heartbeat.model_validate(fields | changes).model_dump_json()
    (workspace.heartbeats / f"{run_id}.json").write_text(text)


def test_nothing_is_nothing(workspace: Workspace) -> None:
    status = load_status(workspace)
    assert status.cells == CellCounts(total=0, done=0, failed=0, running=0, pending=0)
    assert status.studies == status.failures == status.active_runs == ()


def test_cells_are_counted_before_any_snapshot(demo: Workspace, landing: Landing) -> None:
    landing.plan("other", [landing.cell("tuned"), landing.cell("more")])
    beat(demo, "run-1", "waiting")
    status = load_status(demo, now=NOW)
    # `tuned` belongs to both studies and counts once.
    assert status.cells == CellCounts(total=5, done=2, failed=1, running=1, pending=1)
    assert {row.study: row.cells for row in status.studies} == {
        "demo": CellCounts(total=4, done=2, failed=1, running=1, pending=0),
        "other": CellCounts(total=2, done=1, failed=0, running=0, pending=1),
    }
    (failure,) = status.failures
    assert (failure.cell_id, failure.studies, failure.attempt) == ("broken", ("demo",), 1)
    assert (failure.stage, failure.reason) == ("train", "out of memory")
    (run,) = status.active_runs
    assert (run.run_id, run.pid, run.eta_seconds) == ("run-1", 77, 90.0)
    assert not demo.warehouse.exists()


def test_a_failed_cell_that_runs_again_is_running(demo: Workspace) -> None:
    beat(demo, "run-1", "broken")
    status = load_status(demo, now=NOW)
    assert (status.cells.failed, status.cells.running, status.failures) == (0, 1, ())


def test_the_last_failure_is_the_one_shown(landing: Landing) -> None:
    landing.plan("demo", [landing.cell("a")])
    for attempt in (1, 2, 10):
        landing.failure("a", attempt=attempt, reason=f"reason {attempt}")
    landing.failure("unplanned")
    (failure,) = load_status(landing.workspace).failures
    assert (failure.attempt, failure.reason) == (10, "reason 10")


def test_stale_finished_and_garbled_heartbeats_do_not_run(demo: Workspace) -> None:
    stale = {"updated_at": NOW - timedelta(seconds=21)}
    beat(demo, "run-1", "waiting", started_at=NOW - timedelta(hours=2), **stale)
    beat(demo, "run-2", "waiting", **stale)
    beat(demo, "run-3", "waiting", study="other", finished=True)
    (demo.heartbeats / "run-4.json").write_text('{"run_id": "ru')
    (demo.heartbeats / "run-5.json").write_text("")
    (demo.heartbeats / "run-1-worker0.log").write_text("text")
    status = load_status(demo, now=NOW)
    assert (status.active_runs, status.cells.running) == ((), 0)
    # run-1 was started again as run-2, which died too.
    assert [run.run_id for run in status.lost_runs] == ["run-2"]


def test_imported_runs_count(landing: Landing) -> None:
    landing.plan("theirs", [landing.cell("a"), landing.cell("b"), landing.cell("c")])
    runs = [
        {"cell_id": cell_id, "attempt": 1, "status": status, "started_at": NOW, "finished_at": NOW}
        for cell_id, status in (("a", "done"), ("b", "failed"))
    ]
    record = ImportRecord.model_validate(
        {
            "import_id": "import-1",
            "importer": "curves",
            "study": "theirs",
            "imported_at": NOW,
            "files": (),
            "n_rows": 2,
            "runs": runs,
        }
    )
    write_document(landing.workspace, RecordKind.IMPORT, "import-1", record)
    cells = load_status(landing.workspace, now=NOW).cells
    assert cells == CellCounts(total=3, done=1, failed=1, running=0, pending=1)


def test_damaged_landing_files_are_left_out(demo: Workspace, landing: Landing) -> None:
    landing.run("waiting").write_text("{")
    assert load_status(demo, now=NOW).cells.done == 2
