"""CLI commands of the warehouse; heavy imports wait until a command runs."""

from __future__ import annotations

import typer

from warehouse.commands.bench import bench_warehouse
from warehouse.commands.doctor import doctor
from warehouse.commands.exclude import exclude
from warehouse.commands.export import export_app, import_landing, import_warehouse
from warehouse.commands.import_evaluations import helm, inspect, lm_eval
from warehouse.commands.imports import import_app
from warehouse.commands.ingest_status import ingest, status
from warehouse.commands.snapshots import snapshot_app
from warehouse.commands.sql import sql


def register(app: typer.Typer) -> None:
    """Add the warehouse's commands to the CLI."""
    app.command("ingest")(ingest)
    app.command("status")(status)
    app.command("sql")(sql)
    app.add_typer(snapshot_app, name="snapshot")
    app.command("exclude")(exclude)
    app.command("doctor")(doctor)
    for name, command in (("lm-eval", lm_eval), ("helm", helm), ("inspect", inspect)):
        import_app.command(name)(command)
    import_app.command("warehouse")(import_warehouse)
    import_app.command("landing")(import_landing)
    app.add_typer(import_app, name="import")
    app.add_typer(export_app, name="export")


def register_bench(bench: typer.Typer) -> None:
    """Add the warehouse's benchmarks."""
    bench.command("warehouse")(bench_warehouse)
