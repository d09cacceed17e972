"""Full fine-tuning of one cell through DeepSpeed.

The loop owns batching, the loss's normalisation and the learning rate, so that a cell's result does
not depend on how its batches are cut up: the loss of a step is the mean over the target tokens of
the whole global batch, whatever the micro-batch size and the number of ranks.
"""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from runners.doit_format import Item
from runners.ds_config import deepspeed_config, micro_batch_size
from runners.grid import count_steps
from runners.grid_spec import TrainingSpec
from runners.template import IGNORE_INDEX, EncodedExample, Template
from warehouse.errors import WorkError


class TrainingError(WorkError):
    """Training can't go on, e.g. because the loss is not a number."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One optimizer step, as it lands in the training log."""

    step: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float | None
    n_tokens: int
    seconds: float


@dataclass(kw_only=True)
class TrainResult:
    """What training did; counts are of the whole global batch over all ranks."""

    steps: list[Step] = field(default_factory=list)
    n_epochs: float = 0.0
    n_tokens: int = 0
    n_target_tokens: int = 0
    n_truncated: int = 0
    validation_loss: float | None = None
    checkpoint_step: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int = 0


def start_deepspeed(accelerator: str) -> None:
    """Join this process to its DeepSpeed process group; call once, before the first training.

    Rank and world size come from the environment that DeepSpeed's launcher sets (RANK,
    LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT).
    """
    os.environ["DS_ACCELERATOR"] = accelerator
    import deepspeed
    from deepspeed.ops import __compatible_ops__

    if accelerator == "cpu":
        # The shared-memory operator would be compiled at first use, which needs a C++ compiler;
        # without it gloo does the same work.
        __compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(
        dist_backend="nccl" if accelerator == "cuda" else "gloo", verbose=False
    )


def learning_rate_at(training: TrainingSpec, step: int, n_steps: int) -> float:
    """Return the learning rate of a step (from 0): warm-up, then the schedule's decay."""
    peak, final = training.learning_rate, training.final_learning_rate
    if step < training.warmup_steps:
        return peak * (step + 1) / (training.warmup_steps + 1)
    progress = (step - training.warmup_steps) / max(1, n_steps - training.warmup_steps)
    if training.schedule == "constant":
        return peak
    if training.schedule == "cosine":
        return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * progress))
    return final + (peak - final) * (1 - progress)


