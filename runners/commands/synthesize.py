"""`synthesize`: parse, call, say what came of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from runners.synthesize.forecast import Forecast
    from runners.synthesize.making import AbilityReport
    from runners.synthesize.run import Synthesis
    from runners.synthesize.teachers import Teacher


def synthesize(
    seeds: Annotated[
        Path, typer.Option(help="File or folder of DoIT-format items: instructions or examples.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the data; a grid's data source.")],
    teacher: Annotated[
        str | None, typer.Option(help="Local teacher: checkpoint folder, shipped model or hub id.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="OpenAI-compatible URL, e.g. http://127.0.0.1:8000/v1.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model that the endpoint serves.")] = None,
    mode: Annotated[
        str, typer.Option(help="answers: to the seeds; instructions: new ones, answered.")
    ] = "answers",
    abilities: Annotated[
        str | None, typer.Option(help="Comma-separated; default: all of the seeds.")
    ] = None,
    n: Annotated[
        int | None, typer.Option(min=1, help="Examples of each ability; default: every seed.")
    ] = None,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(help="Evaluation folder that must not leak; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws seeds, examples and replies.")] = 0,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of answers.")] = 0.0,
    instruction_temperature: Annotated[
        float, typer.Option(min=0.0, help="Of new instructions.")
    ] = 1.0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest reply.")] = 512,
    n_shots: Annotated[int, typer.Option(min=1, help="Examples before a new instruction.")] = 3,
    max_similarity: Annotated[
        float, typer.Option(min=0.5, max=1.0, help="Of instructions; 1: only copies go.")
    ] = 0.8,
    keep_cut_off: Annotated[
        bool, typer.Option("--keep-cut-off", help="Keep replies that reached the limit.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Of a local teacher.")] = 8,
    template: Annotated[
        str | None, typer.Option(help="Of a local teacher: doit or chatml; default: its own.")
    ] = None,
    key_variable: Annotated[
        str | None, typer.Option(help="Environment variable that holds the endpoint's key.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls at once.")] = 8,
    prompt_price: Annotated[
        float | None, typer.Option(min=0.0, help="Price of a million prompt tokens.")
    ] = None,
    completion_price: Annotated[
        float | None, typer.Option(min=0.0, help="Price of a million reply tokens.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0.0, help="Spend cap over all runs; needs prices.")
    ] = None,
    workspace: Annotated[
        Path, typer.Option(help="Where a teacher that has to be converted is kept.")
    ] = DEFAULT_WORKSPACE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Forecast calls and cost, ask nobody.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Have a teacher write synthetic data for a grid: answers, or instructions and answers.

    Example: python cli.py synthesize --teacher smollm2-135m --seeds data/curated/full --n 40 \
--out data/synthetic/smollm2 --evaluation data/curated/test
    """
    from runners.synthesize.forecast import forecast_synthesis
    from runners.synthesize.run import WORK_FOLDER, read_evaluation, read_seeds
    from runners.synthesize.run import synthesize as make
    from runners.synthesize.spec import Mode, SynthesisSpec
    from warehouse.errors import InputError

    if mode not in list(Mode):
        raise InputError(f"--mode {mode!r:.60} is unknown; use {' or '.join(Mode)}.")
    names = tuple(name.strip() for name in (abilities or "").split(",") if name.strip())
    spec = SynthesisSpec(
        mode=Mode(mode),
        abilities=names,
        n_per_ability=n,
        seed=seed,
        temperature=temperature,
        instruction_temperature=instruction_temperature,
        max_new_tokens=max_new_tokens,
        n_shots=n_shots,
        max_similarity=max_similarity,
        keep_cut_off=keep_cut_off,
    )
    items = read_seeds(seeds, names)
    exam = None if evaluation is None else read_evaluation(evaluation)
    if (teacher is None) == (endpoint is None):
        raise InputError("Name one teacher: --teacher MODEL, or --endpoint URL with --model.")
    chosen: Teacher
    if teacher is not None:
        chosen = _local_teacher(teacher, workspace, batch_size, template)
    else:
        chosen = _endpoint_teacher(
            endpoint or "",
            model,
            key_variable=key_variable,
            concurrency=concurrency,
            prices=(prompt_price, completion_price),
            max_cost=max_cost,
            log=out / WORK_FOLDER,
            offline=dry_run,
        )
    forecast = forecast_synthesis(spec, chosen, items, out, evaluation=exam)
    _show_forecast(forecast, max_cost)
    if dry_run:
        if json_output:
            print(json.dumps({"forecast": forecast.document(), "folder": str(out)}))
        return
    result = make(spec, chosen, items, out, evaluation=exam, on_progress=_show_progress)
    if json_output:
        more = {"folder": str(out), "is_new": result.is_new, "forecast": forecast.document()}
        print(json.dumps(result.document() | more))
        return
    _show_result(result, compared=exam is not None)


