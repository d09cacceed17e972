"""`dashboard`: the app."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dashboard.commands.options import WorkspaceOption
from warehouse.workspace import DEFAULT_WORKSPACE

WORKSPACE_VARIABLE = "GROWTHPACE_WORKSPACE"
"""Environment variable through which `dashboard` tells the app its workspace."""


def dashboard(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
) -> None:
    """Open the app on this machine, at http://localhost:8501 unless --port says otherwise.

    Example: python cli.py dashboard --port 8600
    """
    import os
    import subprocess

    from warehouse.workspace import open_workspace

    place = open_workspace(workspace)
    root = Path(__file__).resolve().parents[2]
    python_path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    command = [
        sys.executable, "-m", "streamlit", "run", str(root / "dashboard" / "app.py"),
        "--server.address", "localhost",
        "--server.port", str(port),
        "--server.headless", "true",
        "--browser.gatherUsageStats", "false",
    ]  # fmt: skip
    environment = {
        **os.environ,
        WORKSPACE_VARIABLE: str(place.root.resolve()),
        "PYTHONPATH": python_path,
    }
    print(f"The app is at http://localhost:{port} (stop with Ctrl-C).", file=sys.stderr)
    try:
        code = subprocess.run(command, env=environment, cwd=root, check=False).returncode
    except KeyboardInterrupt:
        code = 0
    raise typer.Exit(code)
