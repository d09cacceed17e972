"""Forecasts of disk, memory, workers and money; nothing is run."""

import time
from datetime import UTC, datetime

import pytest

from runners.executors.local import LocalExecutor
from runners.forecast import (
    check_disk,
    check_memory,
    disk_bytes,
    memory_needs,
    plan_phases,
    price_per_hour,
    run_seconds,
    unit_hours,
)
from runners.grid_spec import ResourcesSpec
from runners.hardware import Hardware
from runners.plan import make_plan
from tests.runners.grid_runs import variant
from warehouse.errors import InputError
from warehouse.landing import write_document
from warehouse.records import RecordKind, RunRecord, RunStatus
from warehouse.workspace import Workspace

CORES = Hardware(cores=(0, 1, 2, 3), n_gpus=0, host_memory_bytes=16 * 2**30)


def plan_of(tiny_study, folder, hardware=CORES, **changes):
    grid = variant(tiny_study, folder / "grid.yaml", **changes)
    return make_plan(str(grid), Workspace(root=folder / "w"), hardware, folder, convert=False)


def phases_of(plan, max_parallel=None):
    executor = LocalExecutor(Workspace(root=plan.data.folder), plan.hardware)
    return plan_phases(plan, plan.pending(retry_failed=False), executor, max_parallel)


def test_cells_that_need_as_many_ranks_run_together_the_largest_first(tiny_study, tmp_path):
    designs = [
        {"kind": "all_abilities", "training": {"ranks": 2}},
        {"kind": "single_ability", "abilities": ["code"]},
    ]
    phases = phases_of(plan_of(tiny_study, tmp_path, designs=designs))
    # The base model is scored by workers like those of the grid's own training.
    assert [(p.ranks, p.n_workers, len(p.cells)) for p in phases] == [(2, 2, 4), (1, 4, 5)]
    assert sum(len(phase.cells) for phase in phases) == 9


def test_more_gpus_than_there_are_is_refused(tiny_study, tmp_path):
    plan = plan_of(tiny_study, tmp_path, Hardware(cores=(0,), n_gpus=1), training={"ranks": 2})
    with pytest.raises(InputError, match="2 GPUs are asked for and this machine has 1"):
        phases_of(plan)


def test_time_and_hours_follow_from_the_cells_seconds(tiny_study, tmp_path):
    plan = plan_of(tiny_study, tmp_path)
    phases = phases_of(plan, max_parallel=2)
    total = sum(plan.seconds.values())
    assert run_seconds(phases, plan.seconds) == pytest.approx(total / 2)
    assert unit_hours(phases, plan.seconds) == pytest.approx(total / 3600)


def test_finished_cells_scale_the_forecasts_of_their_model(tiny_study, tmp_path):
    expected = plan_of(tiny_study, tmp_path)
    base, first, *others = [cell.record.cell_id for cell in expected.cells]
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    record = RunRecord(
        cell_id=first,
        attempt=1,
        status=RunStatus.DONE,
        started_at=moment,
        finished_at=moment,
        environment={},
        wall_seconds=3 * expected.seconds[first],
    )
    write_document(Workspace(root=tmp_path / "w"), RecordKind.RUN, f"{first}-1", record)
    plan = plan_of(tiny_study, tmp_path)
    # The base model is only scored, which says nothing of training.
    assert plan.seconds[base] == expected.seconds[base]
    for cell_id in (first, *others):
        assert plan.seconds[cell_id] == pytest.approx(3 * expected.seconds[cell_id])


def test_kept_checkpoints_count_in_full(tiny_study, tmp_path):
    plan = plan_of(tiny_study, tmp_path)
    kept = plan_of(tiny_study, tmp_path, keep_checkpoints=True)
    n_params = plan.cells[1].record.n_params
    phases = phases_of(plan, max_parallel=1)
    assert disk_bytes(phases, plan.spec, 60) == n_params * (4 + 2 * 16) + 5 * 60 * 900
    extra = disk_bytes(phases_of(kept, max_parallel=1), kept.spec, 60)
    assert extra - disk_bytes(phases, plan.spec, 60) == 4 * n_params * 4


def test_a_run_beyond_the_disk_or_its_quota_is_refused(tmp_path):
    place = Workspace(root=tmp_path / "w")
    check_disk(place, 1000, None)
    with pytest.raises(InputError, match="GB free; use fewer workers"):
        check_disk(place, 10**18, None)
    place.root.mkdir()
    (place.root / "kept").write_bytes(b"x" * 2_000_000)
    check_disk(place, 1_000_000, 0.004)
    with pytest.raises(InputError, match=r"beyond the quota of 0\.0025 GB"):
        check_disk(place, 1_000_000, 0.0025)


def test_a_model_whose_states_can_not_fit_is_refused(tiny_study, tmp_path):
    small = Hardware(cores=(0,), n_gpus=0, host_memory_bytes=100_000)
    plan = plan_of(tiny_study, tmp_path, small)
    with pytest.raises(InputError, match="tiny: weights, gradients and optimizer need"):
        check_memory(memory_needs(plan, phases_of(plan)), small)
    plan = plan_of(tiny_study, tmp_path)
    check_memory(memory_needs(plan, phases_of(plan)), CORES)


@pytest.mark.parametrize(
    ("share", "price"),
    [
        ({"n_gpus": 8, "n_cores": 64}, 16.0),
        ({"n_gpus": 0, "n_cores": 4}, 0.4),
    ],
)
def test_a_worker_costs_its_gpus_or_else_its_cores(share, price):
    resources = ResourcesSpec(price_per_gpu_hour=2.0, price_per_core_hour=0.1)
    assert price_per_hour(share, resources) == pytest.approx(price)
    assert price_per_hour(share, ResourcesSpec()) is None


def test_a_dry_run_plans_for_the_gpus_that_the_grid_names(tiny_study, tmp_path):
    plan = plan_of(
        tiny_study,
        tmp_path,
        resources={"n_gpus": 8, "gpu_memory_gb": 80},
        training={"ranks": 4},
    )
    assert plan.hardware.n_gpus == 8 and plan.cells[1].training.dtype == "bf16"
    (phase,) = phases_of(plan)
    assert (phase.ranks, phase.n_workers) == (4, 2)
    (need,) = memory_needs(plan, [phase])
    assert need.ranks == 4 and need.sharding.fits


def test_planning_takes_little_time_for_each_cell(tiny_study, tmp_path):
    began = time.process_time()
    plan = plan_of(tiny_study, tmp_path, seeds=list(range(2500)))
    assert len(plan.cells) == 5001
    # 100,000 cells in 5 s on a quiet machine (docs/benchmarks.md).
    assert (time.process_time() - began) / 5001 < 5e-4
