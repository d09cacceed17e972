"""What this machine offers to training jobs."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

_DRIVER = Path("/dev/nvidiactl")


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Cores, GPUs and memory that workers may use.

    Attributes
    ----------
    cores : tuple of int
        CPU cores that this process may run on.
    n_gpus : int
    gpu_memory_bytes : int or None
        Of the smallest GPU; None without a GPU or where its driver does not tell.
    host_memory_bytes : int or None
        The machine's main memory.
    """

    cores: tuple[int, ...]
    n_gpus: int
    gpu_memory_bytes: int | None = None
    host_memory_bytes: int | None = None

    @property
    def dtype(self) -> str:
        """Training precision that "auto" means here: bf16 is slow on CPUs without its units."""
        return "bf16" if self.n_gpus else "fp32"

    @property
    def accelerator(self) -> str:
        """DeepSpeed's name of the accelerator."""
        return "cuda" if self.n_gpus else "cpu"


def detect_hardware() -> Hardware:
    """Look at cores, GPUs and memory without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    memory = _gpu_memory()
    n_gpus = len(memory)
    # DeepSpeed's launcher sets the variable on machines without a GPU, too.
    if visible is not None and (memory or _DRIVER.exists()):
        n_gpus = len([d for d in visible.split(",") if d.strip() not in ("", "-1")])
    known = [size for size in memory if size]
    return Hardware(
        cores=tuple(sorted(os.sched_getaffinity(0))),
        n_gpus=n_gpus,
        gpu_memory_bytes=min(known) if known and n_gpus else None,
        host_memory_bytes=psutil.virtual_memory().total,
    )


def _gpu_memory() -> list[int]:
    """Return every GPU's memory in bytes, 0 where the driver does not tell."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if answer.returncode != 0:
        return []
    mebibytes = [line.strip() for line in answer.stdout.splitlines() if line.strip()]
    return [int(size) * 2**20 if size.isdigit() else 0 for size in mebibytes]


class EnergyMeter:
    """Energy that a GPU draws from now on, by the counter of NVIDIA's management library.

    Parameters
    ----------
    uuid : str or None
        The GPU's identifier ("GPU-..."); None without a GPU.
    """

    def __init__(self, uuid: str | None) -> None:
        self._uuid = uuid
        self._start = self._millijoules()

    def joules(self) -> float | None:
        """Return the energy since the start; None where the GPU has no such counter."""
        now = self._millijoules()
        return None if now is None or self._start is None else (now - self._start) / 1000

    def _millijoules(self) -> int | None:
        if self._uuid is None:
            return None
        try:
            import pynvml

            pynvml.nvmlInit()
            device = pynvml.nvmlDeviceGetHandleByUUID(self._uuid)
            return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(device))
        except ImportError:
            return None
        except pynvml.NVMLError:
            # Cards older than Volta, and some virtual ones, count no energy.
            return None
