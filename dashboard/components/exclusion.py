"""Excluding a cell with a reason, through the command `exclude`; nothing is hidden or deleted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import streamlit as st

from dashboard.components.access import why_not_write
from dashboard.components.page import OpenStudy
from dashboard.components.text import plain

_COMMAND_LINE = Path(__file__).resolve().parents[2] / "cli.py"
_MAX_REASON = 500
_TIMEOUT_SECONDS = 300


def show_exclusion(opened: OpenStudy, cell_id: str, label: str, reason: str | None) -> None:
    """Show whether a cell is excluded and why, and let the reader change it where allowed.

    Parameters
    ----------
    opened : OpenStudy
        Study of the page.
    cell_id, label : str
        The cell.
    reason : str or None
        Why it is excluded; None where it is not.
    """
    if reason is not None:
        st.warning(plain(f"Excluded: {reason}. No curve uses this cell."), icon=":material/block:")
    refusal = why_not_write(opened.root)
    with st.expander("Take it back into the curves" if reason else "Exclude this cell"):
        if refusal is not None:
            st.text(refusal)
            return
        # Keyed by the cell, so that a reason typed for one is not offered for another.
        with st.form(f"exclude-{cell_id}", border=False):
            st.text(
                "Its results stay in the warehouse and in every table, flagged; curves leave it "
                "out. A new snapshot is published."
            )
            why = st.text_input("Reason", max_chars=_MAX_REASON)
            sure = st.form_submit_button("Take back" if reason else "Exclude", type="primary")
        if sure:
            _change(opened, cell_id, label, why, undo=reason is not None)


def _change(opened: OpenStudy, cell_id: str, label: str, why: str, *, undo: bool) -> None:
    """Run the command and show what it says."""
    if not why.strip() and not undo:
        st.error("An exclusion needs its reason.")
        return
    with st.spinner("Publishing a new snapshot…"):
        error = run_exclude(opened.root, cell_id, why, undo=undo)
    if error is not None:
        st.error(plain(error))
        return
    st.toast(plain(f"{label} is {'taken back' if undo else 'excluded'}."))
    st.rerun()


def run_exclude(root: Path, cell_id: str, reason: str, *, undo: bool) -> str | None:
    """Exclude a cell by the command, or take it back; return its error, None if it worked.

    Parameters
    ----------
    root : Path
        Workspace.
    cell_id : str
        From the warehouse.
    reason : str
        As typed; it is one argument of the command and never read by a shell.
    """
    command = [sys.executable, str(_COMMAND_LINE), "exclude", f"--workspace={root}"]
    # One argument each, so that a reason that begins like an option is still a reason.
    command += [f"--reason={reason}"] if reason.strip() else []
    command += ["--undo"] if undo else []
    try:
        done = subprocess.run(
            [*command, "--", cell_id],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "Publishing took too long; run python cli.py ingest in a terminal to see why."
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or ["The command exclude failed."]
    return lines[-1].removeprefix("Error: ")
