"""Readers of all kinds while a real grid trains, lands and ingests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from warehouse import open_latest
from warehouse.bench.landing import Size, land_study
from warehouse.connection import latest_snapshot
from warehouse.ingest import ingest
from warehouse.workspace import Workspace, open_workspace

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]
_N_SEEDS = 5
# Volumes 4 and 16 for every seed, and the base model once.
_N_CELLS = 2 * _N_SEEDS + 1
# A study that is there before the grid starts.
_BEFORE = Size(n_cells=6, n_abilities=2, n_items=50)
# Of finished cells: item scores land a moment before their run's record does.
_COUNTS = """
WITH done AS (SELECT cell_id, n_item_scores FROM mart_cell WHERE status = 'done')
SELECT
    (SELECT content_version FROM warehouse_build) AS content,
    (SELECT count(*) FROM done) AS done,
    (SELECT count(DISTINCT cell_id) FROM mart_ability_score) AS scored,
    (SELECT sum(n_item_scores) FROM done) AS items,
    (SELECT sum(n_items) FROM mart_ability_score) AS items_of_abilities,
    (SELECT count(*) FROM fact_item_score SEMI JOIN done USING (cell_id)) AS items_of_facts
"""
# The grid ingests again and again instead of every thirty seconds, so that it publishes often.
_GRID = """
import sys
from runners import ingestion
assert ingestion._EVERY_SECONDS
ingestion._EVERY_SECONDS = 0.0
import cli
cli.main()
"""
# What the pages of the app read, again and again; each line is one read.
_DASHBOARD = """
import json, sys, time
from pathlib import Path
from warehouse import open_latest, queries
from warehouse.connection import latest_snapshot
from warehouse.status import load_status
from warehouse.workspace import Workspace
workspace, stop = Workspace(root=Path(sys.argv[1])), Path(sys.argv[2])
last = False
while not last:
    last = stop.exists()
    before = latest_snapshot(workspace).id
    with open_latest(workspace) as conn:
        content = conn.execute("SELECT content_version FROM warehouse_build").fetchone()[0]
        studies = queries.load_studies(conn)
        cells = queries.load_cells(conn)
        scores = queries.load_ability_scores(conn)
        items = queries.load_item_scores(conn)
        parts = queries.load_compositions(conn)
        done = cells[cells.status == "done"]
        trained = done.cell_id[done.n_optimizer_steps > 0]
        log = queries.load_training_log(conn, cell_id=trained.iloc[-1])
    status = load_status(workspace)
    print(json.dumps({
        "before": before,
        "content": content,
        "done": len(done),
        "scored": int(scores.cell_id.nunique()),
        "items": int(done.n_item_scores.sum()),
        "items_of_abilities": int(scores.n_items.sum()),
        "items_of_facts": len(items),
        "done_of_studies": int(studies.n_done.sum()),
        "cells_apart": len(set(parts.cell_id) - set(cells.cell_id)),
        "logged": len(log),
        "landed": status.cells.done,
    }), flush=True)
    time.sleep(0.5)
"""
# Somebody's shell, which keeps the copy for people open and writes to it.
_SHELL = """
import sys, time, duckdb
from pathlib import Path
with duckdb.connect(sys.argv[1]) as conn:
    conn.execute("CREATE TABLE mine (x INTEGER)")
    print("open", flush=True)
    while not Path(sys.argv[2]).exists():
        conn.execute("INSERT INTO mine VALUES (1)")
        time.sleep(0.2)
    print(conn.execute("SELECT count(*) FROM mine").fetchone()[0], flush=True)
"""


class Watch:
    """Follows LATEST, so that a read can be placed among the snapshots that were published."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.published: list[str] = []
        self.look()

    def look(self) -> str:
        """Note snapshots that are new, and return the latest one's id."""
        for path in sorted(self.workspace.snapshots.glob("results-*.duckdb")):
            name = path.stem.removeprefix("results-")
            if name not in self.published:
                self.published.append(name)
        return latest_snapshot(self.workspace).id

    def place(self, read: dict[str, Any]) -> int:
        """Return the number of the snapshot that was read; it is none from before the read."""
        (number,) = (n for n, name in enumerate(self.published) if name.endswith(read["content"]))
        assert number >= self.published.index(read["before"])
        return number


