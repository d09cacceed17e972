"""One panel of the growth figure: chance, curves with bands, runs and their means, label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dashboard.analysis import CurveFit
from dashboard.charts.axes import VolumeAxis
from dashboard.charts.style import (
    GREY,
    LABEL_STYLES,
    PANEL_TITLE_SIZE,
    SMALL_SIZE,
    Series,
    escape,
    fade,
    shorten,
    wrap,
)
from dashboard.charts.wording import (
    LABEL_WORDS,
    STATUS_WORDS,
    name_ability,
    say_examples,
    say_gain,
    say_score,
    say_volume_kind,
)

# Runs of one volume stand side by side: shares of the axis between two runs, and for all of them.
_SEED_STEP = 0.05
_SEED_WIDTH = 0.1


@dataclass(frozen=True, kw_only=True)
class Slot:
    """Where a panel lies in the plot area, in paper fractions, and which axes are its own."""

    number: int
    x: tuple[float, float]
    y: tuple[float, float]
    left: bool

    @property
    def xref(self) -> str:
        """Name of the x axis."""
        return "x" if self.number == 1 else f"x{self.number}"

    @property
    def yref(self) -> str:
        """Name of the y axis."""
        return "y" if self.number == 1 else f"y{self.number}"


def is_drawn(curve: CurveFit) -> bool:
    """Tell whether there is a converged curve to draw."""
    return curve.drawable and curve.band is not None


def add_panel(
    figure: go.Figure,
    panel: Sequence[CurveFit],
    axis: VolumeAxis,
    slot: Slot,
    series: dict[tuple[str, str], Series],
    limits: tuple[float, float],
    *,
    small: bool = False,
) -> None:
    """Draw one ability's curves between two scores; a run beyond them stands at the edge.

    A `small` panel has no room for the unit of the gain.
    """
    add_chance(figure, panel, axis, slot)
    missing = [curve for curve in panel if not is_drawn(curve)]
    for curve in filter(is_drawn, panel):
        add_curve(figure, curve, axis, slot, series[curve.base_model, curve.data_source])
    for curve in panel:
        style = series[curve.base_model, curve.data_source]
        add_points(figure, curve, axis, slot, style, limits, say_outside=len(panel) == 1)
    for curve in missing[:1]:
        # The table of tests has the whole reason; a panel holds its first clause.
        reason = (curve.reason or STATUS_WORDS[curve.status]).split(";")[0]
        figure.add_annotation(
            text=wrap(shorten(f"no curve: {reason}", 75), 26),
            name="no curve",
            font={"size": SMALL_SIZE - 1, "color": GREY},
            xref=f"{slot.xref} domain",
            yref=f"{slot.yref} domain",
            x=0.5,
            y=0.98,
            yanchor="top",
            showarrow=False,
        )
    figure.add_annotation(
        text=f"<b>{escape(shorten(name_ability(panel[0].ability), 24))}</b><br>"
        + _mark(panel, series, small=small),
        name="panel title",
        font={"size": PANEL_TITLE_SIZE},
        xref=f"{slot.xref} domain",
        yref=f"{slot.yref} domain",
        x=0,
        y=1,
        xanchor="left",
        yanchor="bottom",
        yshift=2,
        align="left",
        showarrow=False,
    )


def _mark(panel: Sequence[CurveFit], series: dict[tuple[str, str], Series], *, small: bool) -> str:
    """Return a panel's second title line: the label in words, or one mark a curve."""
    if len(panel) == 1:
        curve = panel[0]
        style = LABEL_STYLES[curve.label]
        text = f'<span style="color:{style.colour}">{style.glyph}</span> {LABEL_WORDS[curve.label]}'
        if curve.gain is not None:
            gain = say_gain(curve.gain.estimate, curve.response)
            text += f", {gain.partition(' ')[0] if small else gain}"
        return f'<span style="font-size:{SMALL_SIZE}px">{text}</span>'
    marks = (
        f'<span style="color:{series[c.base_model, c.data_source].colour}">'
        f"{LABEL_STYLES[c.label].glyph}</span>"
        for c in panel
    )
    return f'<span style="font-size:{PANEL_TITLE_SIZE}px">{" ".join(marks)}</span>'


def add_chance(figure: go.Figure, panel: Sequence[CurveFit], axis: VolumeAxis, slot: Slot) -> None:
    """Draw the score of a guesser."""
    levels = dict.fromkeys(c.chance_level for c in panel if c.chance_level is not None)
    for level in levels:
        figure.add_trace(
            go.Scatter(
                x=list(axis.limits),
                y=[level, level],
                mode="lines",
                name="chance",
                line={"color": GREY, "width": 1, "dash": "dash"},
                hoverinfo="skip",
                showlegend=False,
                xaxis=slot.xref,
                yaxis=slot.yref,
            )
        )


def add_curve(
    figure: go.Figure, curve: CurveFit, axis: VolumeAxis, slot: Slot, style: Series
) -> None:
    """Draw an averaged curve with its band."""
    band = curve.band
    assert band is not None
    x = axis.position(band.n_examples)
    shared = {
        "xaxis": slot.xref,
        "yaxis": slot.yref,
        "legendgroup": style.name,
        "showlegend": False,
    }
    figure.add_trace(
        go.Scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([band.high, band.low[::-1]]),
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=fade(style.colour, 0.16),
            name="band",
            hoverinfo="skip",
            **shared,
        )
    )
    texts = [
        f"{say_score(mean, curve.response)} "
        f"[{say_score(low, curve.response)}, {say_score(high, curve.response)}]"
        f"<br>at {say_examples(n)} {say_volume_kind(curve)}"
        for n, mean, low, high in zip(
            band.n_examples, band.estimate, band.low, band.high, strict=True
        )
    ]
    figure.add_trace(
        go.Scatter(
            x=x,
            y=band.estimate,
            mode="lines",
            line={"color": style.colour, "width": 2, "dash": style.dash},
            name="curve",
            customdata=texts,
            hovertemplate=f"<b>{_full_name(curve)}</b><br>averaged curve: %{{customdata}}"
            f"<br>{band.level:.0%} interval<extra></extra>",
            **shared,
        )
    )


