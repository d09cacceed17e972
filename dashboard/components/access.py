"""Who can reach the app, whether they are asked who they are, and what they may change."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

import streamlit as st

from dashboard.components.text import plain

READ_ONLY_VARIABLE = "GROWTHPACE_READ_ONLY"
"""Environment variable through which `dashboard --read-only` tells the app to change nothing."""

_OPEN = (
    "Anyone who can reach this machine can open this app and read every result: it listens to "
    "others and asks nobody to sign in. docs/security.md says how to add sign-in."
)


def warn_if_open() -> None:
    """Say so, on every page, where others can reach the app and nobody is asked to sign in.

    With sign-in set up, show a visitor who is not signed in how to, and stop there.
    """
    if has_sign_in():
        if st.user.is_logged_in:
            with st.sidebar:
                st.caption(plain(f"Signed in as {st.user.get('email') or st.user.get('name')}"))
                st.button("Sign out", on_click=st.logout, type="tertiary")
            return
        st.header("Sign in to see the results")
        st.button("Sign in", on_click=st.login, type="primary", icon=":material/login:")
        st.stop()
    if is_open():
        _tell_terminal()
        st.error(plain(_OPEN), icon=":material/lock_open:")


def is_open() -> bool:
    """Tell whether others can reach the app and nobody is asked who they are.

    A reverse proxy on this machine forwards others (`X-Forwarded-For`); one that signs them in says
    who they are (`X-Forwarded-User`). Only a proxy can reach an app that listens on localhost, so
    that header is believed there and nowhere else.
    """
    if has_sign_in():
        return False
    if not is_local(st.get_option("server.address")):
        return True
    headers = st.context.headers
    return bool(headers.get("X-Forwarded-For")) and not headers.get("X-Forwarded-User")


def why_not_write(root: Path) -> str | None:
    """Return why the app may not change a workspace; None if it may."""
    if os.environ.get(READ_ONLY_VARIABLE):
        return "This app was started read-only; use the command exclude in a terminal."
    if is_open():
        return "Others can reach this app and nobody signs in, so it changes nothing."
    if not os.access(root, os.W_OK):
        return f"The workspace {root} can't be written to."
    return None


@st.cache_resource
def _tell_terminal() -> None:
    """Say it once where the app was started, too."""
    print(f"WARNING: {_OPEN}", file=sys.stderr)


def has_sign_in() -> bool:
    """Tell whether a sign-in provider is set up in Streamlit's secrets (`[auth]`)."""
    return st.secrets.load_if_toml_exists() and "auth" in st.secrets


def is_local(address: str | None) -> bool:
    """Tell whether an address that a server listens on is this machine's own."""
    if not address:
        # Streamlit listens on every address unless told otherwise.
        return False
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
