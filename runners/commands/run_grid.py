"""`run-grid`: parse, call, say what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runners.commands.run_grid_output import GridDisplay, show_outcome, show_plan
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from runners.plan import RunPlan
    from warehouse.workspace import Workspace


def run_grid(
    grid: Annotated[str, typer.Argument(help="A shipped grid's name or a YAML file.")],
    workspace: Annotated[
        Path, typer.Option(help="Folder that holds everything written.")
    ] = DEFAULT_WORKSPACE,
    max_parallel: Annotated[
        int | None, typer.Option(min=1, help="Workers at most; default: one a core or GPU.")
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

    from runners.hardware import detect_hardware
    from runners.orchestrate import Orchestrator
    from runners.plan import make_plan
    from warehouse.errors import WorkError
    from warehouse.workspace import Workspace, open_workspace

    hardware = detect_hardware()
    if dry_run:
        # A dry run leaves nothing behind, not even the data that it has to look at.
        with tempfile.TemporaryDirectory() as scratch:
            plan = make_plan(
                grid, Workspace(root=workspace), hardware, Path(scratch), convert=False
            )
            runner = Orchestrator(
                plan,
                Workspace(root=workspace),
                max_parallel=max_parallel,
                retry_failed=retry_failed,
            )
            show_plan(plan, runner, retry_failed=retry_failed, json_output=json_output)
        return
    place = open_workspace(workspace, create=True)
    plan = make_plan(grid, place, hardware, place.data)
    if plan.pending(retry_failed=retry_failed):
        _check_overlap(plan, place)
    with GridDisplay() as display:
        runner = Orchestrator(
            plan,
            place,
            max_parallel=max_parallel,
            retry_failed=retry_failed,
            fail_fast=fail_fast,
            on_progress=display.update,
        )
        progress = runner.run()
    show_outcome(plan, progress, json_output=json_output)
    if progress.failures or (plan.failed and not retry_failed):
        first = progress.failures[0] if progress.failures else None
        raise WorkError(
            f"{len(progress.failures) or len(plan.failed)} cells failed"
            + (f", first {first.label} while {first.stage}: {first.reason}" if first else "")
            + "; python cli.py status lists them, --retry-failed tries them again."
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
