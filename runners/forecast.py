"""What a run will take: workers, time, disk, memory and money, each by a formula that is shown."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from runners.cell_time import ranks_of
from runners.executors import Executor
from runners.grid import Cell
from runners.grid_spec import GridSpec, ResourcesSpec, TrainingSpec
from runners.hardware import Hardware
from runners.memory import BYTES, ModelShape, Sharding, choose_sharding, read_shape, resume_bytes
from runners.plan import RunPlan
from runners.retries import limit_micro_batch
from warehouse.errors import InputError
from warehouse.workspace import Workspace

# Landing files and the warehouse's copies per item and cell, as the quickstart's are: 0.1 and 0.7
# KB. A large study's warehouse needs less (docs/benchmarks.md).
ITEM_BYTES = 900

DISK_FORMULA = (
    "disk = weights of a checkpoint, and two resume checkpoints while one replaces the other, for "
    "every cell at work (weights of all cells with keep_checkpoints) + 900 bytes an item and cell"
)
MEMORY_FORMULA = (
    "memory = weights + gradients + optimizer + activations + logits as in "
    "runners.memory.forecast_memory, every row full"
)


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Cells that need equally many ranks, run at once by workers of that shape."""

    ranks: int
    n_workers: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class MemoryNeed:
    """The training of one base model that needs most memory.

    Attributes
    ----------
    states_only : bool
        The model's configuration is not at hand, so activations and logits are left out.
    """

    base_model: str
    ranks: int
    sharding: Sharding
    states_only: bool


def plan_phases(
    plan: RunPlan, todo: Sequence[Cell], executor: Executor, max_parallel: int | None
) -> tuple[Phase, ...]:
    """Group cells by ranks, the largest first, and say how many workers each group gets.

    Raises
    ------
    InputError
        If the executor has no room for a cell.
    """
    groups: dict[int, list[Cell]] = {}
    for cell in todo:
        groups.setdefault(ranks_of(cell, plan.spec), []).append(cell)
    phases = []
    for ranks in sorted(groups, reverse=True):
        room = executor.count_workers(ranks)
        n_workers = min(room, max_parallel or room, len(groups[ranks]))
        phases.append(Phase(ranks=ranks, n_workers=n_workers, cells=tuple(groups[ranks])))
    return tuple(phases)


def run_seconds(phases: Iterable[Phase], seconds: Mapping[str, float]) -> float:
    """Return the wall time of a run: phases one after another, workers at once."""
    return sum(
        sum(seconds[cell.record.cell_id] for cell in phase.cells) / phase.n_workers
        for phase in phases
    )


def unit_hours(phases: Iterable[Phase], seconds: Mapping[str, float]) -> float:
    """Return GPU-hours, or core-hours without GPUs, that workers are busy."""
    return sum(
        phase.ranks * seconds[cell.record.cell_id] / 3600
        for phase in phases
        for cell in phase.cells
    )


def price_per_hour(share: Mapping[str, str | int], resources: ResourcesSpec) -> float | None:
    """Return the price of a worker's hour: of its GPUs, or else its cores; None without a price."""
    n_gpus, n_cores = int(share["n_gpus"]), int(share["n_cores"])
    if n_gpus:
        price = resources.price_per_gpu_hour
        return None if price is None else price * n_gpus
    price = resources.price_per_core_hour
    return None if price is None else price * n_cores


def checkpoint_bytes(cell: Cell) -> int:
    """Return the size of the checkpoint that is scored: weights, no optimizer state."""
    if cell.training is None:
        return 0
    return (cell.record.n_params or 0) * BYTES[cell.training.dtype]


def working_bytes(cell: Cell) -> int:
    """Return the disk that a cell takes at most while it is at work."""
    if cell.training is None:
        return 0
    weights = checkpoint_bytes(cell)
    # Each resume checkpoint has its own.
    best = weights if cell.training.checkpoint_rule == "best_validation" else 0
    return weights + 2 * (resume_bytes(cell.record.n_params or 0, cell.training.dtype) + best)


def disk_bytes(phases: Sequence[Phase], spec: GridSpec, n_items: int) -> int:
    """Return the disk that a run fills at its fullest, by DISK_FORMULA."""
    cells = [cell for phase in phases for cell in phase.cells]
    at_work = 0
    for phase in phases:
        sizes = sorted(map(working_bytes, phase.cells), reverse=True)
        at_work = max(at_work, sum(sizes[: phase.n_workers]))
    kept = sum(map(checkpoint_bytes, cells)) if spec.keep_checkpoints else 0
    return at_work + kept + len(cells) * n_items * ITEM_BYTES


