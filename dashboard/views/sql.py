"""SQL: a console on the snapshot, with examples, the dictionary and a chart of the rows."""

from __future__ import annotations

import streamlit as st

from dashboard.components.page import OpenStudy, open_study
from dashboard.components.query import ask_query, show_answer, show_dictionary
from dashboard.components.text import plain
from dashboard.query_data import ROW_LIMIT, TIME_LIMIT_SECONDS, ask_warehouse
from warehouse.errors import GrowthpaceError

_LIMITS = (
    "One query at a time, on the snapshot named in the sidebar, in a process of its own: "
    f"{ROW_LIMIT:,} rows and {TIME_LIMIT_SECONDS:g} s at most, no files, no network, no settings. "
    "A link holds an example's name, never a query. The same from a terminal:"
)


def show() -> None:
    """Lay out the page."""
    opened = open_study()
    if opened is None:
        return
    st.header("Ask the warehouse")
    st.text("Item scores, runs, costs and lineage of every study in this workspace.")
    left, right = st.columns([3, 2], gap="medium")
    with left:
        query = ask_query()
    with right:
        show_dictionary(opened)
    if query:
        _show_rows(opened, query)
    with st.expander("What a query may do"):
        st.text(_LIMITS)
        st.code('python cli.py sql "SELECT ..." --format csv --output rows.csv', language="bash")


def _show_rows(opened: OpenStudy, query: str) -> None:
    """Show what a query returns, or why it returns nothing."""
    try:
        answer = ask_warehouse(opened.root, opened.snapshot_id, query)
    except GrowthpaceError as error:
        st.error(plain(str(error)))
        return
    show_answer(opened, answer)
