"""CLI commands of the runners; heavy imports wait until a command runs."""

from __future__ import annotations

import typer

from runners.commands.bench import (
    bench_gpu_training,
    bench_grid,
    bench_judge,
    bench_planner,
    bench_scoring,
    bench_scripts,
    bench_training,
)
from runners.commands.data import data
from runners.commands.judge import judge_calibrate, judge_replies, judge_run
from runners.commands.run_grid import run_grid
from runners.commands.synthesize import synthesize
from runners.commands.write_jobs import write_jobs


def register(app: typer.Typer) -> None:
    """Add the runners' commands to the CLI."""
    app.command("run-grid")(run_grid)
    app.command("write-jobs")(write_jobs)
    app.add_typer(data, name="data")
    app.command("synthesize")(synthesize)


def register_judge(judge: typer.Typer) -> None:
    """Add the commands that ask judges."""
    judge.command("run")(judge_run)
    judge.command("replies")(judge_replies)
    judge.command("calibrate")(judge_calibrate)


def register_bench(bench: typer.Typer) -> None:
    """Add the runners' benchmarks."""
    bench.command("grid")(bench_grid)
    bench.command("judge")(bench_judge)
    bench.command("training")(bench_training)
    bench.command("gpu-training")(bench_gpu_training)
    bench.command("planner")(bench_planner)
    bench.command("scripts")(bench_scripts)
    bench.command("scoring")(bench_scoring)
