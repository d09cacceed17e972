"""Judges' votes: who wins, plainly and at equal length, ratings, biases and agreement."""

from __future__ import annotations

from enum import StrEnum

import pandas as pd
import plotly.graph_objects as go

from dashboard.analysis import ResponseKind
from dashboard.analysis.judge.length_controlled import LengthControlStatus
from dashboard.analysis.judge.summary import JudgeSummary, ModelRow
from dashboard.analysis.results import Interval
from dashboard.charts.forest import Axis, Mark, Row, forest_figure, plan_named_series
from dashboard.charts.style import escape
from dashboard.charts.wording import say_count, say_interval

_PLAIN, _CONTROLLED = "plain", "at equal length"
_MAX_ROWS = 40

NOTE = (
    "Marks and lines: estimate and {level:.0%} interval over the draw of items, not of judges. "
    "Ties, and verdicts that changed with the order, are half wins."
)
PRIOR_NOTE = "Hollow: the effect of length is not this model's own alone but leans on the others'."


class VoteKind(StrEnum):
    """Which votes to list."""

    ALL = "all"
    FAILED = "failed"
    FLIPPED = "changed with the order"
    DISPUTED = "voters differ"


def win_rate_figure(
    summary: JudgeSummary, *, title: str, note: str, narrow: bool = False
) -> go.Figure | None:
    """Draw win rates, plain and length-controlled; None if no pair was compared."""
    rows = [
        Row(name=row.model, marks=marks, text=_share_text(row))
        for row in summary.models[:_MAX_ROWS]
        if (marks := _win_marks(row)) and not row.is_reference
    ]
    if not rows:
        return None
    used = [name for name in (_PLAIN, _CONTROLLED) if _uses(rows, name)]
    against = "all answers met" if summary.reference is None else summary.reference
    return forest_figure(
        rows,
        plan_named_series(used),
        Axis(title="win rate", tick_format=".0%", references=((0.5, "even"),)),
        title=title,
        subtitle=f"Share of pairs won against {against}, clustered by item",
        note=note,
        text_heading="win rate",
        narrow=narrow,
    )


def rating_figure(
    summary: JudgeSummary, *, title: str, note: str, narrow: bool = False
) -> go.Figure | None:
    """Draw Bradley-Terry ratings; None if there are none."""
    rows = [
        Row(
            name=row.model,
            marks=(_mark("rating", row.rating, f"{row.rating.estimate:.2f}"),),
            text=f"{row.rating.estimate:.2f}".replace("-", "\N{MINUS SIGN}"),
        )
        for row in summary.models[:_MAX_ROWS]
        if row.rating is not None
    ]
    if not rows:
        return None
    zero = "mean of all" if summary.reference is None else summary.reference
    return forest_figure(
        rows,
        plan_named_series(["rating"]),
        Axis(title="rating (log-odds of winning)", references=((0.0, zero),)),
        title=title,
        subtitle="Bradley-Terry ratings: a difference of 1 wins 73% of pairs",
        note=note,
        text_heading="rating",
        narrow=narrow,
    )


def win_rate_title(summary: JudgeSummary) -> str:
    """Say which model wins most, or that none wins more than half."""
    known = [row for row in summary.models if row.win_rate is not None and not row.is_reference]
    best = max(known, key=lambda row: row.win_rate.estimate if row.win_rate else 0, default=None)
    if best is None or best.win_rate is None:
        return "No pair was compared"
    surely = sum(row.win_rate.interval.low > 0.5 for row in known if row.win_rate)
    return (
        f"{best.model} wins most; {surely} of {say_count(len(known), 'model')} "
        f"{'wins' if surely == 1 else 'win'} more than half beyond the interval"
    )


def rating_title(summary: JudgeSummary) -> str:
    """Say which model is rated highest, and by how much."""
    known = sorted(
        ((row.rating.estimate, row.model) for row in summary.models if row.rating is not None),
        reverse=True,
    )
    if len(known) < 2:
        return "No two models are rated"
    (first, best), (second, after) = known[:2]
    return f"{best} is rated highest, {first - second:.2f} above {after}"


def models_rows(summary: JudgeSummary) -> pd.DataFrame:
    """Return one line a model for readers: `models_table` in words."""
    return pd.DataFrame(
        [
            {
                "model": row.model,
                "items": None if row.win_rate is None else row.win_rate.n_items,
                "win rate": say_interval(row.win_rate.interval, ResponseKind.ACCURACY)
                if row.win_rate
                else None,
                "at equal length": _say_controlled(row),
                "rating": _say(row.rating),
                "verdicts that changed with the order": None
                if row.inconsistent_rate is None
                else f"{row.inconsistent_rate:.1%}",
                "failed votes": row.n_failed,
                "mean mark": None if row.mean_mark is None else _say(row.mean_mark.interval),
            }
            for row in summary.models
        ]
    )


