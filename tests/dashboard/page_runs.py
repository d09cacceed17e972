"""Pages of comparisons and budgets through Streamlit's own test runner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.data import WORKSPACE_VARIABLE

RunPage = Callable[..., AppTest]
# Generous, since a first comparison may share two cores with everything else.
TIMEOUT_SECONDS = 300


@pytest.fixture
def run_page(monkeypatch: pytest.MonkeyPatch, quick_fits: None) -> RunPage:
    """Run a page on a workspace, as a link with query parameters opens it."""

    def run(root: Path, page: str, **asked: str | list[str]) -> AppTest:
        monkeypatch.setenv(WORKSPACE_VARIABLE, str(root))
        st.cache_data.clear()
        script = f"from dashboard.views import {page}\n{page}.show()"
        app = AppTest.from_string(script, default_timeout=TIMEOUT_SECONDS)
        for name, value in asked.items():
            app.query_params[name] = value
        return app.run()

    return run


def open_all(app: AppTest) -> AppTest:
    """Open every expander that is made on demand, as a reader would."""
    for label in [block.label for block in app.expander if block.proto.id]:
        app.session_state[f"open-{label}"] = True
    return app.run()


def headings(app: AppTest) -> list[str]:
    """Headers and subheaders, without the backslashes that keep text literal."""
    return [element.value.replace("\\", "") for element in (*app.header, *app.subheader)]


def said(app: AppTest) -> str:
    """All text of a page outside tables and figures, without backslashes."""
    elements = (*app.header, *app.subheader, *app.markdown, *app.text, *app.caption)
    elements += (*app.warning, *app.info, *app.error)
    return "\n".join(element.value for element in elements).replace("\\", "")
