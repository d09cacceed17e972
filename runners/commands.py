"""CLI commands of the runners; heavy imports wait until a command runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from runners.orchestrate import Orchestrator, Progress
    from runners.plan import RunPlan
    from warehouse.records import WorkerState
    from warehouse.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the runners' commands to the CLI."""
    app.command("run-grid")(run_grid)


def register_bench(bench: typer.Typer) -> None:
    """Add the runners' benchmarks."""
    bench.command("grid")(bench_grid)


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
            _show_plan(plan, runner, retry_failed=retry_failed, json_output=json_output)
        return
    place = open_workspace(workspace, create=True)
    plan = make_plan(grid, place, hardware, place.data)
    if plan.pending(retry_failed=retry_failed):
        _check_overlap(plan, place)
    with _Display() as display:
        runner = Orchestrator(
            plan,
            place,
            max_parallel=max_parallel,
            retry_failed=retry_failed,
            fail_fast=fail_fast,
            on_progress=display.update,
        )
        progress = runner.run()
    _show_outcome(plan, progress, json_output=json_output)
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


def bench_grid(
    grid: Annotated[
        str, typer.Argument(help="Grid to run in a temporary workspace.")
    ] = "quickstart",
) -> None:
    """Measure how much of a grid's time is not training or scoring; writes docs/benchmarks.md.

    Example: python cli.py bench grid
    """
    from runners.bench import measure_grid_overhead, write_report

    overhead = measure_grid_overhead(grid)
    write_report(overhead)
    print(
        f"{overhead.grid}: {overhead.wall_seconds:.0f} s for {overhead.work_seconds:.0f} s of work "
        f"on {overhead.n_workers} workers, ratio {overhead.ratio:.2f}."
    )


class _Display:
    """A progress bar on standard error: cells done, time left, what workers do."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}  {task.fields[now]}"),
            console=Console(file=sys.stderr),
        )
        self._task = self._bar.add_task("cells", total=None, left="", now="starting workers")

    def __enter__(self) -> _Display:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, progress: Progress, states: list[WorkerState]) -> None:
        """Redraw; called a few times a second."""
        eta = progress.eta_seconds
        now = "; ".join(f"{s.label} {s.stage}" for s in states if s.label)
        self._bar.update(
            self._task,
            total=progress.n_total,
            completed=progress.n_done + len(progress.failures),
            left="" if eta is None else f"{_duration(eta)} left",
            now=now,
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _show_plan(
    plan: RunPlan, runner: Orchestrator, *, retry_failed: bool, json_output: bool
) -> None:
    import json

    todo = plan.pending(retry_failed=retry_failed)
    seconds = sum(plan.seconds[cell.record.cell_id] for cell in todo) / runner.n_workers
    disk = plan.disk_bytes(todo, runner.n_workers)
    if json_output:
        document = {
            "study": plan.spec.study,
            "cells": [
                {
                    **cell.record.model_dump(
                        mode="json", exclude={"training", "scoring", "composition"}
                    ),
                    "n_examples": cell.n_examples,
                    "n_optimizer_steps": cell.n_optimizer_steps,
                    "done": cell.record.cell_id in plan.done,
                    "estimated_seconds": round(plan.seconds[cell.record.cell_id], 1),
                }
                for cell in plan.cells
            ],
            "n_cells": len(plan.cells),
            "n_pending": len(todo),
            "n_workers": runner.n_workers,
            "estimated_seconds": round(seconds, 1),
            "estimated_disk_bytes": disk,
        }
        print(json.dumps(document))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Study {plan.spec.study}: {len(plan.cells)} cells", box=SIMPLE_HEAD)
    for column in ("cell", "state"):
        table.add_column(column, no_wrap=True)
    for column in ("examples", "steps", "est. s"):
        table.add_column(column, justify="right")
    for cell in plan.cells:
        cell_id = cell.record.cell_id
        state = "done" if cell_id in plan.done else "failed" if cell_id in plan.failed else "to run"
        table.add_row(
            cell.record.label,
            state,
            str(cell.n_examples),
            str(cell.n_optimizer_steps),
            f"{plan.seconds[cell_id]:.0f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"{len(todo)} cells to run, about {_duration(seconds)} on {runner.n_workers} workers "
        f"(a guess before the first run: 6 N D over a typical speed), about {disk / 1e6:.0f} MB of "
        "disk. Nothing was run."
    )


def _show_outcome(plan: RunPlan, progress: Progress, *, json_output: bool) -> None:
    import json
    from dataclasses import asdict

    n_new = progress.n_done - len(plan.done)
    if json_output:
        document = {
            "study": plan.spec.study,
            "cells": {
                "total": progress.n_total,
                "done": progress.n_done,
                "new": n_new,
                "failed": len(progress.failures),
            },
            "failures": [asdict(failure) for failure in progress.failures],
        }
        print(json.dumps(document))
        return
    print(
        f"Study {plan.spec.study}: {progress.n_done} of {progress.n_total} cells done, "
        f"{n_new} of them now."
    )
