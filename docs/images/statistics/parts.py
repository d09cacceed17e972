"""What the pictures of docs/statistics_in_pictures.md are put together from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.analysis import CurveData, CurveFit, StudyFit
from dashboard.charts.axes import (
    VolumeAxis,
    add_break_mark,
    plan_volume_axis,
    score_axis_layout,
    volume_axis_layout,
)
from dashboard.charts.panels import Slot, add_chance, add_curve, add_points
from dashboard.charts.style import (
    COLOURS,
    GREY,
    SUBTITLE_SIZE,
    Frame,
    apply_frame,
    plan_series,
)

PLOT_HEIGHT = 330
SLOT = Slot(number=1, x=(0.0, 1.0), y=(0.0, 1.0), left=True)


def pick(fit: StudyFit, ability: str, data_source: str) -> CurveFit:
    """Return the curve of an ability and source."""
    (curve,) = (c for c in fit.curves if (c.ability, c.data_source) == (ability, data_source))
    return curve


def start(
    curves: Sequence[CurveFit], limits: tuple[float, float], volumes: Sequence[float] | None = None
) -> tuple[go.Figure, VolumeAxis]:
    """Return an empty figure with the axes of some curves."""
    axis = plan_volume_axis(curves[0].points.n_examples if volumes is None else volumes)
    figure = go.Figure()
    figure.update_layout(
        xaxis=volume_axis_layout(axis, show_labels=True, wide=True),
        yaxis=score_axis_layout(limits, percent=True, show_labels=True),
    )
    add_break_mark(figure, axis, "x", "y", wide=True)
    add_chance(figure, curves, axis, SLOT)
    return figure, axis


def add_curves(figure: go.Figure, curves: Sequence[CurveFit], axis: VolumeAxis) -> None:
    """Draw curves with their bands and runs."""
    series = plan_series(curves)
    for curve in curves:
        style = series[curve.base_model, curve.data_source]
        add_curve(figure, curve, axis, SLOT, style)
        add_points(figure, curve, axis, SLOT, style, (0.0, 1.0))
        if len(curves) > 1:
            line = {"color": style.colour, "dash": style.dash}
            figure.add_trace(
                go.Scatter(x=[None], y=[None], mode="lines", line=line, name=style.name)
            )


def add_line(
    figure: go.Figure,
    x: tuple[float, float],
    y: tuple[float, float],
    dash: str,
    width: float = 1.5,
) -> None:
    """Draw a straight line to read along."""
    line = {"color": GREY if width < 2 else COLOURS[0], "dash": dash, "width": width}
    figure.add_shape(type="line", x0=x[0], x1=x[1], y0=y[0], y1=y[1], line=line)


def say(
    figure: go.Figure, axis: VolumeAxis, n: float, score: float, text: str, dx: float, dy: float
) -> None:
    """Write a few words beside a place of the figure, with a thin line to it."""
    figure.add_annotation(
        x=float(axis.position(n)),
        y=score,
        text=text,
        ax=dx,
        ay=dy,
        showarrow=True,
        arrowhead=0,
        arrowwidth=1,
        arrowcolor=GREY,
        font={"size": SUBTITLE_SIZE},
    )


def finish(
    figure: go.Figure, title: str, subtitle: str, note: str, *, legend: bool = False
) -> go.Figure:
    """Write title, subtitle and note around a picture."""
    frame = Frame(title=title, subtitle=subtitle, note=note, left=44, right=30, axis_room=36)
    apply_frame(figure, frame, PLOT_HEIGHT)
    if legend:
        place = {"orientation": "v", "x": 0.02, "y": 0.98, "yanchor": "top"}
        figure.update_layout(showlegend=True, legend=place)
    return figure


def curve_at(curve: CurveFit, n_examples: float) -> float:
    """Return the averaged curve at a volume."""
    assert curve.band is not None
    return float(np.interp(n_examples, curve.band.n_examples, curve.band.estimate))


def item_means(
    curves: Sequence[CurveData], ability: str, source: str, n_examples: float
) -> np.ndarray:
    """Return each item's mean score over the seeds at a volume, shape (n_items,)."""
    (data,) = (c for c in curves if (c.ability, c.data_source) == (ability, source))
    assert data.item_scores is not None
    return np.asarray(data.item_scores[data.n_examples == n_examples].mean(axis=0))
