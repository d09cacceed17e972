"""What pages make from kept results, kept too: a page runs again with every click."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeVar

import streamlit as st

T = TypeVar("T")

# For all sessions; a figure of ten panels, the largest thing kept, takes half a megabyte.
_KEPT = 96


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Results of the analysis, told apart by identity: comparing their contents takes too long."""

    parts: tuple[object, ...]

    def ids(self) -> list[object]:
        """Return who they are; a list or tuple is who its members are."""
        return [
            [id(one) for one in part] if isinstance(part, list | tuple) else id(part)
            for part in self.parts
        ]


def keep(make: Callable[..., T], *known: object, **said: Any) -> T:
    """Return `make(*known, **said)`, from memory where it was made of the same before.

    Parameters
    ----------
    make : callable
        Function of a module, such as one that draws a figure.
    *known : object
        Results that are kept themselves (`dashboard.data`, `dashboard.page_data`, `keep`), or lists
        of such, since they are told apart by identity.
    **said
        What else it depends on, told apart by value: texts, numbers.

    Returns
    -------
    object
        Shared between sessions; must not be changed.
    """
    made: T = _made(make, _Known(parts=known), said)[1]
    return made


@st.cache_resource(
    max_entries=_KEPT, show_spinner=False, hash_funcs={_Known: _Known.ids, FunctionType: repr}
)
def _made(make: Callable[..., Any], known: _Known, said: dict[str, Any]) -> tuple[_Known, Any]:
    """Make it; what it was made of is kept with it, so that nothing else can get the same ids."""
    return known, make(*known.parts, **said)
