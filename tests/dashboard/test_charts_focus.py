from __future__ import annotations

import dataclasses

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.analysis import (
    IntervalKind,
    PlateauStatus,
    Prediction,
    PredictionStatus,
    ResponseKind,
)
from dashboard.analysis.new_run import new_run_band
from dashboard.charts.focus import (
    focus_figure,
    focus_note,
    focus_title,
    residual_figure,
    residuals,
)
from dashboard.charts.growth import growth_figure
from dashboard.components.focus import volumes_ahead
from tests.dashboard.fakes import make_curve, make_failed_curve, make_points


def traces(figure: go.Figure, name: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.name == name]


def notes(figure: go.Figure, name: str) -> list[str]:
    return [one.text for one in figure.layout.annotations if one.name == name]


def predicted(**changes: object) -> Prediction:
    fields = {
        "n_examples": 1024.0,
        "estimate": 0.7,
        "low": 0.6,
        "high": 0.8,
        "level": 0.95,
        "status": PredictionStatus.BACKTESTED,
        "kind": IntervalKind.BACKTEST,
        "reason": None,
    }
    return Prediction(**(fields | changes))


def test_band_of_a_new_run_is_wider_than_that_of_the_curve_and_starts_at_the_first_volume() -> None:
    curve = make_curve()
    band = new_run_band(curve)
    assert band is not None
    assert curve.band is not None
    assert band.n_examples[0] == 4
    inside = curve.band.n_examples >= 4
    assert (band.low < curve.band.low[inside]).all()
    assert (band.high > curve.band.high[inside]).all()
    assert ((band.low > 0) & (band.high < 1)).all()


def test_band_of_a_new_run_covers_new_runs_of_a_curve_that_is_known() -> None:
    rng = np.random.default_rng(0)
    known = make_curve(run_stddev=0.3, run_df=1e6)
    assert known.band is not None
    sharp = dataclasses.replace(known.band, low=known.band.estimate, high=known.band.estimate)
    band = new_run_band(dataclasses.replace(known, band=sharp))
    assert band is not None
    p = band.estimate[-1]
    runs = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + 0.3 * rng.standard_normal(20_000))))
    scores = rng.binomial(200, runs) / 200
    covered = ((scores >= band.low[-1]) & (scores <= band.high[-1])).mean()
    assert covered == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    "changes",
    [
        {"noise": IntervalKind.ITEMS_ONLY},
        {"run_stddev": None},
        {"response": ResponseKind.LOSS},
        {"band": None},
    ],
)
def test_no_band_of_a_new_run_where_nothing_says_how_runs_differ(
    changes: dict[str, object],
) -> None:
    assert new_run_band(make_curve(**changes)) is None


def test_focus_shows_what_a_panel_has_no_room_for() -> None:
    plateau = dataclasses.replace(make_curve().plateau, status=PlateauStatus.PLATEAU)
    curve = make_curve(plateau=plateau, predictions=(predicted(),))
    figure = focus_figure([curve], source_note="Source: study demo.")
    for name in ("band", "curve", "prediction band", "runs", "means", "chance", "plateau"):
        assert traces(figure, name), name
    (ahead,) = traces(figure, "prediction")
    assert list(ahead.y) == pytest.approx([0.65, 0.7])
    assert list(ahead.error_y.array) == pytest.approx([0, 0.1])
    assert "predicted 70.0% [60.0%, 80.0%]" in ahead.customdata[1]
    assert notes(figure, "chance name") == ["guessing: 25.0%"]
    assert "responsive, +40 points" in notes(figure, "line name")[0]
    assert "Source: study demo." in notes(figure, "note")[0].replace("<br>", " ")


def test_focus_note_names_families_weights_and_plateau() -> None:
    from dashboard.analysis.results import FamilyFit

    family = FamilyFit(
        name="power_law",
        status=make_curve().status,
        reason=None,
        params={},
        stderr={},
        covariance=np.zeros((0, 0)),
        log_likelihood=None,
        qaicc=None,
        weight=0.75,
        rmse=None,
        n_free=0,
    )
    note = focus_note([make_curve(families=(family,), predictions=(predicted(),))])
    assert "Families by weight: power law 0.75." in note
    assert "Light band: one more run" in note
    assert "Dotted: predicted beyond the data" in note


def test_focus_titles() -> None:
    assert focus_title([make_curve()]) == (
        "Code is responsive: +40 points by 256 examples per ability"
    )
    two = [make_curve(), make_curve(data_source="synthetic")]
    assert focus_title(two).startswith("Code: responsive for ladder-l on human data and responsive")
    assert focus_title([make_failed_curve("ethics")]) == ("Ethics has no label: no converged curve")


def test_names_of_lines_that_end_together_stand_apart() -> None:
    curves = [make_curve(data_source=name) for name in ("a", "b", "c")]
    figure = focus_figure(curves, source_note="")
    places = sorted(one.y for one in figure.layout.annotations if one.name == "line name")
    assert np.diff(places).min() > 0.05
    assert focus_figure(curves, source_note="", narrow=True).layout.margin.r == 12


@pytest.mark.parametrize("curve", [make_failed_curve(), make_curve(band=None, drawable=False)])
def test_focus_of_a_failed_fit_draws_its_runs(curve: object) -> None:
    figure = focus_figure([curve], source_note="")
    assert traces(figure, "runs")
    assert not traces(figure, "curve")
    assert residual_figure([curve], source_note="").layout.meta["frame"]["title"] == (
        "There is no curve to differ from"
    )


def test_residuals_are_runs_minus_curve() -> None:
    n, residual = residuals(make_curve())
    assert len(n) == 9
    # The fake's runs lie 2 points above and below their curve, the base model on it.
    assert np.abs(residual).max() == pytest.approx(0.02, abs=0.01)
    assert residual[0] == pytest.approx(0, abs=1e-9)


def test_base_model_far_off_the_scale_of_losses_stands_at_the_edge_with_its_value() -> None:
    points = make_points(2.0, 1.6, 16.0)
    score = points.score.copy()
    n = points.n_examples
    score[n > 0] = 2.0 - 0.001 * n[n > 0]
    score[0] = 9.5
    points = dataclasses.replace(
        points, score=score, excluded=("the base model is no part of a loss curve", *[None] * 8)
    )
    curve = make_failed_curve(
        points=points, response=ResponseKind.LOSS, higher_is_better=False, chance_level=None
    )
    figure = growth_figure([curve], title="", note="")
    assert figure.layout.yaxis.range[1] < 2.5
    (outside,) = traces(figure, "off the scale")
    assert outside.text == ("9.5",)
    assert list(outside.y) == [figure.layout.yaxis.range[1]]


def test_next_volumes_follow_the_grid() -> None:
    assert volumes_ahead([make_curve()]) == (1024.0, 4096.0)
