"""What the Judge page reads: votes of a study, summarised and one by one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pandas as pd
import streamlit as st

from dashboard.analysis.judge import Votes
from dashboard.analysis.judge.summary import JudgeSummary, summarise_votes
from dashboard.data import FIT_SETTINGS, open_snapshot
from dashboard.judge_evidence import load_judge_votes
from warehouse import queries
from warehouse.errors import InputError


@st.cache_resource(max_entries=4, show_spinner="Reading votes…")
def load_study_votes(root: Path, snapshot_id: str, study: str) -> Votes | None:
    """Read all votes of a study; None without any."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        try:
            votes = load_judge_votes(conn, studies=[study]).get(study)
        except InputError:
            # No vote of this study has landed.
            return None
    return votes


@st.cache_resource(max_entries=8, show_spinner="Summarising votes (once per snapshot)…")
def load_summary(
    root: Path, snapshot_id: str, study: str, abilities: tuple[str, ...], reference: str | None
) -> JudgeSummary | None:
    """Summarise the votes of a study as `judge summary` does; None without any.

    Parameters
    ----------
    abilities : tuple of str
        Abilities whose items count; empty for all.
    reference : str or None
        Model that the others are measured against; None leaves it to the votes.
    """
    with closing(open_snapshot(root, snapshot_id)) as conn:
        try:
            votes = load_judge_votes(conn, studies=[study], abilities=abilities or None)[study]
        except (InputError, KeyError):
            return None
    return summarise_votes(
        votes,
        reference=reference if reference in votes.models else None,
        level=FIT_SETTINGS.level,
        n_replicates=FIT_SETTINGS.n_replicates,
        seed=FIT_SETTINGS.seed,
    )


@st.cache_resource(max_entries=4, show_spinner="Reading votes…")
def load_vote_rows(root: Path, snapshot_id: str, study: str) -> pd.DataFrame:
    """Read the votes of a study with what judges wrote, in order of items."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        return queries.load_vote_rows(conn, study=study)
