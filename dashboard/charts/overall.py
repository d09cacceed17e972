"""The mean over abilities against volume, one line a base model and data source."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from dashboard.analysis import ResponseKind
from dashboard.analysis.compare.results import Overall
from dashboard.charts.axes import (
    VolumeAxis,
    add_break_mark,
    plan_volume_axis,
    score_axis_layout,
    volume_axis_layout,
)
from dashboard.charts.style import (
    COLOURS,
    DASHES,
    SMALL_SIZE,
    SYMBOLS,
    Frame,
    Series,
    apply_frame,
    escape,
    fade,
)
from dashboard.charts.wording import (
    VOLUME_WORDS,
    say_count,
    say_examples,
    say_gain,
    say_interval,
    say_list,
)

_HEIGHT = 210
_DODGE = 0.03
_NOTE = (
    "Marks: means over abilities, each counting the same, with {level:.0%} intervals over test "
    "items and run-to-run differences."
)


def group_overall(
    lines: Sequence[Overall], models: Sequence[str], sources: Sequence[str], domain: str
) -> list[list[Overall]]:
    """Return the means that are drawn together: a list a metric, in order of models and sources.

    Means over one ability are left out, and so are those whose volumes count something else than
    the first one's.

    Parameters
    ----------
    lines : sequence of Overall
        Of one study.
    models, sources : sequence of str
        Which ones, in the order wanted.
    domain : str
        `in_domain` or `out_of_domain`.
    """
    wanted = [
        line
        for line in lines
        if line.domain == domain and line.base_model in models and line.data_source in sources
    ]
    wanted.sort(key=lambda one: (models.index(one.base_model), sources.index(one.data_source)))
    by_metric: dict[str, list[Overall]] = {}
    for line in wanted:
        if len(line.abilities) > 1 and line.curve:
            alike = by_metric.setdefault(line.metric, [])
            if not alike or line.x_kind == alike[0].x_kind:
                alike.append(line)
    return list(by_metric.values())


def overall_note(lines: Sequence[Overall], level: float) -> str:
    """Say what marks and intervals are, and which abilities the means leave out."""
    left_out = sorted({ability for line in lines for ability in line.left_out})
    more = f" Left out: {', '.join(left_out)}." if left_out else ""
    return _NOTE.format(level=level) + more


def overall_figure(
    lines: Sequence[Overall], response: ResponseKind, *, title: str, note: str
) -> go.Figure:
    """Draw the macro means of several base models or data sources against volume.

    Parameters
    ----------
    lines : sequence of Overall
        At least one with a curve, all of one domain and kind of volume; others are left out.
    response : ResponseKind
        Kind of score.
    title, note : str
        The finding; source and uncertainty.
    """
    drawn = [line for line in lines if line.curve]
    series = _plan(drawn)
    axis = plan_volume_axis([p.n_examples for line in drawn for p in line.curve])
    figure = go.Figure()
    for index, line in enumerate(drawn):
        # Error bars of several lines stand side by side.
        shift = _DODGE * (index - (len(drawn) - 1) / 2) * (axis.limits[1] - axis.limits[0]) / 4
        _add_line(figure, line, axis, series[line.base_model, line.data_source], response, shift)
    percent = response is ResponseKind.ACCURACY
    figure.update_layout(
        xaxis={
            **volume_axis_layout(axis, show_labels=True, wide=True),
            "title": {"text": _axis_words(drawn[0]), "font": {"size": SMALL_SIZE}, "standoff": 6},
        },
        yaxis={
            **score_axis_layout(_limits(drawn), percent=percent, show_labels=True),
            "title": {
                "text": f"Mean {escape(drawn[0].metric.replace('_', ' '))}",
                "font": {"size": SMALL_SIZE},
                "standoff": 4,
            },
        },
    )
    add_break_mark(figure, axis, "x", "y", wide=True)
    first = drawn[0]
    frame = Frame(
        title=title,
        subtitle=f"Mean score over {say_count(len(first.abilities), _noun(first), _nouns(first))} "
        f"({first.metric.replace('_', ' ')}"
        f"{'' if first.higher_is_better else ', lower is better'}) against "
        f"{VOLUME_WORDS[first.x_kind]} (logarithmic beyond the axis break)",
        note=note,
        left=60,
        axis_room=48,
        legend=len(series) > 1,
    )
    return apply_frame(figure, frame, _HEIGHT)


def overall_title(lines: Sequence[Overall], response: ResponseKind) -> str:
    """Say what the mean over abilities gains from data on each model or source."""
    gains = [(line, line.gain) for line in lines if line.curve and line.gain is not None]
    if not gains:
        return "The mean over abilities has no gain that could be estimated"
    names = _names([line for line, _ in gains])
    said = [f"{say_gain(gain.estimate, response)} on {names[_key(line)]}" for line, gain in gains]
    more = f" and {len(said) - 4} more" if len(said) > 4 else ""
    return f"From no data to the largest volume the mean changes by {say_list(said[:4])}{more}"


def overall_table(lines: Sequence[Overall]) -> pd.DataFrame:
    """Return one row a line and volume: mean over abilities with its interval, as numbers."""
    return pd.DataFrame(
        [
            {
                "study": line.study,
                "domain": line.domain,
                "base_model": line.base_model,
                "data_source": line.data_source,
                "metric": line.metric,
                "n_abilities": len(line.abilities),
                "n_examples": point.n_examples,
                "score": point.score.estimate,
                "low": point.score.low,
                "high": point.score.high,
                "level": point.score.level,
            }
            for line in lines
            for point in line.curve
        ]
    )


def _add_line(
    figure: go.Figure,
    line: Overall,
    axis: VolumeAxis,
    style: Series,
    response: ResponseKind,
    shift: float,
) -> None:
    """Draw one line with its intervals."""
    scores = [point.score for point in line.curve]
    figure.add_trace(
        go.Scatter(
            x=axis.position([point.n_examples for point in line.curve]) + shift,
            y=[score.estimate for score in scores],
            mode="lines+markers",
            name=style.name,
            line={"color": style.colour, "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 8, "color": style.colour},
            error_y={
                "array": [score.high - score.estimate for score in scores],
                "arrayminus": [score.estimate - score.low for score in scores],
                "thickness": 1.5,
                "width": 0,
                "color": fade(style.colour, 0.6),
            },
            customdata=[
                f"<b>{style.name}</b><br>{say_interval(point.score, response)}"
                f"<br>at {say_examples(point.n_examples)} {VOLUME_WORDS[line.x_kind]}"
                for point in line.curve
            ],
            hovertemplate="%{customdata}<extra></extra>",
        )
    )


def _plan(lines: Sequence[Overall]) -> dict[tuple[str, str], Series]:
    """Give each line its colour, dash and symbol; all three tell lines apart."""
    names = _names(lines)
    return {
        key: Series(
            name=escape(names[key]),
            colour=COLOURS[i % len(COLOURS)],
            dash=DASHES[i % len(DASHES)],
            symbol=SYMBOLS[i % len(SYMBOLS)],
        )
        for i, key in enumerate(dict.fromkeys(map(_key, lines)))
    }


def _names(lines: Sequence[Overall]) -> dict[tuple[str, str], str]:
    """Name each line by what differs between them."""
    models = {line.base_model for line in lines}
    sources = {line.data_source for line in lines}
    names = {}
    for line in lines:
        parts = [line.base_model] if len(models) > 1 or len(sources) == 1 else []
        parts += [line.data_source] if len(sources) > 1 else []
        names[_key(line)] = ", ".join(parts)
    return names


def _key(line: Overall) -> tuple[str, str]:
    return (line.base_model, line.data_source)


def _limits(lines: Sequence[Overall]) -> tuple[float, float]:
    """Return the score range of all intervals, with room."""
    low = min(point.score.low for line in lines for point in line.curve)
    high = max(point.score.high for line in lines for point in line.curve)
    room = 0.06 * (high - low) or 0.05
    return (low - room, high + room)


def _axis_words(line: Overall) -> str:
    return VOLUME_WORDS[line.x_kind].capitalize()


def _noun(line: Overall) -> str:
    return "exam" if line.domain == "out_of_domain" else "ability"


def _nouns(line: Overall) -> str:
    return "exams" if line.domain == "out_of_domain" else "abilities"
