"""Growth curves as small multiples: one panel an ability, on shared axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.analysis import CurveFit, ResponseKind
from dashboard.charts.axes import (
    VolumeAxis,
    break_mark,
    plan_volume_axis,
    score_axis_layout,
    volume_axis_layout,
)
from dashboard.charts.gains import sort_by_gain
from dashboard.charts.panels import Slot, add_panel, is_drawn
from dashboard.charts.style import (
    GREY,
    PANEL_TITLE_SIZE,
    Frame,
    Series,
    apply_frame,
    escape,
    plan_series,
)
from dashboard.charts.wording import say_volume_kind

BY_GAIN, BY_NAME = "by gain", "by name"
ORDERS = (BY_GAIN, BY_NAME)

PANEL_HEIGHT = 128
_TITLE_ROOM = 40
_TICK_ROOM = 20
_GROUP_ROOM = 34
_COLUMN_GAP = 0.022
_OUT_OF_DOMAIN = "Out of domain: exams"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Panels that share their axes."""

    heading: str
    panels: tuple[tuple[CurveFit, ...], ...]
    axis: VolumeAxis
    limits: tuple[float, float]
    percent: bool


def growth_figure(
    curves: Sequence[CurveFit],
    *,
    title: str,
    note: str,
    n_columns: int = 5,
    small: bool = False,
) -> go.Figure:
    """Draw growth curves, one panel an ability, in the order in which abilities first appear.

    Abilities that no training data names come in rows of their own, since their volumes count
    all examples. A curve that did not converge is not drawn; its panel says why.

    Parameters
    ----------
    curves : sequence of CurveFit
        At least one; all of one metric. Several of an ability share its panel.
    title : str
        The finding.
    note : str
        Source and uncertainty, written under the figure.
    n_columns : int, >= 1
        Panels in a row.
    small : bool
        Whether panels are so narrow, as on paper, that they take fewer ticks.
    """
    groups = plan_groups(curves)
    series = plan_series(curves)
    n_columns = min(n_columns, max(len(group.panels) for group in groups))
    slots, plot_height = _plan_slots(groups, n_columns)
    # Given at once: Plotly takes ten times as long to add axes to a figure that is there.
    layout: dict[str, Any] = {"shapes": []}
    for group, group_slots in zip(groups, slots, strict=True):
        for slot in group_slots:
            below = any(other.x == slot.x and other.y < slot.y for other in group_slots)
            layout |= _plan_axes(group, slot, labels=not below, small=small)
            layout["shapes"] += break_mark(group.axis, slot.xref, slot.yref)
    figure = go.Figure(layout=layout)
    for group, group_slots in zip(groups, slots, strict=True):
        for panel, slot in zip(group.panels, group_slots, strict=True):
            add_panel(figure, panel, group.axis, slot, series, group.limits, small=small)
        if group.heading:
            _add_heading(figure, group.heading, group_slots[0])
    if len(series) > 1:
        add_legend(figure, series.values())
    frame = Frame(
        title=title,
        subtitle=growth_subtitle(curves),
        note=note,
        left=40,
        axis_room=_TICK_ROOM + 16,
        legend=len(series) > 1,
    )
    return apply_frame(figure, frame, plot_height)


def order_curves(curves: Sequence[CurveFit], order: str) -> list[CurveFit]:
    """Order curves by ability, one of `ORDERS`; within an ability they keep their order.

    The gain that counts is that of the first curve's base model and data source.
    """
    if order == BY_NAME:
        names = sorted(curve.ability for curve in curves)
    else:
        series = [(curve.base_model, curve.data_source) for curve in curves]
        reference = [c for c, of in zip(curves, series, strict=True) if of == series[0]]
        names = [curve.ability for curve in sort_by_gain(reference)]
        names += sorted({curve.ability for curve in curves} - set(names))
    return sorted(curves, key=lambda curve: names.index(curve.ability))


def plan_groups(curves: Sequence[CurveFit]) -> list[Group]:
    """Sort curves into panels, and panels into those that can share axes.

    Out-of-domain abilities stand apart, since their volumes count all examples; so do accuracies
    and losses. Scores share their range over all groups of one kind of score.
    """
    groups = []
    for out_of_domain in (False, True):
        for response in dict.fromkeys(curve.response for curve in curves):
            members = [
                c for c in curves if c.out_of_domain == out_of_domain and c.response is response
            ]
            if not members:
                continue
            panels: dict[str, list[CurveFit]] = {}
            for curve in members:
                panels.setdefault(curve.ability, []).append(curve)
            volumes = np.concatenate([curve.points.n_examples for curve in members])
            groups.append(
                Group(
                    heading=f"{_OUT_OF_DOMAIN}, by {say_volume_kind(members[0])}"
                    if out_of_domain
                    else "",
                    panels=tuple(tuple(panel) for panel in panels.values()),
                    axis=plan_volume_axis(volumes),
                    limits=score_limits([c for c in curves if c.response is response]),
                    percent=response is ResponseKind.ACCURACY,
                )
            )
    return groups


