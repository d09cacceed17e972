"""Measures the warehouse at 50 million item scores: ingest, size, increments, queries, memory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil

from warehouse import queries
from warehouse.bench.landing import STUDY, Size, cell_record, curve_filters, land_cell, land_study
from warehouse.bench.rivals import Rival, measure_rivals
from warehouse.connection import open_latest
from warehouse.errors import WorkError
from warehouse.landing import write_document
from warehouse.records import PlanRecord, RecordKind
from warehouse.workspace import Workspace, open_workspace

_CLI = Path(__file__).resolve().parents[2] / "cli.py"
_N_QUERY_REPEATS = 60
_N_INCREMENTS = 5
_RIVAL_CELLS = 200


@dataclass(frozen=True, kw_only=True)
class ScaleFigures:
    """What one run of the benchmark measured.

    Attributes
    ----------
    ingest_seconds, ingest_peak_bytes : float, int
        Of the whole `ingest` process over landing files only.
    bytes_per_item_score : float
        Database file over item scores, without log-likelihoods.
    bytes_per_choice : float
        What log-likelihoods add to a database, over choices.
    increment_seconds : tuple of float
        From a cell's last landing file until a reader that polls sees it.
    query_seconds : dict
        95th percentile by query of the app.
    """

    size: Size
    ingest_seconds: float
    ingest_peak_bytes: int
    bytes_per_item_score: float
    bytes_per_choice: float
    increment_seconds: tuple[float, ...]
    query_seconds: dict[str, float]
    rivals: tuple[Rival, ...]

    @property
    def rows_per_second(self) -> float:
        """Item scores ingested a second."""
        return self.size.n_item_scores / self.ingest_seconds

    def rows(self) -> list[tuple[str, str, str]]:
        """Lines of the table in docs/benchmarks.md."""
        size = self.size
        lines = [
            (
                "landing files",
                f"{size.n_cells:,} runs x {size.n_abilities} abilities x {size.n_items:,} items",
                "",
            ),
            ("ingest", f"{self.ingest_seconds:.0f} s", ""),
            (
                "item scores a second",
                f"{self.rows_per_second / 1e6:.2f} million",
                "at least 1 million",
            ),
            ("peak memory of ingest", f"{self.ingest_peak_bytes / 2**30:.1f} GiB", "under 4 GB"),
            ("database per item score", f"{self.bytes_per_item_score:.1f} bytes", "at most 10"),
            ("log-likelihoods per choice", f"{self.bytes_per_choice:.1f} bytes", "at most 4"),
            (
                "one more cell until a reader sees it, median and worst",
                f"{np.median(self.increment_seconds):.1f} s, {max(self.increment_seconds):.1f} s",
                "under 3 s",
            ),
        ]
        lines += [
            (f"query `{name}`, 95th percentile", f"{1000 * seconds:.0f} ms", "under 100 ms")
            for name, seconds in self.query_seconds.items()
        ]
        lines += [rival.row() for rival in self.rivals]
        return lines


def measure_scale(n_cells: int, say: Callable[[str], None]) -> ScaleFigures:
    """Generate a study in a temporary workspace and measure the warehouse on it.

    Parameters
    ----------
    n_cells : int
        Runs of 10 abilities x 1,000 items each; the targets are for 5,000.
    say : callable
        Told what is being done.
    """
    size = Size(n_cells=n_cells)
    with tempfile.TemporaryDirectory() as scratch:
        workspace = open_workspace(Path(scratch) / "workspace", create=True)
        say(f"generating {size.n_item_scores:,} item scores ...")
        land_study(workspace, size)
        say("ingesting ...")
        ingest_seconds, peak = _ingest(workspace)
        n_bytes = (workspace.warehouse / "work.duckdb").stat().st_size
        say("adding cells ...")
        increments = tuple(_add_cell(workspace, size, n_cells + i) for i in range(_N_INCREMENTS))
        say("asking what the app asks ...")
        query_seconds = dict(_time_queries(workspace, size))
        say("asking pandas, SQLite and MLflow the same questions ...")
        rivals = measure_rivals(workspace, min(n_cells, _RIVAL_CELLS))
    say("measuring log-likelihoods ...")
    return ScaleFigures(
        size=size,
        ingest_seconds=ingest_seconds,
        ingest_peak_bytes=peak,
        bytes_per_item_score=n_bytes / size.n_item_scores,
        bytes_per_choice=_measure_choices(min(n_cells, 500)),
        increment_seconds=increments,
        query_seconds=query_seconds,
        rivals=rivals,
    )


def _ingest(workspace: Workspace) -> tuple[float, int]:
    """Run `ingest` as a process; return its seconds and its peak memory in bytes."""
    command = [sys.executable, str(_CLI), "ingest", "--workspace", str(workspace.root)]
    began = time.perf_counter()
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
            except psutil.Error:
                break
            time.sleep(0.02)
    if process.returncode:
        raise WorkError("The ingest failed, so there is nothing to measure.")
    return time.perf_counter() - began, peak


def _add_cell(workspace: Workspace, size: Size, number: int) -> float:
    """Land one more cell; return the seconds until a reader sees it."""
    _plan_cell(workspace, size, number)
    cell_id = land_cell(workspace, size, number)
    began = time.perf_counter()
    command = [sys.executable, str(_CLI), "ingest", "--workspace", str(workspace.root)]
    query = "SELECT count(*) FROM mart_ability_score WHERE cell_id = $cell_id"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while True:
            ended = process.poll() is not None
            with open_latest(workspace) as conn:
                row = conn.execute(query, {"cell_id": cell_id}).fetchone()
            if row == (size.n_abilities,):
                return time.perf_counter() - began
            if ended:
                raise WorkError("The ingest failed, so there is nothing to measure.")
            time.sleep(0.01)


def _plan_cell(workspace: Workspace, size: Size, number: int) -> None:
    """Land a plan that names one more cell."""
    plan = PlanRecord(
        study=STUDY,
        grid="generated",
        created_at=datetime.now(UTC),
        grid_settings={},
        cells=(cell_record(number, size),),
    )
    write_document(workspace, RecordKind.PLAN, f"{STUDY}-{number}", plan)


def _time_queries(workspace: Workspace, size: Size) -> Iterator[tuple[str, float]]:
    """Yield the 95th percentile of each query that the app makes, in seconds."""
    n_models = -(-size.n_cells // 96)
    filters = curve_filters(n_models, size.n_abilities)
    with open_latest(workspace) as conn:
        cells = queries.load_cells(conn)["cell_id"]

        def one_curve(load: Callable[..., object]) -> Callable[[], object]:
            return lambda: load(conn, **next(filters))

        asked: dict[str, Callable[[], object]] = {
            "load_studies": lambda: queries.load_studies(conn),
            "load_ability_scores, one curve": one_curve(queries.load_ability_scores),
            "load_ability_scores, one model": lambda: queries.load_ability_scores(
                conn, study=STUDY, base_model=str(next(filters)["base_model"])
            ),
            "load_item_scores, one curve": one_curve(queries.load_item_scores),
            "load_ability_scores, whole study": lambda: queries.load_ability_scores(
                conn, study=STUDY
            ),
            "load_cells, whole study": lambda: queries.load_cells(conn, study=STUDY),
            "load_compositions, whole study": lambda: queries.load_compositions(conn, study=STUDY),
            "load_training_log": lambda: queries.load_training_log(
                conn, cell_id=str(cells.sample(1).iloc[0])
            ),
        }
        for name, ask in asked.items():
            seconds = []
            for _ in range(_N_QUERY_REPEATS):
                began = time.perf_counter()
                ask()
                seconds.append(time.perf_counter() - began)
            yield name, float(np.percentile(seconds, 95))


def _measure_choices(n_cells: int) -> float:
    """Return the bytes that a choice's log-likelihood adds to a database."""
    sizes = {}
    for with_choices in (False, True):
        size = Size(n_cells=n_cells, with_choices=with_choices)
        with tempfile.TemporaryDirectory() as scratch:
            workspace = open_workspace(Path(scratch) / "workspace", create=True)
            land_study(workspace, size)
            _ingest(workspace)
            sizes[with_choices] = (workspace.warehouse / "work.duckdb").stat().st_size
    return (sizes[True] - sizes[False]) / (4 * size.n_item_scores)
