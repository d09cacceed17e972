"""Paths in a grid that is written to another folder than the grid it was made from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warehouse.workspace import Workspace


def move_grid(
    grid: Mapping[str, Any], folder: Path, workspace: Workspace, study: str
) -> tuple[dict[str, Any], str | None]:
    """Return a grid whose paths hold from another folder, and what is in doubt about them.

    A dataset's folder is looked up from the grid file, and stays relative to it; `run-grid` notes
    in the workspace where a study's is. Models and tasks are looked up from where a command runs,
    so that only whole paths hold in any folder. Paths of what isn't here are left as they are.

    Parameters
    ----------
    grid : mapping
        As `run-grid` takes it (`dashboard.budget_evidence.recommended_grid`).
    folder : Path
        Where the grid file will lie.
    workspace : Workspace
        That of the study.
    study : str
        Study whose grid this one was made from.
    """
    from runners.base_models import find_local_folder

    moved = dict(grid)
    moved["base_models"] = [
        model
        if (local := find_local_folder(model.get("path") or model["name"])) is None
        else model | {"path": str(local.resolve())}
        for model in grid["base_models"]
    ]
    tasks = Path(grid.get("scoring", {}).get("task_folder") or "")
    if tasks.name and tasks.is_dir():
        moved["scoring"] = grid["scoring"] | {"task_folder": str(tasks.resolve())}
    stated = grid["dataset"].get("folder")
    if stated is None or Path(stated).is_absolute():
        return moved, None
    noted = _noted_dataset(workspace, study)
    if noted is not None and (folder / stated).resolve() != noted:
        moved["dataset"] = grid["dataset"] | {"folder": os.path.relpath(noted, folder.resolve())}
    elif not (folder / stated).is_dir():
        return moved, (
            f"its dataset.folder {stated} is looked up from {folder}, where it is not, and the "
            f"workspace does not know where that of {study} lies: correct it"
        )
    return moved, None


def _noted_dataset(workspace: Workspace, study: str) -> Path | None:
    """Return where a study's dataset lies, if it was run here and is still there."""
    try:
        noted = Path(workspace.dataset_note(study).read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return None
    return noted if noted.is_absolute() and noted.is_dir() else None
