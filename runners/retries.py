"""What comes after a failed attempt. Pure: no process, no clock."""

from __future__ import annotations

from dataclasses import dataclass

from runners.ds_config import micro_batch_size
from runners.grid_spec import TrainingSpec
from runners.job import Cause, Event


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a cell is tried again, and how.

    Attributes
    ----------
    again : bool
    reason : str
        For the run record; says what would help where that is known.
    micro_batch_size : int or None
        Largest one that later trainings of this base model may use, if that is new.
    fresh_worker : bool
        Whether the worker has to be replaced before it may do anything else.
    """

    again: bool
    reason: str
    micro_batch_size: int | None = None
    fresh_worker: bool = True


def decide(
    event: Event, training: TrainingSpec | None, ranks: int, tries: int, max_attempts: int
) -> Decision:
    """Return what comes after a `failed` event.

    Too little memory halves the micro-batch, down to 1, and the gradients of twice as many are
    accumulated, so the step stays the same; such a retry doesn't count against `max_attempts`.
    A cell that can't work, e.g. with a loss that is no number, is not tried again.

    Parameters
    ----------
    training : TrainingSpec or None
        As it was tried; None for a base model.
    ranks : int
        Processes of the job.
    tries : int, at least 1
        Attempts of this run that counted, this one included.
    """
    reason = event.reason or "no reason given"
    if event.cause is Cause.CELL:
        return Decision(again=False, reason=reason, fresh_worker=False)
    if event.cause is not Cause.OUT_OF_MEMORY:
        return Decision(again=tries < max_attempts, reason=reason)
    if training is None or event.stage != "train":
        return Decision(again=False, reason=f"{reason}; the model needs a larger machine")
    tried = micro_batch_size(training, ranks)
    if tried == 1:
        return Decision(
            again=False,
            reason=f"{reason}; even with a micro-batch of 1, so try "
            "training.gradient_checkpointing, a higher training.zero_stage or a shorter "
            "training.max_length",
        )
    return Decision(
        again=True,
        reason=f"{reason} with a micro-batch of {tried}",
        micro_batch_size=tried // 2,
    )


def limit_micro_batch(training: TrainingSpec, ranks: int, limit: int | None) -> TrainingSpec:
    """Return the training with its micro-batch cut to what memory has been seen to hold."""
    if limit is None or micro_batch_size(training, ranks) <= limit:
        return training
    return training.model_copy(update={"micro_batch_size": limit})
