"""A chart of whatever rows a query returned."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import (
    COLOURS,
    DASHES,
    FAINT,
    GREY,
    SYMBOLS,
    Frame,
    apply_frame,
    escape,
    shorten,
)
from dashboard.charts.wording import say_count

NO_SERIES = "(none)"

_HEIGHT = 380
_MAX_POINTS = 2_000
"""SVG marks that a browser draws without delay."""
_MAX_LABEL = 40
_SLANT = 40
"""Degrees of labels along the axis."""


class ChartKind(StrEnum):
    """How rows are drawn."""

    LINE = "line"
    POINTS = "points"
    BARS = "bars"


def numeric_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns that can be measured along an axis."""
    return [name for name in rows if _is_number(rows[name])]


def label_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns whose values can stand on an axis or name a series."""
    return [name for name in rows if _is_number(rows[name]) or _is_label(rows[name])]


def likely_place(rows: pd.DataFrame, y: str) -> str:
    """Return the column to draw `y` against unless the reader says otherwise: the most varied."""
    varied = {name: rows[name].nunique() for name in label_columns(rows) if name != y}
    texts = {name: n for name, n in varied.items() if not _is_number(rows[name])}
    return max(texts or varied, key=varied.__getitem__)


def series_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns of few enough values to give each a colour, dash and mark."""
    return [name for name in rows if _is_label(rows[name]) and rows[name].nunique() <= len(COLOURS)]


def query_figure(
    rows: pd.DataFrame, *, kind: ChartKind, x: str, y: str, series: str | None, note: str
) -> go.Figure:
    """Draw one column against another.

    Parameters
    ----------
    rows : DataFrame
        Rows without a value of `y` are left out; at most 2,000 are drawn, which the subtitle says.
    x : str
        One of `label_columns`.
    y : str
        One of `numeric_columns`.
    series : str or None
        One of `series_columns`: a colour, dash and mark for each of its values.
    note : str
        Source, written under the figure.
    """
    known = rows[rows[y].notna() & rows[x].notna()]
    drawn = known.head(_MAX_POINTS)
    figure = go.Figure()
    groups = [(y, drawn)] if series is None else list(drawn.groupby(series, sort=False))
    for index, (name, members) in enumerate(groups):
        figure.add_trace(_trace(kind, members, x, y, str(name), index))
    axis = {"showline": True, "linecolor": GREY, "ticks": "outside", "tickcolor": GREY}
    room = 58
    axis["title"] = {"text": escape(x), "standoff": 6}
    if not _is_number(rows[x]):
        # Slanted labels need room of their own, and the title names the column.
        longest = max((len(str(place)) for place in drawn[x]), default=0)
        room = 30 + round(4.2 * min(longest, _MAX_LABEL))
        axis |= {"title": None, "tickangle": -_SLANT}
    figure.update_layout(
        xaxis={"showgrid": False, **axis},
        yaxis={"gridcolor": FAINT, "zeroline": False, "automargin": True},
        barmode="group",
    )
    said = say_count(len(known), "row")
    if len(drawn) < len(known):
        said = f"The first {_MAX_POINTS:,} of {said}"
    if series is not None:
        said += f", by {series}"
    frame = Frame(
        title=f"{y} by {x}",
        subtitle=said,
        note=note,
        left=64,
        axis_room=room,
        legend=series is not None,
    )
    return apply_frame(figure, frame, _HEIGHT)


def _trace(
    kind: ChartKind, rows: pd.DataFrame, x: str, y: str, name: str, index: int
) -> go.Bar | go.Scatter:
    """Draw one series."""
    colour = COLOURS[index % len(COLOURS)]
    places = rows[x] if _is_number(rows[x]) else [_label(value) for value in rows[x]]
    values = rows[y].to_numpy(float)
    shared = {"x": places, "y": values, "name": _label(name)}
    if kind is ChartKind.BARS:
        pattern = ("", "/", "x", "-", ".", "+")[index % len(COLOURS)]
        return go.Bar(**shared, marker={"color": colour, "pattern": {"shape": pattern}})
    if kind is ChartKind.LINE and _is_number(rows[x]):
        order = np.argsort(rows[x].to_numpy(float), kind="stable")
        shared |= {"x": rows[x].to_numpy(float)[order], "y": values[order]}
    return go.Scatter(
        **shared,
        mode="lines+markers" if kind is ChartKind.LINE else "markers",
        line={"color": colour, "dash": DASHES[index % len(DASHES)]},
        marker={"color": colour, "symbol": SYMBOLS[index % len(SYMBOLS)], "size": 8},
    )


def _label(value: object) -> str:
    """Return a value as text that a figure shows literally."""
    return escape(shorten(str(value), _MAX_LABEL))


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _is_label(column: pd.Series) -> bool:
    """Tell whether a column holds texts, truth values, dates or whole numbers."""
    kinds = (
        pd.api.types.is_string_dtype,
        pd.api.types.is_bool_dtype,
        pd.api.types.is_datetime64_any_dtype,
        pd.api.types.is_integer_dtype,
    )
    return any(is_kind(column) for is_kind in kinds)
