"""Runs a plan: workers, retries, heartbeats, progress and ingestion on the way.

The orchestrator holds no result: everything that counts is in landing files, so it may be killed at
any moment and started again.
"""

from __future__ import annotations

import os
import selectors
import shutil
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from runners.environment import describe_environment, git_commit
from runners.grid import Cell
from runners.job import Event
from runners.plan import RunPlan, land_plan, make_job
from runners.worker_group import WorkerGroup
from warehouse.errors import BusyError, WorkError
from warehouse.landing import write_atomically, write_document
from warehouse.records import Heartbeat, RecordKind, RunRecord, RunStatus, WorkerState
from warehouse.workspace import Workspace

MAX_ATTEMPTS = 2
_HEARTBEAT_SECONDS = 2.0
_INGEST_SECONDS = 30.0
_CLI = Path(__file__).resolve().parent.parent / "cli.py"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A cell that could not be done and why."""

    cell_id: str
    label: str
    stage: str
    reason: str


@dataclass(kw_only=True)
class Progress:
    """Where a run stands; shown by the CLI and written to the heartbeat."""

    n_total: int
    n_done: int = 0
    failures: list[Failure] = field(default_factory=list)
    seconds_planned: float = 0.0
    seconds_finished: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def eta_seconds(self) -> float | None:
        """Time left at the speed so far; None before the first cell is finished."""
        if not self.seconds_finished:
            return None
        elapsed = time.monotonic() - self.began
        return elapsed * (self.seconds_planned / self.seconds_finished - 1)


@dataclass(kw_only=True)
class _Slot:
    """One worker and what it is busy with."""

    group: WorkerGroup
    cell: Cell | None = None
    state: WorkerState | None = None
    ready: bool = False


class Orchestrator:
    """One `run-grid` on one workspace."""

    def __init__(
        self,
        plan: RunPlan,
        workspace: Workspace,
        *,
        max_parallel: int | None = None,
        retry_failed: bool = False,
        fail_fast: bool = False,
        on_progress: Callable[[Progress, list[WorkerState]], None] = lambda progress, states: None,
    ) -> None:
        self.plan = plan
        self.workspace = workspace
        self.fail_fast = fail_fast
        self.on_progress = on_progress
        todo = plan.pending(retry_failed=retry_failed)
        self._queue: deque[Cell] = deque(todo)
        self._attempts = dict(plan.attempts)
        self._tries: dict[str, int] = {}
        self.progress = Progress(
            n_total=len(plan.cells),
            n_done=len(plan.done),
            seconds_planned=sum(plan.seconds[cell.record.cell_id] for cell in todo),
        )
        self._ranks = max((c.training.ranks for c in todo if c.training), default=1)
        self.n_workers = self._count_workers(max_parallel)
        self._started_at = datetime.now(UTC)
        self._run_id = f"{plan.spec.study}-{self._started_at:%Y%m%dT%H%M%S}-{os.getpid()}"
        self._slots: list[_Slot] = []
        self._selector = selectors.DefaultSelector()
        self._ingest: subprocess.Popen[bytes] | None = None
        self._last_ingest = time.monotonic()
        self._landed_since_ingest = False

    def _count_workers(self, max_parallel: int | None) -> int:
        units = self.plan.hardware.n_gpus or len(self.plan.hardware.cores)
        room = max(1, units // self._ranks)
        return max(1, min(room, max_parallel or room, len(self._queue)))

    def run(self) -> Progress:
        """Run every pending cell, then ingest.

        Raises
        ------
        BusyError
            If another `run-grid` works on this workspace.
        WorkError
            If results could not be ingested.
        """
        self.workspace.heartbeats.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.workspace.heartbeats / "run-grid.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise BusyError(
                f"Another run-grid works on {self.workspace.root}; wait for it (python cli.py "
                "status shows it) or use another --workspace."
            ) from error
        try:
            self._clear_heartbeats()
            land_plan(self.workspace, self.plan)
            if self._queue:
                self._run_cells()
        finally:
            for slot in self._slots:
                slot.group.kill()
            self._beat(finished=True)
            lock.release()
        self._finish_ingest()
        if not self.progress.failures:
            self._clear_logs()
        return self.progress

    def _clear_heartbeats(self) -> None:
        """Remove what earlier runs left: this one holds the lock, so they are dead."""
        for path in self.workspace.heartbeats.glob("*.json"):
            path.unlink(missing_ok=True)

    def _clear_logs(self) -> None:
        for path in self.workspace.heartbeats.glob(f"{self._run_id}-*.log"):
            path.unlink(missing_ok=True)

    def _run_cells(self) -> None:
        for index in range(self.n_workers):
            self._slots.append(self._start_slot(index))
        last_beat = 0.0
        while self._queue or any(slot.cell for slot in self._slots):
            for key, _ in self._selector.select(timeout=0.5):
                self._hear(key.data)
            for slot in self._slots:
                if slot.ready and slot.cell is None and self._queue:
                    self._assign(slot, self._queue.popleft())
            if time.monotonic() - last_beat >= _HEARTBEAT_SECONDS:
                last_beat = time.monotonic()
                self._beat()
            self._ingest_now_and_then()
            states = [slot.state for slot in self._slots if slot.state]
            self.on_progress(self.progress, states)
            if self.fail_fast and self.progress.failures:
                return
        for slot in self._slots:
            slot.group.stop()

    def _start_slot(self, index: int) -> _Slot:
        hardware = self.plan.hardware
        share = max(1, len(hardware.cores) // self.n_workers)
        cores = hardware.cores[index * share : (index + 1) * share] or hardware.cores
        gpus = range(hardware.n_gpus)[index * self._ranks : (index + 1) * self._ranks]
        slot = _Slot(
            group=WorkerGroup(
                index,
                self.workspace,
                hardware,
                ranks=self._ranks,
                cores=cores,
                gpus=list(gpus),
                log=self.workspace.heartbeats / f"{self._run_id}-worker{index}.log",
            )
        )
        self._selector.register(slot.group.events_fd, selectors.EVENT_READ, slot)
        return slot

    def _assign(self, slot: _Slot, cell: Cell) -> None:
        cell_id = cell.record.cell_id
        self._attempts[cell_id] += 1
        self._tries[cell_id] = self._tries.get(cell_id, 0) + 1
        slot.cell = cell
        self._note(slot, "start")
        slot.group.send(make_job(self.workspace, self.plan, cell, self._attempts[cell_id]))

    def _note(self, slot: _Slot, stage: str, event: Event | None = None) -> None:
        record = slot.cell.record if slot.cell else None
        slot.state = WorkerState(
            worker=slot.group.index,
            cell_id=record.cell_id if record else None,
            label=record.label if record else None,
            stage=stage,
            step=event.step if event else None,
            n_steps=event.n_steps if event else None,
            updated_at=datetime.now(UTC),
        )

    def _hear(self, slot: _Slot) -> None:
        events, is_open = slot.group.read_events()
        for event in events:
            if event.kind == "ready":
                slot.ready = True
                self._note(slot, "idle")
            elif event.kind == "progress":
                self._note(slot, event.stage, event)
            elif event.kind == "done":
                self._finish(slot)
            elif event.kind == "failed":
                self._fail(slot, event.stage, event.reason or "no reason given", final=True)
                if self._ranks > 1:
                    # The other ranks may wait for this one for ever.
                    self._restart(slot)
        if not is_open:
            self._bury(slot)

    def _finish(self, slot: _Slot) -> None:
        assert slot.cell is not None
        self.progress.n_done += 1
        self.progress.seconds_finished += self.plan.seconds[slot.cell.record.cell_id]
        slot.cell = None
        self._landed_since_ingest = True
        self._note(slot, "idle")

    def _bury(self, slot: _Slot) -> None:
        """Replace a worker that died; its cell is tried again, within limits."""
        reason = slot.group.describe_death()
        if not slot.ready:
            raise WorkError(f"A worker could not start: {reason}.")
        if slot.cell is not None:
            stage = slot.state.stage if slot.state else "start"
            tries = self._tries[slot.cell.record.cell_id]
            self._fail(slot, stage, reason, final=tries >= MAX_ATTEMPTS)
        self._restart(slot)

    def _restart(self, slot: _Slot) -> None:
        self._selector.unregister(slot.group.events_fd)
        slot.group.kill()
        fresh = self._start_slot(slot.group.index)
        self._slots[slot.group.index] = fresh

    def _fail(self, slot: _Slot, stage: str, reason: str, *, final: bool) -> None:
        """Land a failed attempt; unless it was the last one, queue the cell again."""
        assert slot.cell is not None
        cell, now = slot.cell, datetime.now(UTC)
        slot.cell = None
        self._note(slot, "idle")
        cell_id = cell.record.cell_id
        attempt = self._attempts[cell_id]
        write_document(
            self.workspace,
            RecordKind.RUN,
            f"{cell_id}-{attempt}",
            RunRecord(
                cell_id=cell_id,
                attempt=attempt,
                status=RunStatus.FAILED,
                failure_stage=stage,
                failure_reason=reason,
                started_at=now,
                finished_at=now,
                git_commit=git_commit(),
                environment=dict(describe_environment()),
                data_hash=cell.dataset_hash,
            ),
        )
        self._landed_since_ingest = True
        if not final:
            self._queue.appendleft(cell)
            return
        shutil.rmtree(self.workspace.checkpoints / cell_id, ignore_errors=True)
        self.progress.seconds_finished += self.plan.seconds[cell_id]
        self.progress.failures.append(
            Failure(cell_id=cell_id, label=cell.record.label, stage=stage, reason=reason)
        )

    def _beat(self, *, finished: bool = False) -> None:
        beat = Heartbeat(
            run_id=self._run_id,
            study=self.plan.spec.study,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=self._started_at,
            updated_at=datetime.now(UTC),
            finished=finished,
            n_total=self.progress.n_total,
            n_done=self.progress.n_done,
            n_failed=len(self.progress.failures),
            eta_seconds=None if finished else self.progress.eta_seconds,
            workers=() if finished else tuple(s.state for s in self._slots if s.state),
        )
        text = beat.model_dump_json()
        path = self.workspace.heartbeats / f"{self._run_id}.json"
        write_atomically(path, lambda target: target.write_text(text, "utf-8"))

    def _ingest_now_and_then(self) -> None:
        """Start an ingest in a process of its own when results have landed, but not too often."""
        if self._ingest is not None and self._ingest.poll() is not None:
            self._ingest = None
        waited = time.monotonic() - self._last_ingest >= _INGEST_SECONDS
        if self._landed_since_ingest and waited and self._ingest is None:
            self._landed_since_ingest = False
            self._last_ingest = time.monotonic()
            self._ingest = self._start_ingest()

    def _start_ingest(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(_CLI), "ingest", "--workspace", str(self.workspace.root)]
        log = self.workspace.heartbeats / f"{self._run_id}-ingest.log"
        with log.open("ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=output)

    def _finish_ingest(self) -> None:
        if self._ingest is not None:
            self._ingest.wait()
        if self._start_ingest().wait() != 0:
            log = self.workspace.heartbeats / f"{self._run_id}-ingest.log"
            last = log.read_text("utf-8").strip().splitlines()[-1:] or ["no message"]
            raise WorkError(f"Results have landed but could not be ingested: {last[0]}")
