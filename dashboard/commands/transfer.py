"""`transfer`: what one ability's data does to another, as a table or JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dashboard.commands.options import Filter, JsonOption, WorkspaceOption
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from dashboard.analysis.transfer import TransferCell, TransferResult

_PLAIN_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


def transfer(
    study: Filter = None,
    ability: Annotated[
        list[str] | None, typer.Option(help="Only this target ability or exam; may be repeated.")
    ] = None,
    source_ability: Annotated[
        list[str] | None, typer.Option(help="Only this source ability; may be repeated.")
    ] = None,
    base_model: Filter = None,
    data_source: Filter = None,
    metric: Filter = None,
    reference: Annotated[
        str | None, typer.Option(help="Source whose examples count as one each; default: human.")
    ] = None,
    level: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.95,
    replicates: Annotated[int, typer.Option(help="Bootstrap replicates.")] = 1000,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Tell which ability's data helps or hurts which other, and what its examples are worth.

    Needs runs of single abilities, of all but one, or mixtures, as the grid `transfer` makes.

    Example: python cli.py transfer --study transfer --source-ability biology
    """
    import contextlib
    import json
    from dataclasses import replace

    from dashboard.analysis import FitSettings
    from dashboard.analysis.transfer.document import transfer_document
    from dashboard.transfer_evidence import load_run_tables
    from dashboard.transfer_store import fit_transfer_or_load
    from warehouse.connection import latest_snapshot, open_latest
    from warehouse.workspace import open_workspace

    settings = FitSettings(level=level, n_replicates=replicates)
    place = open_workspace(workspace)
    snapshot = latest_snapshot(place)
    with contextlib.closing(open_latest(snapshot.path)) as conn:
        tables = load_run_tables(conn, studies=study, base_models=base_model, metrics=metric)
    targets = sorted({target.ability for table in tables for target in table.targets})
    sources = sorted({p.data_source for t in tables for run in t.runs for p in run.composition})
    abilities = sorted({p.ability for t in tables for run in t.runs for p in run.composition})
    _check("--ability", ability, targets)
    _check("--source-ability", source_ability, abilities)
    _check("--data-source", data_source, [*sources, "mixed"])
    _check("--reference", None if reference is None else [reference], sources)
    print(f"Fitting {len(tables)} tables of runs ...", file=sys.stderr)
    known = [
        fit_transfer_or_load(place, table, settings, _known(table, reference)) for table in tables
    ]
    # Noise and corrections are those of all runs; filters only choose what is shown.
    wanted = {
        "ability": ability,
        "target_ability": ability,
        "source_ability": source_ability,
        "data_source": data_source,
    }
    results = [replace(one, cells=_select(one.cells, wanted)) for one, _ in known]
    fits = [
        replace(
            fit,
            tau=_select(fit.tau, wanted),
            rho=_select(fit.rho, wanted),
            unlabelled=_select(fit.unlabelled, wanted),
        )
        for _, fit in known
    ]
    if json_output:
        document = {"snapshot": snapshot.id, **transfer_document(results, fits)}
        print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
        return
    _print(results)
    for fit in fits:
        for line in fit.reading:
            print(line)


def _select(items: Sequence[Any], wanted: dict[str, list[str] | None]) -> tuple[Any, ...]:
    """Keep the items whose fields have wanted values; a field that an item lacks keeps it."""
    return tuple(
        item
        for item in items
        if all(
            not values or getattr(item, name, values[0]) in values
            for name, values in wanted.items()
        )
    )


def _check(option: str, values: Sequence[str] | None, known: Sequence[str]) -> None:
    """Refuse values that no run has."""
    from warehouse.errors import InputError

    for value in values or ():
        if value not in known:
            listed = ", ".join(known) or "none yet"
            raise InputError(f"{option} {value!r} is not in the warehouse; known: {listed}.")


def _known(table: Any, reference: str | None) -> str | None:
    """Return the reference where the table has it; other studies keep their own."""
    sources = {part.data_source for run in table.runs for part in run.composition}
    return reference if reference in sources else None


def _print(results: Sequence[TransferResult]) -> None:
    """Print a matrix per comparison, then the readings."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    if not results:
        console.print("No runs yet: nothing is scored in this workspace.")
        return
    for result in results:
        groups: dict[tuple[Any, ...], list[TransferCell]] = {}
        for cell in result.cells:
            key = (cell.design, cell.data_source, cell.volume, cell.length_rule, cell.metric)
            groups.setdefault(key, []).append(cell)
        for members in groups.values():
            _print_matrix(console, result.study, members)
        for line in result.reading:
            console.print(line, highlight=False)
    if any(result.cells for result in results):
        console.print(
            "Effects beyond format, in points (losses: in their unit): relative to what the other "
            "abilities' data do. * q < 0.05 after Benjamini-Hochberg, and the raw effect "
            "lies on the same side; own data in brackets. The raw effects stand in --json.",
            highlight=False,
        )


def _print_matrix(console: Any, study: str, cells: Sequence[TransferCell]) -> None:
    """Print one matrix: sources down, targets across."""
    from rich.table import Table

    first = cells[0]
    volume = "" if first.volume is None else f" at {first.volume:g} per {first.volume_per}"
    rule = {"steps": ", fixed steps", "epochs": ", fixed epochs"}.get(first.length_rule, "")
    table = Table(
        title=f"{study}: {first.base_model}, {first.design.value} on {first.data_source} data"
        f"{volume}{rule} ({first.metric})",
        title_justify="left",
        padding=(0, 0),
    )
    targets = list(dict.fromkeys(cell.target_ability for cell in cells))
    table.add_column("source", overflow="fold")
    for target in targets:
        table.add_column(target, justify="right", overflow="fold")
    by_pair = {(cell.source_ability, cell.target_ability): cell for cell in cells}
    for source in dict.fromkeys(cell.source_ability for cell in cells):
        table.add_row(source, *(_shown(by_pair.get((source, target))) for target in targets))
    console.print(table)


def _shown(cell: TransferCell | None) -> str:
    """Return one cell of the printed matrix."""
    if cell is None or cell.beyond_format is None:
        return "-"
    percent = cell.response.value == "accuracy"
    value = cell.beyond_format.estimate
    text = f"{100 * value:+.0f}" if percent else f"{value:+.3f}"
    star = "*" if cell.verdict is not None and cell.verdict.value != "not_shown" else ""
    return f"({text}{star})" if cell.own else f"{text}{star}"
