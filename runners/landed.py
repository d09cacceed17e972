"""What an attempt at a cell leaves in the landing zone: its result, or why it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from runners.environment import describe_environment, git_commit
from runners.grid import short_hash
from runners.job import Job
from warehouse.errors import LandingError
from warehouse.landing import read_document, write_document, write_table
from warehouse.records import TRAINING_LOG, RecordKind, RunRecord, RunStatus
from warehouse.workspace import Workspace

if TYPE_CHECKING:
    from runners.train_steps import TrainResult


def is_done(workspace: Workspace, cell_id: str) -> bool:
    """Tell whether any attempt at a cell has landed its result."""
    for path in (workspace.landing / RecordKind.RUN.value).glob(f"{cell_id}-*.json"):
        try:
            record = read_document(path, RecordKind.RUN)
        except (LandingError, OSError):
            continue
        if isinstance(record, RunRecord) and record.status is RunStatus.DONE:
            return True
    return False


def land_result(
    workspace: Workspace,
    job: Job,
    *,
    items: pa.Table,
    scores: pa.Table,
    result: TrainResult | None,
    environment: Mapping[str, Any],
    started_at: datetime,
    score_seconds: float,
    wall_seconds: float,
    peak_memory_bytes: int,
) -> None:
    """Land a cell's records; the run record comes last and makes the others count.

    Parameters
    ----------
    items, scores : Table
        With the columns of ITEM and ITEM_SCORE.
    result : TrainResult or None
        None for a base model.
    environment : mapping
        Packages, machine and scoring settings.
    """
    cell_id = job.cell.cell_id
    if is_done(workspace, cell_id):
        # A worker that was taken for dead did it after all.
        return
    # Landing files never change once they are there; a cell that died between its scores and its
    # run record computed the same scores again.
    write_once(workspace, RecordKind.ITEM, _items_stem(job), items)
    write_once(workspace, RecordKind.ITEM_SCORE, cell_id, scores)
    facts: dict[str, Any] = {"n_optimizer_steps": 0, "n_epochs": 0.0, "n_tokens": 0}
    facts |= {"n_target_tokens": 0, "n_truncated": 0, "train_seconds": 0.0}
    described = {**environment, "placement": job.placement}
    if result is not None and job.training is not None:
        rows = [{"cell_id": cell_id, "attempt": job.attempt, **asdict(s)} for s in result.steps]
        log = pa.Table.from_pylist(rows, schema=TRAINING_LOG)
        write_table(workspace, RecordKind.TRAINING_LOG, f"{cell_id}-{job.attempt}", log)
        described["training"] = result.describe()
        facts = {
            "checkpoint_rule": job.training.checkpoint_rule,
            "checkpoint_step": result.checkpoint_step,
            "n_optimizer_steps": len(result.steps),
            "n_epochs": result.n_epochs,
            "n_tokens": result.n_tokens,
            "n_target_tokens": result.n_target_tokens,
            "n_truncated": result.n_truncated,
            "train_loss": result.steps[-1].loss if result.steps else None,
            "validation_loss": result.validation_loss,
            "train_seconds": result.seconds,
            "energy_joules": result.energy_joules,
        }
    price = job.price_per_hour
    write_document(
        workspace,
        RecordKind.RUN,
        f"{cell_id}-{job.attempt}",
        RunRecord(
            cell_id=cell_id,
            attempt=job.attempt,
            status=RunStatus.DONE,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            git_commit=git_commit(),
            environment=described,
            data_hash=job.dataset_hash,
            score_seconds=score_seconds,
            wall_seconds=wall_seconds,
            peak_memory_bytes=peak_memory_bytes,
            cost=None if price is None else price * wall_seconds / 3600,
            **facts,
        ),
    )


def write_once(workspace: Workspace, kind: RecordKind, stem: str, table: pa.Table) -> None:
    """Land a table unless it is there already."""
    if not (workspace.landing / kind.value / f"{stem}.parquet").exists():
        write_table(workspace, kind, stem, table)


def _items_stem(job: Job) -> str:
    """Return the landing file's name of the evaluation items."""
    if not job.public_tasks:
        return job.evaluation_folder.name
    tasks = [task.model_dump() for task in job.public_tasks]
    digest = short_hash([tasks, job.task_files_hash, job.max_items_per_ability])
    return f"{job.evaluation_folder.name}-{digest}"


def land_failure(
    workspace: Workspace,
    cell_id: str,
    attempt: int,
    *,
    stage: str,
    reason: str,
    is_retried: bool,
    started_at: datetime,
    placement: dict[str, str | int],
    data_hash: str | None,
    price_per_hour: float | None,
) -> None:
    """Land the record of an attempt that failed just now.

    Parameters
    ----------
    is_retried : bool
        Whether the cell is tried again in the same run.
    placement : dict
        Executor and share of the machine.
    price_per_hour : float or None
        Of that share.
    """
    finished_at = datetime.now(UTC)
    wall_seconds = (finished_at - started_at).total_seconds()
    environment = {
        **describe_environment(),
        "placement": placement,
        "is_retried": is_retried,
    }
    write_document(
        workspace,
        RecordKind.RUN,
        f"{cell_id}-{attempt}",
        RunRecord(
            cell_id=cell_id,
            attempt=attempt,
            status=RunStatus.FAILED,
            failure_stage=stage,
            failure_reason=reason,
            started_at=started_at,
            finished_at=finished_at,
            git_commit=git_commit(),
            environment=environment,
            data_hash=data_hash,
            wall_seconds=wall_seconds,
            cost=None if price_per_hour is None else price_per_hour * wall_seconds / 3600,
        ),
    )
