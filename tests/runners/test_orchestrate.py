"""A real grid on a tiny model: what lands, what is skipped, and what survives a kill."""

import json
import os
import signal
import subprocess
import sys
import time

import duckdb
import psutil
import pytest
import yaml

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "cli.py"]


def start(grid, workspace, *options, **popen):
    command = [*COMMAND, "run-grid", str(grid), "--workspace", str(workspace), *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen
    )


def run(grid, workspace, *options, expect=0):
    process = start(grid, workspace, "--json", *options)
    out, err = process.communicate(timeout=300)
    assert process.returncode == expect, err
    return json.loads(out) if out else err


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


@pytest.fixture(scope="module")
def undisturbed(tiny_study, tmp_path_factory):
    workspace = tmp_path_factory.mktemp("undisturbed") / "w"
    return workspace, run(tiny_study.grid, workspace)


def test_a_grid_lands_every_cell_and_publishes_it(undisturbed):
    workspace, outcome = undisturbed
    assert outcome["cells"] == {"total": 5, "done": 5, "new": 5, "failed": 0}
    scores, items = mart_rows(workspace)
    assert len(scores) == 5 * 2
    assert len(items) == 5 * 60
    assert not list((workspace / "checkpoints").glob("*"))


def test_every_run_record_says_what_was_run(undisturbed):
    workspace, _ = undisturbed
    records = [
        json.loads(path.read_text("utf-8"))
        for path in (workspace / "landing" / "run").glob("*.json")
    ]
    trained = [record for record in records if record["n_optimizer_steps"]]
    assert len(records) == 5 and len(trained) == 4
    for record in trained:
        assert record["n_epochs"] == 4
        assert record["n_tokens"] > record["n_target_tokens"] > 0
        assert record["environment"]["deepspeed"]
        assert record["environment"]["scoring"]["lm_eval_version"]


def test_a_second_run_recomputes_nothing(undisturbed, tiny_study):
    workspace, _ = undisturbed
    before = {path: path.stat().st_mtime_ns for path in (workspace / "landing").rglob("*.*")}
    assert run(tiny_study.grid, workspace)["cells"]["new"] == 0
    assert {p: p.stat().st_mtime_ns for p in (workspace / "landing").rglob("*.*")} == before


def test_dry_run_writes_nothing(tiny_study, tmp_path):
    outcome = run(tiny_study.grid, tmp_path / "none", "--dry-run")
    assert outcome["n_pending"] == outcome["n_cells"] == 5
    assert outcome["estimated_seconds"] >= 0 and outcome["estimated_disk_bytes"] > 0
    assert not (tmp_path / "none").exists()


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_kill_of_everything_then_the_same_command_gives_the_same_marts(
    undisturbed, tiny_study, tmp_path
):
    workspace = tmp_path / "w"
    process = start(tiny_study.grid, workspace, "--max-parallel", "1")
    wait_for(lambda: list((workspace / "landing" / "run").glob("*.json")))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    landed = len(list((workspace / "landing" / "run").glob("*.json")))
    assert 1 <= landed < 5
    outcome = run(tiny_study.grid, workspace)
    assert outcome["cells"]["done"] == 5
    assert outcome["cells"]["new"] <= 5 - landed
    assert mart_rows(workspace) == mart_rows(undisturbed[0])


def test_workers_die_within_five_seconds_of_their_parent(tiny_study, tmp_path):
    process = start(tiny_study.grid, tmp_path / "w")
    parent = psutil.Process(process.pid)

    def workers():
        return [
            child
            for child in parent.children(recursive=True)
            if "runners.worker" in " ".join(child.cmdline())
        ]

    wait_for(workers)
    found = workers()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    _, alive = psutil.wait_procs(found, timeout=5)
    assert not alive


def test_a_killed_worker_costs_one_attempt_of_one_cell(undisturbed, tiny_study, tmp_path):
    workspace = tmp_path / "w"
    process = start(tiny_study.grid, workspace, "--json", "--max-parallel", "1")
    parent = psutil.Process(process.pid)
    wait_for(lambda: list((workspace / "landing" / "run").glob("*.json")))
    for child in parent.children(recursive=True):
        if "runners.worker" in " ".join(child.cmdline()):
            child.kill()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out)["cells"] == {"total": 5, "done": 5, "new": 5, "failed": 0}
    records = [
        json.loads(path.read_text("utf-8"))
        for path in (workspace / "landing" / "run").glob("*.json")
    ]
    failed = [record for record in records if record["status"] == "failed"]
    assert all("SIGKILL" in record["failure_reason"] for record in failed)
    assert mart_rows(workspace) == mart_rows(undisturbed[0])


def test_a_cell_that_fails_is_a_record_with_its_reason(tiny_study, tmp_path):
    document = yaml.safe_load(tiny_study.grid.read_text("utf-8"))
    document["dataset"] = {"folder": str(tiny_study.data)}
    document["seeds"] = [0]
    document["designs"] = [
        {"kind": "all_abilities", "volumes": {"values": [4]}},
        # Nothing but the beginning of the question fits, so no target token is left.
        {"kind": "single_ability", "abilities": ["code"], "training": {"max_length": 4}},
    ]
    grid = tmp_path / "diverging.yaml"
    grid.write_text(yaml.safe_dump(document), "utf-8")
    workspace = tmp_path / "w"
    process = start(grid, workspace)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "cells failed" in err and "Traceback" not in err
    records = [
        json.loads(path.read_text("utf-8"))
        for path in (workspace / "landing" / "run").glob("*.json")
    ]
    failed = [record for record in records if record["status"] == "failed"]
    assert failed and all("raise training.max_length" in r["failure_reason"] for r in failed)
    assert sum(record["status"] == "done" for record in records) == 2


def test_two_runs_on_one_workspace_are_refused(tiny_study, tmp_path):
    workspace = tmp_path / "w"
    process = start(tiny_study.grid, workspace)
    try:
        wait_for(lambda: (workspace / "heartbeats" / "run-grid.lock").exists())
        wait_for(lambda: list((workspace / "heartbeats").glob("*worker*.log")))
        message = run(tiny_study.grid, workspace, expect=1)
        assert "Another run-grid works on" in message
    finally:
        process.kill()
        process.communicate()
