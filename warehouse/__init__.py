"""Turns landing files into one DuckDB database and publishes read-only snapshots of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from warehouse.workspace import Workspace

__all__ = ["open_latest"]


def open_latest(workspace: Workspace | Path | str) -> DuckDBPyConnection:
    """Open the latest snapshot of a workspace read-only (see `warehouse.connection`).

    Raises
    ------
    InputError
        If there is no such workspace, or nothing was published yet.
    WorkError
        If the snapshot can't be read.
    """
    # Imported here, since every import of this package, `cli.py --help` among them, runs this file.
    from warehouse.connection import open_latest as open_connection

    return open_connection(workspace)
