"""What every page begins with: the workspace, a snapshot of it and the chosen study."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.components.progress import show_progress
from dashboard.components.text import plain
from dashboard.data import (
    WORKSPACE_VARIABLE,
    find_workspace,
    latest_snapshot_id,
    list_snapshot_ids,
    load_grids,
    load_studies,
    workspace_root,
)
from dashboard.state import LATEST, SNAPSHOT, choose_one, fix_in_link
from warehouse.errors import GrowthpaceError
from warehouse.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class OpenStudy:
    """A study of a snapshot, as a page shows it.

    Attributes
    ----------
    root : Path
        Workspace.
    snapshot_id : str
        Snapshot that everything on the page is read from (`dashboard.data.open_snapshot`).
    is_latest : bool
        False where the reader, or a link, asked for an earlier snapshot.
    study : str
        The chosen study.
    notice : str or None
        What the study's grid says about its data.
    n_cells, n_scored : int
        Planned cells, and those with scores.
    """

    root: Path
    snapshot_id: str
    is_latest: bool
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
    """Return the study to show; None after an empty state that says what to do next was shown.

    Every page calls this first. It draws the choice of study and snapshot into the sidebar; both
    are part of the link. A link to a snapshot that is gone opens the latest one and says so.
    """
    workspace = find_workspace()
    if workspace is None:
        root = workspace_root()
        st.header("There are no experiments yet")
        st.text(f"No workspace at {root}.")
        _say_next(root, landed=False)
        return None
    notices = st.container()
    try:
        latest = latest_snapshot_id(workspace)
        if latest is None:
            _show_no_results(workspace.root, None)
            return None
        with st.sidebar:
            studies_place = st.container()
            snapshot_id = _choose_snapshot(workspace, latest, notices)
            st.caption(plain(f"Workspace {workspace.root}"))
        studies = load_studies(workspace.root, snapshot_id)
    except GrowthpaceError as error:
        st.error(plain(str(error)))
        return None
    if studies.empty:
        _show_no_results(workspace.root, snapshot_id)
        return None
    with studies_place:
        names = studies["study"].tolist()
        newest = studies.sort_values("last_planned_at", na_position="first")["study"].iloc[-1]
        study = choose_one("study", "Study", names, default=newest, notices=notices)
    row = studies.set_index("study").to_dict("index")[study]
    notice = row["notice"] if isinstance(row["notice"], str) else None
    if notice:
        st.info(plain(notice), icon=":material/science:")
    return OpenStudy(
        root=workspace.root,
        snapshot_id=snapshot_id,
        is_latest=snapshot_id == latest,
        study=study,
        notice=notice,
        n_cells=int(row["n_cells"]),
        n_scored=int(row["n_done"]),
    )


def show_scored_study(body: Callable[[OpenStudy], None]) -> None:
    """Show a page of a study that has scores, or what to do where there are none yet."""
    opened = open_study()
    if opened is None:
        return
    show_progress(opened.root, opened.snapshot_id, opened.study)
    if opened.n_scored:
        body(opened)
    else:
        show_no_scores(opened)


def _choose_snapshot(workspace: Workspace, latest: str, notices: DeltaGenerator) -> str:
    """Show the choice of snapshot; say where it is not the latest."""
    chosen = choose_one(
        SNAPSHOT,
        "Snapshot",
        [LATEST, *list_snapshot_ids(workspace)],
        notices=notices,
        help="Results as they were published; latest follows new ones.",
    )
    snapshot_id = latest if chosen == LATEST else chosen
    if chosen == LATEST:
        st.caption(plain(f"Latest: {latest}"))
    elif chosen != latest:
        notices.info(
            plain(
                f"These are the results of snapshot {chosen}; there are newer ones. The choice is "
                "in the sidebar."
            ),
            icon=":material/history:",
        )
    fix_in_link(snapshot=snapshot_id)
    return snapshot_id


def show_no_scores(opened: OpenStudy) -> None:
    """Say what to do where a study has no scored cell yet."""
    st.header("No cell of this study is scored yet")
    if not load_grids(opened.root).active:
        st.text("Start its grid, or look at the Runs page for cells that failed.")
        _say_next(opened.root)


def _show_no_results(root: Path, snapshot_id: str | None) -> None:
    """Say what to do where nothing was published."""
    st.header("There are no results yet")
    show_progress(root, snapshot_id, None)
    if load_grids(root).active:
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
