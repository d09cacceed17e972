"""Filters that live in the link: plain query parameters, checked against what exists.

A filter's key is its query parameter, and a filter of one key is the same on every page. Streamlit
keeps the two in step and carries them from page to page (`bind`, `persist_state`); what a link asks
for and the data doesn't have falls back to the default, and the reader is told so.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.components.text import plain

# Query parameter of the snapshot, and its value for whichever is the newest.
SNAPSHOT = "snapshot"
LATEST = "latest"

# A link may carry anything; a notice repeats no more of it than this.
_MAX_SHOWN = 60
_MAX_VALUES = 50
# Per session: the page that was shown last, and the query parameters that belong to it.
_PAGE_KEYS = "page_keys"
_FIXED = "fixed_in_link"


def choose_one(
    key: str,
    label: str,
    options: Sequence[str],
    *,
    default: str | None = None,
    notices: DeltaGenerator | None = None,
    help: str | None = None,
) -> str:
    """Show a select box bound to the query parameter `key`; return the choice.

    Parameters
    ----------
    key : str
        Query parameter.
    label : str
        Shown over the box.
    options : sequence of str
        At least one.
    default : str, optional
        Choice without a query parameter; the first option if not given or not an option.
    notices : container, optional
        Where to say that the link asks for something else; here if not given.
    help : str, optional
        Shown on demand beside the label.
    """
    keep_in_link(key)
    _forget_unknown(key, options)
    index = options.index(default) if default in options else 0
    _tell_unknown(label, find_unknown(_asked(key), options), options[index], notices)
    chosen = st.selectbox(
        label,
        options,
        index=index,
        key=key,
        bind="query-params",
        persist_state="session",
        help=help,
    )
    return chosen if chosen in options else options[index]


def follow_latest() -> None:
    """Show the latest snapshot from the next run of the page on; for callbacks only."""
    st.session_state[SNAPSHOT] = LATEST


def choose_many(
    key: str, label: str, options: Sequence[str], *, default: Sequence[str] = ()
) -> list[str]:
    """Show a multiple choice bound to the query parameter `key`; return it in the options' order.

    Parameters
    ----------
    key, label : str
        As for `choose_one`.
    options : sequence of str
        May be empty, which disables the box.
    default : sequence of str
        Choice without a query parameter.
    """
    keep_in_link(key)
    _forget_unknown(key, options)
    usual = [option for option in options if option in default]
    _tell_unknown(label, find_unknown(_asked(key), options), ", ".join(usual) or "none")
    chosen = st.multiselect(
        label,
        options,
        default=usual,
        key=key,
        bind="query-params",
        persist_state="session",
        placeholder="none",
        select_all=False,
    )
    return [option for option in options if option in chosen]


def keep_in_link(key: str) -> None:
    """Make a widget's value part of the page's link (`page_link`); `choose_*` do so themselves.

    Parameters
    ----------
    key : str
        Of a widget bound to the query parameter of that name (`bind="query-params"`).
    """
    page, keys = st.session_state.get(_PAGE_KEYS, (None, ()))
    here = st.context.url
    if page != here:
        keys = ()
    if key not in keys or page != here:
        st.session_state[_PAGE_KEYS] = (here, (*keys, key))


def fix_in_link(**values: str) -> None:
    """Set what the page's link holds whatever a widget says, such as the snapshot."""
    st.session_state[_FIXED] = values


def page_link() -> str:
    """Return the address that restores this page, all its choices and the snapshot.

    Unlike the address bar, it names choices left at their default too, which new results change.
    """
    _, keys = st.session_state.get(_PAGE_KEYS, (None, ()))
    values: dict[str, object] = {}
    for key in keys:
        value = st.session_state.get(key)
        if isinstance(value, list | tuple):
            # An empty value stands for "none", which may not be the default.
            values[key] = [str(one) for one in value] or [""]
        elif value is not None:
            values[key] = str(value)
    values |= st.session_state.get(_FIXED, {})
    return f"{st.context.url or ''}?{urlencode(values, doseq=True)}"


def choose_switch(key: str, label: str) -> bool:
    """Show a switch bound to the query parameter `key`, off by default; return its state."""
    keep_in_link(key)
    return st.toggle(label, key=key, bind="query-params", persist_state="session")


def find_unknown(asked: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return the values of a link that are no options, each once."""
    known = set(options)
    return list(dict.fromkeys(value for value in asked if value and value not in known))


def _asked(key: str) -> list[str]:
    """Return what the link asks for."""
    return st.query_params.get_all(key)[:_MAX_VALUES]


def _forget_unknown(key: str, options: Sequence[str]) -> None:
    """Drop kept choices that another study, model or snapshot doesn't have."""
    kept = st.session_state.get(key)
    if isinstance(kept, list):
        known = [value for value in kept if value in options]
        if known != kept:
            st.session_state[key] = known
    elif kept is not None and kept not in options:
        del st.session_state[key]


def _tell_unknown(
    label: str, unknown: Sequence[str], instead: str, notices: DeltaGenerator | None = None
) -> None:
    """Say that the link asks for what isn't here."""
    if unknown:
        asked = ", ".join(repr(value[:_MAX_SHOWN]) for value in unknown[:3])
        text = f"The link asks for {label.lower()} {asked}, which is not here; shown: {instead}."
        (notices or st).warning(plain(text))
