"""Ingests while a grid runs, each in a process of its own: runners never open the warehouse."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from warehouse.errors import WorkError
from warehouse.workspace import Workspace

_EVERY_SECONDS = 30.0
_CLI = Path(__file__).resolve().parent.parent / "cli.py"


class Ingestion:
    """Starts `ingest` when results have landed, but not too often.

    Parameters
    ----------
    log : Path
        File that takes what the ingests print.
    on_note : callable
        Called with a sentence when an ingest fails on the way; results are not touched by that.
    """

    def __init__(self, workspace: Workspace, log: Path, on_note: Callable[[str], None]) -> None:
        self._command = [sys.executable, str(_CLI), "ingest", "--workspace", str(workspace.root)]
        self._log = log
        self._on_note = on_note
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = time.monotonic()
        self.has_landed = False

    def now_and_then(self) -> None:
        """Look after the running ingest, and start the next one when it is time."""
        if self._process is not None and self._process.poll() is not None:
            if self._process.returncode != 0:
                self._on_note(
                    f"Results so far could not be ingested ({self._last_message()}); the grid "
                    "goes on and ingests again at its end."
                )
            self._process = None
        waited = time.monotonic() - self._started_at >= _EVERY_SECONDS
        if self.has_landed and waited and self._process is None:
            self.has_landed = False
            self._started_at = time.monotonic()
            self._process = self._start()

    def finish(self) -> None:
        """Ingest what is left.

        Raises
        ------
        WorkError
            If that fails; the message is the ingest's.
        """
        if self._process is not None:
            self._process.wait()
        if self._start().wait() != 0:
            raise WorkError(
                f"Results have landed but could not be ingested: {self._last_message()}"
            )

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            return subprocess.Popen(self._command, stdout=output, stderr=output)

    def _last_message(self) -> str:
        lines = self._log.read_text("utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"
