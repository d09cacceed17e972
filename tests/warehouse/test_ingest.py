"""From landing files to marts: values, idempotence, rebuilds and attempts."""

from __future__ import annotations

import os
import shutil
from typing import Any

import duckdb
import pytest
from filelock import FileLock

from tests.warehouse.conftest import Landing, rows_of
from warehouse import ingest as ingest_module
from warehouse import open_latest
from warehouse.errors import BusyError, WorkError
from warehouse.ingest import ingest
from warehouse.workspace import Workspace

# Columns that say when a row was written, not what it says.
_CLOCKS = {"loaded_at", "built_at", "applied_at", "load_number"}


def content_of(workspace: Workspace) -> dict[str, list[str]]:
    """Read every table and view of the latest snapshot, clocks left out, in an order of its own.

    Keys are numbered in the order of loading, so the tables that hold them are read through the
    views that put the texts in their place.
    """
    with open_latest(workspace) as conn:
        tables = [row[0] for row in conn.execute("SHOW TABLES").fetchall()]
        keyed = conn.execute(
            "SELECT DISTINCT table_name FROM duckdb_columns() WHERE column_name LIKE '%\\_key' "
            "ESCAPE '\\'"
        ).fetchall()
        tables = [table for table in tables if (table,) not in keyed]
        content = {}
        for table in tables:
            columns = [c for c in conn.table(table).columns if c not in _CLOCKS]
            rows = conn.table(table).select(*columns).fetchall()
            content[table] = sorted(repr(row) for row in rows)
    return content


def test_a_second_ingest_does_nothing(demo: Workspace) -> None:
    first = ingest(demo)
    second = ingest(demo)
    assert (first.n_files, first.n_rows, first.published) == (10, 27, True)
    assert (second.n_files, second.n_rows, second.published) == (0, 0, False)
    assert second.snapshot == first.snapshot


def test_nothing_landed_publishes_nothing(workspace: Workspace) -> None:
    report = ingest(workspace)
    assert (report.n_files, report.published, report.snapshot) == (0, False, None)
    assert ingest(workspace, rebuild=True).snapshot is None


def test_a_rebuild_equals_many_small_ingests(landing: Landing) -> None:
    workspace = landing.workspace
    steps = [
        lambda: landing.plan("demo", [landing.cell("one"), landing.cell("two")]),
        lambda: landing.items("zz-items", {"math": 3}, task="another-task"),
        lambda: landing.finished_cell("two", {"math": [1.0, 0.0, 0.5]}),
        lambda: landing.items("aa-items", {"math": 4}),
        lambda: landing.failure("one"),
        lambda: landing.finished_cell("one", {"math": [0.0, 1.0]}, attempt=2),
        lambda: landing.plan("other", [landing.cell("two")], out_of_domain=()),
    ]
    for step in steps:
        step()
        assert ingest(workspace).published
    piecemeal = content_of(workspace)
    assert len(piecemeal["fact_item_score"]) == 5
    report = ingest(workspace, rebuild=True)
    assert (report.n_files, report.published) == (11, True)
    assert content_of(workspace) == piecemeal
    assert len(piecemeal["stg_item"]) == 4 and len(piecemeal["raw_item"]) == 7


def test_a_replaced_landing_file_rebuilds(demo: Workspace, landing: Landing) -> None:
    ingest(demo)
    landing.scores("tuned", landing.score_rows("tuned", {"math": [0.0, 0.0]}))
    report = ingest(demo)
    assert report.published and report.n_files == 10
    rows = rows_of(demo, "FROM mart_ability_score WHERE cell_id = 'tuned'")
    assert [(row["ability"], row["score"], row["n_items"]) for row in rows] == [("math", 0.0, 2)]


def test_a_touched_landing_file_is_not_loaded_again(demo: Workspace) -> None:
    first = ingest(demo)
    for path in (demo.landing / "run").iterdir():
        os.utime(path, ns=(1, 1))
    assert ingest(demo).snapshot == first.snapshot
    with duckdb.connect(str(demo.warehouse / "work.duckdb")) as conn:
        query = "SELECT DISTINCT modified_ns FROM raw_file WHERE kind = 'run'"
        assert conn.execute(query).fetchall() == [(1,)]


