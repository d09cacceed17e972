"""`fit`: growth curves as a table or JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dashboard.commands.options import Filter, JsonOption, WorkspaceOption
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from dashboard.analysis import CurveFit, Interval, Prediction
    from dashboard.analysis.joint.results import JointFit
    from dashboard.fit_store import ItemLoader

_PLAIN_WIDTH = 120
"""Columns of a table that goes to a file or a pipe."""


def fit(
    study: Filter = None,
    ability: Filter = None,
    base_model: Filter = None,
    data_source: Filter = None,
    metric: Filter = None,
    level: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.95,
    delta: Annotated[
        float | None,
        typer.Option(
            help="Smallest gain that matters; else the study's own, or 0.03 (accuracies)."
        ),
    ] = None,
    x: Annotated[
        str, typer.Option(help="What volumes count: own, total, tokens, steps or cost.")
    ] = "own",
    max_examples: Annotated[
        float | None, typer.Option(help="Fit only on runs of at most this volume.")
    ] = None,
    predict: Annotated[
        list[float] | None, typer.Option(help="Volume to predict; may be repeated.")
    ] = None,
    family: Annotated[
        list[str] | None, typer.Option(help="Growth family to fit; may be repeated.")
    ] = None,
    include_base: Annotated[
        bool, typer.Option("--include-base", help="Let loss curves include the base model.")
    ] = False,
    without_flagged: Annotated[
        bool,
        typer.Option("--without-flagged", help="Leave out the test items that data check flagged."),
    ] = False,
    joint: Annotated[
        bool, typer.Option("--joint", help="Also fit E + A/N^alpha + B/n^beta over model sizes.")
    ] = False,
    replicates: Annotated[int, typer.Option(help="Bootstrap replicates.")] = 1000,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Fit growth curves: whether each ability responds to more data, how fast, and how surely.

    Example: python cli.py fit --base-model ladder-l --data-source human
    """
    import contextlib
    import json
    from functools import partial

    from dashboard.analysis import FitSettings
    from dashboard.analysis.serialise import curve_document, to_plain
    from dashboard.evidence import leave_out_flagged, load_curves, load_items
    from dashboard.fit_store import fit_joint_or_load, fit_or_load
    from warehouse.connection import latest_snapshot, open_latest
    from warehouse.workspace import open_workspace

    settings = FitSettings(
        level=level,
        n_replicates=replicates,
        delta=delta,
        families=tuple(family) if family else None,
        max_examples=max_examples,
        predict=tuple(predict or ()),
        include_base=include_base,
    )
    place = open_workspace(workspace)
    snapshot = latest_snapshot(place)
    wanted = {"ability": ability, "base_model": base_model, "data_source": data_source}

    def selected(items: Sequence[Any]) -> list[Any]:
        return [
            item
            for item in items
            if all(not values or getattr(item, name) in values for name, values in wanted.items())
        ]

    with contextlib.closing(open_latest(snapshot.path)) as conn:
        curves = load_curves(conn, studies=study, metrics=metric, x=x, with_items=without_flagged)
        add_items: ItemLoader | None = partial(load_items, conn)
        if without_flagged:
            curves, add_items = leave_out_flagged(conn, curves), None
        _check_filters(curves, wanted)
        if curves:
            print(f"Fitting growth curves ({len(curves)}) ...", file=sys.stderr)
        fitted = fit_or_load(place, curves, settings, load_items=add_items)
    fits = selected(fitted.curves)
    laws: Sequence[JointFit] | None = None
    if joint:
        laws = fit_joint_or_load(place, selected(curves), settings)
    if json_output:
        document = {
            "snapshot": snapshot.id,
            "without_flagged": without_flagged,
            "curves": [curve_document(item) for item in fits],
        }
        if laws is not None:
            document["joint"] = to_plain(laws)
        print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
        return
    _print_table(fits, laws)
    if without_flagged:
        print("Without the test items that data check flagged (docs/data.md).")


