"""The app's entry point: `python cli.py dashboard`, or `streamlit run dashboard/app.py`.

The workspace is the folder that GROWTHPACE_WORKSPACE names, else `workspace` in the current one.
"""

from __future__ import annotations

import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
# Streamlit puts this file's folder first on the path, where `data` or `state` could hide another
# package's modules of that name; the packages are found from the folder above.
sys.path[:] = [str(_FOLDER.parent)] + [
    entry for entry in sys.path if entry not in (str(_FOLDER), str(_FOLDER.parent))
]

import streamlit as st

from dashboard.views import growth, overview, runs

st.set_page_config(
    page_title="growthpace",
    page_icon=str(_FOLDER / "assets" / "icon.svg"),
    layout="wide",
    # Width in pixels; open on a desk, folded away on a phone.
    initial_sidebar_state=230,
)
st.logo(str(_FOLDER / "assets" / "logo.svg"), size="large")
st.navigation(
    [
        st.Page(overview.show, title="Overview", icon=":material/lightbulb:", default=True),
        st.Page(growth.show, title="Growth", icon=":material/show_chart:", url_path="growth"),
        st.Page(runs.show, title="Runs", icon=":material/table_rows:", url_path="runs"),
    ],
    expanded=True,
).run()
