"""Faults, each caused for real, and what the grid makes of it (docs/reliability.md)."""

import os
import random
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from tests.runners.grid_runs import (
    finish,
    has_landed,
    live_workers,
    mart_rows,
    records,
    run,
    start,
    variant,
    wait_for,
    worker_processes,
)
from warehouse.status import load_status
from warehouse.workspace import Workspace

pytestmark = pytest.mark.slow
N_KILLS = 3


def end(process):
    # Unlike os.kill, it does nothing to a process that has just ended by itself.
    process.kill()
    process.communicate()


def test_kills_of_the_orchestrator_at_random_moments_cost_no_result(
    undisturbed, tiny_study, tmp_path
):
    workspace = tmp_path / "w"
    moments = random.Random(1)
    for _ in range(N_KILLS):
        process = start(tiny_study.grid, workspace, "--max-parallel", "1")
        wait_for(lambda process=process: worker_processes(process) or process.poll() is not None)
        # From the workers' start to the last cell, which takes about so long undisturbed.
        time.sleep(moments.uniform(0, 15))
        workers = worker_processes(process) if process.poll() is None else []
        end(process)
        _, alive = psutil.wait_procs(workers, timeout=5)
        assert not alive, "workers outlive their parent"
    stale = load_status(Workspace(root=workspace), now=datetime.now(UTC) + timedelta(seconds=21))
    landed = len(records(workspace, "done"))
    assert landed == 5 or stale.lost_runs, "a run that was killed must not seem to run"
    outcome = run(tiny_study.grid, workspace)
    assert outcome["cells"] == {"total": 5, "done": 5, "new": 5 - landed, "failed": 0}
    assert len({record["cell_id"] for record in records(workspace, "done")}) == 5
    assert len(records(workspace, "done")) == 5
    assert mart_rows(workspace) == mart_rows(undisturbed[0])
    assert not load_status(Workspace(root=workspace)).lost_runs


def test_killed_workers_cost_one_attempt_of_one_cell_each(undisturbed, tiny_study, tmp_path):
    grid = variant(tiny_study, tmp_path / "tiny.yaml", resources={"max_attempts": 20})
    workspace = tmp_path / "w"
    process = start(grid, workspace, "--json", "--max-parallel", "1")
    moments = random.Random(2)
    killed = []
    for n_landed in range(1, N_KILLS + 1):
        # A worker that has landed a cell is at the next; deaths before a first are limited.
        wait_for(
            lambda n_landed=n_landed: (
                len(records(workspace, "done")) >= n_landed or process.poll() is not None
            )
        )
        # However fast the machine, the first of them comes before the last cell's end.
        time.sleep(moments.uniform(0, 2) if killed else 0)
        for worker in worker_processes(process):
            killed.append(worker.pid)
            worker.kill()
    outcome, _ = finish(process)
    assert outcome["cells"] == {"total": 5, "done": 5, "new": 5, "failed": 0}
    assert killed
    reasons = [record["failure_reason"] for record in records(workspace, "failed")]
    assert all("SIGKILL" in reason for reason in reasons), reasons
    assert len(records(workspace, "done")) == 5
    assert mart_rows(workspace) == mart_rows(undisturbed[0])


def test_a_rank_that_is_killed_or_hangs_is_replaced_with_its_group(tiny_study, tmp_path):
    grid = variant(
        tiny_study,
        tmp_path / "ranks.yaml",
        seeds=[0],
        volumes={"values": [0, 4], "per": "ability"},
        # Long enough that the ranks are still at it when the heartbeat tells so.
        training={"ranks": 2, "steps": 400, "epochs": None},
        resources={"stall_seconds": 30, "max_attempts": 4},
    )
    workspace = tmp_path / "w"
    process = start(grid, workspace, "--json")

    def training_ranks():
        in_training = any(w.stage == "train" and w.step for w in live_workers(workspace))
        return worker_processes(process) if in_training else []

    killed = wait_for(training_ranks)
    assert len(killed) == 2
    killed[1].kill()
    # The heartbeat is two seconds behind; it must not be taken for the next group's.
    wait_for(lambda: not any(w.stage == "train" for w in live_workers(workspace)))

    def others():
        ranks = training_ranks()
        return ranks if len(ranks) == 2 and ranks[0].pid != killed[0].pid else []

    hung = wait_for(others)
    hung[1].send_signal(signal.SIGSTOP)
    outcome, err = finish(process)
    assert outcome["cells"]["done"] == 2, err
    reasons = [record["failure_reason"] for record in records(workspace, "failed")]
    assert any("SIGKILL" in reason for reason in reasons), reasons
    assert any("reported nothing for" in reason for reason in reasons), reasons
    assert not any(p.is_running() for p in killed + hung)


