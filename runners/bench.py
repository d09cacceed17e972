"""Benchmarks of the runners; every figure is a ratio measured in one run."""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runners.environment import describe_environment
from runners.hardware import detect_hardware
from runners.plan import landed_runs
from warehouse.errors import WorkError
from warehouse.landing import write_atomically
from warehouse.workspace import Workspace

_REPOSITORY = Path(__file__).resolve().parent.parent
REPORT = _REPOSITORY / "docs" / "benchmarks.md"
GRID_OVERHEAD_TARGET = 1.15


@dataclass(frozen=True, kw_only=True)
class GridOverhead:
    """Wall time of a grid against the seconds spent in training and scoring alone.

    Attributes
    ----------
    wall_seconds : float
        Of the whole command: imports, planning, data, workers, landing, ingestion.
    work_seconds : float
        Training and scoring, summed over cells, as the run records hold them.
    """

    grid: str
    n_cells: int
    n_workers: int
    wall_seconds: float
    work_seconds: float

    @property
    def ratio(self) -> float:
        """Wall time over the work's share of one worker; 1 means no overhead."""
        return self.wall_seconds * self.n_workers / self.work_seconds


def measure_grid_overhead(grid: str) -> GridOverhead:
    """Run a grid in an empty, temporary workspace and time it.

    Raises
    ------
    WorkError
        If the grid fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(root=Path(scratch) / "workspace")
        command = [sys.executable, str(_REPOSITORY / "cli.py"), "run-grid", grid]
        began = time.perf_counter()
        done = subprocess.run([*command, "--workspace", str(workspace.root)], check=False)
        wall_seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise WorkError(f"The grid {grid} failed, so there is nothing to measure.")
        runs = [run for attempts in landed_runs(workspace).values() for run in attempts]
    hardware = detect_hardware()
    return GridOverhead(
        grid=grid,
        n_cells=len(runs),
        n_workers=hardware.n_gpus or len(hardware.cores),
        wall_seconds=wall_seconds,
        work_seconds=sum((run.train_seconds or 0) + (run.score_seconds or 0) for run in runs),
    )


def write_report(overhead: GridOverhead) -> None:
    """Put the figures into docs/benchmarks.md, between the markers of this benchmark."""
    environment = describe_environment()
    section = f"""<!-- grid-overhead -->
Measured {datetime.now(UTC):%Y-%m-%d} on {environment["processor"]}, {overhead.n_workers} cores,
Python {platform.python_version()}, torch {environment.get("torch")}, deepspeed
{environment.get("deepspeed")}, lm-eval {environment.get("lm_eval")}.

| figure | value | target |
|---|---|---|
| grid | {overhead.grid}, {overhead.n_cells} cells on {overhead.n_workers} workers | |
| wall time | {overhead.wall_seconds:.0f} s | |
| training and scoring alone, summed over cells | {overhead.work_seconds:.0f} s | |
| wall time x workers / work alone | {overhead.ratio:.2f} | at most {GRID_OVERHEAD_TARGET} |
<!-- /grid-overhead -->"""
    text = REPORT.read_text("utf-8")
    start, rest = text.split("<!-- grid-overhead -->")
    _, end = rest.split("<!-- /grid-overhead -->")
    write_atomically(REPORT, lambda path: path.write_text(start + section + end, "utf-8"))
