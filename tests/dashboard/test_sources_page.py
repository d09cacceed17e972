"""The page Human and synthetic, and what it draws."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from dashboard.analysis import ResponseKind, StudyFit
from dashboard.analysis.compare.inversion import RatioStatus
from dashboard.analysis.compare.results import PairStatus, SourceComparison, SourceDifference
from dashboard.analysis.mixtures import MixturePair, MixtureResult
from dashboard.charts.ratios import say_ratio
from dashboard.charts.source_figures import difference_figure, differences_table
from dashboard.charts.sources import balance_title, common_volumes, select_sources, sources_headline
from dashboard.data import load_cells
from tests.dashboard.fakes import interval, make_curve, make_failed_curve
from tests.dashboard.page_runs import RunPage, headings, run_page
from warehouse.workspace import Workspace

__all__ = ["run_page"]


def make_pair(ability: str, estimate: float, **changes: Any) -> SourceDifference:
    fields: dict[str, Any] = {
        "study": "demo",
        "ability": ability,
        "base_model": "ladder-l",
        "n_params": 900_000,
        "data_source": "synthetic",
        "reference": "human",
        "metric": "accuracy",
        "higher_is_better": True,
        "x_kind": "own",
        "out_of_domain": False,
        "n_examples": 256.0,
        "n_runs_reference": 2,
        "n_runs": 2,
        "score_reference": 0.5 + estimate,
        "score": 0.5,
        "difference": interval(estimate, 0.05),
        "stderr": 0.02,
        "p_value": 0.001,
        "q_value": 0.004,
        "n_tests": 12,
        "better": "human",
        "significant": estimate > 0.05,
        "status": PairStatus.OK,
        "reason": None,
    }
    return SourceDifference(**(fields | changes))


def make_view(pairs: list[SourceDifference], volume: float | None = None, **changes: Any) -> Any:
    comparison = SourceComparison(
        pairs=tuple(pairs), exchange_rates=(), still_growing=(), shared_curves=(), readings=()
    )
    curves = [make_curve(pair.ability) for pair in pairs]
    return select_sources(
        comparison,
        changes.get("balance", ()),
        curves,
        reference="human",
        source="synthetic",
        base_model="ladder-l",
        volume=volume,
    )


PAIRS = [
    make_pair("code", 0.01, n_examples=64.0, significant=False),
    make_pair("code", 0.11),
    make_pair("math", -0.01, significant=False, better="synthetic"),
    make_pair("exam", 0.2, out_of_domain=True, n_examples=128.0),
    make_pair("exam", 0.3, out_of_domain=True, n_examples=512.0),
]


def test_headline_names_what_differs_after_correction() -> None:
    assert sources_headline(make_view(PAIRS)) == (
        "Human data beats synthetic on 1 of 2 abilities (code) at their largest common volumes, "
        "for ladder-l; 1 can't be told apart."
    )


def test_exams_are_compared_at_the_volumes_that_count_all_examples() -> None:
    view = make_view(PAIRS, 64.0)
    assert {pair.ability: pair.n_examples for pair in view.pairs} == {"code": 64.0, "exam": 128.0}
    assert "at 64 examples" in sources_headline(view)
    comparison = SourceComparison(
        pairs=tuple(PAIRS), exchange_rates=(), still_growing=(), shared_curves=(), readings=()
    )
    assert common_volumes(comparison, "synthetic", "ladder-l") == [64.0, 256.0]


def test_difference_figure_fills_what_is_significant_and_sets_exams_apart() -> None:
    figure = difference_figure(make_view(PAIRS), title="t", note="n")
    marks = [trace for trace in figure.data if trace.name == "estimate"]
    assert [trace.x[0] for trace in marks] == pytest.approx([11.0, -1.0, 30.0])
    assert [trace.marker.symbol for trace in marks] == ["circle", "circle-open", "circle"]
    tops = [trace.y[0] for trace in marks]
    assert tops[2] - tops[1] > tops[1] - tops[0], "room before the exams"
    assert differences_table(make_view(PAIRS))["n_examples"].tolist() == [64, 256, 256, 128, 512]


def test_untrusted_names_never_become_markup() -> None:
    figure = difference_figure(make_view([make_pair("<b>x</b>", 0.2)]), title="t", note="n")
    assert "<b>x" not in figure.layout.yaxis.ticktext[0]


@pytest.mark.parametrize(
    ("shares", "title"),
    [
        ((0.5, 0.5), "Both sources were trained on in the same proportions"),
        ((0.7, 0.5), "The sources' proportions differ by up to 20 points (code)"),
    ],
)
def test_balance_is_told(shares: tuple[float, float], title: str) -> None:
    rows = [
        {"data_source": source, "ability": ability, "share": share}
        for source, share in zip(("human", "synthetic"), shares, strict=True)
        for ability, share in (("code", share), ("math", 1 - share))
    ]
    assert balance_title(make_view(PAIRS, balance=rows)) == title


def test_beyond_observed_and_never_are_told_apart() -> None:
    from dashboard.analysis.compare.inversion import VolumeRatio
    from dashboard.analysis.results import IntervalKind

    ratio = VolumeRatio(
        estimate=4.0, low=1.5, high=None, level=0.95, kind=IntervalKind.ITEMS_AND_RUNS
    )
    assert say_ratio(ratio, RatioStatus.OK) == "4 [1.5, open]"
    assert say_ratio(ratio, RatioStatus.BEYOND_OBSERVED) == "beyond 4 [1.5, open]"
    assert say_ratio(ratio, RatioStatus.NEVER_UNDER_FAMILY) == "never [1.5, open]"
    assert say_ratio(None, RatioStatus.NO_CURVE) == "no curve"


# --- The page ---------------------------------------------------------------------------------


def test_full_data(run_page: RunPage, full_workspace: Workspace) -> None:
    app = run_page(full_workspace.root, "sources", study="quickstart")
    assert not app.exception
    assert "synthetic" in headings(app)[0]
    assert len(app.get("plotly_chart")) == 3, "equal proportions need no figure"
    app.selectbox(key="reference").set_value("synthetic").run()
    assert not app.exception
    assert app.selectbox(key="other").value == "human"
    app.selectbox(key="volume").set_value("64").run()
    assert not app.exception
    assert "at 64 examples" in headings(app)[0]


def make_mixtures() -> MixtureResult:
    """One mixture that beats the even one overall."""
    pair = MixturePair(
        base_model="ladder-l",
        metric="accuracy",
        target="overall, in domain",
        overall=True,
        out_of_domain=False,
        mixture="more maths",
        reference="even human 64",
        n_examples=640.0,
        n_examples_reference=640.0,
        steps_matched=True,
        response=ResponseKind.ACCURACY,
        difference=interval(-0.1, 0.03),
        p_value=0.001,
        q_value=0.002,
        n_tests=1,
        reason=None,
    )
    return MixtureResult(
        study="quickstart",
        base_model="ladder-l",
        mixtures=(),
        pairs=(pair,),
        reason=None,
        reading=("more maths is better.",),
    )


@pytest.mark.parametrize("study", ["quickstart", "another"])
def test_mixtures_are_compared_where_runs_have_them(
    run_page: RunPage, full_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, study: str
) -> None:
    def load(*of: Any) -> pd.DataFrame:
        cells = load_cells(*of)
        return cells.assign(design="mixture")

    app = run_page(full_workspace.root, "sources", study=study)
    assert not any("etter than even" in title for title in headings(app)), "no run is a mixture"
    monkeypatch.setattr("dashboard.components.sources.load_cells", load)
    monkeypatch.setattr(
        "dashboard.components.sources.load_mixtures", lambda *arguments: make_mixtures()
    )
    app = run_page(full_workspace.root, "sources", study=study)
    assert not app.exception
    assert "Better than even human 64: more maths (in domain)" in headings(app)


def test_a_study_of_one_source_says_what_to_add(
    run_page: RunPage, full_workspace: Workspace
) -> None:
    app = run_page(full_workspace.root, "sources", study="another")
    assert not app.exception
    assert headings(app) == ["This study has fewer than two data sources to compare"]


def test_empty_workspace(run_page: RunPage, unscored_workspace: Workspace) -> None:
    app = run_page(unscored_workspace.root, "sources")
    assert not app.exception
    assert headings(app) == ["No cell of this study is scored yet"]


def test_one_point_data(run_page: RunPage, one_point_workspace: Workspace) -> None:
    app = run_page(one_point_workspace.root, "sources")
    assert not app.exception
    assert headings(app)


def test_failed_fits(
    run_page: RunPage, full_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = [
        make_failed_curve("code", study="quickstart", data_source=source)
        for source in ("human", "synthetic")
    ]
    fit = StudyFit(curves=tuple(curves), run_noise=(), analysis_version="test")
    monkeypatch.setattr("dashboard.views.sources.load_fit", lambda *arguments: fit)
    app = run_page(full_workspace.root, "sources", study="quickstart")
    assert not app.exception
