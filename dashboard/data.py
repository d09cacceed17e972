"""What the pages read: cached by snapshot, which never changes once published.

Caches are bounded, and what they hold is shared between sessions and must not be changed.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
import streamlit as st

from dashboard.analysis import FitSettings, StudyFit
from dashboard.measure_evidence import SCORE
from warehouse.connection import find_snapshot, latest_snapshot, open_latest
from warehouse.errors import InputError, WorkError
from warehouse.queries import load_ability_scores as read_ability_scores
from warehouse.queries import load_cells as read_cells
from warehouse.queries import load_flagged as read_flagged
from warehouse.queries import load_studies as read_studies
from warehouse.queries import load_training_log as read_training_log
from warehouse.records import Heartbeat
from warehouse.snapshots import list_snapshots
from warehouse.status import load_heartbeats, split_heartbeats
from warehouse.workspace import DEFAULT_WORKSPACE, Workspace, open_workspace

if TYPE_CHECKING:
    import duckdb

WORKSPACE_VARIABLE = "GROWTHPACE_WORKSPACE"

# The same as the command `fit` uses when nothing else is asked, so that both show one result.
FIT_SETTINGS = FitSettings()

# Progress is read by every open page every few seconds; they share one reading.
_STATUS_SECONDS = 2.0


def workspace_root() -> Path:
    """Return the workspace's folder as the environment names it."""
    return Path(os.environ.get(WORKSPACE_VARIABLE) or DEFAULT_WORKSPACE).resolve()


def find_workspace() -> Workspace | None:
    """Return the workspace; None if there is no such folder."""
    try:
        return open_workspace(workspace_root())
    except InputError:
        return None


def list_snapshot_ids(workspace: Workspace) -> list[str]:
    """Return the ids of all published snapshots, the newest first."""
    return [snapshot.id for snapshot in list_snapshots(workspace)]


def latest_snapshot_id(workspace: Workspace) -> str | None:
    """Return the id of the latest snapshot; None if nothing was published yet.

    Reads one small file, so it is asked on every run of a page and needs no cache.
    """
    try:
        return latest_snapshot(workspace).id
    except InputError:
        return None


class Grids(NamedTuple):
    """Runs of `run-grid`: those that give signs of life, and those that stopped without an end."""

    active: tuple[Heartbeat, ...]
    lost: tuple[Heartbeat, ...]


@st.cache_resource(ttl=_STATUS_SECONDS, max_entries=4, show_spinner=False)
def load_grids(root: Path) -> Grids:
    """Read what the grids of a workspace do, from heartbeats alone: landing files are many."""
    return Grids(*split_heartbeats(load_heartbeats(Workspace(root=root))))


@st.cache_resource(max_entries=8, show_spinner=False)
def load_studies(root: Path, snapshot_id: str) -> pd.DataFrame:
    """Read one row a study."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        return read_studies(conn)


@st.cache_resource(max_entries=8, show_spinner=False)
def load_cells(root: Path, snapshot_id: str, study: str) -> pd.DataFrame:
    """Read one row a cell of a study."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        return read_cells(conn, study=study)


@st.cache_resource(max_entries=8, show_spinner=False)
def load_ability_scores(root: Path, snapshot_id: str, study: str) -> pd.DataFrame:
    """Read one row a cell, ability and metric of a study."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        return read_ability_scores(conn, study=study)


@st.cache_resource(max_entries=8, show_spinner=False)
def load_flagged(root: Path, snapshot_id: str, study: str) -> pd.DataFrame:
    """Count test items that training data may give away: one row an ability, `n_flagged`."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        try:
            return read_flagged(conn, study=study)
        except WorkError:
            # A snapshot from before such items were flagged.
            return pd.DataFrame({"ability": [], "n_flagged": [], "n_items": []})


@st.cache_resource(max_entries=32, show_spinner=False)
def load_training_log(root: Path, snapshot_id: str, cell_id: str) -> pd.DataFrame:
    """Read one row a training step of a cell."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        return read_training_log(conn, cell_id=cell_id)


def open_snapshot(root: Path, snapshot_id: str) -> duckdb.DuckDBPyConnection:
    """Open a snapshot read-only by its id; the caller closes it.

    Loaders call this inside a function that is cached by (root, snapshot id, ...), as those here.

    Raises
    ------
    WorkError
        If the snapshot was cleared away since it was looked up.
    """
    snapshot = find_snapshot(Workspace(root=root), snapshot_id)
    if snapshot is None:
        raise WorkError(f"The snapshot {snapshot_id} was replaced by a newer one; reload the page.")
    return open_latest(snapshot.path)


@st.cache_resource(max_entries=16, show_spinner="Fitting growth curves (done once per snapshot)…")
def load_fit(
    root: Path,
    snapshot_id: str,
    study: str,
    metric: str | None = None,
    x: str = "own",
    measure: str = SCORE,
    predict: tuple[float, ...] = (),
) -> StudyFit:
    """Return the fit of all curves of a study, from the fit store where it is known.

    Parameters
    ----------
    root : Path
        Workspace.
    snapshot_id : str
        Snapshot to fit.
    study : str
        Study to fit; its curves share their run noise and their tests.
    metric : str, optional
        Metric to fit; each ability's primary one if not given.
    x : str
        What volumes count, one of `dashboard.evidence.X_KINDS`.
    measure : str
        One of `dashboard.measure_evidence.MEASURES`.
    predict : tuple of float
        Volumes at which the fit also predicts scores.
    """
    # SciPy and the fitting engine are loaded only by a page that needs a fit.
    from dashboard.evidence import load_curves, load_items
    from dashboard.fit_store import fit_or_load
    from dashboard.measure_evidence import with_measure

    with closing(open_snapshot(root, snapshot_id)) as conn:
        metrics = None if metric is None else [metric]
        curves = load_curves(conn, studies=[study], metrics=metrics, x=x, with_items=False)
        return fit_or_load(
            Workspace(root=root),
            with_measure(conn, curves, measure),
            replace(FIT_SETTINGS, predict=predict),
            load_items=(lambda needed: load_items(conn, needed)) if measure == SCORE else None,
        )
