"""DeepSpeed's launcher on two "machines" that are both this one, started by hand as without ssh."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from runners.worker_group import free_port

DEEPSPEED = Path(sys.executable).with_name("deepspeed")


def write_jobs(grid, workspace, jobs, *more):
    command = [sys.executable, "cli.py", "write-jobs", str(grid), str(jobs)]
    done = subprocess.run(
        [*command, "--workspace", str(workspace), *more],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def launch_on_two_hosts(folder, workspace, jobs):
    hosts = folder / "hosts"
    hosts.write_text("localhost slots=1\n127.0.0.1 slots=1\n", "utf-8")
    port = str(free_port())
    launches = []
    for node in ("0", "1"):
        command = [str(DEEPSPEED), "--hostfile", str(hosts), "--no_ssh", "--node_rank", node]
        command += ["--master_addr", "127.0.0.1", "--master_port", port]
        command += ["--module", "runners.hosts_worker", str(workspace), str(jobs)]
        launches.append(
            subprocess.Popen(
                command,
                env=os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    ends = []
    try:
        for launch in launches:
            output, _ = launch.communicate(timeout=300)
            ends.append((launch.returncode, "\n".join(output.splitlines()[-40:])))
    finally:
        for launch in launches:
            launch.kill()
            launch.communicate()
    return ends


def runs(workspace):
    return [json.loads(p.read_text("utf-8")) for p in (workspace / "landing" / "run").glob("*")]


@pytest.mark.slow
def test_two_hosts_do_a_grids_jobs_together_and_a_failed_cell_is_recorded(tiny_study, tmp_path):
    document = yaml.safe_load(tiny_study.grid.read_text("utf-8"))
    document["dataset"] = {"folder": str(tiny_study.data)}
    document["volumes"] = {"values": [4]}
    grid, workspace, jobs = tmp_path / "tiny.yaml", tmp_path / "workspace", tmp_path / "jobs.jsonl"
    grid.write_text(yaml.safe_dump(document), "utf-8")
    assert "2 of 2 cells" in write_jobs(grid, workspace, jobs)

    ends = launch_on_two_hosts(tmp_path, workspace, jobs)
    assert [code for code, _ in ends] == [0, 0], ends
    done = runs(workspace)
    assert {run["status"] for run in done} == {"done"} and len(done) == 2
    assert all(run["environment"]["placement"]["ranks"] == 2 for run in done)
    # The same jobs again, as after a kill of the launcher: what is done is left alone.
    before = sorted((workspace / "landing").rglob("*.*"))
    ends = launch_on_two_hosts(tmp_path, workspace, jobs)
    assert [code for code, _ in ends] == [0, 0], ends
    assert sorted((workspace / "landing").rglob("*.*")) == before
    assert not any("train" in output for _, output in ends)
    assert "0 of 2 cells" in write_jobs(grid, workspace, jobs)

    # A cell whose loss is no number fails for good; the launch ends, and its record says why.
    document["training"]["learning_rate"] = 1e30
    document["seeds"] = [0]
    grid.write_text(yaml.safe_dump(document), "utf-8")
    assert "1 of 1 cells" in write_jobs(grid, workspace, jobs)
    ends = launch_on_two_hosts(tmp_path, workspace, jobs)
    assert all(code != 0 for code, _ in ends), ends
    (failed,) = [run for run in runs(workspace) if run["status"] == "failed"]
    assert failed["failure_stage"] == "train"
    assert "lower training.learning_rate" in failed["failure_reason"]
    assert "0 of 1 cells" in write_jobs(grid, workspace, jobs)
    assert "1 of 1 cells" in write_jobs(grid, workspace, jobs, "--retry-failed")
