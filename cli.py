"""growthpace: find how fast each ability of a language model grows with instruction data."""

from __future__ import annotations

import sys
from pathlib import Path

# Launched as a script from another folder, only this file's folder is on the path already; this
# keeps `python -m` and installed entry points working alike.
sys.path.insert(0, str(Path(__file__).resolve().parent))

import typer

from dashboard import commands as dashboard_commands
from runners import commands as runners_commands
from warehouse import commands as warehouse_commands
from warehouse.errors import GrowthpaceError

app = typer.Typer(
    name="growthpace",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Find how fast each ability of a language model grows with instruction data.\n\n"
        "Start with: python cli.py run-grid quickstart, then python cli.py dashboard."
    ),
)
judge = typer.Typer(no_args_is_help=True, help="Ask judges, and sum up their votes.")
bench = typer.Typer(no_args_is_help=True, help="Benchmarks; `make bench` runs them all.")
for package in (runners_commands, warehouse_commands, dashboard_commands):
    package.register(app)
    package.register_bench(bench)
runners_commands.register_judge(judge)
dashboard_commands.register_judge(judge)
app.add_typer(judge, name="judge")
app.add_typer(bench, name="bench")


def main() -> None:
    """Run the CLI; an expected error becomes one sentence and its exit code."""
    try:
        app()
    except GrowthpaceError as error:
        # It may quote data, whose control characters are no business of a terminal.
        text = "".join(char if char.isprintable() or char == "\n" else " " for char in str(error))
        print(f"Error: {text}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("Interrupted; run the same command again to go on.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
