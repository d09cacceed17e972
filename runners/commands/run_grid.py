"""`run-grid`: parse, call, say what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from runners.commands.run_grid_output import GridDisplay, count, show_outcome, show_plan
from warehouse.errors import WorkError
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from runners.executors import Executor
    from runners.plan import RunPlan
    from warehouse.workspace import Workspace


def run_grid(
    grid: Annotated[str, typer.Argument(help="A shipped grid's name or a YAML file.")],
    workspace: Annotated[
        Path, typer.Option(help="Folder that holds everything written.")
    ] = DEFAULT_WORKSPACE,
    executor: Annotated[
        Literal["local", "ray"], typer.Option(help="Where workers run: here, or on a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(help="Of the Ray cluster; default: RAY_ADDRESS, else one on this machine."),
    ] = None,
    max_parallel: Annotated[
        int | None, typer.Option(min=1, help="Workers at most; default: one a core or GPU.")
    ] = None,
    disk_quota: Annotated[
        float | None,
        typer.Option(min=0, help="GB that the workspace may grow to; default: the grid's quota."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the cells, run none.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try cells again that failed before.")
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first cell that fails.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Train and score every cell of a grid that is not done yet, then ingest the results.

    Example: python cli.py run-grid quickstart --dry-run
    """
    import tempfile

    from runners.forecast import check_disk, check_memory, disk_bytes, memory_needs, plan_phases
    from runners.orchestrate import Orchestrator
    from runners.plan import make_plan
    from warehouse.workspace import Workspace, open_workspace

    if dry_run:
        place = _executor(executor, ray_address, Workspace(root=workspace))
        # A dry run leaves nothing behind, not even the data that it has to look at.
        with tempfile.TemporaryDirectory() as scratch:
            plan = make_plan(
                grid, Workspace(root=workspace), place.hardware, Path(scratch), convert=False
            )
            # Its workers are those of the hardware that it is planned for.
            place.hardware = plan.hardware
            phases = plan_phases(plan, plan.pending(retry_failed=retry_failed), place, max_parallel)
            place.close()
            show_plan(plan, phases, json_output=json_output)
        return
    where = open_workspace(workspace, create=True)
    place = _executor(executor, ray_address, where)
    plan = make_plan(grid, where, place.hardware, where.data)
    with GridDisplay() as display:
        runner = Orchestrator(
            plan,
            where,
            place,
            max_parallel=max_parallel,
            retry_failed=retry_failed,
            fail_fast=fail_fast,
            on_progress=display.update,
            on_note=display.note,
        )
        if runner.phases:
            quota = disk_quota or plan.spec.resources.disk_quota_gb
            check_disk(where, disk_bytes(runner.phases, plan.spec, plan.data.n_test_items), quota)
            check_memory(memory_needs(plan, runner.phases), plan.hardware)
            _check_templates_and_tasks(plan)
            _check_overlap(plan, where)
        progress = runner.run()
    show_outcome(plan, progress, json_output=json_output)
    if progress.failures or (plan.failed and not retry_failed):
        first = progress.failures[0] if progress.failures else None
        left = progress.n_total - progress.n_done - len(progress.failures)
        raise WorkError(
            f"{count(len(progress.failures) or len(plan.failed), 'cell')} failed"
            + (f", first {first.label} while {first.stage}: {first.reason}" if first else "")
            + (f"; --fail-fast left {count(left, 'cell')} undone" if fail_fast and left else "")
            + "; python cli.py status lists them, --retry-failed tries them again."
        )


def _executor(name: str, ray_address: str | None, workspace: Workspace) -> Executor:
    """Return the place where workers run."""
    from runners.hardware import detect_hardware

    if name == "ray":
        from runners.executors.ray_cluster import RayExecutor

        return RayExecutor(workspace, detect_hardware(), ray_address)
    from runners.executors.local import LocalExecutor

    return LocalExecutor(workspace, detect_hardware())


def _check_templates_and_tasks(plan: RunPlan) -> None:
    """Load templates and lm-eval's own tasks before anything is trained; say what is missing."""
    from runners.template import load_template

    spec = plan.spec
    templates = [
        load_template(model.template or spec.template, plan.models[model.name].folder)
        for model in spec.base_models
    ]
    if spec.evaluation.public_tasks:
        from runners.public_tasks import load_public_tasks

        folder = spec.scoring.task_folder
        load_public_tasks(
            spec.evaluation.public_tasks,
            # Prompts are rendered alike by all of them.
            template=templates[0],
            task_folder=None if folder is None else Path(folder),
        )


def _check_overlap(plan: RunPlan, workspace: Workspace) -> None:
    """Say which test items training data gives away; training goes on, the matches are kept."""
    from runners.leak_check import LeakKind
    from runners.sft_data import find_overlap, write_overlap

    leaks = find_overlap(plan.data)
    path = write_overlap(workspace, plan.data, leaks)
    same = {leak.evaluation_item_id for leak in leaks if leak.kind is not LeakKind.NGRAMS}
    alike = {leak.evaluation_item_id for leak in leaks} - same
    if same:
        print(
            f"Warning: {len(same)} test questions stand in the training data as well; look at "
            f"{path} before you trust their scores.",
            file=sys.stderr,
        )
    if alike:
        print(
            f"Note: {len(alike)} test questions share most of their wording with a training "
            f"question, as questions from one template do; {path} lists them for review.",
            file=sys.stderr,
        )
