"""What this machine offers to training jobs."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Cores and GPUs that workers may use.

    Attributes
    ----------
    cores : tuple of int
        CPU cores that this process may run on.
    n_gpus : int
    """

    cores: tuple[int, ...]
    n_gpus: int

    @property
    def dtype(self) -> str:
        """Training precision that "auto" means here: bf16 is slow on CPUs without its units."""
        return "bf16" if self.n_gpus else "fp32"

    @property
    def accelerator(self) -> str:
        """DeepSpeed's name of the accelerator."""
        return "cuda" if self.n_gpus else "cpu"


def detect_hardware() -> Hardware:
    """Look at cores and GPUs without importing torch."""
    return Hardware(cores=tuple(sorted(os.sched_getaffinity(0))), n_gpus=_count_gpus())


def _count_gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    try:
        listing = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
