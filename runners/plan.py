"""From a grid to the cells that are still to be run, with a forecast of their time."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from runners.base_models import BaseModel, resolve_base_model
from runners.cell_time import forecast_seconds, planned_hardware
from runners.gc_pause import no_garbage_collection
from runners.grid import Cell, GridContext, expand_grid, short_hash
from runners.grid_spec import GridSpec, load_grid
from runners.hardware import Hardware
from runners.job import Job, ReplySettings
from runners.judge_spec import JudgeSpec
from runners.sft_data import (
    ExpectedData,
    StudyData,
    expected_data,
    hash_task_files,
    load_study_data,
    prepare_evaluation,
    prepare_subset,
)
from warehouse.errors import LandingError
from warehouse.landing import list_landing, read_document, write_atomically, write_document
from warehouse.records import PlanRecord, RecordKind, RunRecord, RunStatus
from warehouse.workspace import Workspace

_CHINESE = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A grid on one workspace.

    Attributes
    ----------
    cells : tuple of Cell
        All cells of the grid.
    attempts : mapping of cell_id to attempts landed so far
    done, failed : frozenset of cell_id
        Cells with a finished result, and cells that were given up. One whose run was killed
        before it could be tried again is neither.
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
        False for a dry run: models that need converting first, or are not at hand, are left as
        they are, and a grid that names its GPUs is planned for these.

    Raises
    ------
    InputError
        If the grid, its data or a base model is wrong or missing.
    """
    name, spec = load_grid(grid)
    if not convert:
        hardware = planned_hardware(spec, hardware)
    models = {m.name: resolve_base_model(m, data_root, convert=convert) for m in spec.base_models}
    here = Path(grid).parent
    # A dry run may plan by what the grid says of data that is not at hand.
    stated = None if convert else expected_data(spec, here)
    data = stated or load_study_data(spec, here, data_root)
    context = GridContext(
        pool_sizes=data.pool_sizes,
        subset_hash=data.subset_hash,
        model_revisions={model.name: model.revision for model in models.values()},
        model_sizes={model.name: model.n_params for model in models.values()},
        evaluation_hash=data.evaluation_hash,
        dtype=hardware.dtype,
        task_files_hash=hash_task_files(spec.scoring.task_folder),
    )
    # A grid may have 100,000 cells.
    with no_garbage_collection():
        return _compare(name, spec, data, models, hardware, context, landed_runs(workspace))


def _compare(
    name: str,
    spec: GridSpec,
    data: StudyData,
    models: Mapping[str, BaseModel],
    hardware: Hardware,
    context: GridContext,
    runs: Mapping[str, list[RunRecord]],
) -> RunPlan:
    """Expand a grid and see which of its cells have landed."""
    cells = expand_grid(spec, context)
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
        failed=frozenset(key for key, found in mine.items() if _given_up(found)) - done,
        seconds=_cell_seconds(cells, spec, data, hardware, mine),
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


def _given_up(runs: Sequence[RunRecord]) -> bool:
    """Tell whether the latest of a cell's attempts was its last."""
    latest = max(runs, key=lambda run: run.attempt, default=None)
    return latest is not None and not latest.environment.get("is_retried", False)


def _cell_seconds(
    cells: Sequence[Cell],
    spec: GridSpec,
    data: StudyData,
    hardware: Hardware,
    runs: Mapping[str, list[RunRecord]],
) -> dict[str, float]:
    """Return measured seconds where an attempt finished, else a forecast, by cell.

    Forecasts are scaled by what the finished cells of the same model took against theirs, since a
    formula knows neither a machine's load nor a tokenizer. Scoring alone is a pace of its own.
    """
    tokens_per_example, n_items = _mean_tokens(data), data.n_test_items
    seconds = {}
    paces: dict[tuple[str, bool], list[float]] = defaultdict(list)
    unmeasured = []
    for cell in cells:
        cell_id, pace = cell.record.cell_id, (cell.model.name, cell.training is None)
        seconds[cell_id] = forecast_seconds(
            cell, spec, hardware, n_items=n_items, tokens_per_example=tokens_per_example
        )
        measured = [
            run.wall_seconds
            for run in runs[cell_id]
            if run.wall_seconds and run.status is RunStatus.DONE
        ]
        if measured:
            paces[pace].append(measured[-1] / seconds[cell_id])
            seconds[cell_id] = measured[-1]
        else:
            unmeasured.append((cell_id, pace))
    scales = {pace: median(found) for pace, found in paces.items()}
    for cell_id, pace in unmeasured:
        seconds[cell_id] *= scales.get(pace, 1.0)
    return seconds


def _mean_tokens(data: StudyData) -> float:
    """Return the mean length of test items; words and Chinese characters stand in for tokens."""
    if isinstance(data, ExpectedData):
        return data.expected.tokens_per_example
    items = [item for split in data.test.values() for item in split[:20]]
    texts = [turn.content for item in items for turn in item.turns]
    n_tokens = sum(len(t.split()) + len(_CHINESE.findall(t)) for t in texts)
    return n_tokens / max(1, len(items))


def land_plan(workspace: Workspace, plan: RunPlan) -> None:
    """Land the plan record, unless the same plan is there already."""
    record = PlanRecord(
        study=plan.spec.study,
        grid=plan.name,
        created_at=datetime.now(UTC),
        resistant_delta=plan.spec.resistant_delta,
        notice=plan.spec.notice,
        out_of_domain=plan.spec.evaluation.untrained_abilities,
        grid_settings=plan.spec.model_dump(mode="json"),
        cells=tuple(cell.record for cell in plan.cells),
    )
    stem = f"{plan.spec.study}-{short_hash(record.model_dump(mode='json', exclude={'created_at'}))}"
    if not (workspace.landing / RecordKind.PLAN.value / f"{stem}.json").exists():
        write_document(workspace, RecordKind.PLAN, stem, record)
    if plan.spec.dataset.folder is not None:
        # What a grid file says of the folder holds beside that file alone.
        folder, note = str(plan.data.folder.resolve()), workspace.dataset_note(plan.spec.study)
        write_atomically(note, lambda target: target.write_text(folder, "utf-8"))


def reply_settings(judge: JudgeSpec | None) -> ReplySettings | None:
    """Return what a grid's judges want to read; None without judges."""
    if judge is None:
        return None
    return ReplySettings(
        abilities=tuple(sorted(judge.abilities)),
        max_new_tokens=judge.max_new_tokens,
        max_items_per_ability=judge.max_items_per_ability,
    )


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
        public_tasks=plan.spec.evaluation.public_tasks,
        task_folder=Path(folder).resolve() if (folder := plan.spec.scoring.task_folder) else None,
        task_files_hash=record.scoring.get("task_files_hash"),
        max_items_per_ability=plan.spec.scoring.max_items_per_ability,
        keep_checkpoint=plan.spec.keep_checkpoints,
        save_resume_every_seconds=plan.spec.resources.save_resume_every_seconds,
        replies=reply_settings(plan.spec.judge),
    )
