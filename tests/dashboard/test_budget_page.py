"""The Budget page, its form, and what it draws."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from dashboard.analysis import ResponseKind
from dashboard.analysis.budget.recommend import Option, first_answer, recommend
from dashboard.analysis.budget.results import Recommendation
from dashboard.analysis.budget.spec import PlanSpec, parse_plan
from dashboard.budget_form import (
    AT_LEAST,
    AVAILABLE,
    EXAMPLES,
    FLOOR,
    MONEY,
    OWN,
    PRICE,
    WEIGHT,
    FormTables,
    empty_tables,
    grid_yaml,
    read_request,
    request_yaml,
    usual_budget,
)
from dashboard.charts.budget import allocation_table, first_headline, plan_headline, stable_ranges
from dashboard.charts.budget_figures import allocation_figure, expected_figure, frontier_figure
from tests.dashboard.analysis.budget_worlds import hill, make_problem, make_surface
from tests.dashboard.page_runs import RunPage, headings, run_page, said
from warehouse.errors import InputError
from warehouse.workspace import Workspace

__all__ = ["run_page"]

OBSERVED = {
    ("human", "code"): 256.0,
    ("human", "math"): 256.0,
    ("synthetic", "code"): 64.0,
}


def made_plan() -> tuple[Recommendation, Option]:
    surface = make_surface(
        [[hill(0.2, 0.6, 20), hill(0.2, 0.3, 20)], [hill(0.3, 0.02, 20), hill(0.3, 0.01, 20)]],
        noise=0.02,
        abilities=("code", "math"),
        base_model="ladder-m",
    )
    option = Option(surface=surface, problem=make_problem(surface, 100))
    return recommend([option]), option


# --- The form ---------------------------------------------------------------------------------


def test_untouched_tables_ask_for_the_budget_alone() -> None:
    assert read_request(100, EXAMPLES, empty_tables(OBSERVED)) == PlanSpec(budget=100)
    assert usual_budget(OBSERVED) == 128


def test_filled_in_tables_become_the_request() -> None:
    tables = empty_tables(OBSERVED)
    tables.sources.loc[0, [PRICE, AVAILABLE]] = [1.5, 400]
    tables.abilities.loc[0, [WEIGHT, AT_LEAST, FLOOR]] = [2.0, 20, 0.6]
    tables.cells.loc[2, [PRICE, AVAILABLE, AT_LEAST, OWN]] = [0.5, 50, 5, 30]
    spec = read_request(1000, MONEY, tables)
    assert spec == PlanSpec(
        budget_cost=1000,
        cost={"human": 1.5, "synthetic": 1.0, "synthetic:code": 0.5},
        available={"human": 400, "synthetic:code": 50},
        weight={"code": 2.0},
        minimum={"code": 20, "synthetic:code": 5},
        floor={"code": 0.6},
        own_plan={"synthetic:code": 30},
    )
    assert parse_plan(yaml.safe_load(request_yaml(spec)), "plan.yaml") == spec
    assert read_request(1000, EXAMPLES, tables).cost == {}, "every example counts as 1"


@pytest.mark.parametrize("bad", [-1.0, float("inf"), -float("inf")])
def test_numbers_out_of_range_are_refused_by_name(bad: float) -> None:
    tables = empty_tables(OBSERVED)
    tables.cells.loc[1, AVAILABLE] = bad
    with pytest.raises(InputError, match="Available of human:math is"):
        read_request(100, EXAMPLES, tables)


def test_blank_and_nan_are_not_stated() -> None:
    tables = empty_tables(OBSERVED)
    tables.cells[AVAILABLE] = [None, np.nan, 3.0]
    assert read_request(100, EXAMPLES, tables).available == {"synthetic:code": 3.0}


@pytest.mark.parametrize("amount", [0.0, -5.0, float("nan")])
def test_a_budget_of_nothing_is_refused(amount: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        read_request(amount, EXAMPLES, empty_tables(OBSERVED))


def test_weights_that_count_nothing_are_refused() -> None:
    tables = empty_tables(OBSERVED)
    abilities = tables.abilities.assign(**{WEIGHT: 0.0})
    changed = FormTables(sources=tables.sources, abilities=abilities, cells=tables.cells)
    with pytest.raises(InputError, match="Every weight is 0"):
        read_request(100, EXAMPLES, changed)


# --- Figures ----------------------------------------------------------------------------------


def test_headline_says_what_to_buy_and_what_it_brings() -> None:
    found, option = made_plan()
    text = plan_headline(found, ResponseKind.ACCURACY)
    assert text.startswith("For ladder-m, buy ")
    assert "human code" in text
    assert "even split" in text
    first = first_headline(first_answer([option]), ResponseKind.ACCURACY)
    assert first.startswith("First answer for ladder-m")
    nothing = replace(found, allocation=tuple(replace(c, n_examples=0) for c in found.allocation))
    assert plan_headline(nothing, ResponseKind.ACCURACY).startswith("Buy nothing")


def test_allocation_figure_has_a_bar_an_ability_and_source() -> None:
    found, _ = made_plan()
    figure = allocation_figure(
        found.allocation, title="t", subtitle="s", note="n", ranges=stable_ranges(found)
    )
    bars = {trace.name: list(trace.x) for trace in figure.data}
    assert set(bars) == {"human", "synthetic"}
    assert sum(map(sum, bars.values())) == sum(c.n_examples for c in found.allocation)
    patterns = {trace.marker.pattern.shape for trace in figure.data}
    assert len(patterns) == 2, "sources differ by more than colour"
    assert all(low >= 0 for trace in figure.data for low in trace.error_x.arrayminus)
    counts = [one.text for one in figure.layout.annotations if one.name == "count"]
    assert len(counts) == len(found.allocation) == len(allocation_table(found))


def test_expected_scores_and_frontier_show_the_uniform_plan_too() -> None:
    found, _ = made_plan()
    figure = expected_figure(found, ResponseKind.ACCURACY, title="t", note="n")
    marks = [trace for trace in figure.data if trace.name == "estimate"]
    assert len(marks) == 3 * len(found.expected)
    frontier = frontier_figure(found, ResponseKind.ACCURACY, EXAMPLES, title="t", note="n")
    best, uniform = (
        next(trace for trace in frontier.data if trace.name == name)
        for name in ("best plan", "uniform plan")
    )
    assert list(best.x) == [point.budget for point in found.frontier]
    assert list(uniform.y) == [point.uniform for point in found.frontier]
    labels = {one.text for one in frontier.layout.annotations if one.name == "line label"}
    assert labels == {"best plan", "uniform plan"}


# --- The grid file ----------------------------------------------------------------------------


def test_grid_file_is_one_that_run_grid_plans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb
    from typer.testing import CliRunner

    from cli import app
    from dashboard.budget_evidence import recommended_grid
    from runners.grid_spec import load_grid, parse_grid

    found, _ = made_plan()
    _, quickstart = load_grid("quickstart")
    conn = duckdb.connect()
    conn.execute(
        "CREATE TABLE stg_plan AS SELECT 'quickstart' AS study, true AS is_latest, "
        "?::JSON AS grid_settings",
        [json.dumps(quickstart.model_dump(mode="json"))],
    )
    text = grid_yaml(recommended_grid(conn, "quickstart", found), "One\nsentence: with { yaml")
    grid = parse_grid(yaml.safe_load(text), "grid")
    (design,) = grid.designs
    bought = {(c.data_source, c.ability): c.n_examples for c in found.allocation if c.n_examples}
    assert {(p.data_source, p.ability): p.n_examples for p in design.parts} == bought
    path = tmp_path / "quickstart-plan.yaml"
    path.write_text(text, "utf-8")
    arguments = ["run-grid", str(path), "--workspace", str(tmp_path / "w"), "--dry-run", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    assert json.loads(result.stdout)["cells"]


# --- The page ---------------------------------------------------------------------------------


def test_full_data(run_page: RunPage, full_workspace: Workspace) -> None:
    app = run_page(full_workspace.root, "budget", study="quickstart", budget="200")
    assert not app.exception
    assert headings(app)[0].startswith("For ladder-l, buy ")
    assert app.number_input(key="budget").value == 200
    assert len(app.get("plotly_chart")) == 3
    assert "What to run next" in headings(app)
    assert "Next, train ladder-l" in said(app)
    assert "No grid file" in said(app), "a made study has no grid's settings"
    app.number_input(key="budget").set_value(60).run()
    assert not app.exception
    assert "of 60 examples" in said(app)


def test_second_budget_fits_no_curve_again(
    run_page: RunPage, full_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = run_page(full_workspace.root, "budget", study="quickstart", budget="150")

    def refuse(*arguments: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr("dashboard.analysis.budget.build.plan_curves", refuse)
    app.number_input(key="budget").set_value(90).run()
    assert not app.exception
    assert "of 90 examples" in said(app)


def test_a_request_that_no_plan_meets_is_one_sentence(
    run_page: RunPage, full_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask_for_too_much(amount: float, unit: str, tables: FormTables) -> PlanSpec:
        return PlanSpec(budget=10, minimum={"code": 200})

    monkeypatch.setattr("dashboard.components.plan_form.read_request", ask_for_too_much)
    app = run_page(full_workspace.root, "budget", study="quickstart")
    assert not app.exception
    assert headings(app)[0] == "There is no plan for this request"


@pytest.mark.parametrize("workspace", ["one_point_workspace", "unscored_workspace"])
def test_too_little_data(run_page: RunPage, workspace: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(workspace).root
    app = run_page(root, "budget")
    assert not app.exception
    assert headings(app)[0] in (
        "There is no plan for this request",
        "No cell of this study is scored yet",
    )


def test_failed_fits(
    run_page: RunPage, full_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dashboard.page_data import fitted_curves

    fitted_curves.clear()
    monkeypatch.setattr("dashboard.analysis.budget.build.plan_curves", lambda *a: ([], []))
    app = run_page(full_workspace.root, "budget", study="quickstart", budget="33")
    fitted_curves.clear()
    assert not app.exception
    assert "No growth curve could be fitted" in said(app)
