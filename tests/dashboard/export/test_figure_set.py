"""The complete set of a study's figures: nothing forgotten, and the numbers are those drawn."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from dashboard.export.collect import build_figure_set
from dashboard.export.figure_set import FigureSet, PaperFigure
from dashboard.export.paper import Preset
from dashboard.export.read_study import load_study_evidence
from dashboard.export.study_evidence import Unavailable
from tests.dashboard.export.figure_evidence import SETTINGS, read_study, with_everything
from warehouse.errors import InputError
from warehouse.workspace import Workspace

ALWAYS = {
    "growth-overall",
    "growth-abilities",
    "growth-ability-code",
    "growth-ability-reasoning",
    "growth-ability-role-play",
    "gains",
    "plateau",
    "sources-overall",
    "sources-abilities",
    "source-differences",
    "exchange-rates",
    "still-growing",
    "out-of-domain",
    "out-of-domain-sources",
    "best-base-model",
    "score-by-size",
    "data-equivalents",
    "budget-allocation",
    "budget-expected-scores",
    "budget-frontier",
}
NEEDS_MORE = {
    "mixtures",
    "mixtures-abilities",
    "transfer",
    "transfer-raw",
    "effective-data",
    "judge-win-rates",
    "judge-ratings",
}


@pytest.fixture(scope="module")
def study_figures(full_workspace: Workspace) -> FigureSet:
    return build_figure_set(read_study(full_workspace), Preset.ACL.page)


def of(figures: FigureSet, name: str) -> PaperFigure:
    (found,) = [one for one in figures.figures if one.name == name]
    return found


def drawn(figure: go.Figure, trace: str, axis: str = "y") -> list[float]:
    return [
        float(value) for one in figure.data if one.name == trace for value in getattr(one, axis)
    ]


def test_every_figure_is_drawn_or_missing_with_its_reason(study_figures: FigureSet) -> None:
    assert {one.name for one in study_figures.figures} == ALWAYS
    reasons = {one.name: one.reason for one in study_figures.missing}
    assert set(reasons) == NEEDS_MORE | {"out-of-domain-overall"}
    assert "a mean takes two" in reasons["out-of-domain-overall"], "there is one exam"
    assert "single_ability" in reasons["transfer"]
    assert "no judge has voted" in reasons["judge-ratings"]
    assert not any(reason.endswith(".") for reason in reasons.values())


@pytest.mark.parametrize("preset", [Preset.ICML, Preset.NEURIPS, Preset.SLIDES])
def test_a_study_with_everything_misses_nothing_at_any_width(
    full_workspace: Workspace, preset: Preset
) -> None:
    figures = build_figure_set(with_everything(read_study(full_workspace)), preset.page)
    assert {one.name for one in figures.missing} == {"out-of-domain-overall"}
    assert {one.name for one in figures.figures} == ALWAYS | NEEDS_MORE


def test_captions_say_what_is_drawn_how_many_runs_and_the_source(
    study_figures: FigureSet,
) -> None:
    for figure in study_figures.figures:
        assert re.fullmatch(r"[a-z0-9-]+", figure.name)
        assert figure.caption.startswith(figure.title.rstrip("."))
        assert "Source: study quickstart, growthpace snapshot" in figure.caption
        assert "\n" not in figure.caption
    growth = of(study_figures, "growth-abilities").caption
    assert "Held-out questions (accuracy) against examples per ability" in growth
    assert "95% intervals cover test items and run-to-run differences." in growth
    # Two base models, four volumes and two seeds; the largest volume of the small model failed.
    assert "n = 16 runs (2 seeds), 60 test items an ability." in growth


def test_the_table_of_a_growth_figure_holds_every_run_drawn(study_figures: FigureSet) -> None:
    figure = of(study_figures, "growth-abilities")
    runs = figure.table().query("kind == 'run' and score.notna()")
    marks = [*drawn(figure.draw(), "runs"), *drawn(figure.draw(), "excluded runs")]
    np.testing.assert_allclose(sorted(marks), sorted(runs["score"]))
    lines = figure.table().query("kind == 'curve'")
    np.testing.assert_allclose(
        sorted(drawn(figure.draw(), "curve")), sorted(lines["score"]), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("name", "column"),
    [("source-differences", "difference"), ("plateau", "gain"), ("exchange-rates", "rate")],
)
def test_the_table_of_a_comparison_holds_every_estimate_drawn(
    study_figures: FigureSet, name: str, column: str
) -> None:
    figure = of(study_figures, name)
    table = figure.table()[column].dropna().to_numpy(float)
    factor = 1 if name == "exchange-rates" else 100
    estimates = np.array(drawn(figure.draw(), "estimate", "x"))
    inside = [
        np.isclose(value, factor * table).any()
        for value in estimates
        # An estimate beyond the axis stands at its edge.
        if name != "exchange-rates" or value < estimates.max()
    ]
    assert inside and all(inside)


def test_the_table_of_the_mean_holds_its_points_and_intervals(study_figures: FigureSet) -> None:
    figure = of(study_figures, "growth-overall")
    table = figure.table()
    assert set(table["base_model"]) == {"ladder-s", "ladder-l"}
    assert set(table["data_source"]) == {"human"}
    for name, lines in table.groupby("base_model"):
        (trace,) = [one for one in figure.draw().data if one.name == name]
        np.testing.assert_allclose(trace.y, lines["score"])
        np.testing.assert_allclose(np.add(trace.y, trace.error_y.array), lines["high"])
        np.testing.assert_allclose(np.subtract(trace.y, trace.error_y.arrayminus), lines["low"])


def test_mixtures_show_what_each_gains_over_the_reference(full_workspace: Workspace) -> None:
    evidence = with_everything(read_study(full_workspace))
    assert not isinstance(evidence.mixtures, Unavailable)
    pairs = [one for one in evidence.mixtures[0].pairs if not one.overall and one.difference]
    figure = of(build_figure_set(evidence, Preset.ACL.page), "mixtures-abilities")
    gains = [-100 * one.difference.estimate for one in pairs if not one.out_of_domain]
    np.testing.assert_allclose(sorted(drawn(figure.draw(), "estimate", "x")), sorted(gains))
    np.testing.assert_allclose(sorted(100 * figure.table()["difference"].dropna()), sorted(gains))


def test_small_cells_of_a_matrix_hold_signs_and_wide_ones_numbers(
    full_workspace: Workspace,
) -> None:
    evidence = with_everything(read_study(full_workspace))
    texts = {
        preset: {
            text
            for trace in of(build_figure_set(evidence, preset.page), "transfer").draw().data
            if trace.name == "texts"
            for text in trace.text
        }
        for preset in (Preset.ACL, Preset.ACL_WIDE)
    }
    assert texts[Preset.ACL] <= {"▲", "▼", "+", "\N{MINUS SIGN}", "0", "–"}
    assert any(text.startswith("▲ +") for text in texts[Preset.ACL_WIDE])


def test_a_study_without_scores_misses_everything_but_says_why(
    unscored_workspace: Workspace,
) -> None:
    evidence = load_study_evidence(unscored_workspace, settings=SETTINGS)
    figures = build_figure_set(evidence, Preset.ACL.page)
    assert not figures.figures
    reasons = {one.name: one.reason for one in figures.missing}
    assert reasons["growth-abilities"] == "no trained run of this study is scored yet"


def test_a_study_of_one_volume_draws_its_runs_and_says_what_has_no_curve(
    one_point_workspace: Workspace,
) -> None:
    evidence = load_study_evidence(one_point_workspace, settings=SETTINGS)
    figures = build_figure_set(evidence, Preset.ACL_WIDE.page)
    assert drawn(of(figures, "growth-abilities").draw(), "runs")
    assert "plateau" in {one.name for one in figures.missing}


def test_figures_of_one_base_model_show_it_with_the_numbers_of_the_whole_study(
    full_workspace: Workspace, study_figures: FigureSet
) -> None:
    evidence = load_study_evidence(
        full_workspace, "quickstart", base_model="ladder-s", settings=SETTINGS
    )
    figures = build_figure_set(evidence, Preset.ACL.page)
    by_size = {"best-base-model", "score-by-size", "data-equivalents"}
    assert {one.name for one in figures.figures} == ALWAYS - by_size
    reasons = {one.name: one.reason for one in figures.missing}
    assert all("leave out --base-model" in reasons[name] for name in (*by_size, "judge-ratings"))
    for name in ("growth-overall", "growth-abilities"):
        whole = of(study_figures, name).table().query("base_model == 'ladder-s'")
        own = of(figures, name).table()
        pd.testing.assert_frame_equal(own, whole.reset_index(drop=True))
    # The whole study's figures of one model are those of the largest.
    for name in ("source-differences", "gains", "plateau"):
        assert set(of(figures, name).table()["base_model"]) == {"ladder-s"}
        assert set(of(study_figures, name).table()["base_model"]) == {"ladder-l"}
    assert "ladder-s" in of(figures, "budget-allocation").caption
    with pytest.raises(InputError, match=r"--base-model 'ladder-xl' .*known: ladder-l, ladder-s"):
        load_study_evidence(full_workspace, "quickstart", base_model="ladder-xl")


def test_an_unknown_study_is_refused(full_workspace: Workspace) -> None:
    with pytest.raises(InputError, match="--study 'nope' is not in the warehouse; known: another"):
        load_study_evidence(full_workspace, "nope")
