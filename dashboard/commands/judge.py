"""`judge summary`: win rates, ratings, agreement and biases as tables or JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dashboard.commands.options import Filter, JsonOption, WorkspaceOption
from warehouse.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from dashboard.analysis import Interval
    from dashboard.analysis.judge.between_voters import AgreementRow
    from dashboard.analysis.judge.bias import Bias
    from dashboard.analysis.judge.summary import JudgeSummary, ModelRow

_PLAIN_WIDTH = 120
"""Columns of a table that goes to a file or a pipe."""

_MANY = 20
"""Rows of agreement that a terminal shows; JSON holds all."""


def judge_summary(
    study: Filter = None,
    ability: Filter = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Model to measure against; else the one in every comparison, if any."),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(help="Voter of the jury; may be repeated. Default: all judges, else people."),
    ] = None,
    jury: Annotated[
        str, typer.Option(help="Several voters on one pair: mean or majority.")
    ] = "mean",
    order_effect: Annotated[
        bool, typer.Option("--order-effect", help="Let ratings allow for being shown first.")
    ] = False,
    level: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.95,
    replicates: Annotated[int, typer.Option(help="Bootstrap replicates.")] = 1000,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_output: JsonOption = False,
) -> None:
    """Summarise judge votes: win rates, plain and at equal length, ratings, agreement, biases.

    Example: python cli.py judge summary --study arena --reference gpt4_1106_preview
    """
    import contextlib
    import json

    from dashboard.analysis.judge.pairs import JuryRule
    from dashboard.analysis.judge.summary import summarise_votes
    from dashboard.judge_evidence import load_judge_votes
    from warehouse.connection import latest_snapshot, open_latest
    from warehouse.errors import InputError
    from warehouse.workspace import open_workspace

    if jury not in set(JuryRule):
        raise InputError(f"--jury {jury!r} is no rule for juries; give mean or majority.")
    snapshot = latest_snapshot(open_workspace(workspace))
    with contextlib.closing(open_latest(snapshot.path)) as conn:
        votes = load_judge_votes(conn, studies=study, abilities=ability)
    models = sorted({name for part in votes.values() for name in part.models})
    voters = sorted({name for part in votes.values() for name in part.voters})
    if votes and reference is not None and reference not in models:
        raise InputError(_unknown("--reference", reference, models))
    for name in judge or ():
        if votes and name not in voters:
            raise InputError(_unknown("--judge", name, voters))
    summaries = {}
    for name, part in votes.items():
        mine = [voter for voter in judge or () if voter in part.voters]
        if judge and not mine:
            continue
        summaries[name] = summarise_votes(
            part,
            # Studies of other models are measured as they would be by themselves.
            reference=reference if reference in part.models else None,
            judges=mine or None,
            jury_rule=JuryRule(jury),
            order_effect=order_effect,
            level=level,
            n_replicates=replicates,
        )
    if json_output:
        document = {"snapshot": snapshot.id} | _document(summaries)
        print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))
        return
    _print(summaries)


def _unknown(option: str, name: str, known: list[str]) -> str:
    """Return the sentence about a name that no vote holds."""
    listed = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
    return f"{option} {name!r} is in no vote of these studies; known: {listed}."


def _document(summaries: dict[str, JudgeSummary]) -> dict[str, Any]:
    """Return all studies as one document: rows of all studies in one list each."""
    from dashboard.analysis.judge.document import summary_document

    rows: dict[str, list[Any]] = {
        "models": [], "agreement": [], "agreement_with_people": [], "bias": [],
    }  # fmt: skip
    studies = []
    for study, summary in summaries.items():
        document = summary_document(summary)
        for name, collected in rows.items():
            collected += [{"study": study} | row for row in document.pop(name)]
        studies.append({"study": study} | document)
    return rows | {"studies": studies}


def _print(summaries: dict[str, JudgeSummary]) -> None:
    """Print a few tables per study, and what the votes say in a sentence."""
    from rich.console import Console

    from dashboard.analysis.judge.document import read_summary

    console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    if not summaries:
        console.print(
            "No judge votes yet: run a judge, or python cli.py import judgments votes.csv."
        )
    for study, summary in summaries.items():
        _print_models(console, study, summary)
        _print_agreement(console, summary)
        _print_bias(console, summary)
        console.print(read_summary(summary), highlight=False)
        console.print(
            f"{100 * summary.level:g}% intervals cover the draw of items, not another judge; ties "
            "are half wins. See docs/judge_statistics.md.\n",
            highlight=False,
        )


def _print_models(console: Any, study: str, summary: JudgeSummary) -> None:
    """Print one line a model."""
    against = "all models met" if summary.reference is None else summary.reference
    marked = any(row.mean_mark is not None for row in summary.models)
    table = _table(
        f"{study}: win rates against {against}, jury of {len(summary.jury)}",
        ["model"],
        ["items", "win rate", "stderr", "equal length", "rating", "flips", "failed"]
        + (["mean mark"] if marked else []),
    )
    for row in summary.models:
        flips = "-" if row.inconsistent_rate is None else f"{100 * row.inconsistent_rate:.1f}%"
        cells = [
            row.model,
            "-" if row.win_rate is None else f"{row.win_rate.n_items:,}",
            "-" if row.win_rate is None else _bounds(row.win_rate.interval, 100, 1),
            _stderr(row),
            _equal_length(row),
            "-" if row.rating is None else _bounds(row.rating, 1, 2),
            flips,
            f"{row.n_failed:,}",
        ]
        if marked:
            mark = None if row.mean_mark is None else row.mean_mark.interval
            cells.append("-" if mark is None else _bounds(mark, 1, 2))
        table.add_row(*cells)
    console.print(table)
    for text in _reasons(summary):
        console.print(text, highlight=False)


def _reasons(summary: JudgeSummary) -> list[str]:
    """Return why columns are empty or special, each reason once."""
    texts = [summary.ratings.reason, summary.ratings.order_effect_reason]
    for row in summary.models:
        controlled = row.length_controlled
        if controlled is not None and controlled.reason and not row.is_reference:
            texts.append(f"Equal length: {controlled.reason} ({row.model}).")
            break
    effect = summary.ratings.order_effect
    if effect is not None:
        texts.append(f"Being shown first adds {_bounds(effect, 1, 3)} to the log-odds.")
    return [text for text in texts if text is not None]


def _print_agreement(console: Any, summary: JudgeSummary) -> None:
    """Print agreement between voters, with all people first."""
    rows = (*summary.agreement_with_people, *summary.agreement)
    if not rows:
        return
    table = _table("Agreement", ["voter", "with"], ["verdicts", "agree", "without ties", "kappa"])
    for row in rows[:_MANY]:
        table.add_row(*_agreement_cells(row))
    console.print(table)
    if len(rows) > _MANY:
        console.print(f"... and {len(rows) - _MANY} more rows in --json.", highlight=False)


def _agreement_cells(row: AgreementRow) -> list[str]:
    """Return the cells of one row of agreement."""
    result = row.result
    decided = result.agreement_decided
    return [
        row.annotator_a,
        row.annotator_b,
        f"{result.n:,}",
        _bounds(result.agreement.interval, 100, 1),
        "-" if decided is None else _bounds(decided.interval, 100, 1),
        "-" if result.kappa is None else _bounds(result.kappa, 1, 2),
    ]


def _print_bias(console: Any, summary: JudgeSummary) -> None:
    """Print the biases that the votes can show."""
    rows = [row for row in summary.bias if row.estimate is not None]
    if not rows:
        return
    n_tests = rows[0].n_tests
    table = _table(
        f"Biases (q: Benjamini-Hochberg over {n_tests} test{'s' if n_tests > 1 else ''})",
        ["voter", "bias"],
        ["estimate", "unbiased", "q"],
    )
    for row in rows[:_MANY]:
        table.add_row(
            row.voter, row.kind.value, _bias(row), f"{row.unbiased:g}", f"{row.q_value:.3f}"
        )
    console.print(table)


def _table(title: str, left: list[str], right: list[str]) -> Any:
    """Return an empty table with left- and right-aligned columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for heading in left:
        table.add_column(heading, overflow="fold", min_width=12)
    for heading in right:
        table.add_column(heading, justify="right")
    return table


def _stderr(row: ModelRow) -> str:
    """Return the standard error of a win rate in points."""
    if row.win_rate is None or row.win_rate.stderr is None:
        return "-"
    return f"{100 * row.win_rate.stderr:.2f}"


def _equal_length(row: ModelRow) -> str:
    """Return the length-controlled win rate, marked where a prior was needed."""
    controlled = row.length_controlled
    if controlled is None or controlled.share is None:
        return "-"
    mark = "" if controlled.status.value == "ok" else "*"
    return f"{100 * controlled.share.estimate:.1f}{mark}"


def _bias(row: Bias) -> str:
    """Return the estimate of a bias."""
    assert row.estimate is not None  # only such rows are printed
    return _bounds(row.estimate, 1, 3)


def _bounds(interval: Interval, scale: float, digits: int) -> str:
    """Return an estimate with its interval."""
    low, high = scale * interval.low, scale * interval.high
    return f"{scale * interval.estimate:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
