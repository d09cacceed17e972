"""Growth: one panel an ability, points, curve, interval and chance on shared axes."""

from __future__ import annotations

import streamlit as st

from dashboard.charts.findings import growth_note, growth_title
from dashboard.charts.growth import ORDERS, growth_figure, order_curves
from dashboard.charts.tables import families_table, points_table, trend_tests_table
from dashboard.components.figures import show_figure
from dashboard.components.filters import (
    choose_metric,
    choose_others,
    choose_reference,
    select_curves,
)
from dashboard.components.method import show_method
from dashboard.components.page import OpenStudy, open_study, show_no_scores
from dashboard.components.progress import show_progress
from dashboard.data import load_fit
from dashboard.state import choose_one


def show() -> None:
    """Lay out the page."""
    opened = open_study()
    if opened is None:
        return
    show_progress(opened.root, opened.snapshot_id, opened.study)
    if opened.n_scored:
        _show_curves(opened)
    else:
        show_no_scores(opened)


def _show_curves(opened: OpenStudy) -> None:
    """Show the panels, then the fits behind them and how they were computed."""
    metric = choose_metric(opened)
    fit = load_fit(opened.root, opened.snapshot_id, opened.study, metric)
    reference_place, others_place, order_place = st.columns([4, 4, 2])
    with reference_place:
        model, source = choose_reference(fit.curves)
    with others_place:
        models, sources = choose_others(fit.curves, model, source)
    with order_place:
        order = choose_one("order", "Order", ORDERS)
    curves = order_curves(select_curves(fit.curves, models, sources), order)
    if not curves:
        st.header("No run combines these base models and data sources")
        st.text("Choose others.")
        return
    show_figure(
        growth_figure(
            curves, title=growth_title(curves), note=f"{growth_note(curves)}\n{opened.source_note}"
        ),
        name="growth",
        alt=growth_title(curves),
        table=lambda: points_table(curves),
    )
    with st.expander("Growth families: weights and status"):
        st.dataframe(families_table(curves), hide_index=True)
    with st.expander("Tests and noise of each curve"):
        st.dataframe(trend_tests_table(curves), hide_index=True)
    show_method(opened, fit, curves)
