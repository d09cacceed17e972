"""What the orchestrator tells a worker and hears from it: JSON lines over pipes."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from runners.grid_spec import PublicTaskSpec, TrainingSpec
from warehouse.records import CellRecord


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cause(StrEnum):
    """Why an attempt at a cell failed, as far as it decides what comes next."""

    # The cell itself can't work (no number as loss, bad data): the same would happen again.
    CELL = "cell"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    # A connection, a driver or a file system let the worker down.
    SURROUNDINGS = "surroundings"
    DIED = "died"
    STALLED = "stalled"


class ReplySettings(_Message):
    """Replies to generate for judges."""

    abilities: tuple[str, ...]
    max_new_tokens: int
    max_items_per_ability: int | None = None


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
    public_tasks: tuple[PublicTaskSpec, ...] = ()
    # Of lm-eval tasks: YAML files to look in first, their hash, and how many items of each ability.
    task_folder: Path | None = None
    task_files_hash: str | None = None
    max_items_per_ability: int | None = None
    keep_checkpoint: bool
    replies: ReplySettings | None = None
    # Of the worker's GPUs, or cores where it has none, together; None: no price was given.
    price_per_hour: float | None = None
    save_resume_every_seconds: float = 300.0
    # Executor and share of the machine, for the run record.
    placement: dict[str, str | int] = {}


class Event(_Message):
    """What a worker reports; `stage` is load, train, score, reply or land.

    A `note` is a sentence for the user; a `failed` event has a reason and its cause.
    """

    kind: Literal["ready", "progress", "note", "done", "failed"]
    stage: str = ""
    step: int | None = None
    n_steps: int | None = None
    reason: str | None = None
    cause: Cause = Cause.CELL
