"""DeepSpeed's configuration as a pure function of a cell's training settings."""

from __future__ import annotations

from typing import Any

from runners.grid_spec import TrainingSpec


def micro_batch_size(training: TrainingSpec) -> int:
    """Return the examples that go through the model at once on one rank."""
    per_rank = training.batch_size // training.ranks
    return min(training.micro_batch_size or per_rank, per_rank)


def deepspeed_config(training: TrainingSpec) -> dict[str, Any]:
    """Return the configuration for `deepspeed.initialize`.

    Gradient accumulation is left at 1 because the training loop sets the accumulation boundary
    itself: only so is the last, smaller batch of an epoch neither dropped nor weighted wrongly.

    Parameters
    ----------
    training : TrainingSpec
        With `dtype` resolved (not "auto").
    """
    micro = micro_batch_size(training)
    config: dict[str, Any] = {
        "train_batch_size": micro * training.ranks,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": training.gradient_clipping,
        "steps_per_print": 1_000_000_000,
        "zero_optimization": {
            "stage": training.zero_stage,
            "stage3_gather_16bit_weights_on_model_save": training.zero_stage == 3,
        },
        "optimizer": {
            "type": "AdamW",
            "params": {
                "lr": training.learning_rate,
                "betas": list(training.betas),
                "eps": 1e-8,
                "weight_decay": training.weight_decay,
                # PyTorch's AdamW needs no C++ build; DeepSpeed's own does.
                "torch_adam": True,
            },
        },
    }
    if training.dtype == "bf16":
        config["bf16"] = {"enabled": True}
    elif training.dtype == "fp16":
        config["fp16"] = {"enabled": True}
    return config
