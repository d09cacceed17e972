"""What every page begins with: the workspace, its latest snapshot and the chosen study."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from dashboard.components.progress import show_progress
from dashboard.components.text import plain
from dashboard.data import (
    WORKSPACE_VARIABLE,
    find_workspace,
    latest_snapshot_id,
    load_status,
    load_studies,
    workspace_root,
)
from dashboard.state import choose_one
from warehouse.errors import GrowthpaceError


@dataclass(frozen=True, kw_only=True)
class OpenStudy:
    """A study of a snapshot, as a page shows it."""

    root: Path
    snapshot_id: str
    study: str
    notice: str | None
    n_cells: int
    n_scored: int

    @property
    def source_note(self) -> str:
        """What figures name as their source."""
        notice = f" {self.notice}" if self.notice else ""
        return f"Source: study {self.study}, growthpace snapshot {self.snapshot_id}.{notice}"


def open_study() -> OpenStudy | None:
    """Return the study to show; None after an empty state that says what to do next was shown."""
    workspace = find_workspace()
    if workspace is None:
        root = workspace_root()
        st.header("There are no experiments yet")
        st.text(f"No workspace at {root}.")
        _say_next(root, landed=False)
        return None
    try:
        snapshot_id = latest_snapshot_id(workspace)
        studies = None if snapshot_id is None else load_studies(workspace.root, snapshot_id)
    except GrowthpaceError as error:
        st.error(plain(str(error)))
        return None
    if snapshot_id is None or studies is None or studies.empty:
        _show_no_results(workspace.root, snapshot_id)
        return None
    with st.sidebar:
        names = studies["study"].tolist()
        newest = studies.sort_values("last_planned_at")["study"].iloc[-1]
        study = choose_one("study", "Study", names, default=newest)
        st.caption(plain(f"Workspace {workspace.root}"))
        st.caption(plain(f"Snapshot {snapshot_id}"))
    row = studies.set_index("study").to_dict("index")[study]
    notice = row["notice"] if isinstance(row["notice"], str) else None
    if notice:
        st.info(plain(notice), icon=":material/science:")
    return OpenStudy(
        root=workspace.root,
        snapshot_id=snapshot_id,
        study=study,
        notice=notice,
        n_cells=int(row["n_cells"]),
        n_scored=int(row["n_done"]),
    )


def show_no_scores(opened: OpenStudy) -> None:
    """Say what to do where a study has no scored cell yet."""
    st.header("No cell of this study is scored yet")
    if not load_status(opened.root).active_runs:
        st.text("Start its grid, or look at the Runs page for cells that failed.")
        _say_next(opened.root)


def _show_no_results(root: Path, snapshot_id: str | None) -> None:
    """Say what to do where nothing was published."""
    st.header("There are no results yet")
    show_progress(root, snapshot_id, None)
    if load_status(root).active_runs:
        st.text("The first results appear here as soon as the first cells are scored.")
    else:
        st.text(f"The workspace {root} has no published results.")
        _say_next(root)


def _say_next(root: Path, *, landed: bool = True) -> None:
    """Show the commands that lead to results; `landed`: there may be some to publish."""
    folder = shlex.quote(str(root))
    st.text("Run the demonstration (minutes, no GPU needed), then reload this page:")
    st.code(f"python cli.py run-grid quickstart --workspace {folder}", language="bash")
    if landed:
        st.text("Results that have landed but do not show are published by:")
        st.code(f"python cli.py ingest --workspace {folder}", language="bash")
    st.text(f"To look at another workspace, set {WORKSPACE_VARIABLE}, or start the app with:")
    st.code("python cli.py dashboard --workspace FOLDER", language="bash")
