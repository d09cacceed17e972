"""Benchmarks of the runners."""

from __future__ import annotations

from typing import Annotated

import typer


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
