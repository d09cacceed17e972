"""One ability in full: runs, curve, interval and prediction bands, chance, plateau, residuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go

from dashboard.analysis import CurveFit, PlateauStatus, ResponseKind
from dashboard.analysis.new_run import new_run_band
from dashboard.charts.axes import (
    VolumeAxis,
    add_break_mark,
    plan_volume_axis,
    score_axis_layout,
    volume_axis_layout,
)
from dashboard.charts.findings import interval_note
from dashboard.charts.growth import add_legend, growth_subtitle, score_limits
from dashboard.charts.panels import Slot, add_chance, add_curve, add_points, is_drawn
from dashboard.charts.style import (
    GREY,
    LABEL_STYLES,
    SMALL_SIZE,
    Frame,
    Series,
    apply_frame,
    escape,
    fade,
    plan_series,
    shorten,
)
from dashboard.charts.wording import (
    LABEL_WORDS,
    name_ability,
    say_examples,
    say_gain,
    say_list,
    say_score,
    say_volume_kind,
)

_HEIGHT = 330
_RESIDUAL_HEIGHT = 150
_SLOT = Slot(number=1, x=(0.0, 1.0), y=(0.0, 1.0), left=True)


def focus_figure(
    curves: Sequence[CurveFit], *, source_note: str, narrow: bool = False
) -> go.Figure:
    """Draw one ability's curves large, with what a small panel has no room for.

    Parameters
    ----------
    curves : sequence of CurveFit
        At least one; all of one ability and metric. Predictions beyond the largest volume are
        drawn where the fit was asked for them.
    source_note : str
        Source, written under the figure after the uncertainty.
    narrow : bool
        Whether the figure is for a phone: names of curves then stand in a legend.
    """
    series = plan_series(curves)
    axis, limits = _plan(curves)
    figure = go.Figure()
    for curve in curves:
        style = series[curve.base_model, curve.data_source]
        if is_drawn(curve):
            _add_new_run_band(figure, curve, axis, style, limits)
    add_chance(figure, curves, axis, _SLOT)
    for index, curve in enumerate(curves):
        style = series[curve.base_model, curve.data_source]
        if is_drawn(curve):
            add_curve(figure, curve, axis, _SLOT, style)
            _add_plateau(figure, curve, axis, style)
        add_points(figure, curve, axis, _SLOT, style, limits)
        # Error bars of several curves stand side by side.
        shift = (index - (len(curves) - 1) / 2) * 0.12
        _add_predictions(figure, curve, axis, style, shift)
    if not narrow:
        _name_lines(figure, curves, axis, series, limits)
    elif len(series) > 1:
        add_legend(figure, series.values())
    _name_chance(figure, curves)
    figure.update_layout(
        xaxis=volume_axis_layout(axis, show_labels=True, wide=not narrow),
        yaxis=score_axis_layout(
            limits, percent=curves[0].response is ResponseKind.ACCURACY, show_labels=True
        ),
    )
    add_break_mark(figure, axis, "x", "y", wide=True)
    frame = Frame(
        title=focus_title(curves),
        subtitle=growth_subtitle(curves),
        note=f"{focus_note(curves)}\n{source_note}",
        left=44,
        right=12 if narrow else 190,
        axis_room=36,
        legend=narrow and len(series) > 1,
    )
    return apply_frame(figure, frame, _HEIGHT)


def focus_title(curves: Sequence[CurveFit]) -> str:
    """Return what happened to the ability, in a clause for each curve."""
    name = name_ability(curves[0].ability)
    if len(curves) == 1:
        curve = curves[0]
        verdict = "has no label" if curve.label is None else f"is {LABEL_WORDS[curve.label]}"
        if curve.gain is None:
            return f"{name.capitalize()} {verdict}: {curve.label_reason or curve.reason}"
        return (
            f"{name.capitalize()} {verdict}: {say_gain(curve.gain.estimate, curve.response)} by "
            f"{say_examples(float(np.nanmax(curve.points.n_examples)))} {say_volume_kind(curve)}"
        )
    words = [
        f"{LABEL_WORDS[c.label]} for {c.base_model} on {c.data_source} data" for c in curves[:3]
    ]
    more = f" and {len(curves) - 3} more" if len(curves) > 3 else ""
    return f"{name.capitalize()}: {say_list(words)}{more}"


def focus_note(curves: Sequence[CurveFit]) -> str:
    """Explain the marks, name the families with their weights, and state the uncertainty."""
    parts = [
        "Small marks: runs with \N{PLUS-MINUS SIGN}1 standard error; large: their mean. Dark band: "
        f"the curve. {interval_note(curves)}"
    ]
    if any(new_run_band(curve) is not None for curve in curves if is_drawn(curve)):
        parts.append("Light band: one more run on as many items.")
    if any(_beyond(curve) for curve in curves):
        parts.append(
            "Dotted: predicted beyond the data, with intervals from errors made when larger "
            "volumes were predicted from smaller ones."
        )
    for curve in curves:
        weights = sorted((f for f in curve.families if f.weight >= 0.005), key=lambda f: -f.weight)
        if weights:
            listed = say_list([f"{f.name.replace('_', ' ')} {f.weight:.2f}" for f in weights])
            whose = f" of {_series_name(curve)}" if len(curves) > 1 else ""
            parts.append(f"Families{whose} by weight: {listed}.")
        parts.append(_plateau_words(curve))
    return " ".join(filter(None, parts))


def residual_figure(curves: Sequence[CurveFit], *, source_note: str) -> go.Figure:
    """Draw each run's score minus the averaged curve; curves that were not drawn are left out."""
    series = plan_series(curves)
    axis, _ = _plan(curves)
    drawn = [curve for curve in curves if is_drawn(curve)]
    figure = go.Figure()
    largest = 0.0
    for curve in drawn:
        style = series[curve.base_model, curve.data_source]
        n, residual = residuals(curve)
        largest = max(largest, float(np.max(np.abs(residual), initial=0)))
        figure.add_trace(
            go.Scatter(
                x=axis.position(n),
                y=residual,
                mode="markers",
                name=style.name,
                showlegend=False,
                marker={"symbol": style.symbol, "size": 7, "color": fade(style.colour, 0.75)},
                customdata=[
                    f"{escape(_series_name(curve))}<br>{say_gain(float(r), curve.response)} "
                    f"at {say_examples(float(v))} {say_volume_kind(curve)}"
                    for v, r in zip(n, residual, strict=True)
                ],
                hovertemplate="%{customdata}<extra></extra>",
            )
        )
    figure.add_hline(y=0, line={"color": GREY, "width": 1}, name="the curve")
    room = 1.15 * largest or 0.05
    figure.update_layout(
        xaxis=volume_axis_layout(axis, show_labels=True, wide=True),
        yaxis=score_axis_layout(
            (-room, room), percent=curves[0].response is ResponseKind.ACCURACY, show_labels=True
        ),
    )
    add_break_mark(figure, axis, "x", "y", wide=True)
    size = say_gain(largest, curves[0].response).removeprefix("+")
    frame = Frame(
        title=f"Runs lie within {size} of the curve"
        if drawn
        else "There is no curve to differ from",
        subtitle="Score minus averaged curve; a bend left over would speak against the families",
        note=source_note,
        left=44,
        axis_room=36,
    )
    return apply_frame(figure, frame, _RESIDUAL_HEIGHT)


