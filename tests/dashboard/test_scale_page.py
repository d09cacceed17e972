"""The Scale page, and what it draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dashboard.analysis import FitStatus, ResponseKind, StudyFit
from dashboard.analysis.compare.inversion import RatioStatus, VolumeRatio
from dashboard.analysis.compare.results import DataEquivalent, ModelScore, VolumeRanking
from dashboard.analysis.joint.results import JointFit
from dashboard.analysis.results import IntervalKind, PredictionStatus
from dashboard.charts.scale import ScaleView, equivalents_title, scale_headline, spread_models
from dashboard.charts.scale_figures import best_figure, best_table, equivalents_figure
from dashboard.charts.sizes import law_score, sizes_figure
from dashboard.charts.style import read_frame
from tests.dashboard.fakes import interval, make_curve, make_failed_curve
from tests.dashboard.page_runs import RunPage, headings, open_all, run_page, said
from warehouse.workspace import Workspace

__all__ = ["run_page"]


def make_score(ability: str, model: str, estimate: float, **changes: Any) -> ModelScore:
    fields: dict[str, Any] = {
        "study": "demo",
        "ability": ability,
        "data_source": "human",
        "metric": "accuracy",
        "base_model": model,
        "n_params": {"small": 1_000_000, "large": 4_000_000}[model],
        "higher_is_better": True,
        "n_examples": 256.0,
        "score": interval(estimate, 0.05),
        "prediction_status": PredictionStatus.INSIDE_RANGE,
        "rank": 1,
        "p_best": 0.9,
        "gain": None,
        "status": FitStatus.OK,
        "reason": None,
    }
    return ModelScore(**(fields | changes))


def make_ranking(ability: str, order: tuple[str, ...], p_best: float, at: float) -> VolumeRanking:
    return VolumeRanking(
        study="demo",
        ability=ability,
        data_source="human",
        metric="accuracy",
        n_examples=at,
        target=256.0,
        order=order,
        p_best=p_best,
        expected_regret=0.01,
        rank_correlation=1.0,
        reason=None,
    )


def make_equivalent(ability: str, status: RatioStatus, **bounds: float | None) -> DataEquivalent:
    ratio = VolumeRatio(
        estimate=bounds.get("estimate"),
        low=bounds.get("low"),
        high=bounds.get("high"),
        level=0.95,
        kind=IntervalKind.ITEMS_AND_RUNS,
    )
    return DataEquivalent(
        study="demo",
        ability=ability,
        data_source="human",
        metric="accuracy",
        base_model="small",
        larger="large",
        n_examples=256.0,
        ratio=ratio,
        p_beyond_observed=0.5,
        p_never_under_family=0.5,
        status=status,
        reason=None,
    )


def make_view(**changes: Any) -> ScaleView:
    curves = [
        make_curve(ability, base_model=model, n_params=size)
        for ability in ("code", "math")
        for model, size in (("small", 1_000_000), ("large", 4_000_000))
    ]
    fields: dict[str, Any] = {
        "source": "human",
        "volume": 256.0,
        "curves": tuple(curves),
        "scores": (
            make_score("code", "small", 0.5),
            make_score("code", "large", 0.7),
            make_score("math", "small", 0.4),
            make_score(
                "math", "large", 0.41, prediction_status=PredictionStatus.UNSUPPORTED_HORIZON
            ),
        ),
        "rankings": (
            make_ranking("code", ("large", "small"), 0.97, 256.0),
            make_ranking("math", ("large", "small"), 0.4, 256.0),
        ),
        "earlier": (make_ranking("code", ("small", "large"), 0.1, 64.0),),
        "readings": (),
        "gains": (),
        "equivalents": (
            make_equivalent("code", RatioStatus.NEVER_UNDER_FAMILY, low=1.5),
            make_equivalent("math", RatioStatus.OK, estimate=1.2, low=0.0, high=3.0),
        ),
        "laws": (),
    }
    return ScaleView(**(fields | changes))


def test_headline_counts_only_models_that_stand_out() -> None:
    assert scale_headline(make_view()) == (
        "At 256 examples of human data, the best base model is likely large for 1 of 2 abilities; "
        "none stands out for 1."
    )


def test_best_figure_has_a_mark_a_model_and_hollow_ones_beyond_any_backtest() -> None:
    figure = best_figure(make_view(), title="t", note="n")
    marks = [trace for trace in figure.data if trace.name == "estimate"]
    assert [trace.x[0] for trace in marks] == [0.5, 0.7, 0.4, 0.41]
    assert [trace.marker.symbol for trace in marks][2:] == ["circle", "square-open"]
    texts = [one.text for one in figure.layout.annotations if one.name == "row text"]
    assert texts == ["large 97%", "none stands out", "<b>P(best)</b>"]
    frame = read_frame(figure)
    assert frame is not None and "256 examples" in frame.subtitle


def test_best_table_says_what_choosing_by_less_data_costs() -> None:
    table = best_table(make_view())
    assert table["order"].tolist() == ["large, small"] * 2
    assert table["chosen at"].tolist()[0] == 64.0
    assert table["expected regret"].tolist()[0] == "1.0 points"
    assert np.isnan(table["chosen at"].tolist()[1])


def test_a_single_ability_ranks_all_models_row_by_row() -> None:
    view = make_view()
    alone = make_view(
        curves=tuple(c for c in view.curves if c.ability == "code"),
        scores=(
            make_score("code", "small", 0.5, rank=2, p_best=0.03),
            make_score("code", "large", 0.7, rank=1, p_best=0.97),
        ),
    )
    figure = best_figure(alone, title="t", note="n")
    assert [text.split(" ")[0] for text in figure.layout.yaxis.ticktext] == ["large", "small"]


def test_never_reached_is_an_arrow_and_zero_an_open_end() -> None:
    view = make_view()
    figure = equivalents_figure(view, title="t", note="n")
    never, usual = [trace for trace in figure.data if trace.name == "estimate"]
    assert never.marker.symbol == "triangle-right-open"
    assert usual.marker.symbol == "circle"
    spans = [trace for trace in figure.data if trace.name == "interval"]
    assert list(spans[0].marker.size) == [0, 9], "no upper bound"
    assert list(spans[1].marker.size) == [9, 0], "a lower bound of 0 on a logarithmic axis"
    assert figure.layout.xaxis.type == "log"
    assert equivalents_title(view) == (
        "Of 2 steps to a larger base model, data makes up for 1 within the observed volumes, for 0 "
        "beyond them, and for 1 never as the fitted curves go"
    )


def test_spread_keeps_the_ends() -> None:
    names = [f"m{index}" for index in range(30)]
    assert spread_models(names)[0] == "m0"
    assert spread_models(names)[-1] == "m29"
    assert len(spread_models(names)) == 5
    assert spread_models(["a", "b"]) == ["a", "b"]


def make_law(**changes: Any) -> JointFit:
    params: dict[str, float | None] = {
        "E": -2.0,
        "A": 100.0,
        "B": 3.0,
        "alpha": 0.3,
        "beta": 0.5,
    }
    fields: dict[str, Any] = {
        "study": "demo",
        "ability": "code",
        "data_source": "human",
        "metric": "accuracy",
        "response": ResponseKind.ACCURACY,
        "x_kind": "own",
        "status": FitStatus.OK,
        "reason": None,
        "n_points": 8,
        "n_left_out": 0,
        "n_models": 2,
        "n_volumes": 4,
        "params": params,
        "stderr": params,
        "low": params,
        "high": params,
        "level": 0.95,
        "floor": 0.25,
        "resampled": "runs",
        "rmse": 0.01,
        "reading": "",
    }
    return JointFit(**(fields | changes))


def test_law_score_is_the_law_of_the_analysis() -> None:
    from dashboard.analysis.joint.law import JointLaw

    sizes = np.array([1e6, 4e6])
    law = make_law()
    own = JointLaw(sizes, np.full(2, 64.0), ResponseKind.ACCURACY, floor=0.25)
    u = own.working(np.array([law.params[name] for name in own.symbols], dtype=float))
    assert law_score(law, sizes, 64.0) == pytest.approx(own.values(u, sizes, np.full(2, 64.0)))


def test_sizes_figure_draws_the_law_only_where_it_is_identified() -> None:
    curves = make_view().curves
    figure = sizes_figure(curves, [make_law()], title="t", note="n")
    lines = [trace for trace in figure.data if trace.name == "joint law"]
    assert {trace.xaxis for trace in lines} == {"x"}, "math has no law"
    means = [trace for trace in figure.data if trace.name == "means"]
    assert len(means) == 8, "four volumes in two panels"
    assert list(means[0].x) == [1e6, 4e6]
    unknown = make_law(status=FitStatus.NOT_IDENTIFIED, params=dict.fromkeys(make_law().params))
    figure = sizes_figure(curves, [unknown], title="t", note="n")
    assert not [trace for trace in figure.data if trace.name == "joint law"]


# --- The page ---------------------------------------------------------------------------------


def test_full_data(run_page: RunPage, full_workspace: Workspace) -> None:
    app = run_page(full_workspace.root, "scale", study="quickstart", at="512")
    assert not app.exception
    assert headings(app)[0].startswith("At 512 examples of human data")
    assert len(app.get("plotly_chart")) >= 4
    assert any("the mean changes by" in title for title in headings(app))
    assert any("P(best)" in table.value for table in app.dataframe)
    opened = open_all(app).dataframe
    assert "Benjamini-Hochberg" in str([table.value.to_string() for table in opened])
    app.selectbox(key="source").set_value("synthetic").run()
    assert not app.exception
    assert "synthetic data" in headings(app)[0]


def test_a_study_of_one_model_says_what_to_add(
    run_page: RunPage, full_workspace: Workspace
) -> None:
    app = run_page(full_workspace.root, "scale", study="another")
    assert not app.exception
    assert headings(app) == ["This study has fewer than two base models to compare"]


def test_empty_workspace(run_page: RunPage, unscored_workspace: Workspace) -> None:
    app = run_page(unscored_workspace.root, "scale")
    assert not app.exception
    assert headings(app) == ["No cell of this study is scored yet"]


def test_one_point_data(run_page: RunPage, one_point_workspace: Workspace) -> None:
    app = run_page(one_point_workspace.root, "scale")
    assert not app.exception
    assert said(app)


def test_failed_fits(
    run_page: RunPage, full_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = [
        make_failed_curve("code", study="quickstart", base_model=model, n_params=size)
        for model, size in (("ladder-s", 112_000), ("ladder-l", 914_000))
    ]
    fit = StudyFit(curves=tuple(curves), run_noise=(), analysis_version="test")
    monkeypatch.setattr("dashboard.views.scale.load_fit", lambda *arguments: fit)
    app = run_page(full_workspace.root, "scale", study="quickstart")
    assert not app.exception
