"""Runs: every cell with its status, cost and lineage, live while a grid runs."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.charts.runs import (
    STATUSES,
    cells_table,
    count_states,
    running_cells,
    say_counts,
)
from dashboard.components.cell import show_cell
from dashboard.components.page import OpenStudy, open_study
from dashboard.components.progress import show_live, show_progress
from dashboard.components.text import plain
from dashboard.data import latest_snapshot_id, load_cells, load_grids
from dashboard.state import choose_many
from warehouse.workspace import Workspace

_COLUMNS = {
    "status": st.column_config.TextColumn("Status", pinned=True),
    "label": st.column_config.TextColumn("Cell", width="medium", pinned=True),
    "now": st.column_config.TextColumn("Now", width="medium"),
    "failure": st.column_config.TextColumn("Failure", width="medium"),
    "excluded": st.column_config.TextColumn("Excluded", width="medium", help="Why; by a user"),
    "base_model": st.column_config.TextColumn("Base model"),
    "data_source": st.column_config.TextColumn("Source"),
    "design": st.column_config.TextColumn("Design"),
    "volume": st.column_config.NumberColumn("Volume", help="As the grid sets it"),
    "examples": st.column_config.NumberColumn("Examples", help="Training examples in total"),
    "seed": st.column_config.NumberColumn("Seed"),
    "attempts": st.column_config.NumberColumn("Attempts"),
    "seconds": st.column_config.NumberColumn("Seconds", format="%.1f"),
    "train_seconds": st.column_config.NumberColumn("Training s", format="%.1f"),
    "score_seconds": st.column_config.NumberColumn("Scoring s", format="%.1f"),
    "steps": st.column_config.NumberColumn("Steps", help="Optimizer steps really run"),
    "tokens": st.column_config.NumberColumn("Tokens", format="localized"),
    "memory_mb": st.column_config.NumberColumn("Peak memory (MB)", format="%.0f"),
    "cost": st.column_config.NumberColumn("Cost", help="As the grid prices its hardware"),
    "train_loss": st.column_config.NumberColumn("Train loss", format="%.3f"),
    "git_commit": st.column_config.TextColumn("Commit"),
    "data_hash": st.column_config.TextColumn("Data hash"),
    "cell_id": st.column_config.TextColumn("Cell id"),
}
# Columns that are left out where they would be empty.
_OPTIONAL = ("now", "failure", "excluded", "cost")


def show() -> None:
    """Lay out the page."""
    opened = open_study()
    if opened is None:
        return
    show_progress(opened.root, opened.snapshot_id, opened.study)
    wanted = choose_many("status", "Status", list(STATUSES), default=STATUSES)
    show_live(lambda: _show_table(opened, wanted), opened.root)
    show_cell(opened)


def _show_table(opened: OpenStudy, wanted: list[str]) -> None:
    """Show the cells of the latest snapshot, which may be newer than the page's, with what runs."""
    snapshot_id = latest_snapshot_id(Workspace(root=opened.root)) or opened.snapshot_id
    cells = load_cells(opened.root, snapshot_id, opened.study)
    table = cells_table(cells, running_cells(load_grids(opened.root).active))
    st.header(plain(say_counts(count_states(table))))
    shown = table[table["state"].isin(wanted)]
    hidden = [name for name in _OPTIONAL if not shown[name].map(_says_something).any()]
    st.dataframe(
        shown,
        hide_index=True,
        column_order=[name for name in _COLUMNS if name not in hidden],
        column_config=_COLUMNS,
        key="cells",
        placeholder="—",
    )


def _says_something(value: object) -> bool:
    """Tell whether a cell of a table holds a text or a number."""
    return value != "" and not pd.isna(value)
