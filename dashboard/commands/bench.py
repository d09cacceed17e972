"""`bench statistics`: simulated worlds with known truth, published figures, speed."""

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