def _local_teacher(name: str, workspace: Path, batch_size: int, template: str | None) -> Teacher:
    """Load a checkpoint."""
    from runners.base_models import resolve_base_model
    from runners.grid_spec import BaseModelSpec
    from runners.synthesize.teachers import LocalTeacher
    from warehouse.workspace import Workspace

    spec = BaseModelSpec(name="teacher", path=name)
    found = resolve_base_model(spec, Workspace(root=workspace).data)
    return LocalTeacher(found, batch_size=batch_size, template=template)


def _endpoint_teacher(
    url: str,
    model: str | None,
    *,
    key_variable: str | None,
    concurrency: int,
    prices: tuple[float | None, float | None],
    max_cost: float | None,
    log: Path,
    offline: bool,
) -> Teacher:
    """Connect to an endpoint; what earlier runs spent counts towards the cap."""
    from runners.judge.chat import Endpoint
    from runners.judge.client import ChatClient
    from runners.judge.spending import Budget, Prices
    from runners.synthesize.log import ReplyLog
    from runners.synthesize.run import REPLIES_FILE
    from runners.synthesize.teachers import EndpointTeacher
    from warehouse.errors import InputError

    if model is None:
        raise InputError("An endpoint serves several models: name one with --model.")
    prompt, completion = prices
    if (prompt is None) != (completion is None):
        raise InputError("Give both prices, --prompt-price and --completion-price, or neither.")
    known = None
    if prompt is not None and completion is not None:
        known = Prices(prompt=prompt, completion=completion)
    where = Endpoint(
        base_url=url,
        model=model,
        key_variable=key_variable,
        prices=known,
        concurrency=concurrency,
    )
    budget = Budget(max_cost, spent=ReplyLog(log / REPLIES_FILE, read_only=True).cost)
    return EndpointTeacher(ChatClient(where, budget=budget, offline=offline))


def _show_forecast(forecast: Forecast, max_cost: float | None) -> None:
    """Say what is to come, and whether the cap may end it early."""
    calls = forecast.estimate
    print(f"Replies kept: {forecast.n_kept:,}; calls to make: {calls.n_calls:,}", file=sys.stderr)
    if not calls.n_calls:
        return
    more = forecast.n_calls_at_most - calls.n_calls
    cost = (
        "unknown without prices"
        if calls.cost is None
        else f"about {calls.cost:.4g}, at most {calls.cost_at_most:.4g}"
    )
    print(
        (f"  up to {more:,} more for replies that can't be used\n" if more else "")
        + f"  tokens: prompts about {calls.n_prompt_tokens:,}, replies at most "
        f"{calls.n_completion_tokens_at_most:,}\n  cost: {cost}",
        file=sys.stderr,
    )
    if max_cost is not None and calls.cost is not None and calls.cost > max_cost - forecast.spent:
        print(
            f"Warning: {forecast.spent:.4g} of the cap of {max_cost:g} is spent, so it may end the "
            "run early; what is done by then is kept.",
            file=sys.stderr,
        )


def _show_progress(ability: str, report: AbilityReport) -> None:
    """Say how far an ability is."""
    print(f"{ability}: {report.n_accepted} of {report.n_asked}", file=sys.stderr)


def _show_result(result: Synthesis, *, compared: bool) -> None:
    """Print what was made of each ability."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from runners.synthesize.making import LEFT_OUT

    seen = [
        reason
        for reason in LEFT_OUT
        if any(report.left_out[reason] for report in result.abilities.values())
    ]
    table = Table(title=f"Synthetic data in {result.folder}", box=SIMPLE_HEAD)
    table.add_column("ability")
    for column in ("asked", "made", "proposed", *(reason.replace("_", " ") for reason in seen)):
        table.add_column(column, justify="right")
    for ability, report in result.abilities.items():
        counts = [report.n_asked, report.n_accepted, report.n_proposed]
        table.add_row(ability, *map(str, counts), *(str(report.left_out[r]) for r in seen))
    Console().print(table)
    document = result.document()
    print(
        f"{document['n_examples']} examples, data hash {result.data_hash}; the smallest ability "
        f"has {document['balance']} times the examples of the largest. Cost: "
        + ("unknown without prices." if result.cost is None else f"{result.cost:g}.")
    )
    short = [
        name for name, report in result.abilities.items() if report.n_accepted < report.n_asked
    ]
    if short:
        print(f"Warning: fewer than asked of {', '.join(short)}.", file=sys.stderr)
    if not compared:
        print(
            "Nothing was compared with evaluation sets; --evaluation FOLDER does that.",
            file=sys.stderr,
        )