def test_rows_of_a_deleted_landing_file_stay_until_a_rebuild(demo: Workspace) -> None:
    ingest(demo)
    (demo.landing / "run" / "broken-1.json").unlink()
    assert ingest(demo).missing == ("run/broken-1.json",)
    query = "SELECT status FROM mart_cell WHERE cell_id = 'broken'"
    assert rows_of(demo, query) == [{"status": "failed"}]
    assert ingest(demo, rebuild=True).missing == ()
    assert rows_of(demo, query) == [{"status": "pending"}]


def test_a_running_ingest_is_waited_for_and_named(demo: Workspace) -> None:
    demo.warehouse.mkdir(parents=True)
    (demo.warehouse / "ingest.pid").write_text("4321\n")
    with (
        FileLock(demo.warehouse / "ingest.lock"),
        pytest.raises(BusyError, match=r"PID 4321.*more than 0\.1 s"),
    ):
        ingest(demo, lock_timeout_seconds=0.1)


def test_a_shell_on_the_work_file_is_named(demo: Workspace, holding: Any) -> None:
    ingest(demo)
    with holding(demo.warehouse / "work.duckdb") as pid:
        with pytest.raises(BusyError, match=f"PID {pid}"):
            ingest(demo, lock_timeout_seconds=0.1)
    assert ingest(demo).n_files == 0


def test_a_damaged_work_file_says_how_to_repair_it(demo: Workspace) -> None:
    first = ingest(demo)
    (demo.warehouse / "work.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(WorkError, match="ingest --rebuild"):
        ingest(demo)
    assert len(rows_of(demo, "FROM mart_cell")) == 4
    again = ingest(demo, rebuild=True)
    assert again.published and again.snapshot != first.snapshot


def test_a_full_disk_is_reported(demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ingest_module, "publish", refuse)
    with pytest.raises(WorkError, match="No space left on device"):
        ingest(demo)
    monkeypatch.undo()
    assert ingest(demo).published


_DIE = """
import importlib, os, signal, sys
from pathlib import Path
module = importlib.import_module(sys.argv[2])
setattr(module, sys.argv[3], lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL))
from warehouse.ingest import ingest
from warehouse.records import CompositionPart
from warehouse.workspace import Workspace
ingest(Workspace(root=Path(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Make a workspace with one cell ingested, another landed, and a bad file."""
    from tests.warehouse.conftest import Landing as Writer

    workspace = Workspace(root=tmp_path_factory.mktemp("kill") / "before")
    landing = Writer(workspace)
    landing.plan("demo", [landing.cell("a"), landing.cell("b")])
    landing.finished_cell("a", {"math": [1.0, 0.0]})
    ingest(workspace)
    landing.finished_cell("b", {"math": [0.0, 0.0, 1.0]})
    landing.run("c").write_text("{")
    return workspace


@pytest.fixture(scope="module")
def undisturbed(half_done: Workspace) -> dict[str, list[str]]:
    """Read what an ingest that nobody kills makes of it."""
    workspace = Workspace(root=half_done.root.with_name("undisturbed"))
    shutil.copytree(half_done.root, workspace.root)
    ingest(workspace)
    return content_of(workspace)


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("shutil", "move"),
        ("warehouse.ingest", "require_checks"),
        ("warehouse.ingest", "publish"),
        ("warehouse.publish", "_copy"),
        ("warehouse.publish", "refresh_copy"),
        ("warehouse.publish", "_clear_old_snapshots"),
    ],
)
def test_a_kill_loses_and_doubles_nothing(
    half_done: Workspace,
    undisturbed: dict[str, list[str]],
    workspace: Workspace,
    run_python: Any,
    module: str,
    function: str,
) -> None:
    shutil.copytree(half_done.root, workspace.root, dirs_exist_ok=True)
    killed = run_python(_DIE, str(workspace.root), module, function)
    assert killed.returncode == -9, killed.stderr
    # Readers see the old snapshot or the new one.
    assert len(rows_of(workspace, "FROM mart_ability_score")) in (1, 2)
    ingest(workspace)
    assert content_of(workspace) == undisturbed
    assert (workspace.quarantine / "run" / "c-1.json").is_file()
    assert list((workspace.landing / "run").glob("c*")) == []
    assert [path for path in workspace.warehouse.rglob("*") if ".tmp" in path.name] == []
