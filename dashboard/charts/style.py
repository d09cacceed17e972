"""Colours, marks and lettering that all figures share.

Every distinction is made twice, by colour and by mark or dash, so that figures survive grey print
and colour blindness.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

from dashboard.analysis import CurveFit, Label
from dashboard.charts.legend import fit_legend

# Okabe and Ito's palette without black and yellow, which vanish on a dark or a white page.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")

# Mid-greys that can be read on both a light and a dark page.
GREY = "#808080"
_INK = "#1F2933"
_INK_ON_DARK = "#E8EAED"
# The background of Streamlit's dark pages.
_PAGE_DARK = "#171614"
FAINT = "rgba(128, 128, 128, 0.25)"

FONT_FAMILY = '"Source Sans", "Source Sans Pro", "Helvetica Neue", Arial, sans-serif'
TITLE_SIZE = 19
SUBTITLE_SIZE = 14
PANEL_TITLE_SIZE = 13
SMALL_SIZE = 12

# Figures on paper and in files are this wide, in pixels; a line of the note and of the title holds
# so many characters there. On the screen the page writes both and breaks lines as it needs.
EXPORT_WIDTH = 1040
NOTE_CHARACTERS = 150
TITLE_CHARACTERS = 105
# A page's figures are at least so wide, in pixels, on a phone of 360.
_PHONE_WIDTH = 330
_FRAME = "frame"


@dataclass(frozen=True, kw_only=True)
class LabelStyle:
    """How a label is shown: a glyph in text, a symbol in plots, a colour in both."""

    glyph: str
    symbol: str
    colour: str


LABEL_STYLES: dict[Label | None, LabelStyle] = {
    Label.RESPONSIVE: LabelStyle(glyph="▲", symbol="triangle-up", colour="#009E73"),
    Label.SATURATING: LabelStyle(glyph="◆", symbol="diamond", colour="#0072B2"),
    Label.RESISTANT: LabelStyle(glyph="■", symbol="square", colour="#E69F00"),
    Label.DECLINING: LabelStyle(glyph="▼", symbol="triangle-down", colour="#D55E00"),
    Label.UNDECIDED: LabelStyle(glyph="○", symbol="circle-open", colour=GREY),
    None: LabelStyle(glyph="×", symbol="x", colour=GREY),
}


@dataclass(frozen=True, kw_only=True)
class Series:
    """How the curves of one base model and data source are drawn."""

    name: str
    colour: str
    dash: str
    symbol: str


def plan_series(curves: Sequence[CurveFit]) -> dict[tuple[str, str], Series]:
    """Give each (base model, data source) its colour, dash and symbol.

    Colour tells models apart, or sources where there is one model; dash and symbol tell sources
    apart, or repeat the colour's distinction where there is one source.
    """
    models = list(dict.fromkeys(curve.base_model for curve in curves))
    sources = list(dict.fromkeys(curve.data_source for curve in curves))
    pairs = dict.fromkeys((curve.base_model, curve.data_source) for curve in curves)
    series = {}
    for model, source in pairs:
        i_model, i_source = models.index(model), sources.index(source)
        i_colour = i_model if len(models) > 1 else i_source
        i_mark = i_source if len(sources) > 1 else i_model
        parts = [model] if len(models) > 1 or len(sources) == 1 else []
        parts += [source] if len(sources) > 1 else []
        series[model, source] = Series(
            name=escape(", ".join(parts)),
            colour=COLOURS[i_colour % len(COLOURS)],
            dash=DASHES[i_mark % len(DASHES)],
            symbol=SYMBOLS[i_mark % len(SYMBOLS)],
        )
    return series


def escape(text: str) -> str:
    """Make text safe for Plotly, which reads tags, entities and $...$ in what it draws."""
    return html.escape(text, quote=False).replace("$", "&#36;")


def shorten(text: str, n_characters: int) -> str:
    """Cut text to a width, with an ellipsis."""
    return text if len(text) <= n_characters else text[: n_characters - 1] + "…"


def wrap(text: str, n_characters: int) -> str:
    """Escape text and break it into lines of at most `n_characters`."""
    lines = textwrap.wrap(text, n_characters, break_long_words=True) or [""]
    return "<br>".join(escape(line) for line in lines)


def fade(colour: str, opacity: float) -> str:
    """Return a hex colour with an opacity in [0, 1], for bands."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


@dataclass(frozen=True, kw_only=True)
class FrameTexts:
    """What is written around a figure: the finding, measure and unit, source and uncertainty."""

    title: str
    subtitle: str
    note: str


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Room in pixels around the plot area, and what is written there."""

    title: str
    subtitle: str
    note: str
    left: int
    right: int = 12
    axis_room: int = 44
    legend: bool = False

    @property
    def title_lines(self) -> list[str]:
        """The title's lines, unescaped."""
        return textwrap.wrap(self.title, TITLE_CHARACTERS)

    @property
    def subtitle_lines(self) -> list[str]:
        """The subtitle's lines, unescaped."""
        return textwrap.wrap(self.subtitle, NOTE_CHARACTERS - 10)

    @property
    def note_lines(self) -> list[str]:
        """The note's lines, unescaped."""
        return [
            line
            for paragraph in self.note.split("\n")
            for line in textwrap.wrap(paragraph, NOTE_CHARACTERS)
        ]

    @property
    def top(self) -> int:
        """Pixels above the plot area."""
        return (
            len(self.title_lines) * 25
            + len(self.subtitle_lines) * 19
            + (34 if self.legend else 0)
            + 8
        )

    @property
    def bottom(self) -> int:
        """Pixels below the plot area."""
        return self.axis_room + 17 * len(self.note_lines) + 6


