"""Optimizer steps on a DeepSpeed engine: what they compute, however a batch is cut up.

The loss of a step is the mean over the target tokens of the whole global batch, whatever the
micro-batch size, the packing and the number of ranks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from runners.batches import (
    Row,
    collate,
    collate_packed,
    count_targets,
    micro_batches,
    pack_rows,
)
from runners.ds_config import micro_batch_size
from runners.engine import fuse_kernels, set_attention, start_engine
from runners.grid_spec import TrainingSpec
from runners.template import IGNORE_INDEX, EncodedExample
from warehouse.errors import WorkError

_MAX_OVERFLOWS = 32
"""Repetitions of one fp16 step; the scale starts at 2^16 and halves with each."""


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
    """What training did; counts are of the whole global batch over all ranks.

    Attributes
    ----------
    n_tokens : int
        Tokens of the examples seen, without padding.
    n_tokens_computed : int
        Tokens that went through the model, padding included.
    n_truncated : int
        Training examples that `max_length` cut.
    n_overflows : int
        fp16 only: steps repeated with half the loss scale because their gradients overflowed.
    seconds : float
        Training time over all attempts that this result was resumed from.
    energy_joules : float or None
        Of all the job's GPUs since the last resume; None where no counter tells.
    settings : dict
        How the steps were carried out: sharding, micro-batch, ranks, attention, kernels.
    resumed_from_step : int or None
        The step that a rolling checkpoint brought back.
    restarted_reason : str or None
        Why a rolling checkpoint was there but not taken up.
    """

    steps: list[Step] = field(default_factory=list)
    n_epochs: float = 0.0
    n_tokens: int = 0
    n_tokens_computed: int = 0
    n_target_tokens: int = 0
    n_truncated: int = 0
    n_overflows: int = 0
    validation_loss: float | None = None
    checkpoint_step: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    energy_joules: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    resumed_from_step: int | None = None
    restarted_reason: str | None = None

    @property
    def padding_share(self) -> float | None:
        """Share of the computed tokens that are padding; None before the first step."""
        return 1 - self.n_tokens / self.n_tokens_computed if self.n_tokens_computed else None

    def describe(self) -> dict[str, Any]:
        """Return how training was carried out, for the run record's environment."""
        return self.settings | {
            "n_tokens_computed": self.n_tokens_computed,
            "padding_share": self.padding_share,
            "n_overflows": self.n_overflows,
            "resumed_from_step": self.resumed_from_step,
            "restarted_reason": self.restarted_reason,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; `from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> TrainResult:
        """Read what `to_dict` returned."""
        return cls(**{**document, "steps": [Step(**step) for step in document["steps"]]})


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


def summed_loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the cross-entropy (nats) summed over the batch's target tokens.

    Only what targets need gets logits: the rest of the output layer's work, most of a small
    model's, would be thrown away.
    """
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    labels = batch["labels"][:, 1:]
    keep: int | torch.Tensor
    if "attention_mask" in batch:
        # Padding stands on the left: the columns from the first target on.
        is_target = (labels != IGNORE_INDEX).any(dim=0)
        first = int(is_target.int().argmax()) if bool(is_target.any()) else labels.shape[1] - 1
        labels = labels[:, first:]
        keep = labels.shape[1] + 1
    else:
        # Packed: the positions before targets. The first one keeps the graph whole without any.
        keep = functional.pad(labels != IGNORE_INDEX, (0, 1))
        keep[0, 0] = True
        labels = labels[keep[:, :-1]]
    logits = model(**inputs, use_cache=False, logits_to_keep=keep).logits
    if "attention_mask" in batch:
        logits = logits[:, :-1]
    return functional.cross_entropy(
        logits.float().reshape(-1, logits.shape[-1]),
        labels.reshape(-1),
        ignore_index=IGNORE_INDEX,
        reduction="sum",
    )


class TrainingLoop:
    """An engine with what each of its steps needs."""

    def __init__(
        self, model: PreTrainedModel, training: TrainingSpec, pad_token_id: int, n_steps: int
    ) -> None:
        self.training = training
        self.n_steps = n_steps
        self.rank = torch.distributed.get_rank()
        self.ranks = torch.distributed.get_world_size()
        self.micro = micro_batch_size(training, self.ranks)
        self._pad_token_id = pad_token_id
        self._attention = set_attention(model, training.attention, training.dtype)
        kernels = fuse_kernels(model)
        if training.gradient_checkpointing:
            model.activation_checkpointing_enable()
        model.train()
        self.engine = start_engine(model, training, self.ranks)
        settings = {
            "ranks": self.ranks,
            "micro_batch_size": self.micro,
            "zero_stage": training.zero_stage,
            "offload": training.offload,
            "dtype": training.dtype,
            "gradient_checkpointing": training.gradient_checkpointing,
            "packed_row_tokens": self._row_tokens,
            "attention": self._attention,
            "kernels": kernels,
            "optimizer": type(getattr(self.engine, "basic_optimizer", None)).__name__,
        }
        self.result = TrainResult(settings=settings)

    def __enter__(self) -> TrainingLoop:
        """Nothing is left to start."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the engine and its buffers."""
        self.engine.destroy()

    @property
    def _row_tokens(self) -> int | None:
        """Longest packed row in tokens; None without packing."""
        longest = self.training.packed_length or self.training.max_length
        return longest if self.training.packing else None

    def layout(self) -> dict[str, Any]:
        """Return what a resume checkpoint must agree on."""
        return {k: self.result.settings[k] for k in ("ranks", "zero_stage", "offload", "dtype")}

    def take_up(self, earlier: TrainResult) -> None:
        """Go on from an earlier attempt's result."""
        earlier.settings = self.result.settings
        earlier.resumed_from_step = len(earlier.steps)
        self.result = earlier

    def optimizer_step(self, batch: Sequence[EncodedExample], step: int) -> dict[str, Any]:
        """Take one step on a global batch; return its loss, learning rate and gradient norm."""
        rate = learning_rate_at(self.training, step - 1, self.n_steps)
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        for _ in range(_MAX_OVERFLOWS):
            total = self.accumulate(batch, step)
            skipped = self.engine.skipped_steps
            own_norm = self._unsharded_norm()
            if own_norm is not None and not math.isfinite(own_norm):
                raise self._gradient_error(step)
            self._step(step)
            if self.engine.skipped_steps == skipped:
                break
            if self.training.dtype != "fp16":
                raise self._gradient_error(step)
            # An fp16 overflow: DeepSpeed has halved the scale and dropped the gradients. The
            # batch is taken again, since a small cell can't spare a step.
            self.result.n_overflows += 1
        else:
            raise _overflow_error(step)
        norm = self.engine.get_global_grad_norm() if own_norm is None else own_norm
        return {
            "loss": total,
            "learning_rate": rate,
            "grad_norm": None if norm is None else float(norm),
        }

    def accumulate(self, batch: Sequence[EncodedExample], step: int) -> float:
        """Gather a global batch's gradients; return its loss, nats per target token."""
        n_targets = max(1, count_targets(batch))
        total = 0.0
        n_computed = 0
        parts = micro_batches(
            self._rows(batch, self._row_tokens), self.micro, self.rank, self.ranks
        )
        for index, rows in enumerate(parts):
            tensors = self._tensors(rows, packed=self.training.packing)
            n_computed += tensors["input_ids"].numel()
            self.engine.set_gradient_accumulation_boundary(index == len(parts) - 1)
            # DeepSpeed averages gradients over ranks; the factor makes it a sum.
            loss = summed_loss(self.engine, tensors) * (self.ranks / n_targets)
            self.engine.backward(loss, scale_wrt_gas=False)
            total += float(loss.detach()) / self.ranks
        if self.ranks > 1:
            counts = torch.tensor(
                [total, n_computed], device=self.engine.device, dtype=torch.float64
            )
            torch.distributed.all_reduce(counts)
            total, n_computed = float(counts[0]), int(counts[1])
        self.result.n_tokens_computed += n_computed
        if not math.isfinite(total):
            raise TrainingError(f"the loss of step {step} is {total}; {self._remedy()}")
        return total

    def _remedy(self) -> str:
        rate = self.training.learning_rate
        return f"lower training.learning_rate ({rate:g}) or look at the data."

    def _gradient_error(self, step: int) -> TrainingError:
        return TrainingError(f"the gradients of step {step} are not finite; {self._remedy()}")

    def _unsharded_norm(self) -> float | None:
        """Return the gradients' norm without ZeRO, where DeepSpeed neither checks nor tells it."""
        if self.training.zero_stage != 0:
            return None
        gradients = [p.grad for p in self.engine.module.parameters() if p.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients))

    def _step(self, step: int) -> None:
        try:
            self.engine.step()
        except Exception as error:
            # DeepSpeed raises a bare Exception when the scale can't get lower.
            if "loss scale" in str(error):
                raise _overflow_error(step) from error
            raise

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def mean_loss(self, examples: Sequence[EncodedExample], *, packed: bool = False) -> float:
        """Return the mean loss (nats per target token) without training."""
        self.engine.eval()
        rows = self._rows(examples, self._row_tokens if packed else None)
        total = torch.zeros((), device=self.engine.device, dtype=torch.float64)
        for part in micro_batches(rows, self.micro, self.rank, self.ranks):
            total += summed_loss(self.engine, self._tensors(part, packed=packed))
        if self.ranks > 1:
            torch.distributed.all_reduce(total)
        self.engine.train()
        return float(total) / max(1, count_targets(examples))

    def check_packing(self, encoded: Sequence[EncodedExample]) -> None:
        """Make sure that this model keeps packed examples apart, by the loss of a few of them."""
        few = sorted(encoded, key=lambda example: len(example.input_ids))[: 4 * self.ranks]
        apart, packed = self.mean_loss(few), self.mean_loss(few, packed=True)
        tolerance = 1e-4 if self.training.dtype == "fp32" else 1e-2
        if not math.isclose(apart, packed, rel_tol=tolerance):
            raise TrainingError(
                f"packing changes this model's loss ({packed:.4f} packed, {apart:.4f} apart): its "
                "attention does not keep packed examples apart; set training.packing: false."
            )

    def summed(self, value: float | None) -> float | None:
        """Return a figure's sum over the ranks; None if any rank has none."""
        total = torch.tensor(
            math.nan if value is None else value, device=self.engine.device, dtype=torch.float64
        )
        if self.ranks > 1:
            torch.distributed.all_reduce(total)
        return None if math.isnan(total) else float(total)

    def _rows(self, examples: Sequence[EncodedExample], row_tokens: int | None) -> list[Row]:
        if row_tokens is None:
            return [[example] for example in examples]
        return pack_rows(examples, row_tokens)

    def _tensors(self, rows: Sequence[Row], *, packed: bool) -> dict[str, torch.Tensor]:
        """Return a micro-batch on the engine's device."""
        if not packed:
            batch = collate([row[0] for row in rows], self._pad_token_id)
        else:
            if self._attention == "flash_attention_2":
                # It reads sequence lengths off the positions of a single row, which costs no
                # padding; a mask of that length would cost its square.
                rows = [[example for row in rows for example in row]]
            batch = collate_packed(rows, self._pad_token_id)
        return {name: value.to(self.engine.device) for name, value in batch.items()}


def _overflow_error(step: int) -> TrainingError:
    return TrainingError(
        f"the fp16 gradients of step {step} overflow at every loss scale; use dtype bf16 or fp32."
    )
