"""A budget in figures: what to buy, what it brings, what other budgets would."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.analysis import ResponseKind
from dashboard.analysis.budget.results import (
    AllocatedCell,
    ExpectedScore,
    Recommendation,
)
from dashboard.charts.forest import Axis, Mark, Row, forest_figure, plan_named_series
from dashboard.charts.style import (
    COLOURS,
    FAINT,
    GREY,
    PANEL_TITLE_SIZE,
    SMALL_SIZE,
    Frame,
    apply_frame,
    escape,
    fade,
    shorten,
)
from dashboard.charts.wording import (
    name_ability,
    say_interval,
    say_score,
)

_ROW_HEIGHT = 19
_PATTERNS = ("", "/", ".", "x", "-", "+")
_PLAN = "this plan"
_UNIFORM = "uniform plan"


# --- Figures ----------------------------------------------------------------------------------


def allocation_figure(
    cells: Sequence[AllocatedCell],
    *,
    title: str,
    subtitle: str,
    note: str,
    ranges: dict[tuple[str, str], tuple[int, int]] | None = None,
) -> go.Figure:
    """Draw examples to get, a bar an ability and source.

    Parameters
    ----------
    cells : sequence of AllocatedCell
        At least one.
    title, subtitle, note : str
        The finding; what is bought; source and uncertainty.
    ranges : dict, optional
        Where re-solved plans lie, by ability and source.
    """
    sources = list(dict.fromkeys(cell.data_source for cell in cells))
    totals: dict[str, int] = {}
    for cell in cells:
        totals[cell.ability] = totals.get(cell.ability, 0) + cell.n_examples
    abilities = sorted(totals, key=lambda name: (-totals[name], name))
    figure = go.Figure()
    largest = max((cell.n_examples for cell in cells), default=0)
    for i, source in enumerate(sources):
        mine = {cell.ability: cell for cell in cells if cell.data_source == source}
        shown = [ability for ability in abilities if ability in mine]
        counts = [mine[ability].n_examples for ability in shown]
        bounds = [(ranges or {}).get((ability, source)) for ability in shown]
        largest = max([largest, *(high for bound in bounds if bound for high in bound)])
        figure.add_trace(
            go.Bar(
                x=counts,
                y=[abilities.index(ability) for ability in shown],
                orientation="h",
                name=escape(source),
                marker={
                    "color": COLOURS[i % len(COLOURS)],
                    "pattern": {
                        "shape": _PATTERNS[i % len(_PATTERNS)],
                        "fgcolor": "rgba(255, 255, 255, 0.6)",
                        "size": 6,
                    },
                },
                error_x={
                    "array": [b[1] - n if b else 0 for b, n in zip(bounds, counts, strict=True)],
                    "arrayminus": [
                        n - b[0] if b else 0 for b, n in zip(bounds, counts, strict=True)
                    ],
                    "visible": ranges is not None,
                    "color": GREY,
                    "thickness": 1.5,
                    "width": 3,
                },
                text=[_bar_text(mine[ability]) for ability in shown],
                textposition="none",
                customdata=[_bar_hover(mine[ability]) for ability in shown],
                hovertemplate="%{customdata}<extra></extra>",
            )
        )
        _add_counts(figure, [mine[a] for a in shown], abilities, i, len(sources), bounds)
    height = _ROW_HEIGHT * len(abilities) * len(sources) + 14 * len(abilities)
    figure.update_layout(
        barmode="group",
        bargap=0.28,
        bargroupgap=0.06,
        xaxis={
            # Room for the longest figure beyond its bar.
            "range": [0, (1 + 0.04 * len(f"{largest:,}")) * max(largest, 1)],
            "tickformat": ",d",
            "nticks": 6,
            "title": {"text": "Examples", "font": {"size": SMALL_SIZE}, "standoff": 6},
            "gridcolor": FAINT,
            "zeroline": False,
            "tickfont": {"size": SMALL_SIZE - 1},
            "fixedrange": True,
        },
        yaxis={
            "range": [len(abilities) - 0.5, -0.5],
            "tickvals": list(range(len(abilities))),
            "ticktext": [escape(shorten(name_ability(name), 28)) for name in abilities],
            "ticklabelstandoff": 6,
            "tickfont": {"size": PANEL_TITLE_SIZE},
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
    )
    frame = Frame(
        title=title,
        subtitle=subtitle,
        note=note,
        left=12 + round(7.2 * max(len(shorten(name_ability(name), 28)) for name in abilities)),
        right=16,
        axis_room=48,
        legend=True,
    )
    return apply_frame(figure, frame, height)


def expected_figure(
    found: Recommendation, response: ResponseKind, *, title: str, note: str, narrow: bool = False
) -> go.Figure:
    """Draw each ability's expected score under the plan, beside no data and the uniform plan."""
    series = plan_named_series([_PLAN, _UNIFORM, "no data"])
    sign = 1 if found.higher_is_better else -1
    ordered = sorted(found.expected, key=lambda e: -sign * (e.score.estimate - e.without_data))
    percent = response is ResponseKind.ACCURACY
    rows = [
        Row(
            name=name_ability(e.ability),
            marks=_expected_marks(e, response),
            text=say_interval(e.score, response)
            + ("" if e.p_floor is None else f", floor {e.p_floor:.0%}"),
        )
        for e in ordered
    ]
    return forest_figure(
        rows,
        series,
        Axis(title="Expected score", tick_format=".0%" if percent else "~g"),
        title=title,
        subtitle=f"Expected score of {found.base_model} on held-out questions, with interval",
        note=note,
        text_heading="This plan",
        narrow=narrow,
    )


