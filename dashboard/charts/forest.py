"""Rows of estimates with intervals on one axis, one row an ability, and what they say in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.style import (
    COLOURS,
    DASHES,
    FAINT,
    GREY,
    PANEL_TITLE_SIZE,
    SMALL_SIZE,
    SYMBOLS,
    Frame,
    Series,
    apply_frame,
    escape,
    shorten,
)

_ROW_HEIGHT = 24
_MARK_HEIGHT = 13
# In narrow figures a row's name and text stand over its marks.
_NAME_HEIGHT = 17
_NARROW_CHARACTERS = 52
# Names of references nearer to an end of the axis than this share of it don't stand centred.
_EDGE = 0.15
_HEAD_ROOM = 22
_NAME_CHARACTERS = 34
_ARROW = 9
# Lettering of 12 pixels is about this wide a character.
_PIXELS_PER_CHARACTER = 6.4


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One estimate of a row.

    Attributes
    ----------
    series : str
        Which of the figure's series it belongs to.
    estimate : float or None
        None: beyond the axis' end; an arrow stands there.
    low, high : float or None
        Bounds; None is an open end, drawn to the edge with an arrow.
    hover : str
        Shown on pointing, escaped by the caller.
    filled : bool
        Hollow marks are those that say less, such as differences that are not significant.
    """

    series: str
    estimate: float | None
    low: float | None
    high: float | None
    hover: str
    filled: bool = True


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is estimated of one ability; `text` stands at the right, `apart` sets it off."""

    name: str
    marks: tuple[Mark, ...]
    text: str = ""
    apart: bool = False


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The axis that all rows share.

    Attributes
    ----------
    title : str
        What is measured, with its unit.
    log : bool
        Whether ratios are shown.
    tick_format : str
        Plotly's, such as ".0%".
    references : tuple of (float, str)
        Values marked by a line, with their names.
    limits : tuple of float, optional
        Values that the axis must reach at least.
    """

    title: str
    log: bool = False
    tick_format: str = "~g"
    references: tuple[tuple[float, str], ...] = ()
    limits: tuple[float, ...] = ()


def plan_named_series(names: Sequence[str]) -> dict[str, Series]:
    """Give each name its colour, dash and symbol, in order."""
    return {
        name: Series(
            name=escape(name),
            colour=COLOURS[i % len(COLOURS)],
            dash=DASHES[i % len(DASHES)],
            symbol=SYMBOLS[i % len(SYMBOLS)],
        )
        for i, name in enumerate(names)
    }