def models_table(summary: JudgeSummary) -> pd.DataFrame:
    """Return one line a model: win rates, rating, flips, failed votes, mean mark, as numbers."""
    rows = []
    for row in summary.models:
        share, controlled = row.win_rate, row.length_controlled
        level = None if controlled is None else controlled.share
        rows.append(
            {
                "model": row.model,
                "items": None if share is None else share.n_items,
                **_spread("win_rate", None if share is None else share.interval),
                "win_rate_stderr": None if share is None else share.stderr,
                **_spread("equal_length", None if level is None else level.interval),
                "equal_length_status": None if controlled is None else controlled.status.value,
                **_spread("rating", row.rating),
                "flips": row.inconsistent_rate,
                "failed_votes": row.n_failed,
                **_spread("mean_mark", None if row.mean_mark is None else row.mean_mark.interval),
            }
        )
    return pd.DataFrame(rows)


def bias_rows(summary: JudgeSummary) -> pd.DataFrame:
    """Return one line a voter and kind of bias, with why it can't be told where it can't."""
    return pd.DataFrame(
        [
            {
                "voter": bias.voter,
                "bias": bias.kind.value.replace("_", " "),
                "estimate": _say(bias.estimate),
                "without bias": bias.unbiased,
                "q": bias.q_value,
                "comparisons": bias.n,
                "reason": bias.reason,
            }
            for bias in summary.bias
        ]
    )


def agreement_rows(summary: JudgeSummary) -> pd.DataFrame:
    """Return one line a pair of voters, all people together first."""
    return pd.DataFrame(
        [
            {
                "voter": row.annotator_a,
                "with": row.annotator_b,
                "on": row.on,
                "verdicts": row.result.n,
                "agreement": say_interval(row.result.agreement.interval, ResponseKind.ACCURACY),
                "without ties": None
                if row.result.agreement_decided is None
                else f"{row.result.agreement_decided.estimate:.1%}",
                "kappa": _say(row.result.kappa),
                "reason": row.result.kappa_reason,
            }
            for row in (*summary.agreement_with_people, *summary.agreement)
        ]
    )


def select_votes(votes: pd.DataFrame, kind: VoteKind) -> pd.DataFrame:
    """Keep the votes of a kind.

    Parameters
    ----------
    votes : DataFrame
        item_id, protocol, model_a, model_b, shown_first, voter, preference, failed_reason.
    """
    if kind is VoteKind.FAILED:
        return votes[votes["failed_reason"].notna()]
    if kind is VoteKind.ALL:
        return votes
    pair = ["item_id", "protocol", "model_a", "model_b"]
    if kind is VoteKind.FLIPPED:
        pair.append("voter")
    sides = votes["preference"].groupby([votes[name] for name in pair], dropna=False)
    differ = (sides.transform("min") < 1.5) & (sides.transform("max") > 1.5)
    return votes[differ.fillna(False).to_numpy(bool)]


def _win_marks(row: ModelRow) -> tuple[Mark, ...]:
    """Return the marks of a model's win rates."""
    if row.win_rate is None:
        return ()
    marks = [_mark(_PLAIN, row.win_rate.interval, f"{row.win_rate.n_items:,} items")]
    controlled = row.length_controlled
    if controlled is not None and controlled.share is not None:
        own = controlled.status is LengthControlStatus.OK
        hover = controlled.status.value if controlled.reason is None else controlled.reason
        marks.append(_mark(_CONTROLLED, controlled.share.interval, hover, filled=own))
    return tuple(marks)


def _mark(series: str, interval: Interval, hover: str, *, filled: bool = True) -> Mark:
    return Mark(
        series=series,
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        hover=escape(hover),
        filled=filled,
    )


def _uses(rows: list[Row], series: str) -> bool:
    return any(mark.series == series for row in rows for mark in row.marks)


def _share_text(row: ModelRow) -> str:
    return "" if row.win_rate is None else f"{row.win_rate.estimate:.1%}"


def _say_controlled(row: ModelRow) -> str | None:
    """Return a model's win rate at equal length, and what there is to know about it."""
    controlled = row.length_controlled
    if controlled is None or controlled.share is None:
        return None
    said = say_interval(controlled.share.interval, ResponseKind.ACCURACY)
    own = controlled.status is LengthControlStatus.OK
    return said if own else f"{said} ({controlled.status.value.replace('_', ' ')})"


def _say(interval: Interval | None) -> str | None:
    """Return an estimate with its interval in plain numbers."""
    if interval is None:
        return None
    numbers = (interval.estimate, interval.low, interval.high)
    estimate, low, high = (f"{number:.2f}".replace("-", "\N{MINUS SIGN}") for number in numbers)
    return f"{estimate} [{low}, {high}]"


def _spread(name: str, interval: Interval | None) -> dict[str, float | None]:
    """Spread an interval over three columns."""
    if interval is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
