"""DeepSpeed's configuration as a pure function of a cell's training settings."""

from __future__ import annotations

from typing import Any

from runners.grid_spec import TrainingSpec

REDUCE_BUCKET = 500_000_000
"""DeepSpeed's default: elements of gradients that are gathered before they are reduced."""


def micro_batch_size(training: TrainingSpec, ranks: int) -> int:
    """Return the rows (examples, or packed rows) that go through the model at once on one rank."""
    per_rank = -(-training.batch_size // ranks)
    return min(training.micro_batch_size or per_rank, per_rank)


def deepspeed_config(training: TrainingSpec, ranks: int, n_params: int) -> dict[str, Any]:
    """Return the configuration for `deepspeed.initialize`.

    Gradient accumulation is left at 1 because the training loop sets the accumulation boundary
    itself: only so is the last, smaller batch of an epoch neither dropped nor weighted wrongly.

    Parameters
    ----------
    training : TrainingSpec
        With `dtype`, `zero_stage` and `offload` resolved (not "auto").
    ranks : int
        Processes that the job really has.
    n_params : int
        The gradients' buffer need be no larger.
    """
    micro = micro_batch_size(training, ranks)
    zero: dict[str, Any] = {
        "stage": training.zero_stage,
        "reduce_bucket_size": min(REDUCE_BUCKET, n_params),
        "stage3_gather_16bit_weights_on_model_save": training.zero_stage == 3,
    }
    if training.offload != "none":
        zero["offload_optimizer"] = {"device": "cpu"}
    if training.offload == "parameters":
        zero["offload_param"] = {"device": "cpu"}
    config: dict[str, Any] = {
        "train_batch_size": micro * ranks,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": training.gradient_clipping,
        "steps_per_print": 1_000_000_000,
        "zero_optimization": zero,
        # PyTorch's fused AdamW is as fast on the host as DeepSpeed's, and needs no compiler.
        "zero_force_ds_cpu_optimizer": False,
        "optimizer": {
            "type": "AdamW",
            "params": {
                "lr": training.learning_rate,
                "betas": list(training.betas),
                "eps": 1e-8,
                "weight_decay": training.weight_decay,
                "torch_adam": True,
                "fused": True,
            },
        },
    }
    if training.dtype == "bf16":
        config["bf16"] = {"enabled": True}
    elif training.dtype == "fp16":
        # Every overflow halves the scale, since the loop repeats the step instead of losing it.
        config["fp16"] = {"enabled": True, "initial_scale_power": 16, "hysteresis": 1}
    return config
