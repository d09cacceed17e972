"""The command `exclude`."""

from __future__ import annotations

from typing import Annotated

import typer

from warehouse.commands.options import JsonOption, WorkspaceOption, print_json
from warehouse.workspace import DEFAULT_WORKSPACE


def exclude(
    cell: Annotated[str, typer.Argument(help="Cell id, the start of one, or a label.")],
    reason: Annotated[str | None, typer.Option(help="Why; shown wherever results are.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the exclusion back.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Exclude a cell from every curve, with a reason; its results stay, flagged.

    Example: python cli.py exclude 091523353de6 --reason "trained on a broken disk"
    """
    from dataclasses import asdict

    from warehouse.exclusion import exclude_cell
    from warehouse.ingest import ingest
    from warehouse.workspace import open_workspace

    opened = open_workspace(workspace)
    found = exclude_cell(opened, cell, reason, undo=undo)
    # Also where nothing is new: an earlier call may have been killed before it published.
    report = ingest(opened)
    snapshot = str(report.snapshot) if report.snapshot else None
    if json_output:
        print_json(asdict(found) | {"snapshot": snapshot})
        return
    state = f"is excluded: {found.reason}" if found.excluded else "is no longer excluded"
    print(f"{found.label} ({found.cell_id}) {state}{'' if found.is_new else ' (as before)'}.")
