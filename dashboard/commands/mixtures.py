"""`compare mixtures`: named mixtures against each other, as a table or JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dashboard.commands.options import Filter, JsonOption, WorkspaceOption
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from dashboard.analysis.mixtures import MixturePair, MixtureResult

_PLAIN_WIDTH = 120


def mixtures(
    study: Filter = None,
    ability: Filter = None,
    base_model: Filter = None,
    metric: Filter = None,
    reference: Annotated[
        str | None, typer.Option(help="Compare with this mixture only; default: all pairs.")
    ] = None,
    level: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.95,
    replicates: Annotated[int, typer.Option(help="Bootstrap replicates.")] = 1000,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Compare named mixtures of training data on abilities and exams, paired by item.

    Example: python cli.py compare mixtures --study transfer --reference "even human 64"
    """
    import contextlib
    import json

    from dashboard.analysis import FitSettings
    from dashboard.analysis.mixtures import compare_mixtures, find_mixtures
    from dashboard.transfer_evidence import load_run_tables
    from warehouse.connection import latest_snapshot, open_latest
    from warehouse.errors import InputError
    from warehouse.workspace import open_workspace

    settings = FitSettings(level=level, n_replicates=replicates)
    place = open_workspace(workspace)
    snapshot = latest_snapshot(place)
    with contextlib.closing(open_latest(snapshot.path)) as conn:
        tables = load_run_tables(conn, studies=study, base_models=base_model, metrics=metric)
    targets = sorted({target.ability for table in tables for target in table.targets})
    for value in ability or ():
        if value not in targets:
            raise InputError(
                f"--ability {value!r} is not in the warehouse; known: {', '.join(targets)}."
            )
    if reference is not None:
        names = [[one.name for one in find_mixtures(table)] for table in tables]
        known = sorted({name for some in names for name in some})
        if reference not in known:
            raise InputError(
                f"--reference {reference!r} is no mixture; known: {', '.join(known) or 'none'}."
            )
        tables = [table for table, some in zip(tables, names, strict=True) if reference in some]
    results = [compare_mixtures(table, settings, reference) for table in tables]
    if json_output:
        document = {
            "snapshot": snapshot.id,
            "pairs": [
                _document(result.study, pair)
                for result in results
                for pair in result.pairs
                if _wanted(pair, ability)
            ],
            "mixtures": [
                {
                    "study": result.study,
                    "base_model": result.base_model,
                    "mixture": one.name,
                    "n_examples": one.n_examples,
                    "n_optimizer_steps": one.n_steps,
                    "n_runs": len(one.runs),
                }
                for result in results
                for one in result.mixtures
            ],
            "reasons": [
                {"study": r.study, "base_model": r.base_model, "reason": r.reason}
                for r in results
                if r.reason is not None
            ],
            "correction": "Benjamini-Hochberg over each study x base model x metric, the overall "
            "means apart",
            "reading": [line for result in results for line in result.reading],
        }
        print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
        return
    _print(results, ability)


def _wanted(pair: MixturePair, ability: Sequence[str] | None) -> bool:
    """Say whether the filters keep a pair; overall means have no ability."""
    return not ability or pair.target in ability


def _document(study: str, pair: MixturePair) -> dict[str, Any]:
    """Return one pair as JSON."""
    from dashboard.analysis.serialise import to_plain
    from dashboard.analysis.transfer.document import interval_document

    return {
        "study": study,
        "base_model": pair.base_model,
        "ability": None if pair.overall else pair.target,
        "overall": pair.target if pair.overall else None,
        "out_of_domain": pair.out_of_domain,
        "metric": pair.metric,
        "mixture": pair.mixture,
        "reference": pair.reference,
        "n_examples": pair.n_examples,
        "n_examples_reference": pair.n_examples_reference,
        "steps_matched": pair.steps_matched,
        "difference": interval_document(pair.difference),
        **{
            name: to_plain(getattr(pair, name))
            for name in ("p_value", "q_value", "n_tests", "reason")
        },
    }


def _print(results: Sequence[MixtureResult], ability: Sequence[str] | None) -> None:
    """Print a table for each study and base model, then the overall sentences."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    if not any(result.pairs for result in results):
        console.print("No mixtures to compare: no study has two of them with scored runs.")
        return
    for result in results:
        pairs = [pair for pair in result.pairs if _wanted(pair, ability)]
        if not pairs:
            continue
        table = Table(title=f"{result.study}: {result.base_model}", title_justify="left")
        for heading in ("target", "reference", "mixture"):
            table.add_column(heading, overflow="fold")
        for heading in ("reference - mixture", "q"):
            table.add_column(heading, justify="right", no_wrap=True)
        for pair in pairs:
            table.add_row(
                pair.target, pair.reference, pair.mixture, _shown(pair),
                "-" if pair.q_value is None else f"{pair.q_value:.2g}",
            )  # fmt: skip
        console.print(table)
        for line in result.reading:
            console.print(line, highlight=False)


def _shown(pair: MixturePair) -> str:
    """Return a difference with its interval for the table."""
    if pair.difference is None:
        return f"- ({pair.reason})"
    scale, digits = (100, 1) if pair.response.value == "accuracy" else (1, 3)
    d = pair.difference
    return (
        f"{scale * d.estimate:+.{digits}f} "
        f"[{scale * d.low:+.{digits}f}, {scale * d.high:+.{digits}f}]"
    )