def residuals(curve: CurveFit) -> tuple[np.ndarray, np.ndarray]:
    """Return volumes and residuals of a drawn curve's fitted runs."""
    points, band = curve.points, curve.band
    assert band is not None
    kept = np.isfinite(points.score) & np.array([r is None for r in points.excluded], dtype=bool)
    n = points.n_examples[kept]
    axis = plan_volume_axis(points.n_examples)
    expected = np.interp(axis.position(n), axis.position(band.n_examples), band.estimate)
    return n, points.score[kept] - expected


# --- Parts --------------------------------------------------------------------------------------


def _plan(curves: Sequence[CurveFit]) -> tuple[VolumeAxis, tuple[float, float]]:
    """Return axis and score range that hold runs, curves and predictions."""
    volumes = np.concatenate(
        [c.points.n_examples for c in curves]
        + [np.array([p.n_examples for p in _beyond(c)]) for c in curves]
    )
    low, high = score_limits(curves)
    for curve in curves:
        for prediction in _beyond(curve):
            low, high = min(low, prediction.low), max(high, prediction.high)
    return plan_volume_axis(volumes), (low, high)


@dataclass(frozen=True, kw_only=True)
class _Ahead:
    """A predicted score beyond the largest fitted volume, and what stands behind it."""

    n_examples: float
    estimate: float
    low: float
    high: float
    basis: str


def _beyond(curve: CurveFit) -> list[_Ahead]:
    """Return the predictions beyond the largest fitted volume."""
    if curve.band is None:
        return []
    last = float(curve.band.n_examples[-1])
    return [
        _Ahead(
            n_examples=p.n_examples,
            estimate=p.estimate,
            low=p.estimate if p.low is None else p.low,
            high=p.estimate if p.high is None else p.high,
            basis=p.reason or p.status.value.replace("_", " "),
        )
        for p in curve.predictions
        if p.n_examples > last and p.estimate is not None
    ]


def _add_new_run_band(
    figure: go.Figure,
    curve: CurveFit,
    axis: VolumeAxis,
    style: Series,
    limits: tuple[float, float],
) -> None:
    """Draw where one more run would fall."""
    band = new_run_band(curve)
    if band is None:
        return
    x = axis.position(band.n_examples)
    y = np.concatenate([band.high, band.low[::-1]])
    figure.add_trace(
        go.Scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.clip(y, *limits),
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=fade(style.colour, 0.09),
            name="prediction band",
            hoverinfo="skip",
            showlegend=False,
        )
    )


