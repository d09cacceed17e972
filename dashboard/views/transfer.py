"""Transfer: whose data helps whom, and what an example of another ability is worth."""

from __future__ import annotations

import streamlit as st

from dashboard.charts import transfer as charts
from dashboard.charts import transfer_figures as figures
from dashboard.components.comparisons import show_how, show_table
from dashboard.components.figures import show_figure
from dashboard.components.keep import keep
from dashboard.components.layout import is_narrow
from dashboard.components.on_demand import show_on_demand
from dashboard.components.page import OpenStudy, show_scored_study
from dashboard.components.text import plain
from dashboard.components.transfer import MATRIX, choose_cell, choose_transfer, show_effective


def show() -> None:
    """Lay out the page."""
    show_scored_study(_show_transfer)


def _show_transfer(opened: OpenStudy) -> None:
    """Show the matrix, the evidence behind a cell, effective data and how exams follow."""
    found = choose_transfer(opened)
    if found is None:
        return
    results, comparison, mode = found
    headline = charts.transfer_headline(comparison)
    st.header(plain(headline))
    matrix_place = st.container()
    st.subheader("The runs behind a cell", anchor=False)
    cell = choose_cell(comparison)
    with matrix_place:
        show_figure(
            keep(
                figures.transfer_figure,
                comparison,
                mode=mode,
                title=charts.matrix_title(comparison, mode),
                note=f"{charts.MATRIX_NOTE}\n{opened.source_note}",
                selected=(cell.source_ability, cell.target_ability),
                narrow=is_narrow(),
            ),
            name=MATRIX,
            alt=headline,
            table=lambda: figures.matrix_table(comparison),
            selectable=True,
        )
        show_on_demand("The matrix as a table", lambda: _show_matrix(comparison))
    evidence = keep(charts.find_evidence, results.table, cell)
    st.markdown("\n".join(f"- {plain(text)}" for text in charts.cell_sentences(cell)))
    if evidence is not None:
        title = charts.evidence_title(evidence)
        show_figure(
            keep(
                figures.evidence_figure,
                evidence,
                title=title,
                note=opened.source_note,
                narrow=is_narrow(),
            ),
            name="transfer-evidence",
            alt=title,
            table=lambda: figures.runs_table(evidence),
        )
        show_on_demand(
            "Every run behind this cell", lambda: show_table(figures.runs_table(evidence))
        )
    show_effective(opened, results)
    show_how(opened, charts.how_transfer(comparison, results.effective))


def _show_matrix(comparison: charts.Comparison) -> None:
    """Show what the matrix says and its cells."""
    st.markdown(plain(comparison.reading))
    show_table(figures.matrix_table(comparison))
