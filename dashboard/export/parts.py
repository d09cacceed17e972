"""What the builders of figures share: a figure with its caption, its name and its counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.analysis import CurveFit
from dashboard.charts.style import SMALL_SIZE, escape, read_frame
from dashboard.charts.wording import say_count
from dashboard.export.figure_set import MissingFigure, PaperFigure
from dashboard.export.study_evidence import Unavailable

Found = PaperFigure | MissingFigure

_AXIS_NAME_ROOM = 15


def present(
    name: str, figure: go.Figure, table: Callable[[], pd.DataFrame], *more: str
) -> PaperFigure:
    """Return a drawn figure with the caption that its frame and `more` sentences make."""
    texts = read_frame(figure)
    assert texts is not None  # every figure of `dashboard.charts` has a frame
    said = [texts.title, texts.subtitle, *texts.note.split("\n")[:-1], *more]
    said.append(texts.note.split("\n")[-1])
    return PaperFigure(
        name=name,
        title=texts.title,
        caption=" ".join(_sentence(text) for text in said if text.strip()),
        draw=lambda: figure,
        table=table,
    )


def missing(names: Iterable[str], why: str | Unavailable) -> list[Found]:
    """Return figures that can't be drawn, for one reason."""
    reason = why.reason if isinstance(why, Unavailable) else why
    return [MissingFigure(name=name, reason=reason.rstrip(".")) for name in names]


def slug(text: str) -> str:
    """Return a part of a file name: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"


def say_runs(curves: Sequence[CurveFit]) -> str:
    """Return how many runs, seeds and test questions stand behind some curves."""
    cells: set[str] = set()
    seeds: set[int | None] = set()
    items: list[float] = []
    for curve in curves:
        points = curve.points
        kept = np.isfinite(points.score) & np.array([one is None for one in points.excluded], bool)
        cells |= {points.cell_id[i] for i in np.flatnonzero(kept)}
        seeds |= {points.seed[i] for i in np.flatnonzero(kept)} - {None}
        items += [float(n) for n in points.n_items[kept] if np.isfinite(n)]
    said = f"n = {say_count(len(cells), 'run')}"
    said += f" ({say_count(len(seeds), 'seed')})" if seeds else ""
    if items:
        low, high = min(items), max(items)
        counts = f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
        said += f", {counts} test items an ability"
    return said


def name_axes(figure: go.Figure, x: str, y: str) -> go.Figure:
    """Write what the axes of all panels count; on a page the subtitle says it."""
    shared = {"font": {"size": SMALL_SIZE}, "xref": "paper", "yref": "paper", "showarrow": False}
    shared["name"] = "axis name"
    figure.add_annotation(text=escape(x), x=0.5, y=0, yanchor="top", yshift=-20, **shared)
    figure.layout.margin.l += _AXIS_NAME_ROOM
    figure.add_annotation(
        text=escape(y),
        textangle=-90,
        x=0,
        xanchor="left",
        xshift=-figure.layout.margin.l + 2,
        y=0.5,
        **shared,
    )
    return figure


def name_score(curve: CurveFit) -> str:
    """Return what a curve's scores are, as an axis calls them."""
    return curve.metric.replace("_", " ").capitalize()


def _sentence(text: str) -> str:
    """Return a text that ends with a full stop."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
