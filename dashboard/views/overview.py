"""Overview: which abilities grow, at which pace, and which are flat."""

from __future__ import annotations

import streamlit as st

from dashboard.charts.findings import (
    exam_sentence,
    finding_rows,
    fit_warnings,
    gains_title,
    headline,
    interval_note,
    label_rule,
    sentences,
)
from dashboard.charts.findings_beyond import scale_sentence
from dashboard.charts.gains import gains_figure, sort_by_gain
from dashboard.charts.tables import gains_table
from dashboard.components.beyond import list_beyond, show_sentences
from dashboard.components.figures import show_figure
from dashboard.components.filters import choose_metric, choose_reference, select_curves
from dashboard.components.keep import keep
from dashboard.components.layout import is_narrow
from dashboard.components.method import show_method
from dashboard.components.page import OpenStudy, open_study, show_no_scores
from dashboard.components.progress import show_progress
from dashboard.components.text import plain
from dashboard.components.warnings import show_coverage
from dashboard.data import load_fit

_COLUMNS = {"Ability": st.column_config.Column(width="medium")}


def show() -> None:
    """Lay out the page."""
    opened = open_study()
    if opened is None:
        return
    show_progress(opened.root, opened.snapshot_id, opened.study)
    if opened.n_scored:
        _show_findings(opened)
    else:
        show_no_scores(opened)
        show_coverage(opened, [])


def _show_findings(opened: OpenStudy) -> None:
    """Show the answer in sentences, then the chart, the table and how it was computed."""
    metric = choose_metric(opened)
    fit = load_fit(opened.root, opened.snapshot_id, opened.study, metric)
    model, source = choose_reference(fit.curves)
    chosen = select_curves(fit.curves, [model], [source])
    if not chosen:
        st.header(plain(f"{model} was not trained on {source} data"))
        st.text("Choose another base model or data source.")
        return
    ordered = sort_by_gain(chosen)
    st.header(plain(headline(ordered)))
    said = sentences(ordered)
    said += filter(None, (scale_sentence(fit.curves, source), exam_sentence(ordered)))
    said_place = st.empty()
    with said_place:
        show_sentences(said)
    beyond_place = st.container()
    show_figure(
        keep(
            gains_figure,
            ordered,
            title=gains_title(ordered),
            note=f"{interval_note(ordered)} {label_rule(ordered)}\n{opened.source_note}",
            narrow=is_narrow(),
        ),
        name="gains",
        alt=headline(ordered),
        table=lambda: gains_table(ordered),
        leads=True,
    )
    st.subheader("Findings")
    st.dataframe(finding_rows(ordered), hide_index=True, height="content", column_config=_COLUMNS)
    show_coverage(opened, fit_warnings(fit.curves))
    show_method(opened, fit, ordered)
    # Last, since a first comparison takes seconds and everything else is there by then.
    with beyond_place:
        told = {curve.key for curve in ordered}
        rest = [curve for curve in fit.curves if curve.key not in told]
        beyond = list_beyond(opened, [*ordered, *rest], metric)
    if beyond:
        with said_place:
            show_sentences(said + beyond)
