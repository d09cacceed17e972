"""Budget: which data to get for how much, what it would bring, and which run to do next."""

from __future__ import annotations

import streamlit as st

from dashboard.charts.budget import how_budget, plan_headline
from dashboard.components.comparisons import show_how
from dashboard.components.page import OpenStudy, show_scored_study
from dashboard.components.plan import compute_plan, show_allocation, show_next_runs, show_outcome
from dashboard.components.plan_form import ask_plan
from dashboard.components.text import plain
from warehouse.errors import InputError


def show() -> None:
    """Lay out the page."""
    show_scored_study(_show_budget)


def _show_budget(opened: OpenStudy) -> None:
    """Show the answer over the form, then the plan, what it brings, and the next run."""
    answer = st.container()
    try:
        request = ask_plan(opened)
        found = compute_plan(opened, request)
    except InputError as error:
        with answer:
            st.header("There is no plan for this request")
            st.text(str(error))
        return
    with answer:
        st.header(plain(plan_headline(found, request.response)))
    show_allocation(opened, request, found)
    show_outcome(opened, request, found)
    show_next_runs(opened, request)
    show_how(opened, how_budget(found))