# Watches how far a worker's memory grows once it is ready; beyond GROWTH bytes it may not.
WATCH_MEMORY = """
import os, pathlib, sys, threading, time

def used():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))

def watch():
    import resource
    def is_ready():
        distributed = getattr(sys.modules.get("torch"), "distributed", None)
        return distributed is not None and distributed.is_initialized()
    while not is_ready():
        time.sleep(0.05)
    time.sleep(0.5)
    before, most = used(), 0
    if "GROWTH" in os.environ:
        resource.setrlimit(resource.RLIMIT_DATA, (before + int(os.environ["GROWTH"]),) * 2)
    while True:
        if (now := used() - before) > most:
            most = now
            pathlib.Path(os.environ["SEEN"]).write_text(str(most))
        time.sleep(0.005)

if "RANK" in os.environ:
    threading.Thread(target=watch, daemon=True).start()
"""


def test_too_little_memory_halves_the_micro_batch_for_all_later_cells(tiny_study, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WATCH_MEMORY, "utf-8")
    seen = tmp_path / "seen"
    watched = os.environ | {"PYTHONPATH": str(tmp_path), "SEEN": str(seen)}
    settings = {"steps": 2, "epochs": None, "batch_size": 64, "max_length": 1100}
    common = {
        "volumes": {"values": [32]},
        "dataset": {"folder": str(long_data(tiny_study, tmp_path))},
    }
    one = variant(
        tiny_study, tmp_path / "one.yaml", seeds=[0], training=settings | {"steps": 1}, **common
    )
    finish(start(one, tmp_path / "enough", "--json", env=watched))
    # Whatever this machine takes for the whole batch, half of it does not suffice.
    half = int(seen.read_text()) // 2
    grid = variant(tiny_study, tmp_path / "long.yaml", training=settings, **common)
    workspace = tmp_path / "w"
    limited = watched | {"GROWTH": str(half)}
    process = start(grid, workspace, "--json", "--max-parallel", "1", env=limited)
    outcome, err = finish(process)
    assert outcome["cells"]["done"] == 2, err
    failed, done = records(workspace, "failed"), records(workspace, "done")
    assert failed and all("out of memory" in record["failure_reason"] for record in failed)
    first, second = sorted(done, key=lambda record: record["started_at"])
    size = first["environment"]["training"]["micro_batch_size"]
    tried = {record["cell_id"]: [] for record in done}
    for record in failed:
        tried[record["cell_id"]].append(int(record["failure_reason"].rsplit(" ", 1)[1]))
    assert sorted(tried[first["cell_id"]]) == [n for n in (1, 2, 4, 8, 16, 32, 64) if n > size]
    # The second cell starts with what the first one ended with.
    assert all(n <= size for n in tried[second["cell_id"]])
    assert second["environment"]["training"]["micro_batch_size"] <= size


def long_data(tiny_study, folder):
    """The tiny study's data with questions as long as the model reads."""
    for path in tiny_study.data.rglob("*.json"):
        target = folder / "long" / path.relative_to(tiny_study.data)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text("utf-8")
        if "full" in path.parts:
            text = text.replace('"content": "w', f'"content": "{"w1 " * 1000}w')
        target.write_text(text, "utf-8")
    return folder / "long"


def test_a_damaged_checkpoint_is_told_and_trained_anew(undisturbed, tiny_study, tmp_path):
    grid = variant(tiny_study, tmp_path / "tiny.yaml", keep_checkpoints=True)
    workspace = tmp_path / "w"
    run(grid, workspace)
    before = records(workspace, "done")
    trained = [record["cell_id"] for record in before if record["n_optimizer_steps"]]
    flipped, truncated, whole, _ = trained
    weights = workspace / "checkpoints" / flipped / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    weights = workspace / "checkpoints" / truncated / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    # As after a kill between training and landing.
    for cell_id in (flipped, truncated, whole):
        for path in (workspace / "landing").rglob(f"{cell_id}*"):
            path.unlink()
    _, err = finish(start(grid, workspace, "--json"))
    assert err.count("is damaged; the cell trains anew") == 2
    assert len(records(workspace, "done")) == 5
    assert mart_rows(workspace) == mart_rows(undisturbed[0])


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 40 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs more rights")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Leave no byte free."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as handle:
        try:
            while True:
                handle.write(b"x" * 65536)
        except OSError:
            pass
    return filler


