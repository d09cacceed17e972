"""Human and synthetic: two data sources at equal volumes, and what an example of each is worth."""

from __future__ import annotations

import streamlit as st

from dashboard.charts import source_figures as figures
from dashboard.charts import sources as charts
from dashboard.charts.findings import interval_note
from dashboard.components.comparisons import show_how, show_readings, show_table, show_too_few
from dashboard.components.figures import show_figure
from dashboard.components.filters import choose_metric, models_of, sources_of
from dashboard.components.keep import keep
from dashboard.components.layout import is_narrow
from dashboard.components.page import OpenStudy, show_scored_study
from dashboard.components.sources import choose_sources, show_balance, show_exchange, show_mixtures
from dashboard.components.text import plain
from dashboard.data import load_fit


def show() -> None:
    """Lay out the page."""
    show_scored_study(_show_sources)


def _show_sources(opened: OpenStudy) -> None:
    """Show differences, exchange rates, who is still growing, and the sources' balance."""
    metric = choose_metric(opened)
    fit = load_fit(opened.root, opened.snapshot_id, opened.study, metric)
    if len(sources_of(fit.curves)) < 2:
        show_too_few("data sources", "data_sources")
        for model in models_of(fit.curves)[:1]:
            show_mixtures(opened, model, metric)
        return
    found = choose_sources(opened, fit.curves, metric)
    if found is None:
        return
    results, view = found
    st.header(plain(charts.sources_headline(view)))
    if results.counts_total:
        st.info(
            "Volumes count all examples: one of the sources is not sorted by ability.",
            icon=":material/info:",
        )
    mine = [c for c in fit.curves if c.base_model == view.base_model]
    note = f"{interval_note(mine)}\n{opened.source_note}"
    differences = charts.difference_title(view)
    show_figure(
        keep(
            figures.difference_figure,
            view,
            title=differences,
            note=f"{charts.FILLED_NOTE} {note}",
            narrow=is_narrow(),
        ),
        name="source-differences",
        alt=charts.sources_headline(view),
        table=lambda: figures.differences_table(view),
        leads=True,
    )
    show_table(figures.verdicts_table(view))
    st.markdown(plain(charts.ceilings_sentence(view)))
    show_readings([reading.text for reading in view.readings])
    show_exchange(view, note)
    show_balance(view, opened.source_note)
    show_mixtures(opened, view.base_model, metric)
    show_how(opened, charts.how_sources(results.comparison, view))
