"""`compare sources`, `compare scales`, `compare abilities`: tables and sentences, or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dashboard.commands.options import Filter, JsonOption, WorkspaceOption
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from dashboard.analysis import CurveData, FitSettings

compare_app = typer.Typer(
    no_args_is_help=True,
    help="Compare data sources, model scales, abilities or mixtures of one workspace.",
)

LevelOption = Annotated[float, typer.Option(help="Level of the intervals.")]
ReplicatesOption = Annotated[int, typer.Option(help="Bootstrap replicates.")]
XOption = Annotated[
    str | None,
    typer.Option(
        help="What volumes count: own, total, tokens, steps or cost. Default: own, or total where "
        "a source is not sorted by ability."
    ),
]
MaxExamplesOption = Annotated[
    float | None, typer.Option(help="Use only runs of at most this volume.")
]

Document = dict[str, Any]
Analyse = Callable[[Sequence["CurveData"], "FitSettings"], Document]
Wanted = Mapping[str, list[str] | None]


@compare_app.command("sources")
def sources(
    study: Filter = None,
    ability: Filter = None,
    base_model: Filter = None,
    data_source: Filter = None,
    metric: Filter = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Source to compare with; default: human, else the first by name."),
    ] = None,
    x: XOption = None,
    max_examples: MaxExamplesOption = None,
    level: LevelOption = 0.95,
    replicates: ReplicatesOption = 1000,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Compare data sources at equal volumes, paired by item, and say what an example is worth.

    Example: python cli.py compare sources --reference human --base-model ladder-l
    """
    from dashboard.commands.compare_tables import print_sources

    def analyse(curves: Sequence[CurveData], settings: FitSettings) -> Document:
        from dashboard.analysis.compare.sources import compare_sources
        from dashboard.analysis.serialise import to_plain

        return _counted(to_plain(compare_sources(curves, settings, reference)), "pairs")

    document = _compare(
        "compare-sources",
        analyse,
        wanted={"ability": ability, "base_model": base_model, "data_source": data_source},
        options={"reference": reference},
        study=study,
        metric=metric,
        x=x,
        settings={"level": level, "n_replicates": replicates, "max_examples": max_examples},
        workspace=workspace,
        with_balance=True,
    )
    _show(document, json_output, print_sources)


