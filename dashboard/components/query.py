"""Parts of the SQL page: the editor, the dictionary, the rows and their chart."""

from __future__ import annotations

import io

import streamlit as st

from dashboard.charts.query import (
    NO_SERIES,
    ChartKind,
    label_columns,
    likely_place,
    numeric_columns,
    query_figure,
    series_columns,
)
from dashboard.charts.tables import to_csv
from dashboard.charts.wording import say_count
from dashboard.components.figures import show_figure
from dashboard.components.page import OpenStudy
from dashboard.components.text import plain
from dashboard.query_data import ROW_LIMIT, QueryAnswer, load_dictionary
from dashboard.state import choose_one
from warehouse.examples import list_questions, load_example

_TEXT = "query_text"
_STYLE = (
    f'<style>[class*="st-key-{_TEXT}"] textarea {{ font-family: monospace; font-size: 0.85rem; }}'
    "</style>"
)
_ASKED = "query_asked"
_STARTED_FROM = "query_example"


def ask_query() -> str:
    """Show the editor; return the query to run.

    That is the example as it stands, until the reader asks another: nothing that a link brings is
    run but the examples shipped here.
    """
    questions = dict(list_questions())
    example = choose_one("example", "Start from an example", list(questions))
    if st.session_state.get(_STARTED_FROM) != example:
        st.session_state[_STARTED_FROM] = example
        st.session_state[_ASKED] = load_example(example)
    st.caption(plain(questions[example]))
    st.html(_STYLE)
    with st.form("query", border=False):
        text = st.text_area(
            "Query",
            load_example(example),
            key=f"{_TEXT}_{example}",
            height=290,
            help="One SELECT in DuckDB's SQL.",
        )
        if st.form_submit_button("Run", type="primary", icon=":material/play_arrow:"):
            st.session_state[_ASKED] = text
    return str(st.session_state[_ASKED]).strip()


def show_dictionary(opened: OpenStudy) -> None:
    """Show the columns of one table and what they mean."""
    columns = load_dictionary(opened.root, opened.snapshot_id)
    names = list(dict.fromkeys(columns["relation"]))
    table = choose_one("table", "Tables and columns", names, default="mart_ability_score")
    st.dataframe(
        columns[columns["relation"] == table].drop(columns="relation"),
        hide_index=True,
        height=380,
        column_config={
            "column_name": st.column_config.TextColumn("Column", pinned=True),
            "data_type": st.column_config.TextColumn("Type"),
            "meaning": st.column_config.TextColumn("Meaning", width="large"),
        },
    )


def show_answer(opened: OpenStudy, answer: QueryAnswer) -> None:
    """Show rows, their downloads and a chart of two columns."""
    rows = answer.rows
    first = "The first " if answer.truncated else ""
    size = f"{say_count(len(rows), 'row')}, {say_count(rows.shape[1], 'column')}"
    st.subheader(f"{first}{size}", anchor=False)
    if answer.truncated:
        st.warning(
            f"The query has more than {ROW_LIMIT:,} rows; narrow it, or use the command below."
        )
    st.dataframe(rows, hide_index=True, placeholder="NULL")
    if rows.empty:
        return
    with st.container(horizontal=True):
        for label, make, name in (
            ("Rows (CSV)", lambda: to_csv(rows), "rows.csv"),
            ("Rows (Parquet)", lambda: _parquet(answer), "rows.parquet"),
        ):
            st.download_button(
                label, make, name, key=name, on_click="ignore", icon=":material/download:",
                type="tertiary",
            )  # fmt: skip
    _show_chart(opened, answer)


def _show_chart(opened: OpenStudy, answer: QueryAnswer) -> None:
    """Let the reader choose columns and draw them."""
    rows = answer.rows
    measures, places = numeric_columns(rows), label_columns(rows)
    if not measures or len(places) < 2:
        st.caption("A chart needs a column of numbers and another column.")
        return
    st.subheader("Chart", anchor=False)
    boxes = st.columns(4)
    # Columns differ from query to query, so these choices are no part of the link.
    y = boxes[0].selectbox("Vertical", measures, index=len(measures) - 1)
    others = [name for name in places if name != y]
    x = boxes[1].selectbox("Horizontal", others, index=others.index(likely_place(rows, y)))
    kinds = list(ChartKind)
    usual = ChartKind.LINE if x in measures else ChartKind.POINTS
    kind = boxes[3].selectbox("Kind", kinds, index=kinds.index(usual))
    choices = [NO_SERIES, *(name for name in series_columns(rows) if name not in (x, y))]
    series = boxes[2].selectbox("Series", choices)
    figure = query_figure(
        rows,
        kind=ChartKind(kind),
        x=x,
        y=y,
        series=None if series == NO_SERIES else series,
        note=f"Source: growthpace snapshot {opened.snapshot_id}; a query on the page SQL.",
    )
    show_figure(figure, name="query", alt=f"{y} by {x}", table=lambda: rows)


def _parquet(answer: QueryAnswer) -> bytes:
    """Return the rows as a Parquet file."""
    target = io.BytesIO()
    answer.rows.to_parquet(target, index=False)
    return target.getvalue()
