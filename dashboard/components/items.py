"""Parts of the Items page: which curve, which item, and everything about it."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import streamlit as st

from dashboard.charts.items import Kind, read_messages, select_items, volume_columns
from dashboard.components.filters import REFERENCE_SOURCE
from dashboard.components.page import OpenStudy
from dashboard.components.text import plain
from dashboard.data import load_ability_scores
from dashboard.item_data import load_answers, load_choices, load_votes
from dashboard.state import choose_one, keep_in_link

_ITEM = "item"
_LISTED = "items_listed"
_MAX_SEARCH = 100
_ANSWERS = {
    "label": "Run",
    "metric": "Metric",
    "score": "Score",
    "parsed": "Read as an answer",
    "response": "Reply",
    "missing_reason": "Missing because",
    "scoring_rule": "Scoring rule",
}
_CHOICES = {"choice": "Candidate", "log_likelihood": "Log-likelihood", "n_tokens": "Tokens"}


class ChosenCurve(NamedTuple):
    """A curve by the columns that identify it within a study."""

    ability: str
    base_model: str
    source: str
    metric: str


def choose_curve(opened: OpenStudy) -> ChosenCurve:
    """Show the choices that lead to one curve."""
    scores = load_ability_scores(opened.root, opened.snapshot_id, opened.study)
    trained = scores[scores["data_source"].notna()]
    boxes = st.columns(4)
    with boxes[0]:
        ability = choose_one("ability", "Ability", sorted(scores["ability"].unique()))
    with boxes[1]:
        sizes = scores.groupby("base_model")["n_params"].max().fillna(0)
        models = sorted(sizes.index, key=lambda name: (-sizes[name], name))
        model = choose_one("model", "Base model", models)
    with boxes[2]:
        sources = sorted(
            trained["data_source"].unique(), key=lambda name: (name != REFERENCE_SOURCE, name)
        )
        source = choose_one("source", "Data source", sources or ["none"])
    with boxes[3]:
        metrics = sorted(scores.loc[scores["ability"] == ability, "metric"].unique())
        metric = choose_one("metric", "Metric", metrics)
    return ChosenCurve(ability=ability, base_model=model, source=source, metric=metric)


def choose_item(table: pd.DataFrame) -> str | None:
    """List items; return the chosen one, by a click on its row or by its id."""
    left, right = st.columns([2, 3])
    with left:
        kind = Kind(choose_one("items", "Show", [str(kind) for kind in Kind]))
    with right:
        keep_in_link("contains")
        contains = st.text_input(
            "Containing",
            key="contains",
            bind="query-params",
            max_chars=_MAX_SEARCH,
            placeholder="words of the prompt or target",
        )
    found = select_items(table, kind, contains or "")
    st.subheader(f"{len(found):,} of {len(table):,} items", anchor=False)
    if found.empty:
        st.text("No item is of this kind and holds this text.")
        return None
    ids = found["item_id"].tolist()
    scores = volume_columns(table)
    st.session_state[_LISTED] = ids
    st.dataframe(
        found[["prompt", "target", *scores, "item_id"]],
        hide_index=True,
        height=300,
        key="items_table",
        on_select=_take_row,
        selection_mode="single-row",
        column_config={
            "prompt": st.column_config.TextColumn("Prompt", width="large"),
            "target": st.column_config.TextColumn("Target"),
            "item_id": st.column_config.TextColumn("Item"),
            **{name: st.column_config.NumberColumn(name, format="%.2f") for name in scores},
        },
    )
    return choose_one(_ITEM, "Item", ids)


def _take_row() -> None:
    """Choose the item whose row was clicked."""
    rows = st.session_state["items_table"].selection.rows
    if rows:
        st.session_state[_ITEM] = st.session_state[_LISTED][rows[0]]


def show_item(opened: OpenStudy, curve: ChosenCurve, text: pd.Series) -> None:
    """Show an item's prompt and target, what runs made of it, and the votes on their answers.

    Texts of people and models stand in code blocks and tables, which read no markup.
    """
    item_id = str(text.name)
    turns = read_messages(text["prompt"])
    if not turns:
        st.text("The item's text has not landed: its scores were imported without it.")
    for role, content in turns:
        st.caption(plain(role))
        st.code(content, language=None, wrap_lines=True)
    if isinstance(text["target"], str):
        st.caption("target")
        st.code(text["target"], language=None, wrap_lines=True)
    answers = load_answers(opened.root, opened.snapshot_id, opened.study, curve.ability, item_id)
    if answers.empty:
        return
    st.subheader("Answers", anchor=False)
    st.dataframe(answers[list(_ANSWERS)], hide_index=True, placeholder="—", column_config=_ANSWERS)
    _show_answer(opened, answers, item_id)
    votes = load_votes(opened.root, opened.snapshot_id, opened.study, item_id)
    if len(votes):
        st.subheader("Votes", anchor=False)
        st.dataframe(votes, hide_index=True, placeholder="—")


def _show_answer(opened: OpenStudy, answers: pd.DataFrame, item_id: str) -> None:
    """Show one run's reply in full, and how likely it found each candidate."""
    by_label = answers.drop_duplicates("label").set_index("label")
    label = choose_one("answer", "Answer of", by_label.index.tolist())
    answer = by_label.loc[label]
    if isinstance(answer["response"], str):
        st.code(answer["response"], language=None, wrap_lines=True)
    else:
        reason = answer["missing_reason"]
        st.text(f"No reply is kept: {reason}." if isinstance(reason, str) else "No reply is kept.")
    choices = load_choices(opened.root, opened.snapshot_id, str(answer["cell_id"]), item_id)
    if len(choices):
        st.dataframe(choices[list(_CHOICES)], hide_index=True, column_config=_CHOICES)
