"""A study's figures as values: what each is called, says and draws, and which can't be drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go


@dataclass(frozen=True, kw_only=True)
class PaperFigure:
    """One figure of a study, laid out for one width.

    Attributes
    ----------
    name : str
        File name without its ending: letters, digits and hyphens ("growth-ability-coding").
    title : str
        The finding in a sentence; inside the figure only where titles are asked for.
    caption : str
        What is drawn, its unit, interval, number of runs and source; plain text, one paragraph.
    draw : callable
        Returns the figure that the app shows, with its frame (`dashboard.charts.style`).
    table : callable
        Returns the data drawn, one row a mark or run, as numbers.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[], go.Figure]
    table: Callable[[], pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class MissingFigure:
    """A figure that the data can't give.

    Attributes
    ----------
    name : str
        Its name if there were one.
    reason : str
        Why not, and what would give it; a sentence without its full stop.
    """

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class FigureSet:
    """All figures of a study, in the order of a paper, and those that are missing."""

    figures: tuple[PaperFigure, ...]
    missing: tuple[MissingFigure, ...]