@contextmanager
def running(stop: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program of ours until the end of the block, which creates `stop`."""
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    with subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        cwd=_ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            stop.touch()


def output_of(process: subprocess.Popen[str]) -> str:
    """Wait for a program's end, which must be a good one, and return what it printed."""
    output, messages = process.communicate(timeout=60)
    assert process.returncode == 0, messages
    return output


def counts_of(conn: Any) -> dict[str, Any]:
    return conn.execute(_COUNTS).df().to_dict("records")[0]


def assert_whole(read: dict[str, Any]) -> None:
    assert read["done"] == read["scored"]
    assert read["items"] == read["items_of_abilities"] == read["items_of_facts"]


def test_readers_of_a_running_grid_meet_no_lock_and_no_half_or_old_read(tiny_study, tmp_path):
    document = yaml.safe_load(tiny_study.grid.read_text("utf-8"))
    document["dataset"] = {"folder": str(tiny_study.data)}
    document["seeds"] = list(range(_N_SEEDS))
    grid_file = tmp_path / "grid.yaml"
    grid_file.write_text(yaml.safe_dump(document), "utf-8")
    workspace = open_workspace(tmp_path / "w", create=True)
    land_study(workspace, _BEFORE)
    ingest(workspace)
    watch = Watch(workspace)
    root, stop = str(workspace.root), tmp_path / "stop"
    asked: list[dict[str, Any]] = []
    with ExitStack() as stack:
        long_open = stack.enter_context(open_latest(workspace))
        first = counts_of(long_open)
        shell = stack.enter_context(
            running(stop, "-c", _SHELL, str(workspace.warehouse / "results.duckdb"), str(stop))
        )
        assert shell.stdout.readline() == "open\n"
        dashboards = [
            stack.enter_context(running(stop, "-c", _DASHBOARD, root, str(stop))) for _ in range(2)
        ]
        # One worker, so that cells land one after the other.
        options = ("--workspace", root, "--max-parallel", "1")
        grid = stack.enter_context(running(stop, "-c", _GRID, "run-grid", str(grid_file), *options))
        while grid.poll() is None:
            began, before = time.monotonic(), watch.look()
            command = [sys.executable, "cli.py", "sql", _COUNTS, "--json", "--workspace", root]
            with subprocess.Popen(command, cwd=_ROOT, text=True, stdout=-1, stderr=-1) as query:
                while query.poll() is None or time.monotonic() - began < 1:
                    watch.look()
                    time.sleep(0.02)
                (row,) = json.loads(output_of(query))
            asked.append({**row, "before": before})
            # Its snapshot may have been cleared away by now; it reads on.
            assert counts_of(long_open) == first
            for log in workspace.heartbeats.glob("*-ingest.log"):
                assert "Error" not in log.read_text("utf-8")
        output_of(grid)
        stop.touch()
        shown = [
            [json.loads(line) for line in output_of(dashboard).splitlines()]
            for dashboard in dashboards
        ]
        assert int(output_of(shell)) > 1
        assert counts_of(long_open) == first
    watch.look()
    # Of the grid, beside the one from before.
    assert len(watch.published) >= 1 + 3
    for reads in (*shown, asked):
        assert len(reads) >= 4
        for read in reads:
            assert_whole(read)
        places = [watch.place(read) for read in reads]
        assert places == sorted(places)
        # Many reads between publishes prove little: several snapshots were read.
        assert len(set(places)) >= 3
    for read in [read for reads in shown for read in reads]:
        assert read["done_of_studies"] == read["done"] <= read["landed"]
        assert read["cells_apart"] == 0 < read["logged"]
    assert {reads[-1]["done"] for reads in shown} == {_BEFORE.n_cells + _N_CELLS}
    assert first["done"] == _BEFORE.n_cells
    # The shell has gone; the next ingest brings the copy that it had open up to date.
    ingest(workspace)
    with duckdb.connect(workspace.warehouse / "results.duckdb") as copy:
        assert counts_of(copy)["done"] == _BEFORE.n_cells + _N_CELLS
