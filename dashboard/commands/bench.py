"""`bench statistics`: worlds with known truth, published figures; `bench app`: the app's speed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def bench_statistics(
    parts: Annotated[
        list[str] | None,
        typer.Argument(help="fit, coverage, compare, transfer, budget, judge; default: all."),
    ] = None,
    worlds: Annotated[
        int | None, typer.Option(min=1, help="Simulated worlds; the full number by default.")
    ] = None,
) -> None:
    """Check the statistics at full size and time them; writes docs/benchmarks.md.

    All parts take about an hour on two cores.

    Example: python cli.py bench statistics coverage --worlds 100
    """
    from dashboard.bench.parts import PARTS, figures_of
    from warehouse.bench.report import write_section
    from warehouse.errors import InputError

    unknown = [part for part in parts or () if part not in PARTS]
    if unknown:
        raise InputError(f"There is no part {unknown[0]!r}; known: {', '.join(PARTS)}.")
    for part in parts or PARTS:
        print(f"{part} ...", file=sys.stderr)
        rows = figures_of(part, PARTS[part](worlds))
        write_section(
            f"statistics-{part}", rows, packages=("numpy", "scipy", "statsmodels", "pandas")
        )
        for figure, value, target in rows:
            print(f"{part}: {figure}: {value}" + (f" (target: {target})" if target else ""))


def bench_app(
    cells: Annotated[int, typer.Option(min=96, help="Runs of 10 abilities x 1,000 items.")] = 5000,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long the sessions stay.")] = 10.0,
) -> None:
    """Time the app in a real browser on a large workspace; writes docs/benchmarks.md.

    Needs Chromium and playwright (extra `dev`); at 5,000 runs 8 GB of disk and half an hour.

    Example: python cli.py bench app --cells 96 --minutes 1
    """
    from dashboard.bench.bench_app import measure_app
    from warehouse.bench.report import write_section

    figures = measure_app(cells, minutes, lambda text: print(text, file=sys.stderr))
    write_section("app", figures.rows(), packages=("streamlit", "plotly", "duckdb"))
    for figure, value, target in figures.rows():
        print(f"{figure}: {value}" + (f" (target: {target})" if target else ""))
    for error in dict.fromkeys(figures.errors):
        print(f"error: {error}", file=sys.stderr)
