"""CLI commands of analysis and app; heavy imports wait until a command runs."""

from __future__ import annotations

import typer

from dashboard.commands import app as app_command
from dashboard.commands import fit as fit_command


def register(app: typer.Typer) -> None:
    """Add the commands of analysis and app to the CLI."""
    app.command("fit")(fit_command.fit)
    app.command("dashboard")(app_command.dashboard)


def register_bench(bench: typer.Typer) -> None:
    """Add the benchmarks of analysis."""
