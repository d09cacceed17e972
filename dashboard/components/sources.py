"""The parts of the page Human and synthetic: its filters, exchange rates and balance."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.analysis import CurveFit
from dashboard.charts import source_figures as figures
from dashboard.charts import sources as charts
from dashboard.charts.mixture_figures import (
    MIXTURE_NOTE,
    mixtures_figure,
    mixtures_table,
    mixtures_title,
)
from dashboard.charts.sources import SourceView, common_volumes, select_sources
from dashboard.charts.wording import say_examples
from dashboard.components.comparisons import show_readings, show_table
from dashboard.components.figures import show_figure
from dashboard.components.filters import models_of, sources_of
from dashboard.components.keep import keep
from dashboard.components.layout import is_narrow
from dashboard.components.on_demand import show_on_demand
from dashboard.components.page import OpenStudy
from dashboard.components.text import plain
from dashboard.data import FIT_SETTINGS, load_cells
from dashboard.page_data import SourceResults, load_mixtures, load_sources
from dashboard.state import choose_one
from warehouse.errors import GrowthpaceError

_LARGEST = "largest common"


def choose_sources(
    opened: OpenStudy, curves: Sequence[CurveFit], metric: str | None
) -> tuple[SourceResults, SourceView] | None:
    """Show the choice of two sources, base model and volume; None where nothing is left."""
    first, second, third, fourth = st.columns(4)
    sources = sources_of(curves)
    with first:
        reference = choose_one("reference", "Reference source", sources)
    others = [name for name in sources if name != reference]
    with second:
        source = choose_one("other", "Compared with", others)
    with third:
        model = choose_one("model", "Base model", models_of(curves))
    # The command's default has no name of its own, so that both find one kept result.
    asked = None if reference == sources[0] else reference
    results = load_sources(opened.root, opened.snapshot_id, opened.study, metric, asked)
    offered = {
        say_examples(volume): volume for volume in common_volumes(results.comparison, source, model)
    }
    with fourth:
        at = choose_one("volume", "Volume", [_LARGEST, *reversed(offered)])
    view = keep(
        select_sources,
        results.comparison,
        results.balance,
        curves,
        reference=reference,
        source=source,
        base_model=model,
        volume=offered.get(at),
    )
    if view.pairs:
        return results, view
    st.header(plain(f"{model} was not trained on both {reference} and {source} data"))
    st.text("Choose another base model or other sources.")
    return None


def show_exchange(view: SourceView, note: str) -> None:
    """Show exchange rates, and who is still growing."""
    rates = charts.rates_title(view)
    show_figure(
        keep(
            figures.rates_figure,
            view,
            title=rates,
            note=f"{charts.RATE_NOTE} {note}",
            narrow=is_narrow(),
        ),
        name="exchange-rates",
        alt=rates,
        table=lambda: figures.rates_table(view),
    )
    growing = charts.growing_title(view)
    show_figure(
        keep(
            figures.growing_figure,
            view,
            title=growing,
            note=f"{charts.GROWING_NOTE} {note}",
            narrow=is_narrow(),
        ),
        name="still-growing",
        alt=growing,
        table=lambda: figures.growing_table(view),
    )


def show_mixtures(opened: OpenStudy, base_model: str, metric: str | None) -> None:
    """Show named mixtures of training data against an even one, where runs have them."""
    cells = load_cells(opened.root, opened.snapshot_id, opened.study)
    mixed = (cells["design"] == "mixture") & (cells["base_model"] == base_model)
    if not (mixed & (cells["status"] == "done")).any():
        return
    try:
        found = load_mixtures(opened.root, opened.snapshot_id, opened.study, base_model, metric)
    except GrowthpaceError as error:
        st.caption(plain(f"Mixtures not compared: {error}"))
        return
    if found is None:
        return
    title = mixtures_title(found, FIT_SETTINGS.fdr)
    show_figure(
        keep(
            mixtures_figure,
            found,
            fdr=FIT_SETTINGS.fdr,
            title=title,
            note=f"{MIXTURE_NOTE}\n{opened.source_note}",
            narrow=is_narrow(),
        ),
        name="mixtures",
        alt=title,
        table=lambda: mixtures_table(found),
    )
    show_readings(found.reading, label="Every mixture in a sentence")


def show_balance(view: SourceView, note: str) -> None:
    """Show what the sources' runs were trained on, drawn where their proportions differ."""
    balance = charts.balance_title(view)
    if charts.is_balanced(view):
        st.subheader(balance, anchor=False)
    elif view.balance:
        show_figure(
            keep(figures.balance_figure, view, title=balance, note=note, narrow=is_narrow()),
            name="balance",
            alt=balance,
            table=lambda: figures.balance_table(view),
        )
    show_on_demand(
        "What each source's runs were trained on", lambda: show_table(figures.balance_table(view))
    )
