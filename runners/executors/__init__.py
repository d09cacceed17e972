"""Where workers live: on this machine, or on the nodes of a Ray cluster.

The orchestrator sees workers through these two interfaces alone, so that queue, retries,
heartbeats and records are the same wherever a cell runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from runners.hardware import Hardware
from runners.job import Event, Job


class WorkerHandle(Protocol):
    """One live worker: a group of rank processes that does one cell after another."""

    index: int

    def send(self, job: Job) -> None:
        """Give the worker its next job."""

    def read_events(self) -> tuple[list[Event], bool]:
        """Return what has been reported since the last call, and whether the worker lives."""

    def describe_death(self) -> Event:
        """Return a `failed` event that says how the worker ended."""

    def stop(self) -> None:
        """End the worker; it has no job."""

    def kill(self) -> str | None:
        """End the worker with all its processes, whatever it does; returns when it is gone.

        Returns
        -------
        str or None
            What of it is still there, as the end of a sentence.
        """


class Executor(Protocol):
    """A place where workers can be started."""

    name: str
    # Of the largest machine among those that workers run on: what plans are made for.
    hardware: Hardware

    def count_workers(self, ranks: int) -> int:
        """Return how many workers of so many ranks can run at once.

        Raises
        ------
        InputError
            If there is no room for a single one.
        """

    def describe_share(self, ranks: int, n_workers: int) -> dict[str, str | int]:
        """Return what one of `n_workers` workers gets, for the run record and its price."""

    def start(self, index: int, n_workers: int, ranks: int, log: Path) -> WorkerHandle:
        """Start a worker; it reports `ready` when it can take a job."""

    def wait(self, workers: Sequence[WorkerHandle], timeout: float) -> Sequence[WorkerHandle]:
        """Return the workers that have something to report, after `timeout` seconds at most."""

    def close(self) -> None:
        """Let go of everything; all workers have been stopped or killed."""
