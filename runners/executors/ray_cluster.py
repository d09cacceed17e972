"""Workers on the nodes of a Ray cluster; results land in a workspace that all nodes share.

Every slot is a Ray actor that asks for a worker's GPUs (or cores) and runs the same worker group
there as on a single machine. When a node is lost, its actors are too: the orchestrator hears of it
as of a killed worker, and a new actor waits until Ray finds it a place.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runners.executors import WorkerHandle
from runners.hardware import Hardware
from runners.job import Cause, Event, Job
from warehouse.errors import InputError, MissingDependencyError
from warehouse.workspace import Workspace

if TYPE_CHECKING:
    from runners.worker_group import WorkerGroup

_POLL_SECONDS = 0.5
# A group ends within 5 seconds, and its GPUs' memory is awaited for 10 more.
_END_SECONDS = 20.0
_REPOSITORY = Path(__file__).resolve().parent.parent.parent


class NodeWorker:
    """The actor: a worker group on whatever node Ray has put it.

    Parameters
    ----------
    root : str
        The workspace; the same folder on every node.
    """

    def __init__(self, index: int, root: str, ranks: int, n_gpus: int, n_cores: int) -> None:
        from runners.worker_group import WorkerGroup

        host = socket.gethostname()
        workspace = Workspace(root=Path(root))
        self._group: WorkerGroup = WorkerGroup(
            index,
            workspace,
            Hardware(cores=tuple(range(n_cores)), n_gpus=n_gpus),
            ranks=ranks,
            cores=range(n_cores),
            gpus=range(n_gpus),
            log=workspace.heartbeats / f"ray-{host}-worker{index}.log",
            # Ray counts cores but doesn't say which.
            pin=False,
        )

    def send(self, job: str) -> None:
        """Pass a job on."""
        self._group.send(Job.model_validate_json(job))

    def poll(self) -> tuple[list[str], bool]:
        """Wait a little for events; return them and whether the group lives."""
        select.select(self._group.event_descriptors, [], [], _POLL_SECONDS)
        events, is_alive = self._group.read_events()
        return [event.model_dump_json() for event in events], is_alive

    def describe_death(self) -> str:
        """Return how the group ended."""
        return self._group.describe_death().model_dump_json()

    def stop(self) -> None:
        """End the group."""
        self._group.stop()

    def kill(self) -> str | None:
        """End the group at once; return what is left of it."""
        return self._group.kill()


@dataclass(kw_only=True)
class RayWorker:
    """The orchestrator's end of one actor."""

    index: int
    actor: Any
    polled: Any = None
    lost: str | None = None
    is_over: bool = False

    def send(self, job: Job) -> None:
        """Give the group its next job."""
        self.actor.send.remote(job.model_dump_json())

    def read_events(self) -> tuple[list[Event], bool]:
        """Return what the last poll brought, and ask for more."""
        import ray

        if self.is_over:
            return [], False
        try:
            lines, is_alive = ray.get(self.polled)
        except ray.exceptions.RayError as error:
            self.lost, self.is_over = _first_line(error), True
            return [], False
        if is_alive:
            self.polled = self.actor.poll.remote()
        else:
            self.is_over = True
        return [Event.model_validate_json(line) for line in lines], is_alive

    def describe_death(self) -> Event:
        """Return what the group's ranks say, or that its node is gone."""
        import ray

        if self.lost is None:
            try:
                return Event.model_validate_json(ray.get(self.actor.describe_death.remote()))
            except ray.exceptions.RayError as error:
                self.lost = _first_line(error)
        return Event(
            kind="failed",
            reason=f"the worker or its node was lost ({self.lost})",
            cause=Cause.DIED,
        )

    def stop(self) -> None:
        """End the group, then the actor."""
        self._end("stop")

    def kill(self) -> str | None:
        """End the group at once, then the actor; return what is left of it."""
        return self._end("kill")

    def _end(self, how: str) -> str | None:
        import ray

        left: str | None = None
        if self.lost is None:
            try:
                # A pending actor has no group yet.
                left = ray.get(getattr(self.actor, how).remote(), timeout=_END_SECONDS)
            except ray.exceptions.RayError:
                pass
        # The ranks die with the actor, should it not have answered.
        ray.kill(self.actor)
        return left


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _probe(address: str | None) -> None:
    """Raise OSError if nobody listens at host:port; Ray itself would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "//" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


class RayExecutor:
    """Workers as actors of a Ray cluster.

    Parameters
    ----------
    address : str or None
        Of a running cluster ("auto" finds the one that this machine belongs to); None: the one of
        RAY_ADDRESS, else a new one on this machine alone.

    Raises
    ------
    MissingDependencyError
        If Ray is not installed.
    InputError
        If there is no cluster at the address.
    """

    name = "ray"

    def __init__(self, workspace: Workspace, hardware: Hardware, address: str | None) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError(
                "--executor ray needs the extra ray: pip install -e '.[ray]'."
            ) from error
        self.workspace = workspace
        # Whatever log_to_driver says, Ray prints the end of a node on standard output.
        self._quiet = contextlib.ExitStack()
        self._quiet.enter_context(contextlib.redirect_stdout(sys.stderr))
        try:
            _probe(address)
            ray.init(
                address=address,
                namespace="growthpace",
                log_to_driver=False,
                include_dashboard=False,
                # Nodes run the same checkout, at the same path as here.
                runtime_env={"env_vars": {"PYTHONPATH": str(_REPOSITORY)}},
            )
        except (OSError, ValueError, RuntimeError) as error:
            self._quiet.close()
            raise InputError(
                f"There is no Ray cluster at {address or 'RAY_ADDRESS'} "
                f"({_first_line(error)}); start one with `ray start --head` or "
                "correct --ray-address."
            ) from error
        self._nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        n_gpus = max(int(node.get("GPU", 0)) for node in self._nodes)
        self.hardware = replace(hardware, n_gpus=n_gpus)

    def count_workers(self, ranks: int) -> int:
        """Return how many workers the nodes hold: a worker lies on one node."""
        resource = "GPU" if self.hardware.n_gpus else "CPU"
        room = sum(int(node.get(resource, 0)) // ranks for node in self._nodes)
        if not room:
            largest = max((int(node.get(resource, 0)) for node in self._nodes), default=0)
            raise InputError(
                f"training.ranks: {ranks} {resource}s on one node are asked for and the cluster's "
                f"largest node has {largest}; lower training.ranks or add a node."
            )
        return room

    def describe_share(self, ranks: int, n_workers: int) -> dict[str, str | int]:
        """Return executor, GPUs and cores of one worker."""
        n_gpus = ranks if self.hardware.n_gpus else 0
        return {"executor": self.name, "ranks": ranks, "n_gpus": n_gpus, "n_cores": ranks}

    def start(self, index: int, n_workers: int, ranks: int, log: Path) -> RayWorker:
        """Ask for an actor; Ray puts it where a worker's GPUs or cores are free."""
        import ray

        share = self.describe_share(ranks, n_workers)
        options = {
            "num_gpus": share["n_gpus"],
            "num_cpus": share["n_cores"],
            # The orchestrator itself decides what comes after a loss.
            "max_restarts": 0,
        }
        actor: Any = (
            ray.remote(NodeWorker)
            .options(**options)
            .remote(
                index,
                str(self.workspace.root.resolve()),
                ranks,
                share["n_gpus"],
                share["n_cores"],
            )
        )
        return RayWorker(index=index, actor=actor, polled=actor.poll.remote())

    def wait(self, workers: Sequence[WorkerHandle], timeout: float) -> Sequence[WorkerHandle]:
        """Return the workers whose last poll has come back."""
        import ray

        polls = {w.polled: w for w in workers if isinstance(w, RayWorker)}
        ready, _ = ray.wait(list(polls), num_returns=len(polls), timeout=timeout)
        return [polls[poll] for poll in ready]

    def close(self) -> None:
        """Leave the cluster; it stays."""
        import ray

        ray.shutdown()
        self._quiet.close()