def test_a_disk_that_fills_up_loses_nothing(undisturbed, tiny_study, small_disk):
    workspace = small_disk / "w"
    process = start(tiny_study.grid, workspace, "--max-parallel", "1")
    wait_for(lambda: has_landed(workspace))
    filler = fill(small_disk)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1 and "Traceback" not in err
    assert "make room" in err
    landed = len(records(workspace, "done"))
    message = run(tiny_study.grid, workspace, expect=2)
    assert "GB of disk and" in message and "GB free" in message
    filler.unlink()
    outcome = run(tiny_study.grid, workspace, "--retry-failed")
    assert outcome["cells"]["done"] == 5 and outcome["cells"]["new"] <= 5 - landed
    assert mart_rows(workspace) == mart_rows(undisturbed[0])


def test_models_that_do_not_load_and_losses_that_are_no_numbers_fail_alone(tiny_study, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in tiny_study.model.iterdir():
        content = path.read_bytes()
        # The header is whole, so the size is known; most weights are missing.
        short = content[: len(content) // 2] if path.suffix == ".safetensors" else content
        (broken / path.name).write_bytes(short)
    diverging = {"learning_rate": 1e30, "gradient_clipping": 0.0}
    grid = variant(
        tiny_study,
        tmp_path / "two.yaml",
        seeds=[0],
        volumes={"values": [0, 4]},
        base_models=[
            {"name": "tiny", "path": str(tiny_study.model)},
            {"name": "broken", "path": str(broken)},
        ],
        designs=[
            {"kind": "all_abilities"},
            {"kind": "single_ability", "abilities": ["code"], "training": diverging},
        ],
    )
    workspace = tmp_path / "w"
    outcome = run(grid, workspace, expect=1)
    assert outcome["cells"] == {"total": 6, "done": 2, "new": 2, "failed": 4}
    failed = records(workspace, "failed")
    # The same would happen again, so there is one attempt at each.
    assert [record["attempt"] for record in failed] == [1] * 4
    reasons = {f["label"]: f["reason"] for f in outcome["failures"]}
    (number,) = [reason for label, reason in reasons.items() if label.startswith("tiny")]
    assert number.startswith("TrainingError: the ") and "of step" in number
    assert sum("Safetensor" in reason for reason in reasons.values()) == 3
    again = run(grid, workspace, "--retry-failed", "--fail-fast", "--max-parallel", "1", expect=1)
    assert again["cells"]["failed"] == 1
    assert sorted(record["attempt"] for record in records(workspace, "failed"))[-1] == 2


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


def orchestrator(tiny_study, folder, notes):
    """One in this process, with real workers."""
    from runners.executors.local import LocalExecutor
    from runners.hardware import detect_hardware
    from runners.orchestrate import Orchestrator
    from runners.plan import make_plan
    from warehouse.workspace import open_workspace

    grid = variant(tiny_study, folder / "one.yaml", seeds=[0], volumes={"values": [0]})
    workspace = open_workspace(folder / "w", create=True)
    executor = LocalExecutor(workspace, detect_hardware())
    plan = make_plan(str(grid), workspace, executor.hardware, workspace.data)
    return Orchestrator(plan, workspace, executor, max_parallel=1, on_note=notes.append)


def test_a_port_that_is_taken_costs_a_second_start(tiny_study, tmp_path, monkeypatch):
    import socket

    from runners import worker_group

    notes = []
    runner = orchestrator(tiny_study, tmp_path, notes)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [taken.getsockname()[1], worker_group.free_port()]
        monkeypatch.setattr(worker_group, "free_port", lambda: ports.pop(0))
        progress = runner.run()
    assert progress.n_done == 1 and not ports
    assert any("did not start and is started again" in note for note in notes)
    assert any("address already in use" in note.lower() for note in notes)


def test_workers_that_never_start_end_the_run_with_one_sentence(tiny_study, tmp_path, monkeypatch):
    from runners import worker_group
    from warehouse.errors import WorkError

    runner = orchestrator(tiny_study, tmp_path, [])
    monkeypatch.setattr(worker_group.sys, "executable", "/bin/false")
    with pytest.raises(WorkError, match="Worker 0 could not be started in 3 attempts"):
        runner.run()


def test_an_ingest_that_fails_on_the_way_is_told_and_the_grid_goes_on(
    tiny_study, tmp_path, monkeypatch
):
    from runners import ingestion

    notes = []
    runner = orchestrator(tiny_study, tmp_path, notes)
    monkeypatch.setattr(ingestion, "_EVERY_SECONDS", 0.0)
    real = runner._ingestion._start
    starts = []

    def first_fails():
        starts.append(1)
        return subprocess.Popen(["/bin/false"]) if len(starts) == 1 else real()

    monkeypatch.setattr(runner._ingestion, "_start", first_fails)
    (tmp_path / "w" / "heartbeats").mkdir(exist_ok=True)
    runner._ingestion._log.touch()
    runner._ingestion.has_landed = True
    assert runner.run().n_done == 1
    assert len(starts) >= 2
    assert any("could not be ingested" in note for note in notes)
