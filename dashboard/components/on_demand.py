"""Parts of a page that are made when a reader opens them."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st


def show_on_demand(label: str, show: Callable[[], object]) -> None:
    """Show an expander, closed at first; what it holds is made only while it is open.

    Opening it runs `show` and nothing else of the page.

    Parameters
    ----------
    label : str
        What it holds; one of its kind on the page, and its key is `open-` and the label.
    show : callable
        Shows what it holds. Returns nothing that the rest of the page needs.
    """

    def draw() -> None:
        place = st.expander(label, key=f"open-{label}", on_change="rerun")
        if place.open:
            with place:
                show()

    st.fragment(draw)()


def pop_up(label: str, icon: str, name: str, show: Callable[[], object]) -> None:
    """Show a button over what is made only while it is open; for fragments, which run again.

    Parameters
    ----------
    label, icon : str
        What stands on the button; a name of Material's.
    name : str
        Tells buttons of one label apart.
    show : callable
        Shows what it opens.
    """
    place = st.popover(
        label,
        icon=f":material/{icon}:",
        type="tertiary",
        key=f"open-{label}-{name}",
        on_change="rerun",
    )
    if place.open:
        with place:
            show()
