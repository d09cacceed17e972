"""Benchmarks of the runners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runners.bench import Row


def bench_grid(
    seeds: Annotated[int, typer.Option(min=1, help="9 make 219 cells; the quickstart has 2.")] = 2,
) -> None:
    """Measure how much of a grid's time is not training or scoring; writes docs/benchmarks.md.

    Example: python cli.py bench grid --seeds 9
    """
    from runners.bench import measure_grid_overhead

    overhead = measure_grid_overhead(seeds)
    is_large = overhead.n_cells >= 200
    section, target = ("grid-overhead-200", 1.10) if is_large else ("grid-overhead", 1.15)
    _report(section, overhead.rows(target))


def bench_planner() -> None:
    """Time the plan of a 100,000-cell grid; writes docs/benchmarks.md.

    Example: python cli.py bench planner
    """
    from runners.bench import measure_planner

    _report("planner", measure_planner().rows())


def bench_scripts(
    volumes: Annotated[
        int, typer.Option(min=1, max=4, help="3 cells each; fewer make a shorter race.")
    ] = 4,
) -> None:
    """Race twelve cells, a process for each step, against run-grid; writes docs/benchmarks.md.

    Example: python cli.py bench scripts --volumes 1
    """
    from runners.bench_scripts import race

    _report("scripts", race(volumes).rows())


def bench_scoring(
    model: Annotated[str, typer.Option(help="A shipped base model, scored as it is.")] = "ladder-l",
    items: Annotated[int, typer.Option(min=1, help="Test items of each ability.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="Times that both ways run, in turn.")] = 5,
) -> None:
    """Score a checkpoint in a live worker and by the lm_eval command; writes docs/benchmarks.md.

    Example: python cli.py bench scoring --items 20 --rounds 2
    """
    from runners.bench_scoring import race_scoring

    _report("scoring", race_scoring(model, items, rounds).rows())


def bench_training(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of three trainings.")] = 5,
) -> None:
    """Measure training against a plain transformers.Trainer, and packed against padded rows.

    Example: python cli.py bench training
    """
    from runners.bench_training import measure_training_speed

    _report("training", measure_training_speed(rounds=rounds).rows())


def bench_gpu_training(
    micro_batch_size: Annotated[int, typer.Option(min=1, help="Rows of 2,048 tokens.")] = 8,
    peak_tflops: Annotated[
        float | None,
        typer.Option(min=1, help="The GPU's dense bf16 peak, if it is not a known one."),
    ] = None,
) -> None:
    """Measure tokens/s and model FLOPs utilisation of a 1.1B model on a GPU, ZeRO 2 and 3.

    Example: python cli.py bench gpu-training
    """
    from runners.bench_gpu import measure_gpu_training

    _report("gpu-training", measure_gpu_training((2, 3), micro_batch_size, peak_tflops))


def bench_judge(
    votes: Annotated[int, typer.Option(min=2, help="Votes, half of them in each order.")] = 1000,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 32,
) -> None:
    """Time judge votes against a local server of 50 ms latency; writes docs/benchmarks.md.

    Example: python cli.py bench judge --votes 200
    """
    from runners.judge.bench import measure_client
    from warehouse.bench.report import write_section

    rows = measure_client(votes, concurrency).rows()
    write_section("judge-client", rows, packages=("openai",))
    for figure, value, target in rows:
        print(f"{figure}: {value}" + (f" (target: {target})" if target else ""))


def _report(section: str, rows: list[Row]) -> None:
    """Write a section of docs/benchmarks.md and print its figures."""
    from warehouse.bench.report import write_section

    write_section(section, rows, packages=("torch", "deepspeed", "lm-eval"))
    for figure, value, target in rows:
        print(f"{figure}: {value}" + (f" (target: {target})" if target else ""))
