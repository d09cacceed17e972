"""How what a page shows was computed."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.analysis import CurveFit, StudyFit
from dashboard.charts.findings import interval_note, label_rule
from dashboard.charts.wording import say_count
from dashboard.components.on_demand import show_on_demand
from dashboard.components.page import OpenStudy
from dashboard.data import FIT_SETTINGS


def show_method(opened: OpenStudy, fit: StudyFit, curves: Sequence[CurveFit]) -> None:
    """Show, on demand, interval, replicates, tests, correction, noise and versions.

    Parameters
    ----------
    opened : OpenStudy
        Study of the page.
    fit : StudyFit
        All curves of the study.
    curves : sequence of CurveFit
        The curves on the page.
    """
    tests = sorted({curve.n_tests for curve in curves if curve.p_value is not None})
    rows = [
        ("Curve", "average of growth families, weighted by QAICc at run level"),
        ("Interval", interval_note(curves)),
        (
            "Replicates",
            f"{FIT_SETTINGS.n_replicates:,} bootstrap replicates, seed {FIT_SETTINGS.seed}",
        ),
        ("Label", label_rule(curves)),
        (
            "Tests",
            f"{' or '.join(str(n) for n in tests) or 'no'} tests (one an ability of a base model, "
            f"source and metric), corrected after {fit.correction}; false discovery rate "
            f"{FIT_SETTINGS.fdr:g}",
        ),
        ("Curves fitted together", say_count(len(fit.curves), "curve")),
    ]
    rows += [
        (
            "Run-to-run noise",
            f"standard deviation {noise.stddev:.2f} ({noise.response.value} scale), "
            f"{noise.df:g} degrees of freedom, pooled over the study",
        )
        for noise in fit.run_noise
    ]
    rows += [
        ("Snapshot", opened.snapshot_id),
        ("Analysis version", fit.analysis_version),
    ]
    show_rows(rows)


def show_rows(rows: Sequence[tuple[str, str]]) -> None:
    """Show, on demand, how what a page shows was computed: what, and how."""
    show_on_demand(
        "How this was computed",
        lambda: st.dataframe(
            [{"What": what, "How": how} for what, how in rows],
            hide_index=True,
            column_config={"What": st.column_config.Column(width="small")},
        ),
    )