def _check_filters(curves: Sequence[Any], wanted: dict[str, list[str] | None]) -> None:
    """Refuse abilities, models and sources of which there is no curve."""
    import pandas as pd

    from dashboard.evidence import check_known

    for name, values in wanted.items():
        known = pd.DataFrame({name: [getattr(curve, name) for curve in curves]}, dtype=object)
        check_known(name, values, known)


def _print_table(fits: Sequence[CurveFit], laws: Sequence[JointFit] | None) -> None:
    """Print a table per study, base model, source and metric, what intervals cover, joint laws."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    if not fits:
        console.print("No growth curves yet: no trained runs are scored in this workspace.")
        return
    groups: dict[tuple[str, str, str, str], list[CurveFit]] = {}
    for item in fits:
        key = (item.study, item.base_model, item.data_source, item.metric)
        groups.setdefault(key, []).append(item)
    for members in groups.values():
        _print_group(console, members)
    for line in _footnotes(fits):
        console.print(line, highlight=False)
    if laws:
        _print_laws(console, laws)


def _print_laws(console: Any, laws: Sequence[JointFit]) -> None:
    """Print the joint laws with standard errors, a table per study, source and metric."""
    from rich.table import Table

    names = ("E", "A", "B", "alpha", "beta")
    groups: dict[tuple[str, str, str], list[JointFit]] = {}
    for law in laws:
        groups.setdefault((law.study, law.data_source, law.metric), []).append(law)
    for (study, data_source, metric), members in groups.items():
        title = f"{study}: E + A / N^alpha + B / n^beta on {data_source} data ({metric})"
        table = Table(title=title, title_justify="left")
        table.add_column("ability", overflow="fold")
        for name in ("sizes", *names):
            table.add_column(name, justify="right")
        table.add_column("status")
        for law in members:
            values = (_param(law, name) for name in names)
            table.add_row(law.ability, str(law.n_models), *values, law.status.value)
        console.print(table)
        for law in members:
            if law.reason is not None:
                console.print(f"{law.ability}: {law.reason}.", highlight=False)


def _param(law: JointFit, name: str) -> str:
    """Return a parameter with its standard error for the table."""
    value, error = law.params[name], law.stderr[name]
    if value is None:
        return "-"
    return f"{value:.3g}" if error is None else f"{value:.3g} ± {error:.2g}"


def _print_group(console: Any, members: Sequence[CurveFit]) -> None:
    """Print one table of abilities."""
    from rich.table import Table

    first = members[0]
    table = Table(
        title=f"{first.study}: {first.base_model} on {first.data_source} data ({first.metric})",
        title_justify="left",
    )
    table.add_column("ability", overflow="fold")
    for heading in ("at 0" if _starts_at_zero(members) else "at first", "at last", "gain"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("label")
    table.add_column("half by", justify="right", no_wrap=True)
    for item in members:
        table.add_row(
            item.ability,
            _score(item, item.score_first),
            _score(item, item.score_last),
            _gain(item),
            _label(item),
            _pace(item),
        )
    console.print(table)
    if first.predictions:
        _print_predictions(console, members)


def _print_predictions(console: Any, members: Sequence[CurveFit]) -> None:
    """Print each ability's predicted scores; what no backtest stands behind says why below."""
    from rich.table import Table

    volumes = [prediction.n_examples for prediction in members[0].predictions]
    table = Table(title="Predicted scores of a run", title_justify="left")
    table.add_column("ability", overflow="fold")
    for volume in volumes:
        table.add_column(f"at {volume:,.6g}", justify="right", no_wrap=True)
    for item in members:
        table.add_row(item.ability, *(_prediction(item, found) for found in item.predictions))
    console.print(table)
    reasons: dict[str, list[str]] = {}
    for item in members:
        for found in item.predictions:
            if found.reason is not None:
                reasons.setdefault(f"at {found.n_examples:,.6g}: {found.reason}", []).append(
                    item.ability
                )
    for reason, abilities in reasons.items():
        console.print(f"{', '.join(abilities)} {reason}.", highlight=False)


