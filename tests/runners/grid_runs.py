"""Runs grids as a user does, watches and disturbs them, and reads what came of it."""

import json
import subprocess
import sys
import time

import duckdb
import psutil
import yaml

from warehouse.status import load_status
from warehouse.workspace import Workspace

COMMAND = [sys.executable, "cli.py"]


def start(grid, workspace, *options, wrapper=(), **popen):
    command = [*wrapper, *COMMAND, "run-grid", str(grid), "--workspace", str(workspace), *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen
    )


def finish(process, expect=0):
    """Wait for a run; return its JSON document, or its standard error if it has none."""
    out, err = process.communicate(timeout=400)
    assert process.returncode == expect, err
    assert "Traceback" not in err
    return (json.loads(out) if out else {}), err


def run(grid, workspace, *options, expect=0):
    out, err = finish(start(grid, workspace, "--json", *options), expect)
    return out or err


def variant(tiny_study, path, **changes):
    """Write the tiny study's grid with other fields; settings of `training` are merged."""
    document = yaml.safe_load(tiny_study.grid.read_text("utf-8"))
    document["dataset"] = {"folder": str(tiny_study.data)}
    document["training"] |= changes.pop("training", {})
    path.write_text(yaml.safe_dump(document | changes), "utf-8")
    return path


def records(workspace, status=None):
    """Run records by cell and attempt."""
    found = [
        json.loads(path.read_text("utf-8"))
        for path in sorted((workspace / "landing" / "run").glob("*.json"))
    ]
    return [record for record in found if status in (None, record["status"])]


def mart_rows(workspace):
    """Identity, item and score columns of everything that was scored."""
    snapshots = workspace / "warehouse" / "snapshots"
    path = snapshots / (snapshots / "LATEST").read_text("utf-8").strip()
    with duckdb.connect(str(path), read_only=True) as connection:
        scores = connection.execute(
            "select study, cell_id, ability, metric, score, n_items from mart_ability_score "
            "order by all"
        ).fetchall()
        items = connection.execute(
            "select cell_id, ability, item_id, score from fact_item_score order by all"
        ).fetchall()
    return scores, items


def wait_for(condition, seconds=180):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def live_workers(workspace):
    """What the workers of running grids do, by their heartbeats."""
    return [w for beat in load_status(Workspace(root=workspace)).active_runs for w in beat.workers]


def has_landed(workspace):
    return any((workspace / "landing" / "run").glob("*.json"))


def worker_processes(process):
    """The rank processes of a running grid, in order of their start."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if "runners.worker" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return sorted(found, key=lambda child: child.create_time())
