"""A matrix of values: rows by columns, colour and sign for direction, marks for what is sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard.charts.style import (
    COLOURS,
    GREY,
    PANEL_TITLE_SIZE,
    SMALL_SIZE,
    Frame,
    apply_frame,
    escape,
    shorten,
)

_CELL_HEIGHT = 30
_NARROW_CELL_HEIGHT = 20
_GROUP_GAP = 0.4
_HEAD_ROOM = 0.8
_NAME_CHARACTERS = 22
_NARROW_CHARACTERS = 17
# Vermilion for harm, blue for help; between them grey that suits a light and a dark page.
_SCALE = [
    [0.0, "rgba(213, 94, 0, 1)"],
    [0.5, "rgba(128, 128, 128, 0.10)"],
    [1.0, "rgba(0, 114, 178, 1)"],
]
_STRONG = 0.55
SELECTED_COLOUR = COLOURS[4]


@dataclass(frozen=True, kw_only=True)
class Square:
    """One cell of the matrix.

    Attributes
    ----------
    row, column : str
        Names as the caller knows them; clicking returns them.
    value : float or None
        Colours the cell; None leaves it grey.
    text : str
        Written into it.
    hover : str
        Shown on pointing, escaped by the caller.
    outlined : bool
        Whether it is set off, such as an ability's own data.
    """

    row: str
    column: str
    value: float | None
    text: str
    hover: str
    outlined: bool = False


def matrix_figure(
    squares: Sequence[Square],
    *,
    column_groups: Sequence[tuple[str, Sequence[str]]],
    limit: float,
    unit: str,
    title: str,
    subtitle: str,
    note: str,
    row_heading: str,
    signed: bool = True,
    selected: tuple[str, str] | None = None,
    narrow: bool = False,
) -> go.Figure:
    """Draw squares in the order in which rows first appear.

    Parameters
    ----------
    squares : sequence of Square
        At least one.
    column_groups : sequence of (str, sequence of str)
        Headings and names of the columns, from left to right, with room between groups.
    limit : float
        Magnitude of the full colour, above 0.
    unit : str
        Named at the colour bar.
    title, subtitle, note : str
        The finding; measure and unit; source and uncertainty.
    row_heading : str
        What the rows are.
    signed : bool
        Whether values below 0 are among them; the colour bar starts at 0 otherwise.
    selected : (str, str), optional
        Row and column to point out.
    narrow : bool
        Whether cells are small, for one column of a paper; their texts are then a character or two.
    """
    n_characters = _NARROW_CHARACTERS if narrow else _NAME_CHARACTERS
    rows = list(dict.fromkeys(square.row for square in squares))
    places = _places([names for _, names in column_groups])
    figure = go.Figure()
    # One heat map a group, so that the room between groups stays clear.
    for index, (heading, names) in enumerate(column_groups):
        _add_cells(figure, squares, rows, names, places, limit, unit, bar=index == 0, signed=signed)
        _add_heading(figure, heading, places[names[0]])
    _add_texts(figure, squares, rows, places, limit)
    _add_outlines(figure, squares, rows, places, selected)
    figure.update_layout(
        xaxis={
            "range": [-0.5, max(places.values()) + 0.5],
            "tickvals": list(places.values()),
            "ticktext": [escape(shorten(_name(name), n_characters)) for name in places],
            "tickangle": -40,
            "tickfont": {"size": SMALL_SIZE},
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        yaxis={
            "range": [len(rows) - 0.5, -0.5 - _HEAD_ROOM],
            "tickvals": list(range(len(rows))),
            "ticktext": [escape(shorten(_name(row), n_characters)) for row in rows],
            "tickfont": {"size": SMALL_SIZE if narrow else PANEL_TITLE_SIZE},
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        clickmode="event+select",
        dragmode=False,
    )
    figure.add_annotation(
        text=f"<b>{escape(row_heading)}</b>",
        name="row heading",
        font={"size": SMALL_SIZE},
        xref="paper",
        x=0,
        xanchor="right",
        xshift=-6,
        y=-0.5 - _HEAD_ROOM / 2,
        showarrow=False,
    )
    widest = max(len(shorten(_name(row), n_characters)) for row in (*rows, row_heading))
    height = _NARROW_CELL_HEIGHT if narrow else _CELL_HEIGHT
    frame = Frame(
        title=title,
        subtitle=subtitle,
        note=note,
        left=14 + round((6.4 if narrow else 7.2) * widest),
        right=52 if narrow else 64,
        axis_room=20 + round(4.6 * max(len(shorten(_name(n), n_characters)) for n in places)),
    )
    return apply_frame(figure, frame, round(height * (len(rows) + _HEAD_ROOM)))


def _name(name: str) -> str:
    return name.replace("_", " ")


def _places(groups: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return each column's position."""
    places: dict[str, float] = {}
    at = 0.0
    for index, names in enumerate(groups):
        at += _GROUP_GAP if index else 0.0
        for name in names:
            places[name] = at
            at += 1
    return places


