"""A recommended plan as the budget page shows it, the quick answer first."""

from __future__ import annotations

import json

import streamlit as st

from dashboard.analysis.budget.next_run import Goal
from dashboard.analysis.budget.results import FirstAnswer, Recommendation
from dashboard.analysis.serialise import to_plain
from dashboard.budget_form import grid_yaml
from dashboard.charts import budget as charts
from dashboard.charts import budget_figures as figures
from dashboard.charts.style import suit_screen
from dashboard.components.comparisons import show_table
from dashboard.components.figures import show_figure
from dashboard.components.keep import keep
from dashboard.components.layout import is_narrow
from dashboard.components.on_demand import show_on_demand
from dashboard.components.page import OpenStudy
from dashboard.components.plan_form import PlanRequest
from dashboard.components.text import plain
from dashboard.page_data import load_grid, load_next_runs, load_plan
from dashboard.state import choose_one
from warehouse.errors import InputError

_KEPT = "budget_answer"
_GOALS = {
    "the gains from more data": Goal.GAIN,
    "the score at twice the largest volume": Goal.PREDICTION,
    "whether the next doubling still pays": Goal.PLATEAU,
}


def compute_plan(opened: OpenStudy, request: PlanRequest) -> Recommendation:
    """Return the plan; while it is computed, show the quick answer in its place.

    Raises
    ------
    InputError
        If no plan satisfies the request.
    """
    asked = (opened.root, opened.snapshot_id, repr(request))
    kept = st.session_state.get(_KEPT)
    if kept and kept[0] == asked:
        known: Recommendation = kept[1]
        return known
    place = st.empty()

    def tell(first: FirstAnswer) -> None:
        with place.container():
            st.header(plain(charts.first_headline(first, request.response)))
            figure = figures.allocation_figure(
                first.allocation,
                title=charts.allocation_title(first.allocation),
                subtitle=f"Examples to get for {first.base_model}",
                note="",
            )
            dark = st.context.theme.type == "dark"
            screen = suit_screen(figure, dark=dark, narrow=is_narrow())
            st.plotly_chart(screen, key="figure-first-answer", theme=None)

    with st.spinner("Fitting the curves, then checking the plan against what noise could do…"):
        found = load_plan(
            opened.root,
            opened.snapshot_id,
            request.filters,
            request.spec,
            allow_unsupported=request.allow_unsupported,
            tell=tell,
        )
    place.empty()
    st.session_state[_KEPT] = (asked, found)
    return found


def show_allocation(opened: OpenStudy, request: PlanRequest, found: Recommendation) -> None:
    """Show what to buy, with its table and the grid to run."""
    title = charts.allocation_title(found.allocation)
    show_figure(
        keep(
            figures.allocation_figure,
            found.allocation,
            title=title,
            subtitle=f"Examples to get for {found.base_model}: {found.spent:,.6g} of "
            f"{found.budget:,.6g} {request.unit}",
            note=f"{charts.ALLOCATION_NOTE}\n{opened.source_note}",
            ranges=charts.stable_ranges(found),
        ),
        name="allocation",
        alt=title,
        table=lambda: charts.allocation_table(found),
    )
    _show_grid(opened, found)
    for warning in found.warnings:
        st.warning(plain(warning))
    show_on_demand("The plan as a table", lambda: show_table(charts.allocation_table(found)))


def _show_grid(opened: OpenStudy, found: Recommendation) -> None:
    """Offer the plan as a grid file, or say why there is none."""
    try:
        plan = json.dumps(to_plain(found))
        grid = load_grid(opened.root, opened.snapshot_id, opened.study, plan)
    except InputError as error:
        st.caption(plain(f"No grid file: {str(error).removeprefix('--grid-out ')}"))
        return
    name = f"{grid['study']}.yaml"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Grid to run this plan (YAML)",
            data=grid_yaml(grid, found.reading),
            file_name=name,
            mime="application/yaml",
            on_click="ignore",
            type="primary",
            icon=":material/download:",
        )
        st.code(f"python cli.py run-grid {name} --dry-run", language="bash")


def show_outcome(opened: OpenStudy, request: PlanRequest, found: Recommendation) -> None:
    """Show expected scores, other plans and other budgets."""
    response = request.response
    title = charts.expected_title(found, response)
    show_figure(
        keep(
            figures.expected_figure,
            found,
            response=response,
            title=title,
            note=f"{charts.EXPECTED_NOTE}\n{opened.source_note}",
            narrow=is_narrow(),
        ),
        name="expected-scores",
        alt=title,
        table=lambda: charts.expected_table(found),
    )
    st.markdown("\n".join(f"- {plain(text)}" for text in charts.versus_sentences(found, response)))
    show_table(charts.models_table(found))
    if len(found.frontier) > 1:
        frontier = charts.frontier_title(found, response)
        show_figure(
            keep(
                figures.frontier_figure,
                found,
                response=response,
                unit=request.unit,
                title=frontier,
                note=opened.source_note,
            ),
            name="frontier",
            alt=frontier,
            table=lambda: charts.frontier_table(found),
        )


def show_next_runs(opened: OpenStudy, request: PlanRequest) -> None:
    """Show which training run to do next."""
    st.header("What to run next")
    goal = choose_one("goal", "To know better", list(_GOALS))
    found = load_next_runs(
        opened.root,
        opened.snapshot_id,
        opened.study,
        request.base_model,
        request.metric,
        _GOALS[goal].value,
    )
    st.markdown(plain(found.reading))
    show_table(charts.next_table(found))
    for warning in found.warnings:
        st.caption(plain(warning))