def forest_figure(
    rows: Sequence[Row],
    series: Mapping[str, Series],
    axis: Axis,
    *,
    title: str,
    subtitle: str,
    note: str,
    text_heading: str = "",
    narrow: bool = False,
) -> go.Figure:
    """Draw rows of estimates with intervals.

    Parameters
    ----------
    rows : sequence of Row
        At least one, the first on top.
    series : mapping
        How the marks of each series are drawn; several get a legend.
    axis : Axis
        What the rows share.
    title, subtitle, note : str
        The finding; measure and unit; source and uncertainty.
    text_heading : str
        What the rows' texts are.
    narrow : bool
        Whether names and texts stand over the marks instead of beside them, for one column of a
        paper.
    """
    low, high = _limits(rows, axis)
    headed = narrow and bool(text_heading) and any(row.text for row in rows)
    head = _HEAD_ROOM + _NAME_HEIGHT * headed
    tops, height = _place(rows, head, narrow=narrow)
    figure = go.Figure()
    for value, name in axis.references:
        if low <= value <= high:
            _add_reference(figure, value, name, (head, height), axis, (low, high))
    if len(series) > 1:
        _add_legend(figure, series)
    for row, top in zip(rows, tops, strict=True):
        _add_row(figure, row, top + _NAME_HEIGHT * narrow, series, (low, high))
    widest = max((len(row.text) for row in rows), default=0)
    names = [shorten(row.name, _NAME_CHARACTERS) for row in rows]
    left = 12 + _ARROW + round(7.2 * max(len(name) for name in names))
    right = 14 + round(_PIXELS_PER_CHARACTER * max(widest, len(text_heading) if widest else 0))
    if narrow:
        left = right = 14
        _add_names(figure, rows, names, tops, text_heading if headed else "")
    else:
        _add_texts(figure, rows, tops, text_heading)
    spread = (math.log10(low), math.log10(high)) if axis.log else (low, high)
    figure.update_layout(
        xaxis={
            "range": list(spread),
            "type": "log" if axis.log else "linear",
            "tickformat": axis.tick_format,
            **({"tickvals": ratio_ticks(low, high)} if axis.log else {"nticks": 6}),
            "title": {"text": escape(axis.title), "font": {"size": SMALL_SIZE}, "standoff": 6},
            "tickfont": {"size": SMALL_SIZE - 1},
            "gridcolor": FAINT,
            "zeroline": False,
            "fixedrange": True,
        },
        yaxis={
            "range": [height, 0],
            "tickvals": [top + _row_height(row) / 2 for row, top in zip(rows, tops, strict=True)],
            "ticktext": [escape(name) for name in names],
            "tickfont": {"size": PANEL_TITLE_SIZE},
            "showticklabels": not narrow,
            # Room for the arrow of an open end.
            "ticklabelstandoff": _ARROW,
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
    )
    frame = Frame(
        title=title,
        subtitle=subtitle,
        note=note,
        left=left,
        right=right,
        axis_room=50,
        legend=len(series) > 1,
    )
    return apply_frame(figure, frame, round(height))


def ratio_ticks(low: float, high: float) -> list[float]:
    """Return round ratios between two: 1, 2 and 5 of every power of ten, or the powers alone."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def _row_height(row: Row) -> float:
    """Return a row's height in pixels, without a name over it."""
    return _ROW_HEIGHT + _MARK_HEIGHT * max(0, len(row.marks) - 1)


def _place(rows: Sequence[Row], head: float, *, narrow: bool) -> tuple[list[float], float]:
    """Return each row's top and the height of all, in pixels from the top."""
    tops, top = [], float(head)
    for before, row in zip([None, *rows], rows, strict=False):
        if row.apart and before is not None and not before.apart:
            top += _ROW_HEIGHT / 2
        tops.append(top)
        top += _row_height(row) + _NAME_HEIGHT * narrow
    return tops, top + 4


def _limits(rows: Sequence[Row], axis: Axis) -> tuple[float, float]:
    """Return the axis' ends: all estimates and bounds, with some room."""
    marks = [mark for row in rows for mark in row.marks]
    values = [v for mark in marks for v in (mark.estimate, mark.low, mark.high) if v is not None]
    values += [*axis.limits, *(value for value, _ in axis.references)]
    if axis.log:
        logs = np.log10([value for value in values if value > 0] or [1.0])
        # A bound of next to nothing would squeeze all else to one side.
        low, high = max(float(logs.min()), -2.5), min(float(logs.max()), 4.0)
        room = max(0.06 * (high - low), 0.1)
        return (10 ** (low - room), 10 ** (high + room))
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.05 * (high - low) or 0.05
    return (low - room, high + room)


def _add_reference(
    figure: go.Figure,
    value: float,
    name: str,
    ends: tuple[float, float],
    axis: Axis,
    limits: tuple[float, float],
) -> None:
    """Draw a value that all rows are read against; its name stays within the plot."""
    low, at, high = (
        np.log10([limits[0], value, limits[1]]) if axis.log else (limits[0], value, limits[1])
    )
    share = (at - low) / (high - low)
    figure.add_trace(
        go.Scatter(
            x=[value, value],
            y=[ends[0] - 4, ends[1]],
            mode="lines",
            name="reference",
            line={"color": GREY, "width": 1},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.add_annotation(
        text=escape(name),
        name="reference",
        font={"size": SMALL_SIZE - 1, "color": GREY},
        # Plotly places annotations on a logarithmic axis by exponent.
        x=at,
        xanchor="left" if share < _EDGE else "right" if share > 1 - _EDGE else "center",
        y=ends[0] - _HEAD_ROOM,
        yanchor="top",
        showarrow=False,
    )


def _add_row(
    figure: go.Figure,
    row: Row,
    top: float,
    series: Mapping[str, Series],
    limits: tuple[float, float],
) -> None:
    """Draw one row's marks, one under the other."""
    low, high = limits
    for index, mark in enumerate(row.marks):
        y = top + _ROW_HEIGHT / 2 + _MARK_HEIGHT * index
        style = series[mark.series]
        ends = [
            low if mark.low is None or mark.low < low else mark.low,
            high if mark.high is None or mark.high > high else mark.high,
        ]
        # An open end has an arrow, a bound has none.
        sizes = [_ARROW if ends[0] == low else 0, _ARROW if ends[1] == high else 0]
        figure.add_trace(
            go.Scatter(
                x=ends,
                y=[y, y],
                mode="lines+markers",
                name="interval",
                line={"color": style.colour, "width": 2},
                marker={
                    "symbol": ["triangle-left", "triangle-right"],
                    "size": sizes,
                    "color": style.colour,
                    "opacity": 1,
                },
                hoverinfo="skip",
                cliponaxis=False,
                showlegend=False,
            )
        )
        at = mark.estimate
        figure.add_trace(
            go.Scatter(
                x=[min(max(at, low), high) if at is not None else high],
                y=[y],
                mode="markers",
                name="estimate",
                marker={
                    "symbol": _symbol(mark, style),
                    "size": 10,
                    "color": style.colour,
                    "line": {"color": style.colour, "width": 2},
                },
                customdata=[mark.hover],
                hovertemplate="%{customdata}<extra></extra>",
                cliponaxis=False,
                showlegend=False,
            )
        )


def _symbol(mark: Mark, style: Series) -> str:
    """Return the mark of an estimate: hollow where it says less, an arrow where it has no end."""
    symbol = style.symbol if mark.estimate is not None else "triangle-right"
    return symbol if mark.filled else f"{symbol}-open"


def _add_legend(figure: go.Figure, series: Mapping[str, Series]) -> None:
    """Name each series by its mark."""
    for style in series.values():
        figure.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="markers",
                name=style.name,
                marker={"symbol": style.symbol, "size": 9, "color": style.colour},
                showlegend=True,
            )
        )


def _add_names(
    figure: go.Figure,
    rows: Sequence[Row],
    names: Sequence[str],
    tops: Sequence[float],
    heading: str,
) -> None:
    """Write each row's name over its marks at the left, and its text at the right."""
    written = [(0, f"<b>{escape(name)}</b>", top) for name, top in zip(names, tops, strict=True)]
    written += [
        (1, escape(shorten(row.text, _NARROW_CHARACTERS - len(name))), top)
        for row, name, top in zip(rows, names, tops, strict=True)
        if row.text
    ]
    if heading:
        written.append((1, f"<b>{escape(heading)}</b>", -3.0))
    for x, said, top in written:
        figure.add_annotation(
            text=said,
            name="row text",
            font={"size": SMALL_SIZE - x},
            xref="paper",
            x=x,
            xanchor="right" if x else "left",
            xshift=_ARROW if x else -_ARROW,
            y=top + _NAME_HEIGHT / 2 + 3,
            showarrow=False,
        )


def _add_texts(figure: go.Figure, rows: Sequence[Row], tops: Sequence[float], heading: str) -> None:
    """Write the rows' texts at the right, under their heading."""
    placed = [(row.text, top + _row_height(row) / 2) for row, top in zip(rows, tops, strict=True)]
    written = [(escape(text), y) for text, y in placed if text]
    if written and heading:
        written.append((f"<b>{escape(heading)}</b>", _HEAD_ROOM / 2 - 2))
    for text, y in written:
        figure.add_annotation(
            text=text,
            name="row text",
            font={"size": SMALL_SIZE},
            xref="paper",
            x=1,
            xanchor="left",
            xshift=8,
            y=y,
            showarrow=False,
        )
