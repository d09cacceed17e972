"""The filters of the pages: which curves of a study to show."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.analysis import CurveFit
from dashboard.charts.selection import REFERENCE_SOURCE as REFERENCE_SOURCE
from dashboard.charts.selection import models_of as models_of
from dashboard.charts.selection import select_curves as select_curves
from dashboard.charts.selection import sources_of as sources_of
from dashboard.charts.wording import VOLUME_WORDS
from dashboard.components.page import OpenStudy
from dashboard.data import load_ability_scores, load_cells
from dashboard.measure_evidence import MEASURES, SCORE, has_parses
from dashboard.state import choose_many, choose_one

PRIMARY = "primary"


def choose_metric(opened: OpenStudy) -> str | None:
    """Show the choice of metric where there are several; None means each ability's primary one."""
    scores = load_ability_scores(opened.root, opened.snapshot_id, opened.study)
    metrics = sorted(scores["metric"].unique())
    if len(metrics) < 2:
        return None
    chosen = choose_one("metric", "Metric", [PRIMARY, *metrics])
    return None if chosen == PRIMARY else chosen


def choose_volume_kind(opened: OpenStudy) -> str:
    """Show the choice of what volumes count; return one of `dashboard.evidence.X_KINDS`.

    Kinds that no run of the study has a figure for are left out.
    """
    cells = load_cells(opened.root, opened.snapshot_id, opened.study)
    columns = {"tokens": "n_tokens", "steps": "n_optimizer_steps", "cost": "cost"}
    kinds = [
        kind
        for kind in VOLUME_WORDS
        if kind not in columns or (columns[kind] in cells and cells[columns[kind]].notna().any())
    ]
    words = {VOLUME_WORDS[kind]: kind for kind in kinds}
    return words[choose_one("x", "Volume counted in", list(words))]


def choose_measure(opened: OpenStudy) -> str:
    """Show the choice of measure where replies were parsed; one of `MEASURES`."""
    scores = load_ability_scores(opened.root, opened.snapshot_id, opened.study)
    if not has_parses(scores):
        return SCORE
    return choose_one(
        "measure",
        "Measure",
        MEASURES,
        help="The score counts a reply that can't be parsed as wrong, or scores it by likelihood.",
    )


def choose_reference(curves: Sequence[CurveFit]) -> tuple[str, str]:
    """Show the choice of one base model and one data source; return both."""
    left, right = st.columns(2)
    with left:
        model = choose_one("model", "Base model", models_of(curves))
    with right:
        source = choose_one("source", "Data source", sources_of(curves))
    return model, source


def choose_others(
    curves: Sequence[CurveFit], model: str, source: str
) -> tuple[list[str], list[str]]:
    """Show the choice of models and sources to compare with; return them after the reference."""
    left, right = st.columns(2)
    with left:
        others = [name for name in models_of(curves) if name != model]
        models = choose_many("more_models", "Compare with models", others)
    with right:
        others = [name for name in sources_of(curves) if name != source]
        sources = choose_many("more_sources", "Compare with sources", others)
    return [model, *models], [source, *sources]
