"""The app on a large workspace, beside a trivial app that draws the same figure from memory."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from dashboard.bench.app_clients import (
    SOURCE_LABEL,
    browser,
    keep_sessions,
    time_changes,
    time_first_paint,
)
from warehouse.bench.landing import SOURCES, STUDY, Size, land_study
from warehouse.connection import latest_snapshot, open_latest
from warehouse.errors import WorkError
from warehouse.workspace import Workspace, open_workspace

_ROOT = Path(__file__).resolve().parents[2]
_N_SESSIONS = 20
_N_VISITS = 7
_N_ROUNDS, _N_CHANGES = 3, 10
_START_SECONDS = 60
_SAMPLE_SECONDS = 5.0

# The same select box and figure, without warehouse, fits, links or downloads.
_TRIVIAL = f'''
import pathlib
import plotly.io
import streamlit as st

st.set_page_config(layout="wide")

@st.cache_resource
def load():
    folder = pathlib.Path(__file__).parent
    return {{path.stem: plotly.io.read_json(path) for path in folder.glob("*.json")}}

figures = load()
source = st.selectbox("{SOURCE_LABEL}", sorted(figures))
st.plotly_chart(figures[source], theme=None)
'''


@dataclass(frozen=True, kw_only=True)
class AppFigures:
    """What one run measured: seconds by app, `growthpace` or `trivial`, and memory under load."""

    n_item_scores: int
    n_curves: int
    first_fit_seconds: float
    first_visit_seconds: float
    cold: dict[str, list[float]]
    warm: dict[str, list[float]]
    changes: dict[str, list[float]]
    sessions: list[float]
    changes_under_load: list[float]
    errors: list[str]
    memory_bytes: list[float]
    minutes: float

    def rows(self) -> list[tuple[str, str, str]]:
        """Lines of the table in docs/benchmarks.md."""
        cold, warm = (
            np.median(np.subtract(times["growthpace"], times["trivial"]))
            for times in (self.cold, self.warm)
        )
        change = _p95(self.changes["growthpace"]) - _p95(self.changes["trivial"])
        # The first fifth of the time fills caches, which are bounded.
        later = np.array(self.memory_bytes[len(self.memory_bytes) // 5 :]) / 2**20
        parts = np.array_split(later, 4)
        return [
            ("item scores, curves", f"{self.n_item_scores:,}, {self.n_curves:,}", "50 million"),
            ("first fit of all curves, once a snapshot", f"{self.first_fit_seconds:.0f} s", ""),
            ("first visit after a start of the server", f"{self.first_visit_seconds:.1f} s", ""),
            ("first figure, new browser", _beside(self.cold, np.median), ""),
            ("… above the trivial app", f"{cold:+.2f} s", "at most +0.8 s"),
            ("first figure, files cached", _beside(self.warm, np.median), ""),
            ("… above the trivial app", f"{warm:+.2f} s", "at most +0.8 s"),
            ("filter change to redrawn figure, p95", _beside(self.changes, _p95), ""),
            ("… above the trivial app", f"{1000 * change:+.0f} ms", "at most +150 ms"),
            (
                f"{_N_SESSIONS} sessions for {self.minutes:g} min: page answered, p95",
                f"{_p95(self.sessions):.2f} s over {len(self.sessions):,}",
                "under 1.5 s",
            ),
            (
                "… filter change in a browser beside them, p95",
                f"{_p95(self.changes_under_load):.2f} s",
                "under 1.5 s",
            ),
            ("… errors", str(len(self.errors)), "0"),
            (
                "… memory of the server, second and last quarter",
                f"{np.median(parts[1]):.0f} and {np.median(parts[3]):.0f} MiB",
                "flat",
            ),
        ]


def measure_app(n_cells: int, minutes: float, say: Callable[[str], None]) -> AppFigures:
    """Generate a study, serve it, and look at it.

    Parameters
    ----------
    n_cells : int
        Runs of 10 abilities x 1,000 items each; the targets are for 5,000.
    minutes : float
        How long the sessions stay.
    say : callable
        Told what is being done.

    Raises
    ------
    InputError
        If there is no browser.
    """
    size = Size(n_cells=n_cells)
    with tempfile.TemporaryDirectory() as scratch, browser() as chromium:
        folder = Path(scratch)
        workspace = open_workspace(folder / "workspace", create=True)
        say(f"generating and ingesting {size.n_item_scores:,} item scores ...")
        land_study(workspace, size)
        _command("ingest", "--workspace", str(workspace.root))
        say("fitting all curves once ...")
        began = time.perf_counter()
        _command("fit", "--study", STUDY, "--workspace", str(workspace.root), "--json")
        first_fit = time.perf_counter() - began
        n_curves = _write_trivial(workspace, folder / "trivial")
        with (
            _served(_ROOT / "dashboard" / "app.py", folder, workspace) as (app, server),
            _served(folder / "trivial" / "app.py", folder, workspace) as (trivial, _),
        ):
            urls = {"growthpace": f"{app}/growth?study={STUDY}", "trivial": trivial}
            say("opening the pages ...")
            first_visit, _ = time_first_paint(chromium, urls["growthpace"])
            time_first_paint(chromium, trivial)
            cold, warm, changes = (defaultdict[str, list[float]](list) for _ in range(3))
            # In turn, so that both apps meet the same moods of the machine.
            for _ in range(_N_VISITS):
                for name, url in urls.items():
                    new, known = time_first_paint(chromium, url)
                    cold[name].append(new)
                    warm[name].append(known)
            for _ in range(_N_ROUNDS):
                for name, url in urls.items():
                    changes[name] += time_changes(chromium, url, SOURCES, _N_CHANGES)
            say(f"{_N_SESSIONS} sessions for {minutes:g} minutes ...")
            crowd = _Crowd(app, server)
            beside: list[float] = []
            with crowd:
                until = time.monotonic() + 60 * minutes
                while time.monotonic() < until:
                    beside += time_changes(chromium, urls["growthpace"], SOURCES, 5)
    return AppFigures(
        n_item_scores=size.n_item_scores,
        n_curves=n_curves,
        first_fit_seconds=first_fit,
        first_visit_seconds=first_visit,
        cold=cold,
        warm=warm,
        changes=changes,
        sessions=crowd.seconds,
        changes_under_load=beside,
        errors=crowd.errors,
        memory_bytes=crowd.memory_bytes,
        minutes=minutes,
    )


class _Crowd:
    """Sessions in a thread of their own, and the server's memory meanwhile."""

    def __init__(self, url: str, server: psutil.Process) -> None:
        """Start nobody yet."""
        self.seconds: list[float] = []
        self.errors: list[str] = []
        self.memory_bytes: list[float] = []
        self._url, self._server = url, server
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._visit, self._watch)
        ]

    def __enter__(self) -> _Crowd:
        """Let them come."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send them home."""
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _visit(self) -> None:
        async def run() -> None:
            stop = asyncio.Event()
            waiting = asyncio.get_running_loop().run_in_executor(None, self._done.wait)
            waiting.add_done_callback(lambda _: stop.set())
            queries = [{"study": STUDY, "source": source} for source in SOURCES]
            found = await keep_sessions(self._url, "growth", queries, _N_SESSIONS, stop)
            self.seconds, self.errors = found

        asyncio.run(run())

    def _watch(self) -> None:
        while not self._done.wait(_SAMPLE_SECONDS):
            self.memory_bytes.append(float(self._server.memory_info().rss))


