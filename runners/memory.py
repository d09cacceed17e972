"""Memory that full fine-tuning needs on each GPU, and the sharding that follows from it. Pure.

Sizes are in bytes; one "device" is a GPU, or a rank's share of the host's memory without one.
Model states follow the ZeRO paper (Rajbhandari et al. 2020, arXiv 1910.02054, section 5) with
DeepSpeed's own buffers; activations are coefficients measured as described at `_SAVED`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners.ds_config import REDUCE_BUCKET, micro_batch_size
from runners.grid_spec import TrainingSpec
from runners.hardware import Hardware

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
# Parameters that ZeRO 3 keeps gathered (DeepSpeed's stage3_max_live_parameters).
_LIVE_PARAMETERS = 1_000_000_000
# fp32 master weights, both Adam moments, and the fp32 gradient of the step.
_OPTIMIZER_BYTES = 16
# CUDA context, communication buffers and fragmentation.
_GPU_OVERHEAD = 2 * 2**30
_USABLE_SHARE = 0.95

# Elements that a layer saves for the backward pass per token, as (hidden size, intermediate
# size, width of keys), in 4-byte and in 2-byte training; counted by saved-tensor hooks on small
# models with SDPA (norms save fp32 copies in 2-byte training). Other families: the largest.
_SAVED = {
    "llama": ((8.2, 4.0, 2.0), (10.2, 4.0, 2.0)),
    "mistral": ((8.2, 4.0, 2.0), (10.2, 4.0, 2.0)),
    "qwen2": ((8.2, 4.0, 2.0), (10.2, 4.0, 2.0)),
    "qwen3": ((10.2, 4.0, 4.1), (13.3, 4.0, 5.1)),
    "gemma3_text": ((10.8, 5.4, 5.8), (20.8, 5.5, 7.9)),
}
_SAVED_AT_MOST = _SAVED["gemma3_text"]


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """What memory depends on; counts.

    Attributes
    ----------
    family : str
        `model_type` of the configuration.
    kv_width : int
        Key heads x head size.
    """

    family: str
    n_params: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    kv_width: int
    vocab_size: int


def shape_of(config: Mapping[str, Any], n_params: int) -> ModelShape | None:
    """Return the shape that a model's configuration tells; None if it lacks the usual fields."""
    config = config.get("text_config") or config
    try:
        hidden, n_heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        return ModelShape(
            family=str(config.get("model_type", "")),
            n_params=n_params,
            hidden_size=hidden,
            intermediate_size=int(config["intermediate_size"]),
            n_layers=int(config["num_hidden_layers"]),
            n_heads=n_heads,
            kv_width=int(config.get("num_key_value_heads") or n_heads)
            * int(config.get("head_dim") or hidden // n_heads),
            vocab_size=int(config["vocab_size"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def read_shape(folder: Path, n_params: int | None) -> ModelShape | None:
    """Return the shape of a model folder; None if its size or configuration is not known."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return shape_of(config, n_params) if n_params and isinstance(config, dict) else None


@dataclass(frozen=True, kw_only=True)
class MemoryForecast:
    """Peak memory of a training step, in bytes per device; `host` is per rank, for offload."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    overhead: int
    host: int = 0

    @property
    def total(self) -> int:
        """Sum on the device."""
        return (
            self.weights
            + self.gradients
            + self.optimizer
            + self.activations
            + self.logits
            + self.overhead
        )


def forecast_memory(
    shape: ModelShape,
    *,
    dtype: str,
    ranks: int,
    zero_stage: int,
    offload: str = "none",
    n_rows: int,
    row_tokens: int,
    gradient_checkpointing: bool = False,
    attention: str = "sdpa",
    overhead: int = _GPU_OVERHEAD,
) -> MemoryForecast:
    """Forecast the peak of a step; an upper bound, since every row is taken to be full.

    With P parameters of b bytes on n ranks::

        weights      b P                       / n from ZeRO 3 on, + b min(P, 10^9) gathered
        gradients    b P                       / n from ZeRO 2 on, + b min(P, 5 10^8) bucket
        optimizer    16 P (8 P without ZeRO, in fp32)   / n from ZeRO 1 on
        activations  b T L (x h + y i + z k) + 4 b T h  (saved for the backward pass)
                     with checkpointing b T L h + one layer
        logits       T V (12, in 2-byte training 14)

    T: tokens of the micro-batch, L: layers, h, i, k: hidden, intermediate and key width, V:
    vocabulary, x, y, z: see `_SAVED`. `offload` moves optimizer and gradients, or also the
    weights, to the host. Eager attention saves 3 b heads T row_tokens more in each layer.

    Parameters
    ----------
    n_rows : int
        Rows that go through the model at once (examples, or packed rows).
    row_tokens : int
        Tokens of the longest row.

    References
    ----------
    Rajbhandari et al. 2020, arXiv 1910.02054, section 5; DeepSpeed, "Memory Requirements";
    checkpointing: Chen et al. 2016, arXiv 1604.06174.
    """
    b = BYTES[dtype]
    params = shape.n_params
    own = params / ranks
    weights = b * (own + min(params, _LIVE_PARAMETERS) if zero_stage == 3 else params)
    bucket = b * min(params, REDUCE_BUCKET) if zero_stage else 0
    gradients = b * (own if zero_stage >= 2 else params)
    per_param = _OPTIMIZER_BYTES if zero_stage else 8
    optimizer = per_param * (own if zero_stage else params)
    host = 0.0
    if offload != "none":
        host, optimizer, gradients = optimizer + gradients, 0.0, 0.0
    if offload == "parameters":
        host += b * own
        weights = b * min(params, _LIVE_PARAMETERS)
    tokens = n_rows * row_tokens
    x, y, z = _SAVED.get(shape.family, _SAVED_AT_MOST)[b == 2]
    layer = b * (x * shape.hidden_size + y * shape.intermediate_size + z * shape.kv_width)
    if attention == "eager":
        layer += 3 * b * shape.n_heads * row_tokens
    kept = shape.n_layers * (b * shape.hidden_size if gradient_checkpointing else layer)
    if gradient_checkpointing:
        kept += layer
    # The logits, their fp32 copy, the log-probabilities and their gradient.
    logits = (12 if b == 4 else 14) * shape.vocab_size
    return MemoryForecast(
        weights=round(weights),
        gradients=round(gradients + bucket),
        optimizer=round(optimizer),
        activations=round(tokens * (kept + 4 * b * shape.hidden_size)),
        logits=round(tokens * logits),
        overhead=overhead,
        host=round(host),
    )


def resume_bytes(n_params: int, dtype: str) -> int:
    """Forecast the disk of one rolling resume checkpoint: weights, master weights, both moments.

    Twice that is taken while a new one replaces the last; `best_validation` adds the weights.
    """
    return n_params * (BYTES[dtype] + 12)


@dataclass(frozen=True, kw_only=True)
class Sharding:
    """How a job's states lie on its devices.

    Attributes
    ----------
    micro_batch_size : int
        Rows that go through the model at once on a rank.
    forecast : MemoryForecast or None
        None where the model's shape is not known.
    fits : bool or None
        Whether the forecast fits; None where shape or memory is not known.
    """

    zero_stage: int
    offload: str
    micro_batch_size: int
    forecast: MemoryForecast | None = None
    fits: bool | None = None

    def apply_to(self, training: TrainingSpec) -> TrainingSpec:
        """Return the settings with every "auto" of sharding and micro-batch resolved."""
        return training.model_copy(
            update={
                "zero_stage": self.zero_stage,
                "offload": self.offload,
                "micro_batch_size": self.micro_batch_size,
            }
        )


def choose_sharding(
    shape: ModelShape | None, training: TrainingSpec, hardware: Hardware, ranks: int
) -> Sharding:
    """Choose ZeRO stage, offload and micro-batch: the fastest that fits, by the forecast.

    In this order, as far as `training` leaves it open: ZeRO 2; ZeRO 3, which talks half as much
    again; ZeRO 2, then 3, with the optimizer on the host; at last the weights on the host, too.
    The first that fits with some micro-batch wins, with the largest of its micro-batches
    (halvings of the one asked for). Stages 0 and 1 are used if asked for only: 2 needs less
    memory than they do for the same traffic.

    Parameters
    ----------
    training : TrainingSpec
        With `dtype` resolved.
    ranks : int
        Processes of the job; all on one host for the host's memory.

    Returns
    -------
    Sharding
        If nothing fits, the one that needs least, with `fits` False.
    """
    asked = micro_batch_size(training, ranks)
    choices = _choices(training, ranks, on_gpu=bool(hardware.n_gpus))
    memory = hardware.gpu_memory_bytes if hardware.n_gpus else hardware.host_memory_bytes
    if shape is None or memory is None:
        stage, offload = choices[0]
        return Sharding(zero_stage=stage, offload=offload, micro_batch_size=asked)
    device = memory * _USABLE_SHARE
    host = hardware.host_memory_bytes or 0
    row_tokens = training.max_length
    if training.packing:
        row_tokens = training.packed_length or training.max_length
    least: Sharding | None = None
    for stage, offload in choices:
        micro = asked
        while True:
            forecast = forecast_memory(
                shape,
                dtype=training.dtype,
                ranks=ranks,
                zero_stage=stage,
                offload=offload,
                n_rows=micro,
                row_tokens=row_tokens,
                gradient_checkpointing=training.gradient_checkpointing,
                attention=training.attention,
                overhead=_GPU_OVERHEAD if hardware.n_gpus else 0,
            )
            found = Sharding(
                zero_stage=stage,
                offload=offload,
                micro_batch_size=micro,
                forecast=forecast,
                fits=_fits(forecast, device, host, ranks, on_gpu=bool(hardware.n_gpus)),
            )
            if found.fits:
                return found
            if least is None or least.forecast is None or forecast.total < least.forecast.total:
                least = found
            if micro == 1:
                break
            micro //= 2
    assert least is not None
    return least


def _choices(training: TrainingSpec, ranks: int, *, on_gpu: bool) -> list[tuple[int, str]]:
    """Return (stage, offload) in the order to try; at least one."""
    stage, offload = training.zero_stage, training.offload
    if stage == 0 and training.dtype != "fp32":
        # DeepSpeed's stage 0 has an optimizer of its own for 2-byte numbers, whose steps differ
        # by more than float error (seen with 0.19.8); ZeRO 1 steps as 2 and 3 do.
        stage = 1
    order = [(2, "none"), (3, "none"), (2, "optimizer"), (3, "optimizer"), (3, "parameters")]
    if stage in (0, 1):
        order = [(int(stage), offloads) for offloads in ("none", "optimizer")[: stage + 1]]
    elif stage != "auto":
        order = [choice for choice in order if choice[0] == stage]
    elif ranks == 1:
        # One rank has nobody to share with: ZeRO only helps it to offload. In fp32, stage 0 spares
        # ZeRO's copies of weights and gradients.
        first = 0 if training.dtype == "fp32" else 2
        order = [(first, "none"), (2, "optimizer"), (3, "parameters")]
    if offload == "auto":
        # Without a GPU the host's memory is the device's: offloading gains nothing.
        return order if on_gpu else [choice for choice in order if choice[1] == "none"]
    return [choice for choice in order if choice[1] == offload]


def _fits(forecast: MemoryForecast, device: float, host: int, ranks: int, *, on_gpu: bool) -> bool:
    if on_gpu:
        return forecast.total <= device and forecast.host * ranks <= host * _USABLE_SHARE
    return (forecast.total + forecast.host) * ranks <= device
