"""DeepSpeed's side of training: process group, engine, kernels and full weights."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel

from runners.ds_config import REDUCE_BUCKET, deepspeed_config
from runners.grid_spec import TrainingSpec


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


def start_engine(model: PreTrainedModel, training: TrainingSpec, ranks: int) -> Any:
    """Return a DeepSpeed engine around a model; settings must be resolved (no "auto")."""
    import deepspeed

    trained = [p for p in model.parameters() if p.requires_grad]
    engine, _, _, _ = deepspeed.initialize(
        model=model,
        model_parameters=trained,
        config=deepspeed_config(
            training,
            ranks,
            # A parameter that ZeRO 3 has sharded holds no numbers itself.
            n_params=sum(getattr(p, "ds_numel", p.numel()) for p in trained),
        ),
    )
    return engine


@contextmanager
def sharded_loading(training: TrainingSpec) -> Iterator[None]:
    """Within it, `from_pretrained` shards weights over the ranks as it reads them (ZeRO 3)."""
    from transformers.integrations import HfDeepSpeedConfig, unset_hf_deepspeed_config

    # transformers keeps a weak reference only.
    ranks = torch.distributed.get_world_size()
    config = HfDeepSpeedConfig(deepspeed_config(training, ranks, n_params=REDUCE_BUCKET))
    try:
        yield
    finally:
        unset_hf_deepspeed_config()
        del config


def set_attention(model: PreTrainedModel, attention: str, dtype: str) -> str:
    """Set how a model computes attention and return its name in transformers.

    "auto" is flash attention where the package `flash_attn` and a GPU are present and numbers
    have two bytes, else PyTorch's scaled dot-product attention.
    """
    if attention == "auto":
        has_flash = importlib.util.find_spec("flash_attn") is not None
        usable = has_flash and torch.cuda.is_available() and dtype != "fp32"
        attention = "flash" if usable else "sdpa"
    name = "flash_attention_2" if attention == "flash" else attention
    if model.config._attn_implementation != name:
        model.set_attn_implementation(name)
    return name


def fuse_kernels(model: PreTrainedModel) -> str:
    """Replace norms, rotations and gates by Liger's fused kernels where they can run.

    Returns
    -------
    str
        "liger <version>", or "torch" without a GPU or the package (extra `fused`). The loss stays
        ours: it computes logits of target tokens only, which Liger's fused loss does not.
    """
    if not torch.cuda.is_available() or importlib.util.find_spec("liger_kernel") is None:
        return "torch"
    from importlib.metadata import version

    from transformers.integrations.liger import apply_liger_kernel

    apply_liger_kernel(model, {"cross_entropy": False, "fused_linear_cross_entropy": False})
    return f"liger {version('liger-kernel')}"


def full_weights(engine: Any) -> dict[str, torch.Tensor]:
    """Return the full weights; with ZeRO 3 they are gathered, and only rank 0 gets them.

    A collective operation: every rank must call it.
    """
    if engine.zero_optimization_stage() == 3:
        return dict(engine._zero3_consolidated_16bit_state_dict() or {})
    return dict(engine.module.state_dict())


def gpu_uuid() -> str | None:
    """Return the identifier of this rank's GPU for NVIDIA's management library."""
    if not torch.cuda.is_available():
        return None
    return f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