@compare_app.command("scales")
def scales(
    study: Filter = None,
    ability: Filter = None,
    base_model: Filter = None,
    data_source: Filter = None,
    metric: Filter = None,
    at: Annotated[
        list[float] | None,
        typer.Option(help="Volume at which the best model is wanted; may be repeated."),
    ] = None,
    x: XOption = None,
    max_examples: MaxExamplesOption = None,
    level: LevelOption = 0.95,
    replicates: ReplicatesOption = 1000,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Compare base models: which will be best at a volume, and whether bigger ones gain more.

    Example: python cli.py compare scales --at 1000 --data-source human
    """
    from dashboard.commands.compare_tables import print_scales
    from warehouse.errors import InputError

    volumes = tuple(at or ())
    for volume in volumes:
        if not 0 < volume < float("inf"):
            raise InputError(f"--at {volume:g}: a volume is a count above 0.")

    def analyse(curves: Sequence[CurveData], settings: FitSettings) -> Document:
        from dashboard.analysis.compare.scales import compare_scales
        from dashboard.analysis.serialise import to_plain

        found = compare_scales(curves, settings, volumes, base_model)
        return _counted(to_plain(found), "scale_effects")

    document = _compare(
        "compare-scales",
        analyse,
        wanted={"ability": ability, "base_model": base_model, "data_source": data_source},
        options={"at": list(volumes), "base_models": base_model},
        study=study,
        metric=metric,
        x=x,
        settings={"level": level, "n_replicates": replicates, "max_examples": max_examples},
        workspace=workspace,
    )
    _show(document, json_output, print_scales)


@compare_app.command("abilities")
def abilities(
    study: Filter = None,
    ability: Filter = None,
    base_model: Filter = None,
    data_source: Filter = None,
    metric: Filter = None,
    x: XOption = None,
    max_examples: MaxExamplesOption = None,
    level: LevelOption = 0.95,
    replicates: ReplicatesOption = 1000,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Compare the abilities of a model: which grow fast, which gain most, and their mean.

    Example: python cli.py compare abilities --base-model ladder-l --data-source human
    """
    from dashboard.commands.compare_tables import print_abilities

    def analyse(curves: Sequence[CurveData], settings: FitSettings) -> Document:
        from dashboard.analysis.compare.abilities import compare_abilities
        from dashboard.analysis.serialise import to_plain

        return _counted(to_plain(compare_abilities(curves, settings)), "pairs")

    document = _compare(
        "compare-abilities",
        analyse,
        wanted={"ability": ability, "base_model": base_model, "data_source": data_source},
        options={},
        study=study,
        metric=metric,
        x=x,
        settings={"level": level, "n_replicates": replicates, "max_examples": max_examples},
        workspace=workspace,
    )
    _show(document, json_output, print_abilities)


def _compare(
    name: str,
    analyse: Analyse,
    *,
    wanted: Wanted,
    options: dict[str, Any],
    study: list[str] | None,
    metric: list[str] | None,
    x: str | None,
    settings: Mapping[str, Any],
    workspace: Any,
    with_balance: bool = False,
) -> Document:
    """Read curves, look the comparison up or make it, and select what was asked for.

    Noise is pooled and p-values are adjusted over whole studies, so filters select at the end.
    """
    import contextlib

    import pandas as pd

    from dashboard.analysis import FitSettings
    from dashboard.comparison_evidence import load_balance, load_comparable_curves
    from dashboard.evidence import check_known, load_items
    from dashboard.result_store import load_or_compute, result_key
    from warehouse.connection import latest_snapshot, open_latest
    from warehouse.workspace import open_workspace

    chosen = FitSettings(**settings)
    place = open_workspace(workspace)
    snapshot = latest_snapshot(place)
    with contextlib.closing(open_latest(snapshot.path)) as conn:
        curves, switched = load_comparable_curves(conn, studies=study, metrics=metric, x=x)
        for column, values in wanted.items():
            known = pd.DataFrame({column: [getattr(c, column) for c in curves]}, dtype=object)
            check_known(column, values, known)
        for one in switched:
            print(
                f"Volumes of {one} count all examples: a source is not sorted by ability.",
                file=sys.stderr,
            )
        print(f"Comparing growth curves ({len(curves)}) ...", file=sys.stderr)
        document = load_or_compute(
            place,
            name,
            result_key(name, curves, chosen, options),
            lambda: analyse(load_items(conn, curves), chosen),
        )
        result = {"snapshot": snapshot.id, **_select(document, wanted)}
        if with_balance:
            result["balance"] = load_balance(conn, sorted({curve.study for curve in curves}))
    return result


def _select(document: Document, wanted: Wanted) -> Document:
    """Keep the rows that the filters ask for; a row without the field, or for all, stays."""

    def stays(row: Document) -> bool:
        return all(
            not values or row.get(name) is None or row[name] in values
            for name, values in wanted.items()
        )

    return {
        name: [row for row in value if stays(row)] if isinstance(value, list) else value
        for name, value in document.items()
    }


def _counted(document: Document, tested: str) -> Document:
    """Add how many tests the comparison holds in all; each row says how many share its q-value."""
    n_tests = sum(1 for row in document[tested] if row["p_value"] is not None)
    return {**document, "n_tests": n_tests}


def _show(
    document: Document, json_output: bool, print_tables: Callable[[Any, Document], None]
) -> None:
    """Print the document, or tables and sentences."""
    import json

    if json_output:
        print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 120)
    print_tables(console, document)
    for row in document["readings"]:
        console.print(f"- {row['text']}", highlight=False, markup=False, soft_wrap=True)
