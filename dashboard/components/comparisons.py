"""What the pages of comparisons share: filters, sentences, tables, how it was computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.analysis.settings import ANALYSIS_VERSION
from dashboard.components.method import show_rows
from dashboard.components.on_demand import show_on_demand
from dashboard.components.page import OpenStudy
from dashboard.components.text import plain

_FIGURES = {
    "p": st.column_config.NumberColumn(format="%.2g"),
    "q": st.column_config.NumberColumn(format="%.2g"),
    "RMSE": st.column_config.NumberColumn(format="%.3g"),
    "cost (seconds)": st.column_config.NumberColumn(format="%.1f"),
}


# Probabilities and parts, in whole percents.
_SHARES = ("P(best)", "share", "would remove")


def show_too_few(what: str, field: str) -> None:
    """Say that a study has one of what the page compares, and which grid has several."""
    st.header(f"This study has fewer than two {what} to compare")
    st.text(f"Add some to {field} of a grid; the grid quickstart has several.")
    st.code("python cli.py run-grid quickstart", language="bash")


def show_readings(readings: Sequence[str], *, label: str = "Every ability in a sentence") -> None:
    """Show plain sentences, on demand where there are many."""
    if readings:
        listed = "\n".join(f"- {plain(text)}" for text in readings)
        show_on_demand(label, lambda: st.markdown(listed))


def show_table(frame: pd.DataFrame) -> None:
    """Show a table; nothing where it is empty."""
    if not frame.empty:
        kept = frame.dropna(axis=1, how="all")
        columns: dict[str, Any] = {
            name: st.column_config.Column(name.replace("_", " ")) for name in kept
        }
        numbers = kept.select_dtypes("number")
        columns |= {name: form for name, form in _FIGURES.items() if name in numbers}
        shares = [name for name in _SHARES if name in kept]
        kept = kept.assign(**{name: kept[name].round(2) for name in shares})
        columns |= dict.fromkeys(shares, st.column_config.NumberColumn(format="percent"))
        st.dataframe(
            kept, hide_index=True, height="content", column_config=columns, placeholder="—"
        )


def show_how(opened: OpenStudy, rows: Sequence[tuple[str, str]]) -> None:
    """Show, on demand, how what a page shows was computed."""
    settings = data.FIT_SETTINGS
    shared = [
        ("Replicates", f"{settings.n_replicates:,} bootstrap replicates, seed {settings.seed}"),
        ("Snapshot", opened.snapshot_id),
        ("Analysis version", ANALYSIS_VERSION),
    ]
    show_rows([*rows, *shared])
