"""What an orchestrator makes of a worker process that has ended."""

import os

import pytest

from runners import worker_group
from runners.hardware import Hardware
from runners.worker_group import WorkerGroup
from warehouse.workspace import Workspace


class EndingProcess:
    """A process whose end shows only at the second look: its files are closed before it exits."""

    def __init__(self, returncode):
        self.returncodes = [None, returncode, returncode]
        reading, writing = os.pipe()
        os.close(writing)
        self.stdout = os.fdopen(reading)

    def poll(self):
        return self.returncodes.pop(0)


@pytest.mark.parametrize(
    ("returncode", "told"), [(-9, "was ended by SIGKILL"), (3, "ended with exit code 3")]
)
def test_a_process_that_ends_between_two_looks_is_told_as_it_ended(
    returncode, told, tmp_path, monkeypatch
):
    process = EndingProcess(returncode)
    monkeypatch.setattr(worker_group, "_start", lambda *_: process)
    hardware = Hardware(cores=(0,), n_gpus=0)
    log = tmp_path / "worker.log"
    group = WorkerGroup(0, Workspace(root=tmp_path), hardware, ranks=1, cores=[0], gpus=[], log=log)
    assert told in group.describe_death().reason
    process.stdout.close()
