"""The form of the budget page: how much, what it costs, what there is, what counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboard.analysis import ResponseKind
from dashboard.analysis.budget.spec import PlanSpec
from dashboard.budget_form import (
    ABILITY,
    AT_LEAST,
    AVAILABLE,
    FLOOR,
    MONEY,
    OBSERVED,
    OWN,
    PRICE,
    SOURCE,
    UNITS,
    WEIGHT,
    FormTables,
    empty_tables,
    read_request,
    request_yaml,
    usual_budget,
)
from dashboard.components.filters import choose_metric
from dashboard.components.page import OpenStudy
from dashboard.components.text import plain
from dashboard.components.transfer import models_by_size
from dashboard.data import load_ability_scores
from dashboard.page_data import load_observed, plan_filters
from dashboard.state import choose_one, keep_in_link

_COLUMNS = {
    PRICE: st.column_config.NumberColumn("Price of one", min_value=0, help="Money budgets only"),
    AVAILABLE: st.column_config.NumberColumn("Available", min_value=0, step=1),
    WEIGHT: st.column_config.NumberColumn("Weight", min_value=0, help="1: counts as the others"),
    AT_LEAST: st.column_config.NumberColumn("At least", min_value=0, step=1),
    FLOOR: st.column_config.NumberColumn(
        "Score at least", min_value=0, help="Reached with probability 0.8; accuracies 0 to 1"
    ),
    OWN: st.column_config.NumberColumn("Own plan", min_value=0, step=1, help="To compare with"),
    OBSERVED: st.column_config.NumberColumn("Observed up to", format="%d"),
    SOURCE: st.column_config.Column("Data source"),
    ABILITY: st.column_config.Column("Ability"),
}


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What the form asks for.

    Attributes
    ----------
    base_model : str
        The model to plan for; the largest where the plan may choose (`filters` has none then).
    filters : dict
        Values by column of `dashboard.evidence.FILTERS`.
    """

    base_model: str
    metric: str | None
    filters: dict[str, list[str]]
    spec: PlanSpec
    unit: str
    allow_unsupported: bool
    response: ResponseKind


def ask_plan(opened: OpenStudy) -> PlanRequest:
    """Show the form; return the request.

    Raises
    ------
    InputError
        If there is nothing to plan with, or a number is out of range.
    """
    metric = choose_metric(opened)
    scores = load_ability_scores(opened.root, opened.snapshot_id, opened.study)
    first, second, third, fourth = st.columns([3, 2, 2, 4])
    with first:
        model = choose_one("model", "Base model", models_by_size(scores))
    observed = load_observed(opened.root, opened.snapshot_id, opened.study, model, metric)
    with second:
        unit = choose_one("unit", "Budget in", UNITS)
    with third:
        amount = _ask_number("budget", "Budget", usual_budget(observed.volumes))
    with fourth, st.container(horizontal=True, vertical_alignment="bottom", height="stretch"):
        free = _ask_switch("any_model", "Let the plan choose the base model")
        further = _ask_switch("unsupported", "Up to 4 times the observed volumes")
    with st.expander("Prices, availability, weights, minima and your own plan"):
        tables = _ask_tables(f"{opened.study} {model} {metric}", observed.volumes, unit)
        spec = read_request(amount, unit, tables)
        st.download_button(
            "This request as a file for recommend --plan",
            data=request_yaml(spec),
            file_name="plan.yaml",
            mime="application/yaml",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )
    return PlanRequest(
        base_model=model,
        metric=metric,
        filters=plan_filters(opened.study, "" if free else model, metric),
        spec=spec,
        unit=unit,
        allow_unsupported=further,
        response=observed.response,
    )


def _ask_number(key: str, label: str, usual: float) -> float:
    """Show a number above 0 that is part of the link."""
    keep_in_link(key)
    value = st.number_input(
        label,
        min_value=1.0,
        max_value=1e12,
        value=usual,
        step=100.0,
        format="%.0f",
        key=key,
        bind="query-params",
        persist_state="session",
    )
    return float(value)


def _ask_switch(key: str, label: str) -> bool:
    """Show a switch that is part of the link."""
    keep_in_link(key)
    return st.toggle(label, key=key, bind="query-params", persist_state="session")


def _ask_tables(subject: str, observed: Mapping[tuple[str, str], float], unit: str) -> FormTables:
    """Show the three tables; what was filled in stays while other pages are looked at."""
    start = empty_tables(observed)
    sources, abilities, cells = st.tabs(["By data source", "By ability", "By both"])
    with sources:
        st.caption(
            plain("Prices count where the budget is in money. Available: over all abilities.")
            if unit != MONEY
            else plain("Every source needs a price. Available: over all abilities.")
        )
        by_source = _edit(f"plan-sources {subject}", start.sources, [SOURCE])
    with abilities:
        st.caption(plain("At least: of any source. Leave blank what you don't ask for."))
        by_ability = _edit(f"plan-abilities {subject}", start.abilities, [ABILITY])
    with cells:
        st.caption(
            plain(
                "A price or number here counts before the source's. A plan goes no further than "
                "the largest observed run unless you allow it."
            )
        )
        by_both = _edit(f"plan-cells {subject}", start.cells, [SOURCE, ABILITY, OBSERVED])
    return FormTables(sources=by_source, abilities=by_ability, cells=by_both)


def _edit(key: str, start: pd.DataFrame, fixed: list[str]) -> pd.DataFrame:
    """Show a table to edit; return it as edited."""
    last, first = f"{key}, last", f"{key}, first"
    if key not in st.session_state:
        # Streamlit forgets a table's edits when another page is shown.
        st.session_state[first] = st.session_state.get(last, start)
    edited: pd.DataFrame = st.data_editor(
        st.session_state[first],
        key=key,
        hide_index=True,
        disabled=fixed,
        column_config=_COLUMNS,
        height="content",
    )
    st.session_state[last] = edited
    return edited
