"""Benchmark of training on a GPU: tokens per second and model FLOPs utilisation."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners.ds_config import micro_batch_size
from runners.grid_spec import TrainingSpec
from runners.hardware import detect_hardware
from runners.worker_group import free_port
from warehouse.errors import InputError, WorkError

_REPOSITORY = Path(__file__).resolve().parent.parent
_ROW_TOKENS = 2048
_WARM_UP, _TIMED = 4, 12
MFU_TARGET = 0.45

# Dense bf16 tensor-core peaks, FLOP/s, from NVIDIA's data sheets.
PEAK_FLOPS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "A40": 150e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}


@dataclass(frozen=True, kw_only=True)
class LlamaShape:
    """A Llama-type model with untied embeddings; the default has 1.1 billion parameters."""

    hidden_size: int = 2048
    intermediate_size: int = 5632
    n_layers: int = 22
    n_heads: int = 32
    n_kv_heads: int = 4
    vocab_size: int = 32000

    @property
    def n_matmul_params(self) -> int:
        """Parameters that each token is multiplied with: all but input embeddings and norms."""
        h, kv = self.hidden_size, self.hidden_size // self.n_heads * self.n_kv_heads
        layer = 2 * h * h + 2 * h * kv + 3 * h * self.intermediate_size
        return self.n_layers * layer + h * self.vocab_size


def training_flops_per_token(shape: LlamaShape, row_tokens: int) -> float:
    """Return the FLOPs that training on one token takes: 6 N + 12 L h T.

    The second term is attention, of which a causal model needs only half; it is counted whole, as
    is usual for this figure. Recomputed activations count nothing.

    Parameters
    ----------
    row_tokens : int
        T, tokens of a row.

    References
    ----------
    Chowdhery et al. 2022, "PaLM", arXiv 2204.02311, appendix B.
    """
    return 6.0 * shape.n_matmul_params + 12.0 * shape.n_layers * shape.hidden_size * row_tokens


def model_flops_utilisation(
    tokens_per_second: float, shape: LlamaShape, row_tokens: int, peak_flops: float
) -> float:
    """Return the share of the GPU's peak that the model's own arithmetic takes, in [0, 1]."""
    return tokens_per_second * training_flops_per_token(shape, row_tokens) / peak_flops


def peak_flops_of(name: str, asked: float | None = None) -> float:
    """Return a GPU's dense bf16 peak in FLOP/s, by its name or as asked for in TFLOP/s.

    Raises
    ------
    InputError
        If the GPU is not known and no peak is given.
    """
    if asked is not None:
        return asked * 1e12
    for known, peak in PEAK_FLOPS.items():
        if all(word in name for word in known.split()):
            return peak
    raise InputError(
        f"The peak of {name} is not known; give its dense bf16 TFLOP/s with --peak-tflops."
    )


def measure_gpu_training(
    zero_stages: tuple[int, ...], micro_batch_size: int, peak_tflops: float | None
) -> list[tuple[str, str, str]]:
    """Train random weights on random tokens with each ZeRO stage; return rows of the report.

    Raises
    ------
    InputError
        If this machine has no GPU that PyTorch can use, or its peak is not known.
    WorkError
        If a training ends early, e.g. for want of memory.
    """
    import torch

    if not detect_hardware().n_gpus or not torch.cuda.is_available():
        raise InputError("This benchmark needs an NVIDIA GPU and a CUDA build of PyTorch.")
    name = torch.cuda.get_device_name(0)
    peak = peak_flops_of(name, peak_tflops)
    shape = LlamaShape()
    rows = [
        (
            "training",
            f"random Llama, {shape.n_matmul_params / 1e9:.2f}B parameters, bf16, "
            f"{micro_batch_size} rows of {_ROW_TOKENS} tokens on one {name}",
            "",
        )
    ]
    for stage in zero_stages:
        done = subprocess.run(
            [sys.executable, "-m", "runners.bench_gpu", str(stage), str(micro_batch_size)],
            cwd=_REPOSITORY,
            env=dict(os.environ)
            | {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
            | {"MASTER_PORT": str(free_port())},
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode != 0:
            raise WorkError(
                f"Training with ZeRO {stage} ended with exit code {done.returncode}; try a smaller "
                "--micro-batch-size."
            )
        found = json.loads(done.stdout.splitlines()[-1])
        share = model_flops_utilisation(found["tokens_per_second"], shape, _ROW_TOKENS, peak)
        rows += [
            (f"ZeRO {stage}", f"{found['tokens_per_second']:,.0f} tokens/s", ""),
            (
                f"ZeRO {stage}, model FLOPs utilisation of {peak / 1e12:.0f} TFLOP/s",
                f"{share:.0%}",
                f"at least {MFU_TARGET:.0%}",
            ),
            (f"ZeRO {stage}, peak memory", f"{found['peak_memory_bytes'] / 1e9:.1f} GB", ""),
            (f"ZeRO {stage}, attention and kernels", found["how"], ""),
        ]
    return rows


def measure_steps(loop: Any, batch: list[Any], n_warm_up: int, n_timed: int) -> float:
    """Return tokens per second of a loop's steps on one batch, by the median step."""
    seconds = []
    for step in range(1, n_warm_up + n_timed + 1):
        began = time.perf_counter()
        # The step reads its gradient norm back, so it is over when this returns.
        loop.optimizer_step(batch, step)
        seconds.append(time.perf_counter() - began)
    tokens = sum(len(example.input_ids) for example in batch)
    return tokens / statistics.median(seconds[n_warm_up:])


def main() -> None:
    """Measure one ZeRO stage and print the figures as one line of JSON."""
    stage, micro = int(sys.argv[1]), int(sys.argv[2])
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from runners.engine import start_deepspeed
    from runners.template import EncodedExample
    from runners.train import peak_memory_bytes
    from runners.train_steps import TrainingLoop

    start_deepspeed("cuda")
    shape = LlamaShape()
    config = LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_kv_heads,
    )
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    training = TrainingSpec.model_validate(
        {
            "epochs": 1,
            "batch_size": micro,
            "max_length": _ROW_TOKENS,
            "dtype": "bf16",
            "zero_stage": stage,
            "offload": "none",
            "packing": True,
        }
    )
    ids = torch.randint(0, shape.vocab_size, (micro_batch_size(training, 1), _ROW_TOKENS)).tolist()
    batch = [EncodedExample(input_ids=row, labels=row, truncated=False) for row in ids]
    loop = TrainingLoop(model, training, 0, _WARM_UP + _TIMED)
    speed = measure_steps(loop, batch, _WARM_UP, _TIMED)
    settings = loop.result.settings
    print(
        json.dumps(
            {
                "tokens_per_second": speed,
                "peak_memory_bytes": peak_memory_bytes(),
                "how": f"{settings['attention']}, {settings['kernels']}",
            }
        )
    )


if __name__ == "__main__":
    main()
