from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.analysis import CurveFit, Label, ResponseKind
from dashboard.charts.growth import BY_GAIN, BY_NAME, growth_figure, order_curves, score_limits
from dashboard.charts.style import suit_screen
from tests.dashboard.fakes import make_curve, make_failed_curve, make_points, make_study


def draw(curves: list[CurveFit], **changes: Any) -> go.Figure:
    return growth_figure(curves, **({"title": "A finding", "note": "A source"} | changes))


def traces(figure: go.Figure, name: str) -> list[Any]:
    return [trace for trace in figure.data if trace.name == name]


def notes(figure: go.Figure, name: str) -> list[str]:
    return [a.text for a in figure.layout.annotations if a.name == name]


def test_every_ability_has_a_panel_with_points_curve_band_and_chance() -> None:
    figure = draw(make_study())
    for name in ("runs", "means", "curve", "band", "chance"):
        assert len(traces(figure, name)) == 13, name
    assert len({trace.xaxis for trace in traces(figure, "curve")}) == 13


def test_points_are_the_runs_with_their_standard_errors() -> None:
    curve = make_curve()
    (runs,) = traces(draw([curve]), "runs")
    assert runs.y == pytest.approx(curve.points.score)
    assert runs.error_y.array == pytest.approx(curve.points.stderr)
    (means,) = traces(draw([curve]), "means")
    at_four = curve.points.score[curve.points.n_examples == 4]
    assert means.y[1] == pytest.approx(at_four.mean())
    assert len(means.y) == 5


def test_curve_and_band_are_the_fit() -> None:
    curve = make_curve()
    assert curve.band is not None
    figure = draw([curve])
    (line,), (band,) = traces(figure, "curve"), traces(figure, "band")
    assert line.y == pytest.approx(curve.band.estimate)
    assert max(band.y) == pytest.approx(curve.band.high.max())
    assert min(band.y) == pytest.approx(curve.band.low.min())


def test_title_subtitle_and_note_are_part_of_the_figure() -> None:
    figure = draw([make_curve()], title="Code grows", note="Source: here")
    assert notes(figure, "title") == ["<b>Code grows</b>"]
    assert "accuracy" in notes(figure, "subtitle")[0]
    assert notes(figure, "note") == ["Source: here"]


def test_panel_title_has_label_mark_and_gain() -> None:
    (title,) = notes(draw([make_curve("role_play", label=Label.SATURATING)]), "panel title")
    assert title.startswith("<b>role play</b>")
    assert "◆" in title
    assert "saturating, +40 points" in title


def test_an_unconverged_curve_is_not_drawn_and_says_why() -> None:
    figure = draw([make_failed_curve(reason="no family converged; raise the cap")])
    assert not traces(figure, "curve")
    assert not traces(figure, "band")
    assert len(traces(figure, "runs")) == 1
    assert notes(figure, "no curve") == ["no curve: no family<br>converged"]


def test_drawable_must_be_set_even_where_a_band_exists() -> None:
    assert not traces(draw([make_curve(drawable=False)]), "curve")


def test_excluded_runs_are_hollow_with_their_reason() -> None:
    points = make_points()
    excluded = ("the cell leaks <test> items", *points.excluded[1:])
    curve = make_curve(points=dataclasses.replace(points, excluded=excluded))
    figure = draw([curve])
    (hollow,) = traces(figure, "excluded runs")
    assert hollow.marker.symbol == "circle-open"
    assert "leaks &lt;test&gt; items" in hollow.customdata[0]
    assert len(traces(figure, "runs")[0].y) == len(points.score) - 1


def test_missing_scores_are_left_out_not_drawn_as_zero() -> None:
    points = make_points()
    score = points.score.copy()
    score[0] = np.nan
    reasons = ("no score", *points.excluded[1:])
    curve = make_curve(points=dataclasses.replace(points, score=score, excluded=reasons))
    figure = draw([curve])
    assert not traces(figure, "excluded runs")
    assert len(traces(figure, "runs")[0].y) == len(score) - 1


