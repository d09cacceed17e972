"""Findings that need more than the fits: sources, transfer; each computed once per snapshot."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.analysis import CurveFit
from dashboard.charts.findings import Sentence
from dashboard.charts.findings_beyond import source_sentences
from dashboard.components.page import OpenStudy
from dashboard.components.text import plain
from dashboard.data import load_cells
from warehouse.errors import GrowthpaceError

_TRANSFER_DESIGNS = frozenset({"single_ability", "leave_one_out"})


def show_sentences(said: Sequence[Sentence]) -> None:
    """List findings, each under what it is about."""
    st.markdown("\n".join(f"- **{plain(one.topic)}:** {plain(one.text)}" for one in said))


def list_beyond(
    opened: OpenStudy, curves: Sequence[CurveFit], metric: str | None
) -> list[Sentence]:
    """Return which source is better and what transfers, for the curves' base model and source.

    What can't be compared is said here.

    Parameters
    ----------
    opened : OpenStudy
        Study of the page.
    curves : sequence of CurveFit
        All curves of the study; the first one's base model and data source are told about.
    metric : str or None
        Metric that they were fitted to; None for each ability's primary one.
    """
    # The first page must not wait for what only some studies need.
    from dashboard.charts.transfer import transfer_sentence
    from dashboard.page_data import load_sources, load_transfer

    first = curves[0]
    said: list[Sentence] = []
    try:
        if len({curve.data_source for curve in curves}) > 1:
            found = load_sources(opened.root, opened.snapshot_id, opened.study, metric)
            said += source_sentences(found.comparison.pairs, first)
        cells = load_cells(opened.root, opened.snapshot_id, opened.study)
        if _TRANSFER_DESIGNS & set(cells["design"]):
            results = load_transfer(
                opened.root, opened.snapshot_id, opened.study, first.base_model, metric
            )
            if results is not None:
                said += filter(None, [transfer_sentence(results.transfer)])
    except GrowthpaceError as error:
        st.caption(plain(f"Not compared: {error}"))
    return said
