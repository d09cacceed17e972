"""Parts of the Judge page: which votes count, and the votes to read."""

from __future__ import annotations

import shlex

import streamlit as st

from dashboard.charts.judge import VoteKind, select_votes
from dashboard.components.page import OpenStudy
from dashboard.components.text import plain
from dashboard.judge_data import load_study_votes, load_vote_rows
from dashboard.state import choose_many, choose_one

_WHOEVER = "as the votes have it"
_MAX_LISTED = 2_000


def show_no_votes(opened: OpenStudy) -> None:
    """Say how votes come here."""
    folder = shlex.quote(str(opened.root))
    st.header("No judge has voted on this study yet")
    st.text("Have a judge compare or rate the replies of a grid with a judge: block:")
    st.code(f"python cli.py judge run GRID --workspace {folder}", language="bash")
    st.text("Or bring votes, of judges or of people, from a file:")
    st.code(f"python cli.py import judgments VOTES.csv --workspace {folder}", language="bash")


def choose_votes(opened: OpenStudy) -> tuple[tuple[str, ...], str | None]:
    """Show the choices of abilities and reference; return both."""
    rows = load_vote_rows(opened.root, opened.snapshot_id, opened.study)
    votes = load_study_votes(opened.root, opened.snapshot_id, opened.study)
    left, right = st.columns(2)
    with left:
        known = sorted(rows["ability"].dropna().unique())
        chosen = choose_many("abilities", "Abilities (none: all)", known)
    with right:
        models = () if votes is None else votes.models
        against = choose_one("against", "Measured against", [_WHOEVER, *models])
    return tuple(chosen), None if against == _WHOEVER else against


def show_votes(opened: OpenStudy) -> None:
    """List votes; show one in full. Judges' texts stand in tables and code blocks only."""
    rows = load_vote_rows(opened.root, opened.snapshot_id, opened.study)
    st.subheader("Votes", anchor=False)
    kind = VoteKind(choose_one("votes", "Show", [str(kind) for kind in VoteKind]))
    found = select_votes(rows, kind)
    listed = found.head(_MAX_LISTED)
    more = f", the first {_MAX_LISTED:,} shown" if len(found) > _MAX_LISTED else ""
    st.caption(f"{len(found):,} of {len(rows):,} votes{more}. Choose a row to read it in full.")
    if listed.empty:
        return
    event = st.dataframe(
        listed.dropna(axis=1, how="all"),
        hide_index=True,
        height=320,
        column_config={name: name.replace("_", " ") for name in listed},
        key=f"votes_{kind.name}",
        on_select="rerun",
        selection_mode="single-row",
        placeholder="—",
    )
    chosen = event.selection.rows
    if chosen:
        vote = listed.iloc[chosen[0]]
        st.caption(plain(f"{vote['voter']} on item {vote['item_id']}"))
        text = vote["raw_text"] if isinstance(vote["raw_text"], str) else vote["failed_reason"]
        st.code(
            text if isinstance(text, str) else "no text is kept", language=None, wrap_lines=True
        )
