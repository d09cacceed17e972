"""Has a query that a person typed run in a process of its own, which can always be stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import InputError, WorkError
from warehouse.workspace import Workspace

_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Rows of a query as text; `truncated` if it had more than the limit."""

    text: str
    truncated: bool


def ask(
    workspace: Workspace,
    query: str,
    *,
    table_format: str,
    row_limit: int,
    time_limit_seconds: float,
) -> Answer:
    """Run one SELECT on the latest snapshot.

    Parameters
    ----------
    workspace : Workspace
        Whose latest snapshot to ask.
    query : str
        One SELECT (also WITH, FROM, VALUES, DESCRIBE, SHOW and SUMMARIZE).
    table_format : str
        `table`, `csv` or `json`.
    row_limit : int, count >= 1
        Return at most so many rows.
    time_limit_seconds : float, seconds > 0
        Stop the query after this time.

    Raises
    ------
    InputError
        If nothing was published yet, it isn't exactly one SELECT, or names what doesn't exist.
    WorkError
        If it takes too long or too much memory, or fails on a value.
    """
    request = {
        "workspace": str(workspace.root),
        "query": query,
        "table_format": table_format,
        "row_limit": row_limit,
        "time_limit_seconds": time_limit_seconds,
    }
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    process = subprocess.run(
        [sys.executable, "-m", "warehouse.ad_hoc"],
        input=json.dumps(request),
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if process.returncode == -signal.SIGALRM:
        raise WorkError(
            f"The query took longer than {time_limit_seconds:g} s and was stopped; narrow it, or "
            "allow more with --time-limit."
        )
    if process.returncode:
        last = process.stderr.strip().splitlines()[-1:] or ["no message"]
        raise WorkError(
            f"The query ended its process (code {process.returncode}, {last[0]}), perhaps for want "
            "of memory; narrow it."
        )
    outcome = json.loads(process.stderr.splitlines()[-1])
    if "error" in outcome:
        refused = InputError if outcome["exit_code"] == InputError.exit_code else WorkError
        raise refused(outcome["error"])
    return Answer(text=process.stdout, truncated=bool(outcome["truncated"]))
