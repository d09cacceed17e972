"""A figure with what is written around it, its downloads and its link."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.style import read_frame, suit_screen
from dashboard.charts.tables import to_csv
from dashboard.components.layout import is_narrow
from dashboard.components.on_demand import pop_up
from dashboard.components.text import plain
from dashboard.export.render import NO_BROWSER, FigureFormat, find_browser, render_figure
from dashboard.state import page_link

# Streamlit's own full screen, and the downloads below, do the rest.
_CONFIG = {"displayModeBar": False}
# Figures that are kept for all sessions, as many as `dashboard.components.keep` keeps.
_KEPT = 96
# What reaches the browser within its first frames is drawn all at once, the slowest last.
_FRAMES_SECONDS = 0.06


def show_figure(
    figure: go.Figure,
    *,
    name: str,
    alt: str,
    table: Callable[[], pd.DataFrame],
    selectable: bool = False,
    leads: bool = False,
) -> list[dict[str, Any]]:
    """Draw a figure between its title and its note; offer downloads and a link under it.

    Title, subtitle and note are read from the figure (`dashboard.charts.style.apply_frame`), so
    the page and every file say the same.

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
    selectable : bool
        Whether clicking a mark runs the page again.
    leads : bool
        Whether it answers the page's question: the rest of the page then waits until the browser
        is drawing it.

    Returns
    -------
    list of dict
        The marks that were clicked (Plotly's `x`, `y`, `customdata`, `curve_number`, ...); empty
        without `selectable`. Values come from the browser: compare them with what you know.
    """
    texts = read_frame(figure)
    if texts is not None:
        st.subheader(plain(texts.title), anchor=False)
        if texts.subtitle:
            st.markdown(plain(texts.subtitle))
    dark = st.context.theme.type == "dark"
    shown = st.plotly_chart(
        _suit(figure, dark, is_narrow(), selectable)[1],
        key=f"figure-{name}",
        # Streamlit's own chart theme would grey the text that figures rest on.
        theme=None,
        config=_CONFIG,
        alt=alt,
        on_select="rerun" if selectable else "ignore",
        selection_mode="points",
    )
    if texts is not None:
        for line in filter(None, texts.note.split("\n")):
            st.caption(plain(line))
    _show_takeaways(figure, name, table)
    if leads:
        time.sleep(_FRAMES_SECONDS)
    # Without a selection it is the place of the chart that comes back.
    return list(shown.selection.points) if isinstance(shown, dict) else []


class _Screen(go.Figure):
    """A figure that changes no more: the page asks for its dictionary on every run."""

    def __init__(self, figure: go.Figure) -> None:
        """Make the dictionary once; Plotly would copy and encode every array each time."""
        super().__init__()
        self._ready = figure.to_dict()

    def to_dict(self) -> dict[str, Any]:
        """Return what the browser draws; must not be changed."""
        return self._ready


@st.cache_resource(max_entries=_KEPT, show_spinner=False, hash_funcs={go.Figure: id})
def _suit(
    figure: go.Figure, dark: bool, narrow: bool, selectable: bool
) -> tuple[go.Figure, _Screen]:
    """Return a figure and its likeness on the page; the first is kept to keep its id."""
    screen = suit_screen(figure, dark=dark, narrow=narrow)
    if selectable:
        # A click chooses; it isn't meant to fade whatever it did not choose.
        screen.update_traces(unselected={"marker": {"opacity": 1}}, selector={"type": "scatter"})
    return figure, _Screen(screen)


def _show_takeaways(figure: go.Figure, name: str, table: Callable[[], pd.DataFrame]) -> None:
    """Offer files, which are made when somebody clicks, and the link."""

    def draw() -> None:
        with st.container(horizontal=True):
            pop_up("Download", "download", name, lambda: _show_downloads(figure, name, table))
            pop_up("Copy link", "link", name, _show_link)

    st.fragment(draw)()


def _show_downloads(figure: go.Figure, name: str, table: Callable[[], pd.DataFrame]) -> None:
    """Offer a figure's files."""
    drawn = {"png": "Picture (PNG)", "svg": "Drawing (SVG)", "pdf": "Print (PDF)"}
    if not _has_browser():
        st.caption(plain(NO_BROWSER))
        drawn = {}
    for kind, label in (drawn | {"html": "Interactive (HTML)"}).items():
        _offer(label, partial(_render, figure, kind), f"{name}.{kind}")
    _offer("Numbers (CSV)", lambda: to_csv(table()), f"{name}.csv")


def _show_link() -> None:
    """Show the link that restores the page."""
    st.caption("Restores this page, its filters and the snapshot.")
    st.code(page_link(), language=None, wrap_lines=True)


def _offer(label: str, make: Callable[[], bytes | str], file_name: str) -> None:
    """Show one download."""
    st.download_button(
        label,
        data=make,
        file_name=file_name,
        key=f"download-{file_name}",
        on_click="ignore",
        type="tertiary",
        width="stretch",
    )


@st.cache_data(ttl=60, show_spinner=False)
def _has_browser() -> bool:
    """Tell whether files that a browser draws can be offered."""
    return find_browser() is not None


def _render(figure: go.Figure, kind: str) -> bytes:
    """Draw a figure's file."""
    return render_figure(figure, FigureFormat(kind))
