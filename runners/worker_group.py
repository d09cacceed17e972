"""The orchestrator's end of one worker: its processes, pipes and cores."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

from runners.hardware import Hardware
from runners.job import Event, Job
from warehouse.workspace import Workspace

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_REPOSITORY = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """Return a TCP port that is free now on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _settle(cores: Sequence[int], parent: int) -> None:
    """In the child, before it runs anything: take its cores, and die when the parent does.

    The kernel keeps the death signal across exec, so it holds from the first instruction on.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.sched_setaffinity(0, cores)


class WorkerGroup:
    """The rank processes of one worker, each with its own cores or GPU.

    Parameters
    ----------
    cores : sequence of int
        Cores shared out among the ranks; a core is never shared with another worker, since
        OpenMP threads that spin against each other are an order of magnitude slower.
    gpus : sequence of int
        One GPU a rank, or empty on a machine without.
    log : Path
        File that takes everything the processes print.
    """

    def __init__(
        self,
        index: int,
        workspace: Workspace,
        hardware: Hardware,
        *,
        ranks: int,
        cores: Sequence[int],
        gpus: Sequence[int],
        log: Path,
    ) -> None:
        self.index = index
        self.job: Job | None = None
        self.log = log
        self._buffer = b""
        log.parent.mkdir(parents=True, exist_ok=True)
        port = free_port()
        per_rank = max(1, len(cores) // ranks)
        self._processes = []
        with log.open("ab") as output:
            for rank in range(ranks):
                mine = cores[rank * per_rank : (rank + 1) * per_rank] or cores[:1]
                self._processes.append(
                    self._start(workspace, hardware, rank, ranks, port, mine, gpus, output)
                )

    def _start(
        self,
        workspace: Workspace,
        hardware: Hardware,
        rank: int,
        ranks: int,
        port: int,
        cores: Sequence[int],
        gpus: Sequence[int],
        log: IO[bytes],
    ) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "RANK": str(rank),
            "LOCAL_RANK": "0" if gpus else str(rank),
            "WORLD_SIZE": str(ranks),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": str(len(cores)),
            "DS_ACCELERATOR": hardware.accelerator,
            "PYTHONUNBUFFERED": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
        }
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = str(gpus[rank])
        return subprocess.Popen(
            [sys.executable, "-m", "runners.worker", str(workspace.root.resolve())],
            cwd=_REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # Its own process group, so that Ctrl-C reaches the orchestrator alone, which then
            # stops workers in order.
            start_new_session=True,
            preexec_fn=partial(_settle, cores, os.getpid()),
        )

    @property
    def events_fd(self) -> int:
        """File descriptor to wait on for events."""
        stdout = self._processes[0].stdout
        assert stdout is not None
        return stdout.fileno()

    def send(self, job: Job) -> None:
        """Give all ranks the next job."""
        self.job = job
        line = (job.model_dump_json() + "\n").encode()
        for process in self._processes:
            assert process.stdin is not None
            try:
                process.stdin.write(line)
                process.stdin.flush()
            except BrokenPipeError:
                # The process is gone; its closed event pipe tells the orchestrator so.
                return

    def read_events(self) -> tuple[list[Event], bool]:
        """Return the events that have arrived and whether the pipe is still open."""
        chunk = os.read(self.events_fd, 1 << 16)
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        return [Event.model_validate_json(line) for line in lines if line], bool(chunk)

    def describe_death(self) -> str:
        """Say how the group's processes ended, for a failure record."""
        for process in self._processes:
            try:
                code = process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                continue
            if code < 0:
                return f"a worker process was ended by {signal.Signals(-code).name}"
            if code > 0:
                return f"a worker process ended with exit code {code}; see {self.log}"
        return f"a worker process closed its pipe; see {self.log}"

    def stop(self) -> None:
        """End all ranks; one that does not leave within five seconds is killed."""
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        pass
        for process in self._processes:
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill(self) -> None:
        """End all ranks at once."""
        for process in self._processes:
            process.kill()
        self.stop()
