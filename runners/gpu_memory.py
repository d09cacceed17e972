"""How much memory GPUs have in use, so that a retry doesn't start beside what a dead one left."""

from __future__ import annotations

import time
from collections.abc import Sequence

_SLACK_BYTES = 512 << 20
# Shorter than the silence after which `status` takes a run for lost.
_LIMIT_SECONDS = 10.0


def used_gpu_bytes(gpus: Sequence[str]) -> int | None:
    """Return the memory in use on GPUs by number or UUID; None where it can't be told."""
    if not gpus:
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        try:
            return sum(int(pynvml.nvmlDeviceGetMemoryInfo(_handle(gpu)).used) for gpu in gpus)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None


def _handle(gpu: str) -> object:
    import pynvml

    if gpu.isdigit():
        return pynvml.nvmlDeviceGetHandleByIndex(int(gpu))
    return pynvml.nvmlDeviceGetHandleByUUID(gpu)


def wait_until_freed(gpus: Sequence[str], before: int | None) -> bool:
    """Wait until no more memory is in use than `before`; False if that doesn't come in time."""
    if before is None:
        return True
    deadline = time.monotonic() + _LIMIT_SECONDS
    while (used := used_gpu_bytes(gpus)) is not None and used > before + _SLACK_BYTES:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
