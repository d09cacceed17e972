"""The orchestrator's end of one worker: its processes, pipes and cores."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

from runners.gpu_memory import used_gpu_bytes, wait_until_freed
from runners.hardware import Hardware
from runners.job import Cause, Event, Job
from warehouse.workspace import Workspace

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_REPOSITORY = Path(__file__).resolve().parent.parent
# A step on the CPU frees its gradients and activations, and the next asks for them again: PyTorch
# asks for huge pages, and the C library gives no memory back in between (nor maps large blocks
# apart, which are always given back), so that steps do not begin with page faults.
ALLOCATION = {
    "THP_MEM_ALLOC_ENABLE": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
}
# How long the other ranks of a failed group may take to say, or to show, what became of them.
_INQUEST_SECONDS = 3.0


def free_port() -> int:
    """Return a TCP port that is free now; should it be taken meanwhile, the start is retried."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _settle(cores: Sequence[int], parent: int) -> None:
    """In the child, before it runs anything: take its cores, if any, and die with the parent.

    The kernel keeps the death signal across exec, so it holds from the first instruction on.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if cores:
        os.sched_setaffinity(0, cores)


def _visible_gpu(number: int) -> str:
    """Return the name of a GPU among those that this process may see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[number].strip() if visible else str(number)


def _killed_for_memory() -> int:
    """Return how many processes the kernel has killed on this machine for lack of memory."""
    try:
        lines = Path("/proc/vmstat").read_text("ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


class WorkerGroup:
    """The rank processes of one worker, each with its own cores or GPU.

    Parameters
    ----------
    cores : sequence of int
        Cores shared out among the ranks; a core is never shared with another worker, since
        OpenMP threads that spin against each other are an order of magnitude slower.
    gpus : sequence of int
        One GPU a rank, by number among the visible ones, or empty on a machine without.
    log : Path
        File that takes everything the processes print.
    pin : bool
        False where someone else shares out the machine: `cores` then only counts threads.
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
        pin: bool = True,
    ) -> None:
        self.index = index
        self.log = log
        self._gpus = [_visible_gpu(number) for number in gpus]
        self._gpu_bytes = used_gpu_bytes(self._gpus)
        self._killed_before = _killed_for_memory()
        self._failures: dict[int, Event] = {}
        log.parent.mkdir(parents=True, exist_ok=True)
        port = free_port()
        per_rank = max(1, len(cores) // ranks)
        self._processes = []
        with log.open("ab") as output:
            for rank in range(ranks):
                mine = cores[rank * per_rank : (rank + 1) * per_rank] or cores[:1]
                environment = {
                    "RANK": str(rank),
                    "LOCAL_RANK": "0" if gpus else str(rank),
                    "WORLD_SIZE": str(ranks),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                    "OMP_NUM_THREADS": str(len(mine)),
                    "DS_ACCELERATOR": hardware.accelerator,
                }
                if gpus:
                    environment["CUDA_VISIBLE_DEVICES"] = self._gpus[rank]
                self._processes.append(_start(workspace, environment, mine if pin else (), output))
        self._buffers = [b""] * ranks
        for descriptor in self.event_descriptors:
            os.set_blocking(descriptor, False)

    @property
    def event_descriptors(self) -> list[int]:
        """File descriptors to wait on for events, one a rank."""
        return [process.stdout.fileno() for process in self._processes if process.stdout]

    def send(self, job: Job) -> None:
        """Give all ranks the next job."""
        self._failures.clear()
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
        """Return the events that have arrived and whether all ranks still live.

        Rank 0 speaks for the group. Another rank only says why it fails, which counts for more
        than the broken connection that rank 0 sees then.
        """
        heard, alive = [], True
        for rank, descriptor in enumerate(self.event_descriptors):
            events, is_open = self._read(rank, descriptor)
            alive = alive and is_open
            for event in events:
                if event.kind == "failed":
                    self._failures[rank] = event
                if rank == 0:
                    heard.append(event)
        if len(self._processes) > 1 and heard and heard[-1].kind == "failed":
            heard[-1] = self.describe_death()
        return heard, alive

    def _read(self, rank: int, descriptor: int) -> tuple[list[Event], bool]:
        """Return what one rank has written, and whether it may write more."""
        while True:
            try:
                chunk = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                break
            if not chunk:
                return self._split(rank), False
            self._buffers[rank] += chunk
        return self._split(rank), True

    def _split(self, rank: int) -> list[Event]:
        *lines, self._buffers[rank] = self._buffers[rank].split(b"\n")
        return [Event.model_validate_json(line) for line in lines if line]

    def describe_death(self) -> Event:
        """Say why the group can't go on: what a rank reported, or how its process ended."""
        deadline = time.monotonic() + _INQUEST_SECONDS
        while True:
            # Looked at once, before the pipes: a process may speak, or end, between two looks.
            codes = [process.poll() for process in self._processes]
            for rank, descriptor in enumerate(self.event_descriptors):
                for event in self._read(rank, descriptor)[0]:
                    if event.kind == "failed":
                        self._failures[rank] = event
            told = [e for e in self._failures.values() if e.cause is not Cause.SURROUNDINGS]
            if told:
                return told[0]
            if killed := [code for code in codes if code is not None and code < 0]:
                return self._describe_signal(signal.Signals(-killed[0]))
            # Asked after the look, since a machine may be stopped for longer than that.
            if None not in codes or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        for event in self._failures.values():
            return event
        left = [code for code in codes if code]
        ended = f"ended with exit code {left[0]}" if left else "closed its pipe"
        return Event(
            kind="failed",
            reason=f"a worker process {ended} ({self._last_words()}); see {self.log}",
            cause=Cause.DIED,
        )

    def _last_words(self) -> str:
        lines = self.log.read_text("utf-8", errors="replace").strip().splitlines()
        return lines[-1].strip()[:300] if lines else "it printed nothing"

    def _describe_signal(self, ended_by: signal.Signals) -> Event:
        reason = f"a worker process was ended by {ended_by.name}"
        if ended_by is signal.SIGKILL and _killed_for_memory() > self._killed_before:
            return Event(
                kind="failed",
                reason=f"{reason}: the kernel ran out of memory",
                cause=Cause.OUT_OF_MEMORY,
            )
        return Event(kind="failed", reason=reason, cause=Cause.DIED)

    def stop(self) -> None:
        """End all ranks; one that does not leave within five seconds is killed."""
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None and not pipe.closed:
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        pass
        deadline = time.monotonic() + 5
        for process in self._processes:
            try:
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _kill_group(process)
                process.wait()

    def kill(self) -> str | None:
        """End all ranks and what they started at once, and wait for their GPU memory.

        Returns
        -------
        str or None
            That memory is still taken, if it is.
        """
        for process in self._processes:
            _kill_group(process)
        self.stop()
        if wait_until_freed(self._gpus, self._gpu_bytes):
            return None
        return (
            f"memory of GPU {', '.join(self._gpus)} is still in use; look for other processes "
            "there (nvidia-smi) if the next one runs out of memory"
        )


def _start(
    workspace: Workspace, environment: dict[str, str], cores: Sequence[int], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start one rank."""
    fixed = {
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    preferred = ALLOCATION if environment["DS_ACCELERATOR"] == "cpu" else {}
    return subprocess.Popen(
        [sys.executable, "-m", "runners.worker", str(workspace.root.resolve())],
        cwd=_REPOSITORY,
        env=preferred | os.environ | fixed | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        # Its own process group, so that Ctrl-C reaches the orchestrator alone, which then
        # stops workers in order.
        start_new_session=True,
        preexec_fn=partial(_settle, cores, os.getpid()),
    )


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a rank and the processes that it started, compilers and data loaders for example."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
