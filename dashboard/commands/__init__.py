"""CLI commands of analysis and app; heavy imports wait until a command runs."""

from __future__ import annotations

import typer

from dashboard.commands import app as app_command
from dashboard.commands import bench as bench_command
from dashboard.commands.budget import design_power, recommend, suggest_next
from dashboard.commands.compare import compare_app
from dashboard.commands.export import export_figures
from dashboard.commands.export_report import export_report, export_tables
from dashboard.commands.fit import fit
from dashboard.commands.judge import judge_summary
from dashboard.commands.mixtures import mixtures
from dashboard.commands.transfer import transfer
from warehouse.commands.export import export_app


def register(app: typer.Typer) -> None:
    """Add the commands of analysis and app to the CLI."""
    app.command("fit")(fit)
    compare_app.command("mixtures")(mixtures)
    app.add_typer(compare_app, name="compare")
    app.command("transfer")(transfer)
    app.command("recommend")(recommend)
    app.command("suggest-next")(suggest_next)
    app.command("design-power")(design_power)
    app.command("dashboard")(app_command.dashboard)
    # Into the warehouse's group, which knows nothing of figures and tables.
    export_app.command("figures")(export_figures)
    export_app.command("tables")(export_tables)
    export_app.command("report")(export_report)


def register_judge(judge: typer.Typer) -> None:
    """Add the commands that analyse judges' votes."""
    judge.command("summary")(judge_summary)


def register_bench(bench: typer.Typer) -> None:
    """Add the benchmarks of analysis."""
    bench.command("statistics")(bench_command.bench_statistics)
    bench.command("app")(bench_command.bench_app)
