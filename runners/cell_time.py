"""How long a cell takes on one worker, by a formula that is shown."""

from __future__ import annotations

from dataclasses import replace

from runners.grid import Cell
from runners.grid_spec import GridSpec, merge_training
from runners.hardware import Hardware

# Floating-point operations per second that small models reached on one CPU core, and seconds
# that every step and scored item costs besides; replaced by measured seconds once a run is done.
CPU_FLOPS_PER_CORE = 3e10
STEP_SECONDS = 0.015
ITEM_SECONDS = 0.0006

TIME_FORMULA = (
    "seconds of a cell = (6 N D + 2 N I) / F + 0.015 s a step + 0.0006 s an item; N parameters, "
    "D training tokens of all epochs, I tokens of the test items, F FLOP/s of the cell's "
    "processors; a cell that has run counts as long as it took then, and scales the others of its "
    "model"
)


def ranks_of(cell: Cell, spec: GridSpec) -> int:
    """Return a cell's ranks; a base model is scored by a worker like those that train it."""
    training = cell.training or merge_training(spec.training, cell.model.training)
    return training.ranks


def planned_hardware(spec: GridSpec, hardware: Hardware) -> Hardware:
    """Return the hardware that a dry run plans for: the grid's GPUs, if there are none here."""
    resources = spec.resources
    if hardware.n_gpus or resources.n_gpus is None:
        return hardware
    return replace(
        hardware,
        n_gpus=resources.n_gpus,
        gpu_memory_bytes=int(resources.gpu_memory_gb * 1e9),
        host_memory_bytes=(
            hardware.host_memory_bytes
            if resources.host_memory_gb is None
            else int(resources.host_memory_gb * 1e9)
        ),
    )


def forecast_seconds(
    cell: Cell, spec: GridSpec, hardware: Hardware, *, n_items: int, tokens_per_example: float
) -> float:
    """Return the seconds of a cell on one worker by TIME_FORMULA."""
    ranks = ranks_of(cell, spec)
    flops = CPU_FLOPS_PER_CORE
    if hardware.n_gpus:
        flops = spec.resources.gpu_tflops * 1e12
    n_params = cell.record.n_params or 0
    # One rank scores for its group.
    scoring = n_items * (ITEM_SECONDS + 2 * n_params * tokens_per_example / flops)
    if cell.training is None:
        return scoring
    tokens = cell.n_optimizer_steps * min(cell.training.batch_size, cell.n_examples)
    tokens_seconds = 6 * n_params * tokens * tokens_per_example / (flops * ranks)
    return scoring + cell.n_optimizer_steps * STEP_SECONDS + tokens_seconds
