"""Options that the commands of analysis share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[Path, typer.Option(help="Folder that holds everything written.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]
Filter = Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")]
