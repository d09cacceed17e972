"""Reads the SQL statements in `sql/`, one a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_SQL = Path(__file__).parent.parent / "sql"


@cache
def load_statement(folder: str, name: str) -> str:
    """Return the text of `sql/<folder>/<name>.sql`."""
    return (_SQL / folder / f"{name}.sql").read_text("utf-8")


def list_statements(folder: str) -> tuple[str, ...]:
    """Return the names of the statements in `sql/<folder>`, in name order."""
    return tuple(sorted(path.stem for path in (_SQL / folder).glob("*.sql")))
