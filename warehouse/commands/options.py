"""Options and output that the warehouse's commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[Path, typer.Option(help="Folder that holds everything written.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]


def print_json(document: object) -> None:
    """Print one JSON document."""
    print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