def score_limits(curves: Sequence[CurveFit]) -> tuple[float, float]:
    """Return the score range that all panels share; accuracies start at 0.

    Runs left out of the fit don't stretch the range of losses: the base model's is often several
    times as high as any other.
    """
    lows, highs = [], []
    for curve in curves:
        known = np.isfinite(curve.points.score)
        if curve.response is not ResponseKind.ACCURACY:
            kept = known & np.array([reason is None for reason in curve.points.excluded])
            known = kept if kept.any() else known
        stderr = np.nan_to_num(curve.points.stderr[known])
        lows.append(curve.points.score[known] - stderr)
        highs.append(curve.points.score[known] + stderr)
        if is_drawn(curve) and curve.band is not None:
            lows.append(curve.band.low)
            highs.append(curve.band.high)
        if curve.chance_level is not None:
            highs.append(np.array([curve.chance_level]))
    low_values, high_values = np.concatenate(lows), np.concatenate(highs)
    if not high_values.size:
        return (0.0, 1.0)
    low, high = float(np.nanmin(low_values)), float(np.nanmax(high_values))
    if curves[0].response is ResponseKind.ACCURACY:
        return (0.0, min(1.0, math.ceil(high * 10 + 0.2) / 10) + 0.02)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return (low - room, high + room)


def _plan_slots(groups: Sequence[Group], n_columns: int) -> tuple[list[list[Slot]], int]:
    """Place the panels row by row; return their slots and the plot area's height in pixels."""
    rows: list[tuple[int, int, int]] = []
    top = 0
    for index, group in enumerate(groups):
        n_rows = -(-len(group.panels) // n_columns)
        for row in range(n_rows):
            if row == 0 and index:
                top += _TICK_ROOM
            top += _TITLE_ROOM + (_GROUP_ROOM if row == 0 and group.heading else 0)
            n_panels = min(n_columns, len(group.panels) - row * n_columns)
            rows.append((index, n_panels, top))
            # The last panels of a row above may show their ticks, where the row below is shorter.
            top += PANEL_HEIGHT + (_TICK_ROOM if row < n_rows - 1 else 0)
    height = top
    width = (1 - _COLUMN_GAP * (n_columns - 1)) / n_columns
    slots: list[list[Slot]] = [[] for _ in groups]
    number = 0
    for index, n_panels, start in rows:
        for column in range(n_panels):
            number += 1
            left = column * (width + _COLUMN_GAP)
            slots[index].append(
                Slot(
                    number=number,
                    x=(left, min(1.0, left + width)),
                    y=(max(0.0, 1 - (start + PANEL_HEIGHT) / height), 1 - start / height),
                    left=column == 0,
                )
            )
    return slots, height


def _plan_axes(group: Group, slot: Slot, *, labels: bool, small: bool) -> dict[str, object]:
    """Return a panel's axes by their names in the layout."""
    suffix = "" if slot.number == 1 else str(slot.number)
    x_axis = volume_axis_layout(group.axis, show_labels=labels, small=small)
    y_axis = score_axis_layout(group.limits, percent=group.percent, show_labels=slot.left)
    return {
        f"xaxis{suffix}": {**x_axis, "domain": slot.x, "anchor": slot.yref},
        f"yaxis{suffix}": {**y_axis, "domain": slot.y, "anchor": slot.xref},
    }


def add_legend(figure: go.Figure, series: Iterable[Series]) -> None:
    """Name each series by its line and mark together, which no single trace shows."""
    for style in series:
        figure.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="lines+markers",
                name=style.name,
                legendgroup=style.name,
                showlegend=True,
                line={"color": style.colour, "width": 2, "dash": style.dash},
                marker={"symbol": style.symbol, "size": 8, "color": style.colour},
            )
        )


def _add_heading(figure: go.Figure, heading: str, slot: Slot) -> None:
    """Write a group's heading over its first row."""
    figure.add_annotation(
        text=escape(heading),
        name="group",
        font={"size": PANEL_TITLE_SIZE, "color": GREY},
        xref="paper",
        yref="paper",
        x=0,
        xanchor="left",
        xshift=-40,
        y=slot.y[1],
        yanchor="bottom",
        yshift=_TITLE_ROOM + 2,
        showarrow=False,
    )


def growth_subtitle(curves: Sequence[CurveFit]) -> str:
    """Say what is measured against what, and what the marks mean."""
    metric = curves[0].metric.replace("_", " ")
    direction = "" if curves[0].higher_is_better else ", lower is better"
    x_kind = next((say_volume_kind(c) for c in curves if not c.out_of_domain), "examples in total")
    return (
        f"Held-out questions ({metric}{direction}) against {x_kind} "
        "(logarithmic beyond the axis break)"
    )
