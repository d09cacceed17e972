"""Judge: win rates, plain and at equal length, ratings, biases, agreement, and the votes."""

from __future__ import annotations

import streamlit as st

from dashboard.analysis.judge.document import read_summary
from dashboard.charts import judge as charts
from dashboard.components.comparisons import show_table
from dashboard.components.figures import show_figure
from dashboard.components.judge import choose_votes, show_no_votes, show_votes
from dashboard.components.keep import keep
from dashboard.components.layout import is_narrow
from dashboard.components.page import OpenStudy, open_study
from dashboard.components.text import plain
from dashboard.judge_data import load_study_votes, load_summary


def show() -> None:
    """Lay out the page."""
    opened = open_study()
    if opened is None:
        return
    if load_study_votes(opened.root, opened.snapshot_id, opened.study) is None:
        show_no_votes(opened)
    else:
        _show_judgements(opened)


def _show_judgements(opened: OpenStudy) -> None:
    """Show what the votes say, then how far they can be trusted, then the votes."""
    abilities, reference = choose_votes(opened)
    summary = load_summary(opened.root, opened.snapshot_id, opened.study, abilities, reference)
    if summary is None:
        st.header("No vote on an item of these abilities")
        return
    said = read_summary(summary)
    st.header(plain(said))
    note = f"{charts.NOTE.format(level=summary.level)} {charts.PRIOR_NOTE}\n{opened.source_note}"
    for name, title, draw in (
        ("win-rates", charts.win_rate_title(summary), charts.win_rate_figure),
        ("ratings", charts.rating_title(summary), charts.rating_figure),
    ):
        figure = keep(draw, summary, title=title, note=note, narrow=is_narrow())
        if figure is not None:
            show_figure(figure, name=name, alt=title, table=lambda: charts.models_table(summary))
    show_table(charts.models_rows(summary))
    st.subheader("Biases", anchor=False)
    st.caption(
        "Position: share of the answer shown first over both orders, 0.5 without bias. Length: "
        "change of the preference per standard deviation of length difference. Self-preference: a "
        "judge's share for its own answers minus the other voters'."
    )
    show_table(charts.bias_rows(summary))
    agreement = charts.agreement_rows(summary)
    st.subheader("Agreement", anchor=False)
    if agreement.empty:
        st.text("No two voters judged the same pair: import people's votes to compare with.")
    show_table(agreement)
    show_votes(opened)