def frontier_figure(
    found: Recommendation, response: ResponseKind, unit: str, *, title: str, note: str
) -> go.Figure:
    """Draw the weighted mean score against the budget, of the best plans and the uniform ones."""
    points = found.frontier
    budgets = [point.budget for point in points]
    percent = response is ResponseKind.ACCURACY
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[*budgets, *reversed(budgets)],
            y=[*(p.score.high for p in points), *(p.score.low for p in reversed(points))],
            fill="toself",
            fillcolor=fade(COLOURS[0], 0.16),
            line={"width": 0},
            mode="lines",
            name="band",
            hoverinfo="skip",
            showlegend=False,
        )
    )
    lines = (
        ("best plan", [p.score.estimate for p in points], COLOURS[0], "solid", "circle"),
        (_UNIFORM, [p.uniform for p in points], COLOURS[1], "dash", "square"),
    )
    for name, values, colour, dash, symbol in lines:
        figure.add_trace(
            go.Scatter(
                x=budgets,
                y=values,
                mode="lines+markers",
                name=name,
                line={"color": colour, "width": 2, "dash": dash},
                marker={"symbol": symbol, "size": 8, "color": colour},
                customdata=[
                    f"<b>{name}</b>, {budget:,.0f} {unit}<br>{say_score(value, response)}"
                    for budget, value in zip(budgets, values, strict=True)
                ],
                hovertemplate="%{customdata}<extra></extra>",
                showlegend=False,
            )
        )
        figure.add_annotation(
            text=name,
            name="line label",
            font={"size": SMALL_SIZE + 1, "color": colour},
            xref="paper",
            x=1,
            xanchor="left",
            xshift=4,
            y=values[-1],
            yshift=9 if name != _UNIFORM else -9,
            showarrow=False,
        )
    figure.add_vline(x=found.budget, line={"color": GREY, "width": 1, "dash": "dot"})
    figure.update_layout(
        xaxis={
            "type": "log",
            "tickvals": budgets,
            "ticktext": [_say_budget(budget) for budget in budgets],
            "tickangle": 0,
            "title": {"text": f"Budget ({unit})", "font": {"size": SMALL_SIZE}, "standoff": 6},
            "gridcolor": FAINT,
            "tickfont": {"size": SMALL_SIZE - 1},
            "fixedrange": True,
        },
        yaxis={
            "tickformat": ".0%" if percent else "~g",
            "gridcolor": FAINT,
            "zeroline": False,
            "nticks": 6,
            "tickfont": {"size": SMALL_SIZE - 1},
            "fixedrange": True,
        },
    )
    frame = Frame(
        title=title,
        subtitle="Weighted mean of expected scores against the budget (logarithmic); dotted: the "
        "budget asked for",
        note=note,
        left=48,
        right=96,
        axis_room=48,
    )
    return apply_frame(figure, frame, 240)


# --- Parts ------------------------------------------------------------------------------------


def _say_budget(budget: float) -> str:
    """Return a tick's text: "2,560", "410k", "1.64M"."""
    for limit, factor, unit in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if budget >= limit:
            return f"{budget / factor:.3g}{unit}"
    return f"{budget:,.0f}"


def _bar_text(cell: AllocatedCell) -> str:
    """Return a bar's figure, marked where the plan takes all that may be had."""
    mark = {"supported": " ■", "available": " □"}.get(cell.stopped_by or "", "")
    return f"{cell.n_examples:,}{mark}"


def _bar_hover(cell: AllocatedCell) -> str:
    lines = [
        f"<b>{escape(name_ability(cell.ability))}</b>, {escape(cell.data_source)} data",
        f"{cell.n_examples:,} examples, cost {cell.cost:,.6g}",
    ]
    if cell.stopped_by == "supported":
        lines.append("as much as the largest run; more may help")
    elif cell.stopped_by == "available":
        lines.append("all that is available")
    if cell.unsupported:
        lines.append("beyond every observed run")
    return "<br>".join(lines)


def _add_counts(
    figure: go.Figure,
    cells: Sequence[AllocatedCell],
    abilities: Sequence[str],
    index: int,
    n_sources: int,
    bounds: Sequence[tuple[int, int] | None],
) -> None:
    """Write every bar's figure beyond its whisker."""
    step = 0.72 / n_sources
    for cell, bound in zip(cells, bounds, strict=True):
        figure.add_annotation(
            text=_bar_text(cell),
            name="count",
            font={"size": SMALL_SIZE - 1},
            x=max(cell.n_examples, bound[1] if bound else 0),
            xanchor="left",
            xshift=5,
            y=abilities.index(cell.ability) - 0.36 + step * (index + 0.5),
            showarrow=False,
        )


def _expected_marks(e: ExpectedScore, response: ResponseKind) -> tuple[Mark, ...]:
    """Return the marks of one ability: the plan with its interval, the others as points."""
    name = escape(name_ability(e.ability))
    others = ((_UNIFORM, e.uniform), ("no data", e.without_data))
    return (
        Mark(
            series=_PLAN,
            estimate=e.score.estimate,
            low=e.score.low,
            high=e.score.high,
            hover=f"<b>{name}</b>, {_PLAN}<br>{say_interval(e.score, response)}"
            f"<br>{e.score.level:.0%} interval",
        ),
        *(
            Mark(
                series=series,
                estimate=value,
                low=value,
                high=value,
                hover=f"<b>{name}</b>, {series}<br>{say_score(value, response)}",
                filled=False,
            )
            for series, value in others
        ),
    )
