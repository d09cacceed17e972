"""The command `sql`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from warehouse.commands.options import WorkspaceOption
from warehouse.workspace import DEFAULT_WORKSPACE

_ROW_LIMIT = 10_000
_TIME_LIMIT_SECONDS = 30.0


class TableFormat(StrEnum):
    """How `sql` writes rows."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def sql(
    query: Annotated[
        str | None, typer.Argument(help="One SELECT over the marts (docs/sql.md).")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    example: Annotated[
        str | None, typer.Option(help="Run this example instead; see --list-examples.")
    ] = None,
    list_examples: Annotated[
        bool, typer.Option("--list-examples", help="List the examples and what each answers.")
    ] = False,
    table_format: Annotated[
        TableFormat, typer.Option("--format", help="How to write the rows.")
    ] = TableFormat.TABLE,
    output: Annotated[
        Path | None, typer.Option(help="File to write to instead of the screen.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = _ROW_LIMIT,
    time_limit: Annotated[
        float, typer.Option(min=0.1, help="Seconds at most.")
    ] = _TIME_LIMIT_SECONDS,
    json_output: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Ask the latest snapshot one SELECT; it can't reach files, network or settings.

    Example: python cli.py sql "SELECT ability, max(score) FROM mart_ability_score GROUP BY ability"
    """
    from warehouse.console import ask
    from warehouse.errors import InputError
    from warehouse.examples import list_questions, load_example
    from warehouse.landing import write_atomically
    from warehouse.workspace import open_workspace

    if [query is not None, example is not None, list_examples].count(True) != 1:
        raise InputError("Give one of: a SELECT, --example NAME, --list-examples.")
    if list_examples:
        for name, question in list_questions():
            print(f"{name:<26}  {question}")
        return
    if json_output:
        table_format = TableFormat.JSON
    if table_format is TableFormat.PARQUET and output is None:
        raise InputError("--format parquet needs --output FILE.")
    if output is not None and not output.absolute().parent.is_dir():
        raise InputError(f"--output {output}: there is no folder {output.absolute().parent}.")
    answer = ask(
        open_workspace(workspace),
        load_example(example) if example is not None else query or "",
        table_format=table_format,
        row_limit=limit,
        time_limit_seconds=time_limit,
    )
    if answer.truncated:
        print(f"These are only the first {limit} rows; more with --limit.", file=sys.stderr)
    if output is None:
        sys.stdout.write(answer.content.decode())
        return
    try:
        write_atomically(output, lambda target: target.write_bytes(answer.content))
    except OSError as error:
        raise InputError(f"--output {output} can't be written ({error.strerror}).") from error
