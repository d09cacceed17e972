"""Writes the rows of a query as an aligned table, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

_MAX_WIDTH = 60


Rows = Sequence[Sequence[Any]]


def format_rows(columns: Sequence[str], rows: Rows, table_format: str) -> str:
    """Return rows as `table`, `csv` or `json` text that ends with a line end."""
    if table_format == "json":
        objects = [dict(zip(columns, map(_jsonable, row), strict=True)) for row in rows]
        return json.dumps(objects, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if table_format == "csv":
        target = io.StringIO()
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(columns)
        # An empty field is NULL, as DuckDB and pandas read it.
        writer.writerows([_text(value, null="") for value in row] for row in rows)
        return target.getvalue()
    return _aligned(columns, rows)


def _aligned(columns: Sequence[str], rows: Rows) -> str:
    """Lay rows out in columns, numbers to the right."""
    cells = [[_shorten(_text(value, null="NULL")) for value in row] for row in rows]
    columns = [_shorten(name) for name in columns]
    widths = [
        max([len(name), *(len(row[index]) for row in cells)]) for index, name in enumerate(columns)
    ]
    numeric = [
        any(isinstance(row[index], int | float | Decimal) for row in rows)
        for index in range(len(columns))
    ]

    def line(values: list[str]) -> str:
        parts = [
            value.rjust(width) if right else value.ljust(width)
            for value, width, right in zip(values, widths, numeric, strict=True)
        ]
        return "  ".join(parts).rstrip()

    rule = ["-" * width for width in widths]
    lines = [line(list(columns)), line(rule), *(line(row) for row in cells)]
    count = f"({len(rows)} row{'' if len(rows) == 1 else 's'})"
    return "\n".join([*lines, count]) + "\n"


def _shorten(text: str) -> str:
    """Keep a table readable: one harmless line, cut if long (CSV and JSON keep all)."""
    text = " ".join(text.split())
    text = text if len(text) <= _MAX_WIDTH else text[: _MAX_WIDTH - 1] + "…"
    if text.isprintable():
        return text
    # Replies of models may hold sequences that a terminal obeys.
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _text(value: Any, *, null: str) -> str:
    """Write one value for people or for CSV."""
    if value is None:
        return null
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        return json.dumps(_jsonable(value), ensure_ascii=False)
    return str(value)


def _jsonable(value: Any) -> Any:
    """Bring a value to JSON; NaN and infinity have no JSON form and become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return _jsonable(float(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {str(key): _jsonable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(part) for part in value]
    return str(value)
