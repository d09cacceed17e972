"""From a grid to the cells that are still to be run, with a forecast of time and disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runners.base_models import BaseModel, resolve_base_model
from runners.grid import Cell, GridContext, expand_grid, short_hash
from runners.grid_spec import GridSpec, load_grid
from runners.hardware import Hardware
from runners.job import Job
from runners.sft_data import (
    StudyData,
    load_study_data,
    prepare_evaluation,
    prepare_subset,
)
from warehouse.errors import LandingError
from warehouse.landing import list_landing, read_document, write_document
from warehouse.records import PlanRecord, RecordKind, RunRecord, RunStatus
from warehouse.workspace import Workspace

# Floating-point operations per second and core that small models reached on CPUs, and seconds
# that every step and scored item costs besides; replaced by measured seconds once a run is done.
_CPU_FLOPS_PER_CORE = 3e10
_GPU_FLOPS = 1e14
_STEP_SECONDS = 0.015
_ITEM_SECONDS = 0.0006
_FP32_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A grid on one workspace.

    Attributes
    ----------
    cells : tuple of Cell
        All cells of the grid.
    attempts : mapping of cell_id to attempts landed so far
    done, failed : frozenset of cell_id
        Cells with a finished result, and cells whose attempts all failed.
    seconds : mapping of cell_id to forecast seconds on one worker
    """

    name: str
    spec: GridSpec
    data: StudyData
    models: Mapping[str, BaseModel]
    hardware: Hardware
    cells: tuple[Cell, ...]
    attempts: Mapping[str, int]
    done: frozenset[str]
    failed: frozenset[str]
    seconds: Mapping[str, float]

    def pending(self, *, retry_failed: bool) -> list[Cell]:
        """Return the cells to run, the costliest first, so that workers end together."""
        skipped = self.done if retry_failed else self.done | self.failed
        todo = [cell for cell in self.cells if cell.record.cell_id not in skipped]
        return sorted(todo, key=lambda cell: -self.seconds[cell.record.cell_id])

    def disk_bytes(self, cells: Iterable[Cell], n_workers: int) -> int:
        """Forecast the disk that a run of `cells` fills: checkpoints and landing files."""
        sizes = sorted((c.record.n_params or 0 for c in cells if c.training), reverse=True)
        kept = sizes if self.spec.keep_checkpoints else sizes[:n_workers]
        n_items = sum(len(items) for items in self.data.test.values())
        return sum(kept) * _FP32_BYTES + len(sizes) * n_items * 120


def make_plan(
    grid: str, workspace: Workspace, hardware: Hardware, data_root: Path, *, convert: bool = True
) -> RunPlan:
    """Read a grid and compare it with what the workspace already holds; writes only data.

    Parameters
    ----------
    data_root : Path
        Where generated data and converted models go: the workspace's data folder, or a temporary
        folder for a dry run.
    convert : bool
        False for a dry run: models that need converting first are left as they are.

    Raises
    ------
    InputError
        If the grid, its data or a base model is wrong or missing.
    """
    name, spec = load_grid(grid)
    models = {m.name: resolve_base_model(m, data_root, convert=convert) for m in spec.base_models}
    data = load_study_data(spec, Path(grid).parent, data_root)
    cells = expand_grid(
        spec,
        GridContext(
            pool_sizes=data.pool_sizes,
            subset_hash=data.subset_hash,
            model_revisions={model.name: model.revision for model in models.values()},
            model_sizes={model.name: model.n_params for model in models.values()},
            evaluation_hash=data.evaluation_hash,
            dtype=hardware.dtype,
        ),
    )
    runs = landed_runs(workspace)
    mine = {cell.record.cell_id: runs.get(cell.record.cell_id, []) for cell in cells}
    done = {key for key, found in mine.items() if any(r.status is RunStatus.DONE for r in found)}
    return RunPlan(
        name=name,
        spec=spec,
        data=data,
        models=models,
        hardware=hardware,
        cells=cells,
        attempts={key: max((r.attempt for r in found), default=0) for key, found in mine.items()},
        done=frozenset(done),
        failed=frozenset(key for key, found in mine.items() if found) - done,
        seconds={
            cell.record.cell_id: _forecast_seconds(cell, data, hardware, mine) for cell in cells
        },
    )


def landed_runs(workspace: Workspace) -> dict[str, list[RunRecord]]:
    """Read all run records by cell; a damaged file is left to the ingester's quarantine."""
    runs: dict[str, list[RunRecord]] = {}
    for path in list_landing(workspace, RecordKind.RUN):
        try:
            record = read_document(path, RecordKind.RUN)
        except LandingError:
            continue
        assert isinstance(record, RunRecord)
        runs.setdefault(record.cell_id, []).append(record)
    return runs


def _forecast_seconds(
    cell: Cell, data: StudyData, hardware: Hardware, runs: Mapping[str, list[RunRecord]]
) -> float:
    """Return measured seconds where an attempt finished, else 6 N D over the machine's speed."""
    measured = [r.wall_seconds for r in runs[cell.record.cell_id] if r.wall_seconds]
    if measured:
        return measured[-1]
    n_params = cell.record.n_params or 0
    flops = _GPU_FLOPS if hardware.n_gpus else _CPU_FLOPS_PER_CORE
    n_items = sum(len(items) for items in data.test.values())
    words = _mean_words(data)
    scoring = n_items * (_ITEM_SECONDS + 2 * n_params * words / flops)
    if cell.training is None:
        return scoring
    examples = cell.n_optimizer_steps * min(cell.training.batch_size, cell.n_examples)
    return (
        scoring + cell.n_optimizer_steps * _STEP_SECONDS + 6 * n_params * examples * words / flops
    )


def _mean_words(data: StudyData) -> float:
    """Return the mean length of test items in words, a stand-in for tokens at planning."""
    items = [item for split in data.test.values() for item in split[:20]]
    return sum(len(t.content.split()) for i in items for t in i.turns) / max(1, len(items))


def land_plan(workspace: Workspace, plan: RunPlan) -> None:
    """Land the plan record, unless the same plan is there already."""
    record = PlanRecord(
        study=plan.spec.study,
        grid=plan.name,
        created_at=datetime.now(UTC),
        resistant_delta=plan.spec.resistant_delta,
        notice=plan.spec.notice,
        out_of_domain=plan.spec.evaluation.out_of_domain,
        grid_settings=plan.spec.model_dump(mode="json"),
        cells=tuple(cell.record for cell in plan.cells),
    )
    stem = f"{plan.spec.study}-{short_hash(record.model_dump(mode='json', exclude={'created_at'}))}"
    if not (workspace.landing / RecordKind.PLAN.value / f"{stem}.json").exists():
        write_document(workspace, RecordKind.PLAN, stem, record)


def make_job(workspace: Workspace, plan: RunPlan, cell: Cell, attempt: int) -> Job:
    """Prepare a cell's data on disk and return the worker's job."""
    record = cell.record
    train_folder = None
    if cell.dataset_hash is not None and record.seed is not None:
        items = plan.data.subset(record.composition, record.seed)
        train_folder = prepare_subset(
            workspace, cell.dataset_hash, items, record.composition, record.seed
        ).resolve()
    return Job(
        cell=record,
        attempt=attempt,
        model_folder=plan.models[record.base_model].folder.resolve(),
        training=cell.training,
        dataset_hash=cell.dataset_hash,
        train_folder=train_folder,
        evaluation_folder=prepare_evaluation(workspace, plan.data).resolve(),
        score_batch_size=plan.spec.scoring.batch_size,
        keep_checkpoint=plan.spec.keep_checkpoints,
    )
