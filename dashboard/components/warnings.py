"""How much of the grid there is, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard.charts.runs import cells_table, count_states, running_cells, say_counts
from dashboard.charts.wording import name_ability, say_count
from dashboard.components.page import OpenStudy
from dashboard.components.text import plain
from dashboard.data import load_cells, load_flagged, load_grids

_MAX_LISTED = 8


def show_coverage(opened: OpenStudy, fit_warnings: Sequence[str]) -> None:
    """Show how many cells are done, which failed and why, and which curves could not be fitted.

    Parameters
    ----------
    opened : OpenStudy
        Study of the page.
    fit_warnings : sequence of str
        One sentence a curve without a fit.
    """
    st.subheader("Coverage")
    cells = load_cells(opened.root, opened.snapshot_id, opened.study)
    table = cells_table(cells, running_cells(load_grids(opened.root).active))
    counts = count_states(table)
    if table.empty:
        st.text("The grid of this study has no cell.")
        return
    st.progress(counts["done"] / len(table), text=plain(say_counts(counts)))
    failed = table[table["state"] == "failed"]
    if len(failed):
        st.warning(
            plain(f"{say_count(len(failed), 'cell')} failed; no score of theirs is in any curve."),
            icon=":material/error:",
        )
        st.dataframe(
            failed.head(_MAX_LISTED),
            hide_index=True,
            column_order=["label", "failure", "attempts"],
            column_config={"label": "Cell", "failure": "Failure", "attempts": "Attempts"},
        )
    _show_excluded(table)
    _show_flagged(opened)
    if fit_warnings:
        st.warning(
            plain(f"{say_count(len(fit_warnings), 'remark')} on the fits:"),
            icon=":material/warning:",
        )
        for sentence in fit_warnings[:_MAX_LISTED]:
            st.text(sentence)
    if len(failed) > _MAX_LISTED or len(fit_warnings) > _MAX_LISTED:
        st.caption("The Runs and Growth pages list all of them.")


def _show_excluded(table: pd.DataFrame) -> None:
    """Name the cells that somebody left out, with the reason given."""
    excluded = table[table["excluded"].astype(bool)]
    if len(excluded):
        st.warning(
            plain(f"{say_count(len(excluded), 'cell')} excluded by a user; no curve uses them."),
            icon=":material/block:",
        )
        for label, reason in zip(excluded["label"], excluded["excluded"], strict=True):
            st.text(f"{label}: {reason}")


def _show_flagged(opened: OpenStudy) -> None:
    """Name the abilities whose test items training data may give away."""
    flagged = load_flagged(opened.root, opened.snapshot_id, opened.study)
    if flagged.empty:
        return
    parts = [
        f"{name_ability(ability)} {int(n)} of {int(total)}"
        for ability, n, total in zip(
            flagged["ability"], flagged["n_flagged"], flagged["n_items"], strict=True
        )
    ]
    st.warning(
        plain(
            f"{say_count(int(flagged['n_flagged'].sum()), 'test item')} may be given away by "
            f"training data ({', '.join(parts)}); scores without them are in mart_flagged_score, "
            f"and python cli.py fit --study {opened.study} --without-flagged fits growth without "
            "them."
        ),
        icon=":material/visibility:",
    )
