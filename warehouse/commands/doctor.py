"""The command `doctor`."""

from __future__ import annotations

import typer

from warehouse.commands.options import JsonOption, WorkspaceOption, print_json
from warehouse.workspace import DEFAULT_WORKSPACE


def doctor(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_output: JsonOption = False) -> None:
    """Look the machine and a workspace over; exit code 1 if something will not work.

    Example: python cli.py doctor
    """
    from dataclasses import asdict

    from warehouse.doctor import examine
    from warehouse.errors import InputError
    from warehouse.machine import State
    from warehouse.workspace import Workspace

    if workspace.exists() and not workspace.is_dir():
        raise InputError(f"The workspace {workspace} is a file; name a folder with --workspace.")
    checks = examine(Workspace(root=workspace))
    n_failed = sum(check.state is State.FAIL for check in checks)
    if json_output:
        print_json({"ok": n_failed == 0, "checks": [asdict(check) for check in checks]})
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{check.state:<4}  {check.name:<{width}}  {check.detail}")
            if check.remedy:
                print(f"{'':<{width + 8}}-> {check.remedy}")
    if n_failed:
        raise typer.Exit(1)
