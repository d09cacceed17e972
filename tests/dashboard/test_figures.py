"""What is kept between runs of a page: figures, views, and what browsers get."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import pytest

from dashboard.analysis import CurveFit
from dashboard.components import figures
from dashboard.components import keep as keeping
from dashboard.components.keep import keep
from tests.dashboard.fakes import make_curve

drawn: list[str] = []


def draw(curves: Sequence[CurveFit], *, note: str) -> go.Figure:
    drawn.append(note)
    return go.Figure(layout={"title": f"{curves[0].ability}: {note}"})


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    keeping._made.clear()
    drawn.clear()


def test_figure_of_the_same_curves_and_texts_is_drawn_once() -> None:
    curves = [make_curve("code"), make_curve("math")]
    first = keep(draw, curves, note="a")
    assert keep(draw, list(curves), note="a") is first
    assert drawn == ["a"]


def test_other_curves_texts_or_drawings_get_a_figure_of_their_own() -> None:
    code, equal = make_curve("code"), make_curve("code")
    keep(draw, [code], note="a")
    keep(draw, [code], note="b")
    keep(draw, [equal], note="c")
    keep(draw, [code, equal], note="d")
    assert drawn == ["a", "b", "c", "d"]
    other = keep(lambda curves, note: go.Figure(), [code], note="a")
    assert other.layout.title.text is None


def test_a_curve_that_is_gone_never_lends_its_figure_to_another() -> None:
    # Each curve is dropped at once, so that the next is likely to get its place in memory.
    for ability in map(str, range(20)):
        figure = keep(draw, [make_curve(ability)], note="a")
        assert figure.layout.title.text == f"{ability}: a"


def test_browser_gets_what_plotly_would_have_made_without_making_it_again() -> None:
    figure = go.Figure(go.Scatter(x=[1.0, 2.0], y=[3.0, 4.0]), layout={"height": 200})
    _, screen = figures._suit(figure, False, False, False)
    assert screen.to_dict() is screen.to_dict()
    assert screen.to_dict()["data"] == figure.to_dict()["data"]