def free_bytes(workspace: Workspace) -> int:
    """Return the free space of the disk that a workspace is, or will be, on."""
    place = workspace.root.resolve()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def check_disk(workspace: Workspace, needed: int, quota_gb: float | None) -> None:
    """Refuse a run that would fill the disk or break its quota.

    Raises
    ------
    InputError
        If `needed` bytes are more than is free, or would take the workspace beyond the quota.
    """
    remedy = "use fewer workers (--max-parallel), keep no checkpoints, or"
    if needed > (free := free_bytes(workspace)):
        raise InputError(
            f"The run needs about {needed / 1e9:.2f} GB of disk and {workspace.root} has "
            f"{free / 1e9:.2f} GB free; {remedy} name another --workspace."
        )
    if quota_gb is None:
        return
    used = sum(p.stat().st_size for p in workspace.root.rglob("*") if p.is_file())
    if used + needed > quota_gb * 1e9:
        raise InputError(
            f"The run needs about {needed / 1e9:.2f} GB of disk; with the {used / 1e9:.2f} GB that "
            f"{workspace.root} holds that is beyond the quota of {quota_gb:g} GB; {remedy} raise "
            "the quota (resources.disk_quota_gb or --disk-quota)."
        )


def memory_needs(plan: RunPlan, phases: Iterable[Phase]) -> list[MemoryNeed]:
    """Return the largest memory need of each base model among the cells to train."""
    needs: dict[str, MemoryNeed] = {}
    seen: set[tuple[str, TrainingSpec | None]] = set()
    for cell, n_workers in ((c, phase.n_workers) for phase in phases for c in phase.cells):
        n_params = cell.record.n_params
        key = (cell.record.base_model, cell.training)
        if cell.training is None or n_params is None or key in seen:
            continue
        seen.add(key)
        shape = read_shape(plan.models[cell.record.base_model].folder, n_params)
        need = MemoryNeed(
            base_model=cell.record.base_model,
            ranks=cell.training.ranks,
            sharding=choose_sharding(
                shape or _states_of(n_params),
                cell.training,
                share_of(plan.hardware, n_workers),
                cell.training.ranks,
            ),
            states_only=shape is None,
        )
        known = needs.get(need.base_model)
        if known is None or _total(need) > _total(known):
            needs[need.base_model] = need
    return list(needs.values())


def resolve_training(
    plan: RunPlan, cell: Cell, phase: Phase, limit: int | None
) -> TrainingSpec | None:
    """Return a cell's training with sharding and micro-batch as memory allows them.

    Parameters
    ----------
    limit : int or None
        Largest micro-batch that memory has been seen to hold.
    """
    if cell.training is None:
        return None
    training = limit_micro_batch(cell.training, phase.ranks, limit)
    shape = read_shape(plan.models[cell.record.base_model].folder, cell.record.n_params)
    hardware = share_of(plan.hardware, phase.n_workers)
    return choose_sharding(shape, training, hardware, phase.ranks).apply_to(training)


def check_memory(needs: Iterable[MemoryNeed], hardware: Hardware) -> None:
    """Refuse a run whose states alone can't fit, whatever is done about its batches.

    Raises
    ------
    InputError
        Naming the model, what it needs and what there is.
    """
    for need in needs:
        forecast = need.sharding.forecast
        if need.sharding.fits is not False or forecast is None:
            continue
        device = hardware.gpu_memory_bytes if hardware.n_gpus else hardware.host_memory_bytes
        states = forecast.weights + forecast.gradients + forecast.optimizer
        if device is None or states <= device:
            # An upper bound of the activations is beyond: training tries, and halves its batches.
            continue
        raise InputError(
            f"{need.base_model}: weights, gradients and optimizer need {states / 1e9:.1f} GB on "
            f"each of {need.ranks} ranks and there are {device / 1e9:.1f} GB; raise "
            "training.ranks, training.zero_stage or training.offload."
        )


def share_of(hardware: Hardware, n_workers: int) -> Hardware:
    """Return the hardware with the main memory that one of several workers may count on."""
    host = hardware.host_memory_bytes
    return replace(hardware, host_memory_bytes=None if host is None else host // max(1, n_workers))


def _states_of(n_params: int) -> ModelShape:
    """Return the shape of a model of which the size alone is known: activations count nothing."""
    return ModelShape(
        family="",
        n_params=n_params,
        hidden_size=0,
        intermediate_size=0,
        n_layers=0,
        n_heads=0,
        kv_width=0,
        vocab_size=0,
    )


def _total(need: MemoryNeed) -> int:
    return need.sharding.forecast.total if need.sharding.forecast else 0
