"""Cells and running grids, put into rows and words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from dashboard.charts.wording import say_count
from warehouse.records import Heartbeat, WorkerState

STATUSES = ("running", "failed", "pending", "done")
_MARKS = {"done": "✓", "failed": "✗", "running": "▶", "pending": "…"}


def running_cells(beats: Iterable[Heartbeat]) -> dict[str, WorkerState]:
    """Return the workers of running grids by the cell that each is busy with."""
    return {
        worker.cell_id: worker
        for beat in beats
        for worker in beat.workers
        if worker.cell_id is not None
    }


def cells_table(cells: pd.DataFrame, running: Mapping[str, WorkerState]) -> pd.DataFrame:
    """Return the table of cells as people read it: running ones first, then failed, pending, done.

    Parameters
    ----------
    cells : DataFrame
        Rows of `mart_cell`.
    running : mapping of cell id to WorkerState
        From `running_cells`; a cell that is done stays done.
    """
    status = [
        "running" if known != "done" and cell_id in running else known
        for cell_id, known in zip(cells["cell_id"], cells["status"], strict=True)
    ]
    doing = [
        say_stage(running[cell_id]) if state == "running" else ""
        for cell_id, state in zip(cells["cell_id"], status, strict=True)
    ]
    failure = [
        _say_failure(stage, reason)
        for stage, reason in zip(cells["failure_stage"], cells["failure_reason"], strict=True)
    ]
    table = pd.DataFrame(
        {
            "state": status,
            "status": [f"{_MARKS.get(state, '')} {state}" for state in status],
            "now": doing,
            "label": cells["label"].to_numpy(),
            "failure": failure,
            "excluded": [
                reason if isinstance(reason, str) else "" for reason in cells["excluded_reason"]
            ],
            "base_model": cells["base_model"].to_numpy(),
            "data_source": cells["data_source"].to_numpy(),
            "design": cells["design"].to_numpy(),
            "volume": cells["volume_setting"].to_numpy(),
            "examples": cells["n_examples_total"].to_numpy(),
            "seed": cells["seed"].to_numpy(),
            "attempts": cells["n_attempts"].to_numpy(),
            "seconds": cells["wall_seconds"].to_numpy(),
            "train_seconds": cells["train_seconds"].to_numpy(),
            "score_seconds": cells["score_seconds"].to_numpy(),
            "steps": cells["n_optimizer_steps"].to_numpy(),
            "tokens": cells["n_tokens"].to_numpy(),
            "memory_mb": cells["peak_memory_bytes"].astype("Float64") / 1e6,
            "cost": cells["cost"].to_numpy(),
            "train_loss": cells["train_loss"].to_numpy(),
            "git_commit": cells["git_commit"].to_numpy(),
            "data_hash": cells["data_hash"].to_numpy(),
            "cell_id": cells["cell_id"].to_numpy(),
        }
    )
    rank = table["state"].map({state: place for place, state in enumerate(STATUSES)})
    return table.assign(rank=rank).sort_values("rank", kind="stable").drop(columns="rank")


def _say_failure(stage: object, reason: object) -> str:
    """Return "train: out of memory"; an empty string where nothing failed."""
    return ": ".join(part for part in (stage, reason) if isinstance(part, str))


def count_states(table: pd.DataFrame) -> dict[str, int]:
    """Return how many cells of `cells_table` are in each state, in the order of `STATUSES`."""
    counts = table["state"].value_counts()
    return {state: int(counts.get(state, 0)) for state in STATUSES}


def say_counts(counts: Mapping[str, int]) -> str:
    """Return "51 cells: 48 done, 1 failed, 2 pending"."""
    parts = [f"{counts[state]:,} {state}" for state in reversed(STATUSES) if counts.get(state)]
    total = sum(counts.values())
    return f"{say_count(total, 'cell')}: {', '.join(parts)}" if parts else "no cells"


def say_progress(beat: Heartbeat) -> str:
    """Return a running grid's line: cells done, failed, time left."""
    text = f"Grid of study {beat.study} is running: {beat.n_done} of {beat.n_total} cells done"
    if beat.n_failed:
        text += f", {beat.n_failed} failed"
    if beat.eta_seconds is not None:
        text += f", about {say_duration(beat.eta_seconds)} left"
    return text


def say_worker(worker: WorkerState) -> str:
    """Return what one worker does now."""
    label = worker.label or "no cell"
    return f"Worker {worker.worker}: {label}, {say_stage(worker)}"


def say_stage(worker: WorkerState) -> str:
    """Return a worker's stage with its step."""
    if worker.step is None:
        return worker.stage
    of = f" of {worker.n_steps}" if worker.n_steps is not None else ""
    return f"{worker.stage}, step {worker.step}{of}"


def say_duration(seconds: float) -> str:
    """Return "40 s", "3 min" or "2.5 h"."""
    if seconds < 90:
        return f"{max(0, seconds):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