def test_series_differ_by_colour_dash_and_symbol() -> None:
    curves = [
        make_curve(base_model=model, data_source=source)
        for model in ("ladder-l", "ladder-s")
        for source in ("human", "synthetic")
    ]
    lines = traces(draw(curves), "curve")
    looks = {(line.line.color, line.line.dash) for line in lines}
    assert len(looks) == 4
    figure = draw(curves)
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert named == [
        "ladder-l, human",
        "ladder-l, synthetic",
        "ladder-s, human",
        "ladder-s, synthetic",
    ]


def test_one_source_tells_models_apart_twice() -> None:
    lines = traces(draw([make_curve(), make_curve(base_model="ladder-s")]), "curve")
    assert lines[0].line.color != lines[1].line.color
    assert lines[0].line.dash != lines[1].line.dash


def test_panels_of_a_group_share_axes_and_exams_have_their_own_volumes() -> None:
    figure = draw(make_study())
    ranges = {tuple(figure.layout[f"yaxis{i or ''}"].range) for i in (0, *range(2, 14))}
    assert len(ranges) == 1
    inside, exam = figure.layout.xaxis, figure.layout.xaxis11
    assert inside.ticktext == ("0", "4", "16", "64", "256")
    assert exam.ticktext == ("0", "40", "160", "640", "2,560")
    assert notes(figure, "group") == ["Out of domain: exams, by examples in total"]


def test_losses_have_their_own_scale() -> None:
    loss = make_curve("fluency", first=3.0, last=2.0, chance_level=None, metric="loss")
    loss = dataclasses.replace(
        loss,
        response=ResponseKind.LOSS,
        higher_is_better=False,
        points=dataclasses.replace(loss.points, score=np.linspace(3, 2, 9)),
    )
    figure = draw([make_curve(), loss])
    assert figure.layout.yaxis.tickformat == ".0%"
    assert figure.layout.yaxis2.tickformat == "~g"
    assert figure.layout.yaxis2.range[0] > 1


def test_limits_start_at_zero_for_accuracies() -> None:
    low, high = score_limits([make_curve(last=0.93)])
    assert low == 0
    assert 1 <= high <= 1.05


def test_untrusted_names_are_escaped() -> None:
    figure = draw([make_curve("<b>$x$</b>", base_model="a<script>", data_source="<i>")])
    text = figure.to_json()
    assert "script>" not in text.replace("\\u003e", ">").replace("&lt;script&gt;", "")
    assert "<b>$x$" not in text
    assert all("$" not in a.text for a in figure.layout.annotations)


def test_everything_is_svg() -> None:
    assert {trace.type for trace in draw(make_study()).data} == {"scatter"}


def test_order_by_gain_puts_the_flattest_last_and_exams_after() -> None:
    curves = make_study()
    ordered = [curve.ability for curve in order_curves(curves, BY_GAIN)]
    assert ordered[0] == "creative_writing"
    assert ordered[9] == "reasoning"
    assert ordered[10].startswith("ceval")
    by_name = [curve.ability for curve in order_curves(curves, BY_NAME)]
    assert by_name == sorted(by_name)


def test_order_keeps_abilities_that_the_reference_lacks() -> None:
    curves = [make_curve("code"), make_curve("math", data_source="synthetic")]
    assert len(order_curves(curves, BY_GAIN)) == 2
    assert order_curves([], BY_GAIN) == []


def test_dark_page_gets_light_text_and_the_figure_stays_as_it_was() -> None:
    figure = draw([make_curve()])
    before = figure.to_json()
    dark, light = suit_screen(figure, dark=True), suit_screen(figure, dark=False)
    assert dark.layout.font.color != light.layout.font.color
    assert dark.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"
    assert figure.to_json() == before
