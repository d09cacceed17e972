"""Legends of figures that are too narrow for one line of names."""

from __future__ import annotations

import math

import plotly.graph_objects as go

_SIZE = 12
_LINE = 20
_SAMPLE = 30
_MARK = 46
"""A sample with the room around it."""
_PIXELS_PER_CHARACTER = 6.4
_GAP = 6


def fit_legend(figure: go.Figure, width: int) -> int:
    """Make a legend's lettering and samples small; return the pixels that all its rows take.

    Parameters
    ----------
    figure : Figure
        With a legend; changed in place. Room over the plot area is the caller's to give.
    width : int
        Pixels across of the figure, its margins among them.
    """
    legend = figure.layout.legend
    legend.font.size = _SIZE
    legend.itemwidth = _SAMPLE
    # At their own width, dashes show in so short a sample.
    legend.itemsizing = "trace"
    return _GAP + _LINE * _count_rows(figure, width)


def _count_rows(figure: go.Figure, width: int) -> int:
    """Return how many rows the legend takes, as Plotly fills them.

    Entries that belong to groups follow each other; others share the widest one's width.
    """
    shown = [trace for trace in figure.data if trace.showlegend is not False and trace.name]
    room = int(width - figure.layout.margin.l - figure.layout.margin.r)
    widths = [_MARK + _PIXELS_PER_CHARACTER * len(trace.name) for trace in shown]
    if sum(widths) <= room:
        return 1
    if not any(trace.legendgroup for trace in shown):
        return math.ceil(len(widths) / max(1, int(room // max(widths))))
    rows, used = 1, 0.0
    for one in widths:
        rows, used = (rows + 1, one) if used + one > room and used else (rows, used + one)
    return rows
