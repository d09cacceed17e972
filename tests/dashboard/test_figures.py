"""Figures that are kept between runs of a page."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import pytest

from dashboard.analysis import CurveFit
from dashboard.components import figures
from dashboard.components.figures import keep_figure
from tests.dashboard.fakes import make_curve

drawn: list[str] = []


def draw(curves: Sequence[CurveFit], *, note: str) -> go.Figure:
    drawn.append(note)
    return go.Figure(layout={"title": f"{curves[0].ability}: {note}"})


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    figures._drawn.clear()
    drawn.clear()


def test_figure_of_the_same_curves_and_texts_is_drawn_once() -> None:
    curves = [make_curve("code"), make_curve("math")]
    first = keep_figure(draw, curves, note="a")
    assert keep_figure(draw, list(curves), note="a") is first
    assert drawn == ["a"]


def test_other_curves_texts_or_drawings_get_a_figure_of_their_own() -> None:
    code, equal = make_curve("code"), make_curve("code")
    keep_figure(draw, [code], note="a")
    keep_figure(draw, [code], note="b")
    keep_figure(draw, [equal], note="c")
    keep_figure(draw, [code, equal], note="d")
    assert drawn == ["a", "b", "c", "d"]
    other = keep_figure(lambda curves, note: go.Figure(), [code], note="a")
    assert other.layout.title.text is None


def test_a_curve_that_is_gone_never_lends_its_figure_to_another() -> None:
    # Each curve is dropped at once, so that the next is likely to get its place in memory.
    for ability in map(str, range(20)):
        figure = keep_figure(draw, [make_curve(ability)], note="a")
        assert figure.layout.title.text == f"{ability}: a"
