"""The parts of the Scale page: its filters, scores by size and data equivalents."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from dashboard.analysis import CurveFit
from dashboard.charts import scale as charts
from dashboard.charts import scale_figures as figures
from dashboard.charts.overall import (
    group_overall,
    overall_figure,
    overall_note,
    overall_table,
    overall_title,
)
from dashboard.charts.scale import ScaleView, select_scale, spread_models
from dashboard.charts.sizes import sizes_figure, sizes_note
from dashboard.charts.tables import points_table
from dashboard.charts.wording import say_examples
from dashboard.components.comparisons import show_table
from dashboard.components.figures import show_figure
from dashboard.components.filters import models_of, sources_of
from dashboard.components.keep import keep
from dashboard.components.layout import is_narrow, n_columns
from dashboard.components.page import OpenStudy
from dashboard.components.text import plain
from dashboard.data import FIT_SETTINGS
from dashboard.page_data import ScaleResults, load_abilities
from dashboard.state import choose_many, choose_one
from warehouse.errors import GrowthpaceError


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
    return keep(
        select_scale,
        results.comparison,
        results.laws,
        curves,
        source=source,
        models=shown if len(shown) > 1 else spread_models(models),
        volume=offered[at],
        exam_volume=offered[at] * results.exam_factor,
    )


def show_overall(opened: OpenStudy, view: ScaleView, metric: str | None) -> None:
    """Show the mean over abilities of each base model, where abilities can be averaged."""
    models = list(dict.fromkeys(curve.base_model for curve in view.curves))
    try:
        found = load_abilities(opened.root, opened.snapshot_id, opened.study, metric)
    except GrowthpaceError as error:
        st.caption(plain(f"Not averaged: {error}"))
        return
    for lines in group_overall(found.overall, models, [view.source], "in_domain"):
        response = view.responses[lines[0].abilities[0]]
        title = overall_title(lines, response)
        show_figure(
            keep(
                overall_figure,
                lines,
                response=response,
                title=title,
                note=f"{overall_note(lines, FIT_SETTINGS.level)}\n{opened.source_note}",
            ),
            name=f"overall-{lines[0].metric}",
            alt=title,
            table=partial(overall_table, lines),
        )


def show_sizes(view: ScaleView, source: str) -> None:
    """Show scores against model size with the joint law, where sizes are known."""
    inside = [c for c in view.curves if c.n_params and not c.out_of_domain]
    if inside:
        laws = charts.laws_title(view)
        show_figure(
            keep(
                sizes_figure,
                inside,
                view.laws,
                title=laws,
                note=f"{sizes_note()}\n{source}",
                n_columns=n_columns(),
            ),
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
            keep(
                figures.equivalents_figure,
                view,
                title=worth,
                note=f"{charts.RATIO_NOTE} {note}",
                narrow=is_narrow(),
            ),
            name="data-equivalents",
            alt=worth,
            table=lambda: figures.equivalents_table(view),
        )
