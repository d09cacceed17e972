"""The loss of one training run, step by step."""

from __future__ import annotations

from collections.abc import Hashable

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts.style import COLOURS, FAINT, GREY, Frame, apply_frame, fade

_HEIGHT = 240
# Steps beyond this many are thinned evenly: an SVG of more points is slow and shows no more.
_MAX_POINTS = 2000
_N_SMOOTH = 9


def training_figure(log: pd.DataFrame, *, title: str, note: str) -> go.Figure:
    """Draw loss against optimizer steps, with a running median where there are enough steps.

    Parameters
    ----------
    log : DataFrame
        Rows of `fact_training_log` of one cell: attempt, is_counted, step, loss. Attempts that do
        not count are drawn in grey. Steps without a loss are left out.
    title : str
        Which run this is.
    note : str
        Source, written under the figure.
    """
    figure = go.Figure()
    known = log[log["loss"].notna()]
    for attempt, rows in known.groupby("attempt", sort=True):
        counted = bool(rows["is_counted"].iloc[0])
        _add_attempt(figure, rows.sort_values("step"), attempt, counted=counted)
    figure.update_layout(
        xaxis={
            "title": {"text": "optimizer step", "standoff": 6},
            "showgrid": False,
            "zeroline": False,
            "showline": True,
            "linecolor": GREY,
            "ticks": "outside",
            "ticklen": 3,
            "tickcolor": GREY,
            "rangemode": "tozero",
        },
        yaxis={"gridcolor": FAINT, "zeroline": False, "rangemode": "tozero", "nticks": 6},
    )
    frame = Frame(
        title=title,
        subtitle="Mean loss per target token (nats); thin: each step, thick: running median",
        note=note,
        left=44,
        axis_room=48,
    )
    return apply_frame(figure, frame, _HEIGHT)


def _add_attempt(
    figure: go.Figure, rows: pd.DataFrame, attempt: Hashable, *, counted: bool
) -> None:
    """Draw one attempt: every step thin, the running median thick."""
    colour = COLOURS[0] if counted else GREY
    name = f"attempt {attempt}" + ("" if counted else " (not counted)")
    every = -(-len(rows) // _MAX_POINTS)
    median = rows["loss"].rolling(_N_SMOOTH, center=True, min_periods=1).median()
    lines = [(rows["loss"], fade(colour, 0.4) if counted else FAINT, 1.0)]
    if len(rows) >= 2 * _N_SMOOTH:
        lines.append((median, colour, 2.5))
    elif counted:
        lines = [(rows["loss"], colour, 2.0)]
    for values, line_colour, width in lines:
        figure.add_trace(
            go.Scatter(
                x=rows["step"].to_numpy()[::every],
                y=values.to_numpy()[::every],
                mode="lines+markers" if len(rows) < _N_SMOOTH else "lines",
                name=name,
                line={"color": line_colour, "width": width},
                marker={"size": 5},
                showlegend=False,
                hovertemplate=f"{name}<br>step %{{x}}: loss %{{y:.3f}}<extra></extra>",
            )
        )


def has_loss(log: pd.DataFrame) -> bool:
    """Tell whether a training log holds any loss to draw."""
    return bool(len(log)) and bool(log["loss"].notna().any())
