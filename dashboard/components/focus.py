"""One ability in full, below the small multiples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from dashboard.analysis import CurveFit
from dashboard.charts.findings import interval_note
from dashboard.charts.focus import focus_figure, focus_title, residual_figure
from dashboard.charts.plateau import PLATEAU_NOTE, plateau_figure, plateau_table, plateau_title
from dashboard.charts.tables import backtest_table, points_table
from dashboard.charts.wording import name_ability
from dashboard.components.figures import show_figure
from dashboard.components.keep import keep
from dashboard.components.layout import is_narrow
from dashboard.components.on_demand import show_on_demand
from dashboard.components.page import OpenStudy
from dashboard.data import load_fit
from dashboard.state import choose_one, choose_switch

_ABILITY = "ability"
_CLICKED = "clicked_ability"
_N_STEPS_AHEAD = 2


def follow_click(marks: Sequence[dict[str, Any]], abilities: Sequence[str | None]) -> None:
    """Focus on the ability of the mark that was clicked last; before `show_focus` only.

    Parameters
    ----------
    marks : sequence of dict
        What `show_figure` returned.
    abilities : sequence of (str or None)
        Ability of each trace of that figure, by number.
    """
    # A selection stays until the next click; only a new one may overrule the box.
    number = marks[-1].get("curve_number") if marks else None
    new = number != st.session_state.get(_CLICKED)
    st.session_state[_CLICKED] = number
    if new and isinstance(number, int) and 0 <= number < len(abilities) and abilities[number]:
        st.session_state[_ABILITY] = abilities[number]


def show_focus(
    opened: OpenStudy, curves: Sequence[CurveFit], *, metric: str | None, x: str, measure: str
) -> None:
    """Let the reader choose an ability, and draw it large.

    Parameters
    ----------
    opened : OpenStudy
        Study of the page.
    curves : sequence of CurveFit
        The curves of the page, of all abilities.
    metric, x, measure : str
        What they were fitted to, as for `dashboard.data.load_fit`.
    """
    abilities = list(dict.fromkeys(curve.ability for curve in curves))
    st.header("One ability")
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        ability = choose_one(_ABILITY, "Ability (or click a mark above)", abilities)
    with right:
        ahead = choose_switch("ahead", "Predict beyond the data")
    chosen = [curve for curve in curves if curve.ability == ability]
    if ahead:
        volumes = volumes_ahead(chosen)
        fit = load_fit(
            opened.root, opened.snapshot_id, opened.study, metric, x, measure, predict=volumes
        )
        by_key = {curve.key: curve for curve in fit.curves}
        chosen = [by_key[curve.key] for curve in chosen]
    show_figure(
        keep(focus_figure, chosen, source_note=opened.source_note, narrow=is_narrow()),
        name="ability",
        alt=focus_title(chosen),
        table=lambda: points_table(chosen),
    )
    for curve in chosen:
        if curve.reading:
            st.text(curve.reading)
    show_on_demand("Residuals and backtest", lambda: _show_residuals(opened, chosen))


def _show_residuals(opened: OpenStudy, chosen: Sequence[CurveFit]) -> None:
    """Show how far runs lie from their curve, and how well earlier volumes foretold later ones."""
    show_figure(
        keep(residual_figure, chosen, source_note=opened.source_note),
        name="residuals",
        alt=f"Residuals of {name_ability(chosen[0].ability)}",
        table=lambda: points_table(chosen),
    )
    st.dataframe(backtest_table(chosen), hide_index=True, placeholder="—")
    st.caption(
        "Backtest: each method is fitted to the smaller volumes and judged on the larger ones, "
        "pooled over the study; its weight is its share in predictions as far out."
    )


def show_plateaus(opened: OpenStudy, curves: Sequence[CurveFit]) -> None:
    """Show what the next doubling of data would gain, ability by ability or model by model.

    Parameters
    ----------
    opened : OpenStudy
        Study of the page.
    curves : sequence of CurveFit
        The curves of the page, those of its base model and data source first in each ability.
    """
    first = curves[0]
    alike = [
        c for c in curves if (c.data_source, c.response) == (first.data_source, first.response)
    ]
    mine = [curve for curve in alike if curve.base_model == first.base_model]
    shown = mine if len(mine) > 1 else [c for c in alike if c.ability == first.ability]
    if not any(curve.plateau.gain for curve in shown):
        return
    title = plateau_title(shown)
    show_figure(
        keep(
            plateau_figure,
            shown,
            title=title,
            note=f"{PLATEAU_NOTE} {interval_note(shown)}\n{opened.source_note}",
            narrow=is_narrow(),
        ),
        name="plateaus",
        alt=title,
        table=lambda: plateau_table(shown),
    )


def volumes_ahead(curves: Sequence[CurveFit]) -> tuple[float, ...]:
    """Return the next volumes of the grid: the largest, times its median step, and so on."""
    volumes = np.unique(np.concatenate([curve.points.n_examples for curve in curves]))
    volumes = volumes[np.isfinite(volumes) & (volumes > 0)]
    if not volumes.size:
        return ()
    steps = volumes[1:] / volumes[:-1]
    step = float(np.clip(np.median(steps), 2, 10)) if steps.size else 2.0
    return tuple(float(volumes[-1] * step**k) for k in range(1, _N_STEPS_AHEAD + 1))