def apply_frame(figure: go.Figure, frame: Frame, plot_height: int) -> go.Figure:
    """Write title, subtitle and note around a figure whose plot area is `plot_height` pixels high.

    They are part of the figure, so that a copy of it never loses what it says and rests on.
    """
    height = plot_height + frame.top + frame.bottom
    texts = FrameTexts(title=frame.title, subtitle=frame.subtitle, note=frame.note)
    room = {"top": 34 * frame.legend + 8, "bottom": frame.axis_room + 6}
    figure.update_layout(
        meta={_FRAME: asdict(texts) | room},
        template="plotly_white",
        height=height,
        margin={
            "l": frame.left,
            "r": frame.right,
            "t": frame.top,
            "b": frame.bottom,
            "autoexpand": False,
        },
        font={"family": FONT_FAMILY, "size": SMALL_SIZE, "color": _INK},
        hoverlabel={"align": "left", "font": {"family": FONT_FAMILY, "size": 13}},
        hovermode="closest",
        showlegend=frame.legend,
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1 + 8 / plot_height,
            "yanchor": "bottom",
            "font": {"size": SUBTITLE_SIZE},
            "itemsizing": "constant",
            # Long enough to show a dash.
            "itemwidth": 40,
            "tracegroupgap": 0,
        },
    )
    top = 0
    for lines, size, step, bold in (
        (frame.title_lines, TITLE_SIZE, 25, True),
        (frame.subtitle_lines, SUBTITLE_SIZE, 19, False),
    ):
        if lines:
            text = "<br>".join(escape(line) for line in lines)
            figure.add_annotation(
                text=f"<b>{text}</b>" if bold else text,
                name="title" if bold else "subtitle",
                font={"size": size},
                **_at_left(frame),
                y=1,
                yanchor="top",
                yshift=frame.top - 2 - top,
            )
        top += step * len(lines)
    if frame.note_lines:
        figure.add_annotation(
            text="<br>".join(escape(line) for line in frame.note_lines),
            name="note",
            font={"size": SMALL_SIZE, "color": GREY},
            **_at_left(frame),
            y=0,
            yanchor="top",
            yshift=-frame.axis_room,
        )
    return figure


def read_frame(figure: go.Figure) -> FrameTexts | None:
    """Return the texts that `apply_frame` wrote around a figure; None without a frame."""
    known = (figure.layout.meta or {}).get(_FRAME)
    return known and FrameTexts(**{name: known[name] for name in ("title", "subtitle", "note")})


def suit_screen(figure: go.Figure, *, dark: bool, narrow: bool = False) -> go.Figure:
    """Return a copy for a light or dark page: clear background, no title, subtitle and note.

    The page writes those itself, since lines of its own break on a phone. For a phone (`narrow`)
    the legend gets as many rows as it takes there.
    """
    spec: dict[str, Any] = figure.to_dict()
    layout = spec["layout"]
    layout["template"] = _template("plotly_dark" if dark else "plotly_white")
    layout["paper_bgcolor"] = layout["plot_bgcolor"] = "rgba(0, 0, 0, 0)"
    layout["font"] = {**layout.get("font", {}), "color": _INK_ON_DARK if dark else _INK}
    known = (layout.pop("meta", None) or {}).get(_FRAME)
    if known:
        margin = layout["margin"]
        layout["height"] -= margin["t"] - known["top"] + margin["b"] - known["bottom"]
        margin |= {"t": known["top"], "b": known["bottom"]}
        layout["annotations"] = [
            one
            for one in layout["annotations"]
            if one.get("name") not in ("title", "subtitle", "note")
        ]
    # Plotly checked all of it when it was drawn; checking again takes five times as long as this.
    screen = go.Figure(spec, _validate=False)
    if narrow:
        # Names stand over the marks there, and lines of the grid do not run through words.
        page = _PAGE_DARK if dark else "white"
        screen.update_annotations(bgcolor=page, borderpad=0, selector={"name": "row text"})
    if known and narrow and layout["showlegend"]:
        more = fit_legend(screen, _PHONE_WIDTH) + 8 - known["top"]
        screen.layout.height += more
        screen.layout.margin.t += more
    return screen


@cache
def _template(name: str) -> dict[str, Any]:
    """Return one of Plotly's looks, as figures hold it."""
    look: dict[str, Any] = pio.templates[name].to_plotly_json()
    return look


def suit_print(figure: go.Figure) -> go.Figure:
    """Return a copy for files: on white, in fonts that every machine has a likeness of."""
    printed = go.Figure(figure)
    printed.update_layout(paper_bgcolor="white", plot_bgcolor="white", meta=None)
    return printed


def _at_left(frame: Frame) -> dict[str, object]:
    """Place an annotation at the left edge of the figure, not of the plot area."""
    return {
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "xanchor": "left",
        "xshift": -frame.left,
        "align": "left",
        "showarrow": False,
    }
