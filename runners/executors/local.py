"""Workers on this machine: a slot for every GPU or core, or as many as a cell's ranks need."""

from __future__ import annotations

import select
from collections.abc import Sequence
from pathlib import Path

from runners.executors import WorkerHandle
from runners.hardware import Hardware
from runners.worker_group import WorkerGroup
from warehouse.errors import InputError
from warehouse.workspace import Workspace


class LocalExecutor:
    """Worker groups as child processes, each with cores and GPUs of its own."""

    name = "local"

    def __init__(self, workspace: Workspace, hardware: Hardware) -> None:
        self.workspace = workspace
        self.hardware = hardware

    def count_workers(self, ranks: int) -> int:
        """Return how many groups of `ranks` fit; ranks may share a core, but never a GPU."""
        hardware = self.hardware
        if hardware.n_gpus and ranks > hardware.n_gpus:
            raise InputError(
                f"training.ranks: {ranks} GPUs are asked for and this machine has "
                f"{hardware.n_gpus}; lower training.ranks or use another executor."
            )
        return max(1, (hardware.n_gpus or len(hardware.cores)) // ranks)

    def describe_share(self, ranks: int, n_workers: int) -> dict[str, str | int]:
        """Return executor, GPUs and cores of one worker."""
        return {
            "executor": self.name,
            "ranks": ranks,
            "n_gpus": ranks if self.hardware.n_gpus else 0,
            "n_cores": max(1, len(self.hardware.cores) // n_workers),
        }

    def start(self, index: int, n_workers: int, ranks: int, log: Path) -> WorkerGroup:
        """Start the group of slot `index` on its own cores and GPUs."""
        cores = self.hardware.cores
        share = max(1, len(cores) // n_workers)
        gpus = range(self.hardware.n_gpus)[index * ranks : (index + 1) * ranks]
        return WorkerGroup(
            index,
            self.workspace,
            self.hardware,
            ranks=ranks,
            cores=cores[index * share : (index + 1) * share] or cores,
            gpus=list(gpus),
            log=log,
        )

    def wait(self, workers: Sequence[WorkerHandle], timeout: float) -> Sequence[WorkerHandle]:
        """Return the groups with an event, or an end, of any of their ranks."""
        poll = select.poll()
        owners: dict[int, WorkerGroup] = {}
        for worker in workers:
            assert isinstance(worker, WorkerGroup)
            for descriptor in worker.event_descriptors:
                owners[descriptor] = worker
                poll.register(descriptor, select.POLLIN)
        found = {owners[descriptor].index: descriptor for descriptor, _ in poll.poll(timeout * 1e3)}
        return [owners[descriptor] for descriptor in found.values()]

    def close(self) -> None:
        """Nothing is left once the groups have ended."""
