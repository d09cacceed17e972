"""`cli.py write-jobs`: a grid's cells as jobs for DeepSpeed's own launcher."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warehouse.workspace import DEFAULT_WORKSPACE


def write_jobs(
    grid: Annotated[str, typer.Argument(help="Name of a shipped grid, or a grid file.")],
    jobs: Annotated[Path, typer.Argument(help="File to write, one job a line.")],
    workspace: Annotated[
        Path, typer.Option(help="Workspace folder, on a file system that all machines share.")
    ] = DEFAULT_WORKSPACE,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also cells that failed before.")
    ] = False,
) -> None:
    """Write the cells of a grid that are not done yet as jobs for several machines.

    Example: python cli.py write-jobs quickstart jobs.jsonl
    """
    from runners.hardware import detect_hardware
    from runners.hosts_worker import write_jobs as write
    from runners.plan import land_plan, make_plan
    from warehouse.workspace import open_workspace

    where = open_workspace(workspace, create=True)
    plan = make_plan(grid, where, detect_hardware(), where.data)
    land_plan(where, plan)
    n_jobs = write(where, plan, plan.pending(retry_failed=retry_failed), jobs)
    print(
        f"{n_jobs} of {len(plan.cells)} cells are to be run. On all machines at once: deepspeed "
        f"--hostfile HOSTS --module runners.hosts_worker {where.root.resolve()} {jobs.resolve()}"
    )
    print(f"Then: python cli.py ingest --workspace {where.root}")