def _add_plateau(figure: go.Figure, curve: CurveFit, axis: VolumeAxis, style: Series) -> None:
    """Mark the end of a curve that has levelled off."""
    if curve.plateau.status is not PlateauStatus.PLATEAU or curve.band is None:
        return
    figure.add_trace(
        go.Scatter(
            x=[float(axis.position(curve.band.n_examples[-1]))],
            y=[float(curve.band.estimate[-1])],
            mode="markers",
            name="plateau",
            marker={"symbol": "line-ew-open", "size": 26, "color": style.colour,
                    "line": {"width": 3}},
            hovertemplate="plateau: the next doubling gains next to nothing<extra></extra>",
            showlegend=False,
        )
    )  # fmt: skip


def _add_predictions(
    figure: go.Figure, curve: CurveFit, axis: VolumeAxis, style: Series, shift: float
) -> None:
    """Draw predicted scores beyond the data, from the end of the curve."""
    beyond = _beyond(curve)
    if not beyond or curve.band is None:
        return
    n = [float(curve.band.n_examples[-1]), *(p.n_examples for p in beyond)]
    y = [float(curve.band.estimate[-1]), *(p.estimate for p in beyond)]
    high = [0.0, *(p.high - p.estimate for p in beyond)]
    low = [0.0, *(p.estimate - p.low for p in beyond)]
    figure.add_trace(
        go.Scatter(
            x=axis.position(n) + shift * np.array([0, *[1] * len(beyond)]),
            y=y,
            mode="lines+markers",
            name="prediction",
            showlegend=False,
            line={"color": style.colour, "width": 2, "dash": "dot"},
            marker={
                "symbol": f"{style.symbol}-open",
                "size": [0, *[9] * len(beyond)],
                "color": style.colour,
            },
            error_y={
                "array": high,
                "arrayminus": low,
                "thickness": 1.5,
                "width": 5,
                "color": fade(style.colour, 0.7),
            },
            customdata=[
                "",
                *(
                    f"predicted {say_score(p.estimate, curve.response)} "
                    f"[{say_score(p.low, curve.response)}, {say_score(p.high, curve.response)}]"
                    f"<br>at {say_examples(p.n_examples)} {say_volume_kind(curve)}"
                    f"<br>{escape(p.basis)}"
                    for p in beyond
                ),
            ],
            hovertemplate="%{customdata}<extra></extra>",
        )
    )


def _name_lines(
    figure: go.Figure,
    curves: Sequence[CurveFit],
    axis: VolumeAxis,
    series: dict[tuple[str, str], Series],
    limits: tuple[float, float],
) -> None:
    """Write each curve's name and label beside its end, apart from each other."""
    ends: list[float] = []
    for curve in curves:
        points = curve.points
        if curve.band is not None and is_drawn(curve):
            y = float(curve.band.estimate[-1])
        else:
            known = points.score[np.isfinite(points.score)]
            y = float(known[-1]) if known.size else limits[0]
        beyond = _beyond(curve)
        ends.append(beyond[-1].estimate if beyond else y)
    # A name of two lines needs this share of the axis.
    room = 36 / _HEIGHT * (limits[1] - limits[0])
    order = np.argsort(ends)
    places = np.array(ends, dtype=float)
    for before, after in pairwise(order):
        places[after] = max(places[after], places[before] + room)
    overflow = places.max() - (limits[1] - room / 2)
    if overflow > 0:
        places -= overflow
    for curve, y in zip(curves, places, strict=True):
        style = series[curve.base_model, curve.data_source]
        label = LABEL_STYLES[curve.label]
        figure.add_annotation(
            text=f'<b><span style="color:{style.colour}">'
            f"{escape(shorten(_series_name(curve), 28))}</span></b><br>"
            f'<span style="color:{label.colour}">{label.glyph}</span> {LABEL_WORDS[curve.label]}'
            + (f", {say_gain(curve.gain.estimate, curve.response)}" if curve.gain else ""),
            name="line name",
            font={"size": SMALL_SIZE},
            xref="paper",
            x=1,
            xanchor="left",
            xshift=6,
            yref="y",
            y=float(y),
            align="left",
            showarrow=False,
        )


def _name_chance(figure: go.Figure, curves: Sequence[CurveFit]) -> None:
    """Name the chance line on it."""
    levels = dict.fromkeys(c.chance_level for c in curves if c.chance_level is not None)
    for level in levels:
        figure.add_annotation(
            text=f"guessing: {say_score(level, curves[0].response)}",
            name="chance name",
            font={"size": SMALL_SIZE - 1, "color": GREY},
            xref="x domain",
            x=0.995,
            xanchor="right",
            yref="y",
            y=level,
            yanchor="bottom",
            showarrow=False,
        )


def _plateau_words(curve: CurveFit) -> str:
    """Say whether the next doubling would still pay."""
    plateau = curve.plateau
    whose = f" ({_series_name(curve)})"
    if plateau.status is PlateauStatus.PLATEAU and plateau.delta is not None:
        smallest = say_gain(plateau.delta, curve.response).removeprefix("+")
        return f"Plateau{whose}: the next doubling gains less than {smallest}."
    if plateau.status is PlateauStatus.GROWING and plateau.gain is not None:
        gained = say_gain(plateau.gain.estimate, curve.response)
        return f"Still growing{whose}: the next doubling is expected to gain {gained}."
    return ""


def _series_name(curve: CurveFit) -> str:
    return f"{curve.base_model}, {curve.data_source}"