def global_batches(
    n_examples: int, batch_size: int, n_steps: int, seed: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (epoch, example indices) of each optimizer step; every epoch is shuffled anew.

    The last batch of an epoch holds what is left, so every example is seen once an epoch.
    """
    taken = epoch = 0
    while taken < n_steps:
        order = np.random.default_rng((seed, epoch)).permutation(n_examples)
        for start in range(0, n_examples, batch_size):
            if taken == n_steps:
                return
            yield epoch, order[start : start + batch_size]
            taken += 1
        epoch += 1


def collate(
    examples: Sequence[EncodedExample], pad_token_id: int, multiple: int = 8
) -> dict[str, torch.Tensor]:
    """Pad on the left, so that targets stand at the end of every row.

    Returns
    -------
    dict of tensors, shape (n_examples, length)
        `input_ids`, `attention_mask`, `position_ids`, `labels`.
    """
    longest = max(len(example.input_ids) for example in examples)
    length = math.ceil(longest / multiple) * multiple
    input_ids = torch.full((len(examples), length), pad_token_id, dtype=torch.long)
    labels = torch.full((len(examples), length), IGNORE_INDEX, dtype=torch.long)
    mask = torch.zeros((len(examples), length), dtype=torch.long)
    for row, example in enumerate(examples):
        start = length - len(example.input_ids)
        input_ids[row, start:] = torch.tensor(example.input_ids)
        labels[row, start:] = torch.tensor(example.labels)
        mask[row, start:] = 1
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return {
        "input_ids": input_ids,
        "attention_mask": mask,
        "position_ids": positions,
        "labels": labels,
    }


def summed_loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the cross-entropy (nats) summed over the batch's target tokens."""
    labels = batch["labels"][:, 1:]
    is_target = (labels != IGNORE_INDEX).any(dim=0)
    # Only the columns from the first target on need logits: the rest of the output layer's work,
    # most of a small model's, would be thrown away.
    first = int(is_target.int().argmax()) if bool(is_target.any()) else labels.shape[1] - 1
    n_kept = labels.shape[1] - first
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    logits = model(**inputs, use_cache=False, logits_to_keep=n_kept + 1).logits[:, :-1]
    return functional.cross_entropy(
        logits.float().reshape(-1, logits.shape[-1]),
        labels[:, first:].reshape(-1),
        ignore_index=IGNORE_INDEX,
        reduction="sum",
    )


def _count_targets(examples: Sequence[EncodedExample]) -> int:
    # The first token of a sequence is never predicted, so it can't be a target.
    return sum(sum(label != IGNORE_INDEX for label in e.labels[1:]) for e in examples)


def _micro_batches(
    examples: Sequence[EncodedExample], micro: int, rank: int, ranks: int
) -> list[list[EncodedExample]]:
    """Cut a global batch into this rank's micro-batches, grouped by length.

    Every rank gets the same number of them, since backward passes communicate; a rank that runs
    out of examples repeats its last one with no targets.
    """
    ordered = sorted(examples, key=lambda example: len(example.input_ids))
    mine = ordered[rank::ranks]
    n_micro = math.ceil(math.ceil(len(ordered) / ranks) / micro)
    batches = [mine[start : start + micro] for start in range(0, len(mine), micro)]
    filler = ordered[0]
    empty = EncodedExample(
        input_ids=filler.input_ids,
        labels=[IGNORE_INDEX] * len(filler.input_ids),
        truncated=filler.truncated,
    )
    return batches + [[empty]] * (n_micro - len(batches))


@torch.no_grad()
def mean_validation_loss(
    model: PreTrainedModel, examples: Sequence[EncodedExample], pad_token_id: int, micro: int
) -> float:
    """Return the mean loss (nats per target token) over validation examples."""
    model.eval()
    device = next(model.parameters()).device
    ordered = sorted(examples, key=lambda example: len(example.input_ids))
    total = 0.0
    for start in range(0, len(ordered), micro):
        batch = collate(ordered[start : start + micro], pad_token_id)
        total += float(summed_loss(model, {k: v.to(device) for k, v in batch.items()}))
    model.train()
    return total / max(1, _count_targets(examples))


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
) -> TrainResult:
    """Fine-tune a model in place with DeepSpeed.

    Parameters
    ----------
    model
        Base model prepared by `template.prepare`; on return it holds the checkpoint that the
        checkpoint rule chose (with ZeRO 3, only the files in `save_to` do).
    items : sequence of Item, at least 1
        The training subset.
    training : TrainingSpec
        With `dtype` resolved.
    progress : callable
        Called with (step, n_steps) after every optimizer step.
    save_to : Path, optional
        Folder for the weights, tokenizer and template.

    Raises
    ------
    TrainingError
        If no example has a target token, or the loss is not finite.
    """
    import deepspeed

    torch.manual_seed(seed)
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    encoded = [template.encode(tokenizer, item.turns, training.max_length) for item in items]
    if not _count_targets(encoded):
        raise TrainingError(
            "no training example keeps a target token within max_length "
            f"{training.max_length}; raise training.max_length."
        )
    held_out = [template.encode(tokenizer, i.turns, training.max_length) for i in validation]
    n_steps = count_steps(training, len(items))
    micro = micro_batch_size(training)
    if training.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    model.train()
    engine, _, _, _ = deepspeed.initialize(
        model=model,
        model_parameters=[p for p in model.parameters() if p.requires_grad],
        config=deepspeed_config(training),
    )
    result = TrainResult(n_truncated=sum(example.truncated for example in encoded))
    best: dict[str, torch.Tensor] | None = None
    began = time.perf_counter()
    try:
        steps_per_epoch = math.ceil(len(items) / training.batch_size)
        for step, (_, indices) in enumerate(
            global_batches(len(items), training.batch_size, n_steps, seed), start=1
        ):
            batch = [encoded[index] for index in indices]
            logged = _optimizer_step(
                engine, batch, training, step, n_steps, micro, tokenizer.pad_token_id, rank, ranks
            )
            result.n_tokens += sum(len(example.input_ids) for example in batch)
            result.n_target_tokens += _count_targets(batch)
            result.steps.append(
                Step(
                    step=step,
                    epoch=step / steps_per_epoch,
                    n_tokens=result.n_tokens,
                    seconds=time.perf_counter() - began,
                    **logged,
                )
            )
            progress(step, n_steps)
            is_epoch_end = step % steps_per_epoch == 0 or step == n_steps
            if training.checkpoint_rule == "best_validation" and is_epoch_end:
                loss = mean_validation_loss(engine, held_out, tokenizer.pad_token_id, micro)
                if result.validation_loss is None or loss < result.validation_loss:
                    result.validation_loss, result.checkpoint_step = loss, step
                    best = {k: v.detach().clone() for k, v in _weights(engine).items()}
        result.n_epochs = n_steps / steps_per_epoch
        if training.checkpoint_rule == "last":
            result.checkpoint_step = n_steps
        weights = best or _weights(engine)
        if save_to is not None and rank == 0:
            model.save_pretrained(save_to, state_dict=weights)
            tokenizer.save_pretrained(save_to)
        if best is not None and training.zero_stage < 3:
            model.load_state_dict(best)
        result.seconds = time.perf_counter() - began
        result.peak_memory_bytes = peak_memory_bytes()
    finally:
        engine.destroy()
    model.eval()
    return result


