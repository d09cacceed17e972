"""What `run-grid` shows: the plan, a progress bar and the outcome."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runners.forecast import MemoryNeed, Phase
    from runners.plan import RunPlan
    from runners.progress import Progress
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

    def note(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        self._bar.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

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


def count(number: int, thing: str) -> str:
    """Return "1 cell", "2 cells"."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def show_plan(plan: RunPlan, phases: Sequence[Phase], *, json_output: bool) -> None:
    """Print the cells of a dry run with the forecast of time, disk, memory and money."""
    import json

    from runners import cell_time, forecast

    n_pending = sum(len(phase.cells) for phase in phases)
    n_workers = max((phase.n_workers for phase in phases), default=0)
    seconds = forecast.run_seconds(phases, plan.seconds)
    hours = forecast.unit_hours(phases, plan.seconds)
    disk = forecast.disk_bytes(phases, plan.spec, plan.data.n_test_items)
    needs = forecast.memory_needs(plan, phases)
    n_gpus = plan.hardware.n_gpus
    resources = plan.spec.resources
    price = resources.price_per_gpu_hour if n_gpus else resources.price_per_core_hour
    cost = None if price is None else price * hours
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
            "n_pending": n_pending,
            "n_workers": n_workers,
            "estimated_seconds": round(seconds, 1),
            "estimated_gpu_hours" if n_gpus else "estimated_core_hours": round(hours, 3),
            "estimated_disk_bytes": disk,
            "estimated_cost": cost,
            "memory": [_memory_document(need) for need in needs],
            "formulas": {
                "time": cell_time.TIME_FORMULA,
                "disk": forecast.DISK_FORMULA,
                "memory": forecast.MEMORY_FORMULA,
            },
        }
        if cost is None:
            document["reason"] = {"estimated_cost": "the grid gives no price in resources"}
        print(json.dumps(document))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Study {plan.spec.study}: {len(plan.cells)} cells", box=SIMPLE_HEAD)
    # On a narrow screen names wrap, but no number is cut.
    table.add_column("cell", overflow="fold")
    table.add_column("state", no_wrap=True)
    for column in ("examples", "steps", "est. s"):
        table.add_column(column, justify="right", no_wrap=True, min_width=len(column))
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
    unit, speed = "core-hours", f"{cell_time.CPU_FLOPS_PER_CORE:.0e} FLOP/s a worker"
    if n_gpus:
        unit, speed = "GPU-hours", f"{resources.gpu_tflops:g} TFLOP/s a GPU"
    lines = [
        f"{count(n_pending, 'cell')} to run, about {_duration(seconds)} on "
        f"{count(n_workers, 'worker')}: "
        f"{hours:.2f} {unit}" + ("" if cost is None else f", {cost:.2f} at {price:g} each") + ".",
        f"  {cell_time.TIME_FORMULA}; here {speed}.",
        f"About {disk / 1e9:.2f} GB of disk.",
        f"  {forecast.DISK_FORMULA}.",
        *(_memory_line(need, "GPU" if n_gpus else "rank") for need in needs),
        *([f"  {forecast.MEMORY_FORMULA}."] if needs else []),
        "Nothing was run.",
    ]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _memory_document(need: MemoryNeed) -> dict[str, object]:
    """Return a memory need as `--json` prints it."""
    found = need.sharding.forecast
    return {
        "base_model": need.base_model,
        "ranks": need.ranks,
        "zero_stage": need.sharding.zero_stage,
        "offload": need.sharding.offload,
        "micro_batch_size": need.sharding.micro_batch_size,
        "bytes_per_rank": found.total if found else None,
        "host_bytes_per_rank": found.host if found else None,
        "fits": need.sharding.fits,
        "reason": None if found else "the amount of memory is not known",
        "states_only": need.states_only,
    }


def _memory_line(need: MemoryNeed, device: str) -> str:
    sharding, found = need.sharding, need.sharding.forecast
    if found is None:
        return f"{need.base_model}: the memory of this machine is not known."
    parts = "weights, gradients and optimizer alone" if need.states_only else "in all"
    verdict = {True: "fits", False: "does not fit", None: "may or may not fit"}[sharding.fits]
    return (
        f"{need.base_model}: {found.total / 1e9:.1f} GB on each {device}, {parts} "
        f"({count(need.ranks, 'rank')}, ZeRO {sharding.zero_stage}, offload {sharding.offload}, "
        f"micro-batch {sharding.micro_batch_size}); {verdict}."
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
