"""Growth: one panel an ability on shared axes, and one ability in full."""

from __future__ import annotations

import streamlit as st

from dashboard.charts.findings import growth_note, growth_title
from dashboard.charts.growth import ORDERS, growth_figure, order_curves
from dashboard.charts.tables import families_table, points_table, trend_tests_table
from dashboard.components.figures import show_figure
from dashboard.components.filters import (
    choose_measure,
    choose_metric,
    choose_others,
    choose_reference,
    choose_volume_kind,
    select_curves,
)
from dashboard.components.focus import follow_click, show_focus, show_plateaus
from dashboard.components.keep import keep
from dashboard.components.layout import n_columns
from dashboard.components.method import show_method
from dashboard.components.on_demand import show_on_demand
from dashboard.components.page import OpenStudy, show_scored_study
from dashboard.data import load_fit
from dashboard.state import choose_one


def show() -> None:
    """Lay out the page."""
    show_scored_study(_show_curves)


def _show_curves(opened: OpenStudy) -> None:
    """Show the panels, then one ability, then the fits behind them and how they were computed."""
    curves_place = st.container()
    with st.expander("Volume, measure, metric and order"):
        places = st.columns(4)
        with places[0]:
            x = choose_volume_kind(opened)
        with places[1]:
            measure = choose_measure(opened)
        with places[2]:
            metric = choose_metric(opened)
        with places[3]:
            order = choose_one("order", "Order", ORDERS)
    fit = load_fit(opened.root, opened.snapshot_id, opened.study, metric, x, measure)
    if not fit.curves:
        st.header("No run of this study has this measure")
        return
    with curves_place:
        reference_place, others_place = st.columns(2)
        with reference_place:
            model, source = choose_reference(fit.curves)
        with others_place:
            models, sources = choose_others(fit.curves, model, source)
    curves = order_curves(select_curves(fit.curves, models, sources), order)
    if not curves:
        st.header("No run combines these base models and data sources")
        st.text("Choose others.")
        return
    figure = keep(
        growth_figure,
        curves,
        title=growth_title(curves),
        note=f"{growth_note(curves)}\n{opened.source_note}",
        n_columns=n_columns(),
    )
    marks = show_figure(
        figure,
        name="growth",
        alt=growth_title(curves),
        table=lambda: points_table(curves),
        selectable=True,
        leads=True,
    )
    follow_click(marks, [trace.meta for trace in figure.data])
    show_focus(opened, curves, metric=metric, x=x, measure=measure)
    show_plateaus(opened, curves)
    show_on_demand(
        "Growth families: weights and status",
        lambda: st.dataframe(families_table(curves), hide_index=True),
    )
    show_on_demand(
        "Tests and noise of each curve",
        lambda: st.dataframe(trend_tests_table(curves), hide_index=True),
    )
    show_method(opened, fit, curves)
