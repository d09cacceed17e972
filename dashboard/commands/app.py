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

READ_ONLY_VARIABLE = "GROWTHPACE_READ_ONLY"
"""Environment variable through which `dashboard --read-only` tells the app to change nothing."""

SERVER_OPTIONS = (
    "--server.headless", "true",
    "--browser.gatherUsageStats", "false",
    # Looking at the whole memory after every run of a page takes longer than the page itself;
    # Python looks often enough by itself.
    "--runner.postScriptGC", "false",
    # Nobody edits the app while it serves.
    "--server.fileWatcherType", "none",
)  # fmt: skip
"""How Streamlit is run, whatever the address."""

_LOCAL = ("localhost", "127.0.0.1", "::1")


def dashboard(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    address: Annotated[
        str, typer.Option(help="Address to listen on; others than localhost let others in.")
    ] = "localhost",
    host_name: Annotated[
        str | None, typer.Option(help="Name under which a reverse proxy shows the app to others.")
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Let nobody exclude cells from the app.")
    ] = False,
) -> None:
    """Open the app on this machine, at http://localhost:8501 unless --port says otherwise.

    docs/security.md says how to let others in: with sign-in, or behind a reverse proxy.

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
        "--server.address", address,
        "--server.port", str(port),
        *SERVER_OPTIONS,
    ]  # fmt: skip
    environment = {
        **os.environ,
        WORKSPACE_VARIABLE: str(place.root.resolve()),
        "PYTHONPATH": python_path,
    }
    if address in _LOCAL:
        # No page of another site may reach the app under a name that it points to this machine.
        for name in filter(None, (*_LOCAL, host_name)):
            command += ["--server.allowedHosts", name]
    if host_name is not None:
        command += ["--browser.serverAddress", host_name]
    if read_only:
        environment[READ_ONLY_VARIABLE] = "1"
    print(f"The app is at http://{address}:{port} (stop with Ctrl-C).", file=sys.stderr)
    if address not in _LOCAL:
        print(
            f"WARNING: others can reach this app at {address}, and it asks nobody to sign in "
            "unless its secrets set that up; see docs/security.md.",
            file=sys.stderr,
        )
    try:
        code = subprocess.run(command, env=environment, cwd=root, check=False).returncode
    except KeyboardInterrupt:
        code = 0
    raise typer.Exit(code)
