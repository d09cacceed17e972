"""The parts of the transfer page: its filters, the clicked cell, effective data, no such runs."""

from __future__ import annotations

import shlex

import pandas as pd
import streamlit as st

from dashboard.analysis.transfer.results import TransferCell
from dashboard.charts import transfer as charts
from dashboard.charts import transfer_figures as figures
from dashboard.charts.transfer import MODES, Comparison
from dashboard.components.comparisons import show_table
from dashboard.components.figures import show_figure
from dashboard.components.filters import choose_metric
from dashboard.components.keep import keep
from dashboard.components.layout import is_narrow
from dashboard.components.page import OpenStudy
from dashboard.components.text import plain
from dashboard.data import FIT_SETTINGS, load_ability_scores
from dashboard.page_data import TransferResults, load_transfer
from dashboard.state import choose_one

MATRIX = "transfer"
"""Name of the matrix's figure."""

_SOURCE, _TARGET = "source_ability", "target_ability"
_HANDLED = "transfer_click"
_DESIGNS = """\
designs:
  - {kind: all_abilities}
  - {kind: single_ability}
  - {kind: leave_one_out}
"""


def choose_transfer(opened: OpenStudy) -> tuple[TransferResults, Comparison, str] | None:
    """Show the choice of base model, comparison and kind of effect.

    Returns
    -------
    tuple or None
        None after an empty state that says which runs would tell was shown.
    """
    metric = choose_metric(opened)
    left, middle, right = st.columns([2, 5, 2])
    scores = load_ability_scores(opened.root, opened.snapshot_id, opened.study)
    with left:
        model = choose_one("model", "Base model", models_by_size(scores))
    results = load_transfer(opened.root, opened.snapshot_id, opened.study, model, metric)
    if results is None:
        st.header(plain(f"No run of {model} is scored on this metric"))
        return None
    comparisons = {one.name: one for one in keep(charts.list_comparisons, results.transfer)}
    if not comparisons:
        _show_no_transfer(opened, results)
        return None
    with middle:
        chosen = choose_one("comparison", "Comparison", list(comparisons))
    with right:
        mode = choose_one("effect", "Effect", MODES)
    return results, comparisons[chosen], mode


def choose_cell(comparison: Comparison) -> TransferCell:
    """Show the choice of a cell, which a click on the matrix sets too; return it."""
    by_pair = {(cell.source_ability, cell.target_ability): cell for cell in comparison.cells}
    _take_click(by_pair)
    first = charts.strongest_cell(comparison)
    left, right = st.columns(2)
    sources = list(dict.fromkeys(source for source, _ in by_pair))
    targets = list(dict.fromkeys(target for _, target in by_pair))
    with left:
        source = choose_one(_SOURCE, "Training data of", sources, default=first.source_ability)
    with right:
        target = choose_one(_TARGET, "Scored on", targets, default=first.target_ability)
    return by_pair.get((source, target), first)


def _take_click(known: dict[tuple[str, str], TransferCell]) -> None:
    """Take over a cell that was clicked since the last run of the page."""
    state = st.session_state.get(f"figure-{MATRIX}")
    points = state["selection"]["points"] if state else []
    clicked = tuple(points[0].get("customdata", ())[:2]) if points else None
    if clicked != st.session_state.get(_HANDLED):
        st.session_state[_HANDLED] = clicked
        # The browser may say anything: only cells of this matrix count.
        if clicked in known:
            st.session_state[_SOURCE], st.session_state[_TARGET] = clicked


def show_effective(opened: OpenStudy, results: TransferResults) -> None:
    """Show worths of other abilities' and other sources' examples, and how exams follow."""
    effective = results.effective
    st.header("What an example of other data is worth")
    st.markdown("\n".join(f"- {plain(line)}" for line in effective.reading))
    if effective.tau_identified:
        title = charts.tau_title(effective, FIT_SETTINGS.fdr)
        show_figure(
            keep(
                figures.tau_figure,
                effective,
                title=title,
                note=f"{charts.TAU_NOTE}\n{opened.source_note}",
                narrow=is_narrow(),
            ),
            name="effective-data",
            alt=title,
            table=lambda: figures.tau_table(effective),
        )
    for sentence in charts.unidentified(effective):
        st.caption(plain(sentence))
    show_table(figures.rho_table(effective))
    mirrored = charts.mirror_sentence(results.transfer)
    if mirrored is not None:
        st.subheader("Out-of-domain exams mirror the trained abilities", anchor=False)
        st.markdown(plain(mirrored))
        show_table(figures.mirrors_table(results.transfer))


def _show_no_transfer(opened: OpenStudy, results: TransferResults) -> None:
    """Say which runs would tell transfer, and what is known without them."""
    folder = shlex.quote(str(opened.root))
    st.header("Which ability helps which can't be told from these runs")
    st.text(
        "All runs train the abilities together, so what one of them gives another does not show. "
        "It takes runs of single abilities, or of all but one. In the grid's file:"
    )
    st.code(_DESIGNS, language="yaml")
    st.text("The grid transfer has them, for a small model:")
    st.code(f"python cli.py run-grid transfer --workspace {folder}", language="bash")
    st.text("Runs that are there already are not repeated. What the analysis says:")
    st.caption(plain(results.transfer.reason or "nothing to compare"))
    show_effective(opened, results)


def models_by_size(scores: pd.DataFrame) -> list[str]:
    """Return base models, the largest first."""
    sizes = scores.groupby("base_model")["n_params"].max().fillna(0)
    return sorted(map(str, sizes.index), key=lambda name: (-int(sizes[name]), name))
