"""Scores against model size at equal volumes, with the joint law of size and data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.analysis import CurveFit, FitStatus, ResponseKind
from dashboard.analysis.curve_data import FloatArray
from dashboard.analysis.joint.results import JointFit
from dashboard.charts.axes import score_axis_layout
from dashboard.charts.growth import score_limits
from dashboard.charts.panels import Slot
from dashboard.charts.style import (
    COLOURS,
    FAINT,
    GREY,
    PANEL_TITLE_SIZE,
    SMALL_SIZE,
    SYMBOLS,
    Frame,
    apply_frame,
    escape,
    shorten,
)
from dashboard.charts.wording import (
    STATUS_WORDS,
    count_params,
    name_ability,
    say_examples,
    say_score,
)

_PANEL_HEIGHT = 130
_TITLE_ROOM = 36
_TICK_ROOM = 24
_GAP = 0.025
_MOST_VOLUMES = 5
_LAW_POINTS = 40
# A small panel is some twenty characters wide; the table of laws says it at length.
_NO_LAW_WORDS = {
    FitStatus.AT_BOUND: "no law (at a bound)",
    FitStatus.ITERATION_CAP: "no law (no optimum)",
}


def sizes_figure(
    curves: Sequence[CurveFit],
    laws: Sequence[JointFit],
    *,
    title: str,
    note: str,
    n_columns: int = 5,
) -> go.Figure:
    """Draw one panel an ability: mean score against parameters, one colour and mark a volume.

    Where the joint law of an ability is identified its lines are drawn; else the means are joined.

    Parameters
    ----------
    curves : sequence of CurveFit
        At least one, with known model sizes, of one data source and kind of score; exams left out.
    laws : sequence of JointFit
        Of the same data source.
    title, note : str
        The finding; source and uncertainty.
    """
    volumes = pick_volumes(curves)
    abilities = list(dict.fromkeys(curve.ability for curve in curves))
    by_law = {law.ability: law for law in laws}
    slots, height = _plan_slots(len(abilities), min(n_columns, len(abilities)))
    figure = go.Figure()
    limits = score_limits(curves)
    sizes = sorted({curve.n_params for curve in curves if curve.n_params})
    percent = curves[0].response is ResponseKind.ACCURACY
    for ability, slot in zip(abilities, slots, strict=True):
        below = any(other.x == slot.x and other.y < slot.y for other in slots)
        _add_axes(figure, slot, sizes, limits, percent=percent, labels=not below)
        members = [curve for curve in curves if curve.ability == ability]
        law = by_law.get(ability)
        drawn = law if law is not None and has_lines(law) else None
        for i, volume in enumerate(volumes):
            _add_volume(figure, slot, members, drawn, volume, i)
        _add_title(figure, slot, ability, law)
    for i, volume in enumerate(volumes):
        figure.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="lines+markers",
                name=f"{say_examples(volume)} examples",
                line={"color": COLOURS[i % len(COLOURS)], "width": 1.5},
                marker={"symbol": SYMBOLS[i % len(SYMBOLS)], "size": 7},
            )
        )
    frame = Frame(
        title=title,
        subtitle="Mean score on held-out questions against parameters of the base model "
        "(logarithmic), at equal volumes",
        note=note,
        left=44,
        axis_room=_TICK_ROOM + 16,
        legend=True,
    )
    return apply_frame(figure, frame, height)


def sizes_note() -> str:
    """Explain the figure's lines and marks."""
    return (
        "Marks: means over runs with \N{PLUS-MINUS SIGN}1 standard error over test questions. "
        "Lines: the joint law E + A / N^alpha + B / n^beta (accuracies: on the logit scale), where "
        "it is identified; dotted where it is not, joining the means. Under each name: exponents."
    )


def pick_volumes(curves: Sequence[CurveFit]) -> list[float]:
    """Return at most five observed volumes above 0, the smallest and largest among them."""
    found = {float(n) for c in curves for n in c.points.n_examples if n > 0}
    volumes = sorted(found)
    if len(volumes) <= _MOST_VOLUMES:
        return volumes
    last = len(volumes) - 1
    places = dict.fromkeys(round(i * last / (_MOST_VOLUMES - 1)) for i in range(_MOST_VOLUMES))
    return [volumes[place] for place in places]


def has_lines(law: JointFit) -> bool:
    """Tell whether a joint law is known well enough to be drawn."""
    return law.status in (FitStatus.OK, FitStatus.AT_BOUND) and None not in law.params.values()


def law_score(law: JointFit, n_params: FloatArray, n_examples: float) -> FloatArray:
    """Return E + A / N^alpha + B / n^beta, as an accuracy above the floor where it is one.

    Parameters
    ----------
    law : JointFit
        With all parameters known.
    n_params : ndarray, shape (n_sizes,)
        Model sizes N, count > 0.
    n_examples : float
        Volume n, count > 0.
    """
    p = {name: float(value or 0.0) for name, value in law.params.items()}
    total = p["E"] + p["A"] / n_params ** p["alpha"] + p["B"] / n_examples ** p["beta"]
    if law.response is not ResponseKind.ACCURACY:
        return np.asarray(total)
    floor = law.floor or 0.0
    return np.asarray(floor + (1 - floor) / (1 + np.exp(np.clip(total, -700, 700))))


