"""A figure with its downloads."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.style import suit_screen
from dashboard.charts.tables import to_csv

# Plotly's own toolbar saves the picture; the rest of it would only crowd the figure.
_CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
}


def show_figure(
    figure: go.Figure, *, name: str, alt: str, table: Callable[[], pd.DataFrame]
) -> None:
    """Draw a figure and offer its numbers as CSV and itself as a page of HTML.

    Parameters
    ----------
    figure : Figure
        What to draw.
    name : str
        Key of the element and stem of the downloads; letters, digits, `-`.
    alt : str
        What the figure shows, for those who can't see it.
    table : callable
        Returns the numbers behind the figure; called only when somebody downloads them.
    """
    config = {**_CONFIG, "toImageButtonOptions": {"format": "svg", "filename": name}}
    screen = suit_screen(figure, dark=st.context.theme.type == "dark")
    # Streamlit's own chart theme would grey the text that figures rest on.
    st.plotly_chart(screen, key=f"figure-{name}", theme=None, config=config, alt=alt)
    with st.container(horizontal=True):
        st.download_button(
            "Numbers (CSV)",
            data=lambda: to_csv(table()),
            file_name=f"{name}.csv",
            mime="text/csv",
            key=f"csv-{name}",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )
        st.download_button(
            "Figure (HTML)",
            data=lambda: figure.to_html(include_plotlyjs=True, full_html=True),
            file_name=f"{name}.html",
            mime="text/html",
            key=f"html-{name}",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )
