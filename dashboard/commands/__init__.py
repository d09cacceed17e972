"""CLI commands of analysis and app; heavy imports wait until a command runs."""

from __future__ import annotations

import typer

from dashboard.commands import app as app_command
from dashboard.commands import bench as bench_command
from dashboard.commands.budget import design_power, recommend, suggest_next
from dashboard.commands.compare import compare_app
from dashboard.commands.fit import fit
from dashboard.commands.judge import judge_summary
from dashboard.commands.mixtures import mixtures
from dashboard.commands.transfer import transfer


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


def register_judge(judge: typer.Typer) -> None:
    """Add the commands that analyse judges' votes."""
    judge.command("summary")(judge_summary)


def register_bench(bench: typer.Typer) -> None:
    """Add the benchmarks of analysis."""
    bench.command("statistics")(bench_command.bench_statistics)
    bench.command("app")(bench_command.bench_app)
