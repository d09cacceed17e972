"""Live progress of running grids, from their heartbeats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from dashboard.charts.runs import say_progress, say_worker
from dashboard.components.text import plain
from dashboard.data import latest_snapshot_id, load_grids
from dashboard.state import follow_latest
from warehouse.records import Heartbeat
from warehouse.workspace import Workspace

# How often a page looks: while a grid runs, and to notice that one starts.
_ACTIVE_SECONDS = 3.0
_IDLE_SECONDS = 15.0


def show_live(show: Callable[[], None], root: Path) -> None:
    """Draw `show` now and again every few seconds, without running the rest of the page."""
    active = bool(load_grids(root).active)
    st.fragment(show, run_every=_ACTIVE_SECONDS if active else _IDLE_SECONDS)()


def show_progress(root: Path, snapshot_id: str | None, study: str | None) -> None:
    """Show grids that run, and offer results newer than the page's; nothing if there are none.

    Parameters
    ----------
    root : Path
        Workspace.
    snapshot_id : str or None
        Snapshot that the page shows; None before the first one.
    study : str or None
        Only grids of this study; None shows all.
    """
    was_active = bool(load_grids(root).active)

    def draw() -> None:
        grids = load_grids(root)
        for beat in grids.active:
            if study in (None, beat.study):
                _show_run(beat)
        for beat in grids.lost:
            if study in (None, beat.study):
                st.warning(
                    plain(
                        f"A grid of study {beat.study} stopped without an end (last sign of life "
                        f"{beat.updated_at:%Y-%m-%d %H:%M} UTC); the same run-grid command goes on "
                        "where it stopped."
                    )
                )
        newest = latest_snapshot_id(Workspace(root=root))
        if newest != snapshot_id and newest is not None:
            # Figures that change under the reader's eyes would be worse than a click.
            if snapshot_id is None or st.button(
                "Show new results", icon=":material/refresh:", on_click=follow_latest
            ):
                st.rerun()
        elif bool(grids.active) != was_active:
            st.rerun()

    show_live(draw, root)


def _show_run(beat: Heartbeat) -> None:
    """Show one grid's bar and what its workers do."""
    with st.container(border=True):
        share = beat.n_done / beat.n_total if beat.n_total else 0.0
        st.progress(min(1.0, share), text=plain(say_progress(beat)))
        st.text("\n".join(say_worker(worker) for worker in beat.workers))
