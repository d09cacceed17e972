"""Jobs of one grid on several machines through DeepSpeed's own launcher and hostfile.

`cli.py write-jobs` writes the jobs; every process that the launcher starts runs this module. All
machines see the workspace, the models and this checkout at the same paths (a shared file system).
Results land there as from any other worker; `cli.py ingest` takes them up.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO, cast

from runners.grid import Cell
from runners.hardware import Hardware, detect_hardware
from runners.job import Event, Job
from runners.landed import is_done, land_failure
from runners.memory import choose_sharding, read_shape
from runners.plan import RunPlan, make_job
from warehouse.landing import write_atomically
from warehouse.records import RecordKind
from warehouse.workspace import Workspace


def write_jobs(workspace: Workspace, plan: RunPlan, cells: Iterable[Cell], path: Path) -> int:
    """Prepare the data of cells and write their jobs, one a line; return how many."""
    lines = [
        make_job(workspace, plan, cell, plan.attempts[cell.record.cell_id] + 1).model_dump_json()
        for cell in cells
    ]
    text = "".join(line + "\n" for line in lines)
    write_atomically(path, lambda target: target.write_text(text, "utf-8"))
    return len(lines)


class _Reporter:
    """Takes a worker's events: rank 0 lands failures, and says what happens."""

    def __init__(self, workspace: Workspace) -> None:
        self.job: Job | None = None
        self.has_failed = False
        self._workspace = workspace
        self._began = datetime.now(UTC)

    def begin(self, job: Job) -> None:
        self.job, self._began = job, datetime.now(UTC)

    def write(self, line: str) -> int:
        event = Event.model_validate_json(line)
        label = self.job.cell.label if self.job else ""
        if event.kind == "failed":
            self.has_failed = True
            if os.environ["RANK"] == "0":
                self._land_failure(event)
        step = f" {event.step}/{event.n_steps}" if event.step is not None else ""
        reason = f": {event.reason}" if event.reason else ""
        print(f"{label} {event.stage or event.kind}{step}{reason}", file=sys.stderr)
        return len(line)

    def flush(self) -> None:
        sys.stderr.flush()

    def _land_failure(self, event: Event) -> None:
        assert self.job is not None
        stem = f"{self.job.cell.cell_id}-{self.job.attempt}"
        if (self._workspace.landing / RecordKind.RUN.value / f"{stem}.json").exists():
            return
        land_failure(
            self._workspace,
            self.job.cell.cell_id,
            self.job.attempt,
            stage=event.stage,
            reason=event.reason or "no reason given",
            is_retried=False,
            started_at=self._began,
            placement=self.job.placement,
            data_hash=self.job.dataset_hash,
            price_per_hour=self.job.price_per_hour,
        )


def _settled(line: str, workspace: Workspace, hardware: Hardware, ranks: int) -> Job | None:
    """Read a job and decide what it leaves open, by the model's size and rank 0's machine.

    None if the cell is done: a launch that was killed is started with the same jobs.
    """
    job = Job.model_validate_json(line)
    if is_done(workspace, job.cell.cell_id):
        return None
    placement: dict[str, str | int] = {"executor": "hostfile", "ranks": ranks}
    training = job.training
    if training is not None:
        shape = read_shape(job.model_folder, job.cell.n_params)
        training = choose_sharding(shape, training, hardware, ranks).apply_to(training)
    return job.model_copy(update={"training": training, "placement": placement})


def _all_memory(hardware: Hardware, ranks: int) -> Hardware:
    """Return the hardware with the main memory of all machines together, as the ranks share it."""
    n_machines = max(1, ranks // int(os.environ.get("LOCAL_SIZE", ranks)))
    host = hardware.host_memory_bytes
    return replace(hardware, host_memory_bytes=None if host is None else host * n_machines)


def main() -> int:
    """Do the jobs of a file in order; stop at the first that fails (0: all done)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("jobs", type=Path)
    # DeepSpeed's launcher adds it; the rank itself comes through the environment.
    parser.add_argument("--local_rank", type=int, default=0)
    arguments = parser.parse_args()
    hardware = detect_hardware()
    os.environ["DS_ACCELERATOR"] = hardware.accelerator
    # Minutes that a process waits for the others, e.g. while rank 0 scores.
    os.environ.setdefault("DEEPSPEED_TIMEOUT", str(24 * 60))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        local_ranks = int(os.environ.get("LOCAL_SIZE", "1"))
        torch.set_num_threads(max(1, len(hardware.cores) // local_ranks))
    if hardware.n_gpus:
        torch.cuda.set_device(arguments.local_rank)

    from runners.engine import start_deepspeed
    from runners.worker import Worker

    start_deepspeed(hardware.accelerator)
    workspace = Workspace(root=arguments.workspace)
    reporter = _Reporter(workspace)
    worker = Worker(workspace, cast(TextIO, reporter))
    ranks = int(os.environ["WORLD_SIZE"])
    for line in arguments.jobs.read_text("utf-8").splitlines():
        # Rank 0 decides for all: machines may differ, and may not see the same files at once.
        settled: list[Job | None] = [None]
        if worker.rank == 0:
            settled = [_settled(line, workspace, _all_memory(hardware, ranks), ranks)]
        torch.distributed.broadcast_object_list(settled)
        if (job := settled[0]) is None:
            continue
        reporter.begin(job)
        worker.run(job)
        if reporter.has_failed:
            # The other processes may wait for this one for ever; the launcher ends them.
            return 1
        # The others wait while rank 0 scores.
        torch.distributed.barrier()
    # Nobody leaves while another still hears from him that nothing is left.
    torch.distributed.barrier()
    return 0


if __name__ == "__main__":
    sys.exit(main())
