"""The example queries in `sql/examples`, one question each (shown in docs/sql.md)."""

from __future__ import annotations

import difflib

from warehouse.errors import InputError
from warehouse.statements import list_statements, load_statement

_FOLDER = "examples"


def list_questions() -> tuple[tuple[str, str], ...]:
    """Return (name, question) of every example; the question is the statement's first line."""
    return tuple(
        (name, load_statement(_FOLDER, name).partition("\n")[0].removeprefix("-- "))
        for name in list_statements(_FOLDER)
    )


def load_example(name: str) -> str:
    """Return the statement of an example; its number may be left out, or stand alone.

    Raises
    ------
    InputError
        If there is no such example.
    """
    known = list_statements(_FOLDER)
    for full in known:
        if name in (full, *full.split("_", 1)):
            return load_statement(_FOLDER, full)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    hint = f"; did you mean {near[0]}?" if near else "."
    raise InputError(f"There is no example {name!r:.80}{hint} See sql --list-examples.")
