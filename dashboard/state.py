"""Filters that live in the link: plain query parameters, checked against what exists.

A filter's key is its query parameter, and a filter of one key is the same on every page. Streamlit
keeps the two in step and carries them from page to page (`bind`, `persist_state`); what a link asks
for and the data doesn't have falls back to the default, and the reader is told so.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.components.text import plain

# A link may carry anything; a notice repeats no more of it than this.
_MAX_SHOWN = 60
_MAX_VALUES = 50


def choose_one(key: str, label: str, options: Sequence[str], *, default: str | None = None) -> str:
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
    """
    _forget_unknown(key, options)
    index = options.index(default) if default in options else 0
    _tell_unknown(label, find_unknown(_asked(key), options), options[index])
    chosen = st.selectbox(
        label, options, index=index, key=key, bind="query-params", persist_state="session"
    )
    return chosen if chosen in options else options[index]


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


def _tell_unknown(label: str, unknown: Sequence[str], instead: str) -> None:
    """Say that the link asks for what isn't here."""
    if unknown:
        asked = ", ".join(repr(value[:_MAX_SHOWN]) for value in unknown[:3])
        text = f"The link asks for {label.lower()} {asked}, which is not here; shown: {instead}."
        st.warning(plain(text))