def _optimizer_step(
    engine: Any,
    batch: Sequence[EncodedExample],
    training: TrainingSpec,
    step: int,
    n_steps: int,
    micro: int,
    pad_token_id: int,
    rank: int,
    ranks: int,
) -> dict[str, Any]:
    """Take one step on a global batch; return its loss, learning rate and gradient norm."""
    rate = learning_rate_at(training, step - 1, n_steps)
    for group in engine.optimizer.param_groups:
        group["lr"] = rate
    n_targets = max(1, _count_targets(batch))
    total = 0.0
    micro_batches = _micro_batches(batch, micro, rank, ranks)
    for index, examples in enumerate(micro_batches):
        tensors = {k: v.to(engine.device) for k, v in collate(examples, pad_token_id).items()}
        engine.set_gradient_accumulation_boundary(index == len(micro_batches) - 1)
        # DeepSpeed averages gradients over ranks; the factor makes it a sum.
        loss = summed_loss(engine, tensors) * (ranks / n_targets)
        engine.backward(loss, scale_wrt_gas=False)
        total += float(loss.detach()) / ranks
    engine.step()
    if ranks > 1:
        summed = torch.tensor(total, device=engine.device)
        torch.distributed.all_reduce(summed)
        total = float(summed)
    if not math.isfinite(total):
        raise TrainingError(
            f"the loss of step {step} is {total}; lower training.learning_rate "
            f"({training.learning_rate:g}) or look at the data."
        )
    norm = engine.get_global_grad_norm()
    return {
        "loss": total,
        "learning_rate": rate,
        "grad_norm": None if norm is None else float(norm),
    }


def _weights(engine: Any) -> dict[str, torch.Tensor]:
    """Return the full weights; with ZeRO 3 they are gathered from the ranks."""
    if engine.zero_optimization_stage() == 3:
        return engine._zero3_consolidated_16bit_state_dict() or {}
    return engine.module.state_dict()


def peak_memory_bytes() -> int:
    """Return the peak memory of this process: of the GPU where there is one, else resident."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
