"""Runs a plan: workers, retries, heartbeats, progress and ingestion on the way.

The orchestrator holds no result: everything that counts is in landing files, so it may be killed at
any moment and started again.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from runners.executors import Executor, WorkerHandle
from runners.forecast import (
    Phase,
    free_bytes,
    plan_phases,
    price_per_hour,
    resolve_training,
    working_bytes,
)
from runners.grid import Cell
from runners.grid_spec import TrainingSpec
from runners.ingestion import Ingestion
from runners.job import Cause, Event
from runners.landed import is_done, land_failure
from runners.plan import RunPlan, land_plan, make_job
from runners.progress import Failure, Progress
from runners.retries import decide
from warehouse.errors import BusyError, WorkError
from warehouse.landing import write_atomically
from warehouse.records import Heartbeat, WorkerState
from warehouse.workspace import Workspace

_START_ATTEMPTS = 3
_START_SECONDS = 600.0
_HEARTBEAT_SECONDS = 2.0


@dataclass(kw_only=True)
class _Slot:
    """One worker and what it is busy with."""

    worker: WorkerHandle
    cell: Cell | None = None
    # Of that cell, with everything decided that the grid leaves open.
    training: TrainingSpec | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    state: WorkerState | None = None
    ready: bool = False
    # By the monotonic clock, in seconds.
    heard_at: float = field(default_factory=time.monotonic)


class Orchestrator:
    """One `run-grid` on one workspace.

    Parameters
    ----------
    on_progress : callable
        Called with the progress and what workers do, a few times a second.
    on_note : callable
        Called with a sentence for the user: a retry, a failure, an ingest that went wrong.
    """

    def __init__(
        self,
        plan: RunPlan,
        workspace: Workspace,
        executor: Executor,
        *,
        max_parallel: int | None = None,
        retry_failed: bool = False,
        fail_fast: bool = False,
        on_progress: Callable[[Progress, list[WorkerState]], None] = lambda progress, states: None,
        on_note: Callable[[str], None] = lambda note: None,
    ) -> None:
        self.plan = plan
        self.workspace = workspace
        self.executor = executor
        self.fail_fast = fail_fast
        self.on_progress = on_progress
        self.on_note = on_note
        todo = plan.pending(retry_failed=retry_failed)
        self.phases = plan_phases(plan, todo, executor, max_parallel)
        self.progress = Progress(
            n_total=len(plan.cells),
            n_done=len(plan.done),
            seconds_planned=sum(plan.seconds[cell.record.cell_id] for cell in todo),
        )
        self._attempts = dict(plan.attempts)
        self._tries: dict[str, int] = {}
        # The largest micro-batch that memory has been seen to hold, by base model.
        self._micro_batches: dict[str, int] = {}
        self._started_at = datetime.now(UTC)
        self._run_id = f"{plan.spec.study}-{self._started_at:%Y%m%dT%H%M%S}-{os.getpid()}"
        self._phase = Phase(ranks=1, n_workers=0, cells=())
        self._queue: deque[Cell] = deque()
        self._slots: dict[int, _Slot] = {}
        self._start_failures: dict[int, int] = {}
        self._ingestion = Ingestion(
            workspace, workspace.heartbeats / f"{self._run_id}-ingest.log", on_note
        )

    def run(self) -> Progress:
        """Run every pending cell, then ingest.

        Raises
        ------
        BusyError
            If another `run-grid` works on this workspace.
        WorkError
            If no worker starts, the disk takes no more, or results could not be ingested.
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
            for phase in self.phases:
                self._run_phase(phase)
                if self.fail_fast and self.progress.failures:
                    break
        except OSError as error:
            raise WorkError(
                f"{self.workspace.root} can't be written to ({error.strerror or error}); make "
                "room, then run the same command again: what has landed is kept."
            ) from error
        finally:
            for slot in self._slots.values():
                slot.worker.kill()
            self.executor.close()
            self._beat(finished=True)
            lock.release()
        self._ingestion.finish()
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

    def _run_phase(self, phase: Phase) -> None:
        """Run cells that need equally many ranks, on workers of that shape."""
        self._phase, self._queue, self._start_failures = phase, deque(phase.cells), {}
        for index in range(phase.n_workers):
            self._start_slot(index)
        last_beat = 0.0
        while self._queue or any(slot.cell for slot in self._slots.values()):
            workers = [slot.worker for slot in self._slots.values()]
            for worker in self.executor.wait(workers, 0.5):
                self._hear(self._slots[worker.index])
            for slot in list(self._slots.values()):
                self._end_if_hung(slot)
            self._assign_cells()
            if time.monotonic() - last_beat >= _HEARTBEAT_SECONDS:
                last_beat = time.monotonic()
                self._beat()
            self._ingestion.now_and_then()
            states = [slot.state for slot in self._slots.values() if slot.state]
            self.on_progress(self.progress, states)
            if self.fail_fast and self.progress.failures:
                return
        for slot in self._slots.values():
            slot.worker.stop()
        self._slots = {}

    def _start_slot(self, index: int) -> None:
        self._slots[index] = _Slot(
            worker=self.executor.start(
                index,
                self._phase.n_workers,
                self._phase.ranks,
                self.workspace.heartbeats / f"{self._run_id}-worker{index}.log",
            )
        )

    def _assign_cells(self) -> None:
        for slot in self._slots.values():
            if not (slot.ready and slot.cell is None and self._queue):
                continue
            free, needed = free_bytes(self.workspace), working_bytes(self._queue[0])
            if free >= needed:
                self._assign(slot, self._queue.popleft())
            elif not any(other.cell for other in self._slots.values()):
                # Nobody is left whose checkpoint could go and make room.
                raise WorkError(
                    f"{self._queue[0].record.label} needs {needed / 1e9:.2f} GB of disk for its "
                    f"checkpoint and {self.workspace.root} has {free / 1e9:.2f} GB left; make "
                    "room, then run the same command again: what has landed is kept."
                )

    def _assign(self, slot: _Slot, cell: Cell) -> None:
        cell_id = cell.record.cell_id
        self._attempts[cell_id] += 1
        self._tries[cell_id] = self._tries.get(cell_id, 0) + 1
        slot.cell = cell
        slot.heard_at = time.monotonic()
        slot.started_at = datetime.now(UTC)
        self._note_state(slot, "start")
        job = make_job(self.workspace, self.plan, cell, self._attempts[cell_id])
        share = self.executor.describe_share(self._phase.ranks, self._phase.n_workers)
        limit = self._micro_batches.get(cell.record.base_model)
        slot.training = resolve_training(self.plan, cell, self._phase, limit)
        slot.worker.send(
            job.model_copy(
                update={
                    "training": slot.training,
                    "placement": share,
                    "price_per_hour": price_per_hour(share, self.plan.spec.resources),
                }
            )
        )

    def _note_state(self, slot: _Slot, stage: str, event: Event | None = None) -> None:
        record = slot.cell.record if slot.cell else None
        slot.state = WorkerState(
            worker=slot.worker.index,
            cell_id=record.cell_id if record else None,
            label=record.label if record else None,
            stage=stage,
            step=event.step if event else None,
            n_steps=event.n_steps if event else None,
            updated_at=datetime.now(UTC),
        )

    def _hear(self, slot: _Slot) -> None:
        events, is_alive = slot.worker.read_events()
        if events:
            slot.heard_at = time.monotonic()
        for event in events:
            if event.kind == "ready":
                slot.ready = True
                self._start_failures[slot.worker.index] = 0
                self._note_state(slot, "idle")
            elif event.kind == "progress":
                self._note_state(slot, event.stage, event)
            elif event.kind == "note":
                self._tell(slot.cell, event.reason or "")
            elif event.kind == "done":
                self._finish(slot)
            elif event.kind == "failed":
                fresh = self._fail(slot, event)
                # The other ranks may wait for the failed one for ever.
                if fresh or self._phase.ranks > 1:
                    self._restart(slot)
                return
        if not is_alive:
            self._bury(slot, slot.worker.describe_death())

    def _end_if_hung(self, slot: _Slot) -> None:
        """Kill a worker that has said nothing for too long, and try its cell again."""
        silence = time.monotonic() - slot.heard_at
        limit = self.plan.spec.resources.stall_seconds if slot.ready else _START_SECONDS
        if silence < limit or (slot.ready and slot.cell is None):
            return
        reason = f"the worker reported nothing for {silence:.0f} s and was killed"
        self._bury(slot, Event(kind="failed", reason=reason, cause=Cause.STALLED))

    def _finish(self, slot: _Slot) -> None:
        assert slot.cell is not None
        self.progress.n_done += 1
        self.progress.seconds_finished += self.plan.seconds[slot.cell.record.cell_id]
        slot.cell = None
        self._ingestion.has_landed = True
        self._note_state(slot, "idle")

    def _bury(self, slot: _Slot, death: Event) -> None:
        """Replace a worker that is gone; its cell is tried again, within limits."""
        index = slot.worker.index
        if slot.cell is not None:
            self._fail(slot, death)
        elif not slot.ready:
            self._start_failures[index] = self._start_failures.get(index, 0) + 1
            if self._start_failures[index] >= _START_ATTEMPTS:
                slot.worker.kill()
                self._give_up_slot(index, death.reason or "")
                return
            self._tell(None, f"Worker {index} did not start and is started again: {death.reason}.")
        self._restart(slot)

    def _give_up_slot(self, index: int, reason: str) -> None:
        """Go on with the other workers, if there are any."""
        del self._slots[index]
        sentence = f"Worker {index} could not be started in {_START_ATTEMPTS} attempts: {reason}."
        if not self._slots:
            raise WorkError(sentence)
        self._tell(None, sentence)

    def _restart(self, slot: _Slot) -> None:
        if (left := slot.worker.kill()) is not None:
            self._tell(None, f"Worker {slot.worker.index} was killed and {left}.")
        self._start_slot(slot.worker.index)

    def _tell(self, cell: Cell | None, sentence: str) -> None:
        self.on_note(f"{cell.record.label}: {sentence}" if cell else sentence)

    def _fail(self, slot: _Slot, event: Event) -> bool:
        """Land a failed attempt and queue the cell again if that is worth it.

        Returns whether the worker has to be replaced.
        """
        assert slot.cell is not None
        cell, cell_id = slot.cell, slot.cell.record.cell_id
        if is_done(self.workspace, cell_id):
            # The worker was lost between its last record and its last word.
            self._finish(slot)
            return True
        if not event.stage:
            event = event.model_copy(update={"stage": slot.state.stage if slot.state else "start"})
        decision = decide(
            event,
            slot.training,
            self._phase.ranks,
            self._tries[cell_id],
            self.plan.spec.resources.max_attempts,
        )
        share = self.executor.describe_share(self._phase.ranks, self._phase.n_workers)
        land_failure(
            self.workspace,
            cell_id,
            self._attempts[cell_id],
            stage=event.stage,
            reason=decision.reason,
            is_retried=decision.again,
            started_at=slot.started_at,
            placement=share,
            data_hash=cell.dataset_hash,
            price_per_hour=price_per_hour(share, self.plan.spec.resources),
        )
        self._ingestion.has_landed = True
        slot.cell = None
        self._note_state(slot, "idle")
        if decision.again:
            again = "it is tried again"
            if decision.micro_batch_size is not None:
                model, size = cell.record.base_model, decision.micro_batch_size
                # Another worker may have gone lower meanwhile.
                size = min(size, self._micro_batches.get(model, size))
                self._micro_batches[model] = size
                self._tries[cell_id] -= 1
                again += f" with {size}, as is every later cell of this model"
            self._tell(cell, f"{decision.reason} (while in stage {event.stage}); {again}.")
            self._queue.appendleft(cell)
            return decision.fresh_worker
        for name in (cell_id, f".{cell_id}.partial", f".{cell_id}.resume"):
            shutil.rmtree(self.workspace.checkpoints / name, ignore_errors=True)
        self.progress.seconds_finished += self.plan.seconds[cell_id]
        failure = Failure(
            cell_id=cell_id, label=cell.record.label, stage=event.stage, reason=decision.reason
        )
        self.progress.failures.append(failure)
        self._tell(cell, f"failed while in stage {event.stage}: {decision.reason}.")
        return decision.fresh_worker

    def _beat(self, *, finished: bool = False) -> None:
        states = tuple(s.state for s in self._slots.values() if s.state)
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
            workers=() if finished else states,
        )
        text = beat.model_dump_json()
        path = self.workspace.heartbeats / f"{self._run_id}.json"
        try:
            write_atomically(path, lambda target: target.write_text(text, "utf-8"))
        except OSError as error:
            # A beat that is missed only makes `status` show an older state.
            self.on_note(f"The heartbeat could not be written ({error.strerror or error}).")
