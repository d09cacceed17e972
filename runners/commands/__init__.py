"""CLI commands of the runners; heavy imports wait until a command runs."""

from __future__ import annotations

import typer

from runners.commands.bench import bench_grid
from runners.commands.run_grid import run_grid


def register(app: typer.Typer) -> None:
    """Add the runners' commands to the CLI."""
    app.command("run-grid")(run_grid)


def register_judge(judge: typer.Typer) -> None:
    """Add the commands that ask judges."""


def register_bench(bench: typer.Typer) -> None:
    """Add the runners' benchmarks."""
    bench.command("grid")(bench_grid)
