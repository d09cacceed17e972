"""`bench warehouse`: the warehouse at 50 million item scores."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def bench_warehouse(
    cells: Annotated[int, typer.Option(min=96, help="Runs of 10 abilities x 1,000 items.")] = 5000,
) -> None:
    """Measure the warehouse on generated landing files; writes docs/benchmarks.md.

    Takes about 8 GB of disk and, at 5,000 runs, ten minutes.

    Example: python cli.py bench warehouse --cells 500
    """
    from warehouse.bench.report import write_section
    from warehouse.bench.scale import measure_scale

    figures = measure_scale(cells, lambda text: print(text, file=sys.stderr))
    write_section("warehouse-scale", figures.rows(), packages=("duckdb", "pyarrow", "pandas"))
    for figure, value, target in figures.rows():
        print(f"{figure}: {value}" + (f" (target: {target})" if target else ""))
