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
# All that the process learns of the environment: what Python needs to start.
_ENVIRONMENT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "TZ")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Rows of a query as UTF-8 text or as a Parquet file; `truncated` if it had more of them."""

    content: bytes
    truncated: bool


def ask(
    workspace: Workspace,
    query: str,
    *,
    table_format: str,
    row_limit: int,
    time_limit_seconds: float,
    snapshot: Path | None = None,
) -> Answer:
    """Run one SELECT on a snapshot.

    Parameters
    ----------
    workspace : Workspace
        Whose snapshot to ask.
    query : str
        One SELECT (also WITH, FROM, VALUES, DESCRIBE, SHOW TABLES and SUMMARIZE).
    table_format : str
        `table`, `csv`, `json` or `parquet`.
    row_limit : int, count >= 1
        Return at most so many rows.
    time_limit_seconds : float, seconds > 0
        Stop the query after this time.
    snapshot : Path, optional
        The snapshot's file; by default the latest one.

    Raises
    ------
    InputError
        If nothing was published yet, it isn't exactly one SELECT, or names what doesn't exist or
        what it may not use.
    WorkError
        If it takes too long or too much memory, or fails on a value.
    """
    request = {
        "workspace": str((snapshot or workspace.root).absolute()),
        "query": query,
        "table_format": table_format,
        "row_limit": row_limit,
        "time_limit_seconds": time_limit_seconds,
    }
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    path = os.pathsep.join(filter(None, [str(_ROOT), environment.get("PYTHONPATH")]))
    process = subprocess.run(
        [sys.executable, "-m", "warehouse.ad_hoc"],
        input=json.dumps(request).encode(),
        env=environment | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        check=False,
    )
    if process.returncode == -signal.SIGALRM:
        raise WorkError(
            f"The query took longer than {time_limit_seconds:g} s and was stopped; narrow it, or "
            "allow more with --time-limit."
        )
    messages = process.stderr.decode("utf-8", "replace").strip().splitlines()
    if process.returncode:
        last = messages[-1:] or ["no message"]
        raise WorkError(
            f"The query ended its process (code {process.returncode}, {last[0]}), perhaps for want "
            "of memory; narrow it."
        )
    outcome = json.loads(messages[-1])
    if "error" in outcome:
        refused = InputError if outcome["exit_code"] == InputError.exit_code else WorkError
        raise refused(outcome["error"])
    return Answer(content=process.stdout, truncated=bool(outcome["truncated"]))
