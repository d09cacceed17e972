"""Items: prompts, replies, scores and votes, one by one."""

from __future__ import annotations

import streamlit as st

from dashboard.charts.items import items_figure, items_table, items_title, say_items
from dashboard.components.figures import show_figure
from dashboard.components.items import choose_curve, choose_item, show_item
from dashboard.components.page import OpenStudy, show_scored_study
from dashboard.components.text import plain
from dashboard.item_data import load_curve_items, load_judged_items


def show() -> None:
    """Lay out the page."""
    show_scored_study(_show_items)


def _show_items(opened: OpenStudy) -> None:
    """Show one curve's items, then one item."""
    curve = choose_curve(opened)
    items = load_curve_items(opened.root, opened.snapshot_id, opened.study, *curve)
    if items is None:
        st.header("These scores came without items")
        st.text(
            "The study brought means only, or no run of this choice is scored. Choose another "
            "ability, base model, source or metric, or import item-level results."
        )
        return
    disputed = load_judged_items(opened.root, opened.snapshot_id, opened.study)
    table = items_table(items.volume, items.scores, items.texts, disputed)
    said = say_items(table, curve.ability)
    st.header(plain(said))
    figure = items_figure(
        table,
        title=items_title(table, curve.ability),
        note=opened.source_note,
        of=f"{curve.base_model} on {curve.source} data",
    )
    show_figure(figure, name="items", alt=said, table=lambda: table)
    item_id = choose_item(table)
    if item_id is not None:
        show_item(opened, curve, items.texts.set_index("item_id").loc[item_id])
