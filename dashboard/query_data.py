"""What the SQL page reads: answers to typed queries, and the dictionary of the warehouse."""

from __future__ import annotations

import io
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import streamlit as st

from dashboard.data import open_snapshot
from warehouse.connection import find_snapshot
from warehouse.console import ask
from warehouse.errors import WorkError
from warehouse.queries import load_relations
from warehouse.workspace import Workspace

ROW_LIMIT = 10_000
TIME_LIMIT_SECONDS = 30.0

_MAX_AT_ONCE = 3
"""Queries that run at once on this server, whoever asks; each has a process of its own."""

_WAIT_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class QueryAnswer:
    """Rows of a query; `truncated` if it had more than `ROW_LIMIT`."""

    rows: pd.DataFrame
    truncated: bool


@st.cache_resource(max_entries=16, show_spinner="Asking the warehouse…")
def ask_warehouse(root: Path, snapshot_id: str, query: str) -> QueryAnswer:
    """Run one SELECT on a snapshot, in a process of its own, within limits of rows and time.

    Raises
    ------
    InputError
        If it isn't exactly one SELECT, or names what doesn't exist or what it may not use.
    WorkError
        If it takes too long or too much memory, fails on a value, or too many others run.
    """
    workspace = Workspace(root=root)
    snapshot = find_snapshot(workspace, snapshot_id)
    if snapshot is None:
        raise WorkError(f"The snapshot {snapshot_id} was replaced by a newer one; reload the page.")
    running = _running()
    if not running.acquire(timeout=_WAIT_SECONDS):
        raise WorkError(f"{_MAX_AT_ONCE} other queries are still running; try again in a minute.")
    try:
        answer = ask(
            workspace,
            query,
            table_format="parquet",
            row_limit=ROW_LIMIT,
            time_limit_seconds=TIME_LIMIT_SECONDS,
            snapshot=snapshot.path,
        )
    finally:
        running.release()
    rows = pq.read_table(io.BytesIO(answer.content)).to_pandas()
    return QueryAnswer(rows=rows, truncated=answer.truncated)


@st.cache_resource(max_entries=4, show_spinner=False)
def load_dictionary(root: Path, snapshot_id: str) -> pd.DataFrame:
    """Read every column of the warehouse with its type and meaning, what people ask for first."""
    with closing(open_snapshot(root, snapshot_id)) as conn:
        return load_relations(conn)


@st.cache_resource(show_spinner=False)
def _running() -> threading.Semaphore:
    return threading.Semaphore(_MAX_AT_ONCE)
