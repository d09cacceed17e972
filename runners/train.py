"""Full fine-tuning of one cell through DeepSpeed: epochs, checkpoints and what comes of them."""

from __future__ import annotations

import contextlib
import ctypes
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from runners.batches import count_targets, global_batches
from runners.doit_format import Item
from runners.engine import full_weights, gpu_uuid
from runners.grid import count_steps
from runners.grid_spec import TrainingSpec
from runners.hardware import EnergyMeter
from runners.resume_state import RollingCheckpoint
from runners.template import EncodedExample, Template
from runners.train_steps import Step, TrainingError, TrainingLoop, TrainResult


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    items: Sequence[Item],
    training: TrainingSpec,
    seed: int,
    *,
    validation: Sequence[Item] = (),
    progress: Callable[[int, int], None] = lambda step, n_steps: None,
    save_to: Path | None = None,
    resume_folder: Path | None = None,
    save_resume_every_seconds: float = 300.0,
) -> TrainResult:
    """Fine-tune a model in place with DeepSpeed.

    Parameters
    ----------
    model
        Base model prepared by `template.prepare`; on return, rank 0's holds the checkpoint that
        the checkpoint rule chose (with ZeRO 3, only the files in `save_to` do).
    items : sequence of Item, at least 1
        The training subset.
    training : TrainingSpec
        With `dtype`, `zero_stage` and `offload` resolved (`memory.choose_sharding`).
    validation : sequence of Item
        Held out; decides under `best_validation`.
    progress : callable
        Called with (step, n_steps) after every optimizer step.
    save_to : Path, optional
        Folder for the weights, tokenizer and template.
    resume_folder : Path, optional
        Where one rolling resume checkpoint is kept, at most every `save_resume_every_seconds`, and
        the best weights so far. If an earlier attempt left a checkpoint that fits, training goes
        on from there. The caller removes the folder once the trained weights are safe. Without
        it, the best weights lie in a temporary folder meanwhile.

    Raises
    ------
    TrainingError
        If no example has a target token or an end token, the loss is not finite, or packing would
        change the loss.
    """
    torch.manual_seed(seed)
    encoded = _encode(template, tokenizer, items, training)
    held_out = [template.encode(tokenizer, i.turns, training.max_length) for i in validation]
    loop = TrainingLoop(model, training, tokenizer.pad_token_id, count_steps(training, len(items)))
    loop.result.n_truncated = sum(example.truncated for example in encoded)
    energy = EnergyMeter(gpu_uuid())
    with tempfile.TemporaryDirectory(prefix="growthpace-") as scratch, loop:
        rolling = RollingCheckpoint(
            resume_folder or Path(scratch),
            save_resume_every_seconds if resume_folder else math.inf,
            loop.layout(),
        )
        if training.packing:
            loop.check_packing(encoded)
        _run(loop, encoded, held_out, seed, progress, rolling)
        result = loop.result
        result.energy_joules = loop.summed(energy.joules())
        best = rolling.load_best() if training.checkpoint_rule == "best_validation" else None
        weights = full_weights(loop.engine) if best is None else best
        if best is not None and training.zero_stage != 3:
            model.load_state_dict(best)
        if save_to is not None and loop.rank == 0:
            # It takes tied weights out of what it is given.
            model.save_pretrained(save_to, state_dict=weights)
            tokenizer.save_pretrained(save_to)
        result.peak_memory_bytes = peak_memory_bytes()
    model.eval()
    return result


def _encode(
    template: Template,
    tokenizer: PreTrainedTokenizerBase,
    items: Sequence[Item],
    training: TrainingSpec,
) -> list[EncodedExample]:
    """Tokenise the training items; refuse what could not teach to answer, or to stop."""
    encoded = [template.encode(tokenizer, item.turns, training.max_length) for item in items]
    if not count_targets(encoded):
        raise TrainingError(
            "no training example keeps a target token within max_length "
            f"{training.max_length}; raise training.max_length."
        )
    end = tokenizer.convert_tokens_to_ids(template.end)
    if not any(end in example.labels for example in encoded):
        raise TrainingError(
            f"no training example keeps the end token {template.end!r} within max_length "
            f"{training.max_length}, so the model would not learn to stop; raise "
            "training.max_length."
        )
    return encoded


def _run(
    loop: TrainingLoop,
    encoded: Sequence[EncodedExample],
    held_out: Sequence[EncodedExample],
    seed: int,
    progress: Callable[[int, int], None],
    rolling: RollingCheckpoint,
) -> None:
    """Take all steps that are still to take."""
    training, result = loop.training, loop.result
    state, reason = rolling.find()
    if state is not None:
        rolling.load(loop.engine, state)
        loop.take_up(TrainResult.from_dict(state["progress"]))
        result = loop.result
    elif reason is not None:
        rolling.remove()
        result.restarted_reason = reason
    began = time.perf_counter() - result.seconds
    steps_per_epoch = math.ceil(len(encoded) / training.batch_size)
    batches = global_batches(len(encoded), training.batch_size, loop.n_steps, seed)
    taken = len(result.steps)
    for step, (_, indices) in enumerate(islice(batches, taken, None), start=taken + 1):
        batch = [encoded[index] for index in indices]
        logged = loop.optimizer_step(batch, step)
        result.n_tokens += sum(len(example.input_ids) for example in batch)
        result.n_target_tokens += count_targets(batch)
        result.seconds = time.perf_counter() - began
        result.steps.append(
            Step(
                step=step,
                epoch=step / steps_per_epoch,
                n_tokens=result.n_tokens,
                seconds=result.seconds,
                **logged,
            )
        )
        progress(step, loop.n_steps)
        is_epoch_end = step % steps_per_epoch == 0 or step == loop.n_steps
        if training.checkpoint_rule == "best_validation" and is_epoch_end:
            loss = loop.mean_loss(held_out)
            if result.validation_loss is None or loss < result.validation_loss:
                result.validation_loss, result.checkpoint_step = loss, step
                rolling.keep_best(full_weights(loop.engine), step)
        if step < loop.n_steps and rolling.due():
            result.seconds = time.perf_counter() - began
            rolling.save(loop.engine, step, result.to_dict())
    result.n_epochs = loop.n_steps / steps_per_epoch
    if training.checkpoint_rule == "last":
        result.checkpoint_step = loop.n_steps
    result.seconds = time.perf_counter() - began


def reset_peak_memory() -> None:
    """Begin a new peak: a live worker's next cell may need less than its last one."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    # Without the right to do so, the peak stays that of the process.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")


def release_freed_memory() -> None:
    """Give back to the system what a worker on a CPU keeps for its next steps."""
    # Other C libraries than GNU's keep nothing.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def peak_memory_bytes() -> int:
    """Return the peak since `reset_peak_memory`: of the GPU where there is one, else resident."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