def _prediction(item: CurveFit, found: Prediction) -> str:
    """Return a predicted score with its interval for the table."""
    if found.estimate is None or found.low is None or found.high is None:
        return "-"
    scale, digits = (100, 1) if _percent(item) else (1, 3)
    values = (f"{scale * value:.{digits}f}" for value in (found.estimate, found.low, found.high))
    estimate, low, high = values
    return f"{estimate}{'%' if _percent(item) else ''} [{low}, {high}]"


def _starts_at_zero(members: Sequence[CurveFit]) -> bool:
    """Say whether the curves of a table begin at the base model."""
    return all(item.band is None or item.band.n_examples[0] == 0 for item in members)


def _percent(item: CurveFit) -> bool:
    """Say whether scores read as percentages."""
    return item.response.value == "accuracy"


def _score(item: CurveFit, interval: Interval | None) -> str:
    """Return a score for the table."""
    if interval is None:
        return "-"
    return f"{100 * interval.estimate:.1f}%" if _percent(item) else f"{interval.estimate:.3f}"


def _gain(item: CurveFit) -> str:
    """Return a gain with its interval for the table."""
    if item.gain is None:
        return "-"
    scale, digits = (100, 1) if _percent(item) else (1, 3)
    low, high = scale * item.gain.low, scale * item.gain.high
    return f"{scale * item.gain.estimate:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def _label(item: CurveFit) -> str:
    """Return the label for the table, marked where it speaks of these runs only."""
    if item.label is None:
        return f"- ({item.label_reason})"
    return item.label.value if item.label_reason is None else f"{item.label.value} (one seed)"


def _pace(item: CurveFit) -> str:
    """Return the volume at which half of the gain is reached, for the table."""
    pace = item.half_gain_examples
    if pace is None:
        return "-"
    return f"{pace.estimate:,.0f}" if pace.estimate >= 10 else f"{pace.estimate:.1f}"


def _footnotes(fits: Sequence[CurveFit]) -> list[str]:
    """Say what the intervals cover and which rule gives the labels."""
    from dashboard.analysis import IntervalKind
    from dashboard.analysis.curve_data import unit_of

    covers = {
        IntervalKind.ITEMS_AND_RUNS: "test items and run-to-run differences",
        IntervalKind.ITEMS_ONLY: "test items only (one seed: nothing about another run)",
        IntervalKind.STDERR_AND_RUNS: "standard errors of scores and run-to-run differences",
        IntervalKind.STDERR_ONLY: "standard errors of scores only (one seed)",
        IntervalKind.RESIDUAL: "the scatter around the curve",
    }
    kinds = sorted({item.noise for item in fits if item.noise is not None})
    levels = sorted({f"{100 * item.gain.level:g}%" for item in fits if item.gain is not None})
    lines = [
        f"{' / '.join(levels)} intervals cover {covers[kind]}." for kind in kinds if kind in covers
    ]
    if any(item.half_gain_examples is not None for item in fits):
        units = sorted({unit_of(item.x_kind) for item in fits})
        lines.append(f"half by: the {' or '.join(units)} at which half of the gain is reached.")
    deltas = sorted({item.delta for item in fits if item.delta is not None})
    if deltas:
        stated = " or ".join(f"{delta:g}" for delta in deltas)
        lines.append(
            f"resistant: a gain of {stated} or more is ruled out at 95%; responsive: significant "
            "after Benjamini-Hochberg; saturating: responsive, and the next doubling adds less "
            "than 0.01 (90%). See docs/statistics.md."
        )
    if any(item.label is not None and item.label_reason is not None for item in fits):
        lines.append("(one seed): how much runs differ is judged by the scatter around the curves.")
    return lines
