"""One cell in detail: why it failed, how its loss fell, what it was made from."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.charts.training import has_loss, training_figure
from dashboard.components.exclusion import show_exclusion
from dashboard.components.figures import show_figure
from dashboard.components.keep import keep
from dashboard.components.on_demand import show_on_demand
from dashboard.components.page import OpenStudy
from dashboard.data import load_cells, load_training_log
from dashboard.state import choose_one

_LINEAGE = (
    "cell_id",
    "base_model",
    "base_model_revision",
    "data_source",
    "design",
    "design_target",
    "composition_id",
    "template",
    "checkpoint_rule",
    "checkpoint_step",
    "validation_loss",
    "energy_joules",
    "data_hash",
    "git_commit",
    "started_at",
    "finished_at",
)
_SETTINGS = ("training", "scoring", "environment")


def show_cell(opened: OpenStudy) -> None:
    """Let the reader choose a cell and show it."""
    st.subheader("One cell")
    cells = load_cells(opened.root, opened.snapshot_id, opened.study)
    if cells.empty:
        st.text("The grid of this study has no cell.")
        return
    names = _unique_names(cells)
    trained = cells["n_optimizer_steps"].fillna(0) > 0
    default = names[int(trained.to_numpy().argmax())]
    chosen = choose_one("cell", "Cell", names, default=default)
    cell = cells.iloc[names.index(chosen)]
    excluded = cell["excluded_reason"]
    show_exclusion(
        opened, str(cell["cell_id"]), chosen, excluded if isinstance(excluded, str) else None
    )
    reason = cell["failure_reason"]
    if isinstance(reason, str):
        st.text(f"Failed in stage {cell['failure_stage'] or 'unknown'}:")
        # A code block shows line breaks and never reads markup.
        st.code(reason, language=None, wrap_lines=True)
    log = load_training_log(opened.root, opened.snapshot_id, cell["cell_id"])
    if has_loss(log):
        show_figure(
            keep(training_figure, log, title=_loss_title(log, chosen), note=opened.source_note),
            name="training",
            alt=f"Training loss of {chosen}",
            table=lambda: log,
        )
    else:
        st.text("There is no training log: the cell was not trained, or not yet.")
    show_on_demand("Lineage and settings", lambda: _show_lineage(cell))


def _show_lineage(cell: pd.Series[Any]) -> None:
    """Show what the cell was made from, and with which settings."""
    st.dataframe(_lineage(cell), hide_index=True)
    for name in _SETTINGS:
        st.text(name)
        st.code(_pretty(cell[name]), language="json")


def _unique_names(cells: pd.DataFrame) -> list[str]:
    """Return labels, with the cell id where two cells share one."""
    shared = cells["label"].duplicated(keep=False)
    return [
        f"{label} ({cell_id})" if double else label
        for label, cell_id, double in zip(cells["label"], cells["cell_id"], shared, strict=True)
    ]


def _loss_title(log: pd.DataFrame, name: str) -> str:
    """Say where the loss began and ended."""
    counted = log[log["loss"].notna()]
    first, last = counted["loss"].iloc[0], counted["loss"].iloc[-1]
    return f"{name}: training loss from {first:.2f} to {last:.2f} in {len(counted):,} steps"


def _lineage(cell: pd.Series[Any]) -> list[dict[str, str]]:
    """Return what the cell was made from, as text."""
    return [
        {"What": name.replace("_", " "), "Value": "—" if pd.isna(cell[name]) else str(cell[name])}
        for name in _LINEAGE
    ]


def _pretty(value: object) -> str:
    """Indent a JSON column; anything else is shown as it is."""
    if not isinstance(value, str):
        return "—" if value is None or value is pd.NA else str(value)
    try:
        return json.dumps(json.loads(value), indent=1, ensure_ascii=False)
    except json.JSONDecodeError:
        return value
