"""The overview's figure: where each ability starts and ends, what it gains, and how fast."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.analysis import CurveFit, Interval, ResponseKind
from dashboard.charts.style import (
    FAINT,
    GREY,
    LABEL_STYLES,
    PANEL_TITLE_SIZE,
    SMALL_SIZE,
    Frame,
    apply_frame,
    escape,
    shorten,
)
from dashboard.charts.wording import (
    LABEL_WORDS,
    name_ability,
    say_examples,
    say_interval,
    say_pace,
    say_score,
    say_start,
)

_ROW_HEIGHT = 25
_HEAD_ROOM = 24
_HEADING_CHARACTERS = 38
# Paper fractions of the three columns: scores, gains, pace.
_SCORES = (0.0, 0.34)
_GAINS = (0.37, 0.65)
_PACE = (0.81, 1.0)
# In narrow figures the third column stands over the other two, with the name.
_NARROW_ROW_HEIGHT = 40
_NARROW_SCORES = (0.0, 0.46)
_NARROW_GAINS = (0.56, 1.0)


def sort_by_gain(curves: Sequence[CurveFit]) -> list[CurveFit]:
    """Order curves by gain, largest first, those without one last; out-of-domain ones follow."""
    return sorted(
        curves,
        key=lambda curve: (
            curve.out_of_domain,
            curve.gain is None,
            -(curve.gain.estimate if curve.gain else 0.0),
            curve.ability,
        ),
    )


def gains_figure(
    curves: Sequence[CurveFit], *, title: str, note: str, narrow: bool = False
) -> go.Figure:
    """Draw one row an ability: first and last score, gain with interval, label, pace.

    Parameters
    ----------
    curves : sequence of CurveFit
        At least one; one an ability, of one base model, data source and metric.
    title : str
        The finding.
    note : str
        Source and uncertainty, written under the figure.
    narrow : bool
        Whether names, labels and paces stand over the marks, for one column of a paper.
    """
    ordered = sort_by_gain(curves)
    n_inside = sum(not curve.out_of_domain for curve in ordered)
    # Out-of-domain rows stand apart by half a row.
    rows = np.array(
        [-(i + (0.6 if i >= n_inside and n_inside else 0.0)) for i in range(len(ordered))]
    )
    figure = go.Figure()
    _add_scores(figure, ordered, rows)
    _add_gains(figure, ordered, rows)
    row_height = _NARROW_ROW_HEIGHT if narrow else _ROW_HEIGHT
    height = round(row_height * (1 - float(rows[-1])) + _HEAD_ROOM)
    _lay_out(figure, ordered, rows, row_height, narrow=narrow)
    if narrow:
        _add_names(figure, ordered, rows)
    else:
        _add_paces(figure, ordered, rows)
    model, source = ordered[0].base_model, ordered[0].data_source
    what = "Loss" if ordered[0].response is ResponseKind.LOSS else "Scores"
    frame = Frame(
        title=title,
        subtitle=f"{what} of {model} on held-out questions, fine-tuned on {source} data; pace: "
        "examples until half of the gain is reached",
        note=note,
        left=14 if narrow else 8 + round(7.2 * max(len(_row_name(curve)) for curve in ordered)),
        right=16,
        axis_room=34,
    )
    return apply_frame(figure, frame, height)


def _row_name(curve: CurveFit) -> str:
    return shorten(name_ability(curve.ability), 28)


def _lay_out(
    figure: go.Figure,
    ordered: Sequence[CurveFit],
    rows: np.ndarray,
    row_height: int,
    *,
    narrow: bool,
) -> None:
    """Set the axes of the columns and write their headings."""
    percent = ordered[0].response is ResponseKind.ACCURACY
    top = 0.5 + _HEAD_ROOM / row_height
    scores, gains = (_NARROW_SCORES, _NARROW_GAINS) if narrow else (_SCORES, _GAINS)
    y_axis = {
        "range": [float(rows[-1]) - 0.5, top],
        "showgrid": False,
        "zeroline": False,
        "showline": False,
    }
    x_axis = {
        "zeroline": False,
        "gridcolor": FAINT,
        "tickfont": {"size": SMALL_SIZE - 1},
        "nticks": 4 if narrow else 6,
        "showline": False,
    }
    figure.update_layout(
        xaxis={
            **x_axis,
            "domain": scores,
            "tickformat": ".0%" if percent else "~g",
            **({"range": [-0.03, 1.03]} if percent else {}),
        },
        xaxis2={**x_axis, "domain": gains, "anchor": "y"},
        yaxis={
            **y_axis,
            "tickvals": rows,
            "ticktext": [escape(_row_name(curve)) for curve in ordered],
            "tickfont": {"size": PANEL_TITLE_SIZE},
            "showticklabels": not narrow,
            "fixedrange": True,
        },
    )
    start = say_start(ordered)
    largest = max(float(np.max(curve.points.n_examples, initial=0)) for curve in ordered[:1])
    unit = " (points)" if percent else ""
    ends = f"Score at {start} (○) and {say_examples(largest)} examples (●)"
    columns = [
        (scores[0], ends if len(ends) <= _HEADING_CHARACTERS else "Score: first ○, last ●"),
        (gains[0], f"Gain{unit} with interval"),
        (_PACE[0], "Pace (examples)"),
    ]
    if narrow:
        columns = [(scores[0], "Score: first ○, last ●"), (gains[0], f"Gain{unit}")]
    for x, text in columns:
        figure.add_annotation(
            text=f"<b>{escape(text)}</b>",
            name="column",
            font={"size": SMALL_SIZE},
            xref="paper",
            yref="paper",
            x=x,
            xanchor="left",
            y=1,
            yanchor="top",
            showarrow=False,
        )


def _add_scores(figure: go.Figure, ordered: Sequence[CurveFit], rows: np.ndarray) -> None:
    """Draw the first column: from the first score to the last, and chance."""
    for curve, row in zip(ordered, rows, strict=True):
        if curve.score_first is None or curve.score_last is None:
            continue
        colour = LABEL_STYLES[curve.label].colour
        first, last = curve.score_first, curve.score_last
        figure.add_trace(
            go.Scatter(
                x=[first.estimate, last.estimate],
                y=[row, row],
                mode="lines+markers",
                name="scores",
                line={"color": colour, "width": 2},
                marker={
                    "symbol": ["circle-open", "circle"],
                    "size": 9,
                    "color": colour,
                    "line": {"width": 2, "color": colour},
                },
                customdata=[
                    f"<b>{escape(name_ability(curve.ability))}</b><br>{when}: "
                    f"{say_interval(score, curve.response)}"
                    for when, score in (("first volume", first), ("largest volume", last))
                ],
                hovertemplate="%{customdata}<extra></extra>",
                showlegend=False,
            )
        )
    chance = [(c.chance_level, row) for c, row in zip(ordered, rows, strict=True)]
    known = [(level, row) for level, row in chance if level is not None]
    if known:
        figure.add_trace(
            go.Scatter(
                x=[level for level, _ in known],
                y=[row for _, row in known],
                mode="markers",
                name="chance",
                marker={
                    "symbol": "line-ns-open",
                    "size": 12,
                    "color": GREY,
                    "line": {"width": 1.5},
                },
                customdata=[say_score(level, ordered[0].response) for level, _ in known],
                hovertemplate="guessing: %{customdata}<extra></extra>",
                showlegend=False,
            )
        )


def _add_gains(figure: go.Figure, ordered: Sequence[CurveFit], rows: np.ndarray) -> None:
    """Draw the second column: gains with intervals, beside 0 and the smallest that matters."""
    factor = 100.0 if ordered[0].response is ResponseKind.ACCURACY else 1.0
    reference = [(0.0, "solid", "no gain")]
    deltas = {curve.delta for curve in ordered if curve.delta is not None}
    reference += [(factor * delta, "dot", "smallest gain that matters") for delta in deltas]
    for x, dash, name in reference:
        figure.add_trace(
            go.Scatter(
                x=[x, x],
                y=[float(rows[-1]) - 0.5, 0.5],
                mode="lines",
                name=name,
                line={"color": GREY, "width": 1, "dash": dash},
                xaxis="x2",
                hoverinfo="skip",
                showlegend=False,
            )
        )
    for curve, row in zip(ordered, rows, strict=True):
        style = LABEL_STYLES[curve.label]
        if curve.gain is None:
            _add_text(figure, 0.02, row, "x2 domain", f"no curve: {curve.reason or 'not fitted'}")
            continue
        gain: Interval = curve.gain
        figure.add_trace(
            go.Scatter(
                x=[factor * gain.estimate],
                y=[row],
                mode="markers",
                name="gain",
                marker={"symbol": style.symbol, "size": 10, "color": style.colour},
                error_x={
                    "array": [factor * (gain.high - gain.estimate)],
                    "arrayminus": [factor * (gain.estimate - gain.low)],
                    "color": style.colour,
                    "thickness": 2,
                    "width": 0,
                },
                customdata=[
                    f"<b>{escape(name_ability(curve.ability))}</b>: {LABEL_WORDS[curve.label]}"
                    f"<br>{say_interval(gain, curve.response, signed=True)}"
                    f"<br>{gain.level:.0%} interval"
                ],
                hovertemplate="%{customdata}<extra></extra>",
                xaxis="x2",
                showlegend=False,
            )
        )


def _add_names(figure: go.Figure, ordered: Sequence[CurveFit], rows: np.ndarray) -> None:
    """Write each row's name over its marks at the left, label and pace at the right."""
    for curve, row in zip(ordered, rows, strict=True):
        style = LABEL_STYLES[curve.label]
        said = f'<span style="color:{style.colour}">{style.glyph}</span> {LABEL_WORDS[curve.label]}'
        if curve.half_gain_examples is not None:
            said += f", half by {escape(say_pace(curve))}"
        for text, x, anchor in (
            (f"<b>{escape(_row_name(curve))}</b>", 0.0, "left"),
            (said, 1.0, "right"),
        ):
            figure.add_annotation(
                text=text,
                name="row text",
                font={"size": SMALL_SIZE - (x > 0)},
                xref="paper",
                yref="y",
                x=x,
                xanchor=anchor,
                y=row + 0.38,
                showarrow=False,
            )


def _add_paces(figure: go.Figure, ordered: Sequence[CurveFit], rows: np.ndarray) -> None:
    """Write the third column: label and pace."""
    for curve, row in zip(ordered, rows, strict=True):
        style = LABEL_STYLES[curve.label]
        figure.add_annotation(
            text=f'<span style="color:{style.colour}">{style.glyph}</span> '
            f"{LABEL_WORDS[curve.label]}",
            name="label",
            font={"size": SMALL_SIZE},
            xref="paper",
            yref="y",
            x=_GAINS[1] + 0.015,
            xanchor="left",
            y=row,
            showarrow=False,
        )
        if curve.half_gain_examples is not None and math.isfinite(
            curve.half_gain_examples.estimate
        ):
            _add_text(figure, _PACE[0], row, "paper", say_pace(curve))


def _add_text(figure: go.Figure, x: float, row: float, xref: str, text: str) -> None:
    """Write untrusted or computed text into a row."""
    figure.add_annotation(
        text=escape(shorten(text, 60)),
        name="row text",
        font={"size": SMALL_SIZE},
        xref=xref,
        yref="y",
        x=x,
        xanchor="left",
        y=row,
        showarrow=False,
    )
