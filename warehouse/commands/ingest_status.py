"""The commands `ingest` and `status`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from warehouse.commands.options import JsonOption, WorkspaceOption, print_json
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from warehouse.status import WorkspaceStatus

_N_FAILURES_SHOWN = 10


def ingest(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build the database anew from all landing files.")
    ] = False,
    json_output: JsonOption = False,
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
        print_json(
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


def status(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_output: JsonOption = False) -> None:
    """Show how many cells are done, failed, running and pending, and what runs now.

    Example: python cli.py status --json
    """
    from warehouse.status import load_status
    from warehouse.workspace import open_workspace

    found = load_status(open_workspace(workspace))
    if json_output:
        print_json(_status_document(found))
        return
    for line in _status_lines(found):
        print(line)


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
