"""What the orchestrator tells a worker and hears from it: JSON lines over pipes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from runners.grid_spec import TrainingSpec
from warehouse.records import CellRecord


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Job(_Message):
    """One cell to train (unless it is a base model), score and land."""

    cell: CellRecord
    attempt: int
    model_folder: Path
    training: TrainingSpec | None
    dataset_hash: str | None
    # Folders written by `sft_data.prepare_subset` and `prepare_evaluation`.
    train_folder: Path | None
    evaluation_folder: Path
    score_batch_size: int
    keep_checkpoint: bool


class Event(_Message):
    """What a worker reports; `stage` is train, score or land."""

    kind: Literal["ready", "progress", "done", "failed"]
    stage: str = ""
    step: int | None = None
    n_steps: int | None = None
    reason: str | None = None