def add_points(
    figure: go.Figure,
    curve: CurveFit,
    axis: VolumeAxis,
    slot: Slot,
    style: Series,
    limits: tuple[float, float],
    *,
    say_outside: bool = True,
) -> None:
    """Draw a curve's runs: a small mark each with its error bar, a large one for their mean.

    A run beyond the limits, such as the base model's loss, stands at the edge, with its score
    unless several curves' would stand there (`say_outside`).
    """
    points = curve.points
    known = np.isfinite(points.score) & np.isfinite(points.n_examples)
    offsets = _seed_offsets(points.seed) * (axis.limits[1] - axis.limits[0])
    x = axis.position(points.n_examples) + offsets
    kept = np.array([reason is None for reason in points.excluded], dtype=bool)
    shared = {
        "xaxis": slot.xref,
        "yaxis": slot.yref,
        "legendgroup": style.name,
        "meta": curve.ability,
    }
    above = known & (points.score > limits[1])
    outside = above | (known & (points.score < limits[0]))
    if outside.any():
        figure.add_trace(
            go.Scatter(
                x=x[outside],
                y=np.where(above, limits[1], limits[0])[outside],
                mode="markers+text" if say_outside else "markers",
                name="off the scale",
                showlegend=False,
                cliponaxis=False,
                marker={
                    "symbol": [
                        "triangle-up-open" if up else "triangle-down-open" for up in above[outside]
                    ],
                    "size": 8,
                    "color": style.colour,
                },
                text=[say_score(score, curve.response) for score in points.score[outside]],
                textposition="middle right",
                textfont={"size": SMALL_SIZE - 1, "color": GREY},
                customdata=[_describe_run(curve, i) for i in np.flatnonzero(outside).tolist()],
                hovertemplate="%{customdata}<extra></extra>",
                **shared,
            )
        )
    for mask, symbol, name in (
        (known & kept & ~outside, style.symbol, "runs"),
        (known & ~kept & ~outside, f"{style.symbol}-open", "excluded runs"),
    ):
        if mask.any():
            figure.add_trace(
                go.Scatter(
                    x=x[mask],
                    y=points.score[mask],
                    mode="markers",
                    name=name,
                    showlegend=False,
                    marker={"symbol": symbol, "size": 4, "color": style.colour, "opacity": 0.8},
                    error_y={
                        "array": np.nan_to_num(points.stderr[mask]),
                        "thickness": 1,
                        "width": 0,
                        "color": fade(style.colour, 0.55),
                    },
                    customdata=[_describe_run(curve, i) for i in np.flatnonzero(mask).tolist()],
                    hovertemplate="%{customdata}<extra></extra>",
                    **shared,
                )
            )
    volumes = np.unique(points.n_examples[known & kept])
    means = [
        float(points.score[known & kept & (points.n_examples == volume)].mean())
        for volume in volumes
    ]
    figure.add_trace(
        go.Scatter(
            x=axis.position(volumes),
            y=means,
            mode="markers",
            name="means",
            showlegend=False,
            marker={
                "symbol": style.symbol,
                "size": 7,
                "color": style.colour,
                "line": {"color": "white", "width": 1},
            },
            customdata=[
                f"<b>{_full_name(curve)}</b><br>mean of runs: {say_score(mean, curve.response)}"
                f"<br>at {say_examples(n)} {say_volume_kind(curve)}"
                for n, mean in zip(volumes, means, strict=True)
            ],
            hovertemplate="%{customdata}<extra></extra>",
            **shared,
        )
    )


def _seed_offsets(seeds: Sequence[int | None]) -> np.ndarray:
    """Return symmetric offsets as shares of the axis, equal for equal seeds; 0 for base models."""
    known = sorted({seed for seed in seeds if seed is not None})
    step = min(_SEED_STEP, _SEED_WIDTH / max(1, len(known) - 1))
    place = {seed: step * (index - (len(known) - 1) / 2) for index, seed in enumerate(known)}
    return np.array([0.0 if seed is None else place[seed] for seed in seeds])


def _describe_run(curve: CurveFit, index: int) -> str:
    """Return one run's hover text."""
    points = curve.points
    seed = points.seed[index]
    run = "base model" if seed is None else f"seed {seed}"
    lines = [
        f"<b>{_full_name(curve)}</b>",
        f"{run}: {say_score(points.score[index], curve.response)} "
        f"at {say_examples(points.n_examples[index])} {say_volume_kind(curve)}",
    ]
    if math.isfinite(points.stderr[index]):
        lines.append(
            f"standard error {say_score(points.stderr[index], curve.response)}"
            + (
                f" over {points.n_items[index]:,.0f} items"
                if math.isfinite(points.n_items[index])
                else ""
            )
        )
    reason = points.excluded[index]
    if reason is not None:
        lines.append(f"left out of the fit: {wrap(reason, 50)}")
    lines.append(f"cell {escape(points.cell_id[index])}")
    return "<br>".join(lines)


def _full_name(curve: CurveFit) -> str:
    """Return a curve's name for hover texts."""
    return escape(f"{name_ability(curve.ability)}: {curve.base_model}, {curve.data_source} data")
