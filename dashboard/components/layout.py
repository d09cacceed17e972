"""The page's look where Streamlit has no option for it, and how wide the reader's screen is."""

from __future__ import annotations

import streamlit as st

_NARROW = "is_narrow"
_NARROW_PIXELS = 640

_STYLE = f"""
<style>
.stMainBlockContainer {{ padding-top: 3rem; }}
@media (max-width: {_NARROW_PIXELS}px) {{
  .stMainBlockContainer {{ padding: 3.5rem 0.9rem 2rem; }}
}}
</style>
"""

_WATCH_WIDTH = f"""
export default function ({{ setStateValue }}) {{
  const query = window.matchMedia("(max-width: {_NARROW_PIXELS}px)");
  const tell = () => setStateValue("narrow", query.matches);
  query.addEventListener("change", tell);
  // A wide screen is what the page was drawn for: only a narrow one costs another run.
  if (query.matches) tell();
  return () => query.removeEventListener("change", tell);
}}
"""


def apply_layout() -> None:
    """Set margins, and learn how wide the screen is; once a run, before the page."""
    st.html(_STYLE)
    watch = st.components.v2.component("screen_width", js=_WATCH_WIDTH)
    seen = watch(key="screen_width", on_narrow_change=lambda: None)
    st.session_state[_NARROW] = bool(seen.narrow)


def is_narrow() -> bool:
    """Tell whether the screen is as narrow as a phone; False until the browser said so."""
    return bool(st.session_state.get(_NARROW))


def n_columns() -> int:
    """Return how many panels of a figure stand in a row."""
    return 2 if is_narrow() else 5
