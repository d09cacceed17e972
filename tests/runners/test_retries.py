"""What comes after a failure, and how failures are told apart; no process is started."""

import errno
import json
from datetime import UTC, datetime

import pytest
import torch
from safetensors import SafetensorError

from runners.checkpoints import RESULT_FILE, digests, find_damage
from runners.failures import describe_failure
from runners.grid_spec import TrainingSpec
from runners.job import Cause, Event
from runners.plan import _given_up
from runners.retries import decide, limit_micro_batch
from warehouse.records import RunRecord, RunStatus

TRAINING = TrainingSpec(epochs=1, batch_size=64)


def failed(cause, stage="train", **fields):
    return Event(kind="failed", stage=stage, reason="r", cause=cause, **fields)


def test_a_cell_that_can_not_work_is_not_tried_again():
    decision = decide(failed(Cause.CELL), TRAINING, 1, tries=1, max_attempts=5)
    assert not decision.again and not decision.fresh_worker


@pytest.mark.parametrize("cause", [Cause.DIED, Cause.STALLED, Cause.SURROUNDINGS, Cause.DISK_FULL])
def test_other_faults_are_tried_again_within_limits(cause):
    assert decide(failed(cause), TRAINING, 1, tries=1, max_attempts=2).again
    last = decide(failed(cause), TRAINING, 1, tries=2, max_attempts=2)
    assert not last.again and last.fresh_worker


def test_too_little_memory_halves_the_micro_batch_down_to_one():
    limit, seen = None, []
    while True:
        training = limit_micro_batch(TRAINING, 2, limit)
        decision = decide(failed(Cause.OUT_OF_MEMORY), training, 2, tries=1, max_attempts=1)
        if not decision.again:
            break
        limit = decision.micro_batch_size
        seen.append(limit)
    assert seen == [16, 8, 4, 2, 1]
    assert "gradient_checkpointing" in decision.reason


def test_a_model_that_does_not_even_load_is_not_tried_with_less():
    event = failed(Cause.OUT_OF_MEMORY, stage="load")
    assert not decide(event, TRAINING, 1, tries=1, max_attempts=9).again


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (MemoryError(), Cause.OUT_OF_MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory. Tried ..."), Cause.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), Cause.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), Cause.DISK_FULL),
        (SafetensorError("I/O error: No space left on device (os error 28)"), Cause.DISK_FULL),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Cause.SURROUNDINGS),
        (torch.distributed.DistNetworkError("timed out"), Cause.SURROUNDINGS),
        (RuntimeError("gloo/transport/tcp/pair.cc: Connection closed by peer"), Cause.SURROUNDINGS),
        (ValueError("the loss of step 3 is nan"), Cause.CELL),
    ],
)
def test_exceptions_are_told_apart(error, cause):
    event = describe_failure(error, "train")
    assert event.cause is cause and event.stage == "train" and "\n" not in event.reason


def test_a_reason_that_ends_in_a_colon_goes_on():
    error = RuntimeError("Error(s) in loading state_dict:\n\tMissing key(s): lm_head.weight\nmore")
    assert describe_failure(error, "load").reason == (
        "RuntimeError: Error(s) in loading state_dict: Missing key(s): lm_head.weight"
    )
    assert describe_failure(ValueError(), "load").reason == "ValueError: no message"
    # Sentences are made around it.
    error = ValueError("no room.")
    error.add_note("the model in x does not load")
    assert describe_failure(error, "load").reason == (
        "ValueError: no room (the model in x does not load)"
    )


def test_every_damage_of_a_checkpoint_is_found(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"w" * 1000)
    (tmp_path / "config.json").write_text("{}")
    result = tmp_path / RESULT_FILE
    result.write_text(json.dumps({"files": digests(tmp_path)}))
    assert find_damage(tmp_path) is None
    (tmp_path / "model.safetensors").write_bytes(b"w" * 999 + b"v")
    assert find_damage(tmp_path) == "model.safetensors"
    (tmp_path / "model.safetensors").unlink()
    assert find_damage(tmp_path) == "model.safetensors"
    result.write_text(result.read_text()[:20])
    assert find_damage(tmp_path) == RESULT_FILE


def test_a_cell_whose_retry_never_came_is_pending():
    now = datetime.now(UTC)

    def attempt(number, *, is_retried):
        return RunRecord(
            cell_id="c",
            attempt=number,
            status=RunStatus.FAILED,
            failure_reason="r",
            started_at=now,
            finished_at=now,
            environment={"is_retried": is_retried},
        )

    assert not _given_up([])
    assert not _given_up([attempt(1, is_retried=True)])
    assert _given_up([attempt(1, is_retried=True), attempt(2, is_retried=False)])
