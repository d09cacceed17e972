"""What `run-grid` shows: the plan, a progress bar and the outcome."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runners.orchestrate import Orchestrator, Progress
    from runners.plan import RunPlan
    from warehouse.records import WorkerState


class GridDisplay:
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

    def __enter__(self) -> GridDisplay:
        """Start drawing."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing."""
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


def show_plan(
    plan: RunPlan, runner: Orchestrator, *, retry_failed: bool, json_output: bool
) -> None:
    """Print the cells of a dry run with the forecast of time and disk."""
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


def show_outcome(plan: RunPlan, progress: Progress, *, json_output: bool) -> None:
    """Print how many cells are done."""
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