def _plan_slots(n_panels: int, n_columns: int) -> tuple[list[Slot], int]:
    """Place the panels row by row; return their slots and the plot area's height in pixels."""
    n_rows = -(-n_panels // n_columns)
    step = _TITLE_ROOM + _PANEL_HEIGHT
    height = n_rows * step + (n_rows - 1) * _TICK_ROOM
    width = (1 - _GAP * (n_columns - 1)) / n_columns
    slots = []
    for index in range(n_panels):
        row, column = divmod(index, n_columns)
        top = row * (step + _TICK_ROOM) + _TITLE_ROOM
        left = column * (width + _GAP)
        slots.append(
            Slot(
                number=index + 1,
                x=(left, min(1.0, left + width)),
                y=(max(0.0, 1 - (top + _PANEL_HEIGHT) / height), 1 - top / height),
                left=column == 0,
            )
        )
    return slots, height


def _add_axes(
    figure: go.Figure,
    slot: Slot,
    sizes: Sequence[int],
    limits: tuple[float, float],
    *,
    percent: bool,
    labels: bool,
) -> None:
    """Give a panel its axes: parameters on a logarithmic scale, scores."""
    suffix = "" if slot.number == 1 else str(slot.number)
    logs = np.log10(sizes)
    room = 0.12 * float(np.ptp(logs)) or 0.3
    shown = [sizes[0], sizes[-1]] if len(sizes) > 1 else sizes
    figure.update_layout(
        {
            f"xaxis{suffix}": {
                "type": "log",
                "range": [float(logs[0]) - room, float(logs[-1]) + room],
                "tickvals": shown,
                "ticktext": [count_params(size) for size in shown],
                "showticklabels": labels,
                "ticks": "outside",
                "ticklen": 3,
                "tickcolor": GREY,
                "tickfont": {"size": SMALL_SIZE - 1},
                "tickangle": 0,
                "showgrid": False,
                "showline": True,
                "linecolor": GREY,
                "zeroline": False,
                "gridcolor": FAINT,
                "domain": slot.x,
                "anchor": slot.yref,
            },
            f"yaxis{suffix}": {
                **score_axis_layout(limits, percent=percent, show_labels=slot.left),
                "domain": slot.y,
                "anchor": slot.xref,
            },
        }
    )


def _add_volume(
    figure: go.Figure,
    slot: Slot,
    members: Sequence[CurveFit],
    law: JointFit | None,
    volume: float,
    index: int,
) -> None:
    """Draw one volume's means over runs, and the law's line through them."""
    colour, symbol = COLOURS[index % len(COLOURS)], SYMBOLS[index % len(SYMBOLS)]
    shared = {"xaxis": slot.xref, "yaxis": slot.yref, "showlegend": False}
    means = [one for curve in members if (one := _mean(curve, volume)) is not None]
    if not means:
        return
    sizes = np.array([size for size, _, _, _ in means])
    if law is not None and len(means) > 1:
        grid = np.geomspace(sizes.min(), sizes.max(), _LAW_POINTS)
        figure.add_trace(
            go.Scatter(
                x=grid,
                y=law_score(law, grid, volume),
                mode="lines",
                name="joint law",
                line={"color": colour, "width": 1.5},
                hoverinfo="skip",
                **shared,
            )
        )
    figure.add_trace(
        go.Scatter(
            x=sizes,
            y=[mean for _, mean, _, _ in means],
            mode="markers" if law is not None else "lines+markers",
            name="means",
            line={"color": colour, "width": 1, "dash": "dot"},
            marker={"symbol": symbol, "size": 7, "color": colour},
            error_y={
                "array": [stderr for _, _, stderr, _ in means],
                "thickness": 1,
                "width": 0,
                "color": colour,
            },
            customdata=[text for _, _, _, text in means],
            hovertemplate="%{customdata}<extra></extra>",
            **shared,
        )
    )


def _mean(curve: CurveFit, volume: float) -> tuple[float, float, float, str] | None:
    """Return size, mean score over runs, its standard error over items, and the hover text."""
    points = curve.points
    kept = np.array([reason is None for reason in points.excluded], dtype=bool)
    at = (points.n_examples == volume) & np.isfinite(points.score) & kept
    if not at.any() or not curve.n_params:
        return None
    mean = float(points.score[at].mean())
    stderr = float(np.sqrt(np.nansum(points.stderr[at] ** 2))) / int(at.sum())
    text = (
        f"<b>{escape(name_ability(curve.ability))}</b>: {escape(curve.base_model)}"
        f"<br>mean of {int(at.sum())} runs at {say_examples(volume)} examples: "
        f"{say_score(mean, curve.response)}"
    )
    return float(curve.n_params), mean, stderr, text


def _add_title(figure: go.Figure, slot: Slot, ability: str, law: JointFit | None) -> None:
    """Write the ability's name, and under it the exponents or why there are none."""
    said = "no joint law"
    if law is not None:
        said = _NO_LAW_WORDS.get(law.status, STATUS_WORDS[law.status])
        if has_lines(law):
            said = f"N^\N{MINUS SIGN}{law.params['alpha']:.2f}, n^\N{MINUS SIGN}"
            said += f"{law.params['beta']:.2f}"
    figure.add_annotation(
        text=f"<b>{escape(shorten(name_ability(ability), 24))}</b><br>"
        f'<span style="font-size:{SMALL_SIZE - 1}px">{escape(shorten(said, 34))}</span>',
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