def _add_cells(
    figure: go.Figure,
    squares: Sequence[Square],
    rows: Sequence[str],
    names: Sequence[str],
    places: dict[str, float],
    limit: float,
    unit: str,
    *,
    bar: bool,
    signed: bool,
) -> None:
    """Colour the cells of one group of columns."""
    values = {(square.row, square.column): square.value for square in squares}
    figure.add_trace(
        go.Heatmap(
            x=[places[name] for name in names],
            y=list(range(len(rows))),
            z=[[values.get((row, name)) for name in names] for row in rows],
            zmin=-limit if signed else 0,
            zmax=limit,
            colorscale=_SCALE if signed else [[0.0, _SCALE[1][1]], [1.0, _SCALE[2][1]]],
            xgap=2,
            ygap=2,
            showscale=bar,
            colorbar={
                "thickness": 10,
                "len": 0.7,
                "x": 1.01,
                "outlinewidth": 0,
                "title": {"text": escape(unit), "font": {"size": SMALL_SIZE - 1}},
                "tickfont": {"size": SMALL_SIZE - 1},
                "nticks": 5,
            },
            name="cells",
            hoverinfo="skip",
        )
    )


def _add_texts(
    figure: go.Figure,
    squares: Sequence[Square],
    rows: Sequence[str],
    places: dict[str, float],
    limit: float,
) -> None:
    """Write every cell's text; its unseen mark is what a click hits."""
    strong = [s for s in squares if s.value is not None and abs(s.value) > _STRONG * limit]
    weak = [square for square in squares if square not in strong]
    for members, font in ((weak, {"size": 11}), (strong, {"size": 11, "color": "white"})):
        figure.add_trace(
            go.Scatter(
                x=[places[square.column] for square in members],
                y=[rows.index(square.row) for square in members],
                mode="markers+text",
                text=[escape(square.text) for square in members],
                textfont=font,
                marker={"symbol": "square", "size": 28, "opacity": 0, "color": GREY},
                selected={"marker": {"opacity": 0}},
                unselected={"marker": {"opacity": 0}, "textfont": {}},
                customdata=[[s.row, s.column, s.hover] for s in members],
                hovertemplate="%{customdata[2]}<extra></extra>",
                name="texts",
                showlegend=False,
            )
        )


def _add_outlines(
    figure: go.Figure,
    squares: Sequence[Square],
    rows: Sequence[str],
    places: dict[str, float],
    selected: tuple[str, str] | None,
) -> None:
    """Set off the outlined cells, and the selected one."""
    for square in squares:
        chosen = (square.row, square.column) == selected
        if not (square.outlined or chosen):
            continue
        x, y = places[square.column], rows.index(square.row)
        figure.add_shape(
            type="rect",
            name="selected" if chosen else "outline",
            x0=x - 0.47,
            x1=x + 0.47,
            y0=y - 0.45,
            y1=y + 0.45,
            line={
                "color": SELECTED_COLOUR if chosen else GREY,
                "width": 3 if chosen else 1,
                "dash": "solid" if chosen else "dot",
            },
        )


def _add_heading(figure: go.Figure, heading: str, x: float) -> None:
    """Write a column group's heading over its first column."""
    figure.add_annotation(
        text=f"<b>{escape(heading)}</b>",
        name="column heading",
        font={"size": SMALL_SIZE},
        x=x - 0.45,
        xanchor="left",
        y=-0.5 - _HEAD_ROOM / 2,
        showarrow=False,
    )
