"""CLI commands of the warehouse; heavy imports wait until a command runs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from warehouse.status import WorkspaceStatus

_N_FAILURES_SHOWN = 10
_ROW_LIMIT = 10_000
_TIME_LIMIT_SECONDS = 30.0

_Workspace = Annotated[Path, typer.Option(help="Folder that holds everything written.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


class TableFormat(StrEnum):
    """How `sql` writes rows."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the warehouse's commands to the CLI."""
    app.command("ingest")(ingest)
    app.command("status")(status)
    app.command("sql")(sql)


def ingest(
    workspace: _Workspace = DEFAULT_WORKSPACE,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build the database anew from all landing files.")
    ] = False,
    json_output: _Json = False,
) -> None:
    """Load what has landed, check it and publish a snapshot; run-grid does this by itself.

    Example: python cli.py ingest --rebuild
    """
    from warehouse.ingest import ingest as run_ingest
    from warehouse.workspace import open_workspace

    report = run_ingest(open_workspace(workspace), rebuild=rebuild)
    for item in report.quarantined:
        print(f"Quarantined {item.file}: {item.reason}", file=sys.stderr)
    if report.missing:
        print(
            f"{len(report.missing)} loaded landing files are gone, first {report.missing[0]}; "
            "their rows stay until ingest --rebuild.",
            file=sys.stderr,
        )
    if json_output:
        _print_json(
            {
                "files": report.n_files,
                "rows": report.n_rows,
                "quarantined": [
                    {"file": str(item.file), "reason": item.reason} for item in report.quarantined
                ],
                "missing": list(report.missing),
                "snapshot": str(report.snapshot) if report.snapshot else None,
                "published": report.published,
            }
        )
        return
    loaded = f"Loaded {report.n_files} files with {report.n_rows} rows"
    if report.published:
        print(f"{loaded}; published {report.snapshot}.")
    elif report.snapshot:
        print(f"{loaded}; {report.snapshot} is up to date.")
    else:
        print(f"Nothing has landed in {workspace} yet; run a grid first.")


def status(workspace: _Workspace = DEFAULT_WORKSPACE, json_output: _Json = False) -> None:
    """Show how many cells are done, failed, running and pending, and what runs now.

    Example: python cli.py status --json
    """
    from warehouse.status import load_status
    from warehouse.workspace import open_workspace

    found = load_status(open_workspace(workspace))
    if json_output:
        _print_json(_status_document(found))
        return
    for line in _status_lines(found):
        print(line)


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over the marts (docs/warehouse.md).")],
    workspace: _Workspace = DEFAULT_WORKSPACE,
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
    from warehouse.workspace import open_workspace

    if output is not None and not output.absolute().parent.is_dir():
        raise InputError(f"--output {output}: there is no folder {output.absolute().parent}.")
    answer = ask(
        open_workspace(workspace),
        query,
        table_format=TableFormat.JSON if json_output else table_format,
        row_limit=limit,
        time_limit_seconds=time_limit,
    )
    if answer.truncated:
        print(f"Only the first {limit} rows are shown; more with --limit.", file=sys.stderr)
    if output is None:
        sys.stdout.write(answer.text)
        return
    from warehouse.landing import write_atomically

    try:
        write_atomically(output, lambda target: target.write_text(answer.text, "utf-8"))
    except OSError as error:
        raise InputError(f"--output {output} can't be written ({error.strerror}).") from error


def _print_json(document: object) -> None:
    """Print one JSON document."""
    import json

    print(json.dumps(document, indent=1, ensure_ascii=False))


def _status_document(found: WorkspaceStatus) -> dict[str, object]:
    """Bring a status to what `status --json` prints."""
    from dataclasses import asdict

    runs = [("running", beat) for beat in found.active_runs]
    runs += [("lost", beat) for beat in found.lost_runs]
    return {
        "cells": asdict(found.cells),
        "studies": [{"study": row.study, **asdict(row.cells)} for row in found.studies],
        "runs": [{"state": state, **beat.model_dump(mode="json")} for state, beat in runs],
        "failures": [
            asdict(failure) | {"finished_at": failure.finished_at.isoformat()}
            for failure in found.failures
        ],
    }


def _status_lines(found: WorkspaceStatus) -> list[str]:
    """Bring a status to lines for people."""
    cells = found.cells
    lines = [
        f"{cells.total} cells: {cells.done} done, {cells.failed} failed, {cells.running} running, "
        f"{cells.pending} pending."
    ]
    lines += [
        f"  {row.study}: {row.cells.done} of {row.cells.total} done, {row.cells.failed} failed, "
        f"{row.cells.running} running, {row.cells.pending} pending"
        for row in found.studies
    ]
    for beat in found.active_runs:
        left = "" if beat.eta_seconds is None else f", about {beat.eta_seconds / 60:.0f} min left"
        lines.append(f"Running: {beat.study} on {beat.host} (PID {beat.pid}){left}")
        lines += [
            f"  worker {worker.worker}: {worker.stage}"
            + (f" {worker.label}" if worker.label else "")
            + (f", step {worker.step} of {worker.n_steps}" if worker.step is not None else "")
            for worker in beat.workers
        ]
    lines += [
        f"Lost: {beat.study} on {beat.host} (PID {beat.pid}) last beat at "
        f"{beat.updated_at:%Y-%m-%d %H:%M:%S %Z}; run the same grid again to go on."
        for beat in found.lost_runs
    ]
    lines += [
        f"Failed: {failure.label} ({failure.cell_id}), {failure.stage}: {failure.reason}"
        for failure in found.failures[:_N_FAILURES_SHOWN]
    ]
    if len(found.failures) > _N_FAILURES_SHOWN:
        lines.append(f"... and {len(found.failures) - _N_FAILURES_SHOWN} more; see status --json.")
    return lines
