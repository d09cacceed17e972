"""Benchmarks of grids and plans; every figure is a ratio or a limit measured in one run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runners.grid_spec import SHIPPED_GRIDS
from runners.hardware import detect_hardware
from runners.plan import landed_runs, make_plan
from warehouse.errors import WorkError
from warehouse.workspace import Workspace

_REPOSITORY = Path(__file__).resolve().parent.parent
Row = tuple[str, str, str]
"""Figure, value and target (empty if there is none)."""


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

    n_cells: int
    n_workers: int
    wall_seconds: float
    work_seconds: float

    @property
    def ratio(self) -> float:
        """Wall time over the work's share of one worker; 1 means no overhead."""
        return self.wall_seconds * self.n_workers / self.work_seconds

    def rows(self, target: float) -> list[Row]:
        """Lines of the table in docs/benchmarks.md."""
        return [
            ("grid", f"quickstart, {self.n_cells} cells on {self.n_workers} workers", ""),
            ("wall time", f"{self.wall_seconds:.0f} s", ""),
            (
                "training and scoring alone, summed over cells",
                f"{self.work_seconds:.0f} s",
                "",
            ),
            ("wall time x workers / work alone", f"{self.ratio:.2f}", f"at most {target:.2f}"),
        ]


def write_variant(folder: Path, **fields: Any) -> Path:
    """Write the quickstart's grid with other fields; return the file."""
    document = yaml.safe_load((SHIPPED_GRIDS / "quickstart.yaml").read_text("utf-8"))
    path = folder / "variant.yaml"
    path.write_text(yaml.safe_dump(document | fields), "utf-8")
    return path


def run_grid_timed(grid: Path, workspace: Workspace) -> float:
    """Run a grid as a user does; return the seconds that the command took.

    Raises
    ------
    WorkError
        If the grid fails.
    """
    command = [sys.executable, str(_REPOSITORY / "cli.py"), "run-grid", str(grid)]
    began = time.perf_counter()
    done = subprocess.run([*command, "--workspace", str(workspace.root)], stdout=sys.stderr)
    if done.returncode != 0:
        raise WorkError(f"The grid {grid} failed, so there is nothing to measure.")
    return time.perf_counter() - began


def measure_grid_overhead(n_seeds: int) -> GridOverhead:
    """Run the quickstart with `n_seeds` seeds in an empty, temporary workspace and time it."""
    with tempfile.TemporaryDirectory() as scratch:
        grid = write_variant(Path(scratch), seeds=list(range(n_seeds)))
        workspace = Workspace(root=Path(scratch) / "workspace")
        wall_seconds = run_grid_timed(grid, workspace)
        runs = [run for attempts in landed_runs(workspace).values() for run in attempts]
    hardware = detect_hardware()
    return GridOverhead(
        n_cells=len(runs),
        n_workers=hardware.n_gpus or len(hardware.cores),
        wall_seconds=wall_seconds,
        work_seconds=sum((run.train_seconds or 0) + (run.score_seconds or 0) for run in runs),
    )


@dataclass(frozen=True, kw_only=True)
class PlanTime:
    """What it takes to expand a large grid and to compare it with a workspace."""

    n_cells: int
    seconds: float

    def rows(self) -> list[Row]:
        """Lines of the table in docs/benchmarks.md."""
        return [
            ("cells", f"{self.n_cells:,}", ""),
            ("reading the data, expanding and checking", f"{self.seconds:.1f} s", "under 5 s"),
        ]


def measure_planner() -> PlanTime:
    """Plan 100,800 cells on the demonstration's data, which is made beforehand; runs nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        grid = write_variant(
            Path(scratch),
            volumes={"values": list(range(1, 41)), "per": "ability"},
            designs=[{"kind": k} for k in ("all_abilities", "single_ability", "leave_one_out")],
            seeds=list(range(20)),
        )
        workspace, hardware = Workspace(root=Path(scratch) / "none"), detect_hardware()
        make_plan("quickstart", workspace, hardware, Path(scratch), convert=False)
        began = time.perf_counter()
        plan = make_plan(str(grid), workspace, hardware, Path(scratch), convert=False)
        return PlanTime(n_cells=len(plan.cells), seconds=time.perf_counter() - began)
