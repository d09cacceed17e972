"""Figures at print size: widths of papers and slides, lettering in points, no title inside.

Figures are drawn in pixels for the screen. On paper a pixel of theirs becomes a fixed number of
points, so that lettering of 11 to 14 pixels stands in 7 to 9 points whatever the width, with lines
and marks in proportion; the figure is laid out anew for as many pixels as the width then has.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from enum import StrEnum

import plotly.graph_objects as go

from dashboard.charts.legend import fit_legend
from dashboard.charts.style import escape, read_frame, suit_screen

_POINTS_PER_INCH = 72
_CSS_PIXELS_PER_INCH = 96
_PAPER_POINTS = 0.64
"""Points a pixel on paper: the smallest lettering, of 11 pixels, has 7.0 points."""
_SLIDE_POINTS = 1.28
"""Points a pixel on slides: the smallest lettering has 14.1 points."""
_MOST_INCHES = 9.0
"""Height of the text of a sheet, with room for a caption."""
_NARROW_PIXELS = 480
_PANEL_MARGINS = 55
_PANEL_PIXELS = 130
SMALL_PANEL = 150
"""Panels of fewer pixels take fewer ticks."""

_TITLE_SIZE = 14
_TITLE_LINE = 19
_AXIS_ROOM = 44
"""Below a plot whose axis has a title; pages leave more before their note."""
_PIXELS_PER_CHARACTER = 6.4


class Preset(StrEnum):
    """Where figures will stand."""

    ACL = "acl"
    ACL_WIDE = "acl-wide"
    NEURIPS = "neurips"
    ICML = "icml"
    ICML_WIDE = "icml-wide"
    SLIDES = "slides"

    @property
    def page(self) -> Page:
        """Size and lettering."""
        return _PAGES[self]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Width of a figure, its height where that is fixed, and points a drawn pixel.

    Widths are those of the style files: ACL 7.7 cm columns in 16 cm of text, NeurIPS 5.5 in of
    text, ICML 3.25 in columns in 6.75 in; slides are 16:9.
    """

    width_inches: float
    height_inches: float | None = None
    points_per_pixel: float = _PAPER_POINTS

    @property
    def width(self) -> int:
        """Pixels across for which figures are laid out."""
        return round(self.width_inches * _POINTS_PER_INCH / self.points_per_pixel)

    @property
    def height(self) -> int | None:
        """Pixels down, where the height is fixed."""
        if self.height_inches is None:
            return None
        return round(self.height_inches * self.width / self.width_inches)

    @property
    def narrow(self) -> bool:
        """Whether there is no room for names beside marks."""
        return self.width < _NARROW_PIXELS

    def panel_width(self, n_columns: int) -> float:
        """Return about how many pixels a panel has where `n_columns` stand in a row."""
        return (self.width - _PANEL_MARGINS) / n_columns

    def n_columns(self, n_panels: int) -> int:
        """Return how many panels stand in a row."""
        most = max(2, int(self.panel_width(1) // _PANEL_PIXELS))
        # Rows of equal length rather than a full one and a rest.
        return -(-n_panels // -(-n_panels // min(most, 5)))


_PAGES = {
    Preset.ACL: Page(width_inches=3.03),
    Preset.ACL_WIDE: Page(width_inches=6.3),
    Preset.NEURIPS: Page(width_inches=5.5),
    Preset.ICML: Page(width_inches=3.25),
    Preset.ICML_WIDE: Page(width_inches=6.75),
    Preset.SLIDES: Page(width_inches=40 / 3, height_inches=7.5, points_per_pixel=_SLIDE_POINTS),
}


@dataclass(frozen=True, kw_only=True)
class PrintedFigure:
    """A figure ready to be drawn; its layout has width and height.

    Attributes
    ----------
    scale : float
        CSS pixels a drawn pixel, with which it gets its size in inches.
    """

    figure: go.Figure
    scale: float

    @property
    def width_points(self) -> float:
        """Width on paper."""
        return self._points(self.figure.layout.width)

    @property
    def height_points(self) -> float:
        """Height on paper."""
        return self._points(self.figure.layout.height)

    def _points(self, pixels: float) -> float:
        return pixels * self.scale * _POINTS_PER_INCH / _CSS_PIXELS_PER_INCH


def suit_paper(figure: go.Figure, page: Page, *, title: bool = False) -> PrintedFigure:
    """Return a copy for print: on white, at the page's width, with its title only where asked.

    Parameters
    ----------
    figure : Figure
        From `dashboard.charts`, with its frame; drawn for `page.width` pixels.
    page : Page
        Where it will stand. One of fixed height is filled; a figure too high for it, or for any
        sheet of paper, is made smaller as a whole.
    title : bool
        Whether the finding stands inside. Subtitle and note belong to the caption.
    """
    texts = read_frame(figure)
    # A copy without title, subtitle, note and their room, as the app's pages show it.
    printed = suit_screen(figure, dark=False)
    layout = printed.layout
    layout.paper_bgcolor = layout.plot_bgcolor = "white"
    plot_height = layout.height - layout.margin.t - layout.margin.b
    if layout.xaxis.title.text:
        layout.margin.b = _AXIS_ROOM
    # Lines of the grid do not run through words.
    printed.update_annotations(bgcolor="white", borderpad=0, selector={"name": "row text"})
    top = 8
    if layout.showlegend:
        top += fit_legend(printed, page.width)
    lines: list[str] = []
    if title and texts is not None:
        lines = textwrap.wrap(texts.title, int((page.width - 12) / (_PIXELS_PER_CHARACTER * 1.3)))
    top += _TITLE_LINE * len(lines) + (4 if lines else 0)
    layout.margin.t = top
    width, height = page.width, plot_height + top + layout.margin.b
    most = page.height or round(_MOST_INCHES * page.width / page.width_inches)
    if height > most:
        width = math.ceil(height * page.width / most)
    elif page.height is not None:
        height = page.height
    layout.width, layout.height = width, height
    _keep_head(printed, plot_height, height - top - layout.margin.b)
    if layout.showlegend:
        layout.legend.y = 1 + 6 / (height - top - layout.margin.b)
    if lines:
        printed.add_annotation(
            text=f"<b>{'<br>'.join(escape(line) for line in lines)}</b>",
            name="title",
            font={"size": _TITLE_SIZE},
            xref="paper",
            yref="paper",
            x=0,
            xanchor="left",
            xshift=-layout.margin.l + 2,
            y=1,
            yanchor="top",
            yshift=top - 2,
            align="left",
            showarrow=False,
        )
    return PrintedFigure(figure=printed, scale=page.width_inches * _CSS_PIXELS_PER_INCH / width)


def _keep_head(figure: go.Figure, before: float, after: float) -> None:
    """Keep the pixels over a lone row of panels, their titles' room, where a plot area grew."""
    axes = list(figure.select_yaxes())
    tops = {tuple(axis.domain) for axis in axes if axis.domain}
    if len(tops) != 1 or after <= before:
        return
    ((bottom, old),) = tops
    new = 1 - (1 - old) * before / after
    if bottom > 0 or old == 1:
        return
    for axis in axes:
        axis.domain = (0, new)
    figure.update_annotations(y=new, selector={"name": "group"})
