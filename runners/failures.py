"""What an exception means: too little memory, a full disk, the surroundings, or the cell itself."""

from __future__ import annotations

import errno
import re

from runners.job import Cause, Event

# What libraries say of it, whatever their exception's type: a plain RuntimeError on the CPU.
_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|bad_alloc", re.I)
_DISK_FULL_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DISK_FULL = re.compile(r"\(os error (27|28|122)\)|PytorchStreamWriter failed|unexpected pos")
_SURROUNDINGS = re.compile(r"connection (closed|reset|refused)|NCCL|CUDA error|gloo", re.I)


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error is a lack of memory, on a GPU or the host."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return bool(_NO_MEMORY.search(str(error)))


def describe_failure(error: Exception, stage: str) -> Event:
    """Turn an exception into the event that decides what comes next."""
    import torch

    text = str(error).strip()
    first, second = [*text.splitlines(), "", ""][:2]
    if first.endswith(":"):
        first = f"{first} {second.strip()}".strip()
    # Without its full stop: sentences are made around it.
    reason = f"{type(error).__name__}: {first.rstrip('.') or 'no message'}"
    reason += "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    if is_out_of_memory(error):
        cause, reason = Cause.OUT_OF_MEMORY, "out of memory"
    elif getattr(error, "errno", None) in _DISK_FULL_NUMBERS or _DISK_FULL.search(text):
        cause = Cause.DISK_FULL
    elif (
        # Loaders of models raise OSErrors without a number for what is wrong with the model.
        (isinstance(error, OSError) and error.errno not in (None, errno.ENOENT))
        or isinstance(error, torch.distributed.DistError)
        or _SURROUNDINGS.search(text)
    ):
        cause = Cause.SURROUNDINGS
    else:
        cause = Cause.CELL
    return Event(kind="failed", stage=stage, reason=reason, cause=cause)
