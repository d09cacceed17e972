"""Scale: what a bigger base model buys, and which one is best at a volume."""

from __future__ import annotations

import streamlit as st

from dashboard.charts import scale as charts
from dashboard.charts import scale_figures as figures
from dashboard.charts.findings import interval_note
from dashboard.charts.growth import growth_figure
from dashboard.charts.tables import points_table
from dashboard.components.comparisons import show_how, show_readings, show_table, show_too_few
from dashboard.components.figures import show_figure
from dashboard.components.filters import choose_metric, models_of
from dashboard.components.keep import keep
from dashboard.components.layout import is_narrow, n_columns
from dashboard.components.page import OpenStudy, show_scored_study
from dashboard.components.scale import choose_scale, show_equivalents, show_overall, show_sizes
from dashboard.components.text import plain
from dashboard.data import FIT_SETTINGS, load_fit
from dashboard.page_data import load_scales


def show() -> None:
    """Lay out the page."""
    show_scored_study(_show_scale)


def _show_scale(opened: OpenStudy) -> None:
    """Show which base model is best, then curves, scores against size, and data equivalents."""
    metric = choose_metric(opened)
    fit = load_fit(opened.root, opened.snapshot_id, opened.study, metric)
    if len(models_of(fit.curves)) < 2:
        show_too_few("base models", "base_models")
        return
    results = load_scales(opened.root, opened.snapshot_id, opened.study, metric)
    view = choose_scale(results, fit.curves)
    st.header(plain(charts.scale_headline(view)))
    if not view.curves:
        st.text("No run combines these base models and this data source. Choose others.")
        return
    source = opened.source_note
    note = f"{interval_note(view.curves)}\n{source}"
    title = charts.lead_title(view)
    show_figure(
        keep(
            figures.best_figure,
            view,
            title=title,
            note=f"{charts.BEST_NOTE} {note}",
            narrow=is_narrow(),
        ),
        name="best-base-model",
        alt=charts.scale_headline(view),
        table=lambda: figures.scores_table(view),
        leads=True,
    )
    show_table(figures.best_table(view))
    show_readings([reading.text for reading in view.readings])
    overall_place = st.container()
    gains = charts.gain_sentence(view, FIT_SETTINGS.fdr)
    show_figure(
        keep(growth_figure, view.curves, title=gains, note=note, n_columns=n_columns()),
        name="scale-curves",
        alt=gains,
        table=lambda: points_table(view.curves),
    )
    show_sizes(view, source)
    show_equivalents(view, note)
    show_how(opened, charts.how_scale(results.comparison, view))
    # Last, since a first average takes seconds and everything else is there by then.
    with overall_place:
        show_overall(opened, view, metric)
