"""Twelve quickstart cells as scripts run them, a process for each step, against one `run-grid`.

The paper's scripts launch DeepSpeed for every training, then a process that answers the test items,
then one that scores the answers. Here these steps are the grid's own code, so that only the way of
running them differs: `python -m runners.bench_scripts train|predict|score JOB`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from runners.bench import Row, run_grid_timed, write_variant
from runners.job import Job
from warehouse.errors import WorkError
from warehouse.workspace import Workspace, open_workspace

_REPOSITORY = Path(__file__).resolve().parent.parent
_STEPS = ("train", "predict", "score")
PREDICTIONS_FILE = "predictions.parquet"
ACCURACY_FILE = "accuracy.csv"
_VOLUMES = (4, 16, 64, 256)


@dataclass(frozen=True, kw_only=True)
class ScriptsRace:
    """Wall seconds of both ways; `step_seconds` sums each kind of process."""

    n_cells: int
    grid_seconds: float
    step_seconds: dict[str, float]

    @property
    def scripts_seconds(self) -> float:
        """All processes, one after another."""
        return sum(self.step_seconds.values())

    def rows(self) -> list[Row]:
        """Lines of the table in docs/benchmarks.md."""
        return [
            ("quickstart cells trained and scored", f"{self.n_cells}", ""),
            *(
                (f"{s}: a process for each cell", f"{v:.0f} s", "")
                for s, v in self.step_seconds.items()
            ),
            ("`run-grid`, warehouse included", f"{self.grid_seconds:.0f} s", ""),
            (
                "scripts / `run-grid`",
                f"{self.scripts_seconds / self.grid_seconds:.1f}x",
                "at least 4x",
            ),
        ]


def race(n_volumes: int) -> ScriptsRace:
    """Run three models at some volumes, one seed of one source, in both ways.

    Raises
    ------
    WorkError
        If a process fails.
    """
    from runners.forecast import Phase, resolve_training
    from runners.hardware import detect_hardware
    from runners.plan import make_job, make_plan

    with tempfile.TemporaryDirectory() as scratch:
        grid = write_variant(
            Path(scratch),
            seeds=[0],
            data_sources=[{"name": "human", "path": "curated/full"}],
            volumes={"values": list(_VOLUMES[:n_volumes]), "per": "ability"},
        )
        where = open_workspace(Path(scratch) / "scripts", create=True)
        plan = make_plan(str(grid), where, detect_hardware(), where.data)
        cells = plan.pending(retry_failed=False)
        jobs, alone = [], Phase(ranks=1, n_workers=1, cells=())
        for cell in cells:
            path = where.root / f"{cell.record.cell_id}.json"
            training = resolve_training(plan, cell, alone, None)
            job = make_job(where, plan, cell, 1).model_copy(update={"training": training})
            path.write_text(job.model_dump_json(), "utf-8")
            jobs.append(path)
        seconds = {step: sum(_time_step(step, job, where) for job in jobs) for step in _STEPS}
        grid_workspace = open_workspace(Path(scratch) / "grid", create=True)
        return ScriptsRace(
            n_cells=len(jobs),
            step_seconds=seconds,
            grid_seconds=run_grid_timed(grid, grid_workspace),
        )


def _time_step(step: str, job: Path, workspace: Workspace) -> float:
    """Run one step of one cell in a process of its own; return its wall seconds."""
    from runners.hardware import detect_hardware
    from runners.worker_group import free_port

    hardware = detect_hardware()
    module = ["runners.bench_scripts", step, str(job), str(workspace.root)]
    command = [sys.executable, "-m", *module]
    if step == "train":
        launcher = str(Path(sys.executable).with_name("deepspeed"))
        port = str(free_port())
        command = [launcher, "--num_gpus", "1", "--master_port", port, "--module", *module]
    environment = os.environ | {
        "DS_ACCELERATOR": hardware.accelerator,
        "OMP_NUM_THREADS": str(len(hardware.cores)),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    began = time.perf_counter()
    done = subprocess.run(command, cwd=_REPOSITORY, env=environment, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise WorkError(f"The step {step} of {job.stem} failed, so there is nothing to measure.")
    return time.perf_counter() - began


def _run_step(step: str, job: Job, workspace: Workspace) -> None:
    """Do one step in this process."""
    import pyarrow.parquet as pq

    checkpoint = workspace.checkpoints / job.cell.cell_id
    if step == "score":
        table = pq.read_table(checkpoint / PREDICTIONS_FILE, columns=["ability", "score"])
        table.to_pandas().groupby("ability").score.mean().to_csv(checkpoint / ACCURACY_FILE)
        return
    from runners.engine import start_deepspeed
    from runners.template import load_template
    from runners.worker import Worker

    defaults = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    os.environ.update({name: os.environ.get(name, value) for name, value in defaults.items()})
    worker, template = (
        Worker(workspace, sys.stderr),
        load_template(job.cell.template, job.model_folder),
    )
    if step == "train":
        start_deepspeed(os.environ["DS_ACCELERATOR"])
        worker.obtain(job, template)
        return
    # The training step has left a checkpoint, so this one only loads it.
    model, tokenizer, _ = worker.obtain(job, template)
    _, scores = worker.score(job, model, tokenizer, template)
    pq.write_table(scores, checkpoint / PREDICTIONS_FILE)


def main() -> None:
    """Serve the launchers of `race`; DeepSpeed's puts its --local_rank first."""
    step, job, root = [text for text in sys.argv[1:] if not text.startswith("--")]
    document = Path(job).read_text("utf-8")
    _run_step(step, Job.model_validate_json(document), Workspace(root=Path(root)))


if __name__ == "__main__":
    main()