def _write_trivial(workspace: Workspace, folder: Path) -> int:
    """Write the trivial app with the app's own figures; return how many curves were fitted."""
    from dashboard.analysis import FitSettings
    from dashboard.charts.findings import growth_note, growth_title
    from dashboard.charts.growth import growth_figure, order_curves
    from dashboard.charts.style import suit_screen
    from dashboard.components.filters import models_of, select_curves
    from dashboard.evidence import load_curves, load_items
    from dashboard.fit_store import fit_or_load

    folder.mkdir()
    with closing(open_latest(latest_snapshot(workspace).path)) as conn:
        fit = fit_or_load(
            workspace,
            load_curves(conn, studies=[STUDY], with_items=False),
            FitSettings(),
            load_items=lambda needed: load_items(conn, needed),
        )
    model = models_of(fit.curves)[0]
    for source in SOURCES:
        curves = order_curves(select_curves(fit.curves, [model], [source]), "by gain")
        figure = growth_figure(curves, title=growth_title(curves), note=growth_note(curves))
        (folder / f"{source}.json").write_text(suit_screen(figure, dark=False).to_json(), "utf-8")
    (folder / "app.py").write_text(textwrap.dedent(_TRIVIAL), "utf-8")
    return len(fit.curves)


def _command(*arguments: str) -> None:
    """Run a command of the CLI."""
    done = subprocess.run(
        [sys.executable, str(_ROOT / "cli.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise WorkError(f"{arguments[0]} failed: {done.stderr.strip()[-500:]}")


@contextmanager
def _served(
    script: Path, folder: Path, workspace: Workspace
) -> Iterator[tuple[str, psutil.Process]]:
    """Run a Streamlit script; yield its address and its process."""
    import os

    from dashboard.commands.app import SERVER_OPTIONS, WORKSPACE_VARIABLE

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    command += ["--server.address", "localhost", *SERVER_OPTIONS]
    environment = {**os.environ, WORKSPACE_VARIABLE: str(workspace.root)}
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _wait_for(f"http://localhost:{port}/_stcore/health")
        yield f"http://localhost:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str) -> None:
    """Wait until a server answers."""
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > until:
                raise WorkError(f"No server answered at {url}.") from error
            time.sleep(0.2)


def _p95(seconds: list[float]) -> float:
    """Return the 95th percentile, NaN without a measurement."""
    return float(np.percentile(seconds, 95)) if seconds else float("nan")


def _beside(times: dict[str, list[float]], summarise: Callable[[list[float]], float]) -> str:
    """Return "1.84 s (trivial app: 1.41 s)"."""
    mine, other = (summarise(times[name]) for name in ("growthpace", "trivial"))
    return f"{mine:.2f} s (trivial app: {other:.2f} s)"
