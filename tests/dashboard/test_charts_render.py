from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import plotly.graph_objects as go
import pytest

from dashboard.charts.gains import gains_figure
from dashboard.charts.growth import growth_figure
from dashboard.charts.style import read_frame, suit_screen
from dashboard.export.render import (
    FigureFormat,
    find_browser,
    render_figure,
    stop_browser,
)
from tests.dashboard.fakes import make_curve
from warehouse.errors import WorkError

needs_browser = pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed")


def draw(title: str = "Seven of ten grow") -> go.Figure:
    return growth_figure([make_curve()], title=title, note="Intervals.\nSource: demo.")


def test_screen_has_no_texts_that_the_page_writes_and_loses_their_room() -> None:
    figure = draw()
    screen = suit_screen(figure, dark=True)
    names = {one.name for one in screen.layout.annotations}
    assert not names & {"title", "subtitle", "note"}
    assert "panel title" in names
    texts = read_frame(figure)
    assert texts is not None
    assert (texts.title, texts.note) == ("Seven of ten grow", "Intervals.\nSource: demo.")
    plot = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
    assert screen.layout.height - screen.layout.margin.t - screen.layout.margin.b == plot
    assert screen.layout.height < figure.layout.height


def test_phone_has_room_for_every_row_of_a_legend() -> None:
    models = [f"a base model with a long name {i}" for i in range(5)]
    figure = growth_figure(
        [make_curve(base_model=model) for model in models], title="t", note="n", n_columns=2
    )
    desk, phone = (suit_screen(figure, dark=False, narrow=narrow) for narrow in (False, True))
    more = phone.layout.margin.t - desk.layout.margin.t
    # Two such names do not stand side by side in 330 pixels.
    assert more >= 4 * 20 - 14
    assert phone.layout.height - desk.layout.height == more
    assert phone.layout.margin.b == desk.layout.margin.b


def test_phone_shows_no_line_through_the_words_of_a_row() -> None:
    figure = gains_figure([make_curve()], title="t", note="n", narrow=True)
    for dark, page in ((False, "white"), (True, "#171614")):
        screen = suit_screen(figure, dark=dark, narrow=True)
        words = [one for one in screen.layout.annotations if one.name == "row text"]
        assert words and all(one.bgcolor == page for one in words)


def test_figure_without_a_frame_is_shown_as_it_is() -> None:
    figure = go.Figure(layout={"title": "Own"})
    assert read_frame(figure) is None
    assert suit_screen(figure, dark=False).layout.title.text == "Own"


def test_html_needs_no_browser_and_no_network() -> None:
    page = render_figure(draw(), FigureFormat.HTML).decode()
    assert "Seven of ten grow" in page
    assert 'src="http' not in page


def test_missing_browser_gets_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stop_browser()
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    assert find_browser() is None
    with pytest.raises(WorkError, match="apt-get install chromium"):
        render_figure(draw(), FigureFormat.SVG)


@needs_browser
@pytest.mark.slow
def test_each_thread_gets_its_own_picture_and_a_hanging_browser_is_replaced() -> None:
    titles = [f"Figure number {i}" for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda t: render_figure(draw(t), FigureFormat.SVG), titles))
    for title, picture in zip(titles, drawn, strict=True):
        assert title.encode() in picture
    with pytest.raises(WorkError, match=r"within 0\.001 seconds"):
        render_figure(draw(), FigureFormat.SVG, timeout_seconds=0.001)
    pdf = render_figure(draw(), FigureFormat.PDF)
    assert pdf.startswith(b"%PDF")
    assert b"/BaseFont" in pdf, "fonts are part of the file"
    assert b"MathJax" not in pdf
    assert render_figure(draw(), FigureFormat.PNG).startswith(b"\x89PNG")
    stop_browser()
