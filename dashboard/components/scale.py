"""The parts of the Scale page: its filters, scores by size and data equivalents."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.analysis import CurveFit
from dashboard.charts import scale as charts
from dashboard.charts import scale_figures as figures
from dashboard.charts.scale import ScaleView, select_scale, spread_models
from dashboard.charts.sizes import sizes_figure, sizes_note
from dashboard.charts.tables import points_table
from dashboard.charts.wording import say_examples
from dashboard.components.comparisons import show_table
from dashboard.components.figures import show_figure
from dashboard.components.filters import models_of, sources_of
from dashboard.page_data import ScaleResults
from dashboard.state import choose_many, choose_one


def choose_scale(results: ScaleResults, curves: Sequence[CurveFit]) -> ScaleView:
    """Show the choice of data source, target volume and base models; return what they select."""
    left, middle, right = st.columns([2, 2, 5])
    with left:
        source = choose_one("source", "Data source", sources_of(curves))
    offered = {say_examples(volume): volume for volume in results.volumes}
    usual = results.largest_common
    with middle:
        at = choose_one(
            "at",
            "Target volume",
            list(offered),
            default=None if usual is None else say_examples(usual),
            help="Examples per ability. The last three lie beyond every observed run.",
        )
    models = models_of(curves)[::-1]
    with right:
        shown = choose_many("models", "Base models", models, default=spread_models(models))
    return select_scale(
        results.comparison,
        results.laws,
        curves,
        source=source,
        models=shown if len(shown) > 1 else spread_models(models),
        volume=offered[at],
        exam_volume=offered[at] * results.exam_factor,
    )


def show_sizes(view: ScaleView, source: str) -> None:
    """Show scores against model size with the joint law, where sizes are known."""
    inside = [c for c in view.curves if c.n_params and not c.out_of_domain]
    if inside:
        laws = charts.laws_title(view)
        show_figure(
            sizes_figure(inside, view.laws, title=laws, note=f"{sizes_note()}\n{source}"),
            name="score-by-size",
            alt=laws,
            table=lambda: points_table(inside),
        )
        show_table(figures.laws_table(view.laws))


def show_equivalents(view: ScaleView, note: str) -> None:
    """Show what a larger base model is worth in data."""
    if charts.final_equivalents(view):
        worth = charts.equivalents_title(view)
        show_figure(
            figures.equivalents_figure(view, title=worth, note=f"{charts.RATIO_NOTE} {note}"),
            name="data-equivalents",
            alt=worth,
            table=lambda: figures.equivalents_table(view),
        )
