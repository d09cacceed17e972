"""The app's entry point: `python cli.py dashboard`, or `streamlit run dashboard/app.py`.

The workspace is the folder that GROWTHPACE_WORKSPACE names, else `workspace` in the current one.
Each page is a module of `dashboard.views` with a function `show`, imported when it is first opened.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
# Streamlit puts this file's folder first on the path, where `data` or `state` could hide another
# package's modules of that name; the packages are found from the folder above.
sys.path[:] = [str(_FOLDER.parent)] + [
    entry for entry in sys.path if entry not in (str(_FOLDER), str(_FOLDER.parent))
]

import streamlit as st

from dashboard.components.access import warn_if_open
from dashboard.components.layout import apply_layout
from dashboard.components.text import plain
from warehouse.errors import GrowthpaceError

# Sections of the navigation: (module of `dashboard.views` and last part of the link, title, icon).
PAGES = {
    "": (
        ("overview", "Overview", "lightbulb"),
    ),
    "Compare": (
        ("growth", "Growth", "show_chart"),
        ("scale", "Scale", "stacked_line_chart"),
        ("sources", "Human and synthetic", "compare_arrows"),
        ("transfer", "Transfer", "hub"),
    ),
    "Decide": (
        ("budget", "Budget", "savings"),
    ),
    "Look closer": (
        ("runs", "Runs", "table_rows"),
        ("items", "Items", "quiz"),
        ("judge", "Judge", "gavel"),
        ("sql", "SQL", "terminal"),
    ),
}  # fmt: skip


def page_of(name: str) -> Callable[[], None]:
    """Return a function that shows a page and imports its module no sooner.

    What a page can't do is said in its one sentence, without a traceback.
    """

    def show() -> None:
        try:
            importlib.import_module(f"dashboard.views.{name}").show()
        except GrowthpaceError as error:
            st.error(plain(str(error)))

    return show


st.set_page_config(
    page_title="growthpace",
    page_icon=str(_FOLDER / "assets" / "icon.svg"),
    layout="wide",
    # Width in pixels; open on a desk, folded away on a phone.
    initial_sidebar_state=230,
)
st.logo(str(_FOLDER / "assets" / "logo.svg"), size="large")
current = st.navigation(
    {
        section: [
            st.Page(
                page_of(name),
                title=title,
                icon=f":material/{icon}:",
                # The first page is the app's address itself.
                url_path=name,
                default=name == "overview",
            )
            for name, title, icon in pages
        ]
        for section, pages in PAGES.items()
    },
    expanded=True,
)
apply_layout()
warn_if_open()
current.run()
