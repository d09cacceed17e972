"""What the Items page reads: scores of one curve by item, texts, answers and votes."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.data import open_snapshot
from warehouse import queries
from warehouse.item_matrix import load_item_matrix

_DESIGNS = ("all_abilities", "imported")
_BASE_DESIGN = "base"


@dataclass(frozen=True, kw_only=True)
class CurveItems:
    """Item scores behind one growth curve.

    Attributes
    ----------
    volume : ndarray, shape (n_runs,)
        Training examples of each run (own ones, or all where it has none of its own); 0 for the
        base model; in order.
    seed : tuple of (int or None), length n_runs
    scores : ndarray, shape (n_runs, n_items)
        NaN where a run has no score of an item.
    texts : DataFrame, n_items rows
        item_id, prompt, target, choices; None where a text has not landed.
    """

    volume: np.ndarray
    seed: tuple[int | None, ...]
    scores: np.ndarray
    texts: pd.DataFrame


@st.cache_resource(max_entries=8, show_spinner="Reading items…")
def load_curve_items(
    root: Path,
    snapshot_id: str,
    study: str,
    ability: str,
    base_model: str,
    source: str,
    metric: str,
) -> CurveItems | None:
    """Read the items of one curve; None where its scores came without items."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        runs = queries.load_ability_scores(
            conn,
            study=study,
            ability=ability,
            base_model=base_model,
            data_source=source,
            metric=metric,
        )
        matrix = load_item_matrix(
            conn,
            ability=ability,
            metric=metric,
            study=[study],
            base_model=[base_model],
            data_source=[source],
        )
        texts = queries.load_item_texts(conn, ability=ability)
    runs = runs[runs["design"].isin([_BASE_DESIGN, *_DESIGNS])]
    runs = runs[runs["excluded_reason"].isna()]
    own = runs["n_examples_own"].where(runs["n_examples_own"] > 0, runs["n_examples_total"])
    runs = runs.assign(volume=own.fillna(0).astype(float))
    runs = runs.sort_values(["volume", "seed", "cell_id"], kind="stable")
    selected = matrix.select(runs["cell_id"].tolist())
    if selected is None:
        return None
    scores, items = selected
    return CurveItems(
        volume=runs["volume"].to_numpy(float),
        seed=tuple(None if pd.isna(seed) else int(seed) for seed in runs["seed"]),
        scores=scores,
        texts=texts.set_index("item_id").reindex(list(items)).reset_index(names="item_id"),
    )


@st.cache_resource(max_entries=32, show_spinner=False)
def load_answers(
    root: Path, snapshot_id: str, study: str, ability: str, item_id: str
) -> pd.DataFrame:
    """Read what every run of a study made of one item."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        return queries.load_item_answers(conn, study=study, ability=ability, item_id=item_id)


@st.cache_resource(max_entries=32, show_spinner=False)
def load_choices(root: Path, snapshot_id: str, cell_id: str, item_id: str) -> pd.DataFrame:
    """Read how likely a run found each candidate of one item."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        return queries.load_item_choices(conn, cell_id=cell_id, item_id=item_id)


@st.cache_resource(max_entries=32, show_spinner=False)
def load_votes(root: Path, snapshot_id: str, study: str, item_id: str) -> pd.DataFrame:
    """Read how judges and people voted on answers to one item."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        return queries.load_item_votes(conn, study=study, item_id=item_id)


@st.cache_resource(max_entries=8, show_spinner=False)
def load_judged_items(root: Path, snapshot_id: str, study: str) -> frozenset[str]:
    """Return the items on which votes of one pair of answers differ."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        return frozenset(queries.load_disputed_items(conn, study=study)["item_id"])
